"""How registries are spoken to: one frozen object for every operation of `pycgroups.images.registry`."""

from __future__ import annotations

from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from attrs import field, frozen
else:
    from pycgroups.frozen import field, frozen


class Credentials:
    """A user and a password, which nothing prints.

    Attributes:
        user: the name; empty with an identity token.
        password: the password, or an access token that is used like one.
        identity_token: what a token service gave at login instead of keeping a password; empty without.
    """

    __slots__ = ("identity_token", "password", "user")

    def __init__(self, user: str = "", password: str = "", identity_token: str = "") -> None:
        self.user = user
        self.password = password
        self.identity_token = identity_token

    def __eq__(self, other: object) -> bool:
        """Compare all of it."""
        return isinstance(other, Credentials) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[str, str, str]:
        return self.user, self.password, self.identity_token

    def __repr__(self) -> str:
        """Show that there is a password, and not which."""
        return f"Credentials(user={self.user!r}, password=...)"


def _credentials(value: Any) -> Credentials | None:
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):  # noqa: PLR2004
        value = Credentials(*value)
    if not (value is None or isinstance(value, Credentials)):
        raise invalid("credentials", type(value).__name__, "a pair of user and password")
    if value is not None and (":" in value.user or not value.user.isprintable()):
        raise invalid("credentials", value.user, "a user without ':' and control characters")
    return value


def _seconds(_made: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:  # noqa: PLR2004
        raise invalid(attribute.name, value, "seconds, more than 0 and up to a day")


def _count(least: int, most: int) -> Any:
    def check(_made: object, attribute: Any, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid(attribute.name, value, f"an int from {least} to {most}")

    return check


@frozen(kw_only=True)
class RegistryOptions:
    """How registries are spoken to.

    Attributes:
        authfile: the file with credentials, as ``podman login`` and ``docker login`` write them. By default what
            `credentials` finds: ``$REGISTRY_AUTH_FILE``, or podman's and Docker's files, in this order.
        credentials: a user and a password for this registry, in place of a look-up.
        insecure: True: take certificates that cannot be verified, and plain http where there is no TLS. False: neither,
            whatever registries.conf says. None, the default: as registries.conf says; and plain http on a loopback
            address, of a registry that speaks no TLS.
        certs: a directory with ``*.crt`` (authorities), and ``*.cert`` with ``*.key`` (what we show), in place of those
            of containers-certs.d(5).
        registries_conf: a registries.conf, in place of the machine's and the user's; containers-registries.conf(5).
        connect_timeout: seconds for a connection and its TLS handshake.
        read_timeout: seconds without a byte after which an answer counts as dead; and in such a time 1 KiB a second
            have to come.
        retries: how often a request is sent again after 429, 5xx and broken connections, with growing pauses.
        connections: at most so many to one host at one time.
        chunk_size: bytes; a larger blob is uploaded in several requests, each of this size.
    """

    authfile: str | None = None
    credentials: Credentials | None = field(default=None, converter=_credentials)
    insecure: bool | None = None
    certs: str | None = None
    registries_conf: str | None = None
    connect_timeout: float = field(default=10.0, validator=_seconds)
    read_timeout: float = field(default=30.0, validator=_seconds)
    retries: int = field(default=4, validator=_count(0, 100))
    connections: int = field(default=8, validator=_count(1, 1000))
    chunk_size: int = field(default=2**30, validator=_count(1, 2**40))
