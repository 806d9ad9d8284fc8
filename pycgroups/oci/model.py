"""What every model of the OCI specifications shares: frozen data, and its form in JSON."""

from __future__ import annotations

from pycgroups.frozen import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from functools import cache
    from typing import Any
else:
    from pycgroups.caches import cache


MAPS = frozenset(
    (
        *("annotations", "net_devices", "rdma", "sysctl", "time_offsets", "unified"),
        *("exposed_ports", "labels", "volumes"),
    )
)
"""Fields whose JSON form is an object with keys of its own; here they are tuples of pairs."""


class Model:
    """A class of a specification; its subclasses are attrs classes, frozen."""

    __slots__ = ("_hash",)

    __repr__ = brief

    def given(self) -> Iterator[tuple[str, str, Any]]:
        """Walk what is set: the field, its property in JSON, and the value."""
        values = vars(self)
        for field, name, is_empty_by_default in _properties(self.__frozen__):  # type: ignore[attr-defined]
            value = values[field]
            if value is not None and not (is_empty_by_default and value == ()):
                yield field, name, value

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars in OCI's camelCase; None, and what is empty by default, is left out."""
        return {
            name: {key: _plain(item) for key, item in value} if field in MAPS else _plain(value)
            for field, name, value in self.given()
        }


def _plain(value: object) -> object:
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, Model):
        return value.to_json()
    if isinstance(value, tuple):
        return [item if type(item) is str else _plain(item) for item in value]  # a filter has hundreds of names
    return value


@cache
def _properties(fields: Any) -> tuple[tuple[str, str, bool], ...]:
    """Name the fields of a class, with their properties in JSON, and whether what is empty is left out."""
    named = ((field, json_name(field)) for field in fields.all)
    return tuple((field.name, name, field.default == ()) for field, name in named if name is not None)


def json_name(field: Any) -> str | None:
    """Return the name of an attrs field in JSON: ``cgroups_path`` is ``cgroupsPath``; None is no part of the JSON."""
    if "json" in field.metadata:
        name: str | None = field.metadata["json"]
        return name
    words: list[str] = field.name.split("_")
    # containerID and hostID; but cgroupsPath and additionalGids.
    return words[0] + "".join("ID" if word == "id" else word.title() for word in words[1:])
