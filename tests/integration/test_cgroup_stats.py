"""What groups measure, by workloads whose use is known: the same on v1, hybrid and v2."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import attrs
import pytest

from pycgroups import cgroups, errors
from pycgroups.cgroups import Cgroup, pressure, stats
from tests.waiting import PATIENCE, one_is, wait_for

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

needs_limits = pytest.mark.requires("limits")


class Worker:
    """A Python program in a group that stops at each `stop()` of its code, until told to go on."""

    def __init__(self, process):
        self.process = process

    def go(self):
        """Let it go on to the next `stop()`; what it says there."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        """Let it go on to its end."""
        return self.process.communicate("go\n", timeout=PATIENCE)[0]


@contextlib.contextmanager
def worker(group, code):
    """Start a program that stops before its first line, in the group; kill it at the end."""
    begin = "def stop(*words): print(*words, flush=True); input()\ninput()\n"
    command = [sys.executable, "-S", "-c", begin + textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            group.add(process.pid)
            yield Worker(process)
        finally:
            process.kill()


def usable(*names):
    if missing := set(names) - set(cgroups.info().usable):
        pytest.skip(f"not usable here: {', '.join(missing)}")


def on_v2(group):
    return Path(group.paths[0], "memory.current").exists()


@needs_limits
def test_an_unused_group():
    with Cgroup.create(memory="64M", pids=5) as group:
        found = group.stats()
        assert found.cpu.total == 0
        assert (found.memory.limit, found.memory.anon, found.memory.events.oom_kill) == (64 * MIB, 0, 0)
        assert (found.pids.current, found.pids.limit, found.pids.refused) == (0, 5, 0)
        assert found.io in ((), None)
        assert found.hugetlb is None


@needs_limits
def test_memory():
    code = f"""
        stop()
        block = bytearray({40 * MIB})
        block[::{PAGE}] = b"1" * len(block[::{PAGE}])
        stop()
        del block
        stop()
    """
    with Cgroup.create(memory="128M") as group, worker(group, code) as work:
        work.go()
        before = group.stats().memory
        work.go()
        full = group.stats().memory
        assert 40 * MIB <= full.anon - before.anon <= 44 * MIB
        # What a CPU has charged ahead, up to 64 pages, was counted before.
        assert 39 * MIB <= full.current - before.current <= 48 * MIB
        assert full.current - 4 * MIB <= full.peak <= full.limit == 128 * MIB
        assert full.anon <= full.working_set <= full.current
        assert full.faults - before.faults >= 40 * MIB // (2 * MIB)  # huge pages need fewer
        assert full.kernel > 0
        work.go()
        after = group.stats().memory
        assert after.anon <= full.anon - 38 * MIB
        assert after.peak >= full.peak


@needs_limits
def test_page_cache_is_no_working_set(shelf):
    """A file on tmpfs counts as `file` and cannot be dropped; `inactive_file` is the difference of the other two."""
    path = shelf / "file"
    code = f"""
        with open({str(path)!r}, "wb") as file:
            file.write(bytes({20 * MIB}))
        stop()
    """
    try:
        with Cgroup.create(memory="128M") as group, worker(group, code) as work:
            work.go()
            memory = group.stats().memory
            assert 20 * MIB <= memory.file <= 24 * MIB
            assert 20 * MIB <= memory.working_set <= memory.current
    finally:
        path.unlink(missing_ok=True)


@needs_limits
def test_memory_events():
    # With swap allowed it is the limit of memory that is met, which every v1 kernel counts.
    with Cgroup.create(memory="32M", memory_swap=-1) as group, worker(group, "b = bytearray(200 << 20)") as work:
        work.end()
        events = group.stats().memory.events
        assert events.oom_kill == 1
        assert events.max > 0
        assert (events.oom is None) != on_v2(group)
        assert events.oom is None or events.oom > 0


@needs_limits
def test_cpu():
    code = """
        import time
        begin = time.process_time()
        while time.process_time() < begin + 0.5:
            sum(range(10000))
        stop(begin, time.process_time())
    """

    def measure():
        with Cgroup.create(pids=5) as group, worker(group, code) as work:
            begin, end = map(float, work.go().split())
            return begin, end, group.stats().cpu

    def right(found):
        begin, end, cpu = found
        return end - begin - 0.01 <= cpu.total <= end + 0.1  # what was before the group is not counted

    _, _, cpu = one_is(measure, right)
    assert cpu.user + cpu.system == pytest.approx(cpu.total, abs=0.001)
    assert cpu.user > cpu.system


@contextlib.contextmanager
def held_back():
    """A group that wants ever more CPU time, and got less than its quota in some periods already."""
    usable("cpu")
    with Cgroup.create(cpus=0.05) as group, worker(group, "while True: pass") as work:
        work.process.stdin.write("go\n")
        work.process.stdin.flush()
        wait_for(lambda: group.stats().cpu.throttled_periods >= 5)
        yield group


@needs_limits
def test_throttling():
    with held_back() as group:
        cpu = group.stats().cpu
        assert cpu.throttled_periods <= cpu.periods
        assert 0.1 <= cpu.throttled_time <= cpu.throttled_periods * 0.2 * os.cpu_count()
        assert cpu.total <= 0.1 * cpu.periods


@pytest.mark.requires("limits", "psi")
def test_pressure():
    with held_back() as group:
        waited = group.pressure().cpu
        assert waited.some.total >= 0.1
        assert waited.some.total >= waited.full.total
        assert all(0 <= average <= 100 for average in attrs.astuple(waited.some)[:3])


@needs_limits
def test_processes():
    code = """
        import os, time
        refused = 0
        for _ in range(20):
            try:
                if not os.fork():
                    time.sleep(1000)
            except BlockingIOError:
                refused += 1
        stop(refused)
    """
    with Cgroup.create(pids=8) as group, worker(group, code) as work:
        refused = int(work.go())
        pids = group.stats().pids
        assert (pids.current, pids.limit, pids.refused) == (8, 8, refused)
        assert pids.peak in (8, None)


@needs_limits
def test_subgroups_are_included():
    with Cgroup.create("measured", memory="64M", pids=9) as outer:
        code = f"block = bytearray(b'1') * {20 * MIB}\nstop()"
        with Cgroup.create("measured/inner", memory="64M", pids=9) as inner, worker(inner, code) as work:
            work.go()
            assert outer.stats().memory.anon >= 20 * MIB
            assert outer.stats().pids.current == 1


@pytest.mark.requires("root", "cgroup_v2")
def test_disks(shelf):
    """A loop device is a block device of its own, whatever this machine has."""
    image = shelf / "disk"
    image.write_bytes(bytes(8 * MIB))
    subprocess.run(["modprobe", "--quiet", "loop"], check=False)  # it may be built in
    attach = ["losetup", "--find", "--show", "--direct-io=off", str(image)]
    device = subprocess.run(attach, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    code = f"""
        import os, mmap
        disk = os.open({device!r}, os.O_RDWR | os.O_DIRECT)
        block = mmap.mmap(-1, 1 << 20)
        for _ in range(3):
            os.readv(disk, [block])
        for _ in range(2):
            os.write(disk, block)
        stop()
    """
    try:
        with Cgroup.create(memory="64M") as group, worker(group, code) as work:
            work.go()
            number = os.stat(device).st_rdev
            (io,) = (
                each for each in group.stats().io if (each.major, each.minor) == (os.major(number), os.minor(number))
            )
            assert (io.read_bytes, io.written_bytes) == (3 * MIB, 2 * MIB)
            assert io.reads >= 3
            assert io.writes >= 2
            assert group.sample().io_written >= 2 * MIB
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()


@pytest.mark.requires("limits", "psi")
def test_pressure_is_part_of_stats():
    with Cgroup.create(memory="64M") as group:
        assert group.pressure().memory.full == pressure.Stall(avg10=0.0, avg60=0.0, avg300=0.0, total=0.0)
        assert group.stats().pressure == group.pressure()


@pytest.mark.requires("limits", "cgroup_v2", "psi")
def test_pressure_that_is_switched_off():
    with Cgroup.create(memory="64M") as group:
        switch = Path(group.paths[0], "cgroup.pressure")
        switch.write_text("0")
        with pytest.raises(errors.Unsupported, match=f"echo 1 > {switch}"):
            group.pressure()
        assert group.stats().pressure is None
        switch.write_text("1")
        assert group.pressure()


V1_ALONE = """
    from pycgroups import cgroups, errors
    with cgroups.Cgroup.create(memory="64M", pids=5) as group:
        found = group.stats()
        print(found.cpu.total, found.memory.limit, found.pids.limit, found.pressure)
        try:
            group.pressure()
        except errors.Unsupported as error:
            print(error)
