"""config.json to Spec and back."""

import copy
import json
import os
import subprocess
import sys
import typing

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound
from pycgroups.oci import resources, uncommon
from pycgroups.oci.json_text import dumps, parse
from pycgroups.oci.model import Model, json_name
from pycgroups.oci.one_line import one_line
from pycgroups.oci.reader import config_text
from pycgroups.oci.reading import from_json, load_spec, part_of, read_spec, spec_of
from pycgroups.oci.resources import Resources
from pycgroups.oci.runtime_spec import Linux, Process, Root, Spec
from pycgroups.oci.uncommon import Hook, TimeOffset
from pycgroups.oci.writing import spec_text, write_spec
from tests.unit.oci.documents import (
    ANYTHING,
    CHANGED,
    HOSTILE,
    MAPPING,
    MINIMAL,
    MODELS,
    NAMES,
    PROCESS,
    WRONG,
    models,
    required,
    with_linux,
    with_mount,
    with_process,
)

SLOW = {
    *("attrs", "attr", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect", "json", "pathlib"),
    *("re", "typing"),
}


def plain_json(value):
    return json.loads(json.dumps(value))


# -- files -------------------------------------------------------------------------------------------------------


def test_what_is_written_reads_as_the_same(config, tmp_path):
    spec = load_spec(config)
    write_spec(spec, tmp_path / "config.json")
    again = load_spec(tmp_path / "config.json")
    assert again == spec
    assert hash(again) == hash(spec)
    assert spec.extra == ()


def test_what_a_file_says_is_written(config):
    """And no more but defaults."""

    def within(part, whole):
        if isinstance(part, dict):
            return all(name in whole and within(item, whole[name]) for name, item in part.items())
        if isinstance(part, list):
            return len(part) == len(whole) and all(map(within, part, whole))
        return part == whole and type(part) is type(whole)

    text = config.read_text()
    assert within(json.loads(text), read_spec(text).to_json())


def test_a_file_with_every_property_is_written_as_it_was(everything):
    document = json.loads(everything.read_text())
    assert load_spec(everything).to_json() == document


def test_the_file_with_every_property_has_every_property(everything):
    def properties(model, prefix=""):
        hints = typing.get_type_hints(model, localns=NAMES)
        for field in attrs.fields(model):
            name = json_name(field)
            if name is None:
                continue
            inner = [
                each for each in flattened(hints[field.name]) if isinstance(each, type) and issubclass(each, Model)
            ]
            yield from properties(inner[0], f"{prefix}.{name}") if inner else [f"{prefix}.{name}"]

    def flattened(hint):
        yield hint
        for inner in typing.get_args(hint):
            yield from flattened(inner)

    def present(document, prefix=""):
        for name, item in document.items():
            inner = [each for each in (item if isinstance(item, list) else [item]) if isinstance(each, dict)]
            if name in {"netDevices", "timeOffsets", "rdma"}:
                inner = list(item.values())
            yield f"{prefix}.{name}"
            for each in inner:
                yield from present(each, f"{prefix}.{name}")

    missing = set(properties(Spec)) - set(present(json.loads(everything.read_text())))
    assert missing == {".linux.personality.flags"}  # the specification knows none


def test_reading_gives_the_models(everything):
    spec = load_spec(everything)
    hook = Hook(path="/usr/libexec/createruntime", args=("createruntime", "x"), env=("A=b",), timeout=5)
    assert spec.hooks.create_runtime == (hook,)
    assert dict(spec.linux.time_offsets)["boottime"] == TimeOffset(secs=-604800)
    assert spec.process.rlimits[0].hard == 2**64 - 1
    assert spec.process.io_priority.class_ == "IOPRIO_CLASS_BE"


def test_silence_means_what_it_means_to_runc():
    spec = read_spec(json.dumps({**MINIMAL, "process": PROCESS}))
    assert spec == Spec(
        oci_version="1.0.0", root=Root(path="rootfs"), process=Process(args=("sh",), no_new_privileges=False)
    )
    assert read_spec(json.dumps(MINIMAL)).process is None
    assert from_json(resources.Resources, {"pids": {}}, "resources").pids.limit == -1


def test_null_and_an_empty_string_are_left_out():
    document = with_mount(type="", source=None, options=None)
    document.update(hostname="", process=None, hooks=None)
    spec = read_spec(json.dumps(document))
    assert spec == read_spec(json.dumps({**MINIMAL, "mounts": [{"destination": "/a"}]}))


def test_an_empty_object_is_not_left_out():
    spec = read_spec(json.dumps(with_linux(resources={}, intelRdt={}, netDevices={})))
    assert spec.linux.resources == resources.Resources()
    assert spec.linux.intel_rdt == uncommon.IntelRdt()
    assert spec.to_json()["linux"] == {"resources": {}, "intelRdt": {"enableMonitoring": False}}


@pytest.mark.parametrize("text", ["\udcff", "\u00e9", "\U0001f600"])
def test_undecodable_bytes_and_all_of_unicode_survive(text):
    spec = Spec(root=Root(path="/"), process=Process(args=(text,)))
    assert read_spec(spec_text(spec)) == spec
    assert spec_text(spec).isascii()


# -- unknown properties ------------------------------------------------------------------------------------------


def test_unknown_properties_are_kept_and_do_nothing():
    document = {
        **MINIMAL,
        "extra": "a property of this name is unknown, too",
        "windows": {"layerFolders": ["C:\\"], "n": [1.5, 2**70, None, True, "\ud800"]},
        "process": {**PROCESS, "commandLine": "cmd", "user": {"uid": 1, "gid": 1, "username": "me"}},
        "mounts": [{"destination": "/a"}, {"destination": "/b", "x-y": {}}],
        "linux": {
            "intelRdt": {"enableCMT": True},
            "netDevices": {"e.0": {"x": 1}},
            "namespaces": [{"type": "network"}],
        },
    }
    spec = read_spec(json.dumps(document))
    assert attrs.evolve(spec, extra=()) == read_spec(json.dumps(without_unknown(document)))
    written = spec.to_json()
    assert written["extra"] == document["extra"]
    assert written["windows"] == document["windows"]
    assert written["process"]["commandLine"] == "cmd"
    assert written["process"]["user"]["username"] == "me"
    assert written["mounts"] == document["mounts"]
    assert written["linux"]["intelRdt"]["enableCMT"] is True
    assert written["linux"]["netDevices"] == {"e.0": {"x": 1}}
    assert read_spec(json.dumps(written)) == spec
    assert hash(spec) == hash(read_spec(json.dumps(written)))


def without_unknown(document):
    document = copy.deepcopy(document)
    del document["extra"], document["windows"], document["process"]["commandLine"]
    del document["process"]["user"]["username"], document["mounts"][1]["x-y"]
    del document["linux"]["intelRdt"]["enableCMT"], document["linux"]["netDevices"]["e.0"]["x"]
    return document


def test_an_unknown_property_whose_place_is_gone_is_not_written():
    document = with_mount(strange=1)
    document["process"] = {**PROCESS, "strange": 2}
    spec = attrs.evolve(read_spec(json.dumps(document)), mounts=(), process=None)
    assert "strange" not in spec_text(spec)


def test_a_part_of_a_config_is_read_strictly_or_not():
    document = {**PROCESS, "strange": 1}
    assert from_json(Process, document, "process", strict=False).args == ("sh",)
    with pytest.raises(InvalidConfig, match="unknown property 'strange', allowed: args, cwd"):
        from_json(Process, document, "process")


# -- errors name the key path ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "key", "word"), WRONG, ids=[key for _, key, _ in WRONG])
def test_what_is_wrong_is_named_by_its_key_path(document, key, word):
    with pytest.raises(InvalidConfig) as caught:
        read_spec(json.dumps(document))
    assert caught.value.path == key
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        with_process(capabilities={"bounding": ["CAP_OF_TOMORROW"]}),  # a warning, says config.md
        with_process(user={}),
        with_mount(destination="relative"),
        with_mount(options=["idmap"], uidMappings=[MAPPING], gidMappings=[MAPPING]),
        {**with_linux("user"), "mounts": [{"destination": "/a", "options": ["idmap"]}]},
        with_linux("user", uidMappings=[MAPPING]),
        with_linux("network", sysctl={"net/ipv4/conf/eth0.1/forwarding": "1"}),
        with_linux("network", netDevices={"eth0": {"name": "eth%d"}}),
        with_linux(intelRdt={"closID": "/"}),
        with_linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "unknown": 1}),
        {**MINIMAL, "ociVersion": "1.0.2-dev"},
        {**MINIMAL, "ociVersion": "1.3.0+build.5"},
    ],
    ids=str,
)
def test_what_runtimes_take_is_taken(document):
    spec = read_spec(json.dumps(document))
    assert read_spec(spec_text(spec)) == spec


