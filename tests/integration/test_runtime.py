"""The OCI runtime in this process: the life of a container, and what its config.json asks for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pycgroups import runtime
from pycgroups.errors import (
    AlreadyExists,
    CommandNotExecutable,
    CommandNotFound,
    Error,
    InvalidConfig,
    LaunchError,
    NotFound,
    StateError,
)
from pycgroups.namespaces import create
from pycgroups.namespaces.idmap import IdMap
from pycgroups.oci.reading import read_spec
from pycgroups.runtime import execution
from pycgroups.runtime.state import Home, start_of
from tests.integration.bundles import QUIET, executed, output
from tests.waiting import wait_for

pytestmark = pytest.mark.requires("userns")


# -- life ------------------------------------------------------------------------------------------------------------


def test_life(bundle):
    bundle.shell("exit 7")
    container = bundle.create("web")
    state = container.state()
    assert (state.status, state.id, state.bundle) == ("created", "web", str(bundle.path))
    assert Path(f"/proc/{state.pid}/root").exists()
    container.start()
    assert container.wait() == 7
    assert container.state().status == "stopped"
    assert container.state().pid == 0
    container.delete()
    with pytest.raises(NotFound, match="container does not exist"):
        container.state()
    assert runtime.containers(root=bundle.state) == ()


@pytest.mark.parametrize("hooks", [None, {"poststart": [{"path": "/bin/true"}]}])
def test_who_does_not_wait_for_its_start_has_started_it_all_the_same(bundle, hooks):
    bundle.config["hooks"] = hooks or {}
    bundle.run("sleep", "1000")
    container = bundle.create()
    container.start(wait=False)
    assert container.state().status == "running"
    with pytest.raises(StateError, match="running"):
        container.start()
    container.delete(force=True)


def test_it_is_started_once(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    with pytest.raises(StateError, match="running"):
        container.start()
    assert container.state().status == "running"
    container.kill(signal.SIGKILL)
    assert container.wait() == -signal.SIGKILL
    with pytest.raises(StateError, match="stopped"):
        container.start()


def test_a_name_is_taken_once(bundle):
    bundle.run("sleep", "60")
    bundle.create("one")
    with pytest.raises(AlreadyExists, match="container with given ID already exists"):
        bundle.create("one")
    assert runtime.get("one", root=bundle.state).state().status == "created"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 256, "new\nline", "ü", 7])
def test_no_name(bundle, name):
    with pytest.raises(InvalidConfig):
        bundle.create(name)
    assert not bundle.state.exists()


def test_only_what_is_stopped_is_deleted_without_force(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    with pytest.raises(StateError, match="not stopped"):
        container.delete()
    container.start()
    with pytest.raises(StateError, match="not stopped"):
        container.delete()
    pid = container.state().pid
    container.delete(force=True)
    assert not Path(f"/proc/{pid}").exists()


def test_it_is_deleted_before_somebody_waits_for_what_is_executed(bundle, monkeypatch):
    """Of a pid namespace the first process ends last, and who is dead counts until he is waited for."""
    monkeypatch.setattr("pycgroups.runtime.container._PATIENCE", 200)
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    executed = container.exec(bundle.process("sleep", "60"))
    container.delete(force=True)
    assert executed.wait() == -signal.SIGKILL
    assert container.wait() == -signal.SIGKILL


def test_a_created_one_can_be_killed(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.kill(signal.SIGKILL)
    container.wait()
    assert container.state().status == "stopped"
    with pytest.raises(StateError, match="container not running"):
        container.kill()
    container.delete()


def test_another_process_finds_it_after_its_creator_has_died(bundle, script):
    bundle.run("sleep", "60")
    code = """
import os, sys
from pycgroups import runtime
null = os.open("/dev/null", os.O_RDWR)
container = runtime.create(sys.argv[1], "web", root=sys.argv[2], stdio=(null, null, null))
container.start()
print(container.state().pid, flush=True)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", code, bundle.write(), bundle.state]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    container = runtime.get("web", root=bundle.state)
    state = container.state()
    assert (state.status, state.pid) == ("running", int(done.stdout))
    assert container.exec(bundle.process("true")).wait() == 0
    container.delete(force=True)
    wait_for(lambda: not Path(f"/proc/{state.pid}").exists())


