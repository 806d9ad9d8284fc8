"""``features``: what this runtime can do, for those who choose one.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features.md and ``features-linux.md``.
"""

from __future__ import annotations

from pycgroups.oci_cli import SPEC_VERSION
from pycgroups.oci_cli.command import Command
from pycgroups.oci_cli.indented import indented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci_cli.command import Given

_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
_ENABLED: dict[str, Any] = {"enabled": True}


def run(_: Given) -> int:
    """Print it."""
    print(indented(document(), "  "))
    return 0


def document() -> dict[str, Any]:
    """Return what this library can do; whether this host can is another question, which `pycgroups doctor` answers."""
    import pycgroups
    from pycgroups.runtime import mount_options

    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": sorted(mount_options.KNOWN),
        "linux": _linux(),
        "annotations": {
            "org.pycgroups.version": pycgroups.__version__,
            "org.opencontainers.runc.checkpoint.enabled": "false",
        },
    }


def _linux() -> dict[str, Any]:
    from pycgroups.runtime import scheduling
    from pycgroups.security import seccomp_policy
    from pycgroups.security.capabilities import NUMBERS

    flags = sorted({*seccomp_policy.FLAGS})
    return {
        "namespaces": list(_NAMESPACES),
        "capabilities": list(NUMBERS),
        "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
        "seccomp": {
            **_ENABLED,
            "actions": sorted(seccomp_policy.ACTIONS),
            "operators": sorted(seccomp_policy.OPERATORS),
            "archs": sorted(seccomp_policy.ARCHITECTURES),
            "knownFlags": flags,
            "supportedFlags": flags,
        },
        "apparmor": _ENABLED,
        "selinux": _ENABLED,
        "intelRdt": {**_ENABLED, "schemata": True, "monitoring": True},
        "mountExtensions": {"idmap": _ENABLED},
        "netDevices": _ENABLED,
        "memoryPolicy": {"modes": [*scheduling.MEMORY_MODES], "flags": [*scheduling.MEMORY_FLAGS]},
    }


COMMAND = Command(run, "", "Print what this runtime can do, as the specification's features document.", least=0, most=0)
