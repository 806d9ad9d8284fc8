"""Mounts and devices of a config.json, by what the kernel says of them from the inside: as runc has them."""

from __future__ import annotations

import os

import pytest

from tests.integration.bundles import output

pytestmark = pytest.mark.requires("userns")
needs_root = pytest.mark.requires("root")


@pytest.fixture
def image(bundle, own_root):
    """A root that a test may change."""
    bundle.config["root"]["path"] = str(own_root)
    return own_root


# -- the mode and the owner of a tmpfs --------------------------------------------------------------------------------


@pytest.fixture
def facts(bundle, image):
    """Mount a tmpfs over a directory that is there, and has a file; its mode and owner."""

    def ask(*options, mode=0o750, owner=None):
        (image / "data").mkdir()
        (image / "data/file").write_text("below")
        (image / "data").chmod(mode)
        if owner:
            os.chown(image / "data", *owner)
        mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": [*options]}
        bundle.config["mounts"].append(mount)
        facts, *files = output(bundle, "stat -c '%a %u %g' /data; ls /data").splitlines()
        assert files == ["file"] * ("tmpcopyup" in options)
        return facts

    return ask


@pytest.mark.parametrize("copy", [(), ("tmpcopyup",)], ids=["empty", "copy"])
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "750 0 0"),
        (("mode=1777",), "1777 0 0"),
        pytest.param(("uid=5", "gid=6"), "750 5 6", marks=needs_root),
        pytest.param(("mode=1770", "uid=5", "gid=6"), "1770 5 6", marks=needs_root),
    ],
)
def test_what_the_options_of_a_tmpfs_say_counts(facts, copy, options, found):
    assert facts(*copy, *options) == found


@needs_root
@pytest.mark.parametrize("copy", [(), ("tmpcopyup",)], ids=["empty", "copy"])
def test_a_tmpfs_takes_the_mode_of_what_it_covers_but_not_the_owner(facts, copy):
    assert facts(*copy, mode=0o1751, owner=(1000, 1001)) == "1751 0 0"


# -- devices ----------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("userns", [False, True])
def test_default_devices_are_as_they_are_described(bundle, userns):
    linux = bundle.config["linux"]
    if userns:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 1_000_000, "size": 2000}]
    linux["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 1000, "gid": 1001},
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640},
    ]
    assert output(bundle, "stat -c '%a %u:%g %t:%T' /dev/null /dev/full /proc/keys").splitlines() == [
        "600 1000:1001 1:3",
        "640 0:0 1:5",
        "600 1000:1001 1:3",  # which is masked by it
    ]
