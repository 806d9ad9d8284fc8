"""Proxies, as the environment names them."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images.registry.proxies import Proxy, find
from pycgroups.images.registry.url import Url


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def found(url):
    return find(Url.parse(url))


def test_nothing():
    assert found("https://h.example/") is None


@pytest.mark.parametrize(
    ("said", "proxy"),
    [
        ("http://p.example:3128", Proxy("http://p.example:3128", None)),
        ("p.example:3128/", Proxy("http://p.example:3128", None)),
        ("https://p.example", Proxy("https://p.example", None)),
        ("http://me:a%40b@[::1]:8/x", Proxy("http://[::1]:8", "me:a@b")),
    ],
)
def test_what_is_said(monkeypatch, said, proxy):
    monkeypatch.setenv("HTTPS_PROXY", said)
    assert found("https://h.example/") == proxy
    assert found("http://h.example/") is None


def test_what_is_asked_directly(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://p.example")
    monkeypatch.setenv("no_proxy", "near.example,.local.example,far.example:5000")
    for host in ("127.0.0.1:5000", "localhost", "[::1]:5", "near.example", "a.near.example", "x.local.example"):
        assert found(f"https://{host}/") is None, host
    assert found("https://far.example:5000/") is None
    for host in ("far.example", "other.example", "127.example"):
        assert found(f"https://{host}/") is not None, host
    monkeypatch.setenv("no_proxy", "*")
    assert found("https://other.example/") is None


@pytest.mark.parametrize("said", ["socks5://me:s3cret@p.example", "http://", "ftp://p.example"])
def test_what_is_none(monkeypatch, said):
    monkeypatch.setenv("HTTPS_PROXY", said)
    with pytest.raises(pc.InvalidConfig, match="HTTPS_PROXY") as caught:
        found("https://h.example/")
    assert "s3cret" not in str(caught.value)
