"""Imports point downwards only (docs/explanation/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pycgroups

PACKAGE = Path(pycgroups.__file__).parent
ROOMS = [
    {"__main__", "demo"},
    {"oci_cli"},
    {"cli", "pytest_plugin", "executor", "aio"},
    {"features", "seccomp"},
    {"containers"},
    {"runtime"},
    {"images"},
    {"network"},
    {"security"},
    {"cgroups"},
    {"namespaces"},
    {"oci"},
    {"_native"},
    {"errors"},
    {"caches"},
    {"frozen"},
    {"records"},
    {"misnamed"},
    {"clock"},
    {"kernel"},
    {"threads"},
]
"From the top to the bottom; a room may import its own files and the rooms below it."
FACES = {("pycgroups", "__init__"), ("pycgroups", "namespaces", "__init__")}
"These show names of every room; nothing is made in them."
FLOOR = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))


def imported(path: Path, source: str) -> set[str]:
    """Name the modules of pycgroups that a file imports, wherever in it, and for type checking too."""
    package = list(path.parent.parts)
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "pycgroups"}


def upward(path: Path, source: str) -> list[str]:
    """Name the imports of a file that do not point downwards."""
    if path.with_suffix("").parts in FACES:
        return []
    own = room(path.with_suffix("").parts)
    return sorted(name for name in imported(path, source) if not allowed(own, room(name.split("."))))


def room(parts: list[str] | tuple[str, ...]) -> str:
    return parts[1] if len(parts) > 1 else "__init__"


def allowed(own: str, other: str) -> bool:
    """Say whether a room may import another; the faces at the top may use the face of the package."""
    if other not in FLOOR:
        return FLOOR[own] < FLOOR["features"]
    return own == other or FLOOR[own] < FLOOR[other]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_downwards(path):
    assert room(path.with_suffix("").parts) in {*FLOOR, "__init__"}, "a new room: give it its place in ROOMS"
    assert upward(path, (PACKAGE.parent / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("pycgroups/cgroups/v1.py", "from pycgroups.containers import config", ["pycgroups.containers.config"]),
        ("pycgroups/cgroups/v1.py", "from pycgroups import runtime", ["pycgroups.runtime"]),
        ("pycgroups/cgroups/v1.py", "import pycgroups.cli.main", ["pycgroups.cli.main"]),
        ("pycgroups/cgroups/v1.py", "def f():\n    from ..security import paths", ["pycgroups.security.paths"]),
        ("pycgroups/cgroups/v1.py", "from . import limits\nfrom pycgroups._native import calls\nimport os", []),
        ("pycgroups/errors.py", "from pycgroups._native import calls", ["pycgroups._native.calls"]),
        ("pycgroups/oci/__init__.py", "from pycgroups import run", ["pycgroups.run"]),
        ("pycgroups/__init__.py", "from pycgroups.cli import main", []),
    ],
)
def test_the_check_itself(path, source, expected):
    assert upward(Path(path), source) == expected
