"""config.json to Spec and back."""

import copy
import functools
import json
import os
import types
import typing
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import AlreadyExists, Error, InvalidConfig, NotFound
from pycgroups.oci import kinds, resources, runtime_spec, uncommon
from pycgroups.oci.model import Model, json_name
from pycgroups.oci.reading import from_json, load_spec, read_spec
from pycgroups.oci.runtime_spec import Linux, Process, Root, Spec
from pycgroups.oci.uncommon import Hook, TimeOffset
from pycgroups.oci.writing import spec_text, write_spec

MODELS = [
    model
    for module in (runtime_spec, uncommon, resources)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Model) and model is not Model
]
NAMES = {**vars(kinds), **vars(resources), **vars(uncommon)}
MINIMAL: dict[str, typing.Any] = {"ociVersion": "1.0.0", "root": {"path": "rootfs"}}
PROCESS = {"args": ["sh"], "cwd": "/"}
MAPPING = {"containerID": 0, "hostID": 100000, "size": 65536}


def with_linux(*namespaces, **linux):
    return {**MINIMAL, "linux": {"namespaces": [{"type": kind} for kind in namespaces], **linux}}


def with_process(**process):
    return {**MINIMAL, "process": {**PROCESS, **process}}


def with_mount(**mount):
    return {**MINIMAL, "mounts": [{"destination": "/a", **mount}]}


def with_resources(**kinds):
    return with_linux(resources=kinds)


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

