"""Layers, unpacked and mounted: overlayfs shows what GNU tar would have made, and what the layers mean."""

from __future__ import annotations

import errno
import functools
import os
import stat

import pytest

from pycgroups import namespaces
from pycgroups.images.inside import Inside
from pycgroups.images.removing import remove
from pycgroups.namespaces.caller import caller
from pycgroups.namespaces.idmap import resolve_auto
from tests import tars, trees

pytestmark = [pytest.mark.requires("userns")]

FORMS = ["trusted", "user"] if os.geteuid() == 0 else ["user"]
MTIME = 1_000_000_000 * 10**9


class World:
    """Where the ids of layers are, with mounts of its own."""

    def __init__(self, work: str) -> None:
        who = caller()
        self.root = who.uid == 0
        self.alone = not self.root and not who.subuids
        self.work = work
        self._idmap = None if self.root else resolve_auto(who.uid, who.gid, who.subuids, who.subgids, 0)
        self._count = 0

    def inside(self, fn, *args):
        kinds = ["mnt"] if self.root else ["user", "mnt"]
        spaces = namespaces.create(*kinds, userns=self._idmap)
        try:
            return namespaces.call(spaces, fn, *args)
        finally:
            for space in spaces:
                space.close()

    def shown(self, *layers, forms="user"):
        return self._new(trees.shown, layers, forms, self.alone)

    def _new(self, fn, *args):
        work = f"{self.work}/{self._count}"
        self._count += 1
        os.mkdir(work)
        return self.inside(fn, work, *args)

    def __getattr__(self, name):
        return functools.partial(self._new, getattr(trees, name))


@pytest.fixture
def world(scratch):
    made = World(f"{scratch}/layers")
    os.mkdir(made.work)
    yield made
    Inside()(remove, made.work)


def files(found):
    """Tell the content of what is no directory, and the mode of what is one."""
    return {name: one[0] if one[4] is None else one[4] for name, one in found.items()}


@pytest.mark.parametrize("forms", FORMS)
def test_one_of_everything(world, forms):
    layer, wanted = world.as_made(world.root, world.alone)
    assert len(wanted) > 30
    found = world.shown(layer, forms=forms)
    assert found == wanted
    assert found == world.by_tar([layer], world.alone)


def test_a_sparse_file_takes_no_room(world):
    layer, wanted = world.as_made(False, world.alone)
    assert wanted["sparse"][4][0] == 64 * 2**20
    assert len(layer) < 2**21
    assert world.allocated(layer, world.alone, "sparse") <= 2**20


LOWER = b"".join([
    tars.directory(b"./", mode=0o711),
    tars.directory(b"usr", mode=0o750),
    tars.directory(b"usr/lib", mode=0o705),
    tars.file(b"usr/lib/old", b"old"),
    tars.file(b"usr/lib/both", b"lower"),
    tars.symlink(b"lib", b"usr/lib"),
    tars.symlink(b"lib64", b"/lib"),
    tars.directory(b"etc"),
    tars.file(b"etc/one", b"1"),
    tars.directory(b"etc/conf.d", mode=0o700),
    tars.file(b"etc/conf.d/a", b"a"),
    tars.file(b"etc/conf.d/b", b"b"),
    tars.file(b"plain", b"plain"),
    tars.END,
])  # fmt: skip


def layer(*entries):
    return b"".join([*entries, tars.END])


@pytest.mark.parametrize("forms", FORMS)
def test_layers_of_files_and_directories_add_up_as_tar_adds_them(world, forms):
    layers = [
        LOWER,
        layer(tars.directory(b"usr", mode=0o755), tars.file(b"usr/lib/both", b"upper", mode=0o600)),
        layer(tars.file(b"lib/new", b"new"), tars.link(b"linked", b"plain")),
        layer(tars.symlink(b"etc/one", b"conf.d/a"), tars.file(b"etc/conf.d/c/d", b"implied")),
        layer(tars.link(b"etc/two", b"lib/both"), tars.directory(b"etc/conf.d", mode=0o711)),
    ]
    found = world.shown(*layers, forms=forms)
    assert files(found) == files(world.by_tar(layers, world.alone))
    assert found["lib"][4] == "usr/lib"
    assert found["plain"][5] == found["linked"][5] == "linked"
    assert found["etc/two"][5] == found["usr/lib/both"][5]
    assert found["usr"][2] == found["plain"][2] == MTIME


