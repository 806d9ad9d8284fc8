from __future__ import annotations

import pytest

from pycgroups.cli import options
from pycgroups.cli.flags import Flag, UsageError
from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.mounts import Mount
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.security import lsm
from pycgroups.security.landlock import Landlock

RUN = (Flag("--rm", ""),)


def read(*arguments):
    words, _ = options.read("run", arguments, RUN)
    return words


def config(*arguments):
    return ContainerConfig(**read(*arguments, "--", "true"))


@pytest.mark.parametrize(
    ("arguments", "image", "command"),
    [
        (["--", "id", "-u"], None, ["id", "-u"]),
        (["host", "id", "-u"], "host", ["id", "-u"]),
        (["host", "--", "id", "-u"], "host", ["id", "-u"]),
        (["--image", "host", "id"], "host", ["id"]),
        (["--rootfs", "/x", "id", "--", "-u"], None, ["id", "--", "-u"]),
        (["--rootfs", "/x", "--", "id"], None, ["id"]),
        (["debian:13", "id"], "debian:13", ["id"]),
    ],
)
def test_what_is_the_image_and_what_the_command(arguments, image, command):
    words = read(*arguments)
    assert (words.get("image"), words["command"]) == (image, command)


@pytest.mark.parametrize("word", ["/bin/echo", "./prog", "../srv/root"])
def test_a_path_is_no_image(word):
    with pytest.raises(UsageError, match=rf"pycgroups run -- {word} .*--rootfs"):
        read(word, "hi")
    with pytest.raises(InvalidConfig, match=f"rootfs='{word}'"):
        config("--image", word)


@pytest.mark.parametrize("arguments", [[], ["--"], ["host"], ["--rootfs", "/x"]])
def test_no_command(arguments):
    with pytest.raises(UsageError, match="which program"):
        read(*arguments)


def test_an_entrypoint_is_enough():
    assert read("--entrypoint", "id", "host") == {"entrypoint": "id", "image": "host"}


def test_every_flag_is_an_option_of_run():
    own = {"security_opt", "ipc", "uts", "cgroup"}
    assert {flag.word for flag in options.FLAGS} - own <= set(ContainerConfig.__annotations__)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--cpus 1.5 -m 64m --pids-limit 9 --cpuset-cpus 0", {"cpus": 1.5, "memory": 2**26, "pids": 9, "cpuset": "0"}),
        ("--pids-limit -1", {"pids": None}),
        ("-m 1G --memory-swap -1", {"memory_swap": -1}),
        ("--memory-reservation 1M --memory-high 2M", {"memory_low": 1 << 20, "memory_high": 2 << 20}),
        ("--cpu-weight 5 --io-weight 7", {"cpu_weight": 5, "io_weight": 7}),
        ("-c 512 --blkio-weight 1000", {"cpu_weight": 50, "io_weight": 10_000}),
        ("--cpu-shares 2 --blkio-weight 100", {"cpu_weight": 1, "io_weight": 100}),
        (
            "--device-read-bps /dev/a:1m --device-write-bps /dev/b:2 --device-read-iops /dev/a:3",
            {"io_limits": (("/dev/a", (("rbps", 1 << 20), ("riops", 3))), ("/dev/b", (("wbps", 2),)))},
        ),
        ("--device-write-iops /dev/a:4", {"io_limits": (("/dev/a", (("wiops", 4),)),)}),
        ("--hugepages 2M=4M --hugepages 1G=0", {"hugepages": (("1GB", 0), ("2MB", 4 << 20))}),
        ("--timeout 0.5 --no-require-limits", {"timeout": 0.5, "require_limits": False}),
        ("--cgroup-manager systemd", {"cgroup_manager": "systemd"}),
        ("-u 7:8 --group-add 9 --group-add audio", {"user": (7, 8), "groups": (9, "audio")}),
        ("--umask 027 --no-init -w /x", {"umask": 0o27, "init": False, "cwd": "/x"}),
        ("-l a=b -l c --annotation d=e", {"labels": (("a", "b"), ("c", "")), "annotations": (("d", "e"),)}),
        ("--add-host a:1.2.3.4 --add-host b=[::1]", {"extra_hosts": (("a", "1.2.3.4"), ("b", "::1"))}),
        ("--cap-add net_admin --cap-drop ALL", {"caps_add": ("CAP_NET_ADMIN",), "caps_drop": ("ALL",)}),
        ("--sysctl net.ipv4.ip_forward=1", {"sysctls": (("net.ipv4.ip_forward", "1"),)}),
        ("--ipc host --uts private", {"namespaces": (("ipc", "host"), ("uts", "private"))}),
        (
            "--namespace net=/run/netns/a --namespace time=5 --uts host",
            {"namespaces": (("network", "/run/netns/a"), ("time", "/proc/5/ns/time"), ("uts", "host"))},
        ),
        ("--security-opt no-new-privileges", {"no_new_privileges": True}),
        ("--security-opt no-new-privileges:false", {"no_new_privileges": False}),
        ("--security-opt seccomp=unconfined", {"seccomp": "unconfined"}),
        ("--security-opt seccomp=builtin", {"seccomp": "default"}),
        ("--security-opt seccomp=strict", {"seccomp": "strict"}),
        ("--seccomp strict", {"seccomp": "strict"}),
        ("--seccomp unconfined", {"seccomp": "unconfined"}),
        ("--security-opt apparmor=mine", {"apparmor": "mine"}),
        ("--security-opt label=a_u:b_r:c_t:s0", {"selinux_label": "a_u:b_r:c_t:s0"}),
        ("--security-opt systempaths=unconfined", {"masked_paths": (), "readonly_paths": ()}),
        ("--device /dev/fuse:/dev/x:rw", {"devices": (("/dev/fuse", "/dev/x", "rw"),)}),
        ("--tmpfs /run", {"mounts": (Mount.tmpfs("/run"),)}),
        ("--tmpfs /run:size=1m,mode=700,ro", {"mounts": (Mount.tmpfs("/run", size="1m", mode=0o700, read_only=True),)}),
        ("--mount type=bind,src=/a,dst=/b,ro", {"mounts": (Mount.bind("/a", "/b", read_only=True),)}),
        ("--mount type=bind,source=/a,target=/b,readonly=false", {"mounts": (Mount.bind("/a", "/b"),)}),
        (
            "--mount type=bind,src=/a,dst=/b,idmap,bind-propagation=rslave",
            {"mounts": (Mount.bind("/a", "/b", idmap=True, propagation="rslave"),)},
        ),
        (
            "--mount type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=755",
            {"mounts": (Mount.tmpfs("/t", size="1m", mode=0o755),)},
        ),
        (
            "--landlock /a:rx --landlock /b:c:wr --landlock connect:80,443 --landlock connect:1",
            {"landlock": Landlock((("/a", "rx"), ("/b:c", "rw")), connect=(1, 80, 443))},
        ),
        ("--landlock scope:signal", {"landlock": Landlock(scopes=("signal",))}),
        ("--landlock bind:", {"landlock": Landlock(bind=())}),
        ("-v /a:/b:ro", {"volumes": (Mount.bind("/a", "/b", read_only=True),)}),
    ],
)
def test_values_reach_the_config(flags, expected):
    made = config(*flags.split())
    assert {word: getattr(made, word) for word in expected} == expected


