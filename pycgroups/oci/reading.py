"""JSON documents of the OCI specifications into the models of this room.

Strict: an unknown property is an error, and not ignored, because a profile in another dialect (docker's
``includes`` and ``excludes``) would otherwise be read as something weaker than its author meant.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from pycgroups.errors import InvalidConfig
from pycgroups.oci.model import Model, json_name

M = TypeVar("M", bound=Model)


def from_json(model: type[M], document: object, key: str) -> M:
    """Return the model that ``document``, as `json.loads` gives it, describes.

    Args:
        model: a class of `pycgroups.oci`.
        document: a mapping; a property that is null counts as left out.
        key: the key path of the document, for errors.

    Raises:
        InvalidConfig: an unknown or missing property, or one of a wrong type; names its key path.
    """
    if not isinstance(document, Mapping):
        raise _invalid(key, f"got {_kind(document)}, allowed: an object")
    hints = typing.get_type_hints(model)
    fields = {field.metadata.get("json") or json_name(field.name): field for field in attrs.fields(model)}  # type: ignore[arg-type]  # all are attrs classes
    words: dict[str, Any] = {}
    for name, value in document.items():
        if name not in fields:
            raise _invalid(key, f"got an unknown property {str(name)[:80]!r}, allowed: {', '.join(fields)}")
        if value is not None:
            field = fields[name].name
            words[field] = _value(hints[field], value, f"{key}.{name}")
    for name, field in fields.items():
        if field.default is attrs.NOTHING and field.name not in words:
            raise _invalid(key, f"the property {name!r} is missing")
    return model(**words)


def _value(hint: Any, value: object, key: str) -> Any:
    """Check one value against its annotation: a scalar, a model, ``X | None`` or ``tuple[X, ...]``."""
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise _invalid(key, f"got {_kind(value)}, allowed: a list")
        (item_hint, _) = typing.get_args(hint)
        return tuple(_value(item_hint, item, f"{key}[{index}]") for index, item in enumerate(value))
    if issubclass(hint, Model):
        return from_json(hint, value, key)
    if type(value) is not hint:
        raise _invalid(key, f"got {_kind(value)}, allowed: {hint.__name__}")
    return value


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _invalid(key: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=key)
