"""``create``: runtime.md, "Create"."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.oci_cli import affinity, notify, plain
from pycgroups.oci_cli.command import (
    BUNDLE,
    CONSOLE_SOCKET,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE_FDS,
    Command,
    preserved,
    warn,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

FLAGS = (
    BUNDLE,
    Flag("--config -f", "another file than the config.json of the bundle", value="FILE"),
    PID_FILE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
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

    flags, (name,) = given.flags, given.words
    bundle = flags.get("bundle", ".")
    notified = f"{given.settings.root or runtime.default_root()}/{name}/{notify.DIRECTORY}"
    spec, config = _read(flags.get("config") or os.path.join(bundle, "config.json"), os.path.abspath(notified))
    terminal = spec.process is not None and spec.process.terminal
    check_terminal(terminal=terminal, socket=flags.get("console_socket"), detached=detached)
    affinity.forget()
    container = runtime.create(
        spec,
        name,
        bundle=bundle,
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
    if not notify.is_wanted():
        plain.note(container.directory)
    warn(given.settings.log, container)
    if "pidfd_socket" in flags:
        try:
            send_pidfd(flags["pidfd_socket"], container.fileno())
        except BaseException:
            container.delete(force=True)
            raise
    return container


def _read(path: str, notified: str) -> tuple[Spec, bytes]:
    """Read a config.json; what it describes, and its text. `notified` is the directory of `notify`."""
    from pycgroups.oci.json_text import dumps, parse
    from pycgroups.oci.reader import CONFIG, config_text
    from pycgroups.oci.reading import spec_of

    config = config_text(path)
    document = parse(config, CONFIG)
    if _tell_of_sockets(document, notified):
        config = dumps(document).encode()
    return spec_of(document), config


def _tell_of_sockets(document: Any, notified: str) -> bool:
    """Tell the process of the sockets that systemd handed us, if it did; sd_listen_fds(3), sd_notify(3)."""
    if "LISTEN_FDS" not in os.environ and not notify.is_wanted():
        return False
    process = document.get("process") if isinstance(document, dict) else None
    if not isinstance(process, dict) or not isinstance(process.setdefault("env", []), list):
        return False  # which the reader will refuse
    if "LISTEN_FDS" in os.environ:
        process["env"] += [f"LISTEN_FDS={os.environ['LISTEN_FDS']}", "LISTEN_PID=1"]
    if notify.is_wanted() and isinstance(document.setdefault("mounts", []), list):
        notify.show(document, notified)
    return True


def check_terminal(*, terminal: bool, socket: str | None, detached: bool) -> None:
    """Refuse a terminal without somebody who has its master, and the reverse; the messages are runc's.

    Raises:
        UsageError: it is so.
    """
    if terminal and detached and socket is None:
        raise UsageError("cannot allocate tty if the command will detach without setting console socket")
    if socket is not None and not (terminal and detached):
        raise UsageError("cannot use console socket if the command will not detach or allocate tty")


def send_pidfd(path: str, pidfd: int) -> None:
    """Send a pidfd to who listens at a Unix socket.

    Raises:
        Error: nobody does.
    """
    from pycgroups.runtime import handing

    peer = handing.connect(path)
    try:
        handing.send(peer, b"pidfd", pidfd)
    finally:
        os.close(peer)


COMMAND = Command(
    run, "CONTAINER", "Create a container of a bundle: all is set up, and its program waits for its start.", FLAGS
)
