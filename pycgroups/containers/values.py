"""Parsers of the kinds of values that options have: what may be written, turned into one normal form or refused.

Each takes what its own result is as well, so that a configuration can be copied with changes, and raises
`InvalidConfig` naming the option, what was got and what is allowed. Normal forms are hashable: tuples, and tuples
of pairs for dicts. Text is `str` in which bytes that are not UTF-8 travel as ``surrogateescape``, as in `os`.
"""

from __future__ import annotations

import operator
import os

# Not from collections.abc: that loads all of collections.
from _collections_abc import Mapping, Sequence

from pycgroups.errors import InvalidConfig, invalid, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias, TypeGuard, TypeVar

    T = TypeVar("T")
    Text: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


# PATH_MAX of limits.h counts the NUL at the end.
LONGEST_PATH = 4095
LONGEST_TIME = 10**9
# Text files that options name: an env_file, a seccomp profile. Docker's profile has 15 kB.
LARGEST_FILE = 2**20

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
ALNUM = LETTERS | frozenset("0123456789")

# str() of a str that is an Enum too gives the member's name; this gives its text.
exact = str.__str__


def flag(value: object, key: str) -> bool:
    """True or False and nothing else: ``"no"`` is true to Python."""
    if value is True or value is False:
        return value
    raise invalid(key, value, "True or False")


def integer(value: object, key: str, low: int, high: int) -> int:
    """Take an int, or what has ``__index__``, from ``low`` to ``high``; a bool is not an int here."""
    number = value if type(value) is int else _index(value)
    if number is None or not low <= number <= high:
        raise invalid(key, value, f"an int from {low} to {high}")
    return number


def _index(value: object) -> int | None:
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def seconds(value: object, key: str, *, zero: bool = False) -> float:
    """Take an int or float of seconds, finite and above 0 (or, with ``zero``, 0 as well)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (0 < value <= LONGEST_TIME or (zero and value == 0)):  # type: ignore[operator]
        raise invalid(key, value, f"seconds, an int or float {'from' if zero else 'above'} 0 up to {LONGEST_TIME:g}")
    return float(value)  # type: ignore[arg-type]


def choice(value: object, key: str, allowed: Sequence[str]) -> str:
    """Take one of some words."""
    if isinstance(value, str) and value in allowed:
        return exact(value)
    raise invalid(key, value, " or ".join(map(repr, allowed)))


def text(value: object, key: str) -> str:
    """Take what `os.fsencode` takes, without NUL."""
    if type(value) is not str:
        try:
            value = exact(os.fsdecode(value))  # type: ignore[arg-type]
        except TypeError:
            raise invalid(key, value, "text, bytes or a path") from None
    if "\0" in value:
        raise invalid(key, value, "text without NUL")
    if not value.isascii():
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise invalid(key, value, "text that the file system encoding can express") from None
    return value


def made_of(value: object, characters: frozenset[str], first: frozenset[str] = ALNUM) -> TypeGuard[str]:
    """Tell whether this is a str of these characters, begins with one of ``first``, and is not empty."""
    return isinstance(value, str) and value[:1] in first and characters.issuperset(value)


def is_number(value: str) -> bool:
    """Plain decimal: int() would also take other scripts' digits, signs, spaces and underscores."""
    return value.isascii() and value.isdigit() and (value == "0" or value[0] != "0") and len(value) <= 20  # noqa: PLR2004


def items(value: object, key: str, allowed: str) -> Sequence[object]:
    """Take a sequence that is not text: a str where a list belongs would be read letter by letter."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return tuple(value)
    raise invalid(key, value, allowed)


def pairs(value: object, key: str, form: str = "KEY=VALUE") -> Iterator[tuple[str, object, object]]:
    """Walk a mapping, or a sequence of ``KEY=VALUE``, or of another form, or of pairs: (key path, key, value) each."""
    separator = "=" if "=" in form else ":"
    allowed = f"a dict, or a list of '{form}'"
    if isinstance(value, Mapping):
        for word, item in value.items():
            yield f"{key}[{shown(word)}]", word, item
        return
    for index, item in enumerate(items(value, key, allowed)):
        where = f"{key}[{index}]"
        if isinstance(item, tuple) and len(item) == 2:  # noqa: PLR2004 (a pair)
            yield where, *item
            continue
        word, found, rest = text(item, where).partition(separator)
        if not found:
            raise invalid(where, item, f"'{form}'")
        yield where, word, rest


def each(parse: Callable[[Any, str], T], what: str) -> Callable[[Any, str], tuple[T, ...]]:
    """Make the parser of a list of ``what`` from that of one."""

    def parse_all(value: object, key: str) -> tuple[T, ...]:
        return tuple([parse(item, f"{key}[{index}]") for index, item in enumerate(items(value, key, what))])

    return parse_all


def read_text(path: str, key: str) -> str:
    """Read a file that an option names, up to 1 MiB (no endless device).

    Raises:
        InvalidConfig: it cannot be read, or is larger.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        message = f"cannot read {shown(path)}"
        raise InvalidConfig(message, operation="option", path=key, errno=error.errno) from error
    if len(content) > LARGEST_FILE:
        raise invalid(key, path, f"a file of at most {LARGEST_FILE} bytes")
    return os.fsdecode(content)


def host_path(value: object, key: str) -> str:
    """Take a path on the host; a relative one starts at the caller's working directory.

    ``..`` stays for the kernel to resolve: before it may be a symbolic link.
    """
    path = text(value, key)
    if not path.startswith("/"):
        if not path:
            raise invalid(key, value, "a path")
        try:
            path = os.path.join(os.getcwd(), path)
        except OSError as error:
            message = f"{shown(path)} is relative and there is no working directory"
            raise InvalidConfig(message, operation="option", path=key, errno=error.errno) from error
    return _short(path, key)


def inside_path(value: object, key: str) -> str:
    """Take an absolute path in the container, and normalise it; ``..`` is refused, not resolved."""
    path = text(value, key)
    parts = path.split("/")
    if path[:1] != "/" or ".." in parts:
        raise invalid(key, value, "an absolute path without '..'")
    return _short("/" + "/".join([part for part in parts if part not in {"", "."}]), key)


def _short(path: str, key: str) -> str:
    if len(path) > LONGEST_PATH or len(os.fsencode(path)) > LONGEST_PATH:
        raise invalid(key, path, f"a path of at most {LONGEST_PATH} bytes")
    return path


def inside_paths(value: object, key: str) -> tuple[str, ...]:
    """Take some absolute paths in the container."""
    paths = items(value, key, "a list of absolute paths")
    return tuple([inside_path(path, f"{key}[{index}]") for index, path in enumerate(paths)])
