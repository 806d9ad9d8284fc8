import attrs
import pytest

from pycgroups.containers.mounts import Mount, volumes
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.security import lsm


def test_the_four_kinds():
    assert Mount.bind("/a", "/b//c/", read_only=True) == Mount(
        kind="bind", source="/a", destination="/b/c", read_only=True
    )
    assert Mount.tmpfs("/t", size="64M", mode=0o700).size == 64 << 20
    assert Mount.volume("data", b"/d").source == "data"
    assert Mount.overlay("/l", "/d", upper="/u", work="/w").lowers == ("/l",)
    assert Mount.overlay(["/a", "/b,:\\"], "/d").read_only


def test_mounts_are_hashable_and_copied_with_changes():
    mount = Mount.bind("/a", "/b", propagation="rslave")
    assert hash(attrs.evolve(mount)) == hash(mount)
    with pytest.raises(InvalidConfig):
        attrs.evolve(mount, destination="/../b")


@pytest.mark.parametrize(
    "destination", ["", "b", "/a/../b", "/", "/.", "/proc", "//proc/./self", "/a\0", "/a" * 2500, None, 5]
)
def test_destinations_that_are_refused(destination):
    for make in (Mount.tmpfs, lambda dst: Mount.bind("/a", dst), lambda dst: Mount.volume("v", dst)):
        with pytest.raises(InvalidConfig) as caught:
            make(destination)
        assert caught.value.path == "Mount.destination"


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Mount.bind("", "/b"), "Mount.source"),
        (lambda: Mount.bind("/a\0", "/b"), "Mount.source"),
        (lambda: Mount.bind("/a", "/b", read_only="yes"), "Mount.read_only"),  # type: ignore[arg-type]
        (lambda: Mount.bind("/a", "/b", idmap=1), "Mount.idmap"),  # type: ignore[arg-type]
        (lambda: Mount.bind("/a", "/b", recursive=None), "Mount.recursive"),  # type: ignore[arg-type]
        (lambda: Mount.bind("/a", "/b", propagation="ro"), "Mount.propagation"),  # type: ignore[arg-type]
        (lambda: Mount.tmpfs("/t", size="x"), "Mount.size"),
        (lambda: Mount.tmpfs("/t", size=0), "Mount.size"),
        (lambda: Mount.tmpfs("/t", mode=0o10000), "Mount.mode"),
        (lambda: Mount.volume("a/b", "/t"), "Mount.source"),
        (lambda: Mount.overlay("/l", "/d"), "Mount.lowers"),
        (lambda: Mount.overlay([], "/d", upper="/u", work="/w"), "Mount.lowers"),
        (lambda: Mount.overlay("/l", "/d", upper="/u"), "Mount.work"),
        (lambda: Mount.overlay(["/l", "/m"], "/d", work="/w"), "Mount.work"),
    ],
)
def test_arguments_that_are_refused(make, key):
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert caught.value.path == key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"/a": "/b"}, Mount.bind("/a", "/b")),
        ({"/a": "/b:ro"}, Mount.bind("/a", "/b", read_only=True)),
        ({"/a": "/b:ro,rslave,idmap"}, Mount.bind("/a", "/b", read_only=True, propagation="rslave", idmap=True)),
        ({"/a": {"bind": "/b", "mode": "ro"}}, Mount.bind("/a", "/b", read_only=True)),
        ({"/a": {"bind": "/b"}}, Mount.bind("/a", "/b")),
        (["/a:/b:rw"], Mount.bind("/a", "/b")),
        ({"./a": "/b"}, Mount.bind("./a", "/b")),
        ({"/a:b,c": "/d"}, Mount.bind("/a:b,c", "/d")),
        ({"data": "/d"}, Mount.volume("data", "/d")),
        (["data:/d:ro"], Mount.volume("data", "/d", read_only=True)),
    ],
)
def test_volumes(given, expected):
    result = volumes(given, "volumes")
    assert result == (expected,)
    assert volumes(result, "volumes") == result


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("/a:/b", "volumes"),
        (["/a"], "volumes[0]"),
        ({"/a": "b"}, "volumes['/a']"),
        ({"/a": "/b:rx"}, "volumes['/a']"),
        ({"/a": "/b:ro,rw"}, "volumes['/a']"),
        ({"/a": "/b:ro:rw"}, "volumes['/a']"),
        ({"/a": "/b:slave,shared"}, "volumes['/a']"),
        ({"/a": {"bind": "/b", "size": 5}}, "volumes['/a']"),
        ({"/a": {}}, "volumes['/a']"),
        ({"/a": {"bind": 5}}, "volumes['/a']"),
        ({"/a": None}, "volumes['/a']"),
        ({"": "/b"}, "volumes['']"),
        ({"data": "/b:idmap"}, "volumes['data']"),
        ({"data": "/b:rslave"}, "volumes['data']"),
        ({"/\x1b": "b"}, "volumes['/\\x1b']"),
        ({5: "/b"}, "volumes[5]"),
    ],
)
def test_volumes_that_are_refused(given, key):
    with pytest.raises(InvalidConfig) as caught:
        volumes(given, "volumes")
    assert caught.value.path == key


def test_what_is_meant_is_told():
    with pytest.raises(InvalidConfig, match=r"'\./rel/dir'"):
        volumes(["rel/dir:/x"], "volumes")
    with pytest.raises(InvalidConfig, match=r"SOURCE:DIR\[:ro\]"):
        volumes(["/a"], "volumes")


@pytest.mark.parametrize("words", ["z", "Z", "ro,z", "Z,ro"])
def test_labels_of_selinux_are_not_changed(monkeypatch, words):
    monkeypatch.setattr(lsm, "has_selinux", lambda: False)
    given = {"/a": f"/b:{words}", "data": f"/c:{words}"}
    assert volumes(given, "volumes") == tuple(
        make(source, target, read_only="ro" in words)
        for make, source, target in ((Mount.bind, "/a", "/b"), (Mount.volume, "data", "/c"))
    )
    monkeypatch.setattr(lsm, "has_selinux", lambda: True)
    with pytest.raises(Unsupported, match="leave z and Z out"):
        volumes(given, "volumes")
