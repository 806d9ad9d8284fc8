"""Programs that keep credentials: ``docker-credential-NAME``; https://github.com/docker/docker-credential-helpers."""

from __future__ import annotations

import os

from pycgroups.errors import NotFound, RegistryError, Unsupported, invalid
from pycgroups.images.registry.options import Credentials
from pycgroups.images.registry.refusals import cleaned
from pycgroups.oci.json_text import dumps, parse

_PATIENCE = 30.0
"""Seconds: it may ask somebody for the password of a key ring."""
_LARGEST_ANSWER = 2**20
_OF_A_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_NOT_THERE = "credentials not found"
TOKEN_USER = "<token>"  # noqa: S105 (the user of an identity token, by convention)


def get(name: str, server: str) -> Credentials | None:
    """Ask a helper for the credentials of a server; None if it has none.

    Raises:
        InvalidConfig: no helper has such a name.
        RegistryError: it failed.
        Unsupported: it is not installed.
    """
    try:
        answer = _call(name, "get", server)
        document = parse(answer, f"answer of docker-credential-{name}")
    except NotFound:
        return None
    user, secret = (document.get(key) for key in ("Username", "Secret")) if isinstance(document, dict) else (None, None)
    if not isinstance(user, str) or not isinstance(secret, str):
        raise RegistryError("gave no user and no secret", operation="ask", path=f"docker-credential-{name}")
    return Credentials(identity_token=secret) if user == TOKEN_USER else Credentials(user, secret)


def store(name: str, server: str, credentials: Credentials) -> None:
    """Have a helper keep credentials; errors are those of `get`."""
    user, secret = credentials.user, credentials.password
    if credentials.identity_token:
        user, secret = TOKEN_USER, credentials.identity_token
    _call(name, "store", dumps({"ServerURL": server, "Username": user, "Secret": secret}))


def erase(name: str, server: str) -> bool:
    """Have a helper forget the credentials of a server; False if it had none. Errors are those of `get`."""
    try:
        _call(name, "erase", server)
    except NotFound:
        return False
    return True


def _call(name: str, action: str, said: str) -> bytes:
    """Run a helper; what it is told goes to its input, where no list of processes shows it."""
    if not isinstance(name, str) or not name or not _OF_A_NAME.issuperset(name) or name[0] in "-.":
        raise invalid("credsStore", name, "the name of a helper: letters, digits, '-', '_' and '.'")
    import subprocess

    program = f"docker-credential-{name}"
    answers = _bounded_file()
    try:
        with subprocess.Popen([program, action], stdin=-1, stdout=answers, stderr=subprocess.DEVNULL) as process:
            try:
                process.communicate(said.encode(), timeout=_PATIENCE)
            finally:
                process.kill()  # which does nothing to one that has ended
        answer = os.pread(answers, os.lseek(answers, 0, os.SEEK_CUR), 0)
    except FileNotFoundError:
        hint = f"install {program}, or take it out of credsStore and credHelpers"
        raise Unsupported("is not installed", operation="ask", path=program, hint=hint) from None
    except subprocess.TimeoutExpired:
        raise RegistryError(f"no answer in {_PATIENCE:.0f} s", operation="ask", path=program) from None
    except OSError as error:
        raise RegistryError(operation="ask", path=program, errno=error.errno) from None
    finally:
        os.close(answers)
    if process.returncode and _NOT_THERE in answer[:1024].decode(errors="replace"):
        raise NotFound(operation="ask", path=program)
    if process.returncode:
        raise RegistryError(cleaned(answer[:4096].decode(errors="replace")), operation="ask", path=program)
    return answer


def _bounded_file() -> int:
    """Make a file in memory that takes so much and no more; memfd_create(2), F_SEAL_GROW."""
    from fcntl import F_ADD_SEALS, F_SEAL_GROW, fcntl

    file = os.memfd_create("answer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, _LARGEST_ANSWER)
    fcntl(file, F_ADD_SEALS, F_SEAL_GROW)
    return file
