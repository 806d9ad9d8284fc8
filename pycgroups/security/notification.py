"""System calls that wait for somebody's answer: what the kernel tells of one, and what can be answered.

The conversation is seccomp_unotify(2): a descriptor, the listener of a filter, is readable when a call waits. It is
received, decided on, and answered by its number. A process that is killed meanwhile takes its call with it, and its
number then is unknown (ENOENT).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.errors import shown
from pycgroups.oci.runtime_spec import Seccomp, SyscallRule
from pycgroups.security.bpf import syscall_table
from pycgroups.security.seccomp_policy import FLAGS, NOTIFY, has_listener

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from attrs import evolve
else:
    from pycgroups.frozen import evolve

# linux/seccomp.h: struct seccomp_notif, seccomp_notif_resp, seccomp_notif_addfd. The kernel may know longer ones.
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("=QIIII")
_LONGEST = 512
_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
_MAX_ERRNO = 4095  # linux/err.h


class Continue:
    """Let the kernel do what was asked; there is one, `CONTINUE`. See `Call` for what that cannot promise."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Write its name."""
        return "CONTINUE"


CONTINUE = Continue()


class Fail(NamedTuple):
    """The call fails with this error number, such as `errno.EACCES`."""

    errno: int


class Return(NamedTuple):
    """The call is not made, and returns this value."""

    value: int = 0


class Install(NamedTuple):
    """The call is not made, and returns a new descriptor of the process: a copy of this one, which is closed then.

    As after open(2), execve(2) leaves it open unless ``close_on_exec``.
    """

    fd: int
    close_on_exec: bool = False


Answer: TypeAlias = "Continue | Fail | Return | Install"


class Call:
    """A system call that waits for an answer.

    What is in the process's memory can be read as long as it waits. Whatever is decided by that and then answered with
    `CONTINUE` is no protection: another thread of the process can change the memory before the kernel reads it again
    (seccomp_unotify(2), "Design goals; use of SECCOMP_USER_NOTIF_FLAG_CONTINUE"). Arguments in registers cannot be
    changed. So decide by ``args``, or do what was asked in its place and answer with `Return` or `Install`.

    Attributes:
        name: of the call; its number in digits where that has no name here.
        args: its six arguments as they are in the registers, from 0 to 2**64 - 1: an int of -1 may be 2**32 - 1.
        pid: the thread that makes it, as the caller's pid namespace numbers it.
    """

    __slots__ = ("_listener", "_number", "args", "name", "pid")

    def __init__(self, listener: int, number: int, pid: int, name: str, args: tuple[int, ...]) -> None:
        """Keep what the kernel told."""
        self._listener = listener
        self._number = number
        self.pid = pid
        self.name = name
        self.args = args

    def __repr__(self) -> str:
        """Write it as strace does."""
        return f"<{self.name}({', '.join(map(hex, self.args))}) of {self.pid}>"

    @property
    def waits(self) -> bool:
        """Whether the process still waits: after True, what was read before was the process's."""
        try:
            _tell(self._listener, lib.SECCOMP_IOCTL_NOTIF_ID_VALID, self._number.to_bytes(8, "little"))
        except FileNotFoundError:
            return False
        return True

    def read(self, address: int, size: int) -> bytes:
        """Read the process's memory; fewer bytes where it ends earlier.

        Raises:
            ProcessLookupError: the process waits no more: it was killed. Let it through, there is nobody to answer.
            OSError: EFAULT: nothing is there.
        """
        data = b""
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                data = os.pread(memory.fileno(), size, address)
        except (OSError, OverflowError) as error:
            if isinstance(error, PermissionError) and self.waits:
                raise
        if not self.waits:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        if size and not data:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return data

    def read_string(self, address: int, most: int = 4096) -> bytes:
        """Read a string of C, such as a path, up to its NUL; `most` is that of a path, with the NUL.

        Raises:
            ProcessLookupError: as for `read`.
            OSError: as for `read`; and ENAMETOOLONG where there is no NUL.
        """
        text, found, _ = self.read(address, most).partition(b"\0")
        if not found:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return text


