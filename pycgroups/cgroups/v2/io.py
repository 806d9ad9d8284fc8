"""Block devices on v2 (cgroup-v2.rst, "IO Interface Files"): what was read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pycgroups.cgroups.manager import Controller

if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory


class Io(Controller):
    """io.stat."""

    def sample(self, directory: Directory) -> dict[str, Any]:
        """Bytes of all devices. A group that touched none has an empty file: zero."""
        words = directory.read("io.stat").split()
        return {"io_read": _total(words, "rbytes="), "io_written": _total(words, "wbytes=")}


def _total(words: list[str], key: str) -> int:
    return sum(int(word.removeprefix(key)) for word in words if word.startswith(key))
