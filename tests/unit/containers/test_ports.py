"""Where a container listens, told from its sockets."""

from __future__ import annotations

import os
import socket

from pycgroups.cli import main
from pycgroups.containers.ports import ports


def test_an_address_that_sockets_share_is_one():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
        address = first.getsockname()
        with socket.create_server(address, reuse_port=True):
            found = [port for port in ports([os.getpid()], os.getpid(), is_host=True) if port.number == address[1]]
            assert found == [(address[1], "tcp", "127.0.0.1", address)]


def test_a_number_too_long_for_python_is_no_port(capsys):
    for text in ("9" * 10000, "65536", "000080"):
        assert main(["port", "web", text]) == 125
        assert len(capsys.readouterr().err) < 400
