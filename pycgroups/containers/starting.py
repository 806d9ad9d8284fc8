"""The start of a container that is held: `pycgroups.runtime` creates and starts it, its monitor watches over it.

::

    this process                               the container                 its monitor
    ------------                               -------------                 -----------
    image, ids, description
    runtime.creation     ------------------->  all is set up
    all descriptors      ------------------------------------------------->  holds them until the end; waits
                         <-------------------  STARTED: the program runs
    run.json
    a byte               ------------------------------------------------->  begins
                                               output  ------------------->  log
                                               EXITED  ------------------->  exit

The monitor gets ready while the container does; where it needs what comes of that, as a terminal, only then. Until it
begins a container with an init ends with this process: its control socket is closed then. The runtime knows the
container before it does anything, so that it can be removed; nobody executes anything in it before run.json is there,
since its root is the host's until the last steps.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from itertools import islice

from pycgroups._native.calls import lib
from pycgroups.cgroups import by_path
from pycgroups.containers import ending, image_root, joining, lending, limited, monitor, restarting
from pycgroups.containers.assemble import describe, listens
from pycgroups.containers.config_json import from_json, read_log
from pycgroups.containers.devices import placed_rules
from pycgroups.containers.home import Start, boot_id
from pycgroups.containers.ids import is_leased, shift, shift_outside
from pycgroups.errors import (
    CommandNotExecutable,
    CommandNotFound,
    InvalidConfig,
    LaunchError,
    Unsupported,
    own_errors,
)
from pycgroups.images import snapshots
from pycgroups.images.removing import remove
from pycgroups.namespaces import ranges
from pycgroups.runtime import creation, state
from pycgroups.runtime.container import Container as Runtime
from pycgroups.runtime.rootfs import Stacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from functools import lru_cache
    from typing import NamedTuple

    from attrs import evolve

    from pycgroups.containers.assemble import Description
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.home import Home, Record
    from pycgroups.containers.place import Place
    from pycgroups.errors import Error
    from pycgroups.images.collection import Images, Root
    from pycgroups.images.image import Image
    from pycgroups.images.locks import Lock
    from pycgroups.namespaces.ranges import Range
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.launch import Running
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve
    from pycgroups.records import NamedTuple

COPY = "root"
"""In the container's directory: the files of its image, where overlayfs is not to be had."""
_MAIN = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
_PYTHON = (sys.executable, "-P", "-c", _MAIN, os.path.abspath(f"{__file__}/../../.."))
"""What the monitor executes, with a module and its arguments: in the root directory, which nobody means for modules.

The package is where it is here if nothing else tells of it, as when this program has changed ``sys.path``.
"""
_LONGEST_ERROR = 250  # characters, which an event has room for


def check(config: ContainerConfig) -> None:
    """Refuse what a container that is held cannot have.

    Raises:
        Unsupported: what it is.
    """
    if config.isolation != "container":
        raise _unsupported("isolation", "a program without namespaces cannot be held: pycgroups.run has it")
    if config.timeout is not None:
        raise _unsupported("timeout", "it is for run, exec and wait: a container that is held runs until it is stopped")
    named = {mount.source for mount in (*config.mounts, *config.volumes) if mount.kind == "volume"}
    if len(named) > monitor.MOST_HELD - 2:
        raise _unsupported("volumes", f"a container that is held can have {monitor.MOST_HELD - 2} of them")


def _unsupported(option: str, message: str) -> Unsupported:
    return Unsupported(message, operation="option", path=option)


class Turn(NamedTuple):
    """Which start of a container it is.

    Attributes:
        keeper: a socket; when its other end is closed, the container ends. -1 for none.
        creator: with a keeper, the pidfd of its process; None for this one.
        restarts: how often it was started again, with this start, since somebody has started it.
        waited: seconds from its last end to this start; 0 when somebody starts it.
    """

    keeper: int = -1
    creator: int | None = None
    restarts: int = 0
    waited: float = 0


