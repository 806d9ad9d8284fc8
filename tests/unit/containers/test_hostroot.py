from __future__ import annotations

import os
import sys

import pytest

from pycgroups.containers import hostroot
from pycgroups.runtime.rootfs import Layer

LINE = b"36 35 98:0 / %s rw,noatime master:1 - %s /dev/sda rw\n"


@pytest.fixture
def of():
    hostroot._host_root.cache_clear()
    yield lambda mountinfo, privileged=True: hostroot._host_root(mountinfo, privileged)
    hostroot._host_root.cache_clear()


def lines(*mounts):
    return b"".join(LINE % mount for mount in mounts)


def test_mount_points_are_unquoted():
    text = lines((rb"/a\040b\134c\011\012", b"ext4"), (b"/\xff", b"tmpfs"))
    assert list(hostroot._mounts(text)) == [("/a b\\c\t\n", "ext4"), ("/\udcff", "tmpfs")]


def test_optional_fields_do_not_confuse():
    text = b"1 2 3:4 / /usr rw shared:1 master:2 - xfs /dev/x rw\n5 6 7:8 / /etc rw - ext4 /dev/y rw\n"
    assert list(hostroot._mounts(text)) == [("/usr", "xfs"), ("/etc", "ext4")]


def test_root_overlays_its_own_root(of):
    root = of(
        lines((b"/", b"ext4"), (b"/usr", b"ext4"), (b"/proc", b"proc"), (b"/data", b"ext4"), (b"/usr/t", b"tmpfs"))
    )
    assert root.layers == (Layer(source="/", at="/"), Layer(source="/usr", at="/usr"))


def test_a_piece_with_mounts_in_it_is_shown_whole_and_read_only(of):
    root = of(lines((b"/", b"ext4"), (b"/usr", b"ext4"), (b"/usr/local", b"ext4")))
    assert root.layers[1:] == (Layer(source="/usr", at="/usr", overlay=False),)


def test_an_ordinary_users_root_is_made_of_pieces(of):
    root = of(lines((b"/", b"ext4")), privileged=False)
    places = {layer.at for layer in root.layers} | {path for path, _ in root.links}
    assert {"/usr", "/etc", "/bin"} <= places
    assert not places & {"/", "/proc", "/dev", "/sys", "/run", "/tmp", "/home", "/root", "/boot"}
    shown = of(lines((b"/", b"ext4"), (b"/usr/local", b"ext4")), privileged=False)
    assert Layer(source="/usr", at="/usr", overlay=False) in shown.layers


def test_what_is_hidden(of):
    directories = dict(of(lines((b"/", b"ext4"))).directories)
    assert directories["/root"] == 0o700
    assert directories["/tmp"] == 0o1777
    assert {"/run", "/var/tmp"} <= directories.keys()
    assert all(os.path.isdir(path) for path in directories)


def test_a_size_and_files_are_passed_on(of):
    layered = of(lines((b"/", b"ext4"))).rootfs(5, (("/etc/hosts", "x"),))
    assert (layered.size, layered.files) == (5, (("/etc/hosts", "x"),))


# -- the interpreter


@pytest.fixture
def python(monkeypatch, tmp_path):
    """A Python made up at some place, with modes as given."""

    def at(home_mode, prefix_mode=0o755, name="python3"):
        home = tmp_path / "home"
        prefix = home / "venv"
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / name).touch()
        (prefix / "bin/python3").exists() or (prefix / "bin/python3").symlink_to("/usr/bin/python3")
        prefix.chmod(prefix_mode)
        home.chmod(home_mode)
        for attribute in ("prefix", "base_prefix", "exec_prefix", "base_exec_prefix"):
            monkeypatch.setattr(sys, attribute, os.fspath(prefix))
        monkeypatch.setattr(sys, "executable", os.fspath(prefix / "bin" / name))
        monkeypatch.setattr(hostroot, "_other_packages", list)
        monkeypatch.setattr(hostroot, "_first_barred", _first_barred_below(tmp_path))
        return home, prefix

    return at


def _first_barred_below(top):
    """Leave out pytest's own directories above, which are closed."""

    def first_barred(place):
        parts = place.removeprefix(f"{top}/").split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join([os.fspath(top), *parts[:count]])
            if not os.stat(path).st_mode & 0o001:
                return path
        return None

    return first_barred


def test_a_python_that_everybody_sees_needs_nothing(python):
    python(0o755)
    found = hostroot.find_interpreter(hidden=())
    assert (found.directories, found.hidden) == ((), ())


def test_a_python_in_a_hidden_place_is_brought_in(python):
    home, prefix = python(0o755)
    found = hostroot.find_interpreter(hidden=(os.fspath(home),))
    assert found.directories == ((os.fspath(prefix), False),)
    assert found.hidden == ()


def test_a_python_in_a_private_home(python):
    home, prefix = python(0o700, 0o700)
    found = hostroot.find_interpreter(hidden=())
    assert found.directories == ((os.fspath(prefix), True),)
    assert found.hidden == (os.fspath(home),)


def test_python3_is_first_on_path(python):
    _, prefix = python(0o755)
    found = hostroot.find_interpreter(hidden=())
    assert found.path[0] == f"{prefix}/bin"
    assert found.links == ()


def test_a_python3_of_another_version_beside_it_gets_out_of_the_way(python):
    _, prefix = python(0o755, name="python3.99")
    found = hostroot.find_interpreter(hidden=())
    assert found.path[0] == hostroot.LINKS
    assert (f"{hostroot.LINKS}/python3", f"{prefix}/bin/python3.99") in found.links


def test_a_python_that_does_not_know_where_it_is(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    assert hostroot._search_path() == ((), ())


def test_below():
    assert hostroot._is_below("/a/b", "/a")
    assert hostroot._is_below("/a", "/a")
    assert not hostroot._is_below("/ab", "/a")