WRONG = [
    ([], "config.json", "allowed: an object"),
    ({}, "config.json", "'ociVersion' is missing"),
    ({"ociVersion": "1.0.0"}, "config.json", "'root' is missing"),
    ({**MINIMAL, "ociVersion": "2.0.0"}, "ociVersion", "1.x.y"),
    ({**MINIMAL, "ociVersion": "1.0"}, "ociVersion", "1.x.y"),
    ({**MINIMAL, "ociVersion": 1}, "ociVersion", "str"),
    ({**MINIMAL, "root": {}}, "root", "'path' is missing"),
    ({**MINIMAL, "root": {"path": ""}}, "root.path", "not empty"),
    ({**MINIMAL, "root": {"path": "/a\0b"}}, "root.path", "without NUL"),
    ({**MINIMAL, "root": {"path": "/", "readonly": 1}}, "root.readonly", "bool"),
    ({**MINIMAL, "process": {"args": ["sh"]}}, "process", "'cwd' is missing"),
    (with_process(cwd="tmp"), "process.cwd", "absolute"),
    (with_process(cwd=""), "process.cwd", "absolute"),
    (with_process(args=[]), "process.args", "program"),
    (with_process(args="sh"), "process.args", "a list"),
    (with_process(args=["sh", None]), "process.args[1]", "str"),
    (with_process(env=["A=\0"]), "process.env[0]", "without NUL"),
    (with_process(env=["A=\ud800"]), "process.env[0]", "Unicode"),
    (with_process(terminal="yes"), "process.terminal", "bool"),
    (with_process(consoleSize={"height": 1}), "process.consoleSize", "'width' is missing"),
    (with_process(consoleSize={"height": 1, "width": 2**16}), "process.consoleSize.width", "65535"),
    (with_process(user={"uid": -1}), "process.user.uid", "4294967295"),
    (with_process(user={"uid": 1.0}), "process.user.uid", "float"),
    (with_process(user={"uid": True}), "process.user.uid", "bool"),
    (with_process(user={"uid": "0"}), "process.user.uid", "str"),
    (with_process(user={"additionalGids": [1, 2**32]}), "process.user.additionalGids[1]", "4294967295"),
    (with_process(oomScoreAdj=1001), "process.oomScoreAdj", "1000"),
    (with_process(oomScoreAdj=""), "process.oomScoreAdj", "int"),
    (with_process(rlimits=[{"type": "RLIMIT_X", "hard": 1, "soft": 1}]), "process.rlimits[0].type", "RLIMIT_NOFILE"),
    (with_process(rlimits=[{"type": "RLIMIT_AS", "hard": 1}]), "process.rlimits[0]", "'soft' is missing"),
    (with_process(rlimits=[{"type": "RLIMIT_AS", "hard": 1, "soft": 2}]), "process.rlimits[0].soft", "hard limit, 1"),
    (with_process(rlimits=[{"type": "RLIMIT_AS", "hard": 2**64, "soft": 2}]), "process.rlimits[0].hard", "int from 0"),
    (with_process(rlimits=2 * [{"type": "RLIMIT_AS", "hard": 1, "soft": 1}]), "process.rlimits[1].type", "once"),
    (with_process(capabilities={"bounding": [1]}), "process.capabilities.bounding[0]", "str"),
    (with_process(scheduler={}), "process.scheduler", "'policy' is missing"),
    (with_process(scheduler={"policy": "SCHED_X"}), "process.scheduler.policy", "SCHED_OTHER"),
    (with_process(scheduler={"policy": "SCHED_OTHER", "nice": 20}), "process.scheduler.nice", "19"),
    (with_process(scheduler={"policy": "SCHED_FIFO", "nice": 1}), "process.scheduler.nice", "SCHED_OTHER"),
    (with_process(scheduler={"policy": "SCHED_OTHER", "priority": 1}), "process.scheduler.priority", "SCHED_FIFO"),
    (with_process(scheduler={"policy": "SCHED_RR", "period": 1}), "process.scheduler.period", "SCHED_DEADLINE"),
    (with_process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), "process.ioPriority.priority", "7"),
    (with_process(execCPUAffinity={"final": "0-x"}), "process.execCPUAffinity.final", "'0-3,7'"),
    ({**MINIMAL, "hostname": "box"}, "hostname", "'uts'"),
    ({**MINIMAL, "domainname": "box"}, "domainname", "'uts'"),
    ({**MINIMAL, "annotations": {"": "x"}}, "annotations['']", "not empty"),
    ({**MINIMAL, "annotations": {"a.b": 1}}, "annotations['a.b']", "str"),
    ({**MINIMAL, "annotations": []}, "annotations", "an object"),
    ({**MINIMAL, "mounts": [{"destination": "/"}, {}]}, "mounts[1]", "'destination' is missing"),
    (with_mount(destination=""), "mounts[0].destination", "not empty"),
    (with_mount(options=[5]), "mounts[0].options[0]", "str"),
    (with_mount(uidMappings=[MAPPING]), "mounts[0].gidMappings", "together"),
    (with_mount(gidMappings=[MAPPING]), "mounts[0].uidMappings", "together"),
    (with_mount(options=["bind", "ridmap"]), "mounts[0].options[1]", "user namespace"),
    ({**MINIMAL, "hooks": {"poststop": [{"path": "x"}]}}, "hooks.poststop[0].path", "absolute"),
    ({**MINIMAL, "hooks": {"prestart": [{"path": "/x", "timeout": 0}]}}, "hooks.prestart[0].timeout", "from 1"),
    ({**MINIMAL, "hooks": {"prestart": {}}}, "hooks.prestart", "a list"),
    (with_linux("pid", "net"), "linux.namespaces[1].type", "network"),
    (with_linux("pid", "pid"), "linux.namespaces[1].type", "once"),
    ({**MINIMAL, "linux": {"namespaces": [{"type": "pid", "path": "x"}]}}, "linux.namespaces[0].path", "absolute"),
    (with_linux(uidMappings=[MAPPING]), "linux.uidMappings", "'user'"),
    (with_linux(gidMappings=[MAPPING]), "linux.gidMappings", "'user'"),
    (with_linux("user", uidMappings=[{"containerID": 0}]), "linux.uidMappings[0]", "'hostID' is missing"),
    (with_linux(timeOffsets={"monotonic": {"secs": 1}}), "linux.timeOffsets", "'time'"),
    (with_linux("time", timeOffsets={"realtime": {}}), "linux.timeOffsets.realtime", "boottime"),
    (with_linux("time", timeOffsets={"monotonic": {"nanosecs": 10**9}}), "linux.timeOffsets.monotonic.nanosecs", "int"),
    (with_linux(netDevices={"eth0": {}}), "linux.netDevices", "'network'"),
    (with_linux("network", netDevices={"a/b": {}}), "linux.netDevices['a/b']", "15 bytes"),
    (with_linux("network", netDevices={"eth0": {"name": "x" * 16}}), "linux.netDevices.eth0.name", "15 bytes"),
    (with_linux(devices=[{"path": "/dev/x", "type": "a"}]), "linux.devices[0].type", "c"),
    (with_linux(devices=[{"path": "/dev/x", "type": "c", "major": 1}]), "linux.devices[0].minor", "type 'p'"),
    (with_linux(sysctl={"net.core.somaxconn": "1"}), "linux.sysctl['net.core.somaxconn']", "'network'"),
    (with_linux("ipc", sysctl={"vm.swappiness": "1"}), "linux.sysctl['vm.swappiness']", "fs.mqueue"),
    (with_linux("network", sysctl={"net/../vm/x": "1"}), "linux.sysctl['net/../vm/x']", "fs.mqueue"),
    (with_linux(rootfsPropagation="none"), "linux.rootfsPropagation", "rslave"),
    (with_linux(maskedPaths=["proc/kcore"]), "linux.maskedPaths[0]", "absolute"),
    (with_linux(readonlyPaths=["proc"]), "linux.readonlyPaths[0]", "absolute"),
    (with_linux(personality={"domain": "HPUX"}), "linux.personality.domain", "LINUX32"),
    (with_linux(intelRdt={"closID": ".."}), "linux.intelRdt.closID", "directory"),
    (with_linux(intelRdt={"closID": "a/b"}), "linux.intelRdt.closID", "directory"),
    (with_linux(intelRdt={"memBwSchema": "L3:"}), "linux.intelRdt.memBwSchema", "'MB:'"),
    (with_linux(intelRdt={"schemata": ["a\nb"]}), "linux.intelRdt.schemata[0]", "one line"),
    (with_linux(memoryPolicy={"mode": "MPOL_X"}), "linux.memoryPolicy.mode", "MPOL_BIND"),
    (with_linux(seccomp={"defaultAction": "A", "listenerMetadata": "x"}), "linux.seccomp.listenerMetadata", "Path"),
    (with_resources(memory={"limit": "64M"}), "linux.resources.memory.limit", "str"),
    (with_resources(memory={"limit": 2**63}), "linux.resources.memory.limit", "int from"),
    (with_resources(cpu={"shares": -1}), "linux.resources.cpu.shares", "int from 0"),
    (with_resources(cpu=[]), "linux.resources.cpu", "an object"),
    (with_resources(devices=[{"access": "rwm"}]), "linux.resources.devices[0]", "'allow' is missing"),
    (with_resources(devices=[{"allow": True, "access": "x"}]), "linux.resources.devices[0].access", "rwm"),
    (
        with_resources(hugepageLimits=[{"pageSize": "2m", "limit": 1}]),
        "linux.resources.hugepageLimits[0].pageSize",
        "MB",
    ),
    (
        with_resources(blockIO={"weightDevice": [{"major": 1, "minor": 1}]}),
        "linux.resources.blockIO.weightDevice[0]",
        "leafWeight",
    ),
    (with_resources(rdma={"mlx": {}}), "linux.resources.rdma.mlx", "hcaHandles"),
    (with_resources(unified={"../x": "1"}), "linux.resources.unified['../x']", "file"),
]


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

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=6)


