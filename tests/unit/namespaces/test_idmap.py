import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.namespaces.idmap import IdMap, covers, is_single, parse_subordinate, resolve_auto, subordinate_ranges
from pycgroups.oci.runtime_spec import IdMapping


def test_parse_gives_both_maps():
    expected = (IdMapping(0, 100000, 65536), IdMapping(65536, 1000, 1))
    assert IdMap.parse("0:100000:65536,65536:1000:1") == IdMap(uids=expected, gids=expected)


def test_parse_takes_a_map_of_groups_of_its_own():
    assert IdMap.parse("0:1:2", "0:3:4").gids == (IdMapping(0, 3, 4),)


@pytest.mark.parametrize(
    "text",
    [
        *["", ",", "0:1", "0:1:2:3", "0:1:2,", "-1:1:1", "+0:1:1", " 0:1:1", "0x0:1:1", "1_0:1:1", "٣:1:1", "0:1:1\n"],
        *["0:1:0", "0:0:4294967296", "4294967295:0:1", "0:4294967295:1", "0:1:99999999999999999999"],
        *["0:0:2,1:10:1", "0:10:5,100:14:1"],
    ],
)
def test_what_the_kernel_would_refuse_is_refused(text):
    with pytest.raises(InvalidConfig) as caught:
        IdMap.parse(text)
    assert caught.value.path == "userns.uids"


def test_the_greatest_map_is_allowed():
    assert IdMap.parse("0:0:4294967295").uids[0].size == 4294967295


def test_the_kernel_takes_340_extents():
    extents = [f"{2 * number}:{2 * number}:1" for number in range(341)]
    assert len(IdMap.parse(",".join(extents[:340])).uids) == 340
    with pytest.raises(InvalidConfig):
        IdMap.parse(",".join(extents))


@given(st.text() | st.integers() | st.none() | st.binary())
def test_garbage_is_refused_as_such(text):
    try:
        IdMap.parse(text)
    except InvalidConfig as error:
        assert str(error)  # noqa: PT017


def test_single_maps_the_caller_to_root():
    assert IdMap.single().uids == (IdMapping(0, os.geteuid(), 1),)


def test_markers_have_no_mappings_and_differ():
    assert len({IdMap.auto(), IdMap.host(), IdMap.parse("0:0:1")}) == 3
    assert IdMap.auto().uids == IdMap.host().gids == ()


def test_auto_for_root_is_far_away_from_the_hosts_ids():
    idmap = resolve_auto(0, 0, (), (), base=1 << 20)
    assert idmap.uids == idmap.gids == (IdMapping(0, 1 << 20, 65536),)


def test_auto_for_an_account_with_subordinate_ids():
    idmap = resolve_auto(1000, 1001, ((100000, 65536), (300000, 10)), ((200000, 5),), base=0)
    assert idmap.uids == (IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536), IdMapping(65537, 300000, 10))
    assert idmap.gids == (IdMapping(0, 1001, 1), IdMapping(1, 200000, 5))


@pytest.mark.parametrize(("subuids", "subgids"), [((), ()), (((1, 2),), ()), ((), ((1, 2),))])
def test_auto_for_an_account_without_is_alone(subuids, subgids):
    idmap = resolve_auto(1000, 1001, subuids, subgids, base=0)
    assert (idmap.uids, idmap.gids) == ((IdMapping(0, 1000, 1),), (IdMapping(0, 1001, 1),))


def test_auto_refuses_subordinate_ids_that_hold_the_caller():
    with pytest.raises(InvalidConfig, match="overlap outside"):
        resolve_auto(1000, 1000, ((500, 1000),), ((500, 1000),), base=0)


SUBUID = """\
# comment
other:1:2
ann:100000:65536
1000:300000:10
ann:zero:1
ann:5
ann:7:0
ann:-1:3
ann:4294967296000:1
:9:9
"""


def test_subordinate_ranges_are_found_by_name_and_by_number():
    assert parse_subordinate(SUBUID.splitlines(), "ann", 1000) == ((100000, 65536), (300000, 10))


def test_subordinate_ranges_of_a_file(tmp_path):
    file = tmp_path / "subuid"
    file.write_text(SUBUID)
    assert subordinate_ranges("other", 5, str(file)) == ((1, 2),)
    assert subordinate_ranges("other", 5, str(tmp_path / "none")) == ()


@given(st.lists(st.text()), st.text(), st.integers(0, 2**32))
def test_no_line_of_subuid_disturbs(lines, name, uid):
    for start, count in parse_subordinate(lines, name, uid):
        assert start >= 0
        assert count > 0


@pytest.mark.parametrize(
    ("mappings", "others", "expected"),
    [
        ("0:1000:1,1:5000:99", "0:1000:1,1:5000:99", True),
        ("0:1000:1,1:5000:99", "0:1000:1", True),
        ("0:1000:1,1:5000:99", "1:5000:50,51:5050:49", True),
        ("0:5000:50,50:5050:50", "0:5000:100", True),
        ("0:1000:1,1:5000:99", "0:1000:1,1:5000:100", False),
        ("0:1000:1,1:5000:99", "0:1000:1,1:5001:9", False),
        ("0:1000:1,1:5000:99", "0:5000:1", False),
        ("0:5000:50,60:5060:50", "0:5000:100", False),
    ],
)
def test_covers(mappings, others, expected):
    assert covers(IdMap.parse(mappings).uids, IdMap.parse(others).uids) is expected


def test_is_single():
    assert is_single(IdMap.single())
    assert not is_single(IdMap.parse("0:1000:1", "0:1000:2"))
    assert not is_single(IdMap.parse("0:1000:1,1:5000:1"))
