"""Lists that come in pages: ``Link: </v2/...>; rel="next"``; RFC 8288, distribution-spec, "Listing Tags"."""

from __future__ import annotations

from pycgroups.errors import RegistryError
from pycgroups.images.registry.url import BadUrl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.images.registry.client import Client
    from pycgroups.images.registry.connections import Answer
    from pycgroups.images.registry.url import Url

_LARGEST_LIST = 64 * 2**20
"""Bytes of all pages: some million tags."""
_LONGEST_LINK = 16 * 2**10


def walk(client: Client, url: Url, limit: int, *, accept: str = "application/json") -> Iterator[tuple[bytes, Answer]]:
    """Yield the pages of a list.

    Args:
        client: of the repository.
        url: of the first page.
        limit: the bytes that one may have.
        accept: their media type.

    Raises:
        RegistryError: as of `Client.get`; the list leads back to itself, away from the registry, or does not end.
    """
    seen: set[Url] = set()
    size = 0
    at: Url | None = url
    while at is not None:
        if at in seen or size > _LARGEST_LIST:
            raise RegistryError("the list does not end", operation="list", path=str(url))
        if at.root != url.root:
            raise RegistryError(f"the list goes on at {at.root}", operation="list", path=str(url))
        seen.add(at)
        text, answer = client.get(at, client.scopes("pull"), limit, accept=accept)
        size += len(text) + len(str(at))
        yield text, answer
        at = following(at, answer.headers("Link"))


def following(url: Url, links: list[str]) -> Url | None:
    """Return the URL of the next page; None when there is none.

    Raises:
        RegistryError: it is none that is followed.
    """
    for link in ", ".join(links)[:_LONGEST_LINK].split("<")[1:]:
        target, _, parameters = link.partition(">")
        words = {word.strip().lower().replace('"', "").replace(" ", "") for word in parameters.split(";")}
        if any(word.rstrip(", ") == "rel=next" for word in words):
            try:
                return url.join(target)
            except BadUrl as error:
                raise RegistryError(f"the list goes on at {error}", operation="list", path=str(url)) from None
    return None
