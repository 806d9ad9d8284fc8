"""Keep credentials, and forget them: the files of `credentials`, written beside, then renamed."""

from __future__ import annotations

import os

from pycgroups.errors import Error, InvalidConfig, NotFound, invalid
from pycgroups.images.reference import DOCKER_HUB, is_domain, is_path
from pycgroups.images.registry import credentials as lookup
from pycgroups.images.registry import helpers
from pycgroups.images.registry.config import AUTH_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycgroups.images.registry.credentials import AuthFile
    from pycgroups.images.registry.options import Credentials, RegistryOptions


def place(name: str) -> tuple[str, str]:
    """Split what somebody logs in to: a host, or a host and the beginning of repositories' names.

    Raises:
        InvalidConfig: it is none.
    """
    domain, _, path = (name or DOCKER_HUB).removeprefix("https://").removeprefix("http://").rstrip("/").partition("/")
    domain = DOCKER_HUB if domain == "index.docker.io" and path in {"", "v1"} else domain
    path = "" if domain == DOCKER_HUB and path == "v1" else path
    if not is_domain(domain) or not (not path or is_path(path)):
        raise invalid("registry", name, "HOST[:PORT][/NAMESPACE]")
    return domain, path


def store(name: str, credentials: Credentials, options: RegistryOptions) -> str:
    """Keep credentials for a registry; return where: with the helper that is asked first, or in the first file.

    Raises:
        InvalidConfig: the file cannot be written, or is none.
        RegistryError: a helper failed.
    """
    domain, path = place(name)
    key = f"{domain}/{path}" if path else domain
    file = lookup.files(options.authfile)[0]._replace(needed=False)
    first = lookup.sources(options)[0]
    helper = _helper(lookup.read(file), key) if first == AUTH_FILES else first
    if helper:
        helpers.store(helper, next(iter(lookup.server_names(key))), credentials)
        return f"docker-credential-{helper}"

    def put(document: dict[str, Any]) -> None:
        auths = document.setdefault("auths", {})
        if not isinstance(auths, dict):
            raise InvalidConfig("'auths' is no object", operation="write", path=file.path)
        _drop(auths, key)
        auths[key] = _entry(credentials)

    _change(file, put)
    return file.path


def erase(name: str | None, options: RegistryOptions) -> list[str]:
    """Forget the credentials for a registry, or all of them; return where they were.

    Args:
        name: as of `store`; None for all that the file has, for helpers cannot be asked for all.
        options: ``authfile`` in them is the file; by default the first of `credentials.files`, as login's.

    Raises:
        NotFound: there are none in it.
        InvalidConfig: the file cannot be written, or is none.
    """
    file = lookup.files(options.authfile)[0]._replace(needed=False)
    document = lookup.read(file)
    auths = document.get("auths")
    names = list(auths) if isinstance(auths, dict) else []
    erased: list[str] = []
    if name is not None:
        key = "/".join(part for part in place(name) if part)
        known = [_helper(document, key) if source == AUTH_FILES else source for source in lookup.sources(options)]
        erased = [f"docker-credential-{helper}" for helper in known if helper and _forgot(helper, key)]
        names = [each for each in names if _same(each, key)]
    if not names and erased:
        return erased
    if not names:
        hint = _elsewhere(name, options.authfile)
        raise NotFound("not logged in", operation="logout", path=name or file.path, hint=hint)

    def take(document: dict[str, Any]) -> None:
        for each in names:
            document.get("auths", {}).pop(each, None)

    _change(file, take)
    return [*erased, file.path]


def _forgot(helper: str, key: str) -> bool:
    """Have a helper forget all that it has for a registry; tell whether it had something."""
    return max([helpers.erase(helper, server) for server in lookup.server_names(key)])


def _elsewhere(name: str | None, authfile: str | None) -> str | None:
    """Name the other file that has credentials for it."""
    if name is None:
        return None
    key = "/".join(part for part in place(name) if part)
    for file in lookup.files(authfile)[1:]:
        try:
            auths = lookup.read(file).get("auths")
        except Error:
            continue
        if isinstance(auths, dict) and any(_same(each, key) for each in auths):
            return f"{file.path} has credentials for it: --authfile {file.path}"
    return None


def _helper(document: dict[str, Any], key: str) -> str | None:
    by_name = document.get("credHelpers")
    helper = (by_name.get(key) if isinstance(by_name, dict) else None) or document.get("credsStore")
    return helper or None


def _same(one: str, other: str) -> bool:
    return lookup.normal(one) in {other, *(("index.docker.io",) if other == DOCKER_HUB else ())}


def _drop(auths: dict[str, Any], key: str) -> None:
    for each in [each for each in auths if _same(each, key)]:
        del auths[each]


def _entry(credentials: Credentials) -> dict[str, str]:
    from base64 import b64encode

    if credentials.identity_token:
        return {"auth": b64encode(b"<token>:").decode(), "identitytoken": credentials.identity_token}
    return {"auth": b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()}


def _change(file: AuthFile, change: Callable[[dict[str, Any]], None]) -> None:
    """Replace a file by what a function makes of it; what it holds besides stays.

    Whoever else changes it with this waits at a lock, so that no login is lost. A link is followed: home directories
    are kept in repositories, with links to them.
    """
    import json

    path = os.path.realpath(file.path)
    try:
        _make_directory(os.path.dirname(path))
        with _locked(os.path.dirname(path)):
            document = lookup.read(file)
            change(document)
            _write(path, json.dumps(document, indent="\t").encode() + b"\n")
    except OSError as error:
        hint = "another place: --authfile FILE, or $REGISTRY_AUTH_FILE"
        raise InvalidConfig(operation="write", path=file.path, errno=error.errno, hint=hint) from None


def _make_directory(path: str) -> None:
    """Make a directory, and those above it, for the owner alone; `os.makedirs` leaves those above to the umask."""
    if not os.path.isdir(path):
        _make_directory(os.path.dirname(path))
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return


class _locked:  # noqa: N801 (a context manager, used like a function)
    """A lock on the directory: the file itself is another one after each change."""

    def __init__(self, directory: str) -> None:
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        from fcntl import LOCK_EX, flock

        flock(self._fd, LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _write(path: str, text: bytes) -> None:
    """Write beside, and rename: who is killed meanwhile leaves the old file. Its mode is 0600, whatever the umask."""
    beside = f"{path}.pycgroups-new"
    # One that was left by a kill goes: we have the lock.
    try:
        os.unlink(beside)
    except FileNotFoundError:
        pass
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as opened:
            os.fchmod(fd, 0o600)
            opened.write(text)
            opened.flush()
            os.fsync(fd)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
