"""Decompress and compress: layers with gzip (RFC 1952) and zstd (RFC 8878), archives around them with bzip2 and xz too.

ISA-L, where its package is installed, is two to four times as fast as zlib. Its output is larger, and not zlib's: a
layer that is compressed again has another digest, whoever does it.

zstd:chunked and eStargz are zstd and gzip of several frames and members, with tables of their own in between that are
skipped, or are files of the archive.
"""

from __future__ import annotations

import zlib

from pycgroups.errors import ImageError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal, Protocol

    Kind = Literal["gzip", "zstd"]
    # Of layers, and of files that people compress themselves.
    AnyKind = Kind | Literal["bzip2", "xz"]

    class Decompressor(Protocol):
        """One member or frame, as the class in bz2 does it."""

        @property
        def eof(self) -> bool: ...  # noqa: D102
        @property
        def needs_input(self) -> bool: ...  # noqa: D102
        @property
        def unused_data(self) -> bytes: ...  # noqa: D102

        def decompress(self, data: bytes, max_length: int, /) -> bytes: ...  # noqa: D102

    class Compressor(Protocol):
        """As zlib's."""

        def compress(self, data: bytes, /) -> bytes: ...  # noqa: D102
        def flush(self) -> bytes: ...  # noqa: D102

    # Makes what decompresses one member, and what that raises.
    Maker = tuple[Callable[[], Decompressor], type[Exception]]
else:
    Protocol = object

_MAGIC: dict[AnyKind, bytes] = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
}
_SKIPPABLE = b"\x2a\x4d\x18"
"Ends the magic number of a zstd frame that is skipped; its first byte is 0x50 to 0x5f."
_LONGEST_MAGIC = 6
_PIECE = 2**18
_GZIP_WINDOW = 31  # zlib's largest, and gzip's header
_LEVELS: dict[Kind, int] = {"gzip": 2, "zstd": 3}


def kind_of(media_type: str) -> Kind | None:
    """Return how a layer of a media type is compressed, None when it is not.

    Raises:
        ImageError: it is no layer of an image.
    """
    if media_type.endswith((".tar", ".tar+gzip", ".tar+zstd", ".tar.gzip", ".tar.zstd")) and ".image." in media_type:
        kinds: tuple[Kind, ...] = ("gzip", "zstd")
        return next((kind for kind in kinds if media_type.endswith(kind)), None)
    raise ImageError(f"a layer of the unknown media type {media_type!r}", operation="decompress")


def decompress(chunks: Iterator[bytes], media_type: str) -> Iterator[bytes]:
    """Yield a layer's tar.

    Memory is bounded, whatever is in it: pieces of 256 KiB, and what zstd's window takes, at most 128 MiB.

    Args:
        chunks: the layer, in pieces of any size.
        media_type: says how it is compressed.

    Raises:
        ImageError: it is not what the media type says, is damaged, cut off, or followed by something else.
        Unsupported: zstd, and there is no package for it.
    """
    kind = kind_of(media_type)
    head, chunks = _begun(chunks)
    found = found_in(head)
    if found != kind:
        raise ImageError(
            f"is {found or 'not compressed'}, and of the media type {media_type!r}", operation="decompress"
        )
    if kind is None:
        return _plain(head, chunks)
    return _members(head, chunks, kind, _DECOMPRESSORS[kind]())


def expand(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what was compressed in any way, by what it begins with; what is not compressed as it is.

    Zeros after the end are padding, as they are to gzip(1) and tar(1).

    Args:
        chunks: the bytes, in pieces of any size.

    Raises:
        ImageError: it is damaged, cut off, or followed by something else.
        Unsupported: zstd, and there is no package for it.
    """
    head, chunks = _begun(chunks)
    kind = found_in(head)
    if kind is None:
        return _plain(head, chunks)
    return _members(head, chunks, kind, _DECOMPRESSORS[kind](), padded=True)


def _begun(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, enough to tell what they are, and the rest."""
    chunks = iter(chunks)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _LONGEST_MAGIC:
            break
    return head, chunks


def found_in(head: bytes) -> AnyKind | None:
    """Return how what begins with these bytes is compressed, None when it is not."""
    if head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F:  # noqa: PLR2004
        return "zstd"
    return next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)


def _plain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


def _members(
    data: bytes, chunks: Iterator[bytes], kind: AnyKind, new: Maker, *, padded: bool = False
) -> Iterator[bytes]:
    """Decompress one member or frame after the other."""
    make, error = new
    try:
        while True:
            one = make()
            while not one.eof:
                piece = one.decompress(data, _PIECE)
                data = b""
                if piece:
                    yield piece
                if one.needs_input and not one.eof:
                    data = _next(chunks)
                    if not data:
                        raise ImageError(f"this {kind} is cut off", operation="decompress")
            data = one.unused_data.lstrip(b"\0" if padded else b"")
            while len(data) < _LONGEST_MAGIC and (more := _next(chunks)):
                data = (data + more).lstrip(b"\0" if padded else b"")
            if not data:
                return
            if found_in(data) != kind:
                raise ImageError(f"something that is no {kind} follows", operation="decompress")
    except error as caught:
        raise ImageError(f"damaged {kind}: {caught}", operation="decompress") from caught


def _next(chunks: Iterator[bytes]) -> bytes:
    """Return the next chunk that has something in it; empty at the end."""
    return next(filter(None, chunks), b"")


def _gzip() -> Maker:
    try:
        from isal import igzip_lib
    except ImportError:
        return _Inflate, zlib.error
    module: Any = igzip_lib
    return (lambda: module.IgzipDecompressor(flag=module.DECOMP_GZIP)), module.error


def _zstd() -> Maker:
    module = zstd()
    return module.ZstdDecompressor, module.ZstdError


def _bzip2() -> Maker:
    import bz2

    return bz2.BZ2Decompressor, OSError


def _xz() -> Maker:
    import lzma

    # What xz(1) itself needs to unpack what its strongest level made.
    return (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, 2**27)), lzma.LZMAError


_DECOMPRESSORS: dict[AnyKind, Callable[[], Maker]] = {"gzip": _gzip, "zstd": _zstd, "bzip2": _bzip2, "xz": _xz}


class _Inflate:
    """zlib's, with the attributes of the others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


def zstd() -> Any:
    """Import a module for zstd: Python's own from 3.14 on.

    Raises:
        Unsupported: there is none.
    """
    try:
        from compression import zstd as module  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports import zstd as module
        except ImportError:
            hint = "pip install 'pycgroups[images]'"
            raise Unsupported("there is no package for zstd", operation="import", hint=hint) from None
    return module


def compressor(kind: Kind | None, level: int | None = None) -> Compressor:
    """Make what compresses a stream.

    Args:
        kind: ``"gzip"``, ``"zstd"``, or None: it stays as it is.
        level: of compression; by default a fast one, 2 of gzip and 3 of zstd. gzip has 0 to 3 with ISA-L, which takes
            higher ones for 3.

    Raises:
        Unsupported: zstd, and there is no package for it.
    """
    if kind is None:
        return _Plain()
    level = _LEVELS[kind] if level is None else level
    if kind == "zstd":
        made: Compressor = zstd().ZstdCompressor(level=level)
        return made
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)
    return isal_zlib.compressobj(min(level, isal_zlib.ISAL_BEST_COMPRESSION), zlib.DEFLATED, _GZIP_WINDOW)


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""
