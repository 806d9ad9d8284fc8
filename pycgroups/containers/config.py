"""`ContainerConfig`: everything that was asked for one container, checked and in one normal form.

The words are those of `pycgroups.run` and of every other face. Nothing here looks at the host, but for the
files that ``env_file`` and ``seccomp`` name, and the kernel's version that rules of such a profile ask for: whether the
host can do it is found out later.
"""

from __future__ import annotations

import os

# Not from collections.abc: that loads all of collections.
from _collections_abc import Mapping

from pycgroups.cgroups.limits import NO_LIMITS, WORDS, Hugepages, IoLimits, Limits, parse_size
from pycgroups.containers import options, values
from pycgroups.containers.mounts import Mount, mounts, volumes
from pycgroups.containers.values import flag, integer, text
from pycgroups.errors import Unsupported, invalid, shown
from pycgroups.frozen import brief
from pycgroups.namespaces.idmap import IdMap
from pycgroups.oci.runtime_spec import Rlimit, Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from attrs import field, fields, frozen

    from pycgroups.containers.levels import Isolation
    from pycgroups.containers.log_config import LogConfig
    from pycgroups.images.image import Image
    from pycgroups.namespaces.namespace import Namespace
    from pycgroups.oci.image_spec import Platform
    from pycgroups.security.docker_profile import DockerProfile
    from pycgroups.security.landlock import Landlock
else:
    from pycgroups.frozen import field, fields, frozen

AUTO = IdMap.auto()
HOST = IdMap.host()
KEEP_ID = IdMap.keep_id()
WORKSPACE = "/workspace"

# OCI's names of the namespaces that can be chosen, and the kernel's in /proc/PID/ns.
NAMESPACES = {
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
    "user": "user",
    "time": "time",
}


def _as_given(value: Any) -> Any:
    """Let type checkers accept what `_PARSERS` will turn into the type of the field."""
    return value


