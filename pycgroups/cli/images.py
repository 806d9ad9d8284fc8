"""``pycgroups images``: what is here."""

from __future__ import annotations

from pycgroups.cli import image_filters
from pycgroups.cli.flags import Flag
from pycgroups.cli.progress import short
from pycgroups.cli.tables import LINES, NO_TRUNC, age, print_json, print_table, size
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycgroups.images.image import Image

USAGE = Usage(
    "images [FLAGS] [NAME[:TAG]]",
    """\
List the images that are here, or those of one name. SIZE is that of the unpacked files; images share layers, and
`pycgroups image df` tells what is shared.

A template has fields as {{.Repository}}: ID, Repository, Tag, Digest, CreatedSince, CreatedAt, Size. After the word
`table` there is a line of headings as well, and columns are what is between \\t.""",
    (
        Flag("--all -a", "for docker's sake: all are listed anyway"),
        Flag("--quiet -q", "the ids alone"),
        Flag("--digests", "the digests as well"),
        Flag(
            "--filter -f",
            f"those alone that are so: {', '.join(image_filters.WORDS)}; as label=app=web",
            word="filters",
            value="WORD=VALUE",
            read=image_filters.read,
            many=True,
        ),
        LINES,
        NO_TRUNC,
    ),
    most=1,
)
_NONE = "<none>"
_COLUMNS = {
    "REPOSITORY": "Repository",
    "TAG": "Tag",
    "DIGEST": "Digest",
    "IMAGE ID": "ID",
    "CREATED": "CreatedSince",
    "SIZE": "Size",
}


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
    listed = image_filters.chosen(listed, found.get("filters", ()), images.get)
    shown, form = (str if found.get("no_trunc") else short), found.get("format", "table")
    if found.get("quiet"):
        for name in dict.fromkeys(shown(image.id) for image in listed):
            print(name)
    elif form == "json":
        print_json([_facts(image) for image in listed])
    elif form == "table":
        columns = {title: name for title, name in _COLUMNS.items() if title != "DIGEST" or found.get("digests")}
        rows = [[row[name] for name in columns.values()] for row in (_row(image, shown) for image in listed)]
        print_table(list(columns), rows, right=("SIZE",))
    else:
        from pycgroups.cli.templates import print_rows

        print_rows(form, [_row(image, shown) for image in listed], (*_COLUMNS.values(), "CreatedAt"))
    return 0


def _row(image: Image, shown: Callable[[str], str]) -> dict[str, str]:
    """Return what is shown of one, by the names that docker gives to it."""
    repository, tag = _name(image)
    row = {"Repository": repository, "Tag": tag, "Digest": shown(image.digest), "ID": shown(image.id)}
    try:
        created = None if image.is_artifact else image.created
        row |= {"CreatedSince": age(created), "Size": size(image.size)}
    except Error:
        return row | {"CreatedSince": "damaged", "CreatedAt": "", "Size": ""}
    return row | {"CreatedAt": "" if created is None else created.isoformat()}


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
