"""`Mount`: a file system to have inside; and the ``volumes`` notation, docker's, for the most usual kind."""

from __future__ import annotations

# Not from collections.abc: that loads all of collections.
from _collections_abc import Mapping

from pycgroups.cgroups.limits import parse_size
from pycgroups.containers import options
from pycgroups.containers.values import (
    choice,
    flag,
    host_path,
    inside_path,
    integer,
    items,
    pairs,
    text,
)
from pycgroups.errors import InvalidConfig, Unsupported, invalid
from pycgroups.frozen import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from attrs import Attribute, field, frozen

    from pycgroups.containers.values import Text

    Propagation = Literal["private", "rprivate", "slave", "rslave", "shared", "rshared"]
else:
    from pycgroups.frozen import field, frozen

# mount_namespaces(7); the r is for the mounts below as well.
PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


def _destination(value: Text) -> str:
    """Take a path to mount on; /proc shows and steers the kernel, and stays what it is (CVE-2019-16884)."""
    path = inside_path(value, "Mount.destination")
    if path in {"/", "/proc"} or path.startswith("/proc/"):
        raise invalid("Mount.destination", value, "a path other than / and outside /proc")
    return path


def _lowers(value: Text | Sequence[Text]) -> tuple[str, ...]:
    paths = value if isinstance(value, list | tuple) else (value,)
    return tuple([host_path(path, f"Mount.lowers[{index}]") for index, path in enumerate(paths)])


def _optional_path(value: Text | None) -> str | None:
    return None if value is None else host_path(value, "Mount.upper or .work")


def _check_propagation(_: object, __: Attribute[str], value: object) -> None:
    choice(value, "Mount.propagation", PROPAGATIONS)


def _check_flag(_: object, attribute: Attribute[bool], value: object) -> None:
    flag(value, f"Mount.{attribute.name}")


def _check_mode(_: object, __: Attribute[int], value: object) -> None:
    integer(value, "Mount.mode", 0, 0o7777)


def _size(value: int | str | None) -> int | None:
    return None if value is None else parse_size("Mount.size", value)


@frozen(kw_only=True)
class Mount:
    """One mount, made by `bind`, `tmpfs`, `volume` or `overlay`.

    Attributes:
        kind: which of the four.
        destination: where it appears, an absolute path in the container, not ``/``.
        source: the host path of a bind mount, the name of a volume, else None.
        read_only: whether writing gives EROFS; with ``recursive`` also in the mounts below (Linux 5.12).
        idmap: whether ids on the source's disk are the ids inside (idmapped mount, Linux 5.12).
        propagation: mount_namespaces(7), of a bind mount; with ``recursive`` of the mounts below as well.
        recursive: whether a bind mount brings the mounts below its source.
        size: bytes that a tmpfs may hold; None leaves it to the kernel, which takes half of the memory.
        mode: permissions of a tmpfs's root.
        lowers: read-only directories of an overlay, the topmost first.
        upper: directory that an overlay's changes go to; None for a read-only overlay.
        work: empty directory on the file system of ``upper``.

    Raises:
        InvalidConfig: a value is of a wrong type or out of range; names the attribute.
    """

    __repr__ = brief

    kind: Literal["bind", "tmpfs", "volume", "overlay"]
    destination: str = field(converter=_destination)
    source: str | None = None
    read_only: bool = field(default=False, validator=_check_flag)
    idmap: bool = field(default=False, validator=_check_flag)
    propagation: Propagation = field(default="rprivate", validator=_check_propagation)
    recursive: bool = field(default=True, validator=_check_flag)
    size: int | None = field(default=None, converter=_size)
    mode: int = field(default=0o1777, validator=_check_mode)
    lowers: tuple[str, ...] = field(default=(), converter=_lowers)
    upper: str | None = field(default=None, converter=_optional_path)
    work: str | None = field(default=None, converter=_optional_path)

    @classmethod
    def bind(
        cls,
        src: Text,
        dst: Text,
        *,
        read_only: bool = False,
        idmap: bool = False,
        propagation: Propagation = "rprivate",
        recursive: bool = True,
    ) -> Mount:
        """Show a file or directory of the host inside; mount(2), MS_BIND.

        Args:
            src: a path on the host; a relative one starts at the working directory of the caller.
            dst: an absolute path in the container.
            read_only: refuse writing there.
            idmap: files belong inside to whom they belong on disk; without, to whom the container's ids map.
            propagation: mount_namespaces(7); with ``recursive`` of the mounts below ``src`` as well.
            recursive: bring the mounts below ``src`` as well.

        Raises:
            InvalidConfig: an argument is of a wrong type, or ``dst`` no such path.
        """
        return cls(
            kind="bind",
            destination=dst,
            source=host_path(src, "Mount.source"),
            read_only=read_only,
            idmap=idmap,
            propagation=propagation,
            recursive=recursive,
        )

    @classmethod
    def tmpfs(cls, dst: Text, *, size: int | str | None = None, mode: int = 0o1777, read_only: bool = False) -> Mount:
        """Make an empty file system in memory, as tmpfs of mount(8) does.

        Args:
            dst: an absolute path in the container.
            size: bytes, or "64M"; None for the kernel's default, half of the memory.
            mode: permissions of its root.
            read_only: refuse writing there.

        Raises:
            InvalidConfig: an argument is of a wrong type or out of range.
        """
        return cls(kind="tmpfs", destination=dst, size=size, mode=mode, read_only=read_only)

    @classmethod
    def volume(cls, name: str, dst: Text, *, read_only: bool = False) -> Mount:
        """Show a volume of the store inside: a directory with a name, which containers share and which outlives them.

        It is made when there is none of the name. An empty one gets what the image, or the rootfs, has at ``dst``.

        Args:
            name: the volume's name; see `pycgroups.volumes`.
            dst: an absolute path in the container.
            read_only: refuse writing there.

        Raises:
            InvalidConfig: an argument is of a wrong type, or no such path or name.
        """
        return cls(kind="volume", destination=dst, source=options.name(name, "Mount.source"), read_only=read_only)

    @classmethod
    def overlay(
        cls, lowers: Text | Sequence[Text], dst: Text, *, upper: Text | None = None, work: Text | None = None
    ) -> Mount:
        """Lay directories of the host over each other; the kernel's filesystems/overlayfs.rst.

        Args:
            lowers: one directory, or several with the topmost first; they are only read.
            dst: an absolute path in the container.
            upper: directory for what is changed; left out, the overlay is read-only. It has to belong to an id that
                the container has: with ids of its own, root's default, it cannot write into a directory of the host's
                root.
            work: empty directory on the same file system as ``upper``, needed with it.

        Raises:
            InvalidConfig: an argument is of a wrong type, ``upper`` without ``work`` or the other way round,
                or a single directory without ``upper``, which is a bind mount and no overlay.
        """
        mount = cls(kind="overlay", destination=dst, lowers=lowers, upper=upper, work=work, read_only=upper is None)
        if (upper is None) != (work is None):
            raise invalid("Mount.work", work, "upper and work together, or neither")
        if len(mount.lowers) < (2 if upper is None else 1):
            raise invalid("Mount.lowers", lowers, "two directories or more, or one with upper and work")
        return mount


