"""The child of `pycgroups.namespaces.call`: a fresh interpreter that loads a function, goes in, and calls it.

The order is what makes it safe. First all code is loaded, where the interpreter's files are. Then the process makes
itself undumpable, so that nobody inside can reach into it (ptrace(2), "Ptrace access mode checking"), and imports no
more: the files of another mount namespace are somebody else's code. Then it goes in.
"""

from __future__ import annotations

import _pickle as pickle  # what comes is the caller's own; `pickle` itself loads regular expressions
import _signal as signal  # type: ignore[import-not-found]  # `signal` makes enums of all numbers
import errno
import os
import select
import sys

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.errors import Error, LaunchError
from pycgroups.namespaces import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, BinaryIO, NamedTuple
else:
    from pycgroups.records import NamedTuple

MAIN = "__mp_main__"
"""What the caller's main module is called here, as with `multiprocessing`: what it does as a program it does not do."""
OPERATION = "call in namespaces"
_LENGTH_BYTES = 8
_HIGHEST = -1  # protocol of pickle
is_loading = False
"""The main module is being loaded; it cannot do here what it does as a program."""

_WITH_OTHERS = {"user", "pid"}
"""Whoever is in these may have rights over who comes in."""

_HINTS = {
    errno.EPERM: "it takes CAP_SYS_ADMIN in the user namespace that it belongs to: join that one as well, or be root",
    errno.EINVAL: "a user namespace cannot be joined by who is in it already, or above it",
    errno.ENOMEM: "the process 1 of the pid namespace has ended, and nobody can be born in it",
}


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        name: the function, for errors.
        caller: the pid of the caller.
        before: the descriptors of namespaces to join before a user namespace.
        after: that of the user namespace, and of those after it.
        main: name or path of the main module, if it is needed: ``("module", "package.name")``, ``("path", "/a.py")``.
        function: the function and its arguments, pickled.
    """

    name: str
    caller: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    main: tuple[str, str] | None
    function: bytes


class Answer(NamedTuple):
    """What came of it: a value, pickled; or an exception, pickled, and its traceback: file, line, function."""

    value: bytes | None = None
    error: bytes | None = None
    where: tuple[tuple[str, int, str], ...] = ()


def main(given: BinaryIO, answer: int) -> None:
    """Read a job, do it, and write the answer to a file."""
    os.set_inheritable(answer, False)
    job: Job = pickle.load(given)
    given.close()
    try:
        function, arguments = _load(job)
        _enter(job)
    except Exception as error:  # noqa: BLE001 (told to the caller)
        write(answer, failed(error, job.name))
        return
    write(answer, perform(function, arguments, job.name))


# -- the function ----------------------------------------------------------------------------------------------------


def _load(job: Job) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    try:
        if job.main is not None:
            sys.modules["__main__"] = sys.modules[MAIN] = _main_module(*job.main)
        function, arguments = pickle.loads(job.function)
    except Error:
        raise
    except Exception as error:
        raise Error(
            f"it cannot be loaded in a new interpreter: {type(error).__name__}: {error}",
            operation=OPERATION,
            path=job.name,
            hint="a function of a module that can be imported, at its top level",
        ) from error
    return function, arguments


def _main_module(kind: str, where: str) -> ModuleType:
    """Run the caller's main module under another name, by which what it does as a program is left out."""
    global is_loading  # noqa: PLW0603 (what it imports asks here)
    import runpy
    from types import ModuleType

    module = ModuleType(MAIN)
    run = runpy.run_module if kind == "module" else runpy.run_path
    is_loading = True
    try:
        module.__dict__.update(run(where, run_name=MAIN))
    finally:
        is_loading = False
    return module


