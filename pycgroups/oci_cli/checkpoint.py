"""``checkpoint``: the processes of a container as files."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag
from pycgroups.errors import Unsupported
from pycgroups.oci_cli.command import Command, one_of, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import CheckpointImages

_IMAGES = "checkpoint"  # runc's, in the current directory


# What criu(8) has under the same names.
_SWITCHES = (
    Flag("--tcp-established", "established TCP connections, too"),
    Flag("--ext-unix-sk", "Unix sockets whose other end is outside, too"),
    Flag("--shell-job", "what shares a session or a terminal with its caller, too"),
    Flag("--file-locks", "file locks, too"),
    Flag("--link-remap", "files that are open and have no name any more, too"),
    Flag("--auto-dedup", "keep each page of memory once"),
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
    Flag("--lazy-pages", "for runc's sake: it is refused"),
)
FLAGS = (
    *SHARED,
    Flag("--leave-running", "let the container go on"),
    Flag("--tcp-skip-in-flight", "TCP connections that are not established yet are left out"),
    Flag("--pre-dump", "save the memory alone, for the next checkpoint's --parent-path, and let it go on"),
    Flag("--parent-path", "an earlier checkpoint, of which the memory is not saved again", value="DIRECTORY"),
    Flag("--page-server", "for runc's sake: it is refused", value="ADDRESS:PORT"),
    Flag("--status-fd", "for runc's sake: it is refused", value="FD"),
)
_REFUSED = {"lazy_pages": "--lazy-pages", "page_server": "--page-server", "status_fd": "--status-fd"}


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
    container.checkpoint(images("checkpoint", given, options), before=before)
    if not goes_on:
        container.delete(force=True)
        warn(given.settings.log, container)
    return 0


def images(name: str, given: Given, more: list[str]) -> CheckpointImages:
    """Say where the checkpoint is, and what criu is told.

    Args:
        name: of the command.
        given: its command line.
        more: what criu is told that concerns this command alone.

    Raises:
        Unsupported: a flag asks for what is not done here.
    """
    from pycgroups.runtime import CheckpointImages

    flags = given.flags
    for word, refused in _REFUSED.items():
        if flags.get(word):
            raise Unsupported("pages are saved and restored at once, by criu alone", operation=name, path=refused)
    options = [*more, *(f"--{flag.names[0][2:]}" for flag in _SWITCHES if flags.get(flag.word))]
    if mode := flags.get("manage_cgroups_mode"):
        options += ["--manage-cgroups", mode]
    if flags.get("empty_ns"):
        options += ["--empty-ns", "net"]
    return CheckpointImages(
        directory=os.path.abspath(flags.get("image_path", _IMAGES)),
        work=os.path.abspath(flags["work_path"]) if "work_path" in flags else "",
        program=given.settings.criu,
        options=options,
    )


COMMAND = Command(
    run,
    "[FLAGS] CONTAINER",
    "Save the processes of a running container as files, with criu(8), and remove it unless it is left running.",
    FLAGS,
)
