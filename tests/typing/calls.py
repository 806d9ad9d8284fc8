"""Calls as users write them, and the types of their answers: mypy reads this, nobody runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Literal, assert_type

import pycgroups as pc


def runs(variables: dict[str, str], folders: dict[Path, str], pages: dict[str, str], settings: dict[str, int]) -> None:
    result = pc.run(["python3", "-c", "print(6 * 7)"], memory="256M", cpus=1, pids=64, timeout=5)
    assert_type(result, pc.Result)
    assert_type(result.reason, Literal["exited", "signal", "timeout", "oom", "pids", "disk"])
    assert_type(result.hits["oom"], int)
    assert_type(result.usage.cpu_time, float)
    assert_type(result.usage.peak_memory, int | None)
    completed: subprocess.CompletedProcess[str] = pc.run("true", text=True, check=True, stdout=subprocess.PIPE)
    completed.check_returncode()
    pc.run(Path("/bin/true"), env=variables, cwd=Path("/"), user="nobody", groups=["audio", 44], umask=0o22)
    pc.run([b"cat", "-", Path("x")], env=os.environ, input=b"x", stderr=pc.STDOUT, ulimits={"nofile": (10, 20)})
    pc.run(["true"], env={"PYTHONPATH": Path("/opt")}, env_file=[Path("a")], rootfs=Path("/srv"), workspace=Path())
    pc.run(["true"], mounts=[pc.Mount.bind("/a", "/b", read_only=True), pc.Mount.tmpfs("/t", size="1M")])
    pc.run(["true"], volumes=folders)
    pc.run(["true"], volumes={"/host": "/in:ro", Path("/other"): "/out"})
    pc.run(["true"], io_limits={"/dev/sda": {"rbps": "1M", "wiops": 5}}, hugepages=pages)
    pc.run(["true"], namespaces={"net": os.getpid(), "ipc": Path("/run/ipc"), "uts": "host"})
    pc.run(["true"], userns=pc.IdMap.parse("0:100000:65536"), caps_add={"NET_ADMIN"}, caps_drop=["ALL"])
    pc.run(["true"], seccomp=Path("profile.json"), sysctls=settings, devices=["/dev/fuse"], network="host")
    profile = pc.seccomp.record(["true"], input=b"", timeout=5)
    pc.run(["true"], seccomp=profile, on_syscall={"mkdir": decide}, timeout=5)
    pc.run(["true"], seccomp="strict", on_syscall=decide)
    pc.run(["true"], on_syscall={"mkdir": int})  # type: ignore[dict-item]
    pc.run(["true"], memory=1.5)  # type: ignore[arg-type]
    pc.run(["true"], memroy="64M")  # type: ignore[call-arg]


def decide(call: pc.seccomp.Call) -> pc.seccomp.Answer:
    assert_type(call.args, tuple[int, ...])
    if call.read_string(call.args[0]) == b"/":
        return pc.seccomp.Fail(13)
    return pc.seccomp.Return(0) if call.waits else pc.seccomp.CONTINUE


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
