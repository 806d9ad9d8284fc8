"""Limits that cannot be enforced here: their names, as the caller wrote them, or the error that says why."""

from __future__ import annotations

import os

from pycgroups.cgroups import detect, places, resources
from pycgroups.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.manager import Lack, Manager
    from pycgroups.cgroups.places import Place
    from pycgroups.oci.resources import Resources

DOCTOR = "`pycgroups doctor` tells why this user cannot have one, and what mends it"


def check(
    found: tuple[Place, ...], limits: Limits | None, asked: Resources, *, require_limits: bool
) -> tuple[str, ...]:
    """Name the limits of a group to be made that have no controller, or whose controller lacks what they need.

    Args:
        found: where the group will be.
        limits: what was asked for by words, if it was.
        asked: the same, or else what was asked for, in OCI's words.
        require_limits: whether a limit that cannot be enforced is an error.

    Raises:
        Unsupported: there are some, and all are required.
    """
    offered = places.offered(found)
    homeless = unplaced(offered, limits, asked)
    if homeless and require_limits:
        raise without(resources.controllers(asked) - offered, operation="limit", path=", ".join(homeless))
    lacks = [
        lack for place in found for lack in places.MANAGERS[place.version].check(place.path, place.controllers, asked)
    ]
    if lacks and require_limits:
        raise _lacking(lacks, limits)
    rest = [*(lack.path for lack in lacks), *resources.ignored(asked)]
    return homeless + resources.names(rest, limits)


def among(managers: Sequence[Manager], limits: Limits, asked: Resources) -> tuple[str, ...]:
    """Name the limits of a group that is there which its directories cannot enforce.

    Args:
        managers: its directories.
        limits: what was asked for by words.
        asked: the same in OCI's words.
    """
    lacks = [lack.path for manager in managers for lack in _lacks(manager, asked)]
    return unplaced(_controllers(managers), limits, asked) + resources.names(lacks, limits)


def _controllers(managers: Iterable[Manager]) -> frozenset[str]:
    return frozenset({"cgroup"}).union(*(manager.controllers for manager in managers))


def check_change(
    managers: Iterable[Manager], limits: Limits | None, asked: Resources, *, known: tuple[str, ...]
) -> None:
    """Look whether limits of a group that is there can be changed.

    Args:
        managers: its directories.
        limits: the changes by words, if they are.
        asked: the same, or else the changes, in OCI's words.
        known: what was not enforced before need not be now.

    Raises:
        Unsupported: the group has no controller for one, or the controller lacks what it needs.
    """
    have = _controllers(managers)
    homeless = [word for word in unplaced(have, limits, asked) if word not in known]
    if homeless:
        missing = resources.controllers(asked) - have
        if unusable := missing - places.offered(places.places(missing)):
            raise without(unusable, operation="limit", path=", ".join(homeless))
        raise Unsupported(
            f"the group was made without {', '.join(homeless)}",
            operation="set limits",
            hint="give the group some limit of this kind when it is made",
        )
    lacks = [
        lack
        for manager in managers
        for lack in _lacks(manager, asked)
        if not {*resources.names([lack.path], limits)} <= {*known}
    ]
    if lacks:
        raise _lacking(lacks, limits)


def _lacks(manager: Manager, asked: Resources) -> list[Lack]:
    path = manager.directory.path
    return manager.check(path, manager.controllers, asked, os.path.dirname(path))


def check_devices() -> None:
    """Look whether device rules can be in force: they are no limit but protection, and never left out.

    Raises:
        Unsupported: they cannot.
    """
    needed = frozenset({places.DEVICES})
    if missing := needed - places.offered(places.places(needed)):
        raise without(missing, operation="limit devices")


def no_freezer(managers: Sequence[Manager]) -> Unsupported:
    """Make the error for a group that cannot stand still."""
    if not managers:
        return Unsupported("this user has no cgroup for it", operation="freeze", hint=DOCTOR)
    return Unsupported(
        "the group has no freezer",
        operation="freeze",
        hint="it needs cgroup v2 with kernel 5.2, or the freezer of v1: mount -t cgroup -o freezer freezer DIR",
    )


def without(missing: frozenset[str], *, operation: str, path: str | None = None) -> Unsupported:
    """Make the error for controllers that this process cannot use."""
    from pycgroups.cgroups import hints  # not needed where all is well

    found = detect.hierarchies()
    controllers = ", ".join(sorted(missing))
    hint = hints.for_missing(missing, found)
    places.forget()  # somebody may do what the hint says, and try again
    return Unsupported(
        f"this process cannot use the cgroup controllers {controllers} (hierarchy: {detect.kind(found)})",
        operation=operation,
        path=path,
        hint=hint,
    )


def unplaced(controllers: frozenset[str], limits: Limits | None, asked: Resources) -> tuple[str, ...]:
    """Name the limits that none of these controllers enforces.

    Of words, those that were written: with memory goes a limit of swap that nobody spoke of.
    """
    paths = [path for path, name in resources.given(asked).items() if name not in controllers]
    return tuple(word for word in resources.names(paths, limits) if getattr(limits, word, word) is not None)


def _lacking(lacks: list[Lack], limits: Limits | None) -> Unsupported:
    """Make the error for limits that their controllers lack something for."""
    return Unsupported(
        "; ".join(dict.fromkeys(lack.why for lack in lacks)),
        operation="limit",
        path=", ".join(resources.names([lack.path for lack in lacks], limits)),
        hint="; ".join(dict.fromkeys(lack.hint for lack in lacks)),
    )
