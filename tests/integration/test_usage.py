"""Usage of a known workload, within ten per cent; counted by the cgroup, and without one by getrusage(2)."""

from __future__ import annotations

import pytest

import pycgroups as pc
from tests.waiting import in_time, one_is

pytestmark = pytest.mark.requires("userns", "busybox", "gcc")
needs_limits = pytest.mark.requires("limits")

MIB = 1 << 20


def used(run, seconds):
    """Usage of something that burns so many seconds of CPU time, when it is right: a busy machine adds to it."""
    return one_is(lambda: run().usage, lambda usage: usage.cpu_time == pytest.approx(seconds, rel=0.1))


def counted(*options):
    """Both ways to count: by a cgroup, made by the limits, and by rusage."""
    return pytest.mark.parametrize(
        "options", [pytest.param(dict(options), id="cgroup", marks=needs_limits), pytest.param({}, id="rusage")]
    )


@counted(("memory", "512M"))
def test_peak_memory(inside, options):
    usage = inside(["probe", "touch", "100"], **options).usage
    assert usage.peak_memory == pytest.approx(100 * MIB, rel=0.1)


@counted(("memory", "512M"))
def test_peak_memory_is_the_programs_and_not_the_callers(script, root, options):
    code = """
import sys, pycgroups as pc
ballast = bytearray(b"x") * (200 << 20)
print(pc.run(["probe", "touch", "20"], rootfs=sys.argv[1], **eval(sys.argv[2])).usage.peak_memory)
"""
    assert int(script(code, root, options)) == pytest.approx(20 * MIB, rel=0.1)


@needs_limits
def test_peak_memory_is_that_of_all_processes_at_once(inside):
    both = "probe touch-in-child 60 & sh -c 'probe touch 60; sleep 1' & wait"
    held = "dd if=/dev/zero of=/held/a bs=1M count=60 2>/dev/null; probe touch 60"
    usage = inside(["sh", "-c", held], memory="512M", mounts=[pc.Mount.tmpfs("/held")]).usage
    assert usage.peak_memory == pytest.approx(120 * MIB, rel=0.1)
    assert inside(["sh", "-c", both], memory="512M").returncode == 0


@counted(("cpus", 2), ("memory", "64M"))
@pytest.mark.requires("host")
def test_cpu_time(inside, options):
    usage = used(lambda: inside(["sh", "-c", "probe burn 0.5 & probe burn 0.5; wait"], **options), 1)
    assert usage.user_time + usage.system_time == pytest.approx(usage.cpu_time, rel=0.1, abs=0.02)
    assert usage.wall_time > 0.5


@counted(("memory", "64M"))
@pytest.mark.requires("host")
def test_usage_after_the_streams_have_ended(inside, options):
    """What closes its output early is measured to its end, and its children to theirs."""
    late = "exec >&- 2>&-; probe burn 0.3; probe touch 30 & probe burn 0.3; exit 3"
    usage = used(lambda: inside(["sh", "-c", late], **options), 0.6)
    assert usage.peak_memory >= 30 * MIB
    assert inside(["sh", "-c", late], **options).returncode == 3


@counted(("memory", "64M"))
def test_sleeping_takes_no_cpu_time(inside, options):
    usage = inside(["sleep", "0.5"], **options).usage
    assert usage.wall_time >= 0.5
    assert usage.cpu_time < 0.4


@counted(("memory", "64M"))
@pytest.mark.requires("host")
def test_cpu_time_of_what_the_timeout_killed(inside, options):
    """It had burnt what it said last, or a bit more."""

    def burn():
        result = in_time(lambda seconds: inside(["probe", "burn-and-tell"], timeout=seconds, **options), told, 1)
        assert result.reason == "timeout"
        return result

    one_is(burn, lambda result: result.usage.cpu_time == pytest.approx(told(result), rel=0.1))


def told(result):
    """CPU seconds that a program told, once they are enough to compare with."""
    seconds = float((result.stdout.splitlines() or ["0"])[-1])
    return seconds if seconds > 0.5 else None


@counted(("memory", "512M"))
def test_peak_memory_of_what_the_timeout_killed(inside, options):
    command = ["sh", "-c", "probe touch 60; echo touched; sleep 1000"]
    result = in_time(lambda seconds: inside(command, timeout=seconds, **options), lambda result: result.stdout, 1)
    assert result.reason == "timeout"
    assert result.usage.peak_memory == pytest.approx(60 * MIB, rel=0.1)


@counted(("memory", "64M"), ("cpus", 1))
@pytest.mark.requires("host")
def test_cpu_time_of_daemons_that_outlive_the_program(inside, options):
    used(lambda: inside(["probe", "burn-as-daemon", "0.5"], **options), 0.5)


@needs_limits
@pytest.mark.requires("host")
def test_cpus_bounds_the_cpu_time(inside):
    usage = used(lambda: inside(["probe", "burn", "0.4"], cpus=0.5), 0.4)
    assert usage.wall_time > 0.6


@needs_limits
def test_processes(inside):
    usage = inside(["sh", "-c", "for i in 1 2 3 4 5 6 7; do sleep 1000 & done"], pids=50).usage
    assert usage.processes is None or 8 <= usage.processes <= 10


@needs_limits
def test_cpuset(inside):
    if "cpuset" not in pc.cgroups.info().usable:
        pytest.skip("the cpuset controller is not usable here")
    result = inside(["grep", "Cpus_allowed_list", "/proc/self/status"], cpuset="0")
    assert result.stdout.split() == ["Cpus_allowed_list:", "0"]


def test_writing_to_a_disk_is_counted(inside, tmp_path):
    """Where the temporary directory is on a disk, and its device counts."""
    command = ["dd", "if=/dev/zero", "of=/out/file", "bs=1M", "count=8", "conv=fsync"]
    usage = inside(command, workspace=tmp_path, volumes={tmp_path: "/out"}).usage
    assert usage.io_written in range(9 * MIB)
    assert usage.io_read >= 0
