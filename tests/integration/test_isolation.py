"""What a program tries and must not reach: the attacks of other runtimes' histories, by tests/probe.c.

Each test names the vulnerability, or the class, that it is about. A canary is a file outside of every root: nothing
inside may read, change or replace it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import Mount
from pycgroups._native import _shim
from tests import leaks
from tests.integration.races import Flipper, rounds, turns
from tests.waiting import wait_for

pytestmark = [pytest.mark.requires("userns", "busybox", "gcc")]
needs_ids = pytest.mark.requires("subuid")
needs_root = pytest.mark.requires("root")

SECRET = "canary-secret-4711"
AT_DEV = "/dev:idmap" if os.geteuid() == 0 else "/dev"


@pytest.fixture
def canary(scratch):
    """A directory of the host with one secret file, which is checked afterwards."""
    place = scratch / "canary"
    place.mkdir()
    (place / "secret").write_text(SECRET)
    yield place
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [("secret", SECRET)]


def host_mounts():
    return [line for line in leaks.holdings() if line.startswith("mount ")]


@pytest.fixture
def mounts_unchanged():
    before = set(host_mounts())
    yield
    wait_for(lambda: set(host_mounts()) == before)


def survive(command, **options):
    """Run; the library's own error is as good an answer as a run."""
    try:
        return pc.run(command, text=True, timeout=300, **options)
    except pc.Error:
        return None


# -- descriptors, environment, signals, keys


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("tty", [True, False])
def test_no_descriptor_comes_over(script, root, tty, init):
    """CVE-2016-9962, CVE-2024-21626: 200 inheritable ones of the caller, directories and sockets among them."""
    code = """
import os, select, socket, sys, pycgroups as pc
fds = [os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.memfd_create("x", 0), os.open("/proc/self/ns/net", os.O_RDONLY)]
server = socket.create_server(("127.0.0.1", 0))
epoll = select.epoll()
fds += [server.fileno(), epoll.fileno()]
while len(fds) < 200:
    fds.append(os.open("/etc/passwd", os.O_RDONLY))
for fd in fds:
    os.set_inheritable(fd, True)
os.dup2(fds[0], 3), os.dup2(fds[0], 900)
r = pc.run(["probe", "fds"], rootfs=sys.argv[1], tty=eval(sys.argv[2]), init=eval(sys.argv[3]), text=True)
print(r.stdout)
"""
    lines = dict(line.split(" ", 1) for line in script(code, root, tty, init).splitlines() if line)
    assert set(lines) == {"0", "1", "2"}
    assert all(place.startswith(("pipe:", "/dev/pts/0", "/dev/null")) for place in lines.values()), lines


def test_the_init_holds_nothing_but_its_socket(inside):
    """And, until it has noticed that the program runs, the program's own streams. None of it can be looked at."""
    for _ in range(20):
        assert set(inside(["ls", "/proc/1/fd"]).stdout.split()) <= {"0", "1", "2", "3"}
    for path in ("/proc/1/exe", "/proc/1/fd/3", "/proc/1/cwd", "/proc/1/root"):
        assert inside(["readlink", path]).stdout == ""
    everything = {"caps_add": ["ALL"], "seccomp": "unconfined"}
    for _ in range(20):
        links = inside(["sh", "-c", "for fd in /proc/1/fd/*; do readlink $fd; done"], **everything).stdout.split()
        assert all(link.startswith(("socket:", "pipe:")) or link == "/dev/null" for link in links), links


@pytest.mark.parametrize("number", [*range(3, 20), 64])
def test_a_working_directory_by_a_descriptor(root, canary, number):
    """CVE-2024-21626."""
    for cwd in (f"/proc/self/fd/{number}", f"/proc/1/fd/{number}", f"/proc/thread-self/fd/{number}"):
        result = survive(["sh", "-c", f"pwd; cat ../../../../../../../{canary}/secret"], rootfs=root, cwd=cwd)
        assert result is None or (SECRET not in result.stdout and "unreachable" not in result.stdout)


