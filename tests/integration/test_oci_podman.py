"""`pycgroups-oci` as podman's runtime: what people do with podman, asked of podman itself."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.podman import IMAGE, RUNTIME, Podman
from tests.terminals import Session
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = pytest.mark.requires("podman", "userns")
needs_ids = pytest.mark.requires("subuid")
slow_in_vm = pytest.mark.slow_in_vm("podman takes seconds for each command, and cgroup v2 changes nothing about this")

SERVICE = """
trap 'echo told; touch /tmp/told' USR1
trap 'exit 5' TERM
echo out; echo err >&2
while :; do sleep 1000 & wait $!; done
"""
# Podman tells of the size some time after the start.
ON_TERMINAL = "tty; until busybox stty size 2>/dev/null; do :; done; read word; echo got $word; exit 3"


@pytest.fixture(scope="module")
def podman(root):
    with Podman() as made:
        made.load(root)
        yield made


@pytest.fixture(scope="module")
def service(podman):
    """A container that is there as long as the module; an ordinary user's has limits on cgroup v2 alone."""
    limits = ("--memory=64m", "--cpus=0.5", "--pids-limit=50")
    podman("run", "--detach", "--name=service", *limits, IMAGE, "sh", "-c", SERVICE)
    return "service"


def facts(text):
    """What lines of a key and a value say."""
    return {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}


def limits(cgroup):
    """Memory, time on the CPU in each 100 ms, and processes that a container's cgroup allows."""
    if features.lack("cgroup_v1"):
        names = (f"{cgroup}/memory.max", f"{cgroup}/cpu.max", f"{cgroup}/pids.max")
    else:
        names = (f"memory{cgroup}/memory.limit_in_bytes", f"cpu{cgroup}/cpu.cfs_quota_us", f"pids{cgroup}/pids.max")
    return tuple(int((features.CGROUP / name.lstrip("/")).read_text().split()[0]) for name in names)


# -- run -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow_in_vm("podman info has dpkg look through all files of all packages")
def test_podman_knows_it(podman):
    runtime = json.loads(podman("info", "--format", "json"))["host"]["ociRuntime"]
    assert runtime["path"] == RUNTIME
    assert runtime["version"].startswith(f"{Path(RUNTIME).name} version")


@slow_in_vm
def test_streams_and_exit_code(podman):
    done = podman.attempt("run", "--rm", "-i", IMAGE, "sh", "-c", "cat; echo said >&2; exit 7", stdin="typed\n")
    assert (done.stdout, done.stderr, done.returncode) == ("typed\n", "said\n", 7)


