"""Spec -> launch plan: the flat list of steps that the helper performs (``_native/plan.h``). Pure.

    prepare   by the calling thread, with the caller's rights: trees that only the caller may open
    setup     by the helper, in the new namespaces
    main      by the process that becomes the program

A step names descriptors by slot. The first slots are what the launch hands over (cgroup files, namespaces), next
come the trees that are opened early; the last few have fixed uses, below.
"""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.namespaces import files
from pycgroups.runtime import mount_options
from pycgroups.runtime.program import RULESET, TERMINAL, Manner, Slots, program, set_groups
from pycgroups.runtime.rootfs import Directory, Entered, Stacked
from pycgroups.runtime.steps import Plan, Step, Terminal
from pycgroups.security import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from attrs import evolve

    from pycgroups.oci.runtime_spec import IdMapping, Mount, NamespaceSpec, Spec
    from pycgroups.runtime.cgroup_mounts import Shown
    from pycgroups.runtime.rootfs import Made, Rootfs
    from pycgroups.runtime.steps import IdMaps
else:
    from pycgroups.frozen import evolve

# Slots with a fixed use, from the top.
TEMPORARY, SCRATCH, ROOT, DEV, NULL, EMPTY, CGROUPS = range(lib.PLAN_SLOTS - 1, RULESET, -1)

SCRATCH_SOURCE = "pycgroups"
"""By this, for show, who removes it knows the scratch of a container without a mount namespace."""

NAMESPACES = {kind: files.FLAGS[name] for kind, name in files.FILES.items()}
# What every container's /dev has: config-linux.md, "Default Devices".
DEFAULT_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
DEFAULT_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)

# File systems that belong at a place of their own: nothing in the image may lead them elsewhere (CVE-2019-19921).
_STRICT_TYPES = frozenset({"proc", "sysfs", "devpts", "mqueue"})

# File systems whose files get the label of SELinux that their mount has; those of others have labels of their own.
_LABELLED_TYPES = frozenset({"tmpfs", "devpts"})

# What may be covered of /proc: files that tell of the machine, as lxcfs makes them.
_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev")
)

# For mounts, names and sysctls of the namespaces, for their files, for the ids and the capabilities themselves.
_SETUP_CAPABILITIES = (
    *("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"),
)

_CHAR_DEVICE = 0o020000
_BLOCK_DEVICE = 0o060000
_FIFO = 0o010000

_USUAL = Manner()
_NONE: Mapping[str, str] = {}


def make_plan(
    spec: Spec,
    rootfs: Rootfs,
    *,
    privileged: bool,
    nested: bool = False,
    groups: bool = True,
    leaves_groups: bool = False,
    joins: int = 0,
    manner: Manner = _USUAL,
    terminal: Terminal | None = None,
    bundle: str = "/",
    cgroups: tuple[Shown, ...] = (),
    nodes: Mapping[str, str] = _NONE,
    links: Mapping[str, str] = _NONE,
    order: tuple[str, ...] = (),
) -> Plan:
    """Turn a Spec into steps.

    Args:
        spec: the container.
        rootfs: what its root is made of.
        privileged: the caller may open and idmap trees of its own mount namespace (root, CAP_SYS_ADMIN).
        nested: the caller is in a user namespace, and makes no device nodes.
        groups: its user namespace allows setgroups(2), and so those below it.
        leaves_groups: it may call that itself, and leaves its groups before it is where nobody may.
        joins: how many cgroup files the launch hands over, for the process to write itself into.
        manner: how its program is started.
        terminal: make a pty in the container.
        bundle: the directory that sources of bind mounts are relative to.
        cgroups: what a mount of the type "cgroup" shows.
        nodes: device nodes of the host that are to be shown, by their paths in the container, instead of being made.
        links: what the symlinks say that are to be copied, by the destinations of their mounts.
        order: the kinds of namespaces to join that have a path; see `joined`.

    Raises:
        InvalidConfig: more mounts than a plan can hold.
    """
    assert spec.process is not None
    plan = _Planner(spec, rootfs, manner, order, privileged=privileged, nested=nested, joins=joins)
    plan.bundle, plan.cgroups, plan.nodes, plan.links = bundle, cgroups, nodes, links
    plan.groups, plan.leaves_groups = groups, leaves_groups
    plan.enter()
    if isinstance(rootfs, Entered):
        plan.use_what_is_there(terminal)
    else:
        plan.make_container(rootfs, terminal)
    manner = manner._replace(supervised=plan.supervised)
    process = evolve(spec.process, oom_score_adj=None) if plan.enters else spec.process  # it has that already
    main = program(process, manner, plan.slots, terminal=terminal is not None, groups=plan.may_set_groups())
    return plan.done(main)


