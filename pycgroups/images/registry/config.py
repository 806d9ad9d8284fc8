"""registries.conf, version 2: where images of a name are fetched from; containers-registries.conf(5).

    $CONTAINERS_REGISTRIES_CONF, and nothing else; or
    ~/.config/containers/registries.conf, or /etc/containers/registries.conf where the user has none; then all of
    /etc/containers/registries.conf.d/*.conf and ~/.config/containers/registries.conf.d/*.conf, a later over an earlier

A short name means Docker Hub's, whatever ``unqualified-search-registries`` says, so that one name means one image on
every machine; an alias that somebody wrote down does count.
"""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig, RegistryError, invalid
from pycgroups.images.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple
else:
    from pycgroups.records import NamedTuple

_SYSTEM = "/etc/containers/registries.conf"
_LARGEST_FILE = 2**20
AUTH_FILES = "containers-auth.json"
"""Among the helpers, the word for the files that `credentials` reads."""
_PULLS = frozenset({"all", "digest-only", "tag-only"})


class Place(NamedTuple):
    """Where a repository can be asked for.

    Attributes:
        domain: the host, with its port if it has one.
        path: the repository there.
        insecure: certificates are not verified, and plain http is taken.
        pulls: ``all``, ``digest-only`` or ``tag-only``: the references it is asked for.
    """

    domain: str
    path: str
    insecure: bool = False
    pulls: str = "all"

    @property
    def repository(self) -> str:
        """The repository with its registry."""
        return f"{self.domain}/{self.path}"


class Mirror(NamedTuple):
    """A table ``[[registry.mirror]]``."""

    location: str
    insecure: bool
    pulls: str


class Registry(NamedTuple):
    """A table ``[[registry]]``."""

    prefix: str
    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[Mirror, ...]


class Config(NamedTuple):
    """What all the files say.

    Attributes:
        registries: by prefix.
        aliases: short name to repository.
        credential_helpers: where credentials are looked for, in this order: names of helpers, and `AUTH_FILES`.
    """

    registries: dict[str, Registry]
    aliases: dict[str, str]
    credential_helpers: tuple[str, ...] = (AUTH_FILES,)

    def named(self, text: str) -> Reference:
        """Return what a name means: `Reference.parse`, with the aliases of short names.

        Raises:
            InvalidConfig: it is no reference.
        """
        reference = Reference.parse(text)
        name = reference.familiar.partition("@")[0].partition(":")[0]
        alias = self.aliases.get(name)
        if reference.domain != "docker.io" or alias is None or not _is_written_short(text, name):
            return reference
        place = Reference.parse(alias)
        return reference._replace(domain=place.domain, path=place.path)

    def places(self, reference: Reference) -> list[Place]:
        """Return where an image is fetched from, in the order in which they are asked.

        Raises:
            RegistryError: the registry is blocked.
        """
        found = self._registry(reference.name)
        if found is None:
            return [Place(reference.domain, reference.path)]
        if found.blocked:
            hint = "registries.conf has 'blocked = true' for it"
            raise RegistryError("is blocked", operation="registry", path=found.prefix, hint=hint)
        mirrors = [
            _place(_replaced(reference.name, found.prefix, mirror.location), mirror.insecure, mirror.pulls)
            for mirror in found.mirrors
            if mirror.pulls == "all" or (mirror.pulls == "digest-only") == (reference.digest is not None)
        ]
        return [*mirrors, self.place(reference)]

    def place(self, reference: Reference) -> Place:
        """Return the place itself, which is pushed to."""
        found = self._registry(reference.name)
        if found is None:
            return Place(reference.domain, reference.path)
        return _place(_replaced(reference.name, found.prefix, found.location), found.insecure)

    def _registry(self, name: str) -> Registry | None:
        """Find the table with the longest prefix."""
        matching = [found for found in self.registries.values() if _matches(name, found.prefix)]
        return max(matching, key=lambda found: len(found.prefix), default=None)


def load(path: str | None = None) -> Config:
    """Read the files; see the module.

    Args:
        path: this file, and nothing else.

    Raises:
        InvalidConfig: one of them is none; names it.
    """
    given = path or os.environ.get("CONTAINERS_REGISTRIES_CONF")
    paths = [given] if given else list(_usual())
    registries: dict[str, Registry] = {}
    aliases: dict[str, str] = {}
    helpers: tuple[str, ...] = ()
    for each in paths:
        document = _document(each, needed=given is not None)
        helpers = _helpers(document, each) or helpers
        aliases.update(_aliases(document, each))
        registries.update({found.prefix: found for found in _registries(document, each)})
    return Config(registries, {name: place for name, place in aliases.items() if place}, helpers or (AUTH_FILES,))


