"""The inside of `pycgroups.containers.calling`: loads a function, calls it, and writes what came of it.

The answer is a pickle of ``(value, error, text, where)``: the value, pickled; or an exception, pickled, what it says,
and its traceback as (file, line, function).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle  # what comes is the caller's own
import sys

from pycgroups.containers import plain
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPERATION = "call in a container"


def main(job: tuple[str, str | None, str, bytes], answer: int) -> None:
    """Do what the caller wants, and write the answer to a file."""
    module, file, name, function = job
    try:
        fn, args, kwargs = _load(module, file, name, function)
        value = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 (the caller's to catch)
        data = _failed(error, name)
    else:
        data = _done(value, name)
    sys.stdout.flush()
    sys.stderr.flush()
    with open(answer, "wb") as file_:
        file_.write(data)


def _load(module: str, file: str | None, name: str, function: bytes) -> Any:
    try:
        if file is not None:
            _import(module, file)
        return pickle.loads(function)
    except Exception as error:
        raise Error(
            f"it cannot be loaded in a new interpreter: {type(error).__name__}: {error}",
            operation=OPERATION,
            path=name,
            hint="a function of a module that can be imported, at its top level",
        ) from error


def _import(name: str, file: str) -> None:
    """Import a module under its name, or from its file: pytest loads tests that nobody else would find."""
    try:
        if getattr(importlib.import_module(name), "__file__", None) == file:
            return
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _done(value: Any, name: str) -> bytes:
    try:
        return pickle.dumps((_plain(value), None, None, ()))
    except Exception as error:  # noqa: BLE001 (pickle raises what it likes)
        message = f"its value, a {type(value).__name__}, cannot come out: {error}"
        return _failed(Error(message, operation=OPERATION, path=name), name)


def _failed(error: BaseException, name: str) -> bytes:
    where = () if isinstance(error, Error) else _where(error)
    text = type(error).__name__
    try:
        text = f"{text}: {error}"
        pickled = _plain(error)
    except Exception as reason:  # noqa: BLE001 (likewise, and an exception's own __str__)
        message = f"it raised {text}, and that cannot come out: {reason}"
        pickled = _plain(Error(message, operation=OPERATION, path=name))
    return pickle.dumps((None, pickled, text, where))


def _plain(value: Any) -> bytes:
    """Pickle what can be read again."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    plain.loads(data)
    return data


def _where(error: BaseException) -> tuple[tuple[str, int, str], ...]:
    """Walk its traceback, from the function on. The lines of the files are the caller's to read, who has them."""
    found = []
    place = None if error.__traceback__ is None else error.__traceback__.tb_next
    while place is not None:
        code = place.tb_frame.f_code
        found.append((os.path.abspath(code.co_filename), place.tb_lineno, code.co_name))
        place = place.tb_next
    return tuple(found)