def test_a_pid_of_somebody_else_is_not_the_container(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    record = bundle.state / container.id / "state.json"
    document = json.loads(record.read_text())
    record.write_text(json.dumps({**document, "pid": os.getpid()}))
    assert container.state().status == "stopped"
    with pytest.raises(StateError):
        container.kill(signal.SIGKILL)
    record.write_text(json.dumps(document))


@pytest.mark.requires("limits")
def test_pause_and_resume(bundle):
    bundle.shell("while :; do :; done")
    container = bundle.create()
    container.start()
    container.pause()
    assert container.state().status == "paused"
    with pytest.raises(StateError, match="cannot exec in a paused container"):
        container.exec(bundle.process("true"))
    with pytest.raises(StateError, match="not running"):
        container.pause()
    container.resume()
    assert container.state().status == "running"
    with pytest.raises(StateError, match="not paused"):
        container.resume()
    container.pause()
    container.kill(signal.SIGKILL)
    assert container.wait() == -signal.SIGKILL


def test_asking_with_a_signal_that_is_none(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.kill(0)
    container.kill(signal.SIGKILL)
    container.wait()
    with pytest.raises(StateError):
        container.kill(0)
    container.kill(0, every=True)


@pytest.mark.requires("limits")
def test_processes_and_killing_every_one(bundle):
    bundle.config["linux"]["namespaces"] = [
        space for space in bundle.config["linux"]["namespaces"] if space["type"] != "pid"
    ]
    if os.geteuid() != 0:
        pytest.skip("an ordinary user mounts no proc of the host's pid namespace")
    bundle.shell("sleep 60 & sleep 60 & wait")
    container = bundle.create()
    container.start()
    wait_for(lambda: len(container.processes()) == 3)
    container.kill(signal.SIGKILL)
    container.wait()
    wait_for(lambda: not container.processes())
    container.delete()


@pytest.mark.requires("limits")
def test_update(bundle):
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.resources import Resources

    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    container.update(part_of(Resources, {"memory": {"limit": 32 << 20}}, "resources"))
    with container.cgroup() as group:
        stats = group.stats()
    assert stats.memory.limit == 32 << 20
    assert stats.pids.limit == 20


# -- what goes wrong -------------------------------------------------------------------------------------------------


def nothing_is_left(bundle):
    return runtime.containers(root=bundle.state) == ()


def test_a_program_that_is_not_there(bundle):
    bundle.run("nonesuch")
    with pytest.raises(CommandNotFound):
        bundle.create()
    assert nothing_is_left(bundle)


def test_a_program_that_cannot_run(bundle):
    bundle.run("/etc/passwd")
    with pytest.raises(CommandNotExecutable):
        bundle.create()
    assert nothing_is_left(bundle)


def test_no_bundle(bundle):
    with pytest.raises(NotFound, match=r"config\.json"):
        runtime.create(bundle.path / "nowhere", root=bundle.state)
    bundle.config["root"]["path"] = "nowhere"
    with pytest.raises(NotFound, match="nowhere"):
        bundle.create()


@pytest.mark.parametrize("wrong", [None, 7, ["bundle"], b"bundle", {"ociVersion": "1.2.0"}])
def test_what_is_no_bundle_at_all(bundle, wrong):
    with pytest.raises(InvalidConfig, match=r"option bundle_or_spec: got .*, allowed: ") as caught:
        runtime.create(wrong, root=bundle.state)
    assert (caught.value.hint is not None) == isinstance(wrong, dict)
    assert not bundle.state.exists()


def test_a_document_becomes_what_can_be_created(bundle):
    bundle.run("true")
    spec = read_spec(json.dumps(bundle.config))  # as the hint has it
    with runtime.create(spec, root=bundle.state) as container:
        assert container.state().status == "created"


def test_a_wrong_config_names_its_key_path(bundle):
    bundle.config["linux"]["namespaces"][0]["type"] = "pids"
    with pytest.raises(InvalidConfig, match=r"linux\.namespaces\[0\]\.type"):
        bundle.create()


def test_a_bind_of_what_an_earlier_one_brought(bundle):
    """By its path on the host, as runc mounts one after the other; but nothing leads out of the root."""
    data, root = bundle.path / "data", bundle.config["root"]["path"]
    (data / "x").mkdir(parents=True)
    (data / "x/file").write_text("inner")
    (data / "out").symlink_to(bundle.path)
    bundle.config["mounts"] += [
        {"destination": "/a", "type": "bind", "source": str(data), "options": ["rbind"]},
        {"destination": "/b", "type": "bind", "source": f"{root}/a/x", "options": ["rbind", "ro"]},
    ]
    assert output(bundle, "cat /b/file; echo more 2>/dev/null >>/b/file || echo -ro") == "inner-ro\n"
    bundle.config["mounts"][-1]["source"] = f"{root}/a/out"
    with pytest.raises(LaunchError, match="a/out"):
        output(bundle, "ls /b")


@pytest.mark.requires("root")
def test_mount_namespace_of_a_process(bundle):
    spaces = [space for space in bundle.config["linux"]["namespaces"] if space["type"] != "mount"]
    # Nothing is executed, and no library loaded, once the container's root is that of the namespace.
    command = ["unshare", "--mount", "sh", "-c", "echo; read word"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        try:
            there.stdout.readline()
            path = f"/proc/{there.pid}/ns/mnt"
            bundle.config["linux"]["namespaces"] = [*spaces, {"type": "mount", "path": path}]
            assert output(bundle, "cd /proc/self/ns; readlink mnt; ls /").splitlines()[0] == os.readlink(path)
        finally:
            there.kill()


@pytest.mark.requires("root")
def test_a_network_of_the_hosts_with_ids_of_its_own(bundle):
    """Who is born in a new user namespace has no rights over it: it is joined before."""
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] not in {"network", "user"}]
    linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 700000, "size": 1000}]
    # A sysfs shows the network namespace, and is for who has the rights over that.
    bundle.config["mounts"] = [mount for mount in bundle.config["mounts"] if mount["destination"] != "/sys"]
    with create("net")[0] as net:
        linux["namespaces"] += [{"type": "network", "path": net.path}, {"type": "user"}]
        said = output(bundle, "readlink /proc/self/ns/net; cat /proc/self/uid_map; test -w /tmp && echo written")
        assert said.split() == [str(net), "0", "700000", "1000", "written"]


