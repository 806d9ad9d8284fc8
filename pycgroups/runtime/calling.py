"""`call`: a Python function in namespaces, from a child process."""

from __future__ import annotations

import marshal
import os
import pickle
import select
import sys
import traceback

from pycgroups._native.calls import lib
from pycgroups.errors import Error, Unsupported, invalid, own_errors
from pycgroups.namespaces import inside
from pycgroups.namespaces.inside import LENGTH_BYTES, OPERATION, Answer, Job
from pycgroups.namespaces.namespace import Namespace, in_order
from pycgroups.runtime import launch
from pycgroups.runtime.steps import Plan, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar, TypeVarTuple

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

# The interpreter finds here what it is to do, and writes what came of it; the namespaces come after.
_JOB, _ANSWER, _SPACES = 3, 4, 5
# All that it imports it finds where the caller does.
_PROGRAM = (
    f"import marshal, sys; job = open({_JOB}, 'rb'); sys.path[:] = marshal.load(job); "
    f"from pycgroups.namespaces.inside import main; main(job, {_ANSWER})"
)
_MAINS = (b"__main__", inside.MAIN.encode())


def call(namespaces: Iterable[Namespace], fn: Callable[[*Ts], T], *args: *Ts) -> T:
    """Call a Python function inside namespaces, and return its value or raise its exception.

    ::

        with pc.Namespace.of(pid, "net") as net:
            port = pc.namespaces.call([net], find_free_port, "127.0.0.1")

    It is called in a child process, a fresh interpreter that has nothing of this process but its environment, its
    working directory and its standard output and error: as with `multiprocessing`'s "spawn". This process is not forked
    and goes nowhere, so it may have any number of threads, and any amount of memory. The child dies with the thread
    that called. In it

    - the function's module is imported, with the ``sys.path`` that is here. If that is the main module of a script, it
      is run under the name ``__mp_main__``: a script wants its ``if __name__ == "__main__":``.
    - Then the namespaces are joined: those that a user namespace among them does not own, that one, and those that it
      owns. In a user namespace the function is root (0), if the namespace has such; in a pid namespace it is called in
      a child of the process that joins. In either it is hidden from those who are there: most of ``/proc/self`` is
      root's.
    - In another mnt namespace nothing more can be imported but what is built into the interpreter: the files there are
      somebody else's. So import at the top of the function's module what the function needs. Mind that `pwd` and
      `socket.getaddrinfo` make the C library load plugins from there, too.

    Namespaces that the caller is in already are passed over. If one cannot be joined, the function is not called.

    Args:
        namespaces: which, in any order, no kind twice. They stay open.
        fn: a function at the top level of a module that can be imported, or whatever else can be pickled and called.
        *args: its arguments; they can be pickled.

    Returns:
        Its value, a copy by way of `pickle`. That trusts the function as much as the caller does itself: what it
        returns from files that others wrote is data, what it unpickles there is theirs.

    Raises:
        InvalidConfig: the function or an argument cannot be pickled; names it. Or a kind is there twice.
        StateError: a namespace is closed.
        LaunchError: a namespace cannot be joined; names it.
        Unsupported: this process has no interpreter that can be started: it is frozen, or embedded.
        Error: the function's module cannot be imported there, or starts threads when it is; its value or exception
            cannot be pickled; or the child was killed, or ended by itself.
        BaseException: whatever the function raises; a note tells where.

    Sources: setns(2), namespaces(7). Linux 5.3.
    """
    if inside.is_loading:
        raise Error(
            "called while the main module is loaded again, for another call",
            operation=OPERATION,
            hint='what a script does as a program belongs below: if __name__ == "__main__":',
        )
    before, after = in_order(_checked(namespaces))
    given = [space.fileno() for space in (*before, *after)]
    numbers = range(_SPACES, _SPACES + len(given))
    name = getattr(fn, "__qualname__", None) or repr(fn)
    function = _pickled(fn, args)
    job = Job(
        name=name,
        caller=os.getpid(),
        before=tuple(numbers[: len(before)]),
        after=tuple(numbers[len(before) :]),
        main=_main(name) if any(main in function for main in _MAINS) else None,
        function=function,
    )
    answer = _run(job, given)
    if answer.error is None:
        assert answer.value is not None
        value: T = pickle.loads(answer.value)
        return value
    error = pickle.loads(answer.error)
    if answer.where:
        places = traceback.format_list([(*place, None) for place in answer.where])
        error.add_note(f"in namespaces:\n{''.join(places)}")
    raise error