@pytest.mark.parametrize("target", ["/proc/self/fd/3", "/proc/1/root", "/proc/self/cwd", "../../../../.."])
def test_a_working_directory_through_a_link_of_the_root(own_root, canary, target):
    """CVE-2026-55686."""
    (own_root / "link").symlink_to(target)
    (own_root / "host").symlink_to(canary)
    for cwd in ("/link", "/link/made", "/host/made"):
        result = survive(["sh", "-c", f"pwd -P; cat {canary}/secret"], rootfs=own_root, cwd=cwd)
        assert result is None or (SECRET not in result.stdout and "unreachable" not in result.stdout)


def test_no_variable_of_the_caller_comes_over(inside, monkeypatch):
    """CVE-2021-3602; nor in the environment of the init."""
    for name in ("AWS_SECRET", "PYTHONPATH", "SOME_LIBRARY_PATH"):
        monkeypatch.setenv(name, SECRET)
    result = inside(["sh", "-c", "env; cat /proc/*/environ; set"])
    assert SECRET not in result.stdout
    inside(["true"], env={"A": SECRET})
    assert SECRET not in inside(["env"]).stdout


@pytest.mark.parametrize("init", [True, False])
def test_the_signal_state_is_clean(script, root, init):
    code = """
import signal, sys, pycgroups as pc
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGRTMIN):
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGUSR2, print)
signal.setitimer(signal.ITIMER_REAL, 50)
r = pc.run(["grep", "Sig[BIC]", "/proc/self/status"], rootfs=sys.argv[1], init=eval(sys.argv[2]), text=True)
print(r.stdout)
r = pc.run(["sh", "-c", "(yes; echo $? >&2) | head -n 1"], rootfs=sys.argv[1], init=eval(sys.argv[2]), text=True)
print(r.stdout.strip(), r.stderr.strip())
r = pc.run(["sh", "-c", "sh -c 'kill -USR1 $$'; echo $?"], rootfs=sys.argv[1], init=eval(sys.argv[2]), text=True)
print(r.stdout.strip())
"""
    *masks, pipe, signalled = filter(None, script(code, root, init).splitlines())
    assert [line.split() for line in masks] == [[f"Sig{kind}:", "0" * 16] for kind in ("Blk", "Ign", "Cgt")]
    assert (pipe, signalled) == ("y 141", "138")  # died of SIGPIPE and of SIGUSR1


def test_keyrings_are_not_shared(script, root):
    """CVE-2014-9529 era: the session keyring of the caller, and a key in it."""
    code = """
import ctypes, os, sys, pycgroups as pc
from pycgroups._native.calls import syscall_numbers
libc, numbers = ctypes.CDLL(None, use_errno=True), syscall_numbers()
if libc.syscall(numbers["keyctl"], 1, 0) < 0:
    print("session none")
    sys.exit()
key = libc.syscall(numbers["add_key"], b"user", b"pycg-key", b"secret", 6, -3)
own = libc.syscall(numbers["keyctl"], 0, -3, 0)
for options in ({}, {"seccomp": "unconfined"}):
    r = pc.run(["probe", "keys", "pycg-key", str(key)], rootfs=sys.argv[1], text=True, **options)
    print(r.stdout.replace(f"serial {own}", "serial SHARED"), flush=True)
serials = {pc.run(["probe", "keys", "x", "1"], rootfs=sys.argv[1], text=True, seccomp="unconfined").stdout.split()[3]
           for _ in range(2)}
print("serials", len(serials))
"""
    lines = [line.split() for line in script(code, root).splitlines() if line]
    if lines == [["session", "none"]]:
        pytest.skip("this kernel or account has no session keyrings")
    assert [line for line in lines if line[0] in ("request", "search", "read") and line[1] == "ok"] == []
    assert ["serial", "SHARED"] not in lines
    assert lines[-1] == ["serials", "2"]


# -- executables


