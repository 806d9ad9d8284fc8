"""Limits that are changed together: when the kernel refuses one, files say again what they did before."""

from __future__ import annotations

import os

from pycgroups.cgroups.files import read_path
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.cgroups.files import Directory

_LISTS = frozenset({"cpuset.cpus", "cpuset.mems"})
"""Empty is what the group above has; but with processes in the group the kernel takes no empty list back."""
_OOM_CONTROL = "memory.oom_control"
_NO_LIMIT = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
}
"""What is written for a device that has no line; in the files of v1 that is 0."""


def set_back(directory: Directory) -> None:
    """Write what files said before, the last first, as far as the kernel takes it: limits need not agree meanwhile.

    Args:
        directory: one that has noted that.
    """
    before, directory.before = directory.before or {}, None
    values = [(name, value) for name in reversed(before) for value in _values(directory, name, before[name])]
    refused = [each for each in values if not _is_written(directory, *each)]
    for name, value in refused:
        _is_written(directory, name, value)


def _values(directory: Directory, name: str, before: str) -> Iterator[str]:
    """Return what is to be written, one line after the other: most files have one, some have one for each device."""
    if name in _LISTS and not before.strip():
        yield read_path(f"{os.path.dirname(directory.path)}/{name}.effective") or before
        return
    if name == _OOM_CONTROL:  # "oom_kill_disable 0", and what cannot be written
        yield before.split()[1]
        return
    devices = _devices(before)
    now = _devices(_read(directory, name))
    yield from (f"{device} {_NO_LIMIT.get(name, '0')}" for device in now if device not in devices)
    yield from before.splitlines()


def _read(directory: Directory, name: str) -> str:
    try:
        return directory.read(name)
    except CgroupError:
        return ""


def _devices(text: str) -> list[str]:
    first = [line.partition(" ")[0] for line in text.splitlines()]
    return [word for word in first if ":" in word]


def _is_written(directory: Directory, name: str, value: str) -> bool:
    try:
        directory.write(name, value)
    except CgroupError:
        return False
    return True
