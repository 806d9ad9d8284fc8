"""What is asked of systemd by D-Bus, and what becomes of its answers: a real bus, and a systemd of the tests'."""

from __future__ import annotations

import errno
import importlib.util
import os
import pickle
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from pycgroups import cgroups
from pycgroups.cgroups import Cgroup, Limits, dbus, detect, hints, placed, scope, scoped, session, systemd, tree, unit
from pycgroups.cgroups.scope import Name
from pycgroups.errors import AlreadyExists, CgroupError, InvalidConfig, Unsupported
from pycgroups.oci.resources import BlockIo, Cpu, Memory, Pids, Resources

INFINITY = (1 << 64) - 1


def sibling(name):
    """Test directories are no packages."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fake_systemd():
    return sibling("fake_systemd")


@pytest.fixture(scope="module")
def address(tmp_path_factory, fake_systemd):
    with fake_systemd.bus(tmp_path_factory.mktemp("bus")) as path:
        yield path


@pytest.fixture
def server(address, fake_systemd):
    with fake_systemd.serving(address) as server:
        yield server


@pytest.fixture
def connection(address):
    with dbus.Bus(address) as connection:
        yield connection


@pytest.fixture
def lose_patience(monkeypatch):
    """Wait for little time from now on: a busy machine may take longer than that to connect."""
    return lambda: monkeypatch.setattr(dbus, "PATIENCE", 0.3)


def meaning(limits):
    return {name: value for name, (_, value) in systemd.properties(limits)}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Resources(), {}),
        (Resources(memory=Memory(limit=1 << 20)), {"MemoryMax": 1 << 20}),
        (Resources(memory=Memory(limit=5, swap=5)), {"MemoryMax": 5, "MemorySwapMax": 0}),
        (Resources(memory=Memory(limit=5, swap=7)), {"MemoryMax": 5, "MemorySwapMax": 2}),
        (Resources(memory=Memory(limit=-1, swap=-1)), {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}),
        (Resources(memory=Memory(reservation=9)), {"MemoryLow": 9}),
        (Resources(cpu=Cpu(quota=150_000)), {"CPUQuotaPerSecUSec": 1_500_000}),
        (
            Resources(cpu=Cpu(quota=5_000, period=10_000)),
            {"CPUQuotaPerSecUSec": 500_000, "CPUQuotaPeriodUSec": 10_000},
        ),
        (Resources(cpu=Cpu(quota=-1)), {"CPUQuotaPerSecUSec": INFINITY}),
        (Resources(cpu=Cpu(shares=2)), {"CPUWeight": 1}),
        (Resources(cpu=Cpu(shares=262_144)), {"CPUWeight": 10_000}),
        (Resources(cpu=Cpu(cpus="0-1,9", mems="0")), {"AllowedCPUs": b"\x03\x02", "AllowedMemoryNodes": b"\x01"}),
        (Resources(pids=Pids(limit=7)), {"TasksMax": 7}),
        (Resources(pids=Pids(limit=-1)), {"TasksMax": INFINITY}),
        (Resources(block_io=BlockIo(weight=10)), {"IOWeight": 1}),
        (Resources(block_io=BlockIo(weight=1000)), {"IOWeight": 10_000}),
        (Resources(cpu=Cpu(shares=2, idle=1)), {"CPUWeight": 0}),
        (
            Resources(unified=(("memory.high", "5"), ("memory.swap.max", "max"), ("io.weight", "default 7"))),
            {"MemoryHigh": 5, "MemorySwapMax": INFINITY, "IOWeight": 7},
        ),
        (Resources(cpu=Cpu(shares=2), unified=(("cpu.weight", "30"),)), {"CPUWeight": 30}),
        (Resources(unified=(("io.weight", "8:0 7"), ("io.max", "8:0 rbps=1"))), {}),
    ],
)
def test_limits_in_the_words_of_systemd(limits, expected):
    assert meaning(limits) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", ("system.slice", "pycgroups-a.scope")),
        ("run.12.ab", ("system.slice", "pycgroups-run.12.ab.scope")),
        (":docker:c1", ("system.slice", "docker-c1.scope")),
        ("machine.slice::c1", ("machine.slice", "c1.scope")),
        ("user-1.slice:x:y-z", ("user-1.slice", "x-y-z.scope")),
    ],
)
def test_names(name, expected):
    assert Name.parse(name) == Name(*expected)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "a:b",
        "a:b:c:d",
        "a/b",
        "..",
        "-a",
        "a b",
        "a\n",
        "a\0b",
        "x:y:z",
        "system.slice:a:",
        "é",
        "a" * 300,
        5,
        None,
    ],
)
def test_bad_names(name):
    with pytest.raises(InvalidConfig) as caught:
        Name.parse(name)
    assert caught.value.path == "name"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("unix:path=/run/user/5/bus,guid=1f", "/run/user/5/bus"),
        ("tcp:host=h,port=1;unix:abstract=/tmp/x%20y", "\0/tmp/x y"),
        ("tcp:host=h,port=1", "/run/user/77/bus"),
        ("nonsense", "/run/user/77/bus"),
        ("", "/run/user/77/bus"),
    ],
)
def test_where_the_bus_is(value, expected, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", value)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 77)
    assert dbus.user_address() == expected


@pytest.mark.requires("dbus-daemon")
@pytest.mark.parametrize("before", [False, True])
def test_what_is_sent(server, connection, before):
    server.before = before
    systemd.start_scope(connection, "x.scope", [12, 13], [("MemoryMax", ("t", 5))])
    systemd.change(connection, "x.scope", [("MemoryMax", ("t", 6))])
    systemd.stop(connection, "x.scope")
    settings = [
        ("PIDs", ("au", [12, 13])),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("MemoryMax", ("t", 5)),
    ]
    assert server.calls == [
        ("StartTransientUnit", ("x.scope", "fail", settings, [])),
        ("SetUnitProperties", ("x.scope", True, [("MemoryMax", ("t", 6))])),
        ("StopUnit", ("x.scope", "replace")),
    ]


@pytest.mark.requires("dbus-daemon")
@pytest.mark.parametrize("result", ["failed", "timeout", "canceled"])
def test_a_job_that_fails(server, connection, result):
    server.result = result
    with pytest.raises(CgroupError) as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert result in str(caught.value)
    assert "systemctl status x.scope" in caught.value.hint
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.requires("dbus-daemon")
@pytest.mark.parametrize(
    ("name", "kind", "number", "hint"),
    [
        ("org.freedesktop.systemd1.UnitExists", AlreadyExists, None, None),
        ("org.freedesktop.DBus.Error.ServiceUnknown", Unsupported, None, "DBUS_SESSION_BUS_ADDRESS"),
        ("org.freedesktop.DBus.Error.AccessDenied", CgroupError, errno.EACCES, "root"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", CgroupError, errno.EACCES, "root"),
        ("org.freedesktop.DBus.Error.PropertyReadOnly", CgroupError, None, "systemctl --version"),
    ],
)
def test_refusals(server, connection, *, name, kind, number, hint):
    server.refuse = (name, "what it says")
    with pytest.raises(kind, match="what it says") as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert caught.value.errno == number
    assert caught.value.hint is None if hint is None else hint in caught.value.hint


@pytest.mark.requires("dbus-daemon")
def test_a_unit_that_is_not_there_is_stopped(server, connection):
    server.refuse = ("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")
    systemd.stop(connection, "x.scope")


@pytest.mark.requires("dbus-daemon")
def test_no_systemd_on_the_bus(connection):
    with pytest.raises(Unsupported, match="not provided by any") as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert caught.value.hint


@pytest.mark.requires("dbus-daemon")
def test_no_answer(server, connection, lose_patience):
    server.silent = True
    lose_patience()
    with pytest.raises(CgroupError) as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.requires("dbus-daemon")
def test_a_job_that_never_ends(server, connection, lose_patience):
    server.result = None
    lose_patience()
    with pytest.raises(CgroupError) as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.requires("dbus-daemon")
def test_the_daemon_dies(tmp_path, fake_systemd):
    with fake_systemd.bus(tmp_path) as path:
        connection = dbus.Bus(path)
    with connection, pytest.raises(CgroupError) as caught:
        systemd.start_scope(connection, "x.scope", [12])
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)


def test_no_bus(tmp_path):
    with pytest.raises(CgroupError) as caught:
        dbus.Bus(f"{tmp_path}/none")
    assert (caught.value.errno, caught.value.path) == (errno.ENOENT, f"{tmp_path}/none")
    assert "busctl" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "number"),
    [(b"REJECTED EXTERNAL\r\n", errno.EACCES), (b"", errno.ECONNRESET), (None, errno.ETIMEDOUT)],
)
def test_a_bus_that_lets_nobody_in(answer, number, tmp_path, lose_patience):
    if answer is None:
        lose_patience()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/bus")
        listener.listen()
        over = threading.Event()

        def serve():
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(100)
                if answer is None:
                    over.wait()
                elif answer:
                    accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(CgroupError) as caught:
                dbus.Bus(f"{tmp_path}/bus")
            assert caught.value.errno == number
        finally:
            over.set()
            thread.join(10)


def test_without_jeepney(monkeypatch):
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(Unsupported) as caught:
        dbus.Bus("/nowhere")
    assert "pycgroups[systemd]" in caught.value.hint


def test_the_keeper_ends_with_us():
    pid, lifeline = scope._start_keeper()
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.close(lifeline)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_scope_leaves_room_for_its_keeper():
    asked = Resources(memory=Memory(limit=8 << 20, swap=-1), pids=Pids(limit=4))
    limits = {name: value for name, (_, value) in scope._properties(asked)}
    assert limits == {"MemoryMax": 12 << 20, "MemorySwapMax": INFINITY, "TasksMax": 5}


@pytest.mark.parametrize(
    ("root", "runs", "reason"),
    [(False, True, "only root"), (True, False, "systemd is not the init"), (True, True, "here is none")],
)
def test_where_root_gets_no_scope(root, runs, reason, hierarchies, monkeypatch):
    hierarchies()
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1234)
    monkeypatch.setattr(detect, "systemd_runs", lambda: runs)
    with pytest.raises(Unsupported, match=reason) as caught:
        Cgroup.create("x", pids=5, cgroup_manager="systemd")
    assert caught.value.hint


def test_bad_managers(hierarchies):
    hierarchies()
    with pytest.raises(InvalidConfig) as caught:
        Cgroup.create(pids=5, cgroup_manager="openrc")
    assert caught.value.path == "cgroup_manager"
    with pytest.raises(InvalidConfig):
        Cgroup.create("a/b", pids=5, cgroup_manager="systemd")


def in_session(fake, *, controllers="cpu memory pids", own="user.slice/user-1234.slice/session-3.scope"):
    """A login beside the user's systemd, as ssh makes it; the cgroup is root's, so nothing is there to write to."""
    fake.make(".", cgroup_controllers="cpu cpuset memory pids\n")
    fake.make(own)
    fake.make("user.slice/user-1234.slice/user@1234.service", cgroup_controllers=f"{controllers}\n")
    return detect.Hierarchy(
        version=2,
        controllers=frozenset({"cpu", "cpuset", "memory", "pids"}),
        mount=str(fake.path),
        own=f"{fake.path}/{own}",
    )


@pytest.fixture
def user(monkeypatch, tmp_path):
    """An ordinary user with a session of systemd's."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(detect, "systemd_runs", lambda: True)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/bus").touch()
    session.enter.cache_clear()
    yield
    session.enter.cache_clear()


