"""``pycgroups-oci``: the runtime as a command with runc's command line, for podman, containerd and their like.

    __init__.py     the flags before the command; which command; errors and exit codes
    command.py      what a command is
    log.py          --log
    foreground.py   run and exec that wait: signals and the terminal
    create.py ...   each command, loaded only when it is asked for

As for `pycgroups.cli`, what a command does not need, it does not import: Python's own start is most of its time.
"""

from __future__ import annotations

import gc
import sys

from pycgroups.cli import BY_SIGNAL, leave
from pycgroups.cli.flags import Flag, UsageError, describe, parse
from pycgroups.errors import Error
from pycgroups.oci_cli.command import Settings, one_of
from pycgroups.oci_cli.log import FORMATS, LEVELS, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Command

PROGRAM = "pycgroups-oci"
COMMANDS = {
    "create": "create a container, whose program waits for its start",
    "start": "let the program of a created container run",
    "run": "create and start a container, and wait for its end",
    "exec": "run another program in a container",
    "state": "print the state of a container",
    "list": "list containers",
    "ps": "list the processes of a container",
    "kill": "send a signal to a container",
    "pause": "freeze the processes of a container",
    "resume": "let them go on",
    "update": "change the limits of a container",
    "events": "print what a container uses, and that it is out of memory",
    "delete": "remove a container",
    "spec": "write a config.json to begin with",
    "features": "print what this runtime can do",
    "checkpoint": "save a running container with criu",
    "restore": "bring a saved container back with criu",
}
SPEC_VERSION = "1.3.0"
"""The newest version of the OCI runtime specification that is understood."""

_MANAGERS = ("cgroupfs", "systemd", "disabled")
_FAILED, _SIGINT = 1, 2


FLAGS = (
    Flag("--root", "where the state of containers is kept", value="DIRECTORY"),
    Flag("--log", "a file that errors are appended to; stderr by default", value="FILE"),
    Flag("--log-format", "text or json", value="FORMAT", read=one_of(*FORMATS)),
    Flag("--log-level", "error, warning (the default), info or debug", value="LEVEL", read=one_of(*LEVELS)),
    Flag("--debug", "log all there is to tell"),
    Flag("--systemd-cgroup", "have systemd make the cgroups; linux.cgroupsPath is SLICE:PREFIX:NAME then"),
    Flag("--cgroup-manager", "cgroupfs (the default), systemd or disabled", value="WHO", read=one_of(*_MANAGERS)),
    Flag("--rootless", "for runc's sake: it is found out", value="WORD", read=one_of("true", "false", "auto")),
    Flag("--criu", "the program for checkpoints; criu by default", value="PROGRAM"),
    Flag("--version -v", "which version this is"),
    Flag("-h", "as --help", word="help"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code.

    Without arguments, those of this process are taken, and it ends here.
    """
    if arguments is not None:
        return _guarded(arguments)
    gc.disable()  # it looks for garbage in what was just imported; who stays turns it on again
    return leave(_guarded(sys.argv[1:]))


def _guarded(arguments: list[str]) -> int:
    try:
        found, rest, _ = parse(FLAGS, arguments)
    except UsageError as error:
        Log().fail(str(error))
        return _FAILED
    settings = _settings(found)
    try:
        return _main(found, rest, settings)
    except KeyboardInterrupt:
        return BY_SIGNAL + _SIGINT
    except (Error, OSError) as error:
        if not isinstance(error, BrokenPipeError):  # who read our output has enough of it
            settings.log.fail(str(error))
        return _FAILED
    except Exception as error:
        settings.log.fail(f"a mistake in pycgroups: {type(error).__name__}: {error}")
        raise


def _settings(found: dict[str, Any]) -> Settings:
    return Settings(
        root=found.get("root"),
        log=Log(
            path=found.get("log", ""),
            form=found.get("log_format", FORMATS[0]),
            level="debug" if found.get("debug") else found.get("log_level", "warning"),
        ),
        manager="systemd" if found.get("systemd_cgroup") else found.get("cgroup_manager", _MANAGERS[0]),
        criu=found.get("criu", "criu"),
    )


def _main(found: dict[str, Any], rest: list[str], settings: Settings) -> int:
    if found.get("version"):
        print(_version(), end="")
        return 0
    if found.get("help") or not rest or rest[0] == "help":
        print(_help(), end="")
        return 0
    name, *arguments = rest
    if name not in COMMANDS:
        raise UsageError(f"{name!r} is not a command; see {PROGRAM} --help")
    module = __import__(f"{__name__}.{name}", fromlist=["COMMAND"])  # importlib is another module to load
    return _perform(module.COMMAND, name, settings, arguments)


def _perform(command: Command, name: str, settings: Settings, arguments: list[str]) -> int:
    log = settings.log
    log.write("debug", f"{name} {' '.join(arguments)}")
    try:
        given = command.read(name, settings, arguments)
        if given.flags.get("help"):
            print(command.help(PROGRAM, name), end="")
            return 0
        return command.run(given)
    except (Error, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        log.write("debug", f"{name} failed: {error!r}, because of {error.__cause__ or error.__context__!r}")
        log.fail(str(error))
        return command.failed


def _version() -> str:
    import pycgroups

    return f"{PROGRAM} version {pycgroups.__version__}\nspec: {SPEC_VERSION}\n"


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "".join(f"  {name.ljust(width)}  {what}\n" for name, what in COMMANDS.items())
    return (
        f"usage: {PROGRAM} [FLAGS] COMMAND ...\n\n"
        "Run containers of the OCI runtime specification, as runc does.\n\n"
        f"{commands}\n{describe(FLAGS)}"
    )
