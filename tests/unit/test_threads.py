"""A thread whose start is interrupted: it has begun, or it never will."""

from __future__ import annotations

import threading

import pytest

from pycgroups.threads import Thread


@pytest.fixture
def interrupted(monkeypatch):
    """Have the start of threads raise, as a signal handler does, before or after there is the thread."""

    def interrupt(*, begins):
        start = threading.Thread.start

        def stop(self):
            if begins:
                start(self)
            raise KeyboardInterrupt

        monkeypatch.setattr(threading.Thread, "start", stop)

    return interrupt


def test_it_is_waited_for():
    done = []
    thread = Thread(lambda: done.append(threading.current_thread().name), "one")
    thread.start()
    while not done:
        pass
    assert thread.join()
    assert not thread.cancel()
    assert thread.join(0)
    assert done == ["one"]


def test_it_goes_on():
    begun, over = threading.Event(), threading.Event()

    def work():
        begun.set()
        over.wait()

    thread = Thread(work, "one")
    thread.start()
    begun.wait()
    assert not thread.join(0.01)
    over.set()
    assert thread.join()


def test_one_that_was_never_started():
    done = []
    thread = Thread(lambda: done.append(1), "one")
    assert thread.cancel()
    assert thread.join()
    thread.start()  # comes late
    thread._thread.join()
    assert done == []


def test_interrupted_before_it_is_there(interrupted):
    interrupted(begins=False)
    thread = Thread(lambda: None, "one")
    with pytest.raises(KeyboardInterrupt):
        thread.start()
    assert thread.join()


def test_interrupted_when_it_has_begun(interrupted):
    begun, over = threading.Event(), threading.Event()

    def work():
        begun.set()
        over.wait()

    interrupted(begins=True)
    thread = Thread(work, "one")
    with pytest.raises(KeyboardInterrupt):
        thread.start()
    begun.wait()
    assert not thread.cancel()
    over.set()
    assert thread.join()
