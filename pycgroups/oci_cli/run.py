"""``run``: create, start, and unless it is to go on alone wait and delete."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.oci_cli import create, notify
from pycgroups.oci_cli.command import DETACH, Command, warn
from pycgroups.oci_cli.foreground import Foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

FLAGS = (
    *create.FLAGS,
    DETACH,
    Flag("--keep", "do not remove it at its end"),
    Flag("--no-subreaper", "for runc's sake: there is none"),
)


def run(given: Given) -> int:
    """Run it; the exit code of its program."""
    if given.flags.get("detach"):
        container = create.create(given, detached=True)
        _start(given, container, detached=True)
        container.let_go()
        return 0
    with Foreground() as foreground:
        container = create.create(given, detached=False)
        _start(given, container, detached=False)
        code = foreground.wait(container)
        if not given.flags.get("keep"):
            container.delete(force=True)
        container.let_go()
        return code


def _start(given: Given, container: Container, *, detached: bool) -> None:
    try:
        notify.start(container, wait=detached)
    except BaseException:
        container.delete(force=True)
        raise
    finally:
        warn(given.settings.log, container)


COMMAND = Command(
    run,
    "CONTAINER",
    "Run a container of a bundle. Unless it is detached, the exit code is that of its program, 128+n where signal n\n"
    "ended it, and it is removed at its end.",
    FLAGS,
)
