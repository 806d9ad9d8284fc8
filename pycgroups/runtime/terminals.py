"""The pty of a process in a container: what it is like, its master, and who gets that."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.runtime import handing
from pycgroups.runtime.steps import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import Process
    from pycgroups.runtime.launch import Running


def wanted(process: Process, socket: str | None) -> Terminal | None:
    """Say which terminal the process is to have; None if it has none.

    A socket gets it as from runc: newlines go out as they are, so that whoever shows the output adds the carriage
    returns.
    """
    if not process.terminal:
        return None
    size, bare = process.console_size, socket is not None
    return Terminal(bare=bare) if size is None else Terminal(rows=size.height, columns=size.width, bare=bare)


def hand_on(running: Running, console: int) -> int:
    """Send the master of a process's pty to the socket that waits for it; without one it is the answer, or -1."""
    master = running.descriptors.pop(lib.OP_CONSOLE, -1)
    if master < 0 or console < 0:
        return master
    try:
        handing.send(console, b"/dev/ptmx", master)
    finally:
        os.close(master)
    return -1
