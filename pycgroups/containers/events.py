"""What has happened in a store: a file of lines that everybody appends to, and nobody locks.

A line of it::

    ROOT/containers/events  {"time":NANOSECONDS,"type":"volume","action":"create","id":"..","name":"..","attributes":{}}

A line is one write(2) at the end of the file, so that those of several processes never mix. One that was cut off, when
its writer was killed or the disk was full, is closed by the next writer, and left out by readers. When the file is
large, its older half is made a hole (fallocate(2)): it is never replaced, and whoever has it open stays right.

What there is, with the attributes:

=================  ==================================================================================
``create``         a container or a volume was made
``start``          a container was started, by somebody or by its restart policy
``exec``           another program was started in it: ``command``, and ``pid`` as its starter sees it
``exec_die``       that has ended: likewise, and ``exit_code``. Its starter tells so; nobody does if that
                   was killed, or has left the program to itself and is gone
``oom``            the kernel has killed a process of it, since its memory was at the limit
``health_status``  its healthcheck says something else: ``health``. The tests themselves are no ``exec``
``pause``          its user has frozen it
``unpause``        and let it go on
``update``         options were changed: each, as it is now, or ``none``
``rename``         it was given another name: ``former``
``die``            it has ended: ``exit_code``, ``reason``, ``oom``; ``error`` if a start by its policy failed
``remove``         a container or a volume was removed
=================  ==================================================================================

A stop is told by ``die``, a restart by ``die`` and ``start``. An exit code is negative for a signal.
"""

from __future__ import annotations

import os
import select
import time

from pycgroups._native import calls, vfs
from pycgroups.clock import seconds_until
from pycgroups.errors import InvalidConfig, invalid
from pycgroups.images.files import io_errors
from pycgroups.images.store import default_root
from pycgroups.oci.json_text import dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

LONGEST = 4096
"""Bytes of a line."""
LARGEST = 8 * 2**20
"""Bytes on the disk, from which on the older half is given up."""
KINDS = ("container", "volume")
ACTIONS = (
    *("create", "start", "exec", "exec_die", "oom", "health_status", "pause", "unpause", "update", "rename", "die"),
    "remove",
)
ATTRIBUTES = ("command", "pid", "exit_code", "health", "former", "reason", "oom", "error")
"""Of all but ``update``, whose are the options that were changed."""
_FIELDS = ("type", "action", "id", "name")
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 2**16
_BLOCK = 512  # stat(2), st_blocks
_PATIENCE = 1.0
"""Seconds after which a follower looks by itself: not every file system tells of what other machines write."""


class Event(NamedTuple):
    """Something that has happened.

    Attributes:
        time: when, in seconds since 1970.
        type: to what kind of thing: "volume", "container".
        action: what: "create", "start", "die", "remove", and others: see this module.
        id: of the thing.
        name: of the thing, or empty.
        attributes: what else there is to know, text by name.
    """

    time: float
    type: str
    action: str
    id: str
    name: str
    attributes: dict[str, str]


