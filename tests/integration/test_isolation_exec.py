"""What a program that is executed in a container must not bring along, and what the container cannot do to it.

The attacks of `test_isolation`, on the process that joins: `runtime.Container.exec` and `pycgroups-oci exec`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import runtime
from pycgroups._native import _shim
from pycgroups.oci_cli import main
from pycgroups.security.capabilities import NUMBERS
from pycgroups.security.seccomp import default_profile
from tests.integration.bundles import CAPABILITIES, executed, output
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = pytest.mark.requires("userns", "busybox", "gcc")
for_root = pytest.mark.requires("root")
without_cgroups = pytest.mark.slow_in_vm("nothing of cgroups")
SOME, MANY = (10, 100) if features.IN_VM else (40, 1000)
times = pytest.mark.parametrize("count", [SOME, pytest.param(MANY, marks=pytest.mark.long)])

SECRET = "canary-secret-4711"


def running(bundle, *command, **options):
    """A container with a program that goes on."""
    bundle.run(*(command or ("sleep", "1000")))
    container = bundle.create("web", **options)
    container.start()
    return container


def facts(text):
    """What the probe prints, as a dict."""
    return {word: rest for word, _, rest in (line.partition(" ") for line in text.splitlines())}


def with_capabilities(bundle, *names):
    """Give the container's program these, too."""
    for each in bundle.config["process"]["capabilities"].values():
        each.extend(names)


@contextlib.contextmanager
def watching(container, bundle, script):
    """Have a script run in the container for so long; what it printed is in the list. A pipe would fill up."""
    told: list[str] = []
    path = bundle.path / "told"
    with path.open("w") as file:
        stdio = (0, file.fileno(), file.fileno())
        watcher = container.exec(bundle.process("sh", "-c", script), stdio=stdio)
    wait_for(lambda: path.read_text().startswith("ready\n"))
    try:
        yield told
    finally:
        executed(container, bundle.process("touch", "/tmp/stop"))
        code = watcher.wait()
    assert code == 0
    told += path.read_text().splitlines()[1:]


# -- descriptors, environment, signals, keys

HOLDS = """
import os, select, socket, sys
from pycgroups import runtime
bundle, state, preserved, terminal = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "True"
null = os.dup2(os.open("/dev/null", os.O_RDWR), 901)
fds = [os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.memfd_create("x", 0), os.open("/proc/self/ns/net", os.O_RDONLY)]
server, epoll = socket.create_server(("127.0.0.1", 0)), select.epoll()
fds += [server.fileno(), epoll.fileno()]
while len(fds) < 200:
    fds.append(os.open("/etc/passwd", os.O_RDONLY))
for fd in fds:
    os.set_inheritable(fd, True)
os.dup2(fds[0], 900)
os.dup2(null if preserved else fds[0], 3)
def told(start):
    read, write = os.pipe()
    process = start(stdio=(null, write, write), preserve_fds=preserved)
    os.close(write)
    if process.master >= 0:
        os.close(read)
        read = process.master
    text = b""
    try:
        while piece := os.read(read, 4096): text += piece
    except OSError: pass
    print(text.decode().replace("\\r", ""), end="")
def start(**options):
    container = runtime.create(bundle, "web", root=state, **options)
    container.start()
    return container
if sys.argv[5] == "create":
    told(start)
else:
    container = runtime.get("web", root=state)
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.runtime_spec import Process
    process = part_of(Process, {"args": ["probe", "fds"], "cwd": "/", "terminal": terminal, "env": ["PATH=/bin"]}, "p")
    told(lambda **options: container.exec(process, **options))
"""


@without_cgroups
@pytest.mark.parametrize("preserved", [0, 1])
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("verb", ["create", "exec"])
def test_no_descriptor_comes_over(bundle, script, verb, terminal, preserved):
    """CVE-2016-9962, CVE-2024-21626: 200 inheritable ones of the caller, directories and sockets among them."""
    if verb == "exec":
        running(bundle)
    else:
        bundle.run("probe", "fds")
        bundle.config["process"]["terminal"] = terminal
    text = script(HOLDS, bundle.write(), bundle.state, preserved, terminal, verb)
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    assert lines.pop("3", None) == ("/dev/null" if preserved else None)
    assert set(lines) == {"0", "1", "2"}
    assert all(place.startswith(("pipe:", "/dev/pts/0", "/dev/null")) for place in lines.values()), lines


