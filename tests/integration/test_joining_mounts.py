"""Containers in a mount namespace that is there already: its root is theirs, and nothing is mounted in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import Namespace
from pycgroups.seccomp import Return
from tests.processes import descendants
from tests.waiting import wait_for

needs_cgroup = pytest.mark.requires("limits")
needs_root = pytest.mark.requires("root")
pytestmark = pytest.mark.usefixtures("nothing_left")

USERS = ("--user", "--map-root-user")
FILE = "mount -t tmpfs none /mnt && echo theirs >/mnt/file"


@contextmanager
def process(*flags, script=FILE, proc=True):
    """Run a process with namespaces of its own, which has mounted something; its pid."""
    shown = "mount -t proc proc /proc && " if proc else ""
    command = ["unshare", *flags, "--mount", "--pid", "--fork", "--kill-child"]
    command += ["sh", "-c", f"{shown}{script} && echo ready && exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout.readline() == "ready\n"
            yield descendants(parent.pid)[0]
        finally:
            parent.kill()


def own_users():
    return () if os.geteuid() == 0 else USERS


@pytest.fixture
def others():
    """A process with a mount namespace of its own; where it is not root's, with a user namespace too."""
    with process(*own_users()) as pid:
        yield pid


def there(pid, *kinds):
    """What to join of a process; its user namespace, where root is not who made it."""
    return dict.fromkeys(("mnt", *kinds, *(() if os.geteuid() == 0 else ("user",))), pid)


@pytest.fixture
def spaces(others):
    return there(others)


def say(script, spaces, **options):
    result = pc.run(["sh", "-c", script], text=True, namespaces=spaces, **options)
    assert result.returncode == 0, (result, result.stderr)
    return result.stdout.strip()


def test_its_root(spaces, others):
    """By process, by path and as an object."""
    assert say("cat /mnt/file; pwd", spaces) == "theirs\n/"
    spaces["mnt"] = f"/proc/{others}/ns/mnt"
    assert say("cat /mnt/file", spaces) == "theirs"
    with Namespace.of(others, "mnt") as space:
        spaces["mount"] = space
        del spaces["mnt"]
        assert say("cat /mnt/file", spaces) == "theirs"


def test_nothing_is_mounted_or_made(spaces, others):
    """Not even the working directory."""
    before = Path(f"/proc/{others}/mountinfo").read_text()
    say("true", spaces, network="host", hostname="inside", oom_score_adj=500)
    with pytest.raises(pc.LaunchError, match="chdir /mnt/missing"):
        pc.run(["true"], namespaces=spaces, cwd="/mnt/missing")
    assert Path(f"/proc/{others}/mountinfo").read_text() == before
    assert os.listdir(f"/proc/{others}/root/mnt") == ["file"]


@needs_cgroup
def test_what_else_a_container_has(others):
    """With the pid namespace of the same process /proc is right, and tells."""
    spaces = there(others, "pid")
    links = "for kind in user net uts ipc cgroup mnt pid; do readlink /proc/self/ns/$kind; done"
    found = dict(line.split(":") for line in say(links, spaces).split())
    for kind, number in found.items():
        theirs = os.readlink(f"/proc/{others}/ns/{kind}") == f"{kind}:{number}"
        assert theirs == (kind in spaces), (kind, found)
    facts = "grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status; umask; echo $WORD; ulimit -n; id -u; pwd"
    options = {"umask": 0o27, "env": {"WORD": "word"}, "ulimits": {"nofile": 77}, "cwd": "/mnt", "pids": 20}
    *status, umask, word, files, uid, cwd = say(facts, spaces, caps_drop=["ALL"], **options).split("\n")
    assert status == ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    assert (umask, word, files, uid, cwd) == ("0027", "word", "77", "0", "/mnt")
    assert say("cat /proc/self/oom_score_adj", spaces, oom_score_adj=500) == "500"
    assert say("ls /proc/self/fd", spaces).split() == ["0", "1", "2", "3"]  # the last is ls's own


def test_a_pid_namespace_of_its_own(spaces):
    """It is no process of those that /proc shows there."""
    assert int(say("echo $$", spaces)) < 10
    assert say("readlink /proc/self || echo none", spaces) == "none"
    assert say("echo $$", spaces, init=False) == "1"


