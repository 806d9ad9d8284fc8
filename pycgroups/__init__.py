r"""Linux containers as Python objects.

    >>> import pycgroups as pc
    >>> pc.run(["echo", "hello"], memory="64M", timeout=5).stdout
    b'hello\n'

From the top down, each a package of its own that may be used alone:

    run, explain, doctor    the faces; seccomp
    containers              options, verdicts, streams: one container; Container, those that are held
    runtime                 OCI Spec -> launch plan -> running process; OCI containers by name
    security                capabilities, seccomp, masked paths, labels
    images                  a store, layers, registries, archives
    cgroups                 control groups, for any processes
    namespaces              namespaces as objects, maps of ids
    oci                     models of the OCI specifications
    _native                 the C shim

Every name is loaded when it is first used: importing pycgroups takes a millisecond.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups import cgroups, containers, images, namespaces, runtime, seccomp
    from pycgroups.cgroups import Cgroup, Event, Limits, PressureTrigger, Watch, in_cgroup
    from pycgroups.containers import volumes
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.container import Container
    from pycgroups.containers.explain import Explanation, explain
    from pycgroups.containers.health import Checked, Health
    from pycgroups.containers.healthcheck import Healthcheck
    from pycgroups.containers.log_config import LogConfig
    from pycgroups.containers.mounts import Mount
    from pycgroups.containers.result import CalledProcessError, Result, TimeoutExpired
    from pycgroups.containers.run import run
    from pycgroups.containers.store import Store
    from pycgroups.containers.streams import DEVNULL, PIPE, STDOUT
    from pycgroups.containers.verdict import Hits, Usage
    from pycgroups.containers.volumes.volume import Volume
    from pycgroups.errors import (
        AlreadyExists,
        CgroupError,
        CommandNotExecutable,
        CommandNotFound,
        DigestMismatch,
        Error,
        ImageError,
        ImageNotFound,
        InvalidConfig,
        LaunchError,
        NotFound,
        RegistryError,
        StateError,
        TimedOut,
        Unsupported,
    )
    from pycgroups.features import Check, Doctor, doctor
    from pycgroups.images.image import Image
    from pycgroups.namespaces.idmap import IdMap
    from pycgroups.namespaces.namespace import Namespace

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
    "Checked",
    "CommandNotExecutable",
    "CommandNotFound",
    "Container",
    "ContainerConfig",
    "DigestMismatch",
    "Doctor",
    "Error",
    "Event",
    "Explanation",
    "Health",
    "Healthcheck",
    "Hits",
    "IdMap",
    "Image",
    "ImageError",
    "ImageNotFound",
    "InvalidConfig",
    "LaunchError",
    "Limits",
    "LogConfig",
    "Mount",
    "Namespace",
    "NotFound",
    "PressureTrigger",
    "RegistryError",
    "Result",
    "StateError",
    "Store",
    "TimedOut",
    "TimeoutExpired",
    "Unsupported",
    "Usage",
    "Volume",
    "Watch",
    "cgroups",
    "containers",
    "doctor",
    "explain",
    "images",
    "in_cgroup",
    "namespaces",
    "run",
    "runtime",
    "seccomp",
    "volumes",
]

_HOMES = {
    "containers.streams": ("DEVNULL", "PIPE", "STDOUT"),
    "containers.result": ("CalledProcessError", "Result", "TimeoutExpired"),
    "containers.config": ("ContainerConfig",),
    "containers.container": ("Container",),
    "containers.explain": ("Explanation", "explain"),
    "containers.health": ("Checked", "Health"),
    "containers.healthcheck": ("Healthcheck",),
    "containers.log_config": ("LogConfig",),
    "containers.mounts": ("Mount",),
    "containers.run": ("run",),
    "containers.store": ("Store",),
    "containers.verdict": ("Hits", "Usage"),
    "containers.volumes.volume": ("Volume",),
    "cgroups.enter": ("in_cgroup",),
    "cgroups.events": ("Event", "PressureTrigger"),
    "cgroups.group": ("Cgroup",),
    "cgroups.limits": ("Limits",),
    "cgroups.watch": ("Watch",),
    "features": ("Check", "Doctor", "doctor"),
    "images.image": ("Image",),
    "namespaces.idmap": ("IdMap",),
    "namespaces.namespace": ("Namespace",),
    "errors": (
        "AlreadyExists",
        "CgroupError",
        "CommandNotExecutable",
        "CommandNotFound",
        "DigestMismatch",
        "Error",
        "ImageError",
        "ImageNotFound",
        "InvalidConfig",
        "LaunchError",
        "NotFound",
        "RegistryError",
        "StateError",
        "TimedOut",
        "Unsupported",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    from importlib import import_module

    if name in {"cgroups", "containers", "images", "namespaces", "runtime", "seccomp"}:
        return import_module(f"pycgroups.{name}")
    if name == "volumes":
        return import_module("pycgroups.containers.volumes")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
