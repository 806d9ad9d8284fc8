"""registries.conf: mirrors, prefixes, aliases; and what is none."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions
from pycgroups.images.registry.config import Place, load


@pytest.fixture
def read(tmp_path):
    def read(text: str):
        path = tmp_path / "registries.conf"
        path.write_text(text)
        return load(str(path))

    return read


def places(config, text):
    return config.places(Reference.parse(text))


def test_nothing_said(read):
    config = read("")
    assert places(config, "debian") == [Place("docker.io", "library/debian")]


def test_the_longest_prefix_counts(read):
    config = read(
        """
unqualified-search-registries = ["elsewhere.example"]
[[registry]]
location = "h.example"
insecure = true
[[registry]]
prefix = "h.example/a/b"
location = "other.example:5/x"
[[registry]]
prefix = "h.example/a"
blocked = true
"""
    )
    assert places(config, "h.example/z:1") == [Place("h.example", "z", insecure=True)]
    assert places(config, "h.example/a/b/c:1") == [Place("other.example:5", "x/c")]
    assert places(config, "h.example/a/b:1") == [Place("other.example:5", "x")]
    assert places(config, "h.example/ab:1") == [Place("h.example", "ab", insecure=True)]
    assert places(config, "h.example:5000/z") == [Place("h.example:5000", "z")]
    with pytest.raises(pc.RegistryError, match="blocked"):
        places(config, "h.example/a/c")


def test_mirrors(read):
    config = read(
        """
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "m1.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "m2.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.example"
pull-from-mirror = "tag-only"
"""
    )
    first, last = Place("m1.example:5000", "hub/library/debian", insecure=True), Place("docker.io", "library/debian")
    digest = "sha256:" + "0" * 64
    by_tag, by_digest = places(config, "debian"), places(config, f"debian@{digest}")
    assert by_tag == [first, Place("m3.example", "library/debian", pulls="tag-only"), last]
    assert by_digest == [first, Place("m2.example", "library/debian", pulls="digest-only"), last]
    assert config.place(Reference.parse("debian")) == last


def test_hosts_below_another(read):
    config = read('[[registry]]\nprefix = "*.example"\nblocked = true\n')
    for text in ("a.example/x", "b.a.example:5/x"):
        with pytest.raises(pc.RegistryError, match="blocked"):
            places(config, text)
    assert places(config, "example.org/x") == [Place("example.org", "x")]
    assert places(config, "a-example/x") == [Place("docker.io", "a-example/x")]


def test_aliases(read):
    config = read('[aliases]\n"fedora" = "registry.example/fedora"\n"me/app" = "h.example/x/app"\n"off" = ""\n')
    assert str(config.named("fedora")) == "registry.example/fedora:latest"
    assert str(config.named("fedora:40")) == "registry.example/fedora:40"
    assert str(config.named("me/app:1")) == "h.example/x/app:1"
    for text in ("docker.io/fedora", "docker.io/library/fedora", "library/fedora", "h.example/fedora", "off"):
        assert config.named(text) == Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not TOML"),
        ("[registries.search]\nregistries = []", "version 1"),
        ("registry = 5", "tables"),
        ("[[registry]]\nlocation = 5", "location"),
        ("[[registry]]\nlocation = 'A/B'", "location"),
        ("[[registry]]\nlocation = 'u:p@h'", "location"),
        ("[[registry]]\nblocked = true", "location"),
        ("[[registry]]\nlocation = 'h.example'\nblocked = 'yes'", "blocked"),
        ("[[registry]]\nprefix = '*.example'\nlocation = 'h.example'", "location"),
        ("[[registry]]\nlocation = 'h.example'\n[[registry.mirror]]\ninsecure = true", "mirror"),
        (
            "[[registry]]\nlocation = 'h.example'\n[[registry.mirror]]\nlocation = 'm.example'\npull-from-mirror = 'x'",
            "pull-from-mirror",
        ),
        ("aliases = 5", "aliases"),
        ("[aliases]\nx = 'A/B'", "aliases"),
    ],
)
def test_what_is_none(read, text, said, tmp_path):
    with pytest.raises(pc.InvalidConfig, match=said) as caught:
        read(text)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_was_named_has_to_be_there(tmp_path):
    with pytest.raises(pc.InvalidConfig):
        load(str(tmp_path / "none"))


def test_the_users_files(tmp_path, monkeypatch):
    monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    directory = tmp_path / "containers/registries.conf.d"
    directory.mkdir(parents=True)
    (tmp_path / "containers/registries.conf").write_text('[[registry]]\nlocation = "one.example"\nblocked = true\n')
    (directory / "2.conf").write_text('[[registry]]\nlocation = "one.example"\ninsecure = true\n')
    (directory / "1.conf").write_text('[aliases]\nx = "two.example/x"\n')
    (directory / "no").write_text("[")
    config = load()
    assert places(config, "one.example/y") == [Place("one.example", "y", insecure=True)]
    assert config.aliases["x"] == "two.example/x"
    (tmp_path / "other.conf").write_text("")
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "other.conf"))
    assert load().registries == {}


def test_a_bad_name_is_refused_before_any_file_is_read(tmp_path):
    options = RegistryOptions(registries_conf=str(tmp_path / "none"))
    with pytest.raises(pc.InvalidConfig) as caught:
        registry.resolve("../x", options=options)
    assert caught.value.path == "image"
