"""`Volumes`: the volumes of a store. `pycgroups.volumes` is that of the default store.

On the disk::

    ROOT/volumes/             0700: what is below is nobody else's, whatever its modes
      .lock                   held for as long as it takes to give a name, or to take one; shared by who makes a
                              container that has volumes, until its record says so: `Volumes.keeping`
      NAME/volume.json        when it was made, and its labels; never changed. Its lock is shared by who uses the
                              volume, and held alone by who fills or removes it
      NAME/data/              the files: what containers see
      NAME/filling/           a first content that is not complete
      .new-HEX, .gone-HEX     one that is being made, or removed

A volume has its name when it is complete, and has it no more before the first of its files goes. What a crash leaves is
removed by the next who makes or removes one. The kernel gives back the locks of whoever dies.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager

from pycgroups.containers import options
from pycgroups.containers.events import Events
from pycgroups.containers.volumes.filling import FILLING, fill
from pycgroups.containers.volumes.users import users
from pycgroups.containers.volumes.volume import Volume, measure
from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound, StateError, invalid
from pycgroups.images.files import ANOTHER_STORE, io_errors
from pycgroups.images.inside import Inside
from pycgroups.images.locks import Lock
from pycgroups.images.removing import remove
from pycgroups.images.store import default_root
from pycgroups.images.writing import read_file, write_all
from pycgroups.oci.json_text import dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, NamedTuple
else:
    from pycgroups.records import NamedTuple

DATA = "data"
_RECORD = "volume.json"
_LARGEST_RECORD = 2**20
_MODE = 0o755
_NEW, _GONE = ".new-", ".gone-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Pruned(NamedTuple):
    """What was removed.

    Attributes:
        volumes: names.
        size: bytes that their files had.
    """

    volumes: tuple[str, ...]
    size: int


class Volumes:
    """The volumes of one store. The objects of several processes may work on it at once.

    Args:
        root: the store's directory; by default ``/var/lib/pycgroups`` for root and ``~/.local/share/pycgroups`` for
            others, or what ``$PYCGROUPS_STORE`` says.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Take the place; nothing is made before a volume is."""
        self._root = os.path.abspath(os.fsdecode(root)) if root is not None else None
        self._events = Events(self._root)
        self.inside = Inside()

    @property
    def root(self) -> str:
        """The directory with the volumes, whether it is there or not."""
        return f"{self._root or default_root()}/volumes"

    def place(self, name: str) -> str:
        """Return where a volume's files are, or would be."""
        return f"{self.root}/{name}/{DATA}"

    # -- what there is ------------------------------------------------------------------------------------------------

    def list(self, *, labels: Mapping[str, str | None] | Sequence[str] | None = None) -> list[Volume]:
        """Return the volumes, by name.

        Args:
            labels: those that have all of these: ``{"of": "shop"}``, ``{"of": None}`` for any text, or a list of
                ``"of=shop"`` and ``"of"``.

        Raises:
            InvalidConfig: the labels are none.
            Error: the store cannot be read.
        """
        wanted = _wanted(labels)
        with io_errors("list volumes", self.root, ANOTHER_STORE):
            try:
                names = sorted(os.listdir(self.root))
            except FileNotFoundError:
                return []
            found = [self._find(name) for name in names if not name.startswith(".")]
        return [volume for volume in found if volume is not None and _has(volume, wanted)]

    def get(self, name: str) -> Volume:
        """Return a volume.

        Raises:
            NotFound: there is none of this name.
            InvalidConfig: it is no name.
        """
        called = options.name(name, "name")
        with io_errors("find volume", called):
            found = self._find(called)
        if found is None:
            raise NotFound(
                "there is none", operation="find volume", path=called, hint=f"pycgroups volume create {called}"
            )
        return found

    def _find(self, name: str) -> Volume | None:
        try:
            fd = os.open(f"{self.root}/{name}", _DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            created, labels = _facts(read_file(_RECORD, dir_fd=fd, most=_LARGEST_RECORD), fd)
        finally:
            os.close(fd)
        return Volume(self, name, self.place(name), labels=labels, created=created)

    # -- making and removing ------------------------------------------------------------------------------------------

    def create(self, name: str | None = None, *, labels: Mapping[str, str] | Sequence[str] | None = None) -> Volume:
        """Make a volume. It is empty, and belongs to the container's root.

        Args:
            name: letters, digits and ``_.-``, a letter or digit first, up to 128; by default one is made up.
            labels: text by name, or a list of ``"NAME=TEXT"``.

        Raises:
            AlreadyExists: there is one of this name.
            InvalidConfig: it is no name, or a label is wrong.
            Error: it cannot be written. Nothing of it is left.
        """
        called = secrets.token_hex(32) if name is None else options.name(name, "name")
        given = {} if labels is None else dict(options.labels(labels, "labels"))
        made = self._make(called, given)
        if made is None:
            hint = f"pycgroups.volumes.get({called!r})"
            raise AlreadyExists("there is one", operation="create volume", path=called, hint=hint)
        return made

    def _make(self, name: str, labels: dict[str, str]) -> Volume | None:
        """Make it, complete before it has its name; None when there is one."""
        root, made, created = self.root, None, time.time_ns()
        with io_errors("create volume", f"{root}/{name}"):
            self._make_root()
            with Lock(f"{root}/.lock"):
                self._sweep(_NEW)
                if not os.path.lexists(f"{root}/{name}"):
                    new = f"{root}/{_NEW}{secrets.token_hex(8)}"
                    try:
                        _write(new, dumps({"created": created, "labels": labels}).encode())
                        os.rename(new, f"{root}/{name}")
                    except BaseException:
                        remove(new)
                        raise
                    _sync(root)
                    made = Volume(self, name, self.place(name), labels=labels, created=created)
            self._sweep(_GONE)
        if made is not None:
            self._events.append("volume", "create", id_=name, name=name)
        return made

    def _make_root(self) -> None:
        for path in (os.path.dirname(self.root), self.root):
            os.makedirs(path, mode=0o700, exist_ok=True)

    def _sweep(self, beginning: str) -> Error | None:
        """Remove what others have left; why something of that stays, if it does."""
        failed = None
        for name in os.listdir(self.root):
            try:
                if name.startswith(beginning):
                    self.inside(remove, f"{self.root}/{name}")
            except Error as error:  # what one file is in the way of keeps nobody from the rest
                failed = error
        return failed

    def remove(self, name: str | Volume, *, force: bool = False) -> None:
        """Remove a volume with its files.

        Args:
            name: which.
            force: also when a container has it, which finds it empty then.

        Raises:
            NotFound: there is none of this name.
            StateError: a container has it, whether that runs or not; it says which. Or a run uses it.
            InvalidConfig: it is no name.
            Error: a file cannot be removed; the volume is gone, and the next removal tries again.
        """
        called = name.name if isinstance(name, Volume) else options.name(name, "name")
        with io_errors("remove volume", called):
            if not os.path.isdir(self.root):
                raise _none(called)
            with Lock(f"{self.root}/.lock"):
                if not force:
                    self._check_unused(called)
                gone = self._take_name(called, force=force)
            self._events.append("volume", "remove", id_=called, name=called)
            self.inside(remove, gone)
            self._sweep(_GONE)

    def _users(self) -> Mapping[str, Sequence[str]]:
        """Say which containers have which volumes; with the lock, for as long as that is held."""
        return users(os.path.dirname(self.root))

    def _check_unused(self, name: str) -> None:
        containers = self._users().get(name)
        if containers:
            raise StateError(
                f"containers have it: {', '.join(containers)}",
                operation="remove volume",
                path=name,
                hint="remove them first; or volume rm --force, remove(force=True): they find it empty then",
            )

    def _take_name(self, name: str, *, force: bool) -> str:
        """Take its name away, with the lock; return where it is now."""
        path, gone = f"{self.root}/{name}", f"{self.root}/{_GONE}{secrets.token_hex(8)}"
        if not os.path.isdir(path):
            raise _none(name)
        used = Lock(f"{path}/{_RECORD}")
        try:
            free = used.take(wait=False)
        except FileNotFoundError:
            raise _none(name) from None
        if not free and not force:
            hint = "it goes when the last container that uses it has ended; or force"
            raise StateError("a container uses it", operation="remove volume", path=name, hint=hint)
        try:
            os.rename(path, gone)
            _sync(self.root)
        finally:
            used.release()
        return gone

    def prune(self, *, labels: Mapping[str, str | None] | Sequence[str] | None = None) -> Pruned:
        """Remove the volumes that no container has, running or not, and no run uses, with their files.

        Args:
            labels: only those that have all of these, as for `list`.

        Returns:
            What was removed.

        Raises:
            Error: a file cannot be removed.
        """
        size, failed = 0, None
        taken = self._take_unused(self.list(labels=labels))
        for name in taken:
            self._events.append("volume", "remove", id_=name, name=name)
        for gone in taken.values():
            try:
                size += self.inside(measure, f"{gone}/{DATA}")
            except Error as error:
                failed = error
        self.sweep()
        if failed is not None:
            raise failed
        return Pruned(tuple(taken), size)

    def _take_unused(self, volumes: Sequence[Volume]) -> dict[str, str]:
        """Take away the names of those that nobody has; where each is now. Whatever comes then finds none."""
        taken: dict[str, str] = {}
        if not volumes:
            return taken
        with io_errors("remove volume"), Lock(f"{self.root}/.lock"):
            used = self._users()
            for name in [volume.name for volume in volumes if volume.name not in used]:
                try:
                    taken[name] = self._take_name(name, force=False)
                except (StateError, NotFound):  # a run uses it, or somebody was quicker
                    continue
        return taken

    @io_errors("clean up volumes")
    def sweep(self) -> None:
        """Remove what those have left who died when they made or removed one.

        Raises:
            Error: something cannot be removed; the rest is.
        """
        if os.path.isdir(self.root):
            with Lock(f"{self.root}/.lock"):
                failed = self._sweep(_NEW)
            failed = self._sweep(_GONE) or failed
            if failed is not None:
                raise failed

    # -- for containers -------------------------------------------------------------------------------------------

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep volumes from being removed, as long as the record of a container is made that has some from then on."""
        with io_errors("keep volumes", self.root):
            self._make_root()
            lock = Lock(f"{self.root}/.lock", shared=True)
            lock.take()
        with lock:
            yield

    def use(self, name: str, layers: tuple[str, ...] = (), at: str = "/") -> tuple[str, Lock]:
        """Return a volume's directory, and what keeps it until it is released. It is made when it is not there.

        An empty one that nobody uses gets what a root file system has at a place, if that is a directory.

        Args:
            name: which.
            layers: the directories that the root file system is made of, the topmost first; none for no first content.
            at: the place.

        Raises:
            Error: it cannot be made or filled; then it is as it was.
        """
        with io_errors("use volume", name):
            lock, settled = self._hold(name, layers, at)
            if not settled:  # who was to fill it has failed; or it is in use and empty, which is said once more then
                lock.release()
                lock, _ = self._hold(name, layers, at)
            return self.place(name), lock

    def _hold(self, name: str, layers: tuple[str, ...], at: str) -> tuple[Lock, bool]:
        """Have it, and its shared lock; tell whether its first content is settled."""
        while True:
            lock = Lock(f"{self.root}/{name}/{_RECORD}", shared=True)
            try:
                filled = not layers or self._fill(name, layers, at)
                lock.take()  # waits for who fills it
                return lock, filled or not self._is_empty(name)
            except FileNotFoundError:  # it is not there, or not any more
                lock.release()
                if os.path.isdir(f"{self.root}/{name}") and not os.path.isdir(self.place(name)):
                    raise Error("its files are gone", operation="use volume", path=name, hint="remove it") from None
                self._make(name, {})
            except BaseException:
                lock.release()
                raise

    def _fill(self, name: str, layers: tuple[str, ...], at: str) -> bool:
        """Give it its first content, unless it has some; tell whether that could be: not while others use it."""
        path = f"{self.root}/{name}"
        if not self._is_empty(name):
            return True
        lock = Lock(f"{path}/{_RECORD}")
        if not lock.take(wait=False):
            return False
        with lock:
            if self._is_empty(name):
                try:
                    self.inside(fill, path, layers, at, not self.inside.has_all_ids)
                except BaseException:
                    self.inside(remove, f"{path}/{FILLING}")
                    raise
        return True

    def _is_empty(self, name: str) -> bool:
        try:
            with os.scandir(self.place(name)) as found:
                return next(found, None) is None
        except PermissionError:  # a container has given it away, and to others than the caller
            return False


def _write(path: str, record: bytes) -> None:
    """Make the directory of a volume."""
    os.mkdir(path, 0o700)
    os.mkdir(f"{path}/{DATA}")
    os.chmod(f"{path}/{DATA}", _MODE)  # whatever the umask is
    fd = os.open(f"{path}/{_RECORD}", _WRITE, 0o600)
    try:
        write_all(fd, record)
        os.fsync(fd)
    finally:
        os.close(fd)
    _sync(path)


def _sync(path: str) -> None:
    """Have the names in a directory on the disk."""
    fd = os.open(path, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _facts(record: bytes | None, directory: int) -> tuple[int, dict[str, str]]:
    """Read when it was made, and its labels. A record that the disk has lost costs these, and not the files."""
    try:
        facts: Any = parse(record or b"", _RECORD)
        created, labels = facts["created"], facts["labels"]
        if isinstance(created, int) and all(isinstance(text, str) for text in labels.values()):
            return created, labels
    except (InvalidConfig, LookupError, TypeError, AttributeError):
        pass
    return os.fstat(directory).st_mtime_ns, {}


def _none(name: str) -> NotFound:
    return NotFound("there is none", operation="remove volume", path=name)


def _wanted(labels: Mapping[str, str | None] | Sequence[str] | None) -> dict[str, str | None]:
    if labels is None:
        return {}
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise invalid("labels", labels, "a dict, or a list of 'NAME' and 'NAME=TEXT'")
    if hasattr(labels, "items"):
        return dict(labels.items())
    parts = [label.partition("=") for label in labels]
    return {name: text if equals else None for name, equals, text in parts}


def _has(volume: Volume, wanted: dict[str, str | None]) -> bool:
    return all(name in volume.labels and (text is None or volume.labels[name] == text) for name, text in wanted.items())
