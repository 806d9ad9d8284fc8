"""How Python's directories get into a container: mapped, where the file system can."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from pycgroups.containers import python
from pycgroups.errors import LaunchError


@pytest.fixture
def attempts(monkeypatch):
    """Which directories were mapped in each attempt; what says so maps no mounts."""
    seen: list[list[str]] = []
    refused: list[str] = []

    def run(_command, *, mounts, **_options):
        seen.append([mount.source for mount in mounts if mount.idmap])
        for source in seen[-1]:
            if source in refused:
                raise LaunchError(step="tree", path=source, errno=errno.EINVAL)

    monkeypatch.setattr(python, "run", run)
    monkeypatch.setattr(python, "_answer", lambda *_: b"")
    monkeypatch.setattr(python, "_code", list)
    monkeypatch.setattr(python, "caller", lambda: SimpleNamespace(owns_mounts=True))
    monkeypatch.chdir("/usr")
    return seen, refused


def test_all_are_mapped(attempts):
    python.run_python("program", None, ["/a", "/b"], options={})
    assert attempts[0] == [["/usr", "/a", "/b"]]


def test_those_are_not_whose_file_system_cannot(attempts):
    """The others are: what is private is read all the same."""
    seen, refused = attempts
    refused += ["/a", "/c"]
    python.run_python("program", None, ["/a", "/b", "/c"], options={})
    assert seen[-1] == ["/usr", "/b"]


def test_another_error_is_raised(attempts):
    seen, refused = attempts
    refused.append("/a")
    with pytest.raises(LaunchError):
        python.run_python("program", None, ["/b"], options={"mounts": [SimpleNamespace(source="/a", idmap=True)]})
    assert len(seen) == 1
