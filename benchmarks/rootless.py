"""One start by an ordinary user: pycgroups and bubblewrap, both as nobody, who has no ids but his own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

from benchmarks import ours, peers
from benchmarks.timing import Contender, Row, each, interleave

NOBODY = 65534
OURS, PEER = "pc.run, rootless", "bubblewrap, rootless"


def measure(rootfs: Path, rounds: int) -> dict[str, Row]:
    """Rows of both; root has a process of nobody's measure them."""
    if os.geteuid():
        return _measure(rootfs, rounds)
    done = subprocess.run(
        [sys.executable, "-m", __name__, rootfs, str(rounds)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=Path(__file__).parents[1],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return {name: Row(**row) for name, row in json.loads(done.stdout).items()}


def _measure(rootfs: Path, rounds: int) -> dict[str, Row]:
    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-") as directory:
        argv = [os.fspath(word) for word in peers.bubblewrap(rootfs)]
        batch = each(lambda: peers.spawn(argv, Path(directory, "bwrap.stderr")))
        peer = Contender(name=PEER, kind="peer", note="no seccomp, no limits", batch=batch)
        return interleave([ours.contender(OURS, rootfs), peer], rounds)


if __name__ == "__main__":
    rows = _measure(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(json.dumps({name: attrs.asdict(row) for name, row in rows.items()}))
