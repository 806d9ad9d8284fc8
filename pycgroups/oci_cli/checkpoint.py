"""``checkpoint``: the processes of a container as files."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.oci_cli.command import Command, count, one_of, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import CheckpointImages

_MOST_PORT = 65535
_IMAGES = "checkpoint"  # runc's, in the current directory


def _server(text: str) -> tuple[str, str]:
    """Read where a page server is, or is to be."""
    address, _, port = text.rpartition(":")
    if not address or not 0 < count(port) <= _MOST_PORT:
        raise ValueError("ADDRESS:PORT")
    return address.removeprefix("[").removesuffix("]"), port


# What criu(8) has under the same names.
_SWITCHES = (
    Flag("--tcp-established", "established TCP connections, too"),
    Flag("--ext-unix-sk", "Unix sockets whose other end is outside, too"),
    Flag("--shell-job", "what shares a session or a terminal with its caller, too"),
    Flag("--file-locks", "file locks, too"),
    Flag("--link-remap", "files that are open and have no name any more, too"),
    Flag("--auto-dedup", "keep each page of memory once"),
    Flag("--lazy-pages", "memory stays where it is, and is fetched when it is touched; see criu(8)"),
)
SHARED = (
    Flag("--image-path", "where the checkpoint is; ./checkpoint by default", value="DIRECTORY"),
    Flag("--work-path", "where criu's log is to be; with the checkpoint by default", value="DIRECTORY"),
    *_SWITCHES,
    Flag(
        "--manage-cgroups-mode",
        "soft (the default), full, strict or ignore",
        value="MODE",
        read=one_of("soft", "full", "strict", "ignore"),
    ),
    Flag(
        "--empty-ns", "network: leave out what is in its network namespace", value="NAMESPACE", read=one_of("network")
    ),
)
FLAGS = (
    *SHARED,
    Flag("--leave-running", "let the container go on"),
    Flag("--tcp-skip-in-flight", "TCP connections that are not established yet are left out"),
    Flag("--pre-dump", "save the memory alone, for the next checkpoint's --parent-path, and let it go on"),
    Flag("--parent-path", "an earlier checkpoint, of which the memory is not saved again", value="DIRECTORY"),
    Flag(
        "--page-server",
        "criu page-server is there, and gets the memory; with --lazy-pages this is it, until all was fetched",
        value="ADDRESS:PORT",
        read=_server,
    ),
    Flag("--status-fd", "gets a zero byte when the memory can be fetched, with --lazy-pages", value="FD", read=count),
)


def run(given: Given) -> int:
    """Save it, and remove the container unless it goes on."""
    flags, options = given.flags, []
    before = bool(flags.get("pre_dump"))
    goes_on = before or bool(flags.get("leave_running"))
    if goes_on and not before:
        options.append("--leave-running")
    if flags.get("tcp_skip_in_flight"):
        options.append("--skip-in-flight")
    if parent := flags.get("parent_path"):
        options += ["--prev-images-dir", parent]
    if before or parent:
        options.append("--track-mem")
    container = given.container()
    options += _pages(flags)
    container.checkpoint(images(given, options), before=before)
    if not goes_on:
        container.delete(force=True)
        warn(given.settings.log, container)
    return 0


def _pages(flags: dict[str, Any]) -> list[str]:
    """Say where memory goes, where it is no file of the checkpoint.

    Raises:
        UsageError: flags that go with others alone.
    """
    lazy, server = flags.get("lazy_pages"), flags.get("page_server")
    if lazy and server is None:
        raise UsageError("--lazy-pages needs --page-server: where the memory is fetched from")
    if lazy and flags.get("pre_dump"):
        raise UsageError("--pre-dump saves memory at once, which --lazy-pages leaves where it is")
    if "status_fd" not in flags:
        status = []
    elif lazy:
        status = ["--status-fd", str(flags["status_fd"])]
    else:
        raise UsageError("--status-fd is for --lazy-pages")
    if server is None:
        return status
    address, port = server
    return [*status, *(() if lazy else ("--page-server",)), "--address", address, "--port", port]


def images(given: Given, more: list[str]) -> CheckpointImages:
    """Say where the checkpoint is, and what criu is told.

    Args:
        given: the command line.
        more: what criu is told that concerns this command alone.
    """
    from pycgroups.runtime import CheckpointImages

    flags = given.flags
    options = [*more, *(flag.names[0] for flag in _SWITCHES if flags.get(flag.word))]
    if mode := flags.get("manage_cgroups_mode"):
        options.append(f"--manage-cgroups={mode}")  # criu takes a mode as a word of its own for a command
    if flags.get("empty_ns"):
        options += ["--empty-ns", "net"]
    return CheckpointImages(
        directory=os.path.abspath(flags.get("image_path", _IMAGES)),
        work=os.path.abspath(flags["work_path"]) if "work_path" in flags else "",
        program=given.settings.criu,
        options=options,
        descriptors=[flags["status_fd"]] if "status_fd" in flags else [],
    )


COMMAND = Command(
    run,
    "[FLAGS] CONTAINER",
    "Save the processes of a running container as files, with criu(8), and remove it unless it is left running.",
    FLAGS,
)
