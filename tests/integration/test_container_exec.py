"""Other programs in a container that is held: exec and popen, which are subprocess's run and Popen inside."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import pycgroups as pc
from pycgroups._native import spawning
from pycgroups.cgroups import by_path, within
from pycgroups.containers import ending, inner
from pycgroups.namespaces import files
from pycgroups.runtime import execution, launch
from tests.processes import descendants
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")


@pytest.fixture
def held(run):
    """A container that runs, for one test."""
    return run(env={"WORD": "own"}, cwd="/tmp", hostname="box")


def test_the_answer_is_a_result(held):
    result = held.exec(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.returncode, result.stdout, result.stderr, result.reason) == (3, b"out\n", b"err\n", "exited")
    assert result.usage.wall_time > 0
    assert result.usage.cpu_time > 0
    assert held.exec(["cat"], input="text\n", text=True).stdout == "text\n"
    assert held.exec(["sh", "-c", "kill -9 $$"]).returncode == -9
    assert held.exec("true", stdout=pc.DEVNULL).stdout is None
    with pytest.raises(pc.CalledProcessError):
        held.exec("false", check=True)


@pytest.mark.parametrize("options", [{}, {"tty": True}, {"timeout": 60}])
def test_a_signal_that_comes_just_after_the_end_is_for_nobody(held, monkeypatch, options):
    finish = execution.Executed.finish

    def finished(self):
        told = finish(self)
        self.signal(signal.SIGTERM)
        return told

    monkeypatch.setattr(execution.Executed, "finish", finished)
    assert held.exec(["sh", "-c", "exit 3"], **options).returncode == 3


def test_its_time_is_counted_from_before_its_start(held, monkeypatch):
    """Who has little to do ends before the start has returned."""
    clock, launch = [0.0], pc.Container.launch

    def starting(self, *args, **options):
        executed = launch(self, *args, **options)
        clock[0] += 7
        return executed

    monkeypatch.setattr(pc.Container, "launch", starting)
    monkeypatch.setattr(inner, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert held.exec("true").usage.wall_time == 7


def test_it_is_where_the_container_is(held):
    def say(*command, **options):
        return held.exec(list(command), text=True, check=True, **options).stdout.strip()

    assert say("hostname") == "box"
    assert say("pwd") == "/tmp"
    assert say("pwd", cwd="/etc") == "/etc"
    assert say("sh", "-c", "echo $WORD") == "own"
    assert say("sh", "-c", "echo $WORD $MORE", env={"WORD": "new", "MORE": "x"}) == "new x"
    assert say("cat", "/proc/1/comm") == "pycgroups-init"
    kinds = ["pid", "net", "ipc", "uts", "mnt", "user", "cgroup"]
    inside = say("sh", "-c", "for k in $0; do readlink /proc/self/ns/$k; done", " ".join(kinds)).split()
    outside = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert not set(inside) & set(outside)
    confined = say("grep", "-E", "^(NoNewPrivs|Seccomp|CapBnd)", "/proc/self/status").split()
    own = Path(f"/proc/{descendants(held.pid)[0]}/status").read_text()
    assert all(word in own for word in confined)
    assert confined[confined.index("Seccomp:") + 1] == "2"


@pytest.mark.requires("subuid")
def test_it_is_who_was_asked_for(held):
    assert held.exec(["id", "-u"], user="user").stdout == b"1000\n"
    assert held.exec(["id", "-G"], user="user").stdout == b"1000 26 44\n"
    assert held.exec(["sh", "-c", "echo $HOME"], user="user").stdout == b"/home/user\n"
    assert b"CapEff:\t0000000000000000" in held.exec(["cat", "/proc/self/status"], user=1000).stdout
    with pytest.raises(pc.InvalidConfig):
        held.exec("id", user="nobody-knows")


def test_what_is_not_there_is_told(held):
    with pytest.raises(pc.CommandNotFound):
        held.exec("no-such-program")
    with pytest.raises(pc.CommandNotExecutable):
        held.exec("/etc/passwd")
    for options in ({"cwd": "relative"}, {"env": {"": "x"}}, {"timeout": -1}, {"stdin": object()}):
        with pytest.raises(pc.InvalidConfig):
            held.exec("true", **options)
    with pytest.raises(pc.InvalidConfig, match="stdin: the descriptor is closed"):
        held.popen("true", stdin=closed())
    held.stop(timeout=0)
    with pytest.raises(pc.StateError):
        held.exec("true")


def closed():
    fd = os.open("/", os.O_PATH)
    os.close(fd)
    return fd


def test_that_it_is_not_there_is_told_whoever_has_a_copy_of_the_helpers_socket(held, monkeypatch, joining):
    joining()
    copies, child = [], spawning.child

    def copying(spawned, *rest):
        copies.append(os.dup(spawned.out.peer))  # as a child has that another thread forks now
        return child(spawned, *rest)

    monkeypatch.setattr(spawning, "child", copying)
    try:
        with pytest.raises(pc.CommandNotFound):
            held.exec("nothing")
    finally:
        for fd in copies:
            os.close(fd)
    assert copies


@pytest.mark.parametrize(
    ("module", "name", "limits"),
    [
        (files, "others", {}),
        (launch, "launch", {}),
        (execution, "_cgroups", {}),
        (execution, "Entrance", {}),
        pytest.param(by_path, "is_frozen", {"pids": 9}, marks=pytest.mark.requires("limits")),
        pytest.param(within.Inner, "make", {"pids": 9}, marks=pytest.mark.requires("limits")),
        pytest.param(within, "_make_room", {"pids": 9}, marks=pytest.mark.requires("limits")),
        pytest.param(execution, "_cgroups", {"pids": 9}, marks=pytest.mark.requires("limits")),
    ],
)
@pytest.mark.parametrize("end", [pc.Container.kill, partial(pc.Container.remove, force=True)])
def test_one_that_ends_meanwhile_is_told_as_one_that_has_ended(held, monkeypatch, joining, module, name, limits, end):  # noqa: PLR0917 (pytest's)
    """Whatever of it is missed first."""
    joining()
    real = getattr(module, name)

    def late(*args, **options):
        monkeypatch.undo()
        end(held)
        return real(*args, **options)

    monkeypatch.setattr(module, name, late)
    with pytest.raises(pc.StateError, match="not run"):
        held.exec("true", **limits)


@pytest.mark.parametrize("name", ["child", "fork_ask"])
def test_a_child_that_is_forked_meanwhile_holds_nothing_up(held, monkeypatch, joining, name):
    """Whether the program joins, or the init forks for it."""
    if name == "child":
        joining()
    children, child = [], getattr(spawning, name)
    ends = os.pipe()

    def forking(spawned, *rest):
        children.append(os.fork())
        if children[-1] == 0:
            os.close(ends[1])
            os._exit(not select.select([ends[0]], [], [], 60)[0])
        return child(spawned, *rest)

    monkeypatch.setattr(spawning, name, forking)
    try:
        assert held.exec(["sh", "-c", "exit 3"]).returncode == 3
    finally:
        os.close(ends[1])
        os.close(ends[0])
        codes = [os.waitpid(pid, 0)[1] for pid in children]
    assert codes == [0]  # it lived until it was told to end


def test_nothing_is_executed_in_one_whose_start_is_not_noted(held):
    """Its root may be the host's still, while its creator sets it up."""
    with held._home() as home:
        start = home.start()
        home.write_start(start._replace(began=start.began - 1))  # that of an earlier run, whose pid it has
        for execute in (held.exec, held.popen):
            with pytest.raises(pc.StateError, match="does not run"):
                execute("true")
        home.write_start(start)
    assert held.exec("true").returncode == 0