@frozen(kw_only=True)
class ContainerConfig:
    """The options of one container. All are keywords; None always means "not given".

    The types below are the normal forms; `pycgroups.containers.options` tells what else may be written.
    Sizes are bytes, or "64M" (powers of 1024); times are seconds. Two configurations that ask for the same
    are equal and have the same hash.

    Attributes:
        command: the program and its arguments; one str is a program's name, there is no shell.
        entrypoint: what comes before ``command``.
        env: variables, added to the container's default environment.
        env_file: files of variables in docker's format; ``env`` wins over them.
        cwd: absolute path inside to start in; default the root directory, or the workspace if there is one.
        user: (user, group), each an id or a name of the container; a None group is the user's own. Default root, or
            with ``userns="keep-id"`` the caller.
        groups: supplementary groups.
        umask: 0 to 0o777; default 0o022.
        tty: whether stdin, stdout and stderr are a terminal of the container's own.
        init: whether a tiny init is PID 1, reaps and forwards signals; with a pid namespace of others it does that as
            another process. Without one the program itself is PID 1, and if it changes its ids it is no longer killed
            when the caller dies: prctl(2), PR_SET_PDEATHSIG.
        ulimits: limits of getrlimit(2); default the caller's.
        oom_score_adj: -1000 to 1000, proc_pid_oom_score_adj(5); default the caller's.
        stop_signal: what asks it to end; default SIGTERM.
        stop_timeout: seconds from that to SIGKILL; default 10.
        log: how the output of a container that is held is kept, see `LogConfig`; also its form alone. What `run` runs
            has its output in the result.
        name: the container's name; default made up.
        hostname: default its name if one was given, up to the 64 characters that the kernel takes, else "pycgroups".
        domainname: the NIS domain, setdomainname(2).
        labels: text by name, to find containers by.
        annotations: text by name, for the OCI spec.
        memory: bytes of memory; see `Limits` for those of the cgroup.
        memory_swap: bytes of memory and swap together, -1 for any; default no swap.
        memory_low: bytes that are not reclaimed as long as others have more.
        memory_high: bytes above which it is slowed down (cgroup v2).
        cpus: CPU time per time.
        cpu_weight: share of CPU time against others, 1 to 10000.
        cpuset: which CPUs, "0-1,3".
        pids: how many processes and threads.
        io_weight: share of block devices against others, 1 to 10000.
        io_limits: (block device, (rbps, wbps, riops or wiops, most a second)).
        hugepages: (page size, bytes in such pages).
        disk: bytes that may be written to the overlay; not where an image is copied. Of a container that is held they
            are on disk or in memory, `pycgroups doctor` tells.
        timeout: seconds until everything in it is killed.
        require_limits: whether a limit that cannot be enforced is an error.
        cgroup_manager: who makes the cgroup of a container with limits: "cgroupfs", the default, or, for root,
            "systemd"; see `pycgroups.Cgroup.create`.
        mounts: file systems to have inside, in this order.
        volumes: docker's notation for the usual kinds, after ``mounts``.
        read_only: whether the root file system is.
        rootfs: a host directory that is the root file system; instead of ``image``.
        image: "host", the default: the host's own root, with a throw-away overlay on top. Or an image: a reference such
            as "debian:13", "oci:DIR[:TAG]", "oci-archive:FILE", "docker-archive:FILE", or an `Image`; what it says of
            how to run it holds where the options say nothing: `pycgroups.containers.image_root`.
        pull: when an image is fetched from its registry: "missing", the default; "always"; or "never".
        platform: of an image for several, which, as "linux/arm64"; default this machine's. One of another is refused
            when this is given.
        workspace: a host directory to have at /workspace, files written there being the caller's.
        network: "none", the default of a container: loopback only; or "host".
        dns: addresses of name servers.
        extra_hosts: (name, address), for /etc/hosts.
        isolation: "container", the default; "process", without namespaces; or "none", limits alone. What a level cannot
            give is refused: `pycgroups.containers.levels`. ``namespaces=None`` with ``landlock`` says "process", too.
        userns: the map of ids: "auto" (the default), "keep-id" (see `IdMap.keep_id`), "host" for none, or an `IdMap`;
            user_namespaces(7).
        namespaces: (OCI kind, absolute path | `pycgroups.Namespace` | "host" | "private"); default private, but for
            "time", which is the host's; namespaces(7). One that is given must be open until the container has started.
            In a mount namespace that is there the program finds its root file system, and nothing is mounted:
            `pycgroups.containers.mount_namespace`.
        caps_add: capabilities(7) added to the default ones.
        caps_drop: capabilities taken away from them.
        seccomp: "default", "strict" for pure computing (`pycgroups.security.strict`), "unconfined", or a profile: a
            dict in OCI's or Docker's form, or the path of a JSON file; seccomp(2).
        no_new_privileges: whether execve(2) can give no privileges; PR_SET_NO_NEW_PRIVS(2const).
        privileged: whether nothing is held back: all capabilities and devices, no filter, no masked paths.
        securebits: capabilities(7), "The securebits flags".
        devices: (host path, path inside, access: some of "rwm"). One without "r" or without "w" needs the cgroup
            controller of devices, which is for root of the host.
        masked_paths: what cannot be read inside; default `pycgroups.security.paths`.
        readonly_paths: what cannot be written inside; likewise.
        apparmor: a loaded AppArmor profile.
        selinux_label: an SELinux context.
        sysctls: settings of the container's own namespaces; sysctl(8).
        landlock: what of the files, ports and processes it can reach; the rest is denied. See
            `pycgroups.security.landlock`, landlock(7).
        environment: derived: ``env_file`` and ``env`` together.
        limits: derived: the limits of the cgroup together.

    Raises:
        InvalidConfig: an option has a wrong type, unit or range, or two contradict each other.
        Unsupported: an option is known and what it asks for is not there yet.
    """

    __repr__ = brief

    command: tuple[str, ...] | None = field(default=None, converter=_as_given)
    entrypoint: tuple[str, ...] | None = field(default=None, converter=_as_given)
    env: tuple[tuple[str, str], ...] = field(default=(), converter=_as_given)
    env_file: tuple[str, ...] = field(default=(), converter=_as_given)
    cwd: str | None = field(default=None, converter=_as_given)
    user: tuple[int | str, int | str | None] | None = field(default=None, converter=_as_given)
    groups: tuple[int | str, ...] = field(default=(), converter=_as_given)
    umask: int | None = field(default=None, converter=_as_given)
    tty: bool = field(default=False, converter=_as_given)
    init: bool = field(default=True, converter=_as_given)
    ulimits: tuple[Rlimit, ...] = field(default=(), converter=_as_given)
    oom_score_adj: int | None = field(default=None, converter=_as_given)
    stop_signal: int | None = field(default=None, converter=_as_given)
    stop_timeout: float = field(default=10.0, converter=_as_given)
    log: LogConfig | None = field(default=None, converter=_as_given)

    name: str | None = field(default=None, converter=_as_given)
    hostname: str | None = field(default=None, converter=_as_given)
    domainname: str | None = field(default=None, converter=_as_given)
    labels: tuple[tuple[str, str], ...] = field(default=(), converter=_as_given)
    annotations: tuple[tuple[str, str], ...] = field(default=(), converter=_as_given)

    memory: int | None = field(default=None, converter=_as_given)
    memory_swap: int | None = field(default=None, converter=_as_given)
    memory_low: int | None = field(default=None, converter=_as_given)
    memory_high: int | None = field(default=None, converter=_as_given)
    cpus: float | None = field(default=None, converter=_as_given)
    cpu_weight: int | None = field(default=None, converter=_as_given)
    cpuset: str | None = field(default=None, converter=_as_given)
    pids: int | None = field(default=None, converter=_as_given)
    io_weight: int | None = field(default=None, converter=_as_given)
    io_limits: IoLimits | None = field(default=None, converter=_as_given)
    hugepages: Hugepages | None = field(default=None, converter=_as_given)
    disk: int | None = field(default=None, converter=_as_given)
    timeout: float | None = field(default=None, converter=_as_given)
    require_limits: bool = field(default=True, converter=_as_given)
    cgroup_manager: Literal["cgroupfs", "systemd"] = field(default="cgroupfs", converter=_as_given)

    mounts: tuple[Mount, ...] = field(default=(), converter=_as_given)
    volumes: tuple[Mount, ...] = field(default=(), converter=_as_given)
    read_only: bool = field(default=False, converter=_as_given)
    rootfs: str | None = field(default=None, converter=_as_given)
    image: str | Image | None = field(default=None, converter=_as_given)
    pull: Literal["missing", "always", "never"] = field(default="missing", converter=_as_given)
    platform: Platform | None = field(default=None, converter=_as_given)
    workspace: str | None = field(default=None, converter=_as_given)

    network: Literal["none", "host"] | None = field(default=None, converter=_as_given)
    dns: tuple[str, ...] = field(default=(), converter=_as_given)
    extra_hosts: tuple[tuple[str, str], ...] = field(default=(), converter=_as_given)

    isolation: Isolation | None = field(default=None, converter=_as_given)
    userns: IdMap = field(default=AUTO, converter=_as_given)
    namespaces: tuple[tuple[str, str | Namespace], ...] = field(default=(), converter=_as_given)
    caps_add: tuple[str, ...] = field(default=(), converter=_as_given)
    caps_drop: tuple[str, ...] = field(default=(), converter=_as_given)
    seccomp: Literal["default", "strict", "unconfined"] | Seccomp | None = field(default=None, converter=_as_given)
    no_new_privileges: bool = field(default=True, converter=_as_given)
    privileged: bool = field(default=False, converter=_as_given)
    securebits: int = field(default=0, converter=_as_given)
    devices: tuple[tuple[str, str, str], ...] = field(default=(), converter=_as_given)
    masked_paths: tuple[str, ...] | None = field(default=None, converter=_as_given)
    readonly_paths: tuple[str, ...] | None = field(default=None, converter=_as_given)
    apparmor: str | None = field(default=None, converter=_as_given)
    selinux_label: str | None = field(default=None, converter=_as_given)
    sysctls: tuple[tuple[str, str], ...] = field(default=(), converter=_as_given)
    landlock: Landlock | None = field(default=None, converter=_as_given)

    environment: tuple[tuple[str, str], ...] = field(init=False, default=())
    limits: Limits = field(init=False, default=NO_LIMITS)

    def __attrs_post_init__(self) -> None:
        """Turn each option into its normal form, then check and settle what concerns several."""
        given: dict[str, Any] = {name: getattr(self, name) for name in ("namespaces", "userns", "landlock")}
        made = vars(self)  # every run comes along here: no call for each of all these names
        for name, parse in _PARSERS.items():
            value, default = made[name], _DEFAULTS[name]
            if value is not default:
                made[name] = default if value is None else parse(value, name)
        _settle_level(self, given)
        _set(self, "environment", _environment(self))
        _settle_limits(self)
        _settle_root(self)
        if self.namespaces:
            _settle_namespaces(self)
        if self.caps_add or self.caps_drop:
            from pycgroups.security.capabilities import resolve  # the usual run names none

            resolve(self.caps_add, self.caps_drop)
        _settle_seccomp(self, self.seccomp)
        if self.landlock is not None and not self.no_new_privileges:
            raise invalid("no_new_privileges", self.no_new_privileges, "True with landlock, which takes it")
        _check_mounts(self)
        _check_shared_namespaces(self)
        if self.joins_mounts:
            from pycgroups.containers import mount_namespace  # the usual run has one of its own

            mount_namespace.check({name: made[name] for name in _PARSERS if made[name] != _DEFAULTS[name]})

    @property
    def argv(self) -> tuple[str, ...]:
        """The entry point and the command: what is executed."""
        return (self.entrypoint or ()) + (self.command or ())

    @property
    def names_volumes(self) -> bool:
        """Whether it has volumes of the store: `pycgroups.containers.volumes.mounting`."""
        return any(mount.kind == "volume" for mount in (*self.mounts, *self.volumes))

    @property
    def joins_mounts(self) -> bool:
        """Whether its mount namespace is that of others, and so its root file system."""
        return any(kind == "mount" and where != "private" for kind, where in self.namespaces)

    @property
    def shares_pids(self) -> bool:
        """Whether its pid namespace is that of others: then it ends by its cgroup, and not with its process 1."""
        return any(kind == "pid" and where != "private" for kind, where in self.namespaces)


