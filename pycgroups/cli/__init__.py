"""The command line: ``pycgroups run|explain|record|doctor``, also as ``python -m pycgroups``.

    __init__.py     which command; errors and exit codes
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

A command is a process of its own, so its start and end count: what a command does not need, it does not import. That
holds for typing, too: ``TYPE_CHECKING = False`` is what type checkers take for true.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

COMMANDS = {
    "run": "run a program in a container",
    "explain": "show what run would do, and do nothing",
    "record": "run a program, and write down the system calls that it needs",
    "doctor": "tell what works on this host, and what mends the rest",
}
# docker-run(1), "Exit Status"; timeout(1) has 124.
OURS, NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT, BY_SIGNAL = 125, 126, 127, 124, 128
_SIGINT = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code.

    Without arguments, those of this process are taken, and it ends here.
    """
    if arguments is not None:
        return _guarded(arguments)
    return leave(_guarded(sys.argv[1:]))


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


def _guarded(arguments: list[str]) -> int:
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return BY_SIGNAL + _SIGINT
    except Exception as error:
        from pycgroups.errors import Error

        if not isinstance(error, (Error, OSError)):
            raise
        return _tell(error)


def _main(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in COMMANDS:
        from importlib import import_module

        command: int = import_module(f"pycgroups.cli.{name}").main(rest)
        return command
    if name in {"--help", "-h", "help"}:
        print(_help(), end="")
        return 0
    if name == "--version":
        import pycgroups

        print(f"pycgroups {pycgroups.__version__}")
        return 0
    _complain(f"{name!r} is not a command (see pycgroups --help)")
    return OURS


def _tell(error: Exception) -> int:
    """Say what went wrong, in one line."""
    from pycgroups.errors import CommandNotExecutable, CommandNotFound

    if isinstance(error, BrokenPipeError):  # who read our output has enough of it
        return OURS
    _complain(str(error))
    if isinstance(error, CommandNotFound):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutable) else OURS


def _complain(message: str) -> None:
    from pycgroups.cli.text import complain

    complain(message)


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: pycgroups COMMAND ...",
            "",
            "Run programs in real Linux containers: isolated, limited, measured.",
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()),
            "",
            "  --help     this; pycgroups COMMAND --help tells more",
            "  --version  which version this is",
            "",
        ]
    )
