"""The standard streams of a run: pipes, files, the caller's, a terminal; and nothing ever waits for ever."""

from __future__ import annotations

import os
import sys

import pytest

import pycgroups as pc
from tests.waiting import in_time

pytestmark = [
    pytest.mark.requires("userns", "busybox", "gcc"),
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.slow_in_vm("megabytes through pipes, no cgroup among them"),
]

MIB = 1 << 20


# -- input


def test_input_as_bytes_and_as_text(root, inside):
    assert pc.run(["cat"], rootfs=root, input=b"a\r\n\xff").stdout == b"a\r\n\xff"
    assert pc.run(["cat"], rootfs=root, input=memoryview(b"view")).stdout == b"view"
    assert inside(["cat"], input="ü\n").stdout == "ü\n"
    assert pc.run(["cat"], rootfs=root, input=b"").stdout == b""


@pytest.mark.parametrize(
    ("given", "options"),
    [("text", {}), (b"bytes", {"text": True}), (5, {}), (["a"], {}), (memoryview(b"abcd")[::2], {})],
)
def test_input_of_the_wrong_kind(root, given, options):
    with pytest.raises(pc.InvalidConfig, match="input"):
        pc.run(["cat"], rootfs=root, input=given, **options)


def test_nothing_is_the_default_input_and_not_the_callers(script, root):
    """The caller's stdin would be read empty behind its back."""
    code = """
import sys, pycgroups as pc
print(pc.run(["cat"], rootfs=sys.argv[1]).stdout, pc.run(["readlink", "/proc/self/fd/0"], rootfs=sys.argv[1]).stdout)
print(sys.stdin.read())
"""
    assert script(code, root, input="for the caller") == "b'' b'/dev/null\\n'\nfor the caller\n"


def test_stdin_from_a_file_and_a_descriptor(inside, scratch):
    path = scratch / "in"
    path.write_text("from a file\n")
    with path.open("rb") as file:
        assert inside(["cat"], stdin=file).stdout == "from a file\n"
        file.seek(5)
        assert inside(["cat"], stdin=file.fileno()).stdout == "a file\n"


def test_stdin_devnull_and_pipe(inside):
    assert inside(["cat"], stdin=pc.DEVNULL).stdout == ""
    assert inside(["cat"], stdin=pc.PIPE).stdout == ""
    assert inside(["cat"], stdin=pc.PIPE, input="in\n").stdout == "in\n"


@pytest.mark.parametrize(
    "options",
    [
        {"stdin": "x"},
        {"stdout": "x"},
        {"stderr": -7},
        {"stdout": pc.STDOUT},
        {"stdin": 3.5},
        {"stdin": 2**31},
        {"stdout": True},
    ],
    ids=str,
)
def test_streams_that_are_none(inside, options):
    with pytest.raises(pc.InvalidConfig, match=f"{next(iter(options))}"):
        inside(["true"], **options)


def test_stdin_or_input(inside, scratch):
    (scratch / "in").touch()
    with (scratch / "in").open() as file, pytest.raises(pc.InvalidConfig, match="not both"):
        inside(["cat"], stdin=file, input="x")


def test_a_program_that_does_not_want_its_input(root):
    """EPIPE is not the caller's problem, and the rest of the input is dropped."""
    result = pc.run(["sh", "-c", "exec <&-; echo closed; sleep 0.1"], rootfs=root, input=b"x" * MIB, timeout=300)
    assert (result.reason, result.stdout) == ("exited", b"closed\n")
    assert pc.run(["head", "-c", "3"], rootfs=root, input=b"x" * MIB, timeout=300).stdout == b"xxx"
    assert pc.run(["true"], rootfs=root, input=b"x" * MIB, timeout=300).returncode == 0


# -- output


def test_stdout_and_stderr_apart_together_and_nowhere(inside):
    both = ["sh", "-c", "echo out; echo err >&2; echo out again"]
    apart = inside(both)
    assert (apart.stdout, apart.stderr) == ("out\nout again\n", "err\n")
    together = inside(both, stderr=pc.STDOUT)
    assert (together.stdout, together.stderr) == ("out\nerr\nout again\n", None)
    nowhere = inside(both, stdout=pc.DEVNULL)
    assert (nowhere.stdout, nowhere.stderr) == (None, "err\n")
    assert inside(both, stdout=pc.DEVNULL, stderr=pc.STDOUT).stderr is None


