"""Device nodes on v2 (cgroup-v2.rst, "Device controller"): no files, but an eBPF program attached to the cgroup.

The programs of the groups above run too, and each must agree: a group has what all of them allow. A program goes when
its group does. It is put in the place of the one before in one call (BPF_F_REPLACE, kernel 5.6), so that one of the two
is in force at any moment, and never both.

Source: bpf(2), linux/bpf.h, kernel/bpf/cgroup.c.
"""

from __future__ import annotations

import errno
import os

from pycgroups._native import bpf
from pycgroups._native.calls import lib
from pycgroups.cgroups.manager import Controller
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.manager import Lack
    from pycgroups.oci.resources import Resources

NAME = "pycgroups_dev"
"""What our programs are called: an administrator's own at the same group are left alone (`bpftool cgroup show`)."""

_TYPE = lib.BPF_PROG_TYPE_CGROUP_DEVICE
_PLACE = lib.BPF_CGROUP_DEVICE


def usable() -> bool:
    """Tell whether this process may load such programs and look at those there are, by trying.

    CAP_SYS_ADMIN in the first user namespace is needed, and that nobody forbids bpf(2): a seccomp filter, lockdown.
    """
    from pycgroups.cgroups.device_program import compile_table  # most groups do not need it

    fd, _ = bpf.load(_TYPE, _PLACE, NAME, compile_table(()))
    if fd < 0:
        return False
    os.close(fd)
    return bpf.open_(0) == -errno.ENOENT  # no program has this id


class Devices(Controller):
    """BPF_PROG_TYPE_CGROUP_DEVICE (kernel 4.15)."""

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:  # noqa: ARG002
        """Refuse wrong rules. That groups above may allow less is no error: the less holds."""
        from pycgroups.cgroups.device_rules import tabulate

        tabulate(resources.devices)
        return []

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Put the rules in the place of those before; where they allow everything, there is no program."""
        if not resources.devices:
            return
        from pycgroups.cgroups.device_program import compile_table
        from pycgroups.cgroups.device_rules import ALL, tabulate

        table = tabulate(resources.devices)
        opened: list[int] = []  # descriptors of programs; without one, a program lives on where it is attached
        try:
            old = _attached(directory, opened)
            if any(entry.access != ALL for entry in table):
                new = _loaded(directory, compile_table(table), opened)
                _done("BPF_PROG_ATTACH", directory, bpf.attach(directory.fd, _PLACE, new, old))
            elif old is not None:
                _done("BPF_PROG_DETACH", directory, bpf.detach(directory.fd, _PLACE, old))
        finally:
            for fd in opened:
                os.close(fd)


def _loaded(directory: Directory, code: bytes, opened: list[int]) -> int:
    """Open a new program."""
    fd, log = bpf.load(_TYPE, _PLACE, NAME, code)
    opened.append(_done("BPF_PROG_LOAD", directory, fd, log))
    return fd


def _attached(directory: Directory, opened: list[int]) -> int | None:
    """Open the programs at a group, and find ours; None without one."""
    result, ids = bpf.attached(directory.fd, _PLACE)
    _done("BPF_PROG_QUERY", directory, result)
    programs = []
    for id_ in ids:
        fd = _done("BPF_PROG_GET_FD_BY_ID", directory, bpf.open_(id_))
        opened.append(fd)
        programs.append(fd)
    return next((fd for fd in programs if bpf.name(fd) == NAME), None)


def _done(command: str, directory: Directory, result: int, log: str = "") -> int:
    if result >= 0:
        return result
    hint = None
    if result == -errno.EINVAL and not log:
        hint = "the kernel needs CONFIG_CGROUP_BPF, and is to be 5.6 or newer"
    elif result == -errno.EPERM:
        hint = "needs CAP_SYS_ADMIN on the host; or a group above has a program that allows none below it"
    message = " / ".join(log.split("\n")[-4:]).strip(" /")
    raise CgroupError(message, operation=f"bpf({command})", path=directory.path, errno=-result, hint=hint)
