"""The end of a container of the OCI runtime: it is removed, with all that is left of it; runtime.md, "Delete".

The command pycgroups-oci takes the same steps for a plain container that is stopped, in C: bin/pycgroups-oci.c.
"""

from __future__ import annotations

import os
import select

from pycgroups.cgroups import placed, placing
from pycgroups.errors import Error, InvalidConfig, LaunchError, NotFound, StateError
from pycgroups.oci.reading import spec_of_text
from pycgroups.runtime.signals import open_process, send_signal
from pycgroups.runtime.state import Home, Record, make_state, status_of

_SIGKILL = 9
_END = b"\1"  # what a container's process may read in the FIFO that it waits on, as "go" in `container`
_PATIENCE = 10_000  # milliseconds for the kernel to end a killed process


def delete(directory: str, *, force: bool, first: tuple[int, int] | None = None) -> list[str]:
    """Remove a container by its state directory; see `pycgroups.runtime.Container.delete`.

    Args:
        directory: where its state is.
        force: kill it first, if it is not stopped.
        first: only if its first process is this one.

    Returns:
        What went wrong and is no error.
    """
    with Home(directory) as home:
        home.lock()
        try:
            record = home.load()
        except NotFound:  # its creator died before it made anything but perhaps a process
            _send_away(home)
            home.remove()
            return []
        except InvalidConfig:
            if not force:
                raise
            _remove_damaged(home)
            return []
        if first is not None and first != (record.pid, record.started_at):
            raise NotFound("it has been removed, and its name is another's", operation="delete", path=record.id)
        status = status_of(home, record)
        if status != "stopped" and not force:
            message = f"cannot delete container that is not stopped: {status}"
            hint = "kill it first, or delete it by force"
            raise StateError(message, operation="delete", path=record.id, hint=hint)
        if status == "creating":
            _cancel(home, record)
        dying = _kill(record)
        try:
            placed.remove(record.cgroups, record.unit)
            _wait_for_end(dying)  # not before: what is frozen holds up the end of process 1
        finally:
            if dying >= 0:
                os.close(dying)
        notices = _clear(record)
        if record.resctrl_made:
            from pycgroups.runtime import resctrl

            resctrl.remove(record.resctrl_made)
        notices += _poststop(home, record)
        home.remove()
        return notices


def end(record: Record) -> None:
    """Kill its process, and wait until it is dead."""
    dying = _kill(record)
    try:
        _wait_for_end(dying)
    finally:
        if dying >= 0:
            os.close(dying)


def _kill(record: Record) -> int:
    """Kill its process; its pidfd, which the caller closes, or -1 if it is dead."""
    if not record.started_at or not record.is_alive():
        return -1
    pidfd = open_process(record.pid)
    try:
        if pidfd >= 0 and record.is_alive():  # and so the pid was still its
            send_signal(pidfd, _SIGKILL)
            kept, pidfd = pidfd, -1
            return kept
        return -1
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _wait_for_end(pidfd: int) -> None:
    if pidfd >= 0:
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        gone.poll(_PATIENCE)


def _clear(record: Record) -> list[str]:
    """Unmount what it has mounted outside; what stays."""
    if not record.mounted:
        return []
    from pycgroups.runtime import in_place

    return in_place.clear(record.mounted)


def _poststop(home: Home, record: Record) -> list[str]:
    """Run the last hooks, all of them: a failure changes nothing, and is told."""
    if "poststop" not in record.hooks:
        return []
    from pycgroups.runtime import hooks

    found = spec_of_text(home.config()).hooks
    assert found is not None
    failed: list[LaunchError] = []
    hooks.run("poststop", found.poststop, make_state(record, "stopped"), failed=failed)
    return [*map(str, failed)]


def _remove_damaged(home: Home) -> None:
    """Remove a container of which nothing is known but its config.json, which tells of the cgroup.

    Without a cgroup, who waits for a start ends, and who has been started goes on.
    """
    try:
        path = spec_of_text(home.config()).linux.cgroups_path
    except Error:
        path = None
    if path and ":" not in path:
        planned = placing.planned(path, os.path.basename(home.path))
        with placed.open_(planned, to_enter=False) as group:
            group.remove()
    _send_away(home)
    home.remove()


def _cancel(home: Home, record: Record) -> None:
    """Remove what a creator left that died: its cgroup, or a process that waits for its start."""
    if record.planned_cgroups:
        placing.discard(record.planned_cgroups)
    _send_away(home)


def _send_away(home: Home) -> None:
    """Have a process end that waits for its start, if there is one."""
    try:
        fifo = home.open_fifo()
    except StateError:
        return
    try:
        os.write(fifo, _END)
    except BrokenPipeError:  # it has just ended by itself
        return
    finally:
        os.close(fifo)