def hurry(listener: int) -> None:
    """Have who waits for the listener run at once, on the same processor, when a call begins to wait (Linux 6.6)."""
    try:
        fcntl.ioctl(listener, lib.SECCOMP_IOCTL_NOTIF_SET_FLAGS, lib.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def receive(listener: int, names: dict[int, str]) -> Call | None:
    """Take the next call; None if it does not wait any more."""
    notice = bytearray(_LONGEST)
    try:
        fcntl.ioctl(listener, lib.SECCOMP_IOCTL_NOTIF_RECV, notice)
    except (FileNotFoundError, InterruptedError):
        return None
    number, pid, _flags, call, _arch, _pointer, *args = _NOTICE.unpack_from(notice)
    return Call(listener, number, pid, names.get(call, str(call)), tuple(args))


def answer(call: Call, decision: Answer) -> None:
    """Answer; nothing happens if nobody waits any more.

    Raises:
        TypeError: it is none of the answers.
        ValueError: its number cannot be.
        OSError: the descriptor to install is none.
    """
    if isinstance(decision, Install):
        _install(call, decision)
    elif isinstance(decision, Fail):
        _send(call, error=_in_range(decision, decision.errno, 1, _MAX_ERRNO))
    elif isinstance(decision, Return):
        _send(call, value=_in_range(decision, decision.value, -(2**63), 2**63 - 1))
    elif isinstance(decision, Continue):
        _send(call, flags=lib.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
    else:
        raise TypeError(f"got {shown(decision)} for {call.name}, allowed: CONTINUE, Fail, Return or Install")


def _in_range(decision: Answer, number: object, low: int, high: int) -> int:
    if not isinstance(number, int) or not low <= number <= high:
        raise ValueError(f"got {shown(decision)}, allowed: {low} to {high}")
    return int(number)


def _send(call: Call, *, value: int = 0, error: int = 0, flags: int = 0) -> None:
    _tell(call._listener, lib.SECCOMP_IOCTL_NOTIF_SEND, _ANSWER.pack(call._number, value, -error, flags), gone=True)  # noqa: SLF001 (of this file)


def _install(call: Call, wanted: Install) -> None:
    flags = os.O_CLOEXEC if wanted.close_on_exec else 0
    request = _DESCRIPTOR.pack(call._number, lib.SECCOMP_ADDFD_FLAG_SEND, wanted.fd, 0, flags)  # noqa: SLF001
    try:
        _tell(call._listener, lib.SECCOMP_IOCTL_NOTIF_ADDFD, request, gone=True)  # noqa: SLF001
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        _send(call, error=errno.EMFILE)  # the limit is the process's
    finally:
        os.close(wanted.fd)


def _tell(listener: int, request: int, data: bytes, *, gone: bool = False) -> None:
    """Make an ioctl whose argument the kernel reads; ``gone``: that nobody waits any more is no error."""
    while True:
        try:
            fcntl.ioctl(listener, request, data.ljust(_LONGEST, b"\0"))
        except InterruptedError:
            continue
        except FileNotFoundError:
            if not gone:
                raise
        return


@cache
def names_by_number() -> dict[int, str]:
    """Return this architecture's system calls."""
    return {number: name for name, number in syscall_table().numbers.items()}


def asking(profile: Seccomp | None, names: Iterable[str]) -> Seccomp:
    """Return a profile by which these calls wait for an answer, whatever the profile says of them.

    But for those that it has rules of ``SCMP_ACT_NOTIFY`` for: those rules stay as they are.

    Args:
        profile: the other calls; None allows them all.
        names: of the calls.
    """
    given = profile or Seccomp(default_action="SCMP_ACT_ALLOW")
    kept = {name for rule in given.syscalls if rule.action == NOTIFY for name in rule.names}
    asked = tuple(sorted(set(names) - kept))
    rules = [(rule, tuple(name for name in rule.names if name not in asked)) for rule in given.syscalls]
    return with_rules(
        given,
        (
            *(evolve(rule, names=rest) for rule, rest in rules if rest),
            *((SyscallRule(names=asked, action=NOTIFY),) if asked else ()),
        ),
    )


def with_rules(profile: Seccomp, rules: tuple[SyscallRule, ...], default: str | None = None) -> Seccomp:
    """Return a profile with other rules, under which a call that waits is not interrupted, where the kernel can that.

    A signal's handler would run meanwhile, and the call be made again, or fail (Linux 5.19).
    """
    changed = evolve(profile, default_action=default or profile.default_action, syscalls=rules)
    if not (has_listener(changed) and _is_killable()):
        return changed
    return evolve(changed, flags=tuple(dict.fromkeys((*profile.flags, _KILLABLE))))


def _is_killable() -> bool:
    return calls.seccomp_takes(FLAGS[_KILLABLE] | lib.SECCOMP_FILTER_FLAG_NEW_LISTENER)
