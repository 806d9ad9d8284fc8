"""Spec -> launch plan: the flat list of steps that the helper performs (``_native/plan.h``). Pure.

    prepare   by the calling thread, with the caller's rights: trees that only the caller may open
    setup     by the helper, in the new namespaces
    main      by the process that becomes the program

A step names descriptors by slot. The first slots are what the launch hands over (cgroup files, namespaces), next
come the trees that are opened early; the last few have fixed uses, below.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig, printable
from pycgroups.runtime import mount_options
from pycgroups.runtime.rootfs import Directory, Layer, Layered
from pycgroups.security import capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci.runtime_spec import IdMapping, Mount, Process, Spec

    IdMaps = tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]

# Slots with a fixed use, from the top.
TEMPORARY, SCRATCH, ROOT, DEV, NULL, EMPTY, TERMINAL = range(lib.PLAN_SLOTS - 1, lib.PLAN_SLOTS - 8, -1)

# Slots below hold what is handed over and the trees of the host; those above, down from TERMINAL, are overlays.
MAX_TREES = 200

NAMESPACES = {
    "user": lib.CLONE_NEWUSER,
    "mount": lib.CLONE_NEWNS,
    "pid": lib.CLONE_NEWPID,
    "network": lib.CLONE_NEWNET,
    "ipc": lib.CLONE_NEWIPC,
    "uts": lib.CLONE_NEWUTS,
    "cgroup": lib.CLONE_NEWCGROUP,
}

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

# For mounts, names and sysctls of the namespaces, for their files, for the ids and the capabilities themselves.
_SETUP_CAPABILITIES = (
    *("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"),
)

_CHAR_DEVICE = 0o020000
_BLOCK_DEVICE = 0o060000
_FIFO = 0o010000

_HEADER = struct.Struct("=8I")
_STEP = struct.Struct(f"=2I{lib.PLAN_ARGS}q{2 * lib.PLAN_STRINGS}I")
_NO_ARGS = (0,) * lib.PLAN_ARGS

OPERATIONS: dict[int, str] = {
    getattr(lib, name): name[3:].lower().replace("_", " ") for name in dir(lib) if name.startswith("OP_")
}


class Step(NamedTuple):
    """One operation: its number (``OP_*``), numbers, strings, and whether a missing path is fine."""

    op: int
    args: tuple[int, ...] = ()
    texts: tuple[bytes, ...] = ()
    optional: bool = False

    @property
    def name(self) -> str:
        """The operation in words, as errors and ``explain()`` show it."""
        return OPERATIONS[self.op]

    @property
    def path(self) -> str | None:
        """The path or the name that the step is about, if it is about one."""
        if self.op in _NAMELESS or not self.texts:
            return None
        text = self.texts[1 if self.op == lib.OP_SYMLINK else 0]
        return os.fsdecode(text.partition(b"\0")[0])  # of OP_EXEC, the program without its arguments

    def __str__(self) -> str:
        """One line for people."""
        words = [self.name.ljust(14), self.path or "", *self._details()]
        return " ".join(printable(word) for word in words if word)

    def _details(self) -> Iterable[str]:
        if self.op in (lib.OP_TREE, lib.OP_FS):
            flags = self.args[2] if self.op == lib.OP_TREE else self.args[1]
            yield from mount_options.names(flags)
        if self.op in (lib.OP_FS, lib.OP_SYSCTL, lib.OP_LABEL):
            yield os.fsdecode(self.texts[1].replace(b"\0", b","))
        elif self.op in _SHOW_ARGS:
            yield _SHOW_ARGS[self.op].format(*self.args)
        elif self.op == lib.OP_SECCOMP:
            yield f"{len(self.texts[0]) // 8} instructions"
        elif self.op == lib.OP_EXEC:
            yield "argv=" + repr([os.fsdecode(word) for word in self.texts[0].split(b"\0")[: self.args[0]]])
        elif self.op == lib.OP_SYMLINK:
            yield "-> " + os.fsdecode(self.texts[0])
        if self.optional:
            yield "(if there)"


_NAMELESS = frozenset({lib.OP_SECCOMP, lib.OP_GROUPS})
_SHOW_ARGS = {
    lib.OP_MKDIR: "mode {0:o}",
    lib.OP_RLIMIT: "resource {0} soft {1} hard {2}",
    lib.OP_UMASK: "{0:03o}",
    lib.OP_IDS: "uid {0} gid {1}",
    lib.OP_BOUNDING: "{0:#x}",
    lib.OP_CAPS: "effective {0:#x} permitted {1:#x} inheritable {2:#x}",
    lib.OP_AMBIENT: "{0:#x}",
    lib.OP_SECUREBITS: "{0:#x}",
    lib.OP_UNSHARE: "{0:#x}",
    lib.OP_DEATH: "signal {0}",
    lib.OP_SESSION: "{0}",
}


class Plan(NamedTuple):
    """All steps of a launch, in order, and what the launch must hand over.

    Attributes:
        namespaces: ``CLONE_NEW*`` flags of the clone.
        prepare: performed by the calling thread.
        setup: performed by the helper.
        main: performed by the process that becomes the program.
        given: how many descriptors the launch gives, the first slots: cgroup files, namespaces to join, and the
            user namespaces of ``idmaps``.
        idmaps: what idmapped mounts need, each ``(uid mappings, gid mappings)``; None is the container's own.
        init: the helper stays as PID 1 and reaps.
        keep_caps: the capabilities that the steps need in a new user namespace, as a mask.
    """

    namespaces: int
    prepare: tuple[Step, ...]
    setup: tuple[Step, ...]
    main: tuple[Step, ...]
    given: int
    idmaps: tuple[IdMaps | None, ...]
    init: bool
    keep_caps: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps; an error record counts in this order."""
        return self.prepare + self.setup + self.main

    def encode(self) -> bytes:
        """Write the plan as the helper reads it: header, steps, strings."""
        steps = self.steps
        start = _HEADER.size + len(steps) * _STEP.size
        records, strings, offset = [], [b"\0"], start + 1
        empty = (start,) * lib.PLAN_STRINGS
        for step in steps:
            places, lengths = list(empty), [0] * lib.PLAN_STRINGS
            for i, text in enumerate(step.texts):
                if text:
                    places[i], lengths[i] = offset, len(text)
                    strings.append(text + b"\0")
                    offset += len(text) + 1
            args = step.args + _NO_ARGS[len(step.args) :]
            records.append(_STEP.pack(step.op, lib.STEP_OPTIONAL if step.optional else 0, *args, *places, *lengths))
        prepared = len(self.prepare)
        header = _HEADER.pack(
            lib.PLAN_MAGIC,
            offset,
            lib.PLAN_INIT if self.init else 0,
            self.given + prepared,
            prepared,
            prepared + len(self.setup),
            len(steps),
            0,
        )
        return header + b"".join(records) + b"".join(strings)

    def __str__(self) -> str:
        """Write the plan for people, one step a line."""
        parts = ("prepare", self.prepare), ("setup", self.setup), ("main", self.main)
        lines = []
        for title, steps in parts:
            lines += [f"{title}:", *(f"  {step}" for step in steps)] if steps else []
        return "\n".join(lines)


