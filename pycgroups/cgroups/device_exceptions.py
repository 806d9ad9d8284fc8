"""A table of devices in the words of cgroup v1: everything or nothing, and exceptions from that. Pure.

A table (`pycgroups.cgroups.device_rules`) is more than that: a device that is denied inside a major that is allowed
inside a type that is denied cannot be said. Where both can be said, "nothing but" is: it works below groups that have
less than everything, its exceptions can be read, and what nobody thought of is denied.

The kernel takes one exception at a time, so an update is put in an order in which at each moment

    what is allowed before and after    is allowed
    what is denied before and after     is denied

and only between "all but" and "nothing but", which no order can do, everything is denied for a moment; see `steps`.

Source: cgroup-v1/devices.rst, and security/device_cgroup.c: an exception of "nothing but" has to cover all of what an
open asks for, reading and writing; one of "all but" denies if it covers any of it.
"""

from __future__ import annotations

from pycgroups.cgroups.device_rules import ALL, bits, letters, tabulate
from pycgroups.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups.cgroups.device_rules import Entry
    from pycgroups.oci.resources import DeviceRule
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple

_ALLOW, _DENY = "devices.allow", "devices.deny"


class State(NamedTuple):
    """What a group has.

    Attributes:
        all_but: whether everything is allowed but the exceptions; else nothing but them.
        exceptions: access by devices, ``b 8:*``.
    """

    all_but: bool
    exceptions: Mapping[str, int]


def state_of(rules: Sequence[DeviceRule]) -> State:
    """Say in the words of v1 what a list of rules comes to.

    Raises:
        InvalidConfig: a rule is wrong.
        Unsupported: it cannot be said.
    """
    return _state_of(tuple(rules))


@lru_cache(64)  # containers have much the same rules, and each asks twice
def _state_of(rules: tuple[DeviceRule, ...]) -> State:
    table = tabulate(rules)
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


def parse(text: str) -> dict[str, int]:
    """Read exceptions as devices.list has them."""
    lines = (line.rpartition(" ") for line in text.splitlines())
    return {device: bits(access) for device, _, access in lines}


def write(exceptions: Mapping[str, int]) -> list[str]:
    """Write exceptions: the reverse of `parse`, line by line."""
    return [f"{device} {letters(access)}" for device, access in exceptions.items() if access]


def _lines(file: str, exceptions: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for line in write(exceptions):
        yield file, line


def _device(entry: Entry) -> str:
    major, minor = ("*" if number is None else str(number) for number in (entry.major, entry.minor))
    return f"{entry.type} {major}:{minor}"
