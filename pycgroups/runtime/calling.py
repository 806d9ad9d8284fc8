"""`call`: a Python function in namespaces, from a child process."""

from __future__ import annotations

import os
import pickle
import sys
import traceback

from pycgroups.errors import Error, invalid, own_errors
from pycgroups.namespaces import inside
from pycgroups.namespaces.inside import OPERATION, Answer, Job
from pycgroups.namespaces.namespace import Namespace, in_order
from pycgroups.runtime import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeVar, TypeVarTuple

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

_SPACES = interpreter.FIRST + 1  # the first is for the answer
_MAINS = (b"__main__", inside.MAIN.encode())


class Handed(int):
    """A descriptor among the arguments of `call`: it is handed to the function, under the number that it has there.

    A negative one is none, and stays what it is.
    """

    __slots__ = ()


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
      owns. In a user namespace the function is root (0), if the namespace has such, and in none of the caller's
      supplementary groups, if the caller may leave these; in a pid namespace it is called in a child of the process
      that joins. In either it is hidden from those who are there: most of ``/proc/self`` is root's.
    - In another mnt namespace nothing more can be imported but what is built into the interpreter: the files there are
      somebody else's. So import at the top of the function's module what the function needs. Mind that `pwd` and
      `socket.getaddrinfo` make the C library load plugins from there, too.

    Namespaces that the caller is in already are passed over. If one cannot be joined, the function is not called.

    Args:
        namespaces: which, in any order, no kind twice. They stay open.
        fn: a function at the top level of a module that can be imported, or whatever else can be pickled and called.
        *args: its arguments; they can be pickled. One that is a `Handed` is a descriptor, which the child gets too.

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
    function = pickled(fn, _there(args, given))
    job = Job(
        name=name,
        caller=os.getpid(),
        before=tuple(numbers[: len(before)]),
        after=tuple(numbers[len(before) :]),
        main=_main(name) if any(main in function for main in _MAINS) else None,
        function=function,
    )
    value: T = outcome(_run(job, given))
    return value


def outcome(answer: Answer) -> Any:
    """Return what a function has returned, or raise what it has raised."""
    if answer.error is None:
        assert answer.value is not None
        return pickle.loads(answer.value)
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


def _there(args: tuple[object, ...], given: list[int]) -> tuple[object, ...]:
    """Return the arguments with the numbers that descriptors have in the child, and add those to what is given."""
    there: list[object] = []
    for arg in args:
        if isinstance(arg, Handed) and arg >= 0:
            there.append(_SPACES + len(given))
            given.append(int(arg))
        else:
            there.append(arg)
    return tuple(there)


def pickled(fn: Callable[..., object], args: tuple[object, ...]) -> bytes:
    """Pickle a function and its arguments; what cannot be pickled is named."""
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
    function = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
    answer = os.memfd_create("answer")
    try:
        running = interpreter.start(inside.__name__, function, (answer, *spaces), operation=OPERATION)
        try:
            running.wait()
            status, _ = running.reap()
        finally:
            running.close()
        os.lseek(answer, 0, os.SEEK_SET)
        with open(answer, "rb", closefd=False) as file:
            found = inside.unpacked(file.read())
    finally:
        os.close(answer)
    if found is None:
        code = "an unknown status" if status is None else os.waitstatus_to_exitcode(status)
        raise Error(f"its process ended with {code}, and without an answer", operation=OPERATION, path=job.name)
    return found
