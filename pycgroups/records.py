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
    _defaults: tuple[Any, ...] = ()

    def __init_subclass__(cls) -> None:
        """Make the fields of a class."""
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = tuple(cls.__dict__[name] for name in cls._fields if name in cls.__dict__)
        for position, name in enumerate(cls._fields):
            setattr(cls, name, _tuplegetter(position, None))

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Make the first object of a class, and what makes the next: a short command needs few of its classes."""
        # As collections.namedtuple does: nothing else takes arguments as fast.
        arguments = ", ".join(cls._fields)
        # Compiled first: a KeyboardInterrupt in an eval of text ends the interpreter by SIGINT, even if it is caught.
        code = compile(f"lambda _cls, {arguments}: _new(_cls, ({arguments},))", "<record>", "eval")
        new: Any = eval(code, {"_new": tuple.__new__})  # noqa: S307
        new.__name__, new.__qualname__, new.__defaults__ = "__new__", f"{cls.__name__}.__new__", cls._defaults
        cls.__new__ = new  # type: ignore[method-assign]
        made: Self = new(cls, *values, **named)
        return made

    def _replace(self, **changes: Any) -> Self:
        return type(self)(**{**dict(zip(self._fields, self, strict=True)), **changes})

    def __repr__(self) -> str:
        """Show every field."""
        inside = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({inside})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        """For copy and pickle."""
        return tuple(self)
