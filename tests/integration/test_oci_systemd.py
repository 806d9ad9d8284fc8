"""`pycgroups-oci --systemd-cgroup` and a real systemd: the container is in a scope of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pycgroups.runtime.state import start_of
from tests.waiting import PATIENCE, wait_for

SYSTEM = Path("/sys/fs/cgroup/system.slice")


def show(unit, name):
    command = ["systemctl", "show", "--value", f"--property={name}", unit]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout.strip()


@pytest.mark.requires("systemd")
def test_a_life_in_a_scope(oci, bundle):
    unit = oci.in_scope()
    bundle.config["linux"]["resources"] = {"pids": {"limit": 20}}
    pid = oci.running()
    assert show(unit, "ActiveState") == "active"
    assert show(unit, "TasksMax") == "20"
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/system.slice/{unit}\n"
    assert oci.call("exec", "web", "cat", "/proc/self/cgroup").out == "0::/\n"
    oci.call("update", "--pids-limit", "9", "web")
    assert (SYSTEM / unit / "pids.max").read_text() == "9\n"
    oci.call("pause", "web")
    assert oci.state()["status"] == "paused"
    oci.call("delete", "--force", "web")
    wait_for(lambda: start_of(pid) == 0)
    wait_for(lambda: not (SYSTEM / unit).exists())
