"""What a process keeps of the containers that it has started."""

from __future__ import annotations

import os
import threading

import pytest

from pycgroups._native import spawning
from pycgroups.containers import ending


def test_two_threads_do_not_reap_the_same(monkeypatch):
    """The second would close a descriptor that is somebody else's by then."""
    (ended, writer), (running, other) = os.pipe(), os.pipe()
    os.close(writer)
    reaped, threads = [], []

    def reap(fd):
        reaped.append(fd)
        threads.append(threading.Thread(target=ending.reap))
        threads[-1].start()

    monkeypatch.setattr(ending, "_children", {ended, running})
    monkeypatch.setattr(spawning, "reap", reap)
    ending.reap()
    for thread in threads:
        thread.join()
    assert reaped == [ended]
    assert ending._children == {running}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ended)
    for fd in (running, other):
        os.close(fd)


def test_a_signal_handler_does_not_wait_for_whom_it_interrupts(monkeypatch):
    ended, writer = os.pipe()
    os.close(writer)
    reaped = []

    def reap(fd):
        reaped.append(fd)
        ending.reap()

    monkeypatch.setattr(ending, "_children", {ended})
    monkeypatch.setattr(spawning, "reap", reap)
    reaping = threading.Thread(target=ending.reap, daemon=True)  # it is left behind if it waits
    reaping.start()
    reaping.join(10)
    assert not reaping.is_alive()
    assert (reaped, ending._children) == ([ended], set())
