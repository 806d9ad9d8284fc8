"""The rules for words, against the regular expressions that they stand for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.oci import kinds
from pycgroups.oci.sysctls import sysctl_namespace
from tests.unit.oci.documents import PATTERNS

by_rule = pytest.mark.parametrize(("rule", "pattern"), PATTERNS.items(), ids=lambda each: getattr(each, "__name__", ""))
# Few letters, so that many texts are nearly right.
NEARLY = st.text("019.,-+ /:\nKMGBrwxa", max_size=8)


@by_rule
@given(data=st.data())
def test_a_rule_takes_what_its_pattern_takes(rule, pattern, data):
    text = data.draw(NEARLY | st.from_regex(pattern) | st.from_regex(pattern, fullmatch=True))
    if text.isascii() and "\0" not in text:  # which is in no text that a rule is asked about
        assert bool(rule(text)) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize(("name", "holds"), [("é" * 7, True), ("é" * 8, False), ("a\u2003b", False), ("٣", True)])
def test_an_interface_has_a_name_of_bytes(name, holds):
    assert kinds._is_interface(name) == holds


def test_digits_are_those_of_ascii():
    assert not kinds._is_version("1.٣.0")
    assert not kinds._is_number_list("٣")
    assert not kinds._is_page_size("1٣MB")


@given(st.lists(st.text("net.ab0-_/é", max_size=4), max_size=3).map(".".join))
def test_a_sysctl_has_a_name_of_words(tail):
    words = r"[0-9A-Za-z][-_0-9A-Za-z]*(\.[0-9A-Za-z][-_0-9A-Za-z]*)*"
    assert (sysctl_namespace(f"net.{tail}") == "network") == bool(re.fullmatch(words, tail))