_set = object.__setattr__  # how a frozen class fills its own fields


# What concerns several options


def _environment(config: ContainerConfig) -> tuple[tuple[str, str], ...]:
    if not config.env_file:
        return config.env
    result: dict[str, str] = {}
    for path in config.env_file:
        result.update(options.env_file(values.read_text(path, "env_file"), "env_file"))
    result.update(config.env)
    return tuple(result.items())


def _settle_limits(config: ContainerConfig) -> None:
    made = vars(config)
    if words := {word: made[word] for word in WORDS if made[word] is not None}:
        limits = Limits(**words)
        made.update(vars(limits), limits=limits)


def _settle_level(config: ContainerConfig, written: dict[str, Any]) -> None:
    """Settle what depends on the level of isolation, and refuse what it cannot give."""
    usual: Isolation = "container"
    if written["landlock"] is not None and written["namespaces"] is None:
        usual = "process"
    level = config.isolation or usual
    _set(config, "isolation", level)
    if level == "container":
        _set(config, "network", config.network or "none")
        _set(config, "seccomp", config.seccomp or "default")
        return
    asked = {name: value for name in _PARSERS if (value := getattr(config, name)) != _DEFAULTS[name]}
    if asked.get("userns") == HOST:
        del asked["userns"]
    if written["userns"] == "auto":
        asked["userns"] = "auto"
    from pycgroups.containers import levels  # the usual run is a container

    levels.check(level, asked)


