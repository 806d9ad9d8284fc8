"""Reading the log of a container, in any process, whether it runs or not, and while it is rotated.

A log is the files ``log``, ``log.1`` and so on, the newest first, which the monitor writes
(`pycgroups.containers.monitor`). A record is a line of a file: one line of output, or a piece of one. What is no whole
record, such as the last one of a monitor that was killed, is passed over.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.containers import monitor
from pycgroups.containers.changes import Changes
from pycgroups.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    _Traits = tuple[int, int, int, bytes, bytes]

_LOG = "log"
_CHUNK = 1 << 20  # larger than any record
_BLOCK = 1 << 16
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_NUMBERED = re.compile(r"log\.[1-9]\d{0,2}")  # monitor.MOST_FILES
_ROUNDS = 100
_EDGE = 64  # bytes, with the time of the first record of the plain form, and of the last one of JSON
_STREAMS = ("stdout", "stderr")


class Record(NamedTuple):
    r"""What was read from a container at once, a line at most.

    Attributes:
        time: nanoseconds since the epoch.
        stream: ``"stdout"`` or ``"stderr"``; a pty's is the former.
        data: ends with ``b"\n"``, unless the line goes on in the stream's next record, or had no end. All of a stream
            together are what the container wrote; in the form ``"json"`` with U+FFFD for what was not UTF-8.
    """

    time: int
    stream: str
    data: bytes

    @property
    def text(self) -> str:
        """The same as text, with U+FFFD for what is not UTF-8."""
        return self.data.decode(errors="replace")

    @property
    def stamp(self) -> str:
        """The time as in the log: RFC 3339, UTC, with nanoseconds."""
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(self.time // 10**9))}.{self.time % 10**9:09}Z"


class Spot(NamedTuple):
    """A place in a log.

    Attributes:
        inode: of its file; 0 when there is none yet.
        position: in that.
    """

    inode: int = 0
    position: int = 0


def end(directory: int) -> Spot:
    """Tell where a log ends now.

    Args:
        directory: the container's, opened.

    Raises:
        Error: it cannot be opened.
    """
    files = [_File(fd)] if (fd := _open(directory, _LOG)) >= 0 else _open_files(directory)
    try:
        return Spot(files[-1].inode, os.fstat(files[-1].fd).st_size) if files else Spot()
    finally:
        _close(files)


def read(
    directory: int,
    *,
    after: Spot | None = None,
    follow: bool = False,
    since: int | None = None,
    until: int | None = None,
    tail: int | None = None,
    stdout: bool = True,
    stderr: bool = True,
) -> Iterator[Record]:
    """Read a log from its beginning.

    Args:
        directory: the container's, opened; it must stay open.
        after: only what comes behind this place; all that there is, if its file is there no more.
        follow: wait for more, until the container has ended.
        since: what is older is left out; nanoseconds since the epoch.
        until: what is younger is left out, and not waited for.
        tail: the last lines only, so many; no more than those is read.
        stdout: whether its records are wanted.
        stderr: likewise.

    Raises:
        Error: a file of it cannot be opened.
    """
    wanted = frozenset(name for name, wish in zip(_STREAMS, (stdout, stderr), strict=True) if wish)
    for record in _records(directory, wanted, after=after, follow=follow, until=until, tail=tail):
        if until is not None and record.time > until:
            return
        if record.stream in wanted and (since is None or record.time >= since):
            yield record


def parse(line: bytes) -> Record | None:
    """Understand a record without its newline, of either form; None when it is damaged."""
    try:
        return _parse_json(line) if line.startswith(b"{") else _parse_plain(line)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _parse_json(line: bytes) -> Record:
    found = json.loads(line)
    return Record(_nanoseconds(found["time"]), str(found["stream"]), found["log"].encode(errors="surrogatepass"))


def _parse_plain(line: bytes) -> Record:
    stamp, stream, tags, data = line.split(b" ", 3)
    is_part = tags.split(b":", 1)[0] == b"P"
    return Record(_nanoseconds(stamp.decode()), stream.decode(), data if is_part else data + b"\n")


def _nanoseconds(text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    seconds = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
    return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))


# -- files -----------------------------------------------------------------------------------------------------------


class _File:
    """One file of a log.

    Attributes:
        position: behind the last whole line that was read.
        older: the traits of those that were older when it was opened, if it was the newest one.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.position = 0
        self.inode = os.fstat(fd).st_ino
        self.older: tuple[_Traits, ...] = ()

    def traits(self) -> _Traits:
        """Return what tells it from others, once it has been rotated: an inode may be another file's later."""
        facts = os.fstat(self.fd)
        first, last = (os.pread(self.fd, _EDGE, at) for at in (0, max(0, facts.st_size - _EDGE)))
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, first, last

    def lines(self) -> Iterator[bytes]:
        """Read the whole lines that there are now from the position on: one who writes faster than this has no end."""
        size = os.fstat(self.fd).st_size
        if size < self.position:  # somebody cut it off
            self.position = 0
        while self.position < size and (chunk := os.pread(self.fd, _CHUNK, self.position)):
            end = chunk.rfind(b"\n") + 1
            if end == 0 and len(chunk) < _CHUNK:
                return
            for line in chunk[: end - 1].split(b"\n") if end else ():
                self.position += len(line) + 1
                yield line
            if end == 0:  # no record is as long
                self.position += len(chunk)

    def lines_backwards(self) -> Iterator[tuple[bytes, int]]:
        """Read the whole lines from the last one on, each with the position behind it."""
        at, rest = os.fstat(self.fd).st_size, b""
        is_first = True
        while at > 0:
            size = min(_BLOCK, at)
            at -= size
            data = os.pread(self.fd, size, at) + rest
            first, *others = data.split(b"\n")
            end = at + len(data)
            for part in reversed(others):
                if not is_first:
                    yield part, end + 1
                is_first = False
                end -= len(part) + 1
            rest = first if len(first) < _CHUNK else b""
        if not is_first:
            yield rest, len(rest) + 1


