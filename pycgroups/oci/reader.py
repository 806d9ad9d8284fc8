"""JSON documents of the OCI specifications into models: type, range, allowed words, required properties.

What a property may be is the annotation of its field; each annotation becomes a function, once.

An error names the key path, as ``linux.resources.memory.limit`` or ``mounts[3].options[0]``.
"""

from __future__ import annotations

import os
import stat

from pycgroups.errors import InvalidConfig, NotFound, invalid, key_path, shown
from pycgroups.oci import kinds
from pycgroups.oci.model import json_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from attrs import fields

    # The way to a part of a JSON document: names of properties and positions in lists.
    Keys = tuple[str | int, ...]
    # Called with the key path of an unknown property, its value, and the properties that there are.
    Unknown = Callable[[Keys, object, Mapping[str, object]], None]
    Read = Callable[[Any, Keys, Unknown], Any]
else:
    from pycgroups.frozen import fields

CONFIG = "config.json"


def config_text(path: str | os.PathLike[str], *, pipe: bool = False) -> bytes:
    """Return what is in a bundle's config.json, and one byte more than `json_text` takes where it is larger.

    Args:
        path: of the file.
        pipe: it may be a pipe, as a shell makes of ``<(command)``.

    Raises:
        NotFound: there is no such file.
        InvalidConfig: it cannot be read, or is no regular file.
    """
    from pycgroups.oci.json_text import LARGEST_TEXT  # a seccomp profile as a dict needs no JSON

    try:
        with open(path, "rb", opener=_open_at_once) as file:
            facts = os.fstat(file.fileno())
            if pipe and stat.S_ISFIFO(facts.st_mode):
                os.set_blocking(file.fileno(), True)
                return file.read(LARGEST_TEXT + 1)
            if not stat.S_ISREG(facts.st_mode):
                raise InvalidConfig("no regular file", operation="read", path=path)
            return file.read(min(facts.st_size, LARGEST_TEXT) + 1)
    except FileNotFoundError as error:
        hint = "a bundle is a directory with a config.json" if os.path.basename(path) == CONFIG else None
        raise NotFound(operation="read", path=path, errno=error.errno, hint=hint) from None
    except OSError as error:
        raise InvalidConfig(operation="read", path=path, errno=error.errno) from error


