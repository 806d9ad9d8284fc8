"""`create`: from a config.json to a process that waits for its start; runtime.md, "Lifecycle", steps 1 to 5.

::

    create                                   the container's process
    state directory, record "creating"
    cgroup
    clone                ----------------->  namespaces, mounts
                         <-----------------  WAITING   where there are hooks, before the root changes
    network devices, hooks of create
    go on                ----------------->  pivot_root, ids, rights, filter
                         <-----------------  FD        a listener of the filter's
    go on                ----------------->
                         <-----------------  FD        its terminal
                         <-----------------  WAITING   in the FIFO of the state directory
    record with its pid

Who starts it at once has its pid in the record before it goes on at all, and the program runs in the end (STARTED).
That record is the first: of what there was before, a creator that dies leaves but the cgroup, and has to know where
that is. Without hooks config.json comes after the record, while the process sets up; so does the first record of one
without a cgroup and with a mount namespace.
"""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import Error, InvalidConfig, LaunchError, NotFound, Unsupported, own_errors
from pycgroups.namespaces import own
from pycgroups.runtime import confinement, granting, plan, terminals
from pycgroups.runtime.launch import Running, launch, make_userns
from pycgroups.runtime.preserved import Preserved
from pycgroups.runtime.rootfs import Directory
from pycgroups.runtime.state import CONFIG, Home, Record, check_id, make_state, now, seen_start_of, write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from functools import lru_cache
    from typing import Any, NamedTuple

    from attrs import evolve

    from pycgroups.cgroups.limits import Limits
    from pycgroups.cgroups.placing import Placing
    from pycgroups.cgroups.scoped import Scoped
    from pycgroups.namespaces.own import Rights
    from pycgroups.oci.runtime_spec import IdMapping, Linux, NamespaceSpec, Spec
    from pycgroups.runtime.cgroup_mounts import Shown
    from pycgroups.runtime.program import Manner
    from pycgroups.runtime.rootfs import Rootfs
    from pycgroups.runtime.steps import IdMaps, Plan

    Mappings = tuple[IdMapping, ...]
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve
    from pycgroups.records import NamedTuple


_KEEP_GROUPS = "run.oci.keep_original_groups"
"""An annotation of crun's, by which podman asks for the caller's groups: ``--group-add keep-groups``."""


class Wishes(NamedTuple):
    """What a creator may ask for, beside the Spec; see `pycgroups.runtime.create`.

    Attributes:
        rootfs: what the root is made of, where that is no directory.
        manner: how the program is started, where the Spec does not say all of that.
        optional: limits, if those that this host cannot enforce are only to be told of, and are no error.
        words: limits as they were asked for, where that was not in the Spec's words: for errors.
        groups: setgroups(2) is allowed in its user namespace, as far as the Spec and this process do not tell.
        tops: a descriptor of the file system that takes what is written, where the root's top is handed over.
        spaces: the namespaces to join that have a path, by kind and in order, where they are open already: what was
            checked of those is true of what is joined. See `pycgroups.runtime.plan.joined`.
        at_once: start it, too, which is two conversations less; for a Spec without hooks.
        meanwhile: called with the process and its cgroup's directories as soon as it goes on, before it is known that
            the program runs; of one that is started at once, and does not go on in a child of its own.
    """

    console_socket: str | None = None
    pid_file: str | None = None
    preserved: Preserved = Preserved()
    pivot: bool = True
    keyring: bool = True
    cgroup_manager: str = "cgroupfs"
    notify: bool = False
    stdio: Sequence[int] = (0, 1, 2)
    rootfs: Rootfs | None = None
    manner: Manner | None = None
    optional: Limits | None = None
    words: Limits | None = None
    groups: bool = True
    tops: tuple[int, ...] = ()
    spaces: tuple[tuple[str, int], ...] = ()
    at_once: bool = False
    meanwhile: Callable[[Running, tuple[str, ...]], object] | None = None


class Created(NamedTuple):
    """What came of it: the state directory, the process, the master of its terminal, or -1, and what was left out.

    Its first process, by its pid and when it began, which no later container of its name has; its cgroup, one directory
    in each hierarchy; and the limits that are not in force.
    """

    directory: str
    running: Running
    first: tuple[int, int]
    master: int
    notices: Sequence[str]
    cgroups: tuple[str, ...]
    unenforced: tuple[str, ...] = ()