@pytest.mark.parametrize("forms", FORMS)
@pytest.mark.parametrize(
    ("above", "gone", "there"),
    [
        (tars.whiteout(b"etc/one"), {"etc/one"}, {"etc/conf.d/a"}),
        (tars.whiteout(b"etc"), {"etc", "etc/one", "etc/conf.d/a"}, {"plain"}),
        (tars.whiteout(b"lib"), {"lib"}, {"usr/lib/old", "lib64"}),
        (tars.whiteout(b"lib/old"), {"usr/lib/old"}, {"lib", "usr/lib/both"}),
        (tars.file(b"etc/conf.d/.wh..wh..opq", b""), {"etc/conf.d/a", "etc/conf.d/b"}, {"etc/conf.d", "etc/one"}),
        (tars.file(b".wh..wh..opq", b""), {"etc", "usr", "lib", "lib64", "plain"}, {"."}),
        (tars.whiteout(b"etc") + tars.file(b"etc/new", b"n"), {"etc/one", "etc/conf.d"}, {"etc/new"}),
        (tars.file(b"etc/new", b"n") + tars.whiteout(b"etc"), {"etc/one", "etc/conf.d"}, {"etc/new"}),
        (tars.file(b"etc/a", b"n") + tars.file(b"etc/.wh..wh..opq", b""), {"etc/one", "etc/conf.d"}, {"etc/a"}),
        (tars.file(b"etc", b"a file"), {"etc/one", "etc/conf.d"}, {"etc"}),
        (tars.file(b"etc", b"f") + tars.directory(b"etc"), {"etc/one", "etc/conf.d"}, {"etc"}),
        (tars.directory(b"plain") + tars.file(b"plain/x", b"x"), set(), {"plain/x", "etc/one"}),
        (tars.symlink(b"etc", b"usr/lib"), {"etc/one"}, {"etc", "usr/lib/old"}),
    ],
    ids=lambda value: None if isinstance(value, bytes) else "-".join(sorted(value)).replace("/", "_"),
)  # fmt: skip
def test_what_a_layer_hides(world, forms, above, gone, there):
    whole = world.shown(LOWER, forms=forms).keys()
    assert gone <= whole
    found = world.shown(LOWER, layer(above), forms=forms).keys()
    assert not gone & found
    assert there <= found
    assert not [name for name in found if ".wh." in name]


def test_an_absolute_link_leads_to_what_is_in_the_image(world):
    found = world.shown(LOWER, layer(tars.file(b"lib64/newer", b"newer")))
    assert found.keys() - world.shown(LOWER).keys() == {"usr/lib/newer"}
    assert found["lib64"][4] == "/lib"


def test_an_implied_directory_is_as_below(world):
    found = world.shown(LOWER, layer(tars.file(b"etc/conf.d/new", b"new")))
    below = world.shown(LOWER)
    for name in (".", "etc", "etc/conf.d"):
        assert found[name] == below[name]


def test_three_layers_hide_and_show_again(world):
    layers = [LOWER, layer(tars.whiteout(b"etc")), layer(tars.directory(b"etc"), tars.file(b"etc/fresh", b"f"))]
    assert {name for name in world.shown(*layers) if name.startswith("etc")} == {"etc", "etc/fresh"}


@pytest.mark.parametrize("forms", FORMS)
def test_files_are_found_without_a_mount(world, forms):
    layers = [
        LOWER,
        layer(tars.file(b"lib/new", b"new"), tars.whiteout(b"etc/one"), tars.symlink(b"up", b"../../../etc/conf.d/a")),
        layer(tars.file(b"etc/conf.d/.wh..wh..opq", b""), tars.file(b"etc/conf.d/b", b"B")),
        layer(tars.symlink(b"etc/two", b"/lib64/both")),
        layer(tars.whiteout(b"plain"), tars.symlink(b"self", b"self/.."), tars.symlink(b"there", b"nowhere")),
    ]  # fmt: skip
    paths = ["lib/new", "usr/lib/new", "lib64/old", "etc/one", "up", "etc/conf.d/a", "etc/conf.d/b", "etc/two",
             "plain", "there", "lib/../../etc/two", "etc", "etc/conf.d/b/c", "lib64/../lib/both",
             "/etc/../../lib64/./new"]  # fmt: skip
    found = world.looked_up(layers, forms, world.alone, paths)
    assert [one for one in found if one[1] != one[2]] == []
    assert {path for path, ours, _ in found if ours is not None} == {
        "lib/new", "usr/lib/new", "lib64/old", "etc/conf.d/b", "etc/two", "lib/../../etc/two", "lib64/../lib/both",
        "/etc/../../lib64/./new",
    }  # fmt: skip


# -- a copy