class _ShiftedError(Exception):
    """The files were shifted past the one who opens them, faster than that went."""


def _open_files(directory: int, *, last: _File | None = None) -> list[_File]:
    """Open the files of a log, the oldest first: all, or those after one that is open, so no other has its inode.

    After so many rounds it is none who shifts the files: one has two names, or its file system counts no names.
    """
    for turn in range(_ROUNDS + 1):
        files: list[_File] = []
        try:
            is_met = _open_from_newest(directory, files, last, is_shifting=turn < _ROUNDS)
            break
        except _ShiftedError:
            _close(files)
        except BaseException:
            _close(files)
            raise
    if files:
        older = [*(file.traits() for file in files[1:]), *(() if last is None else (last.traits(), *last.older))]
        files[0].older = tuple(older[: monitor.MOST_FILES])
    files.reverse()
    if last is not None and not is_met:
        _close_seen(files, last)
    return files


def _open_from_newest(directory: int, files: list[_File], last: _File | None, *, is_shifting: bool) -> bool:
    """Do so, the newest first, while a rotation may go on; whether the one that is open was met.

    That shifts the names from the oldest to the newest: one is missing meanwhile. A file only gets a higher number, so
    that who goes up finds each one, and perhaps twice. If the first that was opened has come along, too, others may be
    newer than that: if nobody is shifting, it is the end of what can be told apart.
    """
    number, is_met = 0, False
    seen: set[int] = set()
    while True:
        fd = _open(directory, f"{_LOG}.{number}" if number else _LOG)
        if fd < 0 and _highest(directory) <= number:
            break
        number += 1
        if fd < 0:
            continue
        file = _File(fd)
        if last is not None and file.inode == last.inode:
            os.close(fd)
            is_met = True
            break
        if file.inode in seen:
            os.close(fd)
            if file.inode != files[0].inode:
                continue
            if is_shifting:
                raise _ShiftedError
            break
        seen.add(file.inode)
        files.append(file)
    if is_shifting and files and os.fstat(files[0].fd).st_nlink == 0:  # it was shifted out, or removed by somebody
        raise _ShiftedError
    return is_met


def _highest(directory: int) -> int:
    """Return the highest number that a file has; -1 when there is none."""
    names = os.listdir(directory)
    numbers = [int(name[len(_LOG) + 1 :]) for name in names if _NUMBERED.fullmatch(name)]
    return max(numbers, default=0 if _LOG in names else -1)


