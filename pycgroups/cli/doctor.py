"""``pycgroups doctor``: what works on this host, and what mends the rest."""

from __future__ import annotations

import sys

from pycgroups.cli import OURS
from pycgroups.cli.flags import Flag, describe, parse
from pycgroups.cli.text import complain, escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.features import Doctor

FLAGS = (Flag("--json", "as one JSON document"),)
ABOUT = """\
usage: pycgroups doctor [FLAGS]

Tell what works on this host for this account, and what mends the rest. The exit code is 1 if something that containers
can use does not work.
"""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        UsageError: a flag is wrong.
    """
    found, rest, _ = parse(FLAGS, arguments)
    if found.get("help"):
        print(f"{ABOUT}\n{describe(FLAGS)}", end="")
        return 0
    if rest:
        complain(f"doctor takes no {rest[0]!r}; see --help")
        return OURS
    from pycgroups.features import doctor

    result = doctor()
    if found.get("json"):
        import json

        print(json.dumps(result.to_json(), indent=2))
    elif not (sys.stdout.isatty() and _print_table(result)):
        print("\n".join(escaped(line) for line in str(result).split("\n")))
    return 0 if result.ok else 1


def _print_table(result: Doctor) -> bool:
    """Draw the table with rich; False where that is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    from pycgroups.features import remarks

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    marks = {True: Text("✓", "bold green"), False: Text("✗", "bold red"), None: Text("·", "dim")}
    for check in result.checks:
        cell = Text(escaped(check.detail))
        for line in remarks(check):
            cell.append(f"\n{escaped(line)}" if cell.plain else escaped(line), "red" if check.works is False else "dim")
        table.add_row(marks[check.works], Text(check.name, "bold"), cell)
    Console(highlight=False).print(table)
    return True
