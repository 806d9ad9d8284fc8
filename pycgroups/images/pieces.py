"""What is done to a layer inside, in another process perhaps (`pycgroups.images.inside`): with paths, not descriptors.

All that it takes is imported here, at the top: the worker loads this module once, for all pieces.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing

from pycgroups.images.ahead import ahead
from pycgroups.images.compression import decompress
from pycgroups.images.digest import Digest, check
from pycgroups.images.files import PIECE, directory
from pycgroups.images.meter import metered
from pycgroups.images.settle import settle
from pycgroups.images.unpack import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pycgroups.images.unpack import LayerLimits, Owner, Unpacked


def unpack_file(  # noqa: PLR0917 (called by position)
    blob: str, media_type: str, tree: str, diff: str, limits: LayerLimits, owner: Owner, meter: str
) -> Unpacked:
    """Unpack a file with a layer into a new directory, and check what its tar hashes to.

    Args:
        blob: the file.
        media_type: what it is.
        tree: the directory.
        diff: the digest of the tar.
        limits: what it may hold.
        owner: see `pycgroups.images.unpack.unpack`.
        meter: the file that tells how much of the blob is read.
    """
    wanted = Digest.parse(diff)
    made = wanted.hash()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            made.update(chunk)
            yield chunk

    os.mkdir(tree, 0o755)
    with (
        directory(tree) as fd,
        open(blob, "rb", buffering=0) as file,
        closing(metered(_read(file.fileno()), meter)) as counted,
        ahead(hashed(decompress(counted, media_type))) as chunks,
    ):
        unpacked = unpack(chunks, fd, limits=limits, owner=owner)
    check(made.hexdigest(), wanted, operation="unpack", path=blob)
    return unpacked


def settle_tree(tree: str, below: Sequence[str], unpacked: Unpacked) -> None:
    """Settle a layer on those below, the topmost first."""
    with ExitStack() as opened:
        fds = [opened.enter_context(directory(path)) for path in below]
        settle(opened.enter_context(directory(tree)), fds, unpacked)


def _read(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, PIECE):
        yield piece
