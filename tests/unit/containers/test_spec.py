"""ContainerConfig -> OCI runtime Spec: pure, so everything about the host is made up."""

from __future__ import annotations

import json

import pytest

from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.hostroot import Interpreter
from pycgroups.containers.identity import ROOT, Identity
from pycgroups.containers.mounts import Mount
from pycgroups.containers.spec import PATH, make_spec
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.namespaces.caller import Caller
from pycgroups.namespaces.idmap import IdMap
from pycgroups.oci import runtime_spec as oci
from pycgroups.oci.reading import read_spec
from pycgroups.oci.resources import DeviceRule, Memory
from pycgroups.oci.writing import spec_text
from pycgroups.security import capabilities
from pycgroups.security.paths import MASKED_PATHS, READONLY_PATHS

PRIVILEGED = Caller(uid=0, gid=0, privileged=True, nested=False)
ORDINARY = Caller(uid=1000, gid=1000, privileged=False, nested=False)
MAP = IdMap.parse("0:100000:65536")


def make(*, identity=ROOT, caller=PRIVILEGED, idmap=MAP, interpreter=None, device_rules=(), joined=(), **options):
    config = ContainerConfig(**{"command": ["prog", "arg"], "rootfs": "/r", **options})
    return make_spec(
        config,
        identity=identity,
        caller=caller,
        idmap=idmap,
        interpreter=interpreter,
        devices=device_rules,
        joined=joined,
    )


def mount_at(spec, place):
    (found,) = [mount for mount in spec.mounts if mount.destination == place]
    return found


def test_the_default_is_safe():
    spec = make()
    process = spec.process
    assert (process.args, process.cwd, process.terminal) == (("prog", "arg"), "/", False)
    assert process.env == (f"PATH={PATH}", "HOME=/root")
    assert process.no_new_privileges
    held = tuple(sorted(capabilities.DEFAULT))
    assert process.capabilities == oci.Capabilities(bounding=held, effective=held, permitted=held)
    assert {space.type for space in spec.linux.namespaces} == {
        *("user", "pid", "mount", "uts", "ipc", "cgroup", "network"),
    }
    assert all(space.path is None for space in spec.linux.namespaces)
    assert spec.linux.uid_mappings == MAP.uids
    assert (spec.linux.masked_paths, spec.linux.readonly_paths) == (MASKED_PATHS, READONLY_PATHS)
    assert spec.linux.seccomp.default_action == "SCMP_ACT_ERRNO"
    assert spec.linux.resources is None
    assert not spec.root.readonly


def test_its_name_is_its_hostname_as_far_as_the_kernel_takes_it():
    assert make().hostname == "pycgroups"
    assert make(name="web").hostname == "web"
    assert make(name="n" * 128).hostname == "n" * 64
    assert make(name="web", hostname="box").hostname == "box"


def test_it_is_json_and_hashable():
    spec = make(memory="64M", hostname="box", mounts=[Mount.tmpfs("/t")])
    assert json.loads(json.dumps(spec.to_json()))["hostname"] == "box"
    assert hash(spec) == hash(make(memory="64M", hostname="box", mounts=[Mount.tmpfs("/t")]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory": "64M", "cpus": 1.5, "pids": 5, "ulimits": {"nofile": (5, 9)}},
        {"tty": True, "hostname": "box", "sysctls": {"net.core.somaxconn": 9}, "annotations": {"a": ""}},
        {"network": "host", "user": "5:6", "cwd": "/srv", "env": {"A": b"\xff"}},
        {"privileged": True, "masked_paths": [], "oom_score_adj": 5, "apparmor": "unconfined"},
    ],
)
def test_it_is_a_config_that_reads_as_the_same(options):
    spec = make(**options)
    assert read_spec(spec_text(spec)) == spec


def test_the_same_of_the_same():
    assert make(env={"A": "1"}) == make(env={"A": "1"})


def test_environment():
    env = make(env={"A": "1", "PATH": "/p"}, tty=True, identity=Identity(home="/h")).process.env
    assert env == ("PATH=/p", "HOME=/h", "TERM=xterm", "A=1")
    interpreter = Interpreter(directories=(), hidden=(), path=("/venv/bin", "/usr/bin"), links=())
    first = make(interpreter=interpreter).process.env[0]
    assert first == "PATH=/venv/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"


def test_a_user_has_no_capabilities_but_the_bounding_set():
    caps = make(identity=Identity(uid=5)).process.capabilities
    assert (caps.effective, caps.permitted, caps.inheritable, caps.ambient) == ((), (), (), ())
    assert caps.bounding == tuple(sorted(capabilities.DEFAULT))


