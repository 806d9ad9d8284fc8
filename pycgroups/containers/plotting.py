"""Pictures of what containers have used, drawn by matplotlib: a chart over time for each resource that was counted."""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from pycgroups.errors import Unsupported, invalid
from pycgroups.images.files import io_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BytesIO

    from matplotlib.figure import Figure

    from pycgroups.containers.history import History

FORMS = ("png", "svg", "html")
_WIDTH, _HEIGHT = 9.0, 1.9  # inches, of a chart
_MOST_NAMED = 12  # lines that a legend has room for
_MEGA = 1e6


class _Chart(NamedTuple):
    """One chart: what it shows, and how its lines come from a history, by what is added to their names."""

    label: str
    lines: Callable[[History], dict[str, list[float | None]]]


def _of_samples(
    read: Callable[..., float | None], unit: float = 1.0
) -> Callable[[History], dict[str, list[float | None]]]:
    def lines(history: History) -> dict[str, list[float | None]]:
        found = [read(sample) for sample in history.samples]
        return {"": [None if value is None else value / unit for value in found]}

    return lines


def _of_rates(*names: str) -> Callable[[History], dict[str, list[float | None]]]:
    def lines(history: History) -> dict[str, list[float | None]]:
        found = {name: [getattr(rate, name) for rate in history.rates] for name in names}
        return {
            name: [None, *(None if value is None else value / _MEGA for value in values)]
            for name, values in found.items()
        }

    return lines


_CHARTS = (
    _Chart("CPU, %", _of_samples(lambda sample: sample.cpu_percent)),
    _Chart("memory, MB", _of_samples(lambda sample: sample.memory.current, _MEGA)),
    _Chart("processes", _of_samples(lambda sample: sample.pids.current)),
    _Chart("disk, MB/s", _of_rates("read", "written")),
    _Chart("network, MB/s", _of_rates("received", "sent")),
)


def check(path: str | os.PathLike[str]) -> None:
    """Refuse before what is to be drawn is there what could not be drawn then; nothing is left of that.

    Raises:
        InvalidConfig, Unsupported, Error: as `plot`.
    """
    _form(path)
    place = os.path.realpath(path)
    is_new = not os.path.exists(place)
    with io_errors("plot", os.fsdecode(path)):
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
        if is_new:
            os.unlink(place)


def _form(path: str | os.PathLike[str]) -> str:
    """Return the form that a file's name asks for, if it can be drawn.

    Raises:
        InvalidConfig: it ends otherwise.
        Unsupported: matplotlib is not installed.
    """
    form = os.fsdecode(path).rpartition(".")[2].lower()
    if form not in FORMS:
        raise invalid("plot", path, f"a file that ends in {', '.join('.' + each for each in FORMS)}")
    try:
        import matplotlib.figure  # noqa: F401 (slow, and of use here alone)
    except ImportError:
        raise Unsupported(
            "matplotlib is not installed", operation="plot", hint="pip install 'pycgroups[plot]'"
        ) from None
    return form


def plot(path: str | os.PathLike[str], histories: Mapping[str, History]) -> None:
    """Draw histories, by the names of their lines, into a file, whose name tells the form.

    Raises:
        InvalidConfig: the file's name ends otherwise.
        Unsupported: matplotlib is not installed.
        Error: the file cannot be written.
    """
    from io import BytesIO

    form, drawn = _form(path), BytesIO()
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):  # text stays text
        _draw(histories).savefig(drawn, format="png" if form == "png" else "svg")
    data = _page(drawn, ", ".join(histories)) if form == "html" else drawn.getvalue()
    with io_errors("plot", os.fsdecode(path)), open(path, "wb") as file:
        file.write(data)


def _draw(histories: Mapping[str, History]) -> Figure:
    """Draw the charts for which there is something to draw, one below the other."""
    from matplotlib.figure import Figure

    start = min((history.samples[0].time for history in histories.values() if history.samples), default=0.0)
    found = [(chart.label, _lines(chart, histories)) for chart in _CHARTS]
    shown = [(label, lines) for label, lines in found if lines] or [("nothing was counted", {})]
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(shown) + 0.6), layout="constrained")
    rows = figure.subplots(len(shown), sharex=True, squeeze=False)
    for (label, lines), (axes,) in zip(shown, rows, strict=True):
        for name, points in lines.items():
            times, values = zip(*points, strict=True)
            # The names are anybody's, and one that begins with "_" would be left out.
            axes.plot([time - start for time in times], values, label=f" {name}", linewidth=1.2)
        axes.set_ylabel(label)
        axes.margins(y=0.3)  # for the legend
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        if any(lines) and len(lines) <= _MOST_NAMED:
            for text in axes.legend(loc="upper left", fontsize="small").get_texts():
                text.set_parse_math(False)  # nor is "$" the begin of a formula
    rows[-1][0].set_xlabel("seconds")
    return figure


def _lines(chart: _Chart, histories: Mapping[str, History]) -> dict[str, list[tuple[float, float]]]:
    """Return what a chart has of all of them: times and values by name, without those that nobody counted."""
    lines = {}
    for name, history in histories.items():
        times = [sample.time for sample in history.samples]
        for what, values in chart.lines(history).items():
            points = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
            if points:
                lines[" ".join(filter(None, (name, what)))] = points
    return lines


def _page(svg: BytesIO, title: str) -> bytes:
    """Put a drawing into a page that needs nothing else."""
    drawing = svg.getvalue().decode()
    drawing = drawing[drawing.index("<svg") :]
    head = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    return f"{head}\n<body>\n{drawing}</body></html>\n".encode()