@functools.cache
def values(hint):
    """Whatever an annotation allows."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return st.none() | values(arguments[0]).filter(lambda value: value != "")
    if origin is typing.Annotated:
        return ruled(arguments[0], arguments[1])
    if origin is tuple and typing.get_origin(arguments[0]) is tuple:
        name, item = map(values, typing.get_args(arguments[0]))
        return st.dictionaries(name, item, max_size=2).map(lambda pairs: tuple(pairs.items()))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if issubclass(hint, Model):
        return models(hint)
    return {str: TEXT, bool: st.booleans(), int: st.integers()}[hint]


def ruled(base, rule):
    source = getattr(rule.holds, "__self__", None)
    if isinstance(source, range):
        return st.sampled_from([source[0], source[-1]]) | st.integers(source[0], source[-1])
    if isinstance(source, frozenset):
        return st.sampled_from(sorted(source))
    if isinstance(rule.holds, functools.partial):
        (pattern,) = rule.holds.args
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: "\0" not in text)
    return values(base).filter(lambda value: bool(rule.holds(value)))


@functools.cache
def models(model):
    hints = typing.get_type_hints(model, localns=NAMES, include_extras=True)
    fields = [field.name for field in attrs.fields(model) if json_name(field) is not None]
    return st.builds(model, **{name: values(hints[name]) for name in fields})


def required(model):
    """Set what a config.json must have, and the model need not."""
    return attrs.evolve(model, root=model.root or Root(path="/")) if isinstance(model, Spec) else model


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@given(data=st.data())
def test_every_model_reads_back_from_its_json(model, data):
    value = required(data.draw(models(model)))
    assert from_json(model, plain_json(value.to_json()), "here") == value


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from([0, -1, 2**63, 2**64, "", "/", "\0", "\ud800", [], {}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
EVERYTHING = (Path(__file__).parent / "configs/everything.json").read_text()


def places(value, keys=()):
    if keys:
        yield keys
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*keys, key))


@given(st.data())
def test_a_change_anywhere_gives_a_spec_that_can_be_written_or_an_error_of_ours(data):
    document = json.loads(EVERYTHING)
    (*way, last) = data.draw(st.sampled_from(list(places(document))))
    functools.reduce(lambda place, key: place[key], way, document)[last] = data.draw(ANYTHING)
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
    assert {name: item for name, item in spec.to_json().items() if name not in known} == unknown


def test_linux_is_there_when_it_is_not():
    assert read_spec(json.dumps(MINIMAL)).linux == Linux()
