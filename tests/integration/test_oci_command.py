"""`pycgroups-oci`: what podman, containerd and people at a shell ask of it.

What a container is made of, test_runtime.py shows in this process; here is what a command adds to that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pycgroups import runtime
from pycgroups.runtime.state import start_of
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")
same_on_v2 = pytest.mark.slow_in_vm("many processes of Python's, and nothing that cgroup v2 changes")


def wait_until_dead(pid):
    wait_for(lambda: start_of(pid) == 0)


# -- life -------------------------------------------------------------------------------------------------------------


def test_life(oci, bundle):
    bundle.config["annotations"] = {"a": "b"}
    bundle.run("sleep", "1000")
    assert oci.create() == (0, "", "")
    state = oci.state()
    assert [*state] == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert (state["id"], state["status"], state["bundle"]) == ("web", "created", str(bundle.path))
    assert (state["ociVersion"], state["annotations"]) == ("1.2.0", {"a": "b"})
    assert oci.call("start", "web") == (0, "", "")
    assert oci.state() == {**state, "status": "running"}
    assert Path(f"/proc/{state['pid']}/cmdline").read_bytes() == b"sleep\x001000\0"
    assert "running" in oci.fails("start", "web")
    assert "not stopped" in oci.fails("delete", "web")
    assert oci.call("kill", "web", "KILL") == (0, "", "")
    wait_until_dead(state["pid"])
    assert oci.state() == {**state, "status": "stopped", "pid": 0}
    assert "container not running" in oci.fails("kill", "web")
    assert "stopped" in oci.fails("start", "web")
    assert oci.call("delete", "web") == (0, "", "")
    assert "container does not exist" in oci.fails("state", "web")
    assert "container does not exist" in oci.fails("delete", "web")
    assert oci.call("delete", "--force", "web") == (0, "", "")
    assert oci.names() == []


@same_on_v2
def test_what_is_created_can_be_killed_and_deleted_by_force(oci, bundle):
    bundle.run("sleep", "1000")
    oci.create()
    assert "not stopped" in oci.fails("delete", "web")
    assert oci.state()["status"] == "created"
    oci.call("kill", "web", "9")
    oci.wait_for("stopped")
    oci.call("delete", "web")
    oci.create()
    pid = oci.state()["pid"]
    oci.call("delete", "-f", "web")
    assert start_of(pid) == 0


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT"])
@pytest.mark.parametrize("shared", ["none", pytest.param("pid", marks=pytest.mark.requires("root"))])
def test_what_waits_for_its_start_is_ended_by_what_ends_a_program(oci, bundle, name, shared):
    bundle.run("sleep", "1000")
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != shared]
    oci.create()
    oci.call("kill", "web", "USR1")
    oci.call("kill", "web", name)
    oci.wait_for("stopped")
    assert "stopped" in oci.fails("start", "web")
    oci.call("delete", "web")


@same_on_v2
def test_a_name_is_taken_once(oci, bundle, tmp_path):
    bundle.run("sleep", "1000")
    oci.create()
    before = oci.state()
    log = tmp_path / "log"
    oci.words += ["--log", str(log), "--log-format", "json"]
    err = oci.create(code=1).err
    assert "container with given ID already exists" in err
    assert "container with given ID already exists" in json.loads(log.read_text())["msg"]
    assert oci.state() == before


@same_on_v2
def test_what_is_wrong_with_a_bundle(oci, bundle, tmp_path):
    assert "config.json: No such file" in oci.fails("create", "--bundle", tmp_path, "web")
    bundle.config["process"]["args"] = []
    assert "process.args" in oci.fails("create", "--bundle", bundle.write(), "web")
    bundle.run("nonesuch")
    assert "nonesuch" in oci.fails("create", "--bundle", bundle.write(), "web")
    bundle.config["root"]["path"] = "nowhere"
    assert "nowhere" in oci.fails("create", "--bundle", bundle.write(), "web")
    assert oci.names() == []


@same_on_v2
def test_a_container_needs_a_name(oci, bundle):
    for verb in ("create", "run"):
        assert "option id: got ''" in oci.fails(verb, "--bundle", bundle.write(), "")
    assert oci.names() == []


@same_on_v2
def test_a_program_needs_a_name(oci, bundle):
    bundle.run("")
    for verb in ("create", "run"):
        err = oci.fails(verb, "--bundle", bundle.write(), "web")
        assert "No such file" in err
        assert "empty" in err
    oci.running()
    assert "No such file" in oci.fails("exec", "web", "", code=255)


@same_on_v2
def test_an_id_that_is_not_mapped(oci, bundle):
    linux = bundle.config["linux"]
    linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != "user"] + [{"type": "user"}]
    for key in ("uidMappings", "gidMappings"):  # without, the caller is root there
        linux.pop(key, None)
    bundle.shell("cat /proc/self/gid_map")
    assert oci.run().out.split() == ["0", str(os.getegid()), "1"]
    next(mount for mount in bundle.config["mounts"] if mount["type"] == "devpts")["options"].append("gid=5")
    assert "does not map (gid=5)" in oci.fails("create", "--bundle", bundle.write(), "web")


@same_on_v2
def test_another_config(oci, bundle, tmp_path):
    bundle.run("echo", "other")
    (tmp_path / "other.json").write_text(json.dumps(bundle.config))
    (bundle.path / "config.json").write_text("{}")
    done = oci.call("run", "--config", tmp_path / "other.json", "web", cwd=bundle.path)
    assert done.out == "other\n"


@same_on_v2
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "nonesuch"])
def test_all_is_utf8(oci, locale):
    assert "got 'käse'" in oci.fails("state", "käse", env={**os.environ, "LC_ALL": locale}, encoding="utf-8")


# -- run --------------------------------------------------------------------------------------------------------------


@same_on_v2
def test_run_has_the_exit_code_and_the_streams_of_its_program(oci, bundle):
    bundle.shell("cat; echo err >&2; exit 7")
    assert oci.run(code=7, input="in\n") == (7, "in\n", "err\n")
    assert oci.names() == []


@same_on_v2
def test_run_tells_of_a_signal(oci, bundle):
    bundle.run("sleep", "1000")
    with oci.start("run", "--bundle", bundle.write(), "web", stdin=subprocess.DEVNULL) as run:
        oci.wait_for("running")
        oci.call("kill", "web", "KILL")
        assert run.wait(PATIENCE) == 128 + signal.SIGKILL
    assert oci.names() == []


@same_on_v2
def test_run_of_what_is_not_there(oci, bundle):
    bundle.run("nonesuch")
    assert "nonesuch" in oci.fails("run", "--bundle", bundle.write(), "web")
    bundle.run("/etc/passwd")
    assert "Permission denied" in oci.fails("run", "--bundle", bundle.write(), "web")
    assert oci.names() == []


# What is seen at its creation can be executed; what the kernel says of it comes with its start.
REFUSED = {
    "text": (b"echo hi\n", "Exec format error"),
    "empty": (b"", "Exec format error"),
    "interpreted": (b"#!/nonesuch/sh\n", "No such file or directory"),
    "denied": (b"#!/etc/passwd\n", "Permission denied"),
    "endless": (b"#!/bin/endless\n", "Too many levels of symbolic links"),
}


@pytest.fixture
def refused(bundle, own_root):
    """Have it run a program that the kernel refuses."""
    bundle.config["root"]["path"] = str(own_root)

    def refused(name):
        program = own_root / "bin" / name
        program.write_bytes(REFUSED[name][0])
        program.chmod(0o755)
        bundle.run(f"/bin/{name}")

    return refused


@same_on_v2
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_kernel_refuses_to_run_is_told_on_its_stderr(oci, refused, tmp_path, name):
    refused(name)
    oci.words += ["--log", str(tmp_path / "log")]
    done = oci.run(code=1)
    assert done.err.startswith(f"exec /bin/{name}: {REFUSED[name][1]}")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "log").exists()
    assert oci.names() == []


@same_on_v2
def test_too_long_a_command_line_is_told_on_its_stderr(oci, bundle):
    bundle.run("echo", *["x" * 100_000] * 30)
    assert oci.run(code=1).err.startswith("exec echo: Argument list too long")


@same_on_v2
def test_its_name_cannot_steer_a_terminal(oci, refused, bundle):
    refused("text")
    Path(bundle.config["root"]["path"], "bin/\x1b[1m\nb").hardlink_to(Path(bundle.config["root"]["path"], "bin/text"))
    bundle.run("/bin/\x1b[1m\nb")
    assert oci.run(code=1).err.startswith("exec /bin/?[1m?b: Exec")


@same_on_v2
def test_what_a_start_refuses_is_told_to_who_has_its_stderr(oci, refused, bundle, tmp_path):
    refused("text")
    with (tmp_path / "err").open("w") as err:
        container = created_with(bundle, err.fileno())
    assert oci.call("start", container.id).err == ""
    assert container.wait() == 1
    assert (tmp_path / "err").read_text().startswith("exec /bin/text: Exec format error")


def created_with(bundle, err):
    with open(os.devnull, "r+b") as null:
        return bundle.create(stdio=(null.fileno(), null.fileno(), err))


@same_on_v2
def test_what_is_told_takes_no_more_than_its_filter_need_allow(oci, refused, bundle):
    refused("text")
    names = ["sendmsg", "sendto", "clone", "fork"]
    forbidden = {"names": names, "action": "SCMP_ACT_KILL_PROCESS"}
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [forbidden]}
    assert oci.run(code=1).err.startswith("exec /bin/text: Exec format error")


@same_on_v2
def test_who_reads_no_longer_changes_nothing_about_it(oci, refused, bundle):
    refused("text")
    read, write = os.pipe()
    os.close(read)
    container = created_with(bundle, write)
    os.close(write)
    container.start()
    assert container.wait() == 1


@same_on_v2
def test_run_keeps_it(oci, bundle):
    bundle.run("true")
    oci.run("--keep")
    assert oci.state()["status"] == "stopped"
    oci.call("delete", "web")


@same_on_v2
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_run_are_the_programs(oci, bundle, number):
    bundle.shell(f"trap 'echo got {number}; exit 3' {int(number)}; echo ready; while :; do sleep 0.01; done")
    with oci.start("run", "--bundle", bundle.write(), "web", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.stdout.read() == f"got {int(number)}\n"
        assert run.wait(PATIENCE) == 3
    assert oci.names() == []


@same_on_v2
def test_run_leaves_it_alone(oci, bundle):
    bundle.shell("echo out; exec sleep 1000")
    read, write = os.pipe()
    oci.start("run", "-d", "-b", bundle.write(), "web", stdout=write, stdin=subprocess.DEVNULL).wait(PATIENCE)
    os.close(write)
    assert oci.state()["status"] == "running"
    with open(read) as file:
        assert file.readline() == "out\n"
    oci.call("delete", "--force", "web")


@same_on_v2
def test_the_pid_file_is_where_the_caller_is(oci, bundle, tmp_path):
    bundle.run("sleep", "1000")
    oci.create("web", "--pid-file", "pid", cwd=tmp_path)
    assert (tmp_path / "pid").read_text() == str(oci.state()["pid"])
    oci.call("start", "web")
    oci.call("exec", "--detach", "--pid-file", "executed", "web", "sleep", "1000", cwd=tmp_path)
    pid = int((tmp_path / "executed").read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["executed", "pid"]
    oci.call("delete", "--force", "web")
    assert "/nonexistent/pid" in oci.fails("create", "--bundle", bundle.path, "--pid-file", "/nonexistent/pid", "web")
    assert oci.names() == []


@same_on_v2
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_descriptors_are_handed_on(oci, bundle, tmp_path, verb):
    (tmp_path / "three").write_text("third\n")
    (tmp_path / "four").write_text("fourth\n")
    given = ("sh", "-c", f'exec "$@" 3<{tmp_path}/three 4<{tmp_path}/four 5</dev/null', "sh")
    script = "cat <&3 <&4; test -e /proc/self/fd/4 && echo four; test -e /proc/self/fd/5 || echo no more"
    if verb == "run":
        bundle.shell(script)
        done = oci.run("--preserve-fds", "1", before=given, code=None)
        assert "four" not in done.out.split()
        done = oci.run("--preserve-fds", "2", before=given)
    else:
        oci.running()
        done = oci.call("exec", "--preserve-fds", "2", "web", "sh", "-c", script, before=given)
    assert done.out.split("\n") == ["fourth", "four", "no more", ""]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_file_of_ours(oci, bundle, closed):
    bundle.run("sleep", "1000")
    closing = ("sh", "-c", f'exec "$@" {closed}', "sh")
    oci.call("run", "--detach", "--bundle", bundle.write(), "web", before=closing)
    directory = f"/proc/{oci.state('web')['pid']}/fd"
    assert sorted(os.listdir(directory)) == ["0", "1", "2"]
    found = [os.readlink(f"{directory}/{number}") for number in range(3)]
    assert {name for name in found if not name.endswith(" (deleted)")} == {"/dev/null"}
    oci.call("delete", "--force", "web")


@same_on_v2
def test_sockets_of_systemd_are_handed_on(oci, bundle):
    bundle.shell("echo $LISTEN_FDS $LISTEN_PID $$; cat <&3")
    given = ("sh", "-c", 'echo told > "$0"; exec "$@" 3<"$0"', str(bundle.path / "file"))
    assert oci.run(before=given, env={**os.environ, "LISTEN_FDS": "1"}).out == "1 1 1\ntold\n"


@same_on_v2
@pytest.mark.parametrize("hooks", [False, True])
def test_no_pivot(oci, bundle, hooks):
    if hooks:
        bundle.config["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    bundle.shell("pwd; ls -di / /.. /bin; grep ' /dev ' /proc/mounts | wc -l; cat /proc/1/cmdline")
    expected = oci.run().out
    assert oci.run("--no-pivot").out == expected


@same_on_v2
@pytest.mark.requires("strace")
def test_the_keyring(oci, bundle, tmp_path):
    bundle.run("true")
    traced = ("strace", "-f", "-qq", "--signal=none", "-o", str(tmp_path / "log"), "-e", "trace=keyctl")
    oci.run(before=traced)
    assert "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)" in (tmp_path / "log").read_text()
    oci.run("--no-new-keyring", before=traced)
    assert (tmp_path / "log").read_text() == ""


# -- kill -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["TERM"], ["SIGTERM"], ["15"], []], ids=str)
@same_on_v2
def test_kill_by_name_and_number(oci, bundle, words):
    bundle.shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    with oci.start("run", "-b", bundle.write(), "web", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
        assert run.stdout.readline() == "ready\n"
        oci.call("kill", "web", *words)
        assert run.wait(PATIENCE) == 3


@same_on_v2
def test_a_signal_that_there_is_not(oci):
    pid = oci.running()
    assert "unknown signal 'NOPE'" in oci.fails("kill", "web", "NOPE")
    assert start_of(pid)


@same_on_v2
@pytest.mark.requires("limits", "root")
def test_kill_all_reaches_every_process(oci, bundle):
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [space for space in spaces if space["type"] != "pid"]
    bundle.shell(
        "trap : USR1; (trap 'echo > /tmp/told; exit' USR1; while :; do sleep 0.01; done) & while :; do wait; done"
    )
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    oci.run("--detach")
    pid = oci.state()["pid"]
    wait_for(lambda: len(json.loads(oci.call("ps", "-f", "json", "web").out)) >= 2)
    wait_for(lambda: oci.call("kill", "--all", "web", "USR1") and Path(f"/proc/{pid}/root/tmp/told").exists())
    oci.call("kill", "--all", "web", "KILL")
    wait_until_dead(pid)
    wait_for(lambda: oci.call("ps", "--format", "json", "web").out == "[]\n")
    oci.call("kill", "--all", "web", "KILL")  # of none; containerd does that
    assert "container not running" in oci.fails("kill", "web", "KILL")
    oci.call("delete", "web")


# -- exec -------------------------------------------------------------------------------------------------------------


@same_on_v2
def test_exec(oci):
    oci.running()
    done = oci.call("exec", "web", "sh", "-c", "cat; hostname; cat /proc/1/cmdline; exit 3", code=3, input="in\n")
    assert done == (3, "in\ninside\nsleep\x001000\0", "")
    assert oci.call("exec", "web", "sh", "-c", "kill -KILL $$", code=137).out == ""
    assert "nonesuch" in oci.fails("exec", "web", "nonesuch", code=255)
    assert "Permission denied" in oci.fails("exec", "web", "/etc/passwd", code=255)
    assert "process args cannot be empty" in oci.fails("exec", "web", code=255)
    oci.call("kill", "web", "KILL")
    oci.wait_for("stopped")
    assert "container not running" in oci.fails("exec", "web", "true", code=255)


@same_on_v2
def test_flags_of_exec(oci):
    oci.running()
    flags = ["--cwd", "/tmp", "--env", "A=1", "-e", "B=2", "--user", "0:0", "--no-new-privs"]
    script = "pwd; echo $A$B $HOME; id -u; grep -E 'NoNewPrivs' /proc/self/status"
    done = oci.call("exec", *flags, "web", "sh", "-c", script)
    assert done.out.split() == ["/tmp", "12", "/root", "0", "NoNewPrivs:", "1"]


@same_on_v2
@pytest.mark.requires("root")
def test_who_it_is(oci):
    oci.running()
    flags = ["--user", "1000:50", "--additional-gids", "26", "-g", "44", "--cap", "CAP_SYS_CHROOT"]
    done = oci.call("exec", *flags, "web", "sh", "-c", "id; grep CapBnd /proc/self/status")
    assert done.out.startswith("uid=1000(user) gid=50(staff) groups=26(tape),44(video)")
    assert int(done.out.split()[-1], 16) >> 18 & 1
    assert not int(oci.call("exec", "web", "grep", "CapBnd", "/proc/self/status").out.split()[-1], 16) >> 18 & 1


@same_on_v2
@pytest.mark.parametrize(("inheritable", "ambient"), [({"inheritable": ["CAP_SYS_CHROOT"]}, 1 << 18), ({}, 0)])
def test_a_capability_more_is_ambient_where_some_can_be_inherited(oci, bundle, inheritable, ambient):
    sets = bundle.config["process"]["capabilities"]
    bundle.config["process"]["capabilities"] = {
        **sets,
        "bounding": [*sets["bounding"], "CAP_SYS_CHROOT"],
        **inheritable,
    }
    oci.running()
    said = oci.call("exec", "--cap", "CAP_SYS_CHROOT", "web", "grep", "CapAmb", "/proc/self/status").out
    assert int(said.split()[-1], 16) == ambient


@same_on_v2
@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one CPU")
def test_who_is_tied_to_a_cpu_ties_no_container(oci, bundle):
    cpus = os.sched_getaffinity(0)

    def tie():
        os.sched_setaffinity(0, {min(cpus)})

    bundle.shell("grep Cpus_allowed: /proc/self/status; sleep 1000")
    ask = ["sh", "-c", "grep Cpus_allowed: /proc/self/status"]
    with oci.start("run", "--bundle", bundle.write(), "web", stdout=subprocess.PIPE, preexec_fn=tie) as run:
        lines = [run.stdout.readline(), oci.call("exec", "web", *ask, preexec_fn=tie).out]
        oci.call("delete", "--force", "web")
    for line in lines:
        mask = int(line.split()[1].replace(",", ""), 16)
        assert {cpu for cpu in cpus if mask >> cpu & 1} == cpus


@same_on_v2
def test_a_process_in_a_file(oci, bundle, tmp_path):
    oci.running()
    process = {
        **bundle.config["process"],
        "args": ["sh", "-c", "echo $A; pwd"],
        "env": ["A=1", "PATH=/bin"],
        "cwd": "/tmp",
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert oci.call("exec", "--process", tmp_path / "process.json", "web").out == "1\n/tmp\n"
    oci.call("exec", "--detach", "-p", tmp_path / "process.json", "--pid-file", tmp_path / "pid", "web")
    assert (tmp_path / "pid").read_text().isdecimal()
    assert "either --process or a command" in oci.fails("exec", "-p", tmp_path / "process.json", "web", "sh", code=255)
    (tmp_path / "process.json").write_text('{"args": "sh"}')
    assert "process.args" in oci.fails("exec", "-p", tmp_path / "process.json", "web", code=255)
    for word in ("{}", "[]"):
        (tmp_path / "process.json").write_text(word)
        assert "option process" in oci.fails("exec", "-p", tmp_path / "process.json", "web", code=255)
    missing = oci.fails("exec", "-p", tmp_path / "nonesuch.json", "web", code=255)
    assert "nonesuch.json: No such file" in missing
    assert "bundle" not in missing


@same_on_v2
@pytest.mark.parametrize(
    ("said", "score"),
    [
        ({}, "500"),
        ({"capabilities": None, "oomScoreAdj": 600}, "600"),
        ({"capabilities": {}, "oomScoreAdj": None}, "500"),
    ],
)
def test_what_a_process_in_a_file_need_not_say(oci, bundle, tmp_path, said, score):
    bundle.config["process"]["oomScoreAdj"] = 500
    pid = oci.running()
    own = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("CapEff"))
    script = "grep CapEff /proc/self/status; cat /proc/self/oom_score_adj"
    process = {"args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", **said}
    (tmp_path / "process.json").write_text(json.dumps(process))
    expected = own if said.get("capabilities") is None else f"CapEff:\t{0:016x}"
    assert oci.call("exec", "--process", tmp_path / "process.json", "web").out.splitlines() == [expected, score]


@pytest.mark.requires("limits")
def test_exec_in_a_cgroup_below(oci, bundle):
    pid = oci.running()
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    with_memory = next(line.split(":")[2] for line in lines if "memory" in line or line.startswith("0::"))
    mount = Path("/sys/fs/cgroup/memory")
    directory = (mount if mount.is_dir() else mount.parent) / with_memory.lstrip("/") / "jobs"
    directory.mkdir()
    oci.call("exec", "--detach", "--cgroup", "jobs", "--pid-file", bundle.path / "pid", "web", "sleep", "1000")
    executed = (bundle.path / "pid").read_text()
    assert (directory / "cgroup.procs").read_text().split() == [executed]
    assert "no such cgroup" in oci.fails("exec", "--cgroup", "nowhere", "web", "true", code=255)
    assert set(json.loads(oci.call("ps", "-f", "json", "web").out)) == {pid, int(executed)}


# -- looking ----------------------------------------------------------------------------------------------------------


@same_on_v2
def test_ps(oci):
    pid = oci.running("sh", "-c", "sleep 1000 & wait")
    if json.loads(oci.call("ps", "--format", "json", "web").out) != [pid]:
        wait_for(lambda: len(json.loads(oci.call("ps", "-f", "json", "web").out)) == 2)
    header, *rows = oci.call("ps", "web").out.splitlines()
    assert header.split()[:2] == ["UID", "PID"]
    assert str(pid) in [row.split()[1] for row in rows]
    rows = oci.call("ps", "web", "-eo", "pid,args").out.splitlines()
    assert rows[0].split() == ["PID", "COMMAND"]
    assert f"{pid} sh -c sleep 1000 & wait" in [row.strip() for row in rows]
    assert "no column PID" in oci.fails("ps", "web", "-o", "args")


@same_on_v2
def test_list(oci, bundle):
    assert oci.call("list", "--format", "json").out == "[]\n"
    pid = oci.running()
    [document] = json.loads(oci.call("list", "-f", "json").out)
    assert document == oci.state()
    header, row = oci.call("list").out.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[:4] == ["web", str(pid), "running", str(bundle.path)]
    assert oci.call("list", "--quiet").out == "web\n"


@same_on_v2
@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 7}', b"[" * 100_000, "directory", "missing", "others"])
def test_list_survives_what_is_damaged(oci, bundle, content):
    oci.running()
    damaged = bundle.state / "damaged"
    damaged.mkdir(mode=0o777 if content == "others" else 0o700)
    if content == "others":
        damaged.chmod(0o777)
    elif content == "directory":
        (damaged / "state.json").mkdir()
    elif content != "missing":
        (damaged / "state.json").write_bytes(content)
    (bundle.state / "file").touch()
    (bundle.state / "link").symlink_to("web")
    done = oci.call("list", "--format", "json")
    assert [one["id"] for one in json.loads(done.out)] == ["web"]
    assert done.err.count("\n") == (content != "missing")
    assert oci.names() == ["damaged", "web"]
    damaged.chmod(0o700)
    oci.call("delete", "--force", "damaged")
    assert oci.names() == ["web"]
    (bundle.state / "file").unlink()
    (bundle.state / "link").unlink()


@same_on_v2
def test_what_waits_for_a_start_ends_with_its_damaged_container(oci, bundle):
    oci.words += ["--cgroup-manager", "disabled"]
    bundle.run("sleep", "1000")
    oci.create()
    pid = oci.state()["pid"]
    (bundle.state / "web/state.json").write_bytes(b"{")
    oci.call("delete", "--force", "web")
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


@same_on_v2
def test_delete_by_a_pattern(oci, bundle):
    bundle.config["linux"].pop("cgroupsPath", None)
    for name in ("web-1", "my-web-2", "db", "web"):
        oci.running(name=name)
    oci.call("delete", "--force", "--regex", "web-[0-9]")
    assert oci.names() == ["db", "web"]
    oci.call("delete", "--force", "--regex", "^w")
    assert oci.names() == ["db"]
    assert "no regular expression" in oci.fails("delete", "-f", "-r", "(")


@same_on_v2
def test_features_and_version(oci):
    assert json.loads(oci.call("features").out)["ociVersionMax"] == oci.call("--version").out.split("spec: ")[1].strip()


@same_on_v2
def test_a_config_to_begin_with(oci, bundle):
    flags = [] if os.geteuid() == 0 else ["--rootless"]
    oci.call("spec", *flags, "--bundle", bundle.path)
    assert "File exists" in oci.fails("spec", cwd=bundle.path)
    assert f"write {bundle.path}/nonesuch/config.json: No such" in oci.fails("spec", "-b", bundle.path / "nonesuch")
    config = json.loads((bundle.path / "config.json").read_text())
    script = "hostname; grep ' /sys/fs/cgroup' /proc/mounts"
    config["process"].update(terminal=False, args=["sh", "-c", script])
    (bundle.path / "config.json").write_text(json.dumps(config))
    (bundle.path / "rootfs").symlink_to(bundle.config["root"]["path"])
    name, *mounts = oci.call("run", "begun-with", cwd=bundle.path).out.splitlines()
    assert name == "pycgroups"
    last = {place: flags.split(",")[0] for _, place, _, flags, *_ in map(str.split, mounts)}  # what is on top
    assert set(last.values()) == {"ro"}


@same_on_v2
def test_a_mount_of_cgroups(oci, bundle):
    options = ["nosuid", "noexec", "nodev", "relatime", "ro"]
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}
    )
    bundle.shell(
        "find /sys/fs/cgroup -name cgroup.procs | grep -q . && ! mkdir /sys/fs/cgroup/*/x 2>/dev/null && echo ro"
    )
    assert oci.run().out == "ro\n"
    oci.words += ["--cgroup-manager", "disabled"]
    assert oci.run().out == "ro\n"


@same_on_v2
def test_who_reads_may_have_enough(oci, bundle):
    read, write = os.pipe()
    os.close(read)
    with oci.start("features", stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        assert process.stderr.read() == ""


# -- limits -----------------------------------------------------------------------------------------------------------


@same_on_v2
@pytest.mark.requires("limits")
def test_pause_and_resume(oci):
    pid = oci.running("sh", "-c", "while :; do :; done")
    assert "container not paused" in oci.fails("resume", "web")
    oci.call("pause", "web")
    assert oci.state()["status"] == "paused"
    assert "cannot exec in a paused container" in oci.fails("exec", "web", "true", code=255)
    assert "not running" in oci.fails("pause", "web")
    waits = oci.start("exec", "--ignore-paused", "web", "true")
    oci.call("resume", "web")
    assert waits.wait(PATIENCE) == 0
    oci.call("pause", "web")
    oci.call("delete", "--force", "web")
    assert start_of(pid) == 0


@same_on_v2
@pytest.mark.requires("limits")
def test_update(oci, bundle):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
    oci.running()

    def limits():
        found = json.loads(oci.call("events", "--stats", "web").out)["data"]
        return found["memory"]["usage"]["limit"], found["pids"]["limit"]

    assert limits() == (64 << 20, 20)
    oci.call("update", "web", "--memory", "32m", "--pids-limit", "10")
    assert limits() == (32 << 20, 10)
    oci.call("update", "--resources", "-", "web", input=json.dumps({"memory": {"limit": 48 << 20}, "devices": [{}]}))
    assert limits() == (48 << 20, 10)
    (bundle.path / "file").write_text('{"pids": {"limit": 9}}')
    oci.call("update", "-r", bundle.path / "file", "web")
    assert limits() == (48 << 20, 9)
    assert "resources.pids.limit" in oci.fails("update", "-r", "-", "web", input='{"pids": {"limit": "9"}}')
    assert "not JSON" in oci.fails("update", "-r", "-", "web", input="{")
    assert limits() == (48 << 20, 9)


@pytest.mark.requires("root")  # and every controller
def test_an_update_that_the_kernel_refuses_changes_nothing(oci, bundle):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 32 << 20}, "pids": {"limit": 20}}
    oci.running()

    def limits():
        found = {}
        with runtime.get("web", root=bundle.state).cgroup() as group:
            for path in group.paths:
                for name in LIMITS:
                    if (file := Path(path, name)).exists():
                        found[name] = file.read_text()
        return found

    before = limits()
    assert "20\n" in before.values()
    changes = {
        "memory": {"limit": 48 << 20, "swap": 64 << 20},
        "pids": {"limit": 10},
        "cpu": {"shares": 512, "quota": 50_000, "period": 50_000, "cpus": "0"},
        "blockIO": {"throttleReadBpsDevice": [{"major": 4095, "minor": 0, "rate": 1 << 20}]},
    }
    assert "No such device" in oci.fails("update", "-r", "-", "web", input=json.dumps(changes))
    assert limits() == before
    del changes["blockIO"]
    oci.call("update", "-r", "-", "web", input=json.dumps(changes))
    assert limits() != before


LIMITS = (
    *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
    *(
        "memory.max",
        "memory.swap.max",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus.effective",
        "cpuset.effective_cpus",
        "pids.max",
    ),
)


@pytest.mark.requires("limits")
def test_events(oci, bundle):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 32 << 20}}
    pid = oci.running()
    line = json.loads(oci.call("events", "--stats", "web").out)
    assert (line["type"], line["id"]) == ("stats", "web")
    assert line["data"]["memory"]["usage"]["limit"] == 32 << 20
    assert line["data"]["memory"]["usage"]["usage"] > 0
    assert line["data"]["cpu"]["usage"]["total"] > 0
    with oci.start("events", "--interval", "50ms", "web", stdout=subprocess.PIPE) as events:
        assert [json.loads(events.stdout.readline())["type"] for _ in range(3)] == ["stats"] * 3
        oci.call("exec", "web", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", code=137)
        wait_for(lambda: json.loads(events.stdout.readline())["type"] == "oom")
        oci.call("kill", "web", "KILL")
        events.stdout.read()
        assert events.wait(PATIENCE) == 0
    wait_until_dead(pid)
    assert "container not running" in oci.fails("events", "--stats", "web")


@same_on_v2
@pytest.mark.requires("limits")
def test_without_cgroups(oci):
    oci.words += ["--cgroup-manager", "disabled"]
    pid = oci.running()
    assert Path(f"/proc/{pid}/cgroup").read_text() == Path("/proc/self/cgroup").read_text()


@same_on_v2
@pytest.mark.requires("limits")
def test_a_cgroup_that_is_in_use(oci):
    oci.running()
    assert "container's cgroup is not empty" in oci.fails("create", "--bundle", oci.bundle.path, "other")
    assert oci.names() == ["web"]


# -- hooks ------------------------------------------------------------------------------------------------------------

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **more}


@same_on_v2
def test_hooks_in_order(oci, bundle, own_root):
    bundle.config["root"]["path"] = str(own_root)
    log = own_root / "log"
    bundle.config["hooks"] = {
        kind: [hook(f"cat >> {'/log' if kind == 'startContainer' else log}")] * 2 for kind in KINDS
    }
    bundle.run("true")
    oci.create()
    pid = oci.state()["pid"]
    assert [each["status"] for each in _documents(log)] == ["created"] * 6
    oci.call("start", "web")
    oci.wait_for("stopped")
    oci.call("delete", "web")
    documents = _documents(log)
    later = [status for status in ("created", "running", "stopped") for _ in range(2)]
    assert [each["status"] for each in documents[6:]] == later
    assert [each["pid"] for each in documents[:10]] == [pid] * 10
    assert {each["id"] for each in documents} == {"web"}


def _documents(log):
    decoder, text, found = json.JSONDecoder(), log.read_text(), []
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


@pytest.mark.parametrize("kind", KINDS[:4])
@same_on_v2
def test_a_hook_that_fails_takes_the_container_down(oci, bundle, tmp_path, kind):
    bundle.config["hooks"] = {kind: [hook("echo because >&2; exit 3")], "poststop": [hook(f"touch {tmp_path}/stopped")]}
    bundle.run("sleep", "1000")
    if kind == "startContainer":
        oci.create()
        err = oci.fails("start", "web")
        assert oci.state()["status"] == "stopped"
        oci.call("delete", "web")
        assert (tmp_path / "stopped").exists()
    else:
        err = oci.fails("create", "--bundle", bundle.write(), "web")
    assert f"hooks.{kind}[0]" in err
    assert "because" in err
    assert oci.names() == []
    assert f"hooks.{kind}[0]" in oci.fails("run", "--bundle", bundle.path, "web")
    assert oci.names() == []


@same_on_v2
def test_a_hook_that_comes_too_late_to_fail_is_told_of(oci, bundle):
    bundle.config["hooks"] = {"poststop": [hook("exit 3"), hook("exit 4")]}
    bundle.run("sleep", "1000")
    assert oci.run("--detach").err == ""
    err = oci.call("delete", "--force", "web").err
    assert err.count("level=warning") == 2
    assert "hooks.poststop[0]" in err
    assert "hooks.poststop[1]" in err


@same_on_v2
def test_run_tells_of_such_a_hook(oci, bundle, tmp_path):
    bundle.config["hooks"] = {"poststop": [hook("exit 3"), hook("kill -KILL $$")]}
    bundle.run("true")
    oci.words += ["--log", str(tmp_path / "log"), "--log-format", "json"]
    assert oci.run() == (0, "", "")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert {first["level"], second["level"]} == {"warning"}
    assert "ended with 3" in first["msg"]
    assert "killed by SIGKILL" in second["msg"]


@same_on_v2
def test_a_hook_has_its_time(oci, bundle):
    bundle.config["hooks"] = {"createRuntime": [hook("exec sleep 1000", timeout=1)]}
    assert "timeout of 1 s" in oci.fails("create", "--bundle", bundle.write(), "web")
    assert oci.names() == []


# -- many at once, and in the middle ----------------------------------------------------------------------------------


@same_on_v2
def test_commands_at_once(oci, bundle):
    """One of many creators has the name; one of many that start it does; and whoever deletes leaves nothing."""
    bundle.run("sleep", "1000")
    bundle.write()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def at_once(*arguments):
        processes = [oci.start(*arguments, **quiet) for _ in range(6)]
        return sorted(process.wait(PATIENCE) for process in processes)

    for _ in range(3):
        assert at_once("create", "--bundle", bundle.path, "web") == [0] + [1] * 5
        assert oci.state()["status"] == "created"
        assert at_once("start", "web") == [0] + [1] * 5
        assert oci.state()["status"] == "running"
        assert at_once("kill", "web", "KILL").count(0) >= 1
        oci.wait_for("stopped")
        assert at_once("delete", "--force", "web") == [0] * 6
        assert oci.names() == []


@same_on_v2
@pytest.mark.parametrize(
    "words", ["create --bundle B web", "run -d --bundle B web", "start web", "exec -d web sleep 9", "delete -f web"]
)
def test_killed_at_any_time(oci, bundle, words):
    """What a command leaves that is killed, `delete --force` removes."""
    bundle.run("sleep", "1000")
    arguments = words.replace("B", str(bundle.write())).split()
    verb = arguments[0]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for tenth in range(1, 13):
        if verb in {"start", "delete", "exec"}:
            oci.create()
        if verb == "exec":
            oci.call("start", "web")
        begun = time.monotonic()
        process = oci.start(*arguments, **quiet)
        if tenth == 1:
            process.wait(PATIENCE)
            whole = time.monotonic() - begun
        else:
            time.sleep(whole * tenth / 10)
        process.kill()
        process.wait()
        oci.call("delete", "--force", "web")
        assert oci.names() == []
