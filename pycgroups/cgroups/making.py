"""How a group comes to be: what is asked for, and the directories.

Beside another process that sweeps at the same time:

    creator                                     sweeper
    mkdir GROUP
    open, flock shared   <- EAGAIN, ENOENT      open, flock exclusive: had, so no creator lives
    open a file in it    <- ENOENT              rmdir
    write limits

Each of these errors means that a sweeper came between; the creator starts over with another name.
"""

from __future__ import annotations

from pycgroups.cgroups import places, resources, sweep, tree
from pycgroups.cgroups.limits import NO_LIMITS
from pycgroups.cgroups.v2 import manager as v2
from pycgroups.errors import AlreadyExists, CgroupError, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.cgroups.files import Directory
    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.oci.resources import DeviceRule, Resources


def asked(limits: Limits, devices: Sequence[DeviceRule], given: Resources | None) -> Resources:
    """Take what is asked for, by words or in OCI's: both would leave open which wins.

    Raises:
        InvalidConfig: a value that is wrong on every host, or limits of both kinds.
    """
    from pycgroups.cgroups import translate

    if given is None and not limits.io_limits and not devices:
        return translate.of_limits(limits)
    from pycgroups.cgroups import device_rules, disks, ranges  # words have been checked, and most name no device

    if given is None:
        given = translate.of_limits(limits, disks.numbers(limits), tuple(devices))
    elif limits != NO_LIMITS or devices:
        raise invalid("resources", given, "limits by words or by resources, not both")
    ranges.check(given)
    disks.check(given)
    device_rules.tabulate(given.devices)
    return given


def check_threaded(name: str | None, limits: Limits, wanted: Resources) -> None:
    """Refuse a group of threads that has no group to be in, or that limits what a process has as a whole."""
    if name is None or "/" not in name:
        raise invalid("name", name, "'a/b' with threaded=True: a group inside that of the threads' processes")
    whole = [path for path, controller in resources.given(wanted).items() if controller not in v2.THREADED]
    if whole:
        words = ", ".join(resources.names(whole, limits))
        raise invalid("threaded", True, f"without {words}, which a process has as a whole")


def make(place: Place, name: str, managers: list[Manager], above: list[Directory], *, marked: bool) -> None:
    """Make the group's directory in one hierarchy, and those above that its name has.

    Args:
        place: where.
        name: "a/b/c".
        managers: the new directory's is added.
        above: those above it are added, open and locked.
        marked: whether a sweeper is to know the group by a mark, and not by its name.
    """
    *outer, last = name.split("/")
    path = place.path
    for part in outer:
        path = f"{path}/{part}"
        made = places.make_directory(path)
        above.append(_hold(path, marked=made))
        places.hand_down(place, above[-1])
    managers.append(_new(place, f"{path}/{last}", marked=marked))


def _hold(path: str, *, marked: bool) -> Directory:
    """Open a directory and lock it against sweepers."""
    directory = places.opened(path)
    try:
        sweep.lock(directory)
        if marked:
            sweep.mark(directory)
    except BaseException:
        directory.close()
        raise
    return directory


def _new(place: Place, path: str, *, marked: bool) -> Manager:
    """Make the group's directory in one hierarchy, and hold it."""
    while not places.make_directory(path):
        if not sweep.reclaim(place.version, path):
            raise AlreadyExists("somebody has made it", operation="create cgroup", path=path)
    try:
        directory = _hold(path, marked=marked)
        try:
            return places.MANAGERS[place.version](directory, place.controllers)
        except BaseException:
            directory.close()
            raise
    except BaseException:
        try:
            tree.try_rmdir(path)
        except CgroupError:
            pass  # what went wrong before is what matters
        raise
