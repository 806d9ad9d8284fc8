"""``update``: other limits for a container."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag
from pycgroups.errors import Unsupported
from pycgroups.oci_cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Given

_UNITS = {unit: 1024**power for power, unit in enumerate("bkmgtp")}
_LARGEST = 1 << 20  # bytes of a document
_STDIN = 0


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError("an integer")
    return int(text)


def size(text: str) -> int:
    """Read bytes as runc does: "64m", "1.5GiB", "512", all in powers of 1024; -1 is unlimited."""
    if text == "-1":
        return -1
    number = text.lower().removesuffix("b").removesuffix("i").rstrip()
    unit = number[-1:] if number[-1:] in _UNITS else ""
    number = number[: len(number) - len(unit)].rstrip()
    whole, _, part = number.partition(".")
    if not (number.isascii() and whole.isdecimal() and (part or "0").isdecimal()):
        raise ValueError("-1, or a number of bytes, as 67108864, 64m or 1.5g")
    return int(float(number) * _UNITS.get(unit, 1)) if part else int(whole) * _UNITS.get(unit, 1)


# Each flag, and where its value is in `linux.resources`.
_PLACES = (
    ("--blkio-weight", "blockIO.weight", "weight of block devices, 10 to 1000", "N", _integer),
    ("--cpu-period", "cpu.period", "period of the quota", "MICROSECONDS", _integer),
    ("--cpu-quota", "cpu.quota", "time on CPUs in each period; -1 is unlimited", "MICROSECONDS", _integer),
    ("--cpu-burst", "cpu.burst", "time that may be saved up", "MICROSECONDS", _integer),
    ("--cpu-share", "cpu.shares", "weight of CPU time, 2 to 262144", "N", _integer),
    ("--cpu-rt-period", "cpu.realtimePeriod", "period of the realtime quota", "MICROSECONDS", _integer),
    ("--cpu-rt-runtime", "cpu.realtimeRuntime", "realtime quota", "MICROSECONDS", _integer),
    ("--cpu-idle", "cpu.idle", "1: only when nobody else wants to run", "0|1", _integer),
    ("--cpuset-cpus", "cpu.cpus", "CPUs to use, 0-3,7", "LIST", None),
    ("--cpuset-mems", "cpu.mems", "memory nodes to use", "LIST", None),
    ("--memory", "memory.limit", "bytes; -1 is unlimited", "SIZE", size),
    ("--memory-reservation", "memory.reservation", "bytes that reclaim spares", "SIZE", size),
    ("--memory-swap", "memory.swap", "bytes of memory and swap together; -1 is unlimited", "SIZE", size),
    ("--kernel-memory", "memory.kernel", "bytes; no kernel limits it any more", "SIZE", size),
    ("--kernel-memory-tcp", "memory.kernelTCP", "bytes of TCP buffers", "SIZE", size),
    ("--pids-limit", "pids.limit", "processes; -1 is unlimited", "N", _integer),
)
FLAGS = (
    Flag(
        "--resources -r",
        "a file with linux.resources as JSON, - for stdin; other flags count for nothing",
        value="FILE",
    ),
    *(Flag(name, text, word=place, value=value, read=read) for name, place, text, value, read in _PLACES),
    Flag("--l3-cache-schema", "cache of Intel RDT", value="LINE"),
    Flag("--mem-bw-schema", "memory bandwidth of Intel RDT", value="LINE"),
)
# Here 0 and "" say nothing in runc, whose document has them all: https://github.com/opencontainers/runc/blob/main/update.go
_UNSAID = {
    "memory": ("limit", "reservation", "swap", "kernel", "kernelTCP"),
    "cpu": ("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems"),
    "pids": ("limit",),
    "blockIO": ("weight",),
}


def run(given: Given) -> int:
    """Change them."""
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.resources import Resources

    given.container().update(part_of(Resources, document(given.flags), "resources"))
    return 0


def document(flags: dict[str, Any]) -> Any:
    """Make `linux.resources` of the flags, or of their file.

    Raises:
        Unsupported: Intel RDT was asked for.
        InvalidConfig: the file is no JSON.
    """
    if "l3_cache_schema" in flags or "mem_bw_schema" in flags:
        raise Unsupported(
            "Intel RDT cannot be changed", operation="update", hint="write to its group in /sys/fs/resctrl"
        )
    if "resources" in flags:
        return _said(_read(flags["resources"]))
    result: dict[str, dict[str, Any]] = {}
    for word, value in flags.items():
        section, _, key = word.partition(".")
        result.setdefault(section, {})[key] = value
    return result


def _read(path: str) -> Any:
    from pycgroups.oci.json_text import parse
    from pycgroups.oci.reader import config_text

    if path != "-":
        return parse(config_text(path), path)
    text = bytearray()
    while len(text) <= _LARGEST and (chunk := os.read(_STDIN, _LARGEST)):
        text += chunk
    return parse(bytes(text), "stdin")


def _said(found: Any) -> Any:
    """Leave out what says nothing. containerd passes the container's devices, which an update does not touch."""
    if not isinstance(found, dict):
        return found
    result = {name: value for name, value in found.items() if name != "devices"}
    for section, keys in _UNSAID.items():
        inner = result.get(section)
        if isinstance(inner, dict):
            kept = {key: value for key, value in inner.items() if not (key in keys and value in (0, "", None))}
            result[section] = kept
    if result.get("pids") == {}:
        del result["pids"]
    return result


COMMAND = Command(run, "CONTAINER [FLAGS]", "Change limits of a container; the others stay.", FLAGS)
