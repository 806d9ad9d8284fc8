"""Containers in namespaces that are there already: by path, by process, as objects, and in the right order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import Namespace, namespaces
from pycgroups.containers import joining
from pycgroups.seccomp import Return
from tests.integration import functions
from tests.processes import descendants, is_alive
from tests.waiting import wait_for

needs_cgroup = pytest.mark.requires("limits")
needs_root = pytest.mark.requires("root")
pytestmark = pytest.mark.usefixtures("nothing_left")
LINKS = "for kind in user net uts ipc time cgroup pid mnt; do readlink /proc/self/ns/$kind; done"


@pytest.fixture
def make():
    """Make namespaces, which are closed in the end."""
    with ExitStack() as stack:
        yield lambda *kinds, **options: [stack.enter_context(space) for space in namespaces.create(*kinds, **options)]


@pytest.fixture
def links(inside):
    """Run a container, and name its namespaces."""

    def ask(**options):
        result = inside(["sh", "-c", LINKS], **options)
        assert result.returncode == 0, result
        return set(result.stdout.split())

    return ask


def own(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def test_as_objects(make, links):
    """All of one user namespace: any user may join them."""
    kinds = ("user", "net", "uts", "ipc", "cgroup", "time")
    spaces = make(*kinds)
    found = links(namespaces=dict(zip(kinds, spaces, strict=True)))
    assert set(map(str, spaces)) < found
    assert not found & {own(kind) for kind in ("pid", "mnt", *kinds)}


def test_no_run_keeps_them_open(inside):
    user, net = namespaces.create("user", "net")
    assert inside(["true"], namespaces={"user": user, "net": net}).returncode == 0
    seen = weakref.ref(user), weakref.ref(net)
    with pytest.warns(ResourceWarning, match="unclosed namespace"):
        del user, net
    assert [each() for each in seen] == [None, None]


def test_a_user_namespace_alone(make, inside, links):
    """What else the container has belongs to it."""
    (user,) = make("user")
    assert str(user) in links(namespaces={"user": user})
    result = inside(["sh", "-c", "id -u; cat /proc/self/uid_map"], namespaces={"user": user})
    assert result.stdout.split() == ["0", "0", str(os.geteuid()), "1"]


def test_the_hosts_root_in_a_user_namespace_that_is_joined(make):
    (user,) = make("user")
    result = pc.run(["sh", "-c", "id -u; echo new >/tmp/file; cat /tmp/file"], text=True, namespaces={"user": user})
    assert (result.returncode, result.stdout) == (0, "0\nnew\n"), result


@needs_root
def test_a_map_of_many_ids(make, inside, scratch):
    (user,) = make("user", userns=pc.IdMap.parse("0:700000:1000"))
    scratch.chmod(0o777)
    result = inside(
        ["sh", "-c", "touch /workspace/file; id -u; id -G"],
        namespaces={"user": user},
        user="7:8",
        groups=[9],
        workspace=scratch,
    )
    assert result.stdout.split() == ["7", "8", "9"], result
    assert (scratch / "file").stat().st_uid == os.geteuid()
    with pytest.raises(pc.InvalidConfig, match="id 1000 is not in the container's id map"):
        inside(["true"], namespaces={"user": user}, user="1000")


@needs_root
def test_a_user_namespace_without_a_root(make, inside):
    (user,) = make("user", userns=pc.IdMap.parse("5:700005:1"))
    with pytest.raises(pc.InvalidConfig, match="id 0 is not in the container's id map"):
        inside(["true"], namespaces={"user": user})


def test_by_path_and_by_process(links):
    command = ["unshare", "--user", "--map-root-user", "--net", "--uts", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            wanted = {os.readlink(f"/proc/{other.pid}/ns/{kind}") for kind in ("user", "net", "uts")}
            for namespace in (other.pid, "/proc/{}/ns/{}"):
                where = {
                    kind: namespace.format(other.pid, kind) if isinstance(namespace, str) else namespace
                    for kind in ("user", "net", "uts")
                }
                assert wanted < links(namespaces=where)
        finally:
            other.kill()


@needs_root
def test_one_of_the_hosts_with_ids_of_its_own(make, links, inside):
    """The new user namespace has no rights over it: it is joined before."""
    net, time = make("net", "time")
    found = links(namespaces={"net": net, "time": time})
    assert {str(net), str(time)} < found
    assert own("user") not in found
    map_ = inside(["cat", "/proc/self/uid_map"], namespaces={"net": net}).stdout.split()
    assert int(map_[1]) >= 0x70000000  # a range of its own, as ever


@needs_root
def test_one_of_a_user_namespace_and_one_of_the_host(make, links):
    (net,) = make("net")
    user, uts = make("user", "uts")
    assert {str(net), str(user), str(uts)} < links(namespaces={"net": net, "user": user, "uts": uts})


@pytest.mark.requires("rootless")
def test_one_without_its_user_namespace(make, inside, tmp_path):
    """IDN-12: nothing runs with less isolation than was asked for."""
    _, net = make("user", "net")
    with pytest.raises(pc.LaunchError, match="setns") as caught:
        inside(["touch", "/out/file"], namespaces={"net": net}, volumes={tmp_path: "/out"})
    assert "namespaces={'user': ...}" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_pinned(make, links, scratch):
    (net,) = make("net")
    net.pin(scratch / "net")
    try:
        assert str(net) in links(namespaces={"net": scratch / "net"})
    finally:
        net.unpin(scratch / "net")


def test_a_time_namespace(make, inside):
    user, time = make("user", "time", time_offsets={"boottime": 10**8})
    uptime = inside(["cat", "/proc/uptime"], namespaces={"user": user, "time": time}).stdout.split()[0]
    assert float(uptime) > 10**8
    assert own("time") in inside(["readlink", "/proc/self/ns/time"]).stdout
    assert own("time") not in inside(["readlink", "/proc/self/ns/time"], namespaces={"time": "private"}).stdout


def test_what_is_refused(make, inside):
    user, net = make("user", "net")
    with pytest.raises(pc.InvalidConfig, match=r"namespaces\['uts'\]: got <Namespace net"):
        inside(["true"], namespaces={"uts": net})
    with pytest.raises(pc.InvalidConfig, match="userns or a user namespace, not both"):
        inside(["true"], namespaces={"user": user}, userns=pc.IdMap.single())
    with pytest.raises(pc.InvalidConfig, match="each once of mnt, net"):
        inside(["true"], namespaces={"network": net, "net": net})
    with Namespace.open(net.path) as closed:
        pass
    with pytest.raises(pc.StateError, match="closed"):
        inside(["true"], namespaces={"net": closed})
    with pytest.raises(pc.NotFound):
        inside(["true"], namespaces={"net": 2**22})


# -- the processes of others


@pytest.fixture
def others():
    """A pid namespace with a user namespace, where it is not root's own: process 1 of it, a descendant of ours."""
    users = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ["unshare", *users, "--pid", "--fork", "--kill-child", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        (process,) = descendants(parent.pid)
        yield process
        parent.kill()


@pytest.fixture
def among(others):
    """The options of a container in it."""
    return {"namespaces": {"pid": others, **({} if os.geteuid() == 0 else {"user": others})}, **as_root()}


def as_root():
    return {"userns": "host"} if os.geteuid() == 0 else {}


@needs_cgroup
def test_processes_of_a_namespace(inside, among, others):
    """Its own are among them, and none is process 1."""
    result = inside(["sh", "-c", "cat /proc/1/comm; echo $$; ls /proc; readlink /proc/self/ns/pid"], **among)
    name, own_pid, *numbers = result.stdout.split()
    assert (name, result.returncode) == ("sleep", 0), result
    assert own_pid != "1"
    assert {"1", own_pid} <= set(numbers)
    assert len([number for number in numbers if number.isdigit()]) < 10
    assert os.readlink(f"/proc/{others}/ns/pid") == numbers[-1]
    with Namespace.of(others, "pid") as space:
        among["namespaces"]["pid"] = space
        assert str(space) in inside(["readlink", "/proc/self/ns/pid"], **among).stdout


@needs_cgroup
@pytest.mark.parametrize("userns", [pytest.param("host", marks=needs_root), "auto"])
def test_processes_of_the_host(inside, userns):
    """They can be seen, and their files cannot."""
    script = f"echo $$; cat /proc/{os.getpid()}/comm; cat /proc/{os.getpid()}/environ /proc/keys; readlink /proc/1/exe"
    result = inside(["sh", "-c", script], namespaces={"pid": "host"}, userns=userns)
    own_pid, comm = result.stdout.split("\n", 1)
    assert int(own_pid) > 1
    assert comm.strip() == Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    writes = inside(["sh", "-c", "echo x >/proc/sys/kernel/panic"], namespaces={"pid": "host"}, userns=userns)
    assert "Read-only" in writes.stderr, writes


@needs_cgroup
def test_the_end_of_a_container_among_others(inside, among):
    """All of its processes end with it, and none of the others."""
    for options in (among, {"namespaces": {"pid": "host"}}):
        assert inside(["cat"], **options, input="text" * 10**5).stdout == "text" * 10**5
        assert inside(["sh", "-c", "setsid sleep 1000 & (sleep 1000 &) & exit 3"], **options).returncode == 3
        assert inside(["sh", "-c", "kill -9 $$"], **options).returncode == -9
        script = "trap '' TERM; setsid sh -c 'setsid sleep 1000 & sleep 1000' & sleep 1000"
        assert inside(["sh", "-c", script], **options, timeout=0.5).reason == "timeout"
        # The supervisor is killed by whom it supervises, who may do that, at once or once it has told of the start.
        with suppress(pc.LaunchError):
            result = inside(["sh", "-c", "setsid sleep 1000 & kill -9 $PPID; sleep 1000"], **options)
            assert result.returncode == -9, result
        with pytest.raises(pc.CommandNotFound):
            inside(["no-such-program"], **options)
        result = inside(["sh", "-c", "test -t 0 && echo yes"], **options, tty=True)
        assert result.stdout.strip() == "yes", result
    assert inside(["cat", "/proc/1/comm"], **among).stdout == "sleep\n"


@needs_cgroup
def test_the_caller_of_a_container_among_others_is_killed(script, root, among):
    """The supervisor hears of it, and ends the others."""
    code = """
import sys, pycgroups as pc
pc.run(["sh", "-c", sys.argv[1]], rootfs=sys.argv[2], **eval(sys.argv[3]))
"""
    program = "setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000; true'; true"
    with subprocess.Popen([sys.executable, "-c", code, program, root, repr(among)]) as caller:
        wait_for(lambda: len(descendants(caller.pid)) == 6)
        processes = descendants(caller.pid)
        caller.kill()
    wait_for(lambda: not any(map(is_alive, processes)))
    script(code, "true", root, among)  # the next process removes its cgroup


@needs_cgroup
def test_a_pid_namespace_that_has_ended(inside, among, others):
    with Namespace.of(others, "pid") as space, ExitStack() as stack:
        among["namespaces"] |= {"pid": space}
        if "user" in among["namespaces"]:
            among["namespaces"]["user"] = stack.enter_context(Namespace.of(others, "user"))
        os.kill(others, signal.SIGKILL)
        wait_for(lambda: not is_alive(others))
        with pytest.raises(pc.LaunchError, match="process 1 of the pid namespace that was joined has ended"):
            inside(["true"], **among)


def test_processes_of_others_and_what_cannot_be_with_them(inside, others):
    with pytest.raises(pc.InvalidConfig, match="option init"):
        inside(["true"], namespaces={"pid": "host"}, init=False)
    with pytest.raises(pc.Unsupported, match="for its owner to mount"):
        pc.explain(["true"], namespaces={"pid": others})


@pytest.mark.requires("no_limits")
def test_processes_of_others_without_a_cgroup(inside):
    with pytest.raises(pc.Error, match="cgroup"):
        inside(["true"], namespaces={"pid": "host"})


# --


def test_what_was_checked_is_joined(make, store, root, scratch, monkeypatch):
    """Also if the path leads elsewhere by then; the next start looks at that."""
    (user,) = make("user")
    (first,), (second,) = make("net", userns=user), make("net", userns=user)
    path = scratch / "net"
    path.symlink_to(first.path)
    opened = joining.opened

    def changing(config):
        made = opened(config)
        path.unlink()
        path.symlink_to(second.path)
        return made

    command = ["readlink", "/proc/self/ns/net"]
    made = store.containers.create(command, rootfs=root, namespaces={"user": user.path, "net": path})
    monkeypatch.setattr(joining, "opened", changing)
    made.start()
    made.wait()
    made.start()
    made.wait()
    assert made.logs().decode().split() == [str(first), str(second)]


def test_its_end_and_its_output(make, inside):
    """It is made by way of a process that ends before it: it is waited for, timed and killed all the same."""
    (user,) = make("user")
    given = {"user": user}
    assert inside(["cat"], namespaces=given, input="text" * 10**5).stdout == "text" * 10**5
    assert inside(["sh", "-c", "exit 3"], namespaces=given).returncode == 3
    assert inside(["sh", "-c", "kill -9 $$"], namespaces=given).returncode == -9
    assert inside(["sh", "-c", "sleep 1000 & sleep 1000"], namespaces=given, timeout=0.5).reason == "timeout"
    assert inside(["readlink", "/proc/self"], namespaces=given, init=False).stdout == "1\n"
    with pytest.raises(pc.CommandNotFound):
        inside(["no-such-program"], namespaces=given)
    result = inside(["sh", "-c", "test -t 0 && echo yes"], namespaces=given, tty=True)
    assert result.stdout.strip() == "yes", result


def test_a_terminal_and_a_handler_of_system_calls(make, inside):
    """What the helper says right after it went on in a child is heard."""
    (user,) = make("user")
    ids = {name: lambda _: Return(77) for name in ("getuid", "geteuid")}
    for _ in range(5):
        result = inside(["id", "-u"], namespaces={"user": user}, on_syscall=ids)
        assert result.stdout == "77\n", result
        result = inside(["sh", "-c", "test -t 0 && echo yes; exit 3"], namespaces={"user": user}, tty=True)
        assert (result.returncode, result.stdout.strip()) == (3, "yes"), result


@pytest.mark.requires("limits")
def test_with_limits(make, inside):
    (user,) = make("user")
    result = inside(["sh", "-c", "sleep 0 & wait; echo done"], namespaces={"user": user}, memory="64M", pids=20)
    assert (result.stdout, result.reason) == ("done\n", "exited")


def test_explained(make):
    user, net = make("user", "net")
    told = pc.explain(["true"], namespaces={"user": user, "net": net})
    joined = {space.type: space.path for space in told.spec.linux.namespaces if space.path}
    assert joined == {"user": user.path, "network": net.path}
    steps = [str(step).split()[0] for step in told.plan.setup]
    assert steps.count("setns") == 2
    assert steps.index("unshare") > steps.index("setns")
    with Namespace.open(net.path) as same:  # equal, and of another descriptor
        told = pc.explain(["true"], namespaces={"user": user, "net": same})
        assert same.path in {space.path for space in told.spec.linux.namespaces}


def test_on_the_command_line(make):
    user, net = make("user", "net")
    flags = [f"--namespace={space.kind}={space.path}" for space in (user, net)]
    command = [sys.executable, "-m", "pycgroups", "run", *flags, "--", "readlink", "/proc/self/ns/net"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(net)
    command = [sys.executable, "-m", "pycgroups", "run", f"--namespace=uts={net.path}", "--", "true"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 125
    assert "a uts namespace is wanted" in done.stderr


def test_a_process_that_ends(inside):
    """Its namespaces are gone, or its number is nobody's: an error, and nothing else is joined."""
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(pc.NotFound):
        inside(["true"], namespaces={"net": process.pid})
    wait_for(lambda: not os.path.exists(f"/proc/{process.pid}"))


def test_a_function_in_a_container():
    """The namespaces of a container that runs, and a Python function in them."""
    command = [sys.executable, "-m", "pycgroups", "run", "--hostname", "inside", "--"]
    command += ["sh", "-c", "mkdir /tmp/here; echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"  # nobody comes or goes from here on
            pid = next(pid for pid in descendants(process.pid) if os.readlink(f"/proc/{pid}/ns/net") != own("net"))
            with ExitStack() as stack:
                spaces = [stack.enter_context(Namespace.of(pid, kind)) for kind in functions.KINDS]
                assert namespaces.call(spaces, functions.links) == {space.kind: str(space) for space in spaces}
                assert namespaces.call(spaces, os.uname).nodename == "inside"
                assert "here" in namespaces.call(spaces, os.listdir, "/tmp")
        finally:
            process.terminate()
