"""Every option of `ContainerConfig` has the effect inside that its description promises."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import Mount
from pycgroups.security import capabilities
from tests.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.requires("userns", "busybox", "gcc")]
needs_ids = pytest.mark.requires("subuid")
needs_root = pytest.mark.requires("root")

MIB = 1 << 20
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def mountinfo(text):
    """(options of the mount, type, options of the file system) of each mount point."""
    result = {}
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ")
        result[fields.split()[4]] = (set(fields.split()[5].split(",")), kind, set(options.split(",")))
    return result


@pytest.fixture
def mounts(inside):
    def ask(**options):
        return mountinfo(inside(["cat", "/proc/self/mountinfo"], check=True, **options).stdout)

    return ask


@pytest.fixture
def say(inside):
    """Run a shell script; its output without the last newline."""

    def run(script, **options):
        result = inside(["sh", "-c", script], stderr=pc.STDOUT, **options)
        assert result.returncode == 0, result
        return result.stdout.removesuffix("\n")

    return run


def status(inside, **options):
    text = inside(["cat", "/proc/self/status"], check=True, **options).stdout
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


# -- process


def test_entrypoint(inside):
    assert inside(["b", "c"], entrypoint=["echo", "a"]).stdout == "a b c\n"
    assert inside(["echo", "x"], entrypoint="").stdout == "x\n"
    assert inside(["-n"], entrypoint="echo").args == ["echo", "-n"]


def test_env_is_what_was_asked_for_and_little_else(facts, inside):
    lines = inside(["probe", "environment"], env={"A": "1", "B": "x y\n=z"}).stdout
    assert lines == f"PATH={DEFAULT_PATH}\nHOME=/root\nA=1\nB=x y\n=z\n"
    assert "TERM=xterm" in inside(["probe", "environment"], tty=True).stdout
    assert inside(["probe", "environment"], env=["PATH=/bin", "HOME=/"]).stdout == "PATH=/bin\nHOME=/\n"


def test_env_file(inside, scratch, monkeypatch):
    monkeypatch.setenv("FROM_CALLER", "here")
    (scratch / "one").write_text("# comment\nA=file\nB=file\nFROM_CALLER\nNOT_SET\n")
    (scratch / "two").write_text("B=second file\n")
    lines = inside(["probe", "environment"], env_file=[scratch / "one", scratch / "two"], env={"A": "env"}).stdout
    assert set(lines.splitlines()[2:]) == {"A=env", "B=second file", "FROM_CALLER=here"}


def test_cwd(say, own_root):
    assert say("pwd") == "/"
    assert say("pwd", cwd="/etc") == "/etc"
    assert pc.run(["pwd"], rootfs=own_root, cwd="/made/for/it").stdout == b"/made/for/it\n"
    (own_root / "link").symlink_to("/etc")
    assert pc.run(["pwd", "-P"], rootfs=own_root, cwd="/link").stdout == b"/etc\n"


@needs_ids
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, (0, 0, set(), "/root")),
        (1000, (1000, 1000, set(), "/home/user")),
        ("1000", (1000, 1000, set(), "/home/user")),
        ("user", (1000, 1000, {26, 44}, "/home/user")),
        ("user:staff", (1000, 50, set(), "/home/user")),
        ("1000:50", (1000, 50, set(), "/home/user")),
        ("lone", (1001, 1001, {26}, "/")),
        (4321, (4321, 0, set(), "/")),
        ("4321:99", (4321, 99, set(), "/")),
    ],
)
def test_user(facts, inside, user, expected):
    uid, gid, groups, home = expected
    who = facts("identity", user=user)
    assert (who["uid"], who["gid"]) == (" ".join([str(uid)] * 3), " ".join([str(gid)] * 3))
    assert set(map(int, who.get("groups", "").split())) == groups
    assert inside(["sh", "-c", "echo $HOME"], user=user).stdout == f"{home}\n"


@needs_ids
def test_groups(inside):
    assert set(inside(["id", "-G"], groups=["staff", 77, "26"]).stdout.split()) == {"0", "50", "77", "26"}
    assert set(inside(["id", "-G"], user="user", groups=["staff"]).stdout.split()) == {"1000", "26", "44", "50"}


@needs_ids
def test_a_supplementary_group_gives_its_rights(own_root):
    file = own_root / "etc/for-staff"
    file.write_text("secret\n")
    if os.geteuid() != 0:
        pytest.skip("only root gives files to other groups")
    os.chown(file, 0, 50)
    file.chmod(0o040)
    command = ["cat", "/etc/for-staff"]
    assert pc.run(command, rootfs=own_root, user=1000).returncode == 1
    assert pc.run(command, rootfs=own_root, user=1000, groups=["staff"]).stdout == b"secret\n"


@pytest.mark.parametrize("option", ["user", "groups"])
def test_names_that_the_container_does_not_know(inside, option):
    with pytest.raises(pc.InvalidConfig, match=f"{option}.*nobody-knows.*not in the container's"):
        inside(["true"], **{option: "nobody-knows" if option == "user" else ["nobody-knows"]})


@pytest.mark.requires("no_subuid")
def test_a_user_needs_a_map(inside):
    with pytest.raises(pc.InvalidConfig, match="not in the container's id map") as caught:
        inside(["true"], user=1000)
    assert "subuid" in caught.value.hint
    with pytest.raises(pc.InvalidConfig, match="not in the container's id map"):
        inside(["true"], groups=[50])


def test_umask(say):
    before = os.umask(0o077)
    try:
        assert say("umask") == "0022"
        assert say("umask", umask=0o027) == "0027"
        assert say("umask", umask=0) == "0000"
    finally:
        os.umask(before)


def test_ulimits(say):
    assert say("ulimit -n; ulimit -Hn", ulimits={"nofile": 64}) == "64\n64"
    assert say("ulimit -n; ulimit -Hn", ulimits={"nofile": (50, 100)}) == "50\n100"
    assert say("ulimit -c", ulimits={"core": "0:0", "nofile": "50:100"}) == "0"
    assert say("ulimit -t", ulimits={"cpu": "unlimited"}) == "unlimited"


def test_ulimits_hold(inside):
    assert inside(["probe", "burn", "60"], ulimits={"cpu": 1}, timeout=300).returncode == -9
    result = inside(["probe", "fill", "/tmp"], ulimits={"fsize": 1024}, mounts=[Mount.tmpfs("/tmp")])
    assert result.returncode == -25  # SIGXFSZ, which Python ignores


def test_oom_score_adj(say):
    assert say("cat /proc/self/oom_score_adj") == Path("/proc/self/oom_score_adj").read_text().strip()
    assert say("cat /proc/self/oom_score_adj", oom_score_adj=500) == "500"


@pytest.mark.requires("rootless")
def test_oom_score_adj_below_the_callers(inside):
    with pytest.raises(pc.LaunchError, match="oom score") as caught:
        inside(["true"], oom_score_adj=-900)
    assert "CAP_SYS_RESOURCE" in caught.value.hint


def test_stop_signal_and_timeout_do_not_concern_run(inside):
    assert inside(["sleep", "60"], stop_signal="USR1", stop_timeout=0, timeout=0.2).reason == "timeout"


def test_init_reaps(facts):
    assert facts("orphans", 100) == {"zombies": "0"}


def test_init_is_pid_1_or_the_program_is(say):
    assert say("echo $$; cat /proc/1/comm; true") == "2\npycgroups-init"
    assert say("echo $$; cat /proc/1/comm; true", init=False) == "1\nsh"


def test_init_forwards_signals(script, root, scratch):
    """All signals that the container's first process gets go to the program."""
    code = """
import os, sys, threading, time, pycgroups as pc
root, place = sys.argv[1:]
def poke():
    while not os.path.exists(place + "/ready"):
        time.sleep(0.01)
    (pid,) = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    for number, answer in ((10, "usr1"), (12, "usr2"), (15, "term")):
        os.kill(int(pid), number)
        while not os.path.exists(f"{place}/{answer}"):
            time.sleep(0.01)
threading.Thread(target=poke).start()
program = "trap 'echo >usr1' USR1; trap 'echo >usr2' USR2; trap 'echo >term; exit 9' TERM; echo >ready;"
r = pc.run(["sh", "-c", program + "while :; do sleep 0.05; done"], rootfs=root, workspace=place, timeout=300)
print(r.reason, r.returncode)
"""
    assert script(code, root, scratch) == "exited 9\n"


