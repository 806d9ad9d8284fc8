"""Every exception that pycgroups raises, in one tree.

    Error
    ├── InvalidConfig (ValueError)      an option is wrong; names its key path, nothing was done
    ├── Unsupported                     this host cannot do it; says why and what would mend it
    ├── NotFound (LookupError)
    │   └── ImageNotFound
    ├── ImageError                      an image, a layer or an archive is broken, or is none
    │   └── DigestMismatch              its bytes are not what its digest says
    ├── RegistryError                   a registry refused, or does not answer as one
    ├── AlreadyExists
    ├── StateError                      the container is not in a state for this
    ├── TimedOut (TimeoutError)         what was waited for did not come in time; nothing was changed
    ├── CgroupError                     a cgroup file refused
    ├── LaunchError                     a step between clone and exec failed; names the step
    │   ├── CommandNotFound (FileNotFoundError)      set-up worked, the program is not there
    │   └── CommandNotExecutable (PermissionError)   set-up worked, the program is there and cannot run
    └── (TimeoutExpired, CalledProcessError live in `pycgroups.containers.result`: they are subprocess's too)

Each error carries what was tried (``operation``), on what (``path``), the kernel's answer (``errno``) and
what would mend it (``hint``), and survives pickling.
"""

from __future__ import annotations

import errno as errno_names
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_LONGEST_SHOWN = 100
_LONGEST_WORD = 60
_LONGEST_PATH = 4096  # PATH_MAX
# What any call may run into: the limits of who calls. getrlimit(2)
_EXHAUSTED: dict[int | None, str] = {
    errno_names.EMFILE: "this process has as many descriptors open as it may: ulimit -n, RLIMIT_NOFILE",
    errno_names.ENFILE: "this machine has as many files open as it may: sysctl fs.file-max",
    errno_names.EFBIG: "no file of this process, or on this file system, may become so large: ulimit -f, RLIMIT_FSIZE",
}


class Error(Exception):
    """Base of all errors of pycgroups.

    Attributes:
        operation: what was being done, for example ``"mount"``.
        path: the file, cgroup or option concerned, or None.
        errno: the kernel's error number, or None.
        hint: what the user can do about it, or None.
    """

    operation: str
    path: str | None
    errno: int | None
    hint: str | None

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        path: str | bytes | os.PathLike[str] | None = None,
        errno: int | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep the facts; the text is made of them when it is asked for."""
        Exception.__init__(self, message)  # not super(): the next may be an error of subprocess, with its own arguments
        self.message = message
        self.operation = operation
        self.path = None if path is None else os.fsdecode(path)
        self.errno = errno
        self.hint = hint or _EXHAUSTED.get(errno)

    def __str__(self) -> str:
        """One line: operation, path, reason in words, and the hint."""
        subject = self.operation
        if self.path is not None:
            subject = f"{subject} {printable(self.path[:_LONGEST_PATH])}".strip()
        reason = ", ".join(part for part in (self.message, errno_text(self.errno)) if part)
        text = ": ".join(part for part in (subject, reason) if part)
        return f"{text} (hint: {self.hint})" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state: keyword-only constructors cannot be rebuilt from ``args``."""
        # On the subclasses that are an OSError too, errno is a slot of OSError and not in __dict__.
        return _rebuild, (type(self), self.args, {**self.__dict__, "errno": self.errno})


def _rebuild(cls: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


def errno_text(number: int | None) -> str:
    """Name the error number in words: ``"Permission denied (EACCES)"``; empty for None."""
    if number is None:
        return ""
    return f"{os.strerror(number)} ({errno_names.errorcode.get(number, number)})"


def printable(text: str) -> str:
    """Quote what would disturb a terminal: control characters, escapes, undecodable bytes."""
    return text if text.isprintable() else ascii(text)


class InvalidConfig(Error, ValueError):
    """An option has a wrong type, unit, range or combination. Nothing was created.

    ``path`` is the key path of the option, for example ``mounts[1].destination``.
    """


def invalid(key: str, got: object, allowed: str) -> InvalidConfig:
    """Make the error for the option at key path ``key``; the caller raises it."""
    return InvalidConfig(f"got {shown(got)}, allowed: {allowed}", operation="option", path=key)


def shown(value: object) -> str:
    """Return a short, printable form of whatever was passed."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (a caller's own __repr__, or an int with more digits than Python prints)
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def key_path(first: str, *rest: str | int) -> str:
    """Write the way to an option, for errors: ``mounts[3].options[0]``, ``linux.sysctl['net.core.somaxconn']``."""
    return "".join([first[:_LONGEST_WORD], *(f".{key}" if _is_word(key) else f"[{shown(key)}]" for key in rest)])


def _is_word(key: str | int) -> bool:
    return isinstance(key, str) and key.isidentifier() and len(key) <= _LONGEST_WORD


class Unsupported(Error):
    """This host, kernel or account cannot do what was asked; ``hint`` tells what would enable it."""


class NotFound(Error, LookupError):
    """The named object does not exist."""


class ImageNotFound(NotFound):
    """The image does not exist."""


class ImageError(Error):
    """An image, a layer or an archive is broken, or is none. What it was to become is not there."""


class DigestMismatch(ImageError):
    """Bytes are not what their digest says: they were damaged or changed on their way, or on disk."""


class RegistryError(Error):
    """A registry refused, cannot be reached, or does not answer as a registry does.

    Attributes:
        status: the HTTP status of its answer, or None when there was none.
        code: the registry's word for it, as ``"MANIFEST_UNKNOWN"``; distribution-spec, "Error Codes".
    """

    status: int | None = None
    code: str | None = None


class AlreadyExists(Error):
    """The name is taken."""


class StateError(Error):
    """The container is not in a state for this: not running, paused, or started already; or an object is closed."""


class TimedOut(Error, TimeoutError):
    """What was waited for did not come in time. Whatever it was goes on as before."""


class CgroupError(Error):
    """The kernel refused an operation on a cgroup; ``path`` is the cgroup file."""


class LaunchError(Error):
    """A step of starting the process failed; nothing of the container is left.

    Attributes:
        step: the step's name as ``explain()`` shows it, for example ``"mount proc"``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        step: str = "",
        operation: str = "",
        path: str | bytes | os.PathLike[str] | None = None,
        errno: int | None = None,
        hint: str | None = None,
    ) -> None:
        """Name the step; it is the operation of the error, if that has no clearer words."""
        super().__init__(message, operation=operation or step, path=path, errno=errno, hint=hint)
        self.step = step


def own_errors(step: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function: an `OSError` in it that is none of ours becomes a `LaunchError` of this step."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        def call(*args: P.args, **options: P.kwargs) -> R:
            try:
                return function(*args, **options)
            except Error:
                raise
            except OSError as error:
                path = error.filename if isinstance(error.filename, str | bytes) else None  # open() of a descriptor
                raise LaunchError(step=step, path=path, errno=error.errno) from error

        call.__doc__ = function.__doc__
        return call

    return decorate


class CommandNotFound(LaunchError, FileNotFoundError):
    """The container was set up, and the program does not exist in it (a shell's 127)."""


class CommandNotExecutable(LaunchError, PermissionError):
    """The container was set up, and the program exists but cannot be executed (a shell's 126)."""
