"""``pycgroups ps``: the containers that are held."""

from __future__ import annotations

from pycgroups.cli import filters
from pycgroups.cli.facts import facts_of
from pycgroups.cli.flags import Flag
from pycgroups.cli.tables import LINES, NO_TRUNC, age, print_json, print_table
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.containers.container import Container


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a number of containers")
    return int(text)


USAGE = Usage(
    "ps [FLAGS]",
    """\
List the containers that run; those of `pycgroups run` without -d are nobody else's, and are not among them.

A template has fields as {{.Names}}: ID, Names, Image, Command, CreatedAt, RunningFor, State, Status, Ports (none is
published: it is empty), Mounts, Labels. After the word `table` there is a line of headings as well, and columns are
what is between \\t.""",
    (
        Flag("--all -a", "those, too, that do not run"),
        Flag("--quiet -q", "the ids alone"),
        Flag(
            "--filter -f",
            f"those alone that are so: {', '.join(filters.WORDS)}; as name=web, a regular expression",
            word="filters",
            value="WORD=VALUE",
            read=filters.read,
            many=True,
        ),
        Flag("--last -n", "the N newest, in any state", value="N", read=_count),
        Flag("--latest -l", "the newest, in any state"),
        LINES,
        NO_TRUNC,
    ),
    most=0,
)
_LONGEST = 30
_NOBODY = {"id": "", "name": "", "state": {"status": ""}}


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: the store cannot be opened, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, _ = asked
    rows, form, whole = _chosen(found), found.get("format", "table"), bool(found.get("no_trunc"))
    if found.get("quiet"):
        for facts in rows:
            print(facts["id"] if whole else facts["id"][:12])
    elif form == "json":
        print_json(rows)
    elif form == "table":
        columns = {"CONTAINER ID": "ID", "IMAGE": "Image", "COMMAND": "Command", "CREATED": "RunningFor"}
        columns |= {"STATUS": "Status", "NAMES": "Names"}
        shown = [_shown(facts, whole=whole) for facts in rows]
        print_table(list(columns), [[row[name] for name in columns.values()] for row in shown])
    else:
        from pycgroups.cli.templates import print_rows

        print_rows(form, [_shown(facts, whole=whole) for facts in rows], _shown(_NOBODY, whole=True))
    return 0


def _chosen(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is known of those that are asked for, the last first."""
    from pycgroups import containers

    wanted, last = found.get("filters", ()), 1 if found.get("latest") else found.get("last")
    wanted = [
        (word, containers.get(value).inspect()["created"] if word in filters.MOMENTS else value)
        for word, value in wanted
    ]
    everything = bool(found.get("all") or last or filters.wants_all(wanted))
    known = (facts for held in containers.list(all=everything) if (facts := _facts(held)) is not None)
    return [facts for facts in known if filters.matches(facts, wanted)][:last]


def _facts(container: Container) -> dict[str, Any] | None:
    """Return what is known of one, or None if it has been removed meanwhile."""
    try:
        return facts_of(container)
    except NotFound:
        return None
    except Error as error:
        return {"id": container.id, "name": container.name, "state": {"status": "damaged"}, "damaged": str(error)}


def _shown(facts: dict[str, Any], *, whole: bool) -> dict[str, str]:
    """Return what is shown of one, by the names that docker gives to it."""
    import shlex
    from datetime import datetime

    config, state = facts.get("config", {}), facts["state"]
    command = shlex.join([*config.get("entrypoint", ()), *config.get("command", ())])
    mounts = (*config.get("mounts", ()), *config.get("volumes", ()))
    code = state.get("exit_code")
    status = state["status"] if code is None else f"{state['status']} ({code})"
    if state.get("health") and status == "running":
        status = f"{status} ({state['health']['status']})"
    created = None if "created" not in facts else datetime.fromisoformat(facts["created"][:19] + "+00:00")
    return {
        "ID": facts["id"] if whole else facts["id"][:12],
        "Image": config.get("image") or config.get("rootfs") or "",
        "Command": command if whole or len(command) <= _LONGEST else f"{command[: _LONGEST - 3]}...",
        "CreatedAt": facts.get("created", ""),
        "RunningFor": age(created),
        "State": state["status"],
        "Status": status,
        "Ports": "",
        "Mounts": ",".join(mount["source"] for mount in mounts if mount.get("source")),
        "Names": facts["name"],
        "Labels": ",".join(f"{name}={value}" for name, value in dict(config.get("labels", {})).items()),
    }
