"""Block devices on v1, where the controller is called blkio (cgroup-v1/blkio-controller.rst, bfq-iosched.rst)."""

from __future__ import annotations

from pycgroups.cgroups.manager import Controller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources

_WEIGHTS = ("blkio.bfq.weight", "blkio.weight")  # of BFQ, and of CFQ before Linux 5.0
_DEVICE_WEIGHTS = ("blkio.bfq.weight_device", "blkio.weight_device")  # the former since 5.4
_READ_BPS, _WRITE_BPS = "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"
_READ_IOPS, _WRITE_IOPS = "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"
_BFQ = "as root: modprobe bfq, and make it the scheduler of a disk"
_THROTTLING = "build the kernel with CONFIG_BLK_DEV_THROTTLING"


class Io(Controller):
    """blkio.bfq.weight, blkio.bfq.weight_device, blkio.throttle.*_device."""

    witness = "blkio.reset_stats"
    needs: ClassVar = {
        "blockIO.weight": (_WEIGHTS, _BFQ),
        "blockIO.weightDevice": (_DEVICE_WEIGHTS, _BFQ),
        "blockIO.throttleReadBpsDevice": ((_READ_BPS,), _THROTTLING),
        "blockIO.throttleWriteBpsDevice": ((_WRITE_BPS,), _THROTTLING),
        "blockIO.throttleReadIOPSDevice": ((_READ_IOPS,), _THROTTLING),
        "blockIO.throttleWriteIOPSDevice": ((_WRITE_IOPS,), _THROTTLING),
    }

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write weights and throttles, a line per device; 0 bytes or operations are no limit."""
        io = resources.block_io
        if io is None:
            return
        if io.weight is not None:
            _write_first(directory, _WEIGHTS, str(io.weight))
        for device in io.weight_device:
            if device.weight is not None:
                _write_first(directory, _DEVICE_WEIGHTS, f"{device.major}:{device.minor} {device.weight}")
        throttles = (
            (_READ_BPS, io.throttle_read_bps_device),
            (_WRITE_BPS, io.throttle_write_bps_device),
            (_READ_IOPS, io.throttle_read_iops_device),
            (_WRITE_IOPS, io.throttle_write_iops_device),
        )
        for name, devices in throttles:
            for each in devices:
                _write_first(directory, (name,), f"{each.major}:{each.minor} {each.rate}")


def _write_first(directory: Directory, names: tuple[str, ...], value: str) -> None:
    """Write to the first of some files that is there."""
    # Not `write_if_there`: ENODEV is here the answer for a disk that is not there.
    name = next(filter(directory.exists, names), None)
    if name is not None:
        directory.write(name, value)
