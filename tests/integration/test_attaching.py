"""Being attached to a container that is held, in any process: its output from now on, and what it reads."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time

import pytest

import pycgroups as pc
from pycgroups.containers import lending
from tests.integration.test_containers import elsewhere
from tests.integration.test_pipe_locks import HOLD, PRELUDE
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.requires("userns")


def test_output_from_now_on(run):
    held = run("sh", "-c", "echo before; read word; echo $word; echo err >&2; exit 3", stdin_open=True)
    wait_for(lambda: held.logs() == b"before\n")
    with held.attach() as joined, held.attach(logs=True) as all_of_it:
        assert (joined.interactive, joined.tty, joined.exit_code) == (True, False, None)
        joined.write(b"after\n")
        assert sorted(joined) == [("stderr", b"err\n"), ("stdout", b"after\n")]
        assert sorted(data for _, data in all_of_it) == [b"after\n", b"before\n", b"err\n"]
        assert joined.exit_code == all_of_it.exit_code == 3
    with pytest.raises(pc.errors.StateError, match="does not run"):
        held.attach()


def test_what_holds_descriptors_is_neither_pickled_nor_copied(run):
    """A copy would close them a second time, when they are somebody else's."""
    held = run("sleep", "inf")
    with held.attach() as joined, held.sampler() as sampler, held.popen("true", stdin=pc.PIPE) as running:
        assert held.short_id in repr(joined)
        assert (held.name or held.short_id) in repr(sampler)
        for each in (joined, sampler, running):
            for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="descriptors"):
                    attempt(each)


def test_attached_from_the_start(make):
    held = make("sh", "-c", "echo run; cat", stdin_open=True)
    for word in (b"one", b"two"):
        with held.attach(start=True) as joined:
            joined.write(word)
            joined.end_input()
            assert b"".join(data for _, data in joined) == b"run\n" + word
            with pytest.raises(pc.errors.StateError, match="closed"):
                joined.write(b"more")
    with held.attach(start=True) as joined, pytest.raises(pc.errors.StateError, match="running already"):
        held.attach(start=True)


def test_the_input_stays_open_until_somebody_ends_it(run):
    held = run("cat", stdin_open=True)
    for word in (b"one\n", b"two\n"):
        with held.attach() as joined:
            joined.write(word)
    with held.attach() as first, held.attach() as second:
        first.write(b"three\n")
        second.end_input()
        with pytest.raises(pc.errors.StateError, match="closed"):
            second.write(b"four\n")
        first.write(b"five\n")  # it had it before
    assert held.wait(PATIENCE) == 0
    assert held.logs() == b"one\ntwo\nthree\nfive\n"


def test_a_terminal(run):
    held = run("sh", tty=True, stdin_open=True, env={"PS1": "$ "})
    with held.attach() as joined:
        joined.resize(33, 99)
        joined.write(b"busybox stty size; test -t 0 && test -t 2 && echo all''three\n")
        shown, output = b"", iter(joined)
        # What is typed ahead of a shell that edits lines is no end of file to it: it takes the terminal as it is.
        while b"33 99\r\nallthree\r\n$ " not in shown:
            shown += next(output)[1]
        joined.end_input()
        assert b"".join(data for _, data in output).endswith(b"\r\n")
        assert joined.exit_code == 0


def test_what_it_does_not_have_is_told(run):
    with run(stdin_open=False).attach() as joined:
        for call in (lambda: joined.write(b"x"), joined.end_input):
            with pytest.raises(pc.errors.StateError, match=r"reads nothing.*stdin_open"):
                call()
        with pytest.raises(pc.errors.StateError, match="no terminal"):
            joined.resize(1, 1)
    with run(tty=True).attach() as joined:
        joined.resize(20, 30)
        for rows, cols in ((-1, 70_000), (None, 1)):
            with pytest.raises(pc.InvalidConfig, match="option size"):
                joined.resize(rows, cols)
        with pytest.raises(pc.errors.StateError, match="reads nothing"):
            joined.write(b"x")


@pytest.mark.requires("subuid")
def test_its_program_has_a_plain_pipe(run):
    held = run("sh", "-c", "readlink /proc/self/fd/0; cat /dev/stdin", stdin_open=True, user="1000")
    with held.attach(logs=True) as joined:
        joined.write(b"line\n")
        joined.end_input()
        shown = b"".join(data for _, data in joined).split()
    assert shown[0].startswith(b"pipe:")
    assert shown[1] == b"line"


def test_another_process_attaches_after_the_maker_was_killed(store, root):
    made = elsewhere(
        store,
        f"""
held = containers.create(["cat"], rootfs={os.fspath(root)!r}, name="kept", detach=True, stdin_open=True)
held.start()
print("ready", flush=True)
time.sleep(1000)
""",
    )
    try:
        assert made.stdout.readline() == "ready\n"
    finally:
        made.send_signal(signal.SIGKILL)
        made.communicate()
    with store.containers.get("kept").attach() as joined:
        joined.write(b"still here\n")
        joined.end_input()
        assert list(joined) == [("stdout", b"still here\n")]
        assert joined.exit_code == 0


def test_who_does_not_read_holds_up_nobody(run):
    """A program that does not read: its writer waits; others resize, read and stop it all the same."""
    held = run("sh", "-c", "echo up; exec sleep 1000", stdin_open=True)
    with held.attach() as joined:
        errors = []

        def write():
            try:
                joined.write(bytes(1 << 20))
            except pc.Error as error:
                errors.append(error.errno)

        writer = threading.Thread(target=write)
        writer.start()
        wait_for(lambda: joined._input >= 0)
        assert held.exec(["true"]).returncode == 0
        held.kill()
        writer.join(PATIENCE)
        assert not writer.is_alive()
        assert errors


@pytest.mark.slow_in_vm("starts of Python")
def test_a_program_that_holds_the_lock_of_its_input_ends_with_its_maker_all_the_same(store):
    script = PRELUDE + "print('up', flush=True)\n" + HOLD["of its input"]
    made = elsewhere(
        store,
        f"held = containers.create(['python3', '-c', {script!r}], image='host', name='kept', stdin_open=True)\n"
        "held.start()\nprint('ready', flush=True)\ntime.sleep(1000)\n",
    )
    try:
        assert made.stdout.readline() == "ready\n"
        held = store.containers.get("kept")
        with held.attach(logs=True) as joined:
            assert next(iter(joined)) == ("stdout", b"up\n")
            joined.write(bytes(9000))
            time.sleep(0.3)  # nothing tells that it has the lock
            joined.end_input()
    finally:
        made.send_signal(signal.SIGKILL)
        made.communicate()
    assert held.wait(PATIENCE) == -9


@pytest.mark.parametrize("datagram", [b"", b"?", b"l", b"x" * 100_000])
def test_what_is_no_wish_does_no_harm(run, datagram):
    """Its directory is its owner's alone; but a mistake must not end the container."""
    import socket

    held = run("cat", stdin_open=True)
    with held._home() as home, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        assert os.stat(lending.SOCKET, dir_fd=home.fd).st_uid == os.geteuid()
        assert os.fstat(home.fd).st_mode & 0o077 == 0
        asking.connect(f"/proc/self/fd/{home.fd}/{lending.SOCKET}")
        for _ in range(50):
            with open(os.devnull) as null:
                socket.send_fds(asking, [datagram], [null.fileno()] * 3)
    with held.attach() as joined:
        joined.write(b"well\n")
        joined.end_input()
        assert list(joined) == [("stdout", b"well\n")]
    assert held.wait(PATIENCE) == 0
