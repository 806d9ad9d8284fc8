"""What few config.json ask for, by what the kernel says of it from the inside."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from pycgroups import runtime
from pycgroups._native.calls import syscall_numbers
from pycgroups.errors import Error, InvalidConfig, LaunchError, NotFound, Unsupported
from pycgroups.runtime import resctrl
from tests.integration.bundles import executed, output
from tests.subjects import TREE

pytestmark = pytest.mark.requires("userns")


def facts(text):
    """What the probe prints, as a dict."""
    return dict(line.split(maxsplit=1) for line in text.splitlines())


# -- how it is run -----------------------------------------------------------------------------------------------------

SCHEDULER = {"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
IDLE = 3 << 13 | 0
LOW = 2 << 13 | 6


def test_personality_scheduler_and_priority_of_io(bundle):
    process = bundle.config["process"]
    process["scheduler"] = SCHEDULER
    process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
    found = facts(output(bundle, "exec probe scheduling"))
    assert (found["policy"], found["nice"], found["reset-on-fork"]) == ("3", "5", "1")
    assert found["io-priority"] == str(LOW)
    assert found["personality"] == "0x8"


def test_of_what_is_executed_later(bundle):
    """The domain is the container's; the rest is each process's own."""
    bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
    bundle.config["process"]["scheduler"] = SCHEDULER
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    process = bundle.process(
        "probe", "scheduling", scheduler={"policy": "SCHED_IDLE"}, ioPriority={"class": "IOPRIO_CLASS_IDLE"}
    )
    found = facts(executed(container, process))
    assert (found["policy"], found["personality"], found["io-priority"]) == ("5", "0x8", str(IDLE))


@pytest.mark.parametrize(
    ("policy", "memory", "nodes"),
    [
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, 3, 1),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, 2 | 1 << 15, 1),
        ({"mode": "MPOL_LOCAL"}, 4, 0),
    ],
)
def test_memory_policy(bundle, policy, memory, nodes):
    bundle.config["linux"]["memoryPolicy"] = policy
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    expected = {"memory": f"{memory:#x}", "nodes": f"{nodes:#x}" if nodes else "0"}
    assert facts(executed(container, bundle.process("probe", "scheduling"))).items() >= expected.items()
    container.delete(force=True)
    assert facts(output(bundle, "probe scheduling")).items() >= expected.items()


def test_a_memory_policy_of_a_node_that_is_not_there(bundle):
    bundle.config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "1000"}
    with pytest.raises(LaunchError, match="set_mempolicy"):
        bundle.create()
    assert runtime.containers(root=bundle.state) == ()


@pytest.mark.parametrize("words", [("initial",), ("final",), ("initial", "final")])
def test_cpus_of_what_is_executed(bundle, words):
    cpus = sorted(os.sched_getaffinity(0))
    wanted = {"initial": cpus[0], "final": cpus[-1]}
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    affinity = {word: str(wanted[word]) for word in words}
    found = facts(executed(container, bundle.process("probe", "scheduling", execCPUAffinity=affinity)))
    assert int(found["cpus"], 16) == 1 << wanted[words[-1]]


def test_both_clocks(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    offsets = {"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 2_000_000, "nanosecs": 5}}
    bundle.config["linux"]["timeOffsets"] = offsets
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    here = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
    for text in (executed(container, bundle.process("probe", "clocks")), _after(bundle, container)):
        found = facts(text)
        assert int(found["monotonic"]) == pytest.approx(here[0] + 2_000_000, abs=1000)
        assert int(found["boottime"]) == pytest.approx(here[1] + 1_000_000, abs=1000)


def _after(bundle, container):
    container.delete(force=True)
    return output(bundle, "probe clocks")


# -- mounts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(scratch):
    """A directory of root's with another file system mounted in it."""
    top = scratch / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", top / "sub"], check=True)
    (top / "sub/file").write_text("")
    yield top
    subprocess.run(["umount", top / "sub"], check=True)


OWNERS = "stat -c %u /mnt/file /mnt/sub/file"


@pytest.mark.requires("root")
@pytest.mark.parametrize(
    ("options", "owners"),
    [
        (["rbind"], [7, 0]),
        (["rbind", "idmap"], [7, 0]),
        (["rbind", "ridmap"], [7, 7]),
        (["bind", "ridmap"], [7]),
    ],
)
def test_idmapped_mounts(bundle, tree, options, owners):
    maps = [{"containerID": 0, "hostID": 7, "size": 1}]
    mount = {"destination": "/mnt", "type": "bind", "source": str(tree), "options": options}
    bundle.config["mounts"].append({**mount, "uidMappings": maps, "gidMappings": maps})
    text = output(bundle, "stat -c %u /mnt/file; stat -c %u /mnt/sub/file 2>/dev/null || true")
    assert [int(word) for word in text.split()] == owners