def test_a_timeout_kills_all_that_it_has_started(held):
    before = held.exec(["ls", "/proc"]).stdout
    script = "(setsid sh -c 'sleep 998 & sleep 999' &) ; sleep 997 & echo up; sleep 996"
    result = held.exec(["sh", "-c", script], timeout=1)
    assert (result.reason, result.stdout) == ("timeout", b"up\n")
    numbers = [set(filter(bytes.isdigit, listing.split())) for listing in (before, held.exec(["ls", "/proc"]).stdout)]
    assert len(numbers[0]) == len(numbers[1])
    assert held.status == "running"
    with pytest.raises(pc.TimeoutExpired):
        held.exec(["sleep", "100"], timeout=0.1, check=True)
    assert held.exec(["sh", "-c", "exit 5"], timeout=60).returncode == 5


SLEEPS = ["sh", "-c", "setsid sleep 984 & sleep 983"]


def is_alone(held):
    return not any("98" in process.command for process in held.top())


@pytest.mark.requires("root")
@pytest.mark.parametrize("options", [{}, {"memory": "64M"}])
def test_a_timeout_passes_while_the_container_is_paused(held, options):
    results = []
    thread = threading.Thread(target=lambda: results.append(held.exec(SLEEPS, timeout=5, **options)))
    thread.start()
    wait_for(lambda: "exec" in [event.action for event in held.events()])
    held.pause()
    thread.join(60)
    assert [(result.returncode, result.reason) for result in results] == [(-9, "timeout")]
    held.resume()
    wait_for(lambda: is_alone(held))