def create(
    spec: Spec,
    wishes: Wishes,
    *,
    config: bytes | None = None,
    bundle: str,
    id_: str,
    root: str,
    perform: Callable[[Creation], Created] | None = None,
) -> Created:
    """Create a container; nothing is left of it if that fails.

    Args:
        spec: what.
        wishes: how.
        config: the Spec as JSON, to be kept, if there is that already.
        bundle: the directory that its relative paths are relative to; empty for none.
        id_: its name.
        root: where its state is kept.
        perform: another way to its process than to launch it.
    """
    check_id(id_)
    mounted: tuple[str, ...] = ()
    rootfs = _check(spec, bundle, wishes)
    if not any(space.type == "mount" and not _is_own(space.path) for space in spec.linux.namespaces):
        from pycgroups.runtime import in_place  # few have no mount namespace

        spec, place = in_place.spec_in_place(spec), in_place.place(rootfs, root, id_)
        rootfs, mounted = place.path, place  # where links lead: it is mounted over itself there
    manner = _manner(spec, wishes)
    with Home.make(root, id_) as home:
        try:
            if wishes.notify:
                home.make_notify()
            record = _record(spec, rootfs, bundle or home.path, id_, wishes)._replace(mounted=mounted)
            creation = Creation(spec, manner, record, home, wishes, bundle or "/")
            creation.config = config
            if not wishes.at_once and (_leaves_more(record) or perform is not None):
                creation.save()
            # Hooks may look for it, and its removal for hooks. Else it is written while the process sets up.
            if spec.hooks is not None or perform is not None:
                creation.keep_config()
            try:
                return (perform or Creation.perform)(creation)
            finally:
                creation.close()
        except BaseException:
            home.remove()
            raise


def _leaves_more(record: Record) -> bool:
    """Tell whether a creator that dies early leaves more than a directory, or others look for it."""
    return record.cgroup_manager != "disabled" or bool(record.hooks or record.mounted)


def _check(spec: Spec, bundle: str, wishes: Wishes) -> str:
    """Refuse what cannot be, before anything is made; the answer is the root file system."""
    process = spec.process
    if process is None or spec.root is None:
        missing = "process" if process is None else "root"
        raise InvalidConfig(f"a container needs a {missing}", operation="option", path=missing)
    _check_rights(spec.linux)
    _check_host(spec.linux)
    if wishes.console_socket is not None and not process.terminal:
        raise InvalidConfig("a console socket needs a terminal", operation="option", path="process.terminal")
    rootfs = os.path.normpath(os.path.join(bundle, spec.root.path))
    if not os.path.isabs(rootfs):
        raise InvalidConfig("allowed: an absolute path where there is no bundle", operation="option", path="root.path")
    if not os.path.isdir(rootfs):
        raise NotFound("no such directory", operation="open rootfs", path=rootfs)
    return rootfs


def _check_rights(linux: Linux) -> None:
    """Refuse what takes a user namespace, which a config.json has to ask for: none is made that it does not name."""
    if any(space.type == "user" for space in linux.namespaces) or own.may_unshare():
        return
    raise Unsupported(
        "an ordinary user's container needs a user namespace",
        operation="option",
        path="linux.namespaces",
        hint='add {"type": "user"}, with uidMappings and gidMappings; `pycgroups-oci spec --rootless` has all three',
    )


def _check_host(linux: Linux) -> None:
    """Refuse what this host does not have."""
    if linux.net_devices:
        from pycgroups.network import devices

        devices.check([name for name, _ in linux.net_devices])
    if linux.intel_rdt is not None:
        from pycgroups.runtime import resctrl

        resctrl.mounted()


def _manner(spec: Spec, wishes: Wishes) -> Manner:
    """Say how its program is started."""
    assert spec.process is not None
    manner = wishes.manner or confinement.manner(spec.process, spec.linux.seccomp)
    return manner._replace(
        grantable=granting.grantable(userns=any(space.type == "user" for space in spec.linux.namespaces)),
        detached=True,
        mount_label=confinement.mount_label(spec.linux.mount_label),
        start=not wishes.at_once,
        forks=(forks := wishes.at_once and _can_fork(spec, manner)),
        shares=forks and wishes.keyring and _can_share(spec),
        waits=bool(spec.linux.net_devices) or _has_early_hooks(spec),
        handed=len(wishes.preserved.fds),
        holes=wishes.preserved.holes,
        keyring=wishes.keyring,
        pivot=wishes.pivot,
        bare=() if wishes.pivot else _bare_mounts(),
    )


