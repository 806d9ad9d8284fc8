"""How the C was compiled, as far as the result shows it."""

from __future__ import annotations

import os
import subprocess

import pytest

from pycgroups._native import _shim, spawning

pytestmark = [
    pytest.mark.requires("gcc"),  # which brings readelf
    pytest.mark.skipif(os.environ.get("PYCGROUPS_TEST_WORLD") == "asan", reason="the sanitizers want other flags"),
]


def readelf(path, *options):
    found = subprocess.run(["readelf", "--wide", *options, path], capture_output=True, text=True, check=True)
    return found.stdout


def stack(path):
    """The access that the program headers ask for the stack."""
    line = next(line for line in readelf(path, "--program-headers").splitlines() if "GNU_STACK" in line)
    return line.split()[6]


def test_the_extension():
    assert stack(_shim.__file__) == "RW"
    assert "GNU_RELRO" in readelf(_shim.__file__, "--program-headers")
    assert "BIND_NOW" in readelf(_shim.__file__, "--dynamic")
    assert "__stack_chk_fail" in readelf(_shim.__file__, "--dyn-syms")


def test_the_helper():
    fd = spawning.helper()
    try:
        headers = readelf(f"/proc/{os.getpid()}/fd/{fd}", "--program-headers")
        assert stack(f"/proc/{os.getpid()}/fd/{fd}") == "RW"
    finally:
        os.close(fd)
    segments = [line.split()[6:-1] for line in headers.splitlines() if line.split()[:1] == ["LOAD"]]
    assert all(not {"W", "E"} <= {*"".join(access)} for access in segments)
    assert "DYNAMIC" not in headers  # nothing is loaded into it
