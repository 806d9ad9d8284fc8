"""What the tutorial and some how-tos show works as it stands: one statement after the other, on a host made for it."""

from __future__ import annotations

import ast
import gc
import os
import re
import subprocess
from contextlib import contextmanager

import pytest

import pycgroups as pc
from pycgroups.images import default
from tests.processes import descendants
from tests.subjects import TREE
from tests.waiting import wait_for
from tests.worlds import features

pytestmark = [
    pytest.mark.requires("userns", "host"),
    pytest.mark.slow_in_vm("dozens of containers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    "bash": 'exec sh "$@"',
    "apt-get": "exit 0",
    "make": "exit 0",
    "python3": "[ $1 = -c ] || exec sleep inf",
    "server": "mkdir -p /run/app; touch /run/app/ready; echo ready to accept connections; exec nc -ll -p 5432 -e true",
}
"What the pages run in containers of images, and has to be there."


class Reader:
    """Somebody who does what a page says.

    Attributes:
        names: what the page takes for granted, and what it has made so far.
        places: what becomes of the paths in it.
        left_out: beginnings of statements that this host has nothing for, or that never end.
        another: beginnings of statements before which the page goes over to another container ``c``, and its program.
    """

    def __init__(self, places):
        self.names = {"pc": pc, "os": os, "pid": os.getpid()}
        self.places = places
        self.left_out: set[str] = set()
        self.another: dict[str, list[str]] = {}

    def follow(self, page, **granted):
        self.names.update(granted)
        met = set()
        for block in BLOCK.findall((TREE / "docs" / page).read_text()):
            if ">>>" in block:
                continue
            for statement in ast.parse(self._here(block)).body:
                text = ast.unparse(statement)
                for beginning, program in self.another.items():
                    if text.startswith(beginning):
                        self.names["c"] = pc.Container(program, image="debian:13")
                if beginnings := {each for each in self.left_out if text.startswith(each)}:
                    met |= beginnings
                else:
                    self._do(text)
        assert met == self.left_out

    def _here(self, block):
        for path, real in self.places.items():
            block = block.replace(path, os.fspath(real))
        return block

    def _do(self, text):
        try:
            exec(text, self.names)
        except BaseException as error:
            error.add_note(text)
            raise


def name_of(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


@contextmanager
def running(*command):
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def reader(own_root, scratch, store, monkeypatch):
    """In a directory of files, with a store that has an image of busybox by the names of the pages."""
    for name, script in PROGRAMS.items():
        (own_root / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (own_root / "bin" / name).chmod(0o755)
    (own_root / "server").symlink_to("bin/server")
    (own_root / "etc/os-release").write_text("ID=debian\n")
    for name in ("srv", "var/log"):
        (own_root / name).mkdir(parents=True)
    here = scratch / "here"
    for name in ("data", "project", "logs"):
        (here / name).mkdir(parents=True)
    (here / "data/data.csv").write_text("a,b\n")
    (here / "project/build.py").write_text("print('built')\n")
    monkeypatch.setenv("PYCGROUPS_STORE", os.path.dirname(store.containers._place.homes.path))
    monkeypatch.chdir(here)
    store.images.import_(own_root, "debian:13")
    made = Reader({"/home/me": here, "/srv/root": own_root, "/srv/debian": own_root})
    yield made
    stores = (default(), made.names.get("store", store).images)
    made.names.clear()  # nobody closes what the pages open
    gc.collect()
    store.images.prune(all=True)
    for each in stores:
        each.close()


def test_the_tutorial(reader):
    if features.lack("limits"):
        reader.left_out = {"r = pc.run(['python3', '-c', 'x = ", "r = pc.run(['sh', '-c', 'while"}
    reader.follow("tutorial.md")
    assert reader.names["r"].reason == "timeout"


def test_volumes(reader):
    reader.left_out = {"for event in store.events.read(follow=True)"}
    reader.follow("how-to/volumes.md")


def test_files(reader):
    reader.places |= {f"/srv/{name}": os.path.abspath(name) for name in ("data", "patched", "original")}
    reader.left_out = {"pc.run(['make'"}  # another owner than the caller is wanted above
    if os.geteuid() != 0:
        reader.left_out |= {"pc.run(['ls', '-l', '/in']"}
    for name in ("patched", "original"):
        os.mkdir(name)
    with pc.Container(["sleep", "inf"], image="debian:13") as box:
        assert box.pid is not None
        pidfd = os.pidfd_open(box.pid)
        try:
            reader.follow("how-to/files.md", pidfd=pidfd)
        finally:
            os.close(pidfd)


class Client:
    @staticmethod
    def ping():
        return True


@pytest.mark.requires("limits")
def test_containers(reader):
    reader.another = {
        "c.wait_for(port": ["server"],
        "c.update(memory": ["sleep", "inf"],
        "sample = c.stats()": ["sleep", "2"],
        "c.pressure()": ["sleep", "inf"],
        "with c.history": ["sleep", "inf"],
    }
    reader.left_out = {
        "c.wait_for(http=",
        "c.wait_for(healthy=True)",  # after half a minute
        "(c.health.failing",
        "c.exec(['make', 'test'], cwd='/src'",  # as user app
        "for event in c.events(follow=True)",
        "history.plot",  # the extra takes a second to import
    }
    reader.follow("how-to/containers.md", jobs=["1", "2"], client=Client)


@pytest.mark.requires("root", "limits")
def test_namespaces(reader, scratch):
    with running("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sleep", "100") as process:
        wait_for(lambda: [each for each in descendants(process.pid) if name_of(each) == "sleep"])
        (inside,) = descendants(process.pid)
        reader.places |= {"/run/netns/blue": scratch / "blue", "4711": str(inside), '"ip", "address"': '"true"'}
        reader.left_out = {
            "import socket",  # the module
            "def is_open",
            "pc.run(['true'], namespaces={'net': '",  # which is unpinned by then
            "with pc.Namespace.of(pid, 'net') as net:\n    print(pc.namespaces.call(",
            "import probing",
            f"pc.run(['ps'], namespaces={{'pid': {inside}, 'user'",  # it is in ours
        }
        reader.follow("how-to/namespaces.md")
