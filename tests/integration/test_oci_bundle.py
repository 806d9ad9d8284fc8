"""What the command begins with, in an environment as pip fills it: pycgroups/oci_cli/bundle.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import pycgroups
from tests.integration.oci import COMMAND
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow_in_vm("nothing of the kernel's is in it")

BEGINNING = "print('began with', open('/proc/self/cmdline').read().split(chr(0))[4].rpartition('/')[2])\n"
LOCALE = "import os\nprint('LC_ALL is', os.environ.get('LC_ALL'), os.environ.get('PYCGROUPS_LC_ALL'))\n"
BACKEND = "import _cffi_backend\nimport pycgroups._native.calls\nprint(_cffi_backend.__file__)\n"


class Environment:
    """An environment with a copy of the package, whose ``spec`` tells what Python began with."""

    def __init__(self, path: Path) -> None:
        venv.create(path, symlinks=True)
        (packages,) = path.glob("lib/python3*/site-packages")
        (source,) = pycgroups.__path__
        shutil.copytree(source, packages / "pycgroups", ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.h"))
        for other in Path(sysconfig.get_path("platlib")).iterdir():
            if "pycgroups" not in other.name and other.suffix != ".pth":
                (packages / other.name).symlink_to(other)
        self.path = path
        self.program = shutil.copy2(COMMAND, path / "bin")
        self.package = packages / "pycgroups/oci_cli"
        self.bundle = self.package / f"__pycache__/spec.{sys.implementation.cache_tag}.bundle"
        self.change(BEGINNING)

    def change(self, what: str) -> None:
        source = self.package / "spec.py"
        source.write_text(source.read_text() + what)

    def use(self, *words: str, **changes: str) -> str:
        """Call ``spec``; what it says."""
        (self.path / "config.json").unlink(missing_ok=True)
        env = {name: value for name, value in os.environ.items() if name != "LC_ALL"} | changes
        done = subprocess.run(
            [self.program, *words, "spec"],
            cwd=self.path,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (self.path / "config.json").exists()
        return done.stdout

    @property
    def shortest(self) -> str:
        return f"began with {self.bundle.name}\n"


LONGER = "began with entry.py\n"


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "environment")


def test_python_begins_with_the_modules_that_the_first_use_has_kept(environment):
    assert [environment.use() for _ in range(3)] == [LONGER, environment.shortest, environment.shortest]


@pytest.mark.requires("strace")
def test_it_is_on_the_disk_before_it_has_its_name(environment, tmp_path):
    log = tmp_path / "log"
    traced = ("strace", "-o", log, "--trace=fsync,/^rename", environment.program, "spec")
    subprocess.run(traced, cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    calls = log.read_text().splitlines()
    (named,) = (number for number, call in enumerate(calls) if f'{environment.bundle.name}")' in call)
    assert calls[named - 1].startswith("fsync(")
    assert environment.use() == environment.shortest


def test_a_word_that_is_another_command(environment):
    environment.use()
    assert environment.use("--root", "create") == environment.shortest
    assert environment.use("--root", "spec.") == environment.shortest
    assert environment.use("--log", f"{environment.path}/spec") == environment.shortest


def test_of_another_python(environment):
    environment.use()
    content = environment.bundle.read_bytes()
    for position in (4, 8):  # when that was changed, and its size
        changed = bytes(byte ^ (index == position) for index, byte in enumerate(content))
        environment.bundle.write_bytes(changed)
        assert [environment.use(), environment.use()] == [LONGER, environment.shortest]


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 1000, -1])
def test_one_that_is_cut_off(environment, kept):
    environment.use()
    environment.bundle.write_bytes(environment.bundle.read_bytes()[:kept])
    assert [environment.use(), environment.use()] == [LONGER, environment.shortest]


@pytest.mark.parametrize("name", ["spec.py", "bundle.py", "../errors.py"])
def test_a_source_that_has_changed(environment, name):
    environment.use()
    source = environment.package / name
    source.write_text(source.read_text() + "\n")
    assert [environment.use() for _ in range(2)] == [environment.shortest] * 2
    assert environment.bundle.stat().st_mtime_ns > source.stat().st_mtime_ns


def test_an_older_one_leaves_all_to_the_newer_package(environment):
    environment.use()
    environment.change("print('changed')\n")
    (environment.package / "bundle.py").write_text("def go_on():\n    from pycgroups.oci_cli import spec\n")
    (environment.path / "config.json").unlink()
    words = [environment.program, "spec"]
    done = subprocess.run(words, cwd=environment.path, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == f"{environment.shortest}changed\n"


def test_one_that_is_left_of_what_has_been_removed(environment):
    environment.use()
    packages = environment.package.parents[1]
    (elsewhere := environment.path / "elsewhere").mkdir()
    shutil.copytree(packages / "pycgroups", elsewhere / "pycgroups")
    for path in [*packages.glob("pycgroups/**/*.py")]:
        path.unlink()
    (packages / "__editable__.pycgroups-1.pth").write_text(f"{elsewhere}\n")
    assert environment.use() == "began with -c\n"


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": ""}])
def test_the_locale_is_the_callers_again(environment, locale):
    environment.change(LOCALE)
    said = f"LC_ALL is {locale.get('LC_ALL')} None\n"
    assert environment.use(**locale) == LONGER + said
    assert environment.use(**locale) == environment.shortest + said
    environment.change("\n")
    assert environment.use(**locale) == environment.shortest + said


def test_one_that_is_moved(environment):
    environment.use()
    moved = environment.path.with_name("moved")
    environment.path.rename(moved)
    environment.path, environment.program = moved, moved / "bin" / Path(environment.program).name
    assert environment.use() == environment.shortest


def test_shared_objects_are_those_of_the_environment(environment):
    environment.change(BACKEND)
    environment.use()
    (backend,) = environment.package.parents[1].glob("_cffi_backend*.so")
    assert (
        environment.use()
        == f"{environment.shortest}{environment.path}/bin/../{backend.relative_to(environment.path)}\n"
    )
    made = environment.bundle.stat().st_ino
    other = shutil.copy(backend, environment.path)  # as of another version: its time is another one
    backend.unlink()
    backend.symlink_to(other)
    environment.use()
    assert environment.bundle.stat().st_ino != made


def test_environments_that_have_one_package_have_their_own_shared_objects(environment, tmp_path):
    environment.change(BACKEND)
    (tree := tmp_path / "tree").mkdir()
    shutil.move(environment.package.parent, tree)
    both = [environment, Environment(tmp_path / "other")]
    shutil.rmtree(both[1].package.parent)
    for each in both:
        (each.package.parents[1] / "__editable__.pycgroups-1.pth").write_text(f"{tree}\n")
    said = [each.use() for each in both * 2]
    assert (tree / "pycgroups/oci_cli" / environment.bundle.relative_to(environment.package)).exists()
    assert [os.fspath(each.path) in words for each, words in zip(both * 2, said, strict=True)] == [True] * 4


def test_of_a_python_that_was_made_at_the_end_of_a_second(environment):
    own, link = (environment.path / "bin" / name for name in (f"python3.{sys.version_info[1]}", "python3"))
    for path in own, link:
        path.unlink()
    shutil.copy(os.path.realpath(sys.executable), own)
    os.utime(own, ns=(0, 10**18 - 1))
    link.symlink_to(own)
    assert [environment.use() for _ in range(2)] == [LONGER, environment.shortest]
