"""What an answer 401 asks for: the header ``WWW-Authenticate``; RFC 9110, 11.6.1.

    Bearer realm="https://auth.example/token",service="registry.example",scope="repository:me/app:pull"

Read in one pass, whatever it holds: what is not understood is left out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

_LONGEST_HEADER = 8 * 2**10
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_UNQUOTED = _TOKEN | {*"/=:?@"}
_BLANKS = " \t"


class Challenge(NamedTuple):
    """One way to be let in.

    Attributes:
        scheme: in lower case: ``basic``, ``bearer``.
        parameters: by name in lower case; of two with one name the first.
    """

    scheme: str
    parameters: dict[str, str]


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of an answer, in their order.

    Args:
        headers: the values of ``WWW-Authenticate``; one that is longer than 8 KiB says nothing.
    """
    return [found for header in headers if len(header) <= _LONGEST_HEADER for found in _Scanner(header).challenges()]


class _Scanner:
    """A place in a header; each step moves it on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def challenges(self) -> list[Challenge]:
        """Read schemes with their parameters. A word with ``=`` behind it is a parameter, any other a scheme."""
        found: list[Challenge] = []
        while self._at < len(self._text):
            self._skip(_BLANKS + ",")
            word = self._word(_TOKEN)
            self._skip(_BLANKS)
            if not word:
                self._at += 1
            elif self._peek() == "=":
                self._at += 1
                self._skip(_BLANKS)
                value = self._value()
                if found:
                    found[-1].parameters.setdefault(word.lower(), value)
            else:
                found.append(Challenge(word.lower(), {}))
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, chars: str) -> None:
        while self._peek() and self._peek() in chars:
            self._at += 1

    def _word(self, chars: frozenset[str]) -> str:
        begin = self._at
        while self._peek() in chars:
            self._at += 1
        return self._text[begin : self._at]

    def _value(self) -> str:
        if self._peek() != '"':
            return self._word(_UNQUOTED)
        self._at += 1
        chars = []
        while (char := self._peek()) and char != '"':
            self._at += 1
            if char == "\\" and self._peek():
                char = self._peek()
                self._at += 1
            chars.append(char)
        self._at += 1
        return "".join(chars)
