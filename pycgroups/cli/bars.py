"""Bars on a terminal, drawn by rich: one for each blob that is copied, and one for each layer that is unpacked.

What is finished becomes a line above them.
"""

from __future__ import annotations

from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from pycgroups.cli.progress import line, short
from pycgroups.cli.screen import Screen
from pycgroups.images.events import Advanced, Started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from rich.progress import TaskID

    from pycgroups.images.events import Event

_WIDTH = 20
_TIMES_A_SECOND = 10
_DOING = {"copy": "copying", "unpack": "unpacking", "verify": "hashing"}


class Bars:
    """The lower lines of the terminal while something goes on; a context manager."""

    def __init__(self) -> None:
        self._console = Screen(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(_WIDTH),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
        )
        self._live = Live(
            self._bars,
            console=self._console,
            refresh_per_second=_TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[tuple[str, str], tuple[TaskID, int]] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Take the bars away; the lines stay."""
        self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event."""
        key = event.doing, event.digest
        if isinstance(event, Started):
            name = f"{_DOING[event.doing]} {short(event.digest)}"
            self._tasks[key] = self._bars.add_task(name, total=event.total), event.total
        elif isinstance(event, Advanced):
            task, _ = self._tasks[key]
            self._bars.update(task, completed=event.done)
        else:
            task, total = self._tasks.pop(key)
            self._bars.remove_task(task)
            if event.doing == "copy" and event.outcome != "failed":
                self._console.print(Text(line(event, total)))
