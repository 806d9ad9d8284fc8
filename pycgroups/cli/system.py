"""``pycgroups system df|prune``: all of the store."""

from __future__ import annotations

from pycgroups.cli import FAILED
from pycgroups.cli.flags import Flag
from pycgroups.cli.progress import short
from pycgroups.cli.tables import FORMAT, as_object, print_json, print_table, size
from pycgroups.cli.text import complain, escaped, is_sure
from pycgroups.cli.usage import Usage, run_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cli.usage import Commands
    from pycgroups.containers.disk_use import StoreUse, Total

ABOUT = """\
usage: pycgroups system df|prune [FLAGS]

Look after all of the store: images, containers and volumes.

  df     tell what takes how much of the disk
  prune  remove what nobody needs

  --help  show this help; pycgroups system COMMAND --help tells more
"""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: the store cannot be read, or a UsageError.
    """
    return run_one("system", ABOUT, _COMMANDS, arguments)


# -- df ---------------------------------------------------------------------------------------------------------------

DF = Usage(
    "system df [FLAGS]",
    """\
Tell what takes how much of the disk. ACTIVE are images and volumes that a container has, and containers that run;
RECLAIMABLE is what the others take.""",
    (Flag("--verbose -v", "each image, container and volume"), FORMAT),
    most=0,
)
_KINDS = {"images": "Images", "containers": "Containers", "volumes": "Volumes"}
_WHOLE = 100


def _df(found: dict[str, Any]) -> int:
    from pycgroups.containers.store import Store

    use = Store().df()
    if found.get("format") == "json":
        print_json({kind: {**as_object(use.totals[kind]), "each": _each(use, kind)} for kind in _KINDS})
    elif found.get("verbose"):
        _print_each(use)
    else:
        columns = ("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
        print_table(columns, [_row(name, use.totals[kind]) for kind, name in _KINDS.items()], right=columns[1:])
    return 0


def _each(use: StoreUse, kind: str) -> list[dict[str, Any]]:
    return [as_object(each) for each in getattr(use, kind)]


def _row(name: str, total: Total) -> tuple[str, ...]:
    part = f" ({total.reclaimable * _WHOLE // total.size}%)" if total.size else ""
    return name, str(total.total), str(total.active), size(total.size), size(total.reclaimable) + part


def _print_each(use: StoreUse) -> None:
    images = [
        (image.name, short(image.digest), size(image.size), size(image.unique), ", ".join(image.containers))
        for image in use.images
    ]
    print_table(("IMAGE", "DIGEST", "SIZE", "UNIQUE", "CONTAINERS"), images, right=("SIZE", "UNIQUE"))
    print()
    containers = [(each.id[:12], each.image, each.status, size(each.size), each.name) for each in use.containers]
    print_table(("CONTAINER ID", "IMAGE", "STATUS", "SIZE", "NAMES"), containers, right=("SIZE",))
    print()
    volumes = [(volume.name, size(volume.size), ", ".join(volume.containers)) for volume in use.volumes]
    print_table(("VOLUME", "SIZE", "CONTAINERS"), volumes, right=("SIZE",))


# -- prune ------------------------------------------------------------------------------------------------------------

PRUNE = Usage(
    "system prune [FLAGS]",
    """\
Remove what nobody needs: containers that do not run, images without a name, what no image needs, and what processes
that were killed have left. It asks first. What a container has that runs stays.""",
    (
        Flag("--all -a", "all images that no container was made of, with a name or without"),
        Flag("--volumes", "also volumes that no container has, with their files"),
        Flag("--force -f", "ask nothing"),
    ),
    most=0,
)


def _prune(found: dict[str, Any]) -> int:
    everything, volumes = bool(found.get("all")), bool(found.get("volumes"))
    what = [
        "all containers that do not run",
        "all images that no container was made of" if everything else "images without a name",
        *(["all volumes that no container has"] if volumes else []),
        "what killed processes have left",
    ]
    if not found.get("force") and not is_sure(f"This removes {', '.join(what[:-1])}, and {what[-1]}."):
        complain("nothing was removed")
        return FAILED
    from pycgroups.containers.store import Store

    gone = Store().prune(all=everything, volumes=volumes)
    for heading, names in (("Containers", gone.containers), ("Volumes", gone.volumes), ("Images", gone.images)):
        if names:
            print(f"Deleted {heading}:", *map(escaped, names), "", sep="\n")
    print(f"Total reclaimed space: {size(gone.size)}")
    return 0


_COMMANDS: Commands = {"df": (DF, _df), "prune": (PRUNE, _prune)}
