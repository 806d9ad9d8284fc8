"""Readiness: that a container's program is up goes on to the service manager that started us; sd_notify(3).

::

    our $NOTIFY_SOCKET  <-------  start, run  <-------  /run/notify/notify.sock, the program's $NOTIFY_SOCKET
       READY=1, MAINPID=          wait for it              READY=1

`create` shows a directory of the container's state at /run/notify. The socket is in it as long as somebody hands on. Of
what the program says nothing but that it is ready goes on, as with runc.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.runtime import Container

VARIABLE = "NOTIFY_SOCKET"
DIRECTORY = "notify"
SOCKET = "notify.sock"
_INSIDE = "/run/notify"


def is_wanted() -> bool:
    """Tell whether a service manager waits for us."""
    return bool(os.environ.get(VARIABLE))


def show(document: dict[str, Any], directory: str) -> None:
    """Change a config.json, so that the program is shown a directory of the host, and told of the socket in it."""
    options = ["bind", "nosuid", "noexec", "nodev", "ro"]
    mount = {"destination": _INSIDE, "type": "bind", "source": directory, "options": options}
    document["mounts"].append(mount)
    document["process"]["env"].append(f"{VARIABLE}={_INSIDE}/{SOCKET}")


def start(container: Container, *, wait: bool) -> None:
    """Start a container; that its program is ready is handed on.

    Args:
        container: one that is created.
        wait: return only when its program runs, and has said that it is ready, or has ended.
    """
    directory = f"{container.directory}/{DIRECTORY}"
    if not is_wanted() or not os.path.isdir(directory):
        container.start(wait=wait)
        return
    from pycgroups.oci_cli import readiness

    readiness.start(container, directory, wait=wait)
