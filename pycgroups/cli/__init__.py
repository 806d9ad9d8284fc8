"""The command line: ``pycgroups run|pull|images|...``, also as ``python -m pycgroups``.

    __init__.py     begin and end; exit codes
    commands.py     which command; what is told of errors
    flags.py        docker's grammar of flags, from a table
    options.py      the table of the options of a container, and their values as `pycgroups.run` has them
    mounts.py       --mount and --tmpfs
    run.py          pycgroups run
    plain.py        its streams are those of the command
    signals.py      signals that come meanwhile are the program's
    terminal.py     -t: the program has a terminal
    console.py      which is shown on ours
    explain.py      pycgroups explain
    record.py       pycgroups record
    doctor.py       pycgroups doctor

    create.py, ps.py, update.py, logs.py, exec_.py, cp.py, diff.py, commit.py, fork.py, export.py
                    containers that are held
    attach.py       pycgroups attach, and start -a
    keys.py         what leaves a container that one is attached to
    stats.py, recorded.py, top.py, port.py, events.py
                    what they use, or have used, which processes they have, what happens to them
    verbs.py        what is done to one: pycgroups start, stop, rm and the like

    filters.py      ps --filter
    elsewhere.py    what docker has and we have not
    facts.py        what is told of containers and images
    templates.py    --format '{{.Names}}'
    usage.py        what a command takes, and its help
    times.py        durations and moments
    registries.py   the table of flags of what talks to registries
    progress.py     how far a long operation is: for a terminal, or a line for each blob
    bars.py         which on a terminal are bars
    tables.py       rows and columns, sizes and ages
    screen.py       a terminal that is redrawn
    pull.py, ...    pycgroups pull, one module a command
    container.py    pycgroups container prune
    image.py        pycgroups image df|prune|verify|repair
    completion.py   pycgroups completion
    volume.py       pycgroups volume create|ls|inspect|rm|prune
    system.py       pycgroups system df|prune
    login.py        pycgroups login
    logout.py       pycgroups logout

A command is a process of its own, so its start and end count: what a command does not need, it does not import. That
holds for typing, too: ``TYPE_CHECKING = False`` is what type checkers take for true.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# docker-run(1), "Exit Status"; timeout(1) has 124. Docker's other commands end with 1.
OURS, NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT, BY_SIGNAL, FAILED = 125, 126, 127, 124, 128, 1
_STDOUT, _STDERR = 1, 2
_LENDING = frozenset({"run", "exec", "record"})
"Commands whose streams are those of a program."


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code.

    Without arguments, those of this process are taken, and it ends here.
    """
    from pycgroups.cli.commands import perform

    if arguments is not None:
        return perform(arguments)
    if None in {sys.stdin, sys.stdout, sys.stderr}:
        _open_closed(sys.argv[1:3])
    # As stderr does. In the C locale it is surrogateescape, which writes the bytes of file names as they are.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    return leave(perform(sys.argv[1:]))


def _open_closed(words: list[str]) -> None:
    """Open /dev/null for what is closed of 0, 1 and 2: a file of ours would get the number, and be the program's.

    What a command itself tells cannot be written there, and it fails: the stdout of a program has the number, and ours
    is another one.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stdout is None:
        unwritable = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if _lends(words):
            sys.stdout = open(unwritable, "w", closefd=False)  # noqa: SIM115 (it stays)
        else:
            os.dup2(unwritable, _STDOUT)
            os.close(unwritable)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (it stays)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(_STDERR, "w", closefd=False)  # noqa: SIM115


def _lends(words: list[str]) -> bool:
    """Tell whether the command of these words has a program write to its stdout."""
    if words[:1] == ["container"]:
        words = words[1:]
    return not _LENDING.isdisjoint(words[:1])


def leave(code: int) -> NoReturn:
    """End this process. To take an interpreter down in order takes longer than a container lives."""
    import atexit

    atexit._run_exitfuncs()  # noqa: SLF001 (what sys.exit would run, and no other way to)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # who read it has enough
            continue
    os._exit(code)


def shell_code(code: int) -> int:
    """Return the exit code by which a shell tells of an end by a signal."""
    return code if code >= 0 else BY_SIGNAL - code
