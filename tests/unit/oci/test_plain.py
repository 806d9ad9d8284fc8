"""Plain objects are to whoever takes them what the models are."""

import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pycgroups
from pycgroups.errors import InvalidConfig, NotFound
from pycgroups.oci import plain, reading
from pycgroups.oci.model import Model
from pycgroups.oci.resources import Resources
from pycgroups.oci.runtime_spec import Process, Seccomp, Spec
from pycgroups.runtime.plan import make_plan
from pycgroups.runtime.rootfs import Directory
from pycgroups.security.bpf import compile_filter, syscall_table
from tests.unit.oci.documents import (
    CHANGED,
    HOSTILE,
    MINIMAL,
    PROCESS,
    WRONG,
    models,
    required,
)

ALLOW = Seccomp(default_action="SCMP_ACT_ALLOW")
READERS = (plain.load_spec, reading.load_spec)
SLOW = {
    *("attrs", "attr", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect", "json", "pathlib"),
    *("re", "typing"),
}


def fields(value):
    """Take an object apart, whichever it is."""
    if isinstance(value, Model):
        return type(value).__name__, {
            field.name: fields(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
    if isinstance(value, plain.Plain):
        return value._model, {name: fields(item) for name, item in vars(value).items()}
    if isinstance(value, tuple):
        return tuple(map(fields, value))
    return type(value), value


def outcome(read, *arguments):
    """Return what was read, taken apart, or what the error says."""
    try:
        return fields(read(*arguments))
    except InvalidConfig as error:
        return error.path, str(error)


# -- the same objects --------------------------------------------------------------------------------------------


def test_a_file_gives_what_the_models_have(config):
    assert fields(plain.load_spec(config)) == fields(reading.load_spec(config))


@pytest.mark.parametrize("model", [Spec, Process, Resources], ids=lambda model: model.__name__)
@given(data=st.data())
def test_a_document_gives_what_the_models_have(model, data):
    document = json.loads(json.dumps(required(data.draw(models(model))).to_json()))
    assert fields(plain._READER.read(model.__name__, document, (), None)) == fields(
        reading.from_json(model, document, "here")
    )


def test_a_part_by_itself_is_what_it_is_in_the_file(everything):
    whole, document = plain.load_spec(everything), json.loads(everything.read_text())
    assert plain.read("Process", document["process"], "process") == whole.process
    assert plain.read("Resources", document["linux"]["resources"], "resources") == whole.linux.resources


def test_unknown_properties_are_ignored():
    document = {**MINIMAL, "windows": {}, "process": {**PROCESS, "strange": [1]}}
    assert plain.read_spec(json.dumps(document)) == plain.read_spec(json.dumps({**MINIMAL, "process": PROCESS}))
    assert plain.read("Process", {**PROCESS, "strange": 1}, "process").args == ("sh",)


def test_they_are_values():
    one, same, other = (plain.read("Process", {"args": [name], "cwd": "/"}, "it") for name in ("a", "a", "b"))
    assert one == same != other
    assert len({one, same, other}) == 2
    assert "args=('a',)" in repr(one)
    assert one != Process(args=("a",))


# -- the same errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gives_the_same_error(name):
    same = outcome(reading.read_spec, HOSTILE[name])
    if name == "deeper than is written back":  # nothing is written back
        assert "nested too deeply" in same[1]
        assert plain.read_spec(HOSTILE[name])
    else:
        assert outcome(plain.read_spec, HOSTILE[name]) == same


@pytest.mark.parametrize("document", [document for document, _, _ in WRONG], ids=[key for _, key, _ in WRONG])
def test_a_wrong_document_gives_the_same_error(document):
    text = json.dumps(document)
    found = outcome(plain.read_spec, text)
    assert found == outcome(reading.read_spec, text)
    assert isinstance(found[0], str)


@given(CHANGED)
def test_a_change_anywhere_gives_the_same(document):
    text = json.dumps(document)
    assert outcome(plain.read_spec, text) == outcome(without_extra, text)


def without_extra(text):
    return attrs.evolve(reading.read_spec(text), extra=())


def test_a_part_by_itself_is_checked():
    limits = [{"type": "RLIMIT_AS", "hard": 1, "soft": 2}]
    with pytest.raises(InvalidConfig, match="hard limit, 1") as caught:
        plain.read("Process", {**PROCESS, "rlimits": limits}, "exec")
    assert caught.value.path == "exec.rlimits[0].soft"
    with pytest.raises(InvalidConfig) as caught:
        plain.read("Resources", {"unified": {"../x": "1"}}, "resources")
    assert caught.value.path == "resources.unified['../x']"


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="a bundle is a directory"):
        plain.load_spec(tmp_path / "config.json")


# -- what takes them ---------------------------------------------------------------------------------------------


def test_the_plan_is_the_same(config):
    one, other = (make_plan(read(config), Directory(path="/r"), privileged=True) for read in READERS)
    assert one.encode() == other.encode()
    assert repr(one) == repr(other)  # it has maps of ids, of the one sort and of the other


def test_the_filter_is_the_same(config):
    one, other = (compile_filter(read(config).linux.seccomp or ALLOW, syscall_table()) for read in READERS)
    assert one == other


# -- the door ----------------------------------------------------------------------------------------------------


def test_reading_loads_nothing_slow(config):
    program = f"""
import sys
sys.path[:] = {sys.path!r}
before = set(sys.modules)
from pycgroups.oci import plain
plain.load_spec({str(config)!r})
from pycgroups.oci.json_text import dumps
dumps({{"pid": 1}})
print(*set(sys.modules) - before)
"""
    # -S: a site-packages with .pth files imports what it likes.
    out = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, check=True, text=True).stdout
    loaded = set(out.split())
    assert "pycgroups.oci.plain" in loaded
    assert loaded & SLOW == set()
    assert loaded & {f"pycgroups.oci.{name}" for name in ("model", "resources", "runtime_spec", "uncommon")} == set()


def test_the_tables_are_those_of_the_models():
    root = Path(pycgroups.__file__).parents[1]
    made = subprocess.run(
        [sys.executable, root / "tools/oci-tables"], capture_output=True, check=True, text=True
    ).stdout
    assert made == (root / "pycgroups/oci/tables.py").read_text(), "run: tools/oci-tables >pycgroups/oci/tables.py"