def test_a_variable_alone_is_the_callers(monkeypatch):
    monkeypatch.setenv("MINE", "here")
    monkeypatch.delenv("NOBODYS", raising=False)
    assert config("-e", "MINE", "-e", "NOBODYS", "-e", "A=").env == (("MINE", "here"), ("A", ""))


def test_logs_in_dockers_words():
    asked = config("--log-driver", "k8s-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=3").log
    assert (asked.form, asked.max_bytes, asked.max_files) == ("plain", 2**20, 3)
    assert config("--log-opt", "max-size=-1").log.max_bytes is None


def test_a_profile_beside_us_is_a_file():
    assert read("--security-opt", "seccomp=profile.json", "--", "true")["seccomp"] == "./profile.json"
    assert read("--seccomp", "profile.json", "--", "true")["seccomp"] == "./profile.json"
    assert read("--security-opt", "seccomp=/etc/profile.json", "--", "true")["seccomp"] == "/etc/profile.json"


@pytest.mark.parametrize(
    "flags",
    [
        "--cpus many",
        "--pids-limit 1.5",
        "--cpu-weight 0",
        "--cpu-shares 99999999",
        "--blkio-weight 1001",
        "--device-read-bps /dev/a",
        "--device-read-bps a:5",
        "--device-read-iops /dev/a:1M",
        "--hugepages 2M",
        "--umask 999",
        "--log-driver journald",
        "--log-opt max-file=x",
        "--log-opt tag=x",
        "--security-opt nonsense",
        "--security-opt seccomp",
        "--add-host nonsense",
        "--mount type=moon,dst=/x",
        "--mount dst=/x",
        "--mount type=bind,dst=/x",
        "--mount type=bind,src=/a,dst=/x,sparkling",
        "--mount type=bind,src=/a,dst=/x,ro=perhaps",
        "--mount type=tmpfs,dst=/x,tmpfs-mode=rwx",
        "--tmpfs /x:noexec",
        "--tmpfs relative",
        "-m lots",
        "--network moon",
        "--landlock /a",
        "--landlock a:r",
        "--landlock scope:moon",
        "--landlock connect:http",
    ],
)
def test_wrong_values_are_refused(flags):
    with pytest.raises((UsageError, InvalidConfig, Unsupported)):
        config(*flags.split())


def test_help_tells_of_every_flag():
    text = options.usage("run", "about", RUN)
    assert all(name in text for flag in options.FLAGS for name in flag.names)
    assert max(map(len, text.splitlines())) <= 160


def test_help_for_what_is_held_leaves_out_what_it_refuses():
    run, create = (options.usage("x", "about", (), held=held) for held in (False, True))
    left_out = set(run.splitlines()) - set(create.splitlines())
    assert sorted(line.split()[0] for line in left_out) == ["--isolation", "--timeout"]


@pytest.mark.parametrize(("has_selinux", "label"), [(False, None), (True, "disable")])
def test_no_label_is_none_where_there_are_none(monkeypatch, has_selinux, label):
    monkeypatch.setattr(lsm, "has_selinux", lambda: has_selinux)
    assert read("--security-opt", "label=disable", "--", "true").get("selinux_label") == label
