"""Hostile JSON: each an InvalidConfig, whatever the interpreter's limits are."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.oci.json_text import LARGEST_TEXT, parse
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