@pytest.mark.requires("root")
def test_a_mount_by_the_id_map_of_the_container(bundle, tree):
    bundle.map_ids(300_000, 1000)
    for place, option in (("/run", "rbind"), ("/var", "idmap")):
        options = ["rbind", option]
        bundle.config["mounts"].append({"destination": place, "type": "bind", "source": str(tree), "options": options})
    assert output(bundle, "stat -c %u /run/file /var/file /var/sub/file").split() == ["65534", "0", "65534"]


@pytest.mark.requires("root")
@pytest.mark.parametrize("first", [None, 300_000], ids=["as it is", "mapped"])
@pytest.mark.parametrize(
    ("options", "owners"),
    [(["rbind", "idmap"], [7, 0]), (["rbind", "ridmap"], [7, 7]), (["bind", "idmap"], [7])],
)
def test_an_idmapped_mount_of_an_earlier_one(bundle, tree, *, first, options, owners):
    """By its path on the host, as runc mounts one after the other; the first of two is of one before itself."""
    if first is not None:
        bundle.map_ids(first, 1000)
        for directory in (tree.parent, tree, tree / "sub"):
            directory.chmod(0o755)
    rootfs, host = bundle.config["root"]["path"], (first or 0) + 7
    maps = [{"containerID": 0, "hostID": host, "size": 1}]
    bundle.config["mounts"] += [
        {"destination": "/run", "type": "bind", "source": str(tree.parent), "options": ["rbind", "noexec"]},
        {"destination": "/var", "type": "bind", "source": f"{rootfs}/run/{tree.name}", "options": ["rbind", "ro"]},
        {
            "destination": "/mnt",
            "type": "bind",
            "source": f"{rootfs}/var",
            "options": options,
            "uidMappings": maps,
            "gidMappings": maps,
        },
    ]
    text = output(
        bundle, "stat -c %u /mnt/file; stat -c %u /mnt/sub/file 2>/dev/null || true; grep ' /mnt ' /proc/mounts"
    )
    *found, line = text.splitlines()
    assert [int(word) for word in found] == [owner if owner or first is None else 65534 for owner in owners]
    assert {"ro", "noexec", "idmapped"} <= set(line.split()[3].split(","))


@pytest.mark.requires("root")
@pytest.mark.parametrize("first", [None, 300_000], ids=["as it is", "mapped"])
def test_an_idmapped_mount_of_an_earlier_tmpfs(bundle, first):
    if first is not None:
        bundle.map_ids(first, 1000)
    maps = [{"containerID": 0, "hostID": (first or 0) + 7, "size": 1}]
    bundle.config["mounts"] += [
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
        {
            "destination": "/mnt",
            "type": "bind",
            "source": f"{bundle.config['root']['path']}/run",
            "options": ["bind"],
            "uidMappings": maps,
            "gidMappings": maps,
        },
    ]
    assert output(bundle, ": >/run/x; stat -c %u /run/x /mnt/x").split() == ["0", "7"]


@pytest.mark.requires("root")
def test_an_idmapped_mount_of_an_earlier_one_and_more_than_are_handed_over_at_once(bundle, tmp_path):
    """What is handed over next, and the answer that the ids are mapped, are not mistaken for each other."""
    bundle.map_ids(300_000, 1000)
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        if not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)
    maps = [{"containerID": 0, "hostID": 300_007, "size": 1}]
    source = f"{bundle.config['root']['path']}/run"
    mapped = {"type": "bind", "source": source, "options": ["bind"], "uidMappings": maps, "gidMappings": maps}
    bundle.config["mounts"] += [
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/mnt", **mapped},
    ]
    for number in range(600):
        (tmp_path / f"{number}").write_text(f"{number}")
        bind = {"type": "bind", "source": f"{tmp_path}/{number}", "options": ["bind"]}
        bundle.config["mounts"].append({"destination": f"/run/{number}", **bind})
    bundle.config["mounts"].append({"destination": "/tmp", **mapped})
    text = output(
        bundle, ": >/run/x; stat -c %u /mnt/x /tmp/x; i=0; while [ $i -lt 600 ]; do cat /run/$i; echo; i=$((i+1)); done"
    )
    assert text.split() == ["7", "7", *map(str, range(600))]


