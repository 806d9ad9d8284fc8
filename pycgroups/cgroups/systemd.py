"""Units of systemd: start, change and stop a scope by D-Bus, and say a cgroup's limits in systemd's words.

    we                                      systemd
    StartTransientUnit(NAME.scope)   ->     a job; makes the cgroup, moves the processes of the scope into it
                                     <-     JobRemoved(job, "done")

Source: org.freedesktop.systemd1(5), systemd.resource-control(5), systemd.scope(5).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from pycgroups.cgroups import convert
from pycgroups.cgroups.dbus import Peer, Refused
from pycgroups.cgroups.lists import cpu_numbers
from pycgroups.errors import AlreadyExists, CgroupError, Error, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pycgroups.cgroups.dbus import Bus
    from pycgroups.oci.resources import Resources

    Property = tuple[str, tuple[str, Any]]

_MANAGER = Peer("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_INFINITY = (1 << 64) - 1
_MICROSECONDS = 1_000_000
_IDLE = 0  # CPUWeight=idle (systemd 252)
_FILES = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "cpu.weight": "CPUWeight",
    "io.weight": "IOWeight",
    "pids.max": "TasksMax",
}
_ALWAYS = (
    ("Delegate", ("b", True)),
    ("DefaultDependencies", ("b", False)),
    # Forget a scope that failed: its name is free again.
    ("CollectMode", ("s", "inactive-or-failed")),
)


def start_scope(bus: Bus, name: str, pids: Iterable[int], properties: Iterable[Property] = ()) -> None:
    """Make a scope with a delegated cgroup, move processes into it, and wait until that is done.

    Args:
        bus: the system's for the whole machine's systemd, the user's for his.
        name: "NAME.scope".
        pids: at least one; when the last one ends the scope does.
        properties: more of it.

    Raises:
        AlreadyExists: there is a unit of this name.
        Unsupported: nothing on this bus is systemd.
        CgroupError: it could not be made.
    """
    bus.listen(_MANAGER.interface, "JobRemoved")
    settings = [("PIDs", ("au", list(pids))), *_ALWAYS, *properties]
    (job,) = _call(bus, f"start {name}", "StartTransientUnit", "ssa(sv)a(sa(sv))", (name, "fail", settings, []))
    _finish(bus, f"start {name}", job)


def stop(bus: Bus, name: str) -> None:
    """Stop a unit and wait until that is done; one that is not there is stopped.

    Raises:
        CgroupError: it could not be stopped.
    """
    bus.listen(_MANAGER.interface, "JobRemoved")
    try:
        (job,) = _call(bus, f"stop {name}", "StopUnit", "ss", (name, "replace"))
    except CgroupError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    _finish(bus, f"stop {name}", job)


def forget(bus: Bus, name: str) -> None:
    """Let a unit that failed go, so that its name is free; one that is not there is forgotten.

    Raises:
        CgroupError: systemd refuses.
    """
    try:
        _call(bus, f"forget {name}", "ResetFailedUnit", "s", (name,))
    except CgroupError as error:
        if error.errno != errno.ENOENT:
            raise


def top(bus: Bus) -> str:
    """Path of the cgroup that all units of this systemd are in: "" for the machine's.

    Raises:
        CgroupError: it does not tell.
    """
    peer = _MANAGER._replace(interface="org.freedesktop.DBus.Properties")
    try:
        ((_, path),) = bus.call(peer, "Get", "ss", (_MANAGER.interface, "ControlGroup"))
    except Refused as refused:
        raise _error("ask systemd for its cgroup", refused) from None
    return str(path).rstrip("/")


def nested(slice_: str) -> str:
    """Path of a slice: "a-b.slice" is in "a.slice", and "-.slice" is the top; systemd.slice(5)."""
    words = slice_.removesuffix(".slice").split("-")
    return "".join(f"/{'-'.join(words[: count + 1])}.slice" for count in range(len(words)) if any(words))


def change(bus: Bus, name: str, properties: Iterable[Property]) -> None:
    """Set properties of a unit that runs, until it is stopped.

    Raises:
        CgroupError: systemd refuses one; none is set.
    """
    _call(bus, f"change {name}", "SetUnitProperties", "sba(sv)", (name, True, list(properties)))


def properties(limits: Resources) -> list[Property]:
    """Say limits in systemd's words; what it has no word for is left out. Pure.

    Weights and protection count among siblings, so that for these the scope's properties are what is in force.
    """
    found: list[Property] = []
    if limits.memory:
        found += _memory(limits.memory.limit, limits.memory.swap, limits.memory.reservation)
    if limits.cpu:
        found += _cpu(limits.cpu.quota, limits.cpu.period, limits.cpu.shares)
        if limits.cpu.idle:
            found.append(("CPUWeight", ("t", _IDLE)))
        found += _bitmap("AllowedCPUs", limits.cpu.cpus) + _bitmap("AllowedMemoryNodes", limits.cpu.mems)
    if limits.pids:
        found.append(("TasksMax", ("t", _or_infinity(limits.pids.limit))))
    if limits.block_io and limits.block_io.weight:
        found.append(("IOWeight", ("t", convert.io_weight(limits.block_io.weight))))
    return list({**dict(found), **dict(_unified(limits.unified))}.items())


def _memory(limit: int | None, swap: int | None, low: int | None) -> list[Property]:
    found: list[Property] = []
    if limit is not None:
        found.append(("MemoryMax", ("t", _or_infinity(limit))))
    if swap is not None:  # OCI counts memory and swap together
        alone = -1 if swap < 0 else swap - max(0, limit or 0)
        found.append(("MemorySwapMax", ("t", _or_infinity(alone))))
    if low is not None:
        found.append(("MemoryLow", ("t", _or_infinity(low))))
    return found


def _cpu(quota: int | None, period: int | None, shares: int | None) -> list[Property]:
    found: list[Property] = []
    if period is not None:
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if quota is not None:
        share = _INFINITY if quota < 0 else quota * _MICROSECONDS // (period or 100_000)
        found.append(("CPUQuotaPerSecUSec", ("t", share)))
    if shares is not None:
        found.append(("CPUWeight", ("t", convert.cpu_weight(shares))))
    return found


def _unified(files: Iterable[tuple[str, str]]) -> Iterator[Property]:
    """Translate files of v2, which are written last and so have the last word."""
    for file, text in files:
        value = text.strip().removeprefix("default ")
        if file in _FILES and (value == "max" or value.isdecimal()):
            yield _FILES[file], ("t", _INFINITY if value == "max" else int(value))


def _bitmap(name: str, numbers: str | None) -> list[Property]:
    """Write a list of CPUs or memory nodes as bytes, the lowest bit of the first one being number 0."""
    if not numbers:
        return []
    bits = sum(1 << number for number in cpu_numbers(numbers))
    return [(name, ("ay", bits.to_bytes((bits.bit_length() + 7) // 8, "little")))]


def _or_infinity(value: int) -> int:
    return _INFINITY if value < 0 else value


def _call(bus: Bus, operation: str, method: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        return bus.call(_MANAGER, method, signature, body)
    except Refused as refused:
        raise _error(operation, refused) from None


def _finish(bus: Bus, operation: str, job: str) -> None:
    _, _, unit, result = bus.wait("JobRemoved", lambda body: body[1] == job)
    if result != "done":
        raise CgroupError(
            f"systemd's job ended with {result!r}",
            operation=operation,
            hint=f"systemctl status {unit}; journalctl --unit {unit}",
        )


def _error(operation: str, refused: Refused) -> Error:
    kind = refused.name.rpartition(".")[2]
    text = refused.text or refused.name
    if kind == "UnitExists":
        return AlreadyExists(text, operation=operation)
    if kind in {"ServiceUnknown", "NameHasNoOwner"}:
        hint = "no systemd is on this bus: unset DBUS_SESSION_BUS_ADDRESS, or log in with a session of systemd's"
        return Unsupported(text, operation=operation, hint=hint)
    if kind in {"AccessDenied", "InteractiveAuthorizationRequired"}:
        return CgroupError(
            text, operation=operation, errno=errno.EACCES, hint="do it as root, or on the user's own bus"
        )
    if kind == "NoSuchUnit":
        return CgroupError(text, operation=operation, errno=errno.ENOENT)
    return CgroupError(text, operation=operation, hint="systemd may be too old for it: systemctl --version")
