"""ContainerConfig -> OCI runtime Spec. Pure: what is known of the host comes in as arguments."""

from __future__ import annotations

from pycgroups.cgroups.limits import NO_LIMITS
from pycgroups.containers import options
from pycgroups.containers.config import WORKSPACE
from pycgroups.containers.ids import outside
from pycgroups.errors import Unsupported
from pycgroups.oci import runtime_spec as oci
from pycgroups.security import capabilities, seccomp
from pycgroups.security.paths import MASKED_PATHS, READONLY_PATHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.disks import Numbers
    from pycgroups.containers import mounts
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.hostroot import Interpreter
    from pycgroups.containers.identity import Identity
    from pycgroups.namespaces.caller import Caller
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.oci.resources import DeviceRule, Resources

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_QUIET = ("nosuid", "noexec", "nodev")
_PROC = oci.Mount(destination="/proc", type="proc", source="proc", options=_QUIET)
_DEV = oci.Mount(destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "noexec", "mode=755", "size=64k"))
_SHM = oci.Mount(destination="/dev/shm", type="tmpfs", source="shm", options=(*_QUIET, "mode=1777", "size=64m"))  # noqa: S108
_MQUEUE = oci.Mount(destination="/dev/mqueue", type="mqueue", source="mqueue", options=_QUIET)
_SYS = oci.Mount(destination="/sys", type="sysfs", source="sysfs", options=(*_QUIET, "ro"))
_TTY_GROUP = 5


def make_spec(
    config: ContainerConfig,
    *,
    identity: Identity,
    caller: Caller,
    idmap: IdMap,
    interpreter: Interpreter | None,
    disks: Numbers = (),
    devices: tuple[DeviceRule, ...] = (),
    joined: tuple[tuple[str, str], ...] = (),
) -> oci.Spec:
    """Describe the container in the words of the OCI runtime specification.

    Args:
        config: what was asked for.
        identity: who the program is inside.
        caller: who asks.
        idmap: the map of ids.
        interpreter: the Python that the host's root is to have inside.
        disks: the numbers of the block devices in ``io_limits``.
        devices: the rules that its cgroup has.
        joined: (OCI kind, path) of the namespaces to join.

    Raises:
        Unsupported: this version or this kind of container cannot do it.
        InvalidConfig: an id that the container does not have.
    """
    fresh = _namespaces(config, idmap, dict(joined))
    has_root = _is_own(fresh, "mount")
    if idmap.kind == "map":
        outside(idmap.uids, identity.uid, "user")
        outside(idmap.gids, identity.gid, "user")
        for gid in identity.groups:
            outside(idmap.gids, gid, "groups")
    held = capabilities_of(config)
    path = () if interpreter is None else interpreter.path
    return oci.Spec(
        process=_process(config, identity, held, path),
        root=oci.Root(path=config.rootfs or "/", readonly=config.read_only),
        hostname=_hostname(config) if _is_own(fresh, "uts") else None,
        domainname=config.domainname,
        mounts=(
            *_system_mounts(config, fresh, idmap),
            *_interpreter_mounts(interpreter, caller),
            *_workspace(config, identity, caller, idmap),
            *_devices(config),
            *map(_mount, (*config.mounts, *config.volumes)),
        )
        if has_root
        else (),
        annotations=config.annotations,
        linux=oci.Linux(
            namespaces=fresh,
            uid_mappings=idmap.uids,
            gid_mappings=idmap.gids,
            sysctl=config.sysctls,
            resources=_resources(config, disks, devices),
            masked_paths=_or_default(config.masked_paths, MASKED_PATHS, config) if has_root else (),
            readonly_paths=_or_default(config.readonly_paths, READONLY_PATHS, config) if has_root else (),
            seccomp=seccomp_profile(config, held),
        ),
    )


def _hostname(config: ContainerConfig) -> str:
    return config.hostname or (config.name or "pycgroups")[: options.LONGEST_HOSTNAME]


def make_process_spec(
    config: ContainerConfig, *, identity: Identity, held: tuple[str, ...], path: tuple[str, ...], disks: Numbers = ()
) -> oci.Spec:
    """Describe a process without namespaces: `pycgroups.containers.levels`.

    Args:
        config: what was asked for.
        identity: who the program is.
        held: its capabilities.
        path: what comes first on its PATH.
        disks: the numbers of the block devices in ``io_limits``.
    """
    return oci.Spec(
        process=_process(config, identity, held, path),
        root=oci.Root(path="/"),
        annotations=config.annotations,
        linux=oci.Linux(resources=_resources(config, disks, ()), seccomp=seccomp_profile(config, held)),
    )


