"""An ordinary user where /proc shows him nothing of processes that he may not trace: proc(5), hidepid."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.waiting import PATIENCE

pytestmark = [
    pytest.mark.requires("root", "userns", "unshare"),
    pytest.mark.slow_in_vm("processes of Python's, and nothing of cgroups"),
]
USER = 61_234
SCRIPT = """
import subprocess, sys
import pycgroups as pc

assert pc.run(["id", "-u"], image="host").stdout == b"0\\n"
container = pc.Container(["sleep", "1000"], image="host", detach=True)
try:
    assert container.exec(["id", "-u"]).stdout == b"0\\n"
    assert container.status == "running"
    assert container.id[:12] in subprocess.run([sys.argv[1], "ps"], capture_output=True, text=True, check=True).stdout
    try:
        pc.run(["true"], image="host", namespaces={"user": container.pid})
    except pc.Unsupported as error:
        print(error)
finally:
    container.remove(force=True)
"""


@pytest.mark.parametrize("hidepid", [1, 2])
def test_an_ordinary_users_containers(scratch, hidepid):
    """All but a join of a user namespace, which says what is in its way."""
    home = scratch / "home"
    home.mkdir()
    shown = f"mount -t proc -o hidepid={hidepid} proc /proc && exec "
    user = f"setpriv --reuid={USER} --regid={USER} --clear-groups "
    env = f"env -i PATH=/usr/bin:/bin HOME={home} XDG_RUNTIME_DIR={home} "
    subprocess.run(["chown", f"{USER}:{USER}", home], check=True)
    command = ["unshare", "--mount", "sh", "-c", shown + user + env + '"$@"', "sh", sys.executable, "-c", SCRIPT]
    command.append(sys.executable.replace("python", "pycgroups"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "hidepid" in done.stdout
