"""What a fork of the container's init executes: it is as what joins the container, and the init gives nothing away."""

import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.runtime import forks
from pycgroups.security import capabilities
from tests.processes import state
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")
of_many = pytest.mark.requires("subuid")  # ids

FACTS = """
grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp|SigBlk|SigIgn|SigCgt|Cpus_allowed_list)' /proc/self/status
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/timerslack_ns
for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done
ls /proc/self/fd
env; pwd; readlink /proc/self/root; umask
"""
KILL = capabilities.mask(["CAP_KILL"])
BECOMING = KILL | capabilities.mask(["CAP_CHOWN", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"])


def is_forked(held):
    """Tell whether what is executed now is the init's child."""
    return held.exec(["sh", "-c", "echo $PPID"], check=True).stdout == b"1\n"


def commands(held):
    return {process.command for process in held.top()}


def sets(text):
    """Read the sets of capabilities in a file "status": proc_pid_status(5)."""
    words = text.split()
    return {name: int(words[words.index(f"Cap{name}:") + 1], 16) for name in ("Inh", "Prm", "Eff", "Bnd")}


def sets_of_init(held):
    return sets(Path(f"/proc/{held.pid}/status").read_text())


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, {}),
        pytest.param({}, {"user": 1000, "cwd": "/tmp", "env": {"MORE": "x"}}, marks=of_many),
        pytest.param({"user": "1000:1000"}, {}, marks=of_many),
        ({"caps_drop": ["ALL"]}, {}),
        pytest.param({"caps_drop": ["ALL"], "user": 1000}, {"user": 0}, marks=of_many),
        ({"caps_add": ["CAP_NET_ADMIN"], "ulimits": {"nofile": 100}}, {}),
        ({"seccomp": "unconfined"}, {"timeout": 60}),
    ],
)
def test_it_is_as_what_joins(run, joining, options, asked):
    held = run(**options)
    assert is_forked(held)
    facts = held.exec(["sh", "-c", FACTS], text=True, check=True, **asked).stdout
    joining()
    assert not is_forked(held)
    assert held.exec(["sh", "-c", FACTS], text=True, check=True, **asked).stdout.splitlines() == facts.splitlines()


@pytest.mark.requires("landlock")
@pytest.mark.parametrize("joins", [False, True])
def test_it_is_under_what_the_containers_own_program_is(run, joining, joins):
    held = run(landlock={"/": "rx"}, securebits=["noroot"], mounts=[pc.Mount.tmpfs("/tmp")])
    if joins:
        joining()
    assert is_forked(held) == (not joins)
    write = ["sh", "-c", "echo > /tmp/file"]
    assert b"securebits 0x1\n" in held.exec(["probe", "identity"]).stdout
    assert b"Permission denied" in held.exec(write).stderr
    assert held.popen(write, stderr=pc.DEVNULL).wait() == 1


RULES = {"/bin": "rx", "/etc/group": "r", "/work": "rw", "/work/bin": "rx"}


@pytest.mark.requires("landlock")
@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("change", ["rmdir /work/bin", "rmdir /work/bin && ln -s / /work/bin"])
def test_who_is_under_rules_does_not_change_them(run, own_root, joining, joins, change):
    """A rule is of a path, and what that leads to may be in the hands of the program."""
    (own_root / "work/bin").mkdir(parents=True)
    held = run(rootfs=own_root, landlock=RULES)
    if joins:
        joining()
    held.exec(["sh", "-c", change], check=True)
    assert held.exec(["cat", "/etc/group"], check=True).stdout
    assert b"Permission denied" in held.exec(["cat", "/etc/passwd"]).stderr
    if "ln" in change:
        with pytest.raises(pc.LaunchError, match=r"/work/bin.*EXDEV"):
            held.restart(timeout=0)


