"""``pycgroups exec``: another program in a container that runs, with the streams of the command itself."""

from __future__ import annotations

import time

from pycgroups.cgroups.limits import WORDS
from pycgroups.cli import options, shell_code
from pycgroups.cli.flags import Flag, UsageError, describe, parse
from pycgroups.cli.text import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.containers.container import Container

FLAGS = (
    Flag("--interactive -i", "pass our stdin to the program. Without it stdin is empty"),
    Flag("--tty -t", "a terminal of its own"),
    Flag("--detach -d", "start it, and leave it to itself: it reads nothing, and nobody has its output"),
    Flag(
        "--env -e", "a variable; NAME alone: the caller's own", value="NAME[=VALUE]", read=options.variable, many=True
    ),
    Flag("--env-file", "a file of such lines", value="FILE", many=True),
    Flag("--user -u", "who it is", value="USER[:GROUP]"),
    Flag("--workdir -w", "where it starts", word="cwd", value="DIR"),
    *(flag for flag in options.FLAGS if flag.word in {*WORDS, "require_limits"}),
)
LINE = "exec [FLAGS] CONTAINER [--] COMMAND [ARG ...]"
ABOUT = """\
Run another program in a container; its exit code is this command's, as of pycgroups run. With -t, Ctrl-C and Ctrl-Z
are inside; without, signals are passed on. It ends with this command, unless that has started it with -d. Limits are
its own, on top of the container's; with any, all that it has started ends with it."""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.exec` names, or a UsageError.
    """
    found, words, _ = parse(FLAGS, arguments)
    if words[1:2] == ["--"]:
        del words[1]
    if found.pop("help", False):
        print(f"usage: pycgroups {LINE}\n\n{ABOUT}\n\n{describe(FLAGS)}", end="")
        return 0
    if len(words) < 2:  # noqa: PLR2004 (a container, and a program)
        raise UsageError(f"it is: pycgroups {LINE}; see --help")
    from pycgroups import containers

    interactive, tty, detach = (found.pop(word, False) for word in ("interactive", "tty", "detach"))
    _settle_environment(options.settled(found))
    held, command = containers.get(words[0]), words[1:]
    if detach and (interactive or tty):
        raise UsageError("flag '--detach': nobody is there to type, and to see; not with -i or -t")
    if interactive and tty:
        from pycgroups.cli.console import require_keyboard

        require_keyboard()
    if detach:
        held.exec_detached(command, **found)
        return 0
    return _run(held, command, found, interactive=interactive, tty=tty)


def _settle_environment(found: dict[str, Any]) -> None:
    """Join what files and flags say of the environment; a flag wins."""
    from pycgroups.containers import values
    from pycgroups.containers.options import env_file, environment

    words: dict[str, str] = {}
    for path in found.pop("env_file", ()):
        words.update(env_file(values.read_text(path, "env_file"), "env_file"))
    words.update(environment(found.pop("env", ()), "env"))
    found["env"] = words


def _run(held: Container, command: list[str], asked: dict[str, Any], *, interactive: bool, tty: bool) -> int:
    import signal

    from pycgroups.cli import signals
    from pycgroups.cli.console import Console, raw, window_size
    from pycgroups.containers import inner
    from pycgroups.containers.streams import DEVNULL, Streams

    limits: Any = {word: asked.pop(word) for word in WORDS if word in asked}
    asked["limits"] = inner.limits_of(limits)
    if tty:
        console = Console(keyboard=interactive)
        streams: Streams = console
        asked |= {"tty": True, "size": window_size()}
    else:
        streams = Streams(stdin=None if interactive else DEVNULL, stdout=None, stderr=None, data=None)
    executed, begun = None, time.monotonic()
    try:
        with signals.held_back():
            executed = held.launch(command, streams.child, **asked)
            signals.hand_on(executed.signal, held.config.stop_timeout if tty else None)
        if executed.unenforced:
            complain(f"not in force on this host: {', '.join(executed.unenforced)} (pycgroups doctor tells why)")
        with raw(wanted=tty and interactive):
            if tty:
                signal.signal(signal.SIGWINCH, lambda *_: console.resize())
            return shell_code(inner.complete(executed, streams, None, begun)[0])
    finally:
        if executed is not None:
            executed.close()
        streams.close()
