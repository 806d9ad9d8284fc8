"""Images: layers unpacked, pulled from and pushed to a registry on this machine, and containers started from them.

The image is Debian with Python, of five layers. It is made once and kept in ``build/benchmark-images``. Stores are on a
tmpfs, and cold: every pull is into a new one.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks import ours
from benchmarks.timing import Contender, Row, interleave
from pycgroups.images.local import LocalSource
from tests.registry.debian import DockerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CACHE = Path(__file__).parents[1] / "build/benchmark-images"
LAYERS = 5
SMALL_FILES = 10_000
DEPTHS = (1, 20, 120)
KINDS = ("gzip", "zstd")
UNPACK, TAR = f"unpack {SMALL_FILES} small files", f"tar -x {SMALL_FILES} small files"
PUSH, SKOPEO = "push", "skopeo copy"
ROOTFS = "pc.run, a plain rootfs"
_COMPRESS = {"gzip": ["gzip", "-n6"], "zstd": ["zstd", "-q3"]}
_DEBIAN = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip,perl", "trixie"]
_PEAK = """
import sys
from pycgroups.images.collection import Images
images = Images(sys.argv[1])
images.pull(sys.argv[2])
images.close()
with open("/proc/self/status") as status:  # getrusage(2) has that of the parent, too
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def need(*programs: str) -> None:
    """Refuse to begin without them."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise FileNotFoundError(f"not installed: {', '.join(missing)}")


# -- what is unpacked -------------------------------------------------------------------------------------------------


def _kept(name: str, make: Callable[[Path], object]) -> Path:
    """Return a file of the cache; a half one never has its name."""
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"half-{name}")
        make(half)
        half.rename(path)
    return path


def debian() -> Path:
    """Return the tar of a Debian with Python."""

    def make(path: Path) -> None:
        need("mmdebstrap")
        subprocess.run([*_DEBIAN, path], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    return _kept("debian.tar", make)


def layers() -> list[Path]:
    """Return it in parts of about the same size."""
    paths = [CACHE / f"layer-{number}.tar" for number in range(LAYERS)]
    if not all(path.exists() for path in paths):
        whole = debian().read_bytes()
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            begins = [member.offset for member in archive]
            end = archive.offset
        cuts = [next(at for at in begins if at >= len(whole) * number // LAYERS) for number in range(LAYERS)]
        for path, begin, stop in zip(paths, cuts, [*cuts[1:], end], strict=True):
            part = whole[begin:stop].rstrip(b"\0") if stop == end else whole[begin:stop]
            part += bytes(-len(part) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
            _kept(path.name, lambda half, part=part: half.write_bytes(part))  # type: ignore[misc]
    return paths


def packed(kind: str) -> list[Path]:
    """Return its layers, compressed as other tools do it."""

    def make(layer: Path) -> Path:
        def pack(path: Path) -> None:
            with layer.open("rb") as source, path.open("wb") as to:
                subprocess.run(_COMPRESS[kind], stdin=source, stdout=to, check=True)

        return _kept(f"{layer.name}.{kind}", pack)

    need("zstd")
    return [make(layer) for layer in layers()]


def small_files(directory: Path) -> Path:
    """Make a tar of many small files, by GNU tar."""
    tree = directory / "small"
    for number in range(SMALL_FILES):
        path = tree / f"{number // 100}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content of one small file\n" * (number % 100))
    made = directory / "small.tar"
    subprocess.run(["tar", "-C", tree, "-cf", made, "."], check=True)
    shutil.rmtree(tree)
    return made


# -- an image in a registry -------------------------------------------------------------------------------------------


class Source(LocalSource):
    """An image of layers in files; a `pycgroups.images.transport.Source`."""

    name = "benchmark"

    def __init__(self, tars: list[Path], blobs: list[Path], media_type: str) -> None:
        """Describe it."""
        import json

        from pycgroups.oci import image_spec as spec

        rootfs = {"type": "layers", "diff_ids": [_digest(path.read_bytes()) for path in tars]}
        defaults = {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"]}
        document = {"architecture": "amd64", "os": "linux", "config": defaults, "rootfs": rootfs}
        config = json.dumps(document).encode()
        self._blobs: dict[str, Path | bytes] = {_digest(config): config}
        described = []
        for path in blobs:
            digest = _digest(path.read_bytes())
            self._blobs[digest] = path
            described.append({"mediaType": media_type, "digest": digest, "size": path.stat().st_size})
        top = {"mediaType": spec.CONFIG, "digest": _digest(config), "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": spec.MANIFEST, "config": top, "layers": described}
        self._text, self._media_type = json.dumps(manifest).encode(), spec.MANIFEST

    def manifest(self, digest: str | None = None) -> tuple[bytes, str]:  # noqa: ARG002 (there is one)
        """Return the only one."""
        return self._text, self._media_type

    def blob(self, blob: Any, start: int = 0) -> Iterator[bytes]:
        """Yield one."""
        found = self._blobs[blob.digest]
        yield (found if isinstance(found, bytes) else found.read_bytes())[start:]

    def close(self) -> None:
        """Let go of nothing."""


def _digest(data: bytes) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@attrs.frozen(kw_only=True)
class Place:
    """Where images are.

    Attributes:
        directory: on a tmpfs, for stores.
        domain: of the registry.
    """

    directory: Path
    domain: str

    def name(self, kind: str) -> str:
        """Name the image there."""
        return f"{self.domain}/debian:{kind}"


@contextmanager
def place() -> Iterator[Place]:
    """Start a registry with both images."""
    from pycgroups.images import transports
    from pycgroups.images.copying import copy
    from pycgroups.images.reference import Location
    from pycgroups.oci import image_spec as spec

    need("docker-registry")
    media_types = {"gzip": spec.LAYER_GZIP, "zstd": spec.LAYER_ZSTD}
    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-", dir="/dev/shm") as directory:
        registry = Path(directory, "registry")
        registry.mkdir()
        with DockerRegistry(registry) as served:
            made = Place(directory=Path(directory), domain=served.domain)
            for kind in KINDS:
                to = transports.destination(Location("docker", "", made.name(kind)), None)
                copy(Source(layers(), packed(kind), media_types[kind]), to)
            yield made


# -- contenders -------------------------------------------------------------------------------------------------------


def once(
    name: str,
    kind: str,
    directory: Path,
    action: Callable[[Any], object],
    *,
    around: Callable[[Path], AbstractContextManager[Any]] = nullcontext,
    note: str = "",
) -> Contender:
    """Make a contender that gets a new directory each time, or what is made of it; making and removing take no time."""
    import time

    from pycgroups.images.removing import remove

    def batch(count: int) -> list[float]:
        times = []
        for _ in range(count):
            work = Path(tempfile.mkdtemp(dir=directory))
            try:
                with around(work) as given:
                    begin = time.perf_counter()
                    action(given)
                    times.append(time.perf_counter() - begin)
            finally:
                remove(os.fspath(work))
        return times

    return Contender(name=name, kind=kind, batch=batch, note=note)


def unpacking(directory: Path) -> list[Contender]:
    """Many small files, by us and by GNU tar."""
    from pycgroups.images.unpack import unpack

    made = small_files(directory)

    def own(work: Path) -> None:
        fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with made.open("rb", buffering=0) as file:
                unpack(iter(lambda: file.read(2**18), b""), fd)
        finally:
            os.close(fd)

    def tar(work: Path) -> None:
        subprocess.run(["tar", "-C", work, "-xpf", made], check=True)

    return [once(UNPACK, "ours", directory, own), once(TAR, "peer", directory, tar)]


def pulling(kind: str, program: str = "pycgroups") -> str:
    """Name the row of a pull."""
    return f"{program} pull, {kind}"


def pipeline(kind: str) -> str:
    """Name the row of the programs that do what a pull cannot do without."""
    return f"decompress | sha256sum | tar, {kind}"


def pulls(at: Place, kind: str) -> list[Contender]:
    """A pull into a cold store: by us, by podman, and by a pipeline of three programs."""

    def pull(work: Path) -> None:
        from pycgroups.images.collection import Images

        images = Images(work / "store")
        images.pull(at.name(kind))
        images.close()

    def podman(work: Path) -> None:
        need("podman")
        _quietly(*_podman(work), "pull", "--tls-verify=false", at.name(kind))

    def floor(work: Path) -> None:
        need("igzip")
        unpack = "igzip -dc" if kind == "gzip" else "zstd -dc"
        for path in packed(kind):
            script = f"{unpack} < {shlex.quote(str(path))} | tee >(sha256sum >&2) | tar -xp -C {shlex.quote(str(work))}"
            _quietly("bash", "-o", "pipefail", "-c", script)

    return [
        once(pulling(kind), "ours", at.directory, pull),
        once(pulling(kind, "podman"), "peer", at.directory, podman),
        once(pipeline(kind), "floor", at.directory, floor, note="no network, no hash of blobs"),
    ]


def pushes(at: Place) -> list[Contender]:
    """A push into an empty registry, a new one each time: nothing can be taken from another repository of it."""
    from pycgroups.images.collection import Images

    source = at.directory / "pushed"

    @contextmanager
    def registry(work: Path) -> Iterator[str]:
        with DockerRegistry(work) as served:
            yield f"{served.domain}/debian:1"

    def push(to: str) -> None:
        images = Images(source)
        images.push(at.name("gzip"), to)
        images.close()

    def skopeo(to: str) -> None:
        need("skopeo")
        layout = f"oci:{source}/images:{at.name('gzip')}"
        _quietly("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", layout, f"docker://{to}")

    images = Images(source)
    images.pull(at.name("gzip"))
    images.close()
    return [
        once(PUSH, "ours", at.directory, push, around=registry),
        once(SKOPEO, "peer", at.directory, skopeo, around=registry),
    ]


def _podman(work: Path) -> list[str]:
    return [
        "podman",
        f"--root={work}/root",
        f"--runroot={work}/run",
        f"--tmpdir={work}/tmp",
        "--storage-driver=overlay",
    ]


def _quietly(*words: str | Path) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def peak(at: Place, kind: str) -> float:
    """Return the most memory that a process with one pull has, in MiB."""
    with tempfile.TemporaryDirectory(dir=at.directory) as work:
        command = [sys.executable, "-c", _PEAK, f"{work}/store", at.name(kind)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) / 1024


# -- starts -----------------------------------------------------------------------------------------------------------


def starting(count: int) -> str:
    """Name the row of a start from an image with so many layers."""
    return f"pc.run, image of {count} layers"


@contextmanager
def starts(rootfs: Path) -> Iterator[list[Contender]]:
    """Containers of images of busybox with empty layers on top, and of the same root file system in a directory."""
    from pycgroups.images.collection import Images
    from pycgroups.images.copying import copy
    from pycgroups.oci import image_spec as spec

    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-", dir="/dev/shm") as directory:
        work = Path(directory)
        base = work / "0.tar"
        subprocess.run(["tar", "-C", rootfs, "-cf", base, "."], check=True)
        tars = [base]
        for number in range(1, max(DEPTHS)):
            tars.append(work / f"{number}.tar")
            with tarfile.open(tars[-1], "w") as archive:
                archive.addfile(tarfile.TarInfo(f"etc/of-layer-{number}"))
        images = Images(work / "store")
        contenders = [ours.contender(ROOTFS, rootfs, userns="host")]
        for count in DEPTHS:
            name = f"localhost/depth:{count}"
            copy(Source(tars[:count], tars[:count], spec.LAYER), images.store.destination(name))
            contenders.append(ours.contender(starting(count), None, image=images.get(name), userns="host"))
        yield contenders
        images.prune(all=True)
        images.close()


def measure_unpacking(rounds: int) -> dict[str, Row]:
    """Rows of unpacking."""
    with tempfile.TemporaryDirectory(prefix="pycgroups-bench-", dir="/dev/shm") as directory:
        return interleave(unpacking(Path(directory)), rounds)


def measure_copies(at: Place, rounds: int) -> dict[str, Row]:
    """Rows of pulls and pushes."""
    contenders = [contender for kind in KINDS for contender in pulls(at, kind)]
    return interleave([*contenders, *pushes(at)], rounds)


def measure_starts(rootfs: Path, rounds: int) -> dict[str, Row]:
    """Rows of starts."""
    with starts(rootfs) as contenders:
        return interleave(contenders, rounds)
