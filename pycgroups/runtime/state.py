"""What is known of a container on disk, so that any other process finds it: the state directory.

    ROOT/ID/             locked (flock) by whoever changes the container
        state.json       a `Record`, replaced as a whole
        config.json      the Spec that it was created from
        start.fifo       its process waits for a byte in it; gone once that was sent
        plain            what the command pycgroups-oci starts, signals and deletes it by, in C, if it is plain
        notify/          where it says that it is ready, if that was asked for

Whoever reads takes no lock: state.json is one thing or the other. A creator that dies leaves a directory that says
"creating", with all that is needed to remove what there is; or none, see `pycgroups.runtime.creation`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound, StateError, invalid
from pycgroups.oci.json_text import LARGEST_TEXT, dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Literal, NamedTuple, Self, TypeAlias

    Status: TypeAlias = Literal["creating", "created", "running", "paused", "stopped"]
else:
    from pycgroups.records import NamedTuple

CONFIG = "config.json"
PLAIN = "plain"
_RECORD = "state.json"
_FIFO = "start.fifo"
_NOTIFY = "notify"
# Another command may wait for hooks, which have no limit of time; this one does not (seconds).
_PATIENCE = 10.0
_PAUSE = 0.01
_ATTEMPTS = 100
_BY_OTHERS = 0o022
_CHUNK = 1 << 16
_LONGEST_ID = 255  # bytes of a file name
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


class Record(NamedTuple):
    """What state.json says.

    Attributes:
        id: the container's name.
        oci_version: of its config.json.
        bundle: the directory of that.
        rootfs: the root file system.
        owner: user id of its creator.
        created: when, as RFC 3339 has it.
        annotations: of its config.json.
        own_pids: it has a pid namespace of its own, which ends with its process.
        hooks: the kinds of hooks that it has.
        cgroup_manager: who made its cgroup.
        planned_cgroups: directories of that which may be there already, as long as it is being made.
        cgroups: its directories, one per hierarchy.
        unit: the scope of systemd's, or "".
        resctrl: directories of its class of service, which its processes are in.
        resctrl_made: those of them that go with it, the innermost first.
        pid: of its process; 0 while there is none.
        started_at: when that began, in the kernel's clock ticks: with the pid, its identity.
        mounted: where its root is mounted in its creator's mount namespace, see `pycgroups.runtime.in_place`; empty for
            one that has its own.
        forks: the file name of the socket at which its init forks, see `pycgroups.runtime.forks`, or "".
    """

    id: str
    oci_version: str
    bundle: str
    rootfs: str
    owner: int
    created: str
    annotations: dict[str, str]
    own_pids: bool = True
    hooks: tuple[str, ...] = ()
    cgroup_manager: str = "cgroupfs"
    planned_cgroups: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    unit: str = ""
    resctrl: tuple[str, ...] = ()
    resctrl_made: tuple[str, ...] = ()
    pid: int = 0
    started_at: int = 0
    forks: str = ""
    mounted: tuple[str, ...] = ()

    def is_alive(self) -> bool:
        """Tell whether its process runs; one that has ended and waits to be reaped does not."""
        return self.pid > 0 and start_of(self.pid) == self.started_at

    def is_ending(self) -> bool:
        """Tell whether its process has begun to end, or has ended: it has left its namespaces, or will."""
        fields = _stat(self.pid)
        return not self.is_alive() or bool(fields and int(fields[6]) & _PF_EXITING)


_PF_EXITING = 0x4  # include/linux/sched.h
_KINDS = (str, str, str, str, int, str, dict, bool, tuple, str, tuple, tuple, str, tuple, tuple, int, int, str, tuple)


class State(NamedTuple):
    """The state of a container; runtime.md, "State"."""

    oci_version: str
    id: str
    pid: int
    status: Status
    bundle: str
    rootfs: str
    created: str
    annotations: dict[str, str]
    owner: str

    def to_json(self) -> dict[str, Any]:
        """Return it under the specification's names, and with those that runc adds: rootfs, created, owner."""
        values = dict(zip(self._fields, self, strict=True))
        return {"ociVersion": values.pop("oci_version"), **values}


def check_id(id_: object) -> str:
    """Return the name of a container, which becomes that of a directory.

    Raises:
        InvalidConfig: it is none.
    """
    if not (isinstance(id_, str) and id_ and set(id_) <= _LETTERS and len(id_) <= _LONGEST_ID and id_.strip(".")):
        raise invalid("id", id_, f"1 to {_LONGEST_ID} letters, digits and _+-. , not dots alone")
    return id_


