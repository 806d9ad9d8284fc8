"""Calls as users write them, and the types of their answers: mypy reads this, nobody runs it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, assert_type

import pycgroups as pc

if TYPE_CHECKING:
    from pycgroups.pytest_plugin import ContainerFactory, Sandbox


def runs(variables: dict[str, str], folders: dict[Path, str], pages: dict[str, str], settings: dict[str, int]) -> None:
    result = pc.run(["python3", "-c", "print(6 * 7)"], memory="256M", cpus=1, pids=64, timeout=5)
    assert_type(result, pc.Result[bytes])
    assert_type(result.stdout, bytes)
    assert_type(result.reason, Literal["exited", "signal", "timeout", "oom", "pids", "disk"])
    assert_type(result.hits["oom"], int)
    assert_type(result.usage.cpu_time, float)
    assert_type(result.usage.peak_memory, int | None)
    completed: subprocess.CompletedProcess[str] = pc.run("true", text=True, check=True, stdout=subprocess.PIPE)
    completed.check_returncode()
    assert_type(pc.run("true", text=True, memory="1G").stdout, str)
    assert_type(pc.run("true", encoding="utf-8", input="x"), pc.Result[str])
    assert_type(pc.run("true", text=False), pc.Result[bytes])
    assert_type(pc.run("true", text=umask_of(result) > 0), pc.Result)  # a bool that nobody knows before
    pc.run(Path("/bin/true"), env=variables, cwd=Path("/"), user="nobody", groups=["audio", 44], umask=0o22)
    pc.run([b"cat", "-", Path("x")], env=os.environ, input=b"x", stderr=pc.STDOUT, ulimits={"nofile": (10, 20)})
    pc.run(["true"], env={"PYTHONPATH": Path("/opt")}, env_file=[Path("a")], rootfs=Path("/srv"), workspace=Path())
    pc.run(["true"], mounts=[pc.Mount.bind("/a", "/b", read_only=True), pc.Mount.tmpfs("/t", size="1M")])
    pc.run(["true"], volumes=folders)
    pc.run(["true"], volumes={"/host": "/in:ro", Path("/other"): "/out"})
    pc.run(["true"], volumes={"data": "/data"}, mounts=[pc.Mount.volume("data", Path("/in"), read_only=True)])
    pc.run(["true"], io_limits={"/dev/sda": {"rbps": "1M", "wiops": 5}}, hugepages=pages)
    pc.run(["true"], namespaces={"net": os.getpid(), "ipc": Path("/run/ipc"), "uts": "host"})
    with pc.Namespace.of(os.getpid(), "net") as net, pc.Namespace.open(Path("/run/ipc")) as ipc:
        pc.run(["true"], namespaces={"net": net, "ipc": ipc})
        assert_type(pc.namespaces.call([net, ipc], divmod, 7, 2), tuple[int, int])
        assert_type(net.owner(), pc.Namespace | None)
    assert_type(pc.namespaces.create("user", userns=pc.IdMap.single()), tuple[pc.Namespace, ...])
    pc.run(["true"], userns=pc.IdMap.parse("0:100000:65536"), caps_add={"NET_ADMIN"}, caps_drop=["ALL"])
    pc.run(["true"], seccomp=Path("profile.json"), sysctls=settings, devices=["/dev/fuse"], network="host")
    profile = pc.seccomp.record(["true"], input=b"", timeout=5)
    pc.run(["true"], seccomp=profile, on_syscall={"mkdir": decide}, timeout=5)
    pc.run(["true"], seccomp="strict", on_syscall=decide)
    pc.run(["true"], on_syscall={"mkdir": int})  # type: ignore[dict-item]
    pc.run(image="debian:13", timeout=5)
    pc.run(["true"], memory=1.5)  # type: ignore[call-overload]
    pc.run(["true"], memroy="64M")  # type: ignore[call-overload]


def umask_of(result: pc.Result) -> int:  # of either kind
    return int(result.stdout)


def decide(call: pc.seccomp.Call) -> pc.seccomp.Answer:
    assert_type(call.args, tuple[int, ...])
    if call.read_string(call.args[0]) == b"/":
        return pc.seccomp.Fail(13)
    return pc.seccomp.Return(0) if call.waits else pc.seccomp.CONTINUE


def volumes(labels: dict[str, str]) -> None:
    volume = pc.volumes.create("data", labels=labels)
    assert_type(volume, pc.Volume)
    assert_type(volume.size(), int)
    assert_type(pc.volumes.list(labels={"of": None}), list[pc.Volume])
    assert_type(pc.volumes.prune(labels=["of"]).volumes, tuple[str, ...])
    for event in pc.Store(Path("store")).events.read(follow=True, filters={"type": ["volume"], "name": "data"}):
        assert_type(event.attributes, dict[str, str])
    pc.volumes.remove(volume, force=True)


def groups(group: pc.Cgroup) -> None:
    with pc.Cgroup.create("jobs/a", memory="1G", cpus=2) as made, made.watch("oom", pressure="low") as watch:
        assert_type(made, pc.Cgroup)
        subprocess.Popen(pc.in_cgroup(made, ["make", Path("all")]))
        assert_type(made.stats().memory.current, int | None)
        assert_type(made.pressure().cpu.some.avg10, float)
        assert_type(made.processes(), tuple[int, ...])
        made.set(memory="2G", pids=5)
        made.move_to(group)
        for event in watch:
            assert_type(event, pc.Event)


async def watches(watch: pc.Watch) -> None:
    async for event in watch:
        assert_type(event.count, int)


def faces() -> None:
    assert_type(pc.cgroups.info().controllers, tuple[str, ...])
    assert_type(pc.doctor().checks, tuple[pc.Check, ...])
    assert_type(pc.explain(["true"], memory="64M").config.argv, tuple[str, ...])
    try:
        pc.run(["true"])
    except pc.LaunchError as error:
        assert_type(error.step, str)
        assert_type(error.hint, str | None)
    except pc.CalledProcessError as error:
        assert_type(error.result, pc.Result)


def held() -> None:
    with pc.Container(["server"], healthcheck=pc.Healthcheck(test=["CMD", "true"], interval=5)) as c:
        c.wait_for(lambda: 1, port=80, log=re.compile("ready"), http="/healthz", file=Path("/run/ready"), timeout=None)
        c.wait_for(healthy=True)
        if c.health is not None:
            assert_type(c.health.log[-1], pc.Checked)
        assert_type(
            c.exec(["make"], memory="64M", pids=10, cpus=0.5, cpuset="0", require_limits=False), pc.Result[bytes]
        )
        assert_type(c.exec(["make"], text=True, timeout=5, tty=True), pc.Result[str])
        with c.popen(["sh"], stdin=pc.PIPE, stdout=pc.PIPE, text=True, size=(24, 80), tty=True) as talking:
            assert_type(talking.stdin, IO[str] | None)
            assert_type(talking.communicate("exit"), tuple[str, str])
        with c.popen("sh", memory=64 << 20) as running:
            assert_type(running.stdout, IO[bytes] | None)
            assert_type(running.hits["oom"], int)
            assert_type(running.unenforced, tuple[str, ...])
        assert_type(c.exec_detached("server", pids=10), int)
        assert_type(c.logs(tail=10), bytes)
        assert_type(c.logs(follow=c.pid is None), bytes | Iterator[bytes])
    pc.containers.create(["server"], healthcheck={"test": "true", "retries": 2})


def length(text: bytes) -> int:
    return len(text)


def tests(sandbox: Sandbox) -> None:
    assert_type(sandbox(["true"], memory="64M", image="debian:13", text=True), pc.Result[str])
    assert_type(sandbox.using(timeout=5, pids=8).run("true", check=True), pc.Result[bytes])
    assert_type(sandbox.call(length, b"x"), int)
    assert_type(sandbox.directory, Path)


def tests_that_hold(container: ContainerFactory, container_session: ContainerFactory) -> None:
    held = container(["sleep", "inf"], image="debian:13", memory="64M", detach=True)
    assert_type(held, pc.Container)
    assert_type(container_session(image="postgres:17", name="db"), pc.Container)
    assert_type(held.fork(2), list[pc.Container])
