"""Samples of containers in a file: a line of JSON for each, as ``pycgroups stats --format json`` writes them.

A line has the fields of `ContainerStats`, and the ``id`` and ``name`` of the container. So whoever redirects the output
of that command into a file has a history of any length, and nobody keeps it in memory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.cgroups.pressure import Pressure, Stall, Stalls
from pycgroups.cgroups.stats import CpuStats, HugetlbStats, IoStats, MemoryEvents, MemoryStats, PidsStats
from pycgroups.containers.history import History
from pycgroups.containers.stats import ContainerStats
from pycgroups.errors import invalid
from pycgroups.images.files import io_errors
from pycgroups.network.counters import InterfaceStats
from pycgroups.oci.json_text import parse

if TYPE_CHECKING:
    from typing import Any

_PLAIN: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}
_RECORDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(CpuStats, HugetlbStats, IoStats, MemoryEvents, MemoryStats, PidsStats),
        *(Pressure, Stall, Stalls, InterfaceStats, ContainerStats),
    )
}
_OPTIONAL, _MANY, _END = " | None", "tuple[", ", ...]"


def line(id_: str, name: str, sample: ContainerStats) -> dict[str, Any]:
    """Return what is written of a sample of a container, as plain dicts, lists and scalars."""
    import attrs

    return {"id": id_, "name": name, **attrs.asdict(sample)}


def read(path: str | os.PathLike[str]) -> dict[str, History]:
    """Return the histories that are in a file, by the names of the containers.

    Args:
        path: of a file with such lines. A last one without an end is left out: it is being written, or its writer has
            been killed.

    Raises:
        InvalidConfig: a line is none of these.
        Error: the file cannot be read.
    """
    shown, found = os.fsdecode(path), dict[str, History]()
    with io_errors("read history", shown), open(path, "rb") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                break
            where = f"{shown}:{number}"
            name, sample = _sample(parse(text, where), where)
            found.setdefault(name, History()).add(sample)
    return found


def _sample(facts: Any, where: str) -> tuple[str, ContainerStats]:
    """Read a line: the name, and the sample."""
    words = [facts.pop(key, None) for key in ("id", "name")] if isinstance(facts, dict) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise _wrong(where, facts)
    return words[1], _made("ContainerStats", facts, where)


def _made(annotation: str, value: Any, where: str) -> Any:
    """Make what a field is of what is written of it.

    Raises:
        InvalidConfig: it is something else.
    """
    if annotation.endswith(_OPTIONAL):
        return None if value is None else _made(annotation.removesuffix(_OPTIONAL), value, where)
    if annotation.startswith(_MANY) and isinstance(value, list):
        each = annotation.removeprefix(_MANY).removesuffix(_END)
        return tuple(_made(each, item, where) for item in value)
    if type(value) in _PLAIN.get(annotation, ()):
        return value
    kind = _RECORDS.get(annotation)
    if kind is None or not isinstance(value, dict) or value.keys() != kind.__annotations__.keys():
        raise _wrong(where, value)
    kinds = kind.__annotations__
    return kind(**{name: _made(kinds[name], item, f"{where}: {name}") for name, item in value.items()})


def _wrong(where: str, value: object) -> Exception:
    return invalid(where, value, "lines that pycgroups stats --format json has written")
