"""Seccomp profiles as Docker and podman write them: an OCI profile whose rules may have conditions on the host.

    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"}}

A rule counts if all that it ``includes`` is so, and nothing that it ``excludes``: architectures (Docker's names),
capabilities in the bounding set, and the oldest kernel. ``archMap`` stands for ``architectures``, ``name`` for
``names`` with one, and podman's ``errno`` and ``defaultErrno`` are names of the numbers beside them.

Source: https://github.com/moby/profiles/tree/main/seccomp; https://github.com/containers/common/tree/main/pkg/seccomp.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from pycgroups.errors import invalid
from pycgroups.oci.reading import from_json
from pycgroups.oci.runtime_spec import Seccomp

if TYPE_CHECKING:
    from attrs import evolve
else:
    from pycgroups.frozen import evolve

_OF_PROFILE = frozenset({"archMap", "defaultErrno"})
_OF_RULE = frozenset({"includes", "excludes", "comment", "name", "errno"})
# uname(2)'s machine, as Go names it.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Conditions(NamedTuple):
    """What ``includes`` or ``excludes`` names."""

    architectures: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    kernel: tuple[int, ...] = ()

    def all_hold(self, host: Host) -> bool:
        """Tell whether everything named is so: the host has one of the architectures, all capabilities, the kernel."""
        return (
            (not self.architectures or host.architecture in self.architectures)
            and host.capabilities.issuperset(self.capabilities)
            and self.kernel <= host.kernel
        )

    def any_holds(self, host: Host) -> bool:
        """Tell whether something named is so."""
        return (
            host.architecture in self.architectures
            or not host.capabilities.isdisjoint(self.capabilities)
            or bool(self.kernel and self.kernel <= host.kernel)
        )


class Host(NamedTuple):
    """What the conditions are about: Go's name of the architecture, the bounding set, the kernel's version."""

    architecture: str
    capabilities: frozenset[str]
    kernel: tuple[int, ...]


class DockerProfile(NamedTuple):
    """A profile whose rules have conditions: for each, what it includes and excludes."""

    profile: Seccomp
    conditions: tuple[tuple[Conditions, Conditions], ...]

    def resolve(self, host: Host) -> Seccomp:
        """Return the OCI profile that it is on this host."""
        pairs = zip(self.profile.syscalls, self.conditions, strict=True)
        rules = [
            rule for rule, (includes, excludes) in pairs if includes.all_hold(host) and not excludes.any_holds(host)
        ]
        return evolve(self.profile, syscalls=tuple(rules))


def this_host(capabilities: frozenset[str]) -> Host:
    """Return this machine, with these capabilities."""
    system = os.uname()
    return Host(_ARCHITECTURES.get(system.machine, system.machine), capabilities, _kernel(system.release, "release"))


def is_docker(document: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether a profile has what the OCI form does not have."""
    if not isinstance(document, Mapping):
        return False
    rules = document.get("syscalls")
    some = [rule for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list | tuple) else []
    return not _OF_PROFILE.isdisjoint(document) or any(not _OF_RULE.isdisjoint(rule) for rule in some)


def read(document: Mapping[str, object], key: str) -> DockerProfile:
    """Read a profile in Docker's form.

    Args:
        document: as `json.loads` gives it.
        key: the key path of the document, for errors.

    Raises:
        InvalidConfig: names the key path of what is wrong.
    """
    plain = _translated(document, key, _OF_PROFILE, "defaultErrno")
    if document.get("archMap"):
        if document.get("architectures"):
            raise invalid(f"{key}.archMap", document["archMap"], "archMap or architectures, not both")
        plain["architectures"] = _architectures(document["archMap"], f"{key}.archMap")
    rules, conditions = [], []
    for position, item in enumerate(_list(document.get("syscalls"), f"{key}.syscalls")):
        where = f"{key}.syscalls[{position}]"
        rule = _object(item, where)
        rules.append(_rule(rule, where))
        conditions.append(tuple(_conditions(rule.get(word), f"{where}.{word}") for word in ("includes", "excludes")))
    profile = from_json(Seccomp, {**plain, "syscalls": rules}, key)
    return DockerProfile(profile, tuple((includes, excludes) for includes, excludes in conditions))


def _rule(rule: Mapping[str, object], key: str) -> dict[str, object]:
    plain = _translated(rule, key, _OF_RULE, "errno")
    if rule.get("name"):
        if rule.get("names"):
            raise invalid(f"{key}.name", rule["name"], "name or names, not both")
        plain["names"] = [rule["name"]]
    return plain


def _translated(part: Mapping[str, object], key: str, dialect: frozenset[str], word: str) -> dict[str, object]:
    """Leave out what is not OCI's, and turn podman's name of an error into its number where that is missing."""
    plain = {name: value for name, value in part.items() if name not in dialect}
    name, number = part.get(word), f"{word}Ret"
    if not name:
        return plain
    known = {text: value for value, text in errno.errorcode.items()}
    if not isinstance(name, str) or name not in known:
        raise invalid(f"{key}.{word}", name, "the name of an error, such as 'EPERM'")
    if plain.setdefault(number, known[name]) != known[name]:
        raise invalid(f"{key}.{word}", name, f"the same error as {number}")
    return plain


def _architectures(value: object, key: str) -> list[object]:
    """All that are named: what counts is the machine's own anyway."""
    found: list[object] = []
    for position, item in enumerate(_list(value, key)):
        entry = _object(item, f"{key}[{position}]")
        _known(entry, f"{key}[{position}]", ("architecture", "subArchitectures"))
        found += [
            entry.get("architecture"),
            *_list(entry.get("subArchitectures"), f"{key}[{position}].subArchitectures"),
        ]
    return found


def _conditions(value: object, key: str) -> Conditions:
    if value is None:
        return Conditions()
    words = _object(value, key)
    _known(words, key, ("arches", "caps", "minKernel"))
    kernel = words.get("minKernel")
    return Conditions(
        _texts(words.get("arches"), f"{key}.arches"),
        _texts(words.get("caps"), f"{key}.caps"),
        _kernel(kernel, f"{key}.minKernel") if kernel else (),
    )


def _kernel(value: object, key: str) -> tuple[int, ...]:
    """Major and minor version: "4.8", "6.18.44-cloud"."""
    parts = value.split("-")[0].split(".")[:2] if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004 (major, minor)
        raise invalid(key, value, "a version of Linux, such as '4.8'")
    return tuple(map(int, parts))


def _texts(value: object, key: str) -> tuple[str, ...]:
    words = _list(value, key)
    if not all(isinstance(word, str) for word in words):
        raise invalid(key, value, "a list of str")
    return tuple(map(str, words))


def _list(value: object, key: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise invalid(key, value, "a list")
    return value


def _object(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise invalid(key, value, "an object")
    return value


def _known(value: Mapping[str, object], key: str, names: Sequence[str]) -> None:
    for name in value:
        if name not in names:
            raise invalid(f"{key}.{name}", value[name], f"nothing: only {', '.join(names)} are known")
