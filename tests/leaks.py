"""What a test may leave behind: nothing. Lists what there is, so that before and after can be compared.

What others on this machine hold while they live does not count: several people may run the tests at once.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0
"Seconds that the kernel, and other users of this machine, get to make something vanish."
NAME = "pycgroups"
OWN = f"{NAME}-test-{os.getpid()}"
"Begins the name of what a test makes in shared places by hand, so that others can tell whose it is."
_OWNER = re.compile(rf"/(?:{NAME}-test-|run\.)(\d+)\b")
_WORLD = "PYCGROUPS_TEST_WORLD"
STATE = {"ids", "containers"}
"Files of the state directory that are there for good (pycgroups/namespaces/ranges.py, pycgroups/containers/place.py)."


def holdings() -> frozenset[str]:
    """Name everything of this process, and of pycgroups on this machine, that could be left behind."""
    return frozenset([*_mounts(), *_descriptors(), *_children(), *_contained(), *_cgroups(), *_files()])


def left_behind(before: frozenset[str], now: Callable[[], frozenset[str]] = holdings) -> list[str]:
    """Name what is here now, stays, and was not here before."""
    deadline = time.monotonic() + PATIENCE
    left = now() - before
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left &= now()
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
        for pid in _read(f"{task}/children").split():  # a thread may have just ended
            yield f"child {pid} {_command(pid)}"


def _contained() -> Iterator[str]:
    """Processes in a pid namespace below ours: they have more than one pid."""
    contained = {pid: parent for pid, parent, depth in map(_place, _pids()) if depth > 1}
    for pid in contained:
        init = pid
        while (above := contained[init]) in contained:
            init = above
        if not (_is_anothers(init) or _names_another(_read(f"/proc/{pid}/cgroup"))):
            yield f"contained process {pid} {_command(str(pid))}"


def _pids() -> Iterator[int]:
    return map(int, filter(str.isdigit, os.listdir("/proc")))


def _place(pid: int) -> tuple[int, int, int]:
    """Return a process's pid, its parent's (0 if it is gone), and how many pid namespaces of those we see it is in."""
    lines = _read(f"/proc/{pid}/status").splitlines()
    if not lines:
        return pid, 0, 0
    words = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return pid, int(words["PPid"][0]), len(words["NSpid"])


def _line(pid: int) -> list[int]:
    """Return a process and those above it."""
    line = [pid]
    while parent := _place(line[-1])[1]:
        line.append(parent)
    return line


def _is_anothers(pid: int) -> bool:
    """Whether a process is none of ours: those are below us, or orphans, which hang on somebody above us.

    So do the tests of other worlds that run side by side with ours, and all that they have started.
    """
    line = _line(pid)
    if os.getpid() in line or len(line) == 1:
        return False
    return line[1] not in _line(os.getpid()) or _world(pid) not in {"", os.environ.get(_WORLD, "")}


def _world(pid: int) -> str:
    """Name the world whose tests a process is of, or has been started by with their environment; "" for none."""
    try:
        environment = _read(f"/proc/{pid}/environ").split("\0")
    except PermissionError:
        return "another user's"
    return next((word.partition("=")[2] for word in environment if word.startswith(f"{_WORLD}=")), "")


def _names_another(path: str) -> bool:
    """Whether the path of a cgroup or a file tells that it belongs to a process which is none of ours."""
    return any(map(_is_anothers, map(int, _OWNER.findall(path))))


def _command(pid: str) -> str:
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ") or "(zombie, or gone)"


def _read(path: str) -> str:
    """Read a file of a process; empty when that has gone."""
    try:
        return Path(path).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _cgroups() -> Iterator[str]:
    others = _locked_by_others()
    for directory, inner, _ in os.walk("/sys/fs/cgroup"):
        # The common parent of all groups may stay.
        if NAME not in directory or os.path.basename(directory) == NAME:
            continue
        try:
            found = Path(directory).stat()
        except FileNotFoundError:  # somebody has removed it meanwhile
            continue
        is_anothers = found.st_uid != os.geteuid() or (found.st_dev, found.st_ino) in others
        if is_anothers or _names_another(directory):
            inner.clear()
        else:
            yield f"cgroup {directory}"


def _locked_by_others() -> set[tuple[int, int]]:
    """Name the files (device, inode) that processes of others hold a lock on; whoever makes a group does."""
    found = set()
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and _is_anothers(int(words[4])):
            major, minor, inode = words[5].split(":")
            found.add((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
    return found


def _files() -> Iterator[str]:
    places = {tempfile.gettempdir(), "/tmp", "/run", "/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "/run")}
    for place in sorted(places):
        for path in Path(place).glob(f"*{NAME}*"):
            if _names_another(str(path)):
                continue
            # The state directory itself may stay; what is in it may not. Another user's cannot be looked into.
            found = path.iterdir() if path.name == NAME and os.access(path, os.R_OK) else [path]
            yield from (f"file {each}" for each in found if each.name not in STATE)
