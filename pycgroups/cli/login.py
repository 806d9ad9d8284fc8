"""``pycgroups login``: try a user and a password at a registry, and keep them."""

from __future__ import annotations

import sys

from pycgroups.cli import OURS
from pycgroups.cli.flags import Flag, UsageError, describe, parse
from pycgroups.cli.text import complain, escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.registry import RegistryOptions

AUTHFILE = Flag("--authfile", "the file with credentials; $REGISTRY_AUTH_FILE, or podman's by default", value="FILE")
FLAGS = (
    Flag("--username -u", "whose account", value="USER"),
    Flag("--password -p", "its password; others on this machine can see it", value="PASSWORD"),
    Flag("--password-stdin", "its password is the first line of the input"),
    AUTHFILE,
    Flag("--cert-dir", "a directory with *.crt, *.cert and *.key, in place of those of certs.d", value="DIRECTORY"),
    Flag("--tls-verify", "--tls-verify=false takes any certificate, and plain http"),
)
ABOUT = """\
usage: pycgroups login [FLAGS] [HOST[:PORT][/NAMESPACE]]

Try a user and a password at a registry, Docker Hub by default, and keep them for all that asks it: in a file that only
you can read, or by the program that the file names in credsStore or credHelpers. Without flags both are asked for.
"""
_LONGEST_LINE = 64 * 1024


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        UsageError: a flag is wrong.
        Error: the registry does not take them, or they cannot be kept.
    """
    found, rest, _ = parse(FLAGS, arguments)
    if found.get("help"):
        print(f"{ABOUT}\n{describe(FLAGS)}", end="")
        return 0
    if len(rest) > 1:
        complain(f"login takes one registry; see --help: {rest[1]!r}")
        return OURS
    from pycgroups.images import registry

    name = rest[0] if rest else "docker.io"
    where = registry.login(name, options=_options(found, *_asked(found, name)))
    sys.stderr.write(f"Login succeeded; kept in {escaped(where)}\n")
    return 0


def _asked(found: dict[str, Any], name: str) -> tuple[str, str]:
    """Find the user and the password, or ask for them."""
    user, password = found.get("username"), found.get("password")
    if found.get("password_stdin"):
        if password is not None or user is None:
            raise UsageError("--password-stdin goes with --username, and without --password")
        password = sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
    elif password is not None:
        complain("--password can be seen by others on this machine; --password-stdin cannot")
    if user is None or password is None:
        if not sys.stdin.isatty():
            raise UsageError("no terminal to ask for a password; see --username and --password-stdin")
        from getpass import getpass

        user = user if user is not None else input(f"Username for {escaped(name)}: ")
        password = password if password is not None else getpass("Password: ")
    if not user or not password:
        raise UsageError("the user and the password may not be empty")
    return user, password


def _options(found: dict[str, Any], user: str, password: str) -> RegistryOptions:
    from pycgroups.images.registry import Credentials, RegistryOptions

    return RegistryOptions(
        credentials=Credentials(user, password),
        authfile=found.get("authfile"),
        certs=found.get("cert_dir"),
        insecure=None if found.get("tls_verify") is None else not found["tls_verify"],
    )
