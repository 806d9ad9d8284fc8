"""Whose name and password a registry gets: the files of podman and Docker, in podman's order.

    RegistryOptions.authfile or $REGISTRY_AUTH_FILE, and nothing else; or what ``credential-helpers`` of registries.conf
    names, helpers and ``containers-auth.json``; by default that alone, which is the first of these that has some:
    $XDG_RUNTIME_DIR/containers/auth.json (/run/containers/UID/auth.json), $XDG_CONFIG_HOME/containers/auth.json,
    $DOCKER_CONFIG/config.json (~/.docker/config.json), ~/.dockercfg

In each, the helper or the entry of the most specific name counts: ``host/space/name``, ``host/space``, ``host``; then
the helper for all, ``credsStore``. Source: containers-auth.json(5); docker login's "Credential stores".
"""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig
from pycgroups.images.registry import config, helpers
from pycgroups.images.registry.config import AUTH_FILES
from pycgroups.images.registry.options import Credentials
from pycgroups.oci.json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NamedTuple

    from pycgroups.images.registry.options import RegistryOptions
else:
    from pycgroups.records import NamedTuple

LARGEST_FILE = 2**20
DOCKER_HUB = "docker.io"
_HUB_KEYS = ("docker.io", "index.docker.io", "registry-1.docker.io")


class AuthFile(NamedTuple):
    """A file with credentials.

    Attributes:
        path: where it is.
        needed: somebody named it, so it has to be there.
        legacy: it is a ``.dockercfg``, whose entries have no ``auths`` around them.
    """

    path: str
    needed: bool = False
    legacy: bool = False


def find(domain: str, path: str, options: RegistryOptions) -> Credentials | None:
    """Return the credentials for a repository; None where there are none.

    Args:
        domain: the registry's host and port.
        path: the repository there.
        options: ``credentials`` in them are what is returned; ``authfile`` is where is looked.

    Raises:
        InvalidConfig: a file is none, or cannot be read; or it names no helper.
        RegistryError: a helper failed.
        Unsupported: a helper is not installed.
    """
    if options.credentials is not None:
        return options.credentials
    for helper in sources(options):
        found = _in_files(options.authfile, keys(domain, path)) if helper == AUTH_FILES else _ask(helper, domain)
        if found is not None:
            return found
    return None


def sources(options: RegistryOptions) -> tuple[str, ...]:
    """Name the helpers that know credentials, and `AUTH_FILES` among them for the files; what login writes is first."""
    if options.authfile or os.environ.get("REGISTRY_AUTH_FILE"):
        return (AUTH_FILES,)
    return config.load(options.registries_conf).credential_helpers


def _in_files(authfile: str | None, names: list[str]) -> Credentials | None:
    for file in files(authfile):
        found = _in_file(read(file), names)
        if found is not None:
            return found
    return None


def files(authfile: str | None) -> list[AuthFile]:
    """Name the files, in their order; the first is the one that login writes."""
    given = authfile or os.environ.get("REGISTRY_AUTH_FILE")
    if given:
        return [AuthFile(given, needed=authfile is not None)]
    home = os.path.expanduser("~")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    docker = os.environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    return [
        AuthFile(f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{os.getuid()}/auth.json"),
        AuthFile(f"{os.environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json"),
        AuthFile(f"{docker}/config.json"),
        AuthFile(f"{home}/.dockercfg", legacy=True),
    ]


def keys(domain: str, path: str) -> list[str]:
    """Name what an entry may be for, the most specific first; Docker Hub has several names."""
    parts = path.split("/") if path else []
    spaces = ["/".join([domain, *parts[:count]]) for count in range(len(parts), 0, -1)]
    return [*spaces, *(_HUB_KEYS if domain == DOCKER_HUB else (domain,))]


def read(file: AuthFile) -> dict[str, Any]:
    """Return what is in a file, as ``{"auths": ..., "credHelpers": ..., "credsStore": ...}``.

    Raises:
        InvalidConfig: it cannot be read, or is none; nothing of it is in the error.
    """
    try:
        with open(file.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as opened:
            text = opened.read(LARGEST_FILE + 1) or b""
    except FileNotFoundError as error:
        if not file.needed:
            return {}
        hint = "pycgroups login makes it"
        raise InvalidConfig(operation="read", path=file.path, errno=error.errno, hint=hint) from None
    except OSError as error:
        raise InvalidConfig(operation="read", path=file.path, errno=error.errno) from None
    return document(text, file)


def document(text: bytes, file: AuthFile) -> dict[str, Any]:
    """Read the text of such a file; an empty one says nothing."""
    if len(text) > LARGEST_FILE:
        raise InvalidConfig(f"more than {LARGEST_FILE} bytes", operation="read", path=file.path)
    if not text.strip():
        return {}
    try:
        found = parse(text, file.path)
    except InvalidConfig:
        # The parser's message may show a part of it.
        raise InvalidConfig("not JSON", operation="read", path=file.path) from None
    if not isinstance(found, dict):
        raise InvalidConfig("no JSON object", operation="read", path=file.path)
    return {"auths": found} if file.legacy else found


def _in_file(found: dict[str, Any], names: list[str]) -> Credentials | None:
    auths = {normal(key): entry for key, entry in _table(found, "auths").items()}
    by_name = _table(found, "credHelpers")
    for name in names:
        if by_name.get(name):
            return _ask(by_name[name], name)
        made = _of_entry(auths.get(name))
        if made is not None:
            return made
    store = found.get("credsStore")
    return _ask(store, names[-1]) if store else None


def _ask(helper: Any, name: str) -> Credentials | None:
    for server in server_names(name):
        found = helpers.get(helper, server)
        if found is not None:
            return found
    return None


def server_names(name: str) -> Iterator[str]:
    """Name a registry as helpers may know it."""
    if name in _HUB_KEYS:
        yield "https://index.docker.io/v1/"
        yield DOCKER_HUB
    else:
        yield name


def normal(key: str) -> str:
    """Take from the key of an entry what Docker put around it: ``https://host/v1/``."""
    for scheme in ("https://", "http://"):
        if key.startswith(scheme):
            key = key.removeprefix(scheme)
            return key.partition("/")[0] if key.rstrip("/").endswith(("/v1", "/v2")) else key.rstrip("/")
    return key


def _table(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _of_entry(entry: Any) -> Credentials | None:
    """Return what an entry holds; None for one that holds nothing, as Docker leaves beside a helper's."""
    if not isinstance(entry, dict):
        return None
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(identity_token=token)
    user, password = entry.get("username"), entry.get("password")
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        user, password = _decoded(auth)
    return Credentials(user, password) if isinstance(user, str) and isinstance(password, str) and user else None


def _decoded(auth: str) -> tuple[str, str]:
    from base64 import b64decode

    try:
        user, _, password = b64decode(auth).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password.rstrip("\0")  # Docker's older versions pad it
