"""Which processes are a container's that has no cgroup; here it is one that has no pid namespace either."""

from __future__ import annotations

import subprocess
import sys

from pycgroups.cgroups import placed
from pycgroups.runtime.members import members


def test_all_below_the_first():
    script = "(sleep 1000 & echo $!; wait) & echo $!; wait"
    with (
        placed.open_(()) as nothing,
        subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as first,
    ):
        try:
            below = {int(first.stdout.readline()), int(first.stdout.readline())}
            assert {*members(nothing, first.pid)} == {first.pid, *below}
        finally:
            for pid in members(nothing, first.pid)[::-1]:
                subprocess.run([sys.executable, "-c", f"import os; os.kill({pid}, 9)"], check=False)
    assert members(nothing, first.pid) == ()
