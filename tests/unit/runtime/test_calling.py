"""What a child of `call` is given; nothing is started."""

from __future__ import annotations

import operator
import pickle
import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.runtime import calling, interpreter


def test_the_plan_is_an_interpreter_with_its_descriptors():
    plan = interpreter._plan([*interpreter.command("call"), "-c", "program"], 4)
    *_, ready, execute = plan.main
    assert ready.args[:2] == (0, 5)  # the job, the answer and the namespaces are 3 to 7
    assert execute.texts[0].split(b"\0")[0] == execute.texts[2] == sys.executable.encode()
    assert (plan.namespaces, plan.given, plan.init) == (0, 5, False)


def test_what_is_pickled():
    function, arguments = pickle.loads(calling.pickled(operator.add, (1, [2])))
    assert (function, arguments) == (operator.add, (1, [2]))


@pytest.mark.parametrize(
    ("fn", "args", "named"),
    [(lambda: 0, (), "fn"), (len, (1, lambda: 0), r"args\[1\]"), (operator.add, (sys, 1), r"args\[0\]")],
)
def test_what_cannot_be_pickled_is_named(fn, args, named):
    with pytest.raises(InvalidConfig, match=rf"option {named}: .*pickle|option {named}: .*local"):
        calling.pickled(fn, args)


def test_without_an_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(Unsupported, match="no interpreter"):
        interpreter.command("call in namespaces")


def test_the_main_module(monkeypatch, tmp_path):
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(InvalidConfig, match="option fn"):
        calling._main("f")
    main.__file__ = str(tmp_path / "gone.py")
    with pytest.raises(InvalidConfig, match="option fn"):
        calling._main("f")
    (tmp_path / "gone.py").touch()
    assert calling._main("f") == ("path", str(tmp_path / "gone.py"))
    main.__spec__ = ModuleSpec("package.__main__", None)
    assert calling._main("f") == ("module", "package.__main__")
