from __future__ import annotations

import re
from pathlib import Path

import pytest

from pycgroups.errors import InvalidConfig
from pycgroups.security.capabilities import DEFAULT, DEFAULT_REASONS, NUMBERS, mask, resolve

EVERY = tuple(sorted(NUMBERS))


def test_numbers_are_the_headers():
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip(f"no {header} (Debian: linux-libc-dev)")
    defined = re.findall(r"#define (CAP_[A-Z_]+)\s+(\d+)", header.read_text())
    assert {name: int(number) for name, number in defined} == NUMBERS


def test_this_kernel_knows_them_all():
    assert int(Path("/proc/sys/kernel/cap_last_cap").read_text()) >= max(NUMBERS.values()) == 40


def test_the_default_is_short_and_has_reasons():
    dangerous = {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYS_MODULE", "CAP_BPF", "CAP_MKNOD"}
    assert dangerous.isdisjoint(DEFAULT)
    assert set(DEFAULT) <= NUMBERS.keys()
    assert len(DEFAULT) == 13
    assert all(DEFAULT_REASONS.values())


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), tuple(sorted(DEFAULT))),
        (["SYS_ADMIN"], (), tuple(sorted({*DEFAULT, "CAP_SYS_ADMIN"}))),
        (["cap_sys_admin", "Sys_Admin", "CAP_KILL"], (), tuple(sorted({*DEFAULT, "CAP_SYS_ADMIN"}))),
        ((), ["net_raw", "BPF"], tuple(sorted(set(DEFAULT) - {"CAP_NET_RAW"}))),
        (["ALL"], (), EVERY),
        (["all", "KILL"], ["SYS_ADMIN"], tuple(name for name in EVERY if name != "CAP_SYS_ADMIN")),
        ((), ["ALL"], ()),
        (["KILL", "BPF"], ["All"], ("CAP_BPF", "CAP_KILL")),
    ],
)
def test_resolve(add, drop, expected):
    assert resolve(add, drop) == expected


@pytest.mark.parametrize(
    ("add", "drop", "path"),
    [
        (["KILL", "FLY"], (), "caps_add[1]"),
        ([""], (), "caps_add[0]"),
        (["CAP_ALL"], (), "caps_add[0]"),
        ((), ["CAP_"], "caps_drop[0]"),
        ([5], (), "caps_add[0]"),
        ("KILL", (), "caps_add"),
        ((), "ALL", "caps_drop"),
        (5, (), "caps_add"),
        (["KILL"], ["CAP_KILL"], "caps_add"),
        (["ALL"], ["ALL"], "caps_add"),
        (["\x1b[31m"], (), "caps_add[0]"),
    ],
)
def test_resolve_names_what_is_wrong(add, drop, path):
    with pytest.raises(InvalidConfig) as caught:
        resolve(add, drop)
    assert caught.value.path == path
    assert str(caught.value).isprintable()


def test_mask():
    assert mask(()) == 0
    assert mask(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"]) == 1 | 1 << 40
    assert mask(EVERY) == (1 << 41) - 1
