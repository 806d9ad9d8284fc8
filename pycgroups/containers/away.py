"""``python -m pycgroups.containers.away ID``: remove a container that nobody needs after its end.

What its monitor becomes then (`pycgroups.containers.monitor.Command`). Nobody looks at its exit code or its output.
"""

from __future__ import annotations

import sys

from pycgroups.containers import collection
from pycgroups.errors import StateError


def main(id_: str) -> None:
    """Remove the container of the default store, however long others are at work on it.

    Not by force: somebody may have started it meanwhile.

    Raises:
        NotFound: it was removed.
        StateError: it runs.
    """
    container = collection.default().get(id_)
    while True:
        try:
            container.remove()
        except StateError as error:
            if error.operation != "lock":
                raise
            continue
        return


if __name__ == "__main__":
    main(sys.argv[1])
