r"""The part of Go's templates that people write after docker's ``--format``, for the facts that we have.

    {{.State.Status}}   {{json .Config}}   {{index .Config.Labels "name"}}   \t   \n

A field is found whatever its capitals and underscores are: ``.State.ExitCode`` is ``state.exit_code``.
"""

from __future__ import annotations

import json
import re

from pycgroups.cli.flags import UsageError
from pycgroups.cli.tables import print_table
from pycgroups.cli.text import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


_ACTION = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_WORDS = re.compile(r'(?:(json|index)\s+)?((?:\.\w+)+|\.)((?:\s+"[^"]*")*)')
_ALLOWED = '{{.FIELD.FIELD}}, {{json .FIELD}} and {{index .FIELD "KEY"}}'


class Keys(dict[str, str]):
    """An object whose keys are anybody's: one that it does not have is empty, and no mistake."""


def render(template: str, facts: Mapping[str, Any], *, harmless: bool = False) -> str:
    """Fill in a template.

    Args:
        template: what comes after ``--format``.
        facts: values by the names of fields.
        harmless: write out in them what would steer a terminal, or begin a line. Of JSON that is never left.

    Raises:
        UsageError: it has something else than fields, or one that there is not; it names those there are.
    """
    _, opened, rest = _ACTION.sub("", template).partition("{{")
    if opened:
        raise UsageError(f"template: {opened}{rest} is not closed by }}}}")
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    return _ACTION.sub(lambda found: _value(found[1], facts, escaped if harmless else str), text)


def check(template: str, facts: Mapping[str, Any]) -> None:
    """See that a template can be filled in, before there is anything to fill in; with some facts that stand for all.

    Raises:
        UsageError: as `render`, or it has no fields at all: it is some other word.
    """
    if "{{" not in template:
        example = next(iter(facts))
        raise UsageError(f"flag '--format': {template!r}: allowed: table, json, or a template, as '{{{{.{example}}}}}'")
    render(template, facts)


def print_rows(form: str, rows: Iterable[dict[str, Any]], fields: Iterable[str]) -> None:
    """Print a line for each row; after the word "table", with headings, and in columns of what is between tabs.

    Args:
        form: what comes after ``--format``.
        rows: values by the names of fields, texts or objects of texts; what would steer a terminal is written out.
        fields: the names, so that a wrong template is wrong also where there is no row.

    Raises:
        UsageError: as `check`.
    """
    template = form.removeprefix("table ")
    check(template, dict.fromkeys(fields, ""))
    if template != form:
        print_table(_headings(template), [render(template, row, harmless=True).split("\t") for row in rows])
        return
    for row in rows:
        print(render(template, row, harmless=True))


def _headings(template: str) -> list[str]:
    """Return the names of the fields in capitals."""
    text = template.replace("\\t", "\t")
    return _ACTION.sub(lambda found: found[1].rpartition(".")[2].upper(), text).split("\t")


def _value(action: str, facts: Mapping[str, Any], write: Callable[[str], str]) -> str:
    found = _WORDS.fullmatch(action)
    if found is None or (found[1] == "index") != bool(found[3]):
        raise UsageError(f"template: {{{{{action}}}}} is not known; allowed: {_ALLOWED}")
    value: Any = facts
    path = ""
    for name in filter(None, found[2].split(".")):
        value, path = _field(value, name, path), f"{path}.{name}"
    for key in re.findall(r'"([^"]*)"', found[3]):
        value = _pairs(value).get(key, "")
    return json.dumps(value) if found[1] == "json" else write(_text(value))


def _field(value: Any, name: str, path: str) -> Any:
    wanted, fields = _folded(name), value if isinstance(value, dict) else {}
    if name in fields:  # what is anybody's may differ in its capitals alone
        return fields[name]
    for key, item in fields.items():
        if _folded(key) == wanted:
            return item
    if isinstance(value, Keys):
        return ""
    there = f"there are: {', '.join(fields)}" if fields else "it has none"
    raise UsageError(f"template: there is no field {name} in {path or 'it'}; {there}")


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def _pairs(value: Any) -> dict[Any, Any]:
    """Return an object, or a list of names and values, as labels are."""
    if isinstance(value, dict):
        return value
    pairs = value if isinstance(value, list | tuple) else ()
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2}  # noqa: PLR2004


def _text(value: Any) -> str:
    """Write a value as Go does, where that is what people rely on."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_text(item)}' for key, item in value.items())}]"
    return "" if value is None else str(value)