def _settle_root(config: ContainerConfig) -> None:
    if config.rootfs is None:
        if config.image is None and config.isolation == "container":
            _set(config, "image", "host")
    elif config.image is not None:
        raise invalid("rootfs", config.rootfs, "rootfs or image, not both")
    elif config.disk is not None and config.require_limits:
        raise invalid("disk", config.disk, "with an image, whose overlay it limits; rootfs is used as it is")
    if config.platform is not None and config.image in {None, "host"}:
        from pycgroups.images.platforms import shown_platform

        message = "with an image: the host's root and a directory are what they are"
        raise invalid("platform", shown_platform(config.platform), message)
    if not config.argv and config.image in {None, "host"}:
        raise invalid("command", config.command, "a program and its arguments: nothing else names one")


def _settle_namespaces(config: ContainerConfig) -> None:
    """Bring ``network`` and ``userns`` in line with the namespaces they are about."""
    given = dict(config.namespaces)
    for kind, option, default, host in (("network", "network", "none", "host"), ("user", "userns", AUTO, HOST)):
        if kind not in given:
            continue
        where, asked = given[kind], getattr(config, option)
        agrees = asked == default
        if where in {"private", "host"}:
            agrees = asked != host if where == "private" else asked in (default, host)
        if not agrees:
            raise invalid(option, asked, f"{option} or a {kind} namespace, not both")
        if where == "host":
            _set(config, option, host)


