"""Images that can be run: busybox, in layers whose every entry is told."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pycgroups as pc
from pycgroups.images.copying import copy
from pycgroups.images.reference import Reference
from tests.images import MADE, link

if TYPE_CHECKING:
    from pycgroups.images.collection import Images
    from pycgroups.images.image import Image
    from pycgroups.images.transport import Source

    Entry = tuple[tarfile.TarInfo, bytes]

BUSYBOX = Path("/bin/busybox").read_bytes()
NAME = "docker.io/library/box:1"


def entry(
    name: str, content: bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0, kind: bytes = tarfile.REGTYPE
) -> Entry:
    made = tarfile.TarInfo(name)
    made.mode, made.uid, made.gid, made.type, made.size, made.mtime = mode, uid, gid, kind, len(content), MADE
    return made, content


def layer(*entries: Entry) -> bytes:
    """Make the tar of a layer."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def directory(name: str, **options: Any) -> Entry:
    return entry(name, kind=tarfile.DIRTYPE, **{"mode": 0o755, **options})


def symlink(name: str, target: str) -> Entry:
    return link(name, target), b""


APPLETS = ("cat", "echo", "head", "id", "ls", "rm", "sh", "stat", "sleep", "touch", "true", "wc")
BASE = layer(
    *(directory(name) for name in ("bin", "dev", "etc", "proc", "sys", "tmp")),
    entry("bin/busybox", BUSYBOX, mode=0o755),
    *(symlink(f"bin/{applet}", "busybox") for applet in APPLETS),
    entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
    entry("etc/group", b"root:x:0:\napp:x:1000:\nmore:x:2000:app\n"),
    entry("etc/first", b"first\n"),
    entry("etc/both", b"lower\n"),
)
UPPER = layer(directory("etc"), entry("etc/both", b"upper\n"), entry("etc/.wh.first"), entry("etc/second", b"second\n"))


def put(images: Images, image: Source, name: str = NAME, **options: Any) -> Image:
    """Put an image into a store, under a name."""
    copy(image, images.store.destination(str(Reference.parse(name))), **options)
    return images.get(name)


def say(image: Image, script: str, **options: Any) -> str:
    """Run a script in a container of an image; what it said, errors too."""
    result = pc.run(["sh", "-c", script], image=image, text=True, stderr=pc.STDOUT, timeout=300, **options)
    return str(result.stdout).strip()
