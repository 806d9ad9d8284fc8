"""Hostile JSON: each an InvalidConfig, whatever the interpreter's limits are."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.oci.json_text import LARGEST_TEXT, dumps, parse
from pycgroups.oci.reading import read_spec
from tests.unit.oci.documents import DIGITS, HOSTILE, START


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_an_error_of_ours(name):
    with pytest.raises(InvalidConfig) as caught:
        read_spec(HOSTILE[name])
    assert len(str(caught.value)) < 500
    assert caught.value.path


def test_a_long_integer_is_refused_where_the_interpreter_has_no_limit():
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(InvalidConfig, match="an integer of 8000000 digits"):
            parse(DIGITS, "it")
    finally:
        sys.set_int_max_str_digits(limit)


def test_the_key_that_is_there_twice_is_named():
    with pytest.raises(InvalidConfig, match="the key 'hostname' twice"):
        read_spec(HOSTILE["the same key twice"])


@pytest.mark.parametrize("text", ['"annotations": {"KEY": 1}}', '"KEY": {"KEY": LISTS}}'])
def test_a_long_key_does_not_make_a_long_error(text):
    lists = "[" * 70 + "1" + "]" * 70
    with pytest.raises(InvalidConfig) as caught:
        read_spec(START + text.replace("KEY", "a" * 100_000).replace("LISTS", lists))
    assert len(str(caught.value)) < 500


def test_the_largest_text_is_taken():
    text = START[:-2] + "}"
    assert read_spec(text + " " * (LARGEST_TEXT - len(text))).root.path == "r"


@given(st.binary(max_size=64))
def test_bytes_are_json_or_an_error_of_ours(content):
    try:
        document = parse(content, "it")
    except InvalidConfig:
        return
    assert document == json.loads(content.decode())


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANY_JSON)
def test_it_is_written_and_read_as_json_does(value):
    text = dumps(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert parse(f" \n{text}\t\r", "it") == value


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), ([b"bytes"], TypeError), ({1}, TypeError)])
def test_what_is_no_json_is_not_written(value, error):
    with pytest.raises(error):
        dumps(value)


@pytest.mark.parametrize(
    "text", ["", " ", "\n {} 5", "{}\n\n]", "[1", "[1,\n", '{"a": }', "\xa0{}", "{}\xa0", "nul", "01"]
)
def test_the_error_is_that_of_json(text):
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(InvalidConfig) as caught:
        parse(text, "it")
    assert caught.value.message == f"not JSON: {expected.value}"


def test_the_error_is_there_before_json_is():
    code = """
import sys
from pycgroups.errors import InvalidConfig
from pycgroups.oci.json_text import parse
assert "json" not in sys.modules
try:
    parse("[1", "it")
except InvalidConfig as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)\n"