class Terminal(NamedTuple):
    """A pty for the program: its size in characters; 0 leaves the kernel's default."""

    rows: int = 0
    columns: int = 0


def make_plan(
    spec: Spec,
    rootfs: Directory | Layered,
    *,
    privileged: bool,
    joins: int = 0,
    init: bool = True,
    terminal: Terminal | None = None,
    secure_bits: int = 0,
    labels: tuple[tuple[str, str], ...] = (),
    seccomp_filter: bytes = b"",
    seccomp_flags: int = 0,
) -> Plan:
    """Turn a Spec into steps.

    Args:
        spec: the container.
        rootfs: what its root is made of.
        privileged: the caller may open and idmap trees of its own mount namespace (root, CAP_SYS_ADMIN).
        joins: how many cgroup files the launch hands over, for the process to write itself into.
        init: keep an init as PID 1.
        terminal: make a pty in the container.
        secure_bits: securebits of capabilities(7).
        labels: ``(attribute file, text)`` of the security modules.
        seccomp_filter: compiled `spec.linux.seccomp`.
        seccomp_flags: ``SECCOMP_FILTER_FLAG_*``.

    Raises:
        InvalidConfig: more mounts than a plan can hold.
    """
    plan = _Planner(spec, rootfs, privileged=privileged, joins=joins)
    plan.enter(init=init)
    plan.make_root()
    for mount in spec.mounts:
        plan.mount(mount)
    plan.show_files()
    plan.fill_dev()
    plan.protect()
    if terminal:
        plan.make_terminal(terminal)
    plan.finish_setup()
    plan.become(init=init, terminal=terminal is not None)
    assert spec.process is not None
    plan.drop_rights(spec.process, secure_bits, labels, seccomp_filter, seccomp_flags, init=init)
    plan.execute(spec.process)
    return plan.done(init=init)


