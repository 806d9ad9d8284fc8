"""`run` becomes the command in C, which waits for the end of a plain container, and deletes it: bin/pycgroups-oci.c.

::

    run, in Python                  the same process, in C
    create, start
    exec  ----------------------->  __attend PIDFD SIGNALS [FLAGS delete ... CONTAINER]
                                    passes these signals on; waits; does what the other words say

It is still the parent of the container's process, and has the descriptors of its caller. What Python has in memory is
given back while the program begins. A container that cannot be deleted in C is by Python, in a child.
"""

from __future__ import annotations

import os
import sys

from pycgroups.runtime.state import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container

_ATTEND = "__attend"
_OPTION = "pycgroups_oci"
"""Of Python's -X: where the command in C is, by itself."""


def hand_over(given: Given, container: Container, signals: Iterable[int]) -> None:
    """Become the command in C, where there is one, and nothing to do that it cannot; else return.

    Args:
        given: the command line.
        container: one that this process has created and started.
        signals: those that are to be passed on; they are blocked.
    """
    command = sys._xoptions.get(_OPTION)  # noqa: SLF001 (documented, and there is no other way to its options)
    if not isinstance(command, str) or container.master >= 0 or not os.path.exists(f"{container.directory}/{PLAIN}"):
        return
    given.done()
    at_end = [] if given.flags.get("keep") else _to_delete(given, container)
    pidfd = container.fileno()
    words = [command, _ATTEND, str(pidfd), ",".join(map(str, signals)), *at_end]
    os.set_inheritable(pidfd, True)
    try:
        os.execv(command, words)  # noqa: S606 (no shell is wanted)
    except OSError:  # it is no longer there
        os.set_inheritable(pidfd, False)


def _to_delete(given: Given, container: Container) -> list[str]:
    log = given.settings.log
    flags = ["--root", os.path.dirname(container.directory), *(["--log", log.path] if log.path else [])]
    pid, began = container.first or (0, 0)
    words = "delete", "--force", "--first", f"{pid}:{began}"  # another command may be faster, and have the name anew
    return [*flags, "--log-format", log.form, *words, *(["--"] if container.id.startswith("-") else []), container.id]