def test_its_end_and_its_streams(spaces):
    run = {"namespaces": spaces, "text": True}
    assert pc.run(["cat"], input="text" * 10**5, **run).stdout == "text" * 10**5
    assert pc.run(["sh", "-c", "sleep 1000 & exit 3"], **run).returncode == 3
    assert pc.run(["sh", "-c", "kill -9 $$"], **run).returncode == -9
    assert pc.run(["sh", "-c", "sleep 1000 & sleep 1000"], timeout=0.5, **run).reason == "timeout"
    assert pc.run(["id", "-u"], on_syscall={"geteuid": lambda _: Return(77)}, **run).stdout == "77\n"


def test_a_terminal():
    """It is of the /dev/pts there, as far as that is for the user."""
    show = 'test -t 0 && stat -c %t /dev/pts/0 && echo "$(tty)"'
    with process(*own_users(), script="mount -t devpts -o newinstance,ptmxmode=666 none /dev/pts") as pid:
        result = pc.run(["sh", "-c", show], namespaces=there(pid), tty=True, text=True)
        assert result.stdout.split() == ["88", "/dev/pts/0"], result
    with process(*own_users(), script="mount -t tmpfs none /dev") as pid:
        with pytest.raises(pc.LaunchError, match="console") as caught:
            pc.run(["true"], namespaces=there(pid), tty=True)
        assert "/dev/pts" in caught.value.hint


def test_the_program_is_looked_up_inside(spaces, others):
    assert not os.path.exists("/mnt/program")
    program = f"/proc/{others}/root/mnt/program"
    shutil.copy(shutil.which("true"), program)
    os.chmod(program, 0o755)
    assert pc.run(["/mnt/program"], namespaces=spaces).returncode == 0
    assert pc.run(["program"], namespaces=spaces, env={"PATH": "/mnt"}).returncode == 0
    os.chmod(program, 0o644)
    with pytest.raises(pc.CommandNotExecutable, match="exec /mnt/program"):
        pc.run(["/mnt/program"], namespaces=spaces)
    with pytest.raises(pc.CommandNotFound, match="exec /mnt/missing: not found in the container"):
        pc.run(["/mnt/missing"], namespaces=spaces)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rootfs", "/"),
        ("image", "debian:13"),
        ("pull", "always"),
        ("disk", "1M"),
        ("mounts", [pc.Mount.tmpfs("/tmp")]),
        ("volumes", ["/usr:/there"]),
        ("workspace", "/usr"),
        ("read_only", True),
        ("devices", ["/dev/null"]),
        ("masked_paths", ["/etc"]),
        ("readonly_paths", []),
        ("dns", ["1.1.1.1"]),
        ("extra_hosts", ["a:1.1.1.1"]),
        ("apparmor", "profile"),
        ("selinux_label", "label"),
        ("sysctls", {"net.ipv4.ip_forward": 1}),
    ],
)
def test_what_would_have_to_be_mounted(option, value):
    """Both are named, and nobody looks whether the namespace is there."""
    with pytest.raises(pc.InvalidConfig, match=rf"option {option}: .*{option} or namespaces\['mnt'\], not both"):
        pc.run(["true"], namespaces={"mnt": "/missing"}, **{option: value})


@pytest.mark.parametrize("options", [{"user": "root"}, {"user": "0:root"}, {"groups": ["tape"]}])
def test_names_of_users(options):
    with pytest.raises(pc.InvalidConfig, match=r"numbers with namespaces\['mnt'\]"):
        pc.run(["true"], namespaces={"mnt": "/missing"}, **options)


def test_that_of_the_caller():
    """Whatever it is called: the program would be among the caller's own files, with no wall around them."""
    with Namespace.open("/proc/self/ns/mnt") as space:
        for where in ("host", os.getpid(), "/proc/self/ns/mnt", space):
            with pytest.raises(pc.InvalidConfig, match=r"option namespaces\['mnt'\]: .*isolation=\"process\""):
                pc.run(["true"], namespaces={"mnt": where})


def test_of_another_kind():
    with pytest.raises(pc.InvalidConfig, match="a mnt namespace is wanted"):
        pc.run(["true"], namespaces={"mnt": "/proc/self/ns/net"})


def test_one_that_cannot_be_joined(scratch):
    """Nothing runs, in no other either."""
    scratch.chmod(0o777)
    with process(*USERS) as pid:
        if os.geteuid() != 0:
            with pytest.raises(pc.InvalidConfig, match="Join its user namespace as well"):
                pc.run(["touch", f"{scratch}/ran"], namespaces={"mnt": pid})
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}/ns/mnt") or not os.access(f"/proc/{pid}/ns/mnt", os.R_OK))
        with pytest.raises(pc.Error):
            pc.run(["touch", f"{scratch}/ran"], namespaces={"mnt": pid, "user": pid})
    assert os.listdir(scratch) == []


