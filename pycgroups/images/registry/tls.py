"""TLS to registries: whom we believe, and what we show; containers-certs.d(5).

certs.d/HOST[:PORT]/*.crt              authorities, besides the system's
certs.d/HOST[:PORT]/NAME.cert, .key    a certificate of ours
"""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig, RegistryError
from pycgroups.images.registry.url import PORTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

_SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def directory(hosts: Sequence[str], port: int) -> str | None:
    """Find the directory of a host in certs.d: the user's first, then the system's.

    Args:
        hosts: what it is called, the name that counts most first.
        port: of it; a directory without one is for 443.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    names = [f"{host}:{port}" for host in hosts] + [host for host in hosts if port == PORTS["https"]]
    for root in (f"{home}/containers/certs.d", *_SYSTEM):
        for name in names:
            if os.path.isdir(f"{root}/{name}"):
                return f"{root}/{name}"
    return None


def context(certs: str | None, *, verify: bool, show: bool) -> ssl.SSLContext:
    """Make what the TLS connections to one host are made with.

    Args:
        certs: a directory as described above; None for the system's authorities alone.
        verify: whether a certificate has to be that of the host, and of an authority that we believe.
        show: whether to show a certificate of ours, if there is one and it is asked for.

    Raises:
        InvalidConfig: a file cannot be read, or is none; names it.
    """
    import ssl

    made = ssl.create_default_context()
    # Since Python 3.13 it refuses authorities without a key usage, which is how private ones are made everywhere.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for path in _files(certs):
        try:
            if path.endswith(".crt"):
                made.load_verify_locations(cafile=path)
            elif path.endswith(".cert") and show:
                # An encrypted key would have OpenSSL ask at the terminal.
                made.load_cert_chain(path, f"{path.removesuffix('.cert')}.key", password=_no_password)
        except (OSError, ValueError) as error:
            reason = (
                getattr(error, "reason", None) or error.strerror or "" if isinstance(error, OSError) else str(error)
            )
            hint = "*.crt is a PEM file of authorities; NAME.cert and NAME.key belong together"
            raise InvalidConfig(reason, operation="load certificates from", path=path, hint=hint) from None
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody can be asked for its password")


def _files(certs: str | None) -> list[str]:
    if certs is None:
        return []
    try:
        return [f"{certs}/{name}" for name in sorted(os.listdir(certs))]
    except OSError as error:
        raise InvalidConfig(operation="load certificates from", path=certs, errno=error.errno) from None


def failed(operation: str, path: object, error: Exception) -> RegistryError:
    """Make the error for TLS that failed, with the reason."""
    hint = "put the certificate of its authority at certs.d/HOST:PORT/ca.crt, containers-certs.d(5)"
    return RegistryError(f"TLS failed, {_reason(error)}", operation=operation, path=str(path), hint=hint)


def _reason(error: Exception) -> str:
    """Say why TLS failed: ``certificate verify failed: self-signed certificate``."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    text = str(getattr(inner, "reason", None) or "").replace("_", " ").lower()
    detail = str(getattr(inner, "verify_message", "") or "")
    return ": ".join(part for part in (text, detail) if part) or type(inner).__name__


def speaks_no_tls(error: Exception) -> bool:
    """Tell whether the other side answered with something that is no TLS, as a server of plain http does."""
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    words = {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNKNOWN_PROTOCOL",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
    }
    return getattr(inner, "reason", None) in words