@pytest.mark.requires("root")
@pytest.mark.parametrize(("options", "answers"), [(["rbind", "ro"], "no yes"), (["rbind", "rro"], "no no")])
def test_read_only_trees(bundle, tree, options, answers):
    bundle.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(tree), "options": options})
    script = "for at in /mnt /mnt/sub; do (: >$at/new) 2>/dev/null && echo yes || echo no; done"
    assert output(bundle, script).split() == answers.split()


@pytest.mark.requires("root")
def test_recursive_options_are_for_the_whole_tree(bundle, tree):
    options = ["rbind", "rnosuid", "rnoexec", "nodev"]
    bundle.config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(tree), "options": options})
    found = {line.split()[1]: line.split()[3].split(",") for line in output(bundle, "cat /proc/mounts").splitlines()}
    assert {"nosuid", "noexec"} <= set(found["/mnt"]) & set(found["/mnt/sub"])
    assert "nodev" in found["/mnt"]
    assert "nodev" not in found["/mnt/sub"]


# -- its home ----------------------------------------------------------------------------------------------------------


def say_home(bundle):
    bundle.config["process"]["env"] = ["PATH=/bin"]
    return output(bundle, 'echo "$HOME"').strip()


def test_home_is_what_passwd_says(bundle):
    assert say_home(bundle) == "/root"
    container = None
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    assert executed(container, bundle.process("sh", "-c", "echo $HOME")) == "/root\n"
    own = bundle.process("sh", "-c", "echo $HOME", env=["PATH=/bin", "HOME=/own"])
    assert executed(container, own) == "/own\n"


def test_an_empty_home_is_none(bundle):
    bundle.config["process"]["env"] = ["PATH=/bin", "HOME="]
    assert output(bundle, "echo $HOME; env | grep -c HOME") == "/root\n1\n"


def test_home_that_is_given_stays(bundle):
    bundle.config["process"]["env"] = ["PATH=/bin", "HOME=/own"]
    assert output(bundle, "echo $HOME; env | grep -c HOME") == "/own\n1\n"


@pytest.mark.requires("root")
@pytest.mark.parametrize(("uid", "home"), [(1000, "/home/user"), (1001, "/"), (4242, "/"), (2**32 - 2, "/")])
def test_home_of_others(bundle, uid, home):
    bundle.config["process"]["user"] = {"uid": uid, "gid": uid}
    assert say_home(bundle) == home


HUGE = "x" * 1_000_000
PASSWDS = {
    "mounted": ("root:x:0:0:root:/mounted:/bin/sh\n", "/mounted"),
    "the first": ("a:x:10:0::/ten:\nb:x:0:0::/first:\nc:x:0:0::/second:\n", "/first"),
    "empty": ("", "/"),
    "without an end": ("root:x:0:0:root:/last", "/last"),
    "six fields": ("root:x:0:0:root:/six\nroot:x:0:0:root:/second:\n", "/six"),
    "no home": ("root:x:0:0:root::/bin/sh\n", "/"),
    "no number": ("root:x::0:root:/a:\nroot:x:0x0:0:root:/b:\nroot:x:-0:0:root:/c:\nroot:x: 0:0::/d:\n", "/"),
    "many digits": (f"root:x:{'0' * 30}:0:root:/a:\nroot:x:00:0:root:/b:\n", "/b"),
    "too long": (f"root:x:0:0:root:/{HUGE}:\nroot:x:0:0:root:/second:\n", "/second"),
    "long lines": (f"{HUGE}:x:0:0:root\n{HUGE}\n:::::\nroot:x:0:0:{HUGE}:/far:\n", "/far"),
    "bytes": ("root:x:0:0:root:/h\udcffome:\n", "/h\udcffome"),
}


