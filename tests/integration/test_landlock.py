"""Landlock: what a program can do under rules, and what it cannot; by tests/probe.c."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest

import pycgroups as pc
from pycgroups import Mount
from pycgroups.security import landlock
from tests.worlds.features import lack

pytestmark = pytest.mark.requires("userns", "busybox", "gcc", "landlock")

WORLD = os.environ.get("PYCGROUPS_TEST_WORLD")
not_asan = pytest.mark.skipif(WORLD == "asan", reason="the Python inside is without AddressSanitizer")

BINARIES = {"/bin": "rx"}


@pytest.fixture
def tries(facts):
    """Try some acts under rules; the answer is what came of each."""

    def attempt(rules, *acts, **options):
        found = facts("does", *acts, landlock={**BINARIES, **rules}, **options)
        assert list(found) == [*acts]
        return list(found.values())

    return attempt


def test_what_is_not_named_is_denied(tries):
    acts = ["read:/etc/passwd", "list:/etc", "list:/", "write:/etc/passwd", "cut:/etc/passwd", "empty:/etc/passwd"]
    acts += ["create:/tmp/new", "mkdir:/tmp/new", "symlink:/tmp/new", "fifo:/tmp/new", "unlink:/etc/passwd"]
    acts += ["rmdir:/home/user", "rename:/etc/group:/etc/new", "execute:/tmp/../root/x", "read:/proc/self/status"]
    answers = tries({}, *acts, "stat:/etc/passwd", "read:/bin/probe", "execute:/bin/probe")
    assert answers == [*["EACCES"] * 13, "ENOENT", "EACCES", "ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("letters", "allowed"),
    [
        ("r", {"read:/tmp/file", "list:/tmp"}),
        ("rx", {"read:/tmp/file", "list:/tmp", "execute:/tmp/probe"}),
        (
            "w",
            {
                *("write:/tmp/file", "cut:/tmp/file", "empty:/tmp/file", "create:/tmp/new", "mkdir:/tmp/made"),
                *(
                    "symlink:/tmp/link",
                    "fifo:/tmp/fifo",
                    "rename:/tmp/new:/tmp/dir/new",
                    "link:/tmp/file:/tmp/dir/hard",
                ),
                *("unlink:/tmp/link", "rmdir:/tmp/made"),
            },
        ),
    ],
)
def test_what_each_letter_allows(own_root, tries, letters, allowed):
    (own_root / "tmp/file").write_text("text")
    (own_root / "tmp/dir").mkdir()
    os.link(own_root / "bin/probe", own_root / "tmp/probe")
    acts = ["read:/tmp/file", "list:/tmp", "execute:/tmp/probe", "write:/tmp/file", "cut:/tmp/file", "empty:/tmp/file"]
    acts += ["create:/tmp/new", "mkdir:/tmp/made", "symlink:/tmp/link", "fifo:/tmp/fifo"]
    acts += ["rename:/tmp/new:/tmp/dir/new", "link:/tmp/file:/tmp/dir/hard", "unlink:/tmp/link", "rmdir:/tmp/made"]
    answers = tries({"/tmp": letters}, *acts, rootfs=own_root)
    assert {act for act, answer in zip(acts, answers, strict=True) if answer == "ok"} == allowed
    refusals = {answer for answer in answers if answer != "ok"}
    # What a link that nobody may make would be named, and what nobody may reparent.
    assert refusals <= {"EACCES", "EXDEV", "ENOENT"}


def test_a_rule_for_one_file(own_root, tries):
    for name in ("one", "other"):
        (own_root / "etc" / name).write_text("text")
    answers = tries(
        {"/etc/one": "rw"},
        *("read:/etc/one", "write:/etc/one", "cut:/etc/one", "read:/etc/other", "list:/etc", "unlink:/etc/one"),
        "rename:/etc/one:/etc/new",
        rootfs=own_root,
    )
    assert answers == ["ok", "ok", "ok", "EACCES", "EACCES", "EACCES", "EACCES"]


def test_nothing_moves_to_where_more_is_allowed(own_root, tries):
    """Renamed into a directory with more rights, a file would gain them: EXDEV, as between file systems."""
    for name in ("less", "more", "equal"):
        (own_root / "tmp" / name).mkdir()
        (own_root / "tmp" / name / "file").write_text("text")
    answers = tries(
        {"/tmp/less": "rw", "/tmp/equal": "rw", "/tmp/more": "rwx"},
        *("rename:/tmp/less/file:/tmp/more/gained", "link:/tmp/less/file:/tmp/more/gained"),
        *("rename:/tmp/less/file:/tmp/equal/moved", "rename:/tmp/more/file:/tmp/less/lost"),
        rootfs=own_root,
    )
    assert answers == ["EXDEV", "EXDEV", "ok", "ok"]


def test_a_rule_for_what_a_link_leads_to(own_root, tries):
    (own_root / "var/place").mkdir()
    (own_root / "var/place/file").write_text("text")
    (own_root / "link").symlink_to("var/place")
    (own_root / "var/out").symlink_to("/etc/passwd")
    (own_root / "var/place/out").symlink_to("/etc/passwd")
    acts = ("read:/link/file", "read:/var/place/file", "read:/link/out", "read:/var/out")
    assert tries({"/link": "r"}, *acts, rootfs=own_root) == ["ok", "ok", "EACCES", "EACCES"]


def test_a_link_that_leads_out_of_the_root_is_no_rule(own_root, inside):
    for path in ("/proc/self/fd/0", "/proc/1/root", "/proc/self/exe"):
        (own_root / "link").unlink(missing_ok=True)
        (own_root / "link").symlink_to(path)
        with pytest.raises(pc.LaunchError) as caught:
            inside(["true"], landlock={**BINARIES, "/link": "r"}, rootfs=own_root)
        assert (caught.value.step, caught.value.path) == ("allow path", "/link")
        assert caught.value.errno in {errno.ELOOP, errno.EACCES}


def test_a_path_that_is_not_there(inside):
    with pytest.raises(pc.LaunchError, match="/nowhere") as caught:
        inside(["true"], landlock={**BINARIES, "/nowhere": "r"})
    assert (caught.value.step, caught.value.errno) == ("allow path", errno.ENOENT)
    assert "names a path" in (caught.value.hint or "")


def test_a_program_that_may_not_be_executed(inside):
    for rules in ({"/bin": "r"}, {"/bin": "x"}, {"/etc": "rx"}):
        with pytest.raises(pc.CommandNotExecutable, match="landlock"):
            inside(["/bin/busybox", "true"], landlock=rules)


def test_mounts_and_volumes_are_named_by_their_places_inside(facts, scratch):
    (scratch / "file").write_text("text")
    options = {
        "mounts": [Mount.tmpfs("/tmp"), Mount.tmpfs("/var")],
        "volumes": {str(scratch): "/volume:ro"},
        "landlock": {**BINARIES, "/volume": "r", "/tmp": "rw"},
    }
    acts = ["read:/volume/file", "create:/volume/new", "create:/tmp/new", "create:/var/new"]
    assert list(facts("does", *acts, **options).values()) == ["ok", "EROFS", "ok", "EACCES"]


def test_a_workspace(inside, scratch):
    rules = {**BINARIES, "/workspace": "rw"}
    result = inside(["sh", "-c", "echo made > file; cat file; echo no > /tmp/x"], workspace=scratch, landlock=rules)
    assert (result.stdout, result.returncode) == ("made\n", 1)
    assert (scratch / "file").read_text() == "made\n"


def test_streams_are_open_already(inside):
    result = inside(["cat"], input="through\n", landlock=BINARIES)
    assert (result.stdout, result.stderr, result.returncode) == ("through\n", "", 0)


def test_a_terminal(inside):
    result = inside(["sh", "-c", "tty; echo x"], tty=True, landlock=BINARIES)
    assert result.stdout.split() == ["/dev/pts/0", "x"]


def test_devices(tries):
    """Without "d", devices can be read and written, and nothing else."""
    acts = ("read:/dev/urandom", "ioctl:/dev/urandom", "ioctl:/dev/random")
    assert tries({"/dev/urandom": "rw", "/dev/random": "rwd"}, *acts) == ["ok", "EACCES", "ok"]


def test_ports(facts):
    acts = ["bind:1111", "bind:2222", "connect:1111", "connect:3333"]

    def answers(**rules):
        return list(facts("does", *acts, landlock=rules).values())

    refused = "ECONNREFUSED"
    assert answers(bind=[1111]) == ["ok", "EACCES", refused, refused]
    assert answers(connect=[3333]) == ["ok", "ok", "EACCES", refused]
    assert answers(connect=[], bind=[]) == ["EACCES"] * 4
    assert answers(connect=[3333, 1111], bind=1111) == ["ok", "EACCES", refused, refused]


def test_kinds_of_rules_do_not_touch_each_other(tries, facts):
    assert tries({}, "bind:1111", "connect:1111") == ["ok", "ECONNREFUSED"]
    found = facts("does", "read:/etc/passwd", "create:/tmp/x", mounts=[Mount.tmpfs("/tmp")], landlock={"connect": []})
    assert list(found.values()) == ["ok", "ok"]


def test_scopes(facts):
    """The network is the host's, where this process has an abstract socket; PID 1 is the init."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0")
        server.listen()
        name = server.getsockname()[1:].decode()
        words = ("connects", "1", name)
        assert facts(*words, network="host")["abstract"] == "ok"
        rules = {"scope": ["abstract_unix_socket"]}
        assert facts(*words, network="host", landlock=rules)["abstract"] == "EPERM"
    assert facts("does", "signal:1", "signal:2")["signal:1"] == "ok"
    assert list(facts("does", "signal:1", "signal:2", landlock={"scope": "signal"}).values()) == ["EPERM", "ok"]