class Preparation:
    """What a start holds; `close` gives back all that did not become the container's."""

    def __init__(self, place: Place, home: Home, record: Record, turn: Turn) -> None:
        """Take what is to be started; its home is locked."""
        self.turn = turn
        self.place = place
        self.home = home
        self.record = record
        self.image: Lock | None = None
        self.is_copy = False
        self.joining = joining.Joining()
        self.volumes: list[Lock] = []
        self.range: Range | None = None
        self.runtime: Runtime | None = None
        self.monitor: monitor.Waiting | None = None
        self.fds: dict[str, int] = {}

    def start(self) -> None:
        """Do it all."""
        described = self.describe()
        created = self.create(described)
        running = created.running
        self.runtime = Runtime(created.directory, created)
        waiting = self.monitor or self.hire(running, created.cgroups, created.master)
        self.home.write_start(noted(self.turn, *created.first)._replace(unenforced=self.unenforced(created)))
        self.place.events.append("container", "start", id_=self.record.id, name=self.record.name)
        waiting.go()
        ending.remember(running.pidfd)
        self.runtime.let_go()
        self.runtime = None

    def unenforced(self, created: creation.Created) -> tuple[str, ...]:
        """Name the limits that are not in force."""
        disk = ("disk",) if self.is_copy and self.record.config.get("disk") is not None else ()
        return created.unenforced + disk

    def describe(self) -> Description:
        """Find the image, and say what the container is."""
        config, root = from_json(self.record.config), None
        if self.record.image:
            image = self.place.images.get(self.record.image, platform=config.platform)
            config, root, self.image = with_image(config, image, self.place.images)
            root = copied(self.home, root, image, config)
            self.is_copy = root.copy is not None
        if config.names_volumes:
            from pycgroups.containers.volumes import mounting  # most have none

            config, self.volumes = mounting.prepare(config, root, self.place.volumes)
        rules = placed_rules(config)
        self.joining = joining.opened(config)  # and open until it is in them: who is behind a path may change
        joined = self.joining.joined
        described = describe(config, devices=rules, joined=joined, image=root)
        leased = is_leased(config, described.caller) and joined.user is None
        if listens(described.spec):
            raise InvalidConfig(
                "SCMP_ACT_NOTIFY needs somebody who answers: pycgroups.run(on_syscall=...)",
                operation="option",
                path="seccomp",
            )
        return described._replace(
            spec=self.placed(self.leased(described.spec) if leased else described.spec),
            rootfs=self.topped(described.rootfs) if isinstance(described.rootfs, Stacked) else described.rootfs,
        )

    def topped(self, rootfs: Stacked) -> Stacked:
        """Say what takes what is written: the directory, a file system with a limit, or, as it is, a tmpfs with one."""
        if limited.is_there(self.home):
            return rootfs._replace(handed=True, size=None)
        return rootfs if rootfs.size is not None else rootfs._replace(top=self.home.path)

    def leased(self, spec: Spec) -> Spec:
        """Move what was described with some range of ids to one that nobody else has."""
        self.range = ranges.lease()
        first, linux = self.range.first, spec.linux
        mounts = tuple(
            evolve(
                mount,
                uid_mappings=shift_outside(mount.uid_mappings, first),
                gid_mappings=shift_outside(mount.gid_mappings, first),
            )
            if mount.uid_mappings
            else mount
            for mount in spec.mounts
        )
        uids, gids = shift(linux.uid_mappings, first), shift(linux.gid_mappings, first)
        return evolve(spec, mounts=mounts, linux=evolve(linux, uid_mappings=uids, gid_mappings=gids))

    def placed(self, spec: Spec) -> Spec:
        """Say where its cgroup is: away from that of this process, which may end before it."""
        path = ending.cgroup_of(self.record.id)
        if self.manager == "systemd":
            path = f"system.slice:pycgroups:{self.record.id}"
        return evolve(spec, linux=evolve(spec.linux, cgroups_path=path))

    @property
    def manager(self) -> str:
        """Who makes its cgroup."""
        return str(self.record.config.get("cgroup_manager", "cgroupfs"))

    def create(self, described: Description) -> creation.Created:
        """Have all of it made, and the program started."""
        terminal = described.spec.process is not None and described.spec.process.terminal
        stdin = self.stdin(terminal=terminal)
        for name in ("stdout", "stderr"):
            read, write = os.pipe2(os.O_CLOEXEC)
            self.fds[name], self.fds[f"{name}'s"] = read, write
            os.fchmod(read, 0o666)  # else /dev/stdout would not open for other users inside: proc_pid_fd(5)
        spec = described.spec
        wishes = creation.Wishes(
            cgroup_manager=self.manager,
            stdio=(stdin, self.fds["stdout's"], self.fds["stderr's"]),
            rootfs=described.rootfs,
            manner=described.manner,
            optional=None if described.config.require_limits else described.config.limits,
            words=described.config.limits,
            groups=described.groups,
            spaces=self.joining.fds,
            at_once=True,
            # What has an input is lent by its monitor, and there is no terminal before the program runs, nor the disk
            # that is made in the container.
            meanwhile=None if terminal or self.record.stdin or described.config.disk is not None else self.hire,
        )
        with self.layer(described) as tops:
            wishes = wishes._replace(tops=tops)
            created = creation.create(spec, wishes, bundle="", id_=self.record.id, root=self.place.runtime)
        for name in ("stdin", "stdout's", "stderr's"):
            os.close(self.fds.pop(name))
        return created

    @contextmanager
    def layer(self, described: Description) -> Iterator[tuple[int, ...]]:
        """Mount the file system that takes what is written, if the container has one of its own; its descriptor."""
        rootfs = described.rootfs
        if not (isinstance(rootfs, Stacked) and rootfs.handed):
            yield ()
            return
        linux = described.spec.linux
        maps = linux.uid_mappings, linux.gid_mappings
        if not maps[0]:  # of a user namespace that is joined
            maps = described.idmap.uids, described.idmap.gids
        with limited.mounted(self.home, maps if rootfs.idmapped else None) as fd:
            limited.give_back(self.home, fd)
            self.fds["disk"] = os.dup(fd)
            yield (fd,)

    def stdin(self, *, terminal: bool) -> int:
        """Open what the program reads, unless that is a terminal: nothing, or what whoever attaches writes."""
        if terminal or not self.record.stdin:
            self.fds["stdin"] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self.fds["stdin"], self.fds["input"] = os.pipe2(os.O_CLOEXEC)
            os.fchmod(self.fds["stdin"], 0o666)  # for /dev/stdin, as below
        return self.fds["stdin"]

    def hire(self, running: Running, cgroups: tuple[str, ...], master: int = -1) -> monitor.Waiting:
        """Have its monitor ready, with all that the container needs; it begins when the program is known to run."""
        if master >= 0 or "input" in self.fds:  # before others see that it runs, and ask for its input
            self.fds["lender"] = lending.listen(self.home.fd)
        # Opened anew: the lock on ours would last as long as the monitor.
        for name, path in (("directory", "."), ("events", "..")):
            self.fds[name] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.home.fd)
        self.open_counts(cgroups)
        if running.plan.supervised:
            self.open_processes(cgroups)
        self.monitor = monitor.prepare(self.task(running, master))
        return self.monitor

    def task(self, running: Running, master: int) -> monitor.Task:
        """Say what the monitor is to do."""
        log = read_log(self.record.config.get("log", {}))
        held = [] if self.range is None else [self.range.fileno()]
        for lock in self.locks():
            held.append(lock.fd)
            lock.is_handed_on = True
        has_terminal = master >= 0
        return monitor.Task(
            directory=self.fds["directory"],
            pidfd=running.pidfd,
            control=running.control if running.plan.init else None,
            stdout=master if has_terminal else self.fds["stdout"],
            stderr=None if has_terminal else self.fds["stderr"],
            memory=self.fds.get("memory"),
            group=self.fds.get("group"),
            pids=self.fds.get("pids"),
            events=self.fds["events"],
            keeper=self.turn.keeper if self.turn.keeper >= 0 else None,
            creator=self.turn.creator,
            lender=self.fds.get("lender"),
            input=master if has_terminal else self.fds.get("input"),
            procs=self.fds.get("procs"),
            disk=self.fds.get("disk", running.descriptors.get(lib.OP_SEND)),
            held=held,
            supervised=running.plan.supervised,
            form=log.form,
            max_bytes=log.max_bytes,
            max_files=log.max_files,
            members={"id": self.record.id, "name": self.record.name},
            command=command_after(self.place, self.record, self.turn),
            check=check_of(self.place, self.record),
        )

    def locks(self) -> list[Lock]:
        """Return what keeps others from removing what the container is made of."""
        return [*([] if self.image is None else [self.image]), *self.volumes]

    def open_counts(self, cgroups: Sequence[str]) -> None:
        """Open what tells of limits that were hit: of processes killed for want of memory, and of refused forks."""
        for path in islice(by_path.having("memory", cgroups), 1):
            if self._open_if_there("memory", f"{path}/memory.events"):
                self.fds["group"] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            else:
                self._open_if_there("memory", f"{path}/memory.oom_control")
        for path in islice(by_path.having("pids", cgroups), 1):
            if not self._open_if_there("pids", f"{path}/pids.events.local"):
                self._open_if_there("pids", f"{path}/pids.events")

    def open_processes(self, cgroups: Sequence[str]) -> None:
        """Open where all are named that are in its group, whose init may be killed."""
        for path in cgroups:
            if self._open_if_there("procs", path, os.O_RDONLY | os.O_DIRECTORY):
                return

    def _open_if_there(self, name: str, path: str, flags: int = os.O_RDONLY) -> bool:
        try:
            self.fds[name] = os.open(path, flags | os.O_CLOEXEC)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give back what is held."""
        try:
            if self.runtime is not None:
                self.runtime.delete(force=True)
                self.runtime.let_go()
        finally:
            if self.monitor is not None:
                self.monitor.close()
            self.joining.close()
            for fd in self.fds.values():
                os.close(fd)
            if self.range is not None:
                self.range.let_go()
            for lock in self.locks():
                lock.release()


def settle(config: ContainerConfig, images: Images) -> tuple[ContainerConfig, str, int]:
    """Return the options with what the image says, the digest of that, and the mode of its root directory.

    The digest stays the image's, whatever its name will be given to later.

    Raises:
        ImageNotFound, RegistryError, ImageError, InvalidConfig: as `image_root.prepare`.
    """
    image = image_root.find(config, images=images)
    settled, root, lock = with_image(config, image, images)
    lock.release()
    settled = evolve(settled, image=config.image if isinstance(config.image, str) else image.digest)
    return settled, image.digest, root.mode


def with_image(config: ContainerConfig, image: Image, images: Images) -> tuple[ContainerConfig, Root, Lock]:
    """Return the options with what an image says, its layers, and what keeps these."""
    root, lock = images.hold(image, idmap=image_root.idmap_of(config))
    try:
        return image_root.with_defaults(evolve(config, image=image), root.defaults), root, lock
    except BaseException:
        lock.release()
        raise


def copied(home: Home, root: Root, image: Image, config: ContainerConfig, *, refused: bool = False) -> Root:
    """Return the layers with the container's copy of them, where overlayfs is not to be had: it takes what is written.

    Args:
        home: the container's directory.
        root: the layers.
        image: that they are of.
        config: the container's options.
        refused: the kernel has refused to join them.

    Raises:
        Unsupported: the writes to a copy cannot be limited, as ``disk`` asks.
    """
    place = f"{home.path}/{COPY}"
    if not os.path.isdir(place):
        if not refused and snapshots.asked() != "copy":
            return root
        from pycgroups.images.flatten import flatten  # most have overlayfs

        image_root.check_copy(config)
        inside, half = image.store.inside, f"{place}.new"
        inside(remove, half)
        layers = [f"{root.directory}/{layer}" for layer in root.layers]
        inside.apart(flatten, layers, half, "kept" if inside.has_all_ids else "caller")
        os.rename(half, place)
    return root._replace(copy=place)


def _copy_after(error: Error, place: Place, home: Home, record: Record) -> bool:
    """Copy the image of a container if that helps: what failed was to join the layers, and a copy is allowed."""
    copies = record.image and snapshots.asked() is None and snapshots.is_refused(error)
    if not copies or os.path.isdir(f"{home.path}/{COPY}"):
        return False
    config = from_json(record.config)
    image = place.images.get(record.image, platform=config.platform)
    root, lock = place.images.hold(image, idmap=image_root.idmap_of(config))
    with lock:
        copied(home, root, image, config, refused=True)
    return True


def command_after(place: Place, record: Record, turn: Turn) -> monitor.Command:
    """Say what comes after the end of a container: it is removed, started again, or left as it is."""
    environment = _environment(place)
    if record.remove:
        return monitor.Command([*_PYTHON, "pycgroups.containers.away", record.id], environment)
    again = [*_PYTHON, "pycgroups.containers.again", record.id]
    return restarting.command(record.restart, turn.restarts, turn.waited, again, environment)


def check_of(place: Place, record: Record) -> monitor.Check:
    """Say how the monitor checks whether a container is well, if that has a healthcheck."""
    check = record.healthcheck
    if not check:
        return monitor.NO_CHECK
    return monitor.Check(
        [*_PYTHON, "pycgroups.containers.checking", record.id],
        _environment(place),
        interval=check["interval"],
        early=check["start_interval"] if check["start_period"] else check["interval"],
    )


def _environment(place: Place) -> dict[str, str]:
    """Return what a command of the monitor's needs to find the store, and its cgroups."""
    names = ("PATH", "HOME", "XDG_RUNTIME_DIR", "PYTHONPATH", "DBUS_SESSION_BUS_ADDRESS", snapshots.VARIABLE)
    environment = {name: os.environ[name] for name in names if name in os.environ}
    if "PYTHONPATH" in environment:
        paths = filter(None, environment["PYTHONPATH"].split(os.pathsep))
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))
    return {**environment, "PYCGROUPS_STORE": os.path.dirname(place.homes.path)}


