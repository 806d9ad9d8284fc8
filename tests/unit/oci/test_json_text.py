"""Hostile JSON: each an InvalidConfig, whatever the interpreter's limits are."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.errors import InvalidConfig
from pycgroups.oci.json_text import LARGEST_TEXT, parse
from pycgroups.oci.reading import read_spec

START = '{"ociVersion": "1.0.0", "root": {"path": "r"}, '
PROCESS = START + '"process": {"args": ["a"], "cwd": "/", '
DEEP = 100_000
DIGITS = "1" * 8_000_000
TEXTS = {
    "nothing": b"",
    "blank": b" \n",
    "half": START[:-2],
    "two documents": START[:-2] + "} {}",
    "no object": "5",
    "a comment": START + "/* no */}",
    "a comma too many": START + "}",
    "lists in lists": START + '"x": ' + "[" * DEEP + "]" * DEEP + "}",
    "objects in objects": START + '"x": ' + '{"x":' * DEEP + "1" + "}" * DEEP + "}",
    "deeper than is written back": START + '"x": ' + "[" * 70 + "1" + "]" * 70 + "}",
    "lists without end": "[" * (LARGEST_TEXT - 1),
    "a list of lists where text belongs": START + '"hostname": ' + "[" * DEEP + "]" * DEEP + "}",
    "a long integer": START + f'"x": {DIGITS}}}',
    "a long integer where one belongs": PROCESS + f'"oomScoreAdj": -{DIGITS}}}}}',
    "a long fraction where an int belongs": PROCESS + f'"oomScoreAdj": 0.{DIGITS}}}}}',
    "NaN": START + '"x": NaN}',
    "Infinity": START + '"x": Infinity}',
    "minus Infinity": START + '"x": -Infinity}',
    "a number above all": START + '"x": 1e999}',
    "the same key twice": START + '"hostname": "a", "hostname": "b"}',
    "the same key twice, unknown": START + '"x": {"y": 1, "y": 1}}',
    "the same key twice, written differently": START + r'"x": 1, "\u0078": 2}',
    "a byte order mark": b"\xef\xbb\xbf" + START.encode()[:-2] + b"}",
    "a byte order mark, decoded": "\ufeff" + START[:-2] + "}",
    "UTF-16": (START[:-2] + "}").encode("utf-16"),
    "UTF-16 without a mark": (START[:-2] + "}").encode("utf-16-le"),
    "UTF-32": (START[:-2] + "}").encode("utf-32"),
    "Latin-1": (START + '"hostname": "é"}').encode("latin-1"),
    "half a surrogate pair": START + r'"annotations": {"a": "\ud83d"}}',
    "the wrong way round": START + r'"annotations": {"\ude00\ud83d": "a"}}',
    "a surrogate as UTF-8": START.encode() + b'"hostname": "\xed\xa0\x80"}',
    "too long as UTF-8": START.encode() + b'"hostname": "\xc0\xaf"}',
    "a control character": START + '"hostname": "a\nb"}',
    "NUL": START + r'"annotations": {"a": "b\u0000c"}}',
    "50 MB": START + '"x": "' + "a" * 50_000_000 + '"}',
    "50 MB of bytes": b" " * 50_000_000,
}


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_an_error_of_ours(name):
    with pytest.raises(InvalidConfig) as caught:
        read_spec(TEXTS[name])
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
        read_spec(TEXTS["the same key twice"])


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
