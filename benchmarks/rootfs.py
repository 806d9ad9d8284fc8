"""A root file system with busybox in it, on a tmpfs."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLETS = ("cat", "echo", "false", "sh", "sleep", "true")
DIRECTORIES = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp")


def busybox() -> Path:
    """The host's busybox, which has to be a static one (Debian: busybox-static)."""
    found = shutil.which("busybox")
    if found is None:
        raise FileNotFoundError("busybox isn't installed: apt install busybox-static")
    return Path(found)


def make(root: Path) -> None:
    """Fill the empty directory `root` with busybox and the mount points that every container needs."""
    (root / "bin").mkdir()
    shutil.copy(busybox(), root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True)
    # Who looks for these writes them when they are missing, or complains: systemd-nspawn and podman do.
    (root / "etc/os-release").write_text("ID=busybox\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


@contextmanager
def temporary() -> Iterator[Path]:
    """Make one and remove it again.

    It lies in /dev/shm where there is one: a disk's noise would be measured too. Its parent is open to everybody, since
    root in a user namespace is nobody outside.
    """
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-", dir=shm if shm.is_dir() else None) as parent:
        Path(parent).chmod(0o755)
        root = Path(parent, "rootfs")
        root.mkdir()
        make(root)
        yield root
