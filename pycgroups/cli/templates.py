r"""The part of Go's templates that people write after docker's ``--format``, for the facts that we have.

    {{.State.Status}}   {{json .Config}}   {{index .Config.Labels "name"}}   \t   \n

A field is found whatever its capitals and underscores are: ``.State.ExitCode`` is ``state.exit_code``. One that is not
there is ``<no value>``, as of a map in Go.
"""

from __future__ import annotations

import json
import re

from pycgroups.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ACTION = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_WORDS = re.compile(r'(?:(json|index)\s+)?((?:\.\w+)+|\.)((?:\s+"[^"]*")*)')
_ALLOWED = '{{.FIELD.FIELD}}, {{json .FIELD}} and {{index .FIELD "KEY"}}'
_NONE = "<no value>"


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Fill in a template.

    Raises:
        UsageError: it has something else than fields.
    """
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    return _ACTION.sub(lambda found: _value(found[1], facts), text)


def headings(template: str) -> str:
    """Return the first line of a table: the names of the fields in capitals."""
    text = template.replace("\\t", "\t")
    return _ACTION.sub(lambda found: found[1].rpartition(".")[2].upper(), text)


def _value(action: str, facts: Mapping[str, Any]) -> str:
    found = _WORDS.fullmatch(action)
    if found is None or (found[1] == "index") != bool(found[3]):
        raise UsageError(f"template: {{{{{action}}}}} is not known; allowed: {_ALLOWED}")
    value: Any = facts
    for name in filter(None, found[2].split(".")):
        value = _field(value, name)
    for key in re.findall(r'"([^"]*)"', found[3]):
        value = _pairs(value).get(key, "")
    return json.dumps(value) if found[1] == "json" else _text(value)


def _field(value: Any, name: str) -> Any:
    wanted = name.lower().replace("_", "")
    for key, item in value.items() if isinstance(value, dict) else ():
        if key.lower().replace("_", "") == wanted:
            return item
    return _NONE


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