@without_cgroups
@pytest.mark.parametrize("number", [*range(3, 12), 64])
def test_a_working_directory_by_a_descriptor(bundle, scratch, number):
    """CVE-2024-21626: of a config.json and of a process."""
    (scratch / "secret").write_text(SECRET)
    look = f"pwd; ls ../../../../../../..{scratch}; cat ../../../../../../..{scratch}/secret; true"
    container = running(bundle)
    for cwd in (f"/proc/self/fd/{number}", f"/proc/1/fd/{number}", f"/proc/thread-self/fd/{number}/../.."):
        with contextlib.suppress(pc.Error):
            text = executed(container, bundle.process("sh", "-c", look, cwd=cwd))
            assert SECRET not in text
            assert "unreachable" not in text
    container.delete(force=True)
    bundle.config["process"]["cwd"] = f"/proc/self/fd/{number}"
    with contextlib.suppress(pc.Error):
        assert SECRET not in output(bundle, look)


def test_no_variable_of_the_caller_comes_over(bundle, monkeypatch):
    """CVE-2021-3602: nor one of another process that was executed."""
    for name in ("AWS_SECRET", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, SECRET)
    container = running(bundle)
    executed(container, bundle.process("true", env=["PATH=/bin", f"A={SECRET}"]))
    text = executed(container, bundle.process("sh", "-c", "env; cat /proc/*/environ"))
    assert SECRET not in text
    assert facts(text.replace("=", " ")).keys() >= {"PATH", "HOME"}


