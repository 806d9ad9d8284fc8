"""The words of limits: what a user may write, and what it means. Pure: nothing here looks at the host.

The meaning is that of `linux.resources` in the OCI runtime spec
(https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups), except that nothing
but leaving a word out means "no limit": 0 and -1, which runtimes read in different ways, are refused.
"""

from __future__ import annotations

import operator
import os

# Not from collections.abc: that loads all of collections.
from _collections_abc import Mapping

from pycgroups.cgroups.lists import cpu_list, cpu_numbers
from pycgroups.errors import invalid
from pycgroups.frozen import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from attrs import field, fields, frozen
else:
    from pycgroups.frozen import field, fields, frozen

CPU_PERIOD = 100_000
"""Microseconds over which the time of `cpus` is counted: the kernel's default on v1 and v2."""

UNLIMITED = -1
"""Value of `memory_swap` for "as much swap as there is"."""

_LEAST_QUOTA = 1_000  # microseconds; the kernel refuses less (sched-bwc.rst, "Management")
_LEAST_MEMORY = 4_096  # bytes; the kernel rounds down to pages, and no page at all kills at once
_MOST_MEMORY = 1 << 60  # bytes; near 2**63 the kernel reads "unlimited"
_MOST_CPUS = 8_192  # the greatest NR_CPUS of any kernel configuration
MOST_PIDS = 1 << 22
"""PID_MAX_LIMIT, include/linux/threads.h."""

_MOST_WEIGHT = 10_000  # cgroup-v2.rst, "Weights"
_MOST_OPERATIONS = 1 << 32  # a second
_RATES = ("rbps", "wbps", "riops", "wiops")  # as io.max has them
_LEAST_PAGE, _MOST_PAGE = 1 << 14, 1 << 34  # huge pages of any architecture
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


Rates: TypeAlias = "tuple[tuple[str, int], ...]"
IoLimits: TypeAlias = "tuple[tuple[str, Rates], ...]"
Hugepages: TypeAlias = "tuple[tuple[str, int], ...]"
SomeIoLimits: TypeAlias = "Mapping[str, Mapping[str, int | str]] | IoLimits | None"
SomeHugepages: TypeAlias = "Mapping[str, int | str] | Mapping[int, int | str] | Hugepages | None"


def _memory(value: int | str | None) -> int | None:
    return None if value is None else parse_size("memory", value, least=_LEAST_MEMORY)


def _memory_low(value: int | str | None) -> int | None:
    return None if value is None else parse_size("memory_low", value, least=_LEAST_MEMORY)


def _memory_high(value: int | str | None) -> int | None:
    return None if value is None else parse_size("memory_high", value, least=_LEAST_MEMORY)


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
    if number is None or not 1 <= number <= MOST_PIDS:
        raise invalid("pids", value, f"an int, 1 to {MOST_PIDS}")
    return number


def _cpu_weight(value: int | None) -> int | None:
    return _weight("cpu_weight", value)


def _io_weight(value: int | None) -> int | None:
    return _weight("io_weight", value)


def _weight(option: str, value: int | None) -> int | None:
    number = None if value is None else _integer(value)
    if value is not None and (number is None or not 1 <= number <= _MOST_WEIGHT):
        raise invalid(option, value, f"an int, 1 to {_MOST_WEIGHT} (100 is the usual)")
    return number


def _io_limits(value: SomeIoLimits) -> IoLimits | None:
    if value is None:
        return None
    result = {}
    for device, rates in _pairs("io_limits", value, '{"/dev/NAME": {"rbps": ...}}'):
        path = os.fspath(device) if isinstance(device, str | os.PathLike) else ""
        if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
            raise invalid("io_limits", device, "the absolute path of a block device")
        key = f"io_limits[{path!r}]"
        result[path] = tuple(sorted(_rate(key, *pair) for pair in _pairs(key, rates, '{"rbps": ...}')))
        if not result[path]:
            raise invalid(key, rates, f"some of {', '.join(_RATES)}")
    return tuple(sorted(result.items())) or None


def _rate(key: str, word: object, value: object) -> tuple[str, int]:
    if not isinstance(word, str) or word not in _RATES:
        raise invalid(key, word, " or ".join(_RATES))
    if word.endswith("bps"):
        return word, parse_size(f"{key}[{word!r}]", value)
    number = _integer(value)
    if number is None or not 1 <= number <= _MOST_OPERATIONS:
        raise invalid(f"{key}[{word!r}]", value, f"an int of operations a second, 1 to {_MOST_OPERATIONS}")
    return word, number


