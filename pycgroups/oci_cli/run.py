"""``run``: create, start, and unless it is to go on alone wait and delete."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.errors import NotFound
from pycgroups.oci_cli import create, notify
from pycgroups.oci_cli.command import DETACH, Command, warn
from pycgroups.oci_cli.foreground import Foreground, plain
from pycgroups.oci_cli.handover import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

KEEP = Flag("--keep", "do not remove it at its end")
NO_SUBREAPER = Flag("--no-subreaper", "for runc's sake: there is none")
FLAGS = (*create.FLAGS, DETACH, KEEP, NO_SUBREAPER)


def run(given: Given) -> int:
    """Run it; the exit code of its program."""

    def begin(*, detached: bool) -> Container:
        container = create.create(given, detached=detached)
        if container.master >= 0:
            plain(container.master)
        _start(given, container, detached=detached)
        return container

    return attend(given, begin)


def attend(given: Given, begin: Callable[..., Container]) -> int:
    """Have a container run, and leave it alone or wait for its end, as the flags say; the exit code."""
    if given.flags.get("detach"):
        begin(detached=True).let_go()
        return 0
    with Foreground() as foreground:
        container = begin(detached=False)
        hand_over(given, container, foreground.handed_on())
        code = foreground.wait(container)
        if not given.flags.get("keep"):
            _delete(given, container)
        container.let_go()
        return code


def _delete(given: Given, container: Container) -> None:
    try:
        container.delete(force=True)
    except NotFound:  # another command was faster
        pass
    warn(given.settings.log, container)


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