def digests():
    files = [sys.executable, _shim.__file__, pc.__file__]
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "options", [{}, {"init": False}, {"caps_add": ["ALL"]}, {"seccomp": "unconfined"}, {"tty": True}], ids=str
)
def test_no_executable_of_the_host_can_be_written(root, options):
    """CVE-2019-5736."""
    before = digests()
    result = pc.run(["sh", "-c", "probe executables; probe executables"], rootfs=root, text=True, **options)
    assert result.returncode == 0, result
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) >= 3
    assert not [line for line in lines if "WRITABLE" in line]
    assert not [line for line in lines if "python" in line[1]]
    assert digests() == before


@needs_root
def test_what_init_executes_is_a_sealed_copy(root):
    """Where the container's root is the host's."""
    before = digests()
    options = {"userns": "host", "caps_add": ["SYS_PTRACE", "SYS_ADMIN"], "seccomp": "unconfined"}
    result = pc.run(["probe", "executables"], rootfs=root, text=True, **options)
    first, *_ = (line.split() for line in result.stdout.splitlines())
    assert first[:2] == ["1", "/memfd:pycgroups-init"]
    assert "WRITABLE" not in first
    assert digests() == before


def test_a_program_that_is_proc_self_exe(own_root):
    """What runs then is the helper, without a plan: it leaves."""
    (own_root / "bin/evil").symlink_to("/proc/self/exe")
    (own_root / "bin/script").write_text("#!/proc/self/exe\n")
    (own_root / "bin/script").chmod(0o755)
    for init in (True, False):
        for program in ("evil", "script"):
            result = survive([program], rootfs=own_root, init=init)
            assert result is None or (result.reason, result.returncode) == ("exited", 125), result


def test_a_container_cannot_trace_or_read_its_init(inside):
    """CVE-2016-9962: with CAP_SYS_PTRACE in its own pid namespace."""
    script = (
        "for f in mem environ maps root/etc/passwd cwd/etc/passwd; do cat /proc/1/$f >/dev/null 2>&1 && echo $f; done"
    )
    assert inside(["sh", "-c", script]).stdout == ""
    result = inside(["sh", "-c", script], caps_add=["SYS_PTRACE"])
    assert "mem" not in result.stdout.split()


# -- /proc, /sys and masks

MASKED = ["kcore", "keys", "timer_list", "sched_debug", "scsi", "acpi", "interrupts"]


