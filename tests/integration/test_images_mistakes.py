"""What users get wrong in a call: an error of ours says which option, path or step it is, why, and what to do."""

from __future__ import annotations

import io

import pytest

import pycgroups as pc
from pycgroups.images import layouts
from pycgroups.images.collection import Images
from pycgroups.images.copying import copy
from pycgroups.images.reference import Location
from pycgroups.images.registry import RegistryOptions
from tests.boxes import NAME, put
from tests.images import Image, tar

pytestmark = [pytest.mark.requires("userns"), pytest.mark.slow_in_vm("what errors say is the same everywhere")]

NOBODY = "127.0.0.1:1/me/app"
AT_ONCE = RegistryOptions(registries_conf="/dev/null", retries=0)
OPTIONS = {
    "a number for a name": ("image", lambda images, _: images.pull(5)),
    "a number for an image": ("image", lambda images, _: images.get(5)),
    "a number to remove": ("image", lambda images, _: images.remove(5)),
    "a number to inspect": ("image", lambda images, _: images.inspect(5)),
    "a number to save": ("images", lambda images, place: images.save(5, place)),
    "nothing to save": ("images", lambda images, place: images.save([], place)),
    "nowhere to save to": ("target", lambda images, _: images.save(NAME, None)),
    "another form": ("form", lambda images, place: images.save(NAME, place, form="tar")),
    "a number to load": ("origin", lambda images, _: images.load(5)),
    "a number to import": ("origin", lambda images, _: images.import_(5)),
    "one change": ("changes", lambda images, place: images.import_(place, changes="CMD sh")),
    "an unknown change": ("changes[0]", lambda images, place: images.import_(place, changes=["RUN x"])),
    "a day for a time": ("created", lambda images, place: images.import_(place, created="today")),
    "a callback that is none": ("progress", lambda images, place: images.pull(f"oci:{place}/one", progress=5)),
    "limits that are none": ("limits", lambda images, place: images.pull(f"oci:{place}/one", limits=5)),
    "half a platform": ("platform", lambda images, place: images.pull(f"oci:{place}/one", platform="linux/")),
    "options that are none": ("registry", lambda images, _: images.pull(NOBODY, registry="insecure")),
    "options for a push": ("registry", lambda images, _: images.push(NAME, NOBODY, registry={"insecure": True})),
    "credentials as one text": ("credentials", lambda *_: RegistryOptions(credentials="me:secret")),
    "a name in capitals": ("name", lambda images, _: images.tag(NAME, "Box")),
    "a name with a digest": ("name", lambda images, _: images.tag(NAME, f"box@sha256:{'0' * 64}")),
    "no name to push to": ("to", lambda images, place: images.push(images.pull(f"oci:{place}/one"))),
    "a transport of others": ("destination", lambda images, _: images.push(NAME, "docker-daemon:box:1")),
    "a store that is none": ("root", lambda *_: Images(5)),
    "text for a repository": ("reference", lambda *_: pc.images.registry.tags("debian")),
}
PLACES = {
    "no such file": ("nothing", "", lambda images, place: images.load(place / "nothing")),
    "no tar": ("entry at byte 0", "no tar", lambda images, place: images.load(place / "text")),
    "a directory": ("Is a directory", "oci:", lambda images, place: images.load(place)),
    "a stream of text": ("one of bytes", "", lambda images, _: images.load(io.StringIO("x"))),
    "to a stream of text": ("one of bytes", "", lambda images, _: images.save(NAME, io.StringIO())),
    "no directory": ("no/such", "", lambda images, place: images.save(NAME, place / "no/such/file")),
    "a full disk": ("No space left", "", lambda images, _: images.save(NAME, "/dev/full")),
    "a file for a layout": ("is no directory", "", lambda images, place: images.push(NAME, f"oci:{place}/text")),
    "another directory": ("other files", "another", lambda images, place: images.push(NAME, f"oci:{place}")),
    "several and no name": ("2 images", "'a', 'b'", lambda images, place: images.pull(f"oci:{place}/two")),
    "an id that is not here": ("sha256:0123456789", "images", lambda images, _: images.get("sha256:0123456789")),
    "no registry": ("refused", "127.0.0.1:1", lambda images, _: images.pull(NOBODY, registry=AT_ONCE)),
    "no such host": (
        "not known",
        "getent hosts nowhere.invalid",
        lambda images, _: images.pull("nowhere.invalid/app", registry=AT_ONCE),
    ),
    "a file for a store": ("open store", "PYCGROUPS_STORE", lambda _, place: Images(place / "text").pull("oci:/x")),
}


@pytest.fixture
def place(scratch):
    for name in ("one", "two:a", "two:b"):
        copy(Image(tar((name, b"x"))), layouts.destination(Location.parse(f"oci:{scratch}/{name}")))
    (scratch / "text").write_text("no archive\n" * 100)
    return scratch


@pytest.fixture
def images(scratch):
    made = Images(scratch / "store")
    put(made, Image(tar(("note", b"x"))))
    yield made
    made.prune(all=True)
    made.close()


@pytest.mark.parametrize("mistake", OPTIONS)
def test_an_option(images, place, mistake):
    key, call = OPTIONS[mistake]
    with pytest.raises(pc.InvalidConfig, match="allowed: ") as caught:
        call(images, place)
    assert caught.value.path == key


@pytest.mark.parametrize("mistake", PLACES)
def test_a_place(images, place, mistake):
    said, hint, call = PLACES[mistake]
    with pytest.raises(pc.Error) as caught:
        call(images, place)
    assert said in str(caught.value)
    assert hint in (caught.value.hint or "")
    assert caught.value.operation
