"""Waiting until containers are ready: ports, output, answers, files, functions; and what ends the wait before."""

from __future__ import annotations

import os
import pickle
import re
import socket
import threading
import time

import pytest

import pycgroups as pc
from tests.registry.certificates import Authority
from tests.waiting import PATIENCE, in_time, wait_for

pytestmark = pytest.mark.requires("userns")

a_python = pytest.mark.slow_in_vm("each wait for an answer starts a Python")
HTTPD = "busybox httpd -p {} -h /tmp"


def served(address, then="sleep 1000"):
    return ["sh", "-c", f"{HTTPD.format(address)}; {then}"]


def soon(held, *conditions, **wishes):
    held.wait_for(*conditions, timeout=PATIENCE, **wishes)


@pytest.fixture
def server(run, own_root):
    """A server of the files in /tmp, at port 8080."""
    return run(*served("8080"), rootfs=own_root)


# -- ports ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "host"), [("8080", "127.0.0.1"), ("127.0.0.1:8080", "127.0.0.1"), ("[::1]:8080", "::1")]
)
def test_a_port_is_waited_for_in_a_network_of_its_own(run, address, host):
    held = run("sh", "-c", f"sleep 0.2; {HTTPD.format(address)}; sleep 1000")
    soon(held, port=8080)
    assert held.exec(["sh", "-c", f"echo | nc {host} 8080"]).returncode == 0
    with pytest.raises(pc.TimedOut, match=r"no port 8081 \(listening: 8080\); it has written nothing"):
        held.wait_for(port=8081, timeout=0)


def test_a_port_of_the_host_is_one_of_its_network(run):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        soon(run(network="host"), port=listening.getsockname()[1])
        with pytest.raises(pc.TimedOut):
            run().wait_for(port=listening.getsockname()[1], timeout=0)


# -- output -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        "is réady",
        "is réady".encode(),
        re.compile(r"^is \w+$", re.MULTILINE),
        re.compile(rb"is r.{2}ady\n"),
        re.compile("one\nit is"),
    ],
)
def test_a_text_is_waited_for(run, wanted):
    held = run("sh", "-c", "echo one >&2; printf 'it\nis r' >&2; sleep 0.3; echo éady >&2; sleep 1000")
    if getattr(wanted, "pattern", "") == "one\nit is":
        with pytest.raises(pc.TimedOut, match="no log 'one"):
            held.wait_for(log=wanted, timeout=0)
    else:
        soon(held, log=wanted)


def test_what_an_earlier_run_wrote_does_not_count(run, own_root):
    held = run("sh", "-c", "[ -e /tmp/again ] || { echo ready; exit; }; sleep 1000", rootfs=own_root)
    held.wait(timeout=PATIENCE)
    soon(held, log="ready")  # it has ended, and what it wrote is there
    (own_root / "tmp/again").touch()
    held.start()
    with pytest.raises(pc.TimedOut):
        held.wait_for(log="ready", timeout=0.3)


def test_a_text_is_found_in_much_of_it(run):
    held = run("sh", "-c", "yes 0123456789 | head -n 9999; echo ready; yes 0123456789 | head -n 9999; sleep 1000")
    soon(held, log="ready")


# -- answers ----------------------------------------------------------------------------------------------------------


@a_python
def test_an_answer_is_waited_for_and_a_bad_one_is_none(server):
    soon(server, port=8080)

    def attempt(seconds):
        with pytest.raises(pc.TimedOut) as raised:
            server.wait_for(http="/healthz", port=8080, timeout=seconds)
        return str(raised.value)

    said = in_time(attempt, lambda said: "answered" in said)
    assert "there is no http://localhost:8080/healthz (answered by 404)" in said
    server.write_text("/tmp/healthz", "fine")
    soon(server, http="/healthz", port=8080)
    soon(server, http="http://127.0.0.1:8080/healthz?q=1")
    soon(server, http="http://localhost:8080/healthz")
    soon(server, http="http://[::1]:8080/healthz")


def test_an_answer_is_waited_for_in_the_hosts_network(run, own_root):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (own_root / "tmp/a").touch()
    soon(run(*served(f"127.0.0.1:{port}"), rootfs=own_root, network="host"), http="/a", port=port)


@a_python
@pytest.mark.requires("openssl")
def test_an_answer_over_tls_is_one_whoever_has_signed_for_it(run, tmp_path):
    tmp_path.chmod(0o755)
    certificate, key = Authority(tmp_path).sign("anybody")
    key.chmod(0o644)
    command = ["openssl", "s_server", "-quiet", "-www", "-cert", "/in/" + certificate.name, "-key", "/in/" + key.name]
    held = run(*command, "-accept", "8443", rootfs=None, image="host", volumes={str(tmp_path): "/in:ro"})
    soon(held, http="https://localhost:8443/")
    soon(held, http="https://127.0.0.1/", port=8443)
    with pytest.raises(pc.TimedOut, match=r" http://localhost:8444/ \(nobody listens\)"):
        held.wait_for(http="/", port=8444, timeout=0.3)
    with pytest.raises(pc.TimedOut, match="no http://localhost:8443/"):
        held.wait_for(http="http://localhost:8443/", timeout=1)


@a_python
def test_who_does_not_speak_tls_is_not_ready_for_it(server):
    server.write_text("/tmp/a", "")
    soon(server, http="/a", port=8080)
    with pytest.raises(pc.TimedOut, match="no https://localhost:8080/a"):
        server.wait_for(http="https://localhost:8080/a", timeout=1)