def test_ids_outside_the_map():
    with pytest.raises(InvalidConfig) as caught:
        make(identity=Identity(uid=70_000))
    assert caught.value.path == "user"
    with pytest.raises(InvalidConfig) as caught:
        make(identity=Identity(groups=(70_000,)))
    assert caught.value.path == "groups"
    with pytest.raises(InvalidConfig):
        make(identity=Identity(gid=70_000))
    assert make(identity=Identity(uid=70_000), idmap=IdMap.host()).process.user.uid == 70_000


def test_names():
    assert make().hostname == "pycgroups"
    assert make(name="some").hostname == "some"
    assert make(name="some", hostname="box").hostname == "box"
    assert make(namespaces={"uts": "host"}, name="some").hostname is None
    assert make(domainname="nis").domainname == "nis"


def test_namespaces():
    def spaces(**options):
        return {space.type: space.path for space in make(**options).linux.namespaces}

    assert "network" not in spaces(network="host")
    assert spaces(namespaces={"net": 5}, joined=(("network", "/a"),))["network"] == "/a"
    assert spaces(namespaces={"user": 5}, joined=(("user", "/a"),))["user"] == "/a"
    assert "time" not in spaces()
    assert spaces(namespaces={"time": "private"})["time"] is None
    assert "ipc" not in spaces(namespaces={"ipc": "host"})
    assert "user" not in spaces(idmap=IdMap.host())
    assert "pid" not in spaces(namespaces={"pid": "host"})
    both = {"namespaces": {"pid": 5, "user": 5}, "joined": (("pid", "/a"), ("user", "/b"))}
    assert spaces(**both)["pid"] == "/a"
    assert spaces(namespaces={"pid": 5}, joined=(("pid", "/a"),), idmap=IdMap.host())["pid"] == "/a"
    with pytest.raises(Unsupported, match=r"namespaces\['pid'\].*for its owner to mount"):
        spaces(namespaces={"pid": 5}, joined=(("pid", "/a"),))


def test_nothing_is_mounted_in_a_mount_namespace_of_others():
    made = make(namespaces={"mnt": 5}, rootfs=None, joined=(("mount", "/a"),))
    assert {space.type: space.path for space in made.linux.namespaces}["mount"] == "/a"
    assert (made.mounts, made.linux.masked_paths, made.linux.readonly_paths) == ((), (), ())
    both = make(namespaces={"mnt": 5, "pid": 5}, rootfs=None, joined=(("mount", "/a"), ("pid", "/b")))
    assert {space.type: space.path for space in both.linux.namespaces}["pid"] == "/b"


def test_the_hosts_proc_is_bound_where_its_processes_are_shown_to_other_ids():
    shared = {"namespaces": {"pid": "host"}}
    assert (mount_at(make(**shared), "/proc").type, mount_at(make(**shared), "/proc").source) == ("none", "/proc")
    assert mount_at(make(**shared, idmap=IdMap.host()), "/proc").type == "proc"
    assert mount_at(make(), "/proc").type == "proc"


def test_the_hosts_sys_and_ipc_are_bound_where_their_namespace_is_the_hosts():
    assert mount_at(make(), "/sys").type == "sysfs"
    assert mount_at(make(network="host"), "/sys").source == "/sys"
    assert mount_at(make(network="host", idmap=IdMap.host()), "/sys").type == "sysfs"
    assert mount_at(make(), "/dev/mqueue").type == "mqueue"
    shared = mount_at(make(namespaces={"ipc": "host"}), "/dev/shm")
    assert (shared.type, shared.source) == ("none", "/dev/shm")


def test_the_terminals_group_is_set_where_it_is_mapped():
    assert "gid=5" in mount_at(make(), "/dev/pts").options
    assert "gid=5" not in mount_at(make(idmap=IdMap.parse("0:1000:1")), "/dev/pts").options


def test_every_system_mount_is_without_setuid():
    for mount in make().mounts:
        assert "nosuid" in mount.options, mount
    for place in ("/proc", "/sys", "/dev/shm", "/dev/mqueue"):
        assert {"nodev", "noexec"} <= set(mount_at(make(), place).options)
    assert "ro" in mount_at(make(), "/sys").options


def test_resources():
    resources = make(memory="1G", memory_swap="3G", cpus=1.5, cpuset="0-1", pids=7).linux.resources
    assert resources.memory == Memory(limit=1 << 30, swap=3 << 30)
    assert (resources.cpu.quota, resources.cpu.period, resources.cpu.cpus) == (150_000, 100_000, "0-1")
    assert resources.pids.limit == 7
    assert make(memory="1G").linux.resources.memory.swap == 1 << 30  # no swap
    assert make(pids=7).linux.resources.memory is None
    assert make(pids=7).linux.resources.cpu is None