class _Planner:
    """Collects the steps; each method is one paragraph of the plan."""

    def __init__(
        self,
        spec: Spec,
        rootfs: Rootfs,
        manner: Manner,
        order: tuple[str, ...],
        *,
        privileged: bool,
        nested: bool,
        joins: int,
    ) -> None:
        self.spec = spec
        self.rootfs = rootfs
        self.manner = manner
        self.privileged = privileged
        self.joins = joins
        self.joined = joined(spec, order)
        kinds = {space.type for space in self.joined}
        self.fresh = {space.type for space in spec.linux.namespaces} - kinds
        # What is to belong to a user namespace that is joined is made in it. A time namespace's offsets are to be set
        # before anybody is in it: time_namespaces(7). A cgroup namespace begins where the process is by now.
        late = {"cgroup", "time", *(("pid",) if "time" in self.fresh else ())}
        self.late = self.fresh if "user" in kinds else self.fresh & late
        # Of these only children are: setns(2), unshare(2).
        self.forks = "pid" in kinds or not self.late.isdisjoint(("pid", "time"))
        self.userns = "user" in self.fresh or "user" in kinds
        # In a mount namespace of others nothing is made, and all of it is used as it is.
        self.enters = isinstance(rootfs, Entered)
        # What is mounted is mounted in the caller's mount namespace, and the root is changed by chroot(2).
        self.in_place = not self.enters and "mount" not in kinds | self.fresh
        # An init that is not process 1 ends its descendants itself.
        self.supervised = manner.init and "pid" not in self.fresh
        self.binds_devices = self.userns or nested
        self.idmaps = self.wanted_idmaps() if privileged else ()
        kept = joins + len(self.joined)
        is_kept = manner.start or manner.forks
        self.slots = Slots(kept=kept if is_kept else -1, handed=kept + is_kept)
        self.top = kept + is_kept + manner.handed  # a slot that is one only where it is handed over
        self.given = self.top + int(isinstance(rootfs, Stacked) and rootfs.handed) + len(self.idmaps)
        self.bundle = "/"
        self.groups = True
        self.leaves_groups = False
        self.cgroups: tuple[Shown, ...] = ()
        self.nodes: Mapping[str, str] = _NONE
        self.links: Mapping[str, str] = _NONE
        self.next = self.given  # slot of the next tree
        self.again = TERMINAL  # from here on slots may have others, once what they have is mounted
        self.overlays: list[int] = []  # slots of those that are not the root itself
        self.later: list[int] = []  # slots of file systems that are read-only at the end
        self.covered: list[Mount] = []  # those that there is no slot for
        self.staged: dict[int, list[str]] = {}  # by the mount's identity, names of their layers in the scratch
        self.prepare: list[Step] = []
        self.early: list[Step] = []
        self.setup: list[Step] = []
        self.main: list[Step] = []

    def add(self, op: int, *args: int, texts: tuple[bytes, ...] = (), optional: bool = False) -> None:
        self.setup.append(Step(op, args, texts, optional))

    def wanted_idmaps(self) -> tuple[IdMaps | None, ...]:
        wanted: dict[IdMaps | None, None] = {}
        if isinstance(self.rootfs, Directory | Stacked) and self.rootfs.idmapped:
            wanted[None] = None
        for mount in self.spec.mounts:
            if _is_idmapped(mount):
                wanted[_idmaps(mount)] = None
        if "user" not in self.fresh:  # there is none, or it is handed over already
            wanted.pop(None, None)
        return tuple(wanted)

    def idmap_slot(self, idmap: IdMaps | None) -> int:
        """Return the slot of a user namespace with these maps; None is that of the container."""
        if idmap in self.idmaps:
            return self.given - len(self.idmaps) + self.idmaps.index(idmap)
        if self.privileged:
            return self.joins + [space.type for space in self.joined].index("user")
        raise Unsupported(
            "an idmapped mount takes CAP_SYS_ADMIN on the host",
            operation="option",
            path="mounts",
            hint="as root, or without idmap; mount_setattr(2)",
        )

    # -- trees of the host, opened before the root changes and before the caller's ids are left ------------------

    def tree(
        self,
        source: str,
        *,
        recursive: bool = True,
        attributes: int = 0,
        clear: int = 0,
        propagation: int = 0,
        idmap: IdMaps | Literal[False] | None = False,
        idmap_all: bool = True,
    ) -> int:
        """Open a tree of the host; the answer is its slot. It is to be mounted before the next one is opened."""
        slot = self.tree_slot()
        userns = -1 if isinstance(idmap, bool) else self.idmap_slot(idmap)
        flags = _tree_flags(recursive=recursive, idmap_all=idmap_all)
        args = (slot, flags, attributes, clear, propagation or self.propagation(), userns, -1)
        step = Step(lib.OP_TREE, args, (os.fsencode(source),))
        if self.privileged:
            self.prepare.append(step)
        else:
            (self.setup if slot == TEMPORARY else self.early).append(step)
        return slot

    def tree_slot(self) -> int:
        """Return the next slot of a tree.

        Where all are taken, those of what is mounted by then have others: of the next part that is handed over, or
        `TEMPORARY` of one that the helper opens only when it is to be mounted.
        """
        if self.next > self.free_from_above():
            self.check_room(self.again)
            if not self.privileged:
                return TEMPORARY
            self.next = self.again
            self.add(lib.OP_TAKE, self.next)
        self.next += 1
        return self.next - 1

    def free_from_above(self) -> int:
        """Return the next slot of what is held to the end."""
        return TERMINAL - 1 - len(self.overlays) - len(self.later)

    def held_slot(self) -> int:
        """Take a slot for what is held to the end, from above; trees are mounted by then."""
        self.check_room(min(self.next, self.again))
        return self.free_from_above()

    def check_room(self, taken: int) -> None:
        """Refuse more layers than there are slots for, of which those below `taken` are not free."""
        if self.free_from_above() < taken:
            raise InvalidConfig(
                f"more than {self.next - self.given + len(self.overlays)} layers are to be mounted",
                operation="mounts",
                hint="make one directory of several layers",
            )

    def propagation(self) -> int:
        """Of trees that say nothing of it; config-linux.md, "Rootfs Mount Propagation"."""
        wanted = self.spec.linux.rootfs_propagation
        if wanted is not None:
            return mount_options.PROPAGATION[wanted]
        return int(lib.MS_SLAVE if self.manner.detached else lib.MS_PRIVATE)

    # -- namespaces -------------------------------------------------------------------------------------------

    def enter(self) -> None:
        self.join()
        if self.userns:
            self.add(lib.OP_BECOME_ROOT, int(self.may_set_groups()), *root_ids(self.spec))
        if (
            self.manner.init and not self.manner.detached
        ):  # a supervisor has still something to do when the creator dies
            self.add(lib.OP_DEATH, lib.PLAN_END_SIGNAL if self.supervised else 9)
        self.add(lib.OP_SESSION, 0)
        self.add(lib.OP_UMASK, 0)
        if not self.enters:
            if not self.in_place:
                self.add(lib.OP_PROPAGATE, lib.MS_PRIVATE)
            if not self.manner.init:
                self.set_oom_score(self.setup)

    def set_oom_score(self, steps: list[Step], *, dumpable: bool = False) -> None:
        """Set it by the caller's /proc: the container need not have one."""
        process = self.spec.process
        if process is not None and process.oom_score_adj is not None:
            steps.append(Step(lib.OP_OOM_SCORE, (int(dumpable),), (str(process.oom_score_adj).encode(),)))

    def join(self) -> None:
        for slot in range(self.joins):
            self.early.append(Step(lib.OP_JOIN, (slot,)))
        if self.enters:
            self.set_oom_score(self.early, dumpable=True)
        joins_user = any(space.type == "user" and space.path is not None for space in self.joined)
        if joins_user and self.leaves_groups and not self.may_set_groups():
            self.early.append(set_groups(()))
        for slot, space in enumerate(self.joined, self.joins):
            self.early.append(Step(lib.OP_SETNS, (slot, NAMESPACES[space.type]), (os.fsencode(space.path or "user"),)))
        if self.late:
            self.early.append(Step(lib.OP_UNSHARE, (_flags(self.late),)))
        if self.spec.linux.time_offsets:
            self.early.append(Step(lib.OP_TIME_OFFSETS, texts=(self.time_offsets(),)))
        if self.forks:
            self.early.append(Step(lib.OP_FORK))

    def time_offsets(self) -> bytes:
        """Return the lines of time_namespaces(7)'s /proc/PID/timens_offsets."""
        offsets = self.spec.linux.time_offsets
        return "".join(f"{clock} {offset.secs} {offset.nanosecs}\n" for clock, offset in offsets).encode()

    def may_set_groups(self) -> bool:
        """An ordinary user's map of one group goes with setgroups(2) denied: user_namespaces(7)."""
        of_many = self.privileged or sum(mapping.size for mapping in self.spec.linux.gid_mappings) > 1
        return self.groups and (of_many or not self.userns)

    # -- the root ---------------------------------------------------------------------------------------------

    def use_what_is_there(self, terminal: Terminal | None) -> None:
        """Change nothing in the mount namespace of others."""
        assert self.spec.process is not None
        self.add(lib.OP_ROOT)
        if terminal:
            self.setup.append(terminal.step(TERMINAL, self.spec.process.user))
        self.name_and_connect()

    def make_container(self, rootfs: Made, terminal: Terminal | None) -> None:
        self.make_root(rootfs)
        for mount in self.spec.mounts:
            self.mount(mount)
        self.show_files(rootfs)
        self.fill_dev()
        self.protect()
        if terminal:
            self.make_terminal(terminal)
        self.finish_setup()

    def make_root(self, rootfs: Made) -> None:
        overlays = [mount for mount in self.spec.mounts if mount.type == "overlay"]
        if not isinstance(rootfs, Directory):
            from pycgroups.runtime import overlaid  # a directory needs none of it

            self.make_scratch(rootfs, rootfs.size)
            self.stage_layers(overlays)
            overlaid.make(self, rootfs)
            self.again = self.next
            return
        # Devices of a rootfs are not the container's to open, unless its cgroup decides that.
        attributes = 0 if rootfs.devices else lib.MOUNT_ATTR_NODEV
        # What is shared cannot be pivoted, pivot_root(2): it becomes that afterwards. Where a directory is bound over
        # itself and shared, the end of a slave of it on top would be the end of the one below as well.
        is_private = self.in_place or self.propagation() == lib.MS_SHARED
        propagation = int(lib.MS_PRIVATE) if is_private else 0
        slot = self.tree(
            rootfs.path,
            attributes=attributes,
            propagation=propagation,
            idmap=None if rootfs.idmapped else False,
        )
        self.again = self.next
        if rootfs.files or overlays:
            self.make_scratch(rootfs, None, rootfs.path if self.in_place else "/proc")
            self.stage_layers(overlays)
        # Hooks in the container's mount namespace are programs of the host, and know the root by its path.
        self.use_root(slot, rootfs.path if self.manner.waits or self.in_place else "/")
        if self.in_place:  # what is mounted in it is not shown to those who share what it is mounted in
            self.add(lib.OP_ATTR, slot, 0, 0, lib.MS_PRIVATE, 1)

    def use_root(self, slot: int, at: str = "/") -> None:
        self.add(lib.OP_STACK, slot, texts=(os.fsencode(at),))
        self.add(lib.OP_BASE, slot)

    def make_scratch(self, rootfs: Made, size: int | None, at: str = "/proc") -> None:
        """The one tmpfs that takes all that is written, so that one size limits it."""
        options = ("mode=755",) if size is None else ("mode=755", f"size={size}")
        source = SCRATCH_SOURCE if self.in_place else None
        self.file_system("tmpfs", SCRATCH, lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV, options, source)
        # Somewhere in the old root, to go away with it, and not on top of it: that would take a second umount2(2).
        self.add(lib.OP_STACK, SCRATCH, texts=(os.fsencode(at),))
        self.add(lib.OP_BASE, SCRATCH)
        for number, (_, content) in enumerate(rootfs.files):
            self.add(lib.OP_FILE, 0o644, texts=(b"file%d" % number, os.fsencode(content)))

    def stage_layers(self, overlays: list[Mount]) -> None:
        """Mount the layers of overlays in the scratch: fsconfig(2) takes 255 bytes a value, and all layers are one."""
        for mount in overlays:
            names: list[str] = []
            for source in mount_options.lower_directories(mount_options.parse(mount.options).data):
                names.append(f"{sum(map(len, self.staged.values())) + len(names):x}")
                tree = self.tree(source, recursive=False)
                self.add(lib.OP_MOUNT, tree, 0, texts=(names[-1].encode(),))
            self.staged[id(mount)] = names

    def staged_overlay(self, mount: Mount, data: tuple[str, ...]) -> list[str]:
        """Name the layers of an overlay as they are staged; the names are relative."""
        self.add(lib.OP_FCHDIR, SCRATCH)
        lower = f"lowerdir={':'.join(self.staged[id(mount)])}"
        return [lower if option.startswith("lowerdir=") else option for option in data]

    def bind_scratch(self, name: str, slot: int) -> None:
        self.add(lib.OP_TREE, slot, 0, 0, 0, lib.MS_PRIVATE, -1, SCRATCH, texts=(name.encode(),))

    def show_files(self, rootfs: Made) -> None:
        for number, (path, _) in enumerate(rootfs.files):
            self.bind_scratch(f"file{number}", TEMPORARY)
            self.add(lib.OP_MOUNT, TEMPORARY, 0, texts=(os.fsencode(path),))

    # -- mounts -----------------------------------------------------------------------------------------------

    def file_system(
        self, kind: str, slot: int, attributes: int, options: Iterable[str], source: str | None = None
    ) -> None:
        label = self.manner.mount_label
        if source is not None:
            options = (f"source={source}", *options)
        if label is not None and kind in _LABELLED_TYPES:
            options = (*options, f"context={label}")
        packed = b"\0".join(os.fsencode(option) for option in options)
        self.add(lib.OP_FS, slot, attributes, texts=(kind.encode(), packed))

    def mount(self, mount: Mount) -> None:
        options = mount_options.parse(mount.options)
        if mount.type == "cgroup":
            self.mount_cgroups(mount, options)
            return
        if options.copy_link and mount.destination in self.links:
            target = os.fsencode(self.links[mount.destination])
            self.add(lib.OP_COPY_LINK, texts=(target, os.fsencode(mount.destination)))
            return
        slot = self.mount_slot(mount, options)
        if _is_bind(mount, options):
            slot = self.bind(mount, options)
        else:
            is_open = slot in self.later or mount in self.covered[-1:]
            attributes = options.attributes & (~lib.MOUNT_ATTR_RDONLY if is_open else -1)
            data = self.staged_overlay(mount, options.data) if id(mount) in self.staged else options.data
            self.file_system(mount.type or "", slot, attributes, data, mount.source)
            if mount.type == "tmpfs":
                self.be_like(mount, options, slot)
            if options.propagation:
                self.add(lib.OP_ATTR, slot, 0, 0, options.propagation, 0)
        if options.top or options.top_clear or options.top_propagation:
            self.add(lib.OP_ATTR, slot, options.top, options.top_clear, options.top_propagation, 0)
        resolve = lib.RESOLVE_NO_SYMLINKS if _is_strict(mount) else 0
        self.add(lib.OP_MOUNT, slot, resolve, texts=(os.fsencode(mount.destination),))

    def bind(self, mount: Mount, options: mount_options.Options) -> int:
        """Open what a bind mount shows; the answer is its slot.

        A config.json may count on mounts being made one after the other below the root's path, as by runc: a source in
        one of those before is what is in the container by then, and not what that hides of the host.
        """
        source = os.path.join(self.bundle, mount.source or "")
        idmap: IdMaps | Literal[False] | None = _idmaps(mount) if _is_idmapped(mount) else False
        idmap_all = options.idmap_all or not _is_idmapped(mount)
        inside = self.of_earlier_mount(mount, source)
        if inside is None:
            return self.tree(
                source,
                recursive=options.recursive,
                attributes=options.attributes,
                clear=options.clear,
                propagation=options.propagation,
                idmap=idmap,
                idmap_all=idmap_all,
            )
        place = (os.fsencode(inside),)
        userns = -1 if isinstance(idmap, bool) else self.idmap_slot(idmap)
        flags = _tree_flags(recursive=options.recursive, idmap_all=idmap_all) | lib.TREE_INSIDE
        propagation = options.propagation or self.propagation()
        args = (TEMPORARY, flags, options.attributes, options.clear, propagation)
        self.add(lib.OP_TREE, *args, -1 if self.userns else userns, -1, texts=place)
        if self.userns and userns >= 0:
            self.add(lib.OP_MAP, TEMPORARY, userns, int(idmap_all and options.recursive), texts=place)
        return TEMPORARY

    def of_earlier_mount(self, mount: Mount, source: str) -> str | None:
        """Return where a source is in the container, if one that was mounted there before hides that of the host."""
        if not isinstance(self.rootfs, Directory):
            return None
        root, source = os.path.normpath(self.rootfs.path), os.path.normpath(source)
        if not source.startswith(f"{root}/"):
            return None
        place = source.removeprefix(root)
        for earlier in self.spec.mounts:
            if earlier is mount:
                break
            above = os.path.normpath(f"/{earlier.destination.strip('/')}").rstrip("/")
            if f"{place}/".startswith(f"{above}/"):
                return place
        return None

    def mount_slot(self, mount: Mount, options: mount_options.Options) -> int:
        """Return where a file system is held. One that others are mounted in cannot be read-only before they are."""
        is_dev = mount.destination == "/dev"
        slot = DEV if is_dev and not options.bind else TEMPORARY
        is_filled = (is_dev or mount.type == "tmpfs") and not _is_bind(mount, options)
        if is_filled and options.attributes & lib.MOUNT_ATTR_RDONLY:
            if slot != DEV and self.free_from_above() > self.again:
                slot = self.held_slot()
            if slot == TEMPORARY:
                self.covered.append(mount)
            else:
                self.later.append(slot)
        return slot

    def be_like(self, mount: Mount, options: mount_options.Options, slot: int) -> None:
        """Give an empty one the mode of the directory below, where the options ask for none, as runc does; no owner."""
        mode = not any(word.startswith("mode=") for word in options.data)
        if mode or options.copy_up:
            self.add(lib.OP_LIKE, slot, int(mode), int(options.copy_up), texts=(os.fsencode(mount.destination),))

    def mount_cgroups(self, mount: Mount, options: mount_options.Options) -> None:
        """Show the container's own cgroup: as it is, or in a tmpfs with a directory per hierarchy of v1."""
        whole = [each.path for each in self.cgroups if not each.name]
        if whole:
            self.bind_cgroup(mount.destination, whole[0], options)
            return
        from pycgroups.runtime import cgroup_mounts

        writable = options.attributes & ~lib.MOUNT_ATTR_RDONLY
        self.file_system("tmpfs", CGROUPS, writable, ("mode=755",))
        self.add(lib.OP_MOUNT, CGROUPS, lib.RESOLVE_NO_SYMLINKS, texts=(os.fsencode(mount.destination),))
        for name, path in self.cgroups:
            self.bind_cgroup(f"{mount.destination}/{name}", path, options)
            for link in cgroup_mounts.links(name):
                self.add(lib.OP_SYMLINK, texts=(name.encode(), os.fsencode(f"{mount.destination}/{link}")))
        self.add(lib.OP_ATTR, CGROUPS, options.attributes, 0, 0, 0)

    def bind_cgroup(self, place: str, path: str, options: mount_options.Options) -> None:
        # With what is mounted below, where all is shown: a user namespace may not uncover it, mount_namespaces(7).
        slot = self.tree(path, attributes=options.attributes)
        self.add(lib.OP_MOUNT, slot, lib.RESOLVE_NO_SYMLINKS, texts=(os.fsencode(place),))

    # -- /dev -------------------------------------------------------------------------------------------------

    def has_own_dev(self) -> bool:
        """Tell whether /dev is the container's to fill, and no directory of the host's."""
        there = [mount for mount in self.spec.mounts if mount.destination.rstrip("/") == "/dev"]
        if self.of_rootfs():
            return not there or not mount_options.parse(there[-1].options).bind
        return [mount.type for mount in there[-1:]] == ["tmpfs"]

    def of_rootfs(self) -> bool:
        """Tell whether the root file system has device nodes, and what is there already stays."""
        return isinstance(self.rootfs, Directory) and self.rootfs.devices

    def fill_dev(self) -> None:
        if self.has_own_dev():
            asked = {device.path.rstrip("/") for device in self.spec.linux.devices}
            for name, major, minor in DEFAULT_DEVICES:
                if f"/dev/{name}" not in asked:
                    self.device(f"/dev/{name}", _CHAR_DEVICE | 0o666, major, minor)
            for path, target in DEFAULT_LINKS:
                texts = (os.fsencode(target), os.fsencode(path))
                self.add(lib.OP_SYMLINK, texts=texts, optional=self.of_rootfs())
        for device in self.spec.linux.devices:
            if device.path == "/dev/ptmx" and self.has_own_dev():
                continue  # it is a link to that of the container's own ptys, whoever asks for the host's
            kind = {"b": _BLOCK_DEVICE, "p": _FIFO}.get(device.type, _CHAR_DEVICE)
            mode = kind | (0o666 if device.file_mode is None else device.file_mode & 0o7777)
            owner = device.uid or 0, device.gid or 0
            self.device(device.path, mode, device.major or 0, device.minor or 0, *owner)

    def device(self, path: str, mode: int, major: int, minor: int, uid: int = 0, gid: int = 0) -> None:  # noqa: PLR0917
        texts = (os.fsencode(path.rstrip("/")),)
        if path in self.nodes or (self.binds_devices and not mode & _FIFO):  # mknod(2) is not for user namespaces
            attributes, clear = lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NOEXEC, lib.MOUNT_ATTR_NODEV
            source = self.nodes.get(path, path)
            slot = self.tree(source, recursive=False, attributes=attributes, clear=clear if path in self.nodes else 0)
            self.add(lib.OP_MOUNT, slot, lib.RESOLVE_NO_SYMLINKS, texts=texts)
        else:
            number = os.makedev(major, minor)
            self.add(lib.OP_NODE, mode, number, uid, gid, texts=texts, optional=self.of_rootfs())

    # -- what may be seen and changed -------------------------------------------------------------------------------

    def protect(self) -> None:
        linux = self.spec.linux
        if linux.masked_paths:
            self.add(lib.OP_NULL, NULL, texts=(b"/dev/null",))
            attributes = lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV | lib.MOUNT_ATTR_NOEXEC
            self.file_system("tmpfs", EMPTY, attributes, ("mode=555", "size=4k", "nr_inodes=2"))
            for path in dict.fromkeys(linux.masked_paths):
                self.add(lib.OP_MASK, EMPTY, NULL, texts=(os.fsencode(path),), optional=True)
        for name, value in linux.sysctl:
            self.add(lib.OP_SYSCTL, texts=(_sysctl_path(name).encode(), os.fsencode(value)))
        for path in dict.fromkeys(linux.readonly_paths):
            self.add(lib.OP_READONLY, texts=(os.fsencode(path),), optional=True)

    def make_terminal(self, terminal: Terminal) -> None:
        assert self.spec.process is not None
        self.setup.append(terminal.step(TERMINAL, self.spec.process.user))
        self.add(lib.OP_TREE, TEMPORARY, 0, 0, 0, lib.MS_PRIVATE, -1, TERMINAL, texts=(b"",))
        self.add(lib.OP_MOUNT, TEMPORARY, lib.RESOLVE_NO_SYMLINKS, texts=(b"/dev/console",))

    def seen(self) -> list[str]:
        """Say where those are that there was no slot for, without what a later mount hides."""
        found: list[str] = []
        later: set[str] = set()
        covered = {id(mount) for mount in self.covered}
        for mount in reversed(self.spec.mounts if covered else ()):
            place = os.path.normpath(f"/{mount.destination.strip('/')}")
            if id(mount) in covered and later.isdisjoint(_from_the_top(place)):
                found.append(mount.destination)
            later.add(place)
        return found[::-1]

    def cover(self, path: str) -> None:
        """Show read-only, once it is filled, what there was no slot for; what is mounted in it stays as it is."""
        self.add(
            lib.OP_TREE, TEMPORARY, lib.AT_RECURSIVE | lib.TREE_INSIDE, 0, 0, 0, -1, -1, texts=(os.fsencode(path),)
        )
        self.add(lib.OP_ATTR, TEMPORARY, lib.MOUNT_ATTR_RDONLY, 0, 0, 0)
        self.add(lib.OP_MOUNT, TEMPORARY, 0, texts=(os.fsencode(path),))

    def name_and_connect(self) -> None:
        if self.spec.hostname:
            self.add(lib.OP_HOSTNAME, texts=(os.fsencode(self.spec.hostname),))
        if self.spec.domainname:
            self.add(lib.OP_DOMAINNAME, texts=(os.fsencode(self.spec.domainname),))
        if "network" in self.fresh:
            self.add(lib.OP_LO_UP)
        if self.spec.linux.net_devices:
            self.add(lib.OP_NETLINK)

    def finish_setup(self) -> None:
        process = self.spec.process
        if process is not None and process.cwd != "/":
            self.add(lib.OP_MKDIR, 0o755, 0, texts=(os.fsencode(process.cwd),))
        self.name_and_connect()
        linux = self.spec.linux
        if linux.personality is not None or linux.memory_policy is not None:
            from pycgroups.runtime import scheduling  # few ask for it

            self.setup += scheduling.linux_steps(linux)
        if self.spec.root is not None and self.spec.root.readonly:
            dev = [DEV] if self.has_own_dev() and not self.of_rootfs() else []
            self.later += (-1, *self.overlays, *dev)
        for slot in dict.fromkeys(self.later):
            self.add(lib.OP_ATTR, slot, lib.MOUNT_ATTR_RDONLY, 0, 0, 0)
        for path in self.seen():
            self.cover(path)
        if self.manner.waits:
            self.add(lib.OP_WAIT)
        self.change_root()
        if linux.rootfs_propagation is not None and self.propagation() != lib.MS_PRIVATE:
            recursive = linux.rootfs_propagation.startswith("r")
            self.add(lib.OP_ATTR, -1, 0, 0, self.propagation(), int(recursive))
        if self.manner.shares:
            self.add(lib.OP_KEYRING)

    def change_root(self) -> None:
        if self.in_place:
            self.add(lib.OP_CHROOT)
            return
        bare = (b"\0".join(self.manner.bare),) if self.manner.bare else ()
        self.add(lib.OP_PIVOT, int(not self.manner.pivot), texts=bare)

    def needed_capabilities(self) -> int:
        assert self.spec.process is not None
        chroot = () if self.manner.pivot else ("CAP_SYS_CHROOT",)
        clocks = ("CAP_SYS_TIME",) if self.spec.linux.time_offsets else ()
        caps = self.spec.process.capabilities
        asked = (*caps.bounding, *caps.permitted, *caps.inheritable)  # capset(2) gives none that is not there
        return capabilities.mask((*_SETUP_CAPABILITIES, *chroot, *clocks, *asked))

    def init_capabilities(self) -> int:
        """Return what the init keeps to fork with."""
        if not self.manner.forks:
            return 0
        from pycgroups.runtime import forks  # a container that is not held has none

        return forks.capabilities_of(self.spec, self.manner)

    def done(self, main: tuple[Step, ...]) -> Plan:
        return Plan(
            namespaces=_flags(self.fresh - self.late),
            prepare=tuple(self.prepare),
            setup=(*self.early, *self.setup),
            main=main,
            given=self.given,
            idmaps=self.idmaps,
            init=self.manner.init,
            keep_caps=self.needed_capabilities(),
            supervised=self.supervised,
            requests=self.slots.kept if self.manner.forks else -1,
            init_caps=self.init_capabilities(),
        )


