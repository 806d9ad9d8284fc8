"""JSON as text, read with suspicion: whatever it holds, the answer is plain data or `InvalidConfig`."""

from __future__ import annotations

# What json is made of; json itself loads re, which takes longer than to read a config.json.
from _json import encode_basestring_ascii, make_encoder, make_scanner

from pycgroups.errors import InvalidConfig, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci.reader import Keys

LARGEST_TEXT = 2**24
"""Bytes: 16 MiB, and a config.json has some 10 kB."""
_MOST_DIGITS = 100
_DEEPEST = 64


def parse(text: bytes | str, name: str) -> Any:
    """Return the dicts, lists and scalars of a JSON document, RFC 8259.

    Args:
        text: UTF-8 when it is bytes, up to `LARGEST_TEXT`.
        name: what the document is, for errors.

    Raises:
        InvalidConfig: it is no JSON, has a key twice, or numbers or nesting without measure.
    """
    if len(text) > LARGEST_TEXT:
        raise _invalid(name, f"{len(text)} bytes, allowed: up to {LARGEST_TEXT}")
    try:
        return _document(text if isinstance(text, str) else str(text, "utf-8"))
    except RecursionError:
        raise _invalid(name, "nested too deeply") from None
    except ValueError as error:
        raise _invalid(name, f"not JSON: {error}") from None


def dumps(document: object) -> str:
    """Return the JSON of plain dicts, lists, tuples and scalars: in ASCII, in one line, without blanks, as Go does."""
    return "".join(_ENCODER(document, 0))


def keep(value: object, name: str) -> str:
    """Return the JSON of a value that nobody here knows, to be written back as it was."""
    if _is_deeper(value, _DEEPEST):
        raise _invalid(name, f"nested too deeply: an unknown property may have {_DEEPEST} levels")
    return dumps(value)


def put_back(document: dict[str, Any], kept: tuple[tuple[Keys, str], ...]) -> None:
    """Set what `keep` kept where it was in the document, unless its place is gone."""
    for (*way, last), text in kept:
        place: Any = document
        try:
            for key in way:
                place = place[key]
        except (LookupError, TypeError):
            continue
        if isinstance(place, dict):
            place.setdefault(last, _document(text))


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in inner))


def _document(text: str) -> Any:
    try:
        document, end = _scan(text, len(text) - len(text.lstrip(_BLANKS)))
    except StopIteration as stopped:
        raise _misplaced("Expecting value", text, stopped.value) from None
    rest = text[end:].lstrip(_BLANKS)
    if rest:
        raise _misplaced("Extra data", text, len(text) - len(rest))
    return document


def _scan(text: str, start: int) -> tuple[Any, int]:
    try:
        return _SCANNER(text, start)
    except SystemError:  # Python 3.11 finds json's error only where json has been imported
        import json  # noqa: F401

        return _SCANNER(text, start)


def _misplaced(message: str, text: str, position: int) -> ValueError:
    from json import JSONDecodeError  # as the scanner does; it counts lines

    return JSONDecodeError(message, text, position)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key twice: readers differ in which one counts, so that one may check what another runs; RFC 8259, 4."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {shown(next(name for name in names if names.count(name) > 1))} twice in one object")
    return result


def _integer(digits: str) -> int:
    """Refuse before int() does, which takes quadratic time where its own limit is off."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not abs(number) < float("inf"):
        raise ValueError(f"the number {text[:_MOST_DIGITS]}")
    return number


def _no_json(value: object) -> None:
    raise TypeError(f"{shown(value)} is nothing that JSON has")


class _Hooks:
    """What `json.JSONDecoder` is to its scanner."""

    strict = True
    object_hook = None
    object_pairs_hook = _object
    parse_int = _integer
    parse_float = _finite
    parse_constant = _finite


_SCANNER = make_scanner(_Hooks)  # type: ignore[arg-type]  # any object with these attributes
_ENCODER = make_encoder(None, _no_json, encode_basestring_ascii, None, ":", ",", False, False, False)
_BLANKS = " \t\n\r"


def _invalid(name: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=name)
