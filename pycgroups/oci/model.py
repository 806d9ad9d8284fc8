"""What every model of the OCI specifications shares: frozen data, and its form in JSON."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


# Fields whose JSON form is an object with keys of its own; here they are tuples of pairs.
_MAPS = frozenset({"annotations", "net_devices", "rdma", "sysctl", "time_offsets", "unified"})


class Model:
    """A class of a specification; its subclasses are attrs classes, frozen."""

    __slots__ = ("_hash",)

    def __repr__(self) -> str:
        """Show what is set."""
        fields = self.__frozen__.all  # type: ignore[attr-defined]
        shown = ((field.name, getattr(self, field.name), field.default) for field in fields)
        inside = ", ".join(f"{name}={value!r}" for name, value, default in shown if value != default)
        return f"{type(self).__name__}({inside})"

    def given(self) -> Iterator[tuple[str, str, Any]]:
        """Walk what is set: the field, its property in JSON, and the value."""
        for field in self.__frozen__.all:  # type: ignore[attr-defined]
            value, name = getattr(self, field.name), json_name(field)
            if value is not None and not value == () == field.default and name is not None:
                yield field.name, name, value

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars in OCI's camelCase; None, and what is empty by default, is left out."""
        return {
            name: {key: _plain(item) for key, item in value} if field in _MAPS else _plain(value)
            for field, name, value in self.given()
        }


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def json_name(field: Any) -> str | None:
    """Return the name of an attrs field in JSON: ``cgroups_path`` is ``cgroupsPath``; None is no part of the JSON."""
    if "json" in field.metadata:
        name: str | None = field.metadata["json"]
        return name
    words: list[str] = field.name.split("_")
    # containerID and hostID; but cgroupsPath and additionalGids.
    return words[0] + "".join("ID" if word == "id" else word.title() for word in words[1:])
