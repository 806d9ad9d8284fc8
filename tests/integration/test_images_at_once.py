"""Several processes with one store and one registry, and a registry that misbehaves: the store is whole after each."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

import pycgroups as pc
from pycgroups.images.registry import RegistryOptions, retries
from tests.boxes import BASE, NAME, UPPER, entry, layer, put, say
from tests.images import Image
from tests.registry.misbehaving import BASIC, PASSWORD, TOKEN, USER, Registry

# The registry is threads of this process, with timeouts that the emulated machine takes for less.
pytestmark = [pytest.mark.requires("userns", "host")]

NOISE = random.Random(1).randbytes(300_000)
IMAGE = Image(BASE, layer(entry("noise", NOISE)), UPPER, Env=["PATH=/bin"])


class Served(Image):
    """An image, as the registry of the tests has it."""

    def __init__(self, image):
        self.__dict__.update(image.__dict__)
        self.manifests = {image.digest: (image.text, image.media_type)}
        self.top = image.digest


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Makes a registry in a mode, with an image that can be run."""
    monkeypatch.setattr(retries, "FIRST", 0.005)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Registry(host="127.0.0.2") as other, Registry() as port:
        opened = []

        def make(mode):
            made = Registry(mode, other=other, port=port)
            made.image = other.image = port.image = Served(IMAGE)
            opened.append(made)
            return made.__enter__()

        yield make
        for each in opened:
            each.__exit__()
        assert other.credentials() == []
        assert port.credentials() == []


def options(**more):
    given = {"credentials": (USER, PASSWORD), "connect_timeout": 1.0, "read_timeout": 1.0, "retries": 2}
    return RegistryOptions(**{**given, "registries_conf": "/dev/null", **more})


PULLS_WELL = (
    *("ok", "basic-ok", "bearer-ok", "http10", "chunked-ok", "redirect-relative", "redirect-chain5", "truncate-once"),
    *("resume-ok", "resume-ignored", "429-then-ok", "500x2", "redirect-other", "redirect-port", "layers-urls"),
)
PULLS_BADLY = (
    *("truncate", "short-no-length", "reset-mid", "close-now", "garbage-http", "many-headers", "429-forever"),
    *("503-forever", "404", "403-html", "wrong-digest", "wrong-header-digest", "endless-blob", "manifest-huge"),
    *("manifest-cl-1t", "manifest-empty", "manifest-html", "manifest-deep", "manifest-ctype-index", "cl-short"),
    *("cl-long", "206-unasked", "redirect-loop", "redirect-file", "realm-other", "realm-file", "auth-forever"),
    *("challenge-garbage", "challenge-redos", "token-huge", "token-garbage", "hang", "slow-body"),
)


@pytest.mark.parametrize("mode", PULLS_WELL)
def test_a_registry_that_gives_in(images, served, mode):
    image = images.pull(served(mode).reference, registry=options())
    assert image.digest == IMAGE.digest
    assert say(image, "cat /etc/both") == "upper"
    assert images.verify() == []


@pytest.mark.parametrize("mode", PULLS_BADLY)
def test_a_registry_that_fails(images, served, mode):
    """The image that has the name keeps it; what came is no part of the store, and the next try goes well."""
    server, sound = served(mode), served("ok")
    with pytest.raises(pc.Error) as caught:
        images.pull(server.reference, registry=options(retries=1))
    assert not any(secret in str(caught.value) for secret in (PASSWORD, BASIC[6:], TOKEN))
    assert images.list() == []
    assert images.verify() == []
    image = images.pull(sound.reference, registry=options())
    assert say(image, "wc -c < /noise") == str(len(NOISE))
    assert images.verify() == []


@pytest.mark.parametrize(
    "mode", ["push-drop-once", "push-500x2", "push-503-forever", "push-digest-lie", "push-manifest-400", "push-413"]
)
def test_pushes_change_nothing(images, served, mode):
    put(images, IMAGE)
    server = served(mode)
    server.image = Served(Image(BASE))
    server.image.blobs = {}
    try:
        assert images.push(NAME, server.reference, registry=options()) == IMAGE.digest
    except (pc.RegistryError, pc.DigestMismatch):
        assert server.uploaded.top is None
    assert images.verify() == []
    assert say(images.get(NAME), "cat /etc/both") == "upper"


# -- several processes -----------------------------------------------------------------------------------------------

START = """
import random, sys, time
import pycgroups as pc
from pycgroups.images.registry import RegistryOptions
images = pc.Store(sys.argv[1]).images
options = RegistryOptions(registries_conf="/dev/null")
"""
PULL = f"""{START}
image = images.pull(sys.argv[2], registry=options)
assert pc.run(["cat", "/etc/both"], image=image, text=True).stdout == "upper\\n"
"""


class Several:
    """Processes that run code with the same arguments."""

    def __init__(self, codes, *arguments):
        self.processes = [subprocess.Popen([sys.executable, "-c", code, *arguments]) for code in codes]

    def codes(self):
        return [process.wait(300) for process in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("mode", ["ok", "truncate-once"])
def test_eight_processes_pull_the_same(images, served, mode):
    server = served(mode)
    with Several([PULL] * 8, images.store.root, server.reference) as several:
        assert several.codes() == [0] * 8
    assert images.verify() == []
    assert len(os.listdir(images.store.layers.root)) == 3
    assert len(os.listdir(f"{images.store.blobs.root}/sha256")) == 5
    fetched = [path for method, path, _ in server.requests if method == "GET" and "/blobs/" in path]
    # Each blob once; where it is cut off, the rest another time.
    assert len(fetched) <= len(set(fetched)) * (1 if mode == "ok" else 2)


LOOP = f"""{START}
references, until, kind = sys.argv[2].split(), time.monotonic() + float(sys.argv[3]), sys.argv[-1]
count = 0
while time.monotonic() < until:
    name = random.choice(references)
    try:
        if KIND == "pull":
            image = images.pull(name, registry=options)
            text = pc.run(["cat", "/which"], image=image, text=True).stdout
            assert name.endswith(text), (name, text)
        elif KIND == "remove":
            images.remove(name)
        elif KIND == "list":
            for image in images.list():
                image.size, image.config
        else:
            images.gc()
    except pc.ImageNotFound:
        continue  # another one has removed it
    except pc.ImageError as error:
        assert "no such" in str(error), error
    count += 1
assert count
"""


@pytest.mark.parametrize("seconds", [pytest.param(4, id="short"), pytest.param(120, marks=pytest.mark.long, id="long")])
def test_pulling_removing_and_collecting(images, scratch, served, seconds):
    """Images that share layers, while others remove them and collect; one is used all the time."""
    kinds = ["pull"] * 3 + ["remove"] * 2 + ["gc", "list"]
    layers = [layer(entry("noise", NOISE)), UPPER]
    servers = []
    for number in range(3):
        server = served("ok")
        # Each has the port in it, which is told by its name's end, too.
        made = Image(BASE, *layers[: number % 3], layer(entry("which", server.reference.encode())), Env=["PATH=/bin"])
        server.image = Served(made)
        servers.append(server)
    kept = put(images, Image(BASE, *layers, Env=["PATH=/bin"]))
    references = " ".join(server.reference for server in servers)
    codes = [f"KIND = {kind!r}\n{LOOP}" for kind in kinds]
    with Several(codes, images.store.root, references, str(seconds)) as several:
        assert several.codes() == [0] * len(kinds)
    assert images.verify() == []
    assert say(kept, "cat /etc/both") == "upper"
    for server in servers:
        assert say(images.pull(server.reference, registry=options()), "cat /which") == server.reference
    assert images.verify() == []
