"""`Container`: a container that is held, by this process or any other: started, looked at, stopped, found again."""

from __future__ import annotations

import io
import os
import select
import signal as signals
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, overload

from pycgroups.cgroups.limits import WORDS
from pycgroups.clock import seconds_until
from pycgroups.containers import collection, ending, health, keeping, monitor, restarting, starting
from pycgroups.containers.config import OPTIONS
from pycgroups.containers.config_json import from_json, to_json
from pycgroups.containers.contents import Contents
from pycgroups.containers.events import line as event_line
from pycgroups.containers.home import STARTS_IT, boot_id
from pycgroups.containers.looking import Looking
from pycgroups.containers.options import command as words_of
from pycgroups.containers.options import signal_number
from pycgroups.containers.streams import DEVNULL, PIPE
from pycgroups.containers.values import flag, integer, seconds
from pycgroups.errors import Error, InvalidConfig, NotFound, StateError, TimedOut, invalid
from pycgroups.misnamed import check_options
from pycgroups.oci.json_text import dumps
from pycgroups.runtime.signals import open_process
from pycgroups.runtime.state import time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Final, Literal, Self, TypeAlias, TypedDict

    from attrs import evolve
    from typing_extensions import Unpack

    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.words import Words
    from pycgroups.containers.attaching import Attachment
    from pycgroups.containers.conditions import Text
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.health import Health
    from pycgroups.containers.healthcheck import Healthcheck
    from pycgroups.containers.home import Home, Record, Start
    from pycgroups.containers.monitor import Exit
    from pycgroups.containers.place import Place
    from pycgroups.containers.popen import Popen
    from pycgroups.containers.result import Result
    from pycgroups.containers.streams import Stream
    from pycgroups.containers.verdict import Reason
    from pycgroups.containers.vocabulary import ExecOptions, Options, Pairs, Path, PopenOptions
    from pycgroups.runtime.container import Container as Runtime
    from pycgroups.runtime.execution import Executed

    Status: TypeAlias = Literal["creating", "created", "running", "paused", "stopped", "restarting", "damaged"]

    class Asked(TypedDict, total=False):
        """Of another program in it; see `Container.popen`."""

        env: Pairs | None
        cwd: Path | None
        user: int | str | None
        tty: bool
        size: tuple[int, int] | None

    class LogOptions(TypedDict, total=False):
        """See `Container.logs`."""

        timestamps: bool
        since: float | None
        until: float | None
        tail: int | None
        stdout: bool
        stderr: bool
else:
    from pycgroups.frozen import evolve

DAMAGED: Final = "damaged"
"""The status of a container whose record on disk cannot be read: it can only be removed, by force."""
_LIVE = frozenset({"running", "paused"})
_LOOK = 1.0
"""Seconds between looks whether somebody has died who had it frozen."""
RESTARTING: Final = "restarting"
"""The status of one that has ended, and goes on by its restart policy."""
_GOES_ON = _LIVE | {RESTARTING}
_SHORT = 12
# After SIGKILL the kernel takes some time, and then the monitor, to write down what there was (seconds).
_PATIENCE = 30.0
_MOST_FORKS = 1000
_OF_LOGS = ("timestamps", "since", "until", "tail", "stdout", "stderr")
_MOST_LINES, _NEVER = 1 << 62, 1e10


