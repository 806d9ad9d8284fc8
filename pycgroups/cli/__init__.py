"""The command line: ``pycgroups run|explain|doctor``, also as ``python -m pycgroups``.

    __init__.py     which command; errors and exit codes
    flags.py        docker's grammar of flags, from a table
    options.py      the table of the options of a container, and their values as `pycgroups.run` has them
    run.py          pycgroups run
    signals.py      signals that come meanwhile are the program's
    terminal.py     -t: the program's terminal on ours
    explain.py      pycgroups explain
    doctor.py       pycgroups doctor

A command is a process of its own, so its start counts: what a command does not need, it does not import.
"""

from __future__ import annotations

import sys

from pycgroups.cli.text import complain

COMMANDS = {
    "run": "run a program in a container",
    "explain": "show what run would do, and do nothing",
    "doctor": "tell what works on this host, and what mends the rest",
}
# docker-run(1), "Exit Status"; timeout(1) has 124.
OURS, NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT, BY_SIGNAL = 125, 126, 127, 124, 128
_SIGINT = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments ask for, by default those of this process; the exit code."""
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
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
        from pycgroups import __version__

        print(f"pycgroups {__version__}")
        return 0
    complain(f"{name!r} is not a command (see pycgroups --help)")
    return OURS


def _tell(error: Exception) -> int:
    """Say what went wrong, in one line."""
    from pycgroups.errors import CommandNotExecutable, CommandNotFound

    if isinstance(error, BrokenPipeError):  # who read our output has enough of it
        return OURS
    complain(str(error))
    if isinstance(error, CommandNotFound):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutable) else OURS


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
