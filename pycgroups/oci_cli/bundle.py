"""The modules that a command loads, in one file: to find and read them one by one takes as long as a container.

A command's own file is beside the .pyc files, and follows their rules: who may write there makes it, at the end of the
first use, others do without; it is for one version of Python; and it counts only as long as each source is, by its size
and time of change, what was compiled: see `pycgroups.oci_cli.bundler`. The modules are in the order in which they were
completed, that of `sys.modules`. What a use needs besides, it imports.
"""

from __future__ import annotations

import marshal
import posix  # os is a module that the bundle may do without
import sys
from _frozen_importlib_external import MAGIC_NUMBER  # importlib.util is slow to load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from types import CodeType
    from typing import TypeAlias

    Entry: TypeAlias = tuple[str, str, int, int, int]
    """Name; source, below the directory of the package; its size and time of change; how long what was compiled is."""

PACKAGE = __name__.partition(".")[0]
_HERE = __file__.rpartition("/")[0]
TOP = _HERE.rpartition("/")[0]
_INIT = "/__init__.py"
HEAD = len(MAGIC_NUMBER) + 4
"""At the beginning are Python's number, and the length of the entries."""


class Bundle:
    """The file of one command."""

    def __init__(self, command: str) -> None:
        """Note what is loaded already."""
        self._path = f"{_HERE}/__pycache__/{command}.{sys.implementation.cache_tag}.bundle"
        self._before = frozenset(sys.modules)
        self._is_loaded = False

    def load(self) -> None:
        """Load its modules, if there are any, and no others by now."""
        try:
            for name, source, code in self._modules():
                _execute(name, f"{TOP}/{source}", code)
        except ImportError:  # of what is no longer installed: if it is needed, who needs it tells
            return

    def _modules(self) -> Iterator[tuple[str, str, CodeType]]:
        """Read them one by one: what only defines a module is forgotten then, and memory has no holes of half a MiB."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                for name, source, _, _, length in _current_entries(file):
                    yield name, source, marshal.loads(file.read(length))  # noqa: S302 (as an import does)
        except (OSError, EOFError, ValueError, TypeError):
            return
        self._is_loaded = True

    def keep(self) -> None:
        """Make the file of what was loaded without it, where Python keeps what it compiles."""
        if self._is_loaded or sys.dont_write_bytecode or sys.pycache_prefix:
            return
        if not posix.access(self._path.rpartition("/")[0], posix.W_OK):
            return
        names = [name for name in sys.modules if name not in self._before]
        try:
            from pycgroups.oci_cli import bundler

            bundler.write(self._path, names)
        except Exception:  # noqa: BLE001 (no space, or a source that is half written: the next use tries again)
            return  # what was asked for is done


def _current_entries(file: FileIO) -> list[Entry]:
    """Read the entries, behind which is what was compiled.

    Raises:
        OSError, EOFError, ValueError, TypeError: it is not such a file, or a source has changed.
    """
    head = file.read(HEAD)
    if not head.startswith(MAGIC_NUMBER):
        raise ValueError
    size = int.from_bytes(head[len(MAGIC_NUMBER) :], "little")
    entries: list[Entry] = marshal.loads(file.read(size))  # noqa: S302 (as an import does)
    if not all(_is_still(source, size, changed) for _, source, size, changed, _ in entries):
        raise ValueError
    return entries


def facts(source: str) -> tuple[int, int]:
    """Return the size of a source, below the directory of the package, and when it was changed, in nanoseconds."""
    found = posix.stat(f"{TOP}/{source}")
    return found.st_size, found.st_mtime_ns


def _is_still(source: str, size: int, changed: int) -> bool:
    """Tell whether a source is what was compiled. Where it was copied to, times may have no fractions of a second."""
    now = facts(source)
    return now in {(size, changed), (size, changed - changed % 10**9)}


def _execute(name: str, path: str, code: CodeType) -> None:
    """Do what an import does, for which importlib takes a third of the time of all the modules."""
    above, _, last = name.rpartition(".")
    if above not in sys.modules:
        __import__(above)  # which has imported this one, or it would come first
    if name in sys.modules:
        return
    module = type(sys)(name)
    is_package = path.endswith(_INIT)
    spec = type(__spec__)(name, None, origin=path, is_package=is_package)
    vars(module).update(__file__=path, __spec__=spec, __package__=name if is_package else above)
    if is_package:
        module.__path__ = spec.submodule_search_locations = [path.removesuffix(_INIT)]
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    setattr(sys.modules[above], last, module)
