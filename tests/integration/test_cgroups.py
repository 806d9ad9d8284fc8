"""Control groups on the real kernel: the same on v1, hybrid and v2, as root and as a user with a delegated tree."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pycgroups import cgroups, errors
from pycgroups.cgroups import Cgroup, detect, places, tree
from pycgroups.oci.resources import DeviceRule
from tests import leaks
from tests.processes import is_alive
from tests.waiting import PATIENCE, one_is, wait_for

MIB = 1 << 20

needs_limits = pytest.mark.requires("limits")


@contextlib.contextmanager
def running(group, *command, **options):
    """Start a command that is in the group from its first instruction; kill it at the end."""
    gate = ["/bin/sh", "-c", 'read go; exec "$@" </dev/null', "gate"]
    with subprocess.Popen([*gate, *command], stdin=subprocess.PIPE, **options) as process:
        try:
            group.add(process.pid)
            assert process.stdin
            os.write(process.stdin.fileno(), b"go\n")
            yield process
        finally:
            process.kill()


def python(code):
    return [sys.executable, "-S", "-c", textwrap.dedent(code)]


def script(code):
    """Run Python code that uses pycgroups in a process of its own; what it prints, line by line."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout.splitlines()


def usable(controller):
    if controller not in cgroups.info().usable:
        pytest.skip(f"the {controller} controller is not usable here")


def text(group, *names):
    """Contents of the first of some files that the group has."""
    for path in group.paths:
        for name in names:
            if (file := Path(path, name)).exists():
                return file.read_text().strip()
    raise AssertionError(names)


def exists(*paths):
    return [path for path in paths if os.path.isdir(path)]


