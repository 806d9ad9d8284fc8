"""``pycgroups copy``: an image from anywhere to anywhere, as skopeo does it."""

from __future__ import annotations

from pycgroups.cli import progress, registries
from pycgroups.cli.flags import Flag
from pycgroups.cli.usage import Usage

USAGE = Usage(
    "copy [FLAGS] SOURCE DESTINATION",
    """\
Copy an image from one place to another without unpacking it: every digest stays. The store has no part in it; that is
what pull and push are for.

A place is [docker://]NAME for a registry, oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME] or
dir:DIR.""",
    (
        Flag("--platform", "of an image for several, which; as linux/arm64; default: all of them", value="PLATFORM"),
        *progress.FLAGS,
        *registries.FLAGS,
    ),
    least=2,
    most=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.copy` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (source, destination) = asked
    from pycgroups import images

    with progress.shown(found) as told:
        copied = images.copy(
            source, destination, platform=found.get("platform"), progress=told, registry=registries.options(found)
        )
    print(copied.digest)
    return 0
