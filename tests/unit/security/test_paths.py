from __future__ import annotations

from pycgroups.security.paths import MASKED_PATHS, MASKED_REASONS, READONLY_PATHS, READONLY_REASONS

KERNEL_DATA = ("kcore", "keys", "timer_list", "sched_debug", "scsi", "acpi", "interrupts")


def test_what_is_hidden():
    assert {f"/proc/{name}" for name in KERNEL_DATA} <= set(MASKED_PATHS)
    assert {"/sys/firmware", "/sys/devices/virtual/powercap"} <= set(MASKED_PATHS)


def test_what_cannot_be_written():
    assert {"/proc/sysrq-trigger", "/proc/sys", "/proc/irq"} <= set(READONLY_PATHS)


def test_each_once_and_with_a_reason():
    every = MASKED_PATHS + READONLY_PATHS
    assert len(set(every)) == len(every)
    assert all(path.startswith(("/proc/", "/sys/")) for path in every)
    assert all({**MASKED_REASONS, **READONLY_REASONS}.values())