def perform(function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> Answer:
    """Call it."""
    try:
        value = function(*arguments)
    except BaseException as error:  # noqa: BLE001 (the caller's to catch)
        return failed(error, name)
    try:
        return Answer(value=pickle.dumps(value, _HIGHEST))
    except Exception as error:  # noqa: BLE001 (pickle raises what it likes)
        message = f"its value, a {type(value).__name__}, cannot be pickled: {error}"
        return failed(Error(message, operation=OPERATION, path=name), name)


def failed(error: BaseException, name: str) -> Answer:
    """Pickle an exception, if it comes back as what it was."""
    where = () if isinstance(error, Error) else _where(error)
    try:
        pickled = pickle.dumps(error, _HIGHEST)
        pickle.loads(pickled)
    except Exception as reason:  # noqa: BLE001 (likewise)
        message = f"it raised {type(error).__name__}: {error}, and that cannot be pickled: {reason}"
        pickled = pickle.dumps(Error(message, operation=OPERATION, path=name), _HIGHEST)
    return Answer(error=pickled, where=where)


def _where(error: BaseException) -> tuple[tuple[str, int, str], ...]:
    """Walk its traceback, from the function on. The lines of the files are the caller's to read, who has them."""
    found = []
    place = None if error.__traceback__ is None else error.__traceback__.tb_next
    while place is not None:
        code = place.tb_frame.f_code
        found.append((code.co_filename, place.tb_lineno, code.co_name))
        place = place.tb_next
    return tuple(found)


def write(fd: int, answer: Answer) -> None:
    """Write it to a file."""
    with open(fd, "wb") as file:
        file.write(packed(answer))


def packed(answer: Answer) -> bytes:
    """Put the length first: who ends halfway has not answered."""
    data = pickle.dumps(tuple(answer), _HIGHEST)
    return len(data).to_bytes(_LENGTH_BYTES, sys.byteorder) + data


def unpacked(data: bytes) -> Answer | None:
    """Read an answer; None when there is no whole one."""
    length, rest = int.from_bytes(data[:_LENGTH_BYTES], sys.byteorder), data[_LENGTH_BYTES:]
    return Answer(*pickle.loads(rest)) if length and len(rest) == length else None


# -- the namespaces --------------------------------------------------------------------------------------------------


def _enter(job: Job) -> None:
    spaces = [(fd, files.kind_of(fd)) for fd in (*job.before, *job.after)]
    to_join = [(fd, kind) for fd, kind in spaces if not _is_in(fd, kind)]
    if to_join:
        _check_threads(job.name)
    kinds = {kind for _, kind in to_join}
    if kinds & _WITH_OTHERS:
        calls.process_control(lib.PR_SET_DUMPABLE, 0)
    if "mnt" in kinds:
        _stop_imports()
    if "user" in kinds:
        _try(os.setgroups, ())  # there it may be denied
    for fd, kind in to_join:
        _join(fd, kind)
    for fd, _ in spaces:
        os.close(fd)
    if "user" in kinds:
        _become_root()
        _die_with(job.caller)  # a change of rights clears that: prctl(2), PR_SET_PDEATHSIG
    if "pid" in kinds:
        _go_on_in_child()


def enter_user(fd: int, name: str) -> None:
    """Go into a user namespace that is none of this process's, and be root there; nobody there can look into it."""
    _check_threads(name)
    calls.process_control(lib.PR_SET_DUMPABLE, 0)
    _join(fd, "user")
    os.close(fd)
    _become_root()


def _is_in(fd: int, kind: str) -> bool:
    """Tell whether this process is in a namespace already; to join that is an error, or nothing."""
    return os.path.samestat(os.fstat(fd), os.stat(f"/proc/self/ns/{kind}"))


def _check_threads(name: str) -> None:
    """Refuse to go in with one thread of several: setns(2)."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise Error(
            f"what it imports has started {threads - 1} threads, and only a process of one thread can go in",
            operation=OPERATION,
            path=name,
            hint="put the function into a module that does not import that",
        )


def _stop_imports() -> None:
    """From here on only what is part of the interpreter can be imported."""
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.path_hooks.clear()
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__module__", "") == _FROZEN]


_FROZEN = "_frozen_importlib"  # of BuiltinImporter and FrozenImporter, and no other


def _join(fd: int, kind: str) -> None:
    result = calls.enter_namespace(fd, files.FLAGS[kind])
    if result < 0:
        path = f"{kind}:[{os.fstat(fd).st_ino}]"
        raise LaunchError(step="setns", path=path, errno=-result, hint=_HINTS.get(-result))


def _become_root() -> None:
    """Be 0 of the user namespace, as far as it has such: who is nobody there may not even write a file."""
    _try(os.setgroups, ())
    _try(os.setresgid, 0, 0, 0)
    _try(os.setresuid, 0, 0, 0)


def _try(change: Callable[..., None], *arguments: Any) -> None:
    """Change ids, as far as that is allowed."""
    try:
        change(*arguments)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EPERM}:
            raise


def _die_with(parent: int) -> None:
    calls.process_control(lib.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before that
        os._exit(1)


def _go_on_in_child() -> None:
    """Only children of who joins a pid namespace are in it; setns(2). The parent waits, and ends as its child does."""
    own = os.pidfd_open(os.getpid())
    try:
        child = os.fork()
    except OSError as error:
        raise LaunchError(step="fork", errno=error.errno, hint=_HINTS.get(error.errno or 0)) from None
    if child:
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(os.waitstatus_to_exitcode(status))
    calls.process_control(lib.PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(own, select.POLLIN)
    if poll.poll(0):  # it has ended before that
        os._exit(1)
    os.close(own)
