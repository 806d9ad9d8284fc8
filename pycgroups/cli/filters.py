"""Docker's ``ps --filter``: which containers are wanted. Pure."""

from __future__ import annotations

from pycgroups.cli import patterns
from pycgroups.cli.flags import pair_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Facts = Mapping[str, Any]

_DOCKERS = {"exited": "stopped"}
_STATUSES = ("created", "running", "paused", "restarting", "stopped", "exited", "damaged")
_HEALTHS = ("starting", "healthy", "unhealthy", "none")
_LABELS = "label"


def _has_label(facts: Facts, wanted: str) -> bool:
    labels, (name, given, value) = _labels(facts), wanted.partition("=")
    return name in labels and (not given or labels[name] == value)


def _labels(facts: Facts) -> dict[str, str]:
    return dict(facts.get("config", {}).get("labels", {}))


def _health(facts: Facts) -> str:
    return (facts["state"].get("health") or {}).get("status", "none") if "config" in facts else ""


def _has_volume(facts: Facts, wanted: str) -> bool:
    """Tell whether something is mounted by that name, or there."""
    config = facts.get("config", {})
    mounts = (*config.get("mounts", ()), *config.get("volumes", ()))
    return any(wanted in {mount.get("source"), mount.get("destination")} for mount in mounts)


_TESTS: dict[str, Callable[[Facts, str], bool]] = {
    "id": lambda facts, wanted: facts["id"].startswith(wanted),
    "name": lambda facts, wanted: patterns.is_called(facts["name"], wanted),
    _LABELS: _has_label,
    "status": lambda facts, wanted: facts["state"]["status"] == _DOCKERS.get(wanted, wanted),
    "exited": lambda facts, wanted: str(facts["state"].get("exit_code")) == wanted,
    "ancestor": lambda facts, wanted: (
        wanted in {facts.get("config", {}).get("image"), facts.get("image")}
        or str(facts.get("config", {}).get("image")).partition(":")[0] == wanted
    ),
    "health": lambda facts, wanted: _health(facts) == wanted,
    "volume": _has_volume,
    "network": lambda facts, wanted: "config" in facts and (facts["config"].get("network") or "none") == wanted,
    "before": lambda facts, wanted: "config" in facts and facts["created"] < wanted,
    "since": lambda facts, wanted: "config" in facts and facts["created"] > wanted,
}
MOMENTS = ("before", "since")
"""Filters by another container, whose moment of creation is to stand for it."""
WORDS = tuple(_TESTS)
_pair = pair_of(WORDS, {"status": _STATUSES, "health": _HEALTHS})


def read(text: str) -> tuple[str, str]:
    """Read a filter.

    Raises:
        ValueError: it is none.
    """
    word, value = _pair(text)
    return word, patterns.read(value) if word == "name" else value


def wants_all(filters: Sequence[tuple[str, str]]) -> bool:
    """Tell whether those that do not run are meant, too."""
    return any(word in {"status", "exited"} for word, _ in filters)


def matches(facts: Facts, filters: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a container is wanted: one of the values of each word, and all labels, are its own."""
    chosen: dict[str, list[bool]] = {}
    for word, value in filters:
        chosen.setdefault(word, []).append(_TESTS[word](facts, value))
    return all(all(found) if word == _LABELS else any(found) for word, found in chosen.items())
