"""``pycgroups history``: what made an image."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.cli.progress import short
from pycgroups.cli.tables import LINES, NO_TRUNC, age, as_object, print_json, print_table, size
from pycgroups.cli.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.image import HistoryStep

USAGE = Usage(
    "history [FLAGS] IMAGE",
    """\
Tell what made an image, step by step, the last one first. SIZE is that of the packed layer, whose digest is LAYER.

A template has fields as {{.CreatedBy}}: ID (of the layer), CreatedSince, CreatedAt, CreatedBy, Size, Comment.""",
    (
        LINES,
        NO_TRUNC,
        Flag("--platform", "of an image for several, which; default: this machine's", value="PLATFORM"),
    ),
    least=1,
    most=1,
)
_LONGEST = 45


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.images.get` and `Image.history` name, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name,) = asked
    from pycgroups import images

    steps = list(reversed(images.get(name, platform=found.get("platform")).history()))
    form, whole = found.get("format", "table"), bool(found.get("no_trunc"))
    if form == "json":
        print_json([as_object(step) for step in steps])
    elif form == "table":
        rows = [_row(step, whole=whole) for step in steps]
        print_table(("LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"), rows, right=("SIZE",))
    else:
        from pycgroups.cli.templates import print_rows

        print_rows(form, [_fields(step, whole=whole) for step in steps], _FIELDS)
    return 0


_FIELDS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment", "CreatedAt")


def _fields(step: HistoryStep, *, whole: bool) -> dict[str, str]:
    return dict(zip(_FIELDS, (*_row(step, whole=whole), step.created or ""), strict=True))


def _row(step: HistoryStep, *, whole: bool) -> tuple[str, ...]:
    layer, by = step.layer or "", " ".join(step.created_by.split())
    if not whole:
        layer, by = short(layer), by if len(by) <= _LONGEST else f"{by[: _LONGEST - 1]}…"
    return layer, _age(step.created), by, size(step.size), step.comment


def _age(text: str | None) -> str:
    from datetime import datetime

    try:
        return age(None if text is None else datetime.fromisoformat(text))
    except ValueError:
        return ""