@pytest.mark.requires("landlock", "subuid")
def test_a_rule_that_another_user_cannot_reach_allows_him_nothing(run, own_root):
    (own_root / "closed/work").mkdir(parents=True)
    (own_root / "closed").chmod(0o700)
    held = run(rootfs=own_root, landlock={"/": "rx", "/closed/work": "rwx"})
    assert held.exec(["touch", "/closed/work/file"]).returncode == 0
    assert held.exec(["id", "-u"], user=1000, check=True).stdout == b"1000\n"


@pytest.mark.parametrize("options", [{}, {"caps_drop": ["ALL"]}, {"caps_drop": ["CAP_CHOWN"]}])
def test_the_init_keeps_what_forks_become(run, options):
    held = run(**options)
    kept = sets(held.exec(["cat", "/proc/self/status"], text=True).stdout)["Bnd"] | BECOMING
    assert sets_of_init(held) == {"Inh": 0, "Prm": kept, "Eff": kept, "Bnd": kept}


@pytest.mark.parametrize("options", [{"caps_add": ["CAP_SYS_PTRACE"]}, {"no_new_privileges": False}, {"init": False}])
def test_it_joins_where_an_init_must_not_fork(run, options):
    held = run(**options)
    assert not is_forked(held)
    if options.get("init", True):
        assert sets_of_init(held)["Prm"] == KILL


# The default filter allows what an init does. Another one may not: each fork has it by itself then.
OTHER = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["clone", "keyctl"], "action": "SCMP_ACT_ERRNO"}]}


def filters(status):
    words = status.split()
    return int(words[words.index("Seccomp_filters:") + 1])


@pytest.mark.parametrize(("seccomp", "of_init"), [("default", 1), (OTHER, 0), ("unconfined", 0)])
def test_the_init_has_the_filter_if_it_can(run, seccomp, of_init):
    held = run(seccomp=seccomp)
    around = filters(Path("/proc/self/status").read_text())
    assert filters(Path(f"/proc/{held.pid}/status").read_text()) - around == of_init
    assert filters(held.exec(["cat", "/proc/self/status"], text=True).stdout) - around == (seccomp != "unconfined")
    assert is_forked(held)


def test_a_fork_without_the_filter_is_none(run, monkeypatch):
    held = run(seccomp=OTHER)
    monkeypatch.setattr(forks, "can_share", lambda _: True)
    text = held.exec(["sh", "-c", "echo $PPID; cat /proc/self/status"], text=True, check=True).stdout
    assert text.startswith("0\n")  # it has joined
    assert filters(text) == filters(Path("/proc/self/status").read_text()) + 1


KEYS = """
import ctypes, sys
import pycgroups as pc
from pycgroups._native.calls import syscall_numbers

def call(name, *args):
    return ctypes.CDLL(None).syscall(syscall_numbers()[name], *args)

SESSION, JOIN, SETPERM, POSSESSOR = -3, 1, 5, 0x3f000000
assert call("keyctl", JOIN, None) > 0
key = call("add_key", b"user", b"of-the-caller", b"x", 1, SESSION)
assert key > 0 and call("keyctl", SETPERM, key, POSSESSOR) == 0  # who does not possess it does not see it: keyrings(7)
assert "of-the-caller" in open("/proc/keys").read()
with pc.Container(["sleep", "1000"], rootfs=sys.argv[1], userns="host", masked_paths=[]) as held:
    print(held.exec(["sh", "-c", "cat /proc/keys; echo $PPID"], text=True, check=True).stdout)
"""


@pytest.mark.requires("root")
def test_it_has_no_keys_of_the_caller(script, root):
    *keys, parent = script(KEYS, root).split("\n")[:-2]
    assert parent == "1"
    assert not any("of-the-caller" in key for key in keys)


