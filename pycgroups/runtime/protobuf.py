"""Messages in the encoding of protocol buffers, as far as criu uses it: numbers, texts, and messages in messages.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Value = int | bytes

_NUMBER, _BYTES = 0, 2  # wire types
_TYPE_BITS = 3
_PART_BITS = 7  # of a number in a byte, the lowest first; the highest bit says that another one follows
_MORE = 1 << _PART_BITS


def encode(*fields: tuple[int, Value]) -> bytes:
    """Encode a message of these fields by number. Numbers are not negative."""
    data = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            data += _number(number << _TYPE_BITS | _NUMBER) + _number(value)
        else:
            data += _number(number << _TYPE_BITS | _BYTES) + _number(len(value)) + value
    return bytes(data)


def decode(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message by number, in order.

    Raises:
        ValueError: it has others than numbers and bytes, or is cut off.
    """
    place = 0
    while place < len(data):
        key, place = _read(data, place)
        value, place = _read(data, place)
        kind = key & (1 << _TYPE_BITS) - 1
        if kind == _NUMBER:
            yield key >> _TYPE_BITS, value
        elif kind == _BYTES and place + value <= len(data):
            yield key >> _TYPE_BITS, data[place : place + value]
            place += value
        else:
            raise ValueError(f"a field of the type {kind}, or it is cut off")


def _number(value: int) -> bytes:
    data = bytearray()
    while value >= _MORE:
        data.append(value & _MORE - 1 | _MORE)
        value >>= _PART_BITS
    data.append(value)
    return bytes(data)


def _read(data: bytes, start: int) -> tuple[int, int]:
    """Read the number that starts there; that, and where it ends."""
    value = 0
    for place in range(start, len(data)):
        value |= (data[place] & _MORE - 1) << (place - start) * _PART_BITS
        if data[place] < _MORE:
            return value, place + 1
    raise ValueError("it is cut off")
