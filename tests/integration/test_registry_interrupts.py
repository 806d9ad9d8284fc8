"""Ctrl-C while a registry does not answer: the wait ends, and the store is whole."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pycgroups.images.collection import Images
from pycgroups.images.copying import copy
from pycgroups.images.registry import RegistryOptions
from tests.images import Image, sha256, tar
from tests.registry.memory import Memory
from tests.registry.misbehaving import Registry

pytestmark = [pytest.mark.requires("userns")]

PATIENCE = 3600
"""Seconds that the client would wait by itself, and that nobody waits here."""
CHILD = f"""
import sys
from pycgroups.images.collection import Images
from pycgroups.images.registry import RegistryOptions
what, root, reference, connections = sys.argv[1:]
options = RegistryOptions(registries_conf="/dev/null", read_timeout={PATIENCE}, connect_timeout={PATIENCE},
    connections=int(connections))
if what == "pull":
    Images(root).pull(reference, registry=options)
else:
    Images(root).push("box:1", reference, registry=options)
"""
LAYERS = [tar((f"file{number}", os.urandom(100_000))) for number in range(3)]
IMAGE = Image(*LAYERS, compressed=False)


def served(image):
    """The image as a registry of the tests has it."""
    made = Memory()
    made.blobs = dict(image.blobs)
    made.put_manifest(image.text, image.media_type, top=True)
    return made


@pytest.fixture
def images(scratch, monkeypatch):
    monkeypatch.setenv("HOME", str(scratch))
    made = Images(scratch / "store")
    yield made
    made.prune(all=True)
    assert os.listdir(made.store.blobs.tmp) == []
    made.close()


@contextmanager
def deaf():
    """A port where connections wait for ever: as many as the kernel takes are there already, and nobody takes one."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.3", 0))
        listening.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.5)
            try:
                waiting.connect(listening.getsockname())
            except TimeoutError:
                break
        yield listening


@contextmanager
def silent():
    """A port where connections are taken, and nothing is said: not even what TLS begins with."""
    with socket.create_server(("127.0.0.3", 0)) as listening:
        yield listening


def interrupted(server, hanging, what, images, connections=8):
    """Run the child until so many of its requests hang; interrupt it, and tell how it ended."""

    def hang(child):
        for _ in range(hanging):
            assert server.hanging.acquire(timeout=60), child.poll()

    return ended(what, images, server.reference, hang, connections)


def ended(what, images, reference, hang, connections=8):
    """Run the child until it hangs; interrupt it, and tell how it ended."""
    words = [what, images.store.root, reference, str(connections)]
    with subprocess.Popen([sys.executable, "-c", CHILD, *words], stderr=subprocess.PIPE, text=True) as child:
        try:
            hang(child)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=60)
        finally:
            child.kill()
    assert "KeyboardInterrupt" in errors
    return child.returncode


@pytest.mark.parametrize(("mode", "hanging"), [("hang", 1), ("hang-in-blobs", 1), ("hang-in-layers", 3)])
def test_a_pull(images, mode, hanging):
    """In the main thread, with an answer that ends soon, and in the threads that fetch layers."""
    with Registry(mode) as server:
        server.image = served(IMAGE)
        assert interrupted(server, hanging, "pull", images) == -signal.SIGINT
        assert images.list() == []
        assert images.verify() == []
        server.mode = "ok"
        pulled = images.pull(server.reference, registry=RegistryOptions(registries_conf="/dev/null"))
        assert pulled.digest == sha256(IMAGE.text)


@pytest.mark.parametrize(("place", "scheme"), [(deaf, "http"), (deaf, "https"), (silent, "https")])
def test_connections_that_are_not_taken(images, place, scheme):
    """By threads: one to a host that does not answer, or whose TLS does not."""
    with place() as there, Registry("layers-elsewhere") as server:
        server.image = served(IMAGE)
        server.more["place"] = f"{scheme}://127.0.0.3:{there.getsockname()[1]}"
        assert interrupted(server, 3, "pull", images) == -signal.SIGINT
    assert images.verify() == []


def test_a_registry_that_takes_no_connection(images):
    """By the main thread."""

    def hang(child):
        while not any(map(is_socket, Path(f"/proc/{child.pid}/fd").iterdir())):
            time.sleep(0.01)

    def is_socket(path):
        try:
            return "socket:" in os.readlink(path)
        except FileNotFoundError:  # closed meanwhile
            return False

    with deaf() as there:
        reference = f"127.0.0.3:{there.getsockname()[1]}/me/app:1"
        assert ended("pull", images, reference, hang) == -signal.SIGINT


def test_threads_that_wait_for_another(images):
    """There is but one connection, and who has it hangs."""
    with Registry("hang-in-layers") as server:
        server.image = served(IMAGE)
        assert interrupted(server, 1, "pull", images, connections=1) == -signal.SIGINT
    assert images.verify() == []


def test_a_push(images):
    copy(IMAGE, images.store.destination("docker.io/library/box:1"))
    with Registry("push-hang") as server:
        assert interrupted(server, 3, "push", images) == -signal.SIGINT
        assert server.uploaded.top is None
    assert images.verify() == []
