"""Containers without a mount namespace of their own: what they see mounted is mounted in that of their creator.

Their root is bound over itself there, all their mounts are in that, and their process changes to it by chroot(2), as
with runc. It goes with the container, which there it does not.
"""

from __future__ import annotations

import os

from pycgroups._native import vfs
from pycgroups.cgroups.files import read_path
from pycgroups.errors import Error, InvalidConfig, StateError, Unsupported
from pycgroups.runtime.plan import SCRATCH_SOURCE
from pycgroups.runtime.state import Home, ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from attrs import evolve

    from pycgroups.oci.runtime_spec import Spec
else:
    from pycgroups.frozen import evolve
    from pycgroups.records import NamedTuple

_NAMESPACE = "/proc/self/ns/mnt"
_MOST = 2  # the root, and what took layers of overlays on their way into it


class Place(NamedTuple):
    """Where a root is mounted, and what tells later that it is that still; a record has it as ``mounted``.

    Attributes:
        path: the directory.
        below: which mount that is on without it; see `_name_of`.
        namespace: the creator's mount namespace.
        boot: of the machine.
        root: which mount it is, or "" before that is known.
    """

    path: str
    below: str
    namespace: str
    boot: str
    root: str = ""

    def is_beside(self, other: Place) -> bool:
        """Tell whether neither is in the other, if both are in one mount namespace."""
        one, two = f"{self.path}/", f"{other.path}/"
        return self.here != other.here or not (one.startswith(two) or two.startswith(one))

    @property
    def here(self) -> tuple[str, str]:
        """What it is a path in."""
        return self.namespace, self.boot


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


def place(rootfs: str, state: str, id_: str) -> Place:
    """Say where its root will be mounted.

    Two could not be unmounted but in the order in which they are one on top of the other.

    Args:
        rootfs: the directory.
        state: where the states of containers are.
        id_: its name.

    Raises:
        InvalidConfig: it is the root of the creator, which would be hidden.
        StateError: another such container has its root there, above or below.
    """
    path = os.path.realpath(rootfs)
    if path == "/":
        raise InvalidConfig(
            "without a mount namespace a container cannot have the root of its creator",
            operation="option",
            path="root.path",
            hint='add {"type": "mount"}',
        )
    found = Place(path, _mount_at(path), *_here())
    for other in ids(state):
        if other != id_ and not _is_free(f"{state}/{other}", found):
            raise StateError(
                f"container {other}, which has no mount namespace either, has its root there",
                operation="create",
                path=path,
                hint='delete that first, or add {"type": "mount"}',
            )
    return found


def with_root(mounted: tuple[str, ...], root: int) -> Place:
    """Add to what `place` has said which mount its root is: it is about to be mounted.

    Who may not open it, of whom it is -1, may not mount it either.
    """
    return Place(*mounted)._replace(root=_name_of(root) if root >= 0 else "")


def clear(mounted: tuple[str, ...]) -> list[str]:
    """Unmount the root, and all that is in it, if it is mounted, and nothing that is not its own.

    Returns:
        What to tell of what stays.
    """
    where = Place(*mounted)
    namespace, boot = _here()
    if not where.root or where.boot != boot:  # it never was, or is no more
        return []
    if where.namespace != namespace:
        return [f"what was mounted at {where.path} in another mount namespace ({where.namespace}) stays"]
    for _ in range(_MOST):
        top = _mount_at(where.path)
        is_own = top == where.root or _is_scratch(top.partition(":")[0], where.below.partition(":")[0])
        if not is_own or vfs.unbind(where.path) < 0:
            break
    return []


def _is_free(directory: str, wanted: Place) -> bool:
    """Tell whether a container, by its state directory, has its root elsewhere."""
    try:
        with Home(directory) as home:
            mounted = home.load().mounted
    except Error:  # it is gone, or not ours to know
        return True
    return not mounted or wanted.is_beside(Place(*mounted))


def _is_scratch(mount: str, below: str) -> bool:
    """Tell whether a mount is what took layers of overlays and files; its root is, or was to be, mounted upon it."""
    for line in read_path("/proc/self/mountinfo").splitlines():
        words = line.split()
        if words[0] == mount:
            return words[1] == below and line.partition(" - ")[2].startswith(f"tmpfs {SCRATCH_SOURCE} ")
    return False


def _here() -> tuple[str, str]:
    return os.readlink(_NAMESPACE), read_path("/proc/sys/kernel/random/boot_id").strip()


def _mount_at(path: str) -> str:
    """Return which mount is to be seen at a directory, if that is there."""
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _name_of(fd)
    finally:
        os.close(fd)


def _name_of(fd: int) -> str:
    """Name a mount by its id, proc_pid_fdinfo(5), "mnt_id", and by what is its root: ids are used again."""
    lines = read_path(f"/proc/self/fdinfo/{fd}").splitlines()
    number = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    facts = os.fstat(fd)
    return f"{number}:{facts.st_dev}:{facts.st_ino}"
