"""Lists of CPUs and memory nodes, "0-2,7", and the numbers in them. Pure."""

from __future__ import annotations

_MOST = 8_192  # the greatest NR_CPUS of any kernel configuration
_LONGEST = 40  # characters of a number, as typed


def cpu_numbers(text: str) -> frozenset[int]:
    """Expand a list of CPUs, "0-2,7", to its numbers (`cpuset(7)`, "List format"); "" has none.

    Raises:
        ValueError: not such a list, or a number of 8192 or more.
    """
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        low = _cpu_number(first)
        high = _cpu_number(last) if dash else low
        if high < low:
            raise ValueError(part)
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def cpu_list(numbers: frozenset[int]) -> str:
    """Write CPU numbers as a list with ranges: the reverse of `cpu_numbers`."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{low}-{high}" if high > low else str(low) for low, high in ranges)


def _cpu_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST or int(text) >= _MOST:
        raise ValueError(text)
    return int(text)
