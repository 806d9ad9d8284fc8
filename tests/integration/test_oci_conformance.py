"""runtime-tools' validation programs with `pycgroups-oci`: what passes passes, and of the rest is known why."""

from __future__ import annotations

import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests import conformance
from tests.conformance import suite
from tests.worlds import features

pytestmark = [pytest.mark.long, pytest.mark.requires("root", "limits", "conformance")]

RUNTIME = f"{sysconfig.get_path('scripts')}/pycgroups-oci"
EXPECTED = tomllib.loads(Path(conformance.__file__).with_name("expected.toml").read_text())
HIERARCHY = "cgroup_v1" if features.lack("cgroup_v2") else "cgroup_v2"
HERE = {**EXPECTED["everywhere"], **EXPECTED[HIERARCHY]}


def test_each_program_is_listed():
    assert sorted(HERE) == suite.names()


@pytest.mark.parametrize("name", sorted(HERE))
def test_program(name):
    if name in EXPECTED["needs"] and (reason := features.lack(EXPECTED["needs"][name])):
        pytest.skip(reason)
    verdict = suite.run(name, RUNTIME)
    if HERE[name] == "passes":
        assert verdict.passed, verdict.output
    else:
        assert not verdict.passed, f"{name} passes by now: it has to be listed so"