def joined(spec: Spec, order: tuple[str, ...] = ()) -> list[NamespaceSpec]:
    """Return the namespaces to join, in order: a user namespace first, which has the rights over the others; setns(2).

    A new user namespace has no rights over those that are there: it is made ahead, and the last to be joined.

    Args:
        spec: the container.
        order: another order of those that have a path.
    """
    spaces = {space.type: space for space in spec.linux.namespaces if space.path is not None}
    kinds = order or sorted(spaces, key=lambda kind: kind != "user")
    made = [space for space in spec.linux.namespaces if spaces and space.type == "user" and space.path is None]
    return [*(spaces[kind] for kind in kinds), *made]


def root_ids(spec: Spec) -> tuple[int, ...]:
    """Return the ids of who sets up a container in a user namespace, all-powerful there, where the map has no root."""
    linux, process = spec.linux, spec.process
    if process is None or all(_has_root(maps) for maps in (linux.uid_mappings, linux.gid_mappings)):
        return ()
    return process.user.uid, process.user.gid


def _from_the_top(path: str) -> list[str]:
    """Return all directories that a path goes through, and itself."""
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(1, len(names) + 1)]


def _flags(kinds: Iterable[str]) -> int:
    flags: int = 0
    for kind in kinds:
        flags |= NAMESPACES[kind]
    return flags


