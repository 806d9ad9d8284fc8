"""Control groups: v1, v2 and hybrid hosts behind one interface.

A control group ("cgroup", `cgroups(7)`) limits, counts and kills a set of processes. It serves any process,
not only a container:

    with Cgroup.create("jobs/a", memory="1G", pids=64) as group:
        group.add(pid)

Layers, top to bottom; an import only points down:

    group.py            Cgroup: what users hold; one group in as many hierarchies as its limits need
    held.py             its directories, held open
    making.py           how one comes to be
    enter.py            start a program in one
    watch.py            wait for what happens in one; events.py: where that is told
    existing.py         find one that is there
    host.py, hints.py   what works here, and what would mend the rest
    scope.py            the same group in a scope of systemd's, for root who asks for it
    placing.py          one at a place that somebody else chose, which stays: for an OCI runtime; given.py: its words
    placed.py           the same, found again; by_path.py: what is known of it by the paths of its directories
    scoped.py, unit.py  the same in a scope of systemd's
    within.py           one inside it, for a program that is executed in the container
    moving.py           where this process may move to have more: down (leaf.py), or to the user's systemd (session.py)
    systemd.py, dbus.py what is asked of systemd, and the bus that it is asked by
    unenforced.py       limits that cannot be enforced here
    places.py           where this process may make groups, per controller
    sweep.py            groups whose creator died are removed
    stats.py            what is measured; sample.py, pressure.py, peak.py
    v1/ and v2/         one directory in one hierarchy: `manager`, `stats` and a module per controller, the same in both
    manager.py          what both managers and both sets of controllers offer
    translate.py        users' words as `linux.resources`
    resources.py        the controllers that these need; ranges.py: right values
    convert.py, disks.py  between the units of v1, v2 and OCI; block devices by their numbers
    tree.py             the processes and subgroups below a directory: list, kill, remove
    detect.py           what is mounted where, and where this process is
    files.py, limits.py reading and writing interface files; the words of limits
    setback.py          what they said before, where a change is refused
    device_rules.py     rules of device nodes as a table; device_exceptions.py (v1), device_program.py (v2) say it

The names are loaded when first used: a program that sets no limit pays nothing for them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.cgroups.enter import in_cgroup
    from pycgroups.cgroups.events import Event, PressureTrigger
    from pycgroups.cgroups.group import Cgroup
    from pycgroups.cgroups.host import Info, info
    from pycgroups.cgroups.limits import Limits, parse_size
    from pycgroups.cgroups.peak import MemoryPeak
    from pycgroups.cgroups.pressure import Pressure
    from pycgroups.cgroups.sample import Sample
    from pycgroups.cgroups.stats import Stats
    from pycgroups.cgroups.watch import Watch

__all__ = [
    "Cgroup",
    "Event",
    "Info",
    "Limits",
    "MemoryPeak",
    "Pressure",
    "PressureTrigger",
    "Sample",
    "Stats",
    "Watch",
    "in_cgroup",
    "info",
    "parse_size",
]

_HOMES = {
    "Cgroup": "group",
    "Event": "events",
    "Info": "host",
    "Limits": "limits",
    "MemoryPeak": "peak",
    "Pressure": "pressure",
    "PressureTrigger": "events",
    "Sample": "sample",
    "Stats": "stats",
    "Watch": "watch",
    "in_cgroup": "enter",
    "info": "host",
    "parse_size": "limits",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
