"""Stores without room, and processes without descriptors: errors of ours, and all is as before afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.requires("userns")

START = """
import errno, gc, os, resource, sys
import pycgroups as pc
from pycgroups.images import layouts
from pycgroups.images.copying import copy
from pycgroups.images.reference import Location
from tests.boxes import BASE, NAME, UPPER, entry, layer, put, say
from tests.images import Image
images = pc.Store(sys.argv[1]).images
def there():
    return {place: sorted(os.listdir(f"{sys.argv[1]}/{place}")) for place in ("images/blobs/sha256", "layers", "tmp")}
def used():
    found = os.statvfs(sys.argv[1])
    return (found.f_blocks - found.f_bfree) * found.f_frsize
def refused(act, number):
    try:
        act()
    except pc.Error as error:
        assert number in {None, error.errno} or os.strerror(number) in str(error), error
        return str(error)
"""
FULL = """
small = put(images, Image(BASE, UPPER, Env=["PATH=/bin"]))
images.gc()
before, room = there(), used()
noise = os.urandom(12 * 2**20)
large = Image(BASE, layer(entry("noise", noise)), layer(entry("zeros", bytes(30 * 2**20))))
place = f"oci:{sys.argv[2]}/large:large:1"
copy(large, layouts.destination(Location.parse(place)))
copy(large, layouts.destination(Location.parse(f"oci:{sys.argv[2]}/archive:large:1")))
for _ in range(3):
    assert refused(lambda: images.pull(place), errno.ENOSPC)
    assert [image.reference for image in images.list()] == [NAME]
    assert images.verify() == []
    assert say(small, "cat /etc/both") == "upper"
    images.gc()
    assert there() == before, (there(), before)
    assert used() <= room + 2**16, (used(), room)
# To the last byte: names cannot be written, and still be read.
with open(f"{sys.argv[1]}/filler", "wb") as filler:
    assert refused(lambda: put(images, large, "large:1"), errno.ENOSPC)
    try:
        while True:
            os.write(filler.fileno(), bytes(4096))
    except OSError:
        pass
    refused(lambda: small.tag("other:1"), errno.ENOSPC)
    assert NAME in {image.reference for image in images.list()}
    assert say(small, "cat /etc/both") == "upper"
os.unlink(f"{sys.argv[1]}/filler")
small.tag("other:1")
assert images.verify() == []
images.prune(all=True)
print("done")
"""


@pytest.mark.parametrize("size", [16, 20])
def test_no_room(scratch, size):
    (scratch / "store").mkdir()
    (scratch / "else").mkdir()
    mount = f'mount -t tmpfs -o size={size}m,mode=755 tmpfs "$1/store"; exec "$2" -c "$3" "$1/store" "$1/else"'
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = [
        "unshare",
        *user,
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        mount,
        "sh",
        scratch,
        sys.executable,
    ]
    done = subprocess.run([*command, START + FULL], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert done.stdout == "done\n"


FEW = """
import time
image = Image(BASE, UPPER, layer(entry("third", b"third")), Env=["PATH=/bin"])
place = f"oci:{sys.argv[2]}/layout:{NAME}"
copy(image, layouts.destination(Location.parse(place)))
images.pull(place)
assert say(images.get(NAME), "cat /third") == "third"
for act in (images.list, images.verify, images.df, images.gc, lambda: images.remove(NAME)):
    act()  # which imports what it needs
assert refused(lambda: images.get(NAME), None)
before = there()
def descriptors():
    named = {fd: f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")}
    return {fd: os.readlink(path) for fd, path in named.items() if os.path.lexists(path)}
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
open_ones = len(descriptors())
outcomes = []
for most in [*range(open_ones - 1, open_ones + 24), 64]:
    for act in (
        lambda: images.pull(place), lambda: images.list(), lambda: images.verify(), lambda: images.df(),
        lambda: say(images.get(NAME), "cat /third"), lambda: images.remove(NAME), lambda: images.gc(),
    ):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        try:
            act()
            outcomes.append("worked")
        except pc.Error as error:
            outcomes.append("refused")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        gc.collect()  # an error's traceback may hold on to a file
        assert len(descriptors()) <= open_ones, (most, outcomes, descriptors())
    assert images.verify() == [], most
    images.prune(all=True)
    assert there() == before, most
assert outcomes[-7:] == ["worked"] * 7, outcomes
assert outcomes[0] == "refused"
print("done")
"""


@pytest.mark.slow_in_vm("starts of Python")
def test_few_descriptors(scratch, script):
    assert script(START + textwrap.dedent(FEW), scratch / "store", scratch) == "done\n"
