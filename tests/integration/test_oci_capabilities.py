"""Capabilities that a config.json asks for, and that there are none of; config.md, "Linux Process"."""

from __future__ import annotations

import os

import pytest

from pycgroups.namespaces import own
from pycgroups.security.capabilities import NUMBERS
from tests.integration.bundles import output as bundle_output

pytestmark = pytest.mark.requires("userns")

SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
FUTURE = "CAP_OF_TOMORROW"


def output(start):
    """Return what a process prints, of which `start` takes the streams."""
    read, write = os.pipe()
    process = start(stdio=(0, write, write))
    os.close(write)
    with open(read) as file:
        text = file.read()
    return process, text


def sets(status):
    """The bits of each set, by the name that proc_pid_status(5) has for it."""
    pairs = (line.split() for line in status.splitlines() if line.startswith("Cap"))
    return {name: int(bits, 16) for name, bits in pairs}


def test_unknown_ones_are_left_out_and_told(bundle):
    bundle.config["process"]["capabilities"] = {name: ["CAP_KILL", FUTURE] for name in SETS}
    bundle.run("sleep", "60")
    container = bundle.create()
    container.start()
    assert [FUTURE in notice for notice in container.notices] == [True]
    process = bundle.process("cat", "/proc/1/status", "/proc/self/status")
    executed, text = output(lambda **options: container.exec(process, **options))
    assert executed.wait() == 0
    assert executed.notices == container.notices
    kill = 1 << NUMBERS["CAP_KILL"]
    names = ("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:")
    _, first, second = text.split("Name:")
    assert sets(first) == sets(second) == dict.fromkeys(names, kill)


def test_those_that_we_do_not_have_ourselves(bundle):
    """All are asked for; in a user namespace all are given, elsewhere those of this process."""
    bundle.config["process"]["capabilities"] = {name: list(NUMBERS) for name in SETS}
    bundle.run("cat", "/proc/self/status")

    def start(**options):
        container = bundle.create(**options)
        container.start()
        return container

    container, text = output(start)
    assert container.wait() == 0
    everything = (1 << len(NUMBERS)) - 1
    nested = any(space["type"] == "user" for space in bundle.config["linux"]["namespaces"])
    have = everything if nested else own.effective()
    assert {bits & everything for bits in sets(text).values()} == {have & everything}
    assert bool(container.notices) == (have & everything != everything)


def test_those_that_are_permitted_need_not_be_in_the_bounding_set(bundle):
    """They are gone with the exec, by which root gets what is in the bounding set; capabilities(7)."""
    linux = bundle.config["linux"]
    if not any(space["type"] == "user" for space in linux["namespaces"]):
        bundle.map_ids(0)
    permitted = ["CAP_KILL", "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"]
    bundle.config["process"]["capabilities"] = {
        "bounding": ["CAP_KILL"],
        "effective": permitted,
        "permitted": permitted,
    }
    kill = 1 << NUMBERS["CAP_KILL"]
    found = sets(bundle_output(bundle, "cat /proc/self/status"))
    assert found == {"CapInh:": 0, "CapPrm:": kill, "CapEff:": kill, "CapBnd:": kill, "CapAmb:": 0}