@lru_cache(1)
def _began(pid: int) -> int:
    """Tell when this process began."""
    return state.start_of(pid)


def noted(turn: Turn, pid: int, began: int) -> Start:
    """Say what is to be known of a start."""
    return Start(
        boot=boot_id(),
        started=time.time_ns(),
        pid=pid,
        began=began,
        creator=os.getpid(),
        creator_began=_began(os.getpid()),
        restarts=turn.restarts,
    )


@own_errors("start")
def start(place: Place, home: Home, record: Record, turn: Turn) -> None:
    """Start a container, whose home is locked.

    Args:
        place: where it is.
        home: its directory.
        record: what was asked.
        turn: which start it is.

    Raises:
        Error: of the kinds that `pycgroups.run` names. Nothing of it runs.
    """
    ending.clean(place, home)
    monitor.finish(home.fd, ending.PATIENCE)
    if record.restart != restarting.NEVER or home.is_stopped:
        home.note_stopped(stopped=False)
    try:
        _start(place, home, record, turn)
    except (LaunchError, Unsupported) as error:
        if not _copy_after(error, place, home, record):
            from pycgroups.containers import origins  # for errors alone

            origins.tell(error, from_json(record.config))
            raise
        _start(place, home, record, turn)


def _start(place: Place, home: Home, record: Record, turn: Turn) -> None:
    preparation = Preparation(place, home, record, turn)
    try:
        preparation.start()
    finally:
        preparation.close()


