"""Which of several platforms' images fits: Go's words for machines; image-index.md, "platform"."""

from __future__ import annotations

import os
import struct

from pycgroups.errors import ImageNotFound, invalid
from pycgroups.oci.image_spec import MANIFESTS, Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.image_spec import Descriptor, ImageConfig, Index

# uname(2)'s machine: GOARCH, and the variant where there are some.
_MACHINES = {
    "x86_64": ("amd64", None),
    "i386": ("386", None),
    "i686": ("386", None),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "ppc64le": ("ppc64le", None),
    "riscv64": ("riscv64", None),
    "s390x": ("s390x", None),
    "loongarch64": ("loong64", None),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "i386": "386", "aarch64": "arm64", "armhf": "arm", "armel": "arm"}
# fmt: off
# Those of Go, which a word alone is looked up in, as by containerd's platforms.Parse.
_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
    "openbsd", "plan9", "solaris", "wasip1", "windows", "zos",
})
_ARCHITECTURES = frozenset({
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc", "ppc64", "ppc64le",
    "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm",
})
# fmt: on
# The variant that is meant where none is said.
_USUAL = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


def host_platform() -> Platform:
    """Return the platform of this process; a 32-bit Python on a 64-bit kernel is 32-bit."""
    machine = os.uname().machine
    if struct.calcsize("P") == 4:  # noqa: PLR2004 (bytes of a pointer)
        machine = {"x86_64": "i686", "aarch64": "armv7l"}.get(machine, machine)
    architecture, variant = _MACHINES.get(machine, (machine, None))
    return Platform(os="linux", architecture=architecture, variant=variant)


def parse_platform(text: str | Platform | None, key: str = "platform") -> Platform:
    """Return the platform that is asked for.

    Args:
        text: ``os/arch[/variant]``; ``arch`` alone is of Linux, ``os`` alone of this machine's architecture.
            None is this machine's.
        key: the key path, for errors.

    Raises:
        InvalidConfig: it is none.
    """
    if text is None:
        return host_platform()
    if isinstance(text, Platform):
        return text
    parts = text.lower().split("/") if isinstance(text, str) else []
    if len(parts) == 1:
        return _of_word(parts[0], key)
    if len(parts) not in {2, 3} or not all(part and part.isascii() and part.isprintable() for part in parts):
        raise invalid(key, text, "os/architecture[/variant], such as 'linux/amd64'")
    variant = parts[2] if len(parts) > 2 else None  # noqa: PLR2004 (os, architecture)
    return Platform(os=parts[0], architecture=_ALIASES.get(parts[1], parts[1]), variant=variant)


def _of_word(word: str, key: str) -> Platform:
    """Return the platform that an operating system or an architecture alone stands for."""
    if word in _SYSTEMS:
        here = host_platform()
        return Platform(os=word, architecture=here.architecture, variant=here.variant)
    architecture = _ALIASES.get(word, word)
    if architecture in _ARCHITECTURES:
        return Platform(os="linux", architecture=architecture)
    raise invalid(key, word, "os/architecture[/variant], or one of both, such as 'linux' or 'arm64'")


def shown_platform(platform: Platform) -> str:
    """Write it as people do: ``linux/arm64/v8``."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def choose(index: Index, wanted: Platform, name: str) -> Descriptor:
    """Return the entry of an index that fits best: the same variant, or the highest one below it.

    Entries that are no images, as attestations (``unknown/unknown``), fit nobody.

    Args:
        index: with the manifests.
        wanted: the platform.
        name: what the index is of, for errors.

    Raises:
        ImageNotFound: none fits; says which there are.
    """
    fitting = [
        (_rank(wanted, entry.platform), entry)
        for entry in index.manifests
        if entry.platform is not None and entry.platform.os == wanted.os and _fits(wanted, entry.platform)
    ]
    if fitting:
        return max(fitting, key=lambda pair: pair[0])[1]
    untold = [entry for entry in index.manifests if entry.platform is None]
    if len(untold) == 1 and len(index.manifests) == 1:
        return untold[0]
    there = sorted({shown_platform(entry.platform) for entry in index.manifests if entry.platform is not None})
    raise ImageNotFound(
        f"has nothing for {shown_platform(wanted)}, only for {', '.join(there) or 'no platform'}",
        operation="choose platform",
        path=name,
        hint="platform= names another one; emulating it takes qemu-user and binfmt_misc",
    )


def check_platform(config: ImageConfig, wanted: Platform, name: str) -> None:
    """Refuse an image of another platform than the one that was asked for; a variant that it does not tell fits.

    Raises:
        ImageNotFound: it is of another one.
    """
    given = Platform(os=config.os, architecture=config.architecture, variant=config.variant or wanted.variant)
    if given.os != wanted.os or not _fits(wanted, given):
        own = shown_platform(Platform(os=config.os, architecture=config.architecture, variant=config.variant))
        raise ImageNotFound(
            f"is for {own}, and {shown_platform(wanted)} was asked for",
            operation="choose platform",
            path=name,
            hint=f"leave platform= out, or say {own}, to take it as it is",
        )


def _fits(wanted: Platform, given: Platform) -> bool:
    if given.architecture != wanted.architecture:
        return False
    return _level(given) <= _level(wanted)


def _rank(wanted: Platform, given: Platform) -> tuple[bool, int]:
    return given.variant == wanted.variant, _level(given)


def _level(platform: Platform) -> int:
    """Return the number of a variant: what runs v7 runs v6."""
    variant = platform.variant or _USUAL.get(platform.architecture, "")
    digits = variant.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0  # noqa: PLR2004


def is_image(entry: Descriptor) -> bool:
    """Tell whether an entry of an index is an image, and no index."""
    return entry.media_type in MANIFESTS
