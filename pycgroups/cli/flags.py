"""Docker's grammar of flags (that of Go's pflag), from a table.

    --name VALUE   --name=VALUE   -n VALUE   -nVALUE   -n=VALUE   --switch   --switch=false   -abc

The first word that is no flag ends them, as does ``--``: what follows belongs to the program. argparse has another
grammar, and would take a quarter of the time that the whole command has.
"""

from __future__ import annotations

from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_OF_RUN = "--volume"
"""A flag of commands that take all that docker's run takes."""
_BOOLEANS = {word: value for value, words in ((True, "1 t true"), (False, "0 f false")) for word in words.split()}


class UsageError(Error):
    """The command line is wrong."""


class Flag:
    """One line of a table of flags.

    Attributes:
        names: all its names, the longest first: ``("--env", "-e")``.
        word: the key of its value in what `parse` returns.
        value: how help calls its value; empty for a switch.
        read: makes the value of the text, or raises ValueError with what is allowed; by default it is the text.
        many: it may be given again, and the value is a list.
        on: what a switch sets its word to.
        text: what it does, for help.
    """

    __slots__ = ("many", "names", "on", "read", "text", "value", "word")

    def __init__(
        self,
        names: str,
        text: str,
        *,
        word: str = "",
        value: str = "",
        read: Callable[[str], Any] | None = None,
        many: bool = False,
        on: bool = True,
    ) -> None:
        """Take the names in one string; the word is the first of them if it is not given."""
        self.names = tuple(names.split())
        self.word = word or self.names[0][2:].replace("-", "_")
        self.value = value
        self.read = read
        self.many = many
        self.on = on
        self.text = text


HELP = Flag("--help", "show this help")


def one_of(*words: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(", ".join(words))
        return text

    return read


def pair_of(words: Sequence[str], values: Mapping[str, Sequence[str]]) -> Callable[[str], tuple[str, str]]:
    """Return what reads WORD=VALUE: one of these words, and for some of them one of its values."""

    def read(text: str) -> tuple[str, str]:
        word, found, value = text.partition("=")
        if not found or word not in words:
            raise ValueError(", ".join(f"{each}=..." for each in words))
        if value not in values.get(word, (value,)):
            raise ValueError(", ".join(f"{word}={each}" for each in values[word]))
        return word, value

    return read


def parse(flags: Sequence[Flag], arguments: Sequence[str]) -> tuple[dict[str, Any], list[str], bool]:
    """Read the flags at the beginning.

    Returns:
        The values by word; the words after the flags; whether ``--`` is what ended the flags.

    Raises:
        UsageError: a flag is unknown, or its value is missing or wrong.
    """
    found: dict[str, Any] = {}
    rest = list(arguments)
    return found, rest, _parse(found, _known(flags), rest)


def parse_anywhere(flags: Sequence[Flag], arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Read flags wherever they stand, up to ``--``; runc's grammar.

    Returns:
        The values by word; all other words.

    Raises:
        UsageError: as `parse`.
    """
    known = _known(flags)
    found: dict[str, Any] = {}
    words: list[str] = []
    rest = list(arguments)
    while not _parse(found, known, rest) and rest:
        words.append(rest.pop(0))
    return found, words + rest


def _known(flags: Sequence[Flag]) -> dict[str, Flag]:
    return {name: flag for flag in (*flags, HELP) for name in flag.names}


def _parse(found: dict[str, Any], known: dict[str, Flag], rest: list[str]) -> bool:
    """Take the flags at the beginning of the rest; True if ``--`` ended them."""
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            return True
        if word.startswith("--"):
            name, given, value = word.partition("=")
            _take(found, _find(known, name), name, value if given else None, rest)
        else:
            _take_short(found, known, word[1:], rest)
    return False


def _find(known: dict[str, Flag], name: str) -> Flag:
    if name in known:
        return known[name]
    from pycgroups.cli import elsewhere  # for errors alone
    from pycgroups.misnamed import nearest

    if _OF_RUN in known and name in elsewhere.FLAGS:
        raise UsageError(f"unknown flag {name!r}: {elsewhere.FLAGS[name]}")
    near = nearest(name.lstrip("-"), [each[2:] for each in known if each.startswith("--")])
    meant = f" did you mean '--{near}'?" if near else ""
    raise UsageError(f"unknown flag {name!r};{meant} see --help")


def _take_short(found: dict[str, Any], known: dict[str, Flag], letters: str, rest: list[str]) -> None:
    while letters:
        name, letters = f"-{letters[0]}", letters[1:]
        flag = _find(known, name)
        if flag.value or letters.startswith("="):
            _take(found, flag, name, letters.removeprefix("=") if letters else None, rest)
            return
        _take(found, flag, name, None, rest)


def _take(found: dict[str, Any], flag: Flag, name: str, value: str | None, rest: list[str]) -> None:
    if value is None and flag.value:
        if not rest:
            raise UsageError(f"flag {name!r} needs a value: {flag.value}")
        value = rest.pop(0)
    result = _read(flag, name, value)
    if flag.many:
        found.setdefault(flag.word, []).append(result)
    else:
        found[flag.word] = result


def _read(flag: Flag, name: str, value: str | None) -> Any:
    if flag.value:
        assert value is not None
        try:
            return value if flag.read is None else flag.read(value)
        except ValueError as error:
            if isinstance(error, Error):
                raise
            raise UsageError(f"flag {name!r}: {value!r} is not right; allowed: {error.args[0]}") from None
    given = True if value is None else _BOOLEANS.get(value.lower())
    if given is None:
        raise UsageError(f"flag {name!r}: {value!r} is not right; allowed: true, false")
    return given is flag.on


def describe(flags: Sequence[Flag]) -> str:
    """List the flags for help, one a line."""
    rows = [(_shown(flag), flag.text) for flag in (*flags, HELP)]
    width = max(len(shown) for shown, _ in rows)
    return "".join(f"  {shown.ljust(width)}  {text}\n" for shown, text in rows)


def _shown(flag: Flag) -> str:
    short = next((name for name in flag.names if not name.startswith("--")), "")
    names = ", ".join(name for name in flag.names if name.startswith("--"))
    return f"{short + ',' if short else '   '} {names}{' ' if flag.value else ''}{flag.value}"
