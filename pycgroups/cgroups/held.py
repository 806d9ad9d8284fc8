"""What a group has open: its directories, one per hierarchy, used as one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.manager import Manager


class Held:
    """The directories of a group. To start a process inside, use both `clone_fd` and `join_fds`.

    Attributes:
        name: of the group.
        unenforced: names of the limits that are not in force.
    """

    __slots__ = ("_managers", "name", "unenforced")

    def __init__(self, name: str, unenforced_limits: tuple[str, ...] = ()) -> None:
        """Hold none yet."""
        self.name = name
        self.unenforced = unenforced_limits
        self._managers: list[Manager] = []

    @property
    def clone_fd(self) -> int | None:
        """Descriptor of the v2 directory, for CLONE_INTO_CGROUP (kernel 5.7); None if the group has none."""
        return next((manager.clone_fd for manager in self._managers if manager.clone_fd is not None), None)

    @property
    def join_fds(self) -> tuple[int, ...]:
        """Descriptors that a process of one thread writes "0" to, to enter the v1 directories."""
        return tuple(manager.join_fd for manager in self._managers if manager.join_fd is not None)

    @property
    def paths(self) -> tuple[str, ...]:
        """Directories of the group, one per hierarchy."""
        return tuple(manager.directory.path for manager in self._managers)

    def let_go(self) -> None:
        """Close the descriptors; the group stays."""
        for manager in self._managers:
            manager.close()
        self._managers = []
