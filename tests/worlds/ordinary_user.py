"""Run a command as an ordinary user, made up for it: nothing of this machine changes.

Runs in a mount namespace of its own, where copies of four files of /etc know the user. newuidmap reads them there like
any other program. (Called by `tests.worlds.__main__`, as root, under ``unshare --mount``.)

    python -m tests.worlds.ordinary_user SCRATCH USER SUBIDS COMMAND ARGUMENTS...

SCRATCH is an empty directory for the user's files, USER his id, SUBIDS the number of subordinate ids he gets.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
NAME = "ordinary"
SUBID_FIRST = 900_000_000
KEEP = ("CI", "LANG", "PATH", "PYCGROUPS_TEST_WORLD", "TERM")
"What the user inherits of the caller's environment."


def main(scratch: Path, user: int, subids: int, command: list[str]) -> None:
    """Set up and become the user; does not return."""
    scratch.chmod(0o755)
    _add_account(scratch, user, subids)
    for path in {TREE, Path(sys.base_prefix).resolve()}:
        _open_way(scratch, path)
    env = {name: os.environ[name] for name in KEEP if name in os.environ} | {"USER": NAME, "LOGNAME": NAME}
    for name, directory in (("HOME", "home"), ("TMPDIR", "tmp"), ("XDG_RUNTIME_DIR", "run")):
        own = scratch / directory
        own.mkdir(mode=0o700)
        os.chown(own, user, user)
        env[name] = str(own)
    os.chdir(TREE)  # again: it may be a new mount now
    identity = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all"]
    os.execvpe("setpriv", ["setpriv", *identity, "--", *command], env)


def _add_account(scratch: Path, user: int, subids: int) -> None:
    entries = {
        "passwd": f"{NAME}:x:{user}:{user}::{scratch}/home:/bin/sh\n",
        "group": f"{NAME}:x:{user}:\n",
        "subuid": f"{NAME}:{SUBID_FIRST}:{subids}\n" if subids else "",
        "subgid": f"{NAME}:{SUBID_FIRST}:{subids}\n" if subids else "",
    }
    for name, entry in entries.items():
        original = Path("/etc", name)
        copy = scratch / name
        copy.write_text(original.read_text() + entry)
        copy.chmod(0o644)
        _mount("--bind", copy, original)


def _open_way(scratch: Path, path: Path) -> None:
    """Make ``path`` reachable where a directory above it lets only its owner through, like /root.

    That directory is covered with an empty one that has nothing but the way to ``path``. The user could not see into
    it anyway.
    """
    closed = next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH), None)
    if closed is None:
        return
    aside = scratch / "aside"
    aside.mkdir(exist_ok=True)
    _mount("--rbind", path, aside)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed)
    path.mkdir(parents=True)
    _mount("--move", aside, path)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
