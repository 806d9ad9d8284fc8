"""pycgroups login and logout, as a user calls them; and whoever is killed meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.registry.misbehaving import PASSWORD, USER, Registry

COMMAND = [sys.executable, "-m", "pycgroups"]
OLD = {"auths": {"old.example": {"auth": "bWU6cA=="}}, "other": True}


@pytest.fixture
def authfile(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/dev/null")
    path = tmp_path / "auth.json"
    path.write_text(json.dumps(OLD))
    return path


def call(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], input=text, capture_output=True, text=True, check=False)


@pytest.fixture
def server():
    with Registry("basic-ok") as started:
        yield started


def test_login_and_logout(server, authfile):
    words = ("--username", USER, "--password-stdin", f"--authfile={authfile}", server.domain)
    done = call("login", *words, text=f"{PASSWORD}\n")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert set(json.loads(authfile.read_text())["auths"]) == {"old.example", server.domain}
    done = call("logout", f"--authfile={authfile}", server.domain)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(authfile.read_text()) == OLD
    done = call("logout", f"--authfile={authfile}", server.domain)
    assert done.returncode == 1
    assert "not logged in" in done.stderr


def test_a_wrong_password(server, authfile):
    words = ("-u", USER, "--password-stdin", f"--authfile={authfile}", server.domain)
    done = call("login", *words, text="wrong-secret\n")
    assert done.returncode == 1
    assert "wrong-secret" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(authfile.read_text()) == OLD


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["-u", USER], "no terminal", 125),
        (["--password-stdin"], "--username", 125),
        (["-u", USER, "-p", "x", "--password-stdin"], "--password", 125),
        (["-u", "a:b", "-p", "x", "127.0.0.1:1"], "':'", 1),
        (["-u", USER, "--password-stdin", "a", "b"], "one registry", 125),
        (["-u", USER, "-p", "x", "../evil"], "HOST", 1),
    ],
)
def test_what_cannot_be(authfile, words, said, code):
    done = call("login", f"--authfile={authfile}", *words)
    assert done.returncode == code
    assert said in done.stderr
    assert json.loads(authfile.read_text()) == OLD


CALLS = ("mkdir", "flock", "fsync", "rename", "unlink", "fchmod", "write")
KEEP = (
    "import sys; from pycgroups.images.registry import Credentials, RegistryOptions, keeping;"
    "keeping.store('new.example', Credentials('me', 's3cret'), RegistryOptions(authfile=sys.argv[1]))"
)


@pytest.mark.requires("strace")
@pytest.mark.slow_in_vm("many short programs under strace")
@pytest.mark.parametrize("call_name", CALLS)
def test_a_kill_leaves_the_old_file_or_the_new_one(authfile, call_name, tmp_path):
    keep = [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {KEEP}", str(authfile)]
    for number in range(1, 30):
        inject = f"inject={call_name}:signal=SIGKILL:when={number}"
        done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", inject, *keep], check=False)
        auths = json.loads(authfile.read_text())["auths"]
        assert set(auths) in ({"old.example"}, {"old.example", "new.example"})
        if done.returncode == 0:
            break
    else:
        pytest.fail("it never ended unhurt")
    subprocess.run(keep, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["auth.json"]
