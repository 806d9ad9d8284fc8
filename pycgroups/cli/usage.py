"""What a command takes, for those that describe no container: docker's grammar, flags before and after the words."""

from __future__ import annotations

import sys

from pycgroups.cli.flags import UsageError, describe, parse_anywhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NamedTuple, TypeVar

    from pycgroups.cli.flags import Flag

    T = TypeVar("T")
    Commands = Mapping[str, "tuple[Usage, Callable[[dict[str, Any]], int]]"]
else:
    from pycgroups.records import NamedTuple


class Usage(NamedTuple):
    """A command.

    Attributes:
        line: what is written: ``pull [FLAGS] IMAGE [IMAGE ...]``.
        about: what it does, for help.
        flags: its flags.
        least: how many words it needs.
        most: how many it can take.
    """

    line: str
    about: str
    flags: tuple[Flag, ...] = ()
    least: int = 0
    most: int = sys.maxsize

    def read(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
        """Return the values of the flags, and the words; None when it was help that was wanted, and was given.

        Raises:
            UsageError: a flag is wrong, or there are too many or too few words.
        """
        found, words = parse_anywhere(self.flags, arguments)
        if found.get("help"):
            print(f"usage: pycgroups {self.line}\n\n{self.about}\n\n{describe(self.flags)}", end="")
            return None
        if not self.least <= len(words) <= self.most:
            raise UsageError(f"it is: pycgroups {self.line}; see --help")
        return found, words


def run_one(command: str, about: str, commands: Commands, arguments: Sequence[str]) -> int:
    """Run one command of several, as ``image df``, which takes no words; the exit code.

    Raises:
        UsageError: there is none of this name, or its flags are wrong.
    """
    chosen = choose(command, about, commands, arguments)
    if chosen is None:
        return 0
    (usage, run), rest = chosen
    asked = usage.read(rest)
    return 0 if asked is None else run(asked[0])


def choose(command: str, about: str, commands: Mapping[str, T], arguments: Sequence[str]) -> tuple[T, list[str]] | None:
    """Find which command of several it is, as ``volume ls``: what stands for it, and its arguments; None after help.

    Raises:
        UsageError: there is none of this name.
    """
    name, *rest = arguments or ["--help"]
    if name == "--help":
        print(about, end="")
        return None
    if name not in commands:
        raise UsageError(f"it is: pycgroups {command} {'|'.join(commands)}, and not {name!r}; see --help")
    return commands[name], rest
