"""Which directories a group has, given its name or one of them; and what stops and starts it on v1."""

from __future__ import annotations

import pytest

from pycgroups.cgroups import existing
from pycgroups.cgroups.detect import Hierarchy
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v1.freezer import Freezer
from pycgroups.errors import CgroupError, InvalidConfig, NotFound


@pytest.fixture
def hybrid(fake, hierarchies):
    """A v1 hierarchy where this process is in /own, another where it is at the top, and a v2 tree."""
    for path in ("memory/own/pycgroups/jobs/a", "pids/pycgroups/jobs/a", "memory/docker/x", "pids/docker/x"):
        fake.make(path)
    fake.v2("unified/pycgroups/jobs/a", controllers="")
    top = str(fake.path)

    def hierarchy(version, name, own, *controllers):
        return Hierarchy(
            version=version, controllers=frozenset(controllers), mount=f"{top}/{name}", own=f"{top}/{name}{own}"
        )

    hierarchies(hierarchy(1, "memory", "/own", "memory"), hierarchy(1, "pids", "", "pids"), hierarchy(2, "unified", ""))
    return top


def below(found, top):
    return [place.path.removeprefix(f"{top}/") for place in found]


OURS = ["unified/pycgroups/jobs/a", "memory/own/pycgroups/jobs/a", "pids/pycgroups/jobs/a"]


def test_ours_by_name(hybrid):
    assert below(existing.by_name("jobs/a"), hybrid) == OURS


@pytest.mark.parametrize("path", OURS)
def test_ours_by_path(hybrid, path):
    assert below(existing.by_path(f"{hybrid}/{path}/"), hybrid) == OURS


@pytest.mark.parametrize("path", ["memory/docker/x", "pids/docker/x"])
def test_somebody_elses_by_path(hybrid, path):
    assert below(existing.by_path(f"{hybrid}/{path}"), hybrid) == ["memory/docker/x", "pids/docker/x"]


def test_the_top_is_of_one_hierarchy(hybrid):
    assert below(existing.by_path(f"{hybrid}/memory"), hybrid) == ["memory"]


def test_nothing_there(hybrid):
    with pytest.raises(NotFound):
        existing.by_name("jobs/b")
    with pytest.raises(NotFound):
        existing.by_path(f"{hybrid}/memory/none")
    for path in (hybrid, f"{hybrid}/memory/..", "/"):
        with pytest.raises(InvalidConfig):
            existing.by_path(path)


@pytest.fixture
def frozen(fake):
    fake.make("group/child", freezer_state="FROZEN\n")
    with Directory(str(fake.make("group", freezer_state="THAWED\n"))) as directory:
        yield directory


def test_the_freezer_of_v1(frozen, fake):
    freezer = Freezer()
    assert freezer.frozen(frozen) is False
    freezer.set_frozen(frozen, True, 0)
    assert freezer.frozen(frozen) is True
    freezer.thaw_all(frozen)
    assert [path.read_text().strip() for path in fake.path.rglob("freezer.state")] == ["THAWED", "THAWED"]


def test_a_group_that_keeps_freezing(frozen, monkeypatch):
    monkeypatch.setattr(Directory, "read", lambda _, name: "FREEZING\n" if "state" in name else "")
    with pytest.raises(CgroupError, match=r"freeze .*ETIMEDOUT"):
        Freezer().set_frozen(frozen, True, 0)


def test_no_freezer(fake):
    with Directory(str(fake.make("bare"))) as directory:
        assert Freezer().frozen(directory) is None
        Freezer().thaw_all(directory)