def _settle_seccomp(config: ContainerConfig, given: str | Seccomp | DockerProfile | None) -> None:
    """Choose among the rules of Docker's form: capabilities, which are options too, decide on some."""
    if given == "strict" and not config.no_new_privileges:
        message = (
            "with no_new_privileges: else the filter comes before the user and capabilities, which it refuses to set"
        )
        raise invalid("seccomp", given, message)
    if given is None or isinstance(given, str | Seccomp):
        return
    from pycgroups.security import capabilities
    from pycgroups.security.docker_profile import this_host

    held = capabilities.resolve(("ALL",) if config.privileged else config.caps_add, config.caps_drop)
    _set(config, "seccomp", given.resolve(this_host(frozenset(held))))


def _check_mounts(config: ContainerConfig) -> None:
    taken = set() if config.workspace is None else {WORKSPACE}
    for option, some in (("mounts", config.mounts), ("volumes", config.volumes)):
        for index, mount in enumerate(some):
            where = f"{option}[{index}]"
            if mount.destination in taken:
                raise invalid(where, mount.destination, "one mount at each destination")
            if mount.idmap and config.userns == HOST:
                raise invalid(where, mount, "idmap with a user namespace, whose ids it takes")
            taken.add(mount.destination)


def _check_shared_namespaces(config: ContainerConfig) -> None:
    """Refuse to set in a namespace of the host, or of another container, what belongs to that one."""
    shared = {kind: where for kind, where in config.namespaces if where != "private"}
    if config.network == "host":
        shared["network"] = "host"
    if config.shares_pids and not config.init:
        raise invalid("init", config.init, "with a pid namespace of the container's own")
    for option in ("hostname", "domainname"):
        if "uts" in shared and getattr(config, option) is not None:
            raise invalid(option, getattr(config, option), "with a UTS namespace of the container's own")
    if config.sysctls:
        _check_sysctls(config.sysctls, shared)


def _check_sysctls(settings: tuple[tuple[str, str], ...], shared: dict[str, str | Namespace]) -> None:
    from pycgroups.oci.sysctls import sysctl_namespace  # the usual run sets none

    for name, setting in settings:
        kind = str(sysctl_namespace(name))
        if kind in shared:
            raise invalid(f"sysctls[{name!r}]", setting, f"with a {kind} namespace of the container's own")


# The normal form of each option, by its name


def _network(value: object, key: str) -> str:
    if not isinstance(value, str) or value in {"none", "host"}:
        return values.choice(value, key, ("none", "host"))
    message = f"got {shown(value)}, and this version has 'none' and 'host': the others come with networks"
    raise Unsupported(message, operation="option", path=key, hint='network="host" for the network of the host')


def _image(value: object, key: str) -> str | Image:
    if value == "host":
        return "host"
    from pycgroups.images.image import Image  # the usual run has the host's root
    from pycgroups.images.reference import Location, is_digest

    if isinstance(value, Image):
        return value
    if not isinstance(value, str):
        raise invalid(key, value, "'host', a reference such as 'debian:13', or an Image")
    if value.startswith(("/", "./", "../")):
        raise invalid(
            key, value, f"a name, an id, or a place as 'oci:DIR'; a directory that is the root: rootfs={value!r}"
        )
    if not is_digest(value):
        Location.parse(value, key)
    return value


def _platform(value: Any, key: str) -> Platform:
    from pycgroups.images.platforms import parse_platform

    return parse_platform(value, key)


def _log(value: object, key: str) -> LogConfig:
    from pycgroups.containers.log_config import parse  # what is run has none

    return parse(value, key)


def _isolation(value: object, key: str) -> str:
    from pycgroups.containers.levels import LEVELS

    return values.choice(value, key, LEVELS)


_MAPS = {"auto": AUTO, "keep-id": KEEP_ID, "host": HOST}


def _userns(value: object, key: str) -> IdMap:
    if isinstance(value, IdMap):
        return _MAPS.get(value.kind, value)
    if not isinstance(value, str) or not value[:1].isdigit():
        return _MAPS[values.choice(value, key, tuple(_MAPS))]
    return IdMap.parse(value)


_SHORT = {name: kind for kind, name in NAMESPACES.items()}


