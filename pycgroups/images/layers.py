"""Unpacked layers: what overlayfs mounts. They are shared by all images that begin alike.

    layers/HEX/diff/        the tree, in overlayfs's form: a whiteout is a device 0:0
    layers/HEX/layer.json   what it is made of
    tmp/layer-HEX/          one being made; who makes it holds the lock tmp/layer-HEX.lock: in it is how far it is

HEX is of the chain id: image-spec, config.md, "Layer ChainID". By it, and not by the layer's own digest, since what a
layer means can depend on those below: a path that leads through a link of theirs, a hard link to a file of theirs.

Layers are unpacked side by side, and settled (`pycgroups.images.settle`) in their order. An ordinary user with
subordinate ids does all that in a user namespace, where the layer's ids are.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext

from pycgroups.errors import ImageError, InvalidConfig
from pycgroups.images.digest import Digest
from pycgroups.images.events import Ended, Started
from pycgroups.images.files import NO_FILE, directory, io_errors
from pycgroups.images.locks import Lock
from pycgroups.images.removing import remove_all
from pycgroups.images.writing import read_file, replace
from pycgroups.oci.json_text import dumps, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from functools import lru_cache
    from typing import NamedTuple

    from pycgroups.images.events import Outcome, Progress
    from pycgroups.images.inside import Inside
    from pycgroups.images.unpack import LayerLimits, Owner, Unpacked
    from pycgroups.oci.image_spec import Descriptor
else:
    from pycgroups.caches import lru_cache
    from pycgroups.records import NamedTuple

_LARGEST_RECORD = 2**16
_COARSEST = 2 * 10**9  # nanoseconds that a file system may take for one: two changes can have the same time
TREE = "diff"
RECORD = "layer.json"


class Layer(NamedTuple):
    """One unpacked layer.

    Attributes:
        chain: its chain id.
        parent: that of the layer below, or None.
        diff: the digest of its tar.
        size: bytes of its files.
        entries: how many files, directories and others it has.
    """

    chain: Digest
    parent: Digest | None
    diff: Digest
    size: int
    entries: int


def chain_ids(diffs: Sequence[Digest]) -> list[Digest]:
    """Return the chain ids of layers, the lowest first."""
    chains: list[Digest] = []
    for diff in diffs:
        chains.append(Digest.of(f"{chains[-1]} {diff}".encode()) if chains else diff)
    return chains


@lru_cache(maxsize=64)
def chains_of(diff_ids: tuple[str, ...]) -> tuple[Digest, ...]:
    """Return the chain ids of the layers of a configuration, which never change, the lowest first.

    Raises:
        InvalidConfig: one is no digest.
    """
    return tuple(chain_ids([Digest.parse(diff) for diff in diff_ids]))


@lru_cache(maxsize=64)
def _trees(root: str, chains: tuple[Digest, ...]) -> tuple[str, ...]:
    return tuple(f"{root}/{_name(chain)}" for chain in chains)


def _have(root: str, chains: tuple[Digest, ...]) -> bool:
    return all(map(os.path.exists, _trees(root, chains)))


@lru_cache(maxsize=64)
def _have_since(root: str, chains: tuple[Digest, ...], _inode: int, _changed: int) -> bool:
    return _have(root, chains)


@lru_cache(maxsize=64)
def _below_root(chains: tuple[Digest, ...]) -> tuple[str, ...]:
    return tuple(f"{_name(chain)}/{TREE}" for chain in reversed(chains))


class Layers:
    """The unpacked layers of one store."""

    def __init__(self, root: str, tmp: str, inside: Inside, *, label: str = "") -> None:
        """Take the directories, which are there.

        Args:
            root: of the layers.
            tmp: where they are while they are made; on the same file system.
            inside: how to work on files that have ids of containers.
            label: tells them in ``tmp`` from the store's others.
        """
        self.label = label
        self.root = root
        self.tmp = tmp
        self.inside = inside

    def path(self, chain: Digest) -> str:
        """Return where a layer's tree is, or would be."""
        return f"{self.root}/{_name(chain)}/{TREE}"

    def has(self, chain: Digest) -> bool:
        """Tell whether a layer is here; it is whole then."""
        return os.path.isdir(f"{self.root}/{_name(chain)}")

    @staticmethod
    def below_root(chains: tuple[Digest, ...]) -> tuple[str, ...]:
        """Return the paths of layers' trees in the root, the topmost first."""
        return _below_root(chains)

    def have(self, chains: tuple[Digest, ...]) -> bool:
        """Tell whether all of these layers are here.

        A layer that comes or goes changes the time of the directory. While that stays as it was, so does the answer: to
        ask for each of a hundred layers takes a fifth of a millisecond and more.
        """
        try:
            found = os.stat(self.root)
        except FileNotFoundError:  # for another map of ids than the usual one
            return False
        if time.time_ns() - found.st_mtime_ns < _COARSEST:
            return _have(self.root, chains)
        return _have_since(self.root, chains, found.st_ino, found.st_mtime_ns)

    def find(self, chain: Digest) -> Layer | None:
        """Return what is known of a layer, or None when it is not here.

        Raises:
            ImageError: its record is damaged.
        """
        try:
            return _read_record(f"{self.root}/{_name(chain)}", chain)
        except ImageError:
            if self.has(chain):
                raise
            return None  # it may just have been removed, by others

    def all(self) -> list[Layer]:
        """Return the layers that are here; damaged ones are passed over."""
        found = []
        for name in sorted(os.listdir(self.root)):
            try:
                found.append(_read_record(f"{self.root}/{name}", _chain(name)))
            except (ImageError, InvalidConfig):
                continue
        return found

    def chains(self) -> set[Digest]:
        """Return the chain ids of the layers that are here, damaged ones, too."""
        return {chain for chain in map(self.named, os.listdir(self.root)) if chain is not None}

    @staticmethod
    def named(name: str) -> Digest | None:
        """Return the chain id that a directory here is of, or None when it is none's name."""
        try:
            return _chain(name)
        except InvalidConfig:
            return None

    def discard(self, name: str) -> bool:
        """Remove a damaged layer by the label, and its directory's name or its chain id; tell whether it was there."""
        own = name.removeprefix(self.label).removeprefix("sha256:").replace(":", "-")
        place, gone = f"{self.root}/{own}", f"{self.tmp}/gone-{self.label}{own}"
        if not name.startswith(self.label) or "/" in own or own in {"", ".", ".."} or not os.path.lexists(place):
            return False
        self.clear(gone)
        os.rename(place, gone)
        self.clear(gone)
        return True

    @io_errors("use layer")
    def use(self, chain: Digest) -> Lock:
        """Hold a layer, and so those below it, until the lock is released: it is not removed meanwhile.

        Raises:
            ImageError: it is not here.
        """
        lock = Lock(f"{self.root}/{_name(chain)}/{RECORD}", shared=True)
        try:
            lock.take()
        except FileNotFoundError as error:
            raise ImageError("no such layer", operation="open", path=lock.path, errno=error.errno) from None
        return lock

    def clear(self, *places: str) -> None:
        """Remove what is at some paths; where nothing is, which is usual, nobody has to go inside."""
        there = [place for place in places if os.path.lexists(place)]
        if there:
            self.inside(remove_all, there)

    # -- making -------------------------------------------------------------------------------------------------

    def unpack(
        self,
        chain: Digest,
        diff: Digest,
        packed: Descriptor,
        blob: str,
        *,
        limits: LayerLimits,
        progress: Progress | None = None,
        wait: bool = True,
    ) -> Making | None:
        """Unpack a layer; None when it is here already. It is not yet there for others: `Making.settle`.

        Args:
            chain: its chain id.
            diff: the digest that its tar must have.
            packed: the layer as its image has it.
            blob: the file with that, whose digest was checked.
            limits: what it may hold.
            progress: is told of it.
            wait: for another process that is at the same; otherwise the answer is None, too.

        Raises:
            ImageError: it is no layer; nothing of it is left.
            DigestMismatch: its tar is another one; likewise.
        """
        from pycgroups.images.meter import told

        lock = Lock(f"{self.tmp}/layer-{self.label}{_name(chain)}.lock")
        if not lock.take(wait=wait):
            return None
        outcome: Outcome = "failed"
        tell: Progress = progress or (lambda _event: None)
        tell(Started("unpack", packed.digest, packed.size))
        try:
            if self.has(chain):
                outcome = "there"
                return None
            place = f"{self.tmp}/layer-{self.label}{_name(chain)}"
            self.clear(place)
            os.mkdir(place, 0o700)
            from pycgroups.images import pieces  # who unpacks nothing need not wait for it

            owner: Owner = "kept" if self.inside.has_all_ids else "caller"
            work = blob, packed.media_type, f"{place}/{TREE}", str(diff), limits, owner, lock.path
            try:
                with told("unpack", packed.digest, lock.path, tell) if progress is not None else nullcontext():
                    unpacked = self.inside(pieces.unpack_file, *work)
            except BaseException as error:
                self.clear(place)
                if isinstance(error, ImageError) and error.path != blob:
                    raise ImageError(str(error), operation="unpack", path=blob) from error
                raise
            outcome = "done"
            return Making(self, place, chain, diff, unpacked, lock)
        finally:
            tell(Ended("unpack", packed.digest, outcome))
            if outcome != "done":
                lock.release()

    def take_away(self, chain: Digest) -> str | None:
        """Take away a layer that nothing is above of, unless somebody uses it.

        It is gone at once for who looks for it, and what a crash leaves of it is found in ``tmp``.

        Returns:
            Where it is now, for `clear`; None when it is used.
        """
        place = f"{self.root}/{_name(chain)}"
        lock = Lock(f"{place}/{RECORD}")
        try:
            if not lock.take(wait=False):
                return None
        except OSError as error:
            if error.errno not in NO_FILE:  # nobody can hold what is no file
                raise
        try:
            gone = f"{self.tmp}/gone-{self.label}{_name(chain)}"
            self.clear(gone)
            os.rename(place, gone)
        finally:
            lock.release()
        return gone


