"""Retries, refusals, pages, scopes, options: the parts that need no network."""

from __future__ import annotations

import io
import pickle

import pytest

import pycgroups as pc
from pycgroups.images.registry import Credentials, RegistryOptions
from pycgroups.images.registry import pace as pace_module
from pycgroups.images.registry.authorization import together
from pycgroups.images.registry.pace import HEADERS, Pace, TooMuch, TooSlow
from pycgroups.images.registry.pages import following
from pycgroups.images.registry.refusals import Transient, refusal
from pycgroups.images.registry.retries import FIRST, LONGEST, LONGEST_ASKED, pause, retry_after
from pycgroups.images.registry.url import Url

# -- retries -----------------------------------------------------------------------------------------------------------


def test_pauses_grow_up_to_a_bound():
    longest = [pause(failures, None, lambda: 1.0) for failures in range(1, 30)]
    assert longest[:3] == [FIRST * 2, FIRST * 4, FIRST * 8]
    assert longest[-1] == LONGEST
    assert pause(1, None, lambda: 0.0) == FIRST


def test_what_is_asked_for_is_kept_to_up_to_a_bound():
    assert pause(1, 3.0, lambda: 1.0) == 3.0
    assert pause(1, LONGEST_ASKED, lambda: 1.0) == LONGEST_ASKED
    assert pause(1, 3600.0, lambda: 1.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        *((text, None) for text in (None, "", "-1", "x", "1.5", "\u0661", "9" * 5000, "Thu, 99 Jan 1970 00:00:30 GMT")),
    ],
)
def test_retry_after(header, seconds):
    if header == "9" * 5000:
        assert retry_after(header, lambda: 10.0) > LONGEST_ASKED
    else:
        assert retry_after(header, lambda: 10.0) == seconds


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"errors": [{"code": "DENIED", "message": "no"}]}', "DENIED", "403 not allowed, DENIED: no"),
        (b'{"errors": []}', None, '403 not allowed: {"errors": []}'),
        (b'{"details": "who?"}', None, "403 not allowed: who?"),
        (b"", None, "403 not allowed"),
        (b"\xff\x1b[31m\r\n a   b\x00", None, "403 not allowed: \ufffd [31m a b"),
        (
            b'{"errors": [{"code": 5, "message": ["x"]}]}',
            None,
            '403 not allowed: {"errors": [{"code": 5, "message": ["x"]}]}',
        ),
        (b'{"errors": [{"code": "A\\u001b", "message": "B\\n\\u202e"}]}', "A", "403 not allowed, A: B"),
        (b"[" * 10_000, None, "403 not allowed: " + "[" * 297 + "..."),
    ],
)
def test_what_a_registry_says_is_cleaned(body, code, said):
    error = refusal("GET", "https://h/x", 403, body, host="h")
    assert (error.status, error.code, error.message) == (403, code, said)
    assert str(error).isprintable()
    assert "pycgroups login h" in error.hint
    assert pickle.loads(pickle.dumps(error)).message == said


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass(status):
    assert isinstance(refusal("GET", "https://h/x", status, b"", host="h", asked=5.0), Transient)


# -- pages -------------------------------------------------------------------------------------------------------------

HERE = Url("https", "h", 443, "/v2/x/tags/list")


@pytest.mark.parametrize(
    ("links", "target"),
    [
        (['</v2/x/tags/list?last=a>; rel="next"'], "/v2/x/tags/list?last=a"),
        (["<?last=a>;rel=next"], "/v2/x/tags/list?last=a"),
        (['</a>; rel="prev", </b>; title="x"; rel="next"'], "/b"),
        (['</a>; rel="prev"', "</b>; REL=Next"], "/b"),
    ],
)
def test_the_next_page(links, target):
    assert following(HERE, links).target == target


@pytest.mark.parametrize("links", [[], [""], ["</a>"], ["</a>; rel=prev"], ["rel=next"], ["<" * 30_000]])
def test_no_next_page(links):
    assert following(HERE, links) is None


@pytest.mark.parametrize("link", ["<file:///x>", "<http://h/x>", "<https://u:p@h/x>"])
def test_a_next_page_that_is_not_followed(link):
    with pytest.raises(pc.RegistryError):
        following(HERE, [f"{link}; rel=next"])


# -- scopes ------------------------------------------------------------------------------------------------------------


def test_scopes_together():
    own = ("repository:a/b:pull,push", "repository:c:pull")
    assert together(own, ["repository:a/b:pull", "repository:a/b:delete,pull", "registry:catalog:*"]) == [
        "repository:a/b:pull,push,delete",
        "repository:c:pull",
        "registry:catalog:*",
    ]


# -- pace --------------------------------------------------------------------------------------------------------------


class Pieces(io.RawIOBase):
    """A socket that gives pieces, each after some seconds of a clock of its own."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.now = 0.0

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.pieces:
            return 0
        seconds, size = self.pieces.pop(0)
        self.now += seconds
        return min(size, len(buffer))


def read(monkeypatch, *pieces):
    raw = Pieces(*pieces)
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: raw.now)
    with io.BufferedReader(Pace(raw, 10.0)) as reader:
        count = 0
        while piece := reader.read1(65536):
            count += len(piece)
    return count


def test_a_byte_a_second_is_too_slow(monkeypatch):
    with pytest.raises(TooSlow):
        read(monkeypatch, *[(1, 1)] * 100)


def test_two_kilobytes_a_second_are_not(monkeypatch):
    assert read(monkeypatch, *[(1, 2048)] * 100) == 204_800


def test_to_think_before_the_first_byte_is_not_slow(monkeypatch):
    assert read(monkeypatch, (100, 10), (1, 10), (1, 10)) == 30


def test_what_is_slow_after_a_quick_beginning(monkeypatch):
    with pytest.raises(TooSlow):
        read(monkeypatch, *[(0, 60_000)] * 10, *[(1, 1)] * 100)


def test_an_answer_without_an_end(monkeypatch):
    with pytest.raises(TooMuch):
        read(monkeypatch, *[(0, 65536)] * (HEADERS // 65536 + 1))


# -- options -----------------------------------------------------------------------------------------------------------


def test_nothing_shows_a_password():
    options = RegistryOptions(credentials=("me", "s3cret"))
    assert "s3cret" not in f"{options!r} {options} {options.credentials!r}"
    assert options.credentials == Credentials("me", "s3cret")
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("credentials", value) for value in ("me:s3cret", ("me",), ("a:b", "s3cret"), ("a\n", "s3cret"), (1, 2))),
        *(("read_timeout", value) for value in (0, -1, "5", None, True, float("nan"), 1e9)),
        *(("retries", value) for value in (-1, 1.5, "1", None, True, 10**6)),
        *(("connections", value) for value in (0, None)),
    ],
)
def test_bad_options(name, value):
    with pytest.raises(pc.InvalidConfig) as caught:
        RegistryOptions(**{name: value})
    assert caught.value.path == name
    assert "s3cret" not in str(caught.value)