def _open(directory: int, name: str) -> int:
    try:
        fd = os.open(name, _FLAGS, dir_fd=directory)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise Error(operation="open", path=name, errno=error.errno) from None
    if not stat.S_ISREG(mode := os.fstat(fd).st_mode):
        os.close(fd)
        raise Error(operation="open", path=name, errno=errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO)
    return fd


def _newest(directory: int) -> int:
    try:
        return os.stat(_LOG, dir_fd=directory, follow_symlinks=False).st_ino
    except OSError:
        return -1


def _close(files: list[_File]) -> None:
    while files:
        os.close(files.pop().fd)


def _close_first(files: list[_File], count: int) -> None:
    _close([files.pop(0) for _ in range(count)])


def _add_newer(files: list[_File], directory: int) -> bool:
    """Open what has come after the last of these files; whether there is any."""
    last = files[-1] if files else None
    if last is not None and _newest(directory) == last.inode:
        return False
    found = _open_files(directory, last=last)
    files += found
    return bool(found)


def _close_seen(files: list[_File], last: _File) -> None:
    """Close those that are older than one that is open, and there no more: rotated away, or removed by somebody."""
    older = set(last.older)
    for file in [file for file in files if file.traits() in older]:
        files.remove(file)
        os.close(file.fd)


# -- records ---------------------------------------------------------------------------------------------------------


def _records(
    directory: int, wanted: frozenset[str], *, after: Spot | None, follow: bool, until: int | None, tail: int | None
) -> Iterator[Record]:
    files = _open_files(directory)
    try:
        if after is not None:
            _skip_to(files, after)
        if tail is not None:
            _skip_to_tail(files, tail, wanted)
        yield from _rest(files)
        if follow:
            yield from _follow(files, directory, until)
    finally:
        _close(files)


def _follow(files: list[_File], directory: int, until: int | None) -> Iterator[Record]:
    """Go on with the last file, and with those that come after it.

    The end is asked for before the last look, and so is a newer file: then the older one is complete.
    """
    with Changes(directory) as changes:
        while True:
            is_last_look = monitor.ending(directory) is not None or _is_over(until)
            has_newer = _add_newer(files, directory)
            yield from _rest(files)
            if has_newer:
                continue
            if is_last_look:
                return
            changes.wait(None if until is None else time.monotonic() + max(0, until - time.time_ns()) / 10**9)


def _rest(files: list[_File]) -> Iterator[Record]:
    """Read on in all files, and keep the last one open."""
    while files:
        yield from _parsed(files[0])
        if len(files) == 1:
            return
        _close([files.pop(0)])


class Arrivals:
    """What comes in a log, for who looks now and then and does not wait here.

    Args:
        directory: the container's, opened; it must stay open.
    """

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._files = _open_files(directory)

    def read(self) -> Iterator[Record]:
        """Yield what has come since the last look; at first, all that there is. Who stops halfway goes on there."""
        _add_newer(self._files, self._directory)
        yield from _rest(self._files)

    def close(self) -> None:
        """Close the log."""
        _close(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_over(until: int | None) -> bool:
    return until is not None and time.time_ns() > until


def _parsed(file: _File) -> Iterator[Record]:
    for line in file.lines():
        if (record := parse(line)) is not None:
            yield record


def _skip_to(files: list[_File], spot: Spot) -> None:
    """Leave the files that are all before a place, and stand there."""
    for number, file in enumerate(files):
        if file.inode == spot.inode:
            file.position = spot.position
            _close_first(files, number)
            return


def _skip_to_tail(files: list[_File], count: int, wanted: frozenset[str]) -> None:
    """Leave the files that are all before the last lines, and stand at these.

    A line has one record that ends it; the last line of all may have none yet.
    """
    found = 0
    is_last = True
    for number in range(len(files) - 1, -1, -1):
        for line, end in files[number].lines_backwards():
            record = parse(line)
            if record is None or record.stream not in wanted:
                continue
            found += is_last or record.data.endswith(b"\n")
            is_last = False
            if found > count:
                files[number].position = end
                _close_first(files, number)
                return
