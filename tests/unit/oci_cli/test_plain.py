"""Which containers the command starts and deletes without Python, and what it is told of them."""

from __future__ import annotations

import os

import pytest

from pycgroups.oci_cli.plain import is_plain, note
from pycgroups.runtime.state import Home, Record

RECORD = Record(
    id="web",
    oci_version="1.2.0",
    bundle="/bundle",
    rootfs="/rootfs",
    owner=0,
    created="2026-01-01T00:00:00Z",
    annotations={},
    hooks=("prestart", "createRuntime", "createContainer"),
    cgroups=("/sys/fs/cgroup/unified/web", "/sys/fs/cgroup/cpu/w\udcffb"),
    resctrl=("/sys/fs/resctrl/gold",),
    pid=7,
    started_at=11,
)


def test_most_are():
    assert is_plain(RECORD)
    assert is_plain(RECORD._replace(cgroups=(), own_pids=False))


@pytest.mark.parametrize(
    "more",
    [
        *({"hooks": ("prestart", kind)} for kind in ("startContainer", "poststart", "poststop")),
        {"unit": "web.scope"},
        {"resctrl_made": ("/sys/fs/resctrl/gold",)},
        {"mounted": ("/rootfs", "1", "mnt:[2]", "3")},
    ],
    ids=str,
)
def test_what_needs_more_is_not(more):
    assert not is_plain(RECORD._replace(**more))


@pytest.mark.parametrize("more", [{}, {"unit": "web.scope"}], ids=["plain", "not"])
def test_what_the_command_is_told(tmp_path, more):
    with Home.make(os.fspath(tmp_path), "web") as home:
        home.save(RECORD._replace(**more))
    note(str(tmp_path / "web"))
    if more:
        assert not (tmp_path / "web/plain").exists()
        return
    written = (tmp_path / "web/state.json").stat().st_mtime_ns
    told = (tmp_path / "web/plain").read_bytes()
    assert told == f"{written}\0".encode() + b"7\x0011\0/sys/fs/cgroup/cpu/w\xffb\0/sys/fs/cgroup/unified/web\0"


def test_what_cannot_be_noted_is_left_to_python(tmp_path):
    with Home.make(os.fspath(tmp_path), "web") as home:
        home.save(RECORD)
    (tmp_path / "web/plain.new").mkdir()
    note(str(tmp_path / "web"))
    assert not (tmp_path / "web/plain").exists()


def test_who_has_gone_meanwhile_is_not_noted(tmp_path):
    note(str(tmp_path / "web"))