def _checked(namespaces: Iterable[Namespace]) -> Sequence[Namespace]:
    spaces = tuple(namespaces)
    for position, space in enumerate(spaces):
        if not isinstance(space, Namespace):
            raise invalid(f"namespaces[{position}]", space, "a Namespace")
        if space.kind in {other.kind for other in spaces[:position]}:
            raise invalid(f"namespaces[{position}]", space, "each kind once")
    return spaces


def _pickled(fn: Callable[..., object], args: tuple[object, ...]) -> bytes:
    for key, value, allowed in (
        ("fn", fn, "a function at the top level of a module"),
        *((f"args[{position}]", value, "what can be pickled") for position, value in enumerate(args)),
        ("args", (fn, args), "what can be pickled"),
    ):
        try:
            data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 (pickle raises what it likes)
            raise invalid(key, value, f"{allowed}; {error}") from None
    return data


def _main(name: str) -> tuple[str, str]:
    """Say how the main module, which the function is of, can be run again."""
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return "module", spec.name
    path = getattr(module, "__file__", None)
    if path is None or not os.path.exists(path):
        raise invalid("fn", name, "a function of a module in a file: the main module here is none")
    return "path", os.path.abspath(path)


# -- the child -------------------------------------------------------------------------------------------------------


@own_errors(OPERATION)
def _run(job: Job, spaces: Sequence[int]) -> Answer:
    """Have a fresh interpreter do it."""
    plan = _plan(len(spaces))
    running = launch.Running(plan)
    # Files, and no pipes: all of the job is there at once, and nobody has to read while the other writes.
    held = [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)]
    try:
        held += [os.memfd_create("job"), os.memfd_create("answer")]
        null, given, answer = held
        with open(given, "wb", closefd=False) as file:
            marshal.dump([path for path in sys.path if isinstance(path, str)], file)
            pickle.dump(job, file, pickle.HIGHEST_PROTOCOL)
        os.lseek(given, 0, os.SEEK_SET)
        outputs = [fd if _is_open(fd) else null for fd in (1, 2)]
        launch.launch(running, plan.encode(), stdio=(null, *outputs), given=(given, answer, *spaces))
        running.until(lambda running: running.started)
        _wait(running.pidfd)
        status, _ = running.reap()
        return _read(answer, job.name, status)
    finally:
        running.close()
        for fd in held:
            os.close(fd)


def _plan(spaces: int) -> Plan:
    argv = [*_interpreter(), "-c", _PROGRAM]
    env = [name + b"=" + value for name, value in os.environb.items()]
    words = tuple(b"\0".join(map(os.fsencode, some)) for some in (argv, env, argv[:1]))
    given = _SPACES - _JOB + spaces
    main = (
        Step(lib.OP_DEATH, (9,)),
        Step(lib.OP_READY, (0, given, 0, 0, -1)),
        Step(lib.OP_EXEC, (len(argv), len(env), 1), words),
    )
    setup = (Step(lib.OP_SESSION, (0,)),)  # ^C in a terminal is for the caller, who ends the child
    return Plan(namespaces=0, prepare=(), setup=setup, main=main, given=given, idmaps=(), init=False, keep_caps=0)


def _interpreter() -> list[str]:
    """Return what starts an interpreter like this one."""
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise Unsupported(
            "this process has no interpreter to start", operation=OPERATION, hint="set sys.executable to a python3"
        )
    return [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]  # noqa: SLF001 (multiprocessing's way)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _wait(process: int) -> None:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _read(fd: int, name: str, status: int | None) -> Answer:
    """Read the answer of a child that has ended."""
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), sys.byteorder)
        data = file.read()
    if not length or len(data) != length:
        code = "an unknown status" if status is None else os.waitstatus_to_exitcode(status)
        raise Error(f"its process ended with {code}, and without an answer", operation=OPERATION, path=name)
    return Answer(*pickle.loads(data))
