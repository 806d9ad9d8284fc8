"""The tags of a repository; distribution-spec, "Listing Tags". And what can be taken out of it, "Deleting"."""

from __future__ import annotations

from pycgroups.errors import Error, InvalidConfig, RegistryError
from pycgroups.images.reference import is_tag
from pycgroups.images.registry import pages
from pycgroups.images.registry.pulling import ACCEPT, missing
from pycgroups.oci.json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.images.reference import Reference
    from pycgroups.images.registry.client import Client

_LARGEST_PAGE = 4 * 2**20
_PAGE = "1000"
_DELETED = frozenset({200, 202, 204})
_UNSUPPORTED = frozenset({400, 405})


def tags(client: Client) -> list[str]:
    """List the tags of a repository, in the registry's order; what cannot be a tag is left out.

    Raises:
        ImageNotFound: there is no such repository.
        RegistryError: no answer, or none that is a list with an end.
    """
    found: dict[str, None] = {}
    url = client.url("tags/list").with_query([("n", _PAGE)])
    try:
        for text, _ in pages.walk(client, url, _LARGEST_PAGE):
            found.update(dict.fromkeys(_read(text, str(url))))
    except RegistryError as error:
        raise missing(error, f"{client.place.domain}/{client.place.path}", "", "list") from None
    return list(found)


def _read(text: bytes, where: str) -> list[str]:
    try:
        document = parse(text, "tags")
    except InvalidConfig:
        document = None
    names = document.get("tags", ()) if isinstance(document, dict) else ()
    if not isinstance(document, dict) or not (names is None or isinstance(names, list)):
        raise RegistryError("answered with something that is no list of tags", operation="list", path=where)
    return [name for name in names or () if isinstance(name, str) and is_tag(name)]


def delete(client: Client, reference: Reference) -> None:
    """Take a manifest, or a tag alone, out of a repository.

    Raises:
        ImageNotFound: it is not there.
        RegistryError: the registry does not let us; or cannot take a tag away alone.
    """
    wanted = reference.digest or reference.tag or "latest"
    try:
        _delete(client, f"manifests/{wanted}")
    except RegistryError as error:
        raise _explained(client, reference, error) from None


def delete_blob(client: Client, digest: str) -> None:
    """Take a blob out of a repository, whatever still refers to it.

    Raises:
        ImageNotFound: it is not there.
        RegistryError: the registry does not let us.
    """
    try:
        _delete(client, f"blobs/{digest}")
    except RegistryError as error:
        raise missing(error, f"{client.place.domain}/{client.place.path}", digest, "delete") from None


def _delete(client: Client, path: str) -> None:
    def once() -> None:
        client.exchange("DELETE", client.url(path), client.scopes("pull", "delete"), _DELETED).close()

    client.persistently(once)


def _explained(client: Client, reference: Reference, error: RegistryError) -> Error:
    if reference.digest is None and error.status in _UNSUPPORTED:
        try:
            _, answer = client.get(
                client.url(f"manifests/{reference.tag}"), client.scopes("pull"), 0, accept=ACCEPT, method="HEAD"
            )
        except RegistryError as other:
            return missing(other, reference.name, reference.tag or "", "delete")
        digest = answer.header("Docker-Content-Digest")
        error.hint = (
            f"it deletes manifests alone, with all their tags: {reference.name}@{(digest or 'DIGEST')[:160]}; "
            "or deleting is switched off there"
        )
        return error
    return missing(error, reference.name, reference.digest or reference.tag or "", "delete")