class _Planner:
    """Collects the steps; each method is one paragraph of the plan."""

    def __init__(self, spec: Spec, rootfs: Directory | Layered, *, privileged: bool, joins: int) -> None:
        self.spec = spec
        self.rootfs = rootfs
        self.privileged = privileged
        self.joins = joins
        self.fresh = {space.type for space in spec.linux.namespaces if space.path is None}
        self.joined = [space for space in spec.linux.namespaces if space.path is not None]
        self.userns = "user" in self.fresh
        self.idmaps = self.wanted_idmaps() if self.userns and privileged else ()
        self.given = joins + len(self.joined) + len(self.idmaps)
        self.trees = 0
        self.overlays: list[int] = []  # slots of those that are not the root itself
        self.staged: dict[Mount, list[str]] = {}  # names of their layers in the scratch
        self.prepare: list[Step] = []
        self.early: list[Step] = []
        self.setup: list[Step] = []
        self.main: list[Step] = []

    def add(self, op: int, *args: int, texts: tuple[bytes, ...] = (), optional: bool = False) -> None:
        self.setup.append(Step(op, args, texts, optional))

    def wanted_idmaps(self) -> tuple[IdMaps | None, ...]:
        wanted: dict[IdMaps | None, None] = {}
        if isinstance(self.rootfs, Directory) and self.rootfs.idmapped:
            wanted[None] = None
        for mount in self.spec.mounts:
            if mount_options.parse(mount.options).idmap:
                wanted[_idmaps(mount)] = None
        return tuple(wanted)

    # -- trees of the host, opened before the root changes and before the caller's ids are left ------------------

    def tree(
        self,
        source: str,
        *,
        recursive: bool = True,
        attributes: int = 0,
        clear: int = 0,
        propagation: int = 0,
        idmap: IdMaps | bool | None = False,
    ) -> int:
        """Open a tree of the host; the answer is its slot."""
        slot = self.given + self.trees
        self.trees += 1
        if slot >= MAX_TREES:
            raise InvalidConfig(
                f"more than {MAX_TREES - self.given} files and directories of the host are to be mounted",
                operation="mounts",
            )
        userns = self.given - len(self.idmaps) + self.idmaps.index(idmap) if idmap in self.idmaps else -1
        flags = lib.AT_RECURSIVE if recursive else 0
        args = (slot, flags, attributes, clear, propagation or lib.MS_PRIVATE, userns, -1)
        step = Step(lib.OP_TREE, args, (os.fsencode(source),))
        (self.prepare if self.privileged else self.early).append(step)
        return slot

    # -- namespaces -------------------------------------------------------------------------------------------

    def enter(self, *, init: bool) -> None:
        for slot in range(self.joins):
            self.early.append(Step(lib.OP_JOIN, (slot,)))
        for slot, space in enumerate(self.joined, self.joins):
            self.early.append(Step(lib.OP_SETNS, (slot, NAMESPACES[space.type]), (os.fsencode(space.path or ""),)))
        if "cgroup" in self.fresh:  # not by the clone: its root is where the process is by now
            self.early.append(Step(lib.OP_UNSHARE, (lib.CLONE_NEWCGROUP,)))
        if self.userns:
            self.add(lib.OP_BECOME_ROOT, int(self._may_set_groups()))
        if init:
            self.add(lib.OP_DEATH, 9)
        self.add(lib.OP_SESSION, 0)
        self.add(lib.OP_UMASK, 0)
        self.add(lib.OP_PROPAGATE, lib.MS_PRIVATE)

    def _may_set_groups(self) -> bool:
        """An ordinary user's map of one group goes with setgroups(2) denied: user_namespaces(7)."""
        return self.privileged or sum(mapping.size for mapping in self.spec.linux.gid_mappings) > 1

    # -- the root ---------------------------------------------------------------------------------------------

    def make_root(self) -> None:
        rootfs = self.rootfs
        overlays = [mount for mount in self.spec.mounts if mount.type == "overlay"]
        if isinstance(rootfs, Layered):
            self.make_scratch(rootfs.size)
            self.stage_layers(overlays)
            self.make_layers(rootfs)
            return
        # Devices of a rootfs are not the container's to open; those it has are made below.
        idmap = None if rootfs.idmapped else False
        slot = self.tree(rootfs.path, attributes=lib.MOUNT_ATTR_NODEV, idmap=idmap)
        if rootfs.files or overlays:
            self.make_scratch(None)
            self.stage_layers(overlays)
        self.use_root(slot)

    def use_root(self, slot: int) -> None:
        self.add(lib.OP_STACK, slot, texts=(b"/",))
        self.add(lib.OP_BASE, slot)

    def make_scratch(self, size: int | None) -> None:
        """The one tmpfs that takes all that is written, so that one size limits it."""
        options = ("mode=755",) if size is None else ("mode=755", f"size={size}")
        self.file_system("tmpfs", SCRATCH, lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV, options)
        # Somewhere in the old root, to go away with it, and not on top of it: that would take a second umount2(2).
        self.add(lib.OP_STACK, SCRATCH, texts=(b"/proc",))
        self.add(lib.OP_BASE, SCRATCH)
        for number, (_, content) in enumerate(self.rootfs.files):
            self.add(lib.OP_FILE, 0o644, texts=(b"file%d" % number, os.fsencode(content)))

    def stage_layers(self, overlays: list[Mount]) -> None:
        """Mount the layers of overlays in the scratch: fsconfig(2) takes 255 bytes a value, and all layers are one."""
        for mount in overlays:
            names: list[str] = []
            for source in mount_options.lower_directories(mount_options.parse(mount.options).data):
                names.append(f"{sum(map(len, self.staged.values())) + len(names):x}")
                tree = self.tree(source, recursive=False)
                self.add(lib.OP_MOUNT, tree, 0, texts=(names[-1].encode(),))
            self.staged[mount] = names

    def staged_overlay(self, mount: Mount, data: tuple[str, ...]) -> list[str]:
        """Name the layers of an overlay as they are staged; the names are relative."""
        self.add(lib.OP_FCHDIR, SCRATCH)
        lower = f"lowerdir={':'.join(self.staged[mount])}"
        return [lower if option.startswith("lowerdir=") else option for option in data]

    def bind_scratch(self, name: str, slot: int) -> None:
        self.add(lib.OP_TREE, slot, 0, 0, 0, lib.MS_PRIVATE, -1, SCRATCH, texts=(name.encode(),))

    def show_files(self) -> None:
        for number, (path, _) in enumerate(self.rootfs.files):
            self.bind_scratch(f"file{number}", TEMPORARY)
            self.add(lib.OP_MOUNT, TEMPORARY, 0, texts=(os.fsencode(path),))

    def make_layers(self, rootfs: Layered) -> None:
        if not rootfs.layers or rootfs.layers[0].at != "/":
            self.add(lib.OP_MKDIR, 0o755, 0, texts=(b"root",))
            self.bind_scratch("root", ROOT)
        else:
            self.overlay(0, rootfs.layers[0], ROOT)
        rest = [layer for layer in rootfs.layers if layer.at != "/"]
        slots = [self.make_layer(number, layer) for number, layer in enumerate(rest, 1)]
        for number, (_, mode) in enumerate(rootfs.directories):
            self.add(lib.OP_MKDIR, mode, 0, texts=(b"empty%d" % number,))
        self.use_root(ROOT)
        for slot, layer in zip(slots, rest, strict=True):
            self.add(lib.OP_MOUNT, slot, 0, texts=(os.fsencode(layer.at),))
        for number, (path, _) in enumerate(rootfs.directories):
            self.bind_scratch(f"empty{number}", TEMPORARY)
            self.add(lib.OP_MOUNT, TEMPORARY, lib.RESOLVE_NO_SYMLINKS, texts=(os.fsencode(path),))
        for path, target in rootfs.links:
            self.add(lib.OP_SYMLINK, texts=(os.fsencode(target), os.fsencode(path)))
        if rootfs.size is not None:  # whether it is full is asked from outside
            self.add(lib.OP_SEND, SCRATCH)

    def make_layer(self, number: int, layer: Layer) -> int:
        if not layer.overlay:
            attributes = lib.MOUNT_ATTR_RDONLY | lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV
            return self.tree(layer.source, attributes=attributes)
        slot = TERMINAL - number
        self.overlay(number, layer, slot)
        self.overlays.append(slot)
        return slot

    def overlay(self, number: int, layer: Layer, slot: int) -> None:
        """Overlay a directory with a fresh upper one.

        The options name directories of our own, so that no path of the user's is ever parsed by overlayfs, with its
        separators and escapes.
        """
        lower, upper, work = (f"{kind}{number}" for kind in ("lower", "upper", "work"))
        tree = self.tree(layer.source, recursive=False, attributes=lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV)
        self.add(lib.OP_MOUNT, tree, 0, texts=(lower.encode(),))
        assert isinstance(self.rootfs, Layered)
        top = layer.at.rstrip("/") + "/"
        own = [path[len(top) - 1 :] for path in self.rootfs.writable if path.startswith(top)]
        for name in (upper, work, *(upper + path for path in own)):
            self.add(lib.OP_MKDIR, 0o755, 0, texts=(os.fsencode(name),))
        self.add(lib.OP_FCHDIR, SCRATCH)
        options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
        if self.userns:  # a user namespace may not write trusted.* attributes: overlayfs.rst, "User xattr"
            options.append("userxattr")
        self.file_system("overlay", slot, lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NODEV, options)

    # -- mounts -----------------------------------------------------------------------------------------------

    def file_system(self, kind: str, slot: int, attributes: int, options: Iterable[str]) -> None:
        packed = b"\0".join(os.fsencode(option) for option in options)
        self.add(lib.OP_FS, slot, attributes, texts=(kind.encode(), packed))

    def mount(self, mount: Mount) -> None:
        options = mount_options.parse(mount.options)
        strict = mount.type in _STRICT_TYPES or mount.destination == "/dev" or mount.destination.startswith("/dev/")
        if options.bind:
            slot = self.tree(
                mount.source or "",
                recursive=options.recursive,
                attributes=options.attributes,
                clear=options.clear,
                propagation=options.propagation,
                idmap=_idmaps(mount) if options.idmap else False,
            )
        else:
            slot = DEV if mount.destination == "/dev" else TEMPORARY
            data = self.staged_overlay(mount, options.data) if mount in self.staged else options.data
            self.file_system(mount.type or "", slot, options.attributes, data)
        resolve = lib.RESOLVE_NO_SYMLINKS if strict else 0
        self.add(lib.OP_MOUNT, slot, resolve, texts=(os.fsencode(mount.destination),))

    # -- /dev -------------------------------------------------------------------------------------------------

    def has_own_dev(self) -> bool:
        """Tell whether /dev is the container's to fill, and no directory of the host's."""
        kinds = [mount.type for mount in self.spec.mounts if mount.destination == "/dev"]
        return kinds[-1:] == ["tmpfs"]

    def fill_dev(self) -> None:
        if self.has_own_dev():
            for name, major, minor in DEFAULT_DEVICES:
                self.device(f"/dev/{name}", _CHAR_DEVICE | 0o666, major, minor)
            for path, target in DEFAULT_LINKS:
                self.add(lib.OP_SYMLINK, texts=(os.fsencode(target), os.fsencode(path)))
        for device in self.spec.linux.devices:
            kind = {"b": _BLOCK_DEVICE, "p": _FIFO}.get(device.type, _CHAR_DEVICE)
            mode = kind | (0o666 if device.file_mode is None else device.file_mode)
            self.device(device.path, mode, device.major or 0, device.minor or 0)

    def device(self, path: str, mode: int, major: int, minor: int) -> None:
        if self.userns:  # mknod(2) is not for user namespaces: the host's own node is bound
            slot = self.tree(path, recursive=False, attributes=lib.MOUNT_ATTR_NOSUID | lib.MOUNT_ATTR_NOEXEC)
            self.add(lib.OP_MOUNT, slot, lib.RESOLVE_NO_SYMLINKS, texts=(os.fsencode(path),))
        else:
            self.add(lib.OP_NODE, mode, os.makedev(major, minor), texts=(os.fsencode(path),))

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
            self.add(lib.OP_SYSCTL, texts=(name.replace(".", "/").encode(), os.fsencode(value)))
        for path in dict.fromkeys(linux.readonly_paths):
            self.add(lib.OP_READONLY, texts=(os.fsencode(path),), optional=True)

    def make_terminal(self, terminal: Terminal) -> None:
        assert self.spec.process is not None
        user = self.spec.process.user
        self.add(lib.OP_CONSOLE, TERMINAL, terminal.rows, terminal.columns, user.uid, user.gid)
        self.add(lib.OP_TREE, TEMPORARY, 0, 0, 0, lib.MS_PRIVATE, -1, TERMINAL, texts=(b"",))
        self.add(lib.OP_MOUNT, TEMPORARY, lib.RESOLVE_NO_SYMLINKS, texts=(b"/dev/console",))

    def finish_setup(self) -> None:
        process = self.spec.process
        if process is not None and process.cwd != "/":
            self.add(lib.OP_MKDIR, 0o755, 0, texts=(os.fsencode(process.cwd),))
        if self.spec.hostname:
            self.add(lib.OP_HOSTNAME, texts=(os.fsencode(self.spec.hostname),))
        if self.spec.domainname:
            self.add(lib.OP_DOMAINNAME, texts=(os.fsencode(self.spec.domainname),))
        if "network" in self.fresh:
            self.add(lib.OP_LO_UP)
        if self.spec.root is not None and self.spec.root.readonly:
            dev = [DEV] if self.has_own_dev() else []
            for slot in (-1, *self.overlays, *dev):
                self.add(lib.OP_ATTR, slot, lib.MOUNT_ATTR_RDONLY, 0, 0, 0)
        self.add(lib.OP_PIVOT)

    # -- the program's process --------------------------------------------------------------------------------------

    def then(self, op: int, *args: int, texts: tuple[bytes, ...] = ()) -> None:
        self.main.append(Step(op, args, texts))

    def become(self, *, init: bool, terminal: bool) -> None:
        process = self.spec.process
        assert process is not None
        if init:  # without one, the setup's session is the program's; a terminal wants a session of its own
            self.then(lib.OP_SESSION, int(not terminal))
        if terminal:
            self.then(lib.OP_TERMINAL, TERMINAL)
        self.then(lib.OP_KEYRING)
        if process.oom_score_adj is not None:
            self.then(lib.OP_OOM_SCORE, texts=(str(process.oom_score_adj).encode(),))
        for limit in process.rlimits:
            # The kernel's RLIM64_INFINITY is all ones; a step's numbers are signed.
            soft, hard = (struct.unpack("=q", struct.pack("=Q", value))[0] for value in (limit.soft, limit.hard))
            self.then(lib.OP_RLIMIT, getattr(lib, limit.type), soft, hard)
        self.then(lib.OP_UMASK, 0o022 if process.user.umask is None else process.user.umask)

    def drop_rights(
        self,
        process: Process,
        secure_bits: int,
        labels: tuple[tuple[str, str], ...],
        seccomp_filter: bytes,
        seccomp_flags: int,
        *,
        init: bool,
    ) -> None:
        user, caps = process.user, process.capabilities
        self.then(lib.OP_BOUNDING, capabilities.mask(caps.bounding))
        if secure_bits:
            self.then(lib.OP_SECUREBITS, secure_bits)
        if seccomp_filter and not process.no_new_privileges:  # needs CAP_SYS_ADMIN, which is gone later: seccomp(2)
            self.then(lib.OP_SECCOMP, seccomp_flags, texts=(seccomp_filter,))
        if not self.userns or self._may_set_groups():
            groups = user.additional_gids
            self.then(lib.OP_GROUPS, len(groups), texts=(struct.pack(f"={len(groups)}I", *groups),))
        self.then(lib.OP_IDS, user.uid, user.gid)
        self.then(lib.OP_CAPS, *map(capabilities.mask, (caps.effective, caps.permitted, caps.inheritable)))
        self.then(lib.OP_AMBIENT, capabilities.mask(caps.ambient))
        for path, text in labels:
            self.then(lib.OP_LABEL, texts=(path.encode(), os.fsencode(text)))
        self.then(lib.OP_CHDIR, texts=(os.fsencode(process.cwd),))
        if not init:  # a change of ids clears it: prctl(2), PR_SET_PDEATHSIG
            self.then(lib.OP_DEATH, 9)
        if process.no_new_privileges:
            self.then(lib.OP_NO_NEW_PRIVS)
            if seccomp_filter:
                self.then(lib.OP_SECCOMP, seccomp_flags, texts=(seccomp_filter,))

    def execute(self, process: Process) -> None:
        argv, env = ([os.fsencode(word) for word in words] for words in (process.args, process.env))
        paths = [os.fsencode(path) for path in candidates(process.args[0], process.env)]
        self.then(
            lib.OP_EXEC,
            len(argv),
            len(env),
            len(paths),
            texts=tuple(b"\0".join(words) for words in (argv, env, paths)),
        )

    def needed_capabilities(self) -> int:
        assert self.spec.process is not None
        return capabilities.mask((*_SETUP_CAPABILITIES, *self.spec.process.capabilities.bounding))

    def done(self, *, init: bool) -> Plan:
        flags = 0
        for kind in self.fresh - {"cgroup"}:
            flags |= NAMESPACES[kind]
        return Plan(
            namespaces=flags,
            prepare=tuple(self.prepare),
            setup=(*self.early, *self.setup),
            main=tuple(self.main),
            given=self.given,
            idmaps=self.idmaps,
            init=init,
            keep_caps=self.needed_capabilities(),
        )


def _idmaps(mount: Mount) -> IdMaps | None:
    """The maps of an idmapped mount, or None for those of the container; config.md, "uidMappings"."""
    return (mount.uid_mappings, mount.gid_mappings) if mount.uid_mappings else None


def candidates(program: str, env: tuple[str, ...]) -> list[str]:
    """Where a program may be, in order: as it is when it has a slash, else along the PATH of its environment."""
    if "/" in program:
        return [program]
    search: Any = next((word[5:] for word in env if word.startswith("PATH=")), "")
    return [f"{directory or '.'}/{program}" for directory in search.split(":")] if search else [program]
