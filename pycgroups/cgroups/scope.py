"""A group in a scope of the machine's systemd, for root who asks for `cgroup_manager="systemd"`.

::

    system.slice/pycgroups-NAME.scope/      the scope, with the limits as its properties; delegated to us
        keeper/                             a process that does nothing: systemd ends a scope that has none
        group/                              the group, with the limits written to it: what is in force

The keeper ends with this process. What it needs itself comes on top of the properties, so that the group's own limits
are always the ones that are reached.
"""

from __future__ import annotations

import os
from contextlib import suppress

from pycgroups.cgroups import dbus, detect, places, systemd
from pycgroups.errors import CgroupError, Unsupported, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.cgroups.systemd import Property
    from pycgroups.oci.resources import Resources
else:
    from pycgroups.records import NamedTuple

GROUP = "group"
_KEEPER = "keeper"
_KEEPER_MEMORY = 4 << 20
_KEEPER_PROGRAM = "/bin/cat"
_SLICE = "system.slice"
_TOP_SLICE = "-.slice"
_PARTS = 3
_LONGEST = 255  # bytes of a unit's name: UNIT_NAME_MAX, systemd.unit(5)
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_ROOM = {"MemoryMax": _KEEPER_MEMORY, "MemoryHigh": _KEEPER_MEMORY, "TasksMax": 1}


class Name(NamedTuple):
    """What a scope is called, and where it is.

    Attributes:
        slice: "system.slice", or another.
        unit: "pycgroups-NAME.scope".
    """

    slice: str
    unit: str

    @classmethod
    def parse(cls, name: str, *, option: str = "name", slice_: str = _SLICE) -> Name:
        """Read "NAME" or runc's "SLICE:PREFIX:NAME"; an empty slice is `slice_`. Pure.

        Raises:
            InvalidConfig: neither of them, or not what systemd takes for a unit's name.
        """
        parts = name.split(":") if isinstance(name, str) else []
        chosen, prefix, last = parts if len(parts) == _PARTS else ("", places.SHARED, name)
        slice_ = chosen or slice_
        unit = f"{prefix}-{last}.scope" if prefix else f"{last}.scope"
        words = (unit, last) if slice_ == _TOP_SLICE else (slice_, unit, last)
        good = len(parts) in (1, _PARTS) and all(
            set(word) <= _LETTERS and word[:1] not in ("", "-", ".") for word in words
        )
        if not (good and slice_.endswith(".slice") and max(len(unit), len(slice_)) <= _LONGEST):
            allowed = 'a name, or "SLICE.slice:PREFIX:NAME", of letters, digits and _.- (for a unit of systemd)'
            raise invalid(option, name, allowed)
        return cls(slice_, unit)


class Scope:
    """A scope that runs, and the process that keeps it.

    Attributes:
        name: see `Name`.
        place: the cgroup of the scope, for a group to be made in.
    """

    __slots__ = ("_keeper", "_lifeline", "name", "place")

    def __init__(self, name: Name, limits: Resources) -> None:
        """Start it.

        Raises:
            Unsupported: not root, no systemd, no cgroup v2, or jeepney is not installed; with what would help.
            AlreadyExists: there is a unit of this name.
            CgroupError: systemd refuses or does not answer; nothing is left.
        """
        if os.geteuid() != 0:
            raise _unsupported("only root can have scopes of the machine's systemd")
        unified = delegating()
        self.name = name
        self._keeper, self._lifeline = _start_keeper()
        try:
            settings = [
                ("Description", ("s", "a cgroup of pycgroups")),
                ("Slice", ("s", name.slice)),
                *_properties(limits),
            ]
            with dbus.Bus(dbus.system_address()) as bus:
                systemd.start_scope(bus, name.unit, [self._keeper], settings)
            self.place = _settle(unified.mount, self._keeper)
        except BaseException:
            self.let_go()  # not stop(): a unit of this name may be somebody else's; ours ends without its keeper
            raise

    def change(self, limits: Resources) -> None:
        """Give the scope new limits.

        Raises:
            CgroupError: systemd refuses.
        """
        with dbus.Bus(dbus.system_address()) as bus:
            systemd.change(bus, self.name.unit, _properties(limits))

    def stop(self) -> None:
        """End the scope with everything in it, and its keeper. Twice is allowed.

        Raises:
            CgroupError: systemd does not do it; the scope ends when its last process does.
        """
        if self._lifeline < 0:
            return
        try:
            with dbus.Bus(dbus.system_address()) as bus:
                systemd.stop(bus, self.name.unit)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """End the keeper; the scope ends when nothing else is in it."""
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
            with suppress(ChildProcessError):  # somebody else in this process waits for any child
                os.waitpid(self._keeper, 0)


def delegating() -> detect.Hierarchy:
    """Find the tree that systemd delegates from.

    Raises:
        Unsupported: no systemd, or no cgroup v2; with what would help.
    """
    found = detect.hierarchies()
    if not detect.systemd_runs():
        raise _unsupported("systemd is not the init of this machine")
    if detect.kind(found) != "v2":
        reason = f"systemd delegates with cgroup v2 alone, here is {detect.kind(found)}"
        raise _unsupported(reason, "boot with systemd.unified_cgroup_hierarchy=1; or ")
    return found[0]


def _unsupported(reason: str, mend: str = "") -> Unsupported:
    hint = f"{mend}leave cgroup_manager out: groups are made directly then"
    return Unsupported(reason, operation='cgroup_manager="systemd"', hint=hint)


def _start_keeper() -> tuple[int, int]:
    """Start a process that ends when the descriptor returned with its pid is closed, by us or by our end."""
    end, lifeline = os.pipe()
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, end, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # A ^C on the terminal is not for it.
        pid = os.posix_spawn(_KEEPER_PROGRAM, [_KEEPER_PROGRAM], {}, file_actions=actions, setsid=True)
    except OSError as error:
        os.close(lifeline)
        raise CgroupError(operation="start", path=_KEEPER_PROGRAM, errno=error.errno) from None
    finally:
        os.close(end)
    return pid, lifeline


def _settle(mount: str, keeper: int) -> places.Place:
    """Find the scope by its keeper, and make room in it for groups."""
    from pycgroups.cgroups.files import read_path

    path = mount + read_path(f"/proc/{keeper}/cgroup").strip().removeprefix("0::")
    controllers = frozenset(read_path(f"{path}/cgroup.controllers").split())
    place = places.Place(detect.V2, path, controllers)
    places.make_directory(f"{path}/{_KEEPER}")
    with places.opened(f"{path}/{_KEEPER}") as inside:
        inside.write("cgroup.procs", str(keeper))
    with places.opened(path) as scope:
        places.hand_down(place, scope)
    return place


def _properties(limits: Resources) -> list[Property]:
    return [
        (name, (kind, value + _ROOM.get(name, 0)) if name in _ROOM and value < _BOUNDLESS else (kind, value))
        for name, (kind, value) in systemd.properties(limits)
    ]


_BOUNDLESS = 1 << 62