@pytest.mark.requires("root")
def test_a_container_takes_one_key(run):
    """Of those that its user may have: proc_keys(5), kernel.keys.maxkeys."""
    held = run()
    user = re.search(r"^Uid:\s+(\d+)", Path(f"/proc/{held.pid}/status").read_text(), re.MULTILINE)[1]
    held.exec("true", check=True)
    wait_for(lambda: keys_of(user) == "1/200")  # the kernel forgets by and by those of whoever had these ids before


def keys_of(user):
    users = dict(line.strip().split(":", 1) for line in Path("/proc/key-users").read_text().splitlines())
    return users[user].split()[2]


def test_the_socket_is_its_owners(run):
    held = run()
    path = socket_of(held)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def socket_of(held):
    (path,) = Path(held._runtime().directory).glob("forks.*")
    return path


def test_the_socket_is_of_one_start(run):
    held = run()
    before = socket_of(held)
    held.restart(timeout=0)
    assert socket_of(held).name != before.name
    assert is_forked(held)


def test_whoever_may_write_to_it_breaks_nothing(run):
    held = run()
    for fds in ([], [0], [0] * 5, [0] * 7, [0] * 200):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            connect(asking, socket_of(held))
            socket.send_fds(asking, [b"nonsense"], fds)
            asking.send(b"")
        assert is_forked(held)


def connect(asking, path):
    """In 108 bytes: unix(7)."""
    opened = os.open(path, os.O_PATH)
    try:
        asking.connect(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)


ASKING = """
import os, socket, sys
path = os.open(sys.argv[1], os.O_PATH)
ours, control = socket.socketpair()
_, ended = socket.socketpair()
fds = [0, 1, 2, control.fileno(), os.pidfd_open(os.getpid()), ended.fileno()]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
    asking.connect(f"/proc/self/fd/{path}")
    socket.send_fds(asking, [b"x"], fds)
control.close()
print("forked" if ours.recv(1) else "refused")
"""


@pytest.mark.requires("root")
@pytest.mark.parametrize(("inside", "answer"), [(False, "forked"), (True, "refused")])
def test_who_has_a_number_in_its_pid_namespace_is_refused(run, inside, answer):
    held = run()
    join = ["nsenter", "--target", str(held.pid), "--pid"] if inside else []
    command = [*join, sys.executable, "-c", ASKING, str(socket_of(held))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{answer}\n"
    assert is_forked(held)


@pytest.mark.parametrize("name", ["ask", "is_answered", "has_begun"])
@pytest.mark.parametrize("end", [pc.Container.kill, partial(pc.Container.remove, force=True)])
def test_one_that_ends_meanwhile(run, monkeypatch, name, end):
    held = run()
    real = getattr(forks.Forked, name)

    def late(*args):
        monkeypatch.undo()
        end(held)
        return real(*args)

    monkeypatch.setattr(forks.Forked, name, late)
    try:
        assert held.exec(["sleep", "995"]).returncode == -signal.SIGKILL  # if it had begun
    except pc.StateError as error:
        assert "not run" in str(error)  # noqa: PT017 (the one or the other)


def test_many_at_once_and_in_any_order(run):
    held = run()
    running = [held.popen(["sh", "-c", f"read x; exit {code}"], stdin=pc.PIPE) for code in range(40)]
    for process in reversed(running):
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(timeout=60) for process in running] == list(range(40))
    assert is_forked(held)


@pytest.mark.requires("root")
def test_what_has_ended_is_told_whatever_becomes_of_who_waits(run, monkeypatch):
    held = run()
    monkeypatch.setattr(forks, "_SOON", 60_000)
    monkeypatch.setattr("pycgroups.containers.inner.complete", lambda *_: sys.exit("gone"))
    with pytest.raises(SystemExit):
        held.exec(["sh", "-c", "exit 3"])
    begun, ended = list(held.events())[-2:]
    assert (begun.action, ended.action, ended.attributes["exit_code"]) == ("exec", "exec_die", "3")
    assert begun.attributes["pid"] == ended.attributes["pid"]


