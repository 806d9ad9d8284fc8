"""`typing.NamedTuple` for modules that a short command imports: the real one costs it 5 ms, with all that it imports.

To a type checker it is the real one::

    TYPE_CHECKING = False  # typing's own name for it; type checkers take it as true
    if TYPE_CHECKING:
        from typing import NamedTuple
    else:
        from pycgroups.records import NamedTuple
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found]  # what collections.namedtuple is made of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class NamedTuple(tuple):  # type: ignore[type-arg]  # nobody checks it
    """A tuple whose items have the names of the subclass's annotations, in their order, and its defaults."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _field_defaults: dict[str, Any] = {}  # noqa: RUF012 (each class has its own)

    def __init_subclass__(cls) -> None:
        """Make the fields of a class."""
        cls._fields = tuple(cls.__annotations__)
        cls._field_defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for position, name in enumerate(cls._fields):
            setattr(cls, name, _tuplegetter(position, None))

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Make one."""
        if named or len(values) != len(cls._fields):
            values = cls._filled(values, named)
        return tuple.__new__(cls, values)

    @classmethod
    def _filled(cls, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Put what was given by name, and defaults, in their places."""
        rest = {**cls._field_defaults, **named}
        missing = cls._fields[len(values) :]
        try:
            filled = (*values, *[rest[name] for name in missing])
        except KeyError:
            filled = ()
        if len(filled) != len(cls._fields) or not named.keys() <= {*missing}:
            raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}, each once")
        return filled

    def _replace(self, **changes: Any) -> Self:
        made = tuple.__new__(type(self), map(changes.pop, self._fields, self))
        if changes:
            raise TypeError(f"{type(self).__name__} has no {', '.join(changes)}")
        return made

    def __repr__(self) -> str:
        """Show every field."""
        inside = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({inside})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        """For copy and pickle."""
        return tuple(self)
