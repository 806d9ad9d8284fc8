"""Options, from where they are given; and verdicts, in words. Pure but for the environment."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

import pytest

from pycgroups.containers.run import run
from pycgroups.containers.values import pairs
from pycgroups.containers.vocabulary import Options
from pycgroups.misnamed import meant
from pycgroups.runtime.signals import signal_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pycgroups.containers.result import Result
    from pycgroups.containers.verdict import Reason

_KINDS = {"cpus": float, "pids": int, "timeout": float}
TIMEOUT = 60.0
"""Seconds, where nothing is said."""
# What a test needs to behave inside as it does outside, and nobody keeps secrets in.
_HANDED_ON = (
    *("CI", "COLUMNS", "FORCE_COLOR", "LANG", "LANGUAGE", "LC_*", "NO_COLOR", "PYTHON*", "PY_COLORS", "TERM", "TZ"),
    *("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_PLUGINS", "PYTEST_THEME*", "PYTEST_TIMEOUT", "PYTEST_XDIST_*"),
)
# Where Hypothesis would write into the tests' own directory, which is read-only, and warn that it cannot.
_ELSEWHERE = {"HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis"}  # noqa: S108 (the container's own)
_STOPPED = {"oom": ("memory", "out of memory"), "pids": ("pids", "out of processes"), "disk": ("disk", "out of disk")}
# All but colours (SGR), tabs and ends of lines of what ECMA-48 calls control functions; and halves of surrogate pairs.
_STEERS = re.compile(r"(\x1b\[[\d;]*m)|(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", re.ASCII)


def defaults(config: pytest.Config, names: Iterable[str], timeout: float = TIMEOUT) -> Options:
    """Return the options of a run by the command line, and by the ini file where that names none.

    Args:
        config: of the session.
        names: of the options.
        timeout: seconds, where neither says any.

    Raises:
        UsageError: one is no number.
    """
    found: dict[str, Any] = {"timeout": timeout, **given(config, names)}
    if not found["timeout"]:
        del found["timeout"]
    return cast("Options", found)


def held(config: pytest.Config, limits: Iterable[str]) -> Options:
    """Return the options of a container that is held, likewise.

    Raises:
        UsageError: one is no number.
    """
    return cast("Options", given(config, ["image", *limits]))


def given(config: pytest.Config, names: Iterable[str]) -> dict[str, Any]:
    """Return what the command line says, and the ini file where it says nothing.

    Raises:
        UsageError: one is no number.
    """
    found: dict[str, Any] = {}
    for word in names:
        text = config.getoption(f"pycgroups_{word}") or config.getini(f"pycgroups_{word}")
        if text:
            try:
                found[word] = _KINDS.get(word, str)(text)
            except ValueError:
                raise pytest.UsageError(f"pycgroups_{word}: {text!r} is no number") from None
    return found


def marked(item: pytest.Item, usual: Options) -> Options:
    """Return the options of a test's markers, the closest first, and the usual ones.

    Raises:
        UsageError: one is none that a container has.
    """
    found: dict[str, Any] = dict(usual)
    for marker in reversed(list(item.iter_markers("sandboxed"))):
        _check(marker)
        found.update(marker.kwargs)
    found["env"] = _environment(item.config.getini("pycgroups_env")) | {
        str(name): value for _, name, value in pairs(found.get("env") or {}, "env")
    }
    return cast("Options", found)


def _check(marker: pytest.Mark) -> None:
    if marker.args:
        given = ", ".join(map(repr, marker.args))
        raise pytest.UsageError(f'sandboxed() does not take {given}: it takes options by name, as in memory="256M"')
    unknown = sorted(set(marker.kwargs) - Options.__optional_keys__)
    if not unknown:
        return
    if unknown[0] in (run.__kwdefaults__ or ()):
        hint = ": it takes the options of pycgroups.run that a container has; its input, output and end are pytest's"
    else:
        hint = meant(unknown[0], Options.__optional_keys__) or ": it is no option of pycgroups.run"
    raise pytest.UsageError(f"sandboxed() does not take {', '.join(unknown)}{hint}")


def _environment(names: Iterable[str]) -> dict[str, Any]:
    patterns = (*_HANDED_ON, *names)
    return _ELSEWHERE | {
        name: value for name, value in os.environ.items() if any(fnmatchcase(name, one) for one in patterns)
    }


def verdict(result: Result, options: Mapping[str, Any]) -> str:
    """Say how a container ended, which limits were hit, and what it used."""
    usage = result.usage
    peak = "not counted" if usage.peak_memory is None else _size(usage.peak_memory)
    processes = "" if usage.processes is None else f", {usage.processes} processes at most"
    lines = [
        reason(result.reason, result.returncode, options),
        *_hits(result, options),
        f"used: {peak} of memory, {usage.cpu_time:.2f} s of CPU time in {usage.wall_time:.2f} s{processes}",
    ]
    if result.unenforced:
        lines.append(f"not in force on this host: {', '.join(result.unenforced)}")
    return "\n".join(lines)


def reason(why: Reason, returncode: int, options: Mapping[str, Any]) -> str:
    """Say what ended a container, with the limit."""
    if why == "timeout":
        return f"timeout={options['timeout']:g} seconds were over, and all its processes were killed"
    if why in _STOPPED:
        word, text = _STOPPED[why]
        return f"{text}, with {word}={options.get(word)}"
    if returncode < 0:
        return f"killed by {signal_name(-returncode)}"
    return f"exited with {returncode}"


def _hits(result: Result, options: Mapping[str, Any]) -> Iterator[str]:
    for name, count in result.hits.items():
        if count:
            word = _STOPPED[name][0]
            yield f"hit its limit {word}={options.get(word)} {count} {'time' if count == 1 else 'times'}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 (powers of 1024)
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


def plain(value: Any) -> Any:
    """Return text, or JSON with texts in it, with that written out which steers a terminal, or cannot be encoded."""
    if isinstance(value, str):
        return _STEERS.sub(lambda found: found[1] or found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items()}
    return value
