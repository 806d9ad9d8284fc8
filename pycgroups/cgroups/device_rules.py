"""What a list of device rules comes to: a table without an order of events in it. Pure.

The rules are `linux.resources.devices` of the OCI runtime specification. For each device and each kind of access the
last rule that matches decides; what no rule matches is denied, as runc and crun have it. A table says the same with
one entry for a device: the first that covers it decides all of its access alone::

    allow=False                                      b 8:*  r
    allow=True, type="b", major=8, access="r"   ->   b *:*  nothing
                                                     c *:*  nothing

Source: https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#allowed-device-list
"""

from __future__ import annotations

from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups.oci.resources import DeviceRule
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple

MKNOD, READ, WRITE = 1, 2, 4
"""Kinds of access, as the kernel has them: BPF_DEVCG_ACC_* of linux/bpf.h."""
ALL = MKNOD | READ | WRITE

MOST = 1024
"""Rules in a list, and entries in a table: a thousand times what anybody needs, and still quick to go through."""

_LETTERS = {"r": READ, "w": WRITE, "m": MKNOD}
_GREATEST = {"major": (1 << 12) - 1, "minor": (1 << 20) - 1}  # dev_t: MINORBITS of include/linux/kdev_t.h


class Entry(NamedTuple):
    """What may be done with some devices.

    Attributes:
        type: "b" or "c".
        major: None is every one.
        minor: likewise.
        access: some of `MKNOD`, `READ` and `WRITE`.
    """

    type: str
    major: int | None
    minor: int | None
    access: int

    def covers(self, other: Entry) -> bool:
        """Tell whether this is for every device that the other is for."""
        return self.type == other.type and self.major in (None, other.major) and self.minor in (None, other.minor)


def tabulate(rules: Sequence[DeviceRule]) -> tuple[Entry, ...]:
    """Make the table of a list of rules.

    Entries are of one type after the other. In each, those of one device come first, then those of a whole major,
    of a whole minor, and one of all others. Where a major and a minor cross, there is an entry of one device.

    Raises:
        InvalidConfig: a rule is wrong, or they are too many; its place is the error's `path`.
    """
    if len(rules) > MOST:
        raise invalid("devices", f"{len(rules)} rules", f"at most {MOST}")
    return _tabulate(tuple(_read(rule, f"devices[{index}]") for index, rule in enumerate(rules)))


@lru_cache(64)  # containers have much the same rules, and each asks several times
def _tabulate(read: tuple[_Rule, ...]) -> tuple[Entry, ...]:
    return tuple(entry for type_ in "bc" for entry in _table(type_, [rule for rule in read if type_ in rule.types]))


def letters(access: int) -> str:
    """Write access as the kernel's files have it: "rwm"."""
    return "".join(letter for letter, bit in _LETTERS.items() if access & bit)


def bits(text: str) -> int:
    """Read access: the reverse of `letters`."""
    return READ * ("r" in text) | WRITE * ("w" in text) | MKNOD * ("m" in text)


class _Rule(NamedTuple):
    """A rule in normal form: None is every number, and nothing else is."""

    allow: bool
    types: str
    major: int | None
    minor: int | None
    access: int


def _read(rule: DeviceRule, key: str) -> _Rule:
    if not hasattr(rule, "allow"):
        raise invalid(key, rule, "a DeviceRule")
    if not isinstance(rule.allow, bool):
        raise invalid(f"{key}.allow", rule.allow, "True or False")
    if rule.type not in (None, "a", "b", "c"):
        raise invalid(f"{key}.type", rule.type, '"a", "b" or "c"')
    access = "rwm" if rule.access is None else rule.access
    if not isinstance(access, str) or not access or not set(access) <= _LETTERS.keys():
        raise invalid(f"{key}.access", access, 'some of "rwm"')
    return _Rule(
        rule.allow,
        "bc" if rule.type in (None, "a") else rule.type,
        _number(rule.major, f"{key}.major", _GREATEST["major"]),
        _number(rule.minor, f"{key}.minor", _GREATEST["minor"]),
        bits(access),
    )


def _number(value: object, key: str, greatest: int) -> int | None:
    if value is None or value == -1:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= greatest:
        raise invalid(key, value, f"0 to {greatest}; -1 or None for every one")
    return value


def _table(type_: str, rules: list[_Rule]) -> list[Entry]:
    """Ask the rules about each set of devices that they tell apart; keep the answers that are news."""
    majors = {rule.major: None for rule in rules if rule.major is not None and rule.minor is None}
    minors = {rule.minor: None for rule in rules if rule.minor is not None and rule.major is None}
    single = {(rule.major, rule.minor) for rule in rules if rule.major is not None and rule.minor is not None}
    if len(majors) * len(minors) > MOST:
        raise invalid("devices", f"{len(majors)} whole majors with {len(minors)} whole minors", f"at most {MOST} pairs")
    crossings = {(major, minor) for major in majors for minor in minors}
    rest = _access(rules, None, None)
    kept: dict[tuple[int | None, int | None], int] = {(None, None): rest}
    for whole in [*((None, minor) for minor in sorted(minors)), *((major, None) for major in sorted(majors))]:
        kept[whole] = _access(rules, *whole)
    for major, minor in sorted(single | crossings):
        access = _access(rules, major, minor)
        if (major, minor) in crossings or access != kept.get((major, None), kept.get((None, minor), rest)):
            kept[major, minor] = access
    return [Entry(type_, major, minor, access) for (major, minor), access in reversed(kept.items())]


def _access(rules: list[_Rule], major: int | None, minor: int | None) -> int:
    """Walk the rules backwards, for a device; None is a number that no rule names."""
    allowed, undecided = 0, ALL
    for rule in reversed(rules):
        if rule.major in (None, major) and rule.minor in (None, minor):
            if rule.allow:
                allowed |= rule.access & undecided
            undecided &= ~rule.access
            if not undecided:
                break
    return allowed
