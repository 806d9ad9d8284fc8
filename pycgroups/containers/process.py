"""Config -> Spec and launch plan of a program without namespaces: the levels "process" and "none".

The host's own files, network and processes are the program's; what it may do with them is up to its user, its
capabilities, its filter and its Landlock rules.
"""

from __future__ import annotations

import os

from pycgroups.containers import assemble as assembling
from pycgroups.containers import hostroot
from pycgroups.containers.identity import identify
from pycgroups.containers.spec import make_process_spec
from pycgroups.errors import Unsupported, invalid
from pycgroups.namespaces import caller as callers
from pycgroups.namespaces import own
from pycgroups.namespaces.idmap import IdMap
from pycgroups.runtime.process_plan import make_process_plan
from pycgroups.runtime.program import Manner
from pycgroups.runtime.rootfs import Directory
from pycgroups.security import capabilities, landlock
from pycgroups.security.bpf import compile_filter, syscall_table
from pycgroups.security.seccomp_policy import filter_flags, has_listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.disks import Numbers
    from pycgroups.containers.assemble import Assembly
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.identity import Identity
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.security.landlock import Ruleset

_CHILDREN = "/proc/thread-self/children"


def assemble(config: ContainerConfig, *, joins: int, disks: Numbers) -> Assembly:
    """Look at the host, and plan.

    Args:
        config: what was asked for.
        joins: how many cgroup files the process will have to write itself into.
        disks: the numbers of the block devices in ``io_limits``.

    Raises:
        InvalidConfig: a user is none, or the caller cannot become that user or have that capability.
        Unsupported: this host cannot do it.
    """
    if not os.path.exists(_CHILDREN):
        raise Unsupported(
            "without a pid namespace, this is how every process of the program is found and killed",
            operation="open",
            path=_CHILDREN,
            hint='mount /proc, of a kernel with CONFIG_PROC_CHILDREN; or isolation="container"',
        )
    have = own.effective()
    identity = _identity(config, have)
    held = _capabilities(config, have)
    spec = make_process_spec(config, identity=identity, held=held, path=hostroot.own_path(), disks=disks)
    plan = make_process_plan(spec, manner=_manner(config, spec, have), joins=joins, groups=own.can_leave_groups())
    return assembling.Assembly(
        config=config,
        caller=callers.caller(),
        idmap=IdMap.host(),
        spec=spec,
        rootfs=Directory(path="/"),
        plan=plan,
        encoded=plan.encode(),
        has_listener=spec.linux.seccomp is not None and has_listener(spec.linux.seccomp),
    )


def _identity(config: ContainerConfig, have: int) -> Identity:
    """Who the program is: who the caller is, unless another user is asked for."""
    own_ids = os.geteuid(), os.getegid()
    identity = identify(config.user or own_ids, config.groups, ("/",))
    if (identity.uid, identity.gid) == own_ids and not config.groups:
        return identity._replace(groups=tuple(sorted({*os.getgroups()} - {own_ids[1]})))
    if not (_has(have, "CAP_SETUID") and own.can_leave_groups()):
        option = "groups" if config.user is None else "user"
        raise invalid(option, getattr(config, option), f"who the caller is ({own_ids[0]}:{own_ids[1]}), without root")
    return identity


def _capabilities(config: ContainerConfig, have: int) -> tuple[str, ...]:
    """Return what the program keeps of the caller's."""
    kept = tuple(name for name in sorted(capabilities.NUMBERS) if _has(have, name))
    if config.isolation == "none":
        return kept
    for name in config.caps_add:
        if name != "ALL" and name not in kept:
            raise invalid("caps_add", name, "capabilities that the caller has itself: CapEff in /proc/self/status")
    return tuple(name for name in capabilities.resolve(config.caps_add, config.caps_drop) if name in kept)


def _has(have: int, name: str) -> bool:
    return bool(have & capabilities.mask((name,)))


def _manner(config: ContainerConfig, spec: Spec, have: int) -> Manner:
    profile = spec.linux.seccomp
    is_confined = config.isolation == "process"
    return Manner(
        bounding=is_confined and _has(have, "CAP_SETPCAP"),
        keyring=is_confined,
        secure_bits=config.securebits,
        labels=assembling.labels(config),
        landlock=_landlock(config) if is_confined else None,
        seccomp_filter=b"" if profile is None else compile_filter(profile, syscall_table()),
        seccomp_flags=0 if profile is None else filter_flags(profile),
    )


def _landlock(config: ContainerConfig) -> Ruleset | None:
    """Where the kernel can, the program sends no signal to others, its supervisor included."""
    rules, version = config.landlock or landlock.Landlock(), landlock.abi()
    if version >= landlock.ABI_OF_SCOPES and config.no_new_privileges:
        rules = rules._replace(scopes=tuple(sorted({*rules.scopes, "signal"})))
    return None if rules == landlock.Landlock() else landlock.ruleset(rules, version)