# -- identity


def test_hostname(say):
    assert say("hostname", hostname="box.example") == "box.example"
    assert say("hostname", name="some-name") == "some-name"
    assert say("hostname") not in {"", socket.gethostname()}
    assert say("hostname", namespaces={"uts": "host"}, caps_drop=["ALL"]) == socket.gethostname()


def test_domainname(say):
    assert say("cat /proc/sys/kernel/domainname", domainname="nis.example") == "nis.example"


# -- limits are in test_verdict.py and test_usage.py


# -- files


def test_bind_mounts(say, scratch):
    (scratch / "file").write_text("from the host\n")
    volumes = {scratch: "/in:idmap" if os.geteuid() == 0 else "/in"}
    assert say("cat /in/file; echo changed > /in/file; cat /in/file", volumes=volumes) == "from the host\nchanged"
    assert (scratch / "file").read_text() == "changed\n"


def test_bind_mounts_of_one_file(own_root, scratch):
    (scratch / "file").write_text("from the host\n")
    result = pc.run(["cat", "/new/place"], rootfs=own_root, volumes={scratch / "file": "/new/place"})
    assert result.stdout == b"from the host\n"


def test_read_only_bind_mounts(say, scratch):
    (scratch / "file").write_text("as before\n")
    attempt = "cat /in/file; echo x >/in/file; echo x >/in/new; rm /in/file; true"
    for how in ({"volumes": {scratch: "/in:ro"}}, {"mounts": [Mount.bind(scratch, "/in", read_only=True)]}):
        text = say(attempt, **how)
        assert text.count("Read-only file system") == 3, text
    assert [path.read_text() for path in scratch.iterdir()] == ["as before\n"]


