"""Run a validation program with a runtime, and read what it says."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import attrs

from tests.conformance.build import PLACE, PROGRAMS

TIMEOUT = 600.0
CGROUPS = {"cgrouptest", "testdir"}
"Those that the programs ask for."


@attrs.frozen(kw_only=True)
class Verdict:
    """What a program said.

    Attributes:
        passed: it ended well, and found nothing wrong. Some have no line for what is right, and tell what is wrong
            in a diagnostic.
        output: all that it wrote, of which runtimetest's part is what it found in a container.
    """

    passed: bool
    output: str

    @property
    def complaints(self) -> str:
        """The lines that say what is wrong."""
        lines = self.output.splitlines()
        found = [line.strip() for line in lines if line.startswith("not ok") or '"error":' in line]
        return "\n".join(found or [line for line in lines if line and not line.startswith(("ok", " ", "TAP"))])


def names() -> list[str]:
    """Name all programs."""
    return sorted(path.name for path in PROGRAMS.iterdir())


def run(name: str, runtime: str) -> Verdict:
    """Run a program; what it leaves of its containers is removed."""
    with tempfile.TemporaryDirectory(prefix="pycgroups-conformance-") as scratch:
        command = f"{shlex.quote(runtime)} --root {scratch}/state"
        wrapper = Path(scratch, "runtime")
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(0o755)
        try:
            done = subprocess.run(
                # What is left mounted goes with the namespace; some runtimes do so with a container in the host's.
                ["unshare", "--mount", "--propagation=slave", "--", PROGRAMS / name],
                cwd=PLACE,
                env={**os.environ, "RUNTIME": str(wrapper), "TMPDIR": scratch},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        finally:
            left = subprocess.run([wrapper, "list", "-q"], capture_output=True, text=True, check=False).stdout.split()
            for container in left:
                subprocess.run([wrapper, "delete", "--force", container], capture_output=True, check=False)
            _remove_cgroups()
    return Verdict(passed=_is_good(done.returncode, done.stdout), output=f"{done.stdout}\nexit code {done.returncode}")


def _remove_cgroups() -> None:
    """Remove what is left above a container's cgroup, which a runtime leaves alone."""
    for directory, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
        if not CGROUPS.isdisjoint(directory.split("/")):
            os.rmdir(directory)


def _is_good(code: int, output: str) -> bool:
    lines = [line for line in output.splitlines() if "# TODO" not in line]
    wrong = any(line.startswith("not ok") for line in lines)
    silent = not any(line.startswith("ok") for line in lines)
    return code == 0 and not wrong and not (silent and '"error":' in output)
