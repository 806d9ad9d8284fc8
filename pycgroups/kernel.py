"""Which Linux this is, where something cannot be tried without doing it."""

from __future__ import annotations

import os

APPENDS_LAYERS = 6, 7
"""From here on overlayfs takes layers one by one, ``lowerdir+``; filesystems/overlayfs.rst."""
IDMAPS_LAYERS = 5, 19
"""From here on it takes layers that are shown through an id map."""


def running() -> tuple[int, ...]:
    """Return the version of the kernel that runs; uname(2)."""
    return version(os.uname().release)


def version(release: str) -> tuple[int, ...]:
    """Read the first two numbers of ``uname -r``: "6.1.0-13-amd64" is (6, 1)."""
    numbers = [part for part in release.replace("-", ".").split(".")[:2] if part.isdigit()]
    return tuple(map(int, numbers))
