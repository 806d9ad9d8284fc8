"""A group of an OCI runtime in a scope of systemd's: its cgroup manager is systemd (runc's `--systemd-cgroup`).

`linux.cgroupsPath` is "SLICE:PREFIX:NAME" then, for the scope PREFIX-NAME.scope in SLICE, which systemd nests at its
dashes: "a-b.slice" is in "a.slice". A scope begins with a process, so there is none before the container's is::

    group = create("machine.slice:box:web", "web", spec.linux.resources)      # nothing is made
    ... launch, and before the new process does anything: group.place(pid); keep group.paths and group.unit

Root asks the machine's systemd, everybody else the one of the own session, root of a user namespace too. The limits are
the scope's properties, so that systemd does not undo them, and are written to its files, which know more of them.
"""

from __future__ import annotations

from pycgroups.cgroups import by_path, given, placing, scope, systemd, unit
from pycgroups.cgroups.files import read_path
from pycgroups.cgroups.v1.devices import usable as is_privileged
from pycgroups.errors import CgroupError, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources

_PARTS = 3


class Scoped(placing.Placing):
    """A group in a scope, once it has a process.

    Attributes:
        planned: the directory that it will have.
    """

    __slots__ = ("_asked", "_name", "planned")

    def __init__(self, name: scope.Name, wanted: Resources | None) -> None:
        """Not for users: `create` makes it.

        Raises:
            Unsupported: no systemd, no cgroup v2, or jeepney is not installed; with what would help.
            CgroupError: systemd does not answer.
        """
        super().__init__(name.unit)
        self._name = name
        self._asked = given.for_new(wanted, devices=is_privileged())
        tree = scope.delegating()
        with unit.bus() as bus:
            self.planned = f"{tree.mount}{systemd.top(bus)}{systemd.nested(name.slice)}/{name.unit}"

    def place(self, pid: int) -> None:
        """Start the scope with a process in it, and limit it.

        Raises:
            AlreadyExists: there is a unit of this name.
            Unsupported: a limit cannot be enforced here; with what would help.
            CgroupError: systemd refuses or does not answer, or the kernel refuses something.
        """
        settings = [
            ("Description", ("s", f"container {self._name.unit.removesuffix('.scope')}")),
            ("Slice", ("s", self._name.slice)),
            *systemd.properties(self._asked),
        ]
        with unit.bus() as bus:
            systemd.start_scope(bus, self._name.unit, [pid], settings)
        self.unit = self._name.unit
        own = read_path(f"/proc/{pid}/cgroup").strip().rpartition("0::")[2]
        path = scope.delegating().mount + own
        if not path.endswith(f"/{self._name.unit}"):
            raise CgroupError(f"systemd has not moved process {pid} there", operation="enter scope", path=self.planned)
        self.hold(by_path.place_of(path))
        self.limit(self._asked)


def create(path: str | None, id_: str, wanted: Resources | None) -> Scoped:
    """Get ready to make a group: see `Scoped.place`.

    Args:
        path: as `linux.cgroupsPath` has it for systemd; without, the scope is pycgroups-ID.scope. An empty slice is
            system.slice, for ordinary users user.slice.
        id_: the container's.
        wanted: the limits, `linux.resources`.

    Raises:
        InvalidConfig: the path is none of systemd's.
        Unsupported: no systemd, no cgroup v2, or jeepney is not installed; with what would help.
        CgroupError: systemd does not answer.
    """
    option = "linux.cgroupsPath"
    if path and path.count(":") != _PARTS - 1:
        raise invalid(option, path, '"SLICE:PREFIX:NAME": the cgroup manager is systemd')
    slice_ = "system.slice" if is_privileged() else "user.slice"
    return Scoped(scope.Name.parse(path or id_, option=option, slice_=slice_), wanted)
