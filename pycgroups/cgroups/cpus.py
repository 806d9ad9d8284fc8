"""Whether the CPUs and memory nodes of a group exist for it: a cpuset may only have what its parent has."""

from __future__ import annotations

from pycgroups.cgroups.files import read_path
from pycgroups.errors import InvalidConfig, invalid


def check_available(effective_file: str, asked: str | None, path: str) -> None:
    """Compare a list with what the parent has.

    Raises:
        InvalidConfig: some are not there, or it is no list; names `path`.
    """
    if asked is None:
        return
    from pycgroups.cgroups.lists import cpu_numbers

    available = read_path(effective_file).strip()
    try:
        numbers = cpu_numbers(asked)
    except ValueError:
        raise invalid(path, asked, "a list such as '0-3,7'") from None
    if available and not numbers <= cpu_numbers(available):
        raise InvalidConfig(
            f"{asked!r} names some that are not there; allowed: {available}", operation="option", path=path
        )
