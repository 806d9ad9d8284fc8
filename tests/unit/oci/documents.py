"""Documents and models to try the readers with: right ones, wrong ones, and whatever hypothesis thinks of."""

import functools
import json
import types
import typing
from pathlib import Path

import attrs
from hypothesis import strategies as st

from pycgroups.oci import kinds, resources, runtime_spec, uncommon
from pycgroups.oci.json_text import LARGEST_TEXT
from pycgroups.oci.model import Model, json_name
from pycgroups.oci.runtime_spec import Root, Spec

MODELS = [
    model
    for module in (runtime_spec, uncommon, resources)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Model) and model is not Model
]
KINDS = {name: typing.Annotated[kind] for name, kind in vars(kinds).items() if type(kind) is tuple}
NAMES = {**KINDS, **vars(resources), **vars(uncommon)}
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


# -- wrong documents, the key path that the error names, and a word of it ----------------------------------------

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
    (with_process(user={"uid": 2**32 - 1}), "process.user.uid", "4294967294"),
    (with_process(user={"gid": 2**32 - 1}), "process.user.gid", "4294967294"),
    (with_process(user={"uid": -1}), "process.user.uid", "4294967294"),
    (with_process(user={"uid": 1.0}), "process.user.uid", "float"),
    (with_process(user={"uid": True}), "process.user.uid", "bool"),
    (with_process(user={"uid": "0"}), "process.user.uid", "str"),
    (with_process(user={"additionalGids": [1, 2**32]}), "process.user.additionalGids[1]", "4294967294"),
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
    (with_process(scheduler={"policy": "SCHED_FIFO", "nice": 20}), "process.scheduler.nice", "19"),
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
    (with_linux("uts", sysctl={"kernel/hostname": "x"}), "linux.sysctl['kernel/hostname']", "property hostname"),
    (
        {**with_linux("uts", sysctl={"kernel.domainname": "x"}), "domainname": "y"},
        "linux.sysctl['kernel.domainname']",
        "'y', the property domainname",
    ),
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
    (with_linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0-9876543210"}), "linux.memoryPolicy.nodes", "below 8192"),
    (with_process(execCPUAffinity={"final": f"1,{'9' * 5000}"}), "process.execCPUAffinity.final", "below 8192"),
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


# -- hostile texts -----------------------------------------------------------------------------------------------

START = '{"ociVersion": "1.0.0", "root": {"path": "r"}, '
START_OF_PROCESS = START + '"process": {"args": ["a"], "cwd": "/", '
DEEP = 100_000
DIGITS = "1" * 8_000_000
HOSTILE = {
    "nothing": b"",
    "blank": b" \n",
    "half": START[:-2],
    "two documents": START[:-2] + "} {}",
    "no object": "5",
    "a comment": START + "/* no */}",
    "a comma too many": START + "}",
    "lists in lists": START + '"x": ' + "[" * DEEP + "]" * DEEP + "}",
    "objects in objects": START + '"x": ' + '{"x":' * DEEP + "1" + "}" * DEEP + "}",
    "deeper than is written back": START + '"x": ' + "[" * 70 + "1" + "]" * 70 + "}",
    "lists without end": "[" * (LARGEST_TEXT - 1),
    "a list of lists where text belongs": START + '"hostname": ' + "[" * DEEP + "]" * DEEP + "}",
    "a long integer": START + f'"x": {DIGITS}}}',
    "a long integer where one belongs": START_OF_PROCESS + f'"oomScoreAdj": -{DIGITS}}}}}',
    "a long fraction where an int belongs": START_OF_PROCESS + f'"oomScoreAdj": 0.{DIGITS}}}}}',
    "NaN": START + '"x": NaN}',
    "Infinity": START + '"x": Infinity}',
    "minus Infinity": START + '"x": -Infinity}',
    "a number above all": START + '"x": 1e999}',
    "the same key twice": START + '"hostname": "a", "hostname": "b"}',
    "the same key twice, unknown": START + '"x": {"y": 1, "y": 1}}',
    "the same key twice, written differently": START + r'"x": 1, "\u0078": 2}',
    "a byte order mark": b"\xef\xbb\xbf" + START.encode()[:-2] + b"}",
    "a byte order mark, decoded": "\ufeff" + START[:-2] + "}",
    "UTF-16": (START[:-2] + "}").encode("utf-16"),
    "UTF-16 without a mark": (START[:-2] + "}").encode("utf-16-le"),
    "UTF-32": (START[:-2] + "}").encode("utf-32"),
    "Latin-1": (START + '"hostname": "é"}').encode("latin-1"),
    "half a surrogate pair": START + r'"annotations": {"a": "\ud83d"}}',
    "the wrong way round": START + r'"annotations": {"\ude00\ud83d": "a"}}',
    "a surrogate as UTF-8": START.encode() + b'"hostname": "\xed\xa0\x80"}',
    "too long as UTF-8": START.encode() + b'"hostname": "\xc0\xaf"}',
    "a control character": START + '"hostname": "a\nb"}',
    "NUL": START + r'"annotations": {"a": "b\u0000c"}}',
    "50 MB": START + '"x": "' + "a" * 50_000_000 + '"}',
    "50 MB of bytes": b" " * 50_000_000,
}


# -- strategies --------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=6)


BIT = "0*([0-9]{1,3}|[0-7][0-9]{3}|80[0-9]{2}|81[0-8][0-9]|819[01])"  # below 8192

# What the rules of `kinds` say that are no number and no word of a list.
PATTERNS = {
    kinds._is_version: r"1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)([-+][-+.0-9A-Za-z]+)?",
    kinds._is_absolute: r"(?s)/.*",
    kinds._is_number_list: rf"{BIT}(-{BIT})?(, *{BIT}(-{BIT})?)*",
    kinds._is_page_size: r"[1-9][0-9]*[KMG]B",
    kinds._is_access: r"[rwm]+",
    kinds._is_interface: r"(?!\.{1,2}\Z)[!-.0-9;-~\x01-\x08\x0e-\x1b\x7f]{1,15}",
    kinds._is_class_of_service: r"/|(?!\.{1,2}$)[^/\n]+",
    kinds._is_one_line: r"[^\n]*",
    kinds._is_bandwidth: r"MB:[^\n]*",
}


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
    if rule.holds in PATTERNS:
        return st.from_regex(PATTERNS[rule.holds], fullmatch=True).filter(lambda text: "\0" not in text)
    return values(base).filter(lambda value: bool(rule.holds(value)))


@functools.cache
def models(model):
    hints = typing.get_type_hints(model, localns=NAMES, include_extras=True)
    fields = [field.name for field in attrs.fields(model) if json_name(field) is not None]
    return st.builds(model, **{name: values(hints[name]) for name in fields})


def required(model):
    """Set what a config.json must have, and the model need not."""
    return attrs.evolve(model, root=model.root or Root(path="/")) if isinstance(model, Spec) else model


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


@st.composite
def changed(draw):
    document = json.loads(EVERYTHING)
    (*way, last) = draw(st.sampled_from(list(places(document))))
    functools.reduce(lambda place, key: place[key], way, document)[last] = draw(ANYTHING)
    return document


CHANGED = changed()
"""The document with every property, with one of them changed into anything."""
