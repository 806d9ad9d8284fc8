"""What the store's images are called: the ``index.json`` of an OCI image layout; image-layout.md, "index.json".

Each entry is a manifest or an index. Its annotation ``org.opencontainers.image.ref.name`` is the full reference
(``docker.io/library/debian:13``); an entry without one is an image whose name was given to another. Whoever changes the
file has the lock beside it, and replaces it: readers take none.
"""

from __future__ import annotations

import os

from pycgroups.errors import ImageError, InvalidConfig
from pycgroups.images.files import NO_FILE, io_errors
from pycgroups.images.locks import Lock
from pycgroups.images.writing import read_file, replace
from pycgroups.oci import image_spec as spec
from pycgroups.oci.image_reading import read_manifest
from pycgroups.oci.json_text import LARGEST_TEXT, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import contextmanager

    from attrs import evolve
else:
    from contextlib import contextmanager

    from pycgroups.frozen import evolve

NAME = "org.opencontainers.image.ref.name"
INDEX = "index.json"
LAYOUT = "oci-layout"
_LOCK = "index.lock"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


def name_of(entry: spec.Descriptor) -> str | None:
    """Return the reference that an entry of the index is called by, or None."""
    return dict(entry.annotations).get(NAME)


def named(entry: spec.Descriptor, name: str | None) -> spec.Descriptor:
    """Return the entry under a name, or under none."""
    rest = tuple(pair for pair in entry.annotations if pair[0] != NAME)
    return evolve(entry, annotations=(*rest, (NAME, name)) if name else rest)


class Names:
    """The names of one store."""

    def __init__(self, directory: int, path: str) -> None:
        """Take the directory of the layout, open, and its path, for errors."""
        self._directory = directory
        self._path = f"{path}/{INDEX}"
        self._seen: tuple[tuple[int, int, int] | None, tuple[spec.Descriptor, ...]] = (None, ())

    def begin(self) -> None:
        """Write the files that make the directory a layout, unless they are there."""
        try:
            there = read_file(LAYOUT, dir_fd=self._directory, most=1024)
        except OSError:
            return  # something else is there: it is for other tools, and `Names` does without
        if there != _VERSION:
            replace(LAYOUT, _VERSION, dir_fd=self._directory)

    @io_errors("read names")
    def all(self) -> tuple[spec.Descriptor, ...]:
        """Return the entries, as they are now.

        Raises:
            ImageError: the file is damaged; names what of it.
        """
        try:
            found = os.stat(INDEX, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return ()
        state = found.st_ino, found.st_mtime_ns, found.st_size
        if self._seen[0] != state:
            self._seen = state, self._read()
        return self._seen[1]

    def _read(self) -> tuple[spec.Descriptor, ...]:
        try:
            text = read_file(INDEX, dir_fd=self._directory, most=LARGEST_TEXT)
            if text is None:
                return ()
            index = read_manifest(text, spec.INDEX, most=LARGEST_TEXT)
        except (InvalidConfig, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_FILE:
                raise
            hint = "pycgroups image repair sets it aside; images are found by their digests then"
            raise ImageError(f"is damaged: {error}", operation="read", path=self._path, hint=hint) from error
        assert isinstance(index, spec.Index)
        return index.manifests

    def begin_anew(self, entries: Iterable[spec.Descriptor]) -> None:
        """Set a damaged file aside, as ``index.json.damaged``, and list images without names."""
        with Lock(_LOCK, dir_fd=self._directory):
            os.rename(INDEX, f"{INDEX}.damaged", src_dir_fd=self._directory, dst_dir_fd=self._directory)
            self._write(entries)

    def _write(self, entries: Iterable[spec.Descriptor]) -> None:
        index = {"schemaVersion": 2, "mediaType": spec.INDEX, "manifests": [entry.to_json() for entry in entries]}
        replace(INDEX, dumps(index).encode(), dir_fd=self._directory)

    @contextmanager
    def changing(self) -> Iterator[list[spec.Descriptor]]:
        """Give the entries to be changed; they are written when nothing was raised.

        Raises:
            ImageError: the file is damaged.
        """
        with io_errors(f"change {self._path}:"), Lock(_LOCK, dir_fd=self._directory):
            before = self._read()
            entries = list(before)
            yield entries
            if tuple(entries) != before:
                self._write(entries)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Keep others from changing the entries."""
        with io_errors(f"lock {self._path}:"), Lock(_LOCK, shared=True, dir_fd=self._directory):
            yield

    def set(self, name: str, entry: spec.Descriptor) -> None:
        """Give a name to a manifest; what had it before stays, without one."""
        with self.changing() as entries:
            self.give(entries, name, entry)

    def add(self, entry: spec.Descriptor) -> None:
        """List a manifest without a name, unless it has one."""
        with self.changing() as entries:
            if all(one.digest != entry.digest for one in entries):
                entries.append(named(entry, None))

    @staticmethod
    def give(entries: list[spec.Descriptor], name: str, entry: spec.Descriptor) -> None:
        """Do so in a list of entries."""
        others = {one.digest for one in entries if name_of(one) not in {None, name}}
        old = [one for one in entries if name_of(one) == name]
        # Without a name it is listed once, and only when it has no other.
        entries[:] = [
            one for one in entries if name_of(one) != name and not (name_of(one) is None and one.digest == entry.digest)
        ]
        there = {one.digest for one in entries}
        entries += [
            named(one, None)
            for one in old
            if one.digest != entry.digest and one.digest not in others and one.digest not in there
        ]
        entries.append(named(entry, name))

    @staticmethod
    def take(entries: list[spec.Descriptor], gone: list[spec.Descriptor], used: Iterable[str]) -> None:
        """Take some out of a list of entries; what is used, by its digest, stays without a name if it has no other."""
        entries[:] = [one for one in entries if one not in gone]
        there = {one.digest for one in entries}
        last = {one.digest: named(one, None) for one in gone if one.digest not in there}
        entries += [one for digest, one in last.items() if digest in used]
