import json
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pycgroups.containers.config import _PARSERS, AUTO, HOST, ContainerConfig
from pycgroups.containers.mounts import Mount
from pycgroups.errors import Error, InvalidConfig, Unsupported
from pycgroups.namespaces.idmap import IdMap
from pycgroups.oci.runtime_spec import Rlimit, Seccomp

LIMITS = {
    *("memory", "memory_swap", "memory_low", "memory_high", "cpus", "cpu_weight", "cpuset"),
    *("pids", "io_weight", "io_limits", "hugepages"),
}
WORDS = [field.name for field in attrs.fields(ContainerConfig) if field.init]
EVERYTHING = {
    "command": ["sh", "-c", "true"],
    "entrypoint": ["env"],
    "env": {"A": "1"},
    "cwd": "/tmp",
    "user": "1000:daemon",
    "groups": [5, "audio"],
    "umask": 0o22,
    "tty": True,
    "init": False,
    "ulimits": {"nofile": (10, 20), "core": 0},
    "oom_score_adj": 500,
    "stop_signal": "INT",
    "stop_timeout": 0,
    "log": "plain",
    "name": "web",
    "hostname": "web.example",
    "domainname": "example",
    "labels": {"a": "b"},
    "annotations": {"c": "d"},
    "memory": "64M",
    "memory_swap": "128M",
    "memory_low": "16M",
    "memory_high": "32M",
    "cpus": 1.5,
    "cpu_weight": 50,
    "cpuset": "0-1",
    "pids": 64,
    "io_weight": 50,
    "io_limits": {"/dev/vda": {"rbps": "1M", "wiops": 100}},
    "hugepages": {"2M": "4M"},
    "disk": "1G",
    "timeout": 5,
    "require_limits": False,
    "cgroup_manager": "systemd",
    "mounts": [Mount.tmpfs("/t", size="1M")],
    "volumes": {"/a": "/b:ro"},
    "read_only": True,
    "image": "host",
    "pull": "never",
    "workspace": "/srv/w",
    "network": "none",
    "dns": ["1.1.1.1"],
    "extra_hosts": {"db": "10.0.0.1"},
    "userns": "0:100000:65536",
    "namespaces": {"ipc": 1, "pid": "private"},
    "caps_add": ["NET_ADMIN"],
    "caps_drop": ["CHOWN"],
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
    "no_new_privileges": False,
    "privileged": True,
    "securebits": ["noroot"],
    "devices": ["/dev/fuse"],
    "masked_paths": [],
    "readonly_paths": ["/proc/bus"],
    "apparmor": "unconfined",
    "selinux_label": "system_u:system_r:container_t:s0",
    "sysctls": {"net.ipv4.ip_forward": 1},
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10)
    | st.sampled_from(["host", "auto", "none", "default", "0:0:1", "/a", "/proc", "64M", "1000:1", "net", "ALL", "A=1"])
    | st.sampled_from([10**400, 2**32, "9" * 5000, "\ud800", "\x1b", b"\xff", object(), object, Path("/x"), 1j])
    | st.builds(pow, st.just(10), st.just(5000))  # more digits than Python prints
)
garbage = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["net", "nofile", "/a", "net.x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def config(**words: Any) -> ContainerConfig:
    return ContainerConfig(**{"command": ["true"], **words})


def refused(error: type[Error] = InvalidConfig, /, **words: Any) -> Error:
    with pytest.raises(error) as caught:
        config(**words)
    assert str(caught.value).isprintable()
    return caught.value


def test_everything_has_its_normal_form():
    made = ContainerConfig(**EVERYTHING)
    assert made.argv == ("env", "sh", "-c", "true")
    assert made.user == (1000, "daemon")
    assert made.ulimits == (Rlimit("RLIMIT_CORE", 0, 0), Rlimit("RLIMIT_NOFILE", hard=20, soft=10))
    assert (made.stop_signal, made.stop_timeout, made.timeout) == (2, 0.0, 5.0)
    assert (made.memory, made.memory_swap, made.disk) == (64 << 20, 128 << 20, 1 << 30)
    assert (made.limits.memory, made.limits.pids) == (64 << 20, 64)
    assert made.io_limits == made.limits.io_limits == (("/dev/vda", (("rbps", 1 << 20), ("wiops", 100))),)
    assert made.volumes == (Mount.bind("/a", "/b", read_only=True),)
    assert made.userns == IdMap.parse("0:100000:65536")
    assert made.namespaces == (("ipc", "/proc/1/ns/ipc"), ("pid", "private"))
    assert made.seccomp == Seccomp(default_action="SCMP_ACT_ALLOW")
    assert made.masked_paths == ()
    assert made.environment == (("A", "1"),)


def test_the_defaults():
    made = config()
    assert (made.image, made.network, made.seccomp, made.userns) == ("host", "none", "default", AUTO)
    assert (made.init, made.no_new_privileges, made.require_limits) == (True, True, True)
    assert (made.tty, made.privileged, made.read_only) == (False, False, False)
    assert made.masked_paths is None


def test_every_option_is_in_the_test_and_in_the_docstring_and_has_a_parser():
    assert set(WORDS) == {*EVERYTHING, "env_file", "rootfs", "landlock", "isolation", "platform"}
    assert set(WORDS) == {*_PARSERS, *LIMITS}
    documented = [line.split(":")[0].strip() for line in (ContainerConfig.__doc__ or "").splitlines()]
    assert [word for word in documented if word in WORDS] == WORDS


def test_configs_are_equal_hashable_and_survive_pickling_and_copying():
    made, twin = ContainerConfig(**EVERYTHING), ContainerConfig(**EVERYTHING)
    assert made == twin
    assert hash(made) == hash(twin)
    assert pickle.loads(pickle.dumps(made)) == made
    assert attrs.evolve(made) == made
    assert attrs.evolve(made, pids=5).limits.pids == 5
    assert made != attrs.evolve(made, tty=False)


@pytest.mark.parametrize("word", WORDS)
def test_none_is_not_given(word):
    if word != "command":
        assert config(**{word: None}) == config()


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="memroy"):
        ContainerConfig(command=["true"], memroy=5)  # type: ignore[call-arg]


