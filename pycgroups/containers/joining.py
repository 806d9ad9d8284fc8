"""The namespaces that a container joins: opened, known to be of the right kinds, and in the order to join them."""

from __future__ import annotations

import os

from pycgroups.containers.config import NAMESPACES
from pycgroups.containers.ids import is_leased
from pycgroups.errors import InvalidConfig, invalid
from pycgroups.namespaces.caller import caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NamedTuple, Self

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.namespaces.namespace import Namespace
    from pycgroups.runtime.unsharing import Facts
else:
    from pycgroups.records import NamedTuple

_NAMES = {name: kind for kind, name in NAMESPACES.items()}


class Joined(NamedTuple):
    """What a plan needs to know of them.

    Attributes:
        kinds: OCI's, in the order to join them.
        paths: where each of them is.
        user: of the user namespace among them, if there is one.
    """

    kinds: tuple[str, ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    user: Facts | None = None


NOTHING = Joined()


class Joining:
    """Them, in the order to join them, and what is known of them; open until they are closed."""

    __slots__ = ("joined", "spaces")

    def __init__(self, spaces: Iterable[Namespace] = (), joined: Joined = NOTHING) -> None:
        """Take them over."""
        self.spaces = tuple(spaces)
        self.joined = joined

    @property
    def fds(self) -> tuple[tuple[str, int], ...]:
        """Their descriptors, by kind."""
        return tuple((kind, space.fileno()) for kind, space in zip(self.joined.kinds, self.spaces, strict=True))

    def close(self) -> None:
        """Let go of them; may be called again."""
        _close(self.spaces)

    def __enter__(self) -> Self:
        """Hold them."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self.close()


def opened(config: ContainerConfig) -> Joining:
    """Open what a container is to join.

    Raises:
        NotFound: there is no such file, or the process has ended.
        InvalidConfig: it is no namespace, or one of another kind; or the mount namespace is the caller's
            own, or of a user namespace whose programs would get ids that are not theirs.
        StateError: a `Namespace` is closed.
        LaunchError: this process has no rights over the user namespace.
    """
    if not config.namespaces:
        return Joining()
    given = {kind: where for kind, where in config.namespaces if where not in {"host", "private"}}
    spaces: list[Namespace] = []
    try:
        for kind, where in given.items():
            spaces.append(_open(kind, where))
        _check_mounts(spaces, config)
        return _joining(spaces, given) if spaces else Joining()
    except BaseException:
        _close(spaces)
        raise


def _close(spaces: Iterable[Namespace]) -> None:
    for space in spaces:
        space.close()


def _open(kind: str, where: str | Namespace) -> Namespace:
    from pycgroups.namespaces.namespace import Namespace  # the usual run joins none

    name = NAMESPACES[kind]
    if isinstance(where, Namespace):
        return Namespace(os.dup(where.fileno()))
    try:
        return Namespace.open(where, name)
    except InvalidConfig as error:
        message = f"{where} is {error.message}"
        raise InvalidConfig(message, operation="option", path=f"namespaces[{name!r}]") from None


def _check_mounts(spaces: Iterable[Namespace], config: ContainerConfig) -> None:
    """Refuse a mount namespace in which the program has no walls, or rights that are not for whoever arranged it."""
    by_kind = {space.kind: space for space in spaces}
    mounts, user = by_kind.get("mnt"), by_kind.get("user")
    if mounts is None:
        return
    given = dict(config.namespaces)["mount"]
    if _is(mounts, "/proc/self/ns/mnt"):
        allowed = 'one that the caller is not in: a program among the files of its caller has isolation="process"'
        raise invalid("namespaces['mnt']", given, allowed)
    if user is None and is_leased(config, caller()):
        return  # ids that are nobody's
    if not _is_owned(mounts, user):
        allowed = "one of the user namespace that the caller is in, or that is joined: what runs is up to others, and "
        allowed += "the ids are not theirs. Join its user namespace as well; or, as root of the host, leave userns out"
        raise invalid("namespaces['mnt']", given, allowed)


def _is_owned(mounts: Namespace, user: Namespace | None) -> bool:
    """Tell whether it belongs to the user namespace of the caller, or to the one that the program will be in."""
    owner = mounts.owner()
    if owner is None:
        return False
    with owner:
        return owner == user or _is(owner, "/proc/self/ns/user")


def _is(space: Namespace, path: str) -> bool:
    return os.path.samestat(os.fstat(space.fileno()), os.stat(path))


def _joining(spaces: list[Namespace], given: Mapping[str, str | Namespace]) -> Joining:
    from pycgroups.namespaces.namespace import Namespace, in_order

    before, after = in_order(spaces)
    ordered = (*before, *after)
    user = None
    if after and after[0].kind == "user":
        from pycgroups.runtime.unsharing import facts_of  # few join one

        user = facts_of(after[0])
    paths = tuple((kind, where.path if isinstance(where, Namespace) else where) for kind, where in given.items())
    return Joining(ordered, Joined(tuple(_NAMES[space.kind] for space in ordered), paths, user))
