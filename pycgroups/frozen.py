"""`attrs.frozen` for modules that a short program imports: the real one costs it 15 ms, with all that it imports.

To a type checker it is the real one::

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from attrs import evolve, field, fields, frozen
    else:
        from pycgroups.frozen import evolve, field, fields, frozen

and to whoever asks at run time, too: `attrs.fields`, `attrs.evolve`, `attrs.asdict` and the others take these classes
for attrs' own, and load it. Converters run before validators, and neither is run on a default: that is right as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

REQUIRED = ...
"""The default of a field without one."""

_set = object.__setattr__


class Field:
    """What is known of one field; named as attrs' `Attribute` names it."""

    __slots__ = ("converter", "default", "init", "metadata", "name", "validator")

    def __init__(
        self,
        *,
        default: Any = REQUIRED,
        converter: Callable[[Any], Any] | None = None,
        validator: Callable[[Any, Any, Any], None] | None = None,
        init: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = ""
        self.default = default
        self.converter = converter
        self.validator = validator
        self.init = init
        self.metadata = metadata or {}


field = Field


def brief(self: Any) -> str:
    """Show what is not as by default; the `__repr__` of a class with many fields."""
    shown = ((field.name, getattr(self, field.name), field.default) for field in self.__frozen__.all if field.init)
    inside = ", ".join(f"{name}={value!r}" for name, value, default in shown if value != default)
    return f"{type(self).__name__}({inside})"


def frozen(cls: Any = None, *, kw_only: bool = False, repr: bool = True, cache_hash: bool = False) -> Any:  # noqa: A002
    """Make fields of the annotations of a class.

    Args:
        cls: what is decorated.
        kw_only: whether there are no arguments by position.
        repr: whether to make `__repr__`; else the class above has it.
        cache_hash: whether to remember the hash, for which the class above has a slot ``_hash``.
    """
    if cls is None:
        return lambda decorated: frozen(decorated, kw_only=kw_only, repr=repr, cache_hash=cache_hash)
    own = vars(cls)
    made = tuple([_field(name, own.get(name, REQUIRED)) for name in cls.__annotations__])
    for one in made:
        if one.name in own:
            delattr(cls, one.name)
    methods = {**_METHODS, "__hash__": _remembered_hash if cache_hash else _hash}
    if not repr:
        del methods["__repr__"]
    for name, method in methods.items():
        if name not in own or name == "__hash__":
            setattr(cls, name, method)
    by_position = () if kw_only else tuple([one.name for one in made if one.init])
    cls.__match_args__ = by_position  # type: ignore[misc]
    cls.__frozen__ = _Fields(made, cls)
    return cls


def _field(name: str, given: Any) -> Field:
    made = given if isinstance(given, Field) else Field(default=given)
    made.name = name
    return made


def fields(cls: Any) -> tuple[Field, ...]:
    """Tell the fields of a class, as `attrs.fields` does."""
    found: _Fields = cls.__frozen__
    return found.all


def evolve(made: Any, **changes: Any) -> Any:
    """Make another, with changes; as `attrs.evolve` does."""
    fields = vars(made)
    return type(made)(**{**{name: fields[name] for name in made.__frozen__.words}, **changes})


class _Fields:
    """The fields of a class, sorted by what happens to them when an object is made."""

    __slots__ = ("all", "converted", "defaults", "finish", "required", "validated", "words")

    def __init__(self, fields: tuple[Field, ...], cls: Any) -> None:
        self.all = fields
        self.finish: Callable[[Any], None] | None = getattr(cls, "__attrs_post_init__", None)
        self.defaults = {one.name: one.default for one in fields}
        self.words = {one.name for one in fields if one.init}
        self.required = {one.name for one in fields if one.default is REQUIRED}
        self.converted = [(one.name, one.converter) for one in fields if one.converter is not None]
        self.validated = [(one, one.validator) for one in fields if one.validator is not None]


class _Attributes:
    """``__attrs_attrs__``, by which attrs knows its classes; made when somebody asks."""

    def __get__(self, made: object, cls: Any) -> Any:
        import attrs

        words = {
            one.name: attrs.field(
                default=attrs.NOTHING if one.default is REQUIRED else one.default,
                converter=one.converter,
                validator=one.validator,
                init=one.init,
                metadata=one.metadata,
                kw_only=not cls.__match_args__,
            )
            for one in cls.__frozen__.all
        }
        twin = attrs.frozen(type(cls.__name__, (), {"__annotations__": cls.__annotations__, **words}))
        cls.__attrs_attrs__ = attrs.fields(twin)
        return cls.__attrs_attrs__


class _Signature:
    """``__signature__``, by which `inspect` knows how to call a class; made when it asks."""

    def __get__(self, made: object, cls: Any) -> Any:
        from inspect import Parameter, Signature

        kind = Parameter.POSITIONAL_OR_KEYWORD if cls.__match_args__ else Parameter.KEYWORD_ONLY
        return Signature(
            [
                Parameter(
                    one.name,
                    kind,
                    default=Parameter.empty if one.default is REQUIRED else one.default,
                    annotation=cls.__annotations__[one.name],
                )
                for one in cls.__frozen__.all
                if one.init
            ]
        )


# The methods of all of these classes.


def _init(self: Any, *values: Any, **words: Any) -> None:
    of = self.__frozen__
    if values:
        words = _named(self, values, words)
    if not words.keys() <= of.words or not words.keys() >= of.required:
        raise TypeError(_complaint(self, words))
    made = {**of.defaults, **words}
    _set(self, "__dict__", made)
    for name, convert in of.converted:
        if name in words:
            made[name] = convert(words[name])
    for one, validate in of.validated:
        if one.name in words:
            validate(self, one, made[one.name])
    if of.finish is not None:
        of.finish(self)


def _eq(self: object, other: object) -> bool:
    return vars(self) == vars(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: object) -> int:
    return hash(tuple(vars(self).values()))


def _remembered_hash(self: Any) -> int:
    try:
        return self._hash  # type: ignore[no-any-return]
    except AttributeError:
        _set(self, "_hash", _hash(self))
    return self._hash  # type: ignore[no-any-return]


def _repr(self: object) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
    return f"{type(self).__qualname__}({inside})"


def _state(self: object) -> dict[str, Any]:
    """Leave out the hash, for copy and pickle: that of a text is another one in another process."""
    return vars(self)


def _refuse(self: Any, name: str, value: object = None) -> None:  # noqa: ARG001
    from attrs.exceptions import FrozenInstanceError

    raise FrozenInstanceError


_METHODS = {
    "__init__": _init,
    "__eq__": _eq,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__getstate__": _state,
    "__replace__": evolve,  # copy.replace
    "__attrs_attrs__": _Attributes(),
    "__signature__": _Signature(),
}


def _named(made: Any, values: tuple[Any, ...], words: dict[str, Any]) -> dict[str, Any]:
    """Take arguments by position for the words that they stand for."""
    names = made.__match_args__
    if len(values) > len(names):
        raise TypeError(f"{type(made).__name__}() takes {len(names)} positional arguments but {len(values)} were given")
    if twice := words.keys() & names[: len(values)]:
        raise TypeError(f"{type(made).__name__}() got multiple values for argument {min(twice)!r}")
    return {**dict(zip(names, values, strict=False)), **words}


def _complaint(made: Any, words: dict[str, Any]) -> str:
    of, name = made.__frozen__, type(made).__name__
    if unknown := sorted(words.keys() - of.words):
        from pycgroups.misnamed import meant  # for errors alone

        return f"{name}() got an unexpected keyword argument {unknown[0]!r}{meant(unknown[0], of.words)}"
    return f"{name}() misses {', '.join(repr(word) for word in of.defaults if word in of.required - words.keys())}"


def _refusal() -> AttributeError:
    from attrs.exceptions import FrozenInstanceError

    return FrozenInstanceError()
