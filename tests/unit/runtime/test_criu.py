"""What is told to criu, and what it answers, with a program in its place."""

from __future__ import annotations

import os
import sys

import pytest

from pycgroups.errors import LaunchError
from pycgroups.runtime import checkpoint, criu
from pycgroups.runtime.protobuf import encode

# It says what it is given, each time when it is asked to go on, and then that it is done.
CRIU = """
import socket, sys
*answers, verb, fd = sys.argv[1:]
with socket.socket(fileno=int(fd)) as peer:
    for answer in answers:
        if not peer.recv(65536):
            sys.exit(1)
        peer.send(bytes.fromhex(answer))
"""
DONE = encode((1, 2), (2, 1))
PTS = encode((1, 6), (5, encode((1, b"orphan-pts-master"))))


def met(pid):
    return encode((1, 6), (5, encode((1, b"setup-namespaces"), (2, pid))))


def restore(directory, *answers, meet=None):
    command = [sys.executable, "-S", "-c", CRIU, *(answer.hex() for answer in answers)]
    return criu.run("restore", command, directory, meet=meet)


def test_it_is_answered_until_it_is_done(tmp_path):
    pids: list[int] = []
    assert restore(tmp_path, met(7), PTS, DONE, meet=pids.append) == (0, -1)
    assert pids == [7]
    assert restore(tmp_path, met(7), PTS) == (0, -1)  # it ends without a word


@pytest.mark.parametrize(
    "answer",
    [
        b"\x08",
        b"\x0d\x01\x02\x03\x04",
        encode((2, 1)),
        encode((1, 6)),
        encode((1, 6), (5, 1)),
        encode((1, 6), (5, b"\x08")),
        encode((1, 6), (5, encode((2, 7)))),
        encode((1, 6), (5, encode((1, b"setup-namespaces")))),
        encode((1, 6), (5, encode((1, b"setup-namespaces"), (2, b"7")))),
        met(0),
        met(2**64 - 1),
    ],
    ids=bytes.hex,
)
def test_what_is_none_of_its_messages_is_an_error(tmp_path, answer):
    before = os.listdir("/proc/self/fd")
    pids: list[int] = []
    with pytest.raises(LaunchError, match=r"none of criu's messages") as caught:
        restore(tmp_path, PTS, answer, DONE, meet=pids.append)
    assert (caught.value.step, pids) == ("restore", [])
    assert os.listdir("/proc/self/fd") == before


def test_errors_of_our_own_are_left_as_they_are(tmp_path):
    def meet(pid):
        raise ValueError(pid)

    with pytest.raises(ValueError, match="7"):
        restore(tmp_path, met(7), DONE, meet=meet)


def test_the_last_of_its_errors_are_told(tmp_path):
    log = tmp_path / "restore.log"
    log.write_text("(00.1) Error (a.c:1): one\n(00.2) fine\n(00.3) Error (a.c:2): two\n")
    assert checkpoint._errors(str(log)) == "one; two"
    log.write_text("".join(f"(00.1) Error (a.c:{n}): {'much ' * 20}{n}\n" for n in range(30)))
    told = checkpoint._errors(str(log))
    assert (len(told), told[-7:]) == (1000, "much 29")
    assert checkpoint._errors(str(tmp_path / "none")) == ""
