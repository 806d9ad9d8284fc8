import enum
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pycgroups.containers import options, values
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.oci.runtime_spec import Rlimit
from pycgroups.security.landlock import Landlock

INFINITY = 2**64 - 1


class Word(str, enum.Enum):  # noqa: UP042 (a StrEnum's str() is its text, this one's is not)
    """Text whose str() is something else."""

    SH = "sh"


def refused(parse: Callable[[Any, str], Any], value: object) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse(value, "option")
    assert caught.value.path is not None
    assert caught.value.path.startswith("option")
    assert "allowed: " in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("parse", "value", "expected"),
    [
        (options.command, "ls -l", ("ls -l",)),
        (options.command, ["ls", b"\xff", pathlib.Path("/x")], ("ls", "\udcff", "/x")),
        (options.command, b"ls", ("ls",)),
        (options.command, (Word.SH, ""), ("sh", "")),
        (options.entrypoint, "", ()),
        (options.entrypoint, [], ()),
        (options.environment, {"A": "1", b"B": b"\xff"}, (("A", "1"), ("B", "\udcff"))),
        (options.environment, ["A=1=2", "B=", "A=3"], (("A", "3"), ("B", ""))),
        (options.environment, [("A", "=")], (("A", "="),)),
        (options.labels, {"a=b": ""}, (("a=b", ""),)),
        (values.seconds, 3, 3.0),
        (values.seconds, 0.25, 0.25),
        (options.hostname, "a-1.example", "a-1.example"),
        (options.hostname, "a" * 63, "a" * 63),
        (options.name, "web_1.x-y", "web_1.x-y"),
        (options.signal_number, "term", 15),
        (options.signal_number, "SIGKILL", 9),
        (options.signal_number, signal.SIGINT, 2),
        (options.signal_number, "10", 10),
        (options.signal_number, "SIGRTMIN+3", 37),
        (options.address, "127.0.0.1", "127.0.0.1"),
        (options.address, "::0001", "::1"),
        (options.extra_hosts, {"db": "10.0.0.1"}, (("db", "10.0.0.1"),)),
        (options.extra_hosts, ["db:::1"], (("db", "::1"),)),
        (values.inside_path, "//a/./b/", "/a/b"),
        (values.inside_path, "/", "/"),
        (values.inside_path, "/..a/b..", "/..a/b.."),
        (values.inside_path, b"/\xff", "/\udcff"),
        (values.host_path, "/a/../b", "/a/../b"),
        (values.host_path, pathlib.Path("x"), os.path.join(os.getcwd(), "x")),
        (options.capability_names, ["net_admin", "CAP_CHOWN", "Chown"], ("CAP_CHOWN", "CAP_NET_ADMIN")),
        (options.capability_names, {"all"}, ("ALL",)),
        (options.sysctls, {"net.ipv4.ip_forward": 1}, (("net.ipv4.ip_forward", "1"),)),
        (
            options.sysctls,
            {"kernel.sem": "1 2", "fs.mqueue.msg_max": "9"},
            (("fs.mqueue.msg_max", "9"), ("kernel.sem", "1 2")),
        ),
        (options.securebits, ["noroot", "noroot_locked"], 3),
        (options.securebits, 0x2F, 0x2F),
        (options.devices, ["/dev/fuse"], (("/dev/fuse", "/dev/fuse", "rwm"),)),
        (options.devices, ["/dev/a:/dev/b"], (("/dev/a", "/dev/b", "rwm"),)),
        (options.devices, ["/dev/a:mr"], (("/dev/a", "/dev/a", "rm"),)),
        (options.devices, ["/dev/a:/dev/b:w"], (("/dev/a", "/dev/b", "w"),)),
        (options.ulimits, {"nofile": 9}, (Rlimit("RLIMIT_NOFILE", 9, 9),)),
        (options.ulimits, {"CORE": "0:unlimited"}, (Rlimit("RLIMIT_CORE", hard=INFINITY, soft=0),)),
        (options.ulimits, {"RLIMIT_AS": -1}, (Rlimit("RLIMIT_AS", INFINITY, INFINITY),)),
        (options.ulimits, ["stack=7:8"], (Rlimit("RLIMIT_STACK", hard=8, soft=7),)),
    ],
)
def test_what_may_be_written(parse, value, expected):
    assert parse(value, "option") == expected
    assert parse(expected, "option") == expected, "a normal form is its own normal form"


