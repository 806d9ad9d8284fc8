"""What is kept of a container on disk, and survives a reboot: its directory, its name, its records.

::

    ROOT/containers/
        names/NAME           a symlink to ../ID
        ID/                  64 hex digits; locked (flock) by whoever changes the container
            container.json   a `Record`: what was asked
            upper/ work/     its writable layer, of an image; or root/, a copy, where overlayfs is not to be had
            layer.ext4       that layer, with a limit: `pycgroups.containers.limited`
            run.json         a `Start`: the last one
            monitor, exit    that it runs, and how it ended: `pycgroups.containers.monitor`
            stopped          somebody has stopped it, and nobody has started it since
            unstopped        what becomes that, of one with a restart policy: it is renamed where no file can be made
            restart          its restart policy was changed while it ran: `pycgroups.containers.monitor`
            kept, members    who stops it to start it anew has it locked; it was renamed while it ran: likewise
            log, log.1 ...   what it has written
            input            a socket, where its input is lent: `pycgroups.containers.lending`
            frozen           as long as who has the lock has it frozen; else that one has died meanwhile
            health.json      what its checks say: `pycgroups.containers.health`
        ID.new/              one that is being made; locked as long as its maker lives
        ID.gone/             one that is being removed; likewise

Each record is replaced as a whole, and readers take no lock. A crash leaves ``ID.new`` or ``ID.gone``, which
`Homes.sweep` removes, or a symlink to what is not called so: that name is free. So an ``ID`` without a proper record is
one that somebody has damaged: it is told of, and removed by force alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager

from pycgroups.containers import options
from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound, StateError, shown
from pycgroups.images.files import ANOTHER_STORE, io_errors
from pycgroups.images.inside import Inside
from pycgroups.images.locks import Lock, holders, unlock
from pycgroups.images.removing import remove
from pycgroups.images.users import CONTAINERS, ID_LENGTH, RECORD, is_id
from pycgroups.images.writing import read_file, replace, write_all
from pycgroups.oci.json_text import LARGEST_TEXT, dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from functools import cache, lru_cache
    from typing import Any, NamedTuple, Self
else:
    from pycgroups.caches import cache, lru_cache
    from pycgroups.records import NamedTuple

START, STOPPED = "run.json", "stopped"
_UNSTOPPED = "unstopped"
TRACES = ("monitor", "exit")
"""What else a run leaves: `pycgroups.containers.monitor`."""
FROZEN = "frozen"
_NAMES = "names"
_NEW, _GONE = ".new", ".gone"
_HEX = frozenset("0123456789abcdef")
_BOOT_ID_LENGTH = 37  # a UUID, and the end of the line
# Another command may be at work on the container; it holds the lock for as long as a start takes (seconds).
_PATIENCE = 30.0
FOR_EVER = float("inf")
_PAUSE = 0.01
STARTS_IT = "start it: start(), pycgroups start"
"""What to do with one that does not run."""
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps this process from reading a record that is as it should be."""
_NO_RECORD = "remove it by force: pycgroups rm --force, or remove(force=True)"


class Record(NamedTuple):
    """What container.json says.

    Attributes:
        id: of the container.
        name: likewise; what the symlink is called, too.
        created: when, in nanoseconds since 1970.
        config: its options, as `pycgroups.containers.config_json` writes them.
        image: the digest of its image, or "".
        detach: it goes on when its creator ends.
        remove: nobody needs it after its end.
        stdin: it has one that is open, for whoever attaches.
        restart: when it is started again; in the words of `pycgroups.containers.restarting`.
        healthcheck: how it is checked, as `pycgroups.containers.healthcheck.settle` has it; empty for not at all.
    """

    id: str
    name: str
    created: int
    config: dict[str, Any]
    image: str = ""
    detach: bool = False
    remove: bool = False
    stdin: bool = False
    restart: str = "no"
    healthcheck: dict[str, Any] = {}  # noqa: RUF012 (nobody changes it)


