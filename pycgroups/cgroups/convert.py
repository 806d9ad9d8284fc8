"""Between the units of v1, of v2 and of the OCI runtime specification. Pure; each formula names its source.

OCI keeps v1's units (shares, blkio weights, memory and swap together); v2 has others.
"""

from __future__ import annotations

import math

from pycgroups.errors import InvalidConfig

UNLIMITED = -1
"""OCI's value for "no limit"."""

SHARES = range(2, 262_145)
"""cpu.shares: MIN_SHARES and MAX_SHARES of kernel/sched/sched.h; 1024 by default."""

WEIGHTS = range(1, 10_001)
"""cpu.weight and io.weight (cgroup-v2.rst, "Weights"); 100 by default."""

BLKIO_WEIGHTS = range(10, 1_001)
"""OCI's weights of block devices (config-linux.md, "Block IO")."""

_DEFAULT_WEIGHT = 100


def cpu_weight(shares: int) -> int:
    """Turn `cpu.shares` (v1, OCI) into `cpu.weight` (v2): least, default and most of one are those of the other.

    The quadratic curve through these three, in logarithms, of runc 1.3.2 and crun 1.23
    (https://github.com/opencontainers/cgroups/pull/20); before, the default of 1024 became 39.
    """
    if shares <= SHARES[0]:
        return WEIGHTS[0]
    if shares >= SHARES[-1]:
        return WEIGHTS[-1]
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def cpu_shares(weight: int) -> int:
    """Turn `cpu.weight` (v2) into `cpu.shares`, in proportion: twice the weight is twice the share.

    So a weight means the same on v1; it is not the way back of `cpu_weight`, which bends proportions for the sake of
    the ends. `cgroup_cpu_weight_to_shares` of systemd (src/core/cgroup.c).
    """
    return max(SHARES[0], weight * 1_024 // _DEFAULT_WEIGHT)


def io_weight(blkio_weight: int) -> int:
    """Turn OCI's weight of block devices into `io.weight` (v2), in proportion to the ranges.

    As runc and crun do: https://github.com/containers/crun/blob/1.23/crun.1.md#cgroup-v2
    """
    return 1 + (blkio_weight - 10) * 9_999 // 990


def blkio_weight(weight: int) -> int:
    """Turn `io.weight` (v2) into BFQ's weight, which is what OCI's became; 100 stays 100, the default of both.

    BFQ_WEIGHT of systemd (src/basic/cgroup-util.h), but no less than OCI allows.
    """
    if weight <= _DEFAULT_WEIGHT:
        return max(BLKIO_WEIGHTS[0], weight)
    return _DEFAULT_WEIGHT + (weight - _DEFAULT_WEIGHT) * 900 // 9_900


def swap_max(limit: int | None, both: int | None) -> int | None:
    """Turn memory and swap together (v1, OCI) into `memory.swap.max` (v2), which is swap alone; None for "leave it".

    Memory without a limit has swap without one, unless it is given, as in runc (`ConvertMemorySwapToCgroupV2Value`,
    https://github.com/opencontainers/cgroups/blob/v0.0.4/utils.go).

    Raises:
        InvalidConfig: the sum is given and the limit of memory is not.
    """
    if both is None:
        return UNLIMITED if limit == UNLIMITED else None
    if both == UNLIMITED:
        return UNLIMITED
    if limit is None:
        raise InvalidConfig(
            "is the sum of memory and swap: on cgroup v2, give memory.limit with it",
            operation="option",
            path="resources.memory.swap",
        )
    return both if limit == UNLIMITED else both - limit


def amount(number: int) -> str:
    """Write a limit as v2's files (and v1's pids.max) have it: -1 is "max"."""
    return "max" if number == UNLIMITED else str(number)
