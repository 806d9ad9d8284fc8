"""JSON documents of the OCI specifications into the models of this room.

Each model becomes a reader, made of its annotations once: type, range, allowed words, required properties.
An error names the key path, as ``linux.resources.memory.limit`` or ``mounts[3].options[0]``.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
import types
import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

import attrs

from pycgroups.errors import InvalidConfig, NotFound, invalid, shown
from pycgroups.oci import kinds
from pycgroups.oci.model import Keys, Model, json_name, key_path
from pycgroups.oci.runtime_spec import Spec

M = TypeVar("M", bound=Model)
# Called with the key path of an unknown property, its value, and the properties that there are.
Unknown = Callable[[Keys, object, Mapping[str, object]], None]
Reader = Callable[[Any, Keys, Unknown], Any]

CONFIG = "config.json"


def load_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a bundle's config.json; like `read_spec`.

    Raises:
        NotFound: there is no such file.
        InvalidConfig: it cannot be read, is no regular file, or is no config.json.
    """
    from pycgroups.oci.json_text import LARGEST_TEXT  # a seccomp profile as a dict needs no json

    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidConfig("no regular file", operation="read", path=path)
            text = file.read(LARGEST_TEXT + 1)
    except FileNotFoundError as error:
        hint = "a bundle is a directory with a config.json"
        raise NotFound(operation="read", path=path, errno=error.errno, hint=hint) from None
    except OSError as error:
        raise InvalidConfig(operation="read", path=path, errno=error.errno) from error
    return read_spec(text)


