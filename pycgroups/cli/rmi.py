"""``pycgroups rmi``: take names of images away."""

from __future__ import annotations

from pycgroups.cli import FAILED
from pycgroups.cli.flags import Flag
from pycgroups.cli.tables import size
from pycgroups.cli.text import complain, escaped
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.cleaning import Freed

USAGE = Usage(
    "rmi [FLAGS] IMAGE [IMAGE ...]",
    """\
Take away names of images; with the last name of an image goes what no other image needs. An image that a container
was made of keeps its last name, whether that runs or not; what another run uses goes with the first rmi or
`pycgroups image prune` after its end.

IMAGE is a name, or an id or a digest (six letters at least) for all names of an image.""",
    (
        Flag(
            "--force -f",
            "remove every name of an id, even the last one of an image that a container uses; a missing image is no "
            "failure",
        ),
    ),
    least=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: the store cannot be opened, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    force = bool(found.get("force"))
    failed = False
    for name in names:
        try:
            show_freed(_remove(name, force=force))
        except Error as error:
            complain(str(error))
            failed = failed or not (force and isinstance(error, NotFound))
    return FAILED if failed else 0


def _remove(name: str, *, force: bool) -> Freed:
    from pycgroups import images

    image = images.get(name)
    if not force and image.reference != _in_full(name):
        names = [other.reference for other in images.list() if other.digest == image.digest and other.reference]
        if len(names) > 1:
            raise StateError(
                f"it has {len(names)} names: {', '.join(names)}",
                operation="remove image",
                path=name,
                hint="--force takes them all",
            )
    return images.remove(name, force=force)


def _in_full(name: str) -> str | None:
    from pycgroups.errors import InvalidConfig
    from pycgroups.images.reference import Reference

    try:
        return str(Reference.parse(name))
    except InvalidConfig:  # an id
        return None


def show_freed(freed: Freed) -> None:
    """Print what was removed."""
    for name in freed.images:
        print(f"Untagged: {escaped(name)}")
    if freed.blobs or freed.layers:
        print(f"Deleted: {freed.blobs} blobs and {freed.layers} unpacked layers, {size(freed.size)}")
