"""What went through the interfaces of a network namespace: proc_pid_net(5), dev."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attrs import frozen
else:
    from pycgroups.frozen import frozen

# The columns of a line, after the name, that have a field each.
_COLUMNS = {
    "received_bytes": 0,
    "received_packets": 1,
    "received_errors": 2,
    "received_dropped": 3,
    "sent_bytes": 8,
    "sent_packets": 9,
    "sent_errors": 10,
    "sent_dropped": 11,
}
_FEWEST = 12


@frozen(kw_only=True)
class InterfaceStats:
    """What went through one network interface, as those in its network namespace see it.

    Attributes:
        name: of the interface, "eth0".
        received_bytes: bytes.
        received_packets: packets.
        received_errors: packets that were broken.
        received_dropped: packets for which there was no room.
        sent_bytes: bytes.
        sent_packets: packets.
        sent_errors: packets that could not be sent.
        sent_dropped: packets for which there was no room.
    """

    name: str
    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


def read(pid: int) -> tuple[InterfaceStats, ...] | None:
    """Read the counters of the network namespace that a process is in; None if it has ended."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="utf-8", errors="surrogateescape") as file:
            return parse(file.read())
    except OSError:
        return None


def parse(text: str) -> tuple[InterfaceStats, ...]:
    """Take the lines apart, "eth0: 1 2 3 ...", of which two are headings."""
    found = []
    for line in text.splitlines():
        name, _, rest = line.rpartition(":")
        values = rest.split()
        if name and len(values) >= _FEWEST:
            counts = {field: int(values[column]) for field, column in _COLUMNS.items()}
            found.append(InterfaceStats(name=name.strip(), **counts))
    return tuple(found)
