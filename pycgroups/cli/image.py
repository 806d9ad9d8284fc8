"""``pycgroups image df|prune|verify|repair``: the store, looked after."""

from __future__ import annotations

from pycgroups.cli import FAILED, progress
from pycgroups.cli.flags import Flag
from pycgroups.cli.tables import FORMAT, as_object, print_json, print_table, size
from pycgroups.cli.text import complain, escaped, is_sure
from pycgroups.cli.usage import Usage, run_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cli.usage import Commands
    from pycgroups.images.disk_use import DiskUse

ABOUT = """\
usage: pycgroups image df|prune|verify|repair [FLAGS]

Look after the store of images.

  df      tell what takes how much of the disk
  prune   remove what is of no use
  verify  hash everything anew, and tell what is damaged or missing
  repair  remove what is damaged, so that the next pull fetches it

  --help  show this help; pycgroups image COMMAND --help tells more
"""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: the store cannot be opened, or a UsageError.
    """
    return run_one("image", ABOUT, _COMMANDS, arguments)


# -- df ---------------------------------------------------------------------------------------------------------------

DF = Usage(
    "image df [FLAGS]",
    """\
Tell what takes how much of the disk. SIZE is all that an image needs, packed and unpacked; UNIQUE is what no other
image needs, and what its removal frees.""",
    (FORMAT,),
    most=0,
)


def _df(found: dict[str, Any]) -> int:
    from pycgroups import images

    use = images.df()
    if found.get("format") == "json":
        print_json({**as_object(use), "images": [as_object(image) for image in use.images]})
    else:
        _print_use(use)
    return 0


def _print_use(use: DiskUse) -> None:
    rows = [(image.name, size(image.size), size(image.unique)) for image in use.images]
    print_table(("IMAGE", "SIZE", "UNIQUE"), rows, right=("SIZE", "UNIQUE"))
    print()
    totals = {
        "packed": use.blobs,
        "unpacked": use.layers,
        "not needed": use.unneeded,
        "half fetched": use.unfinished,
    }
    print_table(("TOTAL", "SIZE"), [(what, size(count)) for what, count in totals.items()], right=("SIZE",))


# -- prune ------------------------------------------------------------------------------------------------------------

PRUNE = Usage(
    "image prune [FLAGS]",
    """\
Remove images without a name, what no image needs, and what was begun and left. It asks first. What a container was
made of stays.""",
    (Flag("--all -a", "all images that no container was made of"), Flag("--force -f", "ask nothing")),
    most=0,
)


def _prune(found: dict[str, Any]) -> int:
    what = (
        "all images that no container was made of"
        if found.get("all")
        else "images without a name, and what no image needs"
    )
    if not found.get("force") and not is_sure(f"This removes {what}."):
        complain("nothing was removed")
        return FAILED
    from pycgroups import images

    freed = images.prune(all=bool(found.get("all")))
    for name in freed.images:
        print(f"Untagged: {escaped(name)}")
    print(f"Total reclaimed space: {size(freed.size)}")
    return 0


# -- verify and repair ------------------------------------------------------------------------------------------------

VERIFY = Usage(
    "image verify [FLAGS]",
    """\
Read and hash everything, and tell what is damaged or missing, a line for each; the exit code is 1 then.""",
    (FORMAT, *progress.FLAGS),
    most=0,
)
REPAIR = Usage(
    "image repair [FLAGS]",
    """\
Verify, and remove what is damaged; what was done is printed. Names stay: `pycgroups pull` fetches what they miss.""",
    progress.FLAGS,
    most=0,
)


def _verify(found: dict[str, Any]) -> int:
    from pycgroups import images

    with progress.shown(found) as told:
        problems = images.verify(progress=told)
    if found.get("format") == "json":
        print_json([as_object(problem) for problem in problems])
    else:
        for what, name, message, users in problems:
            needed = f" (needed by {', '.join(users)})" if users and what != "image" else ""
            print(escaped(f"{what} {name} {message}{needed}"))
    return FAILED if problems else 0


def _repair(found: dict[str, Any]) -> int:
    from pycgroups import images

    with progress.shown(found) as told:
        done = images.repair(progress=told)
    for line in done:
        print(escaped(line))
    return 0


_COMMANDS: Commands = {
    "df": (DF, _df),
    "prune": (PRUNE, _prune),
    "verify": (VERIFY, _verify),
    "repair": (REPAIR, _repair),
}
