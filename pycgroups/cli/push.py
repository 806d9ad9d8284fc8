"""``pycgroups push``: send an image elsewhere."""

from __future__ import annotations

from pycgroups.cli import progress, registries
from pycgroups.cli.text import escaped
from pycgroups.cli.usage import Usage

USAGE = Usage(
    "push [FLAGS] IMAGE [DESTINATION]",
    """\
Send an image to a registry; what the registry has is not sent. Without DESTINATION the image goes where its name says.

DESTINATION is a name there, or another place: oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME],
dir:DIR.""",
    (*progress.FLAGS, *registries.FLAGS),
    least=1,
    most=2,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.push` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name, *to) = asked
    from pycgroups import images

    image = images.get(name)
    target = to[0] if to else image.reference
    with progress.shown(found) as told:
        digest = images.push(image, target, progress=told, registry=registries.options(found))
    if not found.get("quiet"):
        print(f"Digest: {digest}")
    print(escaped(target or digest))
    return 0
