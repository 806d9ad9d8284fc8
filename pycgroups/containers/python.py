"""A fresh interpreter like this one, in a container of the host's root: what it is given, and what it answers.

    caller                              container
    ------                              ---------
    a file in memory: the job     ->    its standard input; reads it, and has /dev/null there from then on
                                        PROGRAM.main(job, fd), where PROGRAM is the path of a Python file
    what is behind the job        <-    what that writes to fd

A file, and not a pipe: nobody has to read while the other writes, and what a program that is killed has written by then
is there. It has no name that the program could put something else at. Code is read in place, read-only, at the paths
that it has on the host.
"""

from __future__ import annotations

import errno
import marshal
import os
import sys
from collections.abc import Mapping

from pycgroups.containers.config import HOST
from pycgroups.containers.mounts import Mount, mounts
from pycgroups.containers.run import PIPE, run
from pycgroups.errors import Error, LaunchError, invalid
from pycgroups.namespaces.caller import caller
from pycgroups.runtime import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pycgroups.containers.result import Result
    from pycgroups.containers.streams import Stream
    from pycgroups.containers.vocabulary import Options

OPERATION = "run Python in a container"
LARGEST = 1 << 28  # bytes of an answer
FIXED = {
    "entrypoint": ((None,), "None, for what is started is Python"),
    "rootfs": ((None,), "None, for Python and its code are in the host's own root"),
    "image": ((None, "host"), "'host', for Python and its code are in the host's own root"),
    "tty": ((False,), "False, for no terminal reaches it"),
    "cwd": ((None,), "None, for Python starts where its caller is"),
    "isolation": ((None, "container"), "'container', for what shows its code is mounts"),
}
"""What decides where a Python program is, and how it is started: the values that may be, and why no others."""
_NO_IDMAP = (errno.EINVAL, errno.EPERM)  # of a file system that knows no idmapped mounts; mount_setattr(2)
# Of the path that is imported from, the system's own part is seen as it is, and the interpreter's is brought in.
_SEEN = ("/usr", "/lib", "/lib64")
_BOOT = """\
import importlib.util, marshal, os, sys
answer = os.dup(0)
with open(0, "rb", closefd=False) as file:
    path, program, job = marshal.load(file)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.path[:] = path
spec = importlib.util.spec_from_file_location("pycgroups_inside", program)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.main(job, answer)
"""


def run_python(
    program: str,
    job: Any,
    places: Iterable[str],
    *,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
    options: Options,
    largest: int = LARGEST,
) -> tuple[Result, bytes]:
    """Have ``main(job, fd)`` of a Python file called in a container, and return what it wrote to the descriptor.

    Args:
        program: the path of the file.
        job: plain data, as `marshal` takes it.
        places: directories to be seen inside, read-only, beside those that are imported from.
        stdout: as for `run`.
        stderr: likewise.
        options: those of `run`, but for other values than `FIXED` has.
        largest: bytes of an answer.

    Returns:
        What came of the program, and its answer: it comes from the container, and may be anything.

    Raises:
        Error: of the kinds that `run` raises; or the answer is larger.
    """
    check(options)
    own = mounts(options.get("mounts") or (), "mounts")
    command = [*interpreter.command(OPERATION), "-c", _BOOT]
    here = os.getcwd()
    code = _code((here, *places))
    search = [os.path.abspath(place) for place in sys.path if isinstance(place, str)]
    given = marshal.dumps((search, program, job))
    letter = os.memfd_create("job")

    def attempt(mapped: set[str]) -> Result:
        binds = [Mount.bind(place, place, read_only=True, idmap=place in mapped) for place in code]
        settled: Any = {**options, "isolation": "container", "cwd": here, "mounts": (*binds, *own)}
        os.lseek(letter, 0, os.SEEK_SET)
        return run(command, stdin=letter, stdout=stdout, stderr=stderr, **settled)

    try:
        with open(letter, "wb", closefd=False) as file:
            file.write(given)
        # Root's files are root's inside as well, and so may be private; an ordinary user is root inside.
        mapped = set(code if caller().owns_mounts and not _shares_ids(options) else ())
        while True:
            try:
                result = attempt(mapped)
            except LaunchError as error:
                if error.errno not in _NO_IDMAP or error.path not in mapped:
                    raise
                mapped.discard(error.path)  # what everybody may read is there all the same
            else:
                return result, _answer(letter, len(given), largest)
    finally:
        os.close(letter)


def check(options: Options) -> None:
    """Refuse options that Python code of the host cannot be run with.

    Raises:
        InvalidConfig: there is one.
    """
    for word, (values, allowed) in FIXED.items():
        if word in options and options[word] not in values:  # type: ignore[literal-required]
            raise invalid(word, options[word], allowed)  # type: ignore[literal-required]


def _shares_ids(options: Options) -> bool:
    """Tell whether users inside are those of the host, as they are."""
    namespaces = options.get("namespaces")
    shared = isinstance(namespaces, Mapping) and namespaces.get("user") == "host"
    return shared or options.get("userns") in ("host", HOST)


def _code(places: Iterable[str]) -> list[str]:
    """Return the directories that are to be shown, each at its own path, without those in others."""
    shown: list[str] = []
    for place in sorted({*map(os.path.abspath, places), *_imported_from()}):
        if place != "/" and os.path.isdir(place) and not _is_below(place, shown):
            shown.append(place)
    return shown


def _imported_from() -> Iterator[str]:
    seen = (*_SEEN, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    for place in sys.path:
        if isinstance(place, str) and not _is_below(os.path.abspath(place), seen):
            yield os.path.abspath(place)


def _is_below(place: str, others: Iterable[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)


def _answer(letter: int, start: int, largest: int) -> bytes:
    size = os.fstat(letter).st_size - start
    if size > largest:
        raise Error(f"it answered with {size} bytes, more than {largest}", operation=OPERATION)
    os.lseek(letter, start, os.SEEK_SET)
    with open(letter, "rb", closefd=False) as file:
        return file.read()
