"""Programs of the host's that root, or any user, may have installed."""

from __future__ import annotations

import os


def find(name: str) -> str | None:
    """Find a program, on PATH or where those of root are, which is not on everybody's.

    As shutil.which does, which brings half of the standard library along.
    """
    for directory in (*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/sbin", "/sbin"):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
