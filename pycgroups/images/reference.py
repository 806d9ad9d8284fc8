"""Names of images: Docker's grammar and what it leaves unsaid, and places of images that are none of a registry's.

    debian:13                    docker.io/library/debian:13
    me/app@sha256:…              docker.io/me/app@sha256:…
    localhost:5000/app           localhost:5000/app:latest
    oci:DIR[:NAME]               a place on this machine, as do oci-archive:, docker-archive: and dir:

A bad name is refused here, before anything is asked for on the disk or in the network.

Source: https://github.com/distribution/reference (``reference.go``, ``normalize.go``); containers-transports(5);
image-spec, annotations.md, ``org.opencontainers.image.ref.name``.
"""

from __future__ import annotations

from pycgroups.errors import InvalidConfig, invalid, shown
from pycgroups.oci.kinds import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

DOCKER_HUB = "docker.io"
_LEGACY_HUB = "index.docker.io"
_OFFICIAL = "library/"
_TRANSPORTS = ("oci", "oci-archive", "docker-archive", "dir")
# Of containers-transports(5) those that are not here: who writes them does not mean a repository on Docker Hub.
_OTHERS = frozenset({"containers-storage", "docker-daemon", "ostree", "sif", "tarball"})

_LONGEST_NAME = 255
_LONGEST_TAG = 128
_LONGEST_TEXT = 1024
_LONGEST_PATH = 4096  # PATH_MAX
_LONGEST_LABEL = 63  # RFC 1035, 2.3.4
_LAST_PORT = 65535
_HEX_OF_AN_ID = 64

_DIGITS = frozenset("0123456789")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz") | _DIGITS
_ALNUM = _LOWER | {letter.upper() for letter in _LOWER}
_OF_A_LABEL = _ALNUM | {"-"}
_OF_A_TAG = _ALNUM | {*"_.-"}
_OF_A_REF_NAME = _ALNUM | {*"-._:@+"}
_SEPARATORS = frozenset({".", "_", "__"})


