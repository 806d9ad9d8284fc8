"""Roots as an unknown image may bring them, each in every manner in which a container is started.

`test_isolation` and `test_isolation_bundles` look at one attack each, in the usual manner. Here a root, and what an
image says about its program, are tried with a terminal, a user, a read-only root, volumes and names of hosts besides.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pycgroups as pc
from tests.integration.bundles import executed, output

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.requires("userns", "busybox", "gcc"),
    pytest.mark.slow_in_vm("hundreds of containers, and nothing of cgroups"),
]
needs_root = pytest.mark.requires("root")
needs_ids = pytest.mark.requires("subuid")

SECRET = "canary-secret-4711"


def facts_of(path):
    """Of a file of the host, all that nothing inside may change."""
    found = path.lstat()
    content = path.read_text() if path.is_file() else sorted(os.listdir(path))
    times = found.st_mtime_ns, found.st_ctime_ns
    return path, found.st_mode, found.st_uid, found.st_gid, found.st_nlink, times, content


@pytest.fixture
def canary(scratch):
    """Files of the host, beside a directory that is the caller's own; checked afterwards."""
    place = scratch / "canary"
    (place / "directory").mkdir(parents=True)
    for name in ("secret", "victim", "directory/kept"):
        (place / name).write_text(SECRET)
    before = [facts_of(path) for path in (place, *sorted(place.rglob("*")))]
    mounts = Path("/proc/self/mountinfo").read_bytes()
    yield place
    assert [facts_of(path) for path in (place, *sorted(place.rglob("*")))] == before
    assert Path("/proc/self/mountinfo").read_bytes() == mounts


def replace(root, name, target):
    """Put a link where something of the root may be."""
    path = root / name
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def a_link(name, to, **options):
    def build(root, canary):
        replace(root, name, canary / to)
        return options

    return build


def a_working_directory(cwd):
    def build(root, canary):
        replace(root, "link", canary / "directory")
        return {"cwd": cwd}

    return build


def a_user(name):
    """Whom the root's own files call root."""

    def build(root, canary):
        word = name.partition(":")[0]
        (root / "etc/passwd").write_text(f"{word}:x:0:0::/:/bin/sh\n", errors="surrogateescape")
        return {"user": name}

    return build


def a_passwd(kind):
    def build(root, canary):
        for name in ("passwd", "group"):
            path = root / "etc" / name
            if kind in {"secret", "/dev/zero"}:
                replace(root, f"etc/{name}", canary / kind)  # an absolute one stays one
                continue
            path.unlink()
            if kind == "fifo":
                os.mkfifo(path)
            else:
                os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        return {"user": "user:user"}

    return build


DEVICES = {"mem": (stat.S_IFCHR, 1, 1), "kmsg": (stat.S_IFCHR, 1, 11), "disk": (stat.S_IFBLK, 8, 0)}


def devices(root, canary):
    """Of the host's memory, log and first disk; where the container has a /dev of its own, and elsewhere."""
    for name, (kind, major, minor) in DEVICES.items():
        for place in ("dev", "home"):
            os.mknod(root / place / name, kind | 0o666, os.makedev(major, minor))
            (root / place / name).chmod(0o666)
    return {}


TOOLS = "ps ip nft newuidmap newgidmap tar gzip xz zstd modprobe criu getent python3 ld.so"


def tools(root, canary):
    """All that a runtime might call or load, which tells if it sees the host."""
    tell = f"#!/bin/sh\n[ -e {canary} ] && : >{canary}/executed\nexit 0\n"
    for name in TOOLS.split():
        for place in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin"):
            path = root / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(tell)
            path.chmod(0o755)
    (root / "etc/nsswitch.conf").write_text("passwd: evil\nhosts: evil\n")
    (root / "etc/ld.so.preload").write_text("/lib/evil.so\n")
    return {"user": "root"}


def words(root, canary):
    """Labels that look like a runtime's own."""
    names = ("io.pycgroups.rootfs", "org.pycgroups.privileged", "run.oci.handler", "org.systemd.property.ExecStart")
    labels = dict.fromkeys(names, str(canary)) | {"containerd.io/restart.loguri": "binary:///bin/sh?-c"}
    return {"labels": labels, "annotations": labels}


