"""Reading what the kernel tells of sockets: proc_pid_net(5)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from pycgroups.network.listening import listeners, parse

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 14 1 0000 100 0 0 10 0\n"


def row(local, state):
    return f"   0: {local} 00000000:0000 {state} {REST}"


@pytest.mark.skipif(sys.byteorder != "little", reason="the rows are those of a little-endian machine")
def test_those_that_listen_are_found():
    table = HEAD + row("0100007F:1F90", "0A") + row("0100007F:1F91", "01") + row("00000000:0016", "0A")
    assert parse(table, socket.AF_INET) == [("127.0.0.1", 8080, 14), ("0.0.0.0", 22, 14)]
    table = HEAD + row("00000000000000000000000001000000:1F90", "0A") + row(f"{'0' * 32}:0016", "0A")
    assert parse(table, socket.AF_INET6) == [("::1", 8080, 14), ("::", 22, 14)]
    assert parse(HEAD, socket.AF_INET) == parse("", socket.AF_INET) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_tells_of_one(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    process = os.open("/proc/self", os.O_PATH)
    try:
        with socket.create_server((address, 0), family=family) as server:
            port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
            with socket.create_connection((address, port)):
                assert [each for each in listeners(process) if each.port == port] == [(address, port, inode)]
        assert port not in {each.port for each in listeners(process)}
    finally:
        os.close(process)


def test_of_a_process_that_has_ended_nothing_is_known():
    other = subprocess.Popen(["sleep", "1000"])
    process = os.open(f"/proc/{other.pid}", os.O_PATH)
    try:
        other.kill()
        other.wait()
        assert listeners(process) == []
    finally:
        os.close(process)
