"""The words of limits: what a user may write, and what it means. Pure: nothing here looks at the host.

The meaning is that of `linux.resources` in the OCI runtime spec
(https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups), except that nothing
but leaving a word out means "no limit": 0 and -1, which runtimes read in different ways, are refused.
"""

from __future__ import annotations

import operator

import attrs

from pycgroups.errors import invalid

CPU_PERIOD = 100_000
"""Microseconds over which the time of `cpus` is counted: the kernel's default on v1 and v2."""

UNLIMITED = -1
"""Value of `memory_swap` for "as much swap as there is"."""

_LEAST_QUOTA = 1_000  # microseconds; the kernel refuses less (sched-bwc.rst, "Management")
_LEAST_MEMORY = 4_096  # bytes; the kernel rounds down to pages, and no page at all kills at once
_MOST_MEMORY = 1 << 60  # bytes; near 2**63 the kernel reads "unlimited"
_MOST_CPUS = 8_192  # the greatest NR_CPUS of any kernel configuration
_MOST_PIDS = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
_LONGEST_NUMBER = 40  # characters, as typed
_FACTORS = {"": 1, "b": 1} | {
    letter + tail: 1024**power for power, letter in enumerate("kmgtpe", 1) for tail in ("", "b", "ib")
}


def parse_size(option: str, value: object, *, least: int = 1) -> int:
    """Read a size in bytes.

    Args:
        option: the option's name, for the error.
        value: an int of bytes, or a string such as "512", "64M", "1.5G", "64MiB": powers of 1024.
        least: the smallest size allowed, in bytes.

    Returns:
        Bytes, rounded down.

    Raises:
        InvalidConfig: not a size, smaller than `least` or greater than 1 EiB.
    """
    size = _size_of_text(value) if isinstance(value, str) else _integer(value)
    if size is None:
        raise invalid(option, value, 'an int of bytes, or a string like "64M" or "1.5G" (powers of 1024)')
    if not least <= size <= _MOST_MEMORY:
        raise invalid(option, value, f"{least} to {_MOST_MEMORY} bytes")
    return size


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


def _memory(value: int | str | None) -> int | None:
    return None if value is None else parse_size("memory", value, least=_LEAST_MEMORY)


def _memory_swap(value: int | str | None) -> int | None:
    if value is None:
        return None
    if value == "-1" or _integer(value) == UNLIMITED:
        return UNLIMITED
    return parse_size("memory_swap", value, least=_LEAST_MEMORY)


def _cpus(value: float | None) -> float | None:
    if value is None:
        return None
    least = _LEAST_QUOTA / CPU_PERIOD
    number = value if isinstance(value, float) else _integer(value)
    if number is None or not least <= number <= _MOST_CPUS:
        raise invalid("cpus", value, f"a number of CPUs, {least} to {_MOST_CPUS}")
    return float(number)


def _cpuset(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        numbers = cpu_numbers(value.replace(" ", "")) if isinstance(value, str) else frozenset()
    except ValueError:
        numbers = frozenset()
    if not numbers:
        raise invalid("cpuset", value, 'a list of CPU numbers such as "0-1,3"')
    return cpu_list(numbers)


def _pids(value: int | None) -> int | None:
    if value is None:
        return None
    number = _integer(value)
    if number is None or not 1 <= number <= _MOST_PIDS:
        raise invalid("pids", value, f"an int, 1 to {_MOST_PIDS}")
    return number


@attrs.frozen(kw_only=True)
class Limits:
    """What a group's processes may use together. None, the default of each word, sets no limit.

    Every word is validated here, so a `Limits` that exists is right in itself; whether this host can
    enforce it is known when the group is made.

    Attributes:
        memory: bytes of memory, page cache included; or "64M", "1.5G". At least 4096.
        memory_swap: bytes of memory and swap together (the OCI meaning), at least `memory`; -1 for any
            amount of swap. With `memory` given and this left out there is no swap.
        cpus: CPU time per time, 1.5 for one and a half CPUs; at least 0.01 (a quota of 1 ms in 100 ms).
        cpuset: the CPUs that may be used, "0-1,3". Overlapping ranges are united.
        pids: how many processes and threads may exist at once.

    Raises:
        InvalidConfig: with the option's name as `path`.
    """

    memory: int | None = attrs.field(default=None, converter=_memory)
    memory_swap: int | None = attrs.field(default=None, converter=_memory_swap)
    cpus: float | None = attrs.field(default=None, converter=_cpus)
    cpuset: str | None = attrs.field(default=None, converter=_cpuset)
    pids: int | None = attrs.field(default=None, converter=_pids)

    def __attrs_post_init__(self) -> None:
        """Check what concerns two words."""
        if self.memory_swap is None:
            return
        if self.memory is None:
            raise invalid("memory_swap", self.memory_swap, "with memory only: it is the sum of memory and swap")
        if self.memory_swap != UNLIMITED and self.memory_swap < self.memory:
            raise invalid("memory_swap", self.memory_swap, f"at least memory ({self.memory}), or -1")

    @property
    def controllers(self) -> frozenset[str]:
        """Name the controllers that enforce these limits."""
        words = (("memory", self.memory), ("cpu", self.cpus), ("cpuset", self.cpuset), ("pids", self.pids))
        return frozenset(name for name, value in words if value is not None)

    @property
    def memory_and_swap(self) -> int | None:
        """Bytes of memory and swap together, `UNLIMITED`, or None when memory has no limit."""
        return self.memory if self.memory_swap is None else self.memory_swap

    @property
    def cpu_quota(self) -> int | None:
        """Microseconds of CPU time in each `CPU_PERIOD`."""
        return None if self.cpus is None else round(self.cpus * CPU_PERIOD)

    def words(self, controller: str) -> tuple[str, ...]:
        """Name the limits given here that a controller enforces."""
        return tuple(word for word in _WORDS[controller] if getattr(self, word) is not None)


_WORDS = {
    "memory": ("memory", "memory_swap"),
    "cpu": ("cpus",),
    "cpuset": ("cpuset",),
    "pids": ("pids",),
}


def _size_of_text(text: str) -> int | None:
    """Bytes of "1.5G"; None if it is none. In integers: a float would round what is above 2**53."""
    text = text.strip().lower()
    number = text.rstrip("bkmgtpei")
    factor = _FACTORS.get(text[len(number) :])
    whole, dot, fraction = number.partition(".")
    parts = (whole, fraction) if dot else (whole,)
    if factor is None or len(number) > _LONGEST_NUMBER or not all(p.isascii() and p.isdigit() for p in parts):
        return None
    size: int = int(whole + fraction) * factor // 10 ** len(fraction)
    return size


def _integer(value: object) -> int | None:
    """Value as an int; None if it is none. A bool is none: memory=True is a mistake."""
    if isinstance(value, bool):
        return None
    try:
        number: int = operator.index(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return None
    return number


def _cpu_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST_NUMBER or int(text) >= _MOST_CPUS:
        raise ValueError(text)
    return int(text)
