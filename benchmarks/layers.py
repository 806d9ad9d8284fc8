"""What each layer of isolation adds to a start: the same start with it and without it, all in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from benchmarks import floor, ours
from benchmarks.timing import Row, interleave

if TYPE_CHECKING:
    from pathlib import Path

RULES = {"/bin": "rx", "/etc": "r", "/dev": "rw", "/proc": "r", "/tmp": "rw"}
BARE: dict[str, Any] = {"userns": "host", "seccomp": "unconfined", "no_new_privileges": False}
FLOOR, FLOOR_WITH_USERNS = "floor+OCI", "floor+OCI+userns"


@attrs.frozen(kw_only=True)
class Layer:
    """Options that add a layer to others.

    Attributes:
        name: of the layer.
        on: what adds it.
        below: what it is added to.
        target: what it may add, in milliseconds.
        floor: whether what it adds to the floor is taken off.
    """

    name: str
    on: dict[str, Any] = attrs.field(hash=False)
    below: dict[str, Any] = attrs.field(hash=False, factory=dict)
    target: float | None = None
    floor: bool = False


def layers(volume: Path) -> list[Layer]:
    """All that can be added by itself; ``volume`` is a directory to mount."""
    from pycgroups import Mount
    from pycgroups.namespaces.own import effective
    from pycgroups.security.capabilities import NUMBERS

    # Without CAP_MKNOD: where that is the host's, it comes with a cgroup of devices.
    own = [name for name, bit in NUMBERS.items() if effective() >> bit & 1 and name != "CAP_MKNOD"]
    bare = {**BARE, "caps_add": own}
    mapped = {**bare, "userns": "auto"}
    plain, idmapped = ({**mapped, "mounts": [Mount.bind(volume, "/mnt", idmap=idmap)]} for idmap in (False, True))
    confined = {"userns": "host", "seccomp": "unconfined"}
    return [
        Layer(name="capabilities and no_new_privs", on=confined, below=bare),
        Layer(name="seccomp, the default filter", on={**bare, "seccomp": "default"}, below=bare, target=0.15),
        Layer(name="user namespace", on=mapped, below=bare, target=0.4, floor=True),
        Layer(name="idmapped mount", on=idmapped, below=plain),
        Layer(name="Landlock, five rules", on={**confined, "landlock": RULES}, below=confined),
    ]


def measure(floor_program: Path, rootfs: Path, rounds: int) -> dict[str, Row]:
    """Rows with each layer, and without it."""
    contenders = [floor.contender(name, floor_program, rootfs) for name in (FLOOR, FLOOR_WITH_USERNS)]
    for layer in layers(rootfs):
        contenders.append(ours.contender(without(layer), rootfs, **layer.below))
        contenders.append(ours.contender(layer.name, rootfs, **layer.on))
    return interleave(contenders, rounds)


def without(layer: Layer) -> str:
    """Name the row that the layer is compared with."""
    return f"without {layer.name}"
