"""Config, and what is known of the host -> Spec, root and launch plan, ready to launch.

The outcome depends on nothing but its arguments, so it is kept: a program that runs one command a thousand times
makes one plan.
"""

from __future__ import annotations

import os

from pycgroups import kernel
from pycgroups.containers import hostroot, ids
from pycgroups.containers.config import KEEP_ID
from pycgroups.containers.identity import Identity, identify
from pycgroups.containers.joining import NOTHING
from pycgroups.containers.spec import make_spec
from pycgroups.errors import InvalidConfig, NotFound
from pycgroups.namespaces import caller as callers
from pycgroups.runtime.plan import make_plan
from pycgroups.runtime.program import Manner
from pycgroups.runtime.rootfs import Directory, Entered, Stacked
from pycgroups.security import lsm
from pycgroups.security.bpf import compile_filter, syscall_table
from pycgroups.security.seccomp_policy import filter_flags, has_listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import lru_cache
    from typing import NamedTuple

    from attrs import evolve

    from pycgroups.cgroups.disks import Numbers
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.hostroot import HostRoot
    from pycgroups.containers.joining import Joined
    from pycgroups.images.collection import Root
    from pycgroups.namespaces.caller import Caller
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.oci.resources import DeviceRule
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.rootfs import Rootfs
    from pycgroups.runtime.steps import Plan, Terminal
    from pycgroups.security.landlock import Ruleset
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve
    from pycgroups.records import NamedTuple


class Assembly(NamedTuple):
    """All that a launch needs, but for the descriptors and ids of the moment.

    Attributes:
        encoded: the plan, as the helper reads it.
        has_listener: somebody has to answer some of the program's system calls.
    """

    config: ContainerConfig
    caller: Caller
    idmap: IdMap
    spec: Spec
    rootfs: Rootfs
    plan: Plan
    encoded: bytes
    has_listener: bool


class Description(NamedTuple):
    """A container in the words of the OCI runtime specification, and what these do not say.

    Attributes:
        manner: how its program is started.
        groups: its user namespace, or the one that it joins, allows setgroups(2).
    """

    config: ContainerConfig
    caller: Caller
    idmap: IdMap
    spec: Spec
    rootfs: Rootfs
    manner: Manner
    groups: bool


def describe(
    config: ContainerConfig,
    *,
    devices: tuple[DeviceRule, ...] = (),
    joined: Joined = NOTHING,
    image: Root | None = None,
) -> Description:
    """Look at the host, and describe a container.

    Args:
        config: what was asked for; its ``isolation`` is "container".
        devices: the rules that its cgroup will have.
        joined: the namespaces that it joins.
        image: the layers of its image.

    Raises:
        InvalidConfig: the rootfs is none, or a user is not in it; or a disk of ``io_limits`` is none.
        Unsupported: this host or account cannot do it.
    """
    return _describe(*_facts(config, image), devices, joined)


def assemble(
    config: ContainerConfig,
    *,
    joins: int,
    terminal: Terminal | None,
    devices: tuple[DeviceRule, ...] = (),
    joined: Joined = NOTHING,
    image: Root | None = None,
) -> Assembly:
    """Look at the host, and plan.

    Args:
        config: what was asked for.
        joins: how many cgroup files the process will have to write itself into.
        terminal: the size of its terminal, if it gets one.
        devices: the rules that its cgroup will have.
        joined: the namespaces that it joins.
        image: the layers of its image.

    Raises:
        InvalidConfig: the rootfs is none, or a user is not in it; or a disk of ``io_limits`` is none.
        Unsupported: this host or account cannot do it.
    """
    if config.isolation != "container":
        from pycgroups.containers import process  # the usual run is a container

        return process.assemble(config, joins=joins, disks=_disks(config))
    return _assemble(*_facts(config, image), devices, joined, joins, terminal)


if TYPE_CHECKING:
    _Facts = tuple[ContainerConfig, Caller, Identity, HostRoot | Root | None, tuple[tuple[str, str], ...], Numbers]


def _facts(config: ContainerConfig, image: Root | None) -> _Facts:
    """Find out all that a description is made of."""
    if any(not isinstance(where, str) for _, where in config.namespaces):
        # By their paths: what is remembered below would keep the objects, and so the namespaces, for long.
        named = ((kind, where if isinstance(where, str) else where.path) for kind, where in config.namespaces)
        config = evolve(config, namespaces=tuple(named))
    if config.rootfs is not None:
        check_rootfs(config.rootfs)
    caller = callers.caller()
    user = config.user
    if user is None and config.userns == KEEP_ID:
        user = caller.uid, caller.gid
    identity = identify(user, config.groups, _places(config, image))
    is_host = config.rootfs is None and image is None and not config.joins_mounts
    root = hostroot.host_root(privileged=caller.owns_mounts) if is_host else image
    return config, caller, identity, root, _files(config), _disks(config)


def _places(config: ContainerConfig, image: Root | None) -> tuple[str, ...]:
    """Return the directories that make up the root, the topmost first: accounts are looked up in them."""
    if config.joins_mounts:
        return ()
    if image is not None:
        return tuple(f"{image.directory}/{layer}" for layer in image.layers)
    return (config.rootfs or "/",)


