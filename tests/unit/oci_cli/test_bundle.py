"""The modules of a command in one file: the first use makes it, and whatever is wrong with it changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

import pytest

import pycgroups
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

LINE = re.compile(r"import time: +\d+ \| +\d+ \| +(pycgroups\S*)")
ALONE = {"pycgroups", "pycgroups.oci_cli", "pycgroups.oci_cli.bundle"}
"""What is imported where all the rest is in the bundle."""


class Tree:
    """A copy of the package, to be changed."""

    umask = 0o022

    def __init__(self, path: Path) -> None:
        self.path = path
        self.package = path / "pycgroups"
        (source,) = pycgroups.__path__
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.h"))
        self.bundle = self.package / f"oci_cli/__pycache__/spec.{sys.implementation.cache_tag}.bundle"

    def use(self, *flags: str, code: int = 0) -> set[str]:
        """Call ``spec``; which of our modules were imported one by one."""
        config = self.path / "config.json"
        config.unlink(missing_ok=True)
        program = (
            f"import sys; sys.path.insert(0, {os.fspath(self.path)!r}); from pycgroups.oci_cli import main; main()"
        )
        words = [sys.executable, "-SEP", "-X", "importtime", *flags, "-c", program, "spec"]
        done = subprocess.run(
            words, cwd=self.path, check=False, capture_output=True, text=True, timeout=PATIENCE, umask=self.umask
        )
        assert done.returncode == code, done.stderr
        assert config.exists() == (code == 0)
        self.said = done.stdout + done.stderr
        return set(LINE.findall(done.stderr))

    def change(self, what: str) -> None:
        source = self.package / "oci_cli/spec.py"
        source.write_text(source.read_text() + what)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_the_second_use_imports_nothing_else(tree):
    assert tree.use() > ALONE
    assert tree.use() == ALONE
    assert [path.name for path in tree.bundle.parent.glob("*.bundle*")] == [tree.bundle.name]


@pytest.mark.parametrize("umask", [0, 0o022])
def test_nobody_else_may_write_it(tree, umask):
    tree.umask = umask
    tree.use()
    assert tree.bundle.stat().st_mode & 0o777 == 0o644


def test_a_source_that_somebody_is_writing_fails_nothing(tree):
    tree.change('\nopen(__file__, "a").write("(")\n')
    tree.use()
    assert not tree.bundle.exists()
    assert list(tree.bundle.parent.glob("*.bundle*")) == []


@pytest.mark.parametrize("where", ["raise KeyboardInterrupt", "def parse(*_): raise KeyboardInterrupt"])
def test_an_interrupt_before_anything_is_done(tree, where):
    source = tree.package / "oci_cli/line.py"
    source.write_text(f"{source.read_text()}\n{where}\n")
    tree.use(code=130)
    assert "Traceback" not in tree.said


def test_a_copy_whose_times_have_no_fractions(tree):
    tree.use()
    for source in tree.package.rglob("*.py"):
        facts = source.stat()
        whole = facts.st_mtime_ns - facts.st_mtime_ns % 10**9
        os.utime(source, ns=(whole, whole))
    assert tree.use() == ALONE


def test_a_changed_source_counts(tree):
    tree.use()
    tree.change('\nprint("changed")\n')
    assert tree.use() > ALONE
    assert "changed" in tree.said
    assert tree.use() == ALONE
    assert "changed" in tree.said


def test_a_source_of_another_time_is_another_one(tree):
    tree.use()
    os.utime(tree.package / "oci_cli/spec.py", (1, 1))
    assert tree.use() > ALONE
    assert tree.use() == ALONE


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[len(MAGIC_NUMBER) :],
        lambda content: b"\0" * len(content),
        lambda _: MAGIC_NUMBER + b"N",
    ],
)
def test_a_damaged_one_is_made_anew(tree, damage):
    tree.use()
    content = tree.bundle.read_bytes()
    tree.bundle.write_bytes(damage(content))
    assert tree.use() > ALONE
    assert tree.use() == ALONE


def test_what_is_no_longer_installed(tree):
    other = tree.path / "other.py"
    other.touch()
    tree.change("\nimport other\n")
    tree.use()
    other.unlink()
    tree.use(code=1)
    assert "No module named 'other'" in tree.said
    other.touch()
    assert tree.use() == ALONE


def test_where_python_is_to_write_nothing(tree):
    tree.use("-B")
    tree.use("-X", f"pycache_prefix={tree.path / 'elsewhere'}")
    assert not [*tree.package.rglob("*.bundle")]


def test_what_type_checkers_read_is_left_out(tree):
    checked = "\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    import only_checked\nelse:\n    only_run = 1\n"
    function = "def told(*, given: Annotated = 0) -> Answered: ...\n\n"
    record = "class Told(NamedTuple):\n    field: Kept\n\nprint(told.__annotations__, Told._fields, only_run)\n"
    tree.change(f"{checked}from pycgroups.records import NamedTuple\n\n{function}{record}")
    tree.use()
    tree.use()
    assert "{} ('field',) 1\n" in tree.said
    content = tree.bundle.read_bytes()
    assert b"Kept" in content
    assert not [word for word in (b"only_checked", b"Annotated", b"Answered") if word in content]


def test_a_traceback_has_lines_and_no_columns(tree):
    tree.change("\ndef told(): return 1\n\nprint([*told.__code__.co_positions()][-1])\n")
    tree.use()
    (line,) = re.findall(r"\((\d+), \1, \d+, \d+\)\n", tree.said)
    tree.use()
    assert f"({line}, {line}, None, None)\n" in tree.said


WHOLE = re.compile(r"import time: +\d+ \| +\d+ \| +os$", re.MULTILINE)


@pytest.mark.parametrize("more", ["", "os.curdir", "os.environb", "os.PathLike", "os.path.expandvars('$HOME')"])
def test_of_os_no_more_is_loaded_than_is_asked_for(tree, monkeypatch, more):
    monkeypatch.setenv("NAME", "\udcff")
    names = r"os.environ['NAME'], os.fsencode('\udcff'), os.fsdecode(b'\xff'), os.fspath('x'), os.path.join('x', 'y')"
    tree.change(f"\nimport os\nprint(ascii([{names}]), ascii([{more}]))\n")
    tree.use()
    said = tree.said.partition("['")[2].partition("\n")[0]
    assert tree.use() == ALONE
    assert f"['{said}\n" in tree.said
    assert len(WHOLE.findall(tree.said)) == (more.startswith("os.") and "path" not in more)


def test_the_environment_is_changed_by_the_whole_of_os(tree):
    tree.change("\nimport os\nimport subprocess\nprint('same', subprocess.os is os)\nos.environ['NAME'] = 'x'\n")
    tree.use()
    assert "same True" in tree.said
    tree.use(code=1)
    assert "same False" in tree.said
    assert "does not support item assignment" in tree.said


def test_what_failed_makes_none(tree):
    tree.change("\nCOMMAND = COMMAND._replace(run=lambda given: open('/nonesuch'))\n")
    tree.use(code=1)
    assert not tree.bundle.exists()