@pytest.mark.parametrize("name", PASSWDS)
def test_a_passwd_of_any_kind(bundle, scratch, name):
    text, home = PASSWDS[name]
    passwd = scratch / "passwd"
    passwd.write_bytes(text.encode(errors="surrogateescape"))
    mount = {"destination": "/etc/passwd", "type": "bind", "source": str(passwd), "options": ["bind", "ro"]}
    bundle.config["mounts"].append(mount)
    bundle.config["process"]["env"] = ["PATH=/bin"]
    assert output(bundle, 'printf %s "$HOME" | busybox od -An -tx1 | tr -d " \\n"') == os.fsencode(home).hex()


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop", "nothing", "itself"])
def test_a_passwd_that_is_no_file(bundle, own_root, kind):
    bundle.config["root"]["path"] = str(own_root)
    passwd = own_root / "etc/passwd"
    passwd.unlink()
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "directory":
        passwd.mkdir()
    elif kind != "nothing":
        passwd.symlink_to({"device": "/dev/zero", "loop": "passwd", "itself": "/proc/self/exe"}[kind])
    assert say_home(bundle) == "/"


# -- what security modules are asked for -------------------------------------------------------------------------------


def test_a_label_without_selinux(bundle):
    """Before anything is made."""
    bundle.config["process"]["selinuxLabel"] = label = "system_u:system_r:container_t:s0"
    with pytest.raises(Unsupported, match=label):
        bundle.create()
    assert not bundle.state.exists()


def test_a_label_of_mounts_without_selinux(bundle):
    bundle.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
    assert any("SELinux" in notice for notice in bundle.create().notices)


def test_a_profile_that_is_not_loaded(bundle):
    """Where AppArmor is there, its list may not be: then the kernel says so."""
    bundle.config["process"]["apparmorProfile"] = "no-such-profile"
    with pytest.raises((Unsupported, LaunchError), match=r"AppArmor|apparmor"):
        bundle.create()
    assert runtime.containers(root=bundle.state) == ()


@pytest.mark.requires("apparmor")
def test_a_profile(bundle):
    bundle.config["process"]["apparmorProfile"] = "unconfined"
    assert output(bundle, "cat /proc/self/attr/current").startswith("unconfined")


@pytest.mark.parametrize(("part", "key"), [("process", "selinuxLabel"), ("linux", "mountLabel")])
def test_labels_that_are_none(bundle, part, key):
    bundle.config[part][key] = "new\nline"
    with pytest.raises(InvalidConfig):
        bundle.create()
    assert not bundle.state.exists()


def test_a_class_of_service_without_resctrl(bundle):
    bundle.config["linux"]["intelRdt"] = {"closID": "gold"}
    with pytest.raises(Unsupported, match=r"resctrl.*mount -t resctrl"):
        bundle.create()
    assert not bundle.state.exists()


def test_a_class_of_service_that_is_there(bundle, scratch, monkeypatch):
    """In a directory that stands for resctrl: the processes enter it, and it stays."""
    monkeypatch.setattr(resctrl, "mounted", lambda: str(scratch))
    gold = scratch / "gold"
    gold.mkdir()
    (gold / "schemata").write_text("L3:0=00ff\n")
    bundle.config["linux"]["intelRdt"] = {"closID": "gold", "l3CacheSchema": "L3:0=ff"}
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    assert (gold / "tasks").read_text() == f"{container.state().pid}\n"
    executed = container.exec(bundle.process("true"))
    helper = int((gold / "tasks").read_text())  # the program is its child, and so in the same class
    assert helper <= executed.pid
    assert executed.wait() == 0
    container.delete(force=True)
    assert gold.exists()
    bundle.config["linux"]["intelRdt"]["l3CacheSchema"] = "L3:0=f"
    with pytest.raises(InvalidConfig, match="L3:0=f"):
        bundle.create()
    assert runtime.containers(root=bundle.state) == ()


# -- somebody else decides on system calls -----------------------------------------------------------------------------

RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND: linux/seccomp.h
CONTINUE = 1
NOTIFICATION = struct.Struct("=QIIi60x")
ANSWER = struct.Struct("=QqiI")
MKDIR = ("mkdir", "mkdirat")


