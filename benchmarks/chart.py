"""A bar chart as SVG, small enough to be written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.timing import Row

WIDTH = 720
LABELS = 210
VALUES = 70
TOP = 62
STEP = 26
BAR = 16

# Follows the reader's colour scheme, as an image in a page can.
STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2933 }
    .title { font-size: 16px; font-weight: 600 }
    .note { font-size: 12px; fill: #6b7785 }
    .value { font-variant-numeric: tabular-nums }
    .ours-text { font-weight: 600 }
    .floor { fill: #b6c2cf } .ours { fill: #2f80ed } .peer { fill: #f0a35e }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e9ee } .note { fill: #93a0ad } .floor { fill: #55626f }
    }
"""


def bars(title: str, note: str, rows: Sequence[Row]) -> str:
    """Horizontal bars of the medians that were measured, shortest first, on a linear scale in milliseconds."""
    measured = sorted((row.median * 1e3, row.name, row.kind) for row in rows if row.median is not None)
    longest = measured[-1][0]
    height = TOP + STEP * len(measured) + 14
    body = [bar(TOP + i * STEP, value, longest, name, kind) for i, (value, name, kind) in enumerate(measured)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"  <title>{escape(title)}</title>",
            f"  <style>{STYLE}  </style>",
            f'  <text class="title" x="16" y="26">{escape(title)}</text>',
            f'  <text class="note" x="16" y="46">{escape(note)}</text>',
            *body,
            "</svg>\n",
        ]
    )


def bar(y: int, value: float, longest: float, name: str, kind: str) -> str:
    """One labelled bar; the shortest ones stay visible."""
    width = max(2.0, (WIDTH - LABELS - VALUES) * value / longest)
    middle = y + BAR - 4
    return (
        f'  <text class="{kind}-text" x="{LABELS - 10}" y="{middle}" text-anchor="end">{escape(name)}</text>\n'
        f'  <rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>\n'
        f'  <text class="value {kind}-text" x="{LABELS + width + 8:.1f}" y="{middle}">{value:.1f} ms</text>'
    )