@pytest.mark.requires("root")
def test_a_network_that_is_not_of_the_user_namespace_that_is_joined(bundle):
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] not in {"network", "user"}]
    bundle.config["mounts"] = [mount for mount in bundle.config["mounts"] if mount["destination"] != "/sys"]
    with create("user", userns=IdMap.parse("0:700000:1000"))[0] as user, create("net")[0] as net:
        linux["namespaces"] += [{"type": "user", "path": user.path}, {"type": "network", "path": net.path}]
        bundle.run("sleep", "60")
        container = bundle.create()
        container.start()
        look = bundle.process("sh", "-c", "readlink /proc/self/ns/user; readlink /proc/self/ns/net")
        assert executed(container, look).split() == [str(user), str(net)]


def test_a_namespace_of_another_kind(bundle):
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [space for space in spaces if space["type"] != "network"]
    bundle.config["linux"]["namespaces"].append({"type": "network", "path": "/proc/self/ns/uts"})
    with pytest.raises(InvalidConfig, match=r"/proc/self/ns/uts: a uts namespace, and a net namespace is wanted"):
        bundle.create()
    assert nothing_is_left(bundle)


COMMANDS = {
    "create": "runtime.create(bundle, 'web', root=root)",
    "create without a cgroup": "runtime.create(bundle, 'web', root=root, cgroup_manager='disabled')",
    "start": "runtime.get('web', root=root).start()",
    "exec": "container = runtime.get('web', root=root); container.exec(container.spec().process).wait()",
    "delete": "runtime.get('web', root=root).delete(force=True)",
}


@pytest.mark.requires("strace", "host")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "call", ["clone3", "mkdir,mkdirat,rmdir,mknodat", "renameat,unlinkat", "write", "sendmsg,pidfd_send_signal"]
)
def test_who_is_killed_in_the_middle_leaves_what_can_be_deleted(bundle, command, call):
    """At each system call of some kinds, until the command comes through unhurt."""
    bundle.run("sleep", "60" if command != "exec" else "0.01")
    code = f"import sys; from pycgroups import runtime; bundle, root = sys.argv[1:]; {COMMANDS[command]}"
    for number in range(1, 100):
        if not command.startswith("create"):
            bundle.run("sleep", "60")
            container = bundle.create("web")
        if command == "exec":
            container.start()
            (bundle.state / "web/config.json").write_text(
                (bundle.path / "config.json").read_text().replace('"60"', '"0"')
            )
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        program = ["strace", "-qq", "-o", "/dev/null", "-e", inject, sys.executable, "-c", code]
        done = subprocess.run([*program, bundle.write(), bundle.state], check=False, stdin=subprocess.DEVNULL)
        try:
            runtime.get("web", root=bundle.state).delete(force=True)
        except NotFound:
            assert command.startswith(("create", "delete"))
        assert nothing_is_left(bundle)
        bundle.clean_up()
        if done.returncode == 0:
            return
    pytest.fail("it never came through")


def test_what_a_killed_creator_leaves_may_end_as_it_is_sent_away(bundle, monkeypatch):
    def without_reader(_):
        read, write = os.pipe()
        os.close(read)
        return write

    home = Home.make(os.fspath(bundle.state), "web")
    home.close()
    monkeypatch.setattr(Home, "open_fifo", without_reader)
    runtime.get("web", root=bundle.state).delete()
    assert nothing_is_left(bundle)


@pytest.mark.requires("strace", "host", "root")
@pytest.mark.parametrize("call", ["kill(9)", "kill(9, every=True)", "delete(force=True)"])
@pytest.mark.parametrize("refused", ["pidfd_open", "pidfd_send_signal"])
def test_a_signal_that_is_refused(bundle, call, refused):
    """By a security module, or a filter around the caller: an error of ours, and the container is still one."""
    bundle.config["linux"]["namespaces"] = [
        space for space in bundle.config["linux"]["namespaces"] if space["type"] != "pid" or call.startswith("del")
    ]
    bundle.run("sleep", "1000")
    bundle.create("web").start()
    code = f"""
import sys
from pycgroups import Error, runtime
try:
    runtime.get("web", root=sys.argv[1]).{call}
except Error as error:
    print(error.operation, error.errno)
"""
    inject = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject={refused}:error=EPERM"]
    command = [*inject, sys.executable, "-c", code, bundle.state]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == ("open process 1\n" if refused == "pidfd_open" else "send signal 9 1\n")
    assert runtime.get("web", root=bundle.state).state().status == "running"


DAMAGED = [b"", b"{", b"[]", b'{"id": 7}', b"\0" * 100, b"{" * 100_000, "a directory"]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_state_file_hurts_nobody_else(bundle, content):
    bundle.run("sleep", "60")
    container = bundle.create("web")
    pid = container.state().pid
    if bundle.config["linux"].get("cgroupsPath"):
        bundle.config["linux"]["cgroupsPath"] += "-2"
    other = bundle.create("other")
    path = bundle.state / "web/state.json"
    path.unlink()
    if isinstance(content, str):
        path.mkdir()
        (path / "sub").mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidConfig, match=r"state\.json"):
        container.state()
    with pytest.raises(InvalidConfig, match=r"state\.json"):
        container.delete()
    assert [each.id for each in runtime.containers(root=bundle.state)] == ["other", "web"]
    assert other.state().status == "created"
    if bundle.config["linux"].get("cgroupsPath"):
        container.delete(force=True)
        wait_for(lambda: start_of(pid) == 0)
    else:
        os.kill(pid, signal.SIGKILL)
        container.delete(force=True)


