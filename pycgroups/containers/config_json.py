"""`ContainerConfig` as JSON and back, without loss: how a container that is held is kept on disk. Pure.

Only what differs from the defaults is written, each option in its normal form. What the options take in the moment when
they are given is written as it was then: the files of variables, and the profile of system calls.
"""

from __future__ import annotations

from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.mounts import Mount
from pycgroups.errors import InvalidConfig, invalid
from pycgroups.namespaces.idmap import IdMap
from pycgroups.oci.runtime_spec import IdMapping, Rlimit, Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from attrs import fields

    from pycgroups.containers.log_config import LogConfig
    from pycgroups.security.landlock import Landlock
else:
    from pycgroups.frozen import fields


def to_json(config: ContainerConfig) -> dict[str, Any]:
    """Return plain dicts, lists and scalars.

    Raises:
        InvalidConfig: an option is an object of this process alone, as a `pycgroups.Namespace` is.
    """
    document = {name: _plain(name, value) for name, value in _given(config) if name not in {"env", "env_file"}}
    if config.environment:
        document["env"] = _plain("env", config.environment)
    return document


def from_json(document: object) -> ContainerConfig:
    """Return the options that `to_json` was given.

    Raises:
        InvalidConfig: they are none.
    """
    if not isinstance(document, dict):
        raise InvalidConfig("no options of a container", operation="read", path="config")
    given = {name: _READERS.get(name, _frozen)(value) for name, value in document.items()}
    try:
        return ContainerConfig(**given)
    except TypeError as error:
        raise InvalidConfig(str(error), operation="read", path="config") from None


def read_log(value: object) -> LogConfig:
    """Return what ``log`` was, alone: a start needs no more of all options in the end."""
    from pycgroups.containers.log_config import LogConfig  # what is run has none

    return _object(value, LogConfig)  # type: ignore[no-any-return]


def _given(made: Any) -> list[tuple[str, Any]]:
    """Return the fields of an object of options that are not as by default."""
    found = [(field, getattr(made, field.name)) for field in fields(type(made)) if field.init]
    return [(field.name, value) for field, value in found if value != field.default]


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, Rlimit | Seccomp):
        return value.to_json()
    if isinstance(value, IdMapping):
        return [value.container_id, value.host_id, value.size]
    if isinstance(value, Mount | IdMap) or key in {"log", "platform"}:
        return {name: _plain(name, item) for name, item in _given(value)}
    if isinstance(value, tuple):
        named = hasattr(value, "_fields")
        return dict(zip(value._fields, value, strict=True)) if named else [_plain(key, item) for item in value]  # type: ignore[attr-defined]
    if value is None or isinstance(value, str | int | float):
        return value
    raise invalid(key, value, "what can be kept on disk: a path, and no object of this process")


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _object(value: Any, make: Callable[..., Any]) -> Any:
    try:
        return make(**{name: _frozen(item) for name, item in value.items()})
    except (AttributeError, TypeError) as error:
        raise InvalidConfig(str(error), operation="read", path="config") from None


def _mounts(value: Any) -> tuple[Mount, ...]:
    return tuple(_object(item, Mount) for item in _list(value))


def _ulimits(value: Any) -> tuple[Rlimit, ...]:
    return tuple(_object(item, Rlimit) for item in _list(value))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidConfig("no list", operation="read", path="config")
    return value


def _userns(value: Any) -> IdMap:
    def make(kind: str = "map", uids: Any = (), gids: Any = ()) -> IdMap:
        return IdMap(kind, *(tuple(IdMapping(*each) for each in maps) for maps in (uids, gids)))  # type: ignore[arg-type]

    return _object(value, make)  # type: ignore[no-any-return]


def _landlock(value: Any) -> Any:
    from pycgroups.containers import options

    def make(paths: Any = (), connect: Any = None, bind: Any = None, scopes: Any = ()) -> Landlock:
        rules = {**dict(paths), **({"scope": scopes} if scopes else {})}
        rules |= {word: ports for word, ports in (("connect", connect), ("bind", bind)) if ports is not None}
        return options.landlock(rules, "landlock")

    try:
        return _object(value, make)
    except InvalidConfig:
        raise
    except ValueError as error:  # of dict()
        raise InvalidConfig(str(error), operation="read", path="landlock") from None


def _platform(value: Any) -> Any:
    from pycgroups.oci.image_spec import Platform  # few ask for one

    return _object(value, Platform)


_READERS: dict[str, Callable[[Any], Any]] = {
    "mounts": _mounts,
    "volumes": _mounts,
    "ulimits": _ulimits,
    "userns": _userns,
    "landlock": _landlock,
    "log": read_log,
    "platform": _platform,
    "seccomp": lambda value: value,  # a word, or OCI's document, whose lists are read as they are
}
