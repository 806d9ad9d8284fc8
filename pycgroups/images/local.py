"""What sources and destinations on this machine have in common; see `pycgroups.images.transport`."""

from __future__ import annotations

import errno
import os

from pycgroups.errors import AlreadyExists, Error
from pycgroups.images.files import Directory, io_errors
from pycgroups.images.staging import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.image_spec import Descriptor, Manifest


class LocalSource:
    """Files that are read: nobody waits for them, and no registry is known to have them."""

    called: tuple[str, ...] = ()

    def repositories(self, blob: Descriptor) -> tuple[str, ...]:  # noqa: ARG002
        """Know none."""
        return ()

    def seen(self, blob: Descriptor, repository: str) -> None:
        """Keep nothing."""

    def interrupt(self) -> None:
        """Do nothing: files do not keep anybody waiting."""


class LocalDestination:
    """Files that are written: nobody waits for them, and blobs are kept as they come."""

    def expect(self, manifest: Manifest) -> None:
        """Learn nothing."""

    def interrupt(self) -> None:
        """Do nothing: files do not keep anybody waiting."""


class StagedDestination(LocalDestination):
    """A directory that is written beside its place, and published at the end; made when it is not there."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            AlreadyExists: there is a directory with something else in it.
            Error: it cannot be made.
        """
        self._path = path
        try:
            with io_errors("make", path):
                os.makedirs(path, exist_ok=True)
        except Error as error:
            if error.errno == errno.EEXIST:
                raise AlreadyExists("is no directory", operation="open", path=path, errno=error.errno) from None
            raise
        self._files = Directory(path)
        try:
            with io_errors("open", path):
                self._check()
            self._staging = Staging(path)
        except BaseException:
            self._files.close()
            raise

    def _check(self) -> None:
        """Refuse a directory with something else in it."""
        raise NotImplementedError

    def close(self, *, failed: bool) -> None:  # noqa: ARG002 (what is not published is no part of it either way)
        """Let go of the directory."""
        try:
            self._staging.discard()
        finally:
            self._files.close()
