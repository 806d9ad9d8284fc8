"""Docker's ``images --filter``: which images are wanted."""

from __future__ import annotations

from pycgroups.cli.flags import pair_of
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pycgroups.images.image import Image

    Filters = Sequence[tuple[str, str]]

WORDS = ("dangling", "label", "reference", "before", "since")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
read = pair_of(WORDS, {"dangling": tuple(_TRUTHS)})
"""Read a filter."""


def chosen(images: Sequence[Image], filters: Filters, find: Callable[[str], Image]) -> list[Image]:
    """Return those that are wanted: one of the references, and all else.

    Args:
        images: which there are.
        filters: as `read` returns them.
        find: returns an image by its name.

    Raises:
        NotFound: there is no such image to be older or newer than.
    """
    references = [value for word, value in filters if word == "reference"]
    moments = [(word, find(value).created) for word, value in filters if word in {"before", "since"}]
    rest = [pair for pair in filters if pair[0] in {"dangling", "label"}]
    return [
        image
        for image in images
        if (not references or any(_is_named(image, pattern) for pattern in references))
        and all(_is_from(image, word, moment) for word, moment in moments)
        and all(_is_so(image, word, value) for word, value in rest)
    ]


def _is_named(image: Image, pattern: str) -> bool:
    """Tell whether a pattern is of its shortest name, with the tag or without, as docker has it."""
    from pycgroups.images.reference import Reference

    if image.reference is None:
        return False
    own = Reference.parse(image.reference)
    bare = own._replace(tag=None, digest=None)
    return any(_matches(name, pattern) for name in (own.familiar, bare.familiar))


def _matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern is of a name, part by part, as with Go's path.Match: none of its signs is for a slash."""
    from fnmatch import fnmatchcase

    names, patterns = name.split("/"), pattern.replace("[^", "[!").split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _is_from(image: Image, word: str, moment: datetime | None) -> bool:
    try:
        created = None if image.is_artifact else image.created
    except Error:  # damaged
        return False
    if created is None or moment is None:
        return False
    return created < moment if word == "before" else created > moment


def _is_so(image: Image, word: str, value: str) -> bool:
    if word == "dangling":
        return (image.reference is None) == _TRUTHS[value]
    name, given, wanted = value.partition("=")
    try:
        labels = {} if image.is_artifact else image.labels
    except Error:
        return False
    return name in labels and (not given or labels[name] == wanted)