# -- the process -----------------------------------------------------------------------------------------------


def _process(config: ContainerConfig, identity: Identity, held: tuple[str, ...], path: tuple[str, ...]) -> oci.Process:
    own = held if identity.uid == 0 else ()  # capabilities(7): what exec gives to root, and to nobody else
    return oci.Process(
        args=config.argv,
        cwd=config.cwd or (WORKSPACE if config.workspace else "/"),
        env=_environment(config, identity, path),
        terminal=config.tty,
        user=oci.User(uid=identity.uid, gid=identity.gid, additional_gids=identity.groups, umask=config.umask),
        rlimits=config.ulimits,
        capabilities=oci.Capabilities(bounding=held, effective=own, permitted=own),
        no_new_privileges=config.no_new_privileges,
        oom_score_adj=config.oom_score_adj,
        apparmor_profile=config.apparmor,
        selinux_label=config.selinux_label,
    )


def capabilities_of(config: ContainerConfig) -> tuple[str, ...]:
    """Return the capabilities of a container."""
    return capabilities.resolve(("ALL",) if config.privileged else config.caps_add, config.caps_drop)


def seccomp_profile(config: ContainerConfig, held: tuple[str, ...]) -> oci.Seccomp | None:
    """Return what the option ``seccomp`` stands for with these capabilities; None for no filter."""
    if isinstance(config.seccomp, oci.Seccomp):
        return config.seccomp
    if config.seccomp == "strict":
        from pycgroups.security.strict import strict_profile  # the usual run is not

        return strict_profile()
    if config.seccomp == "unconfined" or config.privileged or config.isolation == "none":
        return None
    return seccomp.default_profile(frozenset(held))


def _environment(config: ContainerConfig, identity: Identity, path: tuple[str, ...]) -> tuple[str, ...]:
    """What the program finds: PATH, HOME, with a terminal TERM, and what was asked for; nothing of the caller's."""
    variables = {"PATH": ":".join(dict.fromkeys((*path, *PATH.split(":")))), "HOME": identity.home}
    if config.tty:
        variables["TERM"] = "xterm"
    variables.update(config.environment)
    return tuple(f"{name}={value}" for name, value in variables.items())


# -- namespaces, limits, paths ---------------------------------------------------------------------------------------


def _namespaces(config: ContainerConfig, idmap: IdMap, joined: dict[str, str]) -> tuple[oci.NamespaceSpec, ...]:
    chosen = dict(config.namespaces)
    if "pid" in joined and not {"user", "mount"} & joined.keys() and idmap.kind == "map":
        raise Unsupported(
            "/proc of a pid namespace that is joined is for its owner to mount, and no other user namespace's",
            operation="option",
            path="namespaces['pid']",
            hint='join its user namespace as well, or set userns="host"',
        )
    chosen.setdefault("network", "host" if config.network == "host" else "private")
    chosen.setdefault("time", "host")
    result = []
    for kind in ("user", "pid", "mount", "uts", "ipc", "cgroup", "network", "time"):
        where = chosen.get(kind, "private")
        if where == "host" or (kind == "user" and idmap.kind == "host"):
            continue
        result.append(oci.NamespaceSpec(kind, None if where == "private" else joined[kind]))
    return tuple(result)


def _is_own(namespaces: tuple[oci.NamespaceSpec, ...], kind: str) -> bool:
    return any(space.type == kind and space.path is None for space in namespaces)


def _resources(config: ContainerConfig, disks: Numbers, devices: tuple[DeviceRule, ...]) -> Resources | None:
    if config.limits == NO_LIMITS and not devices:
        return None
    from pycgroups.cgroups.translate import of_limits  # the run without limits does not need it

    return of_limits(config.limits, disks, devices)


def _or_default(given: tuple[str, ...] | None, default: tuple[str, ...], config: ContainerConfig) -> tuple[str, ...]:
    if given is not None:
        return given
    return () if config.privileged else default


# -- mounts -----------------------------------------------------------------------------------------------------


def _system_mounts(
    config: ContainerConfig, namespaces: tuple[oci.NamespaceSpec, ...], idmap: IdMap
) -> tuple[oci.Mount, ...]:
    userns = idmap.kind == "map"
    # A user namespace may only mount what belongs to namespaces of its own; else the host's is shown.
    sysfs = _SYS if not userns or _is_own(namespaces, "network") else _bind("/sys", "/sys", *_QUIET, "ro")
    if config.privileged:
        sysfs = oci.Mount(
            destination="/sys",
            type=sysfs.type,
            source=sysfs.source,
            options=tuple(word for word in sysfs.options if word not in {"ro", "rro"}),
        )
    # Likewise, with all processes that the caller sees.
    proc = _bind("/proc", "/proc", *_QUIET) if userns and dict(config.namespaces).get("pid") == "host" else _PROC
    # Shared with the host's IPC namespace: its shared memory too; a mqueue is only to be mounted by the owner.
    ipc = (_SHM, _MQUEUE) if _is_own(namespaces, "ipc") else (_bind("/dev/shm", "/dev/shm", *_QUIET),)  # noqa: S108
    if config.privileged:
        return (proc, _bind("/dev", "/dev", "nosuid"), _devpts(idmap), sysfs)
    return (proc, _DEV, _devpts(idmap), *ipc, sysfs)


