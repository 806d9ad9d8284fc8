"""``python -m pycgroups.containers.away ID``: remove a container that nobody needs after its end.

What its monitor becomes then (`pycgroups.containers.monitor.Command`). Nobody looks at its exit code or its output.
"""

from __future__ import annotations

import sys

from pycgroups.containers import collection, monitor
from pycgroups.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.container import Container


def main(id_: str) -> None:
    """Remove the container of the default store, however long others are at work on it.

    Not by force: somebody may have started it meanwhile, or be about to; who dies over that has not.

    Raises:
        NotFound: it was removed.
        StateError: it runs, or somebody has failed to start it anew.
    """
    container = collection.default().get(id_)
    while True:
        try:
            container.remove()
        except StateError as error:
            if error.operation != "lock" and not _is_still_to_go(container):
                raise
            continue
        return


def _is_still_to_go(container: Container) -> bool:
    """Tell whether one that was not removed is to be, once nobody restarts it any more."""
    if container.status not in collection.IDLE:
        return False
    with container._home() as home:  # noqa: SLF001
        return monitor.is_kept_in_vain(home.fd)


if __name__ == "__main__":
    main(sys.argv[1])