def test_output_to_files_and_descriptors(inside, scratch):
    both = ["sh", "-c", "echo out; echo err >&2"]
    with (scratch / "out").open("wb") as out, (scratch / "err").open("w") as err:
        result = inside(both, stdout=out, stderr=err.fileno())
    assert (result.stdout, result.stderr) == (None, None)
    assert [(scratch / name).read_text() for name in ("out", "err")] == ["out\n", "err\n"]
    with (scratch / "both").open("wb") as file:
        inside(both, stdout=file, stderr=pc.STDOUT)
    assert (scratch / "both").read_text() == "out\nerr\n"


def test_none_is_where_the_callers_output_goes(script, root):
    code = """
import sys, pycgroups as pc
r = pc.run(["sh", "-c", "echo inside; echo err >&2"], rootfs=sys.argv[1], stdout=None, stderr=pc.STDOUT)
print(r.stdout, r.stderr)
"""
    assert script(code, root) == "inside\nerr\nNone None\n"


def test_a_caller_without_standard_streams(script, root, scratch):
    code = """
import os, sys, pycgroups as pc
path = sys.argv[2]
os.close(0); os.close(1); os.close(2)
r = pc.run(["sh", "-c", "cat; echo out; echo err >&2; ls /proc/self/fd"], rootfs=sys.argv[1], input=b"in\\n")
open(path, "w").write(repr((r.stdout, r.stderr)))
os._exit(0)
"""
    script(code, root, scratch / "report")
    assert (scratch / "report").read_text() == repr((b"in\nout\n0\n1\n2\n3\n", b"err\n"))


def test_encodings_and_universal_newlines(root):
    def run(data, **options):
        return pc.run(["cat"], rootfs=root, input=data, **options).stdout

    assert run("a\r\nb\rc\n", text=True) == "a\nb\nc\n"
    assert run(b"a\r\nb\r") == b"a\r\nb\r"
    assert run("ü", encoding="latin-1") == "ü"
    assert pc.run(["printf", r"\374"], rootfs=root, encoding="latin-1").stdout == "ü"
    assert pc.run(["printf", r"\374"], rootfs=root, encoding="utf-8", errors="replace").stdout == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        pc.run(["printf", r"\374"], rootfs=root, encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        run("€", encoding="latin-1")


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "no-such"},
        {"encoding": "rot13"},
        {"encoding": 8},
        {"encoding": "a\0b"},
        {"errors": "no-such"},
        {"errors": True},
    ],
    ids=str,
)
def test_an_unknown_encoding_is_told_before_anything_starts(inside, scratch, options):
    (name,) = options
    with pytest.raises(pc.InvalidConfig, match=name):
        inside(["touch", "/out/file"], volumes={scratch: "/out"}, **options)
    assert os.listdir(scratch) == []


def test_a_daemon_that_keeps_the_output_open_does_not_hold_up(inside):
    result = inside(["sh", "-c", "setsid sleep 1000 & echo early"], timeout=300)
    assert (result.stdout, result.reason) == ("early\n", "exited")


def test_somebody_elses_copy_of_a_pipe_does_not_hold_up(script, root):
    code = """
import os, sys, threading, pycgroups as pc
stop = False
def copy():
    while not stop:
        for fd in os.listdir("/proc/self/fd"):
            try: os.close(os.dup(int(fd)))
            except OSError: pass
thread = threading.Thread(target=copy); thread.start()
try:
    print({pc.run(["echo", "x"], rootfs=sys.argv[1], timeout=300).stdout for _ in range(20)})
finally:
    stop = True
    thread.join()
"""
    assert script(code, root) == "{b'x\\n'}\n"


@pytest.mark.parametrize("user", [pytest.param(1000, marks=pytest.mark.requires("subuid")), 0])
def test_the_streams_can_be_opened_by_name(inside, user):
    command = ["sh", "-c", "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr; echo three >/proc/self/fd/1"]
    result = inside(command, input="in\n", user=user)
    assert (result.stdout, result.stderr) == ("in\nout\nthree\n", "err\n")


# -- much of it


@pytest.mark.parametrize("init", [True, False])
def test_both_pipes_full_and_nobody_deadlocks(inside, init):
    result = inside(["probe", "flood", str(4 * MIB)], timeout=300, init=init)
    assert (result.returncode, len(result.stdout), len(result.stderr)) == (0, 4 * MIB, 4 * MIB)


