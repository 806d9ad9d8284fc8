"""URLs: what is followed, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.images.registry.url import BadUrl, Url, is_loopback

HERE = Url("https", "h.example", 443, "/v2/me/app/blobs/x?a=b")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h", Url("http", "h", 80, "/")),
        ("https://H.Example:5000/a/b?c=d#e", Url("https", "h.example", 5000, "/a/b?c=d")),
        ("http://[::1]:5/x", Url("http", "[::1]", 5, "/x")),
        ("https://h_1.example/%2F?X=%20", Url("https", "h_1.example", 443, "/%2F?X=%20")),
        ("https://h/\u00fc", Url("https", "h", 443, "/%FC")),
    ],
)
def test_urls(text, url):
    assert Url.parse(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "h", "/x", "//h/x", "file:///etc/passwd", "ftp://h/x", "javascript:x", "http:/h", "http:///x", "http://"),
        *(
            "http://u:p@h/",
            "http://u@h/",
            "http://h:0x1/",
            "http://h:99999/",
            "http://h:-1/",
            "http://h:/x",
            "http://a..b/",
        ),
        *(
            "http://h /",
            "http://h\t/x",
            "http://h/\n",
            "http://h/\r\nX: y",
            "http://h\\@evil/",
            "http://[::1",
            "http://::1]/",
        ),
        *(
            "http://[1.2.3.4]/",
            "http://[::1%25eth0]/",
            f"http://{'a' * 64}/",
            f"http://h/{'x' * 20_000}",
            "http://\u00fc/",
        ),
        "http://h\u2044evil/",
    ],
)
def test_no_urls(text):
    with pytest.raises(BadUrl):
        Url.parse(text)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://h.example/x"),
        ("x", "https://h.example/v2/me/app/blobs/x"),
        ("../x?q", "https://h.example/v2/me/app/x"),
        ("//other/x", "https://other/x"),
        ("https://other:5/x", "https://other:5/x"),
        ("?a=c", "https://h.example/v2/me/app/blobs/x"),
    ],
)
def test_joined(location, url):
    assert str(HERE.join(location)) == url


@pytest.mark.parametrize(
    "location", ["http://h.example/x", "file:///x", "https://u:p@h/", "", "https://h/\n", "data:,x"]
)
def test_what_is_not_followed(location):
    with pytest.raises(BadUrl):
        HERE.join(location)


def test_from_http_to_https():
    assert Url("http", "h", 80, "/").join("https://h/x").scheme == "https"


def test_a_query_is_not_shown():
    assert "b" not in str(HERE).rpartition("/")[2]
    assert HERE.with_query([("digest", "sha256:a b")]).target.endswith("?a=b&digest=sha256%3Aa%20b")


@given(st.text(max_size=60))
def test_any_location_is_followed_or_refused(text):
    try:
        led = HERE.join(text)
    except BadUrl:
        return
    assert Url.parse(f"{led.root}{led.target}") == led
    assert led.target.isprintable()
    assert led.target.isascii()


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.255.1.2", "[::1]", "[0:0::1]"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.example", "127.0.0.1.example", "128.0.0.1", "127.1", "127.0.0.256", "[::2]", "127.0.0.x", "h"]
)
def test_no_loopback(host):
    assert not is_loopback(host)
