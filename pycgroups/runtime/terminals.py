"""The pty of a process in a container: what it is like, its master, and who gets that."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.runtime.steps import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import Process
    from pycgroups.runtime.launch import Running


def wanted(process: Process) -> Terminal | None:
    """Say which terminal the process is to have; None if it has none."""
    if not process.terminal:
        return None
    size = process.console_size
    return Terminal() if size is None else Terminal(rows=size.height, columns=size.width)


def made(running: Running) -> int:
    """Return the master of the pty that a process has made, or -1.

    It is as the kernel made it, as from runc: a program may have written to it before anybody could change that.
    """
    return running.descriptors.pop(lib.OP_CONSOLE, -1)


def hand_on(master: int, console: int) -> int:
    """Send a master to the socket that waits for it; without a socket it is the answer, or where there is none -1."""
    if master < 0 or console < 0:
        return master
    from pycgroups.runtime import handing

    try:
        handing.send(console, b"/dev/ptmx", master)
    finally:
        os.close(master)
    return -1