def _hugepages(value: SomeHugepages) -> Hugepages | None:
    if value is None:
        return None
    result = {}
    for size, most in _pairs("hugepages", value, '{"2M": "64M"}'):
        page = _page_size(size)
        result[page] = parse_size(f"hugepages[{page!r}]", most, least=0)
    return tuple(sorted(result.items())) or None


def _page_size(value: object) -> str:
    """Name a page size as the kernel and OCI do: "2MB" (hugetlb.rst)."""
    size = parse_size("hugepages", value)
    if size & (size - 1) or not _LEAST_PAGE <= size <= _MOST_PAGE:
        raise invalid("hugepages", value, 'the size of a huge page, such as "2M" or "1G"')
    unit = min((size.bit_length() - 1) // 10, 3)
    return f"{size >> 10 * unit}{'_KMG'[unit]}B"


def _pairs(key: str, value: object, allowed: str) -> Iterable[tuple[object, object]]:
    """Items of a dict, or of the tuple of pairs that is its normal form."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):  # noqa: PLR2004
        return value
    raise invalid(key, value, f"a dict: {allowed}")


@frozen(kw_only=True)
class Limits:
    """What a group's processes may use together. None, the default of each word, sets no limit.

    Every word is validated here, so a `Limits` that exists is right in itself; whether this host can
    enforce it is known when the group is made.

    Attributes:
        memory: bytes of memory, page cache included; or "64M", "1.5G". At least 4096.
        memory_swap: bytes of memory and swap together (the OCI meaning), at least `memory`; -1 for any
            amount of swap. With `memory` given and this left out there is no swap.
        memory_low: bytes that are not reclaimed as long as groups beside have more (v1: a soft limit; v2: no further
            than the groups above are protected themselves).
        memory_high: bytes above which the group is slowed down and reclaimed from, and nothing is killed (v2 alone).
        cpus: CPU time per time, 1.5 for one and a half CPUs; at least 0.01 (a quota of 1 ms in 100 ms).
        cpu_weight: share of CPU time against groups beside, 1 to 10000; 100 is the usual. It counts when CPUs
            are short.
        cpuset: the CPUs that may be used, "0-1,3". Overlapping ranges are united.
        pids: how many processes and threads may exist at once.
        io_weight: share of block devices against groups beside, 1 to 10000; 100 is the usual. It counts where
            the BFQ scheduler or, on v2, io.cost is on.
        io_limits: most per second on block devices, `{"/dev/sda": {"rbps": "10M", "wiops": 100}}`: bytes
            (rbps, wbps) and operations (riops, wiops) read and written. Whole disks, by absolute path.
        hugepages: bytes in huge pages, by page size, `{"2M": "64M"}`; 0 for none.

    Raises:
        InvalidConfig: with the option's name as `path`.
    """

    __repr__ = brief

    memory: int | None = field(default=None, converter=_memory)
    memory_swap: int | None = field(default=None, converter=_memory_swap)
    memory_low: int | None = field(default=None, converter=_memory_low)
    memory_high: int | None = field(default=None, converter=_memory_high)
    cpus: float | None = field(default=None, converter=_cpus)
    cpu_weight: int | None = field(default=None, converter=_cpu_weight)
    cpuset: str | None = field(default=None, converter=_cpuset)
    pids: int | None = field(default=None, converter=_pids)
    io_weight: int | None = field(default=None, converter=_io_weight)
    io_limits: IoLimits | None = field(default=None, converter=_io_limits)
    hugepages: Hugepages | None = field(default=None, converter=_hugepages)

    def __attrs_post_init__(self) -> None:
        """Check what concerns two words."""
        if self.memory is not None:
            for word, value in (("memory_low", self.memory_low), ("memory_high", self.memory_high)):
                if value is not None and value > self.memory:
                    raise invalid(word, value, f"at most memory ({self.memory})")
        if self.memory_swap is None:
            return
        if self.memory is None:
            raise invalid("memory_swap", self.memory_swap, "with memory only: it is the sum of memory and swap")
        if self.memory_swap != UNLIMITED and self.memory_swap < self.memory:
            raise invalid("memory_swap", self.memory_swap, f"at least memory ({self.memory}), or -1")

    def only(self, words: Iterable[str]) -> Limits:
        """Keep some words, and what these need: one file of swap has two of them in it."""
        kept = {*words}
        if kept & {"memory", "memory_swap"}:
            kept |= {"memory", "memory_swap"}
        return Limits(**{word: getattr(self, word) for word in kept})


NO_LIMITS = Limits()
WORDS = tuple(field.name for field in fields(Limits))
"""The words of limits."""


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
