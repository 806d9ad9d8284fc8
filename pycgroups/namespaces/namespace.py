"""`Namespace`: a namespace of the kernel, held by a file descriptor. namespaces(7), ioctl_nsfs(2)."""

from __future__ import annotations

import errno
import os
import select
import sys
from _warnings import warn  # of a module that a short command does without

from pycgroups._native import vfs
from pycgroups.errors import AlreadyExists, Error, NotFound, StateError, Unsupported, invalid
from pycgroups.namespaces import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn, Self

_LAST_PID = 2**22  # proc_sys_kernel(5), pid_max
_PIN_HINTS = {
    errno.EPERM: "a bind mount takes CAP_SYS_ADMIN in the user namespace that the mount namespace belongs to",
    errno.EINVAL: "a mnt namespace can only be pinned below a private mount, and not in one that is newer than itself",
}


class Namespace:
    """A namespace, which lives at least as long as this object is open.

    Get one by `of` or `open`, or by `pycgroups.namespaces.create`; close it by `close`, or use it in a ``with``. Two
    are equal if they are the same namespace (device and inode, as namespaces(7) has it); that means something as long
    as one of them is open: the kernel uses the numbers again. It cannot be pickled; its path can, see `path`.

    Attributes:
        kind: "user", "pid", "mnt", "net", "uts", "ipc", "cgroup" or "time".
        id: its inode, the number that ``readlink /proc/PID/ns/net`` shows.
        device: the device of that.

    Linux 5.3; a time namespace 5.6.
    """

    __slots__ = ("__weakref__", "_fd", "device", "id", "kind")

    def __init__(self, fd: int) -> None:
        """Take over the descriptor of a namespace.

        Raises:
            InvalidConfig: it is none. It is not taken over then.
        """
        self._fd = -1
        if not files.is_namespace(fd):
            raise invalid("fd", fd, "a descriptor of a namespace, as of /proc/self/ns/net")
        self.kind = files.kind_of(fd)
        found = os.fstat(fd)
        self.device, self.id = found.st_dev, found.st_ino
        self._fd = fd

    @classmethod
    def of(cls, pid: int, kind: str) -> Self:
        """Open the namespace that a process is in.

        Args:
            pid: the process, as this one sees it. If it ends meanwhile, that is an error, and never the namespace of
                another process that has got its number.
            kind: "net" and the others; OCI's "network" and "mount" do as well.

        Raises:
            NotFound: there is no such process, or it has ended.
            InvalidConfig: no such kind.
            Unsupported: a kernel without this kind.
            Error: this user may not look at it: ptrace(2), PTRACE_MODE_READ_FSCREDS.
        """
        if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= _LAST_PID:
            raise invalid("pid", pid, f"1 to {_LAST_PID}")
        name = kind_named(kind)
        process = _open_process(pid)
        try:
            made = cls.open(f"/proc/{pid}/ns/{name}", name)
            if _has_ended(process):
                made.close()
                raise _ended(pid)
        except NotFound:
            raise _ended(pid) from None
        finally:
            os.close(process)
        return made

    @classmethod
    def open(cls, path: str | os.PathLike[str], kind: str | None = None) -> Self:
        """Open the namespace at a path: one that is pinned, or a file of ``/proc/PID/ns``.

        Args:
            path: anything may be there; what is no namespace is not opened.
            kind: what it must be.

        Raises:
            NotFound: nothing is there.
            InvalidConfig: it is no namespace, or one of another kind.
            Error: this user may not open it.
        """
        fd = files.open_namespace(os.fspath(path), None if kind is None else kind_named(kind))
        try:
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    # -- what it is -------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """A path to it, which leads there as long as it is open and this process lives: ``/proc/PID/fd/N``."""
        return f"/proc/{os.getpid()}/fd/{self.fileno()}"

    @property
    def owner_uid(self) -> int:
        """Who made this user namespace, as a user id of the caller's; NS_GET_OWNER_UID.

        Raises:
            Unsupported: it is of another kind; ask its `owner`.
        """
        import fcntl

        if self.kind != "user":
            raise Unsupported("only a user namespace has one", operation="owner uid", path=str(self), hint="owner()")
        number = bytearray(4)
        fcntl.ioctl(self.fileno(), files.NS_GET_OWNER_UID, number)
        return int.from_bytes(number, sys.byteorder)

    def owner(self) -> Self | None:
        """Open the user namespace that it belongs to, whose capabilities are those over it; NS_GET_USERNS.

        Returns:
            None if that is out of sight: above the user namespace of the caller, or beside it.
        """
        return self._related(files.NS_GET_USERNS)

    def parent(self) -> Self | None:
        """Open the namespace that it was made in; NS_GET_PARENT.

        Returns:
            None if it is the first of all, or its parent is out of sight: above what the caller is in, or beside it.

        Raises:
            Unsupported: it is no user or pid namespace; others have no parents.
        """
        if self.kind not in {"user", "pid"}:
            raise Unsupported("only user and pid namespaces have one", operation="parent", path=str(self))
        return self._related(files.NS_GET_PARENT)

    def _related(self, request: int) -> Self | None:
        import fcntl

        try:
            fd = fcntl.ioctl(self.fileno(), request)
        except PermissionError:
            return None
        return type(self)(fd)

    # -- how long it lives ------------------------------------------------------------------------------------------

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Keep it at a path, beyond this object and this process: a bind mount, as of ``ip netns`` and ``unshare``.

        The file is made; nothing may be there. A pid namespace can be pinned, and ends with its process 1 all the same.

        Raises:
            AlreadyExists: something is there.
            NotFound: the directory is not.
            Error: it cannot be made, or mounted: that takes CAP_SYS_ADMIN.
        """
        place = os.fspath(path)
        fd = self.fileno()
        try:
            target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0)
        except OSError as error:
            kinds = {errno.EEXIST: AlreadyExists, errno.ENOENT: NotFound}
            raise kinds.get(error.errno or 0, Error)(operation="pin namespace", path=place, errno=error.errno) from None
        try:
            result = vfs.bind(f"/proc/self/fd/{fd}", f"/proc/self/fd/{target}")
        finally:
            os.close(target)
        if result < 0:
            os.unlink(place)
            raise Error(operation="pin namespace", path=place, errno=-result, hint=_PIN_HINTS.get(-result))

    @staticmethod
    def unpin(path: str | os.PathLike[str]) -> None:
        """Let go of the namespace at a path, and remove the file.

        Raises:
            NotFound: nothing is there.
            InvalidConfig: no namespace is mounted there. Nothing is removed.
            Error: it cannot be unmounted, or removed.
        """
        place = os.fspath(path)
        os.close(files.open_namespace(place))
        result = vfs.unbind(place)
        if result == -errno.EINVAL:  # a link to one, as in /proc/PID/ns
            raise invalid("path", place, "where a namespace is pinned")
        if result < 0:
            raise Error(operation="unpin namespace", path=place, errno=-result, hint=_PIN_HINTS.get(-result))
        try:
            os.unlink(place)
        except OSError as error:
            raise Error(operation="unpin namespace", path=place, errno=error.errno) from None

    def fileno(self) -> int:
        """Return its descriptor, which stays this object's.

        Raises:
            StateError: it is closed.
        """
        if self._fd < 0:
            raise StateError("closed", operation="use namespace", path=str(self))
        return self._fd

    def close(self) -> None:
        """Let go of it; may be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        """Hold it until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close what was forgotten, and say so, as a file does."""
        if getattr(self, "_fd", -1) >= 0:
            warn(f"unclosed namespace {self}", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same namespace."""
        return (self.device, self.id) == (other.device, other.id) if isinstance(other, Namespace) else NotImplemented

    def __hash__(self) -> int:
        """By what makes two of them equal."""
        return hash((self.device, self.id))

    def __reduce__(self) -> NoReturn:
        """Refuse: a descriptor is of one process."""
        raise TypeError(f"cannot pickle {self!r}, which is a file descriptor; its path can be")

    def __str__(self) -> str:
        """Name it as the links in ``/proc/PID/ns`` do: ``net:[4026531840]``."""
        return f"{self.kind}:[{self.id}]"

    def __repr__(self) -> str:
        """Name it, and tell whether it is closed."""
        return f"<Namespace {self}{'' if self._fd >= 0 else ', closed'}>"


def kind_named(word: Any, key: str = "kind") -> str:
    """Return the name of a kind's file; OCI's words are taken as well.

    Raises:
        InvalidConfig: there is no such kind.
        Unsupported: this kernel does not have it.
    """
    name = files.FILES.get(word, word) if isinstance(word, str) else word
    if name not in files.FLAGS:
        raise invalid(key, word, f"one of {', '.join(files.FLAGS)}")
    if not os.path.exists(f"/proc/self/ns/{name}"):
        raise Unsupported(f"this kernel has no {name} namespaces", operation="option", path=key)
    return str(name)


def in_order(namespaces: Iterable[Namespace]) -> tuple[tuple[Namespace, ...], tuple[Namespace, ...]]:
    """Say in which order to join namespaces, each of another kind; setns(2).

    To join one takes the rights over it, which are those of the user namespace that it belongs to. So what does not
    belong to the user namespace among them comes before that, and then what does. A mnt namespace is the last of its
    group: paths lead elsewhere from there on.

    Returns:
        Those before the user namespace, if there is one among them; and that one, and those after it.
    """
    rest = sorted(namespaces, key=lambda space: (space.kind != "user", space.kind == "mnt"))
    if not rest or rest[0].kind != "user":
        return (), tuple(rest)
    user, *others = rest
    after = [space for space in others if _belongs(space, user)]
    return tuple(space for space in others if space not in after), (user, *after)


def _belongs(space: Namespace, user: Namespace) -> bool:
    """Tell whether a namespace belongs to a user namespace, or to one below that."""
    owner = space.owner()
    while owner is not None and owner != user:
        with owner:
            owner = owner.parent()
    if owner is None:
        return False
    owner.close()
    return True


def _open_process(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise _ended(pid) from None
        raise Error(operation="open process", path=str(pid), errno=error.errno) from None


def _has_ended(process: int) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))


def _ended(pid: int) -> NotFound:
    return NotFound("no such process, or it has ended", operation="open namespace", path=f"/proc/{pid}")
