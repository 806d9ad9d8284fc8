"""JSON for people: json.dumps with an indent, which would load re first."""

from __future__ import annotations

from pycgroups.oci.json_text import dumps


def indented(document: object, by: str, before: str = "\n") -> str:
    """Return the JSON of plain data, an item a line.

    Args:
        document: dicts, lists, tuples and scalars.
        by: what a level is indented by.
        before: what a line begins with; for recursion.
    """
    inner = before + by
    if isinstance(document, dict) and document:
        items = [f"{dumps(key)}: {indented(value, by, inner)}" for key, value in document.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{before}}}"
    if isinstance(document, (list, tuple)) and document:
        items = [indented(value, by, inner) for value in document]
        return f"[{inner}{f',{inner}'.join(items)}{before}]"
    return dumps(document)
