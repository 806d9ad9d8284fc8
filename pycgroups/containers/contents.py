"""`Contents`: what can be done with the files of a container that is held; a part of `Container`."""

from __future__ import annotations

import errno
import time
from contextlib import ExitStack, contextmanager, nullcontext

from pycgroups.errors import Error, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import TypeVar

    from typing_extensions import Unpack

    from pycgroups.containers.files import CopyOptions, Path, Reads, RootFiles, WriteOptions, Writes
    from pycgroups.containers.home import Home
    from pycgroups.containers.place import Place
    from pycgroups.containers.placing import Copied
    from pycgroups.images.differences import Change
    from pycgroups.images.image import Image

    Answer = TypeVar("Answer")

_LIVE = frozenset({"running", "paused"})
_ATTEMPTS = 100
_MOMENT = 0.01  # seconds: a restart takes less


class Contents:
    """Whatever state a container is in, its files can be read and written, if they are anywhere."""

    _place: Place

    def _home(self) -> Home:
        raise NotImplementedError

    def _status(self, home: Home) -> str:
        raise NotImplementedError

    @contextmanager
    def files(self) -> Iterator[RootFiles]:
        """Show its files, for more than one call: a context manager, whose value is a `RootFiles`.

        One that runs shows what its program sees, with all mounts. Another one cannot be started meanwhile.

        Raises:
            NotFound: it has been removed.
            Unsupported: they were in memory, as over the host's root, and are gone.
            StateError: another process is at work on it.
        """
        with self._home() as home, ExitStack() as held:
            yield self._opened(home, held)

    def _opened(self, home: Home, held: ExitStack) -> RootFiles:
        """Open them. One that ends after it was seen to run is looked at again: it may be restarted."""
        from pycgroups.containers import opening

        for attempt in range(_ATTEMPTS):
            if self._status(home) not in _LIVE:
                home.lock()
            if self._status(home) not in _LIVE:  # again, as it may have been started meanwhile
                break
            try:
                return held.enter_context(opening.running(home))
            except NotFound:
                if attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(_MOMENT)
        return held.enter_context(opening.stopped(self._place, home))

    def _whole(self, call: Callable[[RootFiles], Answer]) -> Answer:
        """Do what is done as a whole or not at all; once more if all mounts have gone meanwhile, with its end."""
        try:
            with self.files() as files:
                return call(files)
        except Error as error:
            if error.errno != errno.ESTALE:
                raise
        with self.files() as files:
            return call(files)

    def read_bytes(self, path: Path) -> bytes:
        """Return what is in a file; see `RootFiles.read_bytes`."""
        return self._whole(lambda files: files.read_bytes(path))

    def read_text(self, path: Path, *, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the text in a file; see `RootFiles.read_text`."""
        return self._whole(lambda files: files.read_text(path, encoding=encoding, errors=errors))

    def write_bytes(self, path: Path, data: bytes, **options: Unpack[WriteOptions]) -> None:
        """Put a file at a path; see `RootFiles.write_bytes`."""
        self._whole(lambda files: files.write_bytes(path, data, **options))

    def write_text(self, path: Path, text: str, *, encoding: str = "utf-8", **options: Unpack[WriteOptions]) -> None:
        """Put a file with a text at a path; see `RootFiles.write_bytes`."""
        self._whole(lambda files: files.write_text(path, text, encoding=encoding, **options))

    def copy_in(self, source: Path | Reads, destination: Path, **options: Unpack[CopyOptions]) -> Copied:
        """Copy a file, a tree or a tar into it; see `RootFiles.copy_in`."""
        with self.files() as files:
            return files.copy_in(source, destination, **options)

    def copy_out(self, source: Path, destination: Path | Writes, **options: Unpack[CopyOptions]) -> Copied | None:
        """Copy a file or a tree out of it; see `RootFiles.copy_out`."""
        with self.files() as files:
            return files.copy_out(source, destination, **options)

    def export(self) -> Generator[bytes]:
        """Yield a tar of its root; see `RootFiles.export`."""
        with self.files() as files:
            yield from files.export()

    def diff(self) -> list[Change]:
        """Tell what it has changed of its image: ``A`` is added, ``C`` changed, ``D`` deleted; sorted by path.

        Raises:
            Unsupported: it was not made of an image; or has a copy of it, which does not tell.
            NotFound: it has been removed.
        """
        from pycgroups.containers import opening

        with self._home() as home, opening.upper(self._place, home) as changed:
            return changed.diff()

    def commit(
        self,
        name: str | None = None,
        *,
        changes: Sequence[str] = (),
        author: str | None = None,
        message: str | None = None,
        pause: bool | None = None,
    ) -> Image:
        """Make an image of it: that of its image, with what it has changed as one more layer. Volumes are not in it.

        Args:
            name: what it is to be called; None for no name, its digest finds it.
            changes: instructions of a Dockerfile that change how it is run, as for `pycgroups.images.import_`.
            author: who made it.
            message: a comment in its history.
            pause: freeze its processes meanwhile, so that the image is of one moment; by default where that can be
                done (`Container.pause`).

        Raises:
            Unsupported: it was not made of an image; or has a copy of it.
            InvalidConfig: the name or a change is none; nothing was made.
            StateError: another process is at work on it.
        """
        from pycgroups.containers import committing

        with self._home() as home:
            home.lock()
            freezes = pause is not False and self._status(home) == "running"
            with committing.paused(self._place, home, must=pause is True) if freezes else nullcontext():
                return committing.commit(self._place, home, name, changes=changes, author=author, message=message)