class Agent:
    """Who gets listeners, and answers: mkdir fails with ELOOP, all else goes on."""

    def __init__(self, path):
        self.told = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._end, self._close = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        poll = select.poll()
        listeners: set[int] = set()
        for fd in (self._socket.fileno(), self._end):
            poll.register(fd, select.POLLIN)
        while True:
            for fd, event in poll.poll():
                if fd == self._end:
                    for listener in listeners:
                        os.close(listener)
                    return
                if fd == self._socket.fileno():
                    listeners.add(self._take(poll))
                elif event & select.POLLIN:
                    self._answer(fd)
                else:  # nobody has the filter any more
                    poll.unregister(fd)
                    listeners.remove(fd)
                    os.close(fd)

    def _take(self, poll):
        peer, _ = self._socket.accept()
        with peer:
            text, (fd,), _, _ = socket.recv_fds(peer, 1 << 16, 4)
            while more := peer.recv(1 << 16):  # exactly one state per connection, which is closed then
                text += more
        self.told.append(json.loads(text))
        poll.register(fd, select.POLLIN)
        return fd

    @staticmethod
    def _answer(fd):
        asked = bytearray(80)
        try:
            fcntl.ioctl(fd, RECEIVE, asked)
            number, _, _, call = NOTIFICATION.unpack(asked)
            calls = syscall_numbers()
            refused = call in {calls.get(name, -1) for name in MKDIR}
            answer = (0, -errno.ELOOP, 0) if refused else (0, 0, CONTINUE)
            fcntl.ioctl(fd, SEND, ANSWER.pack(number, *answer))
        except FileNotFoundError:  # who asked has been killed
            pass

    def close(self):
        os.close(self._close)
        self._thread.join()
        os.close(self._end)
        self._socket.close()


@pytest.fixture
def agent(scratch):
    made = Agent(scratch / "agent")
    yield made
    made.close()


def asking(bundle, path, names=MKDIR, **more):
    """Have somebody else decide on some system calls of a container."""
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": str(path),
        "listenerMetadata": "what it is told",
        "syscalls": [{"names": [*names], "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_somebody_else_decides(bundle, scratch, agent, no_new_privileges):
    """Even on what happens in the set-up, between the filter and the program."""
    bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    calls = (*MKDIR, "chdir", "capset", "setresuid", "sendmsg", "close", "read", "execve", "statx", "faccessat2")
    asking(bundle, scratch / "agent", calls)
    assert output(bundle, "mkdir /tmp/x 2>&1 || true").rstrip().endswith(os.strerror(errno.ELOOP))
    (told,) = agent.told
    assert (told["ociVersion"], told["fds"], told["metadata"]) == ("1.2.0", ["seccompFd"], "what it is told")
    state = told["state"]
    assert (state["status"], state["pid"], state["id"]) == ("creating", told["pid"], bundle.created[-1].id)
    assert state["bundle"] == str(bundle.path)


def test_where_the_filter_forbids_to_send_the_listener(bundle, scratch, agent):
    asking(bundle, scratch / "agent")
    forbidden = {"names": ["sendmsg", "sendto", "socket"], "action": "SCMP_ACT_KILL_PROCESS"}
    bundle.config["linux"]["seccomp"]["syscalls"].append(forbidden)
    bundle.config["linux"]["seccomp"]["flags"] = ["SECCOMP_FILTER_FLAG_TSYNC"]
    assert os.strerror(errno.ELOOP) in output(bundle, "mkdir /tmp/x 2>&1 || true")


def test_of_what_is_executed_somebody_else_is_told_as_well(bundle, scratch, agent):
    asking(bundle, scratch / "agent", (*MKDIR, "sendmsg", "execve"))
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    text = executed(container, bundle.process("sh", "-c", "echo $$; mkdir /tmp/x 2>&1 || true"))
    assert os.strerror(errno.ELOOP) in text
    first, second = agent.told
    assert second["state"] == {**first["state"], "status": "running"}
    assert second["state"]["pid"] == container.state().pid != second["pid"]


def test_nobody_listens(bundle, scratch):
    asking(bundle, scratch / "nobody")
    with pytest.raises(NotFound, match="nobody"):
        bundle.create()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(scratch / "nobody"))
        with pytest.raises(LaunchError, match="somebody must listen"):
            bundle.create()
    assert runtime.containers(root=bundle.state) == ()


def test_somebody_else_decides_on_all_there_is(bundle, scratch, agent):
    """Where runc wants write(2) to be free, by which it would tell of the listener."""
    asking(bundle, scratch / "agent", defaultAction="SCMP_ACT_NOTIFY")
    assert output(bundle, "exec probe identity").startswith("uid 0 0 0\n")


def test_a_listener_without_a_socket(bundle, scratch):
    asking(bundle, scratch / "agent")
    for key in ("listenerPath", "listenerMetadata"):
        del bundle.config["linux"]["seccomp"][key]
    with pytest.raises(InvalidConfig, match=r"linux\.seccomp"):
        bundle.create()
    assert runtime.containers(root=bundle.state) == ()


def test_who_listens_hangs_up(bundle, scratch):
    """Whoever connects to it is closed at once: the descriptor goes to nobody, or is lost; nobody hangs."""
    asking(bundle, scratch / "agent")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(scratch / "agent"))
        listening.listen()
        closing = threading.Thread(target=lambda: os.close(listening.accept()[0].detach()))
        closing.start()
        with contextlib.suppress(LaunchError):
            bundle.create().delete(force=True)
        closing.join()
    assert runtime.containers(root=bundle.state) == ()


