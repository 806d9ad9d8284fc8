"""The attacks of `test_isolation` on containers of a config.json: by their root, their mounts, and the names of paths.

What stands between is the same code; what it is asked is another.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

import pycgroups as pc
from tests.integration.bundles import QUIET, Bundle, executed, output
from tests.integration.oci import Oci
from tests.integration.races import Flipper, rounds, turns

pytestmark = [
    pytest.mark.requires("userns", "busybox", "gcc"),
    pytest.mark.slow_in_vm("a hundred containers, and nothing of cgroups"),
]
for_root = pytest.mark.requires("root")

SECRET = "canary-secret-4711"


@pytest.fixture
def canary(scratch):
    """A directory of the host with one secret file, which is checked afterwards."""
    place = scratch / "canary"
    place.mkdir()
    (place / "secret").write_text(SECRET)
    yield place
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [("secret", SECRET)]


@pytest.fixture
def mounts_unchanged():
    before = Path("/proc/self/mountinfo").read_bytes()
    yield
    assert Path("/proc/self/mountinfo").read_bytes() == before


def said(bundle, script, **options):
    """What it says; an error of the library's own is as good an answer."""
    try:
        return output(bundle, f"{script}; true", **options)
    except pc.Error:
        return ""


# -- masks, /proc and /sys

PATHS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
KERNEL = ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/sys/power/state")


@pytest.mark.parametrize("pivot", [True, False])
def test_masked_and_read_only_paths(bundle, pivot):
    """By the program and by what is executed, as root without a user namespace where that can be."""
    script = (
        f"probe reads {' '.join(PATHS)}; probe writes {' '.join(KERNEL)}; probe unmounts {' '.join(PATHS)} /proc/sys"
    )
    bundle.shell(f"{script}; sleep 1000")
    container = bundle.create(pivot=pivot)
    container.start()
    lines = executed(container, bundle.process("sh", "-c", script)).splitlines()
    answers = [line.rsplit(" ", 1)[1] for line in lines if " bytes" not in line and " entries" not in line]
    read = [line for line in lines if " bytes" in line or " entries" in line]
    assert set(answers) <= {"EPERM", "EROFS", "EACCES", "ENOENT", "EINVAL"}, lines
    assert all(" 0 " in line for line in read), lines


@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/proc/sys", "/proc/self/attr", "/link", "/link/sys", "/up"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_at_proc_does_not_catch_what_is_written(bundle, own_root, scratch, place, kind):
    """CVE-2019-16884, CVE-2019-19921, CVE-2023-28642, CVE-2025-52881, youki's CVE-2025-62596."""
    (own_root / "link").symlink_to("proc")
    (own_root / "up").symlink_to("bin/../../proc/self")
    bundle.config["root"]["path"] = str(own_root)
    source = {"type": "bind", "source": str(scratch / "fake"), "options": ["rbind"]}
    (scratch / "fake").mkdir()
    (scratch / "fake/core_pattern").write_text("fake")
    other = {"type": "tmpfs", "source": "tmpfs"}
    bundle.config["mounts"].append({"destination": place, **(other if kind == "tmpfs" else source)})
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "33"}
    before = sysctls()
    bundle.run("true")
    with contextlib.suppress(pc.Error):
        bundle.create("web").start()
    assert sysctls() == before
    assert [path.name for path in (scratch / "fake").iterdir()] == ["core_pattern"]
    assert (scratch / "fake/core_pattern").read_text() == "fake"


def sysctls():
    names = ("net/ipv4/ip_default_ttl", "kernel/core_pattern", "kernel/hostname", "kernel/domainname")
    return [Path("/proc/sys", name).read_text() for name in names]


def test_a_sysctl_is_the_containers_alone(bundle):
    """The control of the above: it does arrive where it belongs."""
    before = sysctls()
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "33"}
    assert output(bundle, "cat /proc/sys/net/ipv4/ip_default_ttl") == "33\n"
    assert sysctls() == before


# -- a root with links


@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("name", ["proc", "sys", "dev", "dev/pts", "dev/shm", "run", "tmp"])
@pytest.mark.parametrize("where", ["absolute", "relative", "proc"])
def test_mount_points_that_are_links(bundle, own_root, canary, name, where):
    """CVE-2019-19921, CVE-2023-27561, CVE-2025-54867, CVE-2026-41579."""
    bundle.config["root"]["path"] = str(own_root)
    place = own_root / name
    if place.exists():
        place.rmdir()
    targets = {"absolute": canary, "relative": f"../../../../../../..{canary}", "proc": "/proc/1/root/tmp"}
    place.symlink_to(targets[where])
    bundle.config["mounts"] += [{"destination": each, "type": "tmpfs", "source": "t"} for each in ("/run/x", "/tmp/x")]
    assert SECRET not in said(bundle, f"cat {canary}/secret; ls -l /{name}/ /{name}/secret")
    assert place.is_symlink()