def test_a_state_directory_of_somebody_else_is_not_trusted(bundle):
    bundle.run("sleep", "60")
    container = bundle.create("web")
    directory = bundle.state / "web"
    directory.chmod(0o777)
    with pytest.raises(Error, match="others may write"):
        container.state()
    directory.chmod(0o700)


def test_one_name_for_many_creators(bundle):
    bundle.run("sleep", "60")
    bundle.write()
    null = os.open("/dev/null", os.O_RDWR)
    barrier = threading.Barrier(8)

    def make(_):
        barrier.wait()
        try:
            return runtime.create(bundle.path, "web", root=bundle.state, stdio=(null, null, null))
        except AlreadyExists as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    os.close(null)
    winners = [each for each in made if isinstance(each, runtime.Container)]
    assert len(winners) == 1
    bundle.created += winners
    assert winners[0].state().status == "created"


def test_created_and_deleted_by_many(bundle):
    """The state is the kernel's truth at the end, and there are no errors but our own on the way."""
    bundle.run("sleep", "60")
    bundle.write()
    null = os.open("/dev/null", os.O_RDWR)

    def work(number):
        for turn in range(12):
            try:
                if (number + turn) % 3:
                    container = runtime.create(bundle.path, "web", root=bundle.state, stdio=(null, null, null))
                    bundle.created.append(container)
                    container.start()
                    container.delete(force=True)
                else:
                    for each in runtime.containers(root=bundle.state):
                        each.state()
                        each.delete(force=True)
            except Error:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    os.close(null)
    bundle.clean_up()
    assert nothing_is_left(bundle)


# -- what it is made of ----------------------------------------------------------------------------------------------


def test_names_and_streams(bundle):
    bundle.config["domainname"] = "example"
    text = output(bundle, "hostname; cat /proc/sys/kernel/domainname; id -u; tty; ls /proc/self/fd | wc -l")
    assert text.split() == ["inside", "example", "0", "not", "a", "tty", "4"]


def test_a_user_namespace_without_maps_has_us_as_root(bundle):
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != "user"] + [{"type": "user"}]
    for name in ("uidMappings", "gidMappings"):
        linux.pop(name, None)
    maps = output(bundle, "cat /proc/self/uid_map /proc/self/gid_map").split()
    assert maps == ["0", str(os.geteuid()), "1", "0", str(os.getegid()), "1"]


@pytest.mark.parametrize("hooks", [False, True])
def test_a_root_that_is_not_pivoted(bundle, hooks):
    """A user namespace inside gets no proc without the container's masks."""
    if hooks:  # then the root is at its own path until they are done
        bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    for names in bundle.config["process"]["capabilities"].values():
        names.append("CAP_SETFCAP")  # to map root
    script = "test -e /usr || unshare -Urmpf sh -c 'mount -t proc proc /tmp 2>&1 || mount -t proc proc /proc'"
    text = output(bundle, f"{script} 2>&1 || echo refused", pivot=False)
    assert text.count("permission denied") == 2
    assert text.endswith("refused\n")


@pytest.mark.requires("root")
def test_a_directory_that_root_or_the_user_may_enter(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "home/user").chmod(0o700)
    os.chown(own_root / "home/user", 1000, 1000)
    bundle.config["process"]["capabilities"] = {}
    bundle.config["process"]["cwd"] = "/home/user"
    assert output(bundle, "pwd") == "/home/user\n"
    (own_root / "root").chmod(0o700)
    bundle.config["process"] |= {"cwd": "/root", "user": {"uid": 1000, "gid": 1000}}
    assert output(bundle, "pwd") == "/root\n"


def test_descriptors_are_handed_on(bundle):
    read, write = os.pipe()
    spare = os.open("/dev/null", os.O_RDONLY)
    before = {fd: os.dup(fd) for fd in (3, 4) if fd not in (read, write, spare)}
    try:
        os.dup2(write, 3)
        os.dup2(spare, 4)
        bundle.shell("echo told >&3; readlink /proc/self/fd/4 >&3; ls /proc/self/fd | wc -l >&3")
        container = bundle.create(preserve_fds=2)
        os.close(3)
        container.start()
        container.wait()
    finally:
        for fd, copy in before.items():
            os.dup2(copy, fd)
            os.close(copy)
    for fd in {write, spare} - {3, 4}:
        os.close(fd)
    with open(read) as file:
        assert file.read().split() == ["told", "/dev/null", "6"]


def test_descriptors_that_are_not_open_stay_closed(bundle):
    """They are counted, and nothing of the runtime's own takes their places."""
    high = os.dup(2)
    spare = max(high, 20)
    os.dup2(high, spare, inheritable=False)
    closed = [fd for fd in range(3, spare) if not os.path.exists(f"/proc/self/fd/{fd}")]
    opened = [fd for fd in range(3, spare + 1) if fd not in closed]
    bundle.run("sleep", "60")
    container = bundle.create(preserve_fds=spare - 2)
    os.close(spare)
    if high != spare:
        os.close(high)
    pid = container.state().pid
    container.start()
    found = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    assert [fd for fd in found if fd > 2] == opened
    assert len(closed) > 1


