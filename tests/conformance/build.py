"""Fetch the validation programs and build them: ``python -m tests.conformance.build``.

build/conformance/
    go/src/github.com/opencontainers/runtime-tools/     their source
    runtimetest, rootfs-amd64.tar.gz                    what they look for where they run, and put into containers
    programs/                                           the programs
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
PLACE = TREE / "build/conformance"
PROGRAMS = PLACE / "programs"
SOURCE = PLACE / "go/src/github.com/opencontainers/runtime-tools"
PACKAGE = "golang-github-opencontainers-runtime-tools"
DEBIANS = "/usr/share/gocode"
"Where Debian has the source of Go packages."
TAP = "github.com/mndrix/tap-go"
DONE = PLACE / "done"


def missing() -> str | None:
    """Tell why the programs cannot be run; None if they can."""
    return None if DONE.exists() else "needs the validation programs: make conformance"


def build() -> None:
    """Build them, unless that has been done."""
    if DONE.exists():
        return
    shutil.rmtree(PLACE, ignore_errors=True)
    subprocess.run([TREE / "tools/debian-source", PACKAGE, SOURCE], check=True)
    tap = PLACE / "go/src" / TAP
    tap.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("tap.go"), tap)
    # Static, for it runs in the container.
    _go("-tags=netgo osusergo", "-o", str(PLACE), "./cmd/runtimetest", CGO_ENABLED="0")
    _go("-o", f"{PROGRAMS}/", "./validation/...")
    for archive in SOURCE.glob("rootfs-*.tar.gz"):
        shutil.copy(archive, PLACE)
    DONE.touch()


def _go(*arguments: str, **env: str) -> None:
    command = ["go", "build", "-ldflags=-s -w", *arguments]
    paths = {"GOPATH": f"{PLACE}/go:{DEBIANS}", "GO111MODULE": "off", "GOCACHE": f"{PLACE}/cache"}
    subprocess.run(command, cwd=SOURCE, env={**os.environ, **paths, **env}, check=True)


if __name__ == "__main__":
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the validation programs cannot be built: {error}")
