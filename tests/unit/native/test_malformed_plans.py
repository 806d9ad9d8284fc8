"""Plans that no planner wrote: each is refused or performed, and none crashes the library or the helper.

Nothing is performed here: `begin` only checks and sends, and the helper, which has no rights, gets only what the check
refuses.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups._native import spawning
from pycgroups._native.calls import lib
from pycgroups.containers.assemble import assemble
from pycgroups.containers.config import ContainerConfig

TREE = Path(__file__).parents[3]
HEADER = struct.Struct("=7IiQ")
STEP = struct.Struct(f"=2I{lib.PLAN_ARGS}q{2 * lib.PLAN_STRINGS}I")
FAILED, LEFT = 1, 125


def valid_plan():
    config = ContainerConfig(command=["true"], hostname="here", sysctls={"net.ipv4.ip_forward": "1"})
    return assemble(config, joins=0, terminal=None).plan.encode()


def accepted(plan):
    """What the library says to a plan: 0 or -errno."""
    spawned = spawning.Spawned()
    try:
        return spawning.begin(spawned, plan)
    finally:
        spawned.close()


ALL_OF_THEM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_malformed_plans as this
plan = this.valid_plan()
assert this.accepted(plan) == 0
steps = this.HEADER.unpack_from(plan)[6]
refused = 0
for end in range(len(plan)):
    assert this.accepted(plan[:end]) == -this.errno.EINVAL, end
    # The size in the header says that this is all.
    cut = plan[:4] + this.struct.pack("=I", end) + plan[8:end]
    assert this.accepted(cut[:end]) in (0, -this.errno.EINVAL), end
for bit in range(8 * (this.HEADER.size + steps * this.STEP.size)):
    flipped = bytearray(plan)
    flipped[bit // 8] ^= 1 << bit % 8
    answer = this.accepted(bytes(flipped))
    assert answer in (0, -this.errno.EINVAL), (bit, answer)
    refused += answer != 0
print(refused)
"""


def test_every_truncation_and_every_flipped_bit():
    command = [sys.executable, "-c", ALL_OF_THEM, os.path.dirname(__file__)]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=TREE, check=False)
    assert done.returncode == 0
    assert int(done.stdout) > 1000


numbers = st.integers(0, 2**32 - 1)


@given(st.binary(max_size=4096), st.tuples(numbers, numbers, numbers, st.integers(0, 50)))
def test_bytes_with_a_good_beginning(rest, counts):
    flags, prepare, setup, steps = counts
    header = HEADER.pack(lib.PLAN_MAGIC, HEADER.size + len(rest), flags, 0, prepare % 8, setup % 64, steps, -1, 0)
    assert accepted(header + rest) in (0, -errno.EINVAL)


def test_only_trees_are_opened_with_the_rights_of_the_caller():
    """The first steps are performed by the library itself: they may open, and do nothing else."""
    plan = bytearray(valid_plan())
    fields = list(HEADER.unpack_from(plan))
    fields[4] = fields[5]  # all of `setup` is `prepare` now
    HEADER.pack_into(plan, 0, *fields)
    assert accepted(bytes(plan)) == -errno.EINVAL


# -- the helper ----------------------------------------------------------------------------------------------------


NOBODY = 65534


def become_harmless():
    """Whatever a plan turns out to say, it is not to be done to this machine with root's rights."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def converse(data):
    """Say something to a helper and hang up; its exit code, and its last words."""
    assert accepted(data) < 0, "this would be performed"
    ours, its = socket.socketpair()
    executable, self = spawning.helper(), os.pidfd_open(os.getpid())
    pid = os.fork()
    if pid == 0:
        try:
            become_harmless()
            for fd, number in ((its.fileno(), 203), (self, 204), (executable, 205), (203, 3), (204, 4)):
                os.dup2(fd, number)
            os.closerange(5, 203)
            os.execve(205, ["helper"], {})
        finally:
            os._exit(1)
    its.close()
    os.close(executable)
    os.close(self)
    with ours:
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(data)
        with suppress(OSError):
            ours.shutdown(socket.SHUT_WR)
        words = b""
        with suppress(ConnectionResetError):
            while chunk := ours.recv(4096):
                words += chunk
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), words


def test_the_helper_leaves_when_nothing_is_said():
    assert converse(b"")[0] == LEFT


@pytest.mark.parametrize("end", [1, 4, 31, 32, 33, 100, 5000, -1])
def test_the_helper_leaves_when_the_plan_ends_early(end):
    status, words = converse(valid_plan()[:end])
    assert status == LEFT
    assert not words or struct.unpack_from("=Iii", words)[:2] == (FAILED, -1)


@pytest.mark.parametrize("field", [0, 1, 4, 5, 6])  # not the flags, of which every combination is one
@pytest.mark.parametrize("value", [2**16, 2**31, 2**32 - 1])
def test_the_helper_leaves_when_the_header_is_wrong(field, value):
    plan = bytearray(valid_plan())
    struct.pack_into("=I", plan, 4 * field, value)
    assert accepted(bytes(plan)) == -errno.EINVAL
    status, words = converse(bytes(plan) + b"!")
    assert status == LEFT
    assert not words or struct.unpack_from("=Iii", words)[:2] == (FAILED, -1)


@given(st.binary(max_size=200))
def test_the_helper_leaves_when_it_hears_nonsense(data):
    assert converse(data)[0] == LEFT
