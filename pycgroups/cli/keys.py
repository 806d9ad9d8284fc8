"""The keys that leave a container, which goes on: docker's ``--detach-keys``."""

from __future__ import annotations

from pycgroups.cli.flags import Flag

_CONTROL = 0x1F
CTRL_P_CTRL_Q = b"\x10\x11"


def read(text: str) -> bytes:
    """Read docker's notation: single characters and ctrl-LETTER, with commas between them; "" for none.

    Raises:
        ValueError: what is allowed.
    """
    result = b""
    for word in text.split(",") if text else ():
        control, letter = word[:5].lower() == "ctrl-", word[-1:]
        if not letter.isascii() or len(word) != (6 if control else 1) or (control and not "@" <= letter.upper() <= "_"):
            raise ValueError("keys as ctrl-p,ctrl-q")
        result += bytes([ord(letter.upper()) & _CONTROL]) if control else letter.encode()
    return result


DETACH_KEYS = Flag(
    "--detach-keys",
    "what leaves a container that has a terminal, and lets it go on; default ctrl-p,ctrl-q",
    value="KEYS",
    read=read,
)


def split(data: bytes, keys: bytes) -> tuple[bytes, bytes, bool]:
    """Find the keys that leave in what was typed.

    Returns:
        What is to be handed on; what may be the beginning of the keys; whether they are there.
    """
    before, found, _ = data.partition(keys) if keys else (data, b"", b"")
    if found:
        return before, b"", True
    begun = next((length for length in range(len(keys) - 1, 0, -1) if data.endswith(keys[:length])), 0)
    return data[: len(data) - begun], data[len(data) - begun :], False
