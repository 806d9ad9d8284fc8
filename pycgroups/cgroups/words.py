"""The words of limits as types: what each keyword of `Cgroup.create` and `set` may be. For type checkers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

Size = int | str


class Words(TypedDict, total=False):
    """See `pycgroups.cgroups.limits.Limits` for the meaning of each, with units."""

    memory: Size | None
    memory_swap: Size | None
    memory_low: Size | None
    memory_high: Size | None
    cpus: float | None
    cpu_weight: int | None
    cpuset: str | None
    pids: int | None
    io_weight: int | None
    io_limits: Mapping[str, Mapping[str, Size]] | None
    hugepages: Mapping[str, Size] | Mapping[int, Size] | None
