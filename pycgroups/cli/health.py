"""The flags of healthchecks: docker's."""

from __future__ import annotations

from pycgroups.cli.flags import Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}


def duration(text: str) -> float:
    """Take docker's way to write a time, as 30s, 1m30s or 500ms; or seconds."""
    import re

    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|us|\u00b5s|ns|s)", text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError("a time: 30s, 1m30s, 500ms")
    return float(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a whole number")
    return int(text)


FLAGS = (
    Flag("--health-cmd", "command that exits 0 when the container is well; default: the image's", value="COMMAND"),
    Flag("--health-interval", "time from one check to the next; default 30s", value="TIME", read=duration),
    Flag("--health-timeout", "time after which a check has failed; default 30s", value="TIME", read=duration),
    Flag("--health-retries", "failures in a row that make it unhealthy; default 3", value="N", read=_count),
    Flag(
        "--health-start-period",
        "time after the start in which failures do not count; default 0",
        value="TIME",
        read=duration,
    ),
    Flag("--health-start-interval", "time between checks in that period; default 5s", value="TIME", read=duration),
    Flag("--no-healthcheck", "no checks, whatever the image says"),
)
_WORDS = {
    "health_cmd": "test",
    "health_interval": "interval",
    "health_timeout": "timeout",
    "health_retries": "retries",
    "health_start_period": "start_period",
    "health_start_interval": "start_interval",
}


def asked(own: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the option ``healthcheck``; None if no flag says anything of it.

    Raises:
        UsageError: flags contradict each other.
    """
    found = {word: own[name] for name, word in _WORDS.items() if name in own}
    if not own.get("no_healthcheck"):
        return found or None
    if found:
        raise UsageError("flag '--no-healthcheck': not with --health-...")
    return {"test": ["NONE"]}
