"""What a test may leave behind: nothing. Lists what there is, so that before and after can be compared."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 3.0
"Seconds that the kernel, and other users of this machine, get to make something vanish."
NAME = "pycgroups"
STATE = {"ids"}
"Files of the state directory that are there for good (pycgroups/namespaces/ranges.py)."


def holdings() -> frozenset[str]:
    """Name everything of this process, and of pycgroups on this machine, that could be left behind."""
    return frozenset([*_mounts(), *_descriptors(), *_children(), *_contained(), *_cgroups(), *_files()])


def left_behind(before: frozenset[str]) -> list[str]:
    """Name what is here now, stays, and was not here before."""
    deadline = time.monotonic() + PATIENCE
    left = holdings() - before
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left &= holdings()
    return sorted(left)


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_bytes().decode(errors="surrogateescape").splitlines():
        yield f"mount {line}"


def _descriptors() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield f"fd {fd} -> {os.readlink(f'/proc/self/fd/{fd}')}"
        except FileNotFoundError:  # the one that listed the directory
            continue


def _children() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            yield f"child {pid} {_command(pid)}"


def _contained() -> Iterator[str]:
    """Processes in a pid namespace below ours: they have more than one pid."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path("/proc", pid, "status").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        pids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        if len(pids) > 1:
            yield f"contained process {pid} {_command(pid)}"


def _command(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") or "(zombie)"
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


def _cgroups() -> Iterator[str]:
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        # The common parent of all groups may stay.
        if NAME in directory and os.path.basename(directory) != NAME:
            yield f"cgroup {directory}"


def _files() -> Iterator[str]:
    places = {tempfile.gettempdir(), "/tmp", "/run", "/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "/run")}
    for place in sorted(places):
        for path in Path(place).glob(f"*{NAME}*"):
            # The state directory itself may stay; what is in it may not. Another user's cannot be looked into.
            found = path.iterdir() if path.name == NAME and os.access(path, os.R_OK) else [path]
            yield from (f"file {each}" for each in found if each.name not in STATE)
