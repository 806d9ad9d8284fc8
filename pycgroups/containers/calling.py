"""`call`: a Python function in a container of its own, and what comes back of it."""

from __future__ import annotations

import os
import pickle
import sys
import traceback

from pycgroups.containers import inside, plain
from pycgroups.containers.python import run_python
from pycgroups.containers.result import CalledProcessError, TimeoutExpired
from pycgroups.errors import Error, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pycgroups.containers.result import Result
    from pycgroups.containers.vocabulary import Options


class Called:
    """A call that has ended.

    Attributes:
        name: the function's.
        result: what `run` says of its process; text, what the function wrote.
    """

    def __init__(self, name: str, result: Result, answer: bytes, timeout: float | None) -> None:
        """Keep what there is."""
        self.name = name
        self.result = result
        self._answer = answer
        self._timeout = timeout

    def value(self) -> Any:
        """Return the function's value.

        Raises:
            BaseException: what the function raised; a note tells where.
            TimeoutExpired: it was not finished in time.
            CalledProcessError: a limit or a signal ended it.
            Error: it ended its process itself; or what it returned or raised is not plain data or a plain exception.
        """
        try:
            value, error, text, where = plain.loads(self._answer)
        except Exception:  # noqa: BLE001 (the bytes may be anything)
            raise self._unanswered() from None
        if text is None:
            return self._loads(value, "it returned a value")
        raised = self._loads(error, f"it raised {text}")
        if not isinstance(raised, BaseException):
            raise self._unanswered()
        if where:
            raised.add_note(f"in a container:\n{_shown(where)}")
        raise raised

    def _loads(self, data: bytes, what: str) -> Any:
        try:
            return plain.loads(data)
        except Exception as error:  # noqa: BLE001 (likewise)
            raise Error(
                f"{what}, and that cannot come out: {error}", operation=inside.OPERATION, path=self.name
            ) from None

    def _unanswered(self) -> Error:
        if self.result.reason == "timeout":
            assert self._timeout is not None
            return TimeoutExpired.of(self.result, self._timeout)
        if self.result.reason != "exited":
            return CalledProcessError(self.result)
        message = f"its process ended with {self.result.returncode}, and without an answer"
        return Error(message, operation=inside.OPERATION, path=self.name)


def _shown(where: tuple[tuple[str, int, str], ...]) -> str:
    """Write a traceback, with lines of files that are code of this process: others are not opened."""
    code = {getattr(module, "__file__", None) for module in tuple(sys.modules.values())}
    places = [(str(file), int(line), str(name)) for file, line, name in where]
    return "".join(traceback.format_list([(*place, None if place[0] in code else "") for place in places]))


def call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Options) -> Called:
    """Call a function in a container, in a fresh interpreter that imports its module.

    Its arguments go in by pickle. Its value comes out only as plain data: numbers, text, bytes, lists, dicts, sets,
    dates, paths. What comes from a container is not trusted, and a pickle of anything else could call anything.

    Args:
        fn: the function, of a module in a file.
        args: its arguments.
        kwargs: likewise, by name.
        options: those of `pycgroups.run`, but for what `pycgroups.containers.python` has fixed.

    Raises:
        InvalidConfig: it is no function at the top level of a module, or an argument cannot be pickled; or an option
            is wrong.
        Error: likewise of the kinds that `pycgroups.run` raises.
    """
    name = getattr(fn, "__qualname__", None) or repr(fn)
    job = (*_module(fn), name, _pickled(fn, args, dict(kwargs)))
    file = job[1]
    places = [os.path.dirname(file)] if file else []
    result, answer = run_python(inside.__file__, job, places, options=options)
    result.args = [name]
    for stream in ("stdout", "stderr"):
        setattr(result, stream, getattr(result, stream).decode(errors="replace"))
    return Called(name, result, answer, options.get("timeout"))


def _module(fn: Callable[..., Any]) -> tuple[str, str | None]:
    """Name its module, and the file: a test's may be found by nothing else."""
    name = getattr(fn, "__module__", None) or "builtins"
    file = getattr(sys.modules.get(name), "__file__", None)
    return name, None if file is None else os.path.abspath(file)


def _pickled(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    for key, value, allowed in (
        ("fn", fn, "a function at the top level of a module"),
        *((f"args[{position}]", value, "what can be pickled") for position, value in enumerate(args)),
        *((name, value, "what can be pickled") for name, value in kwargs.items()),
    ):
        try:
            pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 (pickle raises what it likes)
            raise invalid(key, value, f"{allowed}; {error}") from None
    return pickle.dumps((fn, args, kwargs), pickle.HIGHEST_PROTOCOL)
