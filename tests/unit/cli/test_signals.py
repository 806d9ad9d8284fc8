"""Signals to a command."""

from __future__ import annotations

import _thread
import os
import signal

import pytest

from pycgroups.cli import signals


def test_an_answer_to_an_earlier_nudge_is_none_to_this_one(monkeypatch):
    sent: list[int] = []
    nudged = _thread.allocate_lock()  # free: somebody has said that he was there

    def pthread_kill(_thread, number):
        sent.append(number)
        if len(sent) == 2:
            nudged.release()

    reader, writer = os.pipe()
    os.write(writer, bytes([signal.SIGTERM]))
    os.close(writer)
    monkeypatch.setattr(signals.signal, "pthread_kill", pthread_kill)
    signals._nudge(reader, 0, nudged)
    os.close(reader)
    assert sent == [signals._NUDGE, signals._NUDGE]


def test_a_second_sigterm_does_not_interrupt_what_there_is_to_do_after_the_first():
    before = signal.getsignal(signal.SIGTERM)
    with signals.interrupting():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
