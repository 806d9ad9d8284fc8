"""What a command is: flags and words, and what is done with them."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag, UsageError, describe, parse, parse_anywhere
from pycgroups.oci_cli.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NamedTuple

    from pycgroups.runtime import Container, Executed
else:
    from pycgroups.records import NamedTuple


def count(text: str) -> int:
    """Read a number of things."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("a number from 0 on")
    return int(text)


def one_of(*words: str) -> Callable[[str], str]:
    """Make what reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(", ".join(words))
        return text

    return read


FORMAT = Flag("--format -f", "table (the default) or json", value="FORMAT", read=one_of("table", "json"))
BUNDLE = Flag("--bundle -b", "the directory of its config.json; the current one by default", value="DIRECTORY")
PID_FILE = Flag("--pid-file", "a file that gets the pid of the process", value="FILE")
CONSOLE_SOCKET = Flag("--console-socket", "a Unix socket that gets the master of its terminal", value="SOCKET")
PIDFD_SOCKET = Flag("--pidfd-socket", "a Unix socket that gets a pidfd of its process", value="SOCKET")
PRESERVE_FDS = Flag(
    "--preserve-fds", "how many descriptors it gets, from 3 on, beyond $LISTEN_FDS", value="N", read=count
)
DETACH = Flag("--detach -d", "do not wait for its end")
_HELP = Flag("-h", "as --help", word="help")


class Settings(NamedTuple):
    """What the flags before the command say.

    Attributes:
        root: where the state of containers is kept; None for the default.
        log: where errors are told.
        manager: who makes cgroups: "cgroupfs", "systemd" or "disabled".
        criu: the program for checkpoints.
    """

    root: str | None = None
    log: Log = Log()
    manager: str = "cgroupfs"
    criu: str = "criu"


def nothing() -> None:
    """Do it."""


class Given(NamedTuple):
    """What a command is asked for.

    Attributes:
        settings: what the flags before it say.
        flags: the values of its flags, by word.
        words: its other words.
        done: to be called once all is loaded that it needs; without, that is at its end.
    """

    settings: Settings
    flags: dict[str, Any]
    words: list[str]
    done: Callable[[], None] = nothing

    def container(self) -> Container:
        """Find the container that the first word names.

        Raises:
            NotFound: it does not exist.
        """
        from pycgroups import runtime

        return runtime.get(self.words[0], root=self.settings.root)


class Command(NamedTuple):
    """One command.

    Attributes:
        run: does it; returns the exit code.
        usage: what comes after its name.
        about: what it does.
        flags: its flags.
        least: how many words it needs.
        most: how many it takes; -1 for any number, which are another program's with their flags.
        failed: the exit code of an error.
    """

    run: Callable[[Given], int]
    usage: str
    about: str
    flags: tuple[Flag, ...] = ()
    least: int = 1
    most: int = 1
    failed: int = 1

    def read(
        self, name: str, settings: Settings, arguments: Sequence[str], done: Callable[[], None] = nothing
    ) -> Given:
        """Read what comes after the name of the command.

        Raises:
            UsageError: a flag is wrong, or a word is missing or too many.
        """
        flags, words = self._parse(arguments)
        if "help" not in flags:
            self._count(name, len(words))
        return Given(settings, flags, words, done)

    def _parse(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        known = (*self.flags, _HELP)
        if self.most >= 0:
            return parse_anywhere(known, arguments)
        flags, words, _ = parse(known, arguments)
        return flags, words

    def _count(self, name: str, count: int) -> None:
        """Refuse too few words and too many, as runc does."""
        if self.least == self.most != count:
            raise UsageError(f'"{name}" requires exactly {self.least} argument(s): {name} {self.usage}')
        if count < self.least:
            raise UsageError(f'"{name}" requires a minimum of {self.least} argument(s): {name} {self.usage}')
        if 0 <= self.most < count:
            raise UsageError(f'"{name}" requires a maximum of {self.most} argument(s): {name} {self.usage}')

    def help(self, program: str, name: str) -> str:
        """Return the text of ``--help``."""
        return f"usage: {program} {name} {self.usage}\n\n{self.about}\n\n{describe(self.flags)}"


def warn(log: Log, made: Container | Executed) -> None:
    """Tell what went wrong and is no error, once."""
    while made.notices:
        log.write("warning", made.notices.pop(0))


def preserved(flags: dict[str, Any]) -> int:
    """Count the descriptors that a process gets beside its streams: what systemd handed to us, and --preserve-fds."""
    handed = os.environ.get("LISTEN_FDS", "")
    more: int = flags.get("preserve_fds", 0)
    return more + (count(handed) if handed else 0)
