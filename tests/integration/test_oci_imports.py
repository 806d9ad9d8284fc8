"""What `pycgroups-oci` imports: that is most of the time that it takes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile

import pytest

from tests.waiting import PATIENCE

MAIN = f"import sys; sys.path[:] = {sys.path!r}; from pycgroups.oci_cli import main; main(sys.argv[1:])"
LINE = re.compile(r"import time: +\d+ \| +\d+ \| +(\S+)")
SLOW = {
    *("_socket", "argparse", "array", "ast", "asyncio", "attr", "attrs", "collections", "contextlib", "copyreg"),
    *("dataclasses", "datetime", "enum", "functools", "hashlib", "inspect", "json", "logging", "operator"),
    *("pathlib", "random", "re", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading"),
    *("traceback", "typing", "warnings", "weakref"),
}
EVERY_COMMAND = {
    *("pycgroups", "pycgroups.cli", "pycgroups.cli.flags", "pycgroups.errors"),
    *(
        "pycgroups.oci_cli",
        "pycgroups.oci_cli.command",
        "pycgroups.oci_cli.line",
        "pycgroups.oci_cli.log",
        "pycgroups.records",
    ),
}
OF_STATE = {
    *("pycgroups.oci_cli.indented", "pycgroups.oci_cli.state", "pycgroups.oci", "pycgroups.oci.json_text"),
    *("pycgroups.caches", "pycgroups.namespaces", "pycgroups.namespaces.own"),
    *("pycgroups.runtime", "pycgroups.runtime.container", "pycgroups.runtime.signals", "pycgroups.runtime.state"),
}


def loaded(*arguments: object) -> set[str]:
    """Name what the command loads that Python alone does not."""

    def imports(*words: str) -> set[str]:
        command = [sys.executable, "-SEP", "-X", "importtime", "-c", *words]
        with tempfile.TemporaryFile("w+") as err:  # not a pipe, which a container would keep open
            subprocess.run(command, stdin=subprocess.DEVNULL, stderr=err, check=False, timeout=PATIENCE)
            err.seek(0)
            return set(LINE.findall(err.read()))

    return imports(MAIN, *map(str, arguments)) - imports("import importlib")  # with warnings, before Python 3.12


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "pycgroups"}


def test_what_no_command_can_do_without():
    found = loaded("--version")
    assert ours(found) == EVERY_COMMAND
    assert not found & SLOW


@pytest.mark.parametrize("command", ["state", "start", "kill", "delete", "pause", "resume"])
def test_who_finds_no_container(tmp_path, command):
    found = loaded("--root", tmp_path, command, "web")
    assert not ours(found) - EVERY_COMMAND - OF_STATE - {f"pycgroups.oci_cli.{command}", "pycgroups.oci_cli.notify"}
    assert found & SLOW == set()


@pytest.mark.requires("userns")
@pytest.mark.slow_in_vm("many processes of Python's")
def test_a_life(oci, bundle):
    bundle.config["linux"]["resources"] = (
        {"memory": {"limit": 64 << 20}} if "cgroupsPath" in bundle.config["linux"] else {}
    )
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    bundle.run("sleep", "1000")
    words = ["--root", bundle.state]
    create = loaded(*words, "create", "--bundle", bundle.write(), "--pid-file", bundle.path / "pid", "web")
    found = {
        "create": create,
        "state": loaded(*words, "state", "web"),
        "start": loaded(*words, "start", "web"),
        "exec": loaded(*words, "exec", "web", "true"),
        "ps": loaded(*words, "ps", "-f", "json", "web"),
        "kill": loaded(*words, "kill", "web", "KILL"),
    }
    oci.wait_for("stopped")
    found["delete"] = loaded(*words, "delete", "web")
    bundle.run("true")
    bundle.write()
    found["run"] = loaded(*words, "run", "--bundle", bundle.path, "web")
    assert oci.names() == []
    assert not {name: modules & SLOW for name, modules in found.items() if modules & SLOW}
    light = {"pycgroups._native._shim", "pycgroups.runtime.plan"}
    assert not light & (found["state"] | found["start"])
