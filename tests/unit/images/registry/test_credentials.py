"""Credentials: where they are found, and how they are kept."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys

import pytest

import pycgroups as pc
from pycgroups.images.registry import Credentials, RegistryOptions, keeping, logout
from pycgroups.images.registry.credentials import find, keys, normal

ME = Credentials("me", "s3cret")


def entry(user="me", password="s3cret"):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document) if not isinstance(document, str) else document)
    return str(path)


def found(domain="h.example", path="a/b", **options):
    return find(domain, path, RegistryOptions(**options))


PLACES = ("run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json")


@pytest.mark.parametrize("place", PLACES)
def test_the_usual_places(home, place):
    assert found() is None
    write(home / place, {"auths": {"h.example": entry()}})
    assert found() == ME


def test_their_order(home):
    for number, place in enumerate(PLACES):
        write(home / place, {"auths": {"h.example": entry(f"user{number}")}})
    assert found().user == "user0"


def test_a_file_that_is_named_is_the_only_one(home, monkeypatch):
    write(home / PLACES[0], {"auths": {"h.example": entry()}})
    other = write(home / "other", {"auths": {}})
    assert found(authfile=other) is None
    monkeypatch.setenv("REGISTRY_AUTH_FILE", other)
    assert found() is None
    with pytest.raises(pc.InvalidConfig):
        found(authfile=str(home / "none"))


def test_dockers_places(home, monkeypatch):
    write(home / ".dockercfg", {"https://index.docker.io/v1/": entry()})
    assert found("docker.io", "library/x") == ME
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "else"))
    write(home / "else/config.json", {"auths": {"https://index.docker.io/v1/": entry("other")}})
    assert found("docker.io", "library/x").user == "other"


def test_the_most_specific_name_counts(home):
    auths = {"h.example": entry("host"), "h.example/a": entry("space"), "h.example/a/b": entry("name")}
    write(home / PLACES[0], {"auths": auths})
    assert [found(path=path).user for path in ("a/b", "a/c", "c")] == ["name", "space", "host"]
    assert found("h.example:5000") is None
    assert keys("h", "a/b") == ["h/a/b", "h/a", "h"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("https://h.example/v1/", "h.example"),
        ("https://h.example/v2/", "h.example"),
        ("http://h.example", "h.example"),
        ("https://h.example/a", "h.example/a"),
        ("h.example", "h.example"),
    ],
)
def test_names_as_docker_writes_them(key, name):
    assert normal(key) == name


NOTHING: list[object] = [{}, None, 5, [], {"auth": ""}, {"auth": "%%%"}, {"auth": 5}, {"auth": "/////w=="}]


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        ({"identitytoken": "t", "auth": "x"}, Credentials(identity_token="t")),
        ({"username": "me", "password": "s3cret"}, ME),
        *((value, None) for value in NOTHING),
    ],
)
def test_entries(home, value, credentials):
    write(home / PLACES[0], {"auths": {"h.example": value}})
    assert found() == credentials


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"auths": {"a": 1, "a": 2}}', "[" * 100_000, '{"s3cret": ' + "9" * 5000, " " * (2**20 + 1) + "{}"],
)
def test_a_file_that_is_none(home, text):
    write(home / PLACES[0], text)
    with pytest.raises(pc.InvalidConfig) as caught:
        found()
    assert "s3cret" not in str(caught.value)
    assert PLACES[0] in str(caught.value)


def test_an_empty_file(home):
    write(home / PLACES[0], "")
    assert found() is None


# -- helpers -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def helper(home, monkeypatch):
    """Makes a program docker-credential-NAME."""
    (home / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{home}/bin:/usr/bin:/bin")

    def make(name: str, script: str) -> None:
        path = home / f"bin/docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


def test_a_helper(home, helper):
    helper("one", f'read server; echo "$1 $server" >>{home}/asked; echo \'{{"Username":"me","Secret":"s3cret"}}\'')
    write(home / PLACES[0], {"credHelpers": {"h.example/a": "one"}, "auths": {"h.example": entry("other")}})
    assert found() == ME
    assert found(path="x").user == "other"
    assert (home / "asked").read_text() == "get h.example/a\n"


def test_the_helper_for_all(home, helper):
    helper("all", 'read server; echo \'{"Username":"<token>","Secret":"t"}\'')
    write(home / PLACES[0], {"credsStore": "all", "auths": {"h.example": {}}})
    assert found() == Credentials(identity_token="t")


def test_a_helper_that_has_none(home, helper):
    helper("one", "echo credentials not found in native keychain; exit 1")
    write(home / PLACES[0], {"credsStore": "one"})
    write(home / PLACES[1], {"auths": {"h.example": entry()}})
    assert found() == ME


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo broken; exit 1", "broken"),
        ("printf '\\033[31mred'; exit 1", "[31mred"),
        ("cat /dev/zero", "docker-credential-one"),
        ("echo '{}'", "no user"),
        ("echo '[]'", "no user"),
        ("echo nonsense", "not JSON"),
    ],
)
def test_a_helper_that_fails(home, helper, script, said):
    helper("one", script)
    write(home / PLACES[0], {"credsStore": "one"})
    with pytest.raises(pc.Error) as caught:
        found()
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_helper_that_is_not_there(home, helper):
    write(home / PLACES[0], {"credsStore": "none"})
    with pytest.raises(pc.Unsupported, match="docker-credential-none"):
        found()


@pytest.mark.parametrize("name", ["../../evil", "$(id)", "a/b", "-x", ".", "a b", "a\n", "a;b", 5, ["x"], {"x": 1}])
def test_names_of_helpers_are_restricted(home, helper, name):
    write(home / PLACES[0], {"credsStore": name})
    with pytest.raises(pc.InvalidConfig, match="helper"):
        found()


def conf(home, *helpers):
    path = home / "registries.conf"
    path.write_text(f"credential-helpers = {json.dumps(helpers)}\n")
    return RegistryOptions(registries_conf=str(path))


def test_helpers_of_registries_conf(home, helper):
    """One after the other, and the files where they are named."""
    helper("one", 'read server; echo "credentials not found"; exit 1')
    helper("two", f'read server; echo "$1 $server" >>{home}/asked; echo \'{{"Username":"me","Secret":"s3cret"}}\'')
    write(home / PLACES[0], {"auths": {"h.example": entry("other")}})
    for helpers, user in [
        (("one", "two", "containers-auth.json"), "me"),
        (("one", "containers-auth.json", "two"), "other"),
        ((), "other"),
    ]:
        options = conf(home, *helpers)
        assert find("h.example", "a/b", options).user == user
    assert (home / "asked").read_text() == "get h.example\n"
    assert find("x.example", "a", conf(home, "one", "containers-auth.json")) is None
    named = write(home / "named.json", {"auths": {"h.example": entry("named")}})
    options = RegistryOptions(registries_conf=conf(home, "two").registries_conf, authfile=named)
    assert find("h.example", "a/b", options).user == "named"
    (home / "registries.conf").write_text("credential-helpers = 5\n")
    with pytest.raises(pc.InvalidConfig, match=r"registries.conf: credential-helpers"):
        find("h.example", "a", RegistryOptions(registries_conf=str(home / "registries.conf")))


def test_login_with_a_helper_of_registries_conf(home, helper):
    helper("one", f"echo $1 >>{home}/asked; cat >>{home}/asked; echo >>{home}/asked")
    options = conf(home, "one", "containers-auth.json")
    assert keeping.store("h.example", ME, options) == "docker-credential-one"
    assert not (home / PLACES[0]).exists()
    path = write(home / PLACES[0], {"auths": {"h.example": entry()}})
    assert keeping.erase("h.example", options) == ["docker-credential-one", path]
    assert (home / "asked").read_text().splitlines()[::2] == ["store", "erase"]


# -- keeping -----------------------------------------------------------------------------------------------------------


def kept(home, place=PLACES[0]):
    return json.loads((home / place).read_text())


def test_kept_and_forgotten(home):
    path = keeping.store("h.example", ME, RegistryOptions())
    assert path == str(home / PLACES[0])
    assert found() == ME
    keeping.store("h.example/a", Credentials("other", "x"), RegistryOptions())
    assert found().user == "other"
    assert keeping.erase("h.example", RegistryOptions()) == [path]
    assert found().user == "other"
    assert keeping.erase(None, RegistryOptions()) == [path]
    assert found() is None
    with pytest.raises(pc.NotFound):
        keeping.erase("h.example", RegistryOptions())


def test_what_else_is_in_the_file_stays(home):
    write(home / PLACES[0], {"auths": {"x.example": entry()}, "HttpHeaders": {"a": ["b"]}, "zz": 1.5})
    keeping.store("h.example", ME, RegistryOptions())
    document = kept(home)
    assert document["HttpHeaders"] == {"a": ["b"]}
    assert document["zz"] == 1.5
    assert set(document["auths"]) == {"x.example", "h.example"}


def test_dockers_key_for_the_hub_is_replaced(home):
    write(home / PLACES[0], {"auths": {"https://index.docker.io/v1/": entry("old")}})
    keeping.store("docker.io", ME, RegistryOptions())
    assert found("docker.io", "library/x") == ME
    assert list(kept(home)["auths"]) == ["docker.io"]


@pytest.mark.parametrize("umask", [0, 0o777])
def test_only_the_owner_can_read_it(home, umask):
    old = os.umask(umask)
    try:
        keeping.store("h.example", ME, RegistryOptions(authfile=str(home / "new/deep/auth.json")))
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((home / path).stat().st_mode) for path in ("new", "new/deep", "new/deep/auth.json")]
    assert [mode & 0o077 for mode in modes] == [0, 0, 0]
    assert modes[2] == 0o600


def test_a_file_that_others_could_read_is_so_no_more(home):
    write(home / PLACES[0], {})
    (home / PLACES[0]).chmod(0o644)
    keeping.store("h.example", ME, RegistryOptions())
    assert stat.S_IMODE((home / PLACES[0]).stat().st_mode) == 0o600


def test_a_link_is_followed(home):
    write(home / "repository/auth.json", {})
    (home / "run/containers").mkdir(parents=True)
    (home / PLACES[0]).symlink_to(home / "repository/auth.json")
    keeping.store("h.example", ME, RegistryOptions())
    assert (home / PLACES[0]).is_symlink()
    assert found() == ME


def test_a_broken_file_is_not_replaced(home):
    write(home / PLACES[0], "{")
    with pytest.raises(pc.InvalidConfig):
        keeping.store("h.example", ME, RegistryOptions())
    assert (home / PLACES[0]).read_text() == "{"


def test_a_place_that_cannot_be_written_to():
    with pytest.raises(pc.InvalidConfig) as caught:
        keeping.store("h.example", ME, RegistryOptions(authfile="/proc/self/none/auth.json"))
    assert "--authfile" in caught.value.hint
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "h.example/../x", "u:p@h.example", "h.example/A", "a b", "h\n", "file:///x"])
def test_bad_names(home, name):
    with pytest.raises(pc.InvalidConfig):
        keeping.store(name, ME, RegistryOptions())
    assert not (home / "run").exists()


def test_a_helper_keeps_them(home, helper):
    helper("one", f"echo $1 >>{home}/asked; cat >>{home}/asked; echo >>{home}/asked")
    write(home / PLACES[0], {"credsStore": "one"})
    assert keeping.store("docker.io", ME, RegistryOptions()) == "docker-credential-one"
    assert logout("docker.io") == ["docker-credential-one"]
    lines = (home / "asked").read_text().splitlines()
    assert json.loads(lines[1]) == {"ServerURL": "https://index.docker.io/v1/", "Username": "me", "Secret": "s3cret"}
    assert lines[::2] == ["store", "erase", "erase"]
    assert kept(home) == {"credsStore": "one"}


def test_where_else_they_are(home):
    other = write(home / PLACES[2], {"auths": {"h.example": entry()}})
    with pytest.raises(pc.NotFound) as caught:
        keeping.erase("h.example", RegistryOptions())
    assert other in caught.value.hint


def test_many_logins_at_once(home):
    program = (
        "import sys; from pycgroups.images.registry import Credentials, RegistryOptions, keeping;"
        "options = RegistryOptions(authfile=sys.argv[2]); me = Credentials('me', 'p');"
        "[keeping.store(f'h{sys.argv[1]}x{n}.example', me, options) for n in range(10)]"
    )
    path = str(home / "auth.json")
    running = [subprocess.Popen([sys.executable, "-c", program, str(number), path]) for number in range(4)]
    assert [each.wait() for each in running] == [0] * 4
    assert len(json.loads((home / "auth.json").read_text())["auths"]) == 40
    assert os.listdir(home) == ["auth.json"]
