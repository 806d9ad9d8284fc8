"""Namespaces as objects: held, pinned, made, and gone into by a Python function."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

import pycgroups as pc
from pycgroups import Namespace, namespaces
from pycgroups.runtime import unsharing
from tests.integration import functions, threaded
from tests.processes import descendants, state
from tests.waiting import wait_for
from tests.worlds import features

KINDS = functions.KINDS
MADE = tuple(kind for kind in KINDS if kind != "pid")
needs_root = pytest.mark.requires("root")
pytestmark = pytest.mark.usefixtures("nothing_left")


@contextmanager
def made(*kinds, **options):
    """Make namespaces that any user may make."""
    with ExitStack() as stack:
        yield [stack.enter_context(space) for space in namespaces.create(*kinds, **options)]


@contextmanager
def sleeper(*flags):
    """Run a process in new namespaces; yields its pid, and its child's if it forks."""
    command = ["unshare", "--user", "--map-root-user", *flags, "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@contextmanager
def in_pid_namespace(*flags):
    """Run a process 1 in new user and pid namespaces; yields its pid."""
    with sleeper("--pid", "--fork", "--kill-child", *flags) as process:
        yield descendants(process.pid)[0]


def link(kind, process="thread-self"):
    return os.readlink(f"/proc/{process}/ns/{kind}")


# -- Namespace -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_process(kind):
    with Namespace.of(os.getpid(), kind) as space, Namespace.open(f"/proc/self/ns/{kind}") as same:
        assert (str(space), space.kind) == (link(kind), kind)
        assert space.id == os.stat(f"/proc/self/ns/{kind}").st_ino == os.fstat(space.fileno()).st_ino
        assert space.device == os.stat(f"/proc/self/ns/{kind}").st_dev
        assert space == same
        assert len({space, same}) == 1
        assert os.get_inheritable(space.fileno()) is False


def test_namespaces_that_differ():
    with made("user", "net", "uts") as spaces, Namespace.of(os.getpid(), "net") as own:
        assert len({*spaces, own}) == 4
        assert spaces[1] != own
        assert spaces[1] != str(spaces[1])


def test_kinds_have_ocis_names_too():
    with Namespace.of(os.getpid(), "network") as net, Namespace.open("/proc/self/ns/mnt", "mount") as mnt:
        assert (net.kind, mnt.kind) == ("net", "mnt")


def test_owner_and_parent():
    with made("user", "net") as (user, net):
        with net.owner() as owner, user.parent() as parent, user.owner() as of_user:
            assert owner == user
            assert parent == of_user
            assert str(parent) == link("user")
        assert user.owner_uid == os.geteuid()
        with pytest.raises(pc.Unsupported, match="only user and pid"):
            net.parent()
        with pytest.raises(pc.Unsupported, match="owner"):
            _ = net.owner_uid


def test_what_is_above_is_out_of_sight():
    """The tests may run in a container."""
    space = Namespace.of(os.getpid(), "user")
    while (above := space.parent()) is not None:
        space.close()
        space = above
    with space:
        assert space.owner() is None


def test_the_parent_of_a_pid_namespace():
    with in_pid_namespace() as init, Namespace.of(init, "pid") as pids, pids.parent() as parent:
        assert str(parent) == link("pid")


def test_it_is_kept_alive_and_closed():
    with sleeper("--net") as process:
        net = Namespace.of(process.pid, "net")
        name = link("net", process.pid)
    with net:
        assert os.readlink(net.path) == str(net) == name
        with Namespace.open(net.path, "net") as again:
            assert again == net
    assert "closed" in repr(net)
    for use in (
        net.fileno,
        net.owner,
        lambda: net.path,
        lambda: net.pin("/nowhere"),
        lambda: namespaces.call([net], id),
    ):
        with pytest.raises(pc.StateError, match=r"net:\[\d+\]: closed"):
            use()
    net.close()


def test_a_forgotten_one_is_closed():
    space = Namespace.of(os.getpid(), "net")
    fd = space.fileno()
    with pytest.warns(ResourceWarning, match="unclosed namespace net"):
        del space
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_it_is_of_one_process():
    with Namespace.of(os.getpid(), "net") as space:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot pickle"):
                copied(space)


def test_of_what_is_no_process():
    process = subprocess.Popen(["true"])
    wait_for(lambda: state(process.pid) == "Z")
    with pytest.raises(pc.NotFound, match="ended"):  # a zombie still has a user namespace
        Namespace.of(process.pid, "user")
    process.wait()
    with pytest.raises(pc.NotFound, match="ended"):
        Namespace.of(process.pid, "net")
    for pid in (0, -1, True, "self", 2**22 + 1):
        with pytest.raises(pc.InvalidConfig, match="option pid"):
            Namespace.of(pid, "net")
    for kind in ("ns", "", None, "pid_for_children", "../net"):
        with pytest.raises(pc.InvalidConfig, match="option kind"):
            Namespace.of(os.getpid(), kind)


def test_a_process_that_ends_while_it_is_opened():
    """It is that process's, or an error: never that of another one, and nothing stays open."""
    for number in range(20 if features.IN_VM else 200):
        with subprocess.Popen(["true"]) as process:
            time.sleep(0.0001 * (number % 20))
            try:
                with Namespace.of(process.pid, "net") as space:
                    assert str(space) == link("net")
            except pc.NotFound:
                continue


@pytest.mark.requires("rootless")
def test_of_a_process_of_somebody_else():
    with pytest.raises(pc.Error, match=r"EACCES|EPERM") as caught:
        Namespace.of(1, "net")
    assert "may open" in caught.value.hint


def test_what_is_no_namespace(tmp_path):
    os.mkfifo(tmp_path / "fifo")  # nobody waits for its other end
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/proc/self/ns/uts")
    for path in (tmp_path / "fifo", tmp_path / "file", tmp_path, "/dev/null", "/proc/self/status"):
        with pytest.raises(pc.InvalidConfig, match="no namespace, and a namespace is wanted"):
            Namespace.open(path)
    with pytest.raises(pc.InvalidConfig, match="a uts namespace, and a net namespace is wanted"):
        Namespace.open(tmp_path / "link", "net")
    with pytest.raises(pc.NotFound):
        Namespace.open(tmp_path / "missing")
    with open("/dev/null") as file, pytest.raises(pc.InvalidConfig, match="fd"):
        Namespace(file.fileno())


# -- pin -------------------------------------------------------------------------------------------------------------


@needs_root
def test_pin(scratch):
    with made("net") as (net,):
        net.pin(scratch / "net")
        name = str(net)
    with Namespace.open(scratch / "net", "net") as again:
        assert str(again) == name
        with pytest.raises(pc.AlreadyExists):
            again.pin(scratch / "net")
        Namespace.unpin(scratch / "net")
        assert not (scratch / "net").exists()
        again.pin(scratch / "net")  # it is still alive
        again.unpin(scratch / "net")
    with pytest.raises(pc.NotFound):
        Namespace.unpin(scratch / "net")


@needs_root
def test_a_mount_namespace_is_pinned_below_a_private_mount(scratch):
    with Namespace.of(os.getpid(), "mnt") as own, pytest.raises(pc.Error, match="newer") as caught:
        own.pin(scratch / "own")
    assert caught.value.errno == errno.EINVAL
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", scratch], check=True)
    try:
        subprocess.run(["mount", "--make-private", scratch], check=True)
        assert any(is_pinned_from(cpu, scratch / "mnt") for cpu in os.sched_getaffinity(0))
    finally:
        subprocess.run(["umount", scratch], check=True)
    assert list(scratch.iterdir()) == []


def is_pinned_from(cpu, path):
    """Whether the kernel takes a namespace made on a cpu for newer than ours: since 6.18 it numbers them by cpu."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        with made("mnt") as (mnt,):
            mnt.pin(path)
            mnt.unpin(path)
    except pc.Error as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        os.sched_setaffinity(0, before)
    return True


def test_what_cannot_be_pinned(scratch):
    (scratch / "file").write_text("mine")
    (scratch / "link").symlink_to("target")
    with made("user", "net") as (_, net):
        for name in ("file", "link"):
            with pytest.raises(pc.AlreadyExists):
                net.pin(scratch / name)
        with pytest.raises(pc.NotFound):
            net.pin(scratch / "missing/net")
    with pytest.raises(pc.InvalidConfig, match="no namespace"):
        Namespace.unpin(scratch / "file")
    with pytest.raises(pc.InvalidConfig if os.geteuid() == 0 else pc.Error, match=r"pinned|EPERM"):
        Namespace.unpin("/proc/self/ns/net")
    assert (scratch / "file").read_text() == "mine"
    assert not (scratch / "target").exists()


@pytest.mark.requires("rootless")
def test_an_ordinary_user_pins_nothing(scratch):
    with made("user", "net") as (_, net), pytest.raises(pc.Error, match="CAP_SYS_ADMIN"):
        net.pin(scratch / "net")
    assert list(scratch.iterdir()) == []


# -- create ----------------------------------------------------------------------------------------------------------


def test_all_kinds_at_once():
    with made(*MADE) as spaces:
        assert tuple(space.kind for space in spaces) == MADE
        inside = namespaces.call(spaces, functions.links)
        assert inside == {**{space.kind: str(space) for space in spaces}, "pid": link("pid")}
        assert not set(inside.values()) & {link(kind) for kind in MADE}


@needs_root
def test_root_needs_no_user_namespace():
    with made("net", "uts") as (net, uts), net.owner() as owner:
        assert str(owner) == link("user")
        assert namespaces.call([uts, net], functions.links) == {**functions.links(), "net": str(net), "uts": str(uts)}


@pytest.mark.requires("rootless")
def test_an_ordinary_user_needs_one():
    with pytest.raises(pc.Unsupported, match="belong to a user namespace") as caught:
        namespaces.create("net")
    assert 'add "user"' in caught.value.hint


def test_in_a_user_namespace_that_is_there():
    with made("user") as (user,), made("net", "mnt", "time", userns=user, time_offsets={"boottime": 5}) as spaces:
        for space in spaces:
            with space.owner() as owner:
                assert owner == user
        assert set(map(str, spaces)) < set(namespaces.call([*spaces, user], functions.links).values())


@pytest.mark.parametrize("what", ["facts", pytest.param("net", marks=needs_root)])
def test_who_is_there_cannot_take_over_what_goes_in(monkeypatch, what):
    """It has the caller's ids, which are more than those of there."""
    errors = []
    waiting = unsharing._waiting

    @contextmanager
    def tried(*args):
        with waiting(*args) as pid:
            errors.append(namespaces.call([user], functions.seize, pid))
            yield pid

    with made("user") as (user,):
        monkeypatch.setattr(unsharing, "_waiting", tried)
        if what == "facts":
            assert unsharing.facts_of(user).idmap.uids[0].host_id == os.geteuid()
        else:
            namespaces.create(what, userns=user)[0].close()
    assert errors == [errno.EPERM]


def test_clocks():
    with made("user", "time", time_offsets={"boottime": 1_000_000.5, "monotonic": -0.25}) as spaces:
        before, inside, after = functions.uptime(), namespaces.call(spaces, functions.uptime), functions.uptime()
        assert before <= inside - 1_000_000_500_000_000 <= after


def test_clocks_cannot_be_before_the_boot():
    with pytest.raises(pc.LaunchError, match="time offsets") as caught:
        namespaces.create("user", "time", time_offsets={"boottime": -(2**32)})
    assert caught.value.errno == errno.ERANGE


def test_the_loopback_device_is_up():
    with made("user", "net") as spaces:
        assert namespaces.call(spaces, functions.listen) > 0


def test_mounts_are_private():
    with made("user", "mnt") as spaces:
        assert "/" in namespaces.call(spaces, functions.mount_points)


def test_a_map_of_ids():
    with made("user", userns=pc.IdMap.single()) as (user,):
        assert namespaces.call([user], functions.identity)[:2] == ((0, 0, 0), (0, 0, 0))


@needs_root
def test_a_map_of_many_ids():
    with made("user", userns=pc.IdMap.parse("0:700000:1000")) as (user,):
        assert namespaces.call([user], functions.identity)[:2] == ((0, 0, 0), (0, 0, 0))
    with made("user", userns=pc.IdMap.parse("5:700005:1")) as (user,):  # which has no root
        uids, gids, _ = namespaces.call([user], functions.identity)
        assert (set(uids), set(gids)) == ({65534}, {65534})


@pytest.mark.parametrize(
    ("kinds", "options", "word"),
    [
        ((), {}, "kinds"),
        (("net", "network"), {}, r"kinds\[1\]"),
        (("nets",), {}, r"kinds\[0\]"),
        (("net",), {"userns": pc.IdMap.single()}, "userns"),
        (("user",), {"userns": pc.IdMap.auto()}, "userns"),
        (("user",), {"userns": "0:1:1"}, "userns"),
        (("user",), {"time_offsets": {"boottime": 1}}, "time_offsets"),
        (("user", "time"), {"time_offsets": {"realtime": 1}}, "realtime"),
        (("user", "time"), {"time_offsets": {"boottime": "1"}}, "boottime"),
        (("user", "time"), {"time_offsets": {"boottime": float("nan")}}, "boottime"),
    ],
)
def test_what_cannot_be_made(kinds, options, word):
    with pytest.raises(pc.InvalidConfig, match=word):
        namespaces.create(*kinds, **options)


def test_a_user_namespace_of_another_kind():
    with made("user", "net") as (user, net):
        for kinds, userns in ((("uts",), net), (("user",), user)):
            with pytest.raises(pc.InvalidConfig, match="userns"):
                namespaces.create(*kinds, userns=userns)


def test_a_pid_namespace_needs_a_process():
    with pytest.raises(pc.Unsupported, match="process 1"):
        namespaces.create("user", "pid")


# -- call ------------------------------------------------------------------------------------------------------------


def test_values_and_arguments():
    assert namespaces.call([], functions.echo, 1, "two", b"\0" * 2**20, None) == (1, "two", b"\0" * 2**20, None)
    assert namespaces.call([], os.getppid) == os.getpid()


def test_this_process_goes_nowhere():
    before = functions.links()
    with made(*MADE) as spaces:
        namespaces.call(spaces, functions.echo)
    assert functions.links() == before


def test_the_callers_own_are_passed_over():
    with ExitStack() as stack:
        own = [stack.enter_context(Namespace.of(os.getpid(), kind)) for kind in KINDS]
        assert namespaces.call(own, functions.links) == functions.links()


def test_names_are_changed_inside_alone():
    with made("user", "uts") as spaces:
        assert namespaces.call(spaces, functions.set_hostname, "inside") == "inside"
        assert namespaces.call(spaces, os.uname).nodename == "inside"
        assert os.uname().nodename != "inside"


def test_in_a_pid_namespace():
    with ExitStack() as stack:
        init = stack.enter_context(in_pid_namespace("--mount-proc"))
        pids, user, mnt = (stack.enter_context(Namespace.of(init, kind)) for kind in ("pid", "user", "mnt"))
        assert 1 < namespaces.call([pids, mnt, user], functions.identity)[2] < 10
        assert namespaces.call([mnt, user, pids], functions.links)["pid"] == str(pids)
        with pytest.raises(pc.Error, match="ended with -9"):
            namespaces.call([user, pids], functions.end, signal.SIGKILL)
        with pytest.raises(pc.Error, match="ended with 7"):
            namespaces.call([user, pids], functions.leave, 7)
        os.kill(init, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{init}"))
        with pytest.raises(pc.LaunchError, match="process 1 of the pid namespace has ended"):
            namespaces.call([user, pids], functions.identity)


def test_in_another_root_file_system(root):
    """The interpreter and its libraries are not there; what was loaded before works, and no more is imported."""
    with ExitStack() as stack:
        process = stack.enter_context(sleeper("--mount", "--root", str(root)))
        user, mnt = (stack.enter_context(Namespace.of(process.pid, kind)) for kind in ("user", "mnt"))
        with pytest.raises(ModuleNotFoundError, match="colorsys") as caught:
            namespaces.call([user, mnt], functions.import_late)
        assert "import colorsys" in caught.value.__notes__[0]
        assert namespaces.call([user, mnt], functions.links)["mnt"] == str(mnt)
        assert namespaces.call([user], functions.import_late) == "colorsys"


def test_exceptions():
    with made("user", "net") as spaces:
        with pytest.raises(ValueError, match="three") as caught:
            namespaces.call(spaces, functions.fail, ValueError("three"))
        assert "functions.py" in caught.value.__notes__[0]
        assert "raise error" in caught.value.__notes__[0]
        with pytest.raises(PermissionError) as refused:
            namespaces.call(spaces, functions.fail, PermissionError(errno.EACCES, "no", "/file"))
        assert (type(refused.value), refused.value.filename) == (PermissionError, "/file")
        with pytest.raises(pc.NotFound, match="thing"):
            namespaces.call(spaces, functions.fail, pc.NotFound("thing"))
    with pytest.raises(SystemExit):
        namespaces.call([], functions.fail, SystemExit(3))
    with pytest.raises(pc.Error, match=r"raised Odd: odd, and that cannot be pickled"):
        namespaces.call([], functions.fail_oddly)
    with pytest.raises(TypeError, match="argument"):
        namespaces.call([], functions.links, 1, 2)


def test_what_cannot_be_pickled():
    with made("user") as (user,):
        with pytest.raises(pc.InvalidConfig, match=r"option fn: .*top level"):
            namespaces.call([user], lambda: 0)
        with pytest.raises(pc.InvalidConfig, match=r"option args\[1\]: "):
            namespaces.call([user], functions.echo, 1, threading.Lock())
        with pytest.raises(pc.InvalidConfig, match=r"option args\[0\]: .*file descriptor"):
            namespaces.call([user], functions.echo, user)
    with pytest.raises(pc.Error, match="give_a_lock: its value, a lock, cannot be pickled"):
        namespaces.call([], functions.give_a_lock)


def test_a_process_that_does_not_answer():
    for end, code in ((functions.end, signal.SIGKILL), (functions.end, signal.SIGTERM), (functions.leave, 0)):
        expected = -code if end is functions.end else 0
        with pytest.raises(pc.Error, match=f"its process ended with {expected}, and without an answer"):
            namespaces.call([], end, code)


def test_a_module_that_starts_threads():
    with made("user", "net") as spaces, pytest.raises(pc.Error, match="has started 1 threads"):
        namespaces.call(spaces, threaded.answer)
    assert namespaces.call([], threaded.answer) == 42


def test_which_namespaces():
    with made("user", "net") as (user, net), Namespace.open(net.path) as same:
        with pytest.raises(pc.InvalidConfig, match=r"namespaces\[2\].*each kind once"):
            namespaces.call([user, net, same], functions.echo)
        with pytest.raises(pc.InvalidConfig, match=r"namespaces\[0\]"):
            namespaces.call([net.path], functions.echo)


def test_those_of_two_user_namespaces():
    """Root has the rights over both; an ordinary user in neither, before it is in one. It is not called with less."""
    with made("user", "net") as (_, net), made("user", "uts") as (user, uts):
        if os.geteuid() == 0:
            inside = namespaces.call([user, uts, net], functions.links)
            assert {str(user), str(uts), str(net)} < set(inside.values())
        else:
            with pytest.raises(pc.LaunchError, match="join that one as well") as caught:
                namespaces.call([user, uts, net], functions.links)
            assert (caught.value.step, caught.value.path) == ("setns", str(net))


def test_user_namespaces_in_each_other():
    """What belongs to the inner one is within reach of who is root in the outer one."""
    with sleeper("--", "unshare", "--user", "--map-root-user", "--net") as process, ExitStack() as stack:
        inner, net = (stack.enter_context(Namespace.of(process.pid, kind)) for kind in ("user", "net"))
        outer = stack.enter_context(inner.parent())
        assert {str(outer), str(inner)} & {link("user")} == set()
        assert {str(outer), str(net)} < set(namespaces.call([net, outer], functions.links).values())
        assert {str(inner), str(net)} < set(namespaces.call([net, inner], functions.links).values())


def test_from_inside():
    """A function in a user namespace makes others there, and calls in its turn."""
    with made("user", "uts") as spaces:
        inside = namespaces.call(spaces, functions.nest)
        outside = {str(space) for space in spaces}
        assert str(spaces[1]) in inside.values()
        assert not {inside["user"], inside["net"]} & {*outside, link("user"), link("net")}


def test_only_its_descriptors_are_there():
    with made("user", "net") as spaces, open("/dev/null") as file:
        os.set_inheritable(file.fileno(), True)
        assert len(namespaces.call(spaces, functions.descriptors)) == 1
        assert len(namespaces.call([], functions.descriptors)) == 1


def test_many_threads_call():
    """None of them goes anywhere, and each gets its own answer."""
    results = {}
    with made("user", "net") as spaces:

        def call(number):
            results[number] = namespaces.call(spaces, functions.echo, number), functions.links()

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: ((number,), functions.links()) for number in range(4)}


SCRIPT = """
import os, sys
import pycgroups as pc

def double(number):
    return 2 * number, __name__

if __name__ == "__main__":
    with pc.namespaces.create("user")[0] as user:
        print(pc.namespaces.call([user], double, 21))
"""


def test_the_function_of_a_script(tmp_path, script):
    (tmp_path / "main.py").write_text(SCRIPT)
    run = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    assert script(run, tmp_path / "main.py") == "(42, '__mp_main__')\n"
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])}
    assert script(run, "-m", "main", env={**os.environ, **path}) == "(42, '__mp_main__')\n"
    (tmp_path / "main.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    code = (
        "import subprocess, sys; print(subprocess.run([sys.executable, sys.argv[1]], capture_output=True, text=True))"
    )
    assert "belongs below: if __name__" in script(code, tmp_path / "main.py")


