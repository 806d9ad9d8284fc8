"""``pycgroups events``: what happens to containers and volumes, whichever process does it."""

from __future__ import annotations

from signal import SIGINT

from pycgroups.cgroups.limits import WORDS
from pycgroups.cli import BY_SIGNAL, shell_code
from pycgroups.cli.flags import Flag, pair_of
from pycgroups.cli.tables import as_object
from pycgroups.cli.text import escaped
from pycgroups.cli.times import moment
from pycgroups.cli.usage import Usage
from pycgroups.containers.events import ACTIONS, ATTRIBUTES, KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycgroups.containers.events import Event


_CODE = "exit_code"
_KEYS = (*KINDS, "type", "event", "id", "name", *ATTRIBUTES, "restart", *WORDS)

USAGE = Usage(
    "events [FLAGS]",
    f"""\
Tell what happens to containers and volumes from now on, whichever process does it, until Ctrl-C.

TIME is seconds since 1970, 2026-01-31T12:00:00Z, or 10m for that long ago.

KEY is container or volume (a name, or the beginning of an id), type, event, id, name, or an attribute:
{", ".join(ATTRIBUTES)}, or of an update the option, as memory.
Values of one KEY are alternatives. An event is
{", ".join(ACTIONS)}.

A template has fields as {{{{.Action}}}}: Type, Action, ID, Name, Time, TimeNano, and
{{{{index .Attributes "exit_code"}}}}; and what docker calls Status, Actor.ID and Actor.Attributes.""",
    (
        Flag("--since", "begin with what has happened since then", value="TIME", read=moment),
        Flag("--until", "end then", value="TIME", read=moment),
        Flag(
            "--filter -f",
            "tell of these alone",
            value="KEY=VALUE",
            read=pair_of(_KEYS, {"type": KINDS, "event": ACTIONS}),
            many=True,
        ),
        Flag("--stream", "--stream=false tells what has happened, and waits for nothing"),
        Flag("--format", "text, a template, or json: an object a line", value="FORM"),
    ),
    most=0,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: the events cannot be read, or a UsageError.
    """
    import time

    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, _ = asked
    from pycgroups.containers import collection

    things: dict[str, list[str]] = {}
    facts: dict[str, set[str]] = {}
    for key, value in found.get("filter", ()):
        if key in KINDS:
            things.setdefault(key, []).append(value)
        else:
            facts.setdefault("action" if key == "event" else key, set()).update(
                _kept(value) if key == _CODE else [value]
            )
    until = found.get("until")
    follow = found.get("stream", True) and (until is None or until > time.time())
    told = collection.default().events.read(since=found.get("since"), until=until, follow=follow, filters=facts)
    show = _shown(found.get("format", "text"))
    try:
        for event in told:
            if not things or _is_one(event, things):
                print(show(_told(event)), flush=True)
    except KeyboardInterrupt:  # the usual end
        return BY_SIGNAL + SIGINT
    return 0


def _kept(code: str) -> list[str]:
    """Return how Python may have told of a shell's exit code."""
    is_signal = code.isdecimal() and int(code) > BY_SIGNAL
    return [code, str(BY_SIGNAL - int(code))] if is_signal else [code]


def _told(event: Event) -> Event:
    code = event.attributes.get(_CODE, "")
    is_signal = code.startswith("-")
    return event._replace(attributes=event.attributes | {_CODE: str(shell_code(int(code)))}) if is_signal else event


def _is_one(event: Event, things: dict[str, list[str]]) -> bool:
    """Tell whether an event is of one of the things that are asked for."""
    return any(event.name == word or (word and event.id.startswith(word)) for word in things.get(event.type, ()))


def _shown(form: str) -> Callable[[Event], str]:
    """Return what makes a line of an event.

    Raises:
        UsageError: the template is none.
    """
    if form == "text":
        return _line
    if form == "json":
        import json

        return lambda event: json.dumps(as_object(event))
    from pycgroups.cli.templates import check, render
    from pycgroups.containers.events import Event

    check(form, _row(Event(0, "", "", "", "", {})))
    return lambda event: render(form, _row(event), harmless=True)


def _row(event: Event) -> dict[str, Any]:
    """Return what there is of an event for a template, by the names that docker gives to it."""
    from pycgroups.cli.templates import Keys

    attributes = Keys({"name": event.name, **event.attributes})
    return {
        "Type": event.type,
        "Action": event.action,
        "Status": event.action,
        "ID": event.id,
        "Name": event.name,
        "Time": int(event.time),
        "TimeNano": round(event.time * 10**9),
        "Attributes": attributes,
        "Actor": {"ID": event.id, "Attributes": attributes},
    }


def _line(event: Event) -> str:
    from datetime import UTC, datetime

    time = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    known = {"name": event.name, **event.attributes}
    shown = ", ".join(f"{key}={value}" for key, value in known.items() if value)
    return escaped(f"{time} {event.type} {event.action} {event.id} ({shown})")
