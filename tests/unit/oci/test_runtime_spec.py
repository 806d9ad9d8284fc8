import json
import subprocess
import sys

import attrs
import pytest

from pycgroups.errors import InvalidConfig
from pycgroups.oci import resources, runtime_spec, uncommon
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
    User,
)

MODELS = [
    cls
    for module in (runtime_spec, resources, uncommon)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Model)
]


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
    with pytest.raises(AttributeError):
        object.__new__(model).process = None
    for field in attrs.fields(model) if attrs.has(model) else ():
        assert "list" not in str(field.type)
        assert "dict" not in str(field.type)


def test_a_spec_is_hashable_and_equal_to_its_twin():
    assert hash(Spec()) == hash(Spec())
    assert Spec() == Spec()


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


def test_the_uncommon_classes_are_found_with_the_others():
    assert runtime_spec.Hooks is uncommon.Hooks
    with pytest.raises(AttributeError):
        _ = runtime_spec.NoSuchClass


def test_a_run_does_not_load_the_uncommon_classes():
    program = "import sys, pycgroups; pycgroups.run; import pycgroups.containers.spec; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = {name for name in out.split() if name.startswith("pycgroups.oci.")}
    assert loaded == {"pycgroups.oci.model", "pycgroups.oci.runtime_spec"}
