"""Rows and columns for people: drawn by rich on a terminal, aligned by spaces elsewhere; sizes and ages in words."""

from __future__ import annotations

import sys

from pycgroups.cli.flags import Flag, one_of
from pycgroups.cli.text import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from rich.table import Table

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_ROUNDED_UP = 999.5  # with three digits, 1000
_AGES = (
    ("year", 365 * 86400),
    ("month", 30 * 86400),
    ("week", 7 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_TWICE = 2
_WITHIN = frozenset({"Mn", "Me"})
_WIDE = frozenset({"W", "F"})
_BETWEEN = 2
"Spaces between columns."

FORMAT = Flag("--format", "table, or json: one document", value="FORM", read=one_of("table", "json"))
LINES = Flag("--format", "table, json (one document with all that is known) or a template", value="FORM")
NO_TRUNC = Flag("--no-trunc", "nothing is shortened")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table to stdout; what would steer a terminal is written out.

    Args:
        columns: their headings.
        rows: a text for each column.
        right: the columns of numbers.
    """
    cells = [[escaped(cell) for cell in row] for row in rows]
    if not (sys.stdout.isatty() and _drawn(columns, cells, right)):
        widths = [max(map(_width, column)) for column in zip(columns, *cells, strict=True)]
        for row in (columns, *cells):
            padded = ((cell, " " * (width - _width(cell))) for cell, width in zip(row, widths, strict=True))
            placed = [
                space + cell if column in right else cell + space
                for (cell, space), column in zip(padded, columns, strict=True)
            ]
            print("  ".join(placed).rstrip())


def _width(text: str) -> int:
    """Count the cells of a terminal: East Asian characters take two, and accents none."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(0 if category(each) in _WITHIN else _TWICE if east_asian_width(each) in _WIDE else 1 for each in text)


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> bool:
    """Draw it with rich; False where that is not installed, or lines are too long: it would fold what is in them."""
    try:
        from rich.console import Console
    except ImportError:
        return False
    console = Console(highlight=False)
    if fitting(columns, rows, console.width) < len(columns):
        return False
    console.print(drawing(columns, rows, right))
    return True


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """Return how many columns, from the left, a terminal of that width has room for."""
    from rich.cells import cell_len

    used = -_BETWEEN
    for count, column in enumerate(zip(columns, *rows, strict=True)):
        used += _BETWEEN + max(map(cell_len, column))
        if used > width:
            return count
    return len(columns)


def drawing(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> Table:
    """Return a table for rich to draw; its cells have to be fit for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="crop", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_json(document: Any) -> None:
    """Print a document; all of it is ASCII."""
    import json

    print(json.dumps(document, indent=2))


def as_object(record: Any) -> dict[str, Any]:
    """Return a record, a tuple with names, as JSON has objects."""
    return dict(zip(record._fields, record, strict=True))


def size(count: float) -> str:
    """Write bytes as docker does: three digits, and powers of 1000."""
    unit = 0
    while count >= _ROUNDED_UP and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.3g} {_UNITS[unit]}"


def age(moment: datetime | None) -> str:
    """Write how long ago something was, in one unit; empty when nobody knows."""
    if moment is None:
        return ""
    from datetime import UTC, datetime

    seconds = int((datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds())
    for unit, length in _AGES:
        if seconds >= _TWICE * length:
            return f"{seconds // length} {unit}s ago"
    return "just now"
