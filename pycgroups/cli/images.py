"""``pycgroups images``: what is here."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.cli.progress import short
from pycgroups.cli.tables import FORMAT, NO_TRUNC, age, print_json, print_table, size
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.image import Image

USAGE = Usage(
    "images [FLAGS] [NAME[:TAG]]",
    """\
List the images that are here, or those of one name. SIZE is that of the unpacked files; images share layers, and
`pycgroups image df` tells what is shared.""",
    (
        Flag("--all -a", "for docker's sake: all are listed anyway"),
        Flag("--quiet -q", "the ids alone"),
        Flag("--digests", "the digests as well"),
        FORMAT,
        NO_TRUNC,
    ),
    most=1,
)
_NONE = "<none>"


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.list` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    from pycgroups import images

    listed = [image for image in images.list() if not names or _is_of(image, names[0])]
    shown = str if found.get("no_trunc") else short
    if found.get("quiet"):
        for name in dict.fromkeys(shown(image.id) for image in listed):
            print(name)
    elif found.get("format") == "json":
        print_json([_facts(image) for image in listed])
    else:
        columns = ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"]
        rows = [[*_name(image), shown(image.digest), shown(image.id), *_ages(image)] for image in listed]
        if not found.get("digests"):
            for row in (columns, *rows):
                del row[2]
        print_table(columns, rows, right=("SIZE",))
    return 0


def _is_of(image: Image, name: str) -> bool:
    """Tell whether an image is of a repository, or has a name and a tag."""
    from pycgroups.images.reference import Reference

    if image.reference is None:
        return False
    wanted, own = Reference.parse(name), Reference.parse(image.reference)
    has_tag = name.endswith(f":{wanted.tag}") or wanted.digest is not None
    return own == wanted if has_tag else own.name == wanted.name


def _name(image: Image) -> tuple[str, str]:
    if image.reference is None:
        return _NONE, _NONE
    from pycgroups.images.reference import Reference

    own = Reference.parse(image.reference)
    return own._replace(tag=None, digest=None).familiar, own.tag or _NONE


def _ages(image: Image) -> tuple[str, str]:
    try:
        return "" if image.is_artifact else age(image.created), size(image.size)
    except Error:
        return "damaged", ""


def _facts(image: Image) -> dict[str, Any]:
    """Return a row for programs."""
    facts = {"reference": image.reference, "digest": image.digest, "id": image.id, "packedSize": image.packed_size}
    if image.is_artifact:
        return facts
    try:
        created, sizes, platform = image.document.created, image.size, image.platform
    except Error as error:
        return {**facts, "damaged": str(error)}
    return {**facts, "created": created, "size": sizes, "platform": platform}
