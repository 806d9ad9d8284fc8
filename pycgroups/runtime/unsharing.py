"""New namespaces, and the maps of user namespaces that are there: by a helper that goes into them and waits."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pycgroups._native.calls import lib
from pycgroups.errors import LaunchError, Unsupported, invalid, own_errors
from pycgroups.namespaces import files, own
from pycgroups.namespaces.idmap import IdMap
from pycgroups.namespaces.namespace import Namespace, kind_named
from pycgroups.oci.runtime_spec import IdMapping
from pycgroups.runtime import launch
from pycgroups.runtime.program import call
from pycgroups.runtime.steps import Plan, Step
from pycgroups.security import capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CAP_SYS_PTRACE = 19
_CAP_SYS_ADMIN = 21
_CLOCKS = ("monotonic", "boottime")
_BILLION = 10**9
_NO_MAP = IdMap.host()
# Of what is made in a new user namespace: the time namespace, its clocks, lo.
_NEEDED = ("CAP_SYS_ADMIN", "CAP_SYS_TIME", "CAP_NET_ADMIN")


class Facts(NamedTuple):
    """What a user namespace is like from here: its map of ids, and whether setgroups(2) is allowed in it."""

    idmap: IdMap
    groups: bool


@own_errors("create namespaces")
def create(
    *kinds: str,
    userns: Namespace | IdMap | None = None,
    time_offsets: Mapping[str, float] | None = None,
) -> tuple[Namespace, ...]:
    """Make new namespaces, with nobody in them; they live as long as the objects are open, or pinned.

    ::

        net, uts = pc.namespaces.create("net", "uts")
        user, net = pc.namespaces.create("user", "net", userns=pc.IdMap.single())  # as an ordinary user

    A new net namespace has its loopback device up. A new mnt namespace has the mounts of the caller's, as private
    ones. A uts namespace has the caller's names, and a cgroup namespace has the caller's cgroup as its root.

    Args:
        *kinds: "user", "mnt", "net", "uts", "ipc", "cgroup" and "time", each once. No "pid": that would end at once,
            with its process 1.
        userns: the user namespace that all of them belong to: one that is there; or, with "user" among the kinds, the
            map of ids of the new one. Default: `IdMap.single`, by which the caller is root in it; without "user", the
            caller's own.
        time_offsets: with "time": what its clocks "monotonic" and "boottime" have beyond the caller's, in seconds.

    Returns:
        One for each kind, in that order; to be closed by the caller.

    Raises:
        InvalidConfig: a kind is not known, or is given twice; or the arguments do not go together.
        Unsupported: "pid"; the kernel does not have a kind; or the caller has no right to make it without "user".
        LaunchError: the kernel refuses one; names the step. None is left.

    Sources: namespaces(7), user_namespaces(7), time_namespaces(7). Linux 5.3.
    """
    names = _names(kinds)
    offsets = _offsets(time_offsets, names)
    maps = _maps(userns, names)
    given = [userns.fileno()] if isinstance(userns, Namespace) else []
    if "user" not in names and not given and not own.effective() >> _CAP_SYS_ADMIN & 1:
        raise Unsupported(
            "an ordinary user's namespaces belong to a user namespace of theirs",
            operation="create namespaces",
            hint='add "user" to the kinds, or userns= a Namespace',
        )
    plan = _plan(names, offsets, joins=bool(given), hidden=bool(given) and _may_look())
    made: list[Namespace] = []
    try:
        with _waiting(plan, given, maps) as pid:
            for name in names:  # of a time namespace only children are
                file = "time_for_children" if name == "time" else name
                made.append(Namespace.open(f"/proc/{pid}/ns/{file}", name))
    except BaseException:
        for space in made:
            space.close()
        raise
    return tuple(made)


def with_mounts(mounts: Sequence[tuple[int, str]]) -> Namespace:
    """Make a mnt namespace with the mounts of the caller's, and with some that nobody else sees.

    What is unmounted where the caller is goes here, too: else it would be in use as long as this is.

    Args:
        mounts: descriptors of file systems that are attached nowhere, and the directories where they are to be.

    Raises:
        LaunchError: one of them cannot be mounted there.
    """
    steps = [Step(lib.OP_STACK, (slot,), (os.fsencode(place),)) for slot, (_, place) in enumerate(mounts)]
    plan = _plan(("mnt",), b"", joins=False, propagation=lib.MS_SLAVE)
    plan = plan._replace(setup=(*plan.setup[:-1], *steps, plan.setup[-1]), given=len(mounts))
    with _waiting(plan, [fd for fd, _ in mounts], _NO_MAP) as pid:
        return Namespace.open(f"/proc/{pid}/ns/mnt", "mnt")


def facts_of(user: Namespace) -> Facts:
    """Look at a user namespace that this process may join.

    Raises:
        LaunchError: it may not.
        Unsupported: it may, but /proc is mounted with hidepid, and shows nothing of it.
    """
    plan = _waiting_plan((_JOIN,), ())  # what is read of it is for everybody to read
    with _waiting(plan, [user.fileno()], _NO_MAP) as pid:
        try:
            return Facts(IdMap(uids=_map(pid, "uid_map"), gids=_map(pid, "gid_map")), own.may_set_groups(pid))
        except (FileNotFoundError, PermissionError) as error:
            raise own.hidden(f"/proc/{pid}", error.errno or 0) from None


def _map(pid: int, name: str) -> tuple[IdMapping, ...]:
    with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
        lines = [[int(word) for word in line.split()] for line in file]
    return tuple(IdMapping(*numbers) for numbers in lines)


# -- what is asked for -----------------------------------------------------------------------------------------------


def _names(kinds: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for position, word in enumerate(kinds):
        name = kind_named(word, f"kinds[{position}]")
        if name in names:
            raise invalid(f"kinds[{position}]", word, "each once")
        if name == "pid":
            raise Unsupported(
                "a pid namespace is no more than its process 1, and ends with it",
                operation="create namespaces",
                path=f"kinds[{position}]",
                hint="start a process 1 as pycgroups.Container(...), and take Namespace.of(container.pid, 'pid'), "
                "or that of any process that runs",
            )
        names.append(name)
    if not names:
        raise invalid("kinds", kinds, f"some of {', '.join(files.FLAGS)}")
    return tuple(names)


def _maps(userns: Namespace | IdMap | None, names: tuple[str, ...]) -> IdMap:
    if isinstance(userns, Namespace):
        if userns.kind != "user" or "user" in names:
            raise invalid("userns", userns, 'a user namespace, without "user" among the kinds')
        return _NO_MAP
    if userns is not None and (not isinstance(userns, IdMap) or userns.kind != "map" or "user" not in names):
        raise invalid("userns", userns, 'a user namespace, or, with "user" among the kinds, a map of ids')
    if "user" not in names:
        return _NO_MAP
    return IdMap.single() if userns is None else userns


def _offsets(given: Mapping[str, float] | None, names: tuple[str, ...]) -> bytes:
    """Write them as /proc/PID/timens_offsets has them."""
    if not given:
        return b""
    if "time" not in names:
        raise invalid("time_offsets", given, 'with "time" among the kinds')
    lines = []
    for clock, seconds in given.items():
        key = f"time_offsets[{clock!r}]"
        if clock not in _CLOCKS:
            raise invalid(key, clock, " or ".join(_CLOCKS))
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not abs(seconds) < 2**33:
            raise invalid(key, seconds, "seconds, in a few hundred years")
        lines.append("{} {} {}\n".format(clock, *divmod(round(seconds * _BILLION), _BILLION)))
    return "".join(lines).encode()


# -- the helper ------------------------------------------------------------------------------------------------------


def _plan(
    names: tuple[str, ...],
    offsets: bytes,
    *,
    joins: bool,
    hidden: bool = False,
    propagation: int = lib.MS_PRIVATE,
) -> Plan:
    """Plan to make them: by the clone, but for what belongs to a user namespace that is joined, and for clocks.

    The helper has made itself undumpable, and neither an ordinary user nor itself could open its files of /proc. But
    once others may look at it, those who have CAP_SYS_PTRACE in the user namespace that it has joined may take it over:
    ptrace(2), "Ptrace access mode checking". So it stays `hidden` where it can, and else has no ids but those of there.
    """
    late = [name for name in names if joins or name == "time"]
    join = [_JOIN] if joins else []
    setup = []
    if not hidden:
        join += _BECOME_ROOT if joins else ()
        setup.append(call("prctl", lib.PR_SET_DUMPABLE, 1))
    if late:
        setup.append(Step(lib.OP_UNSHARE, (_flags(late),)))
    if offsets:
        setup.append(Step(lib.OP_TIME_OFFSETS, texts=(offsets,)))
    if "mnt" in names:
        setup.append(Step(lib.OP_PROPAGATE, (propagation,)))
    if "net" in names:
        setup.append(Step(lib.OP_LO_UP))
    return _waiting_plan(join, setup)._replace(
        namespaces=_flags(name for name in names if name not in late), keep_caps=capabilities.mask(_NEEDED)
    )


_JOIN = Step(lib.OP_SETNS, (0, files.FLAGS["user"]), (b"user",))
_BECOME_ROOT = (call("setgroups", 0, 0)._replace(optional=True), Step(lib.OP_BECOME_ROOT, (0,)))
"""Of the groups as far as that is allowed: an ordinary user cannot leave those, and need not."""


def _may_look() -> bool:
    """Tell whether this process may open files of /proc of one that is undumpable, and that one its own: proc(5)."""
    return os.geteuid() == 0 and bool(own.effective() >> _CAP_SYS_PTRACE & 1)


def _waiting_plan(join: Sequence[Step], setup: Sequence[Step]) -> Plan:
    steps = (*join, Step(lib.OP_DEATH, (9,)), *setup, Step(lib.OP_WAIT))
    given = int(_JOIN in join)
    return Plan(namespaces=0, prepare=(), setup=steps, main=(), given=given, idmaps=(), init=False, keep_caps=0)


def _flags(names: Iterable[str]) -> int:
    flags = 0
    for name in names:
        flags |= files.FLAGS[name]
    return flags


@contextmanager
def _waiting(plan: Plan, given: Sequence[int], maps: IdMap) -> Iterator[int]:
    """Have a helper perform a plan and wait; its pid. It ends with the block."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    running = launch.Running(plan)
    try:
        launch.launch(
            running,
            plan.encode(),
            stdio=(null, null, null),
            given=given,
            uid_mappings=maps.uids,
            gid_mappings=maps.gids,
        )
        running.until(lambda running: running.waiting == lib.OP_WAIT)
        if running.waiting != lib.OP_WAIT:
            raise LaunchError("the helper was killed", step="namespaces")
        yield running.pid
    finally:
        running.close()
        os.close(null)