def test_the_function_of_no_file(script):
    code = """
import pycgroups as pc
def nothing(): pass
try:
    pc.namespaces.call([], nothing)
except pc.InvalidConfig as error:
    print(error)
"""
    assert "the main module here is none" in script(code)


KILLED = """
import os, sys
import pycgroups as pc
from tests.integration import functions
pid, path = int(sys.argv[1]), sys.argv[2]
spaces = [pc.Namespace.of(pid, kind) for kind in ("user", "pid")] if pid else []
pc.namespaces.call(spaces, functions.wait_for_ever, path)
"""


@pytest.mark.parametrize("inside", [False, True])
def test_it_dies_with_its_caller(inside, scratch):
    with in_pid_namespace() as init:
        command = [sys.executable, "-c", KILLED, str(init if inside else 0), scratch / "there"]
        with subprocess.Popen(command) as caller:
            wait_for((scratch / "there").exists)
            below = descendants(caller.pid)
            caller.kill()
        assert len(below) == 1 + inside
        wait_for(lambda: not [pid for pid in below if os.path.exists(f"/proc/{pid}")])


def test_it_ends_with_an_exception_of_the_caller(scratch):
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Thread(target=interrupt_when, args=(scratch / "there",)).start()
        with pytest.raises(Stop):
            namespaces.call([], functions.wait_for_ever, scratch / "there")
    finally:
        signal.signal(signal.SIGUSR1, before)


def interrupt_when(path):
    wait_for(path.exists)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