@needs_root
def test_submounts_of_bind_mounts(say, scratch):
    """MNT-11."""
    (scratch / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "sub", scratch / "sub"], check=True)
    try:
        (scratch / "sub/file").write_text("below\n")
        attempt = "cat /in/sub/file; echo x >/in/sub/file; echo x >/in/new; true"
        text = say(attempt, volumes={scratch: "/in:ro"})
        assert text.startswith("below\n")
        assert text.count("Read-only file system") == 2, text
        remount = "mount -o remount,bind,rw /in; mount -o remount,bind,rw /in/sub; umount -l /in/sub;" + attempt
        text = say(remount, volumes={scratch: "/in:ro"})
        assert text.count("Read-only file system") == 2, text
        flat = [Mount.bind(scratch, "/in", recursive=False)]
        assert say("ls -A /in/sub", mounts=flat, userns="host") == ""
        assert say("cat /in/sub/file", volumes={scratch: "/in"}) == "below"
    finally:
        subprocess.run(["umount", scratch / "sub"], check=True)


def test_tmpfs(say, mounts):
    mount = Mount.tmpfs("/scratch", size="1M", mode=0o750)
    options, kind, settings = mounts(mounts=[mount])["/scratch"]
    assert (kind, settings >= {"size=1024k", "mode=750"}) == ("tmpfs", True)
    assert {"nosuid", "nodev"} <= options
    assert say(
        "stat -c %a /scratch; dd if=/dev/zero of=/scratch/f bs=64k 2>/dev/null; stat -c %s /scratch/f", mounts=[mount]
    ) == (f"750\n{MIB}")
    text = say("echo x >/scratch/f || true", mounts=[Mount.tmpfs("/scratch", read_only=True)])
    assert "Read-only file system" in text


@needs_root
def test_a_volume_at_dev(say, scratch):
    """It is used as it is, and nothing is made in it."""
    subprocess.run(["mknod", "-m", "666", scratch / "null", "c", "1", "3"], check=True)
    for _ in range(2):
        text = say("ls /dev; echo x >/dev/null || echo no", mounts=[Mount.bind(scratch, "/dev")], masked_paths=[])
        assert text.split()[-1] == "no"  # nodev
        assert "fd" not in os.listdir(scratch)


def test_overlay(say, own_root):
    for name in ("low", "high", "upper", "work"):
        (own_root / name).mkdir()
    (own_root / "low/a").write_text("low a")
    (own_root / "low/b").write_text("low b")
    (own_root / "high/a").write_text("high a")
    layers = [own_root / "high", own_root / "low"]
    text = say("cat /o/a; echo; cat /o/b; echo x >/o/a || true", mounts=[Mount.overlay(layers, "/o")])
    assert text.startswith("high a\nlow b")
    assert "Read-only file system" in text
    mount = Mount.overlay(layers, "/o", upper=own_root / "upper", work=own_root / "work")
    if os.geteuid() != 0:
        assert say("echo new >/o/a; rm /o/b; ls /o", mounts=[mount]) == "a"
    else:  # the container's root does not own the host root's directories
        assert say("echo new >/o/a; rm /o/b; ls /o", mounts=[mount], userns="host") == "a"
    assert (own_root / "upper/a").read_text() == "new\n"
    assert (own_root / "low/a").read_text() == "low a"


@pytest.mark.parametrize("name", [b":a", b",a", b"\\a", b"a b\n", b"a,suid,upperdir=b", b"\xff", b"\\:\\,"], ids=repr)
def test_overlay_of_directories_with_odd_names(say, scratch, name):
    """MNT-17: nothing in a path is an option or another directory."""
    places = [os.fsencode(scratch) + b"/" + name + letter for letter in (b"low", b"upper", b"work")]
    for place in places:
        os.mkdir(place)
    with open(places[0] + b"/low", "w"), open(places[1] + b"/upper", "w"):
        pass
    assert say("ls /o", mounts=[Mount.overlay(places[:2], "/o")]).split() == ["low", "upper"]
    mount = Mount.overlay(places[0], "/o", upper=places[1], work=places[2])
    assert say("ls /o", mounts=[mount]).split() == ["low", "upper"]


def test_overlay_of_directories_with_long_names(say, scratch):
    """All of them are one value of fsconfig(2), which takes 255 bytes."""
    layers = [scratch / ("a" * 200) / ("b" * 200), scratch / ("c" * 200)]
    for layer in layers:
        layer.mkdir(parents=True)
        (layer / layer.name[:3]).touch()
    assert say("ls /o", mounts=[Mount.overlay(layers, "/o")]).split() == ["bbb", "ccc"]
    both = [Mount.overlay(layers, "/o"), Mount.overlay(layers[::-1], "/p")]
    assert say("ls /o /p", mounts=both).split() == ["/o:", "bbb", "ccc", "/p:", "bbb", "ccc"]


