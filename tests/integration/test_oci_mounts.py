"""Mounts and devices of a config.json, by what the kernel says of them from the inside: as runc has them."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

import pycgroups as pc
from tests.integration.bundles import output

pytestmark = [
    pytest.mark.requires("userns"),
    pytest.mark.slow_in_vm("dozens of containers, and nothing of cgroups"),
]
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
        bundle.map_ids(1_000_000)
    linux["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 1000, "gid": 1001},
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640},
    ]
    assert output(bundle, "stat -c '%a %u:%g %t:%T' /dev/null /dev/full /proc/keys").splitlines() == [
        "600 1000:1001 1:3",
        "640 0:0 1:5",
        "600 1000:1001 1:3",  # which is masked by it
    ]


# -- links of the image to nothing, where something is to be mounted ---------------------------------------------------

LINKS = {
    "a link": {"jump": "data/there"},
    "a link to a link": {"jump": "other", "other": "/data/there"},
    "a link out of the root": {"jump": "../../data/there"},
}


@pytest.mark.parametrize("source", ["file", "directory"])
@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("below", ["", "/a/b"], ids=["last", "below"])
def test_where_a_link_to_nothing_leads_is_made(bundle, image, source, links, below):
    for name, target in links.items():
        (image / name).symlink_to(target)
    (bundle.path / "directory").mkdir()
    (bundle.path / "directory/file").write_text("told")
    path = bundle.path / "directory" / ("" if source == "directory" else "file")
    bundle.config["mounts"].append({"destination": f"/jump{below}", "source": str(path), "options": ["bind"]})
    end = "/file" if source == "directory" else ""
    assert output(bundle, f"cat /data/there{below}{end}") == "told"


def test_links_in_a_ring_lead_nowhere(bundle, image):
    (image / "one").symlink_to("two/x")
    (image / "two").symlink_to("one/x")
    bundle.config["mounts"].append({"destination": "/one", "source": str(bundle.path), "options": ["bind"]})
    with pytest.raises(pc.LaunchError, match="ELOOP"):
        bundle.create()


def test_a_limit_of_descriptors_below_the_number_of_mounts(bundle):
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 10}]
    bundle.config["mounts"] += [
        {"destination": f"/tmp/{number}", "source": str(bundle.path), "options": ["bind"]} for number in range(20)
    ]
    assert "config.json" in output(bundle, "ls /tmp/19")


# -- paths that are masked or read-only, by links of the image --------------------------------------------------------


@pytest.fixture
def linked(image):
    """A root with a secret, and links to where it is."""
    (image / "run/deep").mkdir()
    (image / "run/deep/secret").write_text("secret")
    (image / "run/deep").chmod(0o777)
    for name, target in (
        ("var/run", "/run"),
        ("var/up", "../../../../../run"),
        ("run/file", "/var/run/deep/secret"),
        ("var/circle", "circle"),
        ("var/nowhere", "/nowhere/at/all"),
        ("etc/mtab", "/proc/mounts"),
        ("var/magic", "/proc/self/root/run/deep"),
        ("etc/keys", "../proc/keys"),
    ):
        (image / name).symlink_to(target)
    return image


@pytest.mark.parametrize("path", ["/var/run/deep/secret", "/var/run/deep", "/var/up/deep/../deep", "/run/file"])
def test_what_a_masked_path_leads_to_is_hidden(bundle, linked, path):
    bundle.config["linux"]["maskedPaths"] = [path]
    assert output(bundle, f"cat {path} {path}/secret /run/deep/secret 2>/dev/null; true") == ""
    assert (linked / "run/deep/secret").read_text() == "secret"


@pytest.mark.parametrize("path", ["/var/run/deep", "/var/up/deep"])
def test_what_a_read_only_path_leads_to_cannot_be_written(bundle, linked, path):
    bundle.config["linux"]["readonlyPaths"] = [path]
    script = f"for at in /run/deep {path}; do (: >$at/new) 2>/dev/null && echo yes || echo no; done"
    assert output(bundle, script) == "no\nno\n"


def test_a_mask_may_lead_to_files_of_the_first_process(bundle, linked):
    """`podman run --security-opt mask=/etc/mtab`: /proc/self of others leads elsewhere, as by runc."""
    bundle.config["linux"]["maskedPaths"] = ["/etc/mtab", "/etc/keys"]
    assert output(bundle, "while read line; do echo $line; done </etc/mtab; cat /etc/keys /proc/keys") == ""


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
@pytest.mark.parametrize("path", ["/var/circle", "/var/magic", "/proc/self/cwd", "/proc/1/fd/0"])
def test_no_magic_link_is_followed_for_it(bundle, linked, key, path):
    bundle.config["linux"][key] = [path]
    with pytest.raises(pc.LaunchError, match="magic link of /proc") as caught:
        output(bundle, "true")
    assert (caught.value.path, caught.value.errno) == (path, errno.ELOOP)


def test_links_to_nothing_need_no_mask(bundle, linked):
    bundle.config["linux"] |= {"maskedPaths": ["/var/nowhere"], "readonlyPaths": ["/var/nowhere/either"]}
    assert output(bundle, "ls /nowhere 2>/dev/null || echo none") == "none\n"


@pytest.mark.parametrize("option", ["masked_paths", "readonly_paths"])
@pytest.mark.parametrize("path", ["/etc/mtab", "/proc/self/environ"])
def test_files_of_an_init_are_not_those_of_the_program(linked, option, path):
    """`pycgroups.run` has one: what is hidden would be its files."""
    with pytest.raises(pc.LaunchError, match="another for each process"):
        pc.run(["true"], rootfs=linked, **{option: [path]})


# -- links of the host -----------------------------------------------------------------------------------------------

COPIED = {"destination": "/etc/zone", "type": "bind", "source": "zone", "options": ["bind", "copy-symlink"]}


@pytest.mark.parametrize("target", ["/usr/share/zone", "../nonesuch"])
@pytest.mark.parametrize("above", ["a directory", "a link", "nothing"])
def test_a_symlink_is_copied_where_that_is_asked_for(bundle, image, target, above):
    """As for podman's no-dereference; the container may be created once more, from a root that has it by then."""
    (bundle.path / "zone").symlink_to(target)
    if above != "a directory":
        (image / "etc").rename(image / "elsewhere")
    if above == "a link":
        (image / "etc").symlink_to("elsewhere")
    bundle.config["mounts"].append(COPIED)
    for _ in range(2):
        assert output(bundle, "readlink /etc/zone; grep -c /etc/zone /proc/self/mountinfo || true") == f"{target}\n0\n"


