"""What numbers and words of the specifications' JSON may be: ``int`` and ``str`` to mypy, a rule to `reading`.

Only annotations use them, so that a program that reads no config.json does not load this.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Rule(NamedTuple):
    """What a value of the right type has to be besides."""

    holds: Callable[[Any], object]
    allowed: str


def _number(low: int, high: int) -> Rule:
    return Rule(range(low, high + 1).__contains__, f"an int from {low} to {high}")


def _word(*words: str) -> Rule:
    return Rule(frozenset(words).__contains__, ", ".join(words))


def _like(pattern: str, allowed: str) -> Rule:
    return Rule(functools.partial(re.fullmatch, pattern), allowed)  # compiled when it is first used


def _is_interface(name: str) -> bool:
    """Ask what the kernel's dev_valid_name() asks; with room for the NUL in IFNAMSIZ."""
    return 0 < len(name.encode(errors="replace")) < 16 and name not in {".", ".."} and not re.search(r"[/:\s]", name)  # noqa: PLR2004


UInt16 = Annotated[int, _number(0, 2**16 - 1)]
UInt32 = Annotated[int, _number(0, 2**32 - 1)]
UInt64 = Annotated[int, _number(0, 2**64 - 1)]
Int32 = Annotated[int, _number(-(2**31), 2**31 - 1)]
Int64 = Annotated[int, _number(-(2**63), 2**63 - 1)]
OomScore = Annotated[int, _number(-1000, 1000)]
IoLevel = Annotated[int, _number(0, 7)]
Seconds = Annotated[int, _number(1, 2**31 - 1)]
Nanoseconds = Annotated[int, _number(0, 10**9 - 1)]

Version = Annotated[
    str, _like(r"1\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][-+.0-9A-Za-z]+)?", "a version of the specification, 1.x.y")
]
NotEmpty = Annotated[str, Rule(bool, "text that is not empty")]
AbsolutePath = Annotated[str, _like(r"(?s)/.*", "an absolute path")]
Arguments = Annotated[tuple[str, ...], Rule(bool, "at least the program")]
NumberList = Annotated[str, _like(r"[0-9]+(-[0-9]+)?(, *[0-9]+(-[0-9]+)?)*", "a list such as '0-3,7'")]
PageSize = Annotated[str, _like(r"[1-9][0-9]*[KMG]B", "a size such as '2MB'")]

NamespaceType = Annotated[str, _word("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")]
DeviceType = Annotated[str, _word("c", "b", "u", "p")]
DeviceRuleType = Annotated[str, _word("a", "c", "b")]
DeviceAccess = Annotated[str, _like(r"[rwm]+", "letters of 'rwm'")]
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
ClassOfService = Annotated[str, _like(r"/|(?!\.{1,2}$)[^/\n]+", "the name of a directory, or '/'")]
OneLine = Annotated[str, _like(r"[^\n]*", "text of one line")]
BandwidthSchema = Annotated[str, _like(r"MB:[^\n]*", "one line that begins with 'MB:'")]
