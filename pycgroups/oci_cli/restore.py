"""``restore``: the processes of a checkpoint go on, as a new container."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.oci_cli import checkpoint
from pycgroups.oci_cli.command import BUNDLE, DETACH, PID_FILE, Command
from pycgroups.oci_cli.run import KEEP, NO_SUBREAPER, attend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

FLAGS = (
    BUNDLE,
    *checkpoint.SHARED,
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
    images = checkpoint.images("restore", given, options)

    def begin(*, detached: bool) -> Container:
        from pycgroups import runtime

        del detached  # criu restores no terminal that somebody would have to take
        return runtime.restore(
            flags.get("bundle", "."),
            given.words[0],
            images,
            root=given.settings.root,
            pid_file=flags.get("pid_file"),
            cgroup_manager=given.settings.manager,
        )

    return attend(given, begin)


COMMAND = Command(
    run,
    "[FLAGS] CONTAINER",
    "Bring the processes of a checkpoint back as a container of the same bundle, with criu(8). Unless it is detached,\n"
    "the exit code is that of its first process, and it is removed at its end. Of the hooks prestart,\n"
    "createRuntime and poststop are run.",
    FLAGS,
)