@needs_root
def test_that_of_another_user_namespace():
    """As root: what is in there has no right of the host's."""
    with process(*USERS) as pid:
        assert say("cat /mnt/file; id -u", {"mnt": pid, "user": pid}) == "theirs\n0"
        assert say("cat /mnt/file; stat -c %u /mnt/file", {"mnt": pid}) == "theirs\n65534"  # ids of a range of its own
        for userns in ("host", "keep-id", "0:0:1000"):
            with pytest.raises(pc.InvalidConfig, match="Join its user namespace as well"):
                pc.run(["true"], namespaces={"mnt": pid}, userns=userns)


ELSEWHERE = """
import subprocess
import pycgroups as pc

def run(**spaces):
    try:
        return pc.run(["id", "-u"], namespaces=spaces, text=True).stdout.strip()
    except pc.InvalidConfig as error:
        return error.path

command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo; exec sleep 1000"]
others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
for other in others:
    other.stdout.readline()
first, second = (other.pid for other in others)
print(run(mnt=first), run(mnt=first, user=first), run(mnt=first, user=second))
for other in others:
    other.kill()
    other.communicate()
"""
ADMIN = ("--inh-caps=+sys_admin,+sys_chroot", "--ambient-caps=+sys_admin,+sys_chroot")


@pytest.mark.requires("unshare")
@pytest.mark.parametrize(
    "caller",
    [
        (),
        ("unshare", "--user", "--map-root-user", "--mount"),
        pytest.param(("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", *ADMIN), marks=needs_root),
    ],
)
def test_whose_ids_a_program_of_others_gets(caller):
    """Those of whoever arranged its files, or nobody's, of which root of the host alone has ranges."""
    command = [*caller, sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    alone, both, another = done.stdout.split()
    assert alone == ("namespaces['mnt']" if caller or os.geteuid() != 0 else "0")
    assert (both, another) == ("0", "namespaces['mnt']")


GROUPS = """
import os, sys
import pycgroups as pc
from tests.integration import functions

os.setgroups([4, 27])
pid, place = int(sys.argv[1]), sys.argv[2]
spaces, command = {"mnt": pid, "user": pid}, ["id", "-G"]
print(pc.run(command, namespaces=spaces, text=True).stdout.strip())
made = pc.Store(place).containers.create(["sh", "-c", "id -G; exec sleep 1000"], namespaces=spaces)
made.start()
print(made.exec(command, text=True).stdout.strip())
made.kill()
made.wait()
print(made.logs().decode().strip())
made.remove()
with pc.Namespace.of(pid, "user") as user:
    print(*pc.namespaces.call([user], functions.groups) or [0])
"""


@needs_root
def test_groups_of_the_caller_stay_behind(script, scratch):
    """Whoever made the namespace has denied setgroups(2) in it, and has not these groups: CVE-2022-2989's kind."""
    with process(*USERS) as pid:
        assert Path(f"/proc/{pid}/setgroups").read_text() == "deny\n"
        assert script(GROUPS, pid, scratch / "store").split("\n") == ["0", "0", "0", "0", ""]


@needs_root
def test_root_of_the_host_in_one_of_the_hosts(others):
    assert say("cat /mnt/file; stat -c %u /mnt/file", {"mnt": others}, userns="host") == "theirs\n0"
    assert say("id -u; id -G; echo $HOME", {"mnt": others}, user="7:8", groups=[9]) == "7\n8 9\n/"


# -- the processes of others too: they are found by what /proc shows there


@needs_cgroup
def test_all_processes_end(others):
    spaces = there(others, "pid")
    script = "setsid sleep 1000 & (sleep 1000 &) & exit 3"
    assert pc.run(["sh", "-c", script], namespaces=spaces).returncode == 3
    script = "trap '' TERM; setsid sh -c 'setsid sleep 1000 & sleep 1000' & sleep 1000"
    assert pc.run(["sh", "-c", script], namespaces=spaces, timeout=0.5).reason == "timeout"
    assert say("cat /proc/1/comm; ls /proc | grep -c '^[0-9]'", spaces).split()[0] == "sleep"


@needs_cgroup
@pytest.mark.parametrize(
    "arranged",
    [
        "mount -t tmpfs none /proc && mkdir /proc/thread-self && echo 1 >/proc/thread-self/children",
        "mount -t tmpfs none /proc",
        "true",  # the /proc of those around: other numbers
    ],
)
def test_a_proc_that_somebody_has_arranged(arranged):
    """Nobody is killed by a list that the others could have written."""
    with process(*own_users(), script=arranged, proc=False) as pid:
        with pytest.raises(pc.LaunchError, match="start of the program") as caught:
            pc.run(["true"], namespaces=there(pid, "pid"))
        assert "join both of one process" in caught.value.hint
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


# -- other faces


def test_explained(spaces):
    told = pc.explain(["true"], namespaces=spaces)
    assert next(space.path for space in told.spec.linux.namespaces if space.type == "mount").endswith("/ns/mnt")
    assert (told.spec.mounts, told.spec.linux.masked_paths, told.spec.linux.readonly_paths) == ((), (), ())
    steps = [str(step).split()[0] for step in told.plan.setup]
    assert not {"tree", "fs", "mount", "mkdir", "pivot", "propagate", "stack", "mask"} & {*steps}
    assert "root" in steps
    assert told.plan.prepare == ()


def test_on_the_command_line(spaces):
    flags = [f"--namespace={kind}={pid}" for kind, pid in spaces.items()]
    command = [sys.executable, "-m", "pycgroups", "run", *flags, "--", "cat", "/mnt/file"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "theirs\n"


def test_a_container_that_is_held(store, spaces, others):
    """Its files are those of the namespace, as long as it runs."""
    if os.geteuid() != 0:
        made = store.containers.create(["sleep", "1000"], namespaces=spaces)
        made.start()
        made.exec(["true"], check=True)  # by its init
        with pytest.raises(pc.Error) as caught:
            made.exec(["true"], timeout=60)
        assert "init=False" in caught.value.hint
    made = store.containers.create(["sleep", "1000"], namespaces=spaces, init=os.geteuid() == 0)
    made.start()
    assert made.exec(["cat", "/mnt/file"], text=True).stdout == "theirs\n"
    assert made.read_text("/mnt/file") == "theirs\n"
    made.restart(timeout=0)
    assert made.exec(["cat", "/mnt/file"], text=True).stdout == "theirs\n"
    made.kill()
    with pytest.raises(pc.Error):
        made.read_text("/mnt/file")


@needs_cgroup
def test_a_timeout_of_what_is_executed_in_it(store, spaces):
    """/proc shows others there: its cgroup has all that is to end."""
    made = store.containers.create(["sleep", "1000"], namespaces=spaces, init=os.geteuid() == 0)
    made.start()
    before = {process.pid for process in made.top()}
    assert made.exec(["sh", "-c", "exit 3"], timeout=60).returncode == 3
    result = made.exec(["sh", "-c", "(setsid sleep 998 &); echo up; sleep 996"], timeout=1, text=True)
    assert (result.reason, result.stdout) == ("timeout", "up\n")
    assert {process.pid for process in made.top()} == before


@pytest.mark.requires("no_limits")
def test_a_timeout_of_what_is_executed_in_it_takes_a_cgroup(store, spaces):
    made = store.containers.create(["sleep", "1000"], namespaces=spaces, init=os.geteuid() == 0)
    made.start()
    with pytest.raises(pc.LaunchError, match="start of the program") as caught:
        made.exec("true", timeout=60)
    assert "needs a cgroup" in caught.value.hint


@needs_root
def test_one_that_is_held_in_namespaces_of_several(store, others):
    """What is the host's is joined before the user namespace, which has no rights over it."""
    with process(*USERS) as pid:
        spaces = {"mnt": others, "net": others, "user": pid, "uts": pid}
        made = store.containers.create(["sleep", "1000"], namespaces=spaces)
        made.start()
        assert made.exec(["cat", "/mnt/file"], text=True).stdout == "theirs\n"
        assert os.readlink(f"/proc/{made.pid}/ns/user") == os.readlink(f"/proc/{pid}/ns/user")
        assert say("id -u", spaces) == "0"


def test_that_of_a_container(store, root):
    """Of one that is held, all that it has."""
    made = store.containers.create(["sleep", "1000"], rootfs=root, mounts=[pc.Mount.tmpfs("/tmp")])
    made.start()
    made.write_text("/tmp/file", "here")
    kinds = ("user", "mnt", "net", "uts", "ipc")
    assert say("cat /tmp/file; id -u", dict.fromkeys(kinds, made.pid)) == "here0"
