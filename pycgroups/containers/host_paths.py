"""Where a copy comes from and goes to on the host: a directory, opened, and a name in it."""

from __future__ import annotations

import os
from contextlib import contextmanager

from pycgroups.containers.destinations import is_directory
from pycgroups.containers.spots import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def source(path: bytes) -> Iterator[tuple[int, bytes]]:
    """Open the directory that a file of the host is in; its name there, or ``b"."`` for the directory itself."""
    if is_directory(path):
        above, name = os.path.realpath(path), b"."
    else:
        above, name = os.path.dirname(path) or b".", os.path.basename(path)
    with told("copy from the host", path):
        directory = os.open(above, _OPEN)
    try:
        yield directory, name
    finally:
        os.close(directory)


@contextmanager
def destination(path: bytes) -> Iterator[tuple[int, bytes]]:
    """Open the directory of the host that something is to go to, or that is to be in; the rest of the path."""
    if os.path.isdir(path):
        above, name = path, b"."
    else:
        slash = b"/" if is_directory(path) else b""
        real = os.path.realpath(path)
        above, name = os.path.dirname(real), os.path.basename(real) + slash
    with told("copy to the host", path):
        directory = os.open(above, _OPEN)
    try:
        yield directory, name
    finally:
        os.close(directory)
