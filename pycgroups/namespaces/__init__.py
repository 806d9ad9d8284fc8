"""Namespaces as objects, and the maps of ids between them.

`create` makes new ones, `call` runs a Python function in some; `pycgroups.Namespace` holds one that is there.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.runtime.calling import call
    from pycgroups.runtime.unsharing import create
    from pycgroups.runtime.working import Worker as Worker

__all__ = ["call", "create"]


def __getattr__(name: str) -> Any:
    """Show what rooms above make of namespaces, as the package does with all of its names (PEP 562)."""
    if name == "call":
        from pycgroups.runtime.calling import call

        return call
    if name == "create":
        from pycgroups.runtime.unsharing import create

        return create
    if name == "Worker":
        from pycgroups.runtime.working import Worker

        return Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
