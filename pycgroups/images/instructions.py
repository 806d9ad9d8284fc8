"""``docker import --change``: instructions of a Dockerfile that change how an image is run.

Source: https://docs.docker.com/reference/cli/docker/image/import/; https://docs.docker.com/reference/dockerfile/.
"""

from __future__ import annotations

import shlex

from pycgroups.errors import InvalidConfig, invalid
from pycgroups.oci.image_spec import ImageDefaults, Nothing
from pycgroups.oci.json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from attrs import evolve
else:
    from pycgroups.frozen import evolve

_SHELL = ("/bin/sh", "-c")
_PROTOCOLS = {"tcp", "udp", "sctp"}
_LAST_PORT = 2**16 - 1


def changed(defaults: ImageDefaults, instructions: Sequence[str], key: str = "changes") -> ImageDefaults:
    """Return how an image is run after some instructions.

    Args:
        defaults: how it is run before.
        instructions: ``CMD``, ``ENTRYPOINT``, ``ENV``, ``EXPOSE``, ``LABEL``, ``USER``, ``VOLUME``, ``WORKDIR`` and
            ``STOPSIGNAL`` of a Dockerfile, each with its arguments. Nothing is taken from variables.
        key: the key path, for errors.

    Raises:
        InvalidConfig: one is none of these, or its arguments are wrong.
    """
    if isinstance(instructions, str):
        raise invalid(key, instructions, "a list of instructions")
    for position, instruction in enumerate(instructions):
        where = f"{key}[{position}]"
        word, _, rest = instruction.strip().partition(" ") if isinstance(instruction, str) else ("", "", "")
        if word.upper() not in _CHANGES or not rest.strip():
            raise invalid(where, instruction, f"{', '.join(_CHANGES)}, each with arguments")
        defaults = _CHANGES[word.upper()](defaults, rest.strip(), where)
    return defaults


def _cmd(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    return evolve(defaults, cmd=_command(text, key))


def _entrypoint(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    return evolve(defaults, entrypoint=_command(text, key))


def _env(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    variables = dict(each.split("=", 1) for each in defaults.env if "=" in each)
    variables.update(_pairs(text, key))
    return evolve(defaults, env=tuple(f"{name}={value}" for name, value in variables.items()))


def _expose(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    ports = {name: Nothing() for word in _words(text, key) for name in _range(word, key)}
    return evolve(defaults, exposed_ports=tuple({**dict(defaults.exposed_ports), **ports}.items()))


def _label(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    return evolve(defaults, labels=tuple({**dict(defaults.labels), **_pairs(text, key)}.items()))


def _user(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    return evolve(defaults, user=_one(text, key))


def _volume(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    paths = _list(text, key) if text.startswith("[") else _words(text, key)
    volumes = {path: Nothing() for path in paths}
    return evolve(defaults, volumes=tuple({**dict(defaults.volumes), **volumes}.items()))


def _workdir(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    """Take a relative one from the one before."""
    path, before = _one(text, key), defaults.working_dir or ""
    return evolve(defaults, working_dir=path if path.startswith("/") else f"{before.rstrip('/')}/{path}")


def _stop_signal(defaults: ImageDefaults, text: str, key: str) -> ImageDefaults:
    return evolve(defaults, stop_signal=_one(text, key))


_CHANGES: dict[str, Callable[[ImageDefaults, str, str], ImageDefaults]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
    "STOPSIGNAL": _stop_signal,
}


def _command(text: str, key: str) -> tuple[str, ...]:
    """Take a JSON list as it is; anything else is for a shell."""
    try:
        return _list(text, key) if text.startswith("[") else (*_SHELL, text)
    except InvalidConfig:
        return (*_SHELL, text)


def _list(text: str, key: str) -> tuple[str, ...]:
    items = parse(text, key)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise invalid(key, text, "a JSON list of texts")
    return tuple(items)


def _pairs(text: str, key: str) -> dict[str, str]:
    """Read ``NAME=VALUE ...``, or the old ``NAME VALUE``."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        if not rest:
            raise invalid(key, text, "NAME=VALUE ...")
        return {first: rest.strip()}
    pairs = [word.partition("=") for word in _words(text, key)]
    if not all(name and equals for name, equals, _ in pairs):
        raise invalid(key, text, "NAME=VALUE ...")
    return {name: value for name, _, value in pairs}


def _words(text: str, key: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise invalid(key, text, "words whose quotes are closed") from None


def _one(text: str, key: str) -> str:
    words = _words(text, key)
    if len(words) != 1 or not words[0]:
        raise invalid(key, text, "one word")
    return words[0]


def _range(text: str, key: str) -> list[str]:
    """Name the ports of ``80``, ``53/udp`` or ``8000-8010/tcp``."""
    numbers, slash, protocol = text.lower().partition("/")
    first, dash, last = numbers.partition("-")
    ports = range(_port(first), _port(last if dash else first) + 1)
    if not ports or not ports[0] or (slash and protocol not in _PROTOCOLS):
        raise invalid(key, text, "PORT[-PORT][/tcp|/udp|/sctp]")
    return [f"{port}/{protocol or 'tcp'}" for port in ports]


def _port(text: str) -> int:
    """Return a port, 0 where it is none."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_LAST_PORT)) else 0
    return number if number <= _LAST_PORT else 0
