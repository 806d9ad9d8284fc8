"""Layouts, archives and directories whose writer is killed, or whose system calls fail, at any of them."""

from __future__ import annotations

import os
import random

import pytest

from pycgroups.images import archives, directory, layouts
from pycgroups.images.copying import copy
from tests import tracing
from tests.images import Image, content, location, tar
from tests.tracing import REFUSED, WORKED

TRANSPORTS = {"oci": layouts, "oci-archive": archives, "docker-archive": archives, "dir": directory}
NAME = "docker.io/library/debian:13"
OLD, NEW = Image(tar(("old", b"1")), tar(("both", b""))), Image(tar(("new", b"2")), tar(("both", b"")))
CALLS = "openat,mkdir,mkdirat,flock,write,fsync,rename,renameat,unlinkat,rmdir,pread64,getdents64"
REMOVING = ("unlinkat", "rmdir", "getdents64")
ERRORS = ("ENOSPC", "EMFILE", "EPERM", "EIO")
pytestmark = [
    pytest.mark.requires("strace"),
    pytest.mark.slow_in_vm("hundreds of processes, whose system calls are the same everywhere"),
]
everyday = pytest.mark.parametrize(
    "most", [pytest.param(25, id="some"), pytest.param(10**6, marks=pytest.mark.long, id="all")]
)


def write(image, transport, path):
    name = None if transport == "dir" else NAME
    return copy(image, TRANSPORTS[transport].destination(location(transport, path, name)), at_once=1)


def read(transport, path):
    source = TRANSPORTS[transport].source(location(transport, path))
    try:
        return content(source)[0]
    finally:
        source.close()


def outcome(transport, path, log, *options):
    """Write the new image in a process of its own, under strace; how that ended."""
    return tracing.outcome(lambda: write(NEW, transport, path), log, f"--trace={CALLS}", *options)


def leftovers(path):
    return [name for name in os.listdir(path) if name.startswith(".pycgroups-")]


def place(base, transport):
    """A place with the old image in it: the path, and the directory in which it is written."""
    base.mkdir()
    path = base / "place"
    write(OLD, transport, path)
    return path, path if path.is_dir() else base


def cases(scratch, transport, most):
    """The calls that a whole run makes, each by its name and number."""
    path, _ = place(scratch / "whole", transport)
    assert outcome(transport, path, scratch / "log") == WORKED
    counts = tracing.calls(scratch / "log")
    assert {"openat", "write", "fsync", "rename"} <= {name.replace("renameat", "rename") for name in counts}
    found = [(call, number) for call, count in counts.items() for number in range(1, count + 1)]
    return sorted(random.Random(os.getpid()).sample(found, min(most, len(found))))


@everyday
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_writer_is_killed(scratch, transport, most):
    for call, number in cases(scratch, transport, most):
        facts = f"{call} {number}"
        path, written = place(scratch / facts.replace(" ", "-"), transport)
        outcome(transport, path, scratch / "log", f"--inject={call}:signal=SIGKILL:when={number}")
        assert read(transport, path) in {OLD.config, NEW.config}, facts
        write(NEW, transport, path)
        assert read(transport, path) == NEW.config, facts
        assert leftovers(written) == [], facts


@everyday
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_system_call_fails(scratch, transport, most):
    for call, number in cases(scratch, transport, most):
        error = random.Random(number).choice(ERRORS)
        facts = f"{call} {number} {error}"
        path, written = place(scratch / facts.replace(" ", "-"), transport)
        ended = outcome(transport, path, scratch / "log", f"--inject={call}:error={error}:when={number}")
        assert ended in {WORKED, REFUSED}, (facts, tracing.injected(scratch / "log"))
        assert read(transport, path) in {OLD.config, NEW.config}, facts
        assert ended == REFUSED or read(transport, path) == NEW.config, facts
        assert call in REMOVING or leftovers(written) == [], facts
        write(NEW, transport, path)
        assert leftovers(written) == [], facts
