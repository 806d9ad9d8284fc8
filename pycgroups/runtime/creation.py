"""`create`: from a config.json to a process that waits for its start; runtime.md, "Lifecycle", steps 1 to 5.

::

    create                                   the container's process
    state directory, record "creating"
    cgroup
    clone                ----------------->  namespaces, mounts
                         <-----------------  WAITING   where there are hooks, before the root changes
    hooks of create
    go on                ----------------->  pivot_root, ids, rights, filter
                         <-----------------  FD        its terminal; a seccomp listener
                         <-----------------  WAITING   in the FIFO of the state directory
    record with its pid
"""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig, LaunchError, NotFound, Unsupported, own_errors
from pycgroups.namespaces import own
from pycgroups.namespaces.files import open_namespace
from pycgroups.runtime import confinement, handing, hooks, plan, terminals
from pycgroups.runtime.launch import Running, launch
from pycgroups.runtime.rootfs import Directory
from pycgroups.runtime.state import CONFIG, Home, Record, check_id, make_state, now, start_of, write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NamedTuple

    from pycgroups.cgroups import Cgroup
    from pycgroups.cgroups.scoped import Scoped
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.cgroup_mounts import Shown
    from pycgroups.runtime.program import Manner
else:
    from pycgroups.records import NamedTuple


class Wishes(NamedTuple):
    """What a creator may ask for, beside the Spec; see `pycgroups.runtime.create`."""

    console_socket: str | None = None
    pid_file: str | None = None
    preserve_fds: int = 0
    pivot: bool = True
    keyring: bool = True
    cgroup_manager: str = "cgroupfs"
    stdio: Sequence[int] = (0, 1, 2)


class Created(NamedTuple):
    """What came of it: the state directory, the process, and the master of its terminal, or -1."""

    directory: str
    running: Running
    master: int


def create(spec: Spec, wishes: Wishes, *, config: bytes, bundle: str, id_: str, root: str) -> Created:
    """Create a container; nothing is left of it if that fails.

    Args:
        spec: what.
        wishes: how.
        config: the Spec as JSON, to be kept.
        bundle: the directory that its relative paths are relative to; empty for none.
        id_: its name.
        root: where its state is kept.
    """
    check_id(id_)
    rootfs = _check(spec, bundle, wishes)
    with Home.make(root, id_) as home:
        try:
            home.write(CONFIG, config)
            record = _record(spec, rootfs, bundle or home.path, id_, wishes)
            home.save(record)
            creation = _Creation(spec, record, home, wishes)
            try:
                return creation.perform()
            finally:
                creation.close()
        except BaseException:
            home.remove()
            raise


def _check(spec: Spec, bundle: str, wishes: Wishes) -> str:
    """Refuse what cannot be, before anything is made; the answer is the root file system."""
    process = spec.process
    if process is None or spec.root is None:
        missing = "process" if process is None else "root"
        raise InvalidConfig(f"a container needs a {missing}", operation="option", path=missing)
    if not any(space.type == "mount" and space.path is None for space in spec.linux.namespaces):
        raise Unsupported(
            "a container without a mount namespace of its own would change the host's mounts",
            operation="option",
            path="linux.namespaces",
            hint='add {"type": "mount"}',
        )
    if wishes.console_socket is not None and not process.terminal:
        raise InvalidConfig("a console socket needs a terminal", operation="option", path="process.terminal")
    rootfs = os.path.normpath(os.path.join(bundle, spec.root.path))
    if not os.path.isabs(rootfs):
        raise InvalidConfig("allowed: an absolute path where there is no bundle", operation="option", path="root.path")
    if not os.path.isdir(rootfs):
        raise NotFound("no such directory", operation="open rootfs", path=rootfs)
    return rootfs


def _planned_cgroups(spec: Spec, id_: str, wishes: Wishes) -> tuple[str, ...]:
    if wishes.cgroup_manager != "cgroupfs":
        return ()
    from pycgroups.cgroups import placed

    return placed.planned(spec.linux.cgroups_path, id_)


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
        hooks=() if spec.hooks is None else tuple(name for name, given in hooks.by_name(spec.hooks) if given),
        cgroup_manager=wishes.cgroup_manager,
        planned_cgroups=_planned_cgroups(spec, id_, wishes),
    )