class Home:
    """The state directory of one container, held open."""

    __slots__ = ("_locker", "fd", "path")

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            NotFound: there is no such container.
        """
        self.fd, self._locker = -1, 0  # whose lock it is: not that of a child that another thread forks
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise _none(path) from None
            raise Error(operation="open the state directory", path=path, errno=error.errno) from None
        facts = os.fstat(self.fd)
        if facts.st_uid != os.geteuid() or facts.st_mode & _BY_OTHERS:
            self.close()
            message = f"it belongs to user {facts.st_uid}, or others may write in it: who made it would rule over us"
            raise Error(message, operation="open the state directory", path=path)

    @classmethod
    def make(cls, root: str, id_: str) -> Home:
        """Make a directory for a new container; it is locked.

        Raises:
            AlreadyExists: the name is taken.
            Error: it cannot be made.
        """
        path = f"{root}/{id_}"
        try:
            _make(root, path)
        except FileExistsError:
            raise AlreadyExists("container with given ID already exists", operation="create", path=id_) from None
        except OSError as error:
            hint = "another directory: --root DIR, or root=DIR"
            raise Error(operation="make the state directory", path=path, errno=error.errno, hint=hint) from None
        home = cls(path)
        try:
            home.lock()
        except BaseException:
            home.close()
            raise
        return home

    def lock(self) -> None:
        """Keep others from changing the container until this object is closed.

        Raises:
            StateError: another process is at work on it.
            NotFound: it has been removed meanwhile.
        """
        deadline = time.monotonic() + _PATIENCE
        self._locker = os.getpid()
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    hint = "wait for that command, or end it"
                    raise StateError(
                        "another command is at work on the container", operation="lock", path=self.path, hint=hint
                    ) from None
                time.sleep(_PAUSE)
        if not os.fstat(self.fd).st_nlink:
            raise _none(self.path)

    def load(self) -> Record:
        """Read the record.

        Raises:
            NotFound: it is being made, or was removed.
            InvalidConfig: it is none.
        """
        try:
            text = _read(self._open(_RECORD, os.O_RDONLY))
            return _record(parse(text, f"{self.path}/{_RECORD}"))
        except FileNotFoundError:
            raise _none(self.path) from None
        except (OSError, TypeError, AttributeError, ValueError) as error:
            message = error.message if isinstance(error, Error) else "no state of a container"
            hint = "delete it by force"
            raise InvalidConfig(message, operation="read", path=f"{self.path}/{_RECORD}", hint=hint) from None

    def save(self, record: Record) -> None:
        """Write the record in the place of the one before."""
        self.write(_RECORD, dumps(dict(zip(record._fields, record, strict=True))).encode())

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the directory, which is there as a whole or not at all."""
        self._write(f"{name}.new", content, os.O_TRUNC)
        os.rename(f"{name}.new", name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def write_first(self, name: str, content: bytes) -> None:
        """Write a file that is not there, and that nobody reads before the container is made."""
        self._write(name, content, os.O_EXCL)

    def _write(self, name: str, content: bytes, flags: int) -> None:
        fd = self._open(name, os.O_WRONLY | os.O_CREAT | flags)
        try:
            while content:
                content = content[os.write(fd, content) :]
        finally:
            os.close(fd)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self.fd)

    def config(self) -> bytes:
        """Read the config.json that it was created from.

        Raises:
            NotFound: it is gone.
            InvalidConfig: it cannot be read.
        """
        try:
            return _read(self._open(CONFIG, os.O_RDONLY))
        except FileNotFoundError:
            raise _none(self.path) from None
        except OSError as error:
            raise InvalidConfig(operation="read", path=f"{self.path}/{CONFIG}", errno=error.errno) from None

    # -- the start --------------------------------------------------------------------------------------------------

    def make_fifo(self) -> int:
        """Make what the container's process waits on; a descriptor for that, whose reader needs no writer."""
        os.mkfifo(_FIFO, 0o600, dir_fd=self.fd)
        return os.open(_FIFO, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd)

    def make_notify(self) -> None:
        """Make a directory that is to be shown to the container."""
        os.mkdir(_NOTIFY, dir_fd=self.fd)
        os.chmod(_NOTIFY, 0o755, dir_fd=self.fd)  # noqa: S103 (whatever the umask)

    def is_waiting(self) -> bool:
        """Tell whether the container's process waits to be started."""
        try:
            os.close(self.open_fifo())
        except StateError:
            return False
        return True

    def open_fifo(self) -> int:
        """Open it to send the byte.

        Raises:
            StateError: nobody waits for it.
        """
        try:
            return os.open(_FIFO, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENXIO):
                raise Error(operation="start", path=f"{self.path}/{_FIFO}", errno=error.errno) from None
            raise StateError("nobody waits for a start", operation="start", path=self.path) from None

    def forget_fifo(self) -> None:
        """Note that the container has been started."""
        os.unlink(_FIFO, dir_fd=self.fd)

    # -- the end ------------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Remove all of it; its name is free first."""
        with os.scandir(self.fd) as entries:
            names = [entry.name for entry in entries]
        # The record last: who comes between still finds a container, which can be removed.
        for name in sorted(names, key=lambda name: name == _RECORD):
            try:
                os.unlink(name, dir_fd=self.fd)
            except IsADirectoryError:  # that of notify, or nothing of ours
                import shutil

                shutil.rmtree(name, dir_fd=self.fd)
        os.rmdir(self.path)

    def close(self) -> None:
        """Let go of it, and of the lock."""
        if self.fd >= 0 and self._locker == os.getpid():  # whoever was forked meanwhile has it open, too
            try:
                fcntl.flock(self.fd, fcntl.LOCK_UN)
            except OSError:  # then it goes with the descriptor
                pass
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Do so, where an exception has come between, as Ctrl-C in a `with` that has just begun or ended."""
        if hasattr(self, "_locker"):  # or it came before the first line of `__init__`
            self.close()

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def _make(root: str, path: str) -> None:
    """Make a directory, and the one that it is in, which others remove when it is empty."""
    for _ in range(_ATTEMPTS):
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            try:
                os.makedirs(root, 0o711)
            except FileExistsError:  # somebody else has just made it
                continue
        else:
            return
    os.mkdir(path, 0o700)


def _record(values: Any) -> Record:
    """Take what was read for a record, if each part of it is of the right kind.

    Raises:
        AttributeError, TypeError: it is not.
    """
    fields: dict[str, Any] = {name: tuple(value) if type(value) is list else value for name, value in values.items()}
    record = Record(**fields)
    if not all(map(_is, record, _KINDS)) or not set(record.forks) <= _LETTERS:
        raise TypeError
    return record


def _is(value: Any, kind: type) -> bool:
    """Tell whether a value is of a kind; what is in it has to be text."""
    items = value.values() if type(value) is dict else value if type(value) is tuple else ()
    return type(value) is kind and all(type(item) is str for item in items)


def _read(fd: int) -> bytes:
    """Read up to the end, or to more than a text may have, and close. Python's own files take four times as long."""
    try:
        text = b""
        while (chunk := os.read(fd, _CHUNK)) and len(text) <= LARGEST_TEXT:
            text += chunk
    finally:
        os.close(fd)
    return text


