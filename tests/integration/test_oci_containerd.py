"""`pycgroups-oci` as containerd's runtime: by ``ctr``, and by the CRI as a kubelet calls it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import grpc
import pytest
from cri_api.v1 import api_pb2 as api

from tests import leaks
from tests.containerd import IMAGE, WITH_OURS, Containerd
from tests.cri import Cri, Pod
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = pytest.mark.requires("containerd", "root", "limits")

slow_in_vm = pytest.mark.slow_in_vm("some seconds for each call of ctr, and for each shim")

SERVICE = """
trap 'echo told; touch /tmp/told' USR1
trap 'exit 5' TERM
echo out; echo err >&2
while :; do sleep 1000 & wait $!; done
"""
LIMIT = 64 << 20


@pytest.fixture(scope="module")
def started(root):
    with Containerd(root) as started:
        yield started


@pytest.fixture
def containerd(started):
    """Nothing may be left of a test's containers."""
    before = started.holdings()
    yield started
    left = leaks.left_behind(before, started.holdings)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(scope="module")
def connection(started):
    with Cri(started.socket) as connection:
        yield connection


@pytest.fixture
def cri(connection, containerd):
    return connection


@pytest.fixture
def service(containerd):
    """A container that runs until it is told to end."""
    containerd.run("--detach", "--memory-limit", LIMIT, IMAGE, "service", "sh", "-c", SERVICE)
    yield "service"
    containerd("task", "rm", "--force", "service")
    containerd("container", "rm", "service")


def status(containerd, name):
    lines = [line.split() for line in containerd("task", "ls").splitlines()[1:]]
    return {name: status for name, _, status in lines}.get(name)


def limit(containerd, pid):
    """The limit of memory that a process is under."""
    for line in (containerd.view / f"proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":")
        if controllers == "memory":
            return int((features.CGROUP / "memory" / group[1:] / "memory.limit_in_bytes").read_text())
        if not controllers and features.lack("cgroup_v2") is None:
            return int((features.CGROUP / group[1:] / "memory.max").read_text())
    raise AssertionError(f"{pid} is in no group with a limit of memory")


# -- ctr -------------------------------------------------------------------------------------------------------------


def test_run(containerd):
    done = containerd.run("--rm", IMAGE, "name", "sh", "-c", "read line; echo $line; exit 3", stdin="typed\n", status=3)
    assert done == "typed\n"


@slow_in_vm
def test_what_is_asked_for(containerd, scratch):
    words = [
        *("--env", "WORD=value", "--cwd", "/tmp", "--user", "1000:1000", "--hostname", "named", "--read-only"),
        *("--mount", f"type=bind,src={scratch},dst=/home,options=rbind:ro", "--cap-drop", "CAP_CHOWN", "--seccomp"),
    ]
    script = "echo $WORD; pwd; id -u; hostname; touch /x || echo fixed; ls /home; grep Seccomp: /proc/self/status"
    (scratch / "file").touch()
    said = containerd.run("--rm", *words, IMAGE, "name", "sh", "-c", script)
    assert said.split() == ["value", "/tmp", "1000", "named", "fixed", "file", "Seccomp:", "2"]


@slow_in_vm
def test_terminal(containerd):
    command = shlex.join(containerd.command("run", *WITH_OURS, "--rm", "--tty", IMAGE, "name", "tty"))
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True)
    assert "/dev/pts/0" in done.stdout


@slow_in_vm
def test_a_program_that_is_not_there(containerd):
    done = containerd.attempt("run", *WITH_OURS, "--rm", IMAGE, "name", "nowhere")
    assert done.returncode == 1
    assert "nowhere" in done.stderr


@slow_in_vm
def test_life(containerd, service):
    assert status(containerd, service) == "RUNNING"
    assert containerd("task", "exec", "--exec-id", "1", service, "sh", "-c", "hostname; exit 4", status=4)
    pids = [line.split()[0] for line in containerd("task", "ps", service).splitlines()[1:]]
    assert len(pids) == 2  # the shell, and its sleep
    assert "memory" in containerd("task", "metrics", service)

    containerd("task", "pause", service)
    assert status(containerd, service) == "PAUSED"
    refused = containerd.attempt("task", "exec", "--exec-id", "2", service, "true")
    assert refused.returncode == 1
    assert "paused" in refused.stderr
    containerd("task", "resume", service)

    containerd("task", "kill", "--signal", "SIGUSR1", service)
    wait_for(lambda: containerd.attempt("task", "exec", "--exec-id", "3", service, "ls", "/tmp/told").returncode == 0)
    containerd("task", "kill", "--signal", "SIGTERM", service)
    wait_for(lambda: status(containerd, service) == "STOPPED")


@slow_in_vm
def test_limits(containerd, service):
    pid = next(line.split()[0] for line in containerd("task", "ps", service).splitlines()[1:])
    assert limit(containerd, pid) == LIMIT