def test_what_a_session_offers(fake, user):
    assert session.offers((in_session(fake),)) == {"cpu", "memory", "pids"}
    assert session.offers((in_session(fake, own="user.slice/user-1234.slice/user@1234.service/a"),)) == set()
    assert session.offers(()) == set()


def test_root_asks_no_session(fake, user, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert session.offers((in_session(fake),)) == set()


def test_info_in_a_session(fake, user, hierarchies, monkeypatch):
    hierarchies(in_session(fake))
    info = cgroups.info()
    assert info.usable == info.by_moving == ("cpu", "memory", "pids")
    assert not info.delegated
    assert "cpuset is not delegated to users" in info.hint


def test_info_in_a_session_without_jeepney(fake, user, hierarchies, monkeypatch):
    hierarchies(in_session(fake))
    monkeypatch.setattr(session, "can_talk", lambda: False)
    info = cgroups.info()
    assert info.usable == info.by_moving == ()
    assert "pip install 'pycgroups[systemd]'" in info.hint
    assert "systemd-run --user --scope" in info.hint


def test_the_hint_without_a_session(fake, user, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{fake.path}/none")
    hint = hints.for_missing(frozenset({"memory"}), (in_session(fake),))
    assert hint == "as root: loginctl enable-linger 1234; then export XDG_RUNTIME_DIR=/run/user/1234"


def test_a_session_that_does_not_answer(fake, user, hierarchies):
    """The bus is a file, and no socket."""
    hierarchies(in_session(fake))
    with pytest.raises(CgroupError) as caught:
        Cgroup.create(pids=5)
    assert caught.value.errno == errno.ECONNREFUSED
    assert Cgroup.for_limits(Limits(pids=5), require_limits=False).unenforced == ("pids",)


@pytest.fixture
def talking(server, user, address, monkeypatch):
    """The session's systemd, whoever this process says it is."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={address}")
    return server


@pytest.mark.requires("dbus-daemon")
def test_a_session_that_moves_nobody(fake, talking, hierarchies):
    hierarchies(in_session(fake))
    with pytest.raises(CgroupError, match="has not moved this process"):
        Cgroup.create(pids=5)
    ((_, (name, _, settings, _)),) = talking.calls
    assert name.startswith(f"pycgroups-{os.getpid()}-")
    assert ("PIDs", ("au", [os.getpid()])) in settings


def test_what_systemd_marks_is_delegated(fake, hierarchies, monkeypatch):
    fake.v2(".", type_="", procs="1\n")
    fake.v2("a.service")
    fake.v2("a.service/own", procs="7\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    hierarchies(
        detect.Hierarchy(
            version=2,
            controllers=frozenset({"cpu", "memory", "pids"}),
            mount=str(fake.path),
            own=f"{fake.path}/a.service/own",
        )
    )
    assert not cgroups.info().delegated
    os.setxattr(fake.path / "a.service", "user.delegate", b"1")
    assert cgroups.info().delegated


def test_nobody_dies_of_sigint_on_our_terminal():
    pid, lifeline = scope._start_keeper()
    try:
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(lifeline)


@pytest.mark.parametrize(
    ("map_", "uid"),
    [("0 0 4294967295\n", 1234), ("0 1000 1\n1 100000 65536\n", 101233), ("1234 1000 1\n", 1000), ("", 1234)],
)
def test_the_bus_of_a_user_in_a_user_namespace_is_the_users(map_, uid, user, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(dbus, "read_path", lambda _: map_)
    assert dbus.user_address() == f"/run/user/{uid}/bus"


@pytest.mark.parametrize(
    ("slice_", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
    ],
)
def test_slices_are_nested_at_their_dashes(slice_, path):
    assert systemd.nested(slice_) == path


# -- a container of an OCI runtime -----------------------------------------------------------------------------------

TOP = "/user.slice/user@1234.service"
PID = 123_456_789


@pytest.fixture
def moved(fake, talking, hierarchies, monkeypatch):
    """A session's systemd that makes the cgroup of a scope and moves its process there."""
    own = {}

    def move(unit, pids):
        slice_ = dict(talking.calls[-1][1][2])["Slice"][1]
        path = f"{TOP}{systemd.nested(slice_)}/{unit}"
        fake.v2(path.lstrip("/"), controllers="memory pids")
        fake.make(path.lstrip("/"), cgroup_events="populated 1\nfrozen 0\n", memory_max="", pids_max="")
        own.update({f"/proc/{pid}/cgroup": f"0::{path}\n" for pid in pids})

    talking.top, talking.moves = TOP, move
    hierarchies(in_session(fake))
    read = scoped.read_path
    monkeypatch.setattr(scoped, "read_path", lambda path: own.get(path) or read(path))
    for module in (scoped, unit):
        monkeypatch.setattr(module, "is_privileged", lambda: False)
    return talking


@pytest.mark.requires("dbus-daemon")
def test_a_container_is_put_into_a_scope(fake, moved):
    group = scoped.create("a-b.slice:box:web", "ID", Resources(memory=Memory(limit=1 << 20)))
    assert (group.paths, group.unit) == ((), "")
    assert [method for method, _ in moved.calls] == ["Get"]
    group.place(PID)
    assert group.unit == "box-web.scope"
    assert group.paths == (group.planned,) == (f"{fake.path}{TOP}/a.slice/a-b.slice/box-web.scope",)
    assert Path(group.planned, "memory.max").read_text() == str(1 << 20)
    _, (name, mode, settings, _) = moved.calls[1]
    assert (name, mode) == ("box-web.scope", "fail")
    told = {name: value for name, (_, value) in settings}
    expected = {"PIDs": [PID], "Slice": "a-b.slice", "MemoryMax": 1 << 20, "Delegate": True}
    assert {name: told[name] for name in expected} == expected
    group.let_go()
    assert len(moved.calls) == 2, "letting go asks for nothing"


@pytest.mark.requires("dbus-daemon")
def test_its_scope_is_changed_and_stopped_by_another_process(moved, monkeypatch):
    monkeypatch.setattr(tree, "try_rmdir", lambda _: True)
    group = scoped.create(":box:web", "ID", None)
    group.place(PID)
    paths, name = group.paths, group.unit
    group.let_go()
    moved.calls.clear()
    with placed.open_(paths, name) as again:
        assert again.unit == name
        again.set(resources=Resources(pids=Pids(limit=5)))
        assert Path(paths[0], "pids.max").read_text() == "5"
        again.remove()
    assert moved.calls == [
        ("SetUnitProperties", (name, True, [("TasksMax", ("t", 5))])),
        ("StopUnit", (name, "replace")),
        ("ResetFailedUnit", (name,)),
    ]


@pytest.mark.requires("dbus-daemon")
def test_a_scope_of_somebody_elses_is_left_alone(moved):
    group = scoped.create(None, "web", None)
    assert group.planned.endswith("/user.slice/pycgroups-web.scope")
    moved.refuse = ("org.freedesktop.systemd1.UnitExists", "there is one")
    with pytest.raises(AlreadyExists):
        group.place(PID)
    moved.refuse = None
    group.remove()
    assert [method for method, _ in moved.calls] == ["Get", "StartTransientUnit"]


@pytest.mark.requires("dbus-daemon")
def test_a_systemd_that_has_not_moved_the_process(moved):
    moved.moves = None
    group = scoped.create(None, "web", None)
    with pytest.raises(CgroupError, match="has not moved process"):
        group.place(PID)
    group.remove()
    assert [method for method, _ in moved.calls][-2:] == ["StopUnit", "ResetFailedUnit"]


@pytest.mark.requires("dbus-daemon")
def test_limits_that_the_session_cannot_enforce(moved):
    group = scoped.create(None, "web", Resources(block_io=BlockIo(weight=10)))
    with pytest.raises(Unsupported) as caught:
        group.place(PID)
    assert caught.value.path == "resources.blockIO.weight"
    group.let_go()


def test_a_scope_whose_bus_is_gone_has_ended(user, monkeypatch):
    monkeypatch.setattr(unit, "is_privileged", lambda: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/there/is/none")
    unit.Unit("box-web.scope").stop()


@pytest.mark.parametrize("path", ["/a/b", "a", "a.slice:b", "a.slice:b:c:d", "a:b:c", "a.slice:b:c/d"])
def test_places_that_are_none_of_systemds(path, user):
    with pytest.raises(InvalidConfig) as caught:
        scoped.create(path, "ID", None)
    assert caught.value.path == "linux.cgroupsPath"


def test_no_scope_without_systemd(user, hierarchies, monkeypatch):
    hierarchies()
    monkeypatch.setattr(detect, "systemd_runs", lambda: False)
    with pytest.raises(Unsupported, match="systemd is not the init"):
        scoped.create(None, "ID", None)
