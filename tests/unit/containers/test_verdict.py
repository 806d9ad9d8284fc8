from __future__ import annotations

import copy
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups._native.spawning import Report
from pycgroups.cgroups.sample import Sample
from pycgroups.containers.result import CalledProcessError, Result, TimeoutExpired
from pycgroups.containers.verdict import Hits, Usage, make_hits, make_reason, make_usage

REPORT = Report(4, 0, 0, 0, 1_500_000, 500_000, 3000, 8, 16, -1)
REAPED = Report(0, 0, 0, 0, 2_000_000, 1_000_000, 9000, 1, 2, -1)
"Of PID 1, which was once as large as the caller."
USAGE = Usage(
    wall_time=1.0, cpu_time=0.5, user_time=0.3, system_time=0.2, peak_memory=5, io_read=0, io_written=0, processes=None
)


def sample(**values):
    return Sample(**{**dict.fromkeys(field.name for field in attrs.fields(Sample)), **values})


@pytest.mark.parametrize(
    ("returncode", "hits", "timed_out", "reason"),
    [
        (0, {}, False, "exited"),
        (3, {}, False, "exited"),
        (-11, {}, False, "signal"),
        (-9, {"oom": 1}, False, "oom"),
        (0, {"oom": 3, "pids": 1, "disk": 1}, False, "exited"),
        (1, {"oom": 1, "pids": 9}, False, "oom"),
        (1, {"pids": 1, "disk": 1}, False, "pids"),
        (-6, {"disk": 1}, False, "disk"),
        (-9, {"oom": 1}, True, "timeout"),
        (0, {}, True, "timeout"),
    ],
)
def test_reasons(returncode, hits, timed_out, reason):
    assert make_reason(returncode, Hits(**hits), timed_out=timed_out) == reason


@given(st.integers(-64, 255), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_a_limit_is_the_reason_only_if_it_was_hit_and_the_program_failed(code, oom, pids, disk, timed_out):
    hits = Hits(oom=oom, pids=pids, disk=disk)
    reason = make_reason(code, hits, timed_out=timed_out)
    if reason in ("oom", "pids", "disk"):
        assert hits[reason]
        assert code != 0
    elif not timed_out:
        assert code == 0 or not any(hits.values())


def test_hits():
    assert make_hits(None, disk=True) == {"oom": 0, "pids": 0, "disk": 1}
    assert make_hits(sample(oom=2, pids_hits=5), disk=False) == {"oom": 2, "pids": 5, "disk": 0}
    assert make_hits(sample(), disk=False) == {"oom": 0, "pids": 0, "disk": 0}
    assert pickle.loads(pickle.dumps(Hits(oom=1))) == Hits(oom=1)


def test_usage_of_the_cgroup_comes_first():
    counted = sample(cpu_time=0.7, user_time=0.4, system_time=0.3, peak_memory=77, processes_peak=4)
    usage = make_usage(1.5, counted, REAPED, REPORT)
    assert (usage.cpu_time, usage.user_time, usage.system_time, usage.peak_memory) == (0.7, 0.4, 0.3, 77)
    assert (usage.wall_time, usage.processes) == (1.5, 4)
    assert (usage.io_read, usage.io_written) == (8 * 512, 16 * 512)  # which it did not count


def test_usage_without_a_cgroup_is_what_the_init_told():
    for reaped in (REAPED, None):
        usage = make_usage(1.5, None, reaped, REPORT)
        assert (usage.cpu_time, usage.user_time, usage.system_time) == (2.0, 1.5, 0.5)
        assert (usage.peak_memory, usage.io_read, usage.processes) == (3000 * 1024, 8 * 512, None)


def test_usage_without_an_init():
    usage = make_usage(1.5, None, REAPED, None)
    assert (usage.cpu_time, usage.user_time, usage.system_time, usage.io_written) == (3.0, 2.0, 1.0, 1024)
    assert usage.peak_memory is None
    nothing = make_usage(1.5, None, None, None)
    assert (nothing.cpu_time, nothing.peak_memory, nothing.io_written) == (0.0, None, 0)


def result(**options):
    options = {"reason": "exited", "hits": Hits(), "usage": USAGE, **options}
    return Result(("prog", "arg"), options.pop("returncode", 3), b"out", b"err", **options)


def test_a_result():
    one = result(unenforced=("memory",))
    assert (one.args, one.returncode, one.stdout, one.stderr) == (["prog", "arg"], 3, b"out", b"err")
    assert vars(pickle.loads(pickle.dumps(one))) == vars(one)
    assert repr(one) == "Result(returncode=3, reason='exited', stdout=b'out', stderr=b'err')"
    assert len(repr(Result(["x"], 0, "y" * 10_000, reason="exited", hits=Hits(), usage=USAGE))) < 200
    with pytest.raises(CalledProcessError):
        one.check_returncode()
    result(returncode=0).check_returncode()


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (CalledProcessError(result(reason="oom")), "CalledProcessError(3, ['prog', 'arg'])"),
        (TimeoutExpired.of(result(reason="timeout"), 2.5), "TimeoutExpired(['prog', 'arg'], 2.5)"),
    ],
    ids=["called", "timeout"],
)
def test_errors_of_check(error, shown, again):
    copied = again(error)
    assert (repr(copied), repr(error)) == (shown, shown)
    assert (str(copied), type(copied)) == (str(error), type(error))
    assert (copied.cmd, copied.output, copied.stdout, copied.stderr) == (["prog", "arg"], b"out", b"out", b"err")
    assert (copied.operation, copied.path, copied.result.returncode) == ("run", "prog", 3)
    assert "prog" in str(error)