@without_cgroups
def test_secrets_are_on_no_command_line_and_in_no_file_of_others(bundle, inside):
    """What is in an environment: of a run, of a container, of what is executed in it."""
    bundle.config["process"]["env"].append(f"TOKEN={SECRET}")
    container = running(bundle)
    later = container.exec(bundle.process("sleep", "1000", env=["PATH=/bin", f"OTHER={SECRET}"]))
    lines = [_read(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in lines if SECRET.encode() in line]
    for path in (bundle.state, *bundle.state.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0 or SECRET.encode() not in _read(path), path
        assert path.stat().st_mode & 0o022 == 0, path
    assert bundle.state.stat().st_mode & 0o077 in {0, 0o011}
    assert SECRET not in repr((container, container.state(), later))
    with pytest.raises(pc.Error) as caught:
        inside(["nonesuch"], env={"TOKEN": SECRET})
    assert SECRET not in repr(caught.value)
    container.kill(9)
    later.wait()


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


EXECUTES = """
import os, signal, sys
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
def run(*args):
    print(end="", flush=True)
    process = part_of(Process, {"args": args, "cwd": "/", "env": ["PATH=/bin"]}, "process")
    container.exec(process).wait()
container = runtime.get("web", root=sys.argv[1])
"""


@without_cgroups
def test_the_signal_state_is_clean(bundle, script):
    running(bundle)
    code = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGRTMIN):
    signal.signal(number, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 500)
run("grep", "Sig[BIC]", "/proc/self/status")
run("sh", "-c", "(yes; echo $? >&2) | head -n 1")
run("sh", "-c", "sh -c 'kill -USR1 $$' 2>/dev/null; echo $?")
"""
    *masks, yes, pipe, signalled = script(EXECUTES + code, bundle.state, stderr=subprocess.STDOUT).splitlines()
    assert [line.split() for line in masks] == [[f"Sig{kind}:", "0" * 16] for kind in ("Blk", "Ign", "Cgt")]
    assert ({yes, pipe}, signalled) == ({"y", "141"}, "138")  # died of SIGPIPE and of SIGUSR1


@without_cgroups
def test_keyrings_are_not_the_callers(bundle, script):
    running(bundle)
    code = """

from pycgroups._native.calls import syscall_numbers
from ctypes import CDLL
libc, numbers = CDLL(None, use_errno=True), syscall_numbers()
if libc.syscall(numbers["keyctl"], 1, 0) >= 0:
    key = libc.syscall(numbers["add_key"], b"user", b"pycg-key", b"secret", 6, -3)
    print("serial", libc.syscall(numbers["keyctl"], 0, -3, 0))
    run("probe", "keys", "pycg-key", str(key))
"""
    lines = [line.split() for line in script(EXECUTES + code, bundle.state).splitlines()]
    if not lines:
        pytest.skip("this kernel or account has no session keyrings")
    assert [line for line in lines if line[0] in ("request", "search", "read") and line[1] == "ok"] == []
    serials = [line[1] for line in lines if line[0] == "serial"]
    assert len(serials) == 2
    assert serials[0] != serials[1]


# -- the process on its way in


@times
@pytest.mark.parametrize("userns", [pytest.param(False, marks=for_root), True])
def test_who_joins_cannot_be_traced_or_looked_into(bundle, userns, count):
    """CVE-2016-9962: by root of the container, before its own program runs in it.

    With CAP_SYS_PTRACE, in a container with a user namespace; without one that is a right over the host.
    """
    if userns:
        with_capabilities(bundle, "CAP_SYS_PTRACE")
        if os.geteuid() == 0:
            bundle.map_ids(300_000)
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    container = running(bundle)
    with watching(container, bundle, "exec probe trace /tmp/stop") as told:
        for _ in range(count):
            executed(container, bundle.process("sh", "-c", "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done"))
    assert told[-1] == "end"
    assert "attached" in told or features.IN_VM  # in the end it runs the container's program: so it does try
    places = {line.split(" ", 2)[2] for line in told if line.startswith("link")}
    # /tmp/stop: who makes it is seen, too.
    known = {"/", "/bin/busybox", "/dev/null", "/tmp/stop"}
    assert {place for place in places if not place.startswith("pipe:")} <= known, places


def digests():
    files = [sys.executable, _shim.__file__, pc.__file__, str(Path(sys.executable).with_name("pycgroups-oci"))]
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files}


@times
@pytest.mark.parametrize("terminal", [False, True])
def test_no_executable_of_the_host_can_be_written(bundle, terminal, count):
    """CVE-2019-5736: root of the container tries every /proc/PID/exe while others are executed."""
    with_capabilities(bundle, "CAP_SYS_PTRACE")
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    before = digests()
    container = running(bundle)
    script = "echo ready; until test -e /tmp/stop; do probe executables; done"
    with watching(container, bundle, script) as told:
        for _ in range(count):
            process = container.exec(bundle.process("true", terminal=terminal))
            assert process.wait() == 0
    assert not [line for line in told if "WRITABLE" in line]
    assert not [line for line in told if "python" in line]
    assert digests() == before


def test_a_program_that_is_proc_self_exe(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "bin/evil").symlink_to("/proc/self/exe")
    (own_root / "bin/script").write_text("#!/proc/self/exe\n")
    (own_root / "bin/script").chmod(0o755)
    before = digests()
    container = running(bundle)
    for program in ("evil", "script"):
        with contextlib.suppress(pc.Error):
            assert container.exec(bundle.process(program)).wait() == 125
    assert digests() == before


# -- who it is

HOSTILE_USERS: tuple[str, ...] = (
    "4294967295",
    "4294967296",
    "-0",
    "-1",
    "0x0",
    "0 ",
    " 0",
    "1e0",
    "\u0661",
    "+0",
    "0_0",
    "1" * 20,
)
HOSTILE_USERS += ("0:4294967296", "0:-1", "root\n", "root", "a:b:c", ":", "0:", ":0", "", "../root", "\udcff")


@without_cgroups
@pytest.mark.parametrize("user", HOSTILE_USERS)
def test_users_that_are_tricks(bundle, capfd, user):
    """CVE-2024-40635, CVE-2026-30892."""
    running(bundle)
    manager = ["--cgroup-manager", "disabled"] if features.lack("limits") else []
    assert main(["--root", str(bundle.state), *manager, "exec", "--user", user, "web", "probe", "identity"]) != 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1


@without_cgroups
@for_root
def test_supplementary_groups_of_the_caller_do_not_come_over(bundle, script):
    """CVE-2022-2989, CVE-2022-36109, CVE-2023-25173."""
    running(bundle)
    code = """
os.setgroups([0, 4, 27, 1000])
for user in ({"uid": 0, "gid": 0}, {"uid": 1000, "gid": 1000}, {"uid": 1000, "gid": 50, "additionalGids": [26, 44]}):
    print(end="", flush=True)
    container.exec(part_of(Process, {"args": ["id", "-G"], "cwd": "/", "env": ["PATH=/bin"], "user": user}, "p")).wait()
"""
    assert script(EXECUTES + code, bundle.state).splitlines() == ["0", "1000", "50 26 44"]


def sets(text):
    """Capability sets by name, and the other lines of /proc/PID/status."""
    return {name.rstrip(":"): rest.strip() for name, _, rest in (line.partition("\t") for line in text.splitlines())}


def of_caps(text):
    return [int(sets(text)[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]


def mask(*names):
    return sum(1 << NUMBERS[name] for name in names)


@without_cgroups
def test_capabilities_are_the_containers_and_no_more(bundle, oci):
    """CVE-2025-27612, CVE-2022-29162: nothing inheritable, and more only by the flag that says so."""
    ours = mask(*CAPABILITIES)
    running(bundle)
    status = ("web", "cat", "/proc/self/status")
    assert of_caps(oci.call("exec", *status).out) == [0, ours, ours, ours, 0]
    more = ours | mask("CAP_SYS_CHROOT")
    assert of_caps(oci.call("exec", "--cap", "CAP_SYS_CHROOT", *status).out) == [0, more, more, more, 0]
    assert of_caps(oci.call("exec", *status).out) == [0, ours, ours, ours, 0]


@pytest.mark.requires("subuid", "root")
def test_capabilities_of_a_user(bundle, oci):
    running(bundle)
    text = oci.call("exec", "--user", "1000", "web", "cat", "/proc/self/status").out
    assert of_caps(text) == [0, 0, 0, mask(*CAPABILITIES), 0]


@without_cgroups
def test_without_capabilities_there_are_none_in_what_is_executed(bundle, oci):
    """All dropped: root gains nothing by a program of its own, either."""
    bundle.config["process"]["capabilities"] = {}
    running(bundle)
    assert of_caps(oci.call("exec", "web", "cat", "/proc/self/status").out) == [0] * 5
    assert of_caps(oci.call("exec", "web", "sh", "-c", "exec cat /proc/self/status").out) == [0] * 5


@pytest.mark.requires("root")
def test_programs_that_give_privileges_give_none(bundle, oci, own_root):
    """By the setuid bit, and by a capability of the file: cap_setuid+ep."""
    bundle.config["root"]["path"] = str(own_root)
    for name in ("setuid", "capable"):
        (own_root / "bin" / name).write_bytes((own_root / "bin/probe").read_bytes())
        (own_root / "bin" / name).chmod(0o755)
    (own_root / "bin/setuid").chmod(0o4755)
    capability = struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0)  # struct vfs_cap_data of <linux/capability.h>
    os.setxattr(own_root / "bin/capable", "security.capability", capability)
    running(bundle)
    for name in ("setuid", "capable"):
        told = facts(oci.call("exec", "--user", "1000:1000", "web", name, "identity").out)
        assert (told["uid"], told["no_new_privs"], told["setuid0"]) == ("1000 1000 1000", "1", "EPERM")


# -- system calls, devices, terminals


def test_calls_that_the_filter_blocks(bundle):
    """Those of the container's own program are blocked in what is executed as well."""
    bundle.config["linux"]["seccomp"] = default_profile(frozenset(CAPABILITIES)).to_json()
    text = output(bundle, "probe system-calls; grep Seccomp: /proc/self/status")
    container = running(bundle)
    later = executed(container, bundle.process("sh", "-c", "probe system-calls; grep Seccomp: /proc/self/status"))
    assert sets(text)["Seccomp"] == sets(later)["Seccomp"] == "2"
    answers = facts(later)
    assert {answers[name] for name in answers if not name.startswith("Seccomp")} <= {"EPERM", "ENOSYS"}
    if os.uname().machine == "x86_64":
        assert set(facts(executed(container, bundle.process("probe", "compat-calls"))).values()) == {"ENOSYS"}


@pytest.mark.requires("root", "limits")
def test_devices_stay_closed(bundle):
    """Of a container that may make nodes: neither an update nor an exec opens one."""
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.resources import Resources

    with_capabilities(bundle, "CAP_MKNOD")
    container = running(bundle)
    probe = bundle.process("probe", "devices", "/dev")
    first = facts(executed(container, probe))
    assert set(first.values()) <= {"EPERM", "ENOENT", "EACCES"}, first
    container.update(part_of(Resources, {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}, "resources"))
    assert facts(executed(container, probe)) == first
    assert executed(container, bundle.process("sh", "-c", "head -c 3 /dev/zero | wc -c")) == "3\n"  # the control


@without_cgroups
def test_nothing_can_be_typed_for_the_caller(bundle, script):
    """CVE-2017-5226: on a terminal of the caller's that the process inherits, and on one of its own."""
    running(bundle)
    code = """
import pty, select, termios
pid, master = pty.fork()
if pid == 0:
    words = {"args": ["probe", "push-input", "pwned"], "cwd": "/", "env": ["PATH=/bin"]}
    for terminal in (False, True):
        process = container.exec(part_of(Process, {**words, "terminal": terminal}, "process"))
        assert process.wait() == 0
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
print(text.decode())
"""
    text = script(EXECUTES + code, bundle.state)
    assert "typed: b''" in text
    assert "pwned" not in text


# -- namespaces


def test_a_container_that_has_ended_is_not_joined(bundle):
    """Nor what has its pid by now; and nothing runs outside instead."""
    container = running(bundle, "true")
    wait_for(lambda: container.state().status == "stopped")
    with pytest.raises(pc.Error, match="not running"):
        container.exec(bundle.process("touch", "/tmp/ran"))


@without_cgroups
@pytest.mark.parametrize("kind", ["network", "pid", "ipc", "uts", "cgroup", "mount", "user"])
def test_a_path_that_is_no_such_namespace(bundle, scratch, kind):
    """A file, a link to one, a namespace of another kind, one of a process that is gone: no run without it."""
    (scratch / "file").touch()
    (scratch / "link").symlink_to(scratch / "file")
    other = "uts" if kind != "uts" else "ipc"
    spaces = [space for space in bundle.config["linux"]["namespaces"] if space["type"] != kind]
    paths = [scratch / "file", scratch / "link", scratch / "missing", scratch]
    for path in [*paths, f"/proc/self/ns/{other}", f"/proc/{gone()}/ns/{kind[:3]}", "/proc/self/exe"]:
        bundle.config["linux"]["namespaces"] = [*spaces, {"type": kind, "path": str(path)}]
        bundle.run("touch", "/dev/shm/ran")
        with pytest.raises(pc.Error):
            bundle.create("web")
        assert runtime.containers(root=bundle.state) == ()


def gone():
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


def test_namespaces_of_another_container(bundle):
    """Its user namespace first: that gives the rights to join the others."""
    first = running(bundle)
    pid = first.state().pid
    if bundle.config["linux"].get("cgroupsPath"):
        bundle.config["linux"]["cgroupsPath"] += "-2"
    words = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}
    if os.geteuid() != 0:
        words = {**words, "user": "user"}
        del bundle.config["linux"]["uidMappings"], bundle.config["linux"]["gidMappings"]
    del bundle.config["hostname"]  # the other's
    bundle.config["linux"]["namespaces"] = [
        {"type": "mount"},
        {"type": "cgroup"},
        *({"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in words.items()),
    ]
    wanted = [os.readlink(f"/proc/{pid}/ns/{name}") for name in words.values()]
    look = "; ".join(f"readlink /proc/self/ns/{name}" for name in words.values())
    bundle.shell(look)
    assert output(bundle, look).split() == wanted
    bundle.config["hostname"] = "inside"


@for_root
def test_a_hook_among_others_cannot_be_traced(bundle, scratch):
    """A program of the host, in namespaces that another container is in, whose root may trace what it sees there."""
    with_capabilities(bundle, "CAP_SYS_PTRACE")
    bundle.map_ids(300_000)
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    container = running(bundle)
    for space in bundle.config["linux"]["namespaces"]:
        if space["type"] in {"user", "pid"}:
            space["path"] = f"/proc/{container.state().pid}/ns/{space['type']}"
    del bundle.config["linux"]["uidMappings"], bundle.config["linux"]["gidMappings"]
    bundle.config["linux"]["cgroupsPath"] += "-2"
    bundle.config["hooks"] = {"createContainer": [_owned_by_a_hook(scratch)]}
    bundle.run("true")
    with watching(container, bundle, "exec probe trace /tmp/stop") as told:
        for _ in range(SOME // 4):
            bundle.create("other").delete(force=True)
            assert (scratch / "made").stat().st_uid == 300_000
            (scratch / "made").unlink()
    assert told[-1] == "end"
    places = {line.split(" ", 2)[2] for line in told if line.startswith("link")}
    assert places <= {"/", "/bin/busybox", "/dev/null", "/tmp/stop"}, places


@for_root
@pytest.mark.parametrize("user", [0, 1000])
def test_a_hook_in_a_user_namespace_has_nothing_of_the_callers(bundle, scratch, user):
    """By its root, or where there is none by who the program is, it has all rights in there, and none elsewhere."""
    bundle.map_ids(300_000)
    for maps in ("uidMappings", "gidMappings"):
        bundle.config["linux"][maps][0]["containerID"] = user
    bundle.config["process"]["user"] = {"uid": user, "gid": user}
    bundle.config["hooks"] = {"createContainer": [_owned_by_a_hook(scratch)]}
    bundle.run("true")
    bundle.create()
    made = (scratch / "made").stat()
    assert (made.st_uid, made.st_gid) == (300_000, 300_000)
    facts = dict(line.split(":", 1) for line in (scratch / "made").read_text().splitlines())
    assert facts["Groups"].split() == []
    assert facts["CapEff"].strip() == (f"{(1 << len(NUMBERS)) - 1:016x}" if user == 0 else "0" * 16)


def _owned_by_a_hook(directory):
    """A hook that makes a file, and then takes its time."""
    directory.chmod(0o1777)
    script = f"cat /proc/self/status > {directory}/made; i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done"
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