def _namespaces(value: object, key: str) -> tuple[tuple[str, str | Namespace], ...]:
    from pycgroups.namespaces.namespace import Namespace  # the usual run names none

    result: dict[str, str | Namespace] = {}
    for where, word, item in values.pairs(value, key):
        kind = _SHORT.get(word, word) if isinstance(word, str) else word
        if not isinstance(kind, str) or kind not in NAMESPACES or kind in result:
            raise invalid(where, word, f"each once of {', '.join(NAMESPACES.values())}")
        if isinstance(item, str) and item.isdecimal():  # of a command line
            item = int(item)  # noqa: PLW2901 (the same)
        if isinstance(item, Namespace) and item.kind == NAMESPACES[kind]:
            result[kind] = item
        elif isinstance(item, int):
            result[kind] = f"/proc/{integer(item, where, 1, 2**22)}/ns/{NAMESPACES[kind]}"
        elif isinstance(item, str) and item in {"host", "private"}:
            if (kind, item) == ("mount", "host"):
                raise invalid(
                    where,
                    item,
                    "that of others; a program among the files of its caller has no root of its "
                    'own: isolation="process"',
                )
            result[kind] = item
        elif isinstance(item, str | os.PathLike) and text(item, where).startswith("/"):
            result[kind] = values.host_path(item, where)
        else:
            allowed = "an absolute path, a process id, a Namespace of this kind, 'host' or 'private'"
            raise invalid(where, item, allowed)
    return tuple((kind, result[kind]) for kind in sorted(result))


def _seccomp(value: object, key: str) -> str | Seccomp | DockerProfile:
    if isinstance(value, Seccomp):
        return value
    document: object = value
    if isinstance(value, os.PathLike) or (isinstance(value, str) and "/" in value):
        from pycgroups.oci.json_text import parse  # the usual run names no profile

        document = parse(values.read_text(values.host_path(value, key), key), key)
    elif not isinstance(value, Mapping):
        return values.choice(
            value, key, ("default", "strict", "unconfined", "a profile: a dict or a path with a slash")
        )
    from pycgroups.oci.reading import from_json  # likewise
    from pycgroups.security import docker_profile

    if docker_profile.is_docker(document):
        return docker_profile.read(document, key)
    return from_json(Seccomp, document, key)


def _line(value: object, key: str) -> str:
    line = text(value, key)
    if not line or not line.isprintable():
        raise invalid(key, value, "one line of printable text")
    return line


def _env_file(value: object, key: str) -> tuple[str, ...]:
    several = value if isinstance(value, list | tuple) else (value,)
    return values.each(values.host_path, "paths")(several, key)


_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "command": options.command,
    "entrypoint": options.entrypoint,
    "env": options.environment,
    "env_file": _env_file,
    "cwd": values.inside_path,
    "user": options.user,
    "groups": values.each(options.account, "a list of groups"),
    "umask": lambda value, key: integer(value, key, 0, 0o777),
    "tty": flag,
    "init": flag,
    "ulimits": options.ulimits,
    "oom_score_adj": lambda value, key: integer(value, key, -1000, 1000),
    "stop_signal": options.signal_number,
    "stop_timeout": lambda value, key: values.seconds(value, key, zero=True),
    "log": _log,
    "name": options.name,
    "hostname": options.hostname,
    "domainname": options.hostname,
    "labels": options.labels,
    "annotations": options.labels,
    "disk": lambda value, key: parse_size(key, value),
    "timeout": values.seconds,
    "require_limits": flag,
    "cgroup_manager": lambda value, key: values.choice(value, key, ("cgroupfs", "systemd")),
    "mounts": mounts,
    "volumes": volumes,
    "read_only": flag,
    "rootfs": values.host_path,
    "image": _image,
    "pull": lambda value, key: values.choice(value, key, ("missing", "always", "never")),
    "platform": _platform,
    "workspace": values.host_path,
    "network": _network,
    "dns": values.each(options.address, "a list of addresses"),
    "extra_hosts": options.extra_hosts,
    "isolation": _isolation,
    "userns": _userns,
    "namespaces": _namespaces,
    "caps_add": options.capability_names,
    "caps_drop": options.capability_names,
    "seccomp": _seccomp,
    "no_new_privileges": flag,
    "privileged": flag,
    "securebits": options.securebits,
    "devices": options.devices,
    "masked_paths": values.inside_paths,
    "readonly_paths": values.inside_paths,
    "apparmor": _line,
    "selinux_label": _line,
    "sysctls": options.sysctls,
    "landlock": options.landlock,
}
_DEFAULTS = {field.name: field.default for field in fields(ContainerConfig)}
OPTIONS = frozenset(field.name for field in fields(ContainerConfig) if field.init)
"""The words that there are."""
