"""`RootFiles`: the files in a container's root, whether it runs or not."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager

from pycgroups.containers import host_paths, packing, placing, small_files
from pycgroups.containers.destinations import Goal, name_of
from pycgroups.containers.elsewhere import Elsewhere, spaces_of
from pycgroups.containers.placing import Copied, Owners
from pycgroups.containers.roots import Layers, open_of_process
from pycgroups.containers.spots import told
from pycgroups.containers.values import text
from pycgroups.errors import Error, NotFound, invalid
from pycgroups.images.unpack import DEFAULT_LIMITS, LayerLimits
from pycgroups.namespaces.namespace import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from typing import Protocol, TypedDict

    from pycgroups.namespaces.idmap import IdMap

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

    class Reads(Protocol):
        """A file object that is read."""

        def read(self, size: int, /) -> bytes:
            """Return some bytes, none at the end."""

    class Writes(Protocol):
        """A file object that is written."""

        def write(self, data: bytes, /) -> object:
            """Take all of them."""

    class WriteOptions(TypedDict, total=False):
        """Of `RootFiles.write_bytes`."""

        mode: int | None
        owner: str | tuple[int, int] | None
        parents: bool

    class CopyOptions(TypedDict, total=False):
        """Of `RootFiles.copy_in` and `RootFiles.copy_out`."""

        owner: str | tuple[int, int] | None
        preserve: bool


_ROOT = (0, 0)
_PIECE = 2**18
_LIMIT = 2**30
_LAST_ID = 2**32 - 2
_UNLIMITED = LayerLimits(entries=2**62, size=2**62)
_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class RootFiles(Elsewhere):
    """The files in a container's root.

    Paths begin at that root, absolute or not, and nothing that is in it leads out of it: symlinks and ``..`` mean what
    they mean in the container, also when the container changes them meanwhile. Regular files and directories alone are
    opened. Owners are ids of the container.

    Made by `running` or `stopped`; a context manager.
    """

    def __init__(self, root: int, *, layers: Layers | None = None, spaces: Sequence[Namespace] = ()) -> None:
        """Take a root.

        Args:
            root: its directory, closed with this object; -1 with layers.
            layers: of a container that does not run.
            spaces: where its ids are, and where its layers can be mounted; none: here. Closed likewise.
        """
        super().__init__(root, spaces)
        self._layers = layers

    @classmethod
    def running(cls, pidfd: int) -> RootFiles:
        """Of a container that runs, as its process sees them: with what is mounted in it.

        Args:
            pidfd: of a process of it; stays the caller's.

        Raises:
            NotFound: it has ended.
            Error: this user may not look at it.

        Sources: proc_pid_root(5), pidfd_open(2).
        """
        root, pid = open_of_process(pidfd)
        try:
            user = Namespace.of(pid, "user")
            if os.stat("/proc/self/ns/user").st_ino == user.id:
                user.close()
                return cls(root)
            return cls(root, spaces=(user,))
        except BaseException:
            os.close(root)
            raise

    @classmethod
    def stopped(
        cls, place: Path | Layers, *, idmap: IdMap | None = None, spaces: Sequence[Namespace] = ()
    ) -> RootFiles:
        """Of a container that does not run.

        Args:
            place: the directory that is its root; or layers, of its image and its own, which are mounted for each call,
                for nobody else to see.
            idmap: the container's, where its files belong to others on the disk; None for root, whose containers'
                files on disk have the ids that they have in the container.
            spaces: where layers can be seen that cannot from here; closed with this object.

        Raises:
            NotFound: there is no such directory.
            LaunchError: there cannot be such namespaces.

        Sources: fsopen(2), overlayfs; Linux 6.7.
        """
        if isinstance(place, Layers):
            return cls(-1, layers=place, spaces=spaces or spaces_of(idmap, "user", "mnt"))
        path = os.fsencode(place)
        with told("open root", path):
            root = os.open(path, _OPEN)
        try:
            return cls(root, spaces=spaces_of(idmap, "user"))
        except BaseException:
            os.close(root)
            raise

    # -- one file -----------------------------------------------------------------------------------------------

    def read_bytes(self, path: Path, *, limit: int = _LIMIT) -> bytes:
        """Return what is in a file.

        Args:
            path: in the container; a symlink is followed.
            limit: bytes at most; by default 1 GiB.

        Raises:
            NotFound: nothing is there.
            Error: it is no regular file, or larger; or it cannot be read.
        """
        return self._call(small_files.read, self._root, self._layers, _read_path(path), limit)

    def read_text(self, path: Path, *, encoding: str = "utf-8", errors: str = "strict", limit: int = _LIMIT) -> str:
        """Return the text in a file; raises what `read_bytes` does, and UnicodeDecodeError."""
        return self.read_bytes(path, limit=limit).decode(encoding, errors)

    def write_bytes(
        self,
        path: Path,
        data: bytes,
        *,
        mode: int | None = None,
        owner: str | tuple[int, int] | None = None,
        parents: bool = False,
    ) -> None:
        """Put a file at a path, whole or not at all.

        Who has the old file open keeps that; hard links to it do, too. What is mounted at the path itself, as
        /etc/hosts can be, is written to as it is.

        Args:
            path: in the container; a symlink is followed.
            data: what is to be in it.
            mode: its permissions; by default those that it has, or 0644.
            owner: ``(uid, gid)``, or ``"uid:gid"``; by default those that it has, or 0:0.
            parents: make the directories that it is to be in.

        Raises:
            InvalidConfig: what is to be in it is no bytes, or no text.
            NotFound: its directory is not there.
            Error: something is there that is no regular file; or it cannot be written.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise invalid("data", data, "bytes; write_text takes str")
        where, whose = _read_path(path), _owner(owner)
        self._call(small_files.write, self._root, self._layers, where, data, mode, whose, parents)

    def write_text(
        self,
        path: Path,
        text: str,
        *,
        encoding: str = "utf-8",
        mode: int | None = None,
        owner: str | tuple[int, int] | None = None,
        parents: bool = False,
    ) -> None:
        """Put a file with a text at a path; as `write_bytes`."""
        if not isinstance(text, str):
            raise invalid("text", text, "str; write_bytes takes bytes")
        self.write_bytes(path, text.encode(encoding), mode=mode, owner=owner, parents=parents)

    def stat(self, path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the facts of a file; its owner in ids of the container.

        Raises:
            NotFound: nothing is there.
        """
        return self._call(small_files.look, self._root, self._layers, _read_path(path), follow_symlinks)

    def exists(self, path: Path) -> bool:
        """Tell whether something is at a path; a symlink is followed."""
        try:
            self.stat(path)
        except NotFound:
            return False
        return True

    def list(self, path: Path = "/") -> list[str]:
        """Return the names in a directory, sorted; bytes that are no text as `os.fsdecode` has them.

        Raises:
            NotFound: there is no such directory.
        """
        return self._call(small_files.names, self._root, self._layers, _read_path(path))

    def make_directory(
        self,
        path: Path,
        *,
        mode: int = 0o755,
        owner: str | tuple[int, int] | None = None,
        parents: bool = False,
    ) -> None:
        """Make a directory.

        Args:
            path: in the container.
            mode: its permissions.
            owner: as for `write_bytes`; by default 0:0.
            parents: make those on the way, too; the directory may be there already.

        Raises:
            AlreadyExists: something is there.
            NotFound: the directory that it is to be in is not.
        """
        whose = _owner(owner) or _ROOT
        self._call(small_files.make_directory, self._root, self._layers, _read_path(path), mode, whose, parents)

    def remove(self, path: Path, *, recursive: bool = False) -> None:
        """Remove a file, a symlink itself, or a directory.

        Args:
            path: in the container.
            recursive: with all that is in it; otherwise a directory has to be empty.

        Raises:
            NotFound: nothing is there.
            Error: it is the root, something is mounted there, or it cannot be removed.
        """
        self._call(small_files.remove, self._root, self._layers, _read_path(path), recursive)

    # -- copies -------------------------------------------------------------------------------------------------

    def copy_in(
        self,
        source: Path | Reads,
        destination: Path,
        *,
        owner: str | tuple[int, int] | None = None,
        preserve: bool = False,
    ) -> Copied:
        """Copy a file, a tree or a tar into the container; docker cp's rules, `pycgroups.containers.destinations`.

        Modes, times to the nanosecond, symlinks, hard links, holes and attributes ``user.*`` are kept. FIFOs are made,
        sockets left out. Each file takes its place when it is whole; a directory that is there keeps its attributes.

        Args:
            source: a path of this host; or a file object with a tar, compressed with gzip, bzip2, xz or zstd, or not;
                then the destination is a directory.
            destination: in the container.
            owner: whose it is then, as for `write_bytes`; by default 0:0.
            preserve: keep owners (unless `owner` is given), set-user-id bits, capabilities and devices too.

        Raises:
            NotFound: the source, the destination's directory, or a destination with a slash at its end is not there.
            ImageError: the tar is malformed, or what it is compressed with.
            Unsupported: it is zstd, and there is no package for that.
            Error: a directory would have to take the place of something else, or the other way round; or something
                cannot be read or written. What was copied before stays.
        """
        whose = Owners(_owner(owner) or (None if preserve else _ROOT), preserve)
        where = _read_path(destination, "destination")
        if not isinstance(source, str | bytes | os.PathLike):
            from pycgroups.images.compression import expand  # most copy paths

            with _copying("to the container"):
                return self._place(expand(iter(lambda: source.read(_PIECE), b"")), Goal(where, archive=True), whose)
        there = _read_path(source, "source")
        with host_paths.source(there) as (directory, path):
            goal = Goal(where, name_of(there))
            packed = _source(packing.pack(directory, None, path, b".", _UNLIMITED, preserve), "the host", path, source)
            with closing(packed) as chunks, _copying("to the container"):
                return self._place(chunks, goal, whose)

    def copy_out(
        self,
        source: Path,
        destination: Path | Writes,
        *,
        owner: str | tuple[int, int] | None = None,
        preserve: bool = False,
        limits: LayerLimits = DEFAULT_LIMITS,
    ) -> Copied | None:
        """Copy a file or a tree out of the container; docker cp's rules, `pycgroups.containers.destinations`.

        What is kept is what `copy_in` keeps.

        Args:
            source: in the container.
            destination: a path of this host; or a file object, which gets a tar.
            owner: whose it is then, in ids of the host; by default the caller.
            preserve: keep what belongs to whom (in ids of the container, unless `owner` is given), set-user-id bits,
                capabilities and devices too. Mind that such files were made by whoever was in the container.
            limits: how much there may be: by default 1,000,000 files, and 64 GiB, holes included.

        Returns:
            What was copied; None to a file object.

        Raises:
            NotFound: the source is not there, or the destination's directory.
            Error: it is more than allowed; a socket or a device; the caller cannot give files away as `preserve` or
                `owner` want it; or as `copy_in`.
        """
        if not isinstance(limits, LayerLimits):
            raise invalid("limits", limits, "LayerLimits")
        path, whose = _read_path(source, "source"), Owners(_owner(owner), preserve)
        is_path = isinstance(destination, str | bytes | os.PathLike)
        called = b"." if is_path else name_of(path) or b"."
        with closing(_source(self._pack(path, called, limits, preserve), "the container", path, source)) as chunks:
            if not isinstance(destination, str | bytes | os.PathLike):
                for chunk in chunks:
                    destination.write(chunk)
                return None
            above = host_paths.destination(_read_path(destination, "destination"))
            with above as (directory, where), _copying("to the host", where, destination):
                return placing.place(directory, None, Goal(where, name_of(path)), whose, chunks)

    def export(self) -> Generator[bytes]:
        """Yield a tar of the whole root, the same bytes whenever the files are, without what is mounted in it.

        Raises:
            Error: a name begins with ``.wh.``, which would be a removed file; or it cannot be read.
        """
        if self._spaces:
            yield from self._out(packing.export_to, self._root, self._layers)
        else:
            yield from packing.export(self._root, self._layers)

    def _pack(self, path: bytes, called: bytes, limits: LayerLimits, devices: bool) -> Generator[bytes]:
        if self._spaces:
            yield from self._out(packing.pack_to, self._root, self._layers, path, called, limits, devices)
        else:
            yield from packing.pack(self._root, self._layers, path, called, limits, devices)

    def _place(self, chunks: Iterator[bytes], goal: Goal, owners: Owners) -> Copied:
        if self._spaces:
            return self._in(placing.place_from, chunks, self._root, self._layers, goal, owners)
        return placing.place(self._root, self._layers, goal, owners, chunks)


@contextmanager
def _copying(way: str, inner: bytes = b"", path: Path = b"") -> Iterator[None]:
    """Have errors tell on which side they are, and of what is called `inner` here by the path that was given."""
    try:
        yield
    except Error as error:
        operation, colon, step = error.operation.partition(":")
        if operation == "copy":  # and not one of the other side that has come through here
            error.operation = f"copy {way}{colon}{step}"
            if inner and error.path == os.fsdecode(inner):
                error.path = os.fsdecode(path)
        raise


def _source(chunks: Iterator[bytes], where: str, inner: bytes, path: Path) -> Generator[bytes]:
    with _copying(f"from {where}", inner, path):
        yield from chunks


def _read_path(path: Path, key: str = "path") -> bytes:
    """Read a path, in the container or of this host."""
    return os.fsencode(text(path, key))


def _owner(owner: str | tuple[int, int] | None) -> tuple[int, int] | None:
    """Read the option ``owner``."""
    found = owner
    if isinstance(owner, str):
        uid, _, gid = owner.partition(":")
        found = (int(uid), int(gid or uid)) if uid.isdecimal() and (gid or uid).isdecimal() else ()  # type: ignore[assignment]
    if found is None or (
        isinstance(found, tuple)
        and len(found) == 2  # noqa: PLR2004
        and all(isinstance(one, int) and 0 <= one <= _LAST_ID for one in found)
    ):
        return found
    raise invalid("owner", owner, '(uid, gid) or "uid:gid", numbers up to 2**32 - 2')
