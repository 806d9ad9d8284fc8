"""Where this process may move to have more controllers for its groups, and when it does.

It moves if a limit needs it, no further than that takes: down in its own cgroup (`leaf`), or to the systemd of its
user's session (`session`).
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pycgroups.cgroups import detect, leaf, session
from pycgroups.cgroups import places as here
from pycgroups.errors import Error

if TYPE_CHECKING:
    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.cgroups.places import Place

_WAYS = (leaf, session)
_MOVING = threading.Lock()  # threads move together, so one of them sees to it
# A child forked meanwhile has no other thread that would let go of it; as in CPython's own threading and logging.
os.register_at_fork(after_in_child=_MOVING._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001


def offers(found: tuple[Hierarchy, ...]) -> frozenset[str]:
    """Name the controllers that this process can have by moving."""
    return frozenset().union(*(way.offers(found) for way in _WAYS))


def places(needed: frozenset[str], *, required: bool) -> tuple[Place, ...]:
    """Find directories for groups as `places.places` does, after moving to where there are more, if that helps.

    Raises:
        CgroupError: moving fails, and `required` is True.
    """
    with _MOVING:
        try:
            for way in _WAYS:
                found = here.places(needed)  # anew: another thread may have moved
                missing = needed - here.offered(found) if found else here.LIMITABLE
                if missing & way.offers(detect.hierarchies()):
                    way.enter()
        except Error:
            if required:
                raise
    return here.places(needed)