# -- the file ----------------------------------------------------------------------------------------------------


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound) as caught:
        load_spec(tmp_path / "config.json")
    assert caught.value.path == str(tmp_path / "config.json")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(InvalidConfig):
            load_spec(path)


def test_a_pipe_is_read_where_one_may_be():
    read, write = os.pipe()
    os.write(write, b"{}")
    os.close(write)
    with pytest.raises(InvalidConfig):
        config_text(f"/dev/fd/{read}")
    assert config_text(f"/dev/fd/{read}", pipe=True) == b"{}"
    os.close(read)


def test_writing_replaces_nothing_and_keeps_secrets(tmp_path):
    path = tmp_path / "config.json"
    write_spec(Spec(root=Root(path="rootfs")), path)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    with pytest.raises(AlreadyExists):
        write_spec(Spec(root=Root(path="other")), path)
    assert path.read_text() == text
    with pytest.raises(Error):
        write_spec(Spec(), tmp_path / "none/config.json")


# -- properties --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@given(data=st.data())
def test_every_model_reads_back_from_its_json(model, data):
    value = required(data.draw(models(model)))
    assert from_json(model, plain_json(value.to_json()), "here") == value


@given(st.data())
def test_a_change_anywhere_gives_a_spec_that_can_be_written_or_an_error_of_ours(data):
    document = data.draw(CHANGED)
    try:
        spec = read_spec(json.dumps(document))
    except InvalidConfig:
        return
    assert read_spec(spec_text(spec)) == spec
    assert isinstance(hash(spec), int)


