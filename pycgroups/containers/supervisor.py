"""A thread that answers the system calls of one container; seccomp_unotify(2).

    run                               supervisor                      the container
    ---                               ----------                      -------------
                                                          <-------    the filter's listener; the helper waits
    start             ----------->    the thread
    go on             --------------------------------------------->  execs the program: its calls are the helper's,
                                      go on               <-------    and all go on
                                      decide              <-------    the program's calls
                                      answer              ------->
                                      the end             <-------    is dead
    finish            <-----------

The thread has descriptors of its own and closes them. It ends with the container's first process. An exception of the
handler kills that; a handler that does not come back has no hold on anybody: the container is killed by its timeout,
and the thread is left, to end when the handler does.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from pycgroups.runtime.signals import send_signal
from pycgroups.security import notification
from pycgroups.security.notification import CONTINUE
from pycgroups.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from pycgroups.runtime.launch import Running
    from pycgroups.security.notification import Answer, Call

_SIGKILL = 9


class Supervisor:
    """Answers system calls in a thread.

    Attributes:
        error: what the handler raised; the container was killed for it.
    """

    def __init__(self, decide: Callable[[Call], Answer], note: Callable[[Call], None] | None = None) -> None:
        """Start nothing yet.

        Args:
            decide: the answer to a call of the program's.
            note: told of the calls between the filter and the program, which all go on.
        """
        self.error: BaseException | None = None
        self._decide = decide
        self._note = note
        self._thread: Thread | None = None
        self._lock = threading.Lock()
        self._deciding = self._stopped = False
        self._helper: tuple[int, int] | None = None

    def start(self, listener: int, running: Running) -> None:
        """Take over the listener, and answer from now on.

        Args:
            listener: of the filter.
            running: the container, whose program has not started yet.
        """
        pidfd = -1
        try:
            self._helper = _executable(running.pid)
            pidfd = os.dup(running.pidfd)
            self._thread = Thread(lambda: self._serve(listener, pidfd), f"pycgroups-seccomp-{running.pid}")
            self._thread.start()
        except BaseException:
            if self._thread is None or self._thread.cancel():
                self._thread = None
                for fd in (listener, pidfd):
                    if fd >= 0:
                        os.close(fd)
            raise

    def finish(self, deadline: float | None) -> None:
        """Wait for the thread, after the container's end; for a handler only until then (`time.monotonic`)."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._stopped = True
            left = self._deciding
        if not left:
            thread.join()

    # -- the thread -------------------------------------------------------------------------------------------------

    def _serve(self, listener: int, pidfd: int) -> None:
        try:
            self._answer_all(listener, pidfd)
        except BaseException as error:  # noqa: BLE001 (whatever it is, `run` raises it)
            self.error = error
            send_signal(pidfd, _SIGKILL)
        finally:
            os.close(listener)
            os.close(pidfd)

    def _answer_all(self, listener: int, pidfd: int) -> None:
        notification.hurry(listener)
        names = notification.names_by_number()
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if pidfd in ready or not ready[listener] & select.POLLIN:  # else a hang-up: nobody has the filter any more
                return
            call = notification.receive(listener, names)
            if call is not None and not self._answer(call):
                return

    def _answer(self, call: Call) -> bool:
        """Answer one call; False when no more are to be."""
        if self._is_helpers(call):
            if self._note is not None:
                self._note(call)
            notification.answer(call, CONTINUE)
            return True
        with self._lock:
            if self._stopped:
                return False
            self._deciding = True
        try:
            decision = self._decide(call)
        except ProcessLookupError:
            if call.waits:
                raise
        else:
            notification.answer(call, decision)
        finally:
            self._deciding = False
        return True

    def _is_helpers(self, call: Call) -> bool:
        """Tell whether the program has not started yet. Once it has, it may execute what it likes: nobody is asked."""
        if self._helper is not None and _executable(call.pid) != self._helper:
            self._helper = None
        return self._helper is not None


def _executable(pid: int) -> tuple[int, int] | None:
    """Device and inode of what a process executes; the helper's are in memory, and no other file's."""
    try:
        found = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return found.st_dev, found.st_ino
