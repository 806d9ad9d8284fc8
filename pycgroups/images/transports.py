"""Which transport a `Location` is of."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.reference import Location
    from pycgroups.images.registry import RegistryOptions
    from pycgroups.images.transport import Destination, Source


def source(location: Location, registry: RegistryOptions | None, *, directory: str | None = None) -> Source:
    """Open an image for reading.

    Args:
        location: where it is.
        registry: how to talk to a registry.
        directory: where an archive that is compressed is unpacked to a temporary file.

    Raises:
        ImageNotFound: it is not there.
        ImageError: it is broken.
        RegistryError: the registry refused, or cannot be reached.
    """
    if location.transport == "docker":
        from pycgroups.images import registry as client
        from pycgroups.images.reference import Reference

        assert location.reference is not None
        return client.source(Reference.parse(location.reference), options=client.given(registry))
    if location.transport == "oci":
        from pycgroups.images import layouts

        return layouts.source(location)
    if location.transport == "dir":
        from pycgroups.images import directory as directories

        return directories.source(location)
    from pycgroups.images import archives

    return archives.source(location, directory=directory)


def destination(location: Location, registry: RegistryOptions | None) -> Destination:
    """Open a place for writing an image to.

    Args:
        location: where it is to be.
        registry: how to talk to a registry.

    Raises:
        AlreadyExists: there is something else.
        Error: it cannot be made.
    """
    if location.transport == "docker":
        from pycgroups.images import registry as client
        from pycgroups.images.reference import Reference

        assert location.reference is not None
        return client.destination(Reference.parse(location.reference), options=client.given(registry))
    if location.transport == "oci":
        from pycgroups.images import layouts

        return layouts.destination(location)
    if location.transport == "dir":
        from pycgroups.images import directory as directories

        return directories.destination(location)
    from pycgroups.images import archives

    return archives.destination(location)
