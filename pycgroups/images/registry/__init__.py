"""Registries, by the OCI distribution specification 1.1: images and artifacts to and from them, tags, deleting, login.

    pulling, pushing, listing, ... ──▶ client ──▶ connections, pace ──▶ urllib3
                                         ├─ authorization, challenges     ◀── credentials, helpers, keeping
                                         ├─ url: where redirects may lead ◀── tls: whom we believe
                                         └─ retries, refusals             ◀── config: registries.conf

Every function takes `RegistryOptions`. All raise `RegistryError` where a registry refuses, fails or does not answer as
one, `Unsupported` where urllib3 is not installed, and `InvalidConfig` for files that are none.
"""

from __future__ import annotations

from pycgroups.errors import InvalidConfig, invalid
from pycgroups.images.reference import Reference
from pycgroups.images.registry import config, keeping
from pycgroups.images.registry.client import Client
from pycgroups.images.registry.options import Credentials, RegistryOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pycgroups.images.registry.artifacts import Artifact
    from pycgroups.images.registry.config import Place
    from pycgroups.images.registry.pulling import RegistrySource
    from pycgroups.images.registry.pushing import RegistryDestination
    from pycgroups.oci.image_spec import Descriptor

__all__ = [
    "Credentials",
    "RegistryOptions",
    "attach",
    "delete",
    "delete_blob",
    "destination",
    "fetch",
    "login",
    "logout",
    "referrers",
    "resolve",
    "source",
    "tags",
]

_DEFAULT = RegistryOptions()


def given(options: RegistryOptions | None) -> RegistryOptions:
    """Return what was given, or the default.

    Raises:
        InvalidConfig: it is something else.
    """
    if options is None:
        return _DEFAULT
    if not isinstance(options, RegistryOptions):
        raise invalid("registry", options, "RegistryOptions")
    return options


def resolve(name: str, *, options: RegistryOptions = _DEFAULT) -> Reference:
    """Return what the name of an image means on this machine: Docker's rules, and the aliases of registries.conf.

    Raises:
        InvalidConfig: it is no reference; or a file is none.
    """
    Reference.parse(name)  # a bad name is refused before any file is read
    return config.load(options.registries_conf).named(name)


def source(reference: Reference, *, options: RegistryOptions = _DEFAULT) -> RegistrySource:
    """Return an image of a registry, or of its mirrors, to be read; nothing is asked for yet.

    Raises:
        RegistryError: registries.conf blocks the registry.
    """
    from pycgroups.images.registry.pulling import RegistrySource

    return RegistrySource(reference, config.load(options.registries_conf).places(reference), options)


def destination(reference: Reference, *, options: RegistryOptions = _DEFAULT) -> RegistryDestination:
    """Return a place in a registry to push an image to; nothing is asked for yet.

    Raises:
        RegistryError: registries.conf blocks the registry.
    """
    from pycgroups.images.registry.pushing import RegistryDestination

    return RegistryDestination(reference, _place(reference, options), options)


def tags(reference: Reference, *, options: RegistryOptions = _DEFAULT) -> list[str]:
    """List the tags of a repository; the reference's own does not matter.

    Raises:
        ImageNotFound: there is no such repository.
    """
    from pycgroups.images.registry import listing

    with _client(reference, options) as client:
        return listing.tags(client)


def delete(reference: Reference, *, options: RegistryOptions = _DEFAULT) -> None:
    """Delete a manifest (by digest, with all its tags) or a tag; blobs go with the registry's next clean-up.

    Raises:
        ImageNotFound: it is not there.
    """
    from pycgroups.images.registry import listing

    with _client(reference, options) as client:
        listing.delete(client, reference)


def delete_blob(reference: Reference, digest: str, *, options: RegistryOptions = _DEFAULT) -> None:
    """Delete a blob of a repository, whatever still refers to it.

    Raises:
        ImageNotFound: it is not there.
    """
    from pycgroups.images.digest import Digest
    from pycgroups.images.registry import listing

    with _client(reference, options) as client:
        listing.delete_blob(client, str(Digest.parse(digest)))


def referrers(
    reference: Reference, *, artifact_type: str | None = None, options: RegistryOptions = _DEFAULT
) -> tuple[Descriptor, ...]:
    """List what refers to an image: `fetch` has it by its digest.

    Args:
        reference: the image; by tag it is asked for first.
        artifact_type: what is of this media type alone.
        options: how.

    Raises:
        ImageNotFound: the tag does not exist.
    """
    from pycgroups.images.digest import Digest
    from pycgroups.images.registry import referring
    from pycgroups.images.registry.pulling import manifest

    with _client(reference, options) as client:
        digest = reference.digest or str(Digest.of(manifest(client, _wanted(reference))[0]))
        return referring.referrers(client, digest, artifact_type)


def fetch(reference: Reference, *, options: RegistryOptions = _DEFAULT) -> Artifact:
    """Fetch an artifact: files up to 64 MiB together, checked, in memory.

    Raises:
        ImageNotFound: it is not there.
        ImageError: it is an index, or too large.
        DigestMismatch: something of it is another.
    """
    from pycgroups.images.registry import artifacts

    with _client(reference, options) as client:
        return artifacts.fetch(client, _wanted(reference))


def attach(
    reference: Reference,
    files: Mapping[str, bytes],
    *,
    artifact_type: str,
    media_type: str = "application/octet-stream",
    annotations: Mapping[str, str] | None = None,
    options: RegistryOptions = _DEFAULT,
) -> str:
    """Put files into a repository that refer to an image of it; return the digest, by which `fetch` has them.

    Args:
        reference: the image.
        files: their content by name.
        artifact_type: what they are together, a media type as ``application/spdx+json``.
        media_type: of each of them.
        annotations: more about them.
        options: how.

    Raises:
        ImageNotFound: the image is not there.
    """
    from pycgroups.images.registry import artifacts

    with _client(reference, options) as client:
        return artifacts.attach(
            client, _wanted(reference), files, artifact_type, media_type=media_type, annotations=annotations or {}
        )


def login(name: str, *, options: RegistryOptions) -> str:
    """Try the credentials at a registry, and keep them; return where: a file, or a program.

    Args:
        name: ``HOST[:PORT]``, or with the beginning of repositories' names; empty for Docker Hub.
        options: ``credentials`` in it are what is kept, ``authfile`` is where.

    Raises:
        RegistryError: the registry does not take them; nothing was kept.
        InvalidConfig: the file cannot be written.
    """
    if options.credentials is None:
        raise InvalidConfig("no user and password", operation="option", path="credentials")
    domain, path = keeping.place(name)
    place = config.load(options.registries_conf).place(Reference(domain, path or "x"))
    with Client(place, options) as client:
        client.check()
    return keeping.store(name, options.credentials, options)


def logout(name: str | None = None, *, options: RegistryOptions = _DEFAULT) -> list[str]:
    """Forget the credentials for a registry, or with None for all; return where they were.

    Raises:
        NotFound: there are none.
        InvalidConfig: the file cannot be written.
    """
    return keeping.erase(name, options)


def _wanted(reference: Reference) -> str:
    return reference.digest or reference.tag or "latest"


def _place(reference: Reference, options: RegistryOptions) -> Place:
    """Find the place itself, past all mirrors."""
    if not isinstance(reference, Reference):
        raise invalid("reference", reference, "a Reference, which resolve('debian:13') gives")
    return config.load(options.registries_conf).places(reference)[-1]


def _client(reference: Reference, options: RegistryOptions) -> Client:
    return Client(_place(reference, options), options)
