"""Where a request of HTTP goes to."""

from __future__ import annotations

import pytest

from pycgroups.containers.answers import Target, target
from pycgroups.errors import InvalidConfig


@pytest.mark.parametrize(
    ("url", "port", "expected"),
    [
        ("/", None, Target("", 80, "localhost", "/")),
        ("/healthz?a=b", 8080, Target("", 8080, "localhost:8080", "/healthz?a=b")),
        ("/", 80, Target("", 80, "localhost", "/")),
        ("http://localhost", None, Target("", 80, "localhost", "/")),
        ("http://localhost:/", 8080, Target("", 8080, "localhost:8080", "/")),
        ("http://localhost:/", None, Target("", 80, "localhost", "/")),
        ("http://localhost:81/a", 8080, Target("", 81, "localhost:81", "/a")),
        ("http://127.0.0.1/a?b#c", 8080, Target("127.0.0.1", 8080, "127.0.0.1:8080", "/a?b")),
        ("https://localhost/a", None, Target("", 443, "localhost", "/a", "https")),
        ("https://127.0.0.1/", 8443, Target("127.0.0.1", 8443, "127.0.0.1:8443", "/", "https")),
        ("https://127.0.0.1/", 443, Target("127.0.0.1", 443, "127.0.0.1", "/", "https")),
        ("HTTP://[0:0::1]:81", None, Target("::1", 81, "[0:0::1]:81", "/")),
    ],
)
def test_what_is_asked_for(url, port, expected):
    assert target(url, port) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "healthz",
        "https://example.org/",
        "ftp://localhost/",
        "http://",
        "http://example.org/",
        "http://010.0.0.1/",
        "http://localhost:99999/",
        "http://localhost:x/",
        "http://user@localhost/",
        "http://[::1/",
        "/a b",
        "/a\r\nX: y",
        "/é",
        7,
    ],
)
def test_what_cannot_be_asked_for_is_refused(url):
    with pytest.raises(InvalidConfig, match="http"):
        target(url, None)


def test_what_is_sent():
    sent = target("http://localhost:81/a", None).request
    assert sent.startswith(b"GET /a HTTP/1.1\r\nHost: localhost:81\r\n")
    assert sent.endswith(b"\r\nConnection: close\r\n\r\n")
