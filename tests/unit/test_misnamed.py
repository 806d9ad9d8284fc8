"""An option that is not there: the error names the function that was called, and what was meant."""

from __future__ import annotations

from typing import Any

import pytest

import pycgroups as pc
from pycgroups import misnamed
from pycgroups.cgroups.limits import WORDS
from pycgroups.containers.config import OPTIONS

THERE = OPTIONS | pc.run.__kwdefaults__.keys() | pc.Container.__init__.__kwdefaults__.keys()
COMMAND = ["true"]
CREATE = ", ".join((*getattr(pc.Cgroup.create, "__kwdefaults__", ()), *WORDS))
update = pc.Container.of(None, "0" * 64).update  # of no container: it is not looked for


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("memry", "; did you mean 'memory'?"),
        ("stdot", "; did you mean 'stdout'?"),
        ("mem_limit", ": it is 'memory' here"),
        ("environment", ": it is 'env' here"),
        ("shell", ': there is no shell; give a list: ["sh", "-c", line]'),
        ("detach", ": what goes on by itself is pycgroups.Container(command, detach=True)"),
        ("remove", ": of what run() runs nothing stays; leave it out"),
        ("healthcheck", ": it is of what is held: pycgroups.Container(command, healthcheck=...)"),
        ("restart", ": it is of what is held: pycgroups.Container(command, restart=...)"),
        ("qqqq", ""),
        ("environment_derived", ""),
    ],
)
def test_run_has_no_such_option(word, said):
    with pytest.raises(TypeError) as caught:
        pc.run(COMMAND, text=True, memory="64M", **{word: True})
    assert str(caught.value) == f"run() has no option {word!r}{said}"


@pytest.mark.parametrize("word", ["stdin", "stdout", "stderr", "input"])
def test_what_is_held_has_no_streams(word):
    with pytest.raises(TypeError, match=rf"^Container\(\) has no option '{word}': it is of run\(\)"):
        pc.Container(COMMAND, **{word: pc.PIPE})  # type: ignore[arg-type]


def test_options_of_logs_are_checked():
    held: Any = pc.Container.of(None, "0" * 64)
    with pytest.raises(TypeError, match=r"^Container.logs\(\) has no option 'tial'; did you mean 'tail'\?$"):
        held.logs(follow=True, tial=1)
    for word, value in (("tail", "all"), ("tail", -1), ("since", "10m"), ("until", -1)):
        with pytest.raises(pc.InvalidConfig) as caught:
            held.logs(follow=True, **{word: value})
        assert caught.value.path == word


@pytest.mark.parametrize("derived", ["limits", "environment"])
def test_what_is_derived_is_no_option(derived):
    with pytest.raises(TypeError, match=rf"^run\(\) has no option '{derived}'"):
        pc.run(COMMAND, **{derived: ()})


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (pc.explain, "explain"),
        (pc.seccomp.record, "record"),
        (pc.Container, "Container"),
        (pc.containers.create, "Containers.create"),
        (pc.Container.of(None, "0" * 64).exec, "Container.exec"),
        (pc.Container.of(None, "0" * 64).popen, "Container.popen"),
        (pc.Container.of(None, "0" * 64).exec_detached, "Container.exec_detached"),
    ],
)
def test_the_function_that_was_called_is_named(call, name):
    with pytest.raises(TypeError) as caught:
        call(COMMAND, mem_limit="64M")
    assert str(caught.value) == f"{name}() has no option 'mem_limit': it is 'memory' here"


@pytest.mark.parametrize(
    ("call", "word", "said"),
    [
        (pc.Cgroup.create, "memry", "Cgroup.create() has no option 'memry'; did you mean 'memory'?"),
        (pc.Cgroup.create, "environment", f"Cgroup.create() has no option 'environment'; it has {CREATE}"),
        (update, "hostname", f"Container.update() has no option 'hostname'; it has restart, {', '.join(WORDS)}"),
        (update, "mem_limit", "Container.update() has no option 'mem_limit': it is 'memory' here"),
        (pc.Cgroup("x").set, "mem_limit", "Cgroup.set() has no option 'mem_limit': it is 'memory' here"),
        (pc.Limits, "cpu", "Limits() got an unexpected keyword argument 'cpu'; did you mean 'cpus'?"),
    ],
)
def test_what_takes_limits_alone_offers_them_alone(call, word, said):
    with pytest.raises(TypeError) as caught:
        call(**{word: 1})
    assert str(caught.value) == said


@pytest.mark.parametrize("word", sorted(misnamed.RENAMED))
def test_what_is_called_otherwise_is_there(word):
    assert misnamed.RENAMED[word] in THERE
    assert word not in THERE
