"""What ``import pycgroups`` adds to an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import Contender, Row, each, interleave


def contender(name: str, code: str) -> Contender:
    """A whole interpreter, from its start to its end."""

    def start() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    return Contender(name=name, kind="ours", batch=each(start))


def measure(rounds: int) -> dict[str, Row]:
    """Rows of the empty interpreter and of the one with the import."""
    return interleave([contender("python", "pass"), contender("python, import pycgroups", "import pycgroups")], rounds)