class Events:
    """The events of one store. Any number of processes may write and read at once."""

    def __init__(self, root: str | None = None) -> None:
        """Take the store's directory; by default that of the default store."""
        self._root = root

    @property
    def path(self) -> str:
        """The file, whether it is there or not."""
        return f"{self._root or default_root()}/containers/events"

    def append(
        self, kind: str, action: str, *, id_: str, name: str = "", attributes: Mapping[str, str] | None = None
    ) -> None:
        """Tell of something that happens now; the words are those of `Event`, where ``kind`` is its type.

        It is dropped where it cannot be written; see `line` and `write`.
        """
        self.write(line(kind, action, id_=id_, name=name, attributes=attributes))

    def write(self, lines: bytes) -> None:
        """Write what `line` has made, one or several, at once.

        Where it cannot be written, it is dropped: what has happened does not fail for want of an audience.
        """
        try:
            fd = self._open()
        except OSError:
            return
        try:
            there = os.fstat(fd)
            if (
                there.st_size and os.pread(fd, 1, there.st_size - 1) != b"\n"
            ):  # a writer was killed, or the disk was full
                lines = b"\n" + lines
            os.write(fd, lines)
            if there.st_blocks * _BLOCK > LARGEST:
                _forget(fd)
        except OSError:
            return
        finally:
            os.close(fd)

    def _open(self) -> int:
        """Open the file for writing, and make it when it is not there."""
        path = self.path
        try:
            return os.open(path, _APPEND, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(os.path.dirname(path)), mode=0o700, exist_ok=True)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            return os.open(path, _APPEND, 0o600)

    def read(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        follow: bool = False,
        filters: Mapping[str, str | Collection[str]] | None = None,
        is_over: Callable[[], bool] | None = None,
    ) -> Iterator[Event]:
        """Yield the events that there are, the oldest first.

        Args:
            since: those from this time on, in seconds since 1970; by default all that are kept, but with `follow`
                those that come.
            until: those up to this time; with `follow` it ends then.
            follow: go on with those that come. Nothing is polled: inotify(7).
            filters: what each must have: a text, or one of several, for ``"type"``, ``"action"``, ``"id"``, ``"name"``
                or the name of an attribute.
            is_over: tells whether nothing is to come any more; with `follow` it ends then. It is asked when the reader
                is about to wait, so that what comes after it has said no is not missed.

        Raises:
            InvalidConfig: a time is no number.
            Error: the file cannot be read.
        """
        for key, value in (("since", since), ("until", until)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise invalid(key, value, "seconds since 1970, as time.time() has them")
        wanted = {key: {value} if isinstance(value, str) else {*value} for key, value in (filters or {}).items()}
        return self._read(since, until, wanted, is_over or (lambda: False), follow=follow)

    def _read(
        self,
        since: float | None,
        until: float | None,
        wanted: dict[str, set[str]],
        is_over: Callable[[], bool],
        *,
        follow: bool,
    ) -> Iterator[Event]:
        with io_errors("read events", self.path):
            try:
                fd = os.open(self.path, _READ)  # the store may be read-only
            except FileNotFoundError:
                if not follow:
                    return
                fd = self._open()
            try:
                end = None if until is None else time.monotonic() + until - time.time()
                start = os.fstat(fd).st_size if follow and since is None else 0
                for event in _followed(self.path, fd, start, end, is_over) if follow else _there(_Reader(fd, start)):
                    in_time = (since is None or event.time >= since) and (until is None or event.time <= until)
                    if in_time and _fits(event, wanted):
                        yield event
            finally:
                os.close(fd)


# -- writing ----------------------------------------------------------------------------------------------------------


def line(kind: str, action: str, *, id_: str, name: str = "", attributes: Mapping[str, str] | None = None) -> bytes:
    """Make the line of something that happens now; the words are those of `Event`, where ``kind`` is its type.

    Attributes that make it longer than `LONGEST` are left out, the longest first.
    """
    facts = {"time": time.time_ns(), "type": kind, "action": action, "id": id_, "name": name}
    kept = dict(attributes or {})
    while True:
        made = dumps({**facts, "attributes": kept}).encode() + b"\n"
        if len(made) < LONGEST or not kept:  # one byte is for the end of a line that was cut off
            return made
        del kept[max(kept, key=lambda key: len(key) + len(kept[key]))]


def _forget(fd: int) -> None:
    """Make a hole of the older half, up to the end of a line. A file system that has no holes keeps it."""
    middle = os.fstat(fd).st_size - LARGEST // 2
    if middle > 0:
        vfs.punch_hole(fd, 0, middle + os.pread(fd, LONGEST, middle).find(b"\n") + 1)


# -- reading ----------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads lines from an offset on, and goes on where it was."""

    def __init__(self, fd: int, at: int) -> None:
        self._fd = fd
        self._at = at
        self._rest = b""

    def events(self) -> list[Event] | None:
        """Read some; None at the end of what there is."""
        try:
            at = os.lseek(self._fd, self._at, os.SEEK_DATA)
        except OSError:  # ENXIO: there is none
            return None
        if at != self._at:  # over a hole that has come meanwhile
            self._at, self._rest = at, b""
        piece = os.pread(self._fd, _PIECE, self._at)
        if not piece:
            return None
        self._at += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [event for event in map(_event, lines) if event is not None]


def _there(reader: _Reader) -> Iterator[Event]:
    while (events := reader.events()) is not None:
        yield from events


def _followed(path: str, fd: int, start: int, end: float | None, is_over: Callable[[], bool]) -> Iterator[Event]:
    """Yield what there is and what comes, until a time of the monotonic clock, or until it is over."""
    reader, poll, over = _Reader(fd, start), select.poll(), False
    inotify = calls.inotify_open()
    try:
        if inotify >= 0 and calls.inotify_watch(inotify, os.fsencode(path), calls.lib.IN_MODIFY) >= 0:
            poll.register(inotify, select.POLLIN)
        while True:
            yield from _there(reader)
            left = seconds_until(end)
            if left == 0 or over:
                return
            over = is_over()  # what has ended it may tell so in a moment
            if poll.poll(1000 * (_PATIENCE if left is None else min(left, _PATIENCE))):
                os.read(inotify, _PIECE)
    finally:
        if inotify >= 0:
            os.close(inotify)


def _event(line: bytes) -> Event | None:
    """Read a line; None when it is none: it was cut off, or is the end of a hole."""
    line = line.lstrip(b"\0")
    if not line:
        return None
    try:
        facts = parse(line, "event")
        kind, action, id_, name = words = [facts[field] for field in _FIELDS]
        attributes = facts["attributes"]
        moment = facts["time"] / 1e9
    except (InvalidConfig, LookupError, TypeError):
        return None
    if not isinstance(attributes, dict) or not all(isinstance(one, str) for one in (*words, *attributes.values())):
        return None
    return Event(moment, kind, action, id_, name, attributes)


def _fits(event: Event, wanted: dict[str, set[str]]) -> bool:
    facts = event.attributes | dict(zip(_FIELDS, event[1:], strict=False))
    return all(facts.get(key) in values for key, values in wanted.items())