def _devpts(idmap: IdMap) -> oci.Mount:
    options: tuple[str, ...] = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
    has_group = idmap.kind == "host" or any(
        each.container_id <= _TTY_GROUP < each.container_id + each.size for each in idmap.gids
    )
    if has_group:
        options += (f"gid={_TTY_GROUP}",)
    return oci.Mount(destination="/dev/pts", type="devpts", source="devpts", options=options)


def _bind(source: str, destination: str, *options: str) -> oci.Mount:
    """Bind a whole tree; what holds of it holds of every mount in it (MNT-11)."""
    words = (f"r{word}" for word in options)
    return oci.Mount(destination=destination, type="none", source=source, options=("rbind", *words))


def _interpreter_mounts(interpreter: Interpreter | None, caller: Caller) -> tuple[oci.Mount, ...]:
    if interpreter is None:
        return ()
    # A Python that is private to the caller is the container root's to read; nobody writes.
    return tuple(
        _bind(place, place, "ro", "nosuid", "nodev", *(("idmap",) if private and caller.owns_mounts else ()))
        for place, private in interpreter.directories
    )


def _workspace(config: ContainerConfig, identity: Identity, caller: Caller, idmap: IdMap) -> tuple[oci.Mount, ...]:
    """Bind the workspace so that the program, whoever it is inside, writes as the caller."""
    if config.workspace is None:
        return ()
    bind = _bind(config.workspace, WORKSPACE, "nosuid", "nodev")
    if idmap.kind == "host":
        return (bind,)
    uid, gid = outside(idmap.uids, identity.uid, "user"), outside(idmap.gids, identity.gid, "user")
    if not caller.owns_mounts:
        if (uid, gid) != (caller.uid, caller.gid):
            raise Unsupported(
                "files that an ordinary user's container writes belong to its mapped ids: only 0 inside is the caller",
                operation="option",
                path="workspace",
                hint="leave out user, or run as root, whose mounts can be idmapped",
            )
        return (bind,)
    return (
        oci.Mount(
            destination=bind.destination,
            type=bind.type,
            source=bind.source,
            options=(*bind.options, "ridmap"),
            uid_mappings=(oci.IdMapping(caller.uid, uid, 1),),
            gid_mappings=(oci.IdMapping(caller.gid, gid, 1),),
        ),
    )


def _devices(config: ContainerConfig) -> tuple[oci.Mount, ...]:
    return tuple(
        oci.Mount(destination=destination, type="none", source=source, options=("bind", "nosuid", "noexec", "dev"))
        for source, destination, _ in config.devices
    )


def _mount(mount: mounts.Mount) -> oci.Mount:
    access = "ro" if mount.read_only else "rw"
    if mount.kind == "bind":
        whole = "r" if mount.recursive else ""
        words = [f"{whole}{word}" for word in ("bind", *(["ro"] if mount.read_only else ()), "nosuid", "nodev")]
        words += [mount.propagation, *([f"{whole}idmap"] if mount.idmap else ())]
        return oci.Mount(destination=mount.destination, type="none", source=mount.source, options=tuple(words))
    if mount.kind == "tmpfs":
        size = () if mount.size is None else (f"size={mount.size}",)
        options = (access, "nosuid", "nodev", f"mode={mount.mode:o}", *size)
        return oci.Mount(destination=mount.destination, type="tmpfs", source="tmpfs", options=options)
    layers = [f"lowerdir={':'.join(map(_escape, mount.lowers))}"]
    if mount.upper is not None and mount.work is not None:
        layers += [f"upperdir={_escape(mount.upper)}", f"workdir={_escape(mount.work)}"]
    return oci.Mount(
        destination=mount.destination,
        type="overlay",
        source="overlay",
        options=(access, "nosuid", "nodev", *layers),
    )


def _escape(path: str) -> str:
    """Write a directory so that overlayfs reads it as one; filesystems/overlayfs.rst, "Multiple lower layers"."""
    return path.replace("\\", "\\\\").replace(":", "\\:")
