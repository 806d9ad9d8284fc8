"""``pycgroups pull``: fetch images."""

from __future__ import annotations

from pycgroups.cli import progress, registries
from pycgroups.cli.flags import Flag
from pycgroups.cli.text import escaped
from pycgroups.cli.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.image import Image

USAGE = Usage(
    "pull [FLAGS] IMAGE [IMAGE ...]",
    """\
Fetch images, and unpack them. What is here already is not fetched again, nor what an earlier try has left.

IMAGE is a name, as debian:13 or ghcr.io/me/app@sha256:...; or another place: oci:DIR[:TAG], oci-archive:FILE[:NAME],
docker-archive:FILE[:NAME], dir:DIR.""",
    (
        Flag("--platform", "of an image for several, which; as linux/arm64; default: this machine's", value="PLATFORM"),
        Flag("--all-platforms", "all that the image is for, as a mirror needs"),
        *progress.FLAGS,
        *registries.FLAGS,
    ),
    least=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.pull` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    for name in names:
        _answer(_pull(name, found), found)
    return 0


def _pull(name: str, found: dict[str, Any]) -> Image:
    from pycgroups import images

    with progress.shown(found) as told:
        return images.pull(
            name,
            platform=found.get("platform"),
            all_platforms=bool(found.get("all_platforms")),
            progress=told,
            registry=registries.options(found),
        )


def _answer(image: Image, found: dict[str, Any]) -> None:
    """Print what docker does."""
    if not found.get("quiet"):
        print(f"Digest: {image.digest}")
    print(escaped(image.reference or image.digest))
