from __future__ import annotations

import pytest

from pycgroups.containers import ids
from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.mounts import Mount
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.namespaces.caller import Caller
from pycgroups.namespaces.idmap import IdMap
from pycgroups.namespaces.ranges import FIRST
from pycgroups.oci.runtime_spec import IdMapping

ROOT = Caller(uid=0, gid=0, privileged=True, nested=False)
USER = Caller(
    uid=1000, gid=1001, privileged=False, nested=False, subuids=((100_000, 65536),), subgids=((200_000, 65536),)
)
SINGLE = USER._replace(subuids=(), subgids=())


def config(**options):
    return ContainerConfig(**{"command": ["true"], "rootfs": "/r", **options})


def test_root_has_ids_of_the_containers_own():
    assert ids.choose_map(config(), ROOT).uids == (IdMapping(0, FIRST, 65536),)
    assert ids.is_leased(config(), ROOT)


def test_an_ordinary_user_is_root_inside_and_subordinate_ids_follow():
    chosen = ids.choose_map(config(), USER)
    assert chosen.uids == (IdMapping(0, 1000, 1), IdMapping(1, 100_000, 65536))
    assert chosen.gids == (IdMapping(0, 1001, 1), IdMapping(1, 200_000, 65536))
    assert not ids.is_leased(config(), USER)


def test_an_ordinary_user_without_subordinate_ids_is_alone():
    assert ids.choose_map(config(), SINGLE).uids == (IdMapping(0, 1000, 1),)


@pytest.mark.parametrize(
    ("options", "stranger"),
    [
        ({"rootfs": None}, True),
        ({"rootfs": None, "mounts": [Mount.tmpfs("/x")]}, True),
        ({"rootfs": None, "volumes": {"/a": "/b"}}, False),
        ({"rootfs": None, "workspace": "/a"}, False),
        ({"rootfs": None, "mounts": [Mount.overlay(["/a", "/b"], "/c")]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_with_the_hosts_root_the_program_is_a_stranger_to_the_caller(options, stranger):
    one = config(**options)
    assert ids.is_stranger(one) is stranger
    own = any(mapping.host_id == 1000 for mapping in ids.choose_map(one, USER).uids)
    assert own is not stranger


def test_the_callers_ids_are_kept():
    keep = config(userns="keep-id")
    assert keep.userns == config(userns=IdMap.keep_id()).userns
    chosen = ids.choose_map(keep, USER)
    assert chosen.uids == (IdMapping(0, 100_000, 1000), IdMapping(1000, 1000, 1), IdMapping(1001, 101_000, 64536))
    assert chosen.gids == (IdMapping(0, 200_000, 1001), IdMapping(1001, 1001, 1), IdMapping(1002, 201_001, 64535))
    assert ids.choose_map(keep, SINGLE).uids == (IdMapping(1000, 1000, 1),)
    assert not ids.is_leased(keep, USER)
    with pytest.raises(Unsupported, match="root's own id"):
        ids.choose_map(keep, ROOT)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(10, 3)], [(0, 10, 3), (5, 5, 1)]),
        ([(10, 5)], [(0, 10, 5), (5, 5, 1)]),
        ([(10, 6)], [(0, 10, 5), (5, 5, 1), (6, 15, 1)]),
        ([(10, 5), (20, 2)], [(0, 10, 5), (5, 5, 1), (6, 20, 2)]),
        ([(10, 2), (20, 4), (30, 1)], [(0, 10, 2), (2, 20, 3), (5, 5, 1), (6, 23, 1), (7, 30, 1)]),
    ],
)
def test_ids_around_those_of_the_caller(ranges, expected):
    caller = USER._replace(uid=5, gid=5, subuids=tuple(ranges), subgids=tuple(ranges))
    assert ids.choose_map(config(userns="keep-id"), caller).uids == tuple(IdMapping(*each) for each in expected)


def test_userns_host_needs_root():
    assert ids.choose_map(config(userns="host"), ROOT).kind == "host"
    with pytest.raises(Unsupported, match="needs root"):
        ids.choose_map(config(userns="host"), USER)


def test_a_given_map_is_taken():
    given = IdMap.parse("0:5:1")
    for caller in (ROOT, USER):
        assert ids.choose_map(config(userns=given), caller) == given
    assert not ids.is_leased(config(userns=given), ROOT)


def test_root_in_a_user_namespace_gives_what_it_has(monkeypatch):
    monkeypatch.setattr(ids, "own_map", lambda: IdMap.parse("0:0:10"))
    nested = ROOT._replace(nested=True)
    assert ids.choose_map(config(), nested) == IdMap.parse("0:0:10")
    assert not ids.is_leased(config(), nested)


def test_shifts():
    mapping = (IdMapping(0, FIRST, 65536), IdMapping(70_000, FIRST + 65536, 5))
    assert ids.shift(mapping, FIRST + 100) == (IdMapping(0, FIRST + 100, 65536), IdMapping(70_000, FIRST + 65636, 5))
    mixed = (IdMapping(0, 1000, 1), IdMapping(1, FIRST + 7, 1))
    assert ids.shift_outside(mixed, FIRST + 100) == (IdMapping(0, 1000, 1), IdMapping(1, FIRST + 107, 1))


def test_ids_outside():
    mappings = (IdMapping(0, 1000, 1), IdMapping(1, 100_000, 10))
    assert [ids.outside(mappings, inside, "user") for inside in (0, 1, 10)] == [1000, 100_000, 100_009]
    with pytest.raises(InvalidConfig, match="id 11 is not in the container's id map") as caught:
        ids.outside(mappings, 11, "user")
    assert caught.value.path == "user"