def test_overlay_of_many_directories(say, scratch):
    layers = [scratch / f"layer{number}" for number in range(60)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / "top").write_text(str(number))
        (layer / f"file{number}").touch()
    text = say("cat /o/top; echo; ls /o | wc -l", mounts=[Mount.overlay(layers, "/o")])
    assert text.split() == ["0", "61"]


@needs_root
def test_propagation(script, root, scratch):
    """MNT-10: mounts of the container stay in it unless asked; a slave takes what the host mounts later."""
    code = """
import os, subprocess, sys, threading, time
import pycgroups as pc
root, place = sys.argv[1:]
mount = lambda *words: subprocess.run(["mount", *words], check=True)
mount("--bind", place, place)
mount("--make-shared", place)
os.mkdir(place + "/host"); os.mkdir(place + "/inside")
def here():
    return {line.split()[4].removeprefix(place) for line in open("/proc/self/mountinfo") if place in line.split()[4]}
try:
    for kind in ("rprivate", "rslave", "rshared"):
        def later():
            while not os.path.exists(place + "/ready"):
                time.sleep(0.01)
            mount("-t", "tmpfs", "t", place + "/host")
            os.rename(place + "/ready", place + "/go")
        thread = threading.Thread(target=later)
        thread.start()
        program = "mount -t tmpfs t /in/inside; touch /in/ready; until [ -e /in/go ]; do sleep 0.01; done; rm /in/go"
        r = pc.run(["sh", "-c", program + "; grep -c /in/host /proc/self/mountinfo; true"], rootfs=root, text=True,
                   mounts=[pc.Mount.bind(place, "/in", propagation=kind)], caps_add=["SYS_ADMIN"], userns="host",
                   timeout=300)
        thread.join()
        print(kind, r.stdout.strip(), sorted(here()), flush=True)
        for path in ("/host", "/inside"):
            subprocess.run(["umount", place + path], stderr=subprocess.DEVNULL)
finally:
    subprocess.run(["umount", "-l", place])
"""
    isolated = script(code, root, scratch)
    assert isolated.splitlines() == [
        "rprivate 0 ['', '/host']",
        "rslave 1 ['', '/host']",
        "rshared 1 ['', '/host', '/inside']",
    ]


def test_volumes_with_unknown_options_are_told(inside, scratch):
    with pytest.raises(pc.InvalidConfig, match="volumes"):
        inside(["true"], volumes={scratch: "/in:nonsense"})


@needs_root
def test_idmap_shows_files_to_the_owner_on_disk(say, scratch):
    (scratch / "file").write_text("x")
    os.chown(scratch / "file", 1000, 1000)
    look = "stat -c '%u %g' /in/file"
    assert say(look, volumes={scratch: "/in"}) == "65534 65534"
    assert say(look, volumes={scratch: "/in:idmap"}) == "1000 1000"
    say("echo new >/in/new; chown 7:8 /in/new", volumes={scratch: "/in:idmap"})
    facts = (scratch / "new").stat()
    assert (facts.st_uid, facts.st_gid) == (7, 8)


@needs_root
def test_what_root_made_in_the_root_belongs_to_root_on_disk(own_root):
    pc.run(["sh", "-c", "echo x >/file; chown 1000:50 /file; mkdir /dir"], rootfs=own_root, check=True)
    facts = (own_root / "file").stat()
    assert (facts.st_uid, facts.st_gid) == (1000, 50)
    assert (own_root / "dir").stat().st_uid == 0


def test_read_only(own_root):
    """MNT-20."""
    before = sorted(path.name for path in own_root.rglob("*"))
    places = ["/x", "/etc/x", "/proc/self/root/x", "/tmp/x", "/dev/x"]
    text = pc.run(["probe", "creates", *places], rootfs=own_root, read_only=True, text=True).stdout
    answers = dict(line.split() for line in text.splitlines())
    assert {answers[place] for place in places[:-1]} == {"EROFS"}
    result = pc.run(
        ["sh", "-c", "echo x >/scratch/x && cat /scratch/x"],
        rootfs=own_root,
        read_only=True,
        mounts=[Mount.tmpfs("/scratch")],
    )
    assert result.stdout == b"x\n"
    assert {path.name for path in own_root.rglob("*")} - set(before) <= {"scratch"}
    text = pc.run(["mount", "-o", "remount,rw", "/"], rootfs=own_root, read_only=True, text=True).stderr
    assert text


