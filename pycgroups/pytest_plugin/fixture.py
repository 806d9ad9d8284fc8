"""`Sandbox`: what the fixture is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

from typing_extensions import Unpack

from pycgroups.containers import calling
from pycgroups.containers.result import CalledProcessError, Result, TimeoutExpired
from pycgroups.containers.run import run
from pycgroups.pytest_plugin import words

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Sequence
    from typing import Literal, TypeVar

    from pycgroups.containers.vocabulary import Options, Path, RunOptions

    T = TypeVar("T")


class Run(NamedTuple):
    """What came of one run."""

    name: str
    result: Result
    options: Options

    def verdict(self) -> str:
        """Say it in words."""
        return words.verdict(self.result, self.options)


class Scratch:
    """A directory that is made when it is first asked for."""

    def __init__(self, make: Callable[[], pathlib.Path]) -> None:
        """Make nothing yet."""
        self._make = make
        self.made: pathlib.Path | None = None

    def get(self) -> pathlib.Path:
        """Make it, if it is not there."""
        if self.made is None:
            self.made = self._make()
        return self.made


class Sandbox:
    """Runs programs and calls Python functions, each in a container of its own.

    What nothing else says comes from the command line and the ini file of pytest, as ``pycgroups_memory``; without them
    there is a timeout of 60 seconds, and no network.

    Attributes:
        runs: what came of each run and call, for the report of a failure.
    """

    def __init__(self, options: Options, scratch: Scratch, runs: list[Run] | None = None) -> None:
        """Run nothing yet."""
        self._options = options
        self._scratch = scratch
        self.runs: list[Run] = [] if runs is None else runs

    def using(self, **options: Unpack[Options]) -> Sandbox:
        """Return one that has these options where a run says nothing else; the directory is the same."""
        return Sandbox(cast("Options", {**self._options, **options}), self._scratch, self.runs)

    @property
    def directory(self) -> pathlib.Path:
        """A directory of the host that is shared: it is /workspace inside, from when it is first asked for."""
        return self._scratch.get()

    @overload
    def run(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Result[str]: ...

    @overload
    def run(
        self,
        command: Path | Sequence[Path],
        *,
        encoding: str,
        text: bool | None = None,
        errors: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Result[str]: ...

    @overload
    def run(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        **options: Unpack[RunOptions],
    ) -> Result[bytes]: ...

    @overload
    def run(
        self,
        command: Path | Sequence[Path],
        *,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Result: ...

    def run(self, command: Path | Sequence[Path], **options: Any) -> Result:
        """Run a program, as `pycgroups.run` does.

        Args:
            command: the program and its arguments.
            **options: those of `pycgroups.run`; ``image="debian:13"``, ``memory="64M"``, ``input=...``, ``text=True``.

        Raises:
            Error: of the kinds that `pycgroups.run` raises.
        """
        settled: Any = {**self._settled(), **options}
        name = command if isinstance(command, str) else " ".join(map(str, cast("Sequence[Any]", command)))
        try:
            result = run(command, **settled)
        except (CalledProcessError, TimeoutExpired) as error:
            self._note(name, error.result, settled)
            raise
        self._note(name, result, settled)
        return result

    __call__ = run

    def call(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function in a fresh interpreter, which imports the function's module; return its value.

        What it prints is printed here, when it has ended. Code is there as on the host, and cannot be written.

        Args:
            fn: a function at the top level of a module.
            *args: what can be pickled.
            **kwargs: likewise. For options of the container see `using`.

        Returns:
            Its value, which must be plain data: numbers, text, bytes, lists, dicts, sets, dates, paths. The pickle of
            anything else could call anything here, and what comes from inside is not trusted.

        Raises:
            BaseException: whatever the function raises, of a type that is known here; a note tells where.
            TimeoutExpired: it was not finished in time.
            CalledProcessError: a limit or a signal ended it; `result` and `reason` tell.
            InvalidConfig: the function cannot be found by its name, or an argument not be pickled.
            Error: of the kinds that `pycgroups.run` raises; or what the function returned cannot come out.
        """
        settled = self._settled()
        called = calling.call(fn, args, kwargs, settled)
        self._note(called.name, called.result, settled)
        sys.stdout.write(called.result.stdout)
        sys.stderr.write(called.result.stderr)
        return cast("T", called.value())

    def _settled(self) -> Options:
        if self._scratch.made is None:
            return self._options
        return cast("Options", {"workspace": self._scratch.made, **self._options})

    def _note(self, name: str, result: Result, options: Any) -> None:
        self.runs.append(Run(name, result, options))
