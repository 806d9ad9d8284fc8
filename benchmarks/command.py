"""The whole command line, against runc's."""

from __future__ import annotations

import compileall
import sys
from pathlib import Path

import attrs

import pycgroups
from benchmarks import peers
from benchmarks.timing import Contender, Row, each, interleave


def program() -> list[str]:
    """The script beside this interpreter, or the module."""
    script = Path(sys.executable).with_name("pycgroups")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pycgroups"]


def measure(rootfs: Path, work: Path, rounds: int) -> dict[str, Row]:
    """Rows of ``pycgroups run`` and ``runc run``."""
    for module in pycgroups.__path__:
        compileall.compile_dir(module, quiet=1)  # as pip does; a package installed in place may never have been
    argv = [*program(), "run", "--rootfs", str(rootfs), "--", "/bin/true"]
    own = Contender(name="pycgroups run", kind="ours", batch=each(lambda: peers.spawn(argv, work / "pycgroups.stderr")))
    with peers.contenders(rootfs) as others:
        runc = [attrs.evolve(other, name="runc run") for other in others if other.name == "runc"]
        return interleave([own, *runc], rounds)