def test_mounts_in_order():
    mounts = [Mount.tmpfs("/t", size="1M", mode=0o700), Mount.bind("/a", "/b", read_only=True, idmap=True)]
    spec = make(mounts=mounts, volumes={"/c": "/d:rslave"}, workspace="/w", devices=["/dev/fuse"])
    assert [mount.destination for mount in spec.mounts][-5:] == ["/workspace", "/dev/fuse", "/t", "/b", "/d"]
    assert mount_at(spec, "/t").options == ("rw", "nosuid", "nodev", "mode=700", f"size={1 << 20}")
    assert set(mount_at(spec, "/b").options) == {"rbind", "rro", "rnosuid", "rnodev", "rprivate", "ridmap"}
    assert "rslave" in mount_at(spec, "/d").options
    assert not {"nodev", "rnodev"} & set(mount_at(spec, "/dev/fuse").options)


def test_overlay_paths_are_escaped():
    mounts = [Mount.overlay(["/a:b", "/c\\d,e"], "/o"), Mount.overlay("/l", "/p", upper="/u\\x", work="/w:y")]
    spec = make(mounts=mounts)
    assert "lowerdir=/a\\:b:/c\\\\d,e" in mount_at(spec, "/o").options
    assert {"upperdir=/u\\\\x", "workdir=/w\\:y"} <= set(mount_at(spec, "/p").options)


def test_the_workspace_belongs_to_the_caller_outside():
    caller = PRIVILEGED._replace(uid=0, gid=0)
    mount = mount_at(make(workspace="/w", identity=Identity(uid=7, gid=8), caller=caller), "/workspace")
    assert mount.uid_mappings == (oci.IdMapping(0, 100_007, 1),)
    assert mount.gid_mappings == (oci.IdMapping(0, 100_008, 1),)
    assert make(workspace="/w").process.cwd == "/workspace"
    assert make(workspace="/w", cwd="/x").process.cwd == "/x"
    own = IdMap.parse("0:1000:1")
    assert "ridmap" not in mount_at(make(workspace="/w", caller=ORDINARY, idmap=own), "/workspace").options
    with pytest.raises(Unsupported, match="workspace"):
        make(
            workspace="/w", caller=ORDINARY, idmap=IdMap.parse("0:1000:1,1:100000:10"), identity=Identity(uid=1, gid=1)
        )
    assert mount_at(make(workspace="/w", idmap=IdMap.host()), "/workspace").uid_mappings == ()


def test_a_private_interpreter_is_shown_through_the_id_map():
    interpreter = Interpreter(directories=(("/h/venv", True), ("/opt/py", False)), hidden=(), path=(), links=())
    spec = make(interpreter=interpreter)
    assert {"rro", "ridmap"} <= set(mount_at(spec, "/h/venv").options)
    assert "ridmap" not in mount_at(spec, "/opt/py").options
    assert "ridmap" not in mount_at(make(interpreter=interpreter, caller=ORDINARY), "/h/venv").options


def test_privileged():
    spec = make(privileged=True)
    assert spec.linux.seccomp is None
    assert (spec.linux.masked_paths, spec.linux.readonly_paths) == ((), ())
    assert len(spec.process.capabilities.bounding) == len(capabilities.NUMBERS)
    assert "ro" not in mount_at(spec, "/sys").options
    assert mount_at(spec, "/dev").source == "/dev"
    assert make(privileged=True, masked_paths=["/x"]).linux.masked_paths == ("/x",)


def test_seccomp():
    assert make(seccomp="unconfined").linux.seccomp is None
    given = oci.Seccomp(default_action="SCMP_ACT_ALLOW")
    assert make(seccomp=given).linux.seccomp == given
    assert make(caps_add=["SYS_ADMIN"]).linux.seccomp != make().linux.seccomp


def test_paths_given_replace_the_default():
    spec = make(masked_paths=["/a"], readonly_paths=[])
    assert (spec.linux.masked_paths, spec.linux.readonly_paths) == (("/a",), ())


def test_devices():
    assert mount_at(make(devices=["/dev/fuse:/dev/mine:r"]), "/dev/mine").source == "/dev/fuse"
    rules = (DeviceRule(allow=False), DeviceRule(allow=True, type="c", major=10, minor=229, access="r"))
    assert make(device_rules=rules).linux.resources.devices == rules
