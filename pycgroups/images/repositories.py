"""Which repositories of registries are known to have a blob: it came from there, or was sent there.

    repositories/sha256-9f86…    a line for each: registry.example.com/me/app; the newest last

A registry takes a blob from another repository of its own without its being sent. These are hints, and no more: who
relies on one asks the registry. So lines are appended without a lock, and not synced; what is damaged is no line.
"""

from __future__ import annotations

import os

from pycgroups.images.files import open_file
from pycgroups.images.reference import is_domain, is_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from pycgroups.images.digest import Digest

_LARGEST = 4096
"""Bytes of a file, which is begun anew then: so many repositories are of no use."""


class Repositories:
    """The hints of one store."""

    def __init__(self, root: str) -> None:
        """Take the directory; without it nothing is known, and nothing kept."""
        self._root = root

    def of(self, digest: Digest) -> tuple[str, ...]:
        """Return the repositories that are known to have a blob, with their registries, the newest first."""
        try:
            with open(open_file(self._path(digest)), "rb") as file:
                text = file.read(2 * _LARGEST)
        except OSError:
            return ()
        lines = dict.fromkeys(reversed(text.decode(errors="replace").split("\n")))
        return tuple(line for line in lines if _is_repository(line))

    def add(self, digest: Digest, repository: str) -> None:
        """Keep that a repository has a blob; a disk that does not take it is no error."""
        if repository in self.of(digest):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with open(os.open(self._path(digest), flags, 0o600), "ab", buffering=0) as file:
                if file.tell() > _LARGEST:
                    file.truncate(0)
                file.write(f"\n{repository}\n".encode())
        except OSError:
            return

    def keep(self, blobs: AbstractSet[Digest]) -> None:
        """Forget all blobs but these."""
        names = {_name(blob) for blob in blobs}
        for name in os.listdir(self._root):
            if name not in names:
                os.unlink(f"{self._root}/{name}")

    def _path(self, digest: Digest) -> str:
        return f"{self._root}/{_name(digest)}"


def _name(digest: Digest) -> str:
    return f"{digest.algorithm}-{digest.encoded}"


def _is_repository(line: str) -> bool:
    domain, _, path = line.partition("/")
    return is_domain(domain) and is_path(path)
