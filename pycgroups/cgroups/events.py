"""Where a group's events come from: a source is a file that is looked at when the kernel tells of a change.

    path    inotify(7) tells of a change: kernfs reports it as a modification of the file (v2)
    fd      becomes readable by itself: an eventfd (v1)

`watch.py` waits for all sources of a group at once.
"""

from __future__ import annotations

import abc
import errno
import os
from typing import TYPE_CHECKING

from pycgroups.errors import CgroupError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attrs import field, frozen

    from pycgroups.cgroups.files import Directory
else:
    from pycgroups.frozen import field, frozen

KINDS = ("oom", "oom_kill", "high", "pids", "populated", "empty", "frozen", "thawed")
"""What may happen in a group; see `Cgroup.watch`."""

LEVELS = ("low", "medium", "critical")
"""Degrees of memory pressure on v1 (cgroup-v1/memory.rst, "Memory Pressure")."""

_RESOURCES = ("cpu", "io", "memory")
_WINDOW = (0.5, 10.0)  # seconds; WINDOW_MIN_US and WINDOW_MAX_US of kernel/sched/psi.c
_MICROSECONDS = 1_000_000
_LONGEST = 4096  # bytes of an events file


@frozen(kw_only=True)
class Event:
    """Something that happened in a group.

    Attributes:
        kind: a kind of `Cgroup.watch`; for pressure the name of the file: "memory.pressure", "cpu.pressure",
            "io.pressure", on v1 "memory.pressure_level".
        count: how often it happened since the last event of this kind, or since `watch()`. 1 for states and pressure.
        time: when it was noticed, in seconds since the epoch (`time.time()`).
    """

    kind: str
    count: int
    time: float


def _resource(_: object, __: object, value: str) -> None:
    if value not in _RESOURCES:
        raise invalid("pressure.resource", value, ", ".join(_RESOURCES))


def _full(_: object, __: object, value: object) -> None:
    if not isinstance(value, bool):
        raise invalid("pressure.full", value, "True or False")


def _window(_: object, __: object, value: object) -> None:
    if not _is_number(value) or not _WINDOW[0] <= value <= _WINDOW[1]:  # type: ignore[operator]  # a number
        raise invalid("pressure.window", value, f"{_WINDOW[0]} to {_WINDOW[1]} seconds")


def _stall(trigger: PressureTrigger, _: object, value: object) -> None:
    if not _is_number(value) or not 0 < value <= trigger.window:  # type: ignore[operator]  # a number
        raise invalid("pressure.stall", value, f"more than 0 and at most window ({trigger.window}) seconds")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@frozen(kw_only=True)
class PressureTrigger:
    """An amount of waiting for a resource that is an event: pressure stall information (accounting/psi.rst, v2).

    There is an event when processes of the group waited for more than `stall` seconds within `window` seconds; at
    most one per window.

    Attributes:
        resource: "memory", "io" or "cpu".
        full: count the time in which all processes waited at once; False, the default: in which at least one did.
        window: seconds, 0.5 to 10; without CAP_SYS_RESOURCE (kernel 6.4) it has to be a multiple of 2.
        stall: seconds, at most `window`.

    Raises:
        InvalidConfig: with the attribute as `path`.
    """

    resource: str = field(validator=_resource)
    full: bool = field(default=False, validator=_full)
    window: float = field(default=2.0, validator=_window)
    stall: float = field(default=0.15, validator=_stall)

    def text(self) -> str:
        """Write it as the kernel wants it."""
        kind = "full" if self.full else "some"
        return f"{kind} {round(self.stall * _MICROSECONDS)} {round(self.window * _MICROSECONDS)}"


class Source(abc.ABC):
    """One file that tells of events."""

    kinds: frozenset[str]
    path: str | None = None
    fd: int | None = None

    @abc.abstractmethod
    def look(self) -> dict[str, int]:
        """What happened since the last look: kinds and counts. What a removed cgroup cannot tell any more, has not.

        Raises:
            CgroupError: the file is gone.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the descriptors."""


class Counters(Source):
    """A file with a name and a number in each line. Numbers are compared, so that no event is lost or made up.

    Args:
        keys: for each kind the name in the file, and whether it means that the number rose (1) or fell (-1).
    """

    def __init__(self, directory: Directory, name: str, keys: Mapping[str, tuple[str, int]]) -> None:
        """Open the file, kept open so that a cgroup of the same name made later is not taken for this one.

        Raises:
            CgroupError: it cannot be read.
        """
        self.kinds = frozenset(keys)
        self.path = f"{directory.path}/{name}"
        self._keys = keys
        self._last: dict[str, int] = {}
        self._file = directory.open(name, os.O_RDONLY)
        try:
            self._last = self._read()
        except CgroupError:
            os.close(self._file)
            raise

    def look(self) -> dict[str, int]:
        """Compare with the last look."""
        last, self._last = self._last, self._read()
        changes = {kind: (self._last.get(key, 0) - last.get(key, 0)) * sign for kind, (key, sign) in self._keys.items()}
        return {kind: change for kind, change in changes.items() if change > 0}

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _read(self) -> dict[str, int]:
        try:
            lines = os.pread(self._file, _LONGEST, 0).decode().splitlines()
        except OSError as error:
            # A removed cgroup has no processes, that much is known.
            if error.errno != errno.ENODEV or "populated" not in self._last:
                raise CgroupError(operation="read", path=self.path, errno=error.errno) from None
            return {**self._last, "populated": 0}
        return {key: int(value) for key, value in map(str.split, lines)}
