"""JSON as text, read with suspicion: whatever it holds, the answer is plain data or `InvalidConfig`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pycgroups.errors import InvalidConfig, shown

if TYPE_CHECKING:
    from pycgroups.oci.model import Keys

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
        return json.loads(
            text if isinstance(text, str) else str(text, "utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError:
        raise _invalid(name, "nested too deeply") from None
    except ValueError as error:
        raise _invalid(name, f"not JSON: {error}") from None


def keep(value: object, name: str) -> str:
    """Return the JSON of a value that nobody here knows, to be written back as it was."""
    if _is_deeper(value, _DEEPEST):
        raise _invalid(name, f"nested too deeply: an unknown property may have {_DEEPEST} levels")
    return json.dumps(value)


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
            place.setdefault(last, json.loads(text))


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_is_deeper(item, levels - 1) for item in inner))


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


def _invalid(name: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=name)