class Making:
    """A layer that is unpacked, and not yet what it will be: `settle` it, or `give_up`."""

    def __init__(  # noqa: PLR0917 (made in one place)
        self, layers: Layers, place: str, chain: Digest, diff: Digest, unpacked: Unpacked, lock: Lock
    ) -> None:
        """Take it over, with its lock."""
        self._layers = layers
        self._place = place
        self._chain = chain
        self._diff = diff
        self._unpacked = unpacked
        self._lock = lock

    def settle(self, lower: Sequence[Digest]) -> None:
        """Put it where it belongs, on top of the layers below, the lowest first, which are there.

        Raises:
            ImageError: what it refers to below is not there; nothing of it is left.
        """
        layers, unpacked = self._layers, self._unpacked
        try:
            if unpacked.missing_links or (lower and (unpacked.implied or unpacked.opaque_root)):
                from pycgroups.images import pieces

                below = [layers.path(chain) for chain in reversed(lower)]
                layers.inside(pieces.settle_tree, f"{self._place}/{TREE}", below, unpacked)
            record = {
                "chainID": str(self._chain),
                "parent": str(lower[-1]) if lower else None,
                "diffID": str(self._diff),
                "size": unpacked.size,
                "entries": unpacked.entries,
            }
            with directory(self._place) as fd:
                replace(RECORD, dumps(record).encode(), dir_fd=fd)
                layers.inside.sync(fd)
            os.rename(self._place, f"{layers.root}/{_name(self._chain)}")
        except BaseException:
            self.give_up()
            raise
        self._lock.release()

    def give_up(self) -> None:
        """Take it away."""
        try:
            self._layers.clear(self._place)
        finally:
            self._lock.release()


# -- small parts ------------------------------------------------------------------------------------------------------


def _name(chain: Digest) -> str:
    return chain.encoded if chain.algorithm == "sha256" else f"{chain.algorithm}-{chain.encoded}"


def _chain(name: str) -> Digest:
    algorithm, _, encoded = name.rpartition("-")
    return Digest.parse(f"{algorithm or 'sha256'}:{encoded}", "layer")


def _read_record(place: str, chain: Digest) -> Layer:
    try:
        with directory(place) as fd:
            text = read_file(RECORD, dir_fd=fd, most=_LARGEST_RECORD)
        if text is None:
            raise ImageError("has no record", operation="read layer", path=place)
        record = parse(text, RECORD)
        return Layer(
            chain=chain,
            parent=None if record["parent"] is None else Digest.parse(record["parent"]),
            diff=Digest.parse(record["diffID"]),
            size=int(record["size"]),
            entries=int(record["entries"]),
        )
    except FileNotFoundError as error:
        raise ImageError("no such layer", operation="read layer", path=place, errno=error.errno) from None
    except (InvalidConfig, LookupError, TypeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_FILE:
            raise  # it may be whole, and cannot be read now
        raise ImageError(f"its record is damaged: {error}", operation="read layer", path=place) from error