class _Creation:
    """What a creation holds, from its cgroup to its process; `close` gives back all that did not come to be."""

    def __init__(self, spec: Spec, record: Record, home: Home, wishes: Wishes) -> None:
        self.spec = spec
        self.record = record
        self.home = home
        self.wishes = wishes
        self.group: Cgroup | None = None
        self.scope: Scoped | None = None
        self.running: Running | None = None
        self.console = self.listener = self.master = -1
        self.given: list[int] = []

    @own_errors("create")
    def perform(self) -> Created:
        """Do it all."""
        self.connect()
        self.make_group()
        running = self.start()
        if self.has_early_hooks:
            self.wait(running, lib.OP_WAIT)
            self.run_hooks(running)
            running.go_on()
        self.wait(running, lib.OP_START)
        self.hand_on(running)
        return self.done(running)

    def connect(self) -> None:
        """Connect to who is to get what, as long as nothing is made."""
        if self.wishes.console_socket is not None:
            self.console = handing.connect(self.wishes.console_socket)
        seccomp = self.spec.linux.seccomp
        if seccomp is not None and confinement.has_listener(seccomp):
            self.listener = confinement.connect(seccomp)

    def make_group(self) -> None:
        """Make the cgroup."""
        from pycgroups.cgroups import placed

        linux, record = self.spec.linux, self.record
        if record.cgroup_manager == "disabled":
            self.group = placed.open_(())
        elif record.cgroup_manager == "systemd":
            from pycgroups.cgroups import scoped  # loads jeepney

            self.group = self.scope = scoped.create(linux.cgroups_path, record.id, linux.resources)
        else:
            self.group = placed.create(linux.cgroups_path, record.id, linux.resources)
        self.note(planned_cgroups=(), cgroups=self.group.paths)

    def enter_scope(self, pid: int) -> None:
        """Have systemd put the new process into a scope, and note which."""
        assert self.scope is not None
        self.scope.place(pid)
        self.note(cgroups=self.scope.paths, unit=self.scope.unit)

    def note(self, **changes: Any) -> None:
        """Write down what is there by now."""
        self.record = self.record._replace(**changes)
        self.home.save(self.record)

    # -- the process ------------------------------------------------------------------------------------------------

    def start(self) -> Running:
        """Start the process, which performs the plan."""
        spec, group = self.spec, self.group
        assert group is not None
        assert spec.process is not None
        joins, linux = group.join_fds, spec.linux
        made = plan.make_plan(
            spec,
            Directory(path=self.record.rootfs, devices=True),
            privileged=own.is_privileged(),
            nested=own.is_nested(),
            groups=own.may_set_groups(),
            joins=len(joins),
            manner=self.manner(),
            terminal=terminals.size_of(spec.process),
            bundle=self.record.bundle,
            cgroups=self.shown_cgroups(),
        )
        self.running = Running(made)
        for space in plan.joined(spec):
            self.given.append(open_namespace(space.path or ""))
        self.given.append(self.home.make_fifo())
        fresh = any(space.type == "user" and space.path is None for space in linux.namespaces)
        launch(
            self.running,
            made.encode(),
            stdio=self.wishes.stdio,
            cgroup=-1 if group.clone_fd is None else group.clone_fd,
            given=[*joins, *self.given, *range(3, 3 + self.wishes.preserve_fds)],
            uid_mappings=linux.uid_mappings if fresh else (),
            gid_mappings=linux.gid_mappings if fresh else (),
            placed=self.enter_scope if self.scope else None,
        )
        return self.running

    def shown_cgroups(self) -> tuple[Shown, ...]:
        """Say what a mount of cgroups is to show, if there is one."""
        if not any(mount.type == "cgroup" for mount in self.spec.mounts):
            return ()
        from pycgroups.runtime import cgroup_mounts

        return cgroup_mounts.shown((self.scope.planned,) if self.scope else self.record.cgroups)

    def manner(self) -> Manner:
        """Say how it is started."""
        assert self.spec.process is not None
        return confinement.manner(self.spec.process, self.spec.linux.seccomp)._replace(
            detached=True,
            start=True,
            hooks=self.has_early_hooks,
            handed=self.wishes.preserve_fds,
            keyring=self.wishes.keyring,
            pivot=self.wishes.pivot,
        )

    @staticmethod
    def wait(running: Running, operation: int) -> None:
        """Wait until it has come to a step of the plan."""
        running.until(lambda running: running.waiting == operation)
        if running.waiting != operation:
            raise LaunchError("the container's process was killed", step="start of the program")

    @property
    def has_early_hooks(self) -> bool:
        """Tell whether hooks are to run before the root changes."""
        return not hooks.EARLY.isdisjoint(self.record.hooks)

    def run_hooks(self, running: Running) -> None:
        """Run the hooks of `create`."""
        assert self.spec.hooks is not None
        self.note(pid=running.pid)
        state = make_state(self.record, "creating")
        hooks.run("prestart", self.spec.hooks.prestart, state)
        hooks.run("createRuntime", self.spec.hooks.create_runtime, state)
        hooks.run("createContainer", self.spec.hooks.create_container, state, inside=running.pid)

    def hand_on(self, running: Running) -> None:
        """Give its terminal and its seccomp listener to those who wait for them."""
        self.master = terminals.hand_on(running, self.console)
        state = make_state(self.record._replace(pid=running.pid), "creating")
        confinement.hand_on(running, self.listener, self.spec.linux.seccomp, state)

    def done(self, running: Running) -> Created:
        """Write down that it is created, and let go of it."""
        self.note(pid=running.pid, started_at=start_of(running.pid))
        if self.wishes.pid_file is not None:
            write_pid(self.wishes.pid_file, running.pid)
        assert self.group is not None
        self.group.let_go()
        created = Created(self.home.path, running, self.master)
        self.running, self.group, self.master = None, None, -1
        return created

    def close(self) -> None:
        """Give back what is held."""
        for fd in (*self.given, self.console, self.listener, self.master):
            if fd >= 0:
                os.close(fd)
        if self.running is not None:
            self.running.close()
        if self.group is not None:
            self.group.remove()
