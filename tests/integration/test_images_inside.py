"""The layers of an ordinary user are made and removed in a user namespace, by one child for each operation."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.images import pieces
from pycgroups.runtime import working
from tests.boxes import BASE, NAME, UPPER, entry, layer, put, say
from tests.images import Image
from tests.integration import functions
from tests.processes import descendants
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.requires("rootless", "subuid"),
    pytest.mark.slow_in_vm("interpreters in user namespaces; cgroup v2 changes nothing about files"),
]

LAYERS = [layer(entry(f"file{number}", uid=number)) for number in range(4)]
IMAGE = Image(BASE, *LAYERS, UPPER, Env=["PATH=/bin"])


@pytest.fixture
def started(monkeypatch):
    """The workers that were started."""
    made = []
    begin = working.Worker.__init__

    def count(self, idmap):
        made.append(self)
        begin(self, idmap)

    monkeypatch.setattr(working.Worker, "__init__", count)
    return made


def test_one_child_for_an_operation(images, started):
    before = descendants(os.getpid())
    image = put(images, IMAGE)
    assert len(started) == 1
    assert say(image, "stat -c %u /file3") == "3"
    assert put(images, IMAGE) == image  # all is there
    image.tag("other:1").remove()
    assert images.gc().layers == 0
    assert len(started) == 1
    assert len(images.remove(NAME).images) == 1
    assert len(started) == 2
    assert descendants(os.getpid()) == before


def test_threads_share_it(images, started):
    """Several pull into one store at once: the child of the first is that of all."""
    with images.store.inside:
        threads = [
            threading.Thread(target=put, args=(images, Image(BASE, one, Env=["PATH=/bin"]), f"box:{number}"))
            for number, one in enumerate(LAYERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(started) == 1
    assert len(images.list()) == len(LAYERS)
    assert images.verify() == []


def test_it_is_killed(images, started):
    """What went on in it fails, with an error of ours; the next call starts another."""
    with images.store.inside as inside:
        inside(os.getpid)
        worker = inside(os.getppid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not started[0].is_there)
        with pytest.raises(pc.Error, match="without an answer"):
            started[0].call(os.getpid)
        assert inside(os.getppid) != worker
        put(images, IMAGE)
        assert len(started) == 2
    assert images.verify() == []


def test_a_piece_is_killed(images, monkeypatch):
    """Nothing of the layer is left, and the next try goes well."""
    monkeypatch.setattr(pieces, "unpack_file", functions.abort)
    with pytest.raises(pc.Error):
        put(images, IMAGE)
    assert os.listdir(images.store.layers.root) == []
    monkeypatch.undo()
    assert say(put(images, IMAGE), "cat /etc/both") == "upper"


def test_a_forked_process_has_its_own(images, started):
    with images.store.inside as inside:
        inside(os.getpid)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                worker = inside(os.getppid)
                stat = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
                code = int(int(stat[1]) != os.getpid())
                with inside:
                    images.gc()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert inside(os.getpid)
        assert len(started) == 1
