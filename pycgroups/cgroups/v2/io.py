"""Block devices on v2 (cgroup-v2.rst, "IO Interface Files")."""

from __future__ import annotations

from pycgroups.cgroups.convert import io_weight
from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci import resources as oci
    from pycgroups.oci.resources import Resources

_BFQ_WEIGHT = "io.bfq.weight"
_WEIGHT = "io.weight"
_MAX = "io.max"
_WEIGHING = "as root: modprobe bfq; or build the kernel with CONFIG_BLK_CGROUP_IOCOST"
_THROTTLING = "build the kernel with CONFIG_BLK_DEV_THROTTLING"


class Io(Controller):
    """io.max, io.weight (kernel 5.4), io.bfq.weight, io.stat.

    io.weight is obeyed by io.cost and io.bfq.weight by the BFQ scheduler, so a weight is written to both.
    """

    witness = "io.stat"
    needs: ClassVar = {
        "blockIO.weight": ((_WEIGHT, _BFQ_WEIGHT), _WEIGHING),
        "blockIO.weightDevice": ((_WEIGHT, _BFQ_WEIGHT), _WEIGHING),
        "blockIO.throttleReadBpsDevice": ((_MAX,), _THROTTLING),
        "blockIO.throttleWriteBpsDevice": ((_MAX,), _THROTTLING),
        "blockIO.throttleReadIOPSDevice": ((_MAX,), _THROTTLING),
        "blockIO.throttleWriteIOPSDevice": ((_MAX,), _THROTTLING),
    }

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write weights and throttles, a line per device."""
        io = resources.block_io
        if io is None:
            return
        if io.weight is not None:
            _write_weight(directory, "default", io.weight)
        for device in io.weight_device:
            if device.weight is not None:
                _write_weight(directory, f"{device.major}:{device.minor}", device.weight)
        for device_numbers, rates in _rates(io).items():
            _write(directory, _MAX, f"{device_numbers} {' '.join(rates)}")


def _write_weight(directory: Directory, which: str, weight: int) -> None:
    _write(directory, _BFQ_WEIGHT, f"{which} {weight}")
    _write(directory, _WEIGHT, f"{which} {io_weight(weight)}")


def _write(directory: Directory, name: str, value: str) -> None:
    """Write to a file that only some kernels have."""
    # Not `write_if_there`: ENODEV is here the answer for a disk that is not there.
    if directory.exists(name):
        directory.write(name, value)


def _rates(io: oci.BlockIo) -> dict[str, list[str]]:
    """Collect what io.max is to say of each device; OCI's 0 is no limit."""
    throttles = (
        ("rbps", io.throttle_read_bps_device),
        ("wbps", io.throttle_write_bps_device),
        ("riops", io.throttle_read_iops_device),
        ("wiops", io.throttle_write_iops_device),
    )
    result: dict[str, list[str]] = {}
    for word, devices in throttles:
        for each in devices:
            result.setdefault(f"{each.major}:{each.minor}", []).append(f"{word}={each.rate or 'max'}")
    return result
