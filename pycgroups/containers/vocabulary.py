"""The vocabulary of options as types: what each keyword of `run` and its kin may be. For type checkers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from pycgroups.cgroups.words import Size, Words

if TYPE_CHECKING:
    from pycgroups.containers.handlers import OnSyscall
    from pycgroups.containers.levels import Isolation
    from pycgroups.containers.log_config import LogConfig
    from pycgroups.containers.mounts import Mount
    from pycgroups.containers.streams import Stream
    from pycgroups.images.image import Image
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.namespace import Namespace
    from pycgroups.oci.image_spec import Platform
    from pycgroups.oci.runtime_spec import Seccomp
    from pycgroups.security.landlock import Landlock

Path = str | bytes | PathLike[str] | PathLike[bytes]
# The key of a Mapping is invariant: a variable of type dict[str, str] is no Mapping[str | bytes, str].
Pairs = Mapping[str, Path] | Mapping[bytes, Path] | Sequence[str]
Names = Sequence[str] | AbstractSet[str]


class Options(Words, total=False):
    """See `pycgroups.ContainerConfig` for the meaning of each, with units and defaults."""

    entrypoint: Path | Sequence[Path] | None
    env: Pairs | None
    env_file: Path | Sequence[Path] | None
    cwd: Path | None
    user: int | str | None
    groups: Sequence[int | str] | None
    umask: int | None
    tty: bool
    init: bool
    ulimits: Mapping[str, int | str | tuple[int | str, int | str]] | None
    oom_score_adj: int | None
    stop_signal: int | str | None
    stop_timeout: float | None
    log: str | Mapping[str, Any] | LogConfig | None
    name: str | None
    hostname: str | None
    domainname: str | None
    labels: Pairs | None
    annotations: Pairs | None
    disk: Size | None
    timeout: float | None
    require_limits: bool
    cgroup_manager: Literal["cgroupfs", "systemd"]
    mounts: Sequence[Mount] | None
    volumes: Mapping[Any, Any] | Sequence[str] | None
    read_only: bool
    rootfs: Path | None
    image: str | Image | None
    pull: Literal["missing", "always", "never"]
    platform: str | Platform | None
    workspace: Path | None
    network: Literal["none", "host"] | None
    dns: Sequence[str] | None
    extra_hosts: Pairs | None
    isolation: Isolation | None
    userns: str | IdMap
    namespaces: Mapping[str, str | int | PathLike[str] | Namespace] | None
    caps_add: Names | None
    caps_drop: Names | None
    seccomp: str | Mapping[str, Any] | PathLike[str] | Seccomp | None
    no_new_privileges: bool
    privileged: bool
    securebits: int | Sequence[str] | None
    devices: Sequence[str] | None
    masked_paths: Sequence[Path] | None
    readonly_paths: Sequence[Path] | None
    apparmor: str | None
    selinux_label: str | None
    sysctls: Mapping[str, str | int] | None
    landlock: Mapping[str, str | int | Sequence[int] | Sequence[str]] | Sequence[str] | Landlock | None


class RunOptions(Options, total=False):
    """What `pycgroups.run` takes besides, but for what makes its output text."""

    input: str | bytes | memoryview | None
    stdin: Stream
    stdout: Stream
    stderr: Stream
    check: bool
    on_syscall: OnSyscall | None


class _InsideOptions(Words, total=False):
    stdin: Stream
    stdout: Stream
    stderr: Stream
    env: Pairs | None
    cwd: Path | None
    user: int | str | None
    tty: bool
    require_limits: bool


class PopenOptions(_InsideOptions, total=False):
    """What `Container.popen` takes, but for what makes its streams text."""

    size: tuple[int, int] | None


class ExecOptions(_InsideOptions, total=False):
    """What `Container.exec` takes, but for what makes its output text."""

    input: str | bytes | memoryview | None
    check: bool
    timeout: float | None