def test_a_read_only_root_that_has_every_mount_point_is_not_written(own_root):
    for path in [own_root, *own_root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    stamps = {path: path.lstat().st_mtime_ns for path in own_root.rglob("*")}
    assert pc.run(["true"], rootfs=own_root, read_only=True).returncode == 0
    assert {path: path.lstat().st_mtime_ns for path in own_root.rglob("*")} == stamps
    for path in [own_root, *own_root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def test_workspace(inside, scratch):
    (scratch / "in").write_text("for the program\n")
    result = inside(["sh", "-c", "pwd; cat in; echo made >out; mkdir dir; echo y >dir/file"], workspace=scratch)
    assert result.stdout == "/workspace\nfor the program\n", result
    for name in ("out", "dir", "dir/file"):
        facts = (scratch / name).stat()
        assert (facts.st_uid, facts.st_gid) == (os.geteuid(), os.getegid())


@needs_root
def test_workspace_of_another_user_inside(inside, scratch):
    result = inside(["sh", "-c", "id -u; echo made >out"], workspace=scratch, user=1000)
    assert (result.returncode, result.stdout) == (0, "1000\n"), result
    assert (scratch / "out").stat().st_uid == 0


@pytest.mark.requires("rootless", "subuid")
def test_workspace_of_an_ordinary_user_is_for_root_inside(inside, scratch):
    with pytest.raises(pc.Unsupported, match="workspace"):
        inside(["true"], workspace=scratch, user=1000)


# -- network


def test_no_network_by_default(say):
    assert say("ls /sys/class/net") == "lo"
    assert say("cat /proc/net/route").count("\n") == 0
    ask = "until nc 127.0.0.1 7777 </dev/null 2>/dev/null; do sleep 0.01; done"  # it may not listen yet
    assert say(f"(echo ping | nc -l -p 7777 &) ; {ask}") == "ping"


def test_network_host(say):
    assert set(say("ls /sys/class/net", network="host").split()) >= {"lo"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            with server.accept()[0] as connection:
                connection.sendall(b"pong")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert say(f"nc 127.0.0.1 {port} </dev/null", network="host") == "pong"
        thread.join(PATIENCE)


def test_network_host_has_the_hosts_resolver(inside):
    text = inside(["cat", "/etc/resolv.conf"], network="host").stdout
    with open("/etc/resolv.conf") as file:
        assert text == file.read()


def test_dns_and_extra_hosts(say, root):
    text = say("cat /etc/resolv.conf /etc/hosts", dns=["192.0.2.1", "2001:db8::1"], extra_hosts={"box": "192.0.2.7"})
    assert text.startswith("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    assert "192.0.2.7\tbox" in text
    assert "127.0.0.1\tlocalhost" in text


@pytest.mark.parametrize("file", ["etc/hosts", "etc/resolv.conf"])
def test_files_that_are_shown_are_not_written_to_the_root_nor_through_its_symlinks(own_root, scratch, file):
    """MNT-14."""
    (scratch / "canary").write_text("canary")
    (own_root / file).symlink_to(f"../../../../../..{scratch}/canary")
    options = {"dns": ["192.0.2.1"], "extra_hosts": {"box": "192.0.2.7"}}
    result = pc.run(["cat", f"/{file}"], rootfs=own_root, **options)
    assert b"192.0.2" in result.stdout
    assert (scratch / "canary").read_text() == "canary"
    assert (own_root / file).is_symlink()


# -- isolation


def user_map(inside, **options):
    return [
        list(map(int, line.split())) for line in inside(["cat", "/proc/self/uid_map"], **options).stdout.splitlines()
    ]


@needs_root
def test_userns_auto_of_root_is_far_from_the_hosts_ids(inside):
    ((first, outside, count),) = user_map(inside)
    assert (first, count) == (0, 65536)
    assert outside >= 1 << 24


@pytest.mark.requires("rootless", "subuid")
def test_userns_auto_of_an_ordinary_user(inside):
    assert user_map(inside)[0] == [0, os.geteuid(), 1]
    assert user_map(inside)[1][2] == 65536


@pytest.mark.requires("no_subuid")
def test_userns_auto_without_subordinate_ids(inside):
    assert user_map(inside) == [[0, os.geteuid(), 1]]


@needs_root
def test_userns_host_and_parsed(inside):
    assert user_map(inside, userns="host") == [[0, 0, 2**32 - 1]]
    assert user_map(inside, userns="0:700000:1000,5000:800000:10") == [[0, 700000, 1000], [5000, 800000, 10]]
    assert user_map(inside, userns=pc.IdMap.parse("0:700000:1000")) == [[0, 700000, 1000]]


@pytest.mark.requires("rootless")
def test_userns_host_needs_root(inside):
    with pytest.raises(pc.Unsupported, match="needs root"):
        inside(["true"], userns="host")
    assert user_map(inside, userns=pc.IdMap.single()) == [[0, os.geteuid(), 1]]


@pytest.mark.requires("rootless")
@pytest.mark.parametrize("options", [{}, {"init": False}, {"tty": True}, {"userns": pc.IdMap.keep_id()}], ids=str)
def test_userns_keep_id(inside, own_root, scratch, options):
    """The caller is inside who they are outside."""
    (own_root / "workspace").mkdir()  # else root inside makes it, who is somebody else
    own = [os.geteuid(), os.getegid()]
    given = {"userns": "keep-id", "workspace": scratch, **options}
    assert [own[0], own[0], 1] in user_map(inside, userns="keep-id")
    for root in ({"rootfs": own_root}, {}):
        result = pc.run(
            ["sh", "-c", "id -u; id -g; touch /workspace/file; stat -c '%u %g' /workspace/file"],
            text=True,
            **root,
            **given,
        )
        assert result.stdout.split() == 2 * list(map(str, own)), result
        found = (scratch / "file").stat()
        assert [found.st_uid, found.st_gid] == own
        (scratch / "file").unlink()


@pytest.mark.requires("rootless", "subuid")
def test_userns_keep_id_with_subordinate_ids(inside):
    """The others are strangers to the caller, root as well."""
    maps = user_map(inside, userns="keep-id")
    assert [mapping[0] for mapping in maps] == [0, os.geteuid(), os.geteuid() + 1]
    assert sum(mapping[2] for mapping in maps) == 65537
    for user in (0, os.geteuid() + 1):
        assert inside(["id", "-u"], userns="keep-id", user=user).stdout == f"{user}\n"
    assert inside(["chown", "5:6", "/tmp"], userns="keep-id", user=0, mounts=[Mount.tmpfs("/tmp")]).returncode == 0


@pytest.mark.requires("no_subuid")
def test_userns_keep_id_without_subordinate_ids(inside):
    own = os.geteuid()
    assert user_map(inside, userns="keep-id") == [[own, own, 1]]
    with pytest.raises(pc.InvalidConfig, match="id 0 is not in the container's id map"):
        inside(["true"], userns="keep-id", user=0)


@needs_root
def test_userns_keep_id_is_not_for_root(inside):
    with pytest.raises(pc.Unsupported, match="root's own id"):
        inside(["true"], userns="keep-id")


@needs_root
def test_a_map_without_a_root(inside):
    """Its user sets it up."""
    assert user_map(inside, userns="5:700000:1", user="5:5") == [[5, 700000, 1]]


def namespace_of(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def test_namespaces_are_private_by_default(say):
    kinds = ("user", "pid", "mnt", "uts", "ipc", "cgroup", "net")
    text = say(" ".join(f"readlink /proc/self/ns/{kind};" for kind in kinds))
    assert not set(text.split()) & {namespace_of(kind) for kind in kinds}


@pytest.mark.parametrize("kind", ["ipc", "uts", "net", "cgroup"])
def test_namespaces_of_the_host(say, kind):
    assert say(f"readlink /proc/self/ns/{kind}", namespaces={kind: "host"}) == namespace_of(kind)


@needs_root
@pytest.mark.parametrize("kind", ["ipc", "uts", "net", "cgroup", "time"])
def test_namespaces_of_another_process(say, kind):
    with subprocess.Popen(["unshare", f"--{kind}", "sleep", "60"]) as other:
        try:
            file = f"/proc/{other.pid}/ns/{kind}"
            wait_for(lambda: os.readlink(file) != namespace_of(kind))
            wanted = os.readlink(file)
            for where in (other.pid, file):
                for userns in ("host", "auto"):
                    assert say(f"readlink /proc/self/ns/{kind}", namespaces={kind: where}, userns=userns) == wanted
        finally:
            other.kill()


def test_namespaces_that_are_none(inside, scratch):
    """IDN-12: the type is checked, and nothing runs in the caller's own instead."""
    (scratch / "file").touch()
    with pytest.raises(pc.InvalidConfig, match=r"namespaces\['net'\]: .*/file is no namespace"):
        inside(["true"], namespaces={"net": scratch / "file"})
    with pytest.raises(pc.InvalidConfig, match=r"namespaces\['net'\]: .*/uts is a uts namespace"):
        inside(["true"], namespaces={"net": "/proc/self/ns/uts"})
    with pytest.raises(pc.NotFound):
        inside(["true"], namespaces={"net": scratch / "missing"})


def caps(inside, **options):
    facts = status(inside, **options)
    return tuple(int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


def test_capabilities(inside):
    """IDN-05: the documented list, nothing inheritable, nothing ambient."""
    default = capabilities.mask(capabilities.DEFAULT)
    assert caps(inside) == (0, default, default, default, 0)
    for name in ("SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_MODULE", "BPF", "MKNOD"):
        assert not default >> capabilities.NUMBERS[f"CAP_{name}"] & 1


@needs_ids
def test_capabilities_of_an_ordinary_user_inside(inside):
    default = capabilities.mask(capabilities.DEFAULT)
    assert caps(inside, user=1000) == (0, 0, 0, default, 0)


def test_caps_add_and_drop(inside):
    default = capabilities.mask(capabilities.DEFAULT)
    chown, admin = (capabilities.mask([f"CAP_{name}"]) for name in ("CHOWN", "SYS_ADMIN"))
    assert caps(inside, caps_add=["SYS_ADMIN"], caps_drop=["chown"])[3] == default & ~chown | admin
    assert caps(inside, caps_drop=["ALL"]) == (0, 0, 0, 0, 0)
    assert caps(inside, caps_drop=["ALL"], caps_add=["CHOWN"])[1:4] == (chown, chown, chown)
    everything = capabilities.mask(capabilities.NUMBERS)
    assert caps(inside, caps_add=["ALL"])[3] == everything


@needs_ids
def test_a_dropped_capability_is_missed(inside):
    assert inside(["chown", "1000", "/tmp"], mounts=[Mount.tmpfs("/tmp")]).returncode == 0
    assert inside(["chown", "1000", "/tmp"], mounts=[Mount.tmpfs("/tmp")], caps_drop=["CHOWN"]).returncode == 1


def test_seccomp(inside, scratch):
    assert status(inside)["Seccomp"] == "2"
    assert status(inside, seccomp="unconfined")["Seccomp"] == "0"
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93}],
    }
    attempt = ["mkdir", "/tmp/x"]
    options = {"mounts": [Mount.tmpfs("/tmp")]}
    assert inside(attempt, **options).returncode == 0
    assert "Protocol not supported" in inside(attempt, seccomp=profile, **options).stderr
    (scratch / "profile.json").write_text(json.dumps(profile))
    assert "Protocol not supported" in inside(attempt, seccomp=scratch / "profile.json", **options).stderr
    profile["syscalls"][0]["action"] = "SCMP_ACT_KILL_PROCESS"
    del profile["syscalls"][0]["errnoRet"]
    assert inside(attempt, seccomp=profile, **options).returncode == -31


def test_no_new_privileges(facts):
    assert facts("identity")["no_new_privs"] == "1"


# Of a file: cap_setuid in the permitted set, and effective; struct vfs_cap_data of <linux/capability.h>, revision 2.
CAP_SETUID_EP = struct.pack("<5I", 0x02000001, 1 << 7, 0, 0, 0)


@needs_root
def test_no_new_privileges_and_programs_that_give_some(own_root, scratch):
    """IDN-07, with the controls: the setuid bit, and a file's capability, work when they are let."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "setuid", scratch], check=True)
    try:
        subprocess.run(["cp", "-a", own_root, scratch / "root"], check=True)
        for name in ("setuid", "capable"):
            shutil.copy2(own_root / "bin/probe", scratch / "root/bin" / name)
        (scratch / "root/bin/setuid").chmod(0o4755)
        os.setxattr(scratch / "root/bin/capable", "security.capability", CAP_SETUID_EP)

        def gained(program, **options):
            result = pc.run([program, "identity"], rootfs=scratch / "root", user=1000, text=True, **options)
            facts = dict(line.partition(" ")[::2] for line in result.stdout.splitlines())
            return facts["uid"], facts["no_new_privs"], facts["setuid0"]

        for userns in ("auto", "host"):
            assert gained("setuid", userns=userns) == ("1000 1000 1000", "1", "EPERM")
            assert gained("capable", userns=userns) == ("1000 1000 1000", "1", "EPERM")
            assert gained("setuid", userns=userns, no_new_privileges=False) == ("1000 0 0", "0", "ok")
            assert gained("capable", userns=userns, no_new_privileges=False) == ("1000 1000 1000", "0", "ok")
    finally:
        subprocess.run(["umount", scratch], check=True)


def test_no_new_privileges_off_keeps_the_filter(inside):
    facts = status(inside, no_new_privileges=False)
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("0", "2")


@needs_root
def test_privileged(inside, say):
    everything = capabilities.mask(capabilities.NUMBERS)
    assert caps(inside, privileged=True)[1:4] == (everything,) * 3
    assert status(inside, privileged=True)["Seccomp"] == "0"
    assert set(os.listdir("/dev")) <= set(say("ls /dev", privileged=True).split())
    assert say("mount -t tmpfs t /tmp && touch /tmp/x && ls /tmp", privileged=True) == "x"
    points = set(mountinfo(inside(["cat", "/proc/self/mountinfo"], privileged=True).stdout))
    assert not [point for point in points if point.startswith("/proc/")]


def test_securebits(facts):
    assert facts("identity")["securebits"] == "0"
    assert facts("identity", securebits=["noroot", "noroot_locked"])["securebits"] == "0x3"
    assert facts("identity", securebits=0x2F)["securebits"] == "0x2f"


@needs_root
def test_devices(inside, say):
    assert "fuse" not in say("ls /dev").split()
    path = "/dev/loop-control" if os.path.exists("/dev/loop-control") else "/dev/kmsg"
    made = say(f"stat -c '%F %t:%T' /dev/mine {path}", devices=[f"{path}:/dev/mine:rw", path])
    number = os.stat(path).st_rdev
    expected = f"character special file {os.major(number):x}:{os.minor(number):x}"
    assert made.splitlines() == [expected] * 2


def test_devices_for_reading_or_writing_alone(say):
    tries = "for how in '<' '>' '<>'; do (eval \"exec 3$how/dev/fuse\") 2>/dev/null && echo \"$how\"; done; true"
    if os.geteuid() != 0:
        with pytest.raises(pc.Unsupported, match=r"devices\[0\].*root of the host"):
            say(tries, devices=["/dev/fuse:r"])
        return
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse, which everybody may open")
    for access, expected in (("r", ["<"]), ("wm", [">"]), ("m", []), ("rw", ["<", ">", "<>"])):
        given = [f"/dev/fuse:{access}"]
        assert say(tries, devices=given).split() == expected
        assert say(tries, devices=given, userns="host").split() == expected
        assert say(tries, devices=given, memory="64M").split() == expected
        assert say(tries, devices=given, privileged=True).split() == expected


@needs_root
def test_the_default_devices_beside_a_rule(say):
    """Those of a container whose cgroup has rules; its terminal too."""
    use = ": <>/dev/null; : <>/dev/zero; : <>/dev/full; : </dev/urandom; : </dev/random; : <>/dev/ptmx; "
    use += ": <>/dev/tty; : <>/dev/console; echo all"
    given = ["/dev/kmsg:r"]
    assert say(use, devices=given, tty=True).strip() == "all"
    assert say(use, devices=given, tty=True, userns="host").strip() == "all"
    made = "cd /dev; busybox mknod a c 1 3; busybox mknod b c 1 1; : <a; ! (: <b) 2>/dev/null && echo so"
    assert say(made, devices=given, userns="host", caps_add=["MKNOD"]) == "so"


def test_devices_for_everybody(say):
    assert say("cat /dev/mine | head -c 3 | wc -c", devices=["/dev/zero:/dev/mine"]).strip() == "3"


def test_the_default_devices(say):
    names = [
        "console",
        "core",
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    ]
    assert set(say("ls /dev").split()) <= set(names)
    assert say("head -c 3 /dev/zero | wc -c; echo x >/dev/null; echo x >/dev/full || true").startswith("3\n")
    assert "No space left" in say("echo x >/dev/full || true")
    kinds = say("cd /dev; stat -c '%n %t:%T %a' null zero full random urandom tty").splitlines()
    numbers = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    assert {word[0]: word[1] for word in map(str.split, kinds)} == numbers
    assert {word[2] for word in map(str.split, kinds)} == {"666"}


def test_masked_paths(say, own_root):
    (own_root / "secret").mkdir()
    (own_root / "secret/file").write_text("secret")
    (own_root / "etc/key").write_text("key")
    masked = ["/secret", "/etc/key", "/not/there", "/secret"]
    script = "ls -A /secret; cat /etc/key; echo x >/etc/key; touch /secret/x || true"
    result = pc.run(["sh", "-c", script], rootfs=own_root, masked_paths=masked, text=True, stderr=pc.STDOUT)
    assert result.stdout == "touch: /secret/x: Read-only file system\n"
    assert (own_root / "etc/key").read_text() == "key"


def test_readonly_paths(own_root):
    (own_root / "data").mkdir()
    script = "touch /data/x; touch /etc/x && rm /etc/x; echo x >/data/../etc/group"
    result = pc.run(["sh", "-c", script], rootfs=own_root, readonly_paths=["/data", "/etc/group", "/none"], text=True)
    assert result.stderr.count("Read-only file system") == 2
    assert pc.run(["touch", "/data/x"], rootfs=own_root).returncode == 0


def test_sysctls(say):
    settings = {"net.ipv4.ip_default_ttl": "42", "kernel.shmmax": "12345"}
    text = say("cd /proc/sys; cat net/ipv4/ip_default_ttl kernel/shmmax", sysctls=settings)
    assert text.split() == ["42", "12345"]
    with open("/proc/sys/net/ipv4/ip_default_ttl") as file:
        assert file.read().strip() != "42"
    assert "Read-only" in say("echo 1 >/proc/sys/net/ipv4/ip_default_ttl || true", sysctls=settings)


@pytest.mark.parametrize(
    "name", ["kernel.core_pattern", "vm.overcommit_memory", "net/../kernel.core_pattern", "fs.file-max"]
)
def test_sysctls_of_the_host_are_refused(inside, name):
    with pytest.raises(pc.InvalidConfig, match="sysctls"):
        inside(["true"], sysctls={name: "1"})


def test_labels_of_absent_security_modules(inside):
    """SEC-10."""
    for option in ({"apparmor": "some-profile"}, {"selinux_label": "system_u:system_r:container_t:s0"}):
        with pytest.raises(pc.Error) as caught:
            inside(["true"], **option)
        assert isinstance(caught.value, pc.Unsupported | pc.InvalidConfig | pc.LaunchError)


def test_labels_and_annotations_change_nothing_inside(inside):
    assert inside(["true"], labels={"a": "b"}, annotations={"c": "d"}).returncode == 0