def test_input_and_both_outputs_at_once(inside):
    result = inside(["sh", "-c", "tee /proc/self/fd/2"], input="x" * (4 * MIB), timeout=300)
    assert (len(result.stdout), len(result.stderr)) == (4 * MIB, 4 * MIB)


def test_megabytes_through_a_pipe_arrive_whole(root):
    data = os.urandom(16 * MIB)
    result = pc.run(["cat"], rootfs=root, input=data, timeout=300)
    assert result.stdout == data


@pytest.mark.requires("host")
def test_a_gigabyte_arrives_whole(root):
    block = os.urandom(64 * MIB)
    data = block * 16
    assert pc.run(["cat"], rootfs=root, input=data).stdout == data  # benchmarks/ measure the rate


def test_output_ends_where_the_timeout_came(inside):
    result = in_time(lambda seconds: inside(["sh", "-c", "yes"], timeout=seconds), lambda result: result.stdout)
    assert result.reason == "timeout"
    assert set(result.stdout.splitlines()[:-1]) == {"y"}


# -- a terminal


def test_a_terminal(inside):
    result = inside(["sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all three; ls /dev/pts"], tty=True)
    assert result.returncode == 0
    assert result.stdout.split() == ["/dev/pts/0", "all", "three", "0", "ptmx"]
    assert not result.stderr


def test_without_one_there_is_none(inside):
    assert inside(["tty"]).stdout == "not a tty\n"
    assert inside(["sh", "-c", "echo >/dev/tty"]).returncode != 0


def test_input_on_a_terminal(inside):
    result = inside(["sh", "-c", "read line; echo got $line; cat; echo end"], input="one\ntwo\n", tty=True, timeout=300)
    assert (result.reason, result.returncode) == ("exited", 0)
    assert "got one" in result.stdout
    assert result.stdout.rstrip().endswith("end")


def test_control_characters_of_a_terminal_are_signals(inside):
    result = inside(["sleep", "60"], input="\x03", tty=True, timeout=300)
    assert (result.returncode, result.reason, result.stdout) == (-2, "signal", "^C")


def test_much_output_on_a_terminal(inside):
    result = inside(["seq", "50000"], tty=True, timeout=300)
    assert result.stdout.split() == [str(number) for number in range(1, 50_001)]


def test_the_terminal_belongs_to_the_user(own_root):
    result = pc.run(["stat", "-c", "%u %a", "/dev/pts/0"], rootfs=own_root, tty=True, text=True)
    uid, mode = result.stdout.split()
    assert (uid, int(mode, 8) & 0o002) == ("0", 0)


@pytest.mark.requires("subuid")
def test_the_terminal_belongs_to_another_user(inside):
    result = inside(["sh", "-c", "stat -c %u /dev/pts/0; echo can write >/dev/tty"], tty=True, user=1000)
    assert result.stdout.split() == ["1000", "can", "write"]


def test_job_control_works_on_the_terminal(inside):
    """A session of its own, of which the terminal is the controlling one; no "can't access tty" of the shell."""
    result = inside(["sh", "-i"], input="sleep 50 &\njobs\nkill %1\nexit 7\n", tty=True, timeout=300)
    assert (result.returncode, result.reason) == (7, "exited")
    assert "can't access tty" not in result.stdout
    assert "Running" in result.stdout


def test_the_text_of_a_terminal_is_kept_to_the_end(inside):
    for _ in range(10):
        assert inside(["sh", "-c", "printf last"], tty=True).stdout == "last"


@pytest.mark.skipif(not sys.executable, reason="needs its own path")
def test_the_callers_terminal_is_left_alone(script, root):
    """The container's session is not the caller's, so the caller's controlling terminal is not its own."""
    code = """
import os, pty, sys
pid, master = pty.fork()
if pid == 0:
    import pycgroups as pc
    r = pc.run(["sh", "-c", "echo >/dev/tty || echo none"], rootfs=sys.argv[1], stdin=None, stdout=pc.PIPE)
    os.write(1, r.stdout)
    os._exit(0)
text = b""
while True:
    try: chunk = os.read(master, 1024)
    except OSError: break
    if not chunk: break
    text += chunk
os.waitpid(pid, 0)
os.close(master)
print(text.decode().split())
"""
    assert script(code, root) == "['none']\n"