def test_what_is_no_symlink_is_mounted_and_what_else_is_there_stays(bundle, image):
    (bundle.path / "zone").write_text("here")
    bundle.config["mounts"].append(COPIED)
    assert output(bundle, "cat /etc/zone") == "here"
    (bundle.path / "zone").unlink()
    (bundle.path / "zone").symlink_to("/usr/share/zone")
    with pytest.raises(pc.LaunchError, match="/etc/zone: File exists"):
        output(bundle, "true")
    (image / "etc/zone").unlink()
    (image / "etc/zone").symlink_to("/usr/share/zones")
    with pytest.raises(pc.LaunchError, match="/etc/zone: File exists"):
        output(bundle, "true")


# -- words of the specification ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("noatime atime", "rw,relatime"),
        ("strictatime nostrictatime", "rw,relatime"),
        ("rnoatime ratime", "rw,relatime"),
        ("silent loud iversion noiversion", "rw,relatime"),
        ("lazytime nolazytime mand nomand dirsync async", "rw,relatime"),
    ],
)
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_every_option_of_the_specification_is_known(bundle, scratch, kind, options, found):
    mount = {"destination": "/mnt", "type": kind, "source": str(scratch), "options": options.split()}
    bundle.config["mounts"].append(mount)
    assert output(bundle, "grep ' /mnt ' /proc/self/mountinfo").split()[5] == found


# -- what an ordinary user may not ------------------------------------------------------------------------------------


def without(bundle, kind):
    """Have it share a namespace with its creator."""
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [space for space in spaces if space["type"] != kind]


@pytest.mark.requires("rootless")
def test_no_user_namespace_is_made_that_is_not_asked_for(bundle):
    without(bundle, "user")
    del bundle.config["linux"]["uidMappings"], bundle.config["linux"]["gidMappings"]
    with pytest.raises(pc.Unsupported, match="needs a user namespace"):
        output(bundle, "true")


