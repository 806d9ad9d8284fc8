"""Device nodes for a container in a user namespace, which may make none itself; mknod(2).

They are made in the state directory, shown to the container by bind mounts, and stay as long as it: a container inside
could not bind again what has no name any more. Who has not the right to make them shows those of the host that have the
same path.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci.runtime_spec import IdMapping, Spec
    from pycgroups.runtime.state import Home

MODES = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}
"""The type of a file, by that of a device in config.json."""


def make(home: Home, spec: Spec) -> dict[str, str]:
    """Make all that a config.json asks for, as long as that is allowed: their paths, by those in the container."""
    linux, made = spec.linux, {}
    try:
        for number, device in enumerate(linux.devices):
            name = f"device{number}"
            mode = MODES[device.type] | (0o666 if device.file_mode is None else device.file_mode & 0o7777)
            os.mknod(name, mode, os.makedev(device.major or 0, device.minor or 0), dir_fd=home.fd)
            made[device.path] = f"{home.path}/{name}"
            os.chmod(name, mode & 0o7777, dir_fd=home.fd)  # whatever the umask
            owner = _outside(device.uid or 0, linux.uid_mappings), _outside(device.gid or 0, linux.gid_mappings)
            os.chown(name, *owner, dir_fd=home.fd)
    except PermissionError:
        pass
    return made


def _outside(id_: int, mappings: Iterable[IdMapping]) -> int:
    """Return what an id of the container is outside; -1, which changes nothing, for one that it has not."""
    for mapping in mappings:
        if 0 <= id_ - mapping.container_id < mapping.size:
            return mapping.host_id + id_ - mapping.container_id
    return -1