@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize(
    "name", ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "stdin", "core"]
)
@pytest.mark.parametrize("mounted", [True, False])
def test_devices_that_are_links(bundle, own_root, canary, name, mounted):
    """CVE-2025-31133, CVE-2025-52565, CVE-2025-62161: with /dev of the container's own, and with that of the root."""
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "dev" / name).symlink_to(f"../../../../../../..{canary}/secret")
    if not mounted:
        bundle.config["mounts"] = [
            each for each in bundle.config["mounts"] if not each["destination"].startswith("/dev")
        ]
    text = said(bundle, f"cat /proc/keys; echo x >/dev/null; ls -l /dev; cat /dev/core </dev/null; cat {canary}/secret")
    assert SECRET not in text


@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_files_that_managers_mount_do_not_go_through_links(bundle, own_root, canary, name, link):
    """CVE-2015-3627, CVE-2015-3630, CVE-2024-9341: a bind mount at what is a link to a file of the host."""
    bundle.config["root"]["path"] = str(own_root)
    (own_root / name).symlink_to(canary / "secret" if link == "absolute" else f"../../../../../../..{canary}/secret")
    (bundle.path / "file").write_text("of the manager")
    mount = {"destination": f"/{name}", "type": "bind", "source": str(bundle.path / "file"), "options": ["rbind", "ro"]}
    bundle.config["mounts"].append(mount)
    assert output(bundle, f"cat /{name}") == "of the manager"
    assert (own_root / name).is_symlink()


@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
def test_files_that_a_run_shows_do_not_go_through_links(own_root, canary, name):
    """The same of `pycgroups.run`, which shows the first two."""
    (own_root / name).symlink_to(f"../../../../../../..{canary}/secret")
    options = {"hostname": "box", "dns": ["192.0.2.1"], "extra_hosts": {"box": "192.0.2.7"}}
    result = pc.run(["sh", "-c", f"cat /{name}; hostname; true"], rootfs=own_root, text=True, **options)
    assert SECRET not in result.stdout
    assert ("192.0.2" in result.stdout) == (name != "etc/hostname")
    assert result.stdout.endswith("box\n")


@pytest.mark.parametrize("layout", ["link", "up", "made", "relative"])
def test_a_working_directory_through_a_link(bundle, own_root, canary, layout):
    """CVE-2026-55686: nothing is made there."""
    bundle.config["root"]["path"] = str(own_root)
    (own_root / "link").symlink_to(canary)
    (own_root / "up").symlink_to("../../../../../.." + str(canary))
    cwd = {"link": "/link", "up": "/up/new", "made": "/link/a/b", "relative": "../../.."}[layout]
    bundle.config["process"]["cwd"] = cwd
    assert SECRET not in said(bundle, "pwd -P; cat secret ../secret")


