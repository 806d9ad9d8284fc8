"""Which proxy a request goes through: ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, as `urllib.request` reads them.

What is on this machine is asked directly, whatever they say.
"""

from __future__ import annotations

from pycgroups.errors import InvalidConfig
from pycgroups.images.registry.url import is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.images.registry.url import Url
else:
    from pycgroups.records import NamedTuple


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        address: ``http://HOST:PORT``, or with https.
        login: ``USER:PASSWORD``, or None.
    """

    address: str
    login: str | None


def find(url: Url) -> Proxy | None:
    """Return the proxy for a URL, None where it is asked directly.

    Raises:
        InvalidConfig: the variable has something else, as a SOCKS proxy; the password is not in the error.
    """
    from urllib.parse import unquote
    from urllib.request import getproxies, proxy_bypass

    said = getproxies().get(url.scheme)
    if not said or is_loopback(url.host) or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    scheme, _, rest = (said if "://" in said else f"http://{said}").partition("://")
    login, at, place = rest.partition("/")[0].rpartition("@")
    if scheme not in {"http", "https"} or not place:
        variable = f"{url.scheme.upper()}_PROXY"
        raise InvalidConfig(f"a proxy {scheme}://{place}, allowed: http://HOST:PORT", operation="read", path=variable)
    return Proxy(f"{scheme}://{place}", unquote(login) if at else None)
