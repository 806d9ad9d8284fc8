"""A fresh interpreter like this one, as a child: it has nothing of this process but descriptors that it is given."""

from __future__ import annotations

import marshal
import os
import sys

from pycgroups._native.calls import lib
from pycgroups.errors import Unsupported
from pycgroups.runtime import launch
from pycgroups.runtime.steps import Plan, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_JOB = 3
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # a hook of `site` may have found us there
FIRST = 4
"""The number of the first descriptor that it is given."""


def start(module: str, job: bytes, given: Sequence[int], *, operation: str, bare: bool = False) -> launch.Running:
    """Start an interpreter that calls ``main(job, first)`` of a module of ours, and return when it runs.

    What it imports it finds where this process does. It is in a session of its own: ^C in a terminal is for the
    caller, who ends it. It is killed when the thread that started it ends, until it says otherwise.

    Args:
        module: which.
        job: what it is to read, from a file.
        given: descriptors; they have the numbers from ``first`` on there.
        operation: for errors.
        bare: without what the machine, the virtual environment or the user has every interpreter do (`site`).

    Raises:
        Unsupported: this process has no interpreter that can be started.
        LaunchError: it cannot be started.
    """
    program = (
        f"import marshal, sys; job = open({_JOB}, 'rb'); sys.path[:] = marshal.load(job); "
        f"from {module} import main; main(job, {FIRST})"
    )
    plan = _plan([*command(operation), *(["-S"] if bare else []), "-c", program], len(given))
    running = launch.Running(plan)
    held: list[int] = []
    try:
        held.append(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
        held.append(os.memfd_create("job"))  # a file, and no pipe: all of it is there at once
        null, file = held
        with open(file, "wb", closefd=False) as writer:
            marshal.dump([*(path for path in sys.path if isinstance(path, str)), _HOME], writer)
            writer.write(job)
        os.lseek(file, 0, os.SEEK_SET)
        outputs = [fd if _is_handed_on(fd) else null for fd in (1, 2)]
        launch.launch(running, plan.encode(), stdio=(null, *outputs), given=(file, *given))
        running.until_started()
    except BaseException:
        running.close()
        raise
    finally:
        for fd in held:
            os.close(fd)
    return running


def _plan(argv: list[str], given: int) -> Plan:
    env = [name + b"=" + value for name, value in os.environb.items()]
    words = tuple(b"\0".join(map(os.fsencode, some)) for some in (argv, env, argv[:1]))
    main = (
        Step(lib.OP_DEATH, (9,)),
        Step(lib.OP_READY, (0, given + 1, 0, 0, -1)),
        Step(lib.OP_EXEC, (len(argv), len(env), 1), words),
    )
    setup = (Step(lib.OP_SESSION, (0,)),)
    return Plan(namespaces=0, prepare=(), setup=setup, main=main, given=given + 1, idmaps=(), init=False, keep_caps=0)


def command(operation: str) -> list[str]:
    """Return the command, with the options of this one.

    Args:
        operation: what it is wanted for, for the error.

    Raises:
        Unsupported: this process is none that can be started.
    """
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise Unsupported(
            "this process has no interpreter to start", operation=operation, hint="set sys.executable to a python3"
        )
    return [sys.executable, *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]  # noqa: SLF001 (multiprocessing's way)


def _is_handed_on(fd: int) -> bool:
    """Tell whether it is open, and not another file's that was opened when it was closed: that ends at an exec."""
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
