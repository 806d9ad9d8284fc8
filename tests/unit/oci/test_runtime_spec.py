import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.oci import runtime_spec
from pycgroups.oci.reading import from_json
from pycgroups.oci.runtime_spec import (
    IdMapping,
    Linux,
    Model,
    NamespaceSpec,
    Process,
    Rlimit,
    Root,
    Seccomp,
    Spec,
    SyscallArg,
    SyscallRule,
    User,
)

MODELS = [cls for cls in vars(runtime_spec).values() if isinstance(cls, type) and issubclass(cls, Model)]

numbers = st.integers(0, 2**64 - 1)
words = st.text(max_size=8)
args = st.builds(SyscallArg, index=numbers, value=numbers, value_two=numbers, op=words)
rules = st.builds(
    SyscallRule,
    names=st.lists(words, min_size=1).map(tuple),
    action=words,
    errno_ret=st.none() | numbers,
    args=st.lists(args).map(tuple),
)
profiles = st.builds(
    Seccomp,
    default_action=words,
    default_errno_ret=st.none() | numbers,
    architectures=st.lists(words).map(tuple),
    flags=st.lists(words).map(tuple),
    syscalls=st.lists(rules).map(tuple),
)


def test_json_uses_the_names_of_the_specification():
    spec = Spec(
        process=Process(args=("sh",), rlimits=(Rlimit("RLIMIT_NOFILE", 2, 1),), user=User(additional_gids=(7,))),
        root=Root(path="/r"),
        annotations=(("a", "b"),),
        linux=Linux(
            namespaces=(NamespaceSpec("pid"), NamespaceSpec("network", "/proc/1/ns/net")),
            uid_mappings=(IdMapping(0, 100000, 65536),),
            sysctl=(("net.core.somaxconn", "9"),),
            cgroups_path="/x",
        ),
    )
    assert spec.to_json() == {
        "ociVersion": "1.2.0",
        "process": {
            "args": ["sh"],
            "cwd": "/",
            "terminal": False,
            "user": {"uid": 0, "gid": 0, "additionalGids": [7]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 2, "soft": 1}],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "/r", "readonly": False},
        "annotations": {"a": "b"},
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "sysctl": {"net.core.somaxconn": "9"},
            "cgroupsPath": "/x",
        },
    }


def test_undecodable_bytes_survive_json():
    process = Process(args=("\udcff",))
    assert json.loads(json.dumps(process.to_json()))["args"] == ["\udcff"]


@pytest.mark.parametrize("model", MODELS)
def test_models_are_frozen_and_have_only_hashable_field_types(model):
    assert "__dict__" not in dir(model)
    for field in attrs.fields(model) if attrs.has(model) else ():
        assert "list" not in str(field.type)
        assert "dict" not in str(field.type)


def test_a_spec_is_hashable_and_equal_to_its_twin():
    assert hash(Spec()) == hash(Spec())
    assert Spec() == Spec()


@given(profiles)
def test_a_profile_read_back_from_json_is_the_same(profile):
    assert from_json(Seccomp, json.loads(json.dumps(profile.to_json())), "seccomp") == profile


@pytest.mark.parametrize(
    ("document", "key", "word"),
    [
        ([], "seccomp", "object"),
        ({}, "seccomp", "'defaultAction' is missing"),
        ({"defaultAction": 1}, "seccomp.defaultAction", "str"),
        ({"defaultAction": "A", "archMap": []}, "seccomp", "archMap"),
        ({"defaultAction": "A", "syscalls": {}}, "seccomp.syscalls", "list"),
        ({"defaultAction": "A", "syscalls": [{"names": ["read"]}]}, "seccomp.syscalls[0]", "'action' is missing"),
        ({"defaultAction": "A", "syscalls": [{"names": [1], "action": "B"}]}, "seccomp.syscalls[0].names[0]", "str"),
        ({"defaultAction": "A", "defaultErrnoRet": True}, "seccomp.defaultErrnoRet", "int"),
    ],
)
def test_a_wrong_document_is_refused_by_key_path(document, key, word):
    with pytest.raises(InvalidConfig) as caught:
        from_json(Seccomp, document, "seccomp")
    assert caught.value.path == key
    assert word in str(caught.value)


def test_null_in_json_is_left_out():
    profile = from_json(Seccomp, {"defaultAction": "A", "syscalls": None, "defaultErrnoRet": None}, "seccomp")
    assert profile == Seccomp(default_action="A")
