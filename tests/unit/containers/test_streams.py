from __future__ import annotations

import fcntl
import os
import select

import pytest

from pycgroups.containers.streams import DEVNULL, PIPE, STDOUT, Streams
from pycgroups.errors import InvalidConfig


@pytest.fixture
def make():
    made = []

    def one(*, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, data=None):
        made.append(Streams(stdin=stdin, stdout=stdout, stderr=stderr, data=data))
        return made[-1]

    before = set(os.listdir("/proc/self/fd"))
    yield one
    for streams in made:
        streams.close()
    assert set(os.listdir("/proc/self/fd")) <= before


def pump(streams):
    """Serve until all is read and written; the program's part is played by the pipes themselves."""
    poll = select.poll()
    streams.attach(poll, terminal=False)
    while ready := poll.poll(100):
        for fd, _ in ready:
            streams.serve(fd)


def test_what_the_program_writes_is_captured_apart(make):
    streams = make()
    os.write(streams.child[1], b"out")
    os.write(streams.child[2], b"err")
    streams.started()
    pump(streams)
    assert [output.getvalue() for output in streams.captured] == [b"out", b"err"]


def test_stderr_in_stdout(make):
    streams = make(stderr=STDOUT)
    assert streams.child[1] == streams.child[2]
    os.write(streams.child[2], b"err")
    streams.started()
    pump(streams)
    assert streams.captured[0].getvalue() == b"err"
    assert streams.captured[1] is None


def test_input_is_written_to_the_end_and_closed(make):
    data = os.urandom(300_000)
    streams = make(stdin=None, data=data)
    poll = select.poll()
    streams.attach(poll, terminal=False)
    got = bytearray()
    while streams.feed >= 0:
        streams.serve(streams.feed)
        os.set_blocking(streams.child[0], False)
        got += os.read(streams.child[0], 1 << 20)
    got += os.read(streams.child[0], 1 << 20)
    assert got == data
    assert os.read(streams.child[0], 10) == b""


def test_input_that_nobody_reads_is_dropped(make):
    streams = make(stdin=None, data=b"x" * 1_000_000)
    streams.started()
    pump(streams)
    assert streams.feed == -1


def test_empty_input_is_an_end_of_file(make):
    streams = make(stdin=None, data=b"")
    pump(streams)
    assert os.read(streams.child[0], 10) == b""


def test_a_full_pipe_grows(make):
    streams = make()
    size = fcntl.fcntl(streams.child[1], fcntl.F_GETPIPE_SZ)
    os.set_blocking(streams.child[1], False)
    os.write(streams.child[1], b"x" * size)
    pump(streams)
    assert fcntl.fcntl(streams.child[1], fcntl.F_GETPIPE_SZ) > size


def test_descriptors_of_the_caller_are_not_closed(make, tmp_path):
    with (tmp_path / "file").open("wb") as file:
        streams = make(stdin=0, stdout=file, stderr=file.fileno())
        assert streams.child == [0, file.fileno(), file.fileno()]
        streams.started()
        streams.close()
        file.write(b"still open")
        assert streams.captured == [None, None]


def test_pipes_are_not_inherited_and_can_be_opened_by_name(make):
    streams = make(stdin=PIPE)
    for fd in (*streams.child, *streams.sources, streams.feed):
        assert not os.get_inheritable(fd)
    assert {os.fstat(fd).st_mode & 0o777 for fd in streams.child} == {0o666}


def test_drain_reads_what_is_left_and_does_not_wait(make):
    streams = make()
    os.write(streams.child[1], b"left")
    streams.drain()  # our own copy of the writing end is open
    assert streams.captured[0].getvalue() == b"left"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"stdin": "x"}, "stdin"),
        ({"stdout": -5}, "stdout"),
        ({"stderr": False}, "stderr"),
        ({"stdout": STDOUT}, "stdout"),
        ({"stdin": 0, "data": b"x"}, "stdin"),
    ],
)
def test_streams_that_are_none(make, options, key):
    with pytest.raises(InvalidConfig) as caught:
        make(**options)
    assert caught.value.path == key


def test_a_closed_file_is_none(make, tmp_path):
    with (tmp_path / "file").open("wb") as file:
        pass
    with pytest.raises(InvalidConfig):
        make(stdout=file)
