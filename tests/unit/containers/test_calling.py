"""What comes of a call, from the bytes that it answered with."""

from __future__ import annotations

import os
import pickle
import sys

import pytest

import pycgroups as pc
from pycgroups.containers import calling, python
from pycgroups.containers.calling import Called
from pycgroups.containers.result import Result
from pycgroups.containers.verdict import Hits, Usage

USAGE = Usage(
    wall_time=1.0, cpu_time=0.5, user_time=0.3, system_time=0.2, peak_memory=5, io_read=0, io_written=0, processes=None
)


def called(answer, reason="exited", returncode=0):
    result = Result(["f"], returncode, "", "", reason=reason, hits=Hits(), usage=USAGE)
    return Called("f", result, answer, 2.0)


def raised(error, where):
    return pickle.dumps((None, pickle.dumps(error), "text", where))


def test_a_value():
    assert called(pickle.dumps((pickle.dumps([1]), None, None, ()))).value() == [1]


def test_an_exception_has_lines_of_code_alone(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("4711\n")
    os.mkfifo(tmp_path / "fifo")  # opened, it would never answer
    where = ((__file__, 1, "here"), (str(secret), 1, "there"), (str(tmp_path / "fifo"), 1, "nowhere"))
    with pytest.raises(KeyError) as caught:
        called(raised(KeyError(1), where)).value()
    (note,) = caught.value.__notes__
    assert '"""What comes of a call' in note
    assert "in there" in note
    assert "4711" not in note


@pytest.mark.parametrize(
    ("answer", "reason", "kind", "text"),
    [
        (b"", "exited", pc.Error, "ended with 0, and without an answer"),
        (b"nonsense", "exited", pc.Error, "without an answer"),
        (pickle.dumps((1, 2)), "exited", pc.Error, "without an answer"),
        (raised([1], ()), "exited", pc.Error, "without an answer"),
        (pickle.dumps((b"nonsense", None, None, ())), "exited", pc.Error, "returned a value, and that cannot come out"),
        (pickle.dumps((None, b"", "Odd: why", ())), "exited", pc.Error, "it raised Odd: why, and that cannot"),
        (b"", "timeout", pc.TimeoutExpired, "timed out after 2.0 seconds"),
        (b"", "oom", pc.CalledProcessError, "oom"),
        (b"", "signal", pc.CalledProcessError, "signal"),
    ],
)
def test_no_answer(answer, reason, kind, text):
    with pytest.raises(kind, match=text):
        called(answer, reason, 0 if reason == "exited" else -9).value()


@pytest.mark.parametrize(
    "options", [{"image": "debian:13"}, {"rootfs": "/"}, {"tty": True}, {"entrypoint": "sh"}, {"isolation": "process"}]
)
def test_options_that_do_not_go_with_python_of_the_host(options):
    with pytest.raises(pc.InvalidConfig, match=next(iter(options))):
        calling.call(os.getpid, (), {}, options)


def test_code_is_shown_once_and_the_systems_is_left(monkeypatch, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    path = [f"{tmp_path}/a/b", f"{tmp_path}/a", f"{tmp_path}/none", "/usr/lib", sys.prefix, None]
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.chdir(tmp_path)
    assert python._code(["ab", "/"]) == [f"{tmp_path}/a", f"{tmp_path}/ab"]
