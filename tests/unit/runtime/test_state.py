"""What is known of a container, on a disk that anything may have happened to; nothing is started."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound, StateError
from pycgroups.runtime import state
from pycgroups.runtime.state import Home, Record, check_id, make_state

RECORD = Record(
    id="web",
    oci_version="1.2.0",
    bundle="/b",
    rootfs="/b/rootfs",
    owner=0,
    created="2024-01-01T00:00:00.000000000Z",
    annotations={"a": "b"},
    hooks=("poststop",),
    cgroups=("/sys/fs/cgroup/web",),
    resctrl=("/sys/fs/resctrl/gold",),
    pid=42,
    started_at=7,
)
DOCUMENT = json.loads(json.dumps(dict(zip(RECORD._fields, RECORD, strict=True))))


@pytest.fixture
def home(tmp_path):
    with Home.make(str(tmp_path / "root"), "web") as made:
        yield made


def written(home, content):
    home.write("state.json", content)
    return home.load()


# -- names


@pytest.mark.parametrize("name", ["a", "web-1", "A_b+c.d", "...a", "-", "x" * 255])
def test_names(name):
    assert check_id(name) == name


NO_NAMES = ["", ".", "..", "...", "a/b", "a b", "a\0", "a\n", "ü", "x" * 256, b"a", 7, None, ["a"]]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(name):
    with pytest.raises(InvalidConfig, match="id"):
        check_id(name)


@given(st.text(max_size=300))
def test_a_name_is_one_file_in_its_directory(text):
    try:
        name = check_id(text)
    except InvalidConfig:
        return
    assert os.path.dirname(os.path.normpath(f"/root/{name}")) == "/root"
    assert os.path.basename(os.path.normpath(f"/root/{name}")) == name


# -- the record


def test_a_record_comes_back_as_it_was(home):
    home.save(RECORD)
    assert home.load() == RECORD


def test_there_is_none_yet(home):
    with pytest.raises(NotFound, match="does not exist"):
        home.load()


NOT_ITS_KIND = [
    {"pid": "42"},
    {"pid": None},
    {"pid": True},
    {"pid": 4.2},
    {"id": 7},
    {"own_pids": 1},
    {"forks": "../x"},
    {"forks": "a\0"},
    {"forks": "\udc80"},
    {"annotations": ["a"]},
    {"annotations": {"a": 1}},
    {"cgroups": "/sys"},
    {"cgroups": [1]},
    {"cgroups": {"a": "b"}},
    {"hooks": None},
    {"resctrl_made": [["a"]]},
    {"another": 1},
]


@pytest.mark.parametrize("change", NOT_ITS_KIND, ids=str)
def test_a_record_with_something_else_in_it(home, change):
    with pytest.raises(InvalidConfig, match=r"state\.json.*force"):
        written(home, json.dumps({**DOCUMENT, **change}).encode())


@pytest.mark.parametrize("name", ["id", "oci_version", "bundle", "rootfs", "owner", "created", "annotations"])
def test_a_record_without_something(home, name):
    with pytest.raises(InvalidConfig, match=r"state\.json"):
        written(home, json.dumps({key: value for key, value in DOCUMENT.items() if key != name}).encode())


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(DOCUMENT)), inner, max_size=5),
    max_leaves=10,
)


@given(documents)
def test_any_json_is_a_record_or_none(tmp_path_factory, document):
    with Home.make(str(tmp_path_factory.mktemp("root")), "web") as home:
        try:
            found = written(home, json.dumps(document).encode())
        except InvalidConfig:
            return
        assert isinstance(found, Record)


TEXT = json.dumps(DOCUMENT).encode()


@given(st.binary(max_size=100) | st.integers(0, len(TEXT) - 1).map(lambda end: TEXT[:end]))
def test_other_bytes_are_no_record(tmp_path_factory, content):
    with Home.make(str(tmp_path_factory.mktemp("root")), "web") as home, pytest.raises(InvalidConfig):
        written(home, content)


def test_no_symlink_is_followed(home, tmp_path):
    home.save(RECORD)
    (tmp_path / "elsewhere").write_text(json.dumps(DOCUMENT))
    os.unlink("state.json", dir_fd=home.fd)
    os.symlink(tmp_path / "elsewhere", "state.json", dir_fd=home.fd)
    with pytest.raises(InvalidConfig):
        home.load()


# -- the directory


def test_one_directory_for_one_name(home, tmp_path):
    with pytest.raises(AlreadyExists, match="container with given ID already exists"):
        Home.make(str(tmp_path / "root"), "web")


@pytest.mark.parametrize("kind", ["nothing", "file", "symlink"])
def test_what_is_no_directory(tmp_path, kind):
    path = tmp_path / "web"
    if kind == "file":
        path.write_text("")
    elif kind == "symlink":
        path.symlink_to(tmp_path)
    with pytest.raises(NotFound, match="container does not exist"):
        Home(str(path))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_may_write(tmp_path, mode):
    path = tmp_path / "web"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(Error, match="others may write"):
        Home(str(path))


def test_the_lock_is_waited_for_and_not_for_long(home, monkeypatch):
    monkeypatch.setattr(state, "_PATIENCE", 0.05)
    with Home(home.path) as other:
        with pytest.raises(StateError, match="another command"):
            other.lock()
        monkeypatch.setattr(state, "_PATIENCE", 60)
        closing = threading.Timer(0.05, home.close)
        closing.start()
        other.lock()
        closing.join()


def test_who_waited_for_a_container_that_is_gone(tmp_path):
    with Home.make(str(tmp_path), "web") as home:
        other = Home(home.path)
        home.remove()
    with other, pytest.raises(NotFound):
        other.lock()


def test_all_of_it_is_removed(tmp_path):
    with Home.make(str(tmp_path), "web") as home:
        home.save(RECORD)
        home.write("config.json", b"{}")
        os.close(home.make_fifo())
        os.makedirs(f"{home.path}/what/is/this")
        home.remove()
    assert list(tmp_path.iterdir()) == []
    assert state.ids(str(tmp_path)) == []
    assert state.ids(str(tmp_path / "nowhere")) == []


def test_names_of_containers(tmp_path):
    for name in ("b", "a"):
        Home.make(str(tmp_path), name).close()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert state.ids(str(tmp_path)) == ["a", "b"]


def test_who_waits_in_the_fifo(home):
    assert not home.is_waiting()
    reader = home.make_fifo()
    assert home.is_waiting()
    writer = home.open_fifo()
    os.write(writer, b"\0")
    os.close(writer)
    assert os.read(reader, 2) == b"\0"
    os.close(reader)
    assert not home.is_waiting()
    with pytest.raises(StateError):
        home.open_fifo()
    home.forget_fifo()
    assert not home.is_waiting()


# -- what others are told


def test_the_state_has_the_names_of_the_specification():
    told = make_state(RECORD, "running").to_json()
    assert list(told) == [
        *("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"),
    ]
    assert (told["pid"], told["owner"], told["annotations"]) == (42, "root", {"a": "b"})
    assert make_state(RECORD, "stopped").pid == 0
    assert make_state(RECORD._replace(owner=2**31 + 5), "stopped").owner == str(2**31 + 5)


def test_a_process_is_its_pid_and_its_start():
    own = RECORD._replace(pid=os.getpid(), started_at=state.start_of(os.getpid()))
    assert own.is_alive()
    assert not own._replace(started_at=own.started_at + 1).is_alive()
    assert not own._replace(pid=0, started_at=0).is_alive()
    assert not own._replace(pid=-1).is_alive()
    assert state.start_of(2**40) == 0


def test_a_zombie_does_not_live():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert state.start_of(pid) == 0
    os.waitpid(pid, 0)


def test_a_pid_file_is_there_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state.write_pid("pid", 12)
    assert (tmp_path / "pid").read_text() == "12"
    assert list(tmp_path.iterdir()) == [tmp_path / "pid"]
    with pytest.raises(Error, match="pid file"):
        state.write_pid("nowhere/pid", 12)


def test_a_pid_file_is_written_by_nobody_else(tmp_path):
    """Whatever the umask; nor does it go through what somebody has put where it is made."""
    before = os.umask(0)
    try:
        state.write_pid(str(tmp_path / "pid"), 12)
    finally:
        os.umask(before)
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o644
    (tmp_path / "other").write_text("as before")
    (tmp_path / f".pid.{os.getpid()}").symlink_to("other")
    with pytest.raises(Error, match="EEXIST"):
        state.write_pid(str(tmp_path / "pid"), 13)
    assert (tmp_path / "other").read_text() == "as before"
