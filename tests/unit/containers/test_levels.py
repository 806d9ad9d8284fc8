"""Levels of isolation: what each takes, refuses, and is made of; nothing is started."""

from __future__ import annotations

import attrs
import pytest

from pycgroups.containers import levels
from pycgroups.containers.config import HOST, ContainerConfig
from pycgroups.containers.mounts import Mount
from pycgroups.errors import InvalidConfig
from pycgroups.namespaces.idmap import IdMap

RULES = {"/usr": "rx"}
OF_CONTAINERS = [
    {"hostname": "a"},
    {"domainname": "a"},
    {"tty": True},
    {"init": False},
    {"disk": "1M"},
    {"mounts": [Mount.tmpfs("/t")]},
    {"volumes": {"/a": "/b"}},
    {"workspace": "/w"},
    {"devices": ["/dev/fuse"]},
    {"masked_paths": ["/proc/kcore"]},
    {"masked_paths": []},
    {"readonly_paths": ["/proc"]},
    {"read_only": True},
    {"rootfs": "/r"},
    {"image": "host"},
    {"pull": "always"},
    {"dns": ["1.1.1.1"]},
    {"extra_hosts": {"a": "1.1.1.1"}},
    {"network": "none"},
    {"userns": "auto"},
    {"userns": "0:100000:65536"},
    {"userns": IdMap.single()},
    {"namespaces": {"ipc": "host"}},
    {"namespaces": {"net": "private"}},
    {"sysctls": {"net.ipv4.ip_forward": 1}},
    {"privileged": True},
]
OF_PROCESSES = [
    {"caps_add": ["KILL"]},
    {"caps_drop": ["ALL"]},
    {"seccomp": "default"},
    {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
    {"securebits": ["noroot"]},
    {"apparmor": "mine"},
    {"selinux_label": "a_u:b_r:c_t:s0"},
    {"landlock": RULES},
]
OF_ALL = [
    {"log": "plain"},
    {"cwd": "/tmp"},
    {"env": {"A": "1"}},
    {"user": 5},
    {"groups": [5]},
    {"umask": 0},
    {"ulimits": {"nofile": 5}},
    {"oom_score_adj": 5},
    {"stop_signal": 5},
    {"name": "a"},
    {"labels": {"a": "b"}},
    {"annotations": {"a": "b"}},
    {"memory": "64M", "pids": 5},
    {"timeout": 5},
    {"require_limits": False},
    {"network": "host"},
    {"userns": "host"},
    {"seccomp": "unconfined"},
    {"no_new_privileges": False},
    {"read_only": False, "tty": False, "init": True, "mounts": [], "volumes": {}, "namespaces": {}, "caps_add": ()},
]


def config(level, **words):
    return ContainerConfig(command=["true"], isolation=level, **words)


@pytest.mark.parametrize("level", ["process", "none"])
@pytest.mark.parametrize("words", OF_CONTAINERS, ids=str)
def test_what_takes_a_container(words, level):
    (option,) = words
    assert getattr(config("container", **words), option) is not None
    with pytest.raises(InvalidConfig) as caught:
        config(level, **words)
    assert caught.value.path == option
    assert "isolation='container'" in str(caught.value)
    assert repr(level) in str(caught.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"network": "none"}, "network: 'none' needs isolation='container', for it takes a network namespace"),
        ({"volumes": {"/a": "/b"}}, "volumes: it needs isolation='container', for it takes a mount namespace"),
        ({"landlock": RULES}, "landlock: it needs isolation='process', for it takes rules of its own"),
    ],
    ids=str,
)
def test_the_error_says_what_was_written_and_no_inner_form(words, told):
    with pytest.raises(InvalidConfig) as caught:
        config("none", **words)
    assert str(caught.value) == f"option {told}; leave it out with 'none'"


@pytest.mark.parametrize("words", OF_PROCESSES, ids=str)
def test_what_takes_a_process_of_its_own(words):
    (option,) = words
    config("process", **words)
    with pytest.raises(InvalidConfig) as caught:
        config("none", **words)
    assert caught.value.path == option
    assert "isolation='process'" in str(caught.value)


@pytest.mark.parametrize("level", levels.LEVELS)
@pytest.mark.parametrize("words", OF_ALL, ids=str)
def test_what_all_have(words, level):
    made = config(level, **words)
    assert made == config(level, **words)
    assert attrs.evolve(made) == made
    assert hash(made)


def test_every_option_belongs_to_some_level():
    """A new one has to be thought of: what would it be without namespaces?"""
    thought_of = {option for words in (*OF_CONTAINERS, *OF_PROCESSES, *OF_ALL) for option in words}
    options = {field.name for field in attrs.fields(ContainerConfig) if field.init}
    of_limits = {option for option in options if option.startswith(("memory_", "cpu", "io_"))} | {"hugepages"}
    of_images = {"platform"}  # an image takes a container, and without one it is refused anyway
    of_command = {"command", "entrypoint", "env_file", "stop_timeout", "cgroup_manager", "isolation"}
    assert options - of_limits - of_images - of_command == thought_of


@pytest.mark.parametrize("level", ["vm", "CONTAINER", "", 5, ["process"]])
def test_no_other_level(level):
    with pytest.raises(InvalidConfig, match="'container' or 'process' or 'none'") as caught:
        config(level)
    assert caught.value.path == "isolation"


def test_the_usual_level():
    assert ContainerConfig(command=["true"]).isolation == "container"
    assert config(None) == config("container")
    assert config(None, namespaces=None).isolation == "container"
    assert config(None, landlock=RULES).isolation == "container"
    assert config(None, namespaces=None, landlock=RULES) != config(None, landlock=RULES)


def test_the_other_spelling():
    words = {"command": ["true"], "namespaces": None, "landlock": RULES}
    assert ContainerConfig(**words) == config("process", landlock=RULES)
    assert ContainerConfig(**words, isolation="container").isolation == "container"
    assert ContainerConfig(**words, isolation="process").isolation == "process"


def test_a_copy_at_another_level_is_no_weaker_container():
    """What a level does not have is not said to be off: it would be off in a container, too."""
    for level in ("process", "none"):
        made = attrs.evolve(config(level), isolation="container")
        assert made == config("container")
        assert (made.network, made.seccomp, made.userns != HOST) == ("none", "default", True)
