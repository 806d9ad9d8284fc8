"""The guest's first file system: busybox, the guest's scripts and their settings, as a cpio archive.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel ("newc").
"""

from __future__ import annotations

import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GUEST = Path(__file__).parent / "guest"


class Cpio:
    """A cpio archive in the making."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._entries = 0

    def _add(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._entries += 1
        path = name.encode() + b"\0"
        numbers = (self._entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._data += b"070701" + b"".join(b"%08X" % number for number in numbers)
        for part in (path, content):
            self._data += part
            self._data += b"\0" * (-len(self._data) % 4)

    def directory(self, name: str) -> None:
        self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._add(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        self._add(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        self._add("TRAILER!!!", 0)
        return bytes(self._data)


def build(busybox: Path, settings: Mapping[str, str], command: str) -> bytes:
    """Make the archive.

    Args:
        busybox: a static busybox.
        settings: shell variables for the guest scripts.
        command: the shell script that the guest runs in the end.
    """
    archive = Cpio()
    for name in ("bin", "dev", "proc", "sys", "lower", "upper", "root"):
        archive.directory(name)
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    archive.link("bin/sh", "busybox")
    archive.file("init", (GUEST / "init.sh").read_bytes(), 0o755)
    for script in ("session.sh", "systemd.sh", "report.sh"):
        archive.file(script, (GUEST / script).read_bytes())
    assignments = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
    archive.file("settings", "".join(assignments).encode())
    archive.file("command", command.encode())
    return archive.finish()