def after_spawn(monkeypatch, act):
    """Do something when there is a process in a container that goes on, and it waits to be told what to do."""
    spawned = spawning.child

    def spawned_then(*args):
        result = spawned(*args)
        act()
        return result

    monkeypatch.setattr(spawning, "child", spawned_then)


@pytest.fixture
def interrupt_soon():
    """What has this thread interrupted in half a second, as by Ctrl-C, whatever handlers a command has left here."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: threading.Timer(0.5, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
    signal.signal(signal.SIGINT, former)


@pytest.mark.requires("root")
@pytest.mark.parametrize("options", [{}, {"memory": "64M"}, {"tty": True}])
def test_a_timeout_passes_while_the_program_has_not_begun(held, monkeypatch, options):
    before = sorted(os.listdir("/proc/self/fd"))
    after_spawn(monkeypatch, held.pause)
    result = held.exec(["sh", "-c", "touch /tmp/begun; setsid sleep 984 & sleep 983"], timeout=0.5, **options)
    assert (result.returncode, result.reason) == (-9, "timeout")
    held.resume()
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before)
    wait_for(lambda: is_alone(held))
    monkeypatch.undo()
    assert held.exec(["test", "-e", "/tmp/begun"]).returncode == 1


@pytest.mark.parametrize("options", [{}, {"tty": True}])
def test_a_timeout_that_passes_while_it_is_started(held, monkeypatch, options):
    after_spawn(monkeypatch, partial(time.sleep, 0.3))
    result = held.exec(SLEEPS, timeout=0.1, **options)
    assert (result.args, result.returncode, result.reason) == (SLEEPS, -9, "timeout")
    assert result.usage.wall_time >= 0.3
    assert is_alone(held)
    assert held.exec(["sh", "-c", "exit 3"], timeout=0.1, **options).returncode == 3  # it had its time


@pytest.mark.requires("root")
@pytest.mark.parametrize("options", [{"tty": True}, {"timeout": 60}, {"memory": "64M"}])
def test_a_call_that_is_interrupted_before_the_program_has_begun(held, monkeypatch, interrupt_soon, options):
    before = sorted(os.listdir("/proc/self/fd"))
    after_spawn(monkeypatch, lambda: (held.pause(), interrupt_soon()))
    with pytest.raises(KeyboardInterrupt):
        held.exec(["sleep", "983"], **options)  # it may have begun
    held.resume()
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before)
    wait_for(lambda: is_alone(held))


@pytest.mark.requires("root", "cgroup_v1")
@pytest.mark.parametrize("options", [{"tty": True}, {"timeout": 60}, {"memory": "64M"}])
def test_a_call_that_is_interrupted_before_the_program_has_begun_on_v1(held, monkeypatch, interrupt_soon, options):
    """What that freezes it does not let die."""
    state = Path(f"/sys/fs/cgroup/freezer{ending.cgroup_of(held.id)}/freezer.state")
    before = sorted(os.listdir("/proc/self/fd"))
    after_spawn(monkeypatch, lambda: (state.write_text("FROZEN"), interrupt_soon()))
    with pytest.raises(KeyboardInterrupt):
        held.exec(["sleep", "983"], **options)  # it may have begun
    state.write_text("THAWED")
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before)
    wait_for(lambda: is_alone(held))


@pytest.mark.requires("root")
@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"memory": "64M"}])
def test_a_call_that_is_interrupted_while_the_container_is_paused(held, monkeypatch, options):
    before = sorted(os.listdir("/proc/self/fd"))

    def interrupted(*_):
        held.pause()
        raise KeyboardInterrupt

    monkeypatch.setattr(inner, "complete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        held.exec(SLEEPS, **options)
    held.resume()
    if options:
        wait_for(lambda: is_alone(held))
    wait_for(lambda: not any("983" in process.command for process in held.top()))
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before)


@pytest.mark.parametrize("closed", ["1", "2", "02", "12", "012"])
def test_from_a_process_without_standard_streams(script, store, root, closed):
    code = """