def test_a_variable_has_its_last_value(bundle):
    bundle.config["process"]["env"] = ["PATH=/nowhere", "A=1", "B=2", "A=3", "PATH=/bin"]
    bundle.run("env")
    read, write = os.pipe()
    container = bundle.create(stdio=(0, write, write))
    os.close(write)
    container.start()
    with open(read) as file:
        lines = file.read().splitlines()
    assert [line for line in lines if not line.startswith("HOME=")] == ["PATH=/bin", "A=3", "B=2"]


@pytest.mark.requires("root")
@pytest.mark.parametrize(("annotations", "groups"), [({}, "0"), ({"run.oci.keep_original_groups": "1"}, "0 7 8")])
def test_groups_of_the_caller(bundle, script, annotations, groups):
    bundle.config["annotations"] = annotations
    bundle.shell("id -G")
    code = """
import os, sys
from pycgroups import runtime
os.setgroups([7, 8])
container = runtime.create(sys.argv[1], root=sys.argv[2])
container.start()
container.wait()
container.delete()
"""
    assert script(code, bundle.write(), bundle.state) == f"{groups}\n"


@pytest.mark.requires("subuid", "root")
def test_streams_are_the_users(bundle):
    """So that the program can open them again."""
    bundle.config["process"] |= {"user": {"uid": 1000, "gid": 1000}, "capabilities": {}}
    assert output(bundle, "echo again > /proc/self/fd/1; stat -Lc %u:%g /proc/self/fd/1") == "again\n1000:1000\n"
    assert os.stat("/dev/null").st_uid == 0  # which it has for its input


def test_a_tmpfs_with_what_it_covers(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "data/deep").mkdir(parents=True)
    (own_root / "data/deep/file").write_text("below")
    (own_root / "data/link").symlink_to("deep/file")
    (own_root / "data/deep").chmod(0o1770)
    mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "tmpcopyup"]}
    bundle.config["mounts"].append(mount)
    text = output(bundle, "cat /data/link; stat -c %a /data/deep; echo new > /data/deep/file; cat /data/link")
    assert text == "below1770\nnew\n"
    assert (own_root / "data/deep/file").read_text() == "below"


def test_a_tmpfs_without_a_mode_has_that_of_what_it_covers(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "odd").mkdir()
    (own_root / "odd").chmod(0o1751)
    bundle.config["mounts"].append({"destination": "/odd", "type": "tmpfs", "source": "tmpfs", "options": []})
    assert output(bundle, "stat -c %a /odd") == "1751\n"


def test_a_relative_source_is_in_the_bundle(bundle):
    (bundle.path / "note").write_text("in the bundle")
    bundle.config["mounts"].append({"destination": "/tmp/note", "type": "bind", "source": "note", "options": ["rbind"]})
    assert output(bundle, "cat /tmp/note") == "in the bundle"


def test_time_offsets(bundle):
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    uptime = float(output(bundle, "cat /proc/uptime").split()[0])
    assert uptime == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) + 1_000_000, abs=1000)


@pytest.mark.requires("root", "sys_resource")
def test_hard_limits_above_the_callers_in_a_user_namespace(bundle, script):
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    bundle.config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 300}]
    bundle.shell("ulimit -Sn; ulimit -Hn; touch /dev/shm/told; sleep 60")
    code = """
import os, resource, sys
from pycgroups import runtime
from pycgroups.oci.reading import part_of
from pycgroups.oci.runtime_spec import Process
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
container = runtime.create(sys.argv[1], "web", root=sys.argv[2])
container.start()
print(container.exec(part_of(Process, {
    "args": ["sh", "-c", "until test -e /dev/shm/told; do :; done; ulimit -Sn; ulimit -Hn"],
    "cwd": "/",
    "env": ["PATH=/bin"],
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 250, "hard": 350}],
}, "process")).wait())
container.delete(force=True)
"""
    assert sorted(script(code, bundle.write(), bundle.state).split()) == ["0", "200", "250", "300", "350"]


@pytest.mark.requires("unshare")
def test_in_a_user_namespace_of_a_single_id(bundle):
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"] = {"namespaces": [space for space in spaces if space["type"] != "user"]}
    bundle.run("id", "-u")
    code = """
import sys
from pycgroups import runtime
with runtime.create(sys.argv[1], "web", root=sys.argv[2], cgroup_manager="disabled") as container:
    container.start()
    sys.exit(container.wait())
"""
    inside = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", code]
    done = subprocess.run([*inside, bundle.write(), bundle.state], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*QUIET, "ro"]}


@pytest.mark.requires("limits")
def test_it_sees_its_own_cgroup(bundle):
    bundle.config["mounts"].append(CGROUPS)
    bundle.config["linux"]["resources"] = {"pids": {"limit": 77}}
    text = output(bundle, "cd /sys/fs/cgroup; test -e pids && cd pids; cat pids.max; touch new 2>&1 || true")
    assert text.splitlines() == ["77", "touch: new: Read-only file system"]


@pytest.mark.requires("no_limits")
def test_without_a_cgroup_it_sees_those_of_the_host(bundle):
    bundle.config["mounts"].append(CGROUPS)
    script = "ls /sys/fs/cgroup; for each in /sys/fs/cgroup /sys/fs/cgroup/*/; do touch $each/new 2>&1; done || true"
    names, _, refused = output(bundle, script).partition("touch: ")
    assert names.split() == sorted(os.listdir("/sys/fs/cgroup"))
    assert "Read-only file system" in refused
    assert "Permission" not in refused


