"""How a process is scheduled, where its memory comes from, and what it takes the machine for: one system call each."""

from __future__ import annotations

import struct

from pycgroups.runtime.program import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.oci.runtime_spec import Linux, Process
    from pycgroups.oci.uncommon import IoPriority, MemoryPolicy, Scheduler
    from pycgroups.runtime.steps import Step

# linux/sched.h
_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")  # struct sched_attr, SCHED_ATTR_SIZE_VER0: sched_setattr(2)

# linux/ioprio.h
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IO_CLASS_SHIFT = 13
_IO_WHO_PROCESS = 1

# linux/mempolicy.h
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_NUMA_BALANCING": 1 << 13}

_DOMAINS = {"LINUX": 0, "LINUX32": 8}  # linux/personality.h
_LONG_BITS = 8 * struct.calcsize("@l")


def steps(process: Process) -> Iterator[Step]:
    """Yield what the process asks for; while it still has its capabilities."""
    if process.scheduler is not None:
        yield call("sched_setattr", 0, 0, blob=_attributes(process.scheduler), at=1)
    if process.io_priority is not None:
        yield call("ioprio_set", _IO_WHO_PROCESS, 0, _io_priority(process.io_priority))


def linux_steps(linux: Linux) -> Iterator[Step]:
    """Yield what the whole container asks for."""
    if linux.personality is not None:
        yield call("personality", _DOMAINS[linux.personality.domain])
    if linux.memory_policy is not None:
        policy = linux.memory_policy
        if policy.nodes:
            blob = bits(policy.nodes)
            yield call("set_mempolicy", _memory_mode(policy), 8 * len(blob) + 1, blob=blob, at=1)
        else:
            yield call("set_mempolicy", _memory_mode(policy), 0, 0)


def affinity(cpus: str) -> Step:
    """Return the step that ties a process to some CPUs; sched_setaffinity(2)."""
    blob = bits(cpus)
    return call("sched_setaffinity", 0, len(blob), blob=blob, at=2)


def bits(numbers: str) -> bytes:
    """Return the bits of a list such as ``0-3,7``, in whole words of the kernel's."""
    mask = 0
    for part in numbers.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        mask |= max(0, (1 << int(last or first) + 1) - (1 << int(first)))
    words = max(1, -(-mask.bit_length() // _LONG_BITS))
    return struct.pack(f"@{words}L", *(mask >> _LONG_BITS * word & (1 << _LONG_BITS) - 1 for word in range(words)))


def _attributes(scheduler: Scheduler) -> bytes:
    flags = 0
    for flag in scheduler.flags:
        flags |= _FLAGS[flag]
    return _SCHED_ATTR.pack(
        _SCHED_ATTR.size,
        _POLICIES[scheduler.policy],
        flags,
        scheduler.nice,
        scheduler.priority,
        scheduler.runtime,
        scheduler.deadline,
        scheduler.period,
    )


def _io_priority(priority: IoPriority) -> int:
    return _IO_CLASSES[priority.class_] << _IO_CLASS_SHIFT | priority.priority


def _memory_mode(policy: MemoryPolicy) -> int:
    mode = MEMORY_MODES[policy.mode]
    for flag in policy.flags:
        mode |= MEMORY_FLAGS[flag]
    return mode
