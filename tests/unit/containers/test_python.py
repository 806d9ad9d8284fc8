"""How Python's directories get into a container: mapped, where the file system can; and which options it can have."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from pycgroups.containers import python
from pycgroups.containers.mounts import Mount
from pycgroups.errors import InvalidConfig, LaunchError
from pycgroups.namespaces.idmap import IdMap


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
        python.run_python("program", None, ["/b"], options={"mounts": [Mount.bind("/a", "/a", idmap=True)]})
    assert len(seen) == 1


@pytest.mark.parametrize("options", [{"userns": "host"}, {"userns": IdMap.host()}, {"namespaces": {"user": "host"}}])
def test_none_is_mapped_where_users_are_the_hosts(options, attempts):
    python.run_python("program", None, ["/a"], options=options)
    assert attempts[0] == [[]]


AS_IT_IS = {"entrypoint": None, "rootfs": None, "image": "host", "tty": False, "cwd": None, "isolation": "container"}


def test_what_is_fixed_can_be_said(attempts):
    python.run_python("program", None, [], options=AS_IT_IS)
    assert len(attempts[0]) == 1


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        ("entrypoint", "/a", "option entrypoint: got '/a', allowed: None, for what is started is Python"),
        ("rootfs", "/a", "option rootfs: got '/a', allowed: None, for Python and its code are in the host's own root"),
        ("image", "a", "option image: got 'a', allowed: 'host', for Python and its code are in the host's own root"),
        ("tty", True, "option tty: got True, allowed: False, for no terminal reaches it"),
        ("cwd", "/tmp", "option cwd: got '/tmp', allowed: None, for Python starts where its caller is"),
        ("isolation", "none", "option isolation: got 'none', allowed: 'container', for what shows its code is mounts"),
        ("mounts", 3, "option mounts: got 3, allowed: a list of Mount"),
        ("mounts", ["/a"], "option mounts[0]: got '/a', allowed: Mount.bind(), .tmpfs(), .volume() or .overlay()"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(word, value, message, attempts):
    options: Any = {word: value}
    with pytest.raises(InvalidConfig) as caught:
        python.run_python("program", None, [], options=options)
    assert str(caught.value) == message
    assert attempts[0] == []
