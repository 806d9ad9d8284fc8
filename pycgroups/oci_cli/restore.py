"""``restore``: the processes of a checkpoint go on, as a new container."""

from __future__ import annotations

import os

from pycgroups.cli.flags import Flag
from pycgroups.oci_cli import checkpoint, create
from pycgroups.oci_cli.command import BUNDLE, CONSOLE_SOCKET, DETACH, PID_FILE, Command
from pycgroups.oci_cli.foreground import plain
from pycgroups.oci_cli.plain import note
from pycgroups.oci_cli.run import KEEP, NO_SUBREAPER, attend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

FLAGS = (
    BUNDLE,
    *checkpoint.SHARED,
    CONSOLE_SOCKET,
    DETACH,
    KEEP,
    PID_FILE,
    NO_SUBREAPER,
    Flag("--no-pivot", "for runc's sake: criu finds its way"),
    Flag("--lsm-profile", "another profile of AppArmor or SELinux", value="TYPE:NAME"),
    Flag("--lsm-mount-context", "another SELinux context of mounts", value="CONTEXT"),
)


def run(given: Given) -> int:
    """Restore it; the exit code of its first process."""
    flags = given.flags
    options = [
        word
        for name in ("lsm_profile", "lsm_mount_context")
        if name in flags
        for word in (f"--{name.replace('_', '-')}", flags[name])
    ]
    images = checkpoint.images(given, options)

    def begin(*, detached: bool) -> Container:
        from pycgroups import runtime
        from pycgroups.oci.reader import CONFIG
        from pycgroups.oci.reading import load_spec

        bundle = flags.get("bundle", ".")
        process = load_spec(os.path.join(bundle, CONFIG)).process
        terminal = process is not None and process.terminal
        create.check_terminal(terminal=terminal, socket=flags.get("console_socket"), detached=detached)
        container = runtime.restore(
            bundle,
            given.words[0],
            images,
            root=given.settings.root,
            console_socket=flags.get("console_socket"),
            pid_file=flags.get("pid_file"),
            cgroup_manager=given.settings.manager,
        )
        note(container.directory)
        if container.master >= 0:
            plain(container.master)
        return container

    return attend(given, begin)


COMMAND = Command(
    run,
    "[FLAGS] CONTAINER",
    "Bring the processes of a checkpoint back as a container of the same bundle, with criu(8). Unless it is detached,\n"
    "the exit code is that of its first process, and it is removed at its end. Of the hooks prestart,\n"
    "createRuntime and poststop are run.",
    FLAGS,
)