@lru_cache(maxsize=64)
def _describe(  # noqa: PLR0917 (positional: keywords make a slower key)
    config: ContainerConfig,
    caller: Caller,
    identity: Identity,
    root: HostRoot | Root | None,
    files: tuple[tuple[str, str], ...],
    disks: Numbers,
    devices: tuple[DeviceRule, ...],
    joined: Joined,
) -> Description:
    idmap = ids.choose_map(config, caller) if joined.user is None else joined.user.idmap
    interpreter = root.interpreter if isinstance(root, hostroot.HostRoot) else None
    spec = make_spec(
        config,
        identity=identity,
        caller=caller,
        idmap=idmap,
        interpreter=interpreter,
        disks=disks,
        devices=devices,
        joined=joined.paths,
    )
    idmapped = caller.owns_mounts and idmap.kind == "map"
    rootfs: Rootfs
    if isinstance(root, hostroot.HostRoot):
        rootfs = root.rootfs(config.disk, files)
    elif config.joins_mounts:
        rootfs = Entered(namespace=dict(joined.paths)["mount"])
    elif root is not None and root.copy is not None:
        rootfs = Directory(path=root.copy, idmapped=idmapped, files=files)
    elif root is not None:
        rootfs = Stacked(
            trees=(root.directory,),
            layers=tuple((0, layer) for layer in root.layers),
            mode=root.mode,
            idmapped=idmapped,
            appends=kernel.running() >= kernel.APPENDS_LAYERS,
            size=config.disk,
            files=files,
        )
    else:
        assert config.rootfs is not None
        rootfs = Directory(path=config.rootfs, idmapped=idmapped, files=files)
    manner = Manner(
        init=config.init,
        secure_bits=config.securebits,
        labels=labels(config),
        landlock=ruleset(config),
        seccomp_filter=b"" if spec.linux.seccomp is None else compile_filter(spec.linux.seccomp, syscall_table()),
        seccomp_flags=0 if spec.linux.seccomp is None else filter_flags(spec.linux.seccomp),
    )
    return Description(
        config=config,
        caller=caller,
        idmap=idmap,
        spec=spec,
        rootfs=rootfs,
        manner=manner,
        groups=caller.groups and (joined.user is None or joined.user.groups),
    )


@lru_cache(maxsize=64)
def _assemble(  # noqa: PLR0917 (likewise)
    config: ContainerConfig,
    caller: Caller,
    identity: Identity,
    root: HostRoot | Root | None,
    files: tuple[tuple[str, str], ...],
    disks: Numbers,
    devices: tuple[DeviceRule, ...],
    joined: Joined,
    joins: int,
    terminal: Terminal | None,
) -> Assembly:
    made = _describe(config, caller, identity, root, files, disks, devices, joined)
    plan = make_plan(
        made.spec,
        made.rootfs,
        privileged=caller.privileged,
        nested=caller.nested,
        groups=made.groups,
        leaves_groups=caller.leaves_groups,
        joins=joins,
        manner=made.manner,
        terminal=terminal,
        order=joined.kinds,
    )
    return Assembly(
        config=config,
        caller=caller,
        idmap=made.idmap,
        spec=made.spec,
        rootfs=made.rootfs,
        plan=plan,
        encoded=plan.encode(),
        has_listener=listens(made.spec),
    )


def listens(spec: Spec) -> bool:
    """Tell whether somebody has to answer some of the program's system calls."""
    return spec.linux.seccomp is not None and has_listener(spec.linux.seccomp)


def check_rootfs(path: str) -> None:
    """Say what is wrong with a root file system before anything is made.

    Raises:
        NotFound: there is nothing.
        InvalidConfig: it is not a directory, or cannot be reached.
    """
    try:
        if os.path.isdir(path):
            return
        os.stat(path)
    except FileNotFoundError as error:
        raise NotFound(operation="open rootfs", path=path, errno=error.errno) from None
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise InvalidConfig(operation="option", path="rootfs", errno=number) from None
    raise InvalidConfig(f"{path!r} is not a directory", operation="option", path="rootfs")


def labels(config: ContainerConfig) -> tuple[tuple[str, str], ...]:
    """Return what is to be written for the security modules: ``(file, text)``.

    Raises:
        Unsupported: this host has no such security module.
    """
    found = []
    if config.apparmor is not None:
        found.append(lsm.check_apparmor(config.apparmor))
    if config.selinux_label is not None:
        found.append(lsm.check_selinux(config.selinux_label))
    return tuple((f"/proc/thread-self/{path}", text) for path, text in found)


def ruleset(config: ContainerConfig) -> Ruleset | None:
    """Return the rules of Landlock for its programs.

    Raises:
        Unsupported: this kernel has not what they ask for.
    """
    if config.landlock is None:
        return None
    from pycgroups.security import landlock  # the usual run has no rules

    return landlock.ruleset(config.landlock, landlock.abi())


def _disks(config: ContainerConfig) -> Numbers:
    if config.io_limits is None:
        return ()
    from pycgroups.cgroups import disks  # the usual run names none

    return disks.numbers(config.limits)


def _files(config: ContainerConfig) -> tuple[tuple[str, str], ...]:
    """What /etc/hosts and /etc/resolv.conf must say, where the root's own cannot do."""
    files = []
    if config.extra_hosts:
        names = [("127.0.0.1", "localhost"), ("::1", "localhost")]
        names += [(address, name) for name, address in config.extra_hosts]
        files.append(("/etc/hosts", "".join(f"{address}\t{name}\n" for address, name in names)))
    if config.dns:
        files.append(("/etc/resolv.conf", "".join(f"nameserver {address}\n" for address in config.dns)))
    elif config.network == "host":  # the host's may be a symlink into /run, which is the container's own
        try:
            with open("/etc/resolv.conf", encoding="utf-8", errors="surrogateescape") as file:
                files.append(("/etc/resolv.conf", file.read(65536)))
        except OSError:
            pass
    return tuple(files)
