"""``image="host"``: the host's own root for a stranger, the caller's Python in it, and nothing of it written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import pycgroups as pc

pytestmark = [pytest.mark.requires("userns")]
needs_root = pytest.mark.requires("root")
not_asan = pytest.mark.skipif(
    os.environ.get("PYCGROUPS_TEST_WORLD") == "asan", reason="the package with AddressSanitizer is not installed"
)

SECRET = "host-secret-4711"


def say(script, **options):
    result = pc.run(["sh", "-c", script], text=True, stderr=pc.STDOUT, timeout=300, **options)
    return result.stdout.strip()


def python(code, *args, **options):
    result = pc.run(["python3", "-c", code, *args], text=True, timeout=300, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# -- what is there


def test_programs_of_the_host_run():
    assert say("echo hello from $(id -u) in $(pwd)") == "hello from 0 in /"
    assert say("ls /usr/bin | wc -l") == str(len(os.listdir("/usr/bin")))
    assert say("cat /etc/os-release") == Path("/etc/os-release").read_text().strip()


def test_it_is_the_default_and_may_be_named():
    assert pc.run(["true"], image="host").returncode == 0
    assert pc.run(["true"], image=None).returncode == 0
    with pytest.raises(pc.InvalidConfig, match="not both"):
        pc.run(["true"], image="host", rootfs="/")


@pytest.mark.parametrize("init", [True, False])
def test_a_missing_program(init):
    with pytest.raises(pc.CommandNotFound):
        pc.run(["no-such-program-anywhere"], init=init)


# -- what a stranger could not read


def secret_places():
    yield from ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/sudoers", "/etc/security/opasswd")
    for pattern in (
        "etc/ssh/ssh_host_*_key",
        "etc/ssl/private/*",
        "etc/ssl/private",
        "var/log/btmp",
        "root/.*",
        "root",
    ):
        yield from map(str, Path("/").glob(pattern))
    yield from map(str, Path("/home").glob("*"))


READ = """
import json, os, sys
found = {}
for path in sys.argv[1:]:
    try:
        found[path] = len(os.listdir(path)) if os.path.isdir(path) else len(open(path, "rb").read())
    except OSError:
        pass
print(json.dumps(found))
"""


def test_secrets_of_the_host_cannot_be_read():
    found = json.loads(python(READ, *secret_places()))
    assert found.pop("/root", 0) == 0
    assert [place for place, size in found.items() if size and not os.stat(place).st_mode & 0o7] == []


@pytest.mark.requires("root")
@pytest.mark.parametrize("user", [None, 1000, "daemon"])
def test_files_that_only_root_reads(user, request):
    """In a directory of the system, of whatever owner; the container's root is nobody on the host."""
    for owner, mode in ((0, 0o600), (0, 0o640), (1000, 0o600), (65534, 0o600)):
        with tempfile.NamedTemporaryFile(dir="/usr/local/share", prefix="canary-") as file:
            file.write(SECRET.encode())
            file.flush()
            os.fchown(file.fileno(), owner, owner)
            os.fchmod(file.fileno(), mode)
            text = say(f"id -u; cat {file.name}; chmod 777 {file.name}; cat {file.name}", user=user)
            assert SECRET not in text, (owner, mode, user)
            assert "denied" in text
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode


def test_files_that_everybody_reads_are_read():
    assert say("cat /etc/passwd") == Path("/etc/passwd").read_text().strip()


@pytest.mark.requires("rootless", "subuid")
def test_private_files_of_the_caller_cannot_be_read(tmp_path):
    """The program is a stranger even to who started it. The map says so, wherever the file lies."""
    lines = say("cat /proc/self/uid_map").splitlines()
    ids = [range(int(line.split()[1]), int(line.split()[1]) + int(line.split()[2])) for line in lines]
    assert not any(os.getuid() in some for some in ids)
    home = Path.home() / "secret"
    home.write_text(SECRET)
    try:
        assert SECRET not in say(f"cat {home}; cat /proc/*/root/{home}")
    finally:
        home.unlink()


def test_homes_and_temporary_files_are_not_shown(tmp_path):
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="canary-") as file:
        file.write(SECRET.encode())
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        assert "No such file" in say(f"cat {file.name}")
    for place in ("/tmp", "/var/tmp", "/home", "/mnt", "/media"):
        if os.path.isdir(place):
            hidden = python("import os,sys; print(sorted(os.listdir(sys.argv[1])))", place)
            assert hidden in ("[]", f"[{sys.prefix.split('/')[2]!r}]" if sys.prefix.startswith(f"{place}/") else "[]")
    shown = python("import os,sys; print(os.path.exists(sys.argv[1]))", str(Path.home() / ".bashrc"))
    assert shown == "False"


@pytest.mark.slow_in_vm("looks at every file")
def test_sockets_of_the_host_are_not_shown():
    inside = python("import os; print([d for d, _, f in os.walk('/run') if d not in ('/run',)])")
    assert inside in ("[]", "['/run/pycgroups', '/run/pycgroups/bin']")
    script = "find / -xdev -type s 2>/dev/null"
    assert say(script) == ""


CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(error.strerror)
"""


@needs_root
def test_a_socket_in_a_directory_of_the_system_is_not_reached():
    """Not hidden, but to connect takes write permission; abstract ones are of another network namespace."""
    path = f"/usr/local/share/canary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        try:
            server.listen()
            assert python(CONNECT, path) == "Permission denied"
        finally:
            os.unlink(path)


# -- what is written


# What has mounts of the host below it an ordinary user's container shows read-only, as a whole.
WRITABLE = ("/tmp", "/var/tmp", "/root", "/home", "/run")
WRITABLE_OF_ROOT = ("/etc", "/opt", "/usr/local/bin", "/var/lib")


def test_writes_work_and_vanish():
    mark = f"canary-{os.getpid()}"
    places = [*WRITABLE, *(WRITABLE_OF_ROOT if os.geteuid() == 0 else ())]
    places = [place for place in places if os.path.isdir(place)]
    script = "; ".join(f"echo {SECRET} >{place}/{mark} && cat {place}/{mark}" for place in places)
    assert say(script).split() == [SECRET] * len(places)
    assert not [place for place in places if os.path.exists(f"{place}/{mark}")]
    assert say("; ".join(f"cat {place}/{mark}" for place in places)).count("No such file") == len(places)


@needs_root
def test_directories_of_the_system_that_cannot_be_written_stay():
    before = {path: os.stat(path).st_mtime_ns for path in ("/", "/etc", "/usr", "/usr/bin", "/var", "/etc/passwd")}
    say("rm -rf /etc/passwd /usr/bin/true; touch /usr/x /x; chmod 777 /etc; mv /usr/bin/env /tmp; echo x >>/etc/passwd")
    assert {path: os.stat(path).st_mtime_ns for path in before} == before


def test_read_only():
    text = say("; ".join(f"touch {place}/x" for place in ("/", "/etc", "/usr/local", "/var/lib")), read_only=True)
    assert text.count("Read-only file system") == 4, text


@pytest.mark.parametrize("place", ["/tmp", "/root"])
def test_temporary_directories_take_many_files(place):
    assert say(f"cd {place}; for i in $(seq 500); do echo $i >f$i; done; ls | grep -c '^f[0-9]'") == "500"


# -- the caller's Python


def test_python_is_the_callers_with_its_packages():
    code = "import sys, attrs; print(sys.version); print(sys.prefix); print(attrs.__file__)"
    import attrs

    assert python(code).splitlines() == [*sys.version.splitlines(), sys.prefix, attrs.__file__]


@not_asan
def test_pycgroups_is_there_too_and_works():
    code = "import pycgroups as pc; print(pc.explain(['true'], rootfs='/', userns=pc.IdMap.single()).plan.init)"
    assert python(code) == "True"


@pytest.mark.slow_in_vm("looks at every file of a virtual environment")
def test_python_is_first_on_path_and_cannot_be_written():
    path = say("echo $PATH").split(":")
    assert path.count("/usr/bin") == 1
    where = say("command -v python3")
    assert where.startswith(path[0])
    assert os.path.realpath(where) == os.path.realpath(sys.executable) or where.startswith("/run/pycgroups")
    before = sorted(path.stat().st_mtime_ns for path in Path(sys.prefix).iterdir())
    say(f"touch {sys.prefix}/x; rm -rf {sys.prefix}/lib; echo x >>{sys.prefix}/pyvenv.cfg")
    assert sorted(path.stat().st_mtime_ns for path in Path(sys.prefix).iterdir()) == before
    assert python("print(1)") == "1"


@pytest.fixture(scope="module")
def home_venv():
    """A virtual environment in a home directory that is nobody else's."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=os.environ.get("HOME") if os.geteuid() else "/var/lib"))
    home.chmod(0o700)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    site = next((home / "venv/lib").glob("python*/site-packages"))
    (site / "only_here.py").write_text(f"WHAT = {SECRET!r}\n")
    paths = [str(Path(pc.__file__).parents[1]), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "more.pth").write_text("\n".join(paths) + "\n")
    (home / "private").write_text("private-" + SECRET)
    (home / "venv/private").mkdir(mode=0o700)
    yield home / "venv/bin/python"
    shutil.rmtree(home)


def in_venv(interpreter, code):
    done = subprocess.run([interpreter, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return done.stdout.strip()


RUN = """
import pycgroups as pc
def run(*command):
    r = pc.run(list(command), text=True, stderr=pc.STDOUT, timeout=300)
    print(r.stdout.strip())
"""


def test_a_virtual_environment_in_a_private_home(home_venv):
    """With the packages in it, and nothing else of the home."""
    prefix = home_venv.parents[1]
    code = f"{RUN}run('python3', '-c', 'import only_here, sys; print(only_here.WHAT, sys.prefix)')"
    assert in_venv(home_venv, code) == f"{SECRET} {prefix}"
    code = f"{RUN}run('sh', '-c', 'ls -A {prefix.parent}; cat {prefix.parent}/private; touch {prefix}/x')"
    lines = in_venv(home_venv, code).splitlines()
    assert lines[0] == "venv"
    assert not any("private" in line and "No such file" not in line for line in lines)
    assert "Read-only file system" in lines[-1]


def test_python_from_a_program_started_by_another_name(home_venv, tmp_path):
    """The interpreter's own directory may hold no python3, or another one."""
    link = tmp_path / "my-python"
    link.symlink_to(sys.executable)
    done = subprocess.run(
        [sys.executable, "-c", f"{RUN}run('python3', '-c', 'import sys; print(sys.prefix)')"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        executable=sys.executable,
    )
    assert done.stdout.strip() == sys.prefix
