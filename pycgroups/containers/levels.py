"""Levels of isolation: what each gives, and what is refused since it cannot be given. Pure.

    container   namespaces, a root file system of its own, and all below; the default
    process     no namespaces: seccomp, Landlock, capabilities, no_new_privs, security labels, and all below
    none        limits: a cgroup, ulimits, the timeout

At every level the descriptors and the environment are the program's own, and at its end nothing of it is left.
"""

from __future__ import annotations

from pycgroups.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Isolation: TypeAlias = "Literal['container', 'process', 'none']"

LEVELS = ("container", "process", "none")

_ROOT = "a root file system of its own"
_OF_CONTAINERS = {
    "hostname": "a UTS namespace",
    "domainname": "a UTS namespace",
    "tty": "a /dev/pts of its own",
    "init": "a pid namespace, whose processes end with the first of them",
    "disk": _ROOT,
    "mounts": "a mount namespace",
    "volumes": "a mount namespace",
    "workspace": "a mount namespace",
    "devices": "a /dev of its own",
    "masked_paths": "a mount namespace",
    "readonly_paths": "a mount namespace",
    "read_only": _ROOT,
    "rootfs": _ROOT,
    "image": _ROOT,
    "pull": _ROOT,
    "platform": _ROOT,
    "dns": _ROOT,
    "extra_hosts": _ROOT,
    "network": "a network namespace",
    "userns": "a user namespace",
    "namespaces": "namespaces",
    "sysctls": "namespaces of its own",
    "privileged": "a container, whose walls it takes down",
}
_OF_PROCESSES = {
    "caps_add": "capabilities of its own",
    "caps_drop": "capabilities of its own",
    "seccomp": "a filter",
    "securebits": "securebits of its own",
    "apparmor": "a profile of its own",
    "selinux_label": "a label of its own",
    "landlock": "rules of its own",
}
_REFUSED = {"container": {}, "process": _OF_CONTAINERS, "none": {**_OF_CONTAINERS, **_OF_PROCESSES}}
# What a container is asked to share with the host is shared anyway.
_AS_IT_IS = {"network": "host", "seccomp": "unconfined"}


def check(level: Isolation, given: dict[str, object]) -> None:
    """Refuse what a level cannot give.

    Args:
        level: one of `LEVELS`.
        given: the options that are not as they are by default.

    Raises:
        InvalidConfig: there is such an option.
    """
    for option, needs in _REFUSED[level].items():
        if option in given and given[option] != _AS_IT_IS.get(option):
            enough = "process" if option in _OF_PROCESSES else "container"
            what = repr(given[option]) if isinstance(given[option], str | bool) else "it"  # as it was written
            message = f"{what} needs isolation={enough!r}, for it takes {needs}; leave it out with {level!r}"
            raise InvalidConfig(message, operation="option", path=option)
