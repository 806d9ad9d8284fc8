"""Functions that decide on system calls: which they are asked about, and who asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from pycgroups.containers.spec import capabilities_of, seccomp_profile
from pycgroups.containers.supervisor import Supervisor
from pycgroups.errors import InvalidConfig, invalid
from pycgroups.security.notification import Answer, Call, asking
from pycgroups.security.seccomp_policy import NOTIFY
from pycgroups.security.syscall_names import NAMES

if TYPE_CHECKING:
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.oci.runtime_spec import Seccomp

Handler: TypeAlias = Callable[[Call], Answer]
OnSyscall: TypeAlias = Handler | Mapping[str, Handler]

_KEY = "on_syscall"


def supervised(config: ContainerConfig, given: OnSyscall) -> tuple[Seccomp, Supervisor]:
    """Return the profile by which the calls wait, and who answers them.

    Raises:
        InvalidConfig: there is no such call, no function for one that waits, or none that waits.
    """
    profile = base_profile(config, _KEY)
    if not isinstance(given, Mapping):
        if not callable(given):
            raise invalid(_KEY, given, "a function, or a dict of functions by the names of calls")
        if profile is None or not _waiting(profile):
            message = "which calls? No rule of seccomp says SCMP_ACT_NOTIFY"
            raise InvalidConfig(message, operation="option", path=_KEY, hint="give it as {'mkdir': function}")
        return asking(profile, ()), Supervisor(given)
    for name, handler in given.items():
        where = f"{_KEY}[{name!r}]"
        if name not in NAMES:
            raise invalid(where, name, "the name of a system call; syscalls(2)")
        if not callable(handler):
            raise invalid(where, handler, "a function")
    nobodys = sorted((set() if profile is None else _waiting(profile)) - given.keys())
    if nobodys:
        raise invalid(_KEY, sorted(given), f"also {', '.join(nobodys)}: seccomp says SCMP_ACT_NOTIFY")
    handlers = dict(given)
    return asking(profile, handlers), Supervisor(lambda call: handlers[call.name](call))


def base_profile(config: ContainerConfig, what: str) -> Seccomp | None:
    """Return the container's own profile, on top of which others decide.

    Raises:
        InvalidConfig: it is no container, whose processes all end with the first of them.
    """
    if config.isolation != "container":
        raise invalid("isolation", config.isolation, f"'container' with {what}")
    return seccomp_profile(config, capabilities_of(config))


def _waiting(profile: Seccomp) -> set[str]:
    """Name the calls that wait; all others, where that is the default, count as one."""
    names = {name for rule in profile.syscalls if rule.action == NOTIFY for name in rule.names}
    return names | ({"all others"} if profile.default_action == NOTIFY else set())