def test_the_init_holds_nothing_of_what_has_ended(run):
    held = run()
    held.exec("true", check=True)
    held.exec(["true"], timeout=60)  # that of the first is closed by now
    before = len(os.listdir(f"/proc/{held.pid}/fd"))
    for _ in range(20):
        held.exec("true", check=True)
    wait_for(lambda: len(os.listdir(f"/proc/{held.pid}/fd")) <= before)


@pytest.mark.requires("root")
def test_a_paused_container_executes_nothing_later(run):
    held = run(mounts=[pc.Mount.tmpfs("/tmp")])
    held.exec("true", check=True)
    held.pause()
    with pytest.raises(pc.StateError, match="paused"):
        held.exec(["touch", "/tmp/late"])
    held.resume()
    held.exec("true", check=True)
    assert held.exec(["test", "-e", "/tmp/late"]).returncode == 1


CALLER = """
import os, sys, time
import pycgroups as pc
held = pc.Store(sys.argv[1]).containers.get(sys.argv[2])
if sys.argv[3] == "timeout":
    from threading import Thread
    Thread(target=held.exec, args=[["sh", "-c", "setsid sleep 991 & sleep 992; wait"]], kwargs={"timeout": 600}).start()
running = held.popen(["sleep", "994"])
child = 0
if sys.argv[3] == "forks":
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        sys.exit()
print(running.pid, child, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("word", ["", "forks", "timeout"])
def test_it_ends_with_the_process_that_waits_for_it(run, word):
    held = run()
    root = held._place.homes.path.removesuffix("/containers")
    command = [sys.executable, "-c", CALLER, root, held.id, word]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        said = caller.stdout.readline()
        wait_for(lambda: word != "timeout" or {"sleep 991", "sleep 992"} <= commands(held))
        caller.kill()
        pid, child = map(int, said.split())
        wait_for(lambda: state(pid) == "X")
        assert not child or state(child) == "S"  # which has copies of the caller's descriptors
        caller.stdin.close()
    wait_for(lambda: not any(re.match("sleep 99", command) for command in commands(held)))


@pytest.mark.requires("root")
def test_an_init_that_stands_still_holds_nothing_up(run):
    held = run()
    running = held.popen(["sleep", "994"])
    os.kill(held.pid, signal.SIGSTOP)
    try:
        assert held.exec(["echo", "x"]).stdout == b"x\n"
        running.kill()
        assert running.wait(timeout=60) == -signal.SIGKILL
    finally:
        os.kill(held.pid, signal.SIGCONT)
    wait_for(lambda: is_forked(held))


def test_what_is_larger_than_a_socket_takes(run):
    held = run()
    many = {f"WORD{number}": "x" * 100_000 for number in range(7)}
    assert held.exec(["sh", "-c", "echo ${#WORD6}"], env=many, text=True).stdout == "100000\n"


def test_nobody_inside_decides_what_forks_are_like(run):
    held = run()
    assert held.exec(["busybox", "renice", "-n", "5", "-p", "1"]).returncode == 0
    assert not is_forked(held)
    nice = ["busybox", "cut", "-d", " ", "-f19", "/proc/self/stat"]
    assert int(held.exec(nice).stdout) == os.getpriority(os.PRIO_PROCESS, 0)


@of_many
def test_what_an_init_may_not_joins(run):
    """A directory that only its user, and who has every capability, can enter."""
    held = run(caps_drop=["ALL"], user=1000, mounts=[pc.Mount.tmpfs("/tmp")])
    held.exec(["sh", "-c", "mkdir -m 700 /tmp/own"], check=True)
    assert held.exec(["pwd"], user=1000, cwd="/tmp/own").stdout == b"/tmp/own\n"
    assert held.exec(["pwd"], user=0, cwd="/tmp/own").stdout == b"/tmp/own\n"
    with pytest.raises(pc.LaunchError, match="chdir"):
        held.exec(["pwd"], cwd="/tmp/nothing")