def ids(root: str) -> list[str]:
    """Name the containers of a root, in order."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def start_of(pid: int) -> int:
    """Return when a process began, in clock ticks since the boot; 0 if it has ended. proc_pid_stat(5), (22)."""
    return _start(_stat(pid))


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped, by a signal or a tracer; proc_pid_stat(5), (3)."""
    fields = _stat(pid)
    return bool(fields) and fields[0] in {b"T", b"t"}


def seen_start_of(pid: int) -> int:
    """As `start_of`, of one that cannot be kept track of where it is hidden.

    Raises:
        Unsupported: it is.
    """
    if fields := _stat(pid):
        return _start(fields)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:  # it is there, as somebody else
        pass
    from pycgroups.namespaces import own  # which few /procs make necessary

    raise own.hidden(f"/proc/{pid}", errno.ENOENT)


def _start(fields: list[bytes]) -> int:
    return 0 if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def _stat(pid: int) -> list[bytes]:
    """Read what the kernel tells of a process from its state on, proc_pid_stat(5), (3); nothing if it is gone.

    Nor if it is hidden, which hidepid=1 tells by another error than hidepid=2, as of one that is ending; proc(5).

    Raises:
        Error: it cannot be read: there are too many open files.
    """
    path = f"/proc/{pid}/stat"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, _CHUNK).rpartition(b") ")[2].split()  # one line, which comes as a whole
        finally:
            os.close(fd)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return []
    except OSError as error:
        raise Error(operation="read", path=path, errno=error.errno) from None


def status_of(home: Home, record: Record) -> Status:
    """Tell the status, in runtime.md's words and with runc's "paused"."""
    if not record.started_at:
        return "creating"
    if not record.is_alive():
        return "stopped"
    from pycgroups.cgroups import by_path

    if by_path.is_frozen(record.cgroups):
        return "paused"  # also before its start
    return "created" if home.is_waiting() else "running"


def make_state(record: Record, status: Status) -> State:
    """Put together what others are told of a container."""
    return State(
        oci_version=record.oci_version,
        id=record.id,
        status=status,
        pid=0 if status == "stopped" else record.pid,
        bundle=record.bundle,
        rootfs=record.rootfs,
        created=record.created,
        owner=_name_of(record.owner),
        annotations=record.annotations,
    )


def _name_of(uid: int) -> str:
    if uid == 0:
        return "root"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def write_pid(path: str, pid: int) -> None:
    """Write a pid into a file, which is there as a whole or not at all, and for nobody else to write or to plant."""
    directory, name = os.path.split(path)
    beside = os.path.join(directory, f".{name}.{os.getpid()}")
    try:
        with open(beside, "x", encoding="utf-8", opener=_for_all_to_read) as file:
            file.write(str(pid))
        os.rename(beside, path)
    except OSError as error:
        raise Error(operation="write the pid file", path=path, errno=error.errno) from None


def _for_all_to_read(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o644)


def now() -> str:
    """Return the time as `time_text` has it."""
    return time_text(time.time_ns())


def time_text(nanoseconds: int) -> str:
    """Return a time since 1970 as RFC 3339 has it, to the nanosecond, in UTC."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09}Z"


def _none(path: str) -> NotFound:
    return NotFound("container does not exist", operation="open", path=os.path.basename(path))
