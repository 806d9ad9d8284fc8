"""What the commands say, fit for a terminal."""

from __future__ import annotations

import sys


def complain(message: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"pycgroups: {escaped(message)}\n")


def escaped(text: str) -> str:
    """Write out what would steer a terminal: names and messages may come from a hostile image."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else ascii(char)[1:-1] for char in text])


def is_sure(what: str) -> bool:
    """Ask; only a clear yes is one."""
    sys.stderr.write(f"{what} Are you sure? [y/N] ")
    sys.stderr.flush()
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):
            sys.stderr.write("\n")
    return answer.strip().lower() in {"y", "yes"}