def _open_at_once(path: str, flags: int) -> int:
    """Do not wait for the writer of a fifo."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def read_spec(text: bytes | str) -> Spec:
    """Return what a config.json describes.

    Properties that the specification does not have are kept in `Spec.extra` ("runtimes MUST ignore unknown
    properties"), so that reading, writing and reading again gives an equal `Spec`. Null, an empty string and an empty
    list are, as for runc, the same as leaving an optional property out: to no property of the specification it makes
    a difference.

    Args:
        text: JSON, as UTF-8 without a byte order mark when it is bytes; up to 16 MiB.

    Raises:
        InvalidConfig: names the key path of what is no JSON, missing, of a wrong type or range, or contradictory.
    """
    from pycgroups.oci.checks import check  # likewise
    from pycgroups.oci.json_text import keep, parse

    extra: list[tuple[Keys, str]] = []

    def remember(keys: Keys, value: object, _known: Mapping[str, object]) -> None:
        extra.append((keys, keep(value, _path(keys))))

    spec: Spec = _reader(Spec)(parse(text, CONFIG), (), remember)
    if extra:
        # In an order of their own: `to_json` appends them to what is known.
        spec = attrs.evolve(spec, extra=tuple(sorted(extra, key=lambda item: list(map(str, item[0])))))
    check(spec)
    return spec


def from_json(model: type[M], document: object, key: str, *, strict: bool = True) -> M:
    """Return the model that ``document``, as `json.loads` gives it, describes.

    Args:
        model: a class of `pycgroups.oci`.
        document: a mapping; a property that is null counts as left out.
        key: the key path of the document, for errors.
        strict: an unknown property is an error, and not ignored: a seccomp profile in another dialect (docker's
            ``includes`` and ``excludes``) would otherwise be read as something weaker than its author meant.

    Raises:
        InvalidConfig: an unknown or missing property, or one of a wrong type; names its key path.
    """
    reader: Reader = _reader(model)  # type: ignore[arg-type]  # a class is hashable
    return reader(document, (key,), _refuse if strict else _ignore)  # type: ignore[no-any-return]  # it reads M


def _refuse(keys: Keys, _value: object, known: Mapping[str, object]) -> None:
    raise _invalid(keys[:-1], f"got an unknown property {shown(keys[-1])}, allowed: {', '.join(known)}")


def _ignore(_keys: Keys, _value: object, _known: Mapping[str, object]) -> None:
    """Leave it out."""


# -- readers, by annotation ----------------------------------------------------------------------------------------


@functools.cache
def _reader(hint: Any) -> Reader:
    """Make the reader of an annotation: a scalar, a model, ``X | None``, ``tuple[X, ...]``, or one with a rule."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        read = _reader(arguments[0])
        return _unless_empty(read) if str in {arguments[0], *typing.get_args(arguments[0])} else read
    if origin is typing.Annotated:
        return _ruled(_reader(arguments[0]), arguments[1])
    if origin is tuple:
        inner = typing.get_args(arguments[0])
        return _map(*map(_reader, inner)) if typing.get_origin(arguments[0]) is tuple else _list(_reader(arguments[0]))
    if issubclass(hint, Model):
        return _model(hint)
    return _text if hint is str else _scalar(hint)


def _model(model: type[Model]) -> Reader:
    fields = attrs.fields(model)  # type: ignore[arg-type]  # all are attrs classes
    properties = {name: field for field in fields if (name := json_name(field)) is not None}
    absent = {
        name: (field.name, value)
        for name, field in properties.items()
        if (value := field.metadata.get("absent", field.default)) is attrs.NOTHING or value is not field.default
    }
    readers: dict[str, Reader] = {}

    def read(value: object, keys: Keys, unknown: Unknown) -> Model:
        if not isinstance(value, Mapping):
            raise _invalid(keys, f"got {_kind(value)}, allowed: an object")
        words: dict[str, Any] = {}
        for name, item in value.items():
            here = (*keys, name)
            if name not in properties:
                unknown(here, item, properties)
            elif item is not None:
                field = properties[name]
                if name not in readers:  # only now: it may load classes
                    readers[name] = _reader(_evaluated(field.type, model.__module__))
                words[field.name] = readers[name](item, here, unknown)
        for name, (word, meaning) in absent.items():
            if words.setdefault(word, meaning) is attrs.NOTHING:
                raise _invalid(keys, f"the property {name!r} is missing")
        return model(**words)

    return read


def _evaluated(annotation: str, module: str) -> Any:
    """Return what an annotation means; a class that its module knows to type checkers only is loaded now."""
    known = vars(sys.modules[module])
    try:
        return eval(annotation, known, vars(kinds))  # noqa: S307 (our own source)
    except NameError as error:
        name = str(error.name)
        home = import_module(f"pycgroups.oci.{'resources' if name == 'Resources' else 'uncommon'}")
        return eval(annotation, known, {**vars(kinds), name: getattr(home, name)})  # noqa: S307


def _unless_empty(read: Reader) -> Reader:
    return lambda value, keys, unknown: None if value == "" else read(value, keys, unknown)


def _ruled(read: Reader, rule: kinds.Rule) -> Reader:
    def read_ruled(value: object, keys: Keys, unknown: Unknown) -> Any:
        result = read(value, keys, unknown)
        if not rule.holds(result):
            raise invalid(_path(keys), value, rule.allowed)
        return result

    return read_ruled


def _list(read: Reader) -> Reader:
    def read_list(value: object, keys: Keys, unknown: Unknown) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _invalid(keys, f"got {_kind(value)}, allowed: a list")
        return tuple([read(item, (*keys, index), unknown) for index, item in enumerate(value)])

    return read_list


def _map(read_name: Reader, read: Reader) -> Reader:
    def read_map(value: object, keys: Keys, unknown: Unknown) -> tuple[tuple[str, Any], ...]:
        if not isinstance(value, Mapping):
            raise _invalid(keys, f"got {_kind(value)}, allowed: an object")
        return tuple(
            [
                (read_name(name, (*keys, name), unknown), read(item, (*keys, name), unknown))
                for name, item in value.items()
            ]
        )

    return read_map


def _scalar(kind: type) -> Reader:
    def read_scalar(value: object, keys: Keys, _unknown: Unknown) -> Any:
        if type(value) is not kind:
            raise _invalid(keys, f"got {_kind(value)}, allowed: {kind.__name__}")
        return value

    return read_scalar


def _text(value: object, keys: Keys, _unknown: Unknown) -> str:
    """Take what the kernel takes: it has to become a C string."""
    if type(value) is not str:
        raise _invalid(keys, f"got {_kind(value)}, allowed: str")
    if "\0" in value:
        raise invalid(_path(keys), value, "text without NUL")
    if not value.isascii():
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise invalid(_path(keys), value, "text that is Unicode") from None
    return value


# -- errors --------------------------------------------------------------------------------------------------------


def _path(keys: Keys) -> str:
    return key_path(*map(str, keys[:1]), *keys[1:]) if keys else CONFIG


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _invalid(keys: Keys, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=_path(keys))