# -- network devices ---------------------------------------------------------------------------------------------------

MOVE = """
import ctypes, json, subprocess, sys
from pathlib import Path
from pycgroups import runtime
from pycgroups.errors import Error

LINKS = '''link set lo up
link add host0 type veth peer name peer0
addr add 192.0.2.1/24 broadcast 192.0.2.255 dev host0
addr add 192.0.2.77/32 scope link dev host0
addr add 198.51.100.1 peer 198.51.100.2/32 dev host0
addr add 192.0.2.2/24 dev peer0
link set host0 up
link set peer0 up
addr add 2001:db8::1/64 dev host0 nodad
'''
bundle, root, jobs = sys.argv[1:]
path = Path(bundle, "config.json")
config = json.loads(path.read_text())
for devices, script in json.loads(jobs):
    assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET
    subprocess.run(["ip", "-batch", "-"], input=LINKS, text=True, check=True)
    config["linux"]["netDevices"] = devices
    config["process"]["args"] = ["sh", "-c", script]
    path.write_text(json.dumps(config))
    try:
        container = runtime.create(bundle, "web", root=root)
    except Error as error:
        print(type(error).__name__, error)
    else:
        container.start()
        container.wait()
        container.delete()
    assert runtime.containers(root=root) == ()
    print("--", flush=True)
"""


@pytest.fixture
def moved(bundle):
    """Create containers that are to get devices, each of a network namespace that is made for it."""

    def move(*jobs):
        apart = ["unshare", "--user", "--map-root-user"] if os.geteuid() else []
        if os.geteuid():  # who is root there already
            linux = bundle.config["linux"]
            linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != "user"]
            for key in ("uidMappings", "gidMappings", "cgroupsPath"):
                linux.pop(key, None)
        command = [*apart, sys.executable, "-c", MOVE, bundle.write(), bundle.state, json.dumps(jobs)]
        env = {**os.environ, "PYTHONPATH": str(TREE)}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=env)
        assert done.returncode == 0, done
        return done.stdout.split("--\n")[:-1]

    return move


@pytest.mark.requires("ip", "unshare")
def test_network_devices_move_with_their_addresses(moved):
    """The kernel numbers those whose names have ``%d``."""
    look = "busybox ip addr show dev eth0; busybox ping -c 1 -W 60 192.0.2.2 >/dev/null && echo reached"
    one, both, numbered = moved(
        ({"host0": {"name": "eth0"}}, look),
        ({"host0": {}, "peer0": {}}, "ls /sys/class/net"),
        ({"host0": {"name": "net%d"}, "peer0": {"name": "net%d"}}, "ls /sys/class/net"),
    )
    assert "192.0.2.1/24 brd 192.0.2.255" in one
    assert "198.51.100.1 peer 198.51.100.2/32" in one
    assert "2001:db8::1/64" in one
    assert "192.0.2.77" not in one
    assert ",UP" in one
    assert "reached" in one
    assert both.split() == ["host0", "lo", "peer0"]
    assert numbered.split() == ["lo", "net0", "net1"]


@pytest.mark.requires("ip", "unshare")
def test_network_devices_that_cannot_move(moved):
    answers = moved(
        ({"nonesuch": {}}, "true"),
        ({"host0": {"name": "lo"}}, "true"),
        ({"lo": {"name": "other"}}, "true"),
        ({"host0": {"name": "a%s"}}, "true"),
    )
    assert [answer.partition(":")[0] for answer in answers] == [
        "NotFound move network device nonesuch",
        "AlreadyExists move network device lo",
        "LaunchError move network device lo",
        "LaunchError move network device host0",
    ]


@pytest.mark.requires("rootless")
def test_an_ordinary_user_moves_no_device(bundle):
    """Of the host; lo is there wherever the test runs."""
    bundle.config["linux"]["netDevices"] = {"lo": {"name": "other"}}
    with pytest.raises(Error, match=r"CAP_NET_ADMIN|belongs to its network namespace"):
        bundle.create()
    assert runtime.containers(root=bundle.state) == ()
