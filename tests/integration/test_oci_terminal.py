"""`pycgroups-oci` and terminals: the console socket, and the one of its caller."""

from __future__ import annotations

import os
import pty
import subprocess
import termios

import pytest

from tests.integration.oci import Receiver, read_all
from tests.waiting import PATIENCE

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("many processes of Python's, and nothing of cgroups"),
]


def test_the_console_socket_gets_the_master(oci, bundle, tmp_path):
    bundle.config["process"].update(terminal=True, consoleSize={"height": 33, "width": 77})
    bundle.shell("tty; stty size; exit 3")
    with Receiver(tmp_path) as receiver:
        oci.create("web", "--console-socket", receiver.path)
        name, master = receiver.receive()
    assert name == b"/dev/ptmx"
    assert termios.tcgetwinsize(master) == (33, 77)
    assert termios.tcgetattr(master)[1] & termios.ONLCR  # as the kernel made it, and runc
    oci.call("start", "web")
    assert read_all(master) == b"/dev/pts/0\r\n33 77\r\n"
    oci.wait_for("stopped")


def test_exec_in_a_terminal(oci, tmp_path):
    oci.running()
    with Receiver(tmp_path) as receiver:
        oci.call("exec", "--tty", "--detach", "--console-socket", receiver.path, "web", "tty")
        _, master = receiver.receive()
    assert read_all(master) == b"/dev/pts/0\r\n"


@pytest.mark.parametrize("verb", ["create", "exec"])
def test_a_console_socket_where_nobody_listens(oci, bundle, tmp_path, verb):
    (tmp_path / "file").touch()
    if verb == "exec":
        oci.running()
    bundle.config["process"]["terminal"] = True
    words = ["exec", "-dt", "web", "tty"] if verb == "exec" else ["create", "-b", bundle.write(), "web"]
    for name, why in (("nowhere", "No such file"), ("file", "Connection refused")):
        err = oci.fails(words[0], "--console-socket", tmp_path / name, *words[1:], code=255 if verb == "exec" else 1)
        assert why in err
        assert name in err
    assert oci.names() == (["web"] if verb == "exec" else [])


def test_a_terminal_needs_somebody_who_has_it(oci, bundle, tmp_path):
    bundle.config["process"]["terminal"] = True
    path = bundle.write()
    refused = "cannot allocate tty if the command will detach without setting console socket"
    assert refused in oci.fails("create", "--bundle", path, "web")
    assert refused in oci.fails("run", "--detach", "--bundle", path, "web")
    bundle.config["process"]["terminal"] = False
    refused = "cannot use console socket if the command will not detach or allocate tty"
    with Receiver(tmp_path) as receiver:
        assert refused in oci.fails("create", "--bundle", bundle.write(), "--console-socket", receiver.path, "web")
        oci.running()
        assert refused in oci.fails("exec", "--console-socket", receiver.path, "web", "true", code=255)


def test_a_pidfd_for_who_wants_one(oci, bundle, tmp_path):
    bundle.run("sleep", "1000")
    with Receiver(tmp_path) as receiver:
        oci.create("web", "--pidfd-socket", receiver.path)
        _, pidfd = receiver.receive()
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        assert f"Pid:\t{oci.state()['pid']}\n" in file.read()
    os.close(pidfd)


def test_a_pidfd_of_another_process(oci, tmp_path):
    oci.running()
    pid_file = tmp_path / "pid"
    with Receiver(tmp_path) as receiver:
        words = ("--detach", "--pid-file", pid_file, "--pidfd-socket", receiver.path)
        oci.call("exec", *words, "web", "sleep", "1000")
        _, pidfd = receiver.receive()
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        assert f"Pid:\t{pid_file.read_text()}\n" in file.read()
    os.close(pidfd)
    before = oci.call("ps", "--format", "json", "web").out
    oci.fails("exec", "--detach", "--pidfd-socket", tmp_path / "nobody", "web", "sleep", "1000", code=255)
    assert oci.call("ps", "--format", "json", "web").out == before


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_on_the_terminal_of_its_caller(oci, bundle, verb):
    script = "tty; read line; echo got $line; exit 3"
    master, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    if verb == "exec":
        oci.running()
        words = ["exec", "-t", "web", "sh", "-c", script]
    else:
        bundle.config["process"]["terminal"] = True
        bundle.shell(script)
        words = ["run", "--bundle", bundle.write(), "web"]
    command = ["setsid", "--ctty", *oci.words, *map(str, words)]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    seen = b""
    while b"pts/0" not in seen:
        seen += os.read(master, 4096)
    os.write(master, b"word\r")
    while b"got word" not in seen:
        seen += os.read(master, 4096)
    assert process.wait(PATIENCE) == 3
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)
    os.close(master)