def test_pid_namespace_of_another_container(bundle):
    bundle.run("sleep", "60")
    first = bundle.create("first")
    first.start()
    pid = first.state().pid
    spaces = [space for space in bundle.config["linux"]["namespaces"] if space["type"] not in {"pid", "user"}]
    spaces.append({"type": "pid", "path": f"/proc/{pid}/ns/pid"})
    bundle.config["linux"]["namespaces"] = spaces
    if os.geteuid() != 0:
        spaces.append({"type": "user", "path": f"/proc/{pid}/ns/user"})
        del bundle.config["linux"]["uidMappings"], bundle.config["linux"]["gidMappings"]
    if bundle.config["linux"].get("cgroupsPath"):
        bundle.config["linux"]["cgroupsPath"] += "-2"
    text = output(bundle, "test $$ != 1 && cat /proc/1/cmdline")
    assert text == "sleep\x0060\x00"
    assert first.state().status == "running"


def test_it_gets_its_terminal(bundle):
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["consoleSize"] = {"height": 33, "width": 77}
    bundle.shell("tty; test -c /dev/console && echo console; stty size 2>/dev/null; echo done")
    container = bundle.create()
    container.start()
    text = b""
    try:
        while piece := os.read(container.master, 4096):
            text += piece
    except OSError:  # the other end is closed
        pass
    assert container.wait() == 0
    container.let_go()
    assert text.startswith(b"/dev/pts/0\r\nconsole\r\n")


def test_a_console_socket_gets_the_terminal(bundle, scratch):
    path = str(scratch / "socket")
    bundle.config["process"]["terminal"] = True
    bundle.shell("echo first; sleep 60")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        container = bundle.create(console_socket=path)
        container.start()
        with console(listener) as file:
            assert file.readline() == b"first\r\n"
        executed = container.exec(bundle.process("echo", "second"), console_socket=path)
        with console(listener) as file:
            assert file.readline() == b"second\r\n"
            assert executed.wait() == 0  # it would hang up with its terminal
    assert (container.master, executed.master) == (-1, -1)


def console(listener):
    """Take a terminal's master, as the kernel makes them."""
    peer, _ = listener.accept()
    _, (master,), _, _ = socket.recv_fds(peer, 100, 1)
    peer.close()
    return os.fdopen(master, "rb", buffering=0)


# -- exec ------------------------------------------------------------------------------------------------------------