def fail(place: Place, home: Home, record: Record, turn: Turn, error: Exception) -> None:
    """Note that a start by the restart policy has failed: as a run that ends when this process does.

    Args:
        place: where it is.
        home: its directory, locked.
        record: what was asked.
        turn: which start it was.
        error: why it failed.

    Raises:
        Error, OSError: that cannot be noted, and it is not; all is as it was.
    """
    why = str(error)[:_LONGEST_ERROR]
    home.write_start(noted(turn, os.getpid(), 0)._replace(error=why))
    fds = [os.pidfd_open(os.getpid())]
    try:
        fds.append(os.open(home.path, os.O_RDONLY | os.O_CLOEXEC))
        fds.append(os.open(os.path.dirname(home.path), os.O_RDONLY | os.O_CLOEXEC))
        pidfd, directory, events = fds
        task = monitor.Task(
            directory=directory,
            pidfd=pidfd,
            events=events,
            keeper=turn.keeper if turn.keeper >= 0 else None,
            creator=turn.creator,
            status=_exit_code(error) << 8,
            members={"id": record.id, "name": record.name},
            attributes={"error": why},
            command=command_after(place, record, turn),
        )
        os.close(monitor.start(task).pidfd)
    finally:
        for fd in fds:
            os.close(fd)


def _exit_code(error: Exception) -> int:
    """Return that of ``pycgroups run``."""
    if isinstance(error, CommandNotFound):
        return 127
    return 126 if isinstance(error, CommandNotExecutable) else 125