class Start(NamedTuple):
    """What run.json says.

    Attributes:
        boot: which boot of the machine it was; proc_sys_kernel(5), random/boot_id.
        started: when, in nanoseconds since 1970.
        pid: of its first process.
        began: when that began, in clock ticks since the boot: with the pid, its identity.
        creator: the pid of who started it.
        creator_began: likewise.
        unenforced: limits that are not in force.
        restarts: how often it was started again by its restart policy, since somebody has started it.
        error: why such a start failed; then there was no process.
    """

    boot: str
    started: int
    pid: int
    began: int
    creator: int
    creator_began: int
    unenforced: tuple[str, ...] = ()
    restarts: int = 0
    error: str = ""


_KINDS = {"str": str, "int": int, "bool": bool, "dict[str, Any]": dict, "tuple[str, ...]": tuple}


def new_id() -> str:
    """Return an id that no other container has."""
    return os.urandom(ID_LENGTH // 2).hex()


@cache
def boot_id() -> str:
    """Return which boot of the machine this is. Cached."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _BOOT_ID_LENGTH).decode().strip()
    finally:
        os.close(fd)


def is_name(word: str) -> bool:
    """Tell whether a container can be called so."""
    try:
        options.name(word, "name")
    except InvalidConfig:
        return False
    return True


class Home:
    """The directory of one container, held open.

    Attributes:
        id: of the container.
        path: of the directory.
        fd: of the directory.
        is_locked: it has the lock on it, or waits for that.
    """

    __slots__ = ("__weakref__", "fd", "id", "is_locked", "path")

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            NotFound: there is no such container.
        """
        self.fd, self.is_locked = -1, False
        self.path = path
        self.id = os.path.basename(path).partition(".")[0]
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            raise _none(self.id) from None
        except OSError as error:
            raise Error(operation="open container", path=path, errno=error.errno) from None

    def close(self) -> None:
        """Let go of it, and give back the lock."""
        if self.is_locked and self.fd >= 0:
            unlock(self.fd)
        self.let_go()

    def let_go(self) -> None:
        """Let go of it, as a child that another thread has forked; the lock stays this process's."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Do so, where an exception has come between, as Ctrl-C in a `with` that has just begun or ended."""
        if hasattr(self, "is_locked"):  # or it came before the first line of `__init__`
            self.close()

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def lock(self, patience: float = _PATIENCE) -> None:
        """Keep others from changing the container until this object is closed.

        Raises:
            StateError: another process is at work on it for longer than that (seconds).
            NotFound: it was removed meanwhile.
        """
        deadline = time.monotonic() + patience
        how = fcntl.LOCK_EX | (0 if patience == FOR_EVER else fcntl.LOCK_NB)
        holders.add(self)
        self.is_locked = True
        while True:
            try:
                fcntl.flock(self.fd, how)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StateError(
                        "another command is at work on the container",
                        operation="lock",
                        path=self.called,
                        hint="wait for it, or end it",
                    ) from None
                time.sleep(_PAUSE)
        try:
            there = os.path.samestat(os.fstat(self.fd), os.stat(self.path, follow_symlinks=False))
        except FileNotFoundError:
            there = False
        if not there:
            raise _none(self.id)

    # -- being frozen by us ---------------------------------------------------------------------------------------

    def note_frozen(self) -> None:
        """Note, while it is locked, that it is to be frozen, and not by its user's wish."""
        with io_errors("write", f"{self.path}/{FROZEN}"):
            os.close(os.open(FROZEN, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self.fd))

    def forget_frozen(self) -> None:
        """Note that this is over."""
        try:
            os.unlink(FROZEN, dir_fd=self.fd)
        except FileNotFoundError:
            return

    @property
    def is_frozen_by_us(self) -> bool:
        """Whether it is noted that it is to be, be it that who has noted that has died."""
        return os.access(FROZEN, os.F_OK, dir_fd=self.fd)

    @property
    def was_left_frozen(self) -> bool:
        """Whether who has frozen it so has died."""
        return self.is_frozen_by_us and not is_busy(self.path)

    # -- records --------------------------------------------------------------------------------------------------

    @property
    def called(self) -> str:
        """What errors call it: its name, where that can be read."""
        try:
            return self.record().name or self.id[:12]
        except Error:
            return self.id[:12]

    def record(self) -> Record:
        """Read what was asked.

        Raises:
            InvalidConfig: container.json is damaged, or not there.
            Error: there are too many open files.
        """
        found: Record | None = self._read(RECORD)
        if found is None or found.id != self.id:
            raise self._damaged(RECORD, "missing" if found is None else f"of another container: {shown(found.id)}")
        return found

    def start(self) -> Start | None:
        """Read what is known of the last start; None if there was none.

        It is not synced to the disk: after a power cut it would tell of another boot anyway.

        Raises:
            InvalidConfig: run.json is damaged.
        """
        found: Start | None = self._read(START)
        return found

    @property
    def was_started(self) -> bool:
        """Whether it ever was, by any trace of that."""
        return not {START, *TRACES}.isdisjoint(os.listdir(self.fd))

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it, and nobody has started it since."""
        return STOPPED in os.listdir(self.fd)

    def note_stopped(self, *, stopped: bool) -> None:
        """Note that somebody stops it, or starts it. On a disk that is full, what has been started can be stopped."""
        before, after = (_UNSTOPPED, STOPPED) if stopped else (STOPPED, _UNSTOPPED)
        with io_errors("write", f"{self.path}/{after}"):
            try:
                os.rename(before, after, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            except FileNotFoundError:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                os.close(os.open(after, flags, 0o600, dir_fd=self.fd))

    def write_first(self, record: Record) -> None:
        """Write what was asked, of a new container: nobody reads it before its directory has its name."""
        with io_errors("write", f"{self.path}/{RECORD}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(RECORD, flags, 0o600, dir_fd=self.fd)
            try:
                write_all(fd, _text(record))
                os.fsync(fd)
            finally:
                os.close(fd)

    def write_record(self, record: Record) -> None:
        """Replace what was asked."""
        with io_errors("write", f"{self.path}/{RECORD}"):
            replace(RECORD, _text(record), dir_fd=self.fd)

    def write_start(self, start: Start) -> None:
        """Note a start."""
        with io_errors("write", f"{self.path}/{START}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(f"{START}.new", flags, 0o600, dir_fd=self.fd)
            try:
                write_all(fd, _text(start))
            finally:
                os.close(fd)
            os.rename(f"{START}.new", START, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _read(self, name: str) -> Any:
        text = self._text(name, LARGEST_TEXT)
        try:
            return None if text is None else _made(name, text)
        except (AttributeError, TypeError, InvalidConfig) as error:
            raise self._damaged(name, error.message if isinstance(error, Error) else str(error)) from None

    def _text(self, name: str, most: int) -> bytes | None:
        try:
            return read_file(name, dir_fd=self.fd, most=most)
        except OSError as error:
            if error.errno in _OURS:
                raise Error(operation="read", path=f"{self.path}/{name}", errno=error.errno) from None
            raise self._damaged(name, error.strerror or str(error)) from None

    def _damaged(self, name: str, why: str) -> InvalidConfig:
        message = f"the container is damaged: {why}"
        return InvalidConfig(message, operation="read", path=f"{self.path}/{name}", hint=_NO_RECORD)


def _text(record: Record | Start) -> bytes:
    return dumps(dict(zip(record._fields, record, strict=True))).encode()


@lru_cache(64)  # a program may be executed a thousand times
def _made(name: str, text: bytes) -> Any:
    """Take what was read for the record that a file has, if each part of it is of the right kind. Nobody changes it.

    Raises:
        InvalidConfig, AttributeError, TypeError: it is not.
    """
    kind: Any = Record if name == RECORD else Start
    values = {key: tuple(value) if type(value) is list else value for key, value in parse(text, name).items()}
    made = kind(**values)
    for (key, annotation), value in zip(kind.__annotations__.items(), made, strict=True):
        if type(value) is not _KINDS[annotation]:
            raise TypeError(f"{key} is {shown(value)}")
    return made


class Homes:
    """The directories of all containers of a store.

    Attributes:
        path: the directory that they are in.
    """

    def __init__(self, root: str) -> None:
        """Take the root of the store; nothing is made before a container is."""
        self.path = f"{root}/{CONTAINERS}"

    # -- finding --------------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Name the containers that are there, damaged ones too."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(
                    entry.name for entry in entries if is_id(entry.name) and entry.is_dir(follow_symlinks=False)
                )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Error(operation="list containers", path=self.path, errno=error.errno, hint=ANOTHER_STORE) from None

    def open(self, id_: str) -> Home:
        """Open the directory of a container.

        Raises:
            NotFound: there is none of this id.
        """
        if not is_id(id_):
            raise _none(id_)
        return Home(f"{self.path}/{id_}")

    def is_gone(self, id_: str) -> bool:
        """Tell whether nothing is left of a container, whose files go after it."""
        return not any(os.path.lexists(f"{self.path}/{id_}{end}") for end in ("", _GONE))

    def name_of(self, id_: str) -> str:
        """Return the name of a container; of a damaged one what the symlinks say, or ""."""
        with self.open(id_) as home:
            return self.name_in(home)

    def name_in(self, home: Home) -> str:
        """Return the name of a container by its open directory; likewise."""
        try:
            return home.record().name
        except InvalidConfig:
            return next((name for name in self._names() if self._target(name) == home.id), "")

    def find(self, word: str) -> str:
        """Return the id of a container by its name, its id, or the beginning of that.

        Raises:
            NotFound: there is none.
            InvalidConfig: several ids begin so.
        """
        if not isinstance(word, str) or not word:
            raise _none(word)
        if is_name(word) and (owner := self._owner(word, making=False)) is not None:
            return owner
        everything = self.ids()
        ids = [id_ for id_ in everything if id_.startswith(word)] if set(word) <= _HEX else []
        if len(ids) > 1 and word not in ids:
            raise InvalidConfig(f"{len(ids)} containers have ids that begin so", operation="find container", path=word)
        if not ids:  # somebody may have removed the symlinks
            ids = [id_ for id_ in everything if self.name_of(id_) == word]
        if not ids:
            raise _none(word)
        return ids[0]

    def _target(self, name: str) -> str:
        try:
            return os.path.basename(os.readlink(f"{self.path}/{_NAMES}/{name}"))
        except OSError:
            return ""

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(f"{self.path}/{_NAMES}"))
        except OSError:
            return []

    # -- making ---------------------------------------------------------------------------------------------------

    def make(self, record: Record) -> Home:
        """Make the directory of a new container; it is locked until it is closed.

        Raises:
            AlreadyExists: the name is taken.
            Error: it cannot be made.
        """
        with self.making(record) as home:
            pass
        return home

    @contextmanager
    def making(self, record: Record) -> Iterator[Home]:
        """Do so, and have it filled first: nobody finds it before the end of the block; none stays if that fails."""
        home = self.begin(record)
        with self._or_removed(home):
            yield home
        self.finish(home, record)

    @io_errors("create container")
    def begin(self, record: Record) -> Home:
        """Make the directory of a container to be, locked likewise; `finish` or `remove` comes next.

        Raises:
            Error: it cannot be made.
        """
        os.makedirs(f"{self.path}/{_NAMES}", 0o700, exist_ok=True)
        home = self._claim(f"{self.path}/{record.id}{_NEW}")
        with self._or_removed(home):
            home.write_first(record)
        return home

    @io_errors("create container")
    def finish(self, home: Home, record: Record) -> None:
        """Have it be a container, with a name; or else remove it.

        Raises:
            AlreadyExists: the name is taken.
            Error: it cannot be made.
        """
        with self._or_removed(home):
            self._give_name(record.name, record.id)
            path = f"{self.path}/{record.id}"
            os.rename(home.path, path)
            home.path = path
            _sync(self.path)

    @contextmanager
    def _or_removed(self, home: Home) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with home:
                self.remove(home)
            raise

    def _claim(self, path: str) -> Home:
        """Make a directory and lock it: in one go for `sweep`, which would take it for that of somebody who died."""
        with self._changing():
            os.mkdir(path, 0o700)
            return _nobodys(path)

    def _changing(self) -> Lock:
        """Keep others from changing which names there are, and which directories are somebody's."""
        return Lock(f"{self.path}/{_NAMES}.lock")

    def check_name(self, name: str, id_: str) -> None:
        """Refuse a name that another container has, or is being made with.

        Raises:
            AlreadyExists: so it is.
        """
        owner = self._owner(name)
        if owner is not None and owner != id_:
            raise AlreadyExists(
                f"the container {owner[:12]} has it",
                operation="name container",
                path=name,
                hint="remove or rename that",
            )

    def _give_name(self, name: str, id_: str) -> None:
        with self._changing():
            place = f"{self.path}/{_NAMES}/{name}"
            self.check_name(name, id_)
            try:
                os.unlink(place)
            except FileNotFoundError:
                pass
            os.symlink(f"../{id_}", place)

    def _owner(self, name: str, *, making: bool = True) -> str | None:
        """Return who has the name, or is `making` itself with it; a symlink that a crash has left is nobody's."""
        target = self._target(name)
        if not is_id(target):
            return None
        place = f"{self.path}/{target}"
        # In the order in which one becomes the next: what is no longer being made is seen as made.
        if making and (is_busy(place + _NEW) or is_busy(place)):
            return target
        return target if os.path.isdir(place) and self.name_of(target) == name else None

    def rename(self, home: Home, name: str) -> None:
        """Give a container, which is locked, another name.

        Raises:
            AlreadyExists: the name is taken.
        """
        record = home.record()
        with io_errors("rename container"):
            self._give_name(name, home.id)
            home.write_record(record._replace(name=name))
            if record.name != name:
                self._take_name(record.name, home.id)

    def _take_name(self, name: str, id_: str) -> None:
        with self._changing():
            if self._target(name) == id_:
                os.unlink(f"{self.path}/{_NAMES}/{name}")

    # -- removing -------------------------------------------------------------------------------------------------

    @io_errors("remove container")
    def remove(self, home: Home) -> None:
        """Remove a container, which is locked: it is gone at once, its name is free, and then its files go."""
        gone = f"{self.path}/{home.id}{_GONE}"
        names = [name for name in self._names() if self._target(name) == home.id]
        for path in (home.path, f"{self.path}/{home.id}"):  # that, where it has just been finished, and interrupted
            try:
                os.rename(path, gone)
                break
            except FileNotFoundError:
                continue
        home.path = gone
        for name in names:
            self._take_name(name, home.id)
        Inside()(remove, gone)

    @io_errors("clean up containers")
    def sweep(self) -> Error | None:
        """Finish what those have begun who died over it; why something of that stays, if it does."""
        failed = None
        for name in self._unfinished():
            try:
                with self._changing():
                    home = _nobodys(f"{self.path}/{name}")
            except (StateError, NotFound):  # it is being made, or removed
                continue
            try:
                with home:
                    self.remove(home)
            except Error as error:  # what one file is in the way of keeps nobody from the rest
                failed = error
        return failed

    def _unfinished(self) -> Iterator[str]:
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return
        yield from (name for name in names if name.endswith((_NEW, _GONE)) and is_id(name.partition(".")[0]))


def _nobodys(path: str) -> Home:
    """Lock a directory that nobody is at work on."""
    home = Home(path)
    try:
        home.lock(0)
    except BaseException:
        home.close()
        raise
    return home


def is_busy(path: str) -> bool:
    """Tell whether somebody is at work on the container of a directory."""
    try:
        with Home(path) as home:
            home.lock(0)
    except StateError:
        return True
    except NotFound:
        pass
    return False


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _none(word: object) -> NotFound:
    return NotFound("no such container", operation="find container", path=str(word), errno=errno.ENOENT)