class Container(Contents, Looking):
    """A container. ``pc.Container([...])`` makes and starts one; the functions of `pycgroups.containers` find others.

    ::

        with pc.Container(["sleep", "inf"], memory="64M") as c:    # stopped and removed at the end
            c.status, c.pid

    It is no process of Python, and no daemon watches over it: whoever may write in the store can do with it all that
    its maker can, from any process, also when that one has gone. Pickled, it is the same container in another process.
    It ends when the process that started it does, unless it is detached.

    Attributes:
        id: 64 hexadecimal digits.
    """

    id: str
    _place: Place

    def __init__(
        self,
        command: Path | Sequence[Path] | None = None,
        *,
        detach: bool = False,
        remove: bool = False,
        stdin_open: bool = False,
        restart: str = "no",
        healthcheck: Healthcheck | Mapping[str, Any] | str | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Make a container in the default store, and start it.

        Args:
            command: the program and its arguments; with an image, which may name one, it can be left out.
            detach: it goes on when this process ends.
            remove: once it has ended it is removed, whoever is there then.
            stdin_open: its program reads what those write who `attach`; without, nothing.
            restart: whether it is started again once it has ended: ``"no"``, ``"always"``, ``"on-failure"`` (unless its
                program exited 0), ``"on-failure:3"`` (so often at most), ``"unless-stopped"`` (as always, but
                `Containers.after_boot`). That is 0.1 s after its end, then twice as long each time, up to 60 s,
                and 0.1 s again after it has run for 10 s. `stop` and `kill` end that.
            healthcheck: how it is found out, now and then, whether it does its work: a `pycgroups.Healthcheck`, a dict
                of its words, or a command for a shell; by default as its image says.
            **options: see `pycgroups.ContainerConfig`.

        Raises:
            Error: of the kinds that `pycgroups.run` raises; nothing is left.
            AlreadyExists: the name is taken.

        Linux 5.12 or newer. What is written goes to the disk and stays until it is removed, with an image; with the
        host's own root it goes to memory, and stays until it ends. With a limit (``disk``) on it, it goes to the disk
        for root, on a host that has loop devices and mkfs.ext4, and else to memory.
        """
        check_options(Container.__init__, options, OPTIONS)
        made = collection.default().started(
            command,
            detach=detach,
            remove=remove,
            stdin_open=stdin_open,
            restart=restart,
            healthcheck=healthcheck,
            **options,
        )
        self.id, self._place = made.id, made._place  # noqa: SLF001 (one of ours)

    @classmethod
    def of(cls, place: Place, id_: str) -> Self:
        """Not for users: `pycgroups.containers.get` finds them."""
        self = object.__new__(cls)
        self.id, self._place = id_, place
        return self

    # -- what is known --------------------------------------------------------------------------------------------

    def _home(self) -> Home:
        return self._place.homes.open(self.id)

    def _record(self) -> Record:
        with self._home() as home:
            return home.record()

    def _runtime(self) -> Runtime:
        from pycgroups.runtime.container import Container as Runtime

        return Runtime(f"{self._place.runtime}/{self.id}")

    @property
    def short_id(self) -> str:
        """The first 12 digits of `id`."""
        return self.id[:_SHORT]

    @property
    def name(self) -> str:
        """Its name; of a damaged one what is known, or ""."""
        return self._place.homes.name_of(self.id)

    @property
    def config(self) -> ContainerConfig:
        """Its options, with what its image says."""
        return from_json(self._record().config)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.config.labels)

    @property
    def directory(self) -> str:
        """What it is on the disk."""
        return f"{self._place.homes.path}/{self.id}"

    @property
    def detached(self) -> bool:
        """Whether it goes on when who started it ends."""
        return self._record().detach

    @property
    def status(self) -> Status:
        """``"created"``, ``"running"``, ``"paused"``, ``"stopped"``, as OCI has it; or ``"restarting"``, ``"damaged"``.

        One is restarting that has ended and is to be started again by its restart policy, or is being so.

        Raises:
            NotFound: it has been removed.
        """
        with self._home() as home:
            return self._status(home)

    def _status(self, home: Home) -> Status:
        try:
            restart = home.record().restart
        except InvalidConfig:
            return DAMAGED
        if (status := self._living(home)) in _LIVE:
            return status
        if restart != restarting.NEVER and not home.is_stopped and monitor.ending(home.fd) is None:
            return RESTARTING
        return "stopped" if home.was_started else "created"

    def _living(self, home: Home) -> Status:
        """Ask how a container is that may run."""
        usual: Status = "stopped"
        try:
            start = home.start()
            if start is None or not ending.is_alive(start):
                return usual
            usual = "running"  # if nothing else is known
            return self._status_of_live(home)
        except (NotFound, InvalidConfig, StateError):
            return usual

    def _status_of_live(self, home: Home) -> Status:
        runtime = self._runtime()
        status = runtime.state().status
        if status != "paused" or not home.was_left_frozen:
            return status
        runtime.resume()
        home.forget_frozen()
        return "running"

    @property
    def starts_after_boot(self) -> bool:
        """Whether it is one of `Containers.after_boot`."""
        with self._home() as home:
            record = home.record()
            is_due = restarting.starts_after_boot(record.restart, stopped=home.is_stopped)
            return record.detach and is_due and self._status(home) == "stopped"

    @property
    def pid(self) -> int | None:
        """Of its first process, as this process sees it; None when it does not run."""
        with self._home() as home:
            start = home.start()
            return start.pid if start is not None and self._status(home) in _LIVE else None

    def _end(self) -> Exit | None:
        """Return how its last run ended; None if it has not, or nobody saw that."""
        with self._home() as home:
            return monitor.read_exit(home.fd)

    @property
    def exit_code(self) -> int | None:
        """Exit status of the program, negative for a signal, as in `subprocess`; None as long as there is none.

        It is None for a container that has stopped, too, when nobody saw its end: after a reboot, say.
        """
        end = self._end()
        return None if end is None else end.returncode

    @property
    def reason(self) -> Reason | None:
        """What ended it: ``"exited"``, ``"signal"``, ``"oom"``, ``"pids"`` or ``"disk"``; None as `exit_code`.

        As in `pycgroups.Result`.
        """
        end = self._end()
        return None if end is None else end.reason

    @property
    def restart_count(self) -> int:
        """How often its restart policy has started it again, since somebody has started it."""
        with self._home() as home:
            start = home.start()
        return 0 if start is None else start.restarts

    @property
    def created(self) -> float:
        """When it was made, in seconds since 1970."""
        return self._record().created / 1e9

    @property
    def started(self) -> float | None:
        """When it was last started, in seconds since 1970."""
        with self._home() as home:
            start = home.start()
        return None if start is None else start.started / 1e9

    @property
    def finished(self) -> float | None:
        """When it last ended, in seconds since 1970; None if it has not, or nobody saw that."""
        end = self._end()
        return None if end is None or end.finished is None else end.finished / 1e9

    @property
    def health(self) -> Health | None:
        """What its healthcheck has said since its last start; None if it has none."""
        with self._home() as home:
            return health.read(home.fd, home.start()) if home.record().healthcheck else None

    def inspect(self) -> dict[str, Any]:
        """Return all that is known of it as plain dicts, lists and scalars; times are RFC 3339's.

        ``layer`` is where it writes: ``"disk"``, ``"memory"``, or None for a directory (``rootfs``).
        """
        from copy import deepcopy  # of what others read as well

        from pycgroups.containers import opening

        with self._home() as home:
            record, start, end, status = home.record(), home.start(), monitor.read_exit(home.fd), self._status(home)
            checked, layer = health.read(home.fd, start), opening.layer(home, record)
        return {
            "id": self.id,
            "name": record.name,
            "created": time_text(record.created),
            "image": record.image or None,
            "detach": record.detach,
            "remove": record.remove,
            "stdin_open": record.stdin,
            "restart": record.restart,
            "restart_count": 0 if start is None else start.restarts,
            "state": {
                "status": status,
                "pid": start.pid if start is not None and status in _LIVE else None,
                "started": None if start is None else time_text(start.started),
                "finished": None if end is None or end.finished is None else time_text(end.finished),
                "exit_code": None if end is None else end.returncode,
                "reason": None if end is None else end.reason,
                "oom": end is not None and end.oom,
                "error": None if start is None else start.error or None,
                "unenforced": [] if start is None else list(start.unenforced),
                "health": _health(checked) if record.healthcheck else None,
            },
            "healthcheck": deepcopy(record.healthcheck) or None,
            "config": deepcopy(record.config),
            "directory": self.directory,
            "layer": layer,
        }

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; a stopped one anew, with what it has written; one that is restarting at once.

        Raises:
            StateError: it runs already.
            Error: of the kinds that `pycgroups.run` raises; it is as it was before.
        """
        with self._home() as home:
            home.lock()
            self.start_in(home)

    def start_in(self, home: Home) -> None:
        """Not for users: do so, where its home is locked already."""
        record, status = home.record(), self._living(home)
        if status in _LIVE:
            raise StateError(f"it is {status} already", operation="start", path=self._shown)
        starting.start(self._place, home, record, starting.Turn(-1 if record.detach else keeping.socket()))

    def stop(self, timeout: float | None = None, *, signal: int | str | None = None) -> None:
        """Ask it to end, by its stop signal; then kill it. A stopped one stays as it is, and one that is restarting so.

        One that is paused goes on for that, to hear what it is asked.

        Args:
            timeout: seconds between the two; by default its option ``stop_timeout``.
            signal: what asks it, a number or a name; by default its option ``stop_signal``.

        Raises:
            InvalidConfig: `timeout` or `signal` is none, or it is damaged; nothing was done.
            NotFound: it has been removed.
            Error: it may not be killed.
        """
        limit = None if timeout is None else seconds(timeout, "timeout", zero=True)
        asked = None if signal is None else signal_number(signal, "signal")
        status, record = self.status, self._record()
        if status not in _GOES_ON:
            return
        if record.restart != restarting.NEVER:
            self._end_restarts()
            if self.status not in _LIVE:
                return
        config = from_json(record.config)
        patience = config.stop_timeout if limit is None else limit
        self._signal(asked or config.stop_signal or signals.SIGTERM)
        self._wake()
        if not self._ends(time.monotonic() + patience):
            self._kill()

    def _is_end(self, number: int) -> bool:
        """Whether its restart policy ends with this signal."""
        record = self._record()
        return record.restart != restarting.NEVER and number in {
            signals.SIGKILL,
            from_json(record.config).stop_signal or signals.SIGTERM,
        }

    def _end_restarts(self) -> None:
        """See that it is not started again but by a user, and wait for a start that has begun."""
        with self._home() as home:
            home.lock()
            ending.end_restarts(home)

    def _signal(self, number: int) -> bool:
        """Send a signal; False if there is nobody any more."""
        try:
            self._runtime().kill(number)
        except StateError:
            return False
        except (NotFound, InvalidConfig):  # somebody has removed what the runtime knew of it
            with self._home() as home:
                return ending.signal(home.start(), number)
        return True

    def _wake(self) -> None:
        """Let it go on if its user has paused it."""
        with self._home() as home:
            is_paused = self._status(home) == "paused" and not home.is_frozen_by_us
        if is_paused:
            with suppress(StateError, NotFound):  # somebody else has, or it has ended
                self.resume()

    def _kill(self) -> None:
        """Kill all of it, and wait for the end."""
        self._signal(signals.SIGKILL)
        if not self._ends(time.monotonic() + _PATIENCE):
            raise StateError("it was killed, and does not end", operation="kill", path=self._shown)

    def kill(self, signal: int | str = signals.SIGKILL) -> None:
        """Send a signal to its program.

        Args:
            signal: a number or a name, such as ``"TERM"``; SIGKILL ends all of it, and this waits for that. After
                SIGKILL and its stop signal it is not started again by its restart policy; others leave that as it is.

        Raises:
            StateError: it does not run.
        """
        number, status = signal_number(signal, "signal"), self.status
        if status in _GOES_ON and self._is_end(number):
            self._end_restarts()
            if status == RESTARTING:
                return
        if status not in _LIVE:
            raise self._idle("kill")
        if number == signals.SIGKILL:
            self._kill()
        else:
            self._signal(number)

    def pause(self) -> None:
        """Freeze all its processes.

        Raises:
            StateError: it does not run.
        """
        runtime = self._runs("pause")
        with self._home() as home:
            if home.was_left_frozen:  # who has frozen it had let it go on, and then died
                home.forget_frozen()
        with self._told():
            runtime.pause()
        self._tell("pause")

    def resume(self) -> None:
        """Let its processes go on.

        Raises:
            StateError: it is not paused.
        """
        runtime = self._runs("resume")
        with self._told():
            runtime.resume()
        self._tell("unpause")

    def _tell(self, action: str, **attributes: str) -> None:
        self._place.events.append("container", action, id_=self.id, name=self.name, attributes=attributes)

    def _runs(self, operation: str) -> Runtime:
        if self.status not in _LIVE:
            raise self._idle(operation)
        return self._runtime()

    def _idle(self, operation: str) -> StateError:
        return StateError("it does not run", operation=operation, path=self._shown, hint=STARTS_IT)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have what the runtime refuses told of it by its name, and what to do where it is paused."""
        try:
            yield
        except Error as error:
            if error.path == self.id:
                error.path = self._shown
            with suppress(NotFound):  # it has been removed meanwhile
                if isinstance(error, StateError) and error.hint is None and self.status == "paused":
                    error.hint = "it is paused; resume(), pycgroups unpause"
            raise

    def restart(self, timeout: float | None = None) -> None:
        """Stop it, if it runs, and start it; that is no end after which one with ``remove`` is removed.

        Args:
            timeout: as for `stop`.

        Raises:
            Error: as `stop` and `start`.
        """
        with self._home() as home, monitor.kept(home.fd):
            self.stop(timeout)
            home.lock()
            if self._living(home) not in _LIVE:  # else somebody has started it since: what was asked for is done
                self.start_in(home)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and is not started again; its exit code, as in `exit_code`.

        Args:
            timeout: seconds; None for any time.

        Raises:
            InvalidConfig: `timeout` is none.
            StateError: it was never started, or nobody saw how it ended.
            TimedOut: it goes on.
            NotFound: it was removed.
        """
        limit = None if timeout is None else seconds(timeout, "timeout", zero=True)
        with self._home() as home:
            if not home.was_started:
                raise StateError("it was never started", operation="wait", path=self._shown)
        end = self._ends(None if limit is None else time.monotonic() + limit)
        if end is None:
            raise TimedOut(f"it goes on after {timeout} seconds", operation="wait for the end", path=self._shown)
        if end.returncode is None:
            self._record()  # if it was removed meanwhile, its monitor's note has gone with it
            raise StateError("nobody saw how it ended", operation="wait", path=self._shown)
        return end.returncode

    def wait_for(
        self,
        *conditions: Callable[[], object],
        port: int | None = None,
        log: Text | None = None,
        http: str | None = None,
        file: Path | None = None,
        healthy: bool = False,
        timeout: float | None = 60,
    ) -> None:
        """Wait until it is ready: until all that is named has been there.

        Args:
            *conditions: functions, called now and then until they return something true.
            port: something listens on this port of TCP, on any address of the container's network. Nobody connects.
            log: this is in what it has written since its start, on one stream: text, bytes, or a compiled pattern.
            http: a request for this path is answered with a status below 400, by who listens on ``port``, or on 80. Or
                a URL of ``http`` or ``https``, whose host is ``localhost`` or an IP address of the container's network:
                other names mean others, if anybody, to who asks from outside. Whoever has signed a certificate, it is
                taken: who listens there is the container.
            file: something is at this path in the container.
            healthy: its healthcheck says so; an unhealthy one may become healthy again.
            timeout: seconds; None for any time.

        Raises:
            StateError: it does not run, or has ended meanwhile; with how it ended, and its last lines.
            TimedOut: the time is over; with what is missing, and its last lines. It goes on.
            InvalidConfig: nothing was named, or what cannot be.
            NotFound: it has been removed.
            BaseException: what one of the functions raises.

        Sources: proc_pid_net(5), network_namespaces(7).
        """
        from pycgroups.containers import readiness

        limit = None if timeout is None else seconds(timeout, "timeout", zero=True)
        wishes = readiness.Wishes(conditions, port, log, http, file, healthy or None)
        readiness.check(wishes)
        with self._home() as home:
            readiness.wait(home, self._shown, wishes, limit)

    def _ends(self, deadline: float | None) -> Exit | None:
        """Wait for its end, and for its monitor, which writes down how; None at the deadline."""
        with self._home() as home:
            start = home.start()
            if start is None or start.boot != boot_id():
                return monitor.read_exit(home.fd) or monitor.LOST
            self._thaw_left(home)
            while not _has_ended(start, sooner := _sooner(deadline, _LOOK)):
                if sooner == deadline:
                    return None
                self._thaw_left(home)
            ending.reap()
            return monitor.wait(home.fd, seconds_until(deadline))

    def _thaw_left(self, home: Home) -> None:
        """Let it go on if who has frozen it, to copy its files, has died meanwhile."""
        if home.is_frozen_by_us:
            self._living(home)

    def update(self, *, restart: str | None = None, **limits: Unpack[Words]) -> None:
        """Change limits and the restart policy: at once when it runs, and for the next starts.

        Args:
            restart: as of `pycgroups.Container`; by default it stays. One that runs, and was to end for good, since its
                policy was ``"no"`` or has started it as often as it may, has to be started anew for another one: its
                monitor has kept nothing by which to do so. One that is restarting, and is not to be, has ended.
            **limits: those of `pycgroups.Limits`; the others stay. With None there is no such limit any more, which a
                container that runs can have for ``memory``, ``cpus`` and ``pids``.

        Raises:
            InvalidConfig, Unsupported, CgroupError: as `pycgroups.Cgroup.set`; or it is no policy. Nothing is changed.
            StateError: it runs, and cannot be started again by a policy before somebody starts it. Likewise.
            Error: the policy cannot be written down: the disk is full.
            TypeError: it is another option than these, which cannot be changed.
        """
        check_options(Container.update, limits, WORDS)
        from pycgroups.cgroups import disks
        from pycgroups.cgroups.translate import lifted, of_limits

        with self._home() as home:
            home.lock()
            record, status = home.record(), self._status(home)
            config = evolve(from_json(record.config), **limits)
            policy = record.restart if restart is None else restarting.parse(restart, remove=record.remove)
            after = ending.after(home, record, policy) if status in _GOES_ON and policy != record.restart else None
            if status in _LIVE and limits:
                asked = config.limits.only(limits)
                gone = [word for word, value in limits.items() if value is None]
                self._runtime().update(lifted(of_limits(asked, disks.numbers(asked)), gone), asked)
            if after is not None:
                monitor.change(home.fd, after)
            document = to_json(config)
            home.write_record(record._replace(config=document, restart=policy))
            if after is not None:
                ending.end_unless(home, after)
        changed = {word: document.get(word) for word in limits} | ({} if restart is None else {"restart": policy})
        self._tell("update", **{word: _word(value) for word, value in changed.items()})

    def rename(self, name: str) -> None:
        """Give it another name.

        Raises:
            InvalidConfig: it is none.
            AlreadyExists: it is taken.
        """
        from pycgroups.containers import options

        wanted = options.name(name, "name")
        with self._home() as home:
            home.lock()
            former = home.record().name
            self._place.homes.rename(home, wanted)
            with suppress(Error):  # the disk is full; then they have the former name
                monitor.rename(home.fd, {"id": self.id, "name": wanted})
        self._tell("rename", former=former)

    def fork(self, n: int = 1, *, name: str | None = None) -> list[Self]:
        """Make containers with its options, and with the files that it has now; they run if it does.

        Each has a name, an id and a writable layer of its own, and is as independent as any: none sees what another
        one writes from then on, and each may be removed at any time. They share the layers of the image, which are
        not copied, and volumes. What it has written itself is copied, once for each; where the file system can share
        the blocks of files (btrfs, XFS), these are not. It is frozen for the first of these copies, if it runs and can
        be: then they are of one moment. Its processes and memory are not copied.

        Args:
            n: how many, 1 to 1000.
            name: what it is called; several are called ``name-1``, ``name-2`` and so on.

        Raises:
            AlreadyExists: a name is taken. None was made.
            Unsupported: it was not made of an image, or has a limit (``disk``) in memory.
            StateError: another process is at work on it.
            Error: there is no room for the copies; or one cannot be started. None was made.
        """
        from pycgroups.containers import forking

        names = forking.names(name, integer(n, "n", 1, _MOST_FORKS))
        homes: list[Home] = []
        try:
            with self._home() as home:
                home.lock()
                status = self._status(home)
                homes = forking.fork(self._place, home, names, freezes=status == "running")
            made = [self.of(self._place, each.id) for each in homes]
            for its in homes[forking.MOST_LOCKED :]:
                its.close()
            for each, its in zip(made, homes, strict=True):
                with its:  # nobody prunes it in between
                    if status in _LIVE and its.fd >= 0:
                        each.start_in(its)
                    elif status in _LIVE:
                        each.start()
        except BaseException:
            for its in homes:
                its.close()
                self.of(self._place, its.id).discard()
            raise
        return made

    def remove(self, *, force: bool = False) -> None:
        """Remove it, with what it has written.

        Args:
            force: kill it first, if it runs, or is restarting; and do so if its records are damaged.

        Raises:
            StateError: it runs, or is restarting; or somebody is about to start it by `restart`.
            NotFound: it has been removed.
        """
        with self._home() as home:
            home.lock()
            status = self._status(home)
            if status not in collection.IDLE and not force:
                hint = "stop it, or remove it by force: rm --force, remove(force=True)"
                raise StateError(f"it is {status}", operation="remove container", path=self._shown, hint=hint)
            if monitor.is_kept(home.fd) and not force:
                raise StateError("it is being restarted", operation="remove container", path=self._shown)
            if status in _GOES_ON:
                with suppress(Error):  # a disk is full, or read-only
                    ending.end_restarts(home)
                self._kill()
            ending.clean(self._place, home, for_good=True)
            ending.drop_empty(self._place)
            name = self.name
            self._place.homes.remove(home)
            self._place.events.append("container", "remove", id_=self.id, name=name)

    @overload
    def logs(self, *, follow: Literal[True], **options: Unpack[LogOptions]) -> Iterator[bytes]: ...

    @overload
    def logs(self, *, follow: Literal[False] = False, **options: Unpack[LogOptions]) -> bytes: ...

    @overload
    def logs(self, *, follow: bool, **options: Unpack[LogOptions]) -> bytes | Iterator[bytes]: ...

    def logs(self, *, follow: bool = False, **options: Unpack[LogOptions]) -> bytes | Iterator[bytes]:
        """Return what it has written, of all its runs.

        Args:
            follow: return an iterator instead, of lines and of pieces of long ones, which waits for more until the
                container has ended.
            **options: ``timestamps=True`` puts the time before each line (RFC 3339); ``since``, ``until`` are seconds
                since 1970; ``tail`` is how many of the last lines are wanted; ``stdout=False`` and ``stderr=False``
                leave one of the streams out. Bytes that are not UTF-8 have become U+FFFD.

        Raises:
            NotFound: it has been removed.
            InvalidConfig: ``since``, ``until`` or ``tail`` is no such number.
            Error: the log cannot be read.
        """
        _check_logs(Container.logs, options)
        lines = (data for _, data in _lines(self._home(), follow, options))
        return lines if follow else b"".join(lines)

    def lines(self, *, follow: bool = False, **options: Unpack[LogOptions]) -> Iterator[tuple[str, bytes]]:
        """Return what it has written as `logs` does with ``follow``, each with its stream: ``"stdout"``, ``"stderr"``.

        Args:
            follow: wait for more until the container has ended.
            **options: as for `logs`.
        """
        _check_logs(Container.lines, options)
        return _lines(self._home(), follow, options)

    def attach(self, *, start: bool = False, logs: bool = False) -> Attachment:
        """Join it: read what it writes from now on, until it has ended, and write what it reads.

        Any number of processes can do so at once, whoever started it, and come and go: it notices nothing. Its output
        comes by way of its log, so nobody who reads slowly holds it up.

        Args:
            start: start it first; nothing of that run is missed.
            logs: begin with all that it has written before.

        Raises:
            StateError: it does not run; with `start`, it does.
            Error: with `start`, as that.
        """
        from pycgroups.containers.attaching import Attachment
        from pycgroups.containers.logs import Spot, end

        home = self._home()
        try:
            spot = Spot() if logs else end(home.fd)
            if start:
                self.start()
            else:
                self._runs("attach")
            return Attachment(home, spot)
        except BaseException:
            home.close()
            raise

    # -- other programs in it -----------------------------------------------------------------------------------------

    @overload
    def exec(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[ExecOptions],
    ) -> Result[str]: ...

    @overload
    def exec(
        self,
        command: Path | Sequence[Path],
        *,
        encoding: str,
        text: bool | None = None,
        errors: str | None = None,
        **options: Unpack[ExecOptions],
    ) -> Result[str]: ...

    @overload
    def exec(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        **options: Unpack[ExecOptions],
    ) -> Result[bytes]: ...

    @overload
    def exec(
        self,
        command: Path | Sequence[Path],
        *,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[ExecOptions],
    ) -> Result: ...

    def exec(
        self,
        command: Path | Sequence[Path],
        *,
        input: str | bytes | memoryview | None = None,  # noqa: A002 (subprocess's name)
        stdin: Stream = None,
        stdout: Stream = PIPE,
        stderr: Stream = PIPE,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        check: bool = False,
        timeout: float | None = None,
        env: Pairs | None = None,
        cwd: Path | None = None,
        user: int | str | None = None,
        tty: bool = False,
        require_limits: bool = True,
        **limits: Unpack[Words],
    ) -> Result:
        """Run another program in it, as isolated as its own, and wait for the end.

        Args:
            command: the program and its arguments.
            input: as for `pycgroups.run`; so are the next seven.
            stdin: likewise.
            stdout: likewise.
            stderr: likewise.
            text: likewise.
            encoding: likewise.
            errors: likewise.
            check: likewise.
            timeout: seconds, its start included; then it is killed, and all that it has started. With a timeout or with
                limits, whatever it has started ends with it; without, that goes on.
            env: variables beside those of the container.
            cwd: where to start; by default where the container's program did.
            user: ``"uid[:gid]"`` or names; by default that of the container's program.
            tty: whether it has a terminal.
            require_limits: whether a limit that cannot be enforced is an error; if not, it is in `Result.unenforced`.
            **limits: for it and all that it starts, on top of the container's: see `pycgroups.Limits`. What it has hit
                of them, the result tells.

        Raises:
            StateError: the container does not run, or is paused.
            InvalidConfig, Unsupported: a limit is wrong, or cannot be enforced.
            CommandNotFound, CommandNotExecutable: the program is not in the container, or cannot be executed.
            LaunchError: a step of the set-up failed.
            CalledProcessError, TimeoutExpired: with ``check``, as of `pycgroups.run`.
        """
        from pycgroups.containers import inner
        from pycgroups.containers.result import Result
        from pycgroups.containers.run import check_codec, checked, decoded, encoded, open_streams

        check_options(Container.exec, limits, WORDS)
        is_text = bool(text) or encoding is not None or errors is not None
        check_codec(encoding, errors)
        limit = None if timeout is None else seconds(timeout, "timeout")
        own, required = inner.limits_of(limits), flag(require_limits, "require_limits")
        streams = open_streams(stdin, stdout, stderr, encoded(input, encoding, errors, is_text=is_text))
        begin = partial(
            self.launch,
            command,
            is_awaited=True,
            limits=own,
            require_limits=required,
            env=env,
            cwd=cwd,
            user=user,
            tty=tty,
        )
        executed, (returncode, reason, hits, usage) = inner.run(begin, streams, limit)
        captured = [None if output is None else output.getvalue() for output in streams.captured]
        out, err = (decoded(data, encoding, errors) if is_text else data for data in captured)
        args: Sequence[str] = words_of(command, "command") if executed is None else executed.args
        missing = () if executed is None else executed.unenforced
        result = Result(args, returncode, out, err, reason=reason, hits=hits, usage=usage, unenforced=missing)
        return checked(result, limit) if check else result

    def launch(
        self,
        command: Path | Sequence[Path],
        stdio: Sequence[int],
        *,
        supervised: bool = False,
        detached: bool = False,
        is_awaited: bool = False,
        is_told: bool = True,
        limits: Limits | None = None,
        require_limits: bool = True,
        deadline: float | None = None,
        **asked: Unpack[Asked],
    ) -> Executed:
        """Not for users: start what `exec`, `popen` and `exec_detached` do, with descriptors; with events or not."""
        from pycgroups.containers import inner

        with self._home() as home:
            start = home.start()
            if start is None or start.boot != boot_id():
                raise self._idle("exec")
            record = home.record()
            self._thaw_left(home)
            try:
                with self._told():
                    executed = self._runtime().exec(
                        partial(inner.describe, command=command, **asked),
                        stdio=stdio,
                        supervised=supervised,
                        detached=detached,
                        is_awaited=is_awaited,
                        limits=limits,
                        require_limits=require_limits,
                        confines=inner.confines(record.config),
                        deadline=deadline,
                        # As long as its start is not noted, the runtime may know one whose root is still the host's.
                        first=(start.pid, start.began),
                    )
            except Error as error:
                if ending.is_alive(start):
                    raise
                raise self._idle("exec") from error
            with inner.held(executed):
                if is_told:
                    line = partial(event_line, "container", id_=self.id, name=record.name)
                    inner.tell(self._place.events.write, line, executed)
                return executed

    def exec_detached(
        self,
        command: Path | Sequence[Path],
        *,
        env: Pairs | None = None,
        cwd: Path | None = None,
        user: int | str | None = None,
        require_limits: bool = True,
        **limits: Unpack[Words],
    ) -> int:
        """Start another program in it, as isolated as its own, and leave it to itself; its pid as this process sees it.

        It reads nothing, nobody has its output, and it goes on when this process ends, as long as the container does.

        Args:
            command: the program and its arguments.
            env: as for `exec`; so are the next two.
            cwd: likewise.
            user: likewise.
            require_limits: likewise; nobody is told what is not in force.
            **limits: likewise, but what it has started goes on after its end.

        Raises:
            Error: as `exec`.
        """
        from pycgroups.containers import inner
        from pycgroups.containers.popen import Ends

        check_options(Container.exec_detached, limits, WORDS)
        own, required = inner.limits_of(limits), flag(require_limits, "require_limits")
        ends = Ends(DEVNULL, DEVNULL, DEVNULL)
        try:
            asked: Asked = {"env": env, "cwd": cwd, "user": user}
            executed = self.launch(command, ends.child, detached=True, limits=own, require_limits=required, **asked)
        finally:
            ends.close()
        executed.leave()
        return executed.pid

    @overload
    def popen(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> Popen[str]: ...

    @overload
    def popen(
        self,
        command: Path | Sequence[Path],
        *,
        encoding: str,
        text: bool | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> Popen[str]: ...

    @overload
    def popen(
        self,
        command: Path | Sequence[Path],
        *,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        **options: Unpack[PopenOptions],
    ) -> Popen[bytes]: ...

    @overload
    def popen(
        self,
        command: Path | Sequence[Path],
        *,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> Popen[Any]: ...

    def popen(
        self,
        command: Path | Sequence[Path],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        env: Pairs | None = None,
        cwd: Path | None = None,
        user: int | str | None = None,
        tty: bool = False,
        size: tuple[int, int] | None = None,
        require_limits: bool = True,
        **limits: Unpack[Words],
    ) -> Popen[Any]:
        """Start another program in it, as isolated as its own; `subprocess.Popen`. It ends with this process.

        Args:
            command: the program and its arguments.
            stdin: `PIPE`, `DEVNULL`, a file or a descriptor; None for that of this process.
            stdout: likewise.
            stderr: likewise, or `STDOUT` for the same place.
            text: streams are of str, in the locale's encoding.
            encoding: likewise, in this one.
            errors: how to treat what cannot be encoded or decoded.
            env: as for `exec`; so are the next two.
            cwd: likewise.
            user: likewise.
            tty: it has a terminal: its input and output are `Popen.stdin` and `Popen.stdout`.
            size: rows and columns of that; `Popen.resize` changes them.
            require_limits: as for `exec`; what is not in force is in `Popen.unenforced`.
            **limits: as for `exec`; `Popen.hits` and `Popen.reason` tell of them.

        Raises:
            Error: as `exec`.
        """
        from pycgroups.containers import inner
        from pycgroups.containers.popen import Ends, Popen
        from pycgroups.containers.run import check_codec

        check_options(Container.popen, limits, WORDS)
        check_codec(encoding, errors)
        own, required = inner.limits_of(limits), flag(require_limits, "require_limits")
        ends = Ends(*((DEVNULL,) * 3 if tty else (stdin, stdout, stderr)))
        try:
            asked: Asked = {"env": env, "cwd": cwd, "user": user, "tty": tty, "size": size}
            executed = self.launch(command, ends.child, limits=own, require_limits=required, **asked)
            ends.started()
            is_text = bool(text) or encoding is not None or errors is not None
            wrap = partial(io.TextIOWrapper, encoding=encoding, errors=errors, write_through=True) if is_text else None
            with inner.held(executed):
                return Popen(executed, ends, wrap)
        finally:
            ends.close()

    # -- being held -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Stop and remove it at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and remove it, unless somebody has; kill and remove it if that is interrupted, as by Ctrl-C."""
        try:
            with suppress(NotFound):
                self.stop()
        finally:
            self.discard()

    def discard(self) -> None:
        """Not for users: kill and remove it, unless somebody has; also if that is interrupted, as by Ctrl-C."""
        try:
            with suppress(NotFound):
                self.remove(force=True)
        except Error:
            raise
        except BaseException:  # Ctrl-C
            with suppress(NotFound):
                self.remove(force=True)
            raise

    @property
    def _shown(self) -> str:
        try:
            return self.name or self.short_id
        except NotFound:
            return self.short_id

    def __eq__(self, other: object) -> bool:
        """Whether it is the same container."""
        return isinstance(other, Container) and self.id == other.id

    def __hash__(self) -> int:
        """Of its id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """Name it."""
        return f"<Container {self.short_id}>"


def _word(value: object) -> str:
    """Write the value of an option as an attribute of an event."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else dumps(value)


def _check_logs(face: Callable[..., Any], options: LogOptions) -> None:
    check_options(face, options, _OF_LOGS)
    if options.get("tail") is not None:
        integer(options["tail"], "tail", 0, _MOST_LINES)
    for name in ("since", "until"):
        value = options.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 <= value < _NEVER):
            raise invalid(name, value, "seconds since 1970, as time.time() has them")


def _lines(home: Home, follow: bool, options: LogOptions) -> Iterator[tuple[str, bytes]]:
    from pycgroups.containers import logs

    asked: dict[str, Any] = {name: value for name, value in options.items() if name != "timestamps"}
    for name in ("since", "until"):
        if asked.get(name) is not None:
            asked[name] = round(asked[name] * 1e9)
    at_start: dict[str, bool] = {}
    with home:
        for record in logs.read(home.fd, follow=follow, **asked):
            begins = options.get("timestamps") and at_start.get(record.stream, True)
            yield record.stream, f"{record.stamp} ".encode() + record.data if begins else record.data
            at_start[record.stream] = record.data.endswith(b"\n")


def _health(found: Health) -> dict[str, Any]:
    facts = health.to_json(found)
    times = ("start", "end")
    facts["log"] = [{**each, **{name: time_text(each[name]) for name in times}} for each in facts["log"]]
    return facts


def _sooner(deadline: float | None, limit: float) -> float:
    """Return what comes first, a deadline or so many seconds from now."""
    soon = time.monotonic() + limit
    return soon if deadline is None else min(soon, deadline)


def _has_ended(start: Start, deadline: float | None) -> bool:
    """Wait for the end of a container's first process, until a deadline."""
    pidfd = open_process(start.pid)
    if pidfd < 0:
        return True
    try:
        if not ending.is_alive(start):  # or the pid is somebody else's
            return True
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        left = seconds_until(deadline)
        return bool(gone.poll(None if left is None else left * 1000 + 0.5))
    finally:
        os.close(pidfd)
