"""How far a long operation is: bars on a terminal; else nothing, or a line for each blob when that is asked for.

It goes to stderr, and what the command answers to stdout.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

from pycgroups.cli.flags import Flag, one_of
from pycgroups.cli.tables import size
from pycgroups.images.events import Ended, Started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pycgroups.images.events import Event, Progress

_SHORT = 12

FLAGS = (
    Flag(
        "--progress",
        "auto, the default: bars on a terminal, else nothing; plain: a line for each blob",
        value="HOW",
        read=one_of("auto", "plain"),
    ),
    Flag("--quiet -q", "nothing but the answer"),
)


@contextmanager
def shown(found: dict[str, Any]) -> Iterator[Progress | None]:
    """Show it as the flags say; whatever happens, the terminal is in order afterwards.

    Args:
        found: the values of the flags.
    """
    plain = found.get("progress") == "plain"
    if found.get("quiet") or not (plain or sys.stderr.isatty()):
        yield None
        return
    if not plain:
        try:
            from pycgroups.cli.bars import Bars
        except ImportError:
            pass
        else:
            with Bars() as bars:
                yield bars.show
            return
    yield Lines().show


class Lines:
    """A line for each blob."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str], int] = {}

    def show(self, event: Event) -> None:
        """Take an event."""
        key = event.doing, event.digest
        if isinstance(event, Started):
            self._sizes[key] = event.total
        elif isinstance(event, Ended) and event.outcome != "failed":
            sys.stderr.write(f"{line(event, self._sizes[key])}\n")


_ENDS = {"copy": "copied", "unpack": "unpacked", "verify": "whole"}


def line(event: Ended, total: int) -> str:
    """Tell of a blob that is finished; of one that failed, the error does."""
    end = _ENDS[event.doing] if event.outcome == "done" else "there already"
    return f"{short(event.digest)}  {end}  {size(total)}"


def short(digest: str) -> str:
    """Return what is enough of a digest for people."""
    return digest.rpartition(":")[2][:_SHORT]