@needs_limits
def test_limits_are_written_and_the_group_vanishes():
    usable("cpu")
    with Cgroup.create(memory="64M", cpus=0.5, pids=20) as group:
        assert text(group, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
        assert text(group, "memory.memsw.limit_in_bytes", "memory.swap.max") in (str(64 * MIB), "0")
        assert text(group, "pids.max") == "20"
        assert text(group, "cpu.cfs_quota_us", "cpu.max") in ("50000", "50000 100000")
        assert group.unenforced == ()
        paths = group.paths
        assert exists(*paths) == list(paths)
    assert exists(*paths) == []
    assert group.paths == ()
    group.remove()


@needs_limits
def test_cpuset():
    usable("cpuset")
    with (
        Cgroup.create(cpuset="0") as group,
        running(group, *python("import os; print(os.sched_getaffinity(0))"), stdout=subprocess.PIPE) as child,
    ):
        assert child.communicate()[0] == b"{0}\n"
    with pytest.raises(errors.InvalidConfig, match=r"cpuset.*allowed: 0"):
        Cgroup.create(cpuset="0-999")


@needs_limits
def test_memory_limit_kills_and_is_counted():
    with Cgroup.create(memory="64M") as group:
        assert group.sample().oom == 0
        with running(group, *python("b = bytearray(200 << 20)")) as child:
            assert child.wait(PATIENCE) == -signal.SIGKILL
        sample = group.sample()
        assert sample.oom == 1
        if sample.peak_memory is not None:
            assert 60 * MIB <= sample.peak_memory <= 64 * MIB


@needs_limits
def test_a_kill_from_outside_is_no_oom():
    with (
        Cgroup.create(memory="64M") as group,
        running(group, *python("b = bytearray(40 << 20); print(flush=True); input()"), stdout=subprocess.PIPE) as child,
    ):
        child.stdout.readline()
        child.kill()
        child.wait()
        assert group.sample().oom == 0


@needs_limits
def test_reading_files_beyond_the_limit_is_no_oom(tmp_path):
    (tmp_path / "big").write_bytes(bytes(100 * MIB))
    with (
        Cgroup.create(memory="32M") as group,
        running(group, *python(f"f = open({str(tmp_path / 'big')!r}, 'rb')\nwhile f.read(1 << 20): pass")) as child,
    ):
        assert child.wait(PATIENCE) == 0
        assert group.sample().oom == 0


@needs_limits
def test_pids_limit_refuses_and_is_counted():
    code = """
        import os, time
        for _ in range(20):
            try:
                if not os.fork():
                    time.sleep(1000)
            except BlockingIOError:
                pass
    """
    with Cgroup.create(pids=8) as group, running(group, *python(code)) as child:
        child.wait(PATIENCE)
        sample = group.sample()
        assert sample.pids_hits
        assert sample.pids_hits >= 10
        assert sample.processes_peak in (8, None)
        assert len(group.processes()) == 7


@needs_limits
def test_cpu_time_includes_children_that_nobody_waited_for():
    # The grandchild burns a second of its own CPU time and is never waited for.
    code = """
        import os, resource, time
        r, w = os.pipe()
        if not os.fork():
            if not os.fork():
                while time.process_time() < 1:
                    pass
                os.write(w, b"%f" % time.process_time())
            os._exit(0)
        os.wait()
        waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(float(os.read(r, 100)) + waited.ru_utime + waited.ru_stime + time.process_time())
    """

    def measure():
        with Cgroup.create(pids=50) as group, running(group, *python(code), stdout=subprocess.PIPE) as child:
            return float(child.communicate(timeout=PATIENCE)[0]), group.sample()

    _, sample = one_is(measure, lambda found: found[1].cpu_time == pytest.approx(found[0], rel=0.1))
    assert sample.user_time is not None
    assert sample.system_time is not None
    assert sample.user_time + sample.system_time == pytest.approx(sample.cpu_time, abs=0.001)


@needs_limits
def test_quota_slows_down():
    usable("cpu")
    code = """
        import time
        start = time.monotonic(), time.process_time()
        while time.monotonic() < start[0] + 1:
            pass
        print((time.process_time() - start[1]) / (time.monotonic() - start[0]))
    """
    with Cgroup.create(cpus=0.2) as group, running(group, *python(code), stdout=subprocess.PIPE) as child:
        assert float(child.communicate(timeout=PATIENCE)[0]) < 0.4


@needs_limits
def test_kill_and_remove_with_children_that_ignore_signals():
    code = "trap '' TERM INT HUP; setsid sleep 1000 & setsid sleep 1000 & exec sleep 1000"
    with Cgroup.create(pids=50) as group, running(group, "/bin/sh", "-c", code):
        wait_for(lambda: len(group.processes()) >= 3)
        pids = group.processes()
        group.kill()
        assert group.processes() == ()
        assert not any(map(is_alive, pids))


@needs_limits
def test_fork_bomb_is_killed():
    with Cgroup.create(pids=100) as group, running(group, "/bin/sh", "-c", "b() { b | b & }; b; sleep 1000"):
        wait_for(lambda: group.sample().pids_hits)
        group.kill()
        assert group.processes() == ()


@needs_limits
def test_fork_bomb_is_killed_without_cgroup_kill(monkeypatch):
    for manager in places.MANAGERS.values():
        monkeypatch.setattr(manager, "kill_all", staticmethod(tree.kill_each))
    monkeypatch.setattr(tree, "PATIENCE", PATIENCE)
    test_fork_bomb_is_killed()


@needs_limits
def test_fifty_nested_subgroups_with_processes():
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(Cgroup.create(pids=200))
        sleepers = [stack.enter_context(running(group, "/bin/sleep", "1000")) for _ in range(10)]
        for path in group.paths:
            inner = path
            for number in range(50):
                inner = f"{inner}/sub{number}"
                os.mkdir(inner)
                if number % 5 == 4 and not inner.startswith("/sys/fs/cgroup/cpuset"):
                    Path(inner, "cgroup.procs").write_text(str(sleepers[number // 5].pid))
        assert len(group.processes()) == 10
        paths = group.paths
        group.remove()
        assert exists(*paths) == []


@needs_limits
@pytest.mark.requires("root", "cgroup_v1")
def test_what_does_not_die_is_named_and_dies_later(monkeypatch):
    monkeypatch.setattr(tree, "PATIENCE", 0.5)
    freezer = Path(f"/sys/fs/cgroup/freezer/{leaks.OWN}")
    freezer.mkdir()
    try:
        with Cgroup.create(pids=10) as group, running(group, "/bin/sleep", "1000") as child:
            (freezer / "cgroup.procs").write_text(str(child.pid))
            (freezer / "freezer.state").write_text("FROZEN")
            with pytest.raises(errors.CgroupError, match=f"still has processes: {child.pid}"):
                group.remove()
            assert group.processes() == (child.pid,)
            (freezer / "freezer.state").write_text("THAWED")
            child.wait(PATIENCE)
    finally:
        (freezer / "freezer.state").write_text("THAWED")
        freezer.rmdir()


@needs_limits
@pytest.mark.requires("cgroup_v2")
def test_frozen_processes_are_killed():
    with Cgroup.create(pids=10) as group, running(group, "/bin/sleep", "1000") as child:
        Path(group.paths[0], "cgroup.freeze").write_text("1")
        group.kill()
        assert child.wait(PATIENCE) == -signal.SIGKILL


@needs_limits
def test_this_process_is_not_killed():
    code = """
        import os
        from pycgroups import cgroups, errors
        group = cgroups.Cgroup.create(pids=10)
        home = {path: os.path.dirname(os.path.dirname(path)) for path in group.paths}
        group.add(os.getpid())
        try:
            group.kill()
        except errors.CgroupError as error:
            print(error, flush=True)
        os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 0.3"], {})
        os._exit(0)
    """
    assert "this process is inside" in script(code)[0]
    script("from pycgroups.cgroups import Cgroup\nCgroup.create(pids=1).remove()")


@needs_limits
def test_names():
    with Cgroup.create("jobs/a", pids=5) as first, Cgroup.create("jobs/b", memory="10M") as second:
        assert all(path.endswith("/pycgroups/jobs/a") for path in first.paths)
        above = {os.path.dirname(path) for path in (*first.paths, *second.paths)}
        with pytest.raises(errors.AlreadyExists, match="jobs/a"):
            Cgroup.create("jobs/a", memory="10M", pids=5)
        assert exists(*first.paths) == list(first.paths)
        first.remove()
        assert exists(*second.paths) == list(second.paths)
    assert exists(*above) == []


@needs_limits
def test_a_group_inside_a_group():
    with Cgroup.create("outer", pids=5) as outer:
        with Cgroup.create("outer/inner", pids=50) as inner, running(inner, "/bin/sleep", "100") as child:
            assert outer.processes() == (child.pid,)
        assert exists(*outer.paths) == list(outer.paths)


@needs_limits
def test_foreign_groups_are_left_alone():
    """What somebody made by hand is neither joined, nor limited, nor swept."""
    with Cgroup.create(pids=5) as mine, running(mine, "/bin/sleep", "1000") as child:
        foreign = [str(Path(path).with_name("foreign")) for path in mine.paths]
        for path in foreign:
            os.mkdir(path)
        try:
            Path(foreign[-1], "cgroup.procs").write_text(str(child.pid))
            with pytest.raises(errors.AlreadyExists):
                Cgroup.create("foreign", pids=5)
            script("from pycgroups.cgroups import Cgroup\nCgroup.create(pids=1).remove()")
            assert is_alive(child.pid)
            assert exists(*foreign) == foreign
            mine.add(child.pid)
        finally:
            for path in foreign:
                os.rmdir(path)


ORPHANS = """
    import os, signal, subprocess
    from pycgroups.cgroups import Cgroup
    for name in (None, {name!r}):
        group = Cgroup.create(name, pids=10, memory="50M")
        sleeper = subprocess.Popen(["/bin/sleep", "1000"], stdout=subprocess.DEVNULL)
        group.add(sleeper.pid)
        os.mkdir(group.paths[0] + "/inside")
        print(sleeper.pid, *group.paths, flush=True)
    {end}
"""


@needs_limits
def test_orphans_are_swept():
    name = "orphans/one" if os.geteuid() == 0 or detect.kind(detect.hierarchies()) == "v2" else None
    code = textwrap.dedent(ORPHANS).format(name=name, end="os.kill(os.getpid(), signal.SIGKILL)")
    died = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert died.returncode == -signal.SIGKILL
    orphans = [line.split() for line in died.stdout.splitlines()]
    assert len(orphans) == 2
    assert all(exists(*paths) for _, *paths in orphans)
    script("from pycgroups.cgroups import Cgroup\nCgroup.create(pids=1).remove()")
    for pid, *paths in orphans:
        assert exists(*paths) == []
        assert not is_alive(pid)
    if name:
        assert exists(*(os.path.dirname(path) for path in orphans[1][1:])) == []


@needs_limits
def test_the_living_are_not_swept():
    code = textwrap.dedent(ORPHANS).format(name="living/one", end="input()")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as creator:
        assert creator.stdout
        made = [creator.stdout.readline().split() for _ in range(2)]
        script("from pycgroups.cgroups import Cgroup\nCgroup.create(pids=1).remove()")
        for pid, *paths in made:
            assert exists(*paths) == paths
            assert is_alive(pid)
        creator.kill()
    script("from pycgroups.cgroups import Cgroup\nCgroup.create(pids=1).remove()")
    assert not any(exists(*paths) for _, *paths in made)


@needs_limits
def test_made_and_swept_at_once():
    """Every process sweeps at its start and takes the shared directory away at its end, while others make groups."""
    make = "from pycgroups.cgroups import Cgroup\nfor _ in range({}): Cgroup.create(pids=9, memory='9M').remove()"
    long = subprocess.Popen([sys.executable, "-c", make.format(300)])
    short = [subprocess.Popen([sys.executable, "-c", make.format(2)]) for _ in range(8)]
    assert [process.wait(120) for process in (long, *short)] == [0] * 9


@needs_limits
def test_threads():
    failures = []

    def work():
        try:
            for _ in range(20):
                with Cgroup.create(pids=9, memory="9M") as group:
                    group.sample()
        except Exception as error:  # noqa: BLE001  # any, for the assertion
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@needs_limits
def test_set():
    with Cgroup.create(memory="64M", pids=5) as group:
        for memory in (128 * MIB, 32 * MIB):
            group.set(memory=memory)
            assert text(group, "memory.limit_in_bytes", "memory.max") == str(memory)
        group.set(pids=7)
        assert text(group, "pids.max") == "7"
        assert group.limits.memory == 32 * MIB
        with pytest.raises(errors.InvalidConfig):
            group.set(pids=0)
        with pytest.raises(errors.Unsupported, match="cpuset"):  # made without, or not to be had
            group.set(cpuset="0")
        assert text(group, "pids.max") == "7"


@needs_limits
def test_swap_on_request():
    with Cgroup.create(memory="64M", memory_swap="80M") as group:
        assert text(group, "memory.memsw.limit_in_bytes", "memory.swap.max") in (str(80 * MIB), str(16 * MIB))
    with Cgroup.create(memory="64M", memory_swap=-1) as group:
        assert text(group, "memory.memsw.limit_in_bytes", "memory.swap.max") not in (str(64 * MIB), "0")


@needs_limits
@pytest.mark.requires("cgroup_v1")
def test_a_process_enters_v1_through_the_descriptors():
    with Cgroup.create(pids=9, memory="9M") as group:
        code = "for fd in $FDS; do echo 0 >&$fd; done; read x"
        environment = {"FDS": " ".join(map(str, group.join_fds))}
        child = subprocess.Popen(
            ["/bin/bash", "-c", code], env=environment, pass_fds=group.join_fds, stdin=subprocess.PIPE
        )
        wait_for(group.processes)
        assert group.processes() == (child.pid,)
        child.communicate()


USES = {
    "add": lambda group: group.add(os.getpid()),
    "add_thread": lambda group: group.add_thread(os.getpid()),
    "set": lambda group: group.set(pids=5),
    "set_devices": lambda group: group.set_devices([DeviceRule(allow=True)]),
    "sample": Cgroup.sample,
    "stats": Cgroup.stats,
    "pressure": Cgroup.pressure,
    "memory_peak": Cgroup.memory_peak,
    "freeze": Cgroup.freeze,
    "watch": Cgroup.watch,
    "in_cgroup": lambda group: cgroups.in_cgroup(group, ["true"]),
    "opened": lambda group: group.add(os.getpid()),
}


@needs_limits
@pytest.mark.parametrize("use", USES)
def test_a_group_after_its_end(use):
    """An error, and not the answers of a group without limits."""
    with Cgroup.create(pids=9) as made, Cgroup.open(made.paths[0]) as opened:
        pass
    group = opened if use == "opened" else made
    with pytest.raises(errors.CgroupError, match="was removed, or let go"):
        USES[use](group)
    assert (group.processes(), group.threads(), group.paths, group.frozen) == ((), (), (), False)
    group.kill()
    group.thaw()
    group.remove()


@needs_limits
def test_a_group_cannot_be_pickled():
    with Cgroup.create(pids=9) as group, pytest.raises(TypeError, match=r"Cgroup\.open"):
        pickle.dumps(group)


@needs_limits
def test_a_vanished_group():
    group = Cgroup.create(pids=9)
    for path in group.paths:
        os.rmdir(path)
    with pytest.raises(errors.CgroupError):
        group.add(os.getpid())
    assert group.processes() == ()
    group.kill()
    group.remove()


@needs_limits
def test_a_process_that_does_not_exist():
    with Cgroup.create(pids=9) as group, pytest.raises(errors.CgroupError, match="ESRCH"):
        group.add(2**22 - 1)


@needs_limits
def test_no_descriptor_is_left_after_a_failure():
    before = os.listdir("/proc/self/fd")
    with Cgroup.create("taken", memory="9M"):
        for name in ("taken", "taken/x/../y", "new"):
            with contextlib.suppress(errors.Error):
                Cgroup.create(name, pids=9, memory="9M", cpuset="0-8000").remove()
    assert os.listdir("/proc/self/fd") == before


def test_where_nothing_can_be_limited():
    info = cgroups.info()
    if info.usable:
        pytest.skip("limits can be set here")
    assert info.hint
    with pytest.raises(errors.Unsupported) as caught:
        Cgroup.create(memory="64M")
    assert caught.value.hint
    with pytest.raises(errors.Unsupported):
        Cgroup.create()
    group = Cgroup.for_limits(cgroups.Limits(memory="64M", pids=4), require_limits=False)
    assert group.unenforced == ("memory", "pids")
    assert (group.clone_fd, group.join_fds, group.paths) == (None, (), ())
    assert group.sample() == cgroups.Sample()
    with pytest.raises(errors.Unsupported):
        group.add(os.getpid())
    group.kill()
    group.remove()


def test_the_own_group_can_be_looked_at_by_anybody():
    with Cgroup.current() as group:
        assert os.getpid() in group.processes()
        assert threading.get_native_id() in group.threads()
        assert not group.frozen
        assert group.sample().cpu_time is not None
        assert exists(*group.paths) == list(group.paths)


MOUNTS = """
    from pycgroups import cgroups, errors
    print(cgroups.info().hierarchy)
    try:
        with cgroups.Cgroup.create(memory="64M", pids=5) as group:
            print(len(group.paths), len(group.join_fds), group.clone_fd is not None)
            print(group.sample().cpu_time is not None)
    except errors.Unsupported as error:
        print(error.hint)
    group = cgroups.Cgroup.for_limits(cgroups.Limits(memory="64M"), require_limits=False)
    print(group.unenforced)
    group.remove()
"""


def with_mounts(command):
    """What `MOUNTS` prints in a mount namespace after a command of the shell has changed the mounts."""
    shell = ["unshare", "--mount", "sh", "-ec", f'{command}; exec "$@"', "sh"]
    result = subprocess.run(
        [*shell, sys.executable, "-c", textwrap.dedent(MOUNTS)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return result.stdout.splitlines()


@pytest.mark.requires("root", "unshare")
def test_no_cgroups_mounted():
    kind, hint, unenforced = with_mounts("umount -l /sys/fs/cgroup")
    assert (kind, unenforced) == ("none", "('memory',)")
    assert "mount -t cgroup2" in hint


@pytest.mark.requires("root", "unshare", "cgroup_v2")
def test_v2_mounted_read_only():
    kind, hint, unenforced = with_mounts("mount -o remount,bind,ro /sys/fs/cgroup")
    assert (kind, unenforced) == ("v2", "('memory',)")
    assert "remount,rw /sys/fs/cgroup" in hint


@pytest.mark.requires("root", "unshare", "cgroup_v1")
def test_v1_mounted_read_only():
    kind, hint, unenforced = with_mounts("mount -o remount,bind,ro /sys/fs/cgroup/memory")
    assert (kind, unenforced) == ("hybrid", "('memory',)")
    assert "remount,rw /sys/fs/cgroup/memory" in hint


@pytest.mark.requires("root", "unshare", "cgroup_v1")
def test_v1_alone():
    unmount = 'for m in /sys/fs/cgroup/unified; do if [ -d "$m" ]; then umount "$m"; fi; done'
    assert with_mounts(unmount) == ["v1", "4 4 False", "True", "()"]


def at_the_top_of_a_namespace(run):
    """What `MOUNTS` prints in a container without systemd: the only cgroup in sight is the one with its processes."""
    group = Path(f"/sys/fs/cgroup/{leaks.OWN}")
    group.mkdir()
    try:
        shell = 'echo $$ > "$1/cgroup.procs"; exec unshare --mount --cgroup sh -ec "$2" sh "$3" "$4"'
        inner = f"umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; {run}"
        result = subprocess.run(
            ["sh", "-ec", shell, "sh", str(group), inner, sys.executable, textwrap.dedent(MOUNTS)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return result.stdout.splitlines()
    finally:
        for path in (*group.glob("*/*/"), *group.glob("*/"), group):
            if path.is_dir():
                path.rmdir()


@pytest.mark.requires("root", "unshare", "cgroup_v2")
def test_in_a_container_whose_top_has_processes():
    kind, hint, unenforced = at_the_top_of_a_namespace('"$1" -c "$2"; true')
    assert (kind, unenforced) == ("v2", "('memory',)")
    assert "mkdir /sys/fs/cgroup/init" in hint


@pytest.mark.requires("root", "unshare", "cgroup_v2")
def test_alone_in_a_container():
    """This process can move out of the way by itself."""
    assert at_the_top_of_a_namespace('exec "$1" -c "$2"') == ["v2", "1 0 True", "True", "()"]


@pytest.mark.requires("root", "limits", "cgroup_v2")
def test_out_of_the_way_in_a_cgroup_of_its_own():
    """A user who has nothing but the cgroup that he is in, as a service with User= and Delegate=yes."""
    code = """
        import os, sys
        from pycgroups.cgroups import Cgroup, dbus, group, hints, info, moving
        sys.stdin.readline()
        os.setgroups([])
        os.setresgid(54323, 54323, 54323)
        os.setresuid(54323, 54323, 54323)
        print(*info().by_moving)
        with Cgroup.create(memory="64M", pids=9) as made:
            print(*made.paths, open("/proc/self/cgroup").read().strip())
    """
    with (
        Cgroup.create("service", memory="1G", pids=50) as around,
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            (path,) = around.paths
            for name in ("", "cgroup.procs", "cgroup.subtree_control"):
                os.chown(os.path.join(path, name), 54323, 54323)
            around.add(process.pid)
            out, _ = process.communicate("\n", timeout=PATIENCE)
        finally:
            process.kill()
    controllers, places_ = out.splitlines()
    assert set(controllers.split()) >= {"memory", "pids"}
    made, own = places_.split()
    assert made.startswith(f"{path}/pycgroups/run.")
    assert own == f"0::{path.removeprefix('/sys/fs/cgroup')}/self"
