"""Detection on hosts as there are: what their mountinfo and cgroup files say, and what is made of it."""

from __future__ import annotations

import attrs
import pytest

from pycgroups.cgroups import detect

ALL = "cpuset cpu io memory hugetlb pids rdma misc"


@attrs.frozen(kw_only=True)
class Host:
    """A host: in its texts and names "@" is the root directory.

    Attributes:
        mounts: of /proc/self/mountinfo the lines that matter.
        own: /proc/self/cgroup.
        cgroups: the directories of cgroups that are visible there.
        top: the v2 mount, if any, and its controllers.
        real_root: whether that is the root of the hierarchy.
        kind: what `kind` says, and so on.
    """

    mounts: str
    own: str
    cgroups: tuple[str, ...]
    top: str | None = None
    controllers: str = ALL
    real_root: bool = True
    kind: str
    places: dict[str, str]
    read_only: bool = False
    partial: bool = False


SYSTEMD_V1 = """\
25 30 0:23 / @/sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
31 25 0:26 / @/sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
32 31 0:27 / @/sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:28 / @/sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
37 31 0:32 / @/sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
38 31 0:33 / @/sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
39 31 0:34 / @/sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,pids
"""
DOCKER_V1 = """\
1093 1092 0:100 / @/sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
1094 1093 0:101 / @/sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
1095 1094 0:28 /ROOT @/sys/fs/cgroup/systemd ro,nosuid,relatime master:11 - cgroup cgroup rw,xattr,name=systemd
1096 1094 0:32 /ROOT @/sys/fs/cgroup/cpu,cpuacct ro,nosuid,relatime master:15 - cgroup cgroup rw,cpu,cpuacct
1097 1094 0:33 /ROOT @/sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:16 - cgroup cgroup rw,memory
"""
DOCKER_V1_OWN = "9:memory:/ROOT\n4:cpu,cpuacct:/ROOT\n1:name=systemd:/ROOT\n0::/system.slice/containerd.service\n"
V2_LINE = (
    "{id} 25 0:26 {root} @/sys/fs/cgroup {options} shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)
KUBERNETES = "kubepods/burstable/pod1f0a/4c2b"

HOSTS = {
    "systemd, v2": Host(
        mounts=V2_LINE.format(id=31, root="/", options="rw,nosuid,nodev,noexec,relatime"),
        own="0::/user.slice/user-1000.slice/session-3.scope\n",
        cgroups=("sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope",),
        top="sys/fs/cgroup",
        kind="v2",
        places={"memory": "sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope"},
    ),
    "systemd, hybrid": Host(
        mounts=SYSTEMD_V1,
        own="12:pids:/user.slice/user-1000.slice/session-3.scope\n9:memory:/user.slice/user-1000.slice/session-3.scope\n"
        "4:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n"
        "0::/user.slice/user-1000.slice/session-3.scope\n",
        cgroups=(
            "sys/fs/cgroup/pids/user.slice/user-1000.slice/session-3.scope",
            "sys/fs/cgroup/memory/user.slice/user-1000.slice/session-3.scope",
            "sys/fs/cgroup/cpu,cpuacct/user.slice",
            "sys/fs/cgroup/unified/user.slice/user-1000.slice/session-3.scope",
        ),
        top="sys/fs/cgroup/unified",
        controllers="",
        kind="hybrid",
        places={
            "pids": "sys/fs/cgroup/pids/user.slice/user-1000.slice/session-3.scope",
            "cpuacct": "sys/fs/cgroup/cpu,cpuacct/user.slice",
        },
    ),
    "systemd, v1 alone": Host(
        mounts="".join(line for line in SYSTEMD_V1.splitlines(keepends=True) if "cgroup2" not in line),
        own="9:memory:/\n4:cpu,cpuacct:/\n1:name=systemd:/init.scope\n",
        cgroups=("sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"),
        kind="v1",
        places={"memory": "sys/fs/cgroup/memory"},
    ),
    "docker on v2, with a cgroup namespace": Host(
        mounts=V2_LINE.format(id=1100, root="/", options="ro,nosuid,nodev,noexec,relatime"),
        own="0::/\n",
        cgroups=("sys/fs/cgroup",),
        top="sys/fs/cgroup",
        real_root=False,
        kind="v2",
        places={"memory": "sys/fs/cgroup"},
        read_only=True,
        partial=True,
    ),
    "docker on v1, in the host's cgroup namespace": Host(
        mounts=DOCKER_V1.replace("ROOT", "docker/6f1c"),
        own=DOCKER_V1_OWN.replace("ROOT", "docker/6f1c"),
        cgroups=("sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"),
        kind="v1",
        places={"memory": "sys/fs/cgroup/memory", "cpu": "sys/fs/cgroup/cpu,cpuacct"},
        read_only=True,
        partial=True,
    ),
    "docker on v1, with a cgroup namespace": Host(
        mounts=DOCKER_V1.replace("/ROOT", "/"),
        own=DOCKER_V1_OWN.replace("/ROOT", "/"),
        cgroups=("sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"),
        kind="v1",
        places={"memory": "sys/fs/cgroup/memory"},
        read_only=True,
    ),
    "podman, rootless": Host(
        mounts=V2_LINE.format(id=612, root="/", options="rw,nosuid,nodev,noexec,relatime"),
        own="0::/\n",
        cgroups=("sys/fs/cgroup",),
        top="sys/fs/cgroup",
        controllers="cpu memory pids",
        real_root=False,
        kind="v2",
        places={"pids": "sys/fs/cgroup"},
        partial=True,
    ),
    "podman, rootless, --cgroupns=host": Host(
        mounts=V2_LINE.format(id=612, root="/", options="ro,nosuid,nodev,noexec,relatime"),
        own="0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-8d.scope/container\n",
        cgroups=("sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-8d.scope/container",),
        top="sys/fs/cgroup",
        kind="v2",
        places={
            "pids": "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-8d.scope/container"
        },
        read_only=True,
    ),
    "Kubernetes on v1": Host(
        mounts=DOCKER_V1.replace("ROOT", KUBERNETES),
        own=DOCKER_V1_OWN.replace("ROOT", KUBERNETES),
        cgroups=("sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"),
        kind="v1",
        places={"cpu": "sys/fs/cgroup/cpu,cpuacct"},
        read_only=True,
        partial=True,
    ),
    "Kubernetes on v2, privileged, in the host's cgroup namespace": Host(
        mounts=V2_LINE.format(id=5060, root="/", options="rw,relatime"),
        own=f"0::/{KUBERNETES}\n",
        cgroups=(f"sys/fs/cgroup/{KUBERNETES}",),
        top="sys/fs/cgroup",
        kind="v2",
        places={"memory": f"sys/fs/cgroup/{KUBERNETES}"},
    ),
    "Kubernetes on v2, a part of the hierarchy mounted": Host(
        mounts=V2_LINE.format(id=5060, root=f"/{KUBERNETES}", options="ro,relatime"),
        own=f"0::/{KUBERNETES}\n",
        cgroups=("sys/fs/cgroup",),
        top="sys/fs/cgroup",
        real_root=False,
        kind="v2",
        places={"memory": "sys/fs/cgroup"},
        read_only=True,
        partial=True,
    ),
    "WSL 2, without systemd": Host(
        mounts="""\
72 64 0:31 / @/sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
73 72 0:32 / @/sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate
74 72 0:33 / @/sys/fs/cgroup/cpuset rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpuset
78 72 0:37 / @/sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
""",
        own="5:memory:/\n1:cpuset:/\n0::/\n",
        cgroups=("sys/fs/cgroup/memory", "sys/fs/cgroup/cpuset", "sys/fs/cgroup/unified"),
        top="sys/fs/cgroup/unified",
        controllers="",
        kind="hybrid",
        places={"memory": "sys/fs/cgroup/memory", "cpuset": "sys/fs/cgroup/cpuset"},
    ),
    "LXC on v2": Host(
        mounts="801 790 0:26 / @/sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 none rw,nsdelegate\n",
        own="0::/.lxc\n",
        cgroups=("sys/fs/cgroup/.lxc",),
        top="sys/fs/cgroup",
        real_root=False,
        kind="v2",
        places={"memory": "sys/fs/cgroup/.lxc"},
        partial=True,
    ),
    "LXC on v1, its own part writable": Host(
        mounts="""\
401 390 0:51 / @/sys/fs/cgroup rw,relatime - tmpfs none rw,size=10240k,mode=755,uid=100000,gid=100000
402 401 0:33 / @/sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
403 402 0:33 /lxc/web @/sys/fs/cgroup/memory/lxc/web rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
""",
        own="9:memory:/lxc/web\n",
        cgroups=("sys/fs/cgroup/memory/lxc/web",),
        kind="v1",
        places={"memory": "sys/fs/cgroup/memory/lxc/web"},
        partial=True,
    ),
    "a second mount that can be written to": Host(
        mounts=V2_LINE.format(id=31, root="/", options="ro,nosuid")
        + "99 31 0:26 / @/run/cgroup2 rw,relatime - cgroup2 cgroup2 rw\n",
        own="0::/\n",
        cgroups=("sys/fs/cgroup", "run/cgroup2"),
        top="run/cgroup2",
        kind="v2",
        places={"memory": "run/cgroup2"},
    ),
    "a mount over the first one": Host(
        mounts=V2_LINE.format(id=31, root="/", options="rw,nosuid")
        + "98 31 0:77 / @/sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        + "99 98 0:26 /a/b @/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        own="0::/a/b\n",
        cgroups=("sys/fs/cgroup",),
        top="sys/fs/cgroup",
        real_root=False,
        kind="v2",
        places={"memory": "sys/fs/cgroup"},
        partial=True,
    ),
    "cgroups hidden below a file system of something else": Host(
        mounts=V2_LINE.format(id=31, root="/", options="rw,nosuid")
        + "98 31 0:77 / @/sys/fs/cgroup rw - tmpfs tmpfs rw\n",
        own="0::/\n",
        cgroups=("sys/fs/cgroup",),
        kind="none",
        places={},
    ),
    "entered from outside: the own cgroup is not in the namespace": Host(
        mounts=V2_LINE.format(id=31, root="/", options="rw,nosuid"),
        own="0::/../../user.slice/session-3.scope\n",
        cgroups=("sys/fs/cgroup",),
        kind="none",
        places={},
    ),
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_hosts(host, fake):
    for name in host.cgroups:
        fake.make(name)
    if host.top is not None:
        kind = {} if host.real_root else {"cgroup_type": "domain\n"}
        fake.make(host.top, cgroup_controllers=host.controllers + "\n", **kind)
    found = detect.parse(host.mounts.replace("@", str(fake.path)), host.own)
    assert detect.kind(found) == host.kind
    by_controller = {name: hierarchy for hierarchy in found for name in hierarchy.controllers}
    for controller, place in host.places.items():
        assert by_controller[controller].own == f"{fake.path}/{place}"
        assert by_controller[controller].read_only == host.read_only
        assert by_controller[controller].partial == host.partial


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, None),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"run/.containerenv": ""}, "podman"),
        ({".dockerenv": ""}, "docker"),
        ({"run/systemd/container": "lxc\n", ".dockerenv": ""}, "lxc"),
    ],
)
def test_containers(files, name, tmp_path, monkeypatch):
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(detect, "_CONTAINER", f"{tmp_path}/run/systemd/container")
    monkeypatch.setattr(detect, "_CONTAINERS", {f"{tmp_path}{path}": word for path, word in detect._CONTAINERS.items()})
    assert detect.container() == name


def test_namespaces(tmp_path, monkeypatch):
    file = tmp_path / "cgroup"
    file.touch()
    monkeypatch.setattr(detect, "_NAMESPACE", str(file))
    assert detect.namespaced()
    monkeypatch.setattr(detect, "_FIRST_NAMESPACE", file.stat().st_ino)
    assert not detect.namespaced()
    file.unlink()  # a kernel before 4.6
    assert not detect.namespaced()
