"""Readiness of a container's program, told to the service manager that started the command; sd_notify(3)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.requires("userns")


@pytest.fixture
def manager(scratch):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{scratch}/manager")
        listener.settimeout(60)
        yield listener


def command(bundle, manager, *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    """Start the command as a service."""
    return subprocess.Popen(
        [sys.executable, "-m", "pycgroups.oci_cli", "--root", bundle.state, *words],
        env={**os.environ, "NOTIFY_SOCKET": manager.getsockname()},
        stdin=stdin,
        stdout=stdout,
    )


def messages(manager, wanted):
    """Receive messages; the barrier's descriptor is closed by that."""
    received: list[str] = []
    while len(received) < wanted:
        text, descriptors, *_ = socket.recv_fds(manager, 4096, 4)
        received.append(text.decode())
        for fd in descriptors:
            os.close(fd)
    return received


def pid_of(bundle):
    return json.loads((bundle.state / "web/state.json").read_text())["pid"]


def test_a_start_waits_for_the_program_to_be_ready(bundle, manager):
    bundle.shell("probe notify STATUS=busy 'READY=1\nSTATUS=up' MAINPID=1 && exec sleep 60")
    assert command(bundle, manager, "create", "--bundle", bundle.write(), "web").wait() == 0
    starting = command(bundle, manager, "start", "web")
    assert messages(manager, 3) == ["READY=1", f"MAINPID={pid_of(bundle)}", "BARRIER=1"]
    assert starting.wait() == 0


@pytest.mark.parametrize("flags", [(), ("--detach",)], ids=" ".join)
def test_a_program_that_ends_is_not_waited_for(bundle, manager, flags):
    bundle.shell("probe notify STATUS=busy")
    running = command(bundle, manager, "run", *flags, "--bundle", bundle.write(), "web", stdout=subprocess.PIPE)
    with running.stdout:
        assert running.stdout.read() == b"STATUS=busy ok\n"
    assert running.wait() == 0
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_run_goes_on_after_that(bundle, manager):
    bundle.shell("probe notify READY=1; read line; exit 7")
    read, write = os.pipe()
    running = command(bundle, manager, "run", "--bundle", bundle.write(), "web", stdin=read)
    os.close(read)
    assert messages(manager, 3)[0] == "READY=1"
    assert pid_of(bundle) > 0
    os.write(write, b"on\n")
    os.close(write)
    assert running.wait() == 7
    assert not (bundle.state / "web").exists()
