"""The flags of all that talks to registries: podman's, since docker asks its daemon."""

from __future__ import annotations

from pycgroups.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.images.registry import RegistryOptions


def _credentials(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if colon:
        return user, password
    from getpass import getpass

    return user, getpass()


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number, 0 or more")
    return int(text)


FLAGS = (
    Flag("--authfile", "where logins are kept, instead of what podman and docker look into", value="FILE"),
    Flag(
        "--creds",
        "for this time; a password that is not given is asked for, and one that is can be seen by others",
        word="credentials",
        value="USER[:PASSWORD]",
        read=_credentials,
    ),
    Flag(
        "--cert-dir",
        "certificates to trust and to show, as /etc/containers/certs.d/HOST has",
        word="certs",
        value="DIR",
    ),
    Flag(
        "--tls-verify", "=false is the same as --insecure; =true overrides registries.conf", word="insecure", on=False
    ),
    Flag("--insecure", "take any certificate, and plain http where there is no TLS"),
    Flag("--registries-conf", "mirrors, aliases and what is blocked, instead of the usual files", value="FILE"),
    Flag("--retry", "how often a request is tried again; default 4", word="retries", value="N", read=_count),
)
_WORDS = frozenset(flag.word for flag in FLAGS)


def options(found: dict[str, Any]) -> RegistryOptions | None:
    """Return what the flags say about registries; None when they say nothing.

    Raises:
        InvalidConfig: a value is wrong.
    """
    words = {word: value for word, value in found.items() if word in _WORDS}
    if not words:
        return None
    from pycgroups.images.registry import RegistryOptions

    return RegistryOptions(**words)