@a_python
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", ["sleep 1000", "while printf x; do sleep 0.1; done", "echo nonsense"])
def test_who_answers_badly_holds_nobody_up(run, answer, scheme):
    held = run("busybox", "nc", "-ll", "-p", "8080", "-e", "sh", "-c", answer)
    soon(held, port=8080)
    begun = time.monotonic()
    with pytest.raises(pc.TimedOut, match=rf"no {scheme}://localhost:8080/ \([a-zA-Z]"):
        held.wait_for(http=f"{scheme}://localhost:8080/", timeout=1)
    assert time.monotonic() - begun < PATIENCE / 4


@a_python
def test_threads_wait_at_once_and_this_process_stays_where_it_is(server):
    own = os.readlink("/proc/self/ns/net")
    server.write_text("/tmp/a", "")
    waiting = [threading.Thread(target=soon, args=(server,), kwargs={"http": "/a", "port": 8080}) for _ in range(4)]
    for each in waiting:
        each.start()
    for each in waiting:
        each.join()
    assert {os.readlink(f"/proc/self/task/{task}/ns/net") for task in os.listdir("/proc/self/task")} == {own}


# -- files, functions -------------------------------------------------------------------------------------------------


def test_a_file_is_waited_for(run):
    held = run(
        "sh", "-c", "sleep 0.2; mkdir -p /run/a; touch /run/a/ready; sleep 1000", mounts=[pc.Mount.tmpfs("/run")]
    )
    soon(held, file="/run/a/ready")
    with pytest.raises(pc.TimedOut, match="no file '/run/b'"):
        held.wait_for(file="/run/b", timeout=0)


def test_a_function_is_called_until_it_says_so(run):
    answers = iter([0, None, "yes"])
    soon(run(), lambda: next(answers))
    assert next(answers, "the end") == "the end"


def test_what_a_function_raises_goes_on(run):
    held = run()
    with pytest.raises(ZeroDivisionError):
        soon(held, lambda: 1 / 0)


def test_a_look_that_takes_long_is_taken_less_often_however_much_is_written(run):
    looks = []

    def look():
        looks.append(1)
        time.sleep(0.05)

    with pytest.raises(pc.TimedOut):
        run("sh", "-c", "while :; do echo x; sleep 0.01; done").wait_for(look, timeout=1.5)
    assert 2 <= len(looks) <= 7


def test_all_that_is_named_is_waited_for(run):
    held = run(
        "sh",
        "-c",
        f"touch /run/a; {HTTPD.format(80)}; sleep 0.2; echo ready; sleep 1000",
        mounts=[pc.Mount.tmpfs("/run")],
    )
    answers = iter([False, True])
    soon(held, lambda: next(answers), port=80, log="ready", file="/run/a")
    assert not list(answers)


# -- what ends the wait before ----------------------------------------------------------------------------------------


def test_who_ends_is_not_waited_for(run):
    held = run("sh", "-c", "echo 'no \033[31mconfig'; sleep 0.3; exit 3")
    begun = time.monotonic()
    with pytest.raises(pc.StateError) as raised:
        held.wait_for(port=80, log="ready", timeout=10 * PATIENCE)
    assert time.monotonic() - begun < PATIENCE
    assert "it has ended (exited, 3) before there was log 'ready' and port 80" in str(raised.value)
    assert r"'no \x1b[31mconfig'" in str(raised.value)
    with pytest.raises(pc.StateError, match=r"has ended \(exited, 3\)"):
        held.wait_for(port=80)


def test_who_is_killed_is_not_waited_for(run):
    held = run()
    killing = threading.Timer(0.2, held.kill)
    killing.start()
    with pytest.raises(
        pc.StateError, match=r"signal, -9\) before there was port 80 \(nothing listens\); it has written nothing"
    ):
        soon(held, port=80)
    killing.join()


def test_an_end_that_nobody_may_have_seen_is_one(run):
    held = run("sh", "-c", "sleep 0.2; exit 3", init=False)
    with pytest.raises(pc.StateError, match="it has ended"):
        soon(held, port=80)


def test_who_was_never_started_or_is_gone_is_not_waited_for(make):
    held = make()
    with pytest.raises(pc.StateError, match="never started"):
        held.wait_for(port=80)
    held.remove()
    with pytest.raises(pc.NotFound):
        held.wait_for(port=80)


def test_the_time_is_over_with_its_last_lines_and_it_goes_on(run):
    held = run("sh", "-c", "for i in $(seq 20); do echo $i; done; sleep 1000")
    wait_for(lambda: b"20\n" in held.logs())
    with pytest.raises(pc.TimedOut) as raised:
        held.wait_for(port=80, timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    assert "after 0.2 seconds there is no port 80 (nothing listens); its last lines:\n    11\n" in str(raised.value)
    assert str(raised.value).endswith("\n    20")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert held.status == "running"


def test_a_wait_for_the_end_runs_out_likewise(run):
    with pytest.raises(pc.TimedOut, match="goes on"):
        run().wait(timeout=0.1)


def test_what_cannot_be_waited_for_is_refused(make):
    held = make()
    for wishes in (
        {},
        {"port": 0},
        {"port": "80"},
        {"log": ""},
        {"log": 1},
        {"http": "healthz"},
        {"file": 1},
        {"port": 80, "timeout": -1},
    ):
        with pytest.raises(pc.InvalidConfig):
            held.wait_for(**wishes)
    with pytest.raises(pc.InvalidConfig, match="without arguments"):
        held.wait_for(80)