@slow_in_vm
@pytest.mark.parametrize(
    ("program", "status"), [("/nowhere", 127), ("nowhere", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
def test_a_program_that_cannot_run(podman, program, status):
    done = podman.attempt("run", "--rm", IMAGE, program)
    assert (done.stdout, done.returncode) == ("", status)
    assert program in done.stderr


@slow_in_vm
@pytest.mark.parametrize("flags", [(), ("--tty",)])
def test_a_program_that_the_kernel_refuses(podman, scratch, flags):
    (scratch / "text").write_text("echo no shell is asked\n")
    (scratch / "text").chmod(0o755)
    words = (f"--volume={scratch}/text:/bin/text:ro", *flags, IMAGE, "/bin/text")
    done = podman.attempt("run", "--rm", *words)
    assert done.returncode == 1
    assert "exec /bin/text: Exec format error" in done.stdout + done.stderr
    name = podman("run", "--detach", *words).strip()
    try:
        assert podman("wait", name).strip() == "1"
        logs = podman.attempt("logs", name)
        assert "exec /bin/text: Exec format error" in logs.stdout + logs.stderr
    finally:
        podman("rm", "--force", name)


@slow_in_vm
def test_terminal(podman):
    command = podman.command("run", "--rm", "-it", IMAGE, "sh", "-c", ON_TERMINAL)
    with Session(*command, size=(31, 97), env=podman.env) as session:
        session.expect("/dev/(console|pts/0)\r\n")
        session.expect("31 97\r\n")
        session.type("word\r")
        session.expect("got word\r\n")
        assert session.end() == 3


@needs_ids
def test_what_was_asked_for(podman, scratch):
    (scratch / "ro").mkdir()
    (scratch / "ro/file").write_text("from outside")
    (scratch / "rw").mkdir()
    (scratch / "rw").chmod(0o777)
    (scratch / "seccomp").write_text(
        json.dumps(
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
            }
        )
    )
    options = [
        *("--read-only", "--user=1000:50", "--group-add=44", "--cap-drop=all", "--cap-add=net_raw"),
        *("--ulimit=nofile=100:200", f"--security-opt=seccomp={scratch}/seccomp", "--security-opt=no-new-privileges"),
        *(f"--volume={scratch}/ro:/ro:ro", f"--volume={scratch}/rw:/rw", "--tmpfs=/scratch:size=64k,mode=1777"),
        *("--hostname=name", "--workdir=/home/user", "--env=GREETING=hello world", "--device=/dev/null:/dev/other"),
        "--oom-score-adj=700",
    ]
    script = """
    echo user $(id -u):$(id -g) $(id -G)
    sed -n 's/^\\(CapBnd\\|Seccomp\\|NoNewPrivs\\):\\t/\\1 /p' /proc/self/status
    echo files $(ulimit -Sn):$(ulimit -Hn)
    echo mkdir $(mkdir /tmp/new 2>&1)
    echo root $(touch /new 2>&1)
    echo ro $(cat /ro/file) $(touch /ro/new 2>&1)
    echo inside >/rw/new
    echo tmpfs $(dd if=/dev/zero of=/scratch/big bs=1k count=65 2>&1 | grep -o 'No space.*')
    echo place $(hostname):$(pwd):$GREETING
    echo device $(echo x >/dev/other && echo written)
    echo oom $(cat /proc/self/oom_score_adj)
    echo hidden $(cat /proc/keys 2>&1 | wc -c)
    """
    assert facts(podman("run", "--rm", *options, IMAGE, "sh", "-c", script)) == {
        "user": "1000:50 50 44",
        "CapBnd": f"{1 << 13:016x}",
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "files": "100:200",
        "mkdir": "mkdir: can't create directory '/tmp/new': Operation not supported",
        "root": "touch: /new: Read-only file system",
        "ro": "from outside touch: /ro/new: Read-only file system",
        "tmpfs": "No space left on device",
        "place": "name:/home/user:hello world",
        "device": "written",
        "oom": "700",
        "hidden": "0",
    }
    assert (scratch / "rw/new").read_text() == "inside\n"


@needs_ids
@slow_in_vm
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--tmpfs=/home/user:size=1m,mode=1777"], "1777 0 0"),
        (["--mount=type=tmpfs,dst=/home/user,chown=true", "--user=1000"], "755 1000 1000"),
    ],
)
def test_tmpfs(podman, flags, found):
    """Over a directory that the image has: podman adds tmpcopyup."""
    assert podman("run", "--rm", *flags, IMAGE, "stat", "-c", "%a %u %g", "/home/user") == f"{found}\n"


@slow_in_vm
def test_a_link_that_is_not_to_be_followed(podman, scratch):
    (scratch / "link").symlink_to("/etc/passwd")
    mount = f"--mount=type=bind,source={scratch}/link,destination=/etc/link,no-dereference"
    assert podman("run", "--rm", mount, IMAGE, "readlink", "/etc/link") == "/etc/passwd\n"


@slow_in_vm
def test_masked_paths(podman):
    """Also such that a link of the image leads to."""
    script = "ln -s /home/user /var/link; ln -sf /proc/mounts /etc/mtab"
    podman("run", "--name=linked", IMAGE, "sh", "-c", script)
    podman("commit", "linked", "linked")
    options = ("--security-opt=mask=/var/link:/etc/mtab", "--rm", "linked")
    told = podman(
        "run", *options, "sh", "-c", "read line </etc/mtab; echo mounts $line; (: >/home/user/new) 2>&1; true"
    )
    assert told.startswith("mounts\n")
    assert "Read-only file system" in told


@slow_in_vm
def test_privileged(podman):
    told = facts(
        podman("run", "--rm", "--privileged", IMAGE, "sh", "-c", "cat /proc/self/status; echo ptmx $(ls /dev)")
    )
    assert told["Seccomp:\t0"] == ""
    assert "null" in told["ptmx"].split()


@slow_in_vm
def test_init(podman):
    script = "cat /proc/1/comm; (sleep 0 & exec true); exit 4"
    done = podman.attempt("run", "--rm", "--init", IMAGE, "sh", "-c", script)
    assert (done.stdout, done.returncode) == ("podman-init\n", 4)