def _usual() -> Iterable[str]:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    users = f"{home}/containers/registries.conf"
    yield users if os.path.exists(users) else _SYSTEM
    for directory in (f"{_SYSTEM}.d", f"{users}.d"):
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        yield from (f"{directory}/{name}" for name in names if name.endswith(".conf"))


def _document(path: str, *, needed: bool) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        if not needed:
            return {}
        raise InvalidConfig(operation="read", path=path, errno=error.errno) from None
    except OSError as error:
        raise InvalidConfig(operation="read", path=path, errno=error.errno) from None
    if len(text) > _LARGEST_FILE:
        raise InvalidConfig(f"more than {_LARGEST_FILE} bytes", operation="read", path=path)
    try:
        return tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"not TOML: {error}", operation="read", path=path) from None


def _aliases(document: dict[str, Any], path: str) -> dict[str, str]:
    aliases = document.get("aliases", {})
    if not isinstance(aliases, dict) or not all(isinstance(place, str) for place in aliases.values()):
        raise invalid(f"{path}: aliases", aliases, "a table of names and repositories")
    for name, place in aliases.items():
        if place:
            Reference.parse(place, f"{path}: aliases.{name}")
    return aliases


def _helpers(document: dict[str, Any], path: str) -> tuple[str, ...]:
    helpers = document.get("credential-helpers", [])
    if not isinstance(helpers, list) or not all(isinstance(name, str) for name in helpers):
        raise invalid(f"{path}: credential-helpers", helpers, "a list of names")
    return tuple(helpers)


def _registries(document: dict[str, Any], path: str) -> Iterable[Registry]:
    if "registries" in document:
        raise invalid(f"{path}: registries", "version 1", "version 2, with [[registry]] tables")
    for index, table in enumerate(_tables(document, "registry", path)):
        key = f"{path}: registry[{index}]"
        location = _location(table, key)
        prefix = _text(table, "prefix", key) or location
        if not prefix or (prefix.startswith("*.") and location):
            raise invalid(f"{key}.location", location, "a host or repository; none where the prefix begins with '*.'")
        mirrors = tuple(
            Mirror(
                _location(mirror, f"{key}.mirror[{position}]", needed=True),
                _switch(mirror, "insecure", f"{key}.mirror[{position}]"),
                _pulls(mirror, table, f"{key}.mirror[{position}]"),
            )
            for position, mirror in enumerate(_tables(table, "mirror", key))
        )
        yield Registry(prefix, location, _switch(table, "insecure", key), _switch(table, "blocked", key), mirrors)


def _tables(table: dict[str, Any], name: str, key: str) -> list[dict[str, Any]]:
    tables = table.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise invalid(f"{key}: {name}", tables, f"tables [[{name}]]")
    return tables


def _text(table: dict[str, Any], name: str, key: str) -> str:
    text = table.get(name, "")
    if not isinstance(text, str):
        raise invalid(f"{key}.{name}", text, "a text")
    return text.rstrip("/")


def _location(table: dict[str, Any], key: str, *, needed: bool = False) -> str:
    """Read a host, or one with the beginning of a repository's name."""
    location = _text(table, "location", key)
    if location or needed:
        Reference.parse(f"{location}/x" if "/" in location else f"{location}/x/x", f"{key}.location")
    return location


def _switch(table: dict[str, Any], name: str, key: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise invalid(f"{key}.{name}", value, "true, false")
    return value


def _pulls(mirror: dict[str, Any], table: dict[str, Any], key: str) -> str:
    pulls = _text(mirror, "pull-from-mirror", key) or "all"
    if pulls not in _PULLS:
        raise invalid(f"{key}.pull-from-mirror", pulls, ", ".join(sorted(_PULLS)))
    return "digest-only" if _switch(table, "mirror-by-digest-only", key) else pulls


def _matches(name: str, prefix: str) -> bool:
    """Tell whether a prefix stands for a repository: whole parts of its name, or a host below ``*.``."""
    if prefix.startswith("*."):
        suffix, slash, rest = prefix[1:].partition("/")
        host, _, path = name.partition("/")
        return host.partition(":")[0].endswith(suffix) and (not slash or _matches(path, rest))
    return name == prefix or name.startswith(f"{prefix}/")


def _replaced(name: str, prefix: str, location: str) -> str:
    """Put a location in the place of the prefix. A prefix with ``*.`` stands for hosts, and has but mirrors."""
    if not location:
        return name
    rest = name.partition("/")[2] if prefix.startswith("*.") else name[len(prefix) + 1 :]
    return f"{location}/{rest}" if rest else location


def _place(name: str, insecure: bool, pulls: str = "all") -> Place:
    domain, _, path = name.partition("/")
    return Place(domain, path, insecure, pulls)


def _is_written_short(text: str, name: str) -> bool:
    """Tell whether a name was written without its registry."""
    return text.partition("@")[0].partition(":")[0] == name
