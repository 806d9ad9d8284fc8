"""``python -m pycgroups.containers.again ID``: start a container again, by its restart policy.

What its monitor becomes, after the delay (`pycgroups.containers.monitor.Command`). Nobody looks at its exit code or its
output. If the start fails that is a run of the container that ended at once, and the policy goes on from there. If not
even that can be noted, as when the disk is full, it is tried again from here, by the same delays.
"""

from __future__ import annotations

import os
import select
import sys

from pycgroups import images
from pycgroups._native.calls import lib
from pycgroups.containers import monitor, restarting, starting
from pycgroups.containers.home import FOR_EVER
from pycgroups.containers.place import place
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.home import Home, Record
    from pycgroups.containers.place import Place


def main(id_: str) -> None:
    """Start the container of the default store, unless somebody has started, stopped or removed it meanwhile.

    Raises:
        NotFound: it was removed.
    """
    where, waited = place(None, images.default()), 0.0
    while (failed := _attempt(where, id_, waited)) is not None and _rest(failed):
        waited = failed.waited


def _attempt(where: Place, id_: str, waited: float) -> starting.Turn | None:
    """Try once; if nothing came of that which anybody could see, the turn, with the seconds before it is tried again.

    Args:
        where: the containers.
        id_: of this one.
        waited: seconds since the last attempt; 0 for the first.
    """
    with where.homes.open(id_) as home:
        home.lock(FOR_EVER)  # whoever is at work on it has not asked for its end
        record = home.record()
        turn = _turn(home, record, waited)
        if turn is None:
            return None
        try:
            starting.start(where, home, record, turn)
        except (Error, OSError) as error:
            try:
                starting.fail(where, home, record, turn, error)
            except (Error, OSError):
                return turn._replace(waited=restarting.command(record.restart, 0, turn.waited, (), {}).delay)
        return None


def _rest(failed: starting.Turn) -> bool:
    """Wait before the next attempt; False if the creator ends, with which the container is to."""
    creator = select.poll()
    if failed.creator is not None:
        creator.register(failed.creator, select.POLLIN)
    return not creator.poll(failed.waited * 1000)


def _turn(home: Home, record: Record, waited: float) -> starting.Turn | None:
    """Return which start this is; None if it is none."""
    end, last = monitor.read_exit(home.fd), home.start()
    if end is None or end.next_pid != os.getpid() or last is None or home.is_stopped:
        return None
    command = restarting.command(record.restart, last.restarts, 0, (), {})
    if not command.again or (command.if_failed and end.status == 0):  # somebody has changed the policy
        return None
    return starting.Turn(
        keeper=-1 if record.detach else lib.COMMAND_KEEPER,
        creator=None if record.detach else lib.COMMAND_CREATOR,
        restarts=last.restarts + 1,
        waited=waited or end.next_msec / 1000,
    )


if __name__ == "__main__":
    for number in (lib.COMMAND_LOCK, lib.COMMAND_KEEPER, lib.COMMAND_CREATOR):
        try:
            os.set_inheritable(number, False)
        except OSError:  # a detached one has no keeper
            continue
    main(sys.argv[1])
