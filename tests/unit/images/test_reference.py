"""References: Docker's grammar, and what is refused before anything is asked of anybody."""

from __future__ import annotations

import pickle
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pycgroups as pc
from pycgroups.images.reference import Location, Reference

SHA256 = f"sha256:{'ab' * 32}"

# The grammar as distribution/reference has it in regexp.go, for comparison.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
HOST = rf"{LABEL}(?:\.{LABEL})*(?::[1-9][0-9]{{0,3}})?"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:13", "docker.io/library/debian:13", "debian:13"),
        ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("me/app:1.2", "docker.io/me/app:1.2", "me/app:1.2"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        ("127.0.0.1:5/a/b/c", "127.0.0.1:5/a/b/c:latest", "127.0.0.1:5/a/b/c:latest"),
        ("[::1]:5/x", "[::1]:5/x:latest", "[::1]:5/x:latest"),
        ("[2001:db8::1]/x:1", "[2001:db8::1]/x:1", "[2001:db8::1]/x:1"),
        ("a.b-c.example/x__y/z---z:T_.-", "a.b-c.example/x__y/z---z:T_.-", "a.b-c.example/x__y/z---z:T_.-"),
        (f"x@{SHA256}", f"docker.io/library/x@{SHA256}", f"x@{SHA256}"),
        (f"x:t@{SHA256}", f"docker.io/library/x:t@{SHA256}", f"x:t@{SHA256}"),
        (f"h:5/x@sha512:{'0' * 128}", f"h:5/x@sha512:{'0' * 128}", f"h:5/x@sha512:{'0' * 128}"),
        # Without the host they would mean something else.
        ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
        (f"docker.io/{'a' * 64}", f"docker.io/library/{'a' * 64}:latest", f"library/{'a' * 64}:latest"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_what_names_mean(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert Reference.parse(full) == Reference.parse(familiar) == reference
    assert pickle.loads(pickle.dumps(reference)) == reference


def test_the_parts() -> None:
    reference = Reference.parse("debian:13")
    assert reference == Reference("docker.io", "library/debian", "13", None)
    assert reference.name == "docker.io/library/debian"
    assert reference.repository == "library/debian"
    assert Reference.parse(f"x@{SHA256}") == Reference("docker.io", "library/x", None, SHA256)


BAD = [
    *("", " ", "/", ":", "@", "../x", "./x", "/x", "x/", "a//b", "A", "A/B", "x/Y", "a/../b", "a/./b", "x:", "x@"),
    *("h:99999/x", "h:0/x", "h:/x", "h:a/x", "u:p@h/x", "https://h/x", "h.:5/x", "a..b/x", "-a.b/x", "a-.b/x"),
    *(
        "%2e%2e",
        "h.example/%2e%2e/x",
        "x\0",
        "x\n",
        "x:t\n",
        "\u00fc/x",
        "b\u00fccher.example/x",
        "x:\u00fc",
        "x y",
        "x\u0661",
    ),
    *("[::1", "[::1]x/y", "[::1]:/x", "[g::1]/x", "[]/x", "::1/x", "[::1%eth0]/x", "[::1\0]/x", "[1.2.3.4]/x"),
    *(
        "x@sha256:zz",
        f"x@sha256:{'A' * 64}",
        f"x@sha256:{'a' * 63}",
        f"x@md5:{'a' * 32}",
        f"x@{SHA256}@{SHA256}",
        f"@{SHA256}",
    ),
    *("x:.t", "x:-t", f"x:{'t' * 129}", "x:a:b", "a_._b", "a___b", "a..b", "-a", "a-", "_a", "a_"),
    *("x" * 300, f"h.example/{'x' * 256}", "x" * 100_000, f"{'a' * 64}.example/x", "a" * 64, "docker-daemon:a:b"),
    *(None, 5, b"x", ["x"]),
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:40])
@pytest.mark.parametrize("parse", [Reference.parse, Location.parse])
def test_what_is_none(parse, text) -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        parse(text, "FROM")
    assert caught.value.path == "FROM"
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(pc.InvalidConfig) as caught:
        Reference.parse("user:secret@host/x")
    assert "secret" not in str(caught.value)


names = st.from_regex(COMPONENT, fullmatch=True).filter(lambda name: len(name) < 30)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
domains = st.from_regex(HOST, fullmatch=True).filter(lambda host: len(host) < 60)


@given(domains, paths, st.none() | st.from_regex(TAG, fullmatch=True), st.none() | st.just(SHA256))
def test_every_reference_survives_its_text(domain, path, tag, digest) -> None:
    text = f"{domain}/{path}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert len(reference.familiar) <= len(str(reference))


@given(st.text(string.ascii_letters + string.digits + "._-:/@[]%é\n\0", max_size=40))
def test_any_text_is_a_reference_or_refused(text) -> None:
    try:
        reference = Reference.parse(text)
    except pc.InvalidConfig:
        return
    assert Reference.parse(str(reference)) == reference
    assert re.fullmatch(
        rf"(?:{HOST}|\[[0-9a-fA-F:.]+\](?::\d+)?|[^/]*:\d+)/{COMPONENT}(?:/{COMPONENT})*", reference.name
    )


@given(st.text("aA0._-", max_size=12))
def test_path_components_are_those_of_the_grammar(text) -> None:
    try:
        Reference.parse(f"h.example/{text}")
    except pc.InvalidConfig:
        assert not re.fullmatch(COMPONENT, text)
    else:
        assert re.fullmatch(COMPONENT, text)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("debian:13", Location("docker", "", "docker.io/library/debian:13")),
        ("docker://debian", Location("docker", "", "docker.io/library/debian:latest")),
        ("docker://localhost:5000/x", Location("docker", "", "localhost:5000/x:latest")),
        ("oci:/a/b", Location("oci", "/a/b")),
        ("oci:a b:1.2", Location("oci", "a b", "1.2")),
        ("oci:a:docker.io/library/x:1", Location("oci", "a", "docker.io/library/x:1")),
        ("oci-archive:x.tar:t", Location("oci-archive", "x.tar", "t")),
        ("docker-archive:x.tar", Location("docker-archive", "x.tar")),
        ("docker-archive:x.tar:me/x", Location("docker-archive", "x.tar", "docker.io/me/x:latest")),
        ("docker-archive:x.tar:@2", Location("docker-archive", "x.tar", "@2")),
        ("dir:/a:b", Location("dir", "/a:b")),
        ("oci/x", Location("docker", "", "docker.io/oci/x:latest")),
    ],
)
def test_locations(text: str, location: Location) -> None:
    assert Location.parse(text) == location
    assert Location.parse(str(location)) == location


@pytest.mark.parametrize(
    "text",
    [
        *(
            "oci:",
            "oci::x",
            "oci:a:",
            "oci:a:../../evil",
            "oci:a:x/../y",
            "oci:a:-x",
            "oci:a:x\n",
            "oci:a\0:x",
            "oci:a:\u00fc",
        ),
        *(
            "dir:",
            "docker-archive:x:A/B",
            "docker-archive:x:@",
            "docker-archive:x:@a",
            "docker-archive:x:",
            "docker://",
        ),
        *("docker://oci:a/b/../c", f"dir:{'a' * 5000}", f"oci:a:{'x' * 2000}", "docker:///x"),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_no_locations(text: str) -> None:
    with pytest.raises(pc.InvalidConfig):
        Location.parse(text)