@slow_in_vm
@needs_ids
def test_user_namespace(podman):
    podman("run", "--detach", "--name=mapped", "--userns=auto:size=3000", IMAGE, "sleep", "1000")
    told = podman("exec", "mapped", "sh", "-c", "cat /proc/self/uid_map; stat -c %u /bin/sh; id -u")
    first, outside, size, owner, user = map(int, told.split())
    assert (first, size, owner, user) == (0, 3000, 0, 0)
    assert outside > 0


@slow_in_vm
@pytest.mark.requires("rootless", "subuid")
def test_ones_own_id(podman):
    assert podman("run", "--rm", "--userns=keep-id", IMAGE, "id", "-u") == f"{os.getuid()}\n"


@slow_in_vm
def test_hooks(podman):
    podman("run", "--rm", "--name=hooked", "--annotation=hooked=yes", IMAGE, "true")
    states = [json.loads(line) for line in (podman.directory / "hooked").read_text().splitlines()]
    assert [state["status"] for state in states] == ["created", "running", "stopped"]
    assert states[0]["annotations"]["hooked"] == "yes"


# -- a container that runs -------------------------------------------------------------------------------------------


@needs_ids
def test_exec(podman, service):
    done = podman.attempt("exec", "-i", service, "sh", "-c", "cat; echo said >&2; exit 7", stdin="typed\n")
    assert (done.stdout, done.stderr, done.returncode) == ("typed\n", "said\n", 7)
    script = "id -u; id -g; pwd; echo $A; cat /proc/1/comm"
    told = podman("exec", "--user=1000:50", "--workdir=/tmp", "--env=A=b", service, "sh", "-c", script)
    assert told.split() == ["1000", "50", "/tmp", "b", "sh"]


@slow_in_vm
def test_exec_of_a_program_that_cannot_run(podman, service):
    assert podman.attempt("exec", service, "/nowhere").returncode == 127
    assert podman.attempt("exec", service, "/etc/passwd").returncode == 126


@slow_in_vm
def test_exec_on_a_terminal(podman, service):
    # conmon does not keep for podman what comes before that is attached: the program begins when it is told to.
    command = podman.command("exec", "-it", service, "sh", "-c", f"read go; {ON_TERMINAL}")
    with Session(*command, size=(31, 97), env=podman.env) as session:
        session.type("go\r")
        session.expect("/dev/pts/0\r\n")
        session.expect("31 97\r\n")
        session.type("word\r")
        session.expect("got word\r\n")
        assert session.end() == 3


@slow_in_vm
def test_exec_detached(podman, service):
    podman("exec", "--detach", service, "sh", "-c", "echo done >/tmp/detached")
    wait_for(lambda: podman.attempt("exec", service, "cat", "/tmp/detached").stdout == "done\n")


@slow_in_vm
def test_signals_and_logs(podman, service):
    podman("kill", "--signal=USR1", service)
    wait_for(lambda: "told" in podman("logs", service))
    logs = podman.attempt("logs", service)
    assert (logs.stdout, logs.stderr) == ("out\ntold\n", "err\n")


@slow_in_vm
def test_top(podman, service):
    header, *lines = podman("top", service, "pid", "comm").splitlines()
    assert header.split() == ["PID", "COMMAND"]
    assert lines[0].split() == ["1", "sh"]


@slow_in_vm
def test_namespaces_of_another(podman, service):
    script = "cat /proc/1/comm; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid"
    comm, first, own = podman("run", "--rm", f"--pid=container:{service}", IMAGE, "sh", "-c", script).split()
    assert (comm, first) == ("sh", own)


@slow_in_vm
@pytest.mark.requires("root")
def test_a_bridge(podman):
    serve = "while :; do echo there | busybox nc -l -p 80; done"
    podman("run", "--detach", "--name=server", "--network=bridge", IMAGE, "sh", "-c", serve)
    address = podman.inspect("server")["NetworkSettings"]["IPAddress"]
    fetch = f"until busybox nc {address} 80; do :; done"
    assert podman("run", "--rm", "--network=bridge", IMAGE, "sh", "-c", fetch) == "there\n"
    podman("rm", "--force", "--time=0", "server")


@slow_in_vm
def test_a_pod(podman):
    podman("pod", "create", "--name=pod", "--network=none")
    podman("run", "--detach", "--pod=pod", "--name=first", IMAGE, "sh", "-c", "echo there >/dev/shm/told; sleep 1000")
    script = "until test -e /dev/shm/told; do :; done; cat /dev/shm/told; hostname"
    assert podman("run", "--rm", "--pod=pod", IMAGE, "sh", "-c", script) == "there\npod\n"
    podman("pod", "kill", "pod")
    podman("pod", "rm", "--force", "--time=0", "pod")