HIDING = (
    layer(tars.whiteout(b"etc/one"), tars.whiteout(b"plain"), tars.directory(b"usr", mode=0o511)),
    layer(tars.file(b"etc/conf.d/.wh..wh..opq", b""), tars.file(b"etc/conf.d/c"), tars.link(b"again", b"etc/conf.d/c")),
    layer(tars.directory(b"plain"), tars.file(b"plain/x"), tars.file(b"lib/new"), tars.symlink(b"etc/one", b"x")),
    layer(tars.whiteout(b"etc"), tars.file(b"etc/fresh", b"fresh"), tars.file(b"usr/lib/both", b"upper")),
    layer(tars.file(b".wh..wh..opq", b""), tars.file(b"only", b"only")),
)


@pytest.mark.parametrize("forms", FORMS)
def test_a_copy_is_what_overlayfs_shows(world, forms):
    layer, wanted = world.as_made(world.root, world.alone)
    copied, shown = world.flattened([layer], forms, world.alone)
    assert copied == shown == wanted
    for count in (3, 4, 5):
        copied, shown = world.flattened([LOWER, *HIDING[:count]], forms, world.alone)
        assert as_told(copied) == as_told(shown), count
    assert copied.keys() == {".", "only"}


def as_told(found):
    """Leave out that files are one: overlayfs tells it only of those that it has looked up."""
    return {name: one[:-1] for name, one in found.items()}


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS])
def test_a_copy_without_copy_file_range(world, number):
    layer, wanted = world.as_made(world.root, world.alone)
    copied, _ = world.flattened([layer], FORMS[0], world.alone, number)
    assert copied == wanted


def test_holes_stay_holes_in_a_copy(world):
    layer, _ = world.as_made(False, world.alone)
    assert world.allocated_in_copy(layer, world.alone, "sparse") <= 2**20


# -- changes


@pytest.mark.parametrize("forms", FORMS)
def test_changes_of_a_union_make_it_again(world, forms):
    below = layer(tars.directory(b"many"), *(tars.file(b"many/%d" % number) for number in range(20)))
    wanted, of_upper, of_trees, names = world.changed([LOWER, below], forms, world.alone, change)
    assert wanted["renamed"][5] == wanted["again"][5] == "again"
    assert "etc/conf.d/a" not in wanted
    assert of_upper == wanted
    assert of_trees == wanted
    assert {".wh.plain", "etc/.wh.one", "many/.wh.3"} <= set(names)
    assert "usr/lib/old" not in names


def change(union):
    """Do what programs in containers do."""
    os.unlink(f"{union}/etc/one")
    os.rename(f"{union}/plain", f"{union}/renamed")
    os.link(f"{union}/renamed", f"{union}/again")
    for name in os.listdir(f"{union}/etc/conf.d"):
        os.unlink(f"{union}/etc/conf.d/{name}")
    os.rmdir(f"{union}/etc/conf.d")
    os.mkdir(f"{union}/etc/conf.d")
    with open(f"{union}/etc/conf.d/only", "wb") as file:
        file.write(b"only\n" * 100_000)
    os.setxattr(f"{union}/etc/conf.d/only", "user.colour", b"red")
    os.chmod(f"{union}/usr/lib/both", 0o751)
    os.mkfifo(f"{union}/many/fifo")
    for number in range(10):
        os.unlink(f"{union}/many/{number}")
    os.symlink("elsewhere", f"{union}/many/9")
    os.utime(f"{union}/many/fifo", ns=(0, 5))


def test_a_hard_link_to_nowhere_is_refused(world):
    for layers in ([layer(tars.link(b"a", b"nowhere"))], [LOWER, layer(tars.link(b"a", b"etc/none"))]):
        with pytest.raises(Exception, match="nowhere"):
            world.shown(*layers)


# -- removing


def test_removing_what_is_hard_to_remove(world):
    os.mkdir(f"{world.work}/hard")
    world.inside(awful, f"{world.work}/hard", 1900)
    Inside()(remove, f"{world.work}/hard")
    assert not os.path.lexists(f"{world.work}/hard")
    Inside()(remove, f"{world.work}/hard")  # again


def awful(path, depth):
    """Make directories in each other, shut ones, and links to what has to stay."""
    os.symlink(os.path.dirname(path), f"{path}/away")
    here = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 20, dir_fd=here)
        os.symlink("/etc/passwd", "link", dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.makedirs(f"{path}/shut/inner")
    for name in ("shut/inner", "shut"):
        os.chmod(f"{path}/{name}", 0)


@pytest.mark.slow_in_vm("50,000 files")
def test_removing_many_files(world):
    os.mkdir(f"{world.work}/many")
    world.inside(crowd, f"{world.work}/many", 50_000)
    Inside()(remove, f"{world.work}/many")
    assert os.listdir(world.work) == []


def crowd(path, count):
    for number in range(count):
        os.mknod(f"{path}/{number}", stat.S_IFREG | 0o600)