def _can_fork(spec: Spec, manner: Manner) -> bool:
    """Tell whether its init can fork for who executes something in it."""
    from pycgroups.runtime import forks  # of a container that is held

    return forks.are_possible(spec, manner)


def _can_share(spec: Spec) -> bool:
    """Tell whether that init can be under the program's filter."""
    from pycgroups.runtime import forks

    return forks.can_share(spec)


def _has_early_hooks(spec: Spec) -> bool:
    """Tell whether hooks are to run before the root changes."""
    if spec.hooks is None:
        return False
    from pycgroups.runtime import hooks

    return any(given and name in hooks.EARLY for name, given in hooks.by_name(spec.hooks))


def _kinds_of_hooks(spec: Spec) -> tuple[str, ...]:
    if spec.hooks is None:
        return ()
    from pycgroups.runtime import hooks

    return tuple(name for name, given in hooks.by_name(spec.hooks) if given)


def _is_own(path: str | None) -> bool:
    """Tell whether a mount namespace to be joined is this process's."""
    try:
        return path is not None and os.path.samefile(path, "/proc/self/ns/mnt")
    except OSError:  # which the launch will tell of
        return False


def _planned_cgroups(spec: Spec, id_: str, wishes: Wishes) -> tuple[str, ...]:
    if wishes.cgroup_manager != "cgroupfs" or wishes.at_once:
        return ()
    from pycgroups.cgroups import placing

    return placing.planned(spec.linux.cgroups_path, id_)


def _record(spec: Spec, rootfs: str, bundle: str, id_: str, wishes: Wishes) -> Record:
    return Record(
        id=id_,
        oci_version=spec.oci_version,
        bundle=bundle,
        rootfs=rootfs,
        owner=os.geteuid(),
        created=now(),
        annotations=dict(spec.annotations),
        own_pids=any(space.type == "pid" and space.path is None for space in spec.linux.namespaces),
        hooks=_kinds_of_hooks(spec),
        cgroup_manager=wishes.cgroup_manager,
        planned_cgroups=_planned_cgroups(spec, id_, wishes),
    )


def _root_is(id_: int) -> tuple[IdMapping, ...]:
    from pycgroups.oci.runtime_spec import IdMapping

    return (IdMapping(0, id_, 1),)


def _bare_mounts() -> tuple[bytes, ...]:
    from pycgroups.runtime import bare  # few have a root that cannot be pivoted

    return bare.mounts()


def _rights(spec: Spec, wishes: Wishes) -> Rights:
    found = own.rights()
    keeps = dict(spec.annotations).get(_KEEP_GROUPS) == "1"
    groups = found.groups and wishes.groups and not keeps
    return found._replace(groups=groups, leaves_groups=found.leaves_groups and not keeps)


def _shape(spec: Spec) -> Spec:
    """Leave out what no plan depends on and is another one for each container, so that they share theirs."""
    linux = spec.linux
    if linux.cgroups_path is None and not (linux.uid_mappings or linux.gid_mappings):
        return spec
    uids, gids = (tuple(evolve(each, host_id=0) for each in maps) for maps in (linux.uid_mappings, linux.gid_mappings))
    return evolve(spec, linux=evolve(linux, cgroups_path=None, uid_mappings=uids, gid_mappings=gids))


@lru_cache(64)  # a program may start the same container a thousand times
def _plan(  # noqa: PLR0917 (positional: keywords make a slower key)
    spec: Spec,
    rootfs: Rootfs,
    manner: Manner,
    bundle: str,
    cgroups: tuple[Shown, ...],
    nodes: tuple[tuple[str, str], ...],
    links: tuple[tuple[str, str], ...],
    joins: int,
    rights: Rights,
    order: tuple[str, ...],
) -> tuple[Plan, bytes]:
    assert spec.process is not None
    made = plan.make_plan(
        spec,
        rootfs,
        privileged=rights.privileged,
        nested=rights.nested,
        groups=rights.groups,
        leaves_groups=rights.leaves_groups,
        joins=joins,
        manner=manner,
        terminal=terminals.wanted(spec.process),
        bundle=bundle,
        cgroups=cgroups,
        nodes=dict(nodes),
        links=dict(links),
        order=order,
    )
    return made, made.encode()