class Reference(NamedTuple):
    """An image in a registry, or many: what a name, a tag and a digest say of it.

    Attributes:
        domain: the registry's host, with its port if one was given: ``docker.io``, ``localhost:5000``, ``[::1]:5000``.
        path: the repository on it: ``library/debian``.
        tag: ``latest`` where neither a tag nor a digest was given; else None without one.
        digest: as ``sha256:…``, or None. With one the tag is for people alone.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, key: str = "image") -> Reference:
        """Return what a name means, as ``docker pull`` understands it.

        Args:
            text: ``[HOST[:PORT]/]PATH[:TAG][@DIGEST]``. The first part is a host if it has a dot, a colon or a capital
                letter in it, or is ``localhost``; without a host it is Docker Hub's.
            key: the name of the option, for errors.

        Raises:
            InvalidConfig: it is no reference; nothing was asked of anybody.
        """
        if not isinstance(text, str) or not text or len(text) > _LONGEST_TEXT:
            raise invalid(key, text, f"the name of an image, up to {_LONGEST_TEXT} characters")
        named, _, digest = text.partition("@")
        if len(named) < len(text) and not DIGEST.holds(digest):
            # What is in front of the @ may be a password.
            raise InvalidConfig(f"no digest after the @, allowed: {DIGEST.allowed}", operation="option", path=key)
        name, tag = _split_tag(named)
        if tag is not None and not is_tag(tag):
            raise invalid(key, text, f"a tag of up to {_LONGEST_TAG} letters, digits, '_', '.' and '-'")
        domain, path = _split_domain(name)
        _check_name(domain, path, text, key)
        return cls(domain, path, tag if tag or digest else "latest", digest or None)

    @property
    def name(self) -> str:
        """The repository and its registry: ``docker.io/library/debian``."""
        return f"{self.domain}/{self.path}"

    @property
    def repository(self) -> str:
        """The repository alone, as its registry calls it: ``library/debian``."""
        return self.path

    @property
    def familiar(self) -> str:
        """The shortest text that means the same: ``debian:13``."""
        return self._with(self._familiar_name())

    def _familiar_name(self) -> str:
        if self.domain != DOCKER_HUB:
            return self.name
        for name in (self.path.removeprefix(_OFFICIAL), self.path):
            if _split_domain(name) == (self.domain, self.path) and not _is_id(name):
                return name
        return self.name

    def _with(self, name: str) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return f"{name}{tag}{digest}"

    def __str__(self) -> str:
        """Write it in full: ``docker.io/library/debian:13``."""
        return self._with(self.name)


class Location(NamedTuple):
    """Where an image is.

    Attributes:
        transport: ``docker`` (a registry), ``oci``, ``oci-archive``, ``docker-archive`` or ``dir``.
        path: of the directory or the file; empty for a registry.
        reference: which image there. For ``docker`` the full form of a `Reference`; for ``docker-archive`` that or
            ``@N``, the image at position N; for ``oci`` and ``oci-archive`` its name in the index. None when not said.
    """

    transport: str
    path: str
    reference: str | None = None

    @classmethod
    def parse(cls, text: str, key: str = "image") -> Location:
        """Return the place that a text names.

        Args:
            text: ``[docker://]REFERENCE``, ``oci:DIR[:NAME]``, ``oci-archive:FILE[:NAME]``,
                ``docker-archive:FILE[:REFERENCE|:@N]`` or ``dir:DIR``. A path in front of a name has no colon.
            key: the name of the option, for errors.

        Raises:
            InvalidConfig: it names none.
        """
        transport, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
        if colon and transport in _OTHERS:
            raise invalid(key, text, f"{', '.join(f'{known}:' for known in _TRANSPORTS)} or docker://")
        if not colon or transport not in _TRANSPORTS:
            name = text.removeprefix("docker://") if isinstance(text, str) else text
            return cls("docker", "", str(Reference.parse(name, key)))
        path, colon, name = (rest, "", "") if transport == "dir" else rest.partition(":")
        if not path or "\0" in path or len(path) > _LONGEST_PATH:
            raise invalid(key, text, f"{transport}: and a path")
        if not colon:
            return cls(transport, path)
        if transport == "docker-archive":
            is_position = name[:1] == "@" and _is_number(name[1:])
            return cls(transport, path, name if is_position else str(Reference.parse(name, key)))
        if not is_ref_name(name):
            raise invalid(key, text, f"{transport}:PATH:NAME with a name of letters, digits and -._:@+/")
        return cls(transport, path, name)

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        if self.transport == "docker":
            return f"docker://{self.reference}"
        return f"{self.transport}:{self.path}{'' if self.reference is None else f':{self.reference}'}"


def is_ref_name(text: str) -> bool:
    """Tell whether a text can be an image's name in an index; annotations.md, ``org.opencontainers.image.ref.name``.

    Other tools write names that end with a separator, or have two in a row; so that is allowed.
    """
    return len(text) <= _LONGEST_TEXT and all(
        part[:1] in _ALNUM and _OF_A_REF_NAME.issuperset(part) for part in text.split("/") or [""]
    )


def is_domain(text: str) -> bool:
    """Tell whether a text is the host of a registry, with or without a port."""
    host, bracket, rest = text.partition("]")
    if bracket:
        return host[:1] == "[" and _is_ipv6(host[1:]) and (not rest or (rest[0] == ":" and _is_port(rest[1:])))
    host, colon, port = text.partition(":")
    return all(map(_is_label, host.split("."))) and (not colon or _is_port(port))


def is_path(text: str) -> bool:
    """Tell whether a text is a repository's name on its registry; distribution-spec, "Pulling manifests"."""
    return all(map(_is_component, text.split("/")))


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag; distribution-spec, "Pulling manifests"."""
    return 0 < len(text) <= _LONGEST_TAG and text[0] not in ".-" and _OF_A_TAG.issuperset(text)


def _split_tag(named: str) -> tuple[str, str | None]:
    """Split at the colon after the last slash: others belong to a port."""
    name, colon, tag = named.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (named, None)


def _split_domain(name: str) -> tuple[str, str]:
    """Tell the host from the path as ``normalize.go`` does."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (first == "localhost" or not {".", ":"}.isdisjoint(first) or first != first.lower())
    domain, path = (first, rest) if is_host else (DOCKER_HUB, name)
    domain = DOCKER_HUB if domain == _LEGACY_HUB else domain
    return domain, f"{_OFFICIAL}{path}" if domain == DOCKER_HUB and "/" not in path else path


def _check_name(domain: str, path: str, text: str, key: str) -> None:
    """Refuse what is no name, with the reason."""
    if not is_domain(domain):
        raise invalid(key, text, f"a host name, with a port or without, where {shown(domain)} is")
    if not is_path(path):
        raise invalid(key, text, "lower-case letters and digits, separated by '/', '.', '_', '__' or '-'")
    if len(domain) + 1 + len(path) > _LONGEST_NAME:
        raise invalid(key, text, f"a name of up to {_LONGEST_NAME} characters")
    if _is_id(text):
        raise invalid(key, text, "a name; 64 hexadecimal digits are an id")


def _is_number(text: str) -> bool:
    return 0 < len(text) <= len(str(_LAST_PORT)) and _DIGITS.issuperset(text)


def _is_port(text: str) -> bool:
    return _is_number(text) and 0 < int(text) <= _LAST_PORT


def _is_label(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_LABEL and _OF_A_LABEL.issuperset(text) and "-" not in {text[0], text[-1]}


def _is_ipv6(text: str) -> bool:
    from socket import AF_INET6, inet_pton

    try:
        inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def _is_component(text: str) -> bool:
    """Tell whether a part of a path is letters and digits, with single separators in between."""
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    separator = ""
    for char in text:
        if char in _LOWER:
            if separator and separator not in _SEPARATORS and separator.strip("-"):
                return False
            separator = ""
        else:
            separator += char
    return True


def is_place(text: object) -> bool:
    """Tell whether a text names a place with its transport, as ``docker://…`` or ``oci:…`` do, and not a name alone."""
    return isinstance(text, str) and (text.startswith("docker://") or text.partition(":")[0] in _TRANSPORTS)


def is_digest(text: object) -> bool:
    """Tell whether a text is the digest or the whole id of an image, and so no reference."""
    return isinstance(text, str) and (text.startswith(("sha256:", "sha512:")) or _is_id(text))


def _is_id(text: str) -> bool:
    return len(text) == _HEX_OF_AN_ID and frozenset("0123456789abcdef").issuperset(text)
