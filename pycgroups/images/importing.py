"""``docker import``: a root file system, in a tar or a directory, becomes an image of one layer.

The same files, configuration and times make the same image: nothing is taken from the clock.
"""

from __future__ import annotations

import os

from pycgroups.errors import invalid
from pycgroups.images import changes as packed
from pycgroups.images.files import io_errors
from pycgroups.images.instructions import changed
from pycgroups.images.made import MadeSource, config_text, layer_in
from pycgroups.images.platforms import host_platform
from pycgroups.images.spool import LARGEST, plain_file, spooled
from pycgroups.images.tar_index import entries
from pycgroups.oci import image_spec as spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.images.spool import Origin
    from pycgroups.images.transport import Source


def source(
    origin: Origin,
    *,
    config: spec.ImageDefaults | None = None,
    changes: Sequence[str] = (),
    platform: spec.Platform | None = None,
    created: str | None = None,
    message: str | None = None,
    directory: str | None = None,
    largest: int = LARGEST,
) -> Source:
    """Return a root file system as an image of one layer, to be copied and then closed.

    Args:
        origin: the tar: a path, or a stream, which need not be able to seek; gzip, zstd, bzip2 and xz are unpacked.
            Or the path of a directory that nobody changes meanwhile: its files are taken with the owners that they
            have, without sockets.
        config: how the image is run by default; nothing is said by default.
        changes: instructions of a Dockerfile that change that; see `pycgroups.images.instructions.changed`.
        platform: which it is for; this machine's by default.
        created: when it was made, RFC 3339; not said by default.
        message: a comment in its history.
        directory: where a temporary file is made for what is compressed, a stream or a directory; by default that
            of `tempfile`.
        largest: bytes that the temporary file may take.

    Raises:
        ImageNotFound: there is no such file.
        ImageError: it is no tar, or a broken one; or a file in the directory cannot be read.
        InvalidConfig: a change or a time is none.
    """
    defaults = changed(config or spec.ImageDefaults(), changes)
    if created is not None:
        _check_time(created)
    fd, name = _tar(origin, directory, largest)
    try:
        for _ in entries(fd, name):  # a broken one is refused before anything is copied
            continue
        layer = layer_in(fd, name)
        platform = platform or host_platform()
        described = spec.ImageConfig(
            created=created,
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            config=defaults,
            rootfs=spec.RootFs(type="layers", diff_ids=(layer.descriptor.digest,)),
            history=(spec.History(created=created, created_by="import", comment=message),),
        )
        return MadeSource(name, config_text(described), [layer], lambda: os.close(fd))
    except BaseException:
        os.close(fd)
        raise


def _tar(origin: Origin, directory: str | None, largest: int) -> tuple[int, str]:
    """Return a descriptor of a file with an uncompressed tar in it, and its name."""
    if not isinstance(origin, str | os.PathLike) or not os.path.isdir(origin):
        return plain_file(origin, directory=directory, largest=largest)
    name = os.fspath(origin)
    with io_errors("open", name):
        root = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return spooled(packed.changes(root), name, directory, largest), name
    finally:
        os.close(root)


def _check_time(text: str) -> None:
    from datetime import datetime

    try:
        is_time = datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        is_time = False
    if not is_time:
        raise invalid("created", text, "a time as 2026-11-26T00:00:00Z")
