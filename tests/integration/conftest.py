"""Root file systems of busybox and the probe, on tmpfs: what the containers of these tests are made of."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.containers import keeping
from pycgroups.images.collection import Images
from pycgroups.runtime import forks
from tests import leaks, loops
from tests.integration.bundles import Bundle
from tests.integration.oci import Oci, Watched
from tests.waiting import wait_for

PROBE = Path(__file__).parents[1] / "probe.c"
BUSYBOX = Path("/bin/busybox")

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nlone:x:1001:1001::/:/bin/sh\n",
    "etc/group": "root:x:0:\nuser:x:1000:\ntape:x:26:user,lone\nvideo:x:44:user\nstaff:x:50:\n",
}
APPLETS = (
    "cat chmod chown cp cut dd du echo env false find grep head hostname id kill ls mkdir mount mv nc printf pwd "
    "readlink rm rmdir seq setsid sh sleep sort stat tail tee test touch tr true tty umount unshare wc yes"
)
DIRECTORIES = ("bin", "dev", "etc", "home/user", "proc", "root", "run", "sys", "tmp", "var")


@pytest.fixture(scope="session")
def shelf():
    """A directory on tmpfs: overlayfs, which some worlds have at /, knows no idmapped mounts."""
    path = Path(tempfile.mkdtemp(prefix="containers-", dir="/dev/shm"))
    path.chmod(0o755)
    yield path
    _remove(path)


@pytest.fixture(scope="session")
def probe(shelf):
    """The probe, compiled once: see tests/probe.c."""
    path = shelf / "probe"
    command = ["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o", path, PROBE]
    subprocess.run(command, check=True)
    return path


def _remove(path):
    """With what overlayfs leaves in a work directory: another one that nobody may enter."""
    for directory, _, _ in os.walk(path, onerror=lambda error: os.chmod(error.filename, 0o700)):
        os.chmod(directory, 0o700)
    shutil.rmtree(path)


def _fill(root, probe):
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True)
    root.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    for name, content in FILES.items():
        (root / name).write_text(content)
    shutil.copy2(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    os.link(probe, root / "bin/probe")
    return root


@pytest.fixture(scope="session")
def root(shelf, probe):
    """One for all tests that leave it as it is."""
    return _fill(Path(tempfile.mkdtemp(prefix="root-", dir=shelf)), probe)


@pytest.fixture
def own_root(shelf, probe):
    """One for a single test, to change as it likes."""
    path = _fill(Path(tempfile.mkdtemp(prefix="root-", dir=shelf)), probe)
    yield path
    _remove(path)


@pytest.fixture
def scratch(shelf):
    """An empty directory of the caller's, on tmpfs."""
    path = Path(tempfile.mkdtemp(prefix="scratch-", dir=shelf))
    path.chmod(0o755)
    yield path
    _remove(path)


@pytest.fixture
def images(scratch):
    """The images of an empty store; in the end it can be emptied, and nothing is left in it."""
    made = Images(scratch / "store")
    yield made
    made.prune(all=True)
    store = made.store
    assert os.listdir(store.layers.root) == []
    assert os.listdir(store.blobs.tmp) == []
    assert os.listdir(f"{store.blobs.root}/sha256") == []
    made.close()


@pytest.fixture
def store(scratch):
    """An empty store; in the end all its containers go, and nothing of them stays."""
    made = pc.Store(scratch / "store")
    yield made
    for each in made.containers.list(all=True):
        each.remove(force=True)
    where = made.containers._place
    left = sorted(os.listdir(where.homes.path)) if os.path.isdir(where.homes.path) else []
    assert [name for name in left if name not in {"names", "names.lock", "events"}] == []
    wait_for(lambda: not loops.files(scratch))  # the last process of a container may be about to end
    assert not os.path.isdir(where.runtime) or os.listdir(where.runtime) == []
    made.images.close()
    keeping._forget()


@pytest.fixture
def make(store, root):
    """Make containers in that store, of the shared root."""

    def create(*command, **options):
        return store.containers.create(list(command) or ["sleep", "1000"], **{"rootfs": root, **options})

    return create


@pytest.fixture
def run(make):
    """Make and start them."""

    def start(*command, **options):
        made = make(*command, **options)
        made.start()
        return made

    return start


@pytest.fixture
def joining(monkeypatch):
    """From the call on, have what is executed join its container: no init forks for it."""
    return lambda: monkeypatch.setattr(forks, "start", lambda *_, **__: None)


@pytest.fixture
def inside(root):
    """`pycgroups.run` in the shared root, with text."""
    return functools.partial(pc.run, rootfs=root, text=True)


@pytest.fixture
def facts(root):
    """Run the probe; the answer is a dict of the first word of each line, and the rest."""

    def ask(*words, **options):
        options = {"rootfs": root, "text": True, **options}
        result = pc.run(["probe", *map(str, words)], **options)
        assert result.returncode == 0, result
        return {word: rest for word, _, rest in (line.partition(" ") for line in result.stdout.splitlines())}

    return ask


@pytest.fixture
def nothing_left():
    """Nothing may be left after this one test."""
    before = leaks.holdings()
    yield
    left = leaks.left_behind(before)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def script():
    """Run Python code in a process of its own, which may spoil itself; the answer is what it prints."""

    def run(code, *args, **options):
        options = {"timeout": 300, **options}
        command = [sys.executable, "-c", code, *map(str, args)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options)
        assert done.returncode == 0, done
        return done.stdout

    return run


@pytest.fixture
def bundle(scratch, root):
    """A bundle; all that was made of it is removed afterwards."""
    (scratch / "bundle").mkdir()
    made = Bundle(scratch / "bundle", root, scratch / "state")
    yield made
    made.clean_up()


@pytest.fixture
def oci(bundle):
    """The command, for that bundle."""
    return Oci(bundle)


@pytest.fixture
def watched(bundle, tmp_path):
    """Another one, that tells when it calls Python."""
    (tmp_path / "bin").mkdir()
    return Watched(bundle, tmp_path / "bin")
