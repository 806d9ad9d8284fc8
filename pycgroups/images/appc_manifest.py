"""What an App Container Image says of itself, as the configuration of an OCI image.

What the OCI's words do not cover - ``isolators``, ``eventHandlers``, ``supplementaryGIDs`` - is not applied when the
image is run: it is kept as labels, ``appc.isolators`` and so on, for who runs it to see.

Source: https://github.com/appc/spec/blob/v0.8.11/spec/aci.md, "Image Manifest Schema".
"""

from __future__ import annotations

from pycgroups.errors import ImageError, Unsupported, shown
from pycgroups.oci import image_spec as spec
from pycgroups.oci.json_text import dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from pycgroups.records import NamedTuple

_KIND = "ImageManifest"
# appc's words for machines: Go's, and a variant.
_MACHINES = {
    "amd64": ("amd64", None),
    "i386": ("386", None),
    "aarch64": ("arm64", "v8"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "ppc64le": ("ppc64le", None),
    "s390x": ("s390x", None),
}
_ANNOTATIONS = {
    "authors": "org.opencontainers.image.authors",
    "created": "org.opencontainers.image.created",
    "documentation": "org.opencontainers.image.documentation",
    "homepage": "org.opencontainers.image.url",
}
_NOT_APPLIED = ("eventHandlers", "isolators", "supplementaryGIDs")
_MOST_PORTS = 2**16 - 1


class AppcImage(NamedTuple):
    """What an image says of itself.

    Attributes:
        name: as ``example.com/reduce-worker``.
        version: as ``1.0.0``; None where it does not say.
        config: without layers.
        whitelist: the only paths of the root file system that count, absolute; empty when all do.
    """

    name: str
    version: str | None
    config: spec.ImageConfig
    whitelist: frozenset[str]


def read_manifest(text: bytes, path: str) -> AppcImage:
    """Return what the manifest of an image says.

    Args:
        text: the manifest.
        path: of the image, for errors.

    Raises:
        ImageError: it is no such manifest.
        Unsupported: it needs other images, or something that has no counterpart.
        InvalidConfig: it is no JSON.
    """
    reader = _Reader(path)
    document = reader.typed(parse(text, "manifest"), dict, "manifest")
    if document.get("acKind") != _KIND:
        raise reader.broken("acKind", document.get("acKind"))
    if dependencies := reader.items(document, "dependencies", dict):
        names = ", ".join(shown(each.get("imageName")) for each in dependencies)
        hint = "render it with its dependencies, by rkt image render or actool, and import that"
        raise Unsupported(f"the image is made of others: {names}", operation="open", path=path, hint=hint)
    app = reader.typed(document.get("app") or {}, dict, "app")
    labels = reader.pairs(document, "labels")
    annotations = reader.pairs(document, "annotations")
    architecture, variant = _machine(labels.get("arch"), path)
    config = spec.ImageConfig(
        created=annotations.get("created"),
        author=annotations.get("authors"),
        architecture=architecture,
        variant=variant,
        os=labels.get("os", "linux"),
        config=_defaults(reader, app, _labels(document, labels, annotations, app)),
        rootfs=spec.RootFs(type="layers"),
    )
    whitelist = frozenset(each.rstrip("/") for each in reader.items(document, "pathWhitelist", str))
    return AppcImage(reader.text(document, "name"), labels.get("version"), config, whitelist)


def _machine(name: str | None, path: str) -> tuple[str, str | None]:
    if name is None:
        raise ImageError("it does not say for which machine it is", operation="open", path=path)
    if name not in _MACHINES:
        message = f"an image for the machine {shown(name)}, known: {', '.join(_MACHINES)}"
        raise Unsupported(message, operation="open", path=path)
    return _MACHINES[name]


def _labels(
    document: dict[str, Any], labels: dict[str, str], annotations: dict[str, str], app: dict[str, Any]
) -> dict[str, str]:
    """Return all that has no other place."""
    found = {"org.opencontainers.image.title": str(document.get("name"))}
    if version := labels.get("version"):
        found["org.opencontainers.image.version"] = version
    found |= {name: value for name, value in labels.items() if name not in {"arch", "os", "version"}}
    found |= {_ANNOTATIONS.get(name, name): value for name, value in annotations.items()}
    return found | {f"appc.{name}": dumps(app[name]) for name in _NOT_APPLIED if app.get(name)}


def _defaults(reader: _Reader, app: dict[str, Any], labels: dict[str, str]) -> spec.ImageDefaults:
    mounts = reader.items(app, "mountPoints", dict)
    return spec.ImageDefaults(
        user=_user(reader, app),
        exposed_ports=tuple((name, spec.Nothing()) for name in _ports(reader, app)),
        env=tuple(f"{name}={value}" for name, value in reader.pairs(app, "environment").items()),
        entrypoint=tuple(reader.items(app, "exec", str)),
        volumes=tuple((reader.text(mount, "path"), spec.Nothing()) for mount in mounts),
        working_dir=reader.text(app, "workingDirectory") if "workingDirectory" in app else "",
        labels=tuple(labels.items()),
    )


def _user(reader: _Reader, app: dict[str, Any]) -> str:
    if not app:
        return ""
    user, group = reader.text(app, "user"), reader.text(app, "group")
    if user.startswith("/") or group.startswith("/"):
        message = f"a user or group that is the owner of a file: {shown(user)}, {shown(group)}"
        raise Unsupported(message, operation="open", path=reader.path)
    return f"{user}:{group}"


def _ports(reader: _Reader, app: dict[str, Any]) -> list[str]:
    names = []
    for port in reader.items(app, "ports", dict):
        first, count = (reader.typed(port.get(key, 1), int, key) for key in ("port", "count"))
        if not 0 < first <= first + count - 1 <= _MOST_PORTS:
            raise reader.broken("ports", port)
        protocol = reader.text(port, "protocol").lower()
        names += [f"{number}/{protocol}" for number in range(first, first + count)]
    return names


class _Reader:
    """Takes values out of the document, of the right type or not at all."""

    def __init__(self, path: str) -> None:
        self.path = path

    def broken(self, key: str, value: object) -> ImageError:
        return ImageError(
            f"no manifest of an App Container Image: {key} is {shown(value)}", operation="open", path=self.path
        )

    def typed(self, value: object, kind: type, key: str) -> Any:
        if type(value) is not kind:
            raise self.broken(key, value)
        return value

    def text(self, document: dict[str, Any], key: str) -> str:
        text: str = self.typed(document.get(key), str, key)
        return text

    def items(self, document: dict[str, Any], key: str, kind: type) -> list[Any]:
        """Return a list of values of one type; none is an empty list."""
        values = self.typed(document.get(key) or [], list, key)
        return [self.typed(value, kind, f"{key}[{position}]") for position, value in enumerate(values)]

    def pairs(self, document: dict[str, Any], key: str) -> dict[str, str]:
        """Return a list of names and values."""
        return {self.text(pair, "name"): self.text(pair, "value") for pair in self.items(document, key, dict)}