def test_it_is_on_the_children_and_mounts_are_forbidden(facts, inside):
    options = {"landlock": {**BINARIES, "/tmp": "rw"}, "caps_add": ["SYS_ADMIN"]}
    assert facts("does", "mount:/tmp", caps_add=["SYS_ADMIN"], mounts=[Mount.tmpfs("/tmp")])["mount:/tmp"] == "ok"
    assert facts("does", "mount:/tmp", **options)["mount:/tmp"] == "EPERM"
    assert inside(["sh", "-c", "(cat /etc/passwd); exit $?"], landlock=BINARIES).returncode == 1


@pytest.mark.parametrize(
    "options", [{"init": False}, {"user": 1000}, {"seccomp": "unconfined"}, {"caps_drop": ["ALL"]}]
)
def test_every_way_to_start(tries, options):
    if "user" in options and lack("subuid"):
        options = {}
    acts = ("read:/etc/passwd", "read:/etc/group")
    assert tries({"/etc/group": "r"}, *acts, **options) == ["EACCES", "ok"]


def test_nobody_has_a_descriptor_of_it(inside, facts):
    rules = {**BINARIES, "/proc": "r"}
    assert set(facts("fds", landlock=rules)) == {"0", "1", "2"}
    code = "for fd in /proc/1/fd/*; do readlink $fd; done"
    for _ in range(5):
        links = inside(["sh", "-c", code], landlock=rules, caps_add=["ALL"], seccomp="unconfined").stdout
        assert "landlock" not in links


