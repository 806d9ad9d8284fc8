"""Measure, print the tables, write the results and the chart: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks import chart, figures, suite, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.timing import Row

HERE = Path(__file__).parent
CHARTED = (
    *("floor+OCI", "pc.run", "pc.run + limits", "pc.run + limits + userns"),
    *("subprocess.run", "bubblewrap", "crun", "runc", "BenchExec", "systemd-nspawn", "podman"),
)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, and noisier")
    parser.add_argument("--json", type=Path, default=HERE / "results.json", help="where the results go")
    parser.add_argument(
        "--chart", type=Path, default=HERE.parent / "docs/figures/start.svg", help="where the chart goes"
    )
    parser.add_argument("concepts", nargs="*", help=f"what to measure, all by default: {', '.join(suite.CONCEPTS)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.concepts) - set(suite.CONCEPTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    return {
        "kernel": platform.release().partition("-")[0],
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }


def render_rows(rows: Sequence[Row]) -> str:
    """Rows as a table, in milliseconds."""
    cells = [
        [row.name, f"{row.median * 1e3:.2f}", f"{row.p10 * 1e3:.2f}", str(row.samples), row.note]
        for row in rows
        if row.median is not None and row.p10 is not None
    ]
    return table.render(["ms", "median", "p10", "samples", ""], cells, right=(1, 2, 3))


def render(report: suite.Report) -> str:
    """Everything, as text."""
    parts = []
    if report.rows:
        parts.append(render_rows(list(report.rows.values())))
    parts.append(figures.render(report.figures))
    if report.skipped:
        parts.append(table.render(["not measured", "because"], list(report.skipped.items())))
    return "\n\n".join(parts)


def as_data(report: suite.Report) -> dict[str, object]:
    """Everything, as JSON has it; times in seconds."""
    return {
        "machine": machine(),
        "rows": [attrs.asdict(row) for row in report.rows.values()],
        "figures": [attrs.asdict(figure) | {"reached": figure.reached} for figure in report.figures],
        "skipped": report.skipped,
    }


def write(path: Path, text: str) -> None:
    """Write it, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {path}")


def draw(report: suite.Report) -> str:
    """The chart of one start."""
    rows = [report.rows[name] for name in CHARTED]
    note = f"median, /bin/true of busybox in a container, Linux {platform.release()}, {os.cpu_count()} processors"
    return chart.bars("From start to reaped, in milliseconds", note, rows)


def main() -> None:
    """Do it."""
    options = parse()
    report = suite.Report()
    with suite.bench(suite.QUICK if options.quick else suite.Effort()) as bench:
        for name in options.concepts or suite.CONCEPTS:
            print(f"measuring {name} ...", file=sys.stderr)
            suite.CONCEPTS[name](bench, report)
    print(render(report))
    write(options.json, json.dumps(as_data(report), indent=2) + "\n")
    if report.rows.keys() >= set(CHARTED):
        write(options.chart, draw(report))


if __name__ == "__main__":
    main()