@settings(max_examples=500)
@given(st.sampled_from(WORDS), garbage)
def test_garbage_gives_a_config_or_an_error_of_ours(word, value):
    try:
        made = config(**{word: value})
    except (InvalidConfig, Unsupported) as error:
        assert error.path  # noqa: PT017
        assert error.operation == "option"  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        assert hash(made) == hash(attrs.evolve(made))
        assert made == attrs.evolve(made)


@given(st.dictionaries(st.sampled_from(WORDS), garbage, max_size=6))
def test_garbage_in_several_options(words):
    try:
        config(**words)
    except (InvalidConfig, Unsupported) as error:
        assert str(error).isprintable()  # noqa: PT017


@given(st.sets(st.sampled_from(sorted(EVERYTHING))))
def test_any_part_of_a_valid_config_is_valid_or_contradicts_itself(words):
    chosen = {word: EVERYTHING[word] for word in words}
    if "memory_swap" in chosen:
        chosen["memory"] = EVERYTHING["memory"]
    made = config(**chosen)
    assert made == config(**chosen)
    assert attrs.evolve(made) == made


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"command": None}, "command"),
        ({"command": []}, "command"),
        ({"memory": "12Q"}, "memory"),
        ({"memory_swap": "1G"}, "memory_swap"),
        ({"memory": "2G", "memory_swap": "1G"}, "memory_swap"),
        ({"cpus": float("nan")}, "cpus"),
        ({"cpuset": ""}, "cpuset"),
        ({"pids": 0}, "pids"),
        ({"cpu_weight": 0}, "cpu_weight"),
        ({"io_limits": {"vda": {}}}, "io_limits"),
        ({"hugepages": {"3M": 1}}, "hugepages"),
        ({"disk": 0}, "disk"),
        ({"timeout": 0}, "timeout"),
        ({"stop_timeout": -1}, "stop_timeout"),
        ({"log": "journald"}, "log"),
        ({"log": 5}, "log"),
        ({"log": {"size": 5}}, "log"),
        ({"log": {"form": "none"}}, "log.form"),
        ({"log": {"max_bytes": "4095"}}, "log.max_bytes"),
        ({"log": {"max_files": 0}}, "log.max_files"),
        ({"log": {"max_files": 1000}}, "log.max_files"),
        ({"umask": 0o1000}, "umask"),
        ({"oom_score_adj": -1001}, "oom_score_adj"),
        ({"user": "4294967296"}, "user"),
        ({"groups": [1, "4294967296"]}, "groups[1]"),
        ({"groups": "audio"}, "groups"),
        ({"tty": "yes"}, "tty"),
        ({"env": {"A": 5}}, "env['A']"),
        ({"dns": ["1.1.1.1", "1.1.1.1\noptions x"]}, "dns[1]"),
        ({"image": ""}, "image"),
        ({"image": 5}, "image"),
        ({"image": "a/UPPER"}, "image"),
        ({"image": "oci:"}, "image"),
        ({"pull": "sometimes"}, "pull"),
        ({"image": "debian", "platform": "linux/"}, "platform"),
        ({"image": "debian", "platform": "linux//v8"}, "platform"),
        ({"platform": "linux/arm64"}, "platform"),
        ({"rootfs": "/r", "platform": "linux/arm64"}, "platform"),
        ({"network": ["none"]}, "network"),
        ({"mounts": {"/a": "/b"}}, "mounts"),
        ({"mounts": ["/a"]}, "mounts[0]"),
        ({"userns": "private"}, "userns"),
        ({"userns": "keep_id"}, "userns"),
        ({"userns": "0:1"}, "userns.uids"),
        ({"namespaces": {"mnt": "host"}}, "namespaces['mnt']"),
        ({"namespaces": {"net": "bridge"}}, "namespaces['net']"),
        ({"namespaces": {"net": 0}}, "namespaces['net']"),
        ({"namespaces": {"net": "host", "network": "host"}}, "namespaces['network']"),
        ({"caps_add": ["FLY"]}, "caps_add[0]"),
        ({"caps_add": ["CHOWN"], "caps_drop": ["chown"]}, "caps_add"),
        ({"seccomp": "unconfind"}, "seccomp"),
        ({"seccomp": "strict", "no_new_privileges": False}, "seccomp"),
        ({"seccomp": {"defaultAction": 1}}, "seccomp.defaultAction"),
        ({"apparmor": "a\nb"}, "apparmor"),
        ({"selinux_label": ""}, "selinux_label"),
        ({"sysctls": {"vm.swappiness": 1}}, "sysctls['vm.swappiness']"),
        ({"landlock": {"/a": "rq"}}, "landlock['/a']"),
        ({"landlock": {"/": "rw", "/a": "r"}}, "landlock['/a']"),
        ({"landlock": {"/a": "r"}, "no_new_privileges": False}, "no_new_privileges"),
        ({"image": "host", "rootfs": "/r"}, "rootfs"),
        ({"rootfs": "/r", "disk": "1G"}, "disk"),
        ({"mounts": [Mount.tmpfs("/a")], "volumes": {"/b": "/a/"}}, "volumes[0]"),
        ({"workspace": "/w", "mounts": [Mount.tmpfs("/workspace")]}, "mounts[0]"),
        ({"userns": "host", "mounts": [Mount.bind("/a", "/b", idmap=True)]}, "mounts[0]"),
        ({"hostname": "a", "namespaces": {"uts": "host"}}, "hostname"),
        ({"domainname": "a", "namespaces": {"uts": 1}}, "domainname"),
        ({"network": "host", "sysctls": {"net.x": 1}}, "sysctls['net.x']"),
        ({"namespaces": {"ipc": "host"}, "sysctls": {"kernel.sem": "1"}}, "sysctls['kernel.sem']"),
        ({"network": "host", "namespaces": {"net": "/proc/1/ns/net"}}, "network"),
        ({"network": "host", "namespaces": {"net": "private"}}, "network"),
        ({"init": False, "namespaces": {"pid": "host"}}, "init"),
        ({"init": False, "namespaces": {"pid": 1}}, "init"),
        ({"userns": "host", "namespaces": {"user": 1}}, "userns"),
        ({"userns": "0:5:1", "namespaces": {"user": "host"}}, "userns"),
    ],
)
def test_what_is_refused_and_where(words, key):
    assert refused(**words).path == key


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"network": "bridge"}, "network"),
        ({"network": "container:x"}, "network"),
        ({"extra_hosts": {"a": "host-gateway"}}, "extra_hosts['a']"),
    ],
)
def test_what_comes_later_says_so(words, key):
    error = refused(Unsupported, **words)
    assert error.path == key
    assert error.hint


