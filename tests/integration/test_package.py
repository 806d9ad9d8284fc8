"""What is given away works: the source distribution builds in isolation, and its wheel runs a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.requires("root", "host")]


def succeed(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    return succeed("git", "ls-files", cwd=TREE).splitlines()


@pytest.fixture(scope="module")
def sdist(tracked, tmp_path_factory):
    """Of a copy of the tree: setuptools leaves its notes beside what it packs."""
    out, tree = tmp_path_factory.mktemp("sdist"), tmp_path_factory.mktemp("tree")
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TREE / name, tree / name)
    program = f"from setuptools.build_meta import build_sdist; build_sdist({os.fspath(out)!r})"
    succeed(sys.executable, "-c", program, cwd=tree)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(sdist):
    succeed(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "wheel", sdist, cwd=sdist.parent)
    (made,) = (sdist.parent / "wheel").iterdir()
    return made


def test_the_sdist_has_all_that_is_tracked_and_nothing_made_of_it(sdist, tracked):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(tracked) - names == {".gitignore"}
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_the_wheel_is_for_every_python_from_3_11_on(wheel):
    platform = sysconfig.get_platform().replace("-", "_")
    assert wheel.name.endswith(f"-cp311-abi3-{platform}.whl")
    with zipfile.ZipFile(wheel) as archive:
        binaries = [name for name in archive.namelist() if name.endswith(".so")]
        assert "pycgroups/py.typed" in archive.namelist()
    assert binaries == ["pycgroups/_native/_shim.abi3.so"]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment's, with the wheel."""
    place = tmp_path_factory.mktemp("environment")
    succeed(sys.executable, "-m", "venv", place / "venv", cwd=place)
    succeed(place / "venv/bin/python", "-m", "pip", "install", wheel, cwd=place)
    return place / "venv/bin/python"


def test_the_wheel_runs_a_container(python, tmp_path):
    program = "import pycgroups; print(pycgroups.run(['echo', 'from a container'], text=True).stdout)"
    assert "from a container" in succeed(python, "-c", program, cwd=tmp_path)


def test_the_wheel_has_the_oci_runtime(python, tmp_path):
    command = python.with_name("pycgroups-oci")
    said = succeed(command, "--version", cwd=tmp_path)
    assert said.startswith("pycgroups-oci version ")
    (tmp_path / "link").symlink_to(command)
    (tmp_path / "second").symlink_to("link")
    for words in ([tmp_path / "second"], ["./link"], [python, "-m", "pycgroups.oci_cli"]):
        assert succeed(*words, "--version", cwd=tmp_path) == said


def test_an_uninstall_takes_both_commands(python, tmp_path):
    succeed(python, "-m", "pip", "uninstall", "--yes", "pycgroups", cwd=tmp_path)
    assert not list(python.parent.glob("pycgroups*"))
