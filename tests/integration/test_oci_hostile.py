"""`pycgroups-oci create` of a config.json that is wrong in some way: it works, or says in one line why not."""

from __future__ import annotations

import copy
import json
import os
import random
import time
from typing import Any

import pytest

from pycgroups.oci_cli import main
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("thousands of containers, and nothing of cgroups"),
]

VALUES: list[Any] = [
    None,
    [],
    {},
    -1,
    2**64,
    1.5,
    "",
    "x" * 2**20,
    True,
    "\ud800",
    "a\0b",
    "../../..",
    [[]],
    {"": {}},
    10**90,
]
TEXTS = {
    "missing": None,
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"ociVersion": "1.2.0", "process": {',
    "no UTF-8": b'{"ociVersion": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"ociVersion": "1.2.0"}'.encode("utf-16"),
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and known": b'{"ociVersion":"1.2.0","process":' + b'{"user":' * 100_000 + b"1" + b"}" * 100_001,
    "NaN": b'{"ociVersion": NaN}',
    "Infinity": b'{"ociVersion": "1.2.0", "linux": {"resources": {"memory": {"limit": Infinity}}}}',
    "huge": b'{"ociVersion": "1.2.0", "linux": {"resources": {"memory": {"limit": ' + b"9" * 10_000_000 + b"}}}}",
    "a key twice": b'{"ociVersion": "1.2.0", "ociVersion": "1.2.0"}',
    "a list": b"[]",
    "a number": b"7",
    "two documents": b"{}{}",
    "another version": b'{"ociVersion": "2.0.0", "process": {"args": ["sh"], "cwd": "/"}, "root": {"path": "."}}',
    "no version": b'{"ociVersion": "what"}',
    "NUL bytes": b"\0" * 1000,
}


@pytest.fixture
def create(bundle, capsys):
    """Create in this process, for speed, and delete again; the line that says why not, or None."""

    def call():
        words = ["--root", str(bundle.state), *(["--cgroup-manager", "disabled"] if features.lack("limits") else [])]
        began = time.process_time()
        code = main([*words, "create", "--bundle", str(bundle.path), "web"])
        assert time.process_time() - began < 30  # and not quadratic
        out, err = capsys.readouterr()
        assert (code, out) in {(0, ""), (1, "")}
        if code == 0:
            assert "level=error" not in err
            assert main([*words, "delete", "--force", "web"]) == 0
            os.waitpid(-1, 0)  # that of the container, of which this is the parent
            return None
        assert err.count("\n") == 1, err
        assert "level=error" in err
        assert "a mistake in pycgroups" not in err
        assert len(err) < 10_000
        assert not bundle.state.exists() or list(bundle.state.iterdir()) == []
        return err

    return call


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_config(bundle, create, name):
    if TEXTS[name] is not None:
        (bundle.path / "config.json").write_bytes(TEXTS[name])
    assert create()


def leaves(document, way=()):
    """Each way to a part of the document."""
    yield way
    if isinstance(document, list):
        document = dict(enumerate(document))
    if isinstance(document, dict):
        for key, item in document.items():
            yield from leaves(item, (*way, key))


def changed(document, way, value):
    """The document with another value at one place."""
    if not way:
        return value
    result = copy.deepcopy(document)
    place = result
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = value
    return result


def rich(config):
    """A config with many properties."""
    config["process"].update(
        rlimits=[{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        oomScoreAdj=100,
        consoleSize={"height": 1, "width": 1},
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4},
    )
    config["hooks"] = {"createRuntime": [{"path": "/bin/true", "args": ["true"], "env": ["A=1"], "timeout": 10}]}
    config["annotations"] = {"a": "b"}
    config["linux"].update(
        sysctl={"net.ipv4.ip_forward": "1"},
        resources={"memory": {"limit": 1 << 26}, "cpu": {"shares": 100}, "pids": {"limit": 10}},
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {
                    "names": ["reboot"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
    )
    if features.lack("limits"):
        del config["linux"]["resources"]
    return config


def test_each_part_of_a_config_made_wrong(bundle, own_root, create):
    bundle.config["root"]["path"] = str(own_root)
    config = rich(bundle.config)
    cases = [(way, value) for way in leaves(config) for value in VALUES]
    refused = 0
    for way, value in random.Random(7).sample(cases, 1000):
        (bundle.path / "config.json").write_text(json.dumps(changed(config, way, value)))
        try:
            refused += create() is not None
        except AssertionError as error:
            pytest.fail(f"{way} = {value!r:.100}: {error}")
    assert 500 < refused < 1000
