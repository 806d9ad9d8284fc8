"""Which commands there are, the one that is asked for, and what is told of its errors."""

from __future__ import annotations

import sys

from pycgroups.cli import BY_SIGNAL, FAILED, NOT_EXECUTABLE, NOT_FOUND, OURS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.errors import Error

CONTAINERS = {
    "run": "run a program in a container",
    "explain": "show what run would do, and do nothing",
    "record": "run a program, and write down the system calls that it needs",
    "doctor": "tell what works on this host, and what mends the rest",
}
HELD = {
    "ps": "list the containers that run",
    "create": "make a container, to be started later",
    "start": "start containers",
    "stop": "stop containers: ask, then kill",
    "restart": "stop containers, and start them",
    "kill": "send a signal to containers",
    "pause": "freeze containers",
    "unpause": "resume paused containers",
    "wait": "wait for the end of containers, and tell their exit codes",
    "rm": "remove containers",
    "rename": "give a container another name",
    "update": "change limits of containers, and their restart policy",
    "exec": "run another program in a container",
    "attach": "join a container that runs: its output, and its input",
    "logs": "show what a container has written",
    "stats": "show what containers use, as it changes",
    "top": "list the processes of a container",
    "port": "list the ports that a container listens on",
    "events": "tell what happens to containers and volumes",
    "cp": "copy files into a container, and out of it",
    "diff": "tell what a container has changed of its image",
    "commit": "make an image of a container",
    "fork": "make containers that begin with the files of another one",
    "export": "write a tar of all files of a container",
}
IMAGES = {
    "pull": "fetch images from a registry or another place",
    "push": "send an image to a registry or another place",
    "images": "list the images that are here",
    "tag": "give an image another name",
    "rmi": "take away names of images, and what no other image needs",
    "inspect": "tell all of containers and images as JSON",
    "history": "tell what made an image, step by step",
    "save": "write images to an archive",
    "load": "take the images of an archive",
    "import": "make an image of a root file system",
    "copy": "copy an image from anywhere to anywhere",
    "image": "look after the store: df, prune, verify, repair",
    "login": "try a user and a password at a registry, and keep them",
    "logout": "forget the login for a registry",
}
VOLUMES = {
    "volume": "look after volumes: create, ls, inspect, rm, prune",
}
SYSTEM = {
    "container": "look after containers: prune",
    "system": "look after all of the store: df, prune",
}
SHELL = {
    "completion": "have a shell complete commands, flags and names",
}
COMMANDS = CONTAINERS | HELD | IMAGES | VOLUMES | SYSTEM | SHELL
_OF_IMAGES = ("pull", "push", "tag", "inspect", "history", "save", "load", "import")
DOCKERS: dict[str, dict[str, str]] = {
    "container": {"ls": "ps", "list": "ps"} | {name: name for name in ["run", "inspect", *HELD]},
    "image": {"ls": "images", "list": "images", "rm": "rmi"} | {name: name for name in _OF_IMAGES},
}
"""What docker has in two words, and we in one as well."""
_OF_VERBS = frozenset({"start", "stop", "restart", "kill", "pause", "unpause", "wait", "rm", "rename"})
_LIKE_RUN = {*CONTAINERS, "create", "exec"}
_MODULES = {"import": "import_", "exec": "exec_"}
_SIGINT, _SIGPIPE = 2, 13


def _in_one_word(arguments: list[str]) -> list[str]:
    first, second = [*arguments[:2], "", ""][:2]
    one = DOCKERS.get(first, {}).get(second)
    return arguments if one is None else [one, *arguments[2:]]


def perform(arguments: list[str]) -> int:
    """Run the command that these ask for, and tell of its error; the exit code."""
    if arguments[:1] == ["help"] and arguments[1:]:
        arguments = [*arguments[1:], "--help"]
    arguments = _in_one_word(arguments)
    failed = FAILED if arguments and arguments[0] in COMMANDS.keys() - _LIKE_RUN else OURS
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        if failed == FAILED:
            _complain("interrupted")
        return BY_SIGNAL + _SIGINT
    except Exception as error:
        from pycgroups.errors import Error

        if not isinstance(error, (Error, OSError)):
            raise
        return _tell(error, failed)


def _main(arguments: list[str]) -> int:
    code = _command(*arguments or ["--help"])
    sys.stdout.flush()  # here, where it is told that the disk is full
    return code


def _command(name: str, *arguments: str) -> int:
    rest = list(arguments)
    if name in COMMANDS:
        if name in _OF_VERBS:
            from pycgroups.cli import verbs

            return verbs.main(rest, name)
        # Not by importlib, which is another module to load.
        module = _MODULES.get(name, name)
        command: int = __import__(f"pycgroups.cli.{module}", fromlist=["main"]).main(rest)
        return command
    if name == "__complete":
        from pycgroups.cli.completion import complete

        return complete(rest)
    if name in {"--help", "-h", "help"}:
        print(_help(), end="")
        return 0
    if name == "--version":
        import pycgroups

        print(f"pycgroups {pycgroups.__version__}")
        return 0
    _complain(f"{name!r} is not a command{_meant(name)} (see pycgroups --help)")
    return OURS


def _meant(name: str) -> str:
    from pycgroups.cli import elsewhere
    from pycgroups.misnamed import nearest

    if name in elsewhere.COMMANDS:
        return f"; {elsewhere.COMMANDS[name]}"
    near = nearest(name, COMMANDS)
    return f"; did you mean {near!r}?" if near else ""


def _tell(error: Error | OSError, failed: int) -> int:
    """Say what went wrong, in one line."""
    from pycgroups.cli.flags import UsageError
    from pycgroups.errors import CommandNotExecutable, CommandNotFound, Error

    if isinstance(error, BrokenPipeError):  # who read our output has enough of it
        return BY_SIGNAL + _SIGPIPE
    _complain(_of_system(error) if isinstance(error, OSError) and not isinstance(error, Error) else str(error))
    if isinstance(error, CommandNotFound):
        return NOT_FOUND
    if isinstance(error, CommandNotExecutable):
        return NOT_EXECUTABLE
    return OURS if isinstance(error, UsageError) else failed


def _of_system(error: OSError) -> str:
    """Tell of an error as ours are told: on what, and why, in words."""
    from pycgroups.errors import Error

    if not error.errno or type(error).__module__ != "builtins":  # whose number is of a library
        return str(error) or type(error).__name__
    path = error.filename if isinstance(error.filename, (str, bytes)) else None
    return str(Error(operation="" if path else "use stdin or stdout", path=path, errno=error.errno))


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
            *(f"  {name.ljust(width)}  {what}" for name, what in CONTAINERS.items()),
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in HELD.items()),
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in IMAGES.items()),
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in VOLUMES.items()),
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in SYSTEM.items()),
            "",
            *(f"  {name.ljust(width)}  {what}" for name, what in SHELL.items()),
            "",
            "As with docker, `container ls` is ps, `container rm` is rm, `image ls` is images, and so on.",
            "",
            "  --help     show this help; pycgroups COMMAND --help tells more",
            "  --version  which version this is",
            "",
            "Images, containers and volumes are in $PYCGROUPS_STORE; by default /var/lib/pycgroups for root, and",
            "~/.local/share/pycgroups for others.",
            "",
        ]
    )
