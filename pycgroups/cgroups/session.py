"""A delegated cgroup from the systemd of an ordinary user's session, for a process that is in a cgroup of root's.

A login by ssh or on a terminal is beside the user's systemd, not below it, and a process may only be moved between
cgroups by who may write to what is above both. So this whole process is moved, by systemd, into a scope of its own::

    user.slice/user-1000.slice/
        session-3.scope/                        where this process was
        user@1000.service/                      delegated to the user: systemd --user
            app.slice/pycgroups-PID.scope/
                self/                           where it is now, see `leaf`
                pycgroups/GROUP/                groups, limited
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from pycgroups.cgroups import detect, leaf, places
from pycgroups.cgroups.files import read_path
from pycgroups.errors import CgroupError

if TYPE_CHECKING:
    from pycgroups.cgroups.detect import Hierarchy


def offers(found: tuple[Hierarchy, ...]) -> frozenset[str]:
    """Name the controllers that this process can get by `enter`."""
    return controllers(found) if has_bus() and can_talk() else frozenset()


def controllers(found: tuple[Hierarchy, ...]) -> frozenset[str]:
    """Name those that the systemd of this user's session has, if this process is not below it; none for root."""
    unified = next((hierarchy for hierarchy in found if hierarchy.version == detect.V2), None)
    if os.geteuid() == 0 or unified is None:
        return frozenset()
    manager = f"{unified.mount}/user.slice/user-{os.geteuid()}.slice/user@{os.geteuid()}.service"
    if unified.own.startswith(f"{manager}/"):
        return frozenset()  # below it, all that can be had is there to be taken
    return frozenset(read_path(f"{manager}/cgroup.controllers").split())


def has_bus() -> bool:
    """Tell whether the systemd of this user's session can be talked to."""
    from pycgroups.cgroups import dbus

    return dbus.user_address().startswith("\0") or os.path.exists(dbus.user_address())


def can_talk() -> bool:
    """Tell whether jeepney is installed."""
    from importlib.util import find_spec

    return find_spec("jeepney") is not None


@functools.cache
def enter() -> None:
    """Move this process, with all its threads, into a scope of its own. Once per process.

    Its children stay where they are; those it has from then on are born beside it. The scope ends with the last of
    them.

    Raises:
        Unsupported: jeepney is not installed.
        CgroupError: systemd refuses or does not answer.
    """
    from pycgroups.cgroups import dbus, systemd

    name = f"{places.SHARED}-{os.getpid()}-{os.urandom(4).hex()}.scope"
    with dbus.Bus(dbus.user_address()) as bus:
        systemd.start_scope(bus, name, [os.getpid()], [("Description", ("s", "a program that limits with pycgroups"))])
    places.forget()
    own = next((each.own for each in detect.hierarchies() if each.version == detect.V2), "/")
    if os.path.basename(own) != name:
        raise CgroupError(f"systemd has not moved this process into {name}", operation="enter scope", path=own)
    leaf.enter()