def mounts(value: object, key: str) -> tuple[Mount, ...]:
    """Take a list of `Mount`."""
    some = items(value, key, "a list of Mount")
    for index, item in enumerate(some):
        if not isinstance(item, Mount):
            raise invalid(f"{key}[{index}]", item, "Mount.bind(), .tmpfs(), .volume() or .overlay()")
    return tuple(some)  # type: ignore[arg-type]  # checked above


def volumes(value: object, key: str) -> tuple[Mount, ...]:
    """Take docker's notation for bind mounts and volumes.

    ``{"/host": "/in[:OPTION,...]"}``, docker-py's ``{"/host": {"bind": "/in", "mode": "ro"}}``, or a list of
    ``"/host:/in[:OPTION,...]"``. Options: ``ro``, ``rw``, ``idmap`` and a propagation; docker's ``z`` and ``Z`` have
    nothing to do where there is no SELinux. A source without a slash or dot in front is the name of a volume.

    Raises:
        InvalidConfig: it is something else.
        Unsupported: files would have to get another SELinux label.
    """
    if isinstance(value, tuple) and all(isinstance(item, Mount) for item in value):
        return value
    result = []
    for where, source, target in pairs(value, key, "SOURCE:DIR[:ro]"):
        if isinstance(target, Mapping):
            if not target.keys() <= {"bind", "mode"} or "bind" not in target:
                raise invalid(where, target, "{'bind': PATH, 'mode': OPTIONS}")
            destination, words = target["bind"], text(target.get("mode", "rw"), where)
        else:
            destination, _, words = text(target, where).partition(":")
        try:
            result.append(_volume(text(source, where), destination, (words or "rw").split(",")))
        except InvalidConfig as error:
            error.path = where
            raise
    return tuple(result)


def _without_labels(words: list[str]) -> list[str]:
    """Take docker's wish for a label of the files away."""
    others = [word for word in words if word not in {"z", "Z"}]
    if others == words:
        return words
    from pycgroups.security import lsm  # few are asked for

    if lsm.has_selinux():
        raise Unsupported(
            "files are not labelled anew for SELinux",
            operation="option",
            path="volumes",
            hint="leave z and Z out: without selinux_label= a container has your label; with one, chcon(1) the files",
        )
    return others


def _volume(source: str, destination: Text, words: list[str]) -> Mount:
    words = _without_labels(words)
    propagations = [word for word in words if word in PROPAGATIONS]
    unknown = set(words) - {"ro", "rw", "idmap", *PROPAGATIONS}
    if unknown or len(propagations) > 1 or {"ro", "rw"} <= set(words):
        raise invalid("volumes", ",".join(words), f"ro or rw, idmap, and one of {', '.join(PROPAGATIONS)}")
    read_only = "ro" in words
    if source[:1] not in {"/", "."}:
        if "/" in source:
            raise invalid("volumes", source, f"a volume's name, or a path with / or ./ in front: './{source}'")
        if not {*words} <= {"ro", "rw"}:
            raise invalid("volumes", ",".join(words), "ro or rw, of a volume by its name")
        return Mount.volume(source, destination, read_only=read_only)
    propagation: Any = propagations[0] if propagations else "rprivate"
    return Mount.bind(source, destination, read_only=read_only, idmap="idmap" in words, propagation=propagation)