def test_a_root_that_is_a_link_is_what_it_leads_to(bundle, root):
    """And what leads to nothing, or to a file, is none."""
    link = bundle.path / "rootfs"
    link.symlink_to(root)
    bundle.config["root"]["path"] = "rootfs"
    assert output(bundle, "echo ran") == "ran\n"
    for target in ("rootfs", "/etc/passwd", "missing"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(pc.Error):
            bundle.create("web")


# -- races: it changes meanwhile


@rounds
@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("mount", ["tmpfs /v/x", "tmpfs /v/x/new", "bind /v/x/new/file"])
def test_a_mount_destination_that_is_exchanged_for_a_link(bundle, scratch, canary, mount, count):
    """CVE-2021-30465, CVE-2024-45310: nothing is mounted or made outside, and nothing of the outside shows."""
    shared = scratch / "shared"
    (shared / "x").mkdir(parents=True)
    (shared / "link").symlink_to(f"/../../../../../..{canary}")
    kind, place = mount.split()
    (scratch / "file").touch()
    inner = {"type": "bind", "source": str(scratch / "file"), "options": ["bind"]}
    bundle.config["mounts"] += [
        {"destination": "/v", "type": "bind", "source": str(shared), "options": ["rbind"]},
        {"destination": place, **(inner if kind == "bind" else {"type": "tmpfs", "source": "t"})},
    ]
    outcomes = set()
    with Flipper(shared / "x", shared / "link"):
        for _ in turns(count):
            text = said(bundle, "cat /v/x/secret /v/link/secret; cat /proc/self/mountinfo")
            outcomes.add(bool(text))
            assert SECRET not in text
            assert os.listdir(canary) == ["secret"]
    assert outcomes


@rounds
@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"])
def test_a_null_device_that_is_exchanged_for_a_link(bundle, scratch, target, count):
    """CVE-2025-31133: what masks a path is the real null device, or there is no container."""
    shared = scratch / "dev"
    shared.mkdir()
    if os.geteuid() == 0:
        os.mknod(shared / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        (shared / "null").write_text("")
    (shared / "link").symlink_to(target)
    mounts = [each for each in bundle.config["mounts"] if not each["destination"].startswith("/dev")]
    mounts.append({"destination": "/dev", "type": "bind", "source": str(shared), "options": ["rbind"]})
    bundle.config["mounts"] = mounts
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    script = "cat /proc/keys /proc/timer_list; probe writes /proc/sysrq-trigger /proc/sys/kernel/core_pattern"
    outcomes = set()
    with Flipper(shared / "null", shared / "link"):
        for _ in turns(count):
            text = said(bundle, script)
            outcomes.add(text)
            answers = {line.rsplit(" ", 1)[1] for line in text.splitlines()}
            assert answers <= {"EROFS", "EACCES", "EPERM", "ENOENT"}, text
    assert outcomes
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


USED = (
    *("/proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/net/ipv4/ip_default_ttl"),
    *("/dev", "/dev/null", "/dev/pts/ptmx", "/"),
)


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
@pytest.mark.parametrize("target", USED)
def test_links_that_lead_a_mask_to_what_is_written_or_opened_later(bundle, own_root, mounts_unchanged, key, target):
    """As CVE-2025-52881: what is written arrives in the kernel, what is to be hidden is, or there is no container."""
    (own_root / "run/link").symlink_to(target)
    bundle.config["root"]["path"] = str(own_root)
    bundle.config["linux"][key].insert(0, "/run/link")
    bundle.config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "33"}
    before = sysctls()
    script = "exec 2>&-; cat /proc/sys/net/ipv4/ip_default_ttl /proc/keys /proc/timer_list; probe writes"
    text = said(bundle, f"{script} {' '.join(KERNEL)}")
    assert sysctls() == before
    ttl, *answers = text.splitlines() or ["33"]
    assert ttl == "33"
    assert {line.rsplit(" ", 1)[1] for line in answers} <= {"EROFS", "EACCES", "EPERM", "ENOENT"}, text


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_links_out_of_the_root_lead_no_mask_there(bundle, own_root, canary, mounts_unchanged, key):
    for name, target in (("abs", str(canary)), ("up", f"{'../' * 20}{canary}")):
        (own_root / "run" / name).symlink_to(target)
        bundle.config["linux"][key].append(f"/run/{name}/secret")
    bundle.config["root"]["path"] = str(own_root)
    assert output(bundle, "cat /run/abs/secret /run/up/secret 2>/dev/null || echo none") == "none\n"


@rounds
@pytest.mark.usefixtures("mounts_unchanged")
@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_a_directory_to_protect_that_is_exchanged_for_a_link(bundle, scratch, canary, key, count):
    """Whatever it leads to is inside, and nothing of the host gets or shows anything."""
    shared = scratch / "shared"
    (shared / "x").mkdir(parents=True)
    (shared / "x/secret").write_text("its own")
    (shared / "link").symlink_to(canary)
    source = {"type": "bind", "source": str(shared), "options": ["rbind"]}
    bundle.config["mounts"].append({"destination": "/v", **source})
    bundle.config["linux"][key].append("/v/x/secret")
    with Flipper(shared / "x", shared / "link"):
        for _ in turns(count):
            assert SECRET not in said(bundle, "cat /v/x/secret /v/link/secret 2>/dev/null")


# -- names of paths

ODD = [b"a,b", b"a:b", b"a\\b", b"a=b c\n", b",suid,dev,lowerdir=", b"\xff\xfe", b"a b\t#\\040", b"-o", b"%s%n$(id)"]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_paths_are_no_options(bundle, root, scratch, name):
    """Of the bundle, the root, the state, a volume and a mount point."""
    odd = scratch / os.fsdecode(name)
    for each in ("bundle", "volume", "root"):
        (odd / each).mkdir(parents=True)
    subprocess.run(["cp", "-a", f"{root}/.", odd / "root"], check=True)
    (odd / "volume/here").write_text("")
    other = Bundle(odd / "bundle", odd / "root", odd / "state")
    other.config["mounts"] += [
        {"destination": place, "type": "bind", "source": str(odd / "volume"), "options": ["rbind", "nosuid", "nodev"]}
        for place in ("/mnt", f"/odd/{os.fsdecode(name)}")
    ]
    try:
        container = None
        other.run("sleep", "1000")
        with contextlib.suppress(pc.InvalidConfig):  # a config.json has no bytes that are no text
            container = other.create("web")
        if container is None:
            assert b"\xff" in name
            return
        container.start()
        text = executed(container, other.process("sh", "-c", "tr '\\200-\\377' '?' </proc/self/mountinfo"))
        fields = {line.split()[4]: line.split() for line in text.splitlines()}
        assert set(fields["/mnt"][5].split(",")) == {"rw", "nosuid", "nodev", "relatime"}
        script = f"ls /mnt; ls '/odd/{os.fsdecode(name)}'"
        assert executed(container, other.process("sh", "-c", script)) == "here\nhere\n"
        assert sum(line.split()[4].startswith("/odd/") for line in text.splitlines()) == 1
    finally:
        other.clean_up()


@pytest.mark.parametrize("name", [b"a,b", b"a:b", b"a\\b", b",suid,dev,lowerdir=", b"a b\n"], ids=repr)
def test_options_of_an_overlay_are_in_no_path(bundle, own_root, name):
    """The kernel's parser divides at commas and colons; upperdir and workdir are paths, each one option."""
    odd = own_root / os.fsdecode(name)
    for each in ("low", "up", "work"):
        (odd / each).mkdir(parents=True)
    (odd / "low/file").write_text("low")
    escaped = str(odd).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
    options = [f"lowerdir={escaped}/low"]
    bundle.config["mounts"].append({"destination": "/mnt", "type": "overlay", "source": "overlay", "options": options})
    text = said(bundle, "cat /mnt/file; ls /mnt; grep ' /mnt ' /proc/self/mountinfo")
    assert text == "" or text.startswith("lowfile\n")
    assert "lowerdir=/," not in text


# -- what others may see of it


@for_root
@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_state_is_for_nobody_else(bundle, script, umask):
    """CVE-2021-41091, CVE-2024-25621: whatever the umask of who makes it."""
    bundle.config["process"]["env"].append(f"TOKEN={SECRET}")
    bundle.run("sleep", "1000")
    code = """
import os, sys
from pycgroups import runtime
os.umask(int(sys.argv[3]))
null = os.open("/dev/null", os.O_RDWR)
streams = (null, null, null)
container = runtime.create(sys.argv[1], "web", root=sys.argv[2], stdio=streams, pid_file=sys.argv[2] + ".pid")
container.start()
"""
    script(code, bundle.write(), bundle.state, umask)
    assert stat.S_IMODE(bundle.state.stat().st_mode) & 0o066 == 0
    assert stat.S_IMODE((bundle.state / "web").stat().st_mode) == 0o700
    for path in bundle.state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, path
    assert stat.S_IMODE(Path(f"{bundle.state}.pid").stat().st_mode) & 0o022 == 0
    look = f"ls {bundle.state}/web; cat {bundle.state}/web/*; cat {bundle.path}/config.json"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", look]
    (bundle.path / "config.json").chmod(0o600)
    done = subprocess.run(nobody, capture_output=True, text=True, check=False)
    assert SECRET not in done.stdout
    assert done.stdout == ""


@for_root
def test_what_a_container_writes_is_its_users(bundle, scratch):
    """On the host: of the mapped id, never of root, and removable."""
    volume = scratch / "volume"
    volume.mkdir()
    bundle.map_ids(300_000)
    os.chown(volume, 300_000, 300_000)
    mount = {"destination": "/home", "type": "bind", "source": str(volume), "options": ["rbind"]}
    bundle.config["mounts"].append(mount)
    output(bundle, "mkdir -m 0 /home/closed; echo x > /home/file; chmod 6777 /home/file; chown 1000:1000 /home/file")
    facts = (volume / "file").stat()
    assert (facts.st_uid, facts.st_gid) == (301_000, 301_000)
    assert (volume / "closed").stat().st_uid == 300_000


@pytest.mark.requires("rootless", "subuid")
def test_what_a_user_of_a_rootless_container_writes(scratch, root):
    """Root inside is the caller; another user is one of his subordinate ids, whose files he removes from inside."""
    pc.run(["sh", "-c", "echo x >/in/mine; chmod 777 /in"], rootfs=root, volumes={scratch: "/in"}, check=True)
    pc.run(["sh", "-c", "echo x >/in/other"], rootfs=root, user=1000, volumes={scratch: "/in"}, check=True)
    assert (scratch / "mine").stat().st_uid == os.geteuid()
    assert (scratch / "other").stat().st_uid not in {0, os.geteuid(), 1000}
    pc.run(["rm", "/in/mine", "/in/other"], rootfs=root, volumes={scratch: "/in"}, check=True)


# -- handles of files


@pytest.mark.parametrize(
    "options", [{}, {"caps_add": ["ALL"]}, {"caps_add": ["ALL"], "seccomp": "unconfined"}], ids=str
)
def test_no_file_is_opened_by_its_handle(facts, scratch, options):
    """The "shocker" of docker 0.11: with a volume from a file system of the host."""
    (scratch / "file").write_text("")
    answers = facts("open-by-handle", "/in/file", volumes={scratch: "/in"}, **options)
    assert "root" not in answers
    if "seccomp" not in options:
        assert answers["name"] == "EPERM" or options
        assert answers["same"] in {"EPERM", "ESTALE"}


# -- a root that is read-only


@pytest.mark.parametrize("userns", [pytest.param(False, marks=for_root), True])
def test_a_read_only_root(bundle, own_root, userns):
    """Nothing of it is written by whom it is for, not through /proc either; and it cannot be made writable."""
    bundle.config["root"] = {"path": str(own_root), "readonly": True}
    if userns and os.geteuid() == 0:
        bundle.map_ids(300_000)
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": QUIET})
    before = {path: path.lstat().st_mtime_ns for path in own_root.rglob("*")}
    places = "/new /etc/new /proc/self/root/new /proc/1/root/new /proc/self/cwd/new"
    text = output(bundle, f"probe creates {places}; probe writes /etc/passwd; probe unmounts /; probe creates /tmp/new")
    *answers, control = (line.rsplit(" ", 1)[1] for line in text.splitlines())
    assert set(answers) <= {"EROFS", "EPERM", "EACCES", "EBUSY", "EINVAL"}, text
    assert control == "ok"
    assert {path: path.lstat().st_mtime_ns for path in own_root.rglob("*")} == before


# -- what is shown to people


def test_nothing_in_a_name_steers_the_terminal(bundle, scratch, root):
    """In lists and errors: an escape sequence, the one that fills the clipboard, a bell."""
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[31m\x9b31m\u202e"
    directory = scratch / f"b{evil}"
    directory.mkdir()
    other = Bundle(directory, root, scratch / "state")
    other.config["annotations"] = {f"org.example.{evil}": evil}
    oci = Oci(other)
    try:
        oci.running()
        shown = [oci.call("list").out, oci.call("ps", "web").out, oci.call("state", "web").out]
        shown += [oci.fails("exec", "web", evil, code=None), oci.fails("create", "--bundle", f"/{evil}", "two")]
        shown += [oci.fails("state", evil), oci.fails("delete", evil), oci.fails(evil, code=None)]
        other.config["process"]["cwd"] = f"x{evil}"
        shown.append(oci.fails("create", "--bundle", other.write(), "two"))
        for text in shown:
            assert all(letter.isprintable() or letter == "\n" for letter in text), text
    finally:
        other.clean_up()


# -- tools


TOOLS = "ps ip nft iptables newuidmap newgidmap tar xz mount umount modprobe criu systemd-run unshare nsenter sh-tool"


def test_tools_of_the_root_run_on_no_host(bundle, own_root, canary):
    """CVE-2019-14271, CVE-2022-1227: all that a runtime might call is there, and tells if it sees the host."""
    bundle.config["root"]["path"] = str(own_root)
    tell = f"#!/bin/sh\ntest -e {canary} && : > {canary}/hostexec\nexit 0\n"
    for name in TOOLS.split():
        for place in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin"):
            (own_root / place).mkdir(parents=True, exist_ok=True)
            (own_root / place / name).unlink(missing_ok=True)
            (own_root / place / name).write_text(tell)
            (own_root / place / name).chmod(0o755)
    (own_root / "etc/nsswitch.conf").write_text("passwd: evil\n")
    (own_root / "etc/ld.so.preload").write_text("/lib/evil.so\n")
    oci = Oci(bundle)
    oci.running()
    oci.call("exec", "web", "true")
    oci.call("ps", "web")
    oci.call("state", "web")
    oci.call("list")
    oci.call("delete", "--force", "web")
    pc.run(["true"], rootfs=own_root, user="root", dns=["192.0.2.1"], check=True)