"""


@pytest.mark.requires("root", "unshare", "cgroup_v1")
def test_v1_alone():
    shell = 'if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi; exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", shell, "sh", sys.executable, "-c", textwrap.dedent(V1_ALONE)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    counted, why = done.stdout.splitlines()
    assert counted == f"0.0 {64 * MIB} 5 None"
    assert "cgroup v1 does not count it" in why


@pytest.mark.requires("limits", "cgroup_v2")
def test_peak_of_each_reader():
    code = f"""
        for size in (40, 20):
            block = bytearray(b"1") * (size * {MIB})
            stop()
            del block
        stop()
    """
    with (
        Cgroup.create(memory="128M") as group,
        worker(group, code) as work,
        group.memory_peak() as first,
        group.memory_peak() as second,
    ):
        work.go()
        assert first.read() >= 40 * MIB
        assert second.read() >= 40 * MIB
        second.reset()
        work.go()
        work.go()
        second.reset()
        assert second.read() < 20 * MIB
        assert first.read() >= 40 * MIB
        assert group.stats().memory.peak >= 40 * MIB


@pytest.mark.requires("limits", "cgroup_v1")
def test_no_peak_of_each_reader_on_v1():
    with Cgroup.create(memory="64M") as group, pytest.raises(errors.Unsupported, match=r"Linux 6\.12"):
        group.memory_peak()


@needs_limits
def test_a_group_that_vanished():
    group = Cgroup.create(memory="64M", pids=9)
    for path in group.paths:
        os.rmdir(path)
    for measure in (group.stats, group.sample, group.pressure):
        with pytest.raises(errors.CgroupError):
            measure()
    group.remove()


@needs_limits
def test_a_group_that_vanishes_meanwhile():
    """Either all of it is measured, or it is an error: no number is left out, none is from half a group."""
    for delay in (0, 0.0001, 0.0002, 0.0005) * 10:
        group = Cgroup.create(memory="64M", pids=9)
        complete = _counted(group.stats())

        def vanish(paths=group.paths, delay=delay):
            time.sleep(delay)
            for path in paths:
                os.rmdir(path)

        thread = threading.Thread(target=vanish)
        thread.start()
        for _ in range(10000):
            try:
                found = group.stats()
            except errors.CgroupError:
                break
            assert _counted(found) == complete
        else:
            pytest.fail("never told that the group was gone")
        thread.join()
        group.remove()


def _counted(found):
    return [value is not None for value in (*attrs.astuple(found, recurse=False), *attrs.astuple(found.memory))]


@needs_limits
def test_descriptors():
    with Cgroup.create(memory="64M", pids=9) as group:
        before = os.listdir("/proc/self/fd")
        group.stats()
        group.sample()
        with contextlib.suppress(errors.Unsupported):
            group.memory_peak().close()
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.requires("no_limits")
def test_where_nothing_is_counted():
    group = Cgroup.for_limits(cgroups.Limits(memory="64M"), require_limits=False)
    found = group.stats()
    assert (found.cpu, found.memory, found.pids) == (stats.CpuStats(), stats.MemoryStats(), stats.PidsStats())
    assert (found.io, found.hugetlb, found.pressure) == (None, None, None)
    with pytest.raises(errors.Unsupported):
        group.pressure()
    with pytest.raises(errors.Unsupported):
        group.memory_peak()
