"""``pycgroups stats``: what containers use, as it changes."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack

from pycgroups.cli import signals
from pycgroups.cli.flags import Flag
from pycgroups.cli.tables import NO_TRUNC, drawing, fitting, print_json, print_table, size
from pycgroups.cli.text import escaped
from pycgroups.cli.times import duration
from pycgroups.cli.usage import Usage
from pycgroups.errors import NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, Self

    from pycgroups.containers.container import Container
    from pycgroups.containers.history import History
    from pycgroups.containers.stats import ContainerStats, Sampler
else:
    from pycgroups.records import NamedTuple

USAGE = Usage(
    "stats [FLAGS] [CONTAINER ...]",
    """\
Show what containers use, all that run or these, until Ctrl-C or SIGTERM, or until these have ended.

CPU % is of one CPU, over the time since the table before. MEM USAGE is without page cache that is idle; where there is
no limit, the machine's memory stands for it. "--" is what nobody counts here. json is an object a line for each
container, again and again; with --no-stream it is one document. Such lines in a file are a history: --from shows the
most that each container in it has used, and --plot draws it.

A template has fields as {{.Name}}: Container (the word by which it was asked for, or the ID), ID, Name, CPUPerc,
MemUsage, MemPerc, NetIO, BlockIO, PIDs.""",
    (
        Flag("--no-stream", "show one table, over one interval"),
        Flag("--interval", "time between two tables; 1s by default", value="DURATION", read=duration),
        Flag("--plot", "in the end, draw all of it over time: FILE.png, .svg or .html", value="FILE"),
        Flag("--from", "what was recorded, instead of what is: by --format json > FILE", word="recorded", value="FILE"),
        Flag(
            "--format",
            "table, a template, or json: an object a line, or with --no-stream one document",
            value="FORM",
        ),
        NO_TRUNC,
    ),
)
_COLUMNS = ("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS")
_FIELDS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_RIGHT = ("CPU %", "MEM %", "PIDS")
_NAMING = 2
"Columns that say which container it is: they are there on any terminal."
_SHORT = 12
_UNKNOWN = "--"


class _Watched(NamedTuple):
    """A container that is looked at."""

    name: str
    sampler: Sampler
    history: History | None


class _Board:
    """The containers that are looked at: those that were named, or all that run. A context manager.

    Attributes:
        histories: all samples, by name, if that was asked for.
    """

    def __init__(self, named: list[Container], *, record: bool) -> None:
        self._named = named
        self._record = record
        self._stack = ExitStack()
        self._watched: dict[str, _Watched] = {}
        self.histories: dict[str, History] = {}

    def open(self) -> None:
        """Take hold of those that there are.

        Raises:
            StateError: one that was named does not run.
        """
        from pycgroups import containers

        for container in self._named or containers.list():
            if container.id not in self._watched:
                try:
                    self._watch(container)
                except (NotFound, StateError):
                    if self._named:
                        raise

    def _watch(self, container: Container) -> None:
        from pycgroups.containers.history import History

        name, sampler = container.name, self._stack.enter_context(container.sampler())
        history = self.histories.setdefault(name, History()) if self._record else None
        self._watched[container.id] = _Watched(name, sampler, history)

    def take(self) -> dict[str, tuple[str, ContainerStats]]:
        """Take a sample of each that has not ended; names and samples by id."""
        if not self._named:
            self.open()
        found = {}
        for id_, (name, sampler, history) in [*self._watched.items()]:
            try:
                found[id_] = name, sampler.take()
            except StateError:
                sampler.close()
                del self._watched[id_]
                continue
            if history is not None:
                history.add(found[id_][1])
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: there is no such container, it does not run, nothing can be drawn, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    from pycgroups import containers

    if "plot" in found:
        from pycgroups.containers import plotting

        plotting.check(found["plot"])
    if "recorded" in found:
        from pycgroups.cli import recorded

        recorded.show(found, names)
        return 0
    named = [containers.get(name) for name in names]
    words = {container.id: name for container, name in zip(named, names, strict=True)}
    with signals.interrupting(), _Board(named, record="plot" in found) as board:
        board.open()
        interval = found.get("interval", 1.0)
        try:
            if found.get("no_stream"):
                board.take()
                time.sleep(interval)
                _shown(found, words)(board.take())
            else:
                _stream(board, interval, found, words)
        except KeyboardInterrupt:  # the usual end
            pass
        if "plot" in found:
            plotting.plot(found["plot"], board.histories)
    return 0


def _stream(board: _Board, interval: float, found: dict[str, Any], words: dict[str, str]) -> None:
    with ExitStack() as stack:
        show = _shown(found, words, stack)
        due = time.monotonic()
        while (samples := board.take()) or not words:
            show(samples)
            due = max(due + interval, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def _shown(
    found: dict[str, Any], words: dict[str, str], stack: ExitStack | None = None
) -> Callable[[dict[str, tuple[str, ContainerStats]]], None]:
    """Return what shows samples; with a stack, again and again.

    Args:
        found: the flags.
        words: by which containers were asked for, by their ids.
        stack: holds what draws.
    """
    is_whole, form = bool(found.get("no_trunc")), found.get("format", "table")
    if form == "json":
        return _print_lines if stack else lambda samples: print_json(_objects(samples))
    if form != "table":
        return lambda samples: _print_filled(form, samples, words, whole=is_whole)
    if stack and sys.stdout.isatty() and (draw := _live(stack)):
        return lambda samples: draw(_rows(samples, whole=is_whole))
    return lambda samples: _print_rows(_rows(samples, whole=is_whole))


def _print_rows(rows: list[list[str]]) -> None:
    print_table(_COLUMNS, rows, right=_RIGHT)
    sys.stdout.flush()


def _print_filled(
    template: str, samples: dict[str, tuple[str, ContainerStats]], words: dict[str, str], *, whole: bool
) -> None:
    from pycgroups.cli.templates import print_rows

    filled = [
        {"Container": words.get(id_, row[0]), **dict(zip(_FIELDS, row, strict=True))}
        for id_, row in zip(samples, _rows(samples, whole=whole), strict=True)
    ]
    print_rows(template, filled, ("Container", *_FIELDS))
    sys.stdout.flush()


def _print_lines(samples: dict[str, tuple[str, ContainerStats]]) -> None:
    import json

    for each in _objects(samples):
        print(json.dumps(each))
    sys.stdout.flush()


def _live(stack: ExitStack) -> Callable[[list[list[str]]], None] | None:
    """Return what redraws a table on the terminal; None where rich is not installed, or the terminal cannot."""
    try:
        from rich.live import Live

        from pycgroups.cli.screen import Screen
    except ImportError:
        return None
    screen = Screen(highlight=False)
    if not screen.is_terminal or screen.is_dumb_terminal:
        return None
    live = stack.enter_context(Live(console=screen, auto_refresh=False))

    def draw(rows: list[list[str]]) -> None:
        cells = [[escaped(cell) for cell in row] for row in rows]
        shown = max(_NAMING, fitting(_COLUMNS, cells, screen.width))
        live.update(drawing(_COLUMNS[:shown], [row[:shown] for row in cells], _RIGHT), refresh=True)

    return draw


def _objects(samples: dict[str, tuple[str, ContainerStats]]) -> list[dict[str, Any]]:
    from pycgroups.containers import recorded

    return [recorded.line(id_, name, sample) for id_, (name, sample) in samples.items()]


def _rows(samples: dict[str, tuple[str, ContainerStats]], *, whole: bool) -> list[list[str]]:
    return [_row(id_ if whole else id_[:_SHORT], name, sample) for id_, (name, sample) in samples.items()]


def _row(id_: str, name: str, sample: ContainerStats) -> list[str]:
    memory = sample.memory
    used = memory.current if memory.working_set is None else memory.working_set
    limit = memory.limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [
        id_,
        name,
        _percent(sample.cpu_percent),
        _UNKNOWN if used is None else f"{size(used)} / {size(limit)}",
        _percent(None if used is None else 100 * used / limit),
        _pair(sample.network_bytes),
        _pair(sample.io_bytes),
        _UNKNOWN if sample.pids.current is None else str(sample.pids.current),
    ]


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}%"


def _pair(counts: tuple[int, int] | None) -> str:
    return _UNKNOWN if counts is None else f"{size(counts[0])} / {size(counts[1])}"
