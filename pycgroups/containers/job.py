"""One container from start to end: its cgroup, its range of ids, its process, and the loop that waits for it."""

from __future__ import annotations

import os
import select
import time

from pycgroups._native.calls import lib
from pycgroups.cgroups.limits import NO_LIMITS
from pycgroups.clock import milliseconds, seconds_until
from pycgroups.containers import assemble, ids, joining
from pycgroups.containers.verdict import make_hits, make_reason, make_usage
from pycgroups.errors import Error, InvalidConfig, LaunchError, Unsupported, invalid, own_errors
from pycgroups.runtime import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.cgroups import Cgroup
    from pycgroups.cgroups.sample import Sample
    from pycgroups.containers.assemble import Assembly
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.image_root import ImageRoot
    from pycgroups.containers.joining import Joining
    from pycgroups.containers.streams import Streams
    from pycgroups.containers.supervisor import Supervisor
    from pycgroups.containers.verdict import Hits, Reason, Usage
    from pycgroups.images.locks import Lock
    from pycgroups.namespaces.ranges import Range
    from pycgroups.oci.resources import DeviceRule
    from pycgroups.oci.runtime_spec import IdMapping
    from pycgroups.runtime.steps import Plan, Terminal

    Mappings = tuple[IdMapping, ...]
else:
    from pycgroups.records import NamedTuple

_SIGKILL = 9
_NO_IMAGE = (None, "host")
# A tmpfs does not count the writes it refused: it is looked at this often (seconds), and at the end.
_DISK_INTERVAL = 0.1


class Outcome(NamedTuple):
    """How a container ended."""

    returncode: int
    reason: Reason
    hits: Hits
    usage: Usage
    unenforced: tuple[str, ...]


def needs_group(config: ContainerConfig, rules: tuple[DeviceRule, ...]) -> bool:
    """Tell whether it has a cgroup of its own: for limits, for rules, or to end all of its processes."""
    return config.limits != NO_LIMITS or bool(rules) or config.shares_pids


