"""`run`: a program in a container, from start to end, in one call."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, overload

from pycgroups.containers.config import OPTIONS, ContainerConfig
from pycgroups.containers.job import Job
from pycgroups.containers.streams import DEVNULL, PIPE, STDOUT, Streams
from pycgroups.errors import invalid
from pycgroups.misnamed import check_options
from pycgroups.runtime.steps import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from typing_extensions import Unpack

    from pycgroups.containers.handlers import OnSyscall
    from pycgroups.containers.job import Outcome
    from pycgroups.containers.result import Result
    from pycgroups.containers.streams import Stream
    from pycgroups.containers.supervisor import Supervisor
    from pycgroups.containers.vocabulary import Options, Path, RunOptions

__all__ = ["DEVNULL", "PIPE", "STDOUT", "run"]


@overload
def run(
    command: Path | Sequence[Path] | None = None,
    *,
    text: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> Result[str]: ...


@overload
def run(
    command: Path | Sequence[Path] | None = None,
    *,
    encoding: str,
    text: bool | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> Result[str]: ...


@overload
def run(
    command: Path | Sequence[Path] | None = None,
    *,
    text: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    **options: Unpack[RunOptions],
) -> Result[bytes]: ...


@overload
def run(
    command: Path | Sequence[Path] | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> Result: ...


def run(
    command: Path | Sequence[Path] | None = None,
    *,
    input: str | bytes | memoryview | None = None,  # noqa: A002 (subprocess's name)
    stdin: Stream = None,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
    text: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    check: bool = False,
    on_syscall: OnSyscall | None = None,
    **options: Unpack[Options],
) -> Result:
    """Run a program in a container of its own and wait for its end; `subprocess.run` with walls and limits.

    By default: the host's own root file system, read-only underneath with a throw-away top, no network, its own
    users, processes and devices, a short list of capabilities, a system call filter. Nothing of it stays.

    Args:
        command: the program and its arguments; a str alone is a program's name, there is no shell. With an image, which
            may name one, it can be left out.
        input: what the program reads as its standard input.
        stdin: where it reads from instead; `PIPE`, `DEVNULL`, a file or a descriptor. Nothing by default.
        stdout: where its output goes; captured by default. None: where the caller's goes.
        stderr: likewise; `STDOUT` for the same place.
        text: input and output are str, in the locale's encoding.
        encoding: likewise, in this encoding.
        errors: how to treat what cannot be encoded or decoded; `open` has the words.
        check: raise an exception if the program does not exit 0, or the timeout passes.
        on_syscall: decides on system calls: a function for each name, ``{"mkdir": function}``, or one function for
            those that the profile ``seccomp`` has ``SCMP_ACT_NOTIFY`` for. It is called in a thread with a
            `pycgroups.seccomp.Call`, one after the other, and returns one of the answers of `pycgroups.seccomp`.
        **options: see `pycgroups.ContainerConfig`: `memory="256M"`, `cpus=1`, `pids=64`,
            `timeout=5` (seconds), `rootfs=...`, `volumes=...`, `network=...`, `user=...` and the others.

    Returns:
        Exit status, output, the reason of the end, limits hit, and usage. A timeout or a limit is no exception.

    Raises:
        InvalidConfig: an option is wrong; nothing was created.
        Unsupported: this host cannot do it, or not enforce a limit; nothing was created.
        NotFound: ``rootfs`` does not exist.
        CommandNotFound: the program is not in the container.
        CommandNotExecutable: it is, and cannot be executed.
        LaunchError: a step of the set-up failed; names it. Nothing is left.
        CalledProcessError: with ``check``: the program did not exit 0.
        TimeoutExpired: with ``check``: the timeout passed.
        TypeError: there is no such option; tells which was meant.
        BaseException: whatever ``on_syscall`` raised; everything in the container was killed.

    Linux 5.12 or newer. Sources: namespaces(7), cgroups(7), capabilities(7), seccomp(2), the OCI runtime spec.
    """
    check_options(run, options, OPTIONS)
    is_text = bool(text) or encoding is not None or errors is not None
    check_codec(encoding, errors)
    config = ContainerConfig(command=command, **options)
    supervisor = None
    if on_syscall is not None:
        from pycgroups.containers import handlers  # the usual run has none

        options["seccomp"], supervisor = handlers.supervised(config, on_syscall)
        config = ContainerConfig(command=command, **options)
    data = encoded(input, encoding, errors, is_text=is_text)
    streams = open_streams(stdin, stdout, stderr, data)
    outcome = complete(config, streams, supervisor)
    out, err = (None if output is None else output.getvalue() for output in streams.captured)
    if is_text:
        result = make_result(config, outcome, decoded(out, encoding, errors), decoded(err, encoding, errors))
    else:
        result = make_result(config, outcome, out, err)
    return checked(result, config.timeout) if check else result


def open_streams(stdin: Stream, stdout: Stream, stderr: Stream, data: bytes | memoryview | None) -> Streams:
    """Open them; the caller's own input is not handed on unasked."""
    if stdin is None and data is None:
        stdin = DEVNULL
    return Streams(stdin=stdin, stdout=stdout, stderr=stderr, data=data)