class Creation:
    """What a creation holds, from its cgroup to its process; `close` gives back all that did not come to be."""

    def __init__(  # noqa: PLR0917
        self, spec: Spec, manner: Manner, record: Record, home: Home, wishes: Wishes, bundle: str
    ) -> None:
        self.spec = spec
        self.bundle = bundle
        self.manner = manner
        self.record = record
        self.home = home
        self.wishes = wishes
        self.group: Placing | None = None
        self.scope: Scoped | None = None
        self.running: Running | None = None
        self.console = self.listener = self.master = self.requests = -1
        self.given: list[int] = []
        self.config: bytes | None = None
        self.has_config = self.is_saved = False
        self.seen = 0, 0  # a pid, and when it began

    @own_errors("create")
    def perform(self) -> Created:
        """Do it all."""
        self.connect()
        self.make_group()
        self.make_class()
        running = self.start()
        self.see(running)
        if self.manner.waits:
            self.wait(running, lib.OP_WAIT)
            self.move_devices(running)
            self.run_hooks(running)
            running.go_on()
        if self.listener >= 0 and self.spec.linux.seccomp is not None:
            listener, self.listener = self.listener, -1
            state = make_state(self.record._replace(pid=running.pid), "creating")
            confinement.hand_on(running, listener, self.spec.linux.seccomp, state)
        if self.manner.start:
            self.wait(running, lib.OP_START)
        else:
            running.until_started()
        self.master = terminals.hand_on(terminals.made(running), self.console)
        return self.done(running)

    def see(self, running: Running) -> None:
        """Do what the process need not wait for, while it sets up."""
        if not running.plan.forks and not self.record.started_at:
            self.seen = running.pid, seen_start_of(running.pid)
        if not running.plan.forks and self.wishes.meanwhile is not None:
            self.wishes.meanwhile(running, self.record.cgroups)
        if not self.is_saved:
            self.save()
        self.keep_config()

    def keep_config(self) -> None:
        """Write down what it is created from, once."""
        if self.has_config:
            return
        if self.config is None:
            from pycgroups.oci.one_line import one_line  # others have the text

            self.config = one_line(self.spec).encode()
        self.home.write_first(CONFIG, self.config)
        self.has_config = True

    def connect(self) -> None:
        """Connect to who is to get what, as long as nothing is made."""
        self.connect_console()
        seccomp = self.spec.linux.seccomp
        if seccomp is not None and confinement.has_listener(seccomp):
            self.listener = confinement.connect(seccomp)

    def connect_console(self) -> None:
        """Connect to who is to get the terminal."""
        if self.wishes.console_socket is not None:
            from pycgroups.runtime import handing

            self.console = handing.connect(self.wishes.console_socket)

    def make_group(self) -> None:
        """Make the cgroup."""
        from pycgroups.cgroups import placing

        linux, record = self.spec.linux, self.record
        if record.cgroup_manager == "disabled":
            self.group = placing.Placing("")
        elif record.cgroup_manager == "systemd":
            from pycgroups.cgroups import scoped  # loads jeepney

            self.group = self.scope = scoped.create(linux.cgroups_path, record.id, linux.resources)
        else:
            wishes = self.wishes
            self.group = placing.create(linux.cgroups_path, record.id, linux.resources, wishes.optional, wishes.words)
        before, self.record = self.record, self.record._replace(planned_cgroups=(), cgroups=self.group.paths)
        if self.manner.start and self.record != before:
            self.save()

    def make_class(self) -> None:
        """Make its class of service."""
        rdt = self.spec.linux.intel_rdt
        if rdt is None:
            return
        from pycgroups.runtime import resctrl

        plan = resctrl.plan(rdt, self.record.id, resctrl.mounted())
        self.note(resctrl=plan.directories, resctrl_made=plan.missing)
        resctrl.make(plan)

    def place(self, pid: int) -> None:
        """Have systemd put the new process into a scope, and note which; and put it into its class of service.

        Who is started at once is noted before it does anything, and so is what it mounts outside.
        """
        if self.record.mounted:
            from pycgroups._native import spawning
            from pycgroups.runtime import in_place

            assert self.running is not None
            root = spawning.slot(self.running.spawned, self.running.plan.given)
            self.note(mounted=in_place.with_root(self.record.mounted, root))
        if not self.manner.start:
            self.note(pid=pid, started_at=seen_start_of(pid))
        if self.scope is not None:
            self.scope.place(pid)
            self.note(cgroups=self.scope.paths, unit=self.scope.unit)
        if self.record.resctrl:
            from pycgroups.runtime import resctrl

            resctrl.enter(self.record.resctrl, pid)

    def note(self, **changes: Any) -> None:
        """Write down what is there by now."""
        before, self.record = self.record, self.record._replace(**changes)
        if self.record != before:
            self.save()

    def save(self) -> None:
        """Write the record."""
        self.home.save(self.record)
        self.is_saved = True

    # -- the process ------------------------------------------------------------------------------------------------

    def start(self) -> Running:
        """Start the process, which performs the plan."""
        spec, group = self.spec, self.group
        assert group is not None
        assert spec.process is not None
        self.listen()
        joins, shown, nodes = group.join_fds, self.shown_cgroups(), self.make_nodes()
        rootfs = self.wishes.rootfs or Directory(path=self.record.rootfs, devices=True)
        order, rights = self.order(), _rights(spec, self.wishes)
        seen = shown, nodes, self.read_links()
        made, encoded = _plan(_shape(spec), rootfs, self.manner, self.bundle, *seen, len(joins), rights, order)
        self.running = Running(made)
        uids, gids = self.id_mappings()
        if spaces := plan.joined(spec, order):
            self.open_namespaces(spaces, uids, gids)
            uids = gids = ()
        if self.manner.start:
            self.given.append(self.home.make_fifo())
        elif self.requests >= 0:
            self.given.append(self.requests)
            self.requests = -1
        needs_place = self.scope or self.record.resctrl or self.record.mounted or not self.manner.start
        launch(
            self.running,
            encoded,
            stdio=self.wishes.stdio,
            cgroup=-1 if group.clone_fd is None else group.clone_fd,
            given=[*joins, *self.given, *self.wishes.preserved.fds, *self.wishes.tops],
            uid_mappings=uids,
            gid_mappings=gids,
            placed=self.place if needs_place else None,
        )
        return self.running

    def listen(self) -> None:
        """Make the socket of an init that forks; where the file system has none, that does not."""
        if not self.manner.forks:
            return
        from pycgroups.runtime import forks

        name = f"forks.{os.urandom(4).hex()}"  # of this start alone: who has read of it asks this init, or none
        try:
            self.requests = forks.listen(self.home.path, name)
        except Error:
            self.manner = self.manner._replace(forks=False)
        else:
            self.record = self.record._replace(forks=name)

    def order(self) -> tuple[str, ...]:
        """Say in which order to join namespaces that have a path; empty, where there is no choice."""
        if self.wishes.spaces:
            return tuple(kind for kind, _ in self.wishes.spaces)
        paths = {space.type: space.path for space in self.spec.linux.namespaces if space.path is not None}
        if "user" not in paths or len(paths) == 1:
            return ()
        from pycgroups.runtime import joins  # few join a user namespace of others

        return joins.order(paths)

    def open_namespaces(self, spaces: Sequence[NamespaceSpec], uids: Mappings, gids: Mappings) -> None:
        """Open those that are to be joined; the user namespace among them may have to be made."""
        from pycgroups.namespaces.files import FILES, open_namespace

        held = dict(self.wishes.spaces)
        for space in spaces:
            if space.path is None:
                self.given.append(make_userns(uids, gids))
            elif space.type in held:
                self.given.append(os.dup(held[space.type]))
            else:
                self.given.append(open_namespace(space.path, FILES[space.type]))

    def make_nodes(self) -> tuple[tuple[str, str], ...]:
        """Make the devices of a container that cannot do so itself."""
        if not self.spec.linux.devices or self.id_mappings() == ((), ()) or not own.is_privileged() or own.is_nested():
            return ()
        from pycgroups.runtime import nodes  # few ask for devices in a user namespace

        return tuple(nodes.make(self.home, self.spec).items())

    def read_links(self) -> tuple[tuple[str, str], ...]:
        """Read the symlinks of the host that are to be copied."""
        if not any("copy-symlink" in mount.options for mount in self.spec.mounts):
            return ()
        from pycgroups.runtime import links  # few ask for them

        return tuple(links.read(self.spec.mounts, self.bundle).items())

    def id_mappings(self) -> IdMaps:
        """Return the maps of a new user namespace; without any, this process is its root, as with crun."""
        linux = self.spec.linux
        if not any(space.type == "user" and space.path is None for space in linux.namespaces):
            return (), ()
        return linux.uid_mappings or _root_is(os.geteuid()), linux.gid_mappings or _root_is(os.getegid())

    def shown_cgroups(self) -> tuple[Shown, ...]:
        """Say what a mount of cgroups is to show, if there is one."""
        if not any(mount.type == "cgroup" for mount in self.spec.mounts):
            return ()
        from pycgroups.runtime import cgroup_mounts

        return cgroup_mounts.shown((self.scope.planned,) if self.scope else self.record.cgroups)

    @staticmethod
    def wait(running: Running, operation: int) -> None:
        """Wait until it has come to a step of the plan."""
        running.until(lambda running: running.waiting == operation)
        if running.waiting != operation:
            raise LaunchError("the container's process was killed", step="start of the program")

    def move_devices(self, running: Running) -> None:
        """Give it the network devices that it is to have."""
        inside = running.descriptors.pop(lib.OP_NETLINK, -1)
        if inside < 0:
            return
        from pycgroups.network import devices

        names = [(name, device.name or name) for name, device in self.spec.linux.net_devices]
        devices.move(names, inside, running.pid)

    def run_hooks(self, running: Running) -> None:
        """Run the hooks of `create`, which are for a process that has its namespaces."""
        if self.spec.hooks is None:
            return
        from pycgroups.runtime import hooks

        pid = running.pid
        self.run_outer_hooks(pid)
        state = make_state(self.record, "created")
        hooks.run(
            "createContainer",
            self.spec.hooks.create_container,
            state,
            inside=pid,
            pidfd=running.pidfd,
            apart=hooks.apart(self.spec.linux.namespaces),
            root=plan.root_ids(self.spec),
        )

    def run_outer_hooks(self, pid: int) -> None:
        """Run those of them that run outside; all that a restored container has, as with runc."""
        if self.spec.hooks is None:
            return
        from pycgroups.runtime import hooks

        self.note(pid=pid)
        # By now "created": that is what a container is after step 2 of the lifecycle, and these are steps 3 to 5.
        state = make_state(self.record, "created")
        hooks.run("prestart", self.spec.hooks.prestart, state)
        hooks.run("createRuntime", self.spec.hooks.create_runtime, state)

    def done(self, running: Running) -> Created:
        """Write down that it is created, and let go of it."""
        if not self.record.started_at or self.record.pid != running.pid:
            pid, began = self.seen
            self.note(pid=running.pid, started_at=began if pid == running.pid else seen_start_of(running.pid))
        if self.wishes.pid_file is not None:
            write_pid(self.wishes.pid_file, running.pid)
        assert self.group is not None
        self.group.let_go()
        assert self.spec.process is not None
        notices = granting.notices(self.spec.process, self.manner.grantable)
        if self.spec.linux.mount_label is not None and self.manner.mount_label is None:
            notices.append("option linux.mountLabel: SELinux is not enabled in this kernel")
        cgroups, unenforced = self.record.cgroups, self.group.unenforced
        first = self.record.pid, self.record.started_at
        created = Created(self.home.path, running, first, self.master, notices, cgroups, unenforced)
        self.running, self.group, self.master = None, None, -1
        return created

    def close(self) -> None:
        """Give back what is held."""
        for fd in (*self.given, self.console, self.listener, self.master, self.requests):
            if fd >= 0:
                os.close(fd)
        if self.running is not None:
            self.running.close()
            if self.record.mounted:
                from pycgroups.runtime import in_place

                in_place.clear(self.record.mounted)
        if self.group is not None:
            self.group.remove()
            if self.record.resctrl_made:
                from pycgroups.runtime import resctrl

                resctrl.remove(self.record.resctrl_made)
