"""The command line: the flags before the command, which command it is, errors and exit codes."""

from __future__ import annotations

from pycgroups.cli import BY_SIGNAL
from pycgroups.cli.flags import Flag, UsageError, describe, parse
from pycgroups.errors import Error
from pycgroups.oci_cli import COMMANDS, PROGRAM, SPEC_VERSION
from pycgroups.oci_cli.command import Settings, nothing, one_of
from pycgroups.oci_cli.log import FORMATS, LEVELS, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycgroups.oci_cli.command import Command

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


def perform(arguments: list[str], done: Callable[[], None] = nothing) -> int:
    """Perform what the arguments ask for; the exit code. `done` is called when a command has done all it was to do."""
    try:
        found, rest, _ = parse(FLAGS, arguments)
    except UsageError as error:
        Log().fail(str(error))
        return _FAILED
    settings = _settings(found)
    try:
        return _main(found, rest, settings, done)
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


def _main(found: dict[str, Any], rest: list[str], settings: Settings, done: Callable[[], None]) -> int:
    if found.get("version"):
        print(_version(), end="")
        return 0
    if found.get("help") or not rest or rest[0] == "help":
        print(_help(), end="")
        return 0
    name, *arguments = rest
    if name not in COMMANDS:
        raise UsageError(f"{name!r} is not a command; see {PROGRAM} --help")
    module = __import__(f"pycgroups.oci_cli.{name}", fromlist=["COMMAND"])  # importlib is another module to load
    return _call(module.COMMAND, name, settings, arguments, done)


def _call(command: Command, name: str, settings: Settings, arguments: list[str], done: Callable[[], None]) -> int:
    log = settings.log
    log.write("debug", f"{name} {' '.join(arguments)}")
    try:
        given = command.read(name, settings, arguments, done)
        if given.flags.get("help"):
            print(command.help(PROGRAM, name), end="")
            return 0
        code = command.run(given)
    except (Error, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        log.write("debug", f"{name} failed: {error!r}, because of {error.__cause__ or error.__context__!r}")
        log.fail(str(error))
        return command.failed
    done()
    return code


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