@pytest.mark.parametrize(
    ("parse", "bad"),
    [
        (values.flag, [0, 1, "no", None, []]),
        (options.command, [[], "", [""], None, 5, ["a", 5], ["a\0"], ["\ud800"], {"a": 1}, bytearray(b"a"), {"a"}]),
        (options.entrypoint, [["", "x"], 5, "a\0"]),
        (
            options.environment,
            ["A=1", 5, {"": "x"}, {"A=": "x"}, {"A": 1}, {"A": None}, {"A": "\0"}, ["A"], [5], {5: "x"}],
        ),
        (options.labels, [{"": "x"}, {"a": 5}, ["a"], "a=b"]),
        (values.seconds, [0, -1, float("nan"), float("inf"), "5", True, 10**400, None]),
        (
            options.hostname,
            ["", "-a", "a-", "a..b", "a b", "a\n", "a#", "a\0", "ä", "a_b", "a" * 64, "a." * 32 + "a", 5],
        ),
        (options.name, ["", ".a", "a/b", "a b", "a\n", "a" * 129, b"a", 5]),
        (
            options.signal_number,
            [0, 65, -1, True, 1.5, "", "FOO", "SIG_DFL", "_IGN", "TERM+1", "RTMIN+99", "RTMIN+x", "0"],
        ),
        (
            options.address,
            ["", "1.2.3", "1.2.3.4\n", "fe80::1%a\nb", "fe80::1%lo", "x", 16909060, b"\1\2\3\4", "1.2.3.4 #"],
        ),
        (
            options.extra_hosts,
            [{"a b": "1.1.1.1"}, {"a": "x"}, {"a\n": "::1"}, {"a#": "::1"}, {"": "::1"}, ["a"], "a:::1"],
        ),
        (values.inside_path, ["", "a", "./a", "/a/..", "/../a", "/a\0", "/" + "a" * 4095, "/" + "ä" * 2048, None, 5]),
        (values.host_path, ["", "a\0", "/" + "a" * 4095, "a" * 4095, None, 5]),
        (values.inside_paths, ["/a", [5], ["a"], None]),
        (options.capability_names, ["NET_ADMIN", [5], [""], ["a b"], [None], {5}]),
        (
            options.sysctls,
            [{"vm.swappiness": 1}, {"kernel.panic": 1}, {"net": 1}, {"net..x": 1}, {"net./../x": 1}, {5: 1}],
        ),
        (options.sysctls, [{"net.x": "1\n2"}, {"net.x": True}, {"net.x": None}, {"net.x\n": "1"}, {"net.ipv4/x": 1}]),
        (options.securebits, [-1, 256, True, "noroot", ["x"], [5], None]),
        (
            options.devices,
            ["/dev/x", ["x"], ["/dev/x:"], ["/dev/x:q"], ["/dev/x:/a:/b"], ["/dev/x:/a:r:w"], [()], [5], [(1,)]],
        ),
        (options.ulimits, [{"foo": 1}, {"nofile": -2}, {"nofile": (2, 1)}, {"nofile": 2**64}, {"nofile": "x"}, {5: 1}]),
        (options.ulimits, [{"nofile": True}, {"nofile": None}, {"nofile": (1, 2, 3)}, {"nofile": "1:2:3"}, "nofile=1"]),
    ],
)
def test_what_is_refused(parse, bad):
    for value in bad:
        refused(parse, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, (0, None)),
        ("0", (0, None)),
        ("1000:1001", (1000, 1001)),
        ("daemon", ("daemon", None)),
        ("www-data:www-data", ("www-data", "www-data")),
        ("_x:5", ("_x", 5)),
        (2**32 - 2, (2**32 - 2, None)),
    ],
)
def test_users(value, expected):
    assert options.user(value, "user") == expected
    assert options.user(expected, "user") == expected


@pytest.mark.parametrize(
    "value",
    [
        *[-1, 2**32 - 1, 2**32, 2**64, True, 1.0, None, b"root", [], ("a", "b", "c")],
        *[
            "",
            ":",
            "0:",
            ":0",
            "1:2:3",
            "root:x:y",
            "-1",
            "+0",
            "00",
            "007",
            " 0",
            "0 ",
            "0\n",
            "0x0",
            "1e3",
            "\u0660",
            "1_0",
        ],
        *["4294967295", "4294967296", "18446744073709551616", "9" * 5000, "4294967296:0", "0:4294967296", "0a"],
        *["root\n", "root ", "ro\0ot", "ro/ot", "ro,ot", "rööt", "a" * 129, "-root"],
    ],
)
def test_a_number_is_never_wrapped_nor_looked_up(value):
    refused(options.user, value)


