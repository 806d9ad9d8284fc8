"""What numbers and words of the specifications' JSON may be: ``int`` and ``str`` to mypy, a rule to `reader`.

The models name them in annotations only, so that a program that reads no config.json does not load this. One that does
may be a short command: no rule is a regular expression, whose module takes longer to load than a config.json to read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Annotated, Any, NamedTuple
else:
    from pycgroups.records import NamedTuple

    class Annotated:
        """As `typing.Annotated`, which is slow to load: the pair of a type and its rule."""

        __class_getitem__ = tuple


class Rule(NamedTuple):
    """What a value of the right type has to be besides."""

    holds: Callable[[Any], object]
    allowed: str


def _number(low: int, high: int) -> Rule:
    return Rule(range(low, high + 1).__contains__, f"an int from {low} to {high}")


def _word(*words: str) -> Rule:
    return Rule(frozenset(words).__contains__, ", ".join(words))


_DIGITS = frozenset("0123456789")
_LONGEST_MEDIA_TYPE = 255
_BITS = 8192  # the greatest NR_CPUS of any kernel configuration; of nodes there are fewer
_LOWER_HEX = frozenset("0123456789abcdef")
_OF_A_SUFFIX = frozenset("-+.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _is_number(text: str) -> bool:
    return bool(text) and _DIGITS.issuperset(text)


def _is_version(text: str) -> bool:
    """Take what semver.org does: no zero in front, a suffix after ``-`` or ``+``."""
    core = text.replace("+", "-").partition("-")[0]
    suffix, numbers = text[len(core) :], core.split(".")
    return (
        len(numbers) == 3  # noqa: PLR2004 (major, minor, patch)
        and numbers[0] == "1"
        and all(_is_number(number) and (number == "0" or number[0] != "0") for number in numbers)
        and len(suffix) != 1
        and _OF_A_SUFFIX.issuperset(suffix)
    )


def _is_number_list(text: str) -> bool:
    first, *rest = text.split(",")
    ranges = [one.split("-") for one in (first, *(one.lstrip(" ") for one in rest))]
    return all(len(one) <= 2 and all(map(_is_bit, one)) for one in ranges)  # noqa: PLR2004 (from, to)


def _is_bit(text: str) -> bool:
    """Take a number that no mask of CPUs or nodes is too short for; a larger one would take memory without end."""
    digits = text.lstrip("0")
    return _is_number(text) and len(digits) <= len(str(_BITS)) and int(digits or 0) < _BITS


def _is_page_size(text: str) -> bool:
    return text[-2:] in {"KB", "MB", "GB"} and _is_number(text[:-2]) and text[0] != "0"


def _is_absolute(text: str) -> bool:
    return text.startswith("/")


def _is_access(text: str) -> bool:
    return bool(text) and not text.strip("rwm")


def _is_interface(name: str) -> bool:
    """Ask what the kernel's dev_valid_name() asks; with room for the NUL in IFNAMSIZ."""
    if not 0 < len(name.encode(errors="replace")) < 16 or name in {".", ".."}:  # noqa: PLR2004
        return False
    return not any(letter in "/:" or letter.isspace() for letter in name)


def _is_class_of_service(text: str) -> bool:
    return text == "/" or (text not in {"", ".", ".."} and "/" not in text and "\n" not in text)


def _is_one_line(text: str) -> bool:
    return "\n" not in text


def _is_digest(text: str) -> bool:
    """Take the registered algorithms; descriptor.md, "Digests". It becomes a file name, so nothing else."""
    algorithm, _, encoded = text.partition(":")
    return len(encoded) == {"sha256": 64, "sha512": 128}.get(algorithm) and _LOWER_HEX.issuperset(encoded)


def _is_media_type(text: str) -> bool:
    """Take what RFC 6838, 4.2 does, and parameters after it."""
    kind, _, name = text.partition("/")
    return bool(kind and name) and len(text) <= _LONGEST_MEDIA_TYPE and text.isascii() and text.isprintable()


def _is_bandwidth(text: str) -> bool:
    return text.startswith("MB:") and "\n" not in text


UInt16 = Annotated[int, _number(0, 2**16 - 1)]
UInt32 = Annotated[int, _number(0, 2**32 - 1)]
UInt64 = Annotated[int, _number(0, 2**64 - 1)]
# Of a user or a group. 2**32 - 1 is -1 to the kernel, which then leaves the id as it is: setresuid(2), chown(2).
Id = Annotated[int, _number(0, 2**32 - 2)]
Int32 = Annotated[int, _number(-(2**31), 2**31 - 1)]
Int64 = Annotated[int, _number(-(2**63), 2**63 - 1)]
OomScore = Annotated[int, _number(-1000, 1000)]
IoLevel = Annotated[int, _number(0, 7)]
Seconds = Annotated[int, _number(1, 2**31 - 1)]
Nanoseconds = Annotated[int, _number(0, 10**9 - 1)]

Version = Annotated[str, Rule(_is_version, "a version of the specification, 1.x.y")]
NotEmpty = Annotated[str, Rule(bool, "text that is not empty")]
AbsolutePath = Annotated[str, Rule(_is_absolute, "an absolute path")]
Arguments = Annotated[tuple[str, ...], Rule(bool, "at least the program")]
NumberList = Annotated[str, Rule(_is_number_list, "a list such as '0-3,7' of numbers below 8192")]
PageSize = Annotated[str, Rule(_is_page_size, "a size such as '2MB'")]

NamespaceType = Annotated[str, _word("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")]
DeviceType = Annotated[str, _word("c", "b", "u", "p")]
DeviceRuleType = Annotated[str, _word("a", "c", "b")]
DeviceAccess = Annotated[str, Rule(_is_access, "letters of 'rwm'")]
InterfaceName = Annotated[str, Rule(_is_interface, "a name of up to 15 bytes without '/', ':' and spaces")]
# runc and crun take the recursive ones, too, and podman writes them.
Propagation = Annotated[
    str, _word("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable")
]
Clock = Annotated[str, _word("monotonic", "boottime")]
PersonalityDomain = Annotated[str, _word("LINUX", "LINUX32")]
RlimitType = Annotated[
    str,
    _word(
        *("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK"),
        *("RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO"),
        *("RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"),
    ),
]
SchedulerPolicy = Annotated[
    str,
    _word(
        *("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"),
    ),
]
SchedulerFlag = Annotated[
    str,
    _word(
        *("SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY"),
        *("SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"),
    ),
]
IoClass = Annotated[str, _word("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE")]
MemoryMode = Annotated[
    str,
    _word(
        *("MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED"),
        *("MPOL_PREFERRED_MANY", "MPOL_LOCAL"),
    ),
]
MemoryFlag = Annotated[str, _word("MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES")]
ClassOfService = Annotated[str, Rule(_is_class_of_service, "the name of a directory, or '/'")]
OneLine = Annotated[str, Rule(_is_one_line, "text of one line")]
BandwidthSchema = Annotated[str, Rule(_is_bandwidth, "one line that begins with 'MB:'")]

DIGEST = Rule(_is_digest, "'sha256:' or 'sha512:' and the digest in lower hexadecimal")
DigestText = Annotated[str, DIGEST]
MediaType = Annotated[str, Rule(_is_media_type, "a media type such as 'application/json'")]
Size = Annotated[int, _number(0, 2**63 - 1)]
Nanoseconds64 = Annotated[int, _number(0, 2**63 - 1)]
SchemaVersion = Annotated[int, _number(2, 2)]