@given(st.dictionaries(st.text(max_size=4), ANYTHING, max_size=3))
def test_unknown_properties_are_written_as_they_were(unknown):
    spec = read_spec(json.dumps({**unknown, **MINIMAL}))
    known = {json_name(field) for field in attrs.fields(Spec)} | {"linux"}
    written = {name: item for name, item in spec.to_json().items() if name not in known}
    assert written == {name: item for name, item in unknown.items() if name not in known}


def test_linux_is_there_when_it_is_not():
    assert read_spec(json.dumps(MINIMAL)).linux == Linux()


# -- for who writes nothing back ---------------------------------------------------------------------------------


def run_of(text):
    return spec_of(parse(text, "config.json"))


def outcome(read, text):
    """Return what was read, or what the error says."""
    try:
        return attrs.evolve(read(text), extra=())
    except InvalidConfig as error:
        return error.path, str(error)


def test_unknown_properties_are_left_out():
    known = json.dumps({**MINIMAL, "process": PROCESS})
    unknown = json.dumps({**MINIMAL, "windows": {}, "process": {**PROCESS, "strange": [1]}})
    assert run_of(unknown) == run_of(known) == read_spec(known)
    assert part_of(Process, {**PROCESS, "strange": 1}, "process").args == ("sh",)


@given(CHANGED)
def test_but_for_them_it_reads_the_same(document):
    text = json.dumps(document)
    assert outcome(run_of, text) == outcome(read_spec, text)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gives_the_same_error(name):
    same = outcome(read_spec, HOSTILE[name])
    if name == "deeper than is written back":  # nothing is written back
        assert "nested too deeply" in same[1]
        assert run_of(HOSTILE[name])
    else:
        assert outcome(run_of, HOSTILE[name]) == same


def test_a_part_by_itself_is_what_it_is_in_the_file(everything):
    whole, document = load_spec(everything), json.loads(everything.read_text())
    assert part_of(Process, document["process"], "process") == whole.process
    assert part_of(Resources, document["linux"]["resources"], "resources") == whole.linux.resources


def test_a_part_by_itself_is_checked():
    limits = [{"type": "RLIMIT_AS", "hard": 1, "soft": 2}]
    with pytest.raises(InvalidConfig, match="hard limit, 1") as caught:
        part_of(Process, {**PROCESS, "rlimits": limits}, "exec")
    assert caught.value.path == "exec.rlimits[0].soft"
    with pytest.raises(InvalidConfig) as caught:
        part_of(Resources, {"unified": {"../x": "1"}}, "resources")
    assert caught.value.path == "resources.unified['../x']"


def test_reading_loads_nothing_slow(config):
    program = f"""
import sys
sys.path[:] = {sys.path!r}
before = set(sys.modules)
from pycgroups.oci.reading import load_spec
load_spec({str(config)!r})
from pycgroups.oci.json_text import dumps
dumps({{"pid": 1}})
print(*set(sys.modules) - before)
"""
    # -S: a site-packages with .pth files imports what it likes.
    out = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, check=True, text=True).stdout
    loaded = set(out.split())
    assert "pycgroups.oci.reading" in loaded
    assert loaded & SLOW == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_default_of_a_model_is_what_its_silence_means(model):
    for field in attrs.fields(model):
        if isinstance(field.default, Model):
            assert field.default == from_json(type(field.default), {}, "here")


def test_in_one_line(config, everything):
    for path in (config, everything):
        spec = load_spec(path)
        for each in (spec, attrs.evolve(spec, extra=())):
            assert one_line(each) == dumps(each.to_json())
            assert one_line(each) == dumps(each.to_json())  # of what was kept
