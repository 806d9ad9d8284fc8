"""Wait for what happens in a group, without polling.

    kernel   inotify on the files of the sources (v2), eventfd (v1)
             inotify on the directory above: the group is removed
                  |
    epoll    the one descriptor of a watch: for select, poll, asyncio
                  |
    look     each source compares what it reads with what it read before

A wake-up is only a hint: what counts is what the files say. inotify and not poll(2), though kernfs knows both: a
removed cgroup wakes nobody who polls, and a pressure trigger forgets its event when anything, such as an epoll
around another, asks.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn, Self

from pycgroups._native import calls
from pycgroups.cgroups.events import KINDS, LEVELS, Event, PressureTrigger
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1.events import pids_are_silent
from pycgroups.clock import seconds_until
from pycgroups.errors import CgroupError, Unsupported, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pycgroups.cgroups.events import Source
    from pycgroups.cgroups.manager import Manager

_CONTROLLERS = {"oom": "memory", "oom_kill": "memory", "high": "memory", "pids": "pids"}
_MANY = 1 << 16  # bytes of inotify events at once


class Watch:
    """What happens in a group, from the moment this is made; `Cgroup.watch` makes it.

    It is an iterator and an asynchronous iterator of `Event`, which ends when the group is removed or the watch is
    closed. It has a `fileno()` for select, poll or an event loop: when that is readable, `read(0)` gives the events.
    Close it, or use it as a context manager; an iteration that ends closes it too.

    Each watch is an inotify instance, of which a user has 128 (fs.inotify.max_user_instances).

    Attributes:
        kinds: what it tells of.
        gone: whether the group was removed.
    """

    def __init__(
        self, managers: Sequence[Manager], kinds: Sequence[str], pressure: Sequence[PressureTrigger | str]
    ) -> None:
        """Not for users: `Cgroup.watch` makes it."""
        self.gone = False
        self._closed = False
        self._waiting = 0  # threads
        self._lock = threading.RLock()  # a signal handler may close what it interrupted
        self._pending: deque[Event] = deque()
        self._wake: Callable[[], object] | None = None
        with contextlib.ExitStack() as stack:
            self._sources, self._directories = _open(managers, kinds, pressure, stack)
            self._inotify = _checked(calls.inotify_open(), "inotify", None)
            stack.callback(os.close, self._inotify)
            self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            stack.callback(os.close, self._stop)
            self._epoll = stack.enter_context(select.epoll())
            self._listen()
            self._stack = stack.pop_all()
        self.kinds = frozenset[str]().union(*(source.kinds for source in self._sources))

    def read(self, timeout: float | None = None) -> tuple[Event, ...]:
        """Wait for events.

        Args:
            timeout: seconds; None waits for ever, 0 only looks.

        Returns:
            One event or more; none when the time is over, the group is removed or the watch is closed.

        Raises:
            CgroupError: a controller was taken away from the group.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                self._look()
                if self._pending or self.gone or self._closed:
                    events = tuple(self._pending)
                    self._pending.clear()
                    return events
                left = seconds_until(deadline)
                if left == 0:
                    return ()
                self._waiting += 1
            try:
                self._epoll.poll(left)
            finally:
                with self._lock:
                    self._waiting -= 1
                    self._close_if_last()

    def in_thread(self, callback: Callable[[Event], object]) -> threading.Thread:
        """Call a function for each event, one at a time, in a thread of its own.

        The thread is a daemon; it ends when the group is removed, the watch is closed, or the callback raises, which
        `threading.excepthook` shows.

        Returns:
            The running thread.
        """

        def work() -> None:
            for event in self:
                callback(event)

        thread = threading.Thread(target=work, name="pycgroups-watch", daemon=True)
        thread.start()
        return thread

    def fileno(self) -> int:
        """Descriptor that is readable when there may be something to `read`.

        Raises:
            ValueError: the watch is closed.
        """
        return self._epoll.fileno()

    def close(self) -> None:
        """Stop watching; who waits for an event, in another thread or task, is told that there are no more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._stop, 1)
            if self._wake:
                self._wake()
            self._close_if_last()

    def _close_if_last(self) -> None:
        """Close the descriptors when nobody waits for them: what is closed wakes nobody."""
        if self._closed and not self._waiting:
            self._stack.close()

    def __repr__(self) -> str:
        """Tell what it tells of."""
        state = ", gone" if self.gone else ""
        return f"<Watch of {', '.join(sorted(self.kinds))}{state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: descriptors are one object's, which closes them."""
        raise TypeError(f"cannot pickle or copy {self!r}, which holds descriptors")

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close what was forgotten."""
        if hasattr(self, "_stack"):
            self.close()

    def __iter__(self) -> Self:
        """Iterate over events; see `read` to wait for a limited time."""
        return self

    def __next__(self) -> Event:
        """Wait for the next event."""
        events = self.read()
        if not events:
            self.close()
            raise StopIteration
        self._pending.extendleft(reversed(events[1:]))
        return events[0]

    def __aiter__(self) -> Self:
        """Iterate over events in asyncio."""
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event; the event loop goes on meanwhile."""
        while not (events := self.read(0)):
            if self.gone or self._closed:
                self.close()
                raise StopAsyncIteration
            await self._readable()
        self._pending.extendleft(reversed(events[1:]))
        return events[0]

    async def _readable(self) -> None:
        import asyncio  # slow

        if self._wake:
            raise RuntimeError("another task waits for this watch")  # as asyncio's own streams say
        loop, ready, fd = asyncio.get_running_loop(), asyncio.Event(), self.fileno()
        self._wake = lambda: loop.call_soon_threadsafe(ready.set)
        loop.add_reader(fd, ready.set)
        try:
            await ready.wait()
        finally:
            self._wake = None
            loop.remove_reader(fd)

    def _listen(self) -> None:
        """Have the kernel tell of changes; what changed before is found by the first look."""
        for directory in self._directories:
            above = os.path.dirname(directory.path)
            _checked(calls.inotify_watch(self._inotify, os.fsencode(above), calls.lib.IN_DELETE), "inotify", above)
        for source in self._sources:
            if source.path:
                path = os.fsencode(source.path)
                _checked(calls.inotify_watch(self._inotify, path, calls.lib.IN_MODIFY), "inotify", source.path)
            if source.fd is not None:
                self._epoll.register(source.fd, select.EPOLLIN)
        self._epoll.register(self._inotify, select.EPOLLIN)
        self._epoll.register(self._stop, select.EPOLLIN)

    def _look(self) -> None:
        """Ask every source; the wake-ups are taken first, so that what comes meanwhile wakes again."""
        if self.gone or self._closed:
            return
        with contextlib.suppress(BlockingIOError):
            while os.read(self._inotify, _MANY):
                pass
        gone = not all(map(_exists, self._directories))
        now = time.time()
        for source in self._sources:
            try:
                changes = source.look()
            except CgroupError as error:
                if all(map(_exists, self._directories)):
                    raise _taken_away(source, error) from None
                gone, changes = True, {}
            self._pending.extend(Event(kind=kind, count=count, time=now) for kind, count in changes.items())
        self.gone = gone