@slow_in_vm
@pytest.mark.requires("criu", "limits")
def test_a_checkpoint(podman):
    script = "echo $$ >/tmp/told; while :; do sleep 1; done"
    podman("run", "--detach", "--name=saved", IMAGE, "sh", "-c", script)
    wait_for(lambda: podman.attempt("exec", "saved", "cat", "/tmp/told").stdout == "1\n")
    podman("container", "checkpoint", "saved")
    assert podman.inspect("saved")["State"]["Checkpointed"]
    podman("container", "restore", "saved")
    assert podman("exec", "saved", "cat", "/tmp/told") == "1\n"
    archive = podman.directory / "saved.tar"
    podman("container", "checkpoint", f"--export={archive}", "saved")
    podman("container", "restore", f"--import={archive}", "--name=again")  # whose root has no /etc/hosts yet
    assert podman("exec", "again", "cat", "/proc/1/comm") == "sh\n"
    podman("rm", "--force", "--time=0", "saved", "again")


@slow_in_vm
@pytest.mark.requires("criu", "limits")
def test_a_checkpoint_of_a_terminal(podman):
    script = "echo ready; while read line; do echo got $line; done"
    podman("run", "--detach", "--tty", "--interactive", "--name=typed", IMAGE, "sh", "-c", script)
    wait_for(lambda: "ready" in podman("logs", "typed"))
    podman("container", "checkpoint", "typed")
    podman("container", "restore", "typed")
    with Session(*podman.command("attach", "typed"), env=podman.env) as session:
        session.type("word\r")
        session.expect("got word\r\n")
    podman("rm", "--force", "--time=0", "typed")


@pytest.mark.requires("limits")
def test_pause(podman, service):
    podman("pause", service)
    assert podman.inspect(service)["State"]["Status"] == "paused"
    podman("unpause", service)
    assert podman("exec", service, "echo", "awake") == "awake\n"


@pytest.mark.requires("limits")
def test_limits(podman, service):
    cgroup = podman.inspect(service)["State"]["CgroupPath"]
    assert limits(cgroup) == (64 << 20, 50_000, 50)
    podman("update", "--memory=96m", "--cpus=0.25", "--pids-limit=60", service)
    assert limits(cgroup) == (96 << 20, 25_000, 60)
    (stats,) = json.loads(podman("stats", "--no-stream", "--format=json", service))
    assert int(stats["pids"]) >= 1
    assert re.fullmatch(r"[1-9].* / 100\.7MB", stats["mem_usage"])


@slow_in_vm
def test_healthcheck(podman):
    podman(
        "run",
        "-d",
        "--name=healthy",
        "--health-cmd=test -e /tmp/well",
        "--health-interval=disable",
        IMAGE,
        "sleep",
        "1000",
    )
    podman("healthcheck", "run", "healthy", status=1)
    podman("exec", "healthy", "touch", "/tmp/well")
    podman("healthcheck", "run", "healthy")
    assert podman.inspect("healthy")["State"]["Health"]["Status"] == "healthy"
    podman("rm", "--force", "--time=0", "healthy")


# -- its end ---------------------------------------------------------------------------------------------------------


@slow_in_vm
def test_stop_start_and_kill(podman):
    podman("run", "--detach", "--name=stopped", IMAGE, "sh", "-c", SERVICE)
    wait_for(lambda: "out" in podman("logs", "stopped"))
    podman("stop", "--time=100", "stopped")
    state = podman.inspect("stopped")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 5)
    podman("start", "stopped")
    podman("kill", "stopped")
    assert podman("wait", "stopped") == "137\n"
    podman("rm", "stopped")


@slow_in_vm
def test_restart_policy(podman):
    podman("run", "--detach", "--name=failing", "--restart=on-failure:2", IMAGE, "sh", "-c", "echo try; exit 3")
    wait_for(lambda: podman("logs", "failing") == "try\n" * 3)
    wait_for(lambda: podman.inspect("failing")["State"]["Status"] == "exited")
    found = podman.inspect("failing")
    assert (found["RestartCount"], found["State"]["ExitCode"]) == (2, 3)


@pytest.mark.requires("limits")
def test_out_of_memory(podman):
    done = podman.attempt("run", "--name=greedy", "--memory=16m", "--memory-swap=16m", IMAGE, "tail", "/dev/zero")
    assert done.returncode == 128 + 9
    assert podman.inspect("greedy")["State"]["OOMKilled"] is True