def test_masked_and_read_only_paths(facts, inside):
    reads = facts("reads", *(f"/proc/{name}" for name in MASKED), "/sys/firmware", "/sys/devices/virtual/powercap")
    assert set(reads.values()) <= {"ENOENT", "EACCES", "0 bytes", "0 entries"}, reads
    kernel = ["core_pattern", "hostname", "modprobe", "panic", "randomize_va_space"]
    targets = ["/proc/sysrq-trigger", *(f"/proc/sys/kernel/{name}" for name in kernel), "/proc/sys/vm/drop_caches"]
    targets += ["/proc/irq/default_smp_affinity", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state"]
    writes = facts("writes", *targets)
    assert set(writes.values()) <= {"EROFS", "EACCES", "ENOENT", "EPERM"}, writes
    points = ["/proc/keys", "/proc/interrupts", "/proc/sys", "/proc/irq", "/sys/firmware", "/sys", "/proc", "/dev/null"]
    result = inside(["probe", "unmounts", *points])
    assert {line.split()[2] for line in result.stdout.splitlines()} == {"EPERM"}, result.stdout


def test_a_mask_given_twice_is_one_mount(inside):
    paths = ["/proc/keys"] * 3
    text = inside(["cat", "/proc/self/mountinfo"], masked_paths=paths, readonly_paths=["/proc/sys"] * 2).stdout
    points = [line.split()[4] for line in text.splitlines()]
    assert [points.count(point) for point in ("/proc/keys", "/proc/sys")] == [1, 1]


@pytest.mark.parametrize(
    "name", ["null", "zero", "full", "random", "urandom", "tty", "console", "stdin", "core", "pts"]
)
def test_devices_of_the_root_are_not_used(own_root, canary, name, mounts_unchanged):
    """CVE-2025-31133, CVE-2025-52565, CVE-2025-62161: links where devices belong."""
    (own_root / "dev" / name).symlink_to(f"../../../../../../..{canary}/secret")
    result = survive(["sh", "-c", "cat /proc/keys; echo x >/dev/null; ls -l /dev; cat /dev/core"], rootfs=own_root)
    assert result is None or SECRET not in result.stdout
    assert (own_root / "dev" / name).is_symlink()


@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/etc/passwd", "missing"])
def test_a_volume_at_dev_with_a_null_of_its_own(own_root, scratch, target):
    (scratch / "dev").mkdir()
    (scratch / "dev/null").symlink_to(target)
    result = survive(["cat", "/proc/keys", "/proc/interrupts"], rootfs=own_root, volumes={scratch / "dev": AT_DEV})
    assert result is None or result.stdout == ""
    (scratch / "dev/null").unlink()
    (scratch / "dev/null").write_text("a plain file")
    result = survive(["cat", "/proc/keys", "/proc/interrupts"], rootfs=own_root, volumes={scratch / "dev": AT_DEV})
    assert result is None or result.stdout in ("", "a plain file" * 2)
    assert (scratch / "dev/null").read_text() == "a plain file"


@pytest.mark.parametrize("place", ["/proc", "/proc/", "/proc/self", "/proc/sys", "/proc/self/attr", "//proc/./1"])
def test_mounts_over_proc_are_refused(inside, scratch, place):
    """CVE-2019-16884, CVE-2023-28642, CVE-2025-52881."""
    with pytest.raises(pc.InvalidConfig):
        inside(["true"], volumes={scratch: place})
    with pytest.raises(pc.InvalidConfig):
        Mount.tmpfs(place)


def test_mounts_over_proc_through_a_link_of_the_root_are_refused(own_root, scratch):
    (own_root / "link").symlink_to("proc")
    (own_root / "deep").symlink_to("/proc/sys")
    (own_root / "up").symlink_to("bin/../proc/self")
    for place in ("/link", "/link/sys", "/deep", "/deep/kernel", "/up/attr"):
        for mount in (Mount.tmpfs(place), Mount.bind(scratch, place)):
            with pytest.raises(pc.LaunchError):
                pc.run(["true"], rootfs=own_root, mounts=[mount], sysctls={"net.ipv4.ip_default_ttl": "33"})


@pytest.mark.parametrize("name", ["proc", "sys", "dev", "run", "tmp", "dev/pts", "dev/shm", "dev/mqueue"])
@pytest.mark.parametrize("where", ["absolute", "relative", "proc"])
def test_mount_points_of_the_root_that_are_links(own_root, canary, name, where, mounts_unchanged):
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-54867, CVE-2026-41579."""
    place = own_root / name
    if place.exists():
        place.rmdir()
    targets = {"absolute": canary, "relative": f"../../../../../../..{canary}", "proc": "/proc/1/root/tmp"}
    place.symlink_to(targets[where])
    result = survive(["sh", "-c", f"cat {canary}/secret; ls /{name}; ls /proc /sys >/dev/null"], rootfs=own_root)
    assert result is None or SECRET not in result.stdout
    assert place.is_symlink()


@pytest.mark.parametrize("place", ["/link/new", "/link/secret", "/link", "/link/a/b/c", "/up/new"])
def test_a_mount_destination_through_a_link_to_outside_stays_inside(own_root, canary, place, mounts_unchanged):
    (own_root / "link").symlink_to(canary)
    (own_root / "up").symlink_to("../../../../../../.." + str(canary))
    for mount in (Mount.tmpfs(place), Mount.bind(own_root / "etc/passwd", place)):
        result = survive(["cat", f"{canary}/secret"], rootfs=own_root, mounts=[mount])
        assert result is None or SECRET not in result.stdout


def test_a_mount_destination_through_a_link_means_what_it_means_inside(own_root, scratch):
    (own_root / "link").symlink_to("/var")
    (own_root / "up").symlink_to("../../../var")
    (own_root / "etc/nowhere").symlink_to("../var/made/file")
    (scratch / "file").write_text("shown")
    mounts = [Mount.tmpfs("/link/one"), Mount.tmpfs("/up/two"), Mount.bind(scratch / "file", "/etc/nowhere")]
    command = ["sh", "-c", "grep -o '/var/[a-z/]*' /proc/self/mountinfo; cat /var/made/file /etc/nowhere"]
    result = pc.run(command, rootfs=own_root, mounts=mounts, text=True)
    assert set(result.stdout.split()) >= {"/var/one", "/var/two", "/var/made/file", "shownshown"}


# -- races


@rounds
@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_mount_destination_that_is_exchanged_for_a_link(root, scratch, canary, kind, count):
    """CVE-2021-30465, CVE-2024-45310: nothing is mounted or made outside, and nothing of the outside shows."""
    shared = scratch / "shared"
    (shared / "x").mkdir(parents=True)
    (shared / "link").symlink_to(f"/../../../../../..{canary}")
    with Flipper(shared / "x", shared / "link"):
        for _ in turns(count):
            inner = Mount.tmpfs("/v/x/new") if kind == "tmpfs" else Mount.bind(root / "etc", "/v/x/new")
            volume = Mount.bind(shared, "/v", idmap=os.geteuid() == 0)
            result = survive(
                ["sh", "-c", "cat /v/x/secret; cat /proc/self/mountinfo"], rootfs=root, mounts=[volume, inner]
            )
            assert result is None or SECRET not in result.stdout
            assert os.listdir(canary) == ["secret"]


@rounds
def test_a_null_device_that_is_exchanged_for_a_link(root, scratch, count):
    """CVE-2025-31133: a mask is the real null device, or the run fails."""
    shared = scratch / "dev"
    shared.mkdir()
    (shared / "null").write_text("")
    (shared / "link").symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    with Flipper(shared / "null", shared / "link"):
        for _ in turns(count):
            result = survive(["cat", "/proc/keys"], rootfs=root, volumes={shared: AT_DEV})
            assert result is None or result.stdout == ""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


# -- the root


def test_the_old_root_cannot_be_reached(facts, inside, canary):
    """CVE-2015-1335 and the classic ways out of chroot(2)."""
    for options in ({}, {"caps_add": ["ALL"]}, {"init": False, "seccomp": "unconfined"}):
        answers = facts("escape", canary / "secret", mounts=[Mount.tmpfs("/tmp")], **options)
        ways = {way: answer for way, answer in answers.items() if way != "chroot"}
        assert len(ways) >= 5
        assert set(ways.values()) <= {"ENOENT", "EACCES", "EPERM"}, answers


def test_the_mounts_are_the_containers_alone(inside):
    text = inside(["cat", "/proc/self/mountinfo"]).stdout
    points = {line.split()[4] for line in text.splitlines()}
    known = ("/proc", "/dev", "/sys")
    assert points - {"/"} == {point for point in points if point.startswith(known)}
    assert "shared:" not in text
    assert "master:" not in text


def test_mounts_of_the_container_stay_in_it(inside, mounts_unchanged):
    program = (
        "mount -t tmpfs t /tmp; mount --bind /etc /home; umount -l /proc; mkdir -p /tmp/x; mount -t tmpfs u /tmp/x"
    )
    inside(["sh", "-c", program], caps_add=["SYS_ADMIN"], mounts=[Mount.tmpfs("/tmp")])


@needs_root
@pytest.mark.requires("unshare")
@pytest.mark.parametrize("propagation", ["shared", "slave", "private"])
def test_mounts_stay_in_it_whatever_the_hosts_root_is(root, propagation):
    """A host where every mount is handed on, as systemd has it, and one where none is."""
    code = """
import sys, pycgroups as pc
def mounts():
    return open("/proc/self/mountinfo").read()
before = mounts()
program = "mount -t tmpfs t /tmp && mount --bind /etc /home && umount -l /proc"
program += "&& mkdir /tmp/x && mount -t tmpfs u /tmp/x"
for options in ({"userns": "host"}, {}):
    r = pc.run(["sh", "-c", program], rootfs=sys.argv[1], caps_add=["SYS_ADMIN"], mounts=[pc.Mount.tmpfs("/tmp")],
               text=True, **options)
    assert r.returncode == 0, r
    assert mounts() == before
print("unchanged")
"""
    command = ["unshare", "--mount", f"--propagation={propagation}", sys.executable, "-c", code, root]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout == "unchanged\n"


def test_flags_and_sizes_of_the_containers_file_systems(inside, facts):
    text = inside(["cat", "/proc/self/mountinfo"]).stdout
    options = {line.split()[4]: (set(line.split()[5].split(",")), line.split()[-1]) for line in text.splitlines()}
    for place in ("/proc", "/sys", "/dev/shm", "/dev/mqueue"):
        assert options[place][0] >= {"nosuid", "nodev", "noexec"}, place
    assert options["/dev"][0] >= {"nosuid", "noexec"}
    assert options["/dev/pts"][0] >= {"nosuid", "noexec"}
    assert "nodev" in options["/"][0]
    assert "ro" in options["/sys"][0]
    assert int(facts("fill", "/dev/shm")["kib"]) <= 64 << 10
    assert int(facts("fill", "/dev")["kib"]) <= 64


@pytest.mark.requires("limits")
def test_tmpfs_counts_as_memory(inside):
    assert inside(["probe", "fill", "/dev/shm"], memory="24M").reason == "oom"


def test_no_device_nodes_can_be_made(facts):
    for place in ("/dev/shm/node", "/tmp/node", "/node", "/dev/node"):
        assert set(facts("nodes", place, mounts=[Mount.tmpfs("/tmp")]).values()) == {"EPERM"}, place
    assert set(facts("nodes", "/dev/shm/node", caps_add=["ALL"], seccomp="unconfined").values()) == {"EPERM"}


@pytest.mark.parametrize("name", [b"a,b", b"a:b", b"a\\b", b"a=b c\n", b",suid,dev,lowerdir=", b"\xff\xfe"], ids=repr)
def test_paths_of_volumes_are_no_options(inside, scratch, name):
    place = os.fsencode(scratch) + b"/" + name
    os.mkdir(place)
    Path(os.fsdecode(place), "here").touch()
    text = inside(["cat", "/proc/self/mountinfo"], mounts=[Mount.bind(place, "/in")], errors="surrogateescape").stdout
    line = next(line for line in text.splitlines() if line.split()[4] == "/in")
    assert set(line.split()[5].split(",")) == {"rw", "nosuid", "nodev", "relatime"}
    assert inside(["ls", name], cwd="/", mounts=[Mount.bind(place, b"/" + name)]).stdout == "here\n"
    assert inside(["ls", "/in"], mounts=[Mount.bind(place, "/in")]).stdout == "here\n"


def test_only_its_own_processes_are_seen(inside):
    text = inside(["sh", "-c", "ls /proc; cat /proc/*/cmdline"]).stdout
    assert sum(word.isdigit() for word in text.split()) <= 4
    assert "pytest" not in text
    lines = inside(["cat", "/proc/self/cgroup"]).stdout.splitlines()
    assert {line.split(":", 2)[2] for line in lines} == {"/"}


# -- who it is

HOSTILE_USERS = [
    *(
        "4294967295",
        "4294967296",
        "-0",
        "-1",
        "0x0",
        "0 ",
        " 0",
        "00",
        "1e0",
        "\u0661",
        "+0",
        "0_0",
        "99999999999999999999",
    ),
    *("user:4294967296", "user:-1", "root\n", "a:b:c", ":", "0:", ":0", "", "../root", "root/", "a b", "\udcff"),
]


@pytest.mark.parametrize("user", HOSTILE_USERS)
def test_numbers_and_names_that_are_tricks(own_root, user):
    """CVE-2024-40635, CVE-2026-46680, CVE-2026-30892: the file even names them as root."""
    row = f"{user}:x:0:0::/:/bin/sh\n".encode("utf-8", "surrogateescape")
    (own_root / "etc/passwd").write_bytes((own_root / "etc/passwd").read_bytes() + row)
    with pytest.raises(pc.InvalidConfig):
        pc.run(["id"], rootfs=own_root, user=user)


@pytest.mark.parametrize("user", [-1, 2**32 - 1, 2**32, 2**64, True, 1.0])
def test_numbers_that_are_no_ids(inside, user):
    with pytest.raises(pc.InvalidConfig):
        inside(["id"], user=user)


def hostile_passwd(own_root, canary, kind):
    file = own_root / "etc/passwd"
    file.unlink()
    if kind == "link":
        (canary.parent / "passwd").write_text("user:x:0:0::/:\n")
        file.symlink_to(f"../../../../../../../..{canary.parent}/passwd")
    elif kind == "zero":
        file.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "device":
        os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    elif kind == "huge":
        with file.open("wb") as out:
            out.truncate(1 << 34)
    elif kind == "loop":
        file.symlink_to("passwd")
    elif kind == "binary":
        file.write_bytes(os.urandom(1 << 16))
    elif kind == "rows":
        file.write_text("user:x:99999999999:0::/:\nuser:x:-5:0::/:\nuser:x:0\nuser:x: 0:0::/:\n:x:0:0::/:\n")


KINDS = [
    "link",
    "zero",
    "fifo",
    "directory",
    "huge",
    "loop",
    "binary",
    "rows",
    pytest.param("device", marks=needs_root),
]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_passwd_files(own_root, canary, kind):
    """CVE-2024-9676."""
    hostile_passwd(own_root, canary, kind)
    with pytest.raises(pc.InvalidConfig, match="user"):
        pc.run(["id"], rootfs=own_root, user="user")
    (own_root / "etc/passwd").rmdir() if kind == "directory" else (own_root / "etc/passwd").unlink()


@needs_root
def test_supplementary_groups_of_the_caller_do_not_come_over(script, root, scratch):
    """CVE-2022-2989, CVE-2022-36109, CVE-2023-25173: nor can a negative permission be passed."""
    (scratch / "not-for-1000").write_text("x")
    (scratch / "not-for-1000").chmod(0o604)
    os.chown(scratch / "not-for-1000", 0, 1000)
    code = """
import os, sys, pycgroups as pc
os.setgroups([0, 4, 27, 1000])
root, place = sys.argv[1:]
for user in (None, "root", 1000, "user", "user:staff", "1000:1000"):
    for userns in ("auto", "host"):
        r = pc.run(["probe", "identity"], rootfs=root, user=user, userns=userns, text=True)
        print([line.split()[1:] for line in r.stdout.splitlines() if line.startswith("groups")][0])
r = pc.run(["cat", "/in/not-for-1000"], rootfs=root, user="1000:1000", volumes={place: "/in:idmap"}, text=True)
print(r.stderr.strip())
"""
    lines = script(code, root, scratch).splitlines()
    nobody, named = "[]", "['26', '44']"
    assert lines[:12] == [nobody] * 6 + [named] * 2 + [nobody] * 4
    assert "denied" in lines[12]


@needs_ids
def test_nobody_becomes_root(facts):
    answers = facts("identity", user=1000)
    assert (answers["setuid0"], answers["setgroups"]) == ("EPERM", "EPERM")


@pytest.mark.requires("no_subuid")
def test_setgroups_in_a_single_id_user_namespace(facts, inside):
    """CVE-2014-8989."""
    assert inside(["cat", "/proc/self/setgroups"]).stdout == "deny\n"
    assert facts("identity")["setgroups"] == "EPERM"


# -- system calls


def test_calls_that_the_default_filter_blocks(facts):
    assert set(facts("system-calls").values()) <= {"EPERM", "ENOSYS"}


def test_calls_with_the_filter_off_fail_or_do_no_harm(facts):
    """The control: without the filter some of them do reach the kernel."""
    assert not set(facts("system-calls", seccomp="unconfined").values()) <= {"EPERM", "ENOSYS"}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86_64 has int 0x80")
def test_calls_by_the_32_bit_door(facts):
    answers = facts("compat-calls")
    assert set(answers.values()) == {"ENOSYS"}, answers


def test_unknown_and_new_calls(inside):
    """runc#2151, moby#42681: a C library must fall back."""
    result = inside(["probe", "unknown-calls", "470", "600"])
    assert {line.split()[-1] for line in result.stdout.splitlines()} == {"ENOSYS"}
    assert inside(["probe", "threads"]).stdout == "threads ok\n"


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"defaultAction": "SCMP_ACT_NOTHING"},
        {"defaultAction": 5},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_X"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": "mkdir", "action": "SCMP_ACT_ERRNO"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {
                    "names": ["mkdir"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {
                    "names": ["mkdir"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 2**64, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
        [],
        "no such profile",
    ],
    ids=str,
)
def test_bad_profiles_never_run(inside, profile):
    with pytest.raises(pc.Error):
        inside(["true"], seccomp=profile)


@needs_root
@pytest.mark.parametrize("number", [1, 38, 22], ids=["EPERM", "ENOSYS", "EINVAL"])
def test_it_fails_closed_where_no_filter_can_be_loaded(script, root, number):
    code = """
import ctypes, struct, sys, pycgroups as pc
from pycgroups._native.calls import syscall_numbers
pc.run(["true"], rootfs=sys.argv[1])
seccomp = syscall_numbers()["seccomp"]
answer = 0x50000 | int(sys.argv[2])
instructions = (0x20, 0, 0, 0), (0x15, 0, 1, seccomp), (6, 0, 0, answer), (6, 0, 0, 0x7FFF0000)
code = b"".join(struct.pack("HBBI", *each) for each in instructions)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
program = Program(4, code)
assert libc.syscall(seccomp, 1, 0, ctypes.byref(program)) == 0
try:
    print(pc.run(["true"], rootfs=sys.argv[1]))
except pc.LaunchError as error:
    print(error.step, error.errno)
"""
    assert script(code, root, number) == f"seccomp {number}\n"


# -- network and terminals


def test_listeners_of_the_host_cannot_be_reached(facts):
    """CVE-2020-15257: abstract sockets belong to the network namespace."""
    name = f"pycg-canary-{os.getpid()}"
    with (
        socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        port = server.getsockname()[1]
        answers = facts("connects", port, name)
        assert set(answers) == {"127.0.0.1", "::1", "abstract"}
        assert "ok" not in answers.values()
        assert facts("connects", port, name, network="host")["127.0.0.1"] == "ok"  # the control


@pytest.mark.parametrize("options", [{}, {"seccomp": "unconfined"}], ids=str)
def test_nothing_can_be_typed_for_the_caller(script, root, options):
    """CVE-2017-5226: on a terminal of the caller's, inherited or as its controlling one."""
    code = """
import os, pty, select, sys, termios, time
root, options = sys.argv[1], eval(sys.argv[2])
pid, master = pty.fork()
if pid == 0:
    import pycgroups as pc
    for streams in ({"stdin": 0, "stdout": 1, "stderr": 2}, {"tty": True}, {"stdin": None}):
        r = pc.run(["probe", "push-input", "pwned"], rootfs=root, **options, **streams)
        assert r.returncode == 0, r
    attributes = termios.tcgetattr(0)
    attributes[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    print("typed:", os.read(0, 100) if select.select([0], [], [], 0.2)[0] else b"", flush=True)
    os.read(0, 1)
    os._exit(0)
text = b""
while b"typed:" not in text or not text.endswith(b"\\n"):
    text += os.read(master, 1024)
os.write(master, b"\\n")  # it waits for that: what is on its way when a terminal closes may be lost
os.waitpid(pid, 0)
os.close(master)
print(text.decode())
"""
    text = script(code, root, options)
    assert "typed: b''" in text
    assert "pwned" not in text


def test_terminals_of_the_host_are_not_seen(inside):
    """A devpts of its own."""
    assert inside(["ls", "/dev/pts"]).stdout.split() == ["ptmx"]
    assert inside(["ls", "/dev/pts"], tty=True).stdout.split() == ["0", "ptmx"]
    assert "ok" not in inside(["probe", "writes", "/dev/tty", "/dev/console"]).stdout