NODES = "null zero full random urandom tty console ptmx fd stdin stdout stderr core log mqueue"
ROOTS: dict[str, Callable[..., dict[str, object]]] = {
    **{f"/{name} is a link": a_link(name, "directory") for name in ("proc", "sys", "dev")},
    **{f"/{name} is a link": a_link(name, "directory") for name in ("dev/pts", "dev/shm", "run", "tmp", "var")},
    **{f"/dev/{name} is a link": a_link(f"dev/{name}", "victim") for name in NODES.split()},
    **{f"/etc/{name} is a link": a_link(f"etc/{name}", "victim") for name in ("hosts", "resolv.conf", "hostname")},
    **{
        f"the working directory is {cwd}": a_working_directory(cwd)
        for cwd in [
            *(f"/proc/self/fd/{number}" for number in range(3, 11)),
            "/proc/self/fd/7/../../..",
            "../../..",
            "relative",
            "/link",
            "/link/new/below",
        ]
    },
    **{
        f"the user is {name!r}": a_user(name)
        for name in ["4294967295", "-0", "0x0", "0 ", "00", "1e0", "\u0661", "root\n", "a:b:c", ":", "../root"]
    },
    "the user is user:4294967296": a_user("user:4294967296"),
    "the user has 400 digits": a_user("9" * 400),
    **{f"/etc/passwd is {kind}": a_passwd(kind) for kind in ("secret", "/dev/zero", "fifo")},
    "/etc/passwd is a device": a_passwd("device"),
    "it has devices": devices,
    "it has tools": tools,
    "it has labels": words,
}
REFUSED = ("/proc is", "/sys is", "/dev is", "the working", "the user", "/etc/passwd")
"What begins the names of those that cannot run as they say. The working directory may be one that is made inside."
WITH_NODES = {"it has devices", "/etc/passwd is a device"}
every_root = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_root if name in WITH_NODES else ()) for name in ROOTS]
)

MANNERS: dict[str, dict[str, object]] = {
    "as usual": {},
    "with a terminal": {"tty": True},
    "as a user": {"user": "1000"},
    "without an init": {"init": False},
    "read-only": {"read_only": True},
    "with names of hosts": {"hostname": "box", "dns": ["192.0.2.1"], "extra_hosts": {"box": "192.0.2.7"}},
    "with the host's network": {"network": "host"},
    "with all capabilities": {"caps_add": ["ALL"], "seccomp": "unconfined"},
    "without a user namespace": {"userns": "host"},
}
MARKS = {"as a user": needs_ids, "without a user namespace": needs_root}
every_manner = pytest.mark.parametrize(
    "manner", [pytest.param(manner, marks=MARKS.get(manner, ())) for manner in MANNERS]
)


def attempts(canary):
    """A script that reads and writes what links of a root lead to, and says "done"."""
    return f"""
        pwd -P; ls -n / /dev /proc/self/fd
        cat {canary}/secret {canary}/victim ../secret secret kept /etc/hosts /etc/resolv.conf /etc/hostname /dev/core \
            /dev/shm/kept /run/kept /tmp/kept /var/kept /home/kept /link/kept /proc/keys </dev/null
        for name in null zero full tty console log stdout core; do echo x >/dev/$name; done
        for name in hosts resolv.conf hostname; do echo x >>/etc/$name; done
        for place in /run /tmp /var /home /link . ..; do echo x >$place/new; done
        for node in /dev/mem /dev/kmsg /dev/disk /home/mem /home/kmsg /home/disk; do
            ( true <$node ) && echo OPENED; ( true >>$node ) && [ -c $node -o -b $node ] && echo OPENED
        done
        echo done"""


def check(text, name, canary, *, refused):
    """What it said, or the error that was the answer."""
    assert SECRET not in text
    assert "unreachable" not in text
    assert "OPENED" not in text or name != "it has devices"
    if refused:
        assert name.startswith(REFUSED), text
    else:
        assert text.rstrip().endswith("done"), text


@every_root
@every_manner
def test_of_a_run(own_root, canary, scratch, name, manner):
    options = {**MANNERS[manner], **ROOTS[name](own_root, canary)}
    (scratch / "volume").mkdir()
    options |= {"volumes": {scratch / "volume": "/srv/volume"}, "rootfs": own_root, "timeout": 300}
    try:
        result = pc.run(["sh", "-c", attempts(canary)], stderr=pc.STDOUT, text=True, errors="replace", **options)
    except pc.Error as error:
        check(str(error), name, canary, refused=True)
    else:
        check(result.stdout, name, canary, refused=False)
        assert not name.startswith(("the user", "/etc/passwd")), result


@every_root
def test_of_a_bundle(bundle, own_root, canary, name):
    """By its own program, and by what is executed in it."""
    options = ROOTS[name](own_root, canary)
    bundle.config["root"]["path"] = str(own_root)
    bundle.config["process"]["cwd"] = options.get("cwd", "/")
    bundle.config["annotations"] = options.get("annotations", {})
    (bundle.path / "hosts").write_text("of the manager\n")
    for file in ("hosts", "resolv.conf", "hostname"):
        mount = {"destination": f"/etc/{file}", "type": "bind", "source": str(bundle.path / "hosts")}
        bundle.config["mounts"].append({**mount, "options": ["rbind", "ro"]})
    try:
        text = output(bundle, attempts(canary))
        check(text, name, canary, refused=False)
        bundle.run("sleep", "1000")
        container = bundle.create("web")
        container.start()
        text = executed(container, bundle.process("sh", "-c", attempts(canary)))
    except pc.Error as error:
        check(str(error), name, canary, refused=True)
    else:
        check(text, name, canary, refused=False)
    assert (bundle.path / "hosts").read_text() == "of the manager\n"
