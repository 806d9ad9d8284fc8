"""Whether a group's CPUs exist for it: a cpuset may only have what its parent has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.limits import cpu_numbers
from pycgroups.errors import InvalidConfig

if TYPE_CHECKING:
    from pycgroups.cgroups.limits import Limits


def check_available(effective_file: str, limits: Limits) -> None:
    """Compare with the CPUs that the parent has.

    Raises:
        InvalidConfig: some are not there.
    """
    available = read_path(effective_file).strip()
    if limits.cpuset is None or not available:
        return
    if not cpu_numbers(limits.cpuset) <= cpu_numbers(available):
        raise InvalidConfig(
            f"{limits.cpuset!r} names CPUs that are not there; allowed: {available}", operation="option", path="cpuset"
        )
