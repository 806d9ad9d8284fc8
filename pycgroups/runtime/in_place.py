"""Containers without a mount namespace of their own: what they see mounted is mounted in that of their creator.

Their root is bound over itself there, all their mounts are in that, and their process changes to it by chroot(2), as
with runc. It goes with the container, which there it does not.
"""

from __future__ import annotations

import os

from pycgroups._native import vfs
from pycgroups.cgroups.files import read_path
from pycgroups.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import evolve

    from pycgroups.oci.runtime_spec import Spec
else:
    from pycgroups.frozen import evolve

_NAMESPACE = "/proc/self/ns/mnt"
_MOST = 8  # the root, and what took layers of overlays on their way into it


def spec_in_place(spec: Spec) -> Spec:
    """Return the Spec without a mount namespace that is the caller's own.

    Raises:
        Unsupported: nor has it the rights to mount anything there.
    """
    linux = spec.linux
    if any(space.type == "user" for space in linux.namespaces):
        raise Unsupported(
            "a container in a user namespace has no right to mount anything in the mount namespace of its creator",
            operation="option",
            path="linux.namespaces",
            hint='add {"type": "mount"}',
        )
    spaces = tuple(space for space in linux.namespaces if space.type != "mount")
    return evolve(spec, linux=evolve(linux, namespaces=spaces))


def place(rootfs: str) -> tuple[str, ...]:
    """Say where its root will be mounted, and what tells later that it still is."""
    path = os.path.realpath(rootfs)
    return path, _mount_at(path), *_here()


def clear(mounted: tuple[str, ...]) -> None:
    """Unmount the root, and all that is in it, if it is mounted; of what `place` has said."""
    path, below, *there = mounted
    if there != _here():  # another boot, or another mount namespace, where it is not
        return
    for _ in range(_MOST):
        if _mount_at(path) in {below, ""} or vfs.unbind(path) < 0:
            return


def _here() -> list[str]:
    return [os.readlink(_NAMESPACE), read_path("/proc/sys/kernel/random/boot_id").strip()]


def _mount_at(path: str) -> str:
    """Return the id of the mount that is to be seen at a directory, if that is there; proc_pid_fdinfo(5), "mnt_id"."""
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        lines = read_path(f"/proc/self/fdinfo/{fd}").splitlines()
    finally:
        os.close(fd)
    return next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