def complete(config: ContainerConfig, streams: Streams, supervisor: Supervisor | None = None) -> Outcome:
    """Run a container from start to end, and give everything back but what was read."""
    try:
        job = Job(config, streams, Terminal() if config.tty else None, supervisor)
        try:
            job.start()
            return job.wait()
        finally:
            job.close()
    finally:
        streams.close()


def make_result(config: ContainerConfig, outcome: Outcome, out: str | bytes | None, err: str | bytes | None) -> Result:
    """Say how it ended, and what was read."""
    from pycgroups.containers.result import Result  # slow: subprocess

    return Result(
        config.argv,
        outcome.returncode,
        out,
        err,
        reason=outcome.reason,
        hits=outcome.hits,
        usage=outcome.usage,
        unenforced=outcome.unenforced,
    )


def checked(result: Result, timeout: float | None) -> Result:
    """Return it if all is well.

    Raises:
        CalledProcessError: the program did not exit 0.
        TimeoutExpired: the timeout passed.
    """
    from pycgroups.containers.result import CalledProcessError, TimeoutExpired

    if result.reason == "timeout":
        assert timeout is not None
        raise TimeoutExpired.of(result, timeout)
    if result.returncode:
        raise CalledProcessError(result)
    return result


def check_codec(encoding: str | None, errors: str | None) -> None:
    """Refuse before the program runs what its output could not be decoded with afterwards."""
    if encoding is not None:
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        except (LookupError, TypeError, ValueError):
            raise invalid("encoding", encoding, "an encoding of text that Python knows") from None
    if errors is not None:
        try:
            codecs.lookup_error(errors)
        except (LookupError, TypeError, ValueError):
            raise invalid("errors", errors, "an error handler that Python knows, such as 'replace'") from None


def encoded(
    given: str | bytes | memoryview | None, encoding: str | None, errors: str | None, *, is_text: bool
) -> bytes | memoryview | None:
    """Encode input as subprocess does."""
    if given is None:
        return None
    if is_text != isinstance(given, str):
        raise invalid("input", given, "str" if is_text else "bytes, or str with text=True")
    if not isinstance(given, str):
        try:
            return memoryview(given).cast("B")
        except (TypeError, ValueError):
            raise invalid("input", given, "bytes, or str with text=True") from None
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding=encoding, errors=errors, newline="") as writer:
        writer.write(given)
        writer.flush()
        return buffer.getvalue()


def decoded(data: bytes | None, encoding: str | None, errors: str | None) -> str | None:
    """Decode as subprocess does, with universal newlines."""
    if data is None:
        return None
    with io.TextIOWrapper(io.BytesIO(data), encoding=encoding, errors=errors) as reader:
        return reader.read()
