"""Device nodes on v1 (cgroup-v1/devices.rst): everything or nothing, and exceptions from that.

A table (`pycgroups.cgroups.device_rules`) is more than that: a device that is allowed inside a major that is denied
inside a type that is allowed cannot be said. Where both can be said, "nothing but" is: it works below groups that have
less than everything, its exceptions can be read, and what nobody thought of is denied.

The kernel takes one exception at a time, so an update is put in an order in which at each moment

    what is allowed before and after    is allowed
    what is denied before and after     is denied

and only between "all but" and "nothing but", which no order can do, everything is denied for a moment; see `steps`.

Source: security/device_cgroup.c. An exception of "nothing but" has to cover all of what an open asks for, reading and
writing; one of "all but" denies if it covers any of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import attrs

from pycgroups.cgroups.device_rules import ALL, bits, letters, tabulate
from pycgroups.cgroups.manager import Controller
from pycgroups.errors import CgroupError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pycgroups.cgroups.device_rules import Entry
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources

_ALLOW, _DENY = "devices.allow", "devices.deny"
_LIST = "devices.list"
_MEMORY = "trusted.pycgroups.devices"  # devices.list does not tell the exceptions of "all but"
_CAP_SYS_ADMIN = 21
_FIRST_USER_NAMESPACE = 0xEFFFFFFD  # inode of it: USER_NS_INIT_INO, linux/nsfs.h


@attrs.frozen
class State:
    """What a group has.

    Attributes:
        all_but: whether everything is allowed but the exceptions; else nothing but them.
        exceptions: access by devices, "b 8:*".
    """

    all_but: bool
    exceptions: dict[str, int]


def usable() -> bool:
    """Tell whether this process may write the files: CAP_SYS_ADMIN in the first user namespace is asked for."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = next((int(line[7:], 16) for line in file if line.startswith("CapEff:")), 0)
    first = os.stat("/proc/self/ns/user").st_ino == _FIRST_USER_NAMESPACE
    return first and bool(effective >> _CAP_SYS_ADMIN & 1)


def state_of(table: Sequence[Entry]) -> State:
    """Say a table in the words of v1.

    Raises:
        Unsupported: it cannot be said.
    """
    nested = [
        (entry.access, wider.access)
        for index, entry in enumerate(table)
        for wider in table[index + 1 :]
        if wider.covers(entry)
    ]
    everything = all(entry.access == ALL for entry in table)
    if not everything and all(wider & ~access == 0 for access, wider in nested):
        return State(all_but=False, exceptions={_device(entry): entry.access for entry in table if entry.access})
    if all(access & ~wider == 0 for access, wider in nested):
        exceptions = {_device(entry): ALL & ~entry.access for entry in table if entry.access != ALL}
        return State(all_but=True, exceptions=exceptions)
    raise Unsupported(
        "cgroup v1 knows all devices but some, or none but some: not both in one list",
        operation="limit devices",
        hint="allow the devices one by one, instead of a whole major without some",
    )


def steps(now: State, wanted: State) -> Iterator[tuple[str, str]]:
    """Name the files and what to write to them, in an order without a gap where there is one.

    From "nothing but" to "all but" some devices, everything would be allowed for a moment: whoever calls this sees to
    it that nobody is there to use it.
    """
    old, new = now.exceptions, wanted.exceptions
    if now.all_but != wanted.all_but:
        yield _ALLOW if wanted.all_but else _DENY, "a"  # the exceptions go as well
        old = {}
    gone = {device: access & ~new.get(device, 0) for device, access in old.items()}
    if wanted.all_but:
        yield from _lines(_DENY, new)  # all of them: the memory of those that are there may be out of date
        yield from _lines(_ALLOW, gone)
        return
    yield from _lines(_ALLOW, {device: access for device, access in new.items() if device not in old})
    # Less before more: an exception with both the old and the new access would allow what neither did.
    yield from _lines(_DENY, {device: access for device, access in gone.items() if device in new})
    yield from _lines(_ALLOW, {device: access & ~old[device] for device, access in new.items() if device in old})
    yield from _lines(_DENY, {device: access for device, access in gone.items() if device not in new})


class Devices(Controller):
    """devices.allow, devices.deny, devices.list."""

    def check(self, parent: str, resources: Resources) -> tuple[str, ...]:  # type: ignore[override]  # noqa: ARG002
        """Refuse wrong rules, and those that v1 cannot say."""
        if resources.devices:
            state_of(tabulate(resources.devices))
        return ()

    def apply(self, directory: Directory, resources: Resources) -> None:  # type: ignore[override]
        """Write what the rules change."""
        if not resources.devices:
            return
        wanted, now = state_of(tabulate(resources.devices)), _read(directory)
        if wanted.all_but and not now.all_but and wanted.exceptions and directory.read("cgroup.procs"):
            raise Unsupported(
                "on cgroup v1 everything would be allowed for a moment, and there are processes inside",
                operation="limit devices",
                path=directory.path,
                hint="write the rules as devices that are allowed, or make a new group",
            )
        for file, line in steps(now, wanted):
            _write(directory, file, line)
        if wanted.all_but:
            os.setxattr(directory.fd, _MEMORY, "\n".join(_written(wanted.exceptions)).encode())


def _read(directory: Directory) -> State:
    text = directory.read(_LIST)
    all_but = text.startswith("a ")
    if all_but:
        text = ""
        with contextlib.suppress(OSError):  # ENODATA: never written by us
            text = os.getxattr(directory.fd, _MEMORY).decode()
    exceptions = (line.rpartition(" ") for line in text.splitlines())
    return State(all_but=all_but, exceptions={device: bits(access) for device, _, access in exceptions})


def _write(directory: Directory, file: str, line: str) -> None:
    try:
        directory.write(file, line)
    except CgroupError as error:
        above = f"{os.path.dirname(directory.path)}/{_LIST}"
        if error.errno == errno.EPERM:
            error.hint = f"a group has at most what the group above it has, see {above}; and root of the host writes"
        elif error.errno == errno.EINVAL:
            error.hint = "a group with groups below it can only get other exceptions: remove those first"
        raise


def _lines(file: str, exceptions: dict[str, int]) -> Iterator[tuple[str, str]]:
    for line in _written(exceptions):
        yield file, line


def _written(exceptions: dict[str, int]) -> list[str]:
    return [f"{device} {letters(access)}" for device, access in exceptions.items() if access]


def _device(entry: Entry) -> str:
    major, minor = ("*" if number is None else str(number) for number in (entry.major, entry.minor))
    return f"{entry.type} {major}:{minor}"
