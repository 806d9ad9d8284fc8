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
from contextlib import suppress
import attrs
import pycgroups as pc
from pycgroups.containers.assemble import assemble
from pycgroups.containers.config import ContainerConfig
from pycgroups.oci import runtime_spec as oci
from pycgroups.runtime import confinement, launch, plan as plans

GO = b"\\0" * 16  # as often as anything waits for a word
parts = assemble(ContainerConfig(command=["true"]), joins=0, terminal=None)
assert parts.idmap.uids and parts.plan.namespaces & launch.lib.CLONE_NEWUSER
null = os.open("/dev/null", os.O_RDWR)
dice = random.Random(int(sys.argv[1]))

def created():
    # A container of a config.json that asks for what few do.
    spec, rule = parts.spec, oci.SyscallRule(names=("mkdir",), action="SCMP_ACT_ERRNO")
    process = attrs.evolve(
        spec.process, env=("PATH=/bin:/usr/bin",), scheduler=oci.Scheduler(policy="SCHED_BATCH", nice=1)
    )
    tmpfs = [oci.Mount(destination=place, type="tmpfs", options=words)
             for place, words in (("/etc/pam.d", ("tmpcopyup",)), ("/tmp", ()))]
    linux = attrs.evolve(
        spec.linux,
        namespaces=(*spec.linux.namespaces, oci.NamespaceSpec("time")),
        time_offsets=(("boottime", oci.TimeOffset(secs=5)),),
        personality=oci.Personality(domain="LINUX32"),
        net_devices=(("none", oci.NetDevice()),),
        seccomp=oci.Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,)),
        masked_paths=("/proc/kcore",),
    )
    spec = attrs.evolve(spec, process=process, mounts=(*spec.mounts, *tmpfs), linux=linux)
    # A listener, but no call that waits for one: with another bit it could be write(2), and that would wait for ever.
    flags = launch.lib.SECCOMP_FILTER_FLAG_NEW_LISTENER
    manner = confinement.manner(process, linux.seccomp)._replace(
        detached=True, start=True, waits=True, handed=1, seccomp_flags=flags
    )
    return plans.make_plan(spec, parts.rootfs, privileged=True, manner=manner)

os.mkfifo("fifo")
fifo = os.open("fifo", os.O_RDWR)
valid, given = (parts.plan, ()) if sys.argv[3] == "run" else (created(), (fifo, null))
encoded = valid.encode()
descriptors = len(os.listdir("/proc/self/fd"))

def perform(plan):
    os.write(fifo, GO)
    running = launch.Running(valid)
    try:
        maps = {"uid_mappings": parts.idmap.uids, "gid_mappings": parts.idmap.gids}
        launch.launch(running, plan, stdio=(null, null, null), given=given, **maps)
        with suppress(OSError):
            os.write(running.control, GO)
        while running.hear():
            poll = select.poll()
            poll.register(running.control, select.POLLIN)
            if not poll.poll(20000):  # as it may, where the filter or a step has become one that waits
                return "waits"  # and is killed
        poll = select.poll()
        poll.register(running.pidfd, select.POLLIN)
        assert poll.poll(20000), "hangs"
        status = running.reap()[0]
        assert not (valid.init and running.started) or running.status is not None or status != 0
        return "ran" if running.failure is None else "failed"
    except pc.Error:
        return "refused"
    finally:
        running.close()
        os.read(fifo, 65536)

assert perform(encoded) == "ran"
seen = {"ran": 0, "failed": 0, "refused": 0, "waits": 0}
for _ in range(int(sys.argv[2])):
    plan = bytearray(encoded)
    plan[dice.randrange(len(plan))] ^= 1 << dice.randrange(8)
    seen[perform(bytes(plan))] += 1
assert seen.pop("waits") <= int(sys.argv[2]) // 5000, "hangs"
assert all(seen.values()), seen
assert len(os.listdir("/proc/self/fd")) == descriptors
"""


@pytest.mark.requires("root", "userns", "unshare")
@pytest.mark.parametrize(
    "rounds",
    [pytest.param(20 if features.IN_VM else 400, id="some"), pytest.param(20_000, marks=pytest.mark.long, id="many")],
)
@pytest.mark.parametrize("kind", ["run", "created"])
def test_one_bit_is_changed(rounds, kind, scratch):
    apart = ["unshare", "--mount", "--propagation=private"]
    command = [*apart, sys.executable, "-c", PERFORM, "1", str(rounds), kind]
    env = {**os.environ, "PYTHONPATH": str(TREE)}
    done = subprocess.run(
        command, env=env, cwd=scratch, stderr=subprocess.PIPE, timeout=600, check=False, start_new_session=True
    )
    assert done.returncode == 0, done.stderr.decode()
