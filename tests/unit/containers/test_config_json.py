"""Options on disk: every one of them comes back as it was; what cannot be kept is refused."""

from __future__ import annotations

import attrs
import pytest

import pycgroups as pc
from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.config_json import from_json, to_json
from pycgroups.containers.mounts import Mount
from pycgroups.oci.json_text import dumps, parse

EVERY = {
    "command": ["prog", "caf\udce9", "\u2603"],
    "entrypoint": ["/init"],
    "env": {"A": "1", "B": "x=y", "C": "\udcff"},
    "cwd": "/work",
    "user": "app:tape",
    "groups": [5, "video"],
    "umask": 0o027,
    "tty": True,
    "init": False,
    "ulimits": {"nofile": (10, 20), "core": "unlimited"},
    "oom_score_adj": -5,
    "stop_signal": "INT",
    "stop_timeout": 1.5,
    "log": {"form": "plain", "max_bytes": "1M", "max_files": 3},
    "name": "web",
    "hostname": "box",
    "domainname": "dom",
    "labels": {"a": "b"},
    "annotations": {"c": "d"},
    "memory": "64M",
    "memory_swap": "128M",
    "memory_low": "4M",
    "memory_high": "32M",
    "cpus": 1.5,
    "cpu_weight": 7,
    "cpuset": "0-1",
    "pids": 9,
    "io_weight": 3,
    "io_limits": {"/dev/sda": {"rbps": 5, "wiops": 6}},
    "hugepages": {"2M": "64M"},
    "disk": "8M",
    "timeout": 2.5,
    "require_limits": False,
    "cgroup_manager": "systemd",
    "mounts": [
        Mount.bind("/a", "/b", read_only=True, idmap=True, propagation="rslave", recursive=False),
        Mount.tmpfs("/t", size="1M", mode=0o700),
        Mount.overlay(["/l1", "/l2"], "/o", upper="/u", work="/w"),
    ],
    "volumes": {"/x": "/y:ro"},
    "read_only": True,
    "pull": "never",
    "workspace": "/space",
    "network": "host",
    "dns": ["9.9.9.9"],
    "extra_hosts": {"h": "10.0.0.1"},
    "userns": pc.IdMap.parse("0:100000:65536", "0:200000:1000"),
    "namespaces": {"ipc": "/proc/1/ns/ipc", "pid": "private"},
    "caps_add": ["NET_ADMIN"],
    "caps_drop": ["CHOWN"],
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]},
    "no_new_privileges": True,
    "privileged": True,
    "securebits": ["noroot"],
    "devices": ["/dev/fuse:/dev/f:rw"],
    "masked_paths": ["/proc/kcore"],
    "readonly_paths": [],
    "apparmor": "docker-default",
    "selinux_label": "system_u:system_r:container_t:s0",
    "sysctls": {"kernel.shmmax": 5},
    "landlock": {"/usr": "rx", "connect": [80, 443], "scope": "signal"},
}
ELSEWHERE = {"env_file", "rootfs", "image", "isolation", "platform"}
"These exclude others, or are the subject of tests of their own."


def back(config: ContainerConfig) -> ContainerConfig:
    return from_json(parse(dumps(to_json(config)), "config"))


def test_every_option_is_tried():
    assert {field.name for field in attrs.fields(ContainerConfig) if field.init} == EVERY.keys() | ELSEWHERE


@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"command"}))
def test_an_option_comes_back(name):
    needed = {"memory_swap": ["memory"], "landlock": ["no_new_privileges"]}.get(name, [])
    config = ContainerConfig(command="x", **{one: EVERY[one] for one in [name, *needed]})
    assert back(config) == config


def test_all_at_once_come_back():
    config = ContainerConfig(**{name: value for name, value in EVERY.items() if name not in {"init", "sysctls"}})
    assert back(config) == config


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rootfs": "/srv/root"},
        {"image": "debian:13"},
        {"image": "oci:/dir:tag"},
        {"image": "debian:13", "platform": "linux/arm64/v8"},
        {"isolation": "process"},
        {"isolation": "none", "pids": 5},
        {"userns": "keep-id"},
        {"userns": "host"},
        {"namespaces": {"user": "host"}},
        {"namespaces": None, "landlock": {"/": "r"}},
        {"seccomp": "strict"},
        {
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "archMap": [],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
            }
        },
    ],
    ids=str,
)
def test_other_configurations_come_back(options):
    config = ContainerConfig(command="x", **options)
    assert back(config) == config


def test_files_of_variables_are_kept_as_they_were(tmp_path):
    file = tmp_path / "env"
    file.write_text("A=1\nB=2\n")
    config = ContainerConfig(command="x", env_file=str(file), env={"B": "3"})
    file.unlink()
    assert back(config).environment == (("A", "1"), ("B", "3"))


def test_what_is_of_this_process_alone_is_refused():
    with (
        pc.Namespace.open("/proc/self/ns/net") as space,
        pytest.raises(pc.InvalidConfig, match="kept on disk") as caught,
    ):
        to_json(ContainerConfig(command="x", namespaces={"net": space}))
    assert caught.value.path == "namespaces"


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        5,
        {"no_such": 1},
        {"memory": {}},
        {"mounts": 5},
        {"mounts": [5]},
        {"mounts": [{"kind": "bind"}]},
        {"userns": 5},
        {"userns": {"uids": [[1]]}},
        {"landlock": []},
        {"landlock": {}},
        {"landlock": {"paths": 5}},
        {"landlock": {"paths": [["/", 7]]}},
        {"landlock": {"paths": [["/"]]}},
        {"landlock": {"paths": [["/a\0", "r"]]}},
        {"landlock": {"scopes": ["x"]}},
        {"ulimits": [{"type": "RLIMIT_CORE"}]},
        {"seccomp": [[]]},
        {"command": {}},
        {"user": [1, 2, 3]},
        {"image": 7},
    ],
    ids=str,
)
def test_garbage_is_an_error_of_ours(document):
    with pytest.raises(pc.Error):
        from_json(document)
