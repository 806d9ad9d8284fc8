"""Device nodes on v1 (cgroup-v1/devices.rst): the words of `pycgroups.cgroups.device_exceptions`, in files.

Other than all other files of a cgroup, these cannot be given to an ordinary user.
"""

from __future__ import annotations

import errno
import os

from pycgroups.cgroups.manager import Controller
from pycgroups.errors import CgroupError, Unsupported
from pycgroups.namespaces import own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Lack
    from pycgroups.oci.resources import Resources

_LIST = "devices.list"
_MEMORY = "trusted.pycgroups.devices"  # devices.list does not tell the exceptions of "all but"
_CAP_SYS_ADMIN = 21
_FIRST_USER_NAMESPACE = 0xEFFFFFFD  # inode of it: USER_NS_INIT_INO, linux/nsfs.h


def usable() -> bool:
    """Tell whether this process may write the files: CAP_SYS_ADMIN in the first user namespace is asked for."""
    first = os.stat("/proc/self/ns/user").st_ino == _FIRST_USER_NAMESPACE
    return first and bool(own.effective() >> _CAP_SYS_ADMIN & 1)


class Devices(Controller):
    """devices.allow, devices.deny, devices.list."""

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:  # noqa: ARG002
        """Refuse wrong rules, and those that v1 cannot say."""
        from pycgroups.cgroups.device_exceptions import state_of  # most groups do not need it

        state_of(resources.devices)
        return []

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write what the rules change."""
        if not resources.devices:
            return
        from itertools import groupby

        from pycgroups.cgroups import device_exceptions as words

        wanted = words.state_of(resources.devices)
        all_but, exceptions = _read(directory)
        now = words.State(all_but=all_but, exceptions=words.parse(exceptions))
        if wanted.all_but and not now.all_but and wanted.exceptions and directory.read("cgroup.procs"):
            raise Unsupported(
                "on cgroup v1 everything would be allowed for a moment, and there are processes inside",
                operation="limit devices",
                path=directory.path,
                hint="write the rules as devices that are allowed, or make a new group",
            )
        for file, steps in groupby(words.steps(now, wanted), key=lambda step: step[0]):
            _write(directory, file, [line for _, line in steps])
        if wanted.all_but:
            os.setxattr(directory.fd, _MEMORY, "\n".join(words.write(wanted.exceptions)).encode())


def _read(directory: Directory) -> tuple[bool, str]:
    """Tell whether a group has everything but some, and its exceptions."""
    text = directory.read(_LIST)
    if not text.startswith("a "):
        return False, text
    try:
        return True, os.getxattr(directory.fd, _MEMORY).decode()
    except OSError:  # ENODATA: there never were any
        return True, ""


def _write(directory: Directory, file: str, lines: list[str]) -> None:
    try:
        directory.write(file, *lines)
    except CgroupError as error:
        above = f"{os.path.dirname(directory.path)}/{_LIST}"
        if error.errno == errno.EPERM:
            error.hint = f"a group has at most what the group above it has, see {above}; and root of the host writes"
        elif error.errno == errno.EINVAL:
            error.hint = "a group with groups below it can only get other exceptions: remove those first"
        raise