class Job:
    """A container that runs until its program ends.

    Use: `start`, or `prepare` and `start_prepared` as that does; `wait` until it answers, always `close`.
    """

    def __init__(
        self,
        config: ContainerConfig,
        streams: Streams,
        terminal: Terminal | None = None,
        supervisor: Supervisor | None = None,
        image: ImageRoot | None = None,
    ) -> None:
        """Take the options; nothing is started.

        Args:
            config: the options.
            streams: where the program's go.
            terminal: makes one for it.
            supervisor: answers its system calls.
            image: the one of the options, when it is prepared already; it is released in the end.
        """
        self.config = config
        self.streams = streams
        self.terminal = terminal
        self.supervisor = supervisor
        self.master = -1
        self._image = image
        self._volumes: list[Lock] = []
        self._group: Cgroup | None = None
        self._range: Range | None = None
        self._running: launch.Running | None = None
        self._poll = select.poll()
        self._begin = 0.0
        self._is_refused = False
        self._timed_out = False
        self._disk_full = False
        self._sample: Sample | None = None

    # -- start ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the container.

        Raises:
            Error: of the kinds that `pycgroups.run` names. Nothing is left; `close` is still to be called.
        """
        self.prepare()
        while not self.start_prepared():
            self.prepare()

    @own_errors("start")
    def prepare(self) -> None:
        """Do what may take long before `start_prepared`: fetch and copy its image, and make and fill its volumes.

        Raises:
            Error: as `start` does.
        """
        if self._is_refused:
            self._do_without_overlay()
            return
        if self.config.log is not None:
            raise invalid("log", self.config.log, "with a container that is held: the output of a run is in its result")
        if self._image is None and self.config.image not in _NO_IMAGE:
            from pycgroups.containers import image_root  # the usual run has the host's root

            self._image = image_root.prepare(self.config)
        if self._image is not None:
            self.config = self._image.config
        if self.config.names_volumes:
            from pycgroups.containers import volumes  # the usual run has none
            from pycgroups.containers.volumes import mounting

            root = None if self._image is None else self._image.root
            self.config, self._volumes = mounting.prepare(self.config, root, volumes.default())

    @own_errors("start")
    def start_prepared(self) -> bool:
        """Start what is prepared; False when overlayfs has refused its image, and it is to be prepared once more.

        Raises:
            Error: as `start` does.
        """
        self._begin = time.monotonic()
        joins: tuple[int, ...] = ()
        cgroup = -1
        rules: tuple[DeviceRule, ...] = ()
        if self.config.devices or self.config.caps_add:  # of the few that have some, the fewest need rules
            from pycgroups.containers.devices import device_rules

            rules = device_rules(self.config)
        if needs_group(self.config, rules):
            joins, cgroup = self._make_group(rules)
        try:
            self._assemble(rules, joins, cgroup)
            if self._image is not None and self._running is not None:
                self._image.await_overlay(self._running)
        except (LaunchError, Unsupported) as error:
            self._is_refused = self._image is not None and self._image.can_do_without(error)
            if self._is_refused:
                return False
            self._name_option(error)
            raise
        self.streams.started()
        return True

    def _name_option(self, error: Error) -> None:
        from pycgroups.containers import origins  # for errors alone

        origins.tell(error, self.config)

    def _do_without_overlay(self) -> None:
        """Copy the image instead."""
        assert self._image is not None
        if self._running is not None:
            self._running.close()
        self._image.copy()

    def _assemble(self, rules: tuple[DeviceRule, ...], joins: tuple[int, ...], cgroup: int) -> None:
        with joining.opened(self.config) as spaces:
            parts = assemble.assemble(
                self.config,
                joins=len(joins),
                terminal=self.terminal,
                devices=rules,
                joined=spaces.joined,
                image=None if self._image is None else self._image.root,
            )
            self._check_listener(parts)
            self.streams.begin(terminal=self.terminal is not None)
            self._launch(parts, spaces, joins, cgroup)

    def _launch(self, parts: Assembly, spaces: Joining, joins: tuple[int, ...], cgroup: int) -> None:
        plan, uids, gids = parts.plan, parts.idmap.uids, parts.idmap.gids
        if ids.is_leased(self.config, parts.caller) and spaces.joined.user is None:
            plan, uids, gids = self._lease_ids(parts)
        running = self._running = launch.Running(plan)
        made: list[int] = []
        try:
            if spaces.spaces:
                if spaces.joined.user is None and uids:  # see `pycgroups.runtime.plan.joined`
                    made.append(launch.make_userns(uids, gids))
                uids = gids = ()
            launch.launch(
                running,
                parts.encoded,
                stdio=self.streams.child,
                above=self.streams.highest,
                cgroup=cgroup,
                given=[*joins, *(space.fileno() for space in spaces.spaces), *made],
                uid_mappings=uids,
                gid_mappings=gids,
            )
        finally:
            for fd in made:
                os.close(fd)
        if plan.forks:
            running.until(lambda running: running.has_forked)

    def _check_listener(self, parts: Assembly) -> None:
        if self.supervisor is None and parts.has_listener:
            raise InvalidConfig(
                "SCMP_ACT_NOTIFY needs somebody who answers: on_syscall", operation="option", path="seccomp"
            )

    def _make_group(self, devices: tuple[DeviceRule, ...]) -> tuple[tuple[int, ...], int]:
        from pycgroups.cgroups import Cgroup

        if self._group is None:  # else it is that of the first attempt
            self._group = Cgroup.for_limits(
                self.config.limits,
                devices=devices,
                require_limits=self.config.require_limits,
                cgroup_manager=self.config.cgroup_manager,
            )
        if self.config.shares_pids and not self._group.paths:
            raise Unsupported(
                "without a cgroup nothing would end all processes of a container that shares its pid namespace",
                operation="option",
                path="namespaces['pid']",
                hint="leave it private; or `pycgroups doctor` tells how this account gets cgroups",
            )
        clone_fd = self._group.clone_fd
        return self._group.join_fds, -1 if clone_fd is None else clone_fd

    def _lease_ids(self, parts: Assembly) -> tuple[Plan, Mappings, Mappings]:
        """Move what was planned with some range of ids to one that nobody else has."""
        plan, uids, gids = parts.plan, parts.idmap.uids, parts.idmap.gids
        from pycgroups.namespaces import ranges

        if self._range is None:
            self._range = ranges.lease()
        first = self._range.first
        if any(plan.idmaps):
            moved = (
                maps and (ids.shift_outside(maps[0], first), ids.shift_outside(maps[1], first)) for maps in plan.idmaps
            )
            plan = plan._replace(idmaps=tuple(moved))
        return plan, ids.shift(uids, first), ids.shift(gids, first)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def wait(self) -> Outcome:
        """Serve the streams until every process of the container has ended.

        Raises:
            LaunchError: the program did not start.
            BaseException: what a handler of system calls raised.
        """
        try:
            return self._wait()
        finally:
            if self.supervisor is not None and self.supervisor.error is not None:
                raise self.supervisor.error  # it comes first: the container was killed for it

    @own_errors("wait")
    def _wait(self) -> Outcome:
        running = self._running
        assert running is not None
        poll = self._poll
        poll.register(running.pidfd, select.POLLIN)
        # Else what the helper says can wait: each wake-up is time of the program's.
        listens = self.terminal is not None or self.supervisor is not None
        if listens:
            poll.register(running.control, select.POLLIN)
        self.streams.attach(poll, terminal=self.terminal is not None)
        if listens:  # what it said since the start may have been heard with what that waited for
            self._serve(running.control, select.POLLIN, running)
        timeout = self.config.timeout
        deadline = None if timeout is None else self._begin + timeout
        while True:
            ready = poll.poll(self._patience(running, deadline))
            if deadline is not None and time.monotonic() >= deadline:
                deadline = self._time_out(running, deadline)
            for fd, events in ready:
                if fd == running.pidfd:
                    return self._end(running)
                self._serve(fd, events, running)
            if self.streams.due is not None and time.monotonic() >= self.streams.due:
                self.streams.move()

    def _time_out(self, running: launch.Running, deadline: float) -> float | None:
        """End the container; the answer is when to ask anew how that goes."""
        first, self._timed_out = not self._timed_out, True
        if running.plan.supervised:
            if self._group is not None and first:
                self._group.kill()
            running.kill()
            return time.monotonic() + launch.GRACE
        if first and self._group is None and self.config.init:
            # What the kernel kills with PID 1 is counted nowhere but in a cgroup.
            running.signal(launch.END)
            return deadline + launch.GRACE
        running.kill()
        return None

    def _serve(self, fd: int, events: int, running: launch.Running) -> None:
        if fd != running.control:
            self.streams.ready(fd, events)
            if not self.streams.ended or self._group is None:
                return
            # Most programs end now, and then their init, which takes a while: what was used is read meanwhile.
            self._poll.register(running.control, select.POLLIN)
        if not running.hear():
            self._poll.unregister(running.control)
        if running.report is not None:
            self._measure()
        self._adopt_listener(running)
        if running.started:  # before, it is not yet the program's: a typed ^C would be for nobody
            self._adopt_terminal(running)

    def _adopt_listener(self, running: launch.Running) -> None:
        """The filter is there: from now on its calls are answered, and the helper may go on."""
        listener = running.descriptors.pop(lib.OP_SECCOMP, -1)
        if listener >= 0 and self.supervisor is not None:
            self.supervisor.start(listener, running)
            try:
                running.go_on()
            except OSError:  # it was killed
                return

    def _adopt_terminal(self, running: launch.Running) -> None:
        """The program's terminal has come: what is written to it is the output."""
        master = running.descriptors.pop(lib.OP_CONSOLE, -1)
        if master >= 0:
            self.master = master
            os.set_blocking(master, False)
            self.streams.use_terminal(master)

    def _patience(self, running: launch.Running, deadline: float | None) -> float | None:
        """Milliseconds to wait at most, None for ever; the disk is looked at on the way."""
        seconds = seconds_until(deadline)
        if self.streams.due is not None:
            until = self.streams.due if deadline is None else min(deadline, self.streams.due)
            seconds = seconds_until(until)
        if self.config.disk is not None and not self._disk_full:
            self._look_at_disk(running)
            seconds = _DISK_INTERVAL if seconds is None else min(seconds, _DISK_INTERVAL)
        return milliseconds(seconds)

    def _look_at_disk(self, running: launch.Running) -> None:
        running.hear()
        scratch = running.descriptors.get(lib.OP_SEND, -1)
        if scratch >= 0 and not os.fstatvfs(scratch).f_bfree:
            self._disk_full = True

    def kill(self, number: int = _SIGKILL) -> None:
        """Send a signal; SIGKILL ends every process of the container."""
        if self._running is not None and number == _SIGKILL:
            self._running.kill()
        elif self._running is not None:
            self._running.signal(number)

    # -- end --------------------------------------------------------------------------------------------------------

    def _end(self, running: launch.Running) -> Outcome:
        running.hear()
        self._adopt_terminal(running)
        own_status, usage = running.reap()
        wall_time = time.monotonic() - self._begin
        if self.supervisor is not None:
            self.supervisor.finish(None if self.config.timeout is None else self._begin + self.config.timeout)
        self.streams.stop()
        self.streams.drain()
        if running.failure is not None:
            self._name_option(running.failure)
            raise running.failure
        self._measure()
        if self.config.disk is not None:
            self._look_at_disk(running)
        hits = make_hits(self._sample, disk=self._disk_full)
        returncode = self._returncode(running, own_status)
        if self.config.init and not running.started and not self._timed_out and not hits["oom"]:
            raise LaunchError("the helper was killed", step="start of the program")
        return Outcome(
            returncode=returncode,
            reason=make_reason(returncode, hits, timed_out=self._timed_out),
            hits=hits,
            usage=make_usage(wall_time, self._sample, usage, running.report),
            unenforced=self._unenforced(),
        )

    def _unenforced(self) -> tuple[str, ...]:
        limits = () if self._group is None else self._group.unenforced
        is_copy = self._image is not None and self._image.root.copy is not None
        return (*limits, "disk") if is_copy and self.config.disk is not None else limits

    def _returncode(self, running: launch.Running, own_status: int | None) -> int:
        if running.status is not None:
            return os.waitstatus_to_exitcode(running.status)
        if own_status is not None:
            return os.waitstatus_to_exitcode(own_status)
        if self.config.init:  # which says how the program ended, unless it is killed
            return -_SIGKILL
        raise Error(
            "somebody else in this process has taken the exit status: SIGCHLD is ignored, or its handler waits for any",
            operation="wait",
            hint="leave init at True, or use Linux 6.15 or newer",
        )

    def _measure(self) -> None:
        """Read what the group has used, once: at the end, or when its init is the last one in it and has told so."""
        if self._group is not None and self._sample is None:
            self._sample = self._group.sample()

    @own_errors("close")
    def close(self) -> None:
        """Kill what is left and give everything back. May be called at any time, and twice.

        Raises:
            CgroupError: the group could not be removed; the next process that makes one will try again.
            Error: it may not be killed.
        """
        try:
            self._close()
        except Error:
            raise
        except BaseException:  # a signal handler's came between: the rest is still to be done
            self._close()
            raise

    def _close(self) -> None:
        try:
            if self._running is not None:
                self._kill_group(self._running)
                self._running.close()
        except Error:  # it may not be killed, unless by its cgroup
            self._running = None
            self._give_back()
            raise
        self._running = None
        try:
            self.streams.close()  # not before: a program can hold the lock of a pipe
        finally:
            self._give_back()

    def _kill_group(self, running: launch.Running) -> None:
        """Kill all at once, and what a supervisor cannot find."""
        if self._group is not None and running.plan.supervised and running.pidfd >= 0 and not running.wait(0):
            self._group.kill()

    def _give_back(self) -> None:
        if self.supervisor is not None:
            self.supervisor.finish(time.monotonic())
        master, self.master = self.master, -1
        if master >= 0:
            os.close(master)
        try:
            if self._group is not None:
                self._group.remove()
                self._group = None
        except Error:
            assert self._group is not None
            self._group.let_go()
            raise
        finally:
            if self._range is not None:
                self._range.close()
            for volume in self._volumes:
                volume.release()
            if self._image is not None:
                self._image.release()