def _sysctl_path(name: str) -> str:
    """sysctl(8): the first separator tells which of the two parts the name; the other one is a letter of it."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "/" else name.translate(_SWAPPED)


_SWAPPED = {ord("."): "/", ord("/"): "."}


def _has_root(mappings: Sequence[IdMapping]) -> bool:
    """Tell whether a map has 0 inside; one that is not given is that of the creator, as root."""
    return not mappings or any(mapping.container_id == 0 for mapping in mappings)


def _tree_flags(*, recursive: bool, idmap_all: bool) -> int:
    flags: int = (lib.AT_RECURSIVE if recursive else 0) | (0 if idmap_all else lib.TREE_MAP_TOP)
    return flags


def _is_bind(mount: Mount, options: mount_options.Options) -> bool:
    return options.bind or mount.type == "bind"


def _is_idmapped(mount: Mount) -> bool:
    return bool(mount.uid_mappings) or mount_options.parse(mount.options).idmap


def _is_strict(mount: Mount) -> bool:
    """Tell whether a mount belongs at a place of its own, where nothing in the image may lead it elsewhere."""
    place = mount.destination
    return (
        mount.type in _STRICT_TYPES
        or place in {"/dev", "/proc", "/sys"}
        or place.startswith("/dev/")
        or place in _PROC_FILES
    )


def _idmaps(mount: Mount) -> IdMaps | None:
    """The maps of an idmapped mount, or None for those of the container; config.md, "uidMappings"."""
    return (mount.uid_mappings, mount.gid_mappings) if mount.uid_mappings else None