@pytest.mark.requires("rootless")
def test_sysfs_is_of_a_network_namespace(bundle):
    without(bundle, "network")
    bundle.config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs"})
    with pytest.raises(pc.LaunchError, match="sysfs needs a network namespace"):
        output(bundle, "true")


@pytest.mark.requires("rootless")
def test_what_the_host_forbids_stays_forbidden(bundle, scratch):
    mount = {"destination": "/mnt", "source": str(scratch), "options": ["bind", "strictatime"]}
    bundle.config["mounts"].append(mount)
    with pytest.raises(pc.LaunchError, match="keeps what it forbids"):
        output(bundle, "true")


# -- propagation ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["private", "shared"])
def tree(scratch, request):
    """A directory with another file system mounted in it, and of what propagation both are."""
    top = scratch / "tree"
    (top / "sub").mkdir(parents=True)
    for words in (["--bind", top, top], ["-t", "tmpfs", "tmpfs", top / "sub"]):
        subprocess.run(["mount", *words], check=True)
        subprocess.run(["mount", f"--make-{request.param}", words[-1]], check=True)
    yield top, request.param
    for place in (top / "sub", top):
        subprocess.run(["umount", place], check=True)


def propagation(line):
    """What a mount is: proc_pid_mountinfo(5), the optional fields."""
    fields = line.split()
    return {word.split(":")[0] for word in fields[6 : fields.index("-")]}


@needs_root
@pytest.mark.parametrize(
    ("words", "top", "below"),
    [
        ("rbind", {"master"}, {"master"}),
        ("rbind slave", {"master"}, {"master"}),
        ("rbind shared", {"shared", "master"}, {"master"}),
        ("rbind rshared", {"shared"}, {"shared"}),
        ("rbind private", set(), {"master"}),
        ("rbind rprivate", set(), set()),
        ("rbind unbindable", {"unbindable"}, {"master"}),
        ("rbind runbindable", {"unbindable"}, {"unbindable"}),
        ("rbind rprivate shared", {"shared"}, set()),
        ("rbind shared rprivate", set(), set()),
    ],
)
def test_propagation_is_of_the_whole_tree_where_the_word_is(bundle, tree, words, top, below):
    """All of it is a slave first, unless a word for the whole tree says otherwise."""
    source, kind = tree
    bundle.config["mounts"].append({"destination": "/mnt", "source": str(source), "options": words.split()})
    found = [*map(propagation, output(bundle, "grep ' /mnt' /proc/self/mountinfo").splitlines())]
    nobody = {"master"} if kind == "private" else set()
    assert found == [top - nobody, below - nobody]


# -- many of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maps", [False, pytest.param(True, marks=needs_root)], ids=["as it is", "mapped"])
@pytest.mark.parametrize("number", [220, 700])
@pytest.mark.parametrize(
    "kinds",
    [
        [{"type": "bind", "source": "{source}", "options": ["bind"]}],
        [{"type": "tmpfs", "source": "t", "options": ["ro", "size=4k"]}],
        [
            {"type": "bind", "source": "{source}", "options": ["bind"]},
            {"type": "tmpfs", "source": "t", "options": ["ro", "size=4k"]},
            {"type": "tmpfs", "source": "t", "options": ["size=4k"]},
        ],
    ],
    ids=["bind", "tmpfs", "both"],
)
def test_many_mounts(bundle, image, *, kinds, number, maps):
    """Each is what it is to be, also where there are more than one message takes."""
    (image / "many").mkdir()
    if maps:
        bundle.map_ids(100_000)
        os.chown(image / "many", 100_000, 100_000)
        image.chmod(0o755)
    wanted = []
    for at in range(number):
        source, kind = bundle.path / f"s{at}", kinds[at % len(kinds)]
        source.write_text(f"{at}")
        mount = {"destination": f"/many/{at}", **kind, "source": kind["source"].format(source=source)}
        bundle.config["mounts"].append(mount)
        wanted.append(f"{at}" if kind["type"] == "bind" else "ro" if "ro" in kind["options"] else "rw")
    script = """
    cd /many; i=0
    while [ -e $i ]; do
        if [ -f $i ]; then cat $i; echo; elif (: >$i/x) 2>/dev/null; then echo rw; else echo ro; fi
        i=$((i+1))
    done"""
    assert output(bundle, script).split() == wanted