def test_env_file_is_dockers_format(monkeypatch):
    monkeypatch.setenv("GIVEN", "from the caller")
    monkeypatch.delenv("ABSENT", raising=False)
    document = '\ufeffA=1\r\n\n  # comment\n \tB= "x" #y \nGIVEN\nABSENT\nC==\nA=2'
    assert options.env_file(document, "env_file") == (
        ("A", "2"),
        ("B", ' "x" #y '),
        ("GIVEN", "from the caller"),
        ("C", "="),
    )


@pytest.mark.parametrize("document", ["=x", "A B=1", "A =1", "A=1\nB=\0", "A\0=1"])
def test_env_file_names_the_line(document):
    with pytest.raises(InvalidConfig, match=r"env_file line [12]"):
        options.env_file(document, "env_file")


def test_files_are_read_up_to_a_bound(tmp_path):
    for path in ("/dev/zero", str(tmp_path), str(tmp_path / "none"), "/proc/self/mem"):
        with pytest.raises(InvalidConfig) as caught:
            values.read_text(path, "env_file")
        assert caught.value.path == "env_file"
    (tmp_path / "f").write_bytes(b"\xff")
    assert values.read_text(str(tmp_path / "f"), "env_file") == "\udcff"


def test_a_relative_path_without_a_working_directory(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InvalidConfig, match="no working directory"):
        values.host_path("x", "rootfs")


def test_host_gateway_comes_with_networks():
    with pytest.raises(Unsupported):
        options.extra_hosts({"host": "host-gateway"}, "extra_hosts")


def test_the_error_shows_what_was_got_whatever_it_is():
    class Rude:
        def __repr__(self):
            raise OSError

    assert "type int" in str(values.invalid("pids", 10**5000, "less"))
    assert "type Rude" in str(values.invalid("pids", Rude(), "less"))
    assert len(str(values.invalid("pids", "x" * 10**6, "less"))) < 200
    assert str(values.invalid("memory", "12Q", "a size")) == "option memory: got '12Q', allowed: a size"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"/usr/": "xr", "/tmp": "wr"}, Landlock(paths=(("/tmp", "rw"), ("/usr", "rx")))),
        ({pathlib.Path("/f"): "d", b"/g": "rwxd"}, Landlock(paths=(("/f", "d"), ("/g", "rwxd")))),
        (["/a:r", ("/b:c", "w")], Landlock(paths=(("/a", "r"), ("/b:c", "w")))),
        ({"/": "r", "/a": "rw", "/ab": "r", "/a/b": "wx", "/a/b/c": "d"}, None),
        ({"connect": 443}, Landlock(connect=(443,))),
        ({"connect": [443, 80, 443], "bind": []}, Landlock(connect=(80, 443), bind=())),
        (["connect:443", "connect:80", "bind:"], Landlock(connect=(80, 443), bind=())),
        ({"connect": ("80", 1)}, Landlock(connect=(1, 80))),
        ({"scope": "signal"}, Landlock(scopes=("signal",))),
        ({"scope": ["signal", "abstract_unix_socket"]}, Landlock(scopes=("abstract_unix_socket", "signal"))),
    ],
)
def test_landlock_rules(value, expected):
    made = options.landlock(value, "landlock")
    assert expected is None or made == expected
    assert options.landlock(made, "landlock") is made
    assert hash(made)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "/usr:rx",
        {"usr": "r"},
        {"/a/../b": "r"},
        {"/usr": ""},
        {"/usr": "rq"},
        {"/usr": 4},
        {"/usr": ["r"]},
        {"connect": 65536},
        {"connect": -1},
        {"connect": True},
        {"connect": "http"},
        {"connect": None},
        {"bind": [None]},
        {"scope": "everything"},
        {"scope": []},
        {"/": "rw", "/etc": "r"},
        {"/a": "rwx", "/a/b/c": "rx"},
    ],
)
def test_landlock_rules_that_are_none(value):
    refused(options.landlock, value)
