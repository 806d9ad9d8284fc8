"""``make demo``: each program is stopped with the right verdict, and the host is unharmed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE


@pytest.mark.requires("userns", "host")
def test_every_scene_ends_as_it_has_to():
    command = [sys.executable, "-m", "pycgroups.demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = re.findall(r"^  (?:(\w+) \(-?\d+\)|(not played)).*$", done.stdout, re.MULTILINE)
    assert len(verdicts) == 6, done.stdout
    played = {reason for reason, _ in verdicts if reason}
    assert played >= {"exited", "timeout", "disk"}
    assert "the same mounts and secrets" in done.stdout
