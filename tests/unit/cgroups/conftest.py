"""Fake hierarchies: directories with the files that the kernel would make."""

from __future__ import annotations

import attrs
import pytest

from pycgroups.cgroups import detect, places, sweep


@attrs.frozen
class Fake:
    """A directory that stands for a cgroup, or for a whole hierarchy."""

    path: object

    def make(self, relative, **files):
        """Make a cgroup with files; `_` in their names stands for `.`, once."""
        directory = self.path / relative
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name.replace("_", ".", 1)).write_text(content)
        return directory

    def v2(self, relative, *, controllers="cpu memory pids", procs="", type_="domain\n", subtree=""):
        """Make a v2 cgroup that can be written to."""
        files = {"cgroup_procs": procs, "cgroup_subtree_control": subtree, "cgroup_controllers": controllers + "\n"}
        if type_:
            files["cgroup_type"] = type_
        return self.make(relative, **files)


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


@pytest.fixture
def hierarchies(monkeypatch):
    """Put hierarchies in the place of this machine's."""

    def put(*found):
        monkeypatch.setattr(detect, "hierarchies", lambda: found)
        monkeypatch.setattr(detect, "named", lambda: ())
        monkeypatch.setattr(detect, "forget", lambda: None)
        forget()

    def forget():
        detect.everything.cache_clear()
        places.places.cache_clear()

    yield put
    forget()
    sweep.sweep.cache_clear()
