"""``pycgroups stats --from FILE``: what was recorded of containers: the most that they have used, and a picture."""

from __future__ import annotations

from pycgroups.cli.flags import UsageError
from pycgroups.cli.tables import as_object, print_json, print_table, size
from pycgroups.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.containers.history import History

_COLUMNS = ("NAME", "SECONDS", "CPU %", "MEMORY", "PIDS", "READ/S", "WRITTEN/S", "RECEIVED/S", "SENT/S")
_UNKNOWN = "--"


def show(found: dict[str, Any], names: list[str]) -> None:
    """Show what a file has of the containers of these names, or of all.

    Raises:
        Error: it cannot be read, has nothing of one of them, or nothing can be drawn.
    """
    for flag in {"interval", "no_stream"} & found.keys():
        raise UsageError(f"flag '--{flag.replace('_', '-')}': not of what was recorded")
    if found.get("format", "table") not in {"table", "json"}:
        raise UsageError("flag '--format': of what was recorded table or json")
    from pycgroups.containers import plotting, recorded

    histories = recorded.read(found["recorded"])
    for name in names:
        if name not in histories:
            raise NotFound("no such container is in it", operation="read history", path=f"{found['recorded']}: {name}")
    histories = {name: histories[name] for name in names or histories}
    if found.get("format") == "json":
        print_json(
            [{"name": name, "seconds": _seconds(each), **as_object(each.peaks)} for name, each in histories.items()]
        )
    else:
        print_table(_COLUMNS, [_row(name, each) for name, each in histories.items()], right=_COLUMNS[1:])
    if "plot" in found:
        plotting.plot(found["plot"], histories)


def _seconds(history: History) -> float:
    return history.samples[-1].time - history.samples[0].time


def _row(name: str, history: History) -> list[str]:
    peaks = history.peaks
    amounts = (peaks.read, peaks.written, peaks.received, peaks.sent)
    return [
        name,
        f"{_seconds(history):.0f}",
        _UNKNOWN if peaks.cpu_percent is None else f"{peaks.cpu_percent:.2f}%",
        _amount(peaks.memory),
        _UNKNOWN if peaks.pids is None else str(peaks.pids),
        *map(_amount, amounts),
    ]


def _amount(count: float | None) -> str:
    return _UNKNOWN if count is None else size(count)