def test_disk_with_rootfs_is_only_a_wish():
    assert config(rootfs="/r", disk="1M", require_limits=False).disk == 1 << 20


def test_rootfs_replaces_the_image():
    made = config(rootfs=Path("/r"))
    assert (made.rootfs, made.image) == ("/r", None)


def test_namespaces_and_their_words_agree():
    assert config(namespaces={"net": "host"}).network == "host"
    assert config(namespaces={"user": "host"}).userns == HOST
    assert config(network="host", namespaces={"net": "host"}).network == "host"
    assert config(namespaces={"net": Path("/run/netns/x")}).namespaces == (("network", "/run/netns/x"),)
    assert config(userns="0:5:1", namespaces={"user": "private"}).userns == IdMap.parse("0:5:1")
    assert config(hostname="a", namespaces={"uts": "private"}).hostname == "a"


@pytest.mark.parametrize("given", [{"image": "host"}, {"user": 7}, {"groups": [8]}, {"hostname": "a"}, {"tty": True}])
def test_what_a_mount_namespace_of_others_goes_with(given):
    assert config(namespaces={"mnt": 5}, **given).joins_mounts
    assert config(namespaces={"mnt": "private"}, rootfs="/r", **given | {"image": None}).joins_mounts is False


def test_env_wins_over_its_files(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("A=1\nB=1\nC=1")
    two.write_text("B=2\nC=2")
    made = config(env_file=[one, two], env={"C": "3"})
    assert dict(made.environment) == {"A": "1", "B": "2", "C": "3"}
    assert config(env_file=one).environment == (("A", "1"), ("B", "1"), ("C", "1"))


def test_a_seccomp_profile_from_a_file(tmp_path):
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
    assert config(seccomp=file) == config(seccomp=str(file)) == config(seccomp=Seccomp(default_action="SCMP_ACT_ALLOW"))
    twice = '{"defaultAction": "SCMP_ACT_ERRNO", "defaultAction": "SCMP_ACT_ALLOW"}'
    for text in ("{", "[" * 100_000, "[]", "", '"unconfined"', twice):
        file.write_text(text)
        assert refused(seccomp=file).path == "seccomp"
    assert refused(seccomp=tmp_path / "none").errno == 2


def test_ten_thousand_variables_and_hosts():
    made = config(env={f"K{n}": "v" for n in range(10_000)}, extra_hosts={f"h{n}": "::1" for n in range(10_000)})
    assert len(made.environment) == len(made.extra_hosts) == 10_000
