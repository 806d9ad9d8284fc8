"""``create``: runtime.md, "Create"."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.oci_cli import notify
from pycgroups.oci_cli.command import BUNDLE, CONSOLE_SOCKET, PID_FILE, PRESERVE_FDS, Command, preserved, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

FLAGS = (
    BUNDLE,
    Flag("--config -f", "another file than the config.json of the bundle", value="FILE"),
    PID_FILE,
    CONSOLE_SOCKET,
    Flag("--pidfd-socket", "a Unix socket that gets a pidfd of its process", value="SOCKET"),
    PRESERVE_FDS,
    Flag("--no-pivot", "do not use pivot_root(2), which is impossible in a ramdisk"),
    Flag("--no-new-keyring", "share the session keyring with the caller"),
)


def run(given: Given) -> int:
    """Create it, and leave it."""
    container = create(given, detached=True)
    warn(given.settings.log, container)
    container.let_go()
    return 0


def create(given: Given, *, detached: bool) -> Container:
    """Create the container that the command line describes.

    Args:
        given: the command line.
        detached: the command will not wait, so that a terminal needs somebody who takes its master.

    Raises:
        UsageError: a terminal that nobody would have, or nobody asked for.
        Error: of the kinds that `pycgroups.runtime.create` names.
    """
    from pycgroups import runtime
    from pycgroups.oci.reader import config_text

    flags, (name,) = given.flags, given.words
    bundle = flags.get("bundle", ".")
    config = config_text(flags.get("config") or os.path.join(bundle, "config.json"))
    terminal, config = _process(config, f"{given.settings.root or runtime.default_root()}/{name}/{notify.DIRECTORY}")
    check_terminal(terminal=terminal, socket=flags.get("console_socket"), detached=detached)
    container = runtime.create(
        bundle,
        name,
        config=config,
        root=given.settings.root,
        console_socket=flags.get("console_socket"),
        pid_file=flags.get("pid_file"),
        preserve_fds=preserved(flags),
        pivot=not flags.get("no_pivot"),
        keyring=not flags.get("no_new_keyring"),
        cgroup_manager=given.settings.manager,
        notify=notify.is_wanted(),
    )
    if "pidfd_socket" in flags:
        _send_pidfd(container, flags["pidfd_socket"])
    return container


def check_terminal(*, terminal: bool, socket: str | None, detached: bool) -> None:
    """Refuse a terminal without somebody who has its master, and the reverse; the messages are runc's.

    Raises:
        UsageError: it is so.
    """
    if terminal and detached and socket is None:
        raise UsageError("cannot allocate tty if the command will detach without setting console socket")
    if socket is not None and not (terminal and detached):
        raise UsageError("cannot use console socket if the command will not detach or allocate tty")


def _process(config: bytes, notified: str) -> tuple[bool, bytes]:
    """Tell whether its process has a terminal, and tell it of systemd's sockets; sd_listen_fds(3), sd_notify(3)."""
    handed = "LISTEN_FDS" in os.environ
    if b'"terminal"' not in config and not handed and not notify.is_wanted():
        return False, config
    from pycgroups.oci.json_text import dumps, parse

    document: Any = parse(config, "config.json")
    process = document.get("process") if isinstance(document, dict) else None
    if not isinstance(process, dict):  # which the reader will refuse
        return False, config
    if not (isinstance(process.setdefault("env", []), list) and isinstance(document.setdefault("mounts", []), list)):
        return False, config
    if handed:
        process["env"] += [f"LISTEN_FDS={os.environ['LISTEN_FDS']}", "LISTEN_PID=1"]
    if notify.is_wanted():
        notify.show(document, os.path.abspath(notified))
    if handed or notify.is_wanted():
        config = dumps(document).encode()
    return process.get("terminal") is True, config


def _send_pidfd(container: Container, path: str) -> None:
    from pycgroups.runtime import handing

    try:
        peer = handing.connect(path)
        try:
            handing.send(peer, b"pidfd", container.fileno())
        finally:
            os.close(peer)
    except BaseException:
        container.delete(force=True)
        raise


COMMAND = Command(
    run, "CONTAINER", "Create a container of a bundle: all is set up, and its program waits for its start.", FLAGS
)
