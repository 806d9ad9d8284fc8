"""The scope of systemd's that a container of an OCI runtime is in; see `scoped`."""

from __future__ import annotations

import errno

from pycgroups.cgroups.v1.devices import usable as is_privileged
from pycgroups.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.dbus import Bus
    from pycgroups.oci.resources import Resources

_NO_BUS = (errno.ENOENT, errno.ECONNREFUSED)


class Unit:
    """A scope that was started, here or by another process. What asks systemd loads jeepney."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """Keep its name, "PREFIX-NAME.scope"."""
        self.name = name

    def change(self, limits: Resources) -> None:
        """Give it new limits.

        Raises:
            CgroupError: systemd refuses.
        """
        from pycgroups.cgroups import systemd

        if settings := systemd.properties(limits):
            with bus() as connection:
                systemd.change(connection, self.name, settings)

    def stop(self) -> None:
        """End it, and forget that it failed; one that is not there, or whose systemd is not, has ended.

        Raises:
            CgroupError: systemd does not do it.
        """
        from pycgroups.cgroups import systemd

        try:
            with bus() as connection:
                systemd.stop(connection, self.name)
                systemd.forget(connection, self.name)
        except CgroupError as error:
            if error.errno not in _NO_BUS:
                raise

    def let_go(self) -> None:
        """Nothing to do: it needs nobody."""


def bus() -> Bus:
    """Connect to systemd: for root the machine's, for others, and root of a user namespace, that of the session.

    Raises:
        Unsupported: jeepney is not installed.
        CgroupError: there is no bus, or it does not answer.
    """
    from pycgroups.cgroups import dbus

    return dbus.Bus(dbus.system_address() if is_privileged() else dbus.user_address())