def test_exec(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    read, write = os.pipe()
    script = "cat /proc/1/cmdline; hostname; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; exit 3"
    executed = container.exec(bundle.process("sh", "-c", script), stdio=(0, write, write))
    os.close(write)
    with open(read) as file:
        text = file.read()
    assert executed.wait() == 3
    assert text.startswith("sleep\x0060\x00inside\n")
    assert "NoNewPrivs:\t1" in text
    with pytest.raises(CommandNotFound):
        container.exec(bundle.process("nonesuch"))
    with pytest.raises(CommandNotExecutable):
        container.exec(bundle.process("/etc/passwd"))


FAILS_IN_A_CHILD = """
    import os
    from pycgroups import errors, runtime
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.runtime_spec import Process
    os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)  # has the delay that is for the first one of each process
    try:
        process = part_of(Process, {'args': ['nonesuch'], 'cwd': '/'}, 'process')
        runtime.get('web', root=root).exec(process)
    except errors.CommandNotFound:
        print(repr(open(f'/proc/self/task/{os.getpid()}/children').read()))
"""


@pytest.mark.requires("strace")
def test_a_failure_of_the_process_that_joins_comes_after_its_birth(bundle):
    """However long the helper takes from the one to the other: who is not known is not reaped."""
    bundle.run("sleep", "60")
    bundle.create("web").start()
    code = f"root = {str(bundle.state)!r}\n{textwrap.dedent(FAILS_IN_A_CHILD)}"
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=clone3:delay_exit=300000:when=1"]
    done = subprocess.run([*slow, sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "''\n"


@pytest.mark.requires("limits")
def test_what_is_executed_is_in_the_cgroup(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    executed = container.exec(bundle.process("sleep", "60"))
    assert executed.pid in container.processes()
    container.kill(signal.SIGKILL)
    assert executed.wait() == -signal.SIGKILL


def test_exec_is_nowhere_else_when_the_first_process_ends_meanwhile(bundle, monkeypatch):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()

    def ending(process, pid):
        container.kill(signal.SIGKILL)
        container.wait()
        return process

    # As if somebody out here had got its pid.
    monkeypatch.setattr(execution.files, "others", lambda _: ())
    monkeypatch.setattr(execution.own, "may_set_groups_there", lambda _: (True, False))
    with pytest.raises(StateError, match="container not running"):
        container.exec(ending)


def test_exec_where_the_first_process_is_a_certain_one(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    pid = container.state().pid
    first = (pid, start_of(pid))
    for _ in range(2):  # the second asks no more what is known of it
        assert container.exec(bundle.process("true"), first=first).wait() == 0
    for other in ((pid, first[1] - 1), (os.getpid(), first[1])):
        with pytest.raises(StateError, match="not running"):
            container.exec(bundle.process("true"), first=other)
    container.kill(signal.SIGKILL)
    container.wait()
    with pytest.raises(StateError, match="not running"):
        container.exec(bundle.process("true"), first=first)


def test_exec_in_a_terminal(bundle):
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    executed = container.exec(bundle.process("sh", "-c", "tty; exit 4", terminal=True))
    text = b""
    try:
        while piece := os.read(executed.master, 4096):
            text += piece
    except OSError:
        pass
    assert executed.wait() == 4
    assert text == b"/dev/pts/0\r\n"


@pytest.mark.parametrize("sealed", [True, False])
def test_a_filter_that_is_older_than_some_system_calls(bundle, sealed):
    names = ["faccessat2", "close_range", "getcwd"]
    rule = {"names": names, "action": "SCMP_ACT_ERRNO"}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    bundle.config["process"].update(noNewPrivileges=sealed, cwd="/tmp")
    assert output(bundle, "readlink /proc/self/cwd; ls /proc/self/fd").split() == ["/tmp", "0", "1", "2", "3"]


def test_no_exec_in_a_stopped_container(bundle):
    bundle.run("true")
    container = bundle.create()
    container.start()
    container.wait()
    with pytest.raises(StateError, match="not running"):
        container.exec(bundle.process("true"))


# -- hooks -----------------------------------------------------------------------------------------------------------

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def test_hooks_in_order_with_the_state(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    log = own_root / "log"
    note = "cat >> {log}; echo {kind} $(hostname) >> {log}"
    inside = {"startContainer": "/log"}
    bundle.config["hooks"] = {
        kind: [
            {
                "path": "/bin/sh",
                "timeout": 10**9,
                "args": ["sh", "-c", note.format(log=inside.get(kind, log), kind=kind)],
                "env": ["PATH=/bin:/usr/bin"],
            }
        ]
        for kind in KINDS
    }
    bundle.run("true")
    host = os.uname().nodename
    container = bundle.create("web")
    pid = container.state().pid
    assert [line.split()[0] for line in lines(log)] == list(KINDS[:3])
    container.start()
    container.wait()
    container.delete()
    names = {"createContainer": "inside", "startContainer": "inside"}
    assert lines(log) == [f"{kind} {names.get(kind, host)}" for kind in KINDS]
    documents = states(log)
    assert [document["status"] for document in documents] == [*["created"] * 4, "running", "stopped"]
    assert {document["id"] for document in documents} == {"web"}
    assert [document["pid"] for document in documents[:5]] == [pid] * 5
    assert all(document["bundle"] == str(bundle.path) for document in documents)


def states(log):
    """The documents that the hooks were told; the line after each is the hook's own."""
    decoder, text, found = json.JSONDecoder(), log.read_text(), []
    while "{" in text:
        text = text[text.index("{") :]
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def lines(log):
    return [line.rpartition("}")[2] for line in log.read_text().splitlines() if line.rpartition("}")[2].strip()]


@pytest.mark.parametrize("inside", ["createRuntime", "createContainer"])
def test_a_hook_that_says_nothing_of_its_environment_has_ours(bundle, scratch, monkeypatch, inside):
    monkeypatch.setenv("PYCGROUPS_TEST", "ours")
    note = f'echo "$0 $PYCGROUPS_TEST" >> {scratch}/log'
    hooks = [
        {"path": "/bin/sh", "args": ["sh", "-c", note, "silent"]},
        {"path": "/bin/sh", "args": ["sh", "-c", note, "empty"], "env": []},
    ]
    bundle.config["hooks"] = {inside: hooks}
    bundle.run("true")
    bundle.create()
    assert (scratch / "log").read_text() == "silent ours\nempty \n"


def test_where_hooks_run(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    log = own_root / "log"
    bundle.config["hooks"] = {
        kind: [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", f"echo {kind} $(pwd) >> {'/log' if kind == 'startContainer' else log}"],
            }
        ]
        for kind in KINDS
    }
    bundle.run("true")
    container = bundle.create()
    container.start()
    container.wait()
    container.delete()
    places = {"createContainer": own_root, "startContainer": "/"}
    assert log.read_text().splitlines() == [f"{kind} {places.get(kind, bundle.path)}" for kind in KINDS]


def test_a_hook_in_the_container_has_no_more_rights_than_its_program(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    bundle.config["process"]["capabilities"] = {"bounding": ["CAP_KILL"]}
    forbidden = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [forbidden]}
    script = "{ cat /proc/self/status; mkdir /tmp/directory; } > /tmp/log 2>&1; true"
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/busybox", "args": ["sh", "-c", script]}]}
    bundle.run("true")
    bundle.create().start()
    text = (own_root / "tmp/log").read_text()
    facts = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
    assert (facts["CapBnd"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0000000000000020", "1", "2")
    assert "No space left" in text


def test_a_hook_before_the_program_has_its_environment(bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    bundle.config["process"]["env"] = ["PATH=/bin", "PYCGROUPS_TEST=of the program"]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo $PYCGROUPS_TEST > /log"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    bundle.run("true")
    bundle.create().start()
    assert (own_root / "log").read_text() == "of the program\n"


@pytest.mark.parametrize("kind", KINDS[:5])
def test_a_hook_that_fails_takes_the_container_down(bundle, kind):
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]}
    bundle.run("sleep", "60")
    with pytest.raises(LaunchError, match=rf"hooks\.{kind}\[0\].*ended with 3.*because"):
        bundle.create("web").start()
    if kind in {"startContainer", "poststart"}:
        assert runtime.get("web", root=bundle.state).state().status == "stopped"
    else:
        assert nothing_is_left(bundle)


def test_a_hook_that_takes_too_long(bundle):
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]}
    with pytest.raises(LaunchError, match="timeout of 1 s"):
        bundle.create()


def test_a_hook_that_comes_too_late_to_fail(bundle, scratch):
    works = {"path": "/bin/touch", "args": ["touch", str(scratch / "called")]}
    bundle.config["hooks"] = {"poststop": [{"path": "/bin/false"}, works]}
    bundle.run("true")
    container = bundle.create()
    container.start()
    container.wait()
    container.delete()
    assert len(container.notices) == 1
    assert "poststop[0]" in container.notices[0]
    assert (scratch / "called").exists()


# -- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.requires("root")
@pytest.mark.parametrize("userns", [False, True])
def test_devices_are_made_as_they_are_described(bundle, userns):
    """In a user namespace, too, where the host has nothing at that path, or another device."""
    linux = bundle.config["linux"]
    if userns:
        bundle.map_ids(1_000_000, 1000)
    linux["devices"] = [
        {"path": "/dev/odd", "type": "c", "major": 1, "minor": 3, "fileMode": 0o612, "uid": 10, "gid": 11},
        {"path": "/dev/kmsg/", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o640},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
    ]
    script = "stat -c '%a %u:%g %t:%T %F' /dev/odd /dev/kmsg /dev/pipe; echo x >/dev/odd; head -c 1 /dev/kmsg | wc -c"
    assert output(bundle, f"{script}; readlink /dev/ptmx").splitlines() == [
        "612 10:11 1:3 character special file",
        "666 0:0 1:5 character special file",
        "640 0:0 0:0 fifo",
        "1",
        "pts/ptmx",
    ]


@pytest.mark.requires("rootless")
def test_devices_of_an_ordinary_user_are_those_of_the_host(bundle):
    bundle.config["linux"]["devices"] = [
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 7},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o640},
    ]
    assert output(bundle, "stat -c '%t:%T' /dev/full; stat -c '%a %F' /dev/pipe") == "1:7\n640 fifo\n"


# -- mounts ------------------------------------------------------------------------------------------------------------


def test_what_is_read_only_is_so_at_the_end(bundle):
    """Other mounts may be in it."""
    dev = next(mount for mount in bundle.config["mounts"] if mount["destination"] == "/dev")
    dev["options"].append("ro")
    bundle.config["mounts"] += [
        {"destination": "/tmp", "type": "tmpfs", "source": "outer", "options": ["ro"]},
        {"destination": "/tmp/in/deep", "type": "tmpfs", "source": "inner", "options": ["mode=755"]},
        {"destination": "/home", "type": "tmpfs", "source": "other", "options": ["ro", "mode=700"]},
    ]
    shown = " /(tmp|tmp/in/deep|home|dev|dev/pts|dev/shm) "
    script = f"cut -d ' ' -f 1,2,4 /proc/mounts | grep -E '{shown}' | cut -d , -f 1; echo x > /tmp/in/deep/file"
    *mounts, mode = output(bundle, f"{script}; test -c /dev/null && stat -c %a /home").splitlines()
    assert sorted(mounts) == [
        "devpts /dev/pts rw",
        "inner /tmp/in/deep rw",
        "other /home ro",
        "outer /tmp ro",
        "shm /dev/shm rw",
        "tmpfs /dev ro",
    ]
    assert mode == "700"


@pytest.mark.parametrize(("propagation", "field"), [("shared", "shared:"), ("rshared", "shared:"), ("private", "")])
def test_propagation_of_the_root(bundle, propagation, field):
    bundle.config["linux"]["rootfsPropagation"] = propagation
    line = output(bundle, "grep ' / / ' /proc/self/mountinfo || grep ' / rw' /proc/self/mountinfo")
    assert ("shared:" in line) == bool(field)


def test_propagation_of_a_file_system(bundle):
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["shared"]})
    assert "shared:" in output(bundle, "grep ' /tmp ' /proc/self/mountinfo")


@pytest.mark.requires("host", "root")
def test_a_file_system_of_a_block_device(bundle, scratch):
    """Whatever its source is, the kernel gets it."""
    bundle.config["mounts"].append(
        {"destination": "/tmp", "type": "ext4", "source": f"{scratch}/no", "options": ["ro"]}
    )
    with pytest.raises(LaunchError, match="ENOENT"):
        bundle.create()


def test_a_stream_that_is_closed_is_refused(bundle):
    bundle.run("true")
    closed = os.dup(0)
    os.close(closed)
    with pytest.raises(InvalidConfig, match=f"descriptor {closed} is not open.*/dev/null"):
        runtime.create(bundle.write(), "closed", root=bundle.state, stdio=(0, closed, 2))
    assert runtime.containers(root=bundle.state) == ()


def test_its_creator_deletes_no_other_of_its_name(bundle):
    bundle.run("sleep", "1000")
    ours = runtime.create(bundle.write(), "web", root=bundle.state)
    runtime.get("web", root=bundle.state).delete(force=True)
    theirs = runtime.create(bundle.write(), "web", root=bundle.state)
    with pytest.raises(NotFound, match="has been removed"):
        ours.delete(force=True)
    assert ours.wait() == -signal.SIGKILL
    assert theirs.state().status == "created"
    theirs.delete(force=True)
