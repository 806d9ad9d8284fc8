"""The modules that a command loads, in one file: to find and read them one by one takes as long as a container.

A command's own file is beside the .pyc files, and follows their rules: who may write there makes it, at the end of the
first use, others do without; it is for one version of Python; and it counts only as long as each source is, by its size
and time of change, what was compiled: see `pycgroups.oci_cli.bundler`. The modules are in the order in which they were
completed, that of `sys.modules`. What a use needs besides, it imports.

It is a .pyc file itself, and this module is the program in it::

    HEAD        Python's magic number, and instead of the facts of a source those of the Python that made the file, and
                the size of the file: by these bin/pycgroups-oci.c knows that Python will take it
    code        this module
    entries     what is known of each module, this one as well
    code ...    of each other module, unless it is a shared object
    TAIL        where the entries are

So Python begins with it, where that command finds it, and this module is imported where it does not.
"""

from __future__ import annotations

import _imp
import gc
import marshal
import posix  # os is a module that the bundle may do without
import sys
from _frozen_importlib_external import MAGIC_NUMBER  # importlib.util is slow to load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from types import CodeType, ModuleType
    from typing import NoReturn, TypeAlias

    Entry: TypeAlias = tuple[str, str, int, int, int]
    """Name; source; its size and time of change; how long what was compiled is."""

_IS_PROGRAM = __name__ == "__main__"
PACKAGE = "pycgroups"
OWN = f"{PACKAGE}.oci_cli.bundle"
_CACHE = "__pycache__/"
_HERE = __file__.rpartition("/")[0].removesuffix("/__pycache__")
TOP = _HERE.removesuffix(f"/{PACKAGE}/oci_cli")
_INIT = "/__init__.py"
HEAD = len(MAGIC_NUMBER) + 12
TAIL = 8
_END = 2  # os.SEEK_END
_LOCALE, _CALLERS = b"LC_ALL", b"PYCGROUPS_LC_ALL"  # as in bin/pycgroups-oci.c
_INTERRUPTED = 130  # as a shell tells of SIGINT


def enter() -> NoReturn:
    """Run the command that the arguments of this process ask for; it ends here."""
    if "pycgroups_oci" in sys._xoptions:  # noqa: SLF001 (documented, and there is no other way to its options)
        _restore_locale()
    go_on()


def go_on() -> NoReturn:
    """Run it, with the locale of the caller."""
    gc.disable()  # it looks for garbage in what was just imported; who stays turns it on again
    bundle = Bundle(__file__ if _IS_PROGRAM else _path())
    try:
        bundle.load()
        if _IS_PROGRAM and not bundle.is_loaded:
            from pycgroups.oci_cli.bundle import go_on as go_on_anew  # which may be another version

            go_on_anew()
        from pycgroups.cli import leave
        from pycgroups.oci_cli.line import perform

        leave(perform(sys.argv[1:], bundle.keep))
    except KeyboardInterrupt:  # before a command begins, or when all is done
        posix._exit(_INTERRUPTED)  # noqa: SLF001 (it has no other name)


def _restore_locale() -> None:
    """Have that of the caller, with which Python does not begin."""
    callers = posix.environ.pop(_CALLERS, None)
    posix.unsetenv(_CALLERS)
    if callers is None:
        posix.environ.pop(_LOCALE, None)
        posix.unsetenv(_LOCALE)
    else:
        posix.environ[_LOCALE] = callers
        posix.putenv(_LOCALE, callers)


def _path() -> str:
    """Say where the file of the command is that the arguments ask for."""
    from pycgroups.oci_cli import COMMANDS

    # A value of a flag may have the name of a command, too: then what is loaded is not all of use, and no harm.
    command = next(filter(COMMANDS.__contains__, sys.argv), "none")
    return f"{_HERE}/{_CACHE}{command}.{sys.implementation.cache_tag}.bundle"