def _open_at_once(path: str, flags: int) -> int:
    """Do not wait for the writer of a fifo."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def refuse(keys: Keys, _value: object, known: Mapping[str, object]) -> None:
    """Take an unknown property for an error."""
    raise _invalid(keys[:-1], f"got an unknown property {shown(keys[-1])}, allowed: {', '.join(known)}")


def ignore(_keys: Keys, _value: object, _known: Mapping[str, object]) -> None:
    """Leave an unknown property out."""


def read(model: type[Any], document: object, keys: Keys, unknown: Unknown) -> Any:
    """Return the model that ``document``, as `json.loads` gives it, describes.

    Args:
        model: a class of `pycgroups.oci`.
        document: a mapping; a property that is null counts as left out.
        keys: the way to the document, for errors.
        unknown: `refuse`, `ignore`, or another that is told of each unknown property.

    Raises:
        InvalidConfig: a missing property, or one of a wrong type or range; names its key path.
    """
    return _read(model.__name__)(document, keys, unknown)


def _read(annotation: str) -> Read:
    if annotation not in _READS:
        _READS[annotation] = _new(annotation)
    return _READS[annotation]


def _new(annotation: str) -> Read:
    """Make what reads an annotation: ``X | None``, ``tuple[X, ...]``, pairs, a name of `kinds`, or a model."""
    if annotation.endswith(" | None"):
        annotation = annotation.removesuffix(" | None")
        read = _read(annotation)
        is_text = annotation == "str" or str in getattr(kinds, annotation, ())
        return _unless_empty(read) if is_text else read
    if annotation.startswith("tuple[tuple["):
        name, item = annotation[len("tuple[tuple[") : -len("], ...]")].split(", ")
        return _map(_read(name), _read(item))
    if annotation.startswith("tuple["):
        return _list(_read(annotation[len("tuple[") : -len(", ...]")]))
    if hasattr(kinds, annotation):
        base, rule = getattr(kinds, annotation)
        return _ruled(_read(base.__name__ if isinstance(base, type) else str(base)), rule)
    return _model(_class(annotation))


def _class(name: str) -> Any:
    """Find a model, and load its module only now: few documents have uncommon ones."""
    for home in ("runtime_spec", "resources", "uncommon", "image_spec"):
        module = __import__(f"pycgroups.oci.{home}", fromlist=[home])
        if name in vars(module):
            return vars(module)[name]
    raise LookupError(name)


def _model(model: Any) -> Read:
    by_name = {json_name(field): (field.name, model.__annotations__[field.name]) for field in fields(model)}
    properties = {name: row for name, row in by_name.items() if name is not None}
    silence = {field.name: field.metadata["absent"] for field in fields(model) if "absent" in field.metadata}
    required = [
        (name, field.name)
        for name, field in zip(by_name, fields(model), strict=True)
        if silence.get(field.name, field.default) is ...
    ]
    reads: dict[str, tuple[str, Read]] = {}

    def read(value: object, keys: Keys, unknown: Unknown) -> Any:
        words = silence.copy()
        for name, item in _items(value, keys):
            if name not in properties:
                unknown((*keys, name), item, properties)
            elif item is not None:
                if name not in reads:  # only now: most have few of the properties that there are
                    field, annotation = properties[name]
                    reads[name] = field, _read(annotation)
                field, read_item = reads[name]
                words[field] = read_item(item, (*keys, name), unknown)
        for property_, field in required:
            if words.get(field, ...) is ...:
                raise _invalid(keys, f"the property {property_!r} is missing")
        return model(**words)

    return read


def _items(value: object, keys: Keys) -> Any:
    if isinstance(value, dict):
        return value.items()
    from _collections_abc import Mapping  # a caller's own; from JSON there is none, and the command does without

    if not isinstance(value, Mapping):
        raise _invalid(keys, f"got {_kind(value)}, allowed: an object")
    return value.items()


def _unless_empty(read: Read) -> Read:
    return lambda value, keys, unknown: None if value == "" else read(value, keys, unknown)


def _ruled(read: Read, rule: kinds.Rule) -> Read:
    def read_ruled(value: object, keys: Keys, unknown: Unknown) -> Any:
        result = read(value, keys, unknown)
        if not rule.holds(result):
            raise invalid(path_of(keys), value, rule.allowed)
        return result

    return read_ruled


def _list(read: Read) -> Read:
    def read_list(value: object, keys: Keys, unknown: Unknown) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _invalid(keys, f"got {_kind(value)}, allowed: a list")
        return tuple([read(item, (*keys, index), unknown) for index, item in enumerate(value)])

    return read_list


def _map(read_name: Read, read: Read) -> Read:
    def read_map(value: object, keys: Keys, unknown: Unknown) -> tuple[tuple[str, Any], ...]:
        return tuple(
            [
                (read_name(name, (*keys, name), unknown), read(item, (*keys, name), unknown))
                for name, item in _items(value, keys)
            ]
        )

    return read_map


def _scalar(kind: type) -> Read:
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
        raise invalid(path_of(keys), value, "text without NUL")
    if not value.isascii():
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise invalid(path_of(keys), value, "text that is Unicode") from None
    return value


_READS: dict[str, Read] = {"str": _text, "int": _scalar(int), "bool": _scalar(bool)}


# -- errors --------------------------------------------------------------------------------------------------------


def path_of(keys: Keys) -> str:
    """Write the way to a part of a document, for errors."""
    return key_path(*map(str, keys[:1]), *keys[1:]) if keys else CONFIG


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _invalid(keys: Keys, message: str) -> InvalidConfig:
    return InvalidConfig(message, operation="option", path=path_of(keys))
