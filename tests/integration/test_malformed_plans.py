"""Valid plans with one bit changed, performed: an error of the library's own, or a run; no crash and no hang.

In a mount namespace apart, and always in a user namespace, whatever the plan turns out to say.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.subjects import TREE
from tests.worlds import features

PERFORM = """
import os, random, select, sys
import pycgroups as pc
from pycgroups.containers.assemble import assemble
from pycgroups.containers.config import ContainerConfig
from pycgroups.runtime import launch

parts = assemble(ContainerConfig(command=["true"]), joins=0, terminal=None)
assert parts.idmap.uids and parts.plan.namespaces & launch.lib.CLONE_NEWUSER
null = os.open("/dev/null", os.O_RDWR)
descriptors = len(os.listdir("/proc/self/fd"))
dice = random.Random(int(sys.argv[1]))

def perform(plan):
    running = launch.Running(parts.plan)
    try:
        maps = {"uid_mappings": parts.idmap.uids, "gid_mappings": parts.idmap.gids}
        launch.launch(running, plan, stdio=(null, null, null), **maps)
        poll = select.poll()
        poll.register(running.pidfd, select.POLLIN)
        assert poll.poll(20000), "hangs"
        running.hear()
        status = running.reap()[0]
        assert not running.started or running.status is not None or status != 0
        return "ran" if running.failure is None else "failed"
    except pc.Error:
        return "refused"
    finally:
        running.close()

assert perform(parts.encoded) == "ran"
seen = {"ran": 0, "failed": 0, "refused": 0}
for _ in range(int(sys.argv[2])):
    plan = bytearray(parts.encoded)
    plan[dice.randrange(len(plan))] ^= 1 << dice.randrange(8)
    seen[perform(bytes(plan))] += 1
assert all(seen.values()), seen
assert len(os.listdir("/proc/self/fd")) == descriptors
"""


@pytest.mark.requires("root", "userns", "unshare")
@pytest.mark.parametrize(
    "rounds",
    [pytest.param(40 if features.IN_VM else 400, id="some"), pytest.param(20_000, marks=pytest.mark.long, id="many")],
)
def test_one_bit_is_changed(rounds):
    apart = ["unshare", "--mount", "--propagation=private"]
    command = [*apart, sys.executable, "-c", PERFORM, "1", str(rounds)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(TREE)}, stderr=subprocess.PIPE, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
