"""The OCI runtime specification 1.2 as frozen data: the one contract inside the library.

Names are the specification's in snake_case, and each class links to its section. Every field is a value
or a tuple, so that a whole `Spec` is hashable and can be the key of a cache. Strings may hold undecodable
bytes (``surrogateescape``): call `os.fsencode` wherever bytes are needed.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md and ``config-linux.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pycgroups.oci.model import Model

if TYPE_CHECKING:
    from pycgroups.oci.resources import Resources


@attrs.frozen(repr=False)
class IdMapping(Model):
    """``size`` ids from ``container_id`` inside are those from ``host_id`` outside; user_namespaces(7)."""

    container_id: int
    host_id: int
    size: int


@attrs.frozen(kw_only=True, repr=False)
class User(Model):
    """Who the process is; config.md, "POSIX-platform User"."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    umask: int | None = None


@attrs.frozen(repr=False)
class Rlimit(Model):
    """One resource limit, ``type`` as in ``RLIMIT_NOFILE``; getrlimit(2). Unlimited is ``2**64 - 1``."""

    type: str
    hard: int
    soft: int


@attrs.frozen(kw_only=True, repr=False)
class Capabilities(Model):
    """The five sets of capabilities(7), by name (``CAP_CHOWN``)."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, repr=False)
class Process(Model):
    """The program; config.md, "Process". ``env`` holds ``KEY=VALUE`` strings."""

    args: tuple[str, ...]
    cwd: str = "/"
    env: tuple[str, ...] = ()
    terminal: bool = False
    user: User = User()
    rlimits: tuple[Rlimit, ...] = ()
    capabilities: Capabilities = Capabilities()
    no_new_privileges: bool = True
    oom_score_adj: int | None = None
    apparmor_profile: str | None = None
    selinux_label: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Root(Model):
    """The root file system; config.md, "Root"."""

    path: str
    readonly: bool = False


@attrs.frozen(kw_only=True, repr=False)
class Mount(Model):
    """One mount, in the order of performing; config.md, "Mounts"."""

    destination: str
    type: str | None = None
    source: str | None = None
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@attrs.frozen(repr=False)
class NamespaceSpec(Model):
    """A namespace to make, or with ``path`` to join; ``type`` is OCI's (``network``, ``mount``, ...).

    config-linux.md, "Namespaces".
    """

    type: str
    path: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Device(Model):
    """A device node; ``type`` is one of ``c``, ``b``, ``u``, ``p``; config-linux.md, "Devices"."""

    path: str
    type: str
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@attrs.frozen(kw_only=True, repr=False)
class SyscallArg(Model):
    """A condition on one argument; ``op`` as in ``SCMP_CMP_EQ``."""

    index: int
    value: int
    value_two: int = 0
    op: str


@attrs.frozen(kw_only=True, repr=False)
class SyscallRule(Model):
    """What happens to some system calls, by name; ``action`` as in ``SCMP_ACT_ERRNO``."""

    names: tuple[str, ...]
    action: str
    errno_ret: int | None = None
    args: tuple[SyscallArg, ...] = ()


@attrs.frozen(kw_only=True, repr=False)
class Seccomp(Model):
    """A filter of system calls; config-linux.md, "Seccomp"."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    syscalls: tuple[SyscallRule, ...] = ()


@attrs.frozen(kw_only=True, repr=False)
class Linux(Model):
    """What only Linux has; config-linux.md."""

    namespaces: tuple[NamespaceSpec, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    devices: tuple[Device, ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    resources: Resources | None = None
    cgroups_path: str | None = None
    rootfs_propagation: str | None = None
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: Seccomp | None = None
    mount_label: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Spec(Model):
    """A container; config.md."""

    oci_version: str = "1.2.0"
    process: Process | None = None
    root: Root | None = None
    hostname: str | None = None
    domainname: str | None = None
    mounts: tuple[Mount, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    linux: Linux = Linux()
