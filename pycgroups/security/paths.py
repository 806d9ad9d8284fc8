"""Files of ``/proc`` and ``/sys`` that a container does not see or cannot write, each with the reason.

They are the ones that Docker hides. Most of them are root's on the host, and user namespaces protect them
already; masks hold for containers without one, too.
"""

from __future__ import annotations

MASKED_REASONS: dict[str, str] = {
    "/proc/acpi": "wakes and suspends the machine",
    "/proc/asound": "tells whether somebody plays or records sound on the host",
    "/proc/interrupts": "counts key strokes and packets of the host: a side channel",
    "/proc/kcore": "the memory of the whole machine",
    "/proc/keys": "keys of the host, and their names",
    "/proc/latency_stats": "what other processes of the host wait for",
    "/proc/sched_debug": "names and ids of the processes of the host",
    "/proc/scsi": "adds and removes disks of the host",
    "/proc/timer_list": "timers of the host and addresses in its kernel",
    "/proc/timer_stats": "which process of the host set which timer; gone since Linux 4.11",
    "/sys/devices/virtual/powercap": "measures power so finely that it tells keys (PLATYPUS, CVE-2020-8694)",
    "/sys/firmware": "EFI variables and ACPI tables of the host",
}
"""What a container sees as empty, and why."""

READONLY_REASONS: dict[str, str] = {
    "/proc/bus": "configuration space of PCI devices",
    "/proc/fs": "settings of mounted file systems of the host",
    "/proc/irq": "which CPU serves which interrupt",
    "/proc/sys": "sysctls, most of which belong to the whole machine (core_pattern runs a program on the host)",
    "/proc/sysrq-trigger": "reboots or crashes the machine",
}
"""What a container can read but not write, and why."""

MASKED_PATHS: tuple[str, ...] = tuple(MASKED_REASONS)
READONLY_PATHS: tuple[str, ...] = tuple(READONLY_REASONS)