import os, sys

answer, (_, place, root, closed) = os.dup(1), sys.argv
for number in closed:
    os.close(int(number))
import pycgroups as pc

with pc.Store(place).containers.create(["sleep", "1000"], rootfs=root) as held:
    held.start()
    held.write_text("/tmp/file", "text")
    with held.popen(["cat", "-", "/tmp/file"], stdin=pc.PIPE, stdout=pc.PIPE) as process:
        process.stdin.write(b"some ")
        process.stdin.close()
        os.write(answer, process.stdout.read())
    held.exec(["sh", "-c", "echo a; echo b >&2"], stdout=None, stderr=None, check=True)
"""
    told = script(code, store.containers._root, root, closed)
    assert told.removesuffix("a\n") == "some text"


def test_a_call_that_is_interrupted_before_it_has_heard_of_its_program(held, monkeypatch):
    def interrupted(*_):
        wait_for(lambda: any("983" in process.command for process in held.top()))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(launch.Running, "until_started", interrupted)
        with pytest.raises(KeyboardInterrupt):
            held.exec(SLEEPS, timeout=1000)
    wait_for(lambda: is_alone(held))


def test_without_a_timeout_what_it_has_started_goes_on(held):
    held.exec(["sh", "-c", "sleep 995 >/dev/null 2>&1 &"], check=True)
    wait_for(lambda: b"\0sleep\x00995\0" in held.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout)


def test_much_output_comes_whole(held):
    result = held.exec(["sh", "-c", "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2"])
    assert (len(result.stdout), len(result.stderr)) == (3_000_000, 2_000_000)
    assert len(held.exec(["cat"], input=bytes(3_000_000)).stdout) == 3_000_000


def test_many_at_once(held):
    running = [held.popen(["sh", "-c", f"sleep 0.2; exit {number}"]) for number in range(20)]
    assert [each.wait(timeout=120) for each in running] == list(range(20))


def test_another_process_of_ours_executes_in_it(held, script):
    root = held._place.homes.path.removesuffix("/containers")
    code = f"import pycgroups as pc; print(pc.Store({root!r}).containers.get({held.id!r}).exec('hostname').stdout)"
    assert script(code).strip() == "b'box\\n'"


# -- popen ----------------------------------------------------------------------------------------------------------


def test_a_conversation(held):
    with held.popen(["cat"], stdin=pc.PIPE, stdout=pc.PIPE, text=True) as running:
        assert running.poll() is None
        running.stdin.write("one\n")
        running.stdin.flush()
        assert running.stdout.readline() == "one\n"
        running.stdin.close()
        assert running.stdout.read() == ""
        assert running.wait(timeout=60) == 0
    assert running.returncode == running.poll() == 0


def test_communicate_is_subprocesses(held):
    running = held.popen(["sh", "-c", "cat; echo err >&2"], stdin=pc.PIPE, stdout=pc.PIPE, stderr=pc.PIPE)
    data = bytes(range(256)) * 4000
    assert running.communicate(data, timeout=60) == (data, b"err\n")
    running = held.popen(["sh", "-c", "echo both; echo both >&2"], stdout=pc.PIPE, stderr=pc.STDOUT, text=True)
    assert running.communicate() == ("both\nboth\n", None)
    running = held.popen(["sh", "-c", "echo first; sleep 1; echo second"], stdout=pc.PIPE)
    with pytest.raises(pc.TimeoutExpired):
        running.communicate(timeout=0.3)
    assert running.communicate(timeout=60) == (b"first\nsecond\n", None)


@pytest.mark.parametrize("options", [{}, {"text": True}])
def test_what_has_come_is_told_when_the_time_is_over(held, options):
    """As bytes in any case, which is what subprocess does."""
    script = "echo first; echo err >&2; read line; echo second"
    ends = {"stdin": pc.PIPE, "stdout": pc.PIPE, "stderr": pc.PIPE}
    running = held.popen(["sh", "-c", script], **ends, **options)
    reader, writer = running.stdin, os.dup(running.stdin.fileno())  # communicate() closes ours: that is no end yet

    def has_come():
        with pytest.raises(pc.TimeoutExpired) as told:
            running.communicate(timeout=0.05)
        assert reader.closed
        assert isinstance(told.value, subprocess.TimeoutExpired)
        assert told.value.result is None
        return (told.value.output, told.value.stderr) == (b"first\n", b"err\n")

    wait_for(has_come)
    os.close(writer)
    whole = running.communicate(timeout=60)
    assert whole == (("first\nsecond\n", "err\n") if options else (b"first\nsecond\n", b"err\n"))


@pytest.mark.parametrize("options", [{}, {"text": True}, {"stderr": pc.PIPE}, {"stderr": pc.STDOUT}])
def test_communicate_goes_on_behind_what_was_read(held, options):
    """With text and two pipes that is lost, as with subprocess."""
    running = held.popen(["printf", "a\\nb\\nc\\n"], stdout=pc.PIPE, **options)
    first, (rest, errors) = running.stdout.readline(), running.communicate()
    assert (first, rest) == (("a\n", "b\nc\n") if "text" in options else (b"a\n", b"b\nc\n"))
    assert errors == (b"" if options.get("stderr") == pc.PIPE else None)
    assert running.stdout.closed


@pytest.mark.parametrize("options", [{}, {"text": True}])
def test_communicate_with_who_reads_nothing(held, options):
    running = held.popen(["true"], stdin=pc.PIPE, **options)
    running.stdin.write("x" if options else b"x")
    assert running.wait(timeout=60) == 0
    assert running.communicate("y" if options else b"y") == (None, None)


def test_communicate_by_a_terminal_that_is_full(held):
    """Who writes on waits for who reads; poll(2) tells that there is some room, and not how much."""
    lines = b"hi\n" * 20_000
    with held.popen(["cat"], tty=True) as running:
        out, _ = running.communicate(lines + b"\x04", timeout=60)
    assert out.count(b"hi\r\n") > 20_000  # written, and echoed as far as there was room
    with held.popen(["sleep", "1000"], tty=True) as running:
        with pytest.raises(pc.TimeoutExpired):
            running.communicate(lines, timeout=0.3)
        running.kill()
        running.communicate()


def test_communicate_keeps_its_time_with_who_writes_without_end(held):
    with held.popen(["yes"], stdout=pc.PIPE) as running:
        with pytest.raises(pc.TimeoutExpired) as told:
            running.communicate(timeout=0.3)
        assert told.value.output.startswith(b"y\n")
        running.kill()
        assert len(running.communicate()[0]) >= len(told.value.output)


def test_communicate_leaves_open_files_as_they_are(held):
    """Others have them, too: threads, programs that were given them, and of a terminal all three streams."""
    with held.popen(["sleep", "1000"], tty=True) as running:
        ended = threading.Event()

        def communicate():
            with pytest.raises(pc.TimeoutExpired):
                running.communicate(b"hi\n" * 20_000, timeout=0.5)
            ended.set()

        thread = threading.Thread(target=communicate)
        thread.start()
        while not ended.wait(0.01):
            assert os.get_blocking(running.stdout.fileno())
        thread.join()
        running.kill()
        running.communicate()


def test_what_was_read_ahead_is_taken_without_a_change_of_open_files(held, monkeypatch):
    monkeypatch.setattr(os, "set_blocking", None)
    running = held.popen(["printf", "a\\nb\\n"], stdout=pc.PIPE, stderr=pc.PIPE)
    assert running.stdout.readline() == b"a\n"
    assert running.communicate() == (b"b\n", b"")


def test_communicate_closes_an_input_that_nobody_reads(held):
    running = held.popen(["sh", "-c", "exec <&-; echo out; echo err >&2"], stdin=pc.PIPE, stdout=pc.PIPE)
    assert running.wait(timeout=60) == 0
    running.stdin.write(b"x")
    assert running.communicate(b"y") == (b"out\n", None)
    assert running.stdin.closed
    with held.popen(["true"], tty=True) as running:
        assert running.wait(timeout=60) == 0
        running.stdin.write(b"x")
        assert running.communicate(b"y")[1] is None


@pytest.mark.parametrize("options", [{}, {"stderr": pc.PIPE}, {"text": True}, {"tty": True}])
def test_communicate_again_gives_the_same(held, options):
    with held.popen(["echo", "out"], **({"stdout": pc.PIPE} if "tty" not in options else {}), **options) as running:
        first = running.communicate()
        assert first[0].strip() in {b"out", "out"}
        assert running.communicate() == running.communicate(timeout=1) == first
        with pytest.raises(ValueError, match="communicate"):
            running.communicate("x" if "text" in options else b"x")


def test_communicate_again_takes_no_other_input(held):
    running = held.popen(["sh", "-c", "sleep 0.5; cat"], stdin=pc.PIPE, stdout=pc.PIPE)
    data = b"x" * 100_000
    with pytest.raises(pc.TimeoutExpired):
        running.communicate(data, timeout=0.05)
    with pytest.raises(pc.InvalidConfig, match="option input"):
        running.communicate(b"y")
    assert running.communicate() == (data, None)


def test_communicate_again_after_the_input_was_closed(held):
    running = held.popen(["sh", "-c", "sleep 0.5; wc -c"], stdin=pc.PIPE, stdout=pc.PIPE)
    with pytest.raises(pc.TimeoutExpired):
        running.communicate(b"x" * 100_000, timeout=0.05)
    running.stdin.close()
    out, _ = running.communicate(timeout=60)
    assert 0 < int(out) < 100_000


def test_what_is_no_text_stays(held):
    script = "printf '\\377'; echo err >&2"
    running = held.popen(["sh", "-c", script], stdout=pc.PIPE, stderr=pc.PIPE, encoding="utf-8")
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            running.communicate()
        assert running.stdout.closed
        assert running.stderr.closed


def test_ctrl_c_in_its_block_waits_for_a_moment_only(held):
    with pytest.raises(KeyboardInterrupt), held.popen(["sleep", "983"]) as running:
        raise KeyboardInterrupt
    assert running.poll() is None
    running.kill()
    assert running.wait(timeout=60) == -9


def test_signal_0_is_none(held):
    with held.popen(["sleep", "1000"]) as running:
        running.send_signal(0)
        assert running.poll() is None
        running.kill()


def test_input_is_text_or_bytes_as_the_streams_are(held):
    for options, wrong in (({}, "x"), ({"text": True}, b"x"), ({}, 5)):
        running = held.popen(["cat"], stdin=pc.PIPE, stdout=pc.PIPE, **options)
        with pytest.raises(pc.InvalidConfig, match="option input"):
            running.communicate(wrong)
        assert not running.communicate(timeout=60)[0]


def test_signals_have_names(held):
    running = held.popen(["sleep", "1000"])
    for wrong in (999, -1, "NONSENSE", None, False, 0.0):
        with pytest.raises(pc.InvalidConfig, match="option sig"):
            running.send_signal(wrong)
    running.send_signal("USR2")
    assert running.wait(timeout=60) == -signal.SIGUSR2
    with pytest.raises(pc.InvalidConfig, match="option sig"):
        running.send_signal("NONSENSE")


def test_signals_and_waits(held):
    running = held.popen(["sleep", "1000"])
    with pytest.raises(pc.TimeoutExpired, match=r"timed out after 0\.05 seconds") as told:
        running.wait(timeout=0.05)
    assert isinstance(told.value, subprocess.TimeoutExpired)
    assert (told.value.operation, told.value.output) == ("wait", None)
    running.send_signal(signal.SIGUSR1)
    assert running.wait(timeout=60) == -signal.SIGUSR1
    running.kill()
    running = held.popen(["sleep", "1000"])
    running.terminate()
    assert running.wait(timeout=60) == -signal.SIGTERM


def test_files_of_the_callers(held, tmp_path):
    (tmp_path / "in").write_text("word\n")
    with (tmp_path / "in").open() as given, (tmp_path / "out").open("w") as taken:
        assert held.popen(["cat"], stdin=given, stdout=taken).wait(timeout=60) == 0
    assert (tmp_path / "out").read_text() == "word\n"


def test_a_terminal_of_its_own(held):
    with held.popen(["sh"], tty=True, size=(30, 90)) as running:
        running.stdin.write(b"stty -echo 2>/dev/null; tty\n")
        running.stdin.flush()
        wait_for(lambda: b"/dev/pts/" in running.stdout.peek() or running.stdout.readline() is None)
        running.resize(40, 100)
        running.stdin.write(b"exit 6\n")
        running.stdin.flush()
        assert running.wait(timeout=60) == 6
    assert b"30 90" in held.exec(["sh", "-c", "echo 30 90"], tty=True).stdout


def test_a_size_is_told_until_the_end(held):
    with held.popen(["sh", "-c", "read line; busybox stty size"], tty=True) as running:
        running.resize(40, 100)
        running.stdin.write(b"\n")
        running.stdin.flush()
        assert running.stdout.read().split()[-2:] == [b"40", b"100"]
        assert running.wait(timeout=60) == 0
        running.resize(1, 1)  # as a handler of SIGWINCH may at any time


def test_what_is_no_size(held):
    for size in (3, (3,), (1, 2, 3), "ab", (-1, 1), (1, 70_000), ("1", "2")):
        with pytest.raises(pc.InvalidConfig, match="option size"):
            held.popen("true", tty=True, size=size)
    with held.popen("true", tty=True) as running:
        for rows, cols in ((-1, 70_000), (1, None), (1.5, 1)):
            with pytest.raises(pc.InvalidConfig, match="option size"):
                running.resize(rows, cols)
    with held.popen("true") as running, pytest.raises(pc.InvalidConfig, match="option tty"):
        running.resize(1, 1)


@pytest.mark.parametrize("options", [{}, {"text": True}])
def test_a_terminal_is_read_to_its_end(held, options):
    with held.popen(["sh", "-c", "seq 9999; exit 3"], tty=True, **options) as running:
        read = running.stdout.read()
        assert running.wait(timeout=60) == 3
    assert [int(line) for line in read.splitlines()] == list(range(1, 10_000))


def test_a_popen_ends_with_its_container(held):
    running = held.popen(["sleep", "1000"], stdout=pc.PIPE)
    held.stop(timeout=0)
    assert running.wait(timeout=60) == -9
    running.stdout.close()


def test_sizes_are_given_as_lists_too(held):
    with held.popen(["busybox", "stty", "size"], tty=True, size=[24, 80]) as running:
        assert running.stdout.readline().split() == [b"24", b"80"]
        assert running.wait(timeout=60) == 0


@pytest.mark.requires("root")
def test_one_that_cannot_be_left_to_a_thread_while_the_container_is_paused(held, monkeypatch):
    before = sorted(os.listdir("/proc/self/fd"))

    def fail(_):
        raise RuntimeError("can't start new thread")

    def interrupted(*_):
        held.pause()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", fail)
    monkeypatch.setattr(inner, "complete", interrupted)
    with pytest.raises(RuntimeError, match="can't start"):
        held.exec(SLEEPS)
    assert sorted(os.listdir("/proc/self/fd")) == before
    held.resume()
    wait_for(lambda: not any("983" in process.command for process in held.top()))


@pytest.mark.parametrize("is_late", [False, True])
def test_a_popen_that_nobody_can_wait_for_is_ended(held, monkeypatch, is_late):
    """Its thread cannot be started, or a signal handler raises when it was."""
    before = sorted(os.listdir("/proc/self/fd"))
    start = threading.Thread.start

    def fail(self):
        if is_late:
            start(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", fail)
    for begin in (held.popen, held.exec_detached):
        with pytest.raises(KeyboardInterrupt):
            begin(["sleep", "1000"])
    monkeypatch.undo()
    if is_late:  # what is left to itself goes on
        wait_for(lambda: len(held.top()) == 3)
        held.exec(["sh", "-c", "kill -9 -1"])
    wait_for(lambda: sorted(os.listdir("/proc/self/fd")) == before)


def test_what_cannot_be_told_of_is_ended(held, monkeypatch):
    before = sorted(os.listdir("/proc/self/fd"))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inner, "tell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        held.popen(["sleep", "1000"])
    assert sorted(os.listdir("/proc/self/fd")) == before
    wait_for(lambda: len(held.top()) == 2)  # its init reaps it


def test_who_waits_is_told_what_went_wrong(held, monkeypatch):
    def fail(_):
        raise MemoryError

    monkeypatch.setattr(execution.Executed, "finish", fail)
    running = held.popen(["true"])
    for ask in (running.wait, running.poll):
        with pytest.raises(MemoryError):
            ask()
    monkeypatch.undo()
    running._executed.close()


def test_descriptors_are_given_back(held):
    held.exec("true", timeout=60)
    before = sorted(os.listdir("/proc/self/fd"))
    held.exec("true")
    held.exec("true", timeout=60)
    held.popen(["cat"], stdin=pc.PIPE, stdout=pc.PIPE, stderr=pc.PIPE).communicate(b"x")
    with pytest.raises(pc.CommandNotFound):
        held.popen("no-such-program", stdin=pc.PIPE, stdout=pc.PIPE)
    assert sorted(os.listdir("/proc/self/fd")) == before