@slow_in_vm
def test_all_processes_are_killed(containerd):
    words = ["--detach", "--with-ns", "pid:/proc/1/ns/pid"]
    containerd.run(*words, IMAGE, "shared", "sh", "-c", "sleep 1000 & sleep 1000")
    assert len(containerd("task", "ps", "shared").splitlines()) == 3  # with the line of titles
    containerd("task", "kill", "--all", "--signal", "SIGKILL", "shared")
    wait_for(lambda: status(containerd, "shared") == "STOPPED")
    containerd("task", "rm", "shared")
    containerd("container", "rm", "shared")


# -- the CRI ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pod(cri, containerd, scratch):
    with Pod(cri, containerd.cgroup, scratch, hostname="pod") as pod:
        yield pod


def test_pod(containerd, cri, pod):
    found = cri.PodSandboxStatus(pod_sandbox_id=pod.id).status
    assert found.state == api.SANDBOX_READY
    assert found.network.ip == "10.0.0.2"

    confined = api.LinuxContainerSecurityContext(
        seccomp=api.SecurityProfile(profile_type=api.SecurityProfile.RuntimeDefault),
        masked_paths=["/proc/kcore"],
        readonly_paths=["/proc/sys"],
    )
    limits = api.LinuxContainerResources(memory_limit_in_bytes=LIMIT, cpu_quota=50_000, cpu_period=100_000)
    name = pod.create("sh", "-c", SERVICE, resources=limits, security_context=confined)
    cri.StartContainer(container_id=name)

    script = "hostname; grep Seccomp: /proc/self/status; echo err >&2; exit 3"
    done = cri.ExecSync(container_id=name, cmd=["sh", "-c", script], timeout=60)
    assert (done.stdout, done.stderr, done.exit_code) == (b"pod\nSeccomp:\t2\n", b"err\n", 3)

    stats = cri.ContainerStats(container_id=name).stats
    assert 0 < stats.memory.usage_bytes.value < LIMIT
    cri.UpdateContainerResources(container_id=name, linux=api.LinuxContainerResources(memory_limit_in_bytes=2 * LIMIT))
    info = json.loads(cri.ContainerStatus(container_id=name, verbose=True).info["info"])
    assert limit(containerd, info["pid"]) == 2 * LIMIT

    cri.StopContainer(container_id=name, timeout=60)
    ended = cri.ContainerStatus(container_id=name).status
    assert (ended.state, ended.exit_code) == (api.CONTAINER_EXITED, 5)
    said = {line.split(maxsplit=3)[3] for line in (pod.logs / "main.log").read_text().splitlines()}
    assert said == {"out", "err"}
    cri.RemoveContainer(container_id=name)
    assert not cri.ListContainers().containers


def _of_the_host():
    spaces = api.NamespaceOption(network=api.NODE, pid=api.NODE, ipc=api.NODE)
    return spaces, api.LinuxSandboxSecurityContext(namespace_options=spaces)


@slow_in_vm
def test_a_pod_in_the_hosts_namespaces(cri, containerd, scratch):
    hosts, options = _of_the_host()
    with Pod(cri, containerd.cgroup, scratch, security_context=options) as pod:
        context = api.LinuxContainerSecurityContext(namespace_options=hosts)
        name = pod.create("sleep", "1000", security_context=context)
        cri.StartContainer(container_id=name)
        for kind in ("net", "pid", "ipc"):
            done = cri.ExecSync(container_id=name, cmd=["readlink", f"/proc/self/ns/{kind}"], timeout=60)
            assert done.stdout.decode().strip() == os.readlink(containerd.view / f"proc/1/ns/{kind}")
        # Its init does not heed SIGTERM, so the time is over in the end.
        cri.StopContainer(container_id=name, timeout=0)
        assert cri.ContainerStatus(container_id=name).status.exit_code == 137


@slow_in_vm
def test_containers_that_share_their_pids(cri, containerd, scratch):
    shared = api.NamespaceOption(pid=api.POD)
    options = api.LinuxSandboxSecurityContext(namespace_options=shared)
    with Pod(cri, containerd.cgroup, scratch, security_context=options) as pod:
        name = pod.create("sleep", "1000", security_context=api.LinuxContainerSecurityContext(namespace_options=shared))
        cri.StartContainer(container_id=name)
        done = cri.ExecSync(container_id=name, cmd=["cat", "/proc/1/cmdline"], timeout=60)
        assert done.stdout == b"sleep\x001000000\0"


@slow_in_vm
def test_a_program_of_a_pod_that_is_not_there(cri, pod):
    name = pod.create("nowhere")
    with pytest.raises(grpc.RpcError, match="nowhere"):
        cri.StartContainer(container_id=name)
    assert cri.ContainerStatus(container_id=name).status.state == api.CONTAINER_EXITED


@slow_in_vm
def test_a_pod_that_cannot_be(cri, containerd, scratch):
    _, options = _of_the_host()
    with (
        pytest.raises(grpc.RpcError, match="namespace of type 'uts'"),
        Pod(cri, containerd.cgroup, scratch, hostname="other", security_context=options),
    ):
        pass