@pytest.mark.slow_in_vm("a Python inside a container")
def test_the_root_of_the_host():
    rules = {"/usr": "rx", "/lib64": "rx", "/dev/null": "rw", "/tmp": "rw"}
    rules = {path: letters for path, letters in rules.items() if os.path.exists(path)}
    code = "cat /etc/passwd; echo made > /tmp/file && cat /tmp/file; ls /usr > /dev/null && echo listed"
    result = pc.run(["/usr/bin/sh", "-c", code], landlock=rules, text=True)
    assert result.stdout == "made\nlisted\n"
    assert "/etc/passwd" in result.stderr


@pytest.mark.requires("root")
@not_asan
@pytest.mark.slow_in_vm("Python in a container, and another one in that")
def test_a_container_in_a_container():
    code = """
import pycgroups as pc
rules = {"/usr": "rx", "/dev/null": "rw"}
print(pc.run(["sh", "-c", "cat /etc/passwd || echo denied"], landlock=rules, text=True).stdout)
more = {**rules, "/etc": "r"}
print(pc.run(["sh", "-c", "cat /etc/passwd > /dev/null && echo read"], landlock=more, text=True).stdout)
"""
    everything = {"caps_add": ["ALL"], "seccomp": "unconfined", "masked_paths": [], "readonly_paths": []}
    result = pc.run([sys.executable, "-c", code], text=True, **everything)
    assert result.stdout.split() == ["denied", "read"], result


def test_explain_shows_the_rules(root):
    rules = {"/tmp": "wr", "/usr/": "xr", "connect": "443,80", "bind": [], "scope": "signal"}
    text = str(pc.explain(["true"], rootfs=root, landlock=rules).plan)
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index("no new privs")
    assert [" ".join(line.split()) for line in lines[start + 1 : start + 7]] == [
        "landlock denies files, bind, connect, scope signal",
        "allow path /tmp rw",
        "allow path /usr rx",
        "allow port connect 80",
        "allow port connect 443",
        "restrict",
    ]
    assert lines[start + 7].startswith("seccomp")


def test_an_older_kernel_is_an_error_before_anything_is_made(inside, monkeypatch, nothing_left):
    monkeypatch.setattr(landlock, "abi", lambda: 2)
    with pytest.raises(pc.Unsupported, match="truncate") as caught:
        inside(["true"], landlock={**BINARIES, "/nowhere-at-all": "r"})
    assert (caught.value.path, caught.value.hint) == ("landlock", "Linux 6.2 or newer")
