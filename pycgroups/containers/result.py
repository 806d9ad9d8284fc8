"""What a run gives back: `Result`, its `Usage` and `Hits`, and the two errors that subprocess has, too.

Imports subprocess, which is slow, so nothing imports this before there is a result.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from pycgroups.errors import Error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from typing_extensions import TypeVar

    from pycgroups.containers.verdict import Hits, Reason, Usage

    T = TypeVar("T", default=Any)
else:
    T = Any


class Result(subprocess.CompletedProcess[T]):
    """The outcome of `run`, a `subprocess.CompletedProcess`.

    For type checkers it is a ``Result[str]`` with ``text=True``, ``encoding`` or ``errors``, else a ``Result[bytes]``;
    ``Result`` alone is either.

    Attributes:
        args: the command.
        returncode: the exit status; negative for a signal, as in subprocess.
        stdout: what the program wrote, or None where it was not captured.
        stderr: likewise.
        reason: ``"exited"``, ``"signal"``, ``"timeout"``, ``"oom"``, ``"pids"`` or ``"disk"``. A limit is the reason
            when it was hit and the program did not exit 0.
        hits: how often each limit was hit, whatever came of it.
        usage: what all processes of the container used together.
        unenforced: names of limits that were not in force (only with ``require_limits=False``).
    """

    reason: Reason
    hits: Hits
    usage: Usage
    unenforced: tuple[str, ...]

    def __init__(
        self,
        args: Sequence[str],
        returncode: int,
        stdout: T | None = None,
        stderr: T | None = None,
        *,
        reason: Reason,
        hits: Hits,
        usage: Usage,
        unenforced: tuple[str, ...] = (),
    ) -> None:
        """Keep the facts."""
        super().__init__(list(args), returncode, stdout, stderr)
        self.reason = reason
        self.hits = hits
        self.usage = usage
        self.unenforced = unenforced

    def __repr__(self) -> str:
        """Show the verdict first, and output in short."""
        parts = [f"returncode={self.returncode}", f"reason={self.reason!r}"]
        parts += [f"{name}={_short(value)}" for name in ("stdout", "stderr") if (value := getattr(self, name))]
        return f"Result({', '.join(parts)})"

    def check_returncode(self) -> None:
        """Raise `CalledProcessError` if the exit status is not zero."""
        if self.returncode:
            raise CalledProcessError(self)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


class CalledProcessError(Error, subprocess.CalledProcessError):
    """The program did not exit 0, and ``check=True`` was given. Has all of subprocess's attributes, and `result`."""

    result: Result
    reason: Reason

    def __init__(self, result: Result) -> None:
        """Take over what the result tells."""
        Error.__init__(self, operation="run", path=result.args[0])
        self.args = (result.returncode, result.args)  # as subprocess has it: repr() shows them
        self.result = result
        self.returncode = result.returncode
        self.cmd = result.args
        self.output = result.stdout
        self.stderr = result.stderr
        self.reason = result.reason

    def __str__(self) -> str:
        """Name the command and what ended it."""
        return f"{subprocess.CalledProcessError.__str__(self)} (reason: {self.reason})"


class TimeoutExpired(Error, subprocess.TimeoutExpired):
    """The timeout passed.

    With ``check=True`` all processes of the container, or of the `exec`, are dead, and there is a `result`. What a
    `Popen` was waited for goes on, and `result` is None. Has all of subprocess's attributes.
    """

    # Whoever has asked for check=True need not ask for None.
    result: Result | Any

    def __init__(
        self,
        cmd: Sequence[str],
        timeout: float,
        output: Any = None,
        stderr: Any = None,
        *,
        operation: str = "wait",
        result: Result | None = None,
    ) -> None:
        """Keep the facts, as subprocess does."""
        Error.__init__(self, operation=operation, path=cmd[0])
        self.args = (cmd, timeout)  # likewise
        self.result = result
        self.cmd = cmd
        self.timeout = timeout
        self.output = output
        self.stderr = stderr

    @classmethod
    def of(cls, result: Result, timeout: float) -> Self:
        """Take over what a result tells."""
        return cls(result.args, timeout, result.stdout, result.stderr, operation="run", result=result)

    def __str__(self) -> str:
        """Name the command and the time."""
        return subprocess.TimeoutExpired.__str__(self)