def _open(
    managers: Sequence[Manager],
    kinds: Sequence[str],
    pressure: Sequence[PressureTrigger | str],
    stack: contextlib.ExitStack,
) -> tuple[list[Source], list[Directory]]:
    """Open the sources of what is asked; with nothing asked, of all kinds that there are here.

    Raises:
        InvalidConfig: no such kind or level.
        Unsupported: this group has nothing that tells of a kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise invalid("kinds", kind, ", ".join(KINDS))
    wanted = frozenset(kinds if kinds or pressure else KINDS)
    sources: list[Source] = []
    directories: list[Directory] = []
    left = dict.fromkeys(pressure)
    for manager in managers:
        path = manager.directory.path
        try:
            directory = stack.enter_context(Directory(path))
        except OSError as error:
            raise CgroupError(operation="open", path=path, errno=error.errno) from None
        opened: list[Source] = []
        for source in manager.sources(directory, wanted):
            stack.callback(source.close)
            opened.append(source)
            wanted -= source.kinds
        for trigger in [*left]:
            if waiting := manager.pressure_source(directory, trigger):
                stack.callback(waiting.close)
                opened.append(waiting)
                del left[trigger]
        sources += opened
        directories += [directory] if opened else []
    if wanted and kinds:
        raise _untold(min(wanted, key=KINDS.index), managers)
    for trigger in left:
        raise _no_pressure(trigger)
    return sources, directories


def check_pressure(wanted: object) -> tuple[PressureTrigger | str, ...]:
    """Accept one trigger or level, a list of them, or None.

    Raises:
        InvalidConfig: anything else.
    """
    given: list[Any] = [] if wanted is None else [*wanted] if isinstance(wanted, list | tuple) else [wanted]
    for each in given:
        if not isinstance(each, PressureTrigger) and each not in LEVELS:
            raise invalid("pressure", each, f"a PressureTrigger, or on v1 one of {', '.join(LEVELS)}")
    return tuple(given)


def _exists(directory: Directory) -> bool:
    try:
        directory.check()
    except CgroupError:
        return False
    return True


def _checked(answer: int, operation: str, path: str | None) -> int:
    if answer < 0:
        hint = "ENOSPC and EMFILE: raise fs.inotify.max_user_watches or fs.inotify.max_user_instances (sysctl)"
        raise CgroupError(operation=operation, path=path, errno=-answer, hint=hint)
    return answer


def _taken_away(source: Source, error: CgroupError) -> CgroupError:
    controller = os.path.basename(source.path or "").partition(".")[0]
    return CgroupError(
        "the controller was taken away from the group",
        operation="watch",
        path=source.path,
        errno=error.errno,
        hint=f"hand it down again: echo +{controller} > the cgroup.subtree_control above, and watch anew",
    )


def _untold(kind: str, managers: Sequence[Manager]) -> Unsupported:
    """Say why nothing tells of a kind here."""
    unified = any(manager.clone_fd is not None for manager in managers)
    controller = _CONTROLLERS.get(kind)
    if controller is None:
        reason, hint = "cgroup v1 does not tell", "mount cgroup v2 beside it: mount -t cgroup2 cgroup2 DIRECTORY"
    elif not any(controller in manager.controllers for manager in managers):
        reason, hint = f"the group was made without {controller}", "give it some limit of this kind when it is made"
    elif unified and any(controller in manager.controllers for manager in managers if manager.clone_fd is not None):
        reason, hint = "this kernel does not count it", "upgrade the kernel"
    elif kind == "pids" and pids_are_silent():
        reason, hint = "on cgroup v1 the kernel counts refused forks, but tells nobody since 6.11", "use cgroup v2"
    else:
        reason, hint = "cgroup v1 does not tell", "use cgroup v2"
    return Unsupported(reason, operation=f"watch {kind!r}", hint=hint)


def _no_pressure(trigger: PressureTrigger | str) -> Unsupported:
    if isinstance(trigger, str):
        reason, hint = "levels of memory pressure are cgroup v1's", "use a PressureTrigger"
    else:
        reason, hint = "pressure is measured on cgroup v2 only", 'on v1 use pressure="medium", with a limit of memory'
    return Unsupported(reason, operation="watch pressure", hint=hint)
