r"""Linux containers as Python objects.

    >>> import pycgroups as pc
    >>> pc.run(["echo", "hello"], memory="64M", timeout=5).stdout
    b'hello\n'

From the top down, each a package of its own that may be used alone:

    run, explain, doctor    the faces; seccomp
    containers              options, verdicts, streams: one container
    runtime                 OCI Spec -> launch plan -> running process; OCI containers by name
    security                capabilities, seccomp, masked paths, labels
    cgroups                 control groups, for any processes
    namespaces              maps of ids
    oci                     models of the OCI specifications
    _native                 the C shim

Every name is loaded when it is first used: importing pycgroups takes a millisecond.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups import cgroups, runtime, seccomp
    from pycgroups.cgroups import Cgroup, Event, Limits, PressureTrigger, Watch, in_cgroup
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.explain import Explanation, explain
    from pycgroups.containers.mounts import Mount
    from pycgroups.containers.result import CalledProcessError, Result, TimeoutExpired
    from pycgroups.containers.run import run
    from pycgroups.containers.streams import DEVNULL, PIPE, STDOUT
    from pycgroups.containers.verdict import Hits, Usage
    from pycgroups.errors import (
        AlreadyExists,
        CgroupError,
        CommandNotExecutable,
        CommandNotFound,
        Error,
        ImageNotFound,
        InvalidConfig,
        LaunchError,
        NotFound,
        StateError,
        Unsupported,
    )
    from pycgroups.features import Check, Doctor, doctor
    from pycgroups.namespaces.idmap import IdMap

__version__ = "0.1.0.dev0"

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AlreadyExists",
    "CalledProcessError",
    "Cgroup",
    "CgroupError",
    "Check",
    "CommandNotExecutable",
    "CommandNotFound",
    "ContainerConfig",
    "Doctor",
    "Error",
    "Event",
    "Explanation",
    "Hits",
    "IdMap",
    "ImageNotFound",
    "InvalidConfig",
    "LaunchError",
    "Limits",
    "Mount",
    "NotFound",
    "PressureTrigger",
    "Result",
    "StateError",
    "TimeoutExpired",
    "Unsupported",
    "Usage",
    "Watch",
    "cgroups",
    "doctor",
    "explain",
    "in_cgroup",
    "run",
    "runtime",
    "seccomp",
]

_HOMES = {
    "containers.streams": ("DEVNULL", "PIPE", "STDOUT"),
    "containers.result": ("CalledProcessError", "Result", "TimeoutExpired"),
    "containers.config": ("ContainerConfig",),
    "containers.explain": ("Explanation", "explain"),
    "containers.mounts": ("Mount",),
    "containers.run": ("run",),
    "containers.verdict": ("Hits", "Usage"),
    "cgroups.enter": ("in_cgroup",),
    "cgroups.events": ("Event", "PressureTrigger"),
    "cgroups.group": ("Cgroup",),
    "cgroups.limits": ("Limits",),
    "cgroups.watch": ("Watch",),
    "features": ("Check", "Doctor", "doctor"),
    "namespaces.idmap": ("IdMap",),
    "errors": (
        "AlreadyExists",
        "CgroupError",
        "CommandNotExecutable",
        "CommandNotFound",
        "Error",
        "ImageNotFound",
        "InvalidConfig",
        "LaunchError",
        "NotFound",
        "StateError",
        "Unsupported",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    from importlib import import_module

    if name in {"cgroups", "runtime", "seccomp"}:
        return import_module(f"pycgroups.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
