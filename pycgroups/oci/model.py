"""What every model of the OCI specifications shares: frozen data, and its form in JSON."""

from __future__ import annotations

from typing import Any

# Fields whose JSON form is an object with keys of its own; here they are tuples of pairs.
_MAPS = frozenset({"annotations", "rdma", "sysctl", "unified"})


class Model:
    """A class of a specification; its subclasses are attrs classes, frozen."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show what is set. One for all: the ones that attrs makes take a third of the time that the module loads."""
        fields = self.__attrs_attrs__  # type: ignore[attr-defined]
        shown = ((field.name, getattr(self, field.name), field.default) for field in fields)
        inside = ", ".join(f"{name}={value!r}" for name, value, default in shown if value != default)
        return f"{type(self).__name__}({inside})"

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars in OCI's camelCase; None and empty fields are left out."""
        result: dict[str, Any] = {}
        for field in self.__attrs_attrs__:  # type: ignore[attr-defined]
            value = getattr(self, field.name)
            if value is None or value == ():
                continue
            plain = {key: _plain(item) for key, item in value} if field.name in _MAPS else _plain(value)
            result[field.metadata.get("json") or json_name(field.name)] = plain
        return result


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def json_name(name: str) -> str:
    """Return the name of a field in JSON: ``cgroups_path`` is ``cgroupsPath``."""
    first, *rest = name.split("_")
    # containerID and hostID; but cgroupsPath and additionalGids.
    return first + "".join("ID" if word == "id" else word.title() for word in rest)
