"""A `Spec` as JSON in one line; what containers have in common is put into words once."""

from __future__ import annotations

from pycgroups.oci.json_text import dumps
from pycgroups.oci.model import MAPS, Model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from functools import lru_cache

    from pycgroups.oci.runtime_spec import Spec
else:
    from pycgroups.caches import lru_cache


def one_line(spec: Spec) -> str:
    """Return what `dumps` makes of its `to_json`."""
    return dumps(spec.to_json()) if spec.extra else _members(spec)


def _members(model: Model) -> str:
    return _object((name, dict(value) if field in MAPS else value) for field, name, value in model.given())


def _object(members: Iterable[tuple[str, object]]) -> str:
    return f"{{{','.join(f'{dumps(name)}:{_text(value)}' for name, value in members)}}}"


def _text(value: object) -> str:
    if isinstance(value, Model):
        return _kept(value)
    if isinstance(value, dict):
        return _object(value.items())
    if isinstance(value, tuple) and any(isinstance(item, Model) for item in value):
        return f"[{','.join(map(_text, value))}]"
    return dumps(value)


@lru_cache(64)  # a process starts many containers that differ in few parts
def _kept(model: Model) -> str:
    return _members(model)
