"""Classes of service for caches and memory bandwidth, Intel's RDT: config-linux.md, "IntelRdt".

A class is a directory of the file system resctrl with limits in its file ``schemata``, and in it, where that is asked
for, a group of its own for what is measured. Source: https://docs.kernel.org/filesystems/resctrl.html. Linux 4.14.
"""

from __future__ import annotations

import os

from pycgroups.errors import Error, InvalidConfig, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    from pycgroups.oci.uncommon import IntelRdt
else:
    from pycgroups.records import NamedTuple


class Class(NamedTuple):
    """A class of service.

    Attributes:
        directories: that the processes of a container are to be in; the class itself first.
        missing: those that are to be made and to go with the container, the innermost first.
        new: the class itself has to be made.
        limits: lines of ``schemata`` that a class which is there has to have already.
        schemata: lines to write.
    """

    directories: tuple[str, ...]
    missing: tuple[str, ...]
    new: bool
    limits: tuple[str, ...]
    schemata: tuple[str, ...]


def mounted(mountinfo: str = "/proc/self/mountinfo") -> str:
    """Return where resctrl is mounted.

    Raises:
        Unsupported: nowhere.
    """
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            if source.startswith("resctrl "):
                return mount.split(" ")[4]
    raise Unsupported(
        "the file system resctrl is not mounted",
        operation="option",
        path="linux.intelRdt",
        hint="mount -t resctrl resctrl /sys/fs/resctrl, where the processor has it",
    )


def plan(rdt: IntelRdt, id_: str, top: str) -> Class:
    """Say which class a container is to be in.

    Args:
        rdt: what was asked for.
        id_: the name of the container, and of its class where it names none.
        top: where resctrl is mounted.

    Raises:
        NotFound: a class without limits must be there.
    """
    directory = f"{top}/{id_ if rdt.clos_id is None else rdt.clos_id}".rstrip("/")
    limits = tuple(line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema) if line is not None)
    new = not os.path.isdir(directory)
    if new and rdt.clos_id is not None and not limits and not rdt.schemata:
        hint = "make it, or say what its limits are"
        raise NotFound("no such class of service", operation="open", path=directory, hint=hint)
    measured = (f"{directory}/mon_groups/{id_}",) if rdt.enable_monitoring else ()
    return Class(
        directories=(directory, *measured),
        missing=(*measured, *((directory,) if new and rdt.clos_id is None else ())),
        new=new,
        limits=limits,
        schemata=(*limits, *rdt.schemata),
    )


def make(wanted: Class) -> None:
    """Make a class, or see that the one that is there is as wanted.

    Raises:
        InvalidConfig: it has other limits.
        Error: the kernel refuses it; with its reason.
    """
    directory, *measured = wanted.directories
    if wanted.new:
        _mkdir(directory)
    elif wanted.limits:
        _compare(directory, wanted.limits)
    for line in wanted.schemata:
        _write(f"{directory}/schemata", line)
    for inner in measured:
        _mkdir(inner)


def enter(directories: Sequence[str], pid: int) -> None:
    """Put a process into a class.

    Raises:
        Error: the kernel refuses it.
    """
    for directory in directories:
        _write(f"{directory}/tasks", str(pid))


def remove(directories: Sequence[str]) -> None:
    """Remove directories of a class, those that are there.

    Raises:
        Error: one cannot be removed.
    """
    for directory in directories:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Error(operation="remove the class of service", path=directory, errno=error.errno) from None


def _mkdir(directory: str) -> None:
    try:
        os.mkdir(directory)
    except OSError as error:
        hint = "the processor has a limited number of classes: info/*/num_closids, num_rmids"
        raise Error(operation="make the class of service", path=directory, errno=error.errno, hint=hint) from None


def _write(path: str, line: str) -> None:
    try:
        with open(path, "w", encoding="ascii", errors="replace") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise Error(_reason(path), operation=f"write {line!r}", path=path, errno=error.errno) from None


def _reason(path: str) -> str:
    """Return what the kernel says about the last operation that failed."""
    while (path := os.path.dirname(path)) != "/":
        try:
            with open(f"{path}/info/last_cmd_status", encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            continue
    return ""


def _compare(directory: str, limits: Sequence[str]) -> None:
    path = f"{directory}/schemata"
    with open(path, encoding="ascii") as file:
        there = dict(map(_values, file))
    for line in limits:
        resource, wanted = _values(line)
        found = there.get(resource, {})
        if any(found.get(domain) != value for domain, value in wanted.items()):
            hint = "another closID, or the limits that it has"
            raise InvalidConfig(f"the class of service has not {line!r}", operation="compare", path=path, hint=hint)


def _values(line: str) -> tuple[str, dict[str, str]]:
    """Read ``L3:0=7f;1=7f``; numbers without the zeros in front, which the kernel writes."""
    resource, _, rest = line.strip().partition(":")
    pairs = (pair.partition("=") for pair in rest.split(";") if pair.strip())
    return resource.strip(), {domain.strip(): value.strip().lower().lstrip("0") for domain, _, value in pairs}
