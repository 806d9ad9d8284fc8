"""System calls that say how a process is run, as steps."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups._native.calls import lib, syscall_numbers
from pycgroups.oci import runtime_spec as oci
from pycgroups.oci.uncommon import IoPriority, MemoryPolicy, Personality, Scheduler
from pycgroups.runtime import scheduling

WORD = struct.calcsize("@l")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", {0}),
        ("0-3,7", {0, 1, 2, 3, 7}),
        ("5, 1", {1, 5}),
        ("63-65", {63, 64, 65}),
        ("200", {200}),
        ("7,3-2,2-0", {7}),
    ],
)
def test_bits(text, numbers):
    blob = scheduling.bits(text)
    assert len(blob) % WORD == 0
    assert {bit for bit in range(8 * len(blob)) if int.from_bytes(blob, "little") >> bit & 1} == numbers


@given(st.sets(st.integers(0, 500), min_size=1))
def test_any_bits(numbers):
    blob = scheduling.bits(",".join(map(str, numbers)))
    assert int.from_bytes(blob, "little") == sum(1 << number for number in numbers)


def test_a_call_has_its_blob_in_place():
    step = scheduling.affinity("1")
    assert step.op == lib.OP_CALL
    assert step.args == (syscall_numbers()["sched_setaffinity"], 2, 0, WORD, 0)
    assert step.texts == (b"sched_setaffinity", struct.pack("@L", 2))
    assert step.path == "sched_setaffinity"


def test_scheduler_and_priority():
    scheduler = Scheduler(policy="SCHED_DEADLINE", flags=("SCHED_FLAG_RECLAIM",), runtime=1, deadline=2, period=3)
    process = oci.Process(
        args=("a",), scheduler=scheduler, io_priority=IoPriority(class_="IOPRIO_CLASS_BE", priority=4)
    )
    first, second = scheduling.steps(process)
    assert struct.unpack("=IIQiIQQQ", first.texts[1]) == (48, 6, 2, 0, 0, 1, 2, 3)
    assert (first.path, first.args[1]) == ("sched_setattr", 1)
    assert second.args[1:] == (-1, 1, 0, 2 << 13 | 4)
    assert list(scheduling.steps(oci.Process(args=("a",)))) == []


@pytest.mark.parametrize(
    ("policy", "args"),
    [
        (MemoryPolicy(mode="MPOL_DEFAULT"), (-1, 0, 0, 0)),
        (MemoryPolicy(mode="MPOL_BIND", nodes="0"), (1, 2, 0, 8 * WORD + 1)),
        (
            MemoryPolicy(mode="MPOL_INTERLEAVE", nodes="0-1", flags=("MPOL_F_RELATIVE_NODES",)),
            (1, 3 | 1 << 14, 0, 8 * WORD + 1),
        ),
    ],
)
def test_memory_policy(policy, args):
    (step,) = scheduling.linux_steps(oci.Linux(memory_policy=policy))
    assert step.args[1:] == args
    assert step.texts[1] == (scheduling.bits(policy.nodes) if policy.nodes else b"")


@pytest.mark.parametrize(("domain", "number"), [("LINUX", 0), ("LINUX32", 8)])
def test_personality(domain, number):
    (step,) = scheduling.linux_steps(oci.Linux(personality=Personality(domain=domain)))
    assert (step.path, step.args[1:]) == ("personality", (-1, number))
