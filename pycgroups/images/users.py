"""What the containers of a store were made of: what their records on disk say, each time anew.

A container needs its image until it is removed, whether it runs or not. It is made while the names of the store are
locked (`Images.keeping`), so whoever holds that lock alone sees all containers there are, and none comes meanwhile.
What is half made or half removed needs nothing: its maker has died, or it will never be started again.
"""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig
from pycgroups.images.files import NO_FILE, directory, io_errors
from pycgroups.images.writing import read_file
from pycgroups.oci.json_text import LARGEST_TEXT, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONTAINERS, RECORD = "containers", "container.json"
ID_LENGTH = 64
_HEX = frozenset("0123456789abcdef")


def is_id(name: str) -> bool:
    """Tell whether this is an id as containers have them."""
    return len(name) == ID_LENGTH and set(name) <= _HEX


@io_errors("read containers")
def records(root: str) -> list[dict[str, Any]]:
    """Return the records of all containers; a damaged one can never be started, and is left out.

    Args:
        root: of the store.

    Raises:
        Error: one cannot be read now: then nothing may be taken for unused.
    """
    try:
        ids = sorted(filter(is_id, os.listdir(f"{root}/{CONTAINERS}")))
    except FileNotFoundError:
        return []
    found = (_record(f"{root}/{CONTAINERS}/{id_}") for id_ in ids)
    return [record for record in found if isinstance(record, dict)]


def _record(place: str) -> Any:
    try:
        with directory(place) as fd:
            return parse(read_file(RECORD, dir_fd=fd, most=LARGEST_TEXT) or b"", RECORD)
    except (InvalidConfig, FileNotFoundError):  # it is damaged, or has just been removed
        return None
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        return None


def users(root: str) -> dict[str, list[str]]:
    """Return the names of the containers by the digests of their images; raises what `records` does."""
    found: dict[str, list[str]] = {}
    for record in records(root):
        image, name = record.get("image"), record.get("name")
        if image and isinstance(image, str):
            found.setdefault(image, []).append(str(name))
    return found
