"""What the parts of a Spec have to be to each other. Pure: the host is not asked.

What one property may be is in its annotation; what resources may be is for `pycgroups.cgroups`, and what a seccomp
profile may be for `pycgroups.security.seccomp_policy`.

Source: config.md and config-linux.md of the specification, and what runc's ``libcontainer/configs/validate`` refuses.
"""

from __future__ import annotations

from pycgroups.errors import invalid, key_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci.resources import Resources
    from pycgroups.oci.runtime_spec import Linux, Mount, Process, Seccomp, Spec
    from pycgroups.oci.uncommon import Device, Scheduler


def check(spec: Spec) -> None:
    """Refuse a Spec that contradicts itself.

    Raises:
        InvalidConfig: names the key path of what cannot be.
    """
    kinds = _namespaces(spec.linux)
    for option in ("hostname", "domainname"):
        if getattr(spec, option) and "uts" not in kinds:
            raise invalid(option, getattr(spec, option), "in a container with a namespace of type 'uts'")
    if spec.process:
        check_process(spec.process, "process")
    for index, mount in enumerate(spec.mounts):
        _mount(f"mounts[{index}]", mount, kinds)
    for index, device in enumerate(spec.linux.devices):
        _device(f"linux.devices[{index}]", device)
    if spec.linux.sysctl:
        _sysctls(spec.linux.sysctl, kinds, spec.domainname)
    if spec.linux.seccomp:
        _seccomp(spec.linux.seccomp)
    if spec.linux.resources:
        check_resources(spec.linux.resources, "linux.resources")


def _namespaces(linux: Linux) -> frozenset[str]:
    """Return the kinds of namespaces; refuse one twice, and settings for one that is missing."""
    _once("linux.namespaces", (space.type for space in linux.namespaces))
    kinds = frozenset(space.type for space in linux.namespaces)
    settings = (
        ("uidMappings", linux.uid_mappings, "user"),
        ("gidMappings", linux.gid_mappings, "user"),
        ("timeOffsets", linux.time_offsets, "time"),
        ("netDevices", linux.net_devices, "network"),
    )
    for name, value, kind in settings:
        if value and kind not in kinds:
            raise invalid(f"linux.{name}", value, f"in a container with a namespace of type {kind!r}")
    return kinds


def _once(key: str, words: Iterable[str]) -> None:
    seen: set[str] = set()
    for index, word in enumerate(words):
        if word in seen:
            raise invalid(f"{key}[{index}].type", word, "each type once")
        seen.add(word)


def check_process(process: Process, key: str) -> None:
    """Refuse a Process that contradicts itself; ``key`` is its key path. Raises as `check`."""
    _once(f"{key}.rlimits", (limit.type for limit in process.rlimits))
    for index, limit in enumerate(process.rlimits):
        if limit.soft > limit.hard:
            raise invalid(f"{key}.rlimits[{index}].soft", limit.soft, f"up to the hard limit, {limit.hard}")
    if process.scheduler:
        _scheduler(process.scheduler, f"{key}.scheduler")


def _scheduler(scheduler: Scheduler, key: str) -> None:
    """Refuse a setting that the policy does not have; sched_setattr(2). A nice that it has no use for does no harm."""
    settings = (
        ("priority", scheduler.priority, ("SCHED_FIFO", "SCHED_RR")),
        ("runtime", scheduler.runtime, ("SCHED_DEADLINE",)),
        ("deadline", scheduler.deadline, ("SCHED_DEADLINE",)),
        ("period", scheduler.period, ("SCHED_DEADLINE",)),
    )
    for name, value, policies in settings:
        if value and scheduler.policy not in policies:
            raise invalid(f"{key}.{name}", value, f"with {' or '.join(policies)}")
    if not -20 <= scheduler.nice <= 19:  # noqa: PLR2004 (sched(7))
        raise invalid(f"{key}.nice", scheduler.nice, "an int from -20 to 19")


def _mount(key: str, mount: Mount, kinds: frozenset[str]) -> None:
    if bool(mount.uid_mappings) != bool(mount.gid_mappings):
        missing = "gidMappings" if mount.uid_mappings else "uidMappings"
        raise invalid(f"{key}.{missing}", (), "uidMappings and gidMappings together")
    for index, option in enumerate(mount.options):
        if option in {"idmap", "ridmap"} and not mount.uid_mappings and "user" not in kinds:
            raise invalid(f"{key}.options[{index}]", option, "with uidMappings and gidMappings, or in a user namespace")


def _device(key: str, device: Device) -> None:
    for name in ("major", "minor"):
        if device.type != "p" and getattr(device, name) is None:
            raise invalid(f"{key}.{name}", None, f"an int: only type 'p' has no {name} number")


def _sysctls(settings: tuple[tuple[str, str], ...], kinds: frozenset[str], domainname: str | None) -> None:
    from pycgroups.oci.sysctls import NAMESPACED, sysctl_namespace  # many containers set none

    for name, value in settings:
        dotted = name.replace("/", ".")  # sysctl(8) takes both separators
        kind = sysctl_namespace(dotted)
        if dotted == "kernel.hostname":
            raise invalid(key_path("linux", "sysctl", name), value, "the property hostname, which is for that")
        if dotted == "kernel.domainname" and domainname and value != domainname:
            raise invalid(key_path("linux", "sysctl", name), value, f"{domainname!r}, the property domainname")
        if kind is None:
            raise invalid(key_path("linux", "sysctl", name), value, f"settings of namespaces: {NAMESPACED}")
        if kind not in kinds:
            allowed = f"in a container with a namespace of type {kind!r}"
            raise invalid(key_path("linux", "sysctl", name), value, allowed)


def _seccomp(seccomp: Seccomp) -> None:
    if seccomp.listener_metadata and not seccomp.listener_path:
        raise invalid("linux.seccomp.listenerMetadata", seccomp.listener_metadata, "with a listenerPath")


def check_resources(resources: Resources, key: str) -> None:
    """Refuse Resources that contradict themselves; ``key`` is their key path. Raises as `check`."""
    for index, device in enumerate(resources.block_io.weight_device if resources.block_io else ()):
        if device.weight is None and device.leaf_weight is None:
            raise invalid(f"{key}.blockIO.weightDevice[{index}]", device, "with weight or leafWeight")
    for name, limits in resources.rdma:
        if limits.hca_handles is None and limits.hca_objects is None:
            raise invalid(key_path(key, "rdma", name), limits, "with hcaHandles or hcaObjects")
    for name, value in resources.unified:
        if not name or "/" in name:
            raise invalid(key_path(key, "unified", name), value, "the name of a file in the cgroup")