class Bundle:
    """The file of one command."""

    def __init__(self, path: str) -> None:
        """Note what is loaded already, if it is not ours."""
        self._path = path
        self._before = {name for name in sys.modules if name.partition(".")[0] != PACKAGE}
        self.is_loaded = False

    def load(self) -> None:
        """Load its modules, if there are any, and no others by now."""
        try:
            for name, source, code in self._modules():
                if name != OWN and not _is_of_others(source):
                    _execute(name, place_of(source), code)
        except ImportError:  # of what is no longer installed: if it is needed, who needs it tells
            return

    def _modules(self) -> Iterator[tuple[str, str, CodeType | None]]:
        """Read them one by one: what only defines a module is forgotten then, and memory has no holes of half a MiB."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                for name, source, _, _, length in _current_entries(file):
                    yield name, source, marshal.loads(file.read(length)) if length else None  # noqa: S302 (as an import does)
        except (OSError, EOFError, ValueError, TypeError, MemoryError):  # what is damaged may ask for 4 GiB
            return
        self.is_loaded = True

    def keep(self) -> None:
        """Make the file of what was loaded without it, where Python keeps what it compiles."""
        if self.is_loaded or sys.dont_write_bytecode or sys.pycache_prefix:
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
    if not file.read(HEAD).startswith(head_of_python()):
        raise ValueError
    file.seek(-TAIL, _END)
    tail = file.read(TAIL)
    file.seek(int.from_bytes(tail[:4], "little"))
    entries: list[Entry] = marshal.loads(file.read(int.from_bytes(tail[4:], "little")))  # noqa: S302 (as an import does)
    if not all(_is_still(source, size, changed) for _, source, size, changed, _ in entries):
        raise ValueError
    return entries


def head_of_python() -> bytes:
    """Return the beginning of the files of this Python: its magic number, when it was changed, and its size."""
    found = posix.stat(sys.executable)
    return MAGIC_NUMBER + number(found.st_mtime_ns // 10**9) + number(found.st_size)


def number(value: int) -> bytes:
    """Write a number as the head of a .pyc file has it: 32 bits."""
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def place_of(source: str) -> str:
    """Return the path of a source, which is below the directory of the package, or elsewhere."""
    return source if source.startswith("/") else f"{TOP}/{source}"


def facts(source: str) -> tuple[int, int]:
    """Return the size of a source, and when it was changed, in nanoseconds."""
    found = posix.stat(place_of(source))
    return found.st_size, found.st_mtime_ns


def _is_still(source: str, size: int, changed: int) -> bool:
    """Tell whether a source is what was compiled. Where it was copied to, times may have no fractions of a second."""
    now = facts(source)
    return now in {(size, changed), (size, changed - changed % 10**9)}


def _is_of_others(source: str) -> bool:
    """Tell whether it is a shared object of another environment that this package is in, too."""
    return source.startswith("/") and source.rpartition("/")[0] not in sys.path


def _execute(name: str, path: str, code: CodeType | None) -> None:
    """Do what an import does, for which importlib takes a third of the time of all the modules."""
    above, _, last = name.rpartition(".")
    if above and above not in sys.modules:
        __import__(above)  # which has imported this one, or it would come first
    if name in sys.modules:
        return
    if code is None:
        _load_object(name, path)
    else:
        _execute_code(name, path, code)
    if above:
        setattr(sys.modules[above], last, sys.modules[name])


def _load_object(name: str, path: str) -> None:
    spec = type(sys.__spec__)(name, None, origin=path)
    module: ModuleType = _imp.create_dynamic(spec)
    _imp.exec_dynamic(module)
    sys.modules[name] = module


def _execute_code(name: str, path: str, code: CodeType) -> None:
    module = type(sys)(name)
    is_package = path.endswith(_INIT)
    spec = type(sys.__spec__)(name, None, origin=path, is_package=is_package)
    package = name if is_package else name.rpartition(".")[0]
    vars(module).update(__file__=path, __spec__=spec, __package__=package)
    if is_package:
        module.__path__ = spec.submodule_search_locations = [path.removesuffix(_INIT)]
    sys.modules[name] = module
    try:
        exec(code, vars(module))  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise


if _IS_PROGRAM:
    sys.path.append(TOP)
    enter()
