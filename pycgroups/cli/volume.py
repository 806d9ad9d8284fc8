"""``pycgroups volume create|ls|inspect|rm|prune``: directories with a name, which containers share."""

from __future__ import annotations

from pycgroups.cli import FAILED, patterns
from pycgroups.cli.flags import Flag, UsageError
from pycgroups.cli.tables import LINES, age, print_json, print_table, size
from pycgroups.cli.text import complain, escaped, is_sure
from pycgroups.cli.usage import Usage, choose
from pycgroups.errors import AlreadyExists, Error, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pycgroups.containers.volumes import Volume

ABOUT = """\
usage: pycgroups volume create|ls|inspect|rm|prune [FLAGS]

Look after volumes: directories with a name, which containers share and which outlive them.
`pycgroups run -v NAME:/DIR` makes one that is not there.

  create   make a volume
  ls       list them
  inspect  tell all of some as JSON
  rm       remove some with their files
  prune    remove those that no container has

  --help  show this help; pycgroups volume COMMAND --help tells more
"""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.volumes` names, or a UsageError.
    """
    chosen = choose("volume", ABOUT, _COMMANDS, arguments)
    if chosen is None:
        return 0
    command, rest = chosen
    return command(rest)


def _filter(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if key not in {"label", "name"} or not equals:
        raise ValueError("label=NAME, label=NAME=TEXT, name=PATTERN")
    return key, patterns.read(value) if key == "name" else value


def _labels(found: Iterable[tuple[str, str]]) -> list[str]:
    return [value for key, value in found if key == "label"]


def _label(text: str) -> str:
    return text if "=" in text else f"{text}="


_FILTER = Flag(
    "--filter -f", "label=NAME[=TEXT], or name=, a regular expression", value="WHAT", read=_filter, many=True
)

# -- create -----------------------------------------------------------------------------------------------------------

CREATE = Usage(
    "volume create [FLAGS] [NAME]",
    "Make a volume, unless there is one, and print its name; without one, a name is made up.",
    (Flag("--label", "text by name", word="labels", value="NAME=TEXT", read=_label, many=True),),
    most=1,
)


def _create(arguments: list[str]) -> int:
    asked = CREATE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    from pycgroups.containers import volumes

    try:
        print(volumes.create(*names, labels=found.get("labels")).name)
    except AlreadyExists:  # as docker has it: scripts make it each time
        print(*names)
    return 0


# -- ls and inspect ---------------------------------------------------------------------------------------------------

LS = Usage(
    "volume ls [FLAGS]",
    """\
List the volumes.

A template has fields as {{.Name}}: Name, Driver, Scope, Mountpoint, CreatedAt, CreatedSince, Labels.""",
    (Flag("--quiet -q", "the names alone"), _FILTER, LINES),
    most=0,
)
INSPECT = Usage(
    "volume inspect [FLAGS] NAME [NAME ...]",
    "Tell all of volumes as one JSON list; the size is what their files take on the disk, in bytes.",
    (Flag("--format -f", "a template, as {{.Mountpoint}}, of each; json, the default, is the list", value="FORM"),),
    least=1,
)


def _ls(arguments: list[str]) -> int:
    asked = LS.read(arguments)
    if asked is None:
        return 0
    found, _ = asked
    from pycgroups.containers import volumes

    filters, form = found.get("filter", ()), found.get("format", "table")
    wanted = [value for key, value in filters if key == "name"]
    listed = [
        one
        for one in volumes.list(labels=_labels(filters))
        if all(patterns.is_called(one.name, each) for each in wanted)
    ]
    if found.get("quiet"):
        for one in listed:
            print(one.name)
    elif form == "json":
        print_json([one.inspect() for one in listed])
    elif form == "table":
        rows = [[one.name, age(one.created), ", ".join(_pairs(one))] for one in listed]
        print_table(("NAME", "CREATED", "LABELS"), rows)
    else:
        from pycgroups.cli.templates import print_rows

        print_rows(form, map(_row, listed), _FIELDS)
    return 0


_FIELDS = ("Name", "Driver", "Scope", "Mountpoint", "CreatedAt", "CreatedSince", "Labels")


def _row(one: Volume) -> dict[str, str]:
    """Return what is shown of one, by the names that docker gives to it."""
    values = (one.name, "local", "local", one.path, one.created.isoformat(), age(one.created), ",".join(_pairs(one)))
    return dict(zip(_FIELDS, values, strict=True))


def _pairs(one: Volume) -> list[str]:
    return [f"{key}={value}" for key, value in one.labels.items()]


def _inspect(arguments: list[str]) -> int:
    asked = INSPECT.read(arguments)
    if asked is None:
        return 0
    from pycgroups.containers import volumes

    facts: list[dict[str, object]] = []
    failed = _each(asked[1], lambda name: facts.append(volumes.get(name).inspect()))
    form = asked[0].get("format", "json")
    if form == "json":
        print_json(facts)
    else:
        from pycgroups.cli.templates import render

        for each in facts:
            print(render(form, {**each, "mountpoint": each["path"], "created_at": each["created"], "driver": "local"}))
    return FAILED if failed else 0


def _each(names: list[str], do: Callable[[str], object], *, force: bool = False) -> bool:
    """Do something for each volume; tell whether it failed for one: to be forced, one need not be there."""
    failed = False
    for name in names:
        try:
            do(name)
        except Error as error:
            if not (force and isinstance(error, NotFound)):
                complain(str(error))
                failed = True
    return failed


# -- rm and prune -----------------------------------------------------------------------------------------------------

RM = Usage(
    "volume rm [FLAGS] NAME [NAME ...]",
    "Remove volumes with their files. What a container has, running or not, stays.",
    (Flag("--force -f", "also what a container has; and one that is not here is no failure"),),
    least=1,
)
PRUNE = Usage(
    "volume prune [FLAGS]",
    "Remove the volumes that no container has, running or not, with their files. It asks first.",
    (
        Flag("--filter", "only those with label=NAME[=TEXT]", value="WHAT", read=_filter, many=True),
        Flag("--all -a", "for docker's sake: all are meant anyway"),
        Flag("--force -f", "ask nothing"),
    ),
    most=0,
)


def _rm(arguments: list[str]) -> int:
    asked = RM.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    from pycgroups.containers import volumes

    force = bool(found.get("force"))

    def remove(name: str) -> None:
        volumes.remove(name, force=force)
        print(escaped(name))

    return FAILED if _each(names, remove, force=force) else 0


def _prune(arguments: list[str]) -> int:
    asked = PRUNE.read(arguments)
    if asked is None:
        return 0
    found, _ = asked
    filters = found.get("filter", ())
    if any(key != "label" for key, _ in filters):
        raise UsageError("flag '--filter': prune goes by labels")
    if not found.get("force") and not is_sure("This removes all volumes that no container has, with their files."):
        complain("nothing was removed")
        return FAILED
    from pycgroups.containers import volumes

    freed = volumes.prune(labels=_labels(filters))
    for name in freed.volumes:
        print(escaped(name))
    print(f"Total reclaimed space: {size(freed.size)}")
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "create": _create,
    "ls": _ls,
    "inspect": _inspect,
    "rm": _rm,
    "prune": _prune,
}
