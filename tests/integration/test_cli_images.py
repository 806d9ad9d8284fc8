"""The commands for images, as processes of their own, with a store and an image layout of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from pycgroups.images import layouts
from pycgroups.images.copying import copy
from pycgroups.images.reference import Location
from tests.images import Image
from tests.integration.test_cli import COMMAND
from tests.integration.test_images import BASE, UPPER
from tests.registry.misbehaving import Registry
from tests.terminals import Session
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.requires("userns"), pytest.mark.slow_in_vm("commands that start Python, a hundred times")]

BOX = "docker.io/library/box:1"


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """An image layout with two images."""
    directory = tmp_path_factory.mktemp("images") / "layout"
    for name, image in {
        BOX: Image(BASE, UPPER, Cmd=["cat", "/etc/both"], Env=["PATH=/bin"]),
        "example.com/other:2": Image(BASE, Cmd=["sh"], Env=["PATH=/bin"]),
    }.items():
        copy(image, layouts.destination(Location.parse(f"oci:{directory}:{name}")))
    return directory


@pytest.fixture
def store(scratch, monkeypatch):
    """A store of its own, which is empty again at the end."""
    directory = scratch / "store"
    monkeypatch.setenv("PYCGROUPS_STORE", str(directory))
    yield directory
    if directory.exists():
        assert call("image", "prune", "--all", "--force").returncode == 0
        assert os.listdir(directory / "layers") == []
        assert os.listdir(directory / "images/blobs/sha256") == []


def call(*words, **options):
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": PATIENCE, **options},
        check=False,
    )


def said(*words, **options):
    done = call(*words, **options)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.fixture
def box(store, layout):
    """The image, pulled: its id."""
    assert said("pull", "-q", f"oci:{layout}:{BOX}") == f"{BOX}\n"
    return said("images", "-q", "--no-trunc").strip()


# -- there and back


def test_pull_tells_the_digest_and_the_name(store, layout):
    lines = said("pull", f"oci:{layout}:{BOX}", f"oci:{layout}:example.com/other:2").splitlines()
    assert re.fullmatch(r"Digest: sha256:[0-9a-f]{64}", lines[0])
    assert lines[1::2] == [BOX, "example.com/other:2"]


def test_an_image_without_a_name(store, scratch):
    copy(Image(BASE), layouts.destination(Location.parse(f"oci:{scratch}/layout")))
    first, answer = said("pull", f"oci:{scratch}/layout").splitlines()
    assert first == f"Digest: {answer}"
    line = said("images").splitlines()[1]
    assert line.split()[:2] == ["<none>", "<none>"]
    assert line.split()[2] == said("images", "-q").strip()
    said("tag", answer, BOX)
    assert said("images").splitlines()[1].split()[:2] == ["box", "1"]


def test_a_list_for_people(box):
    said("tag", "box:1", "me/app:2", "example.com/app")
    lines = said("images").splitlines()
    short = box.removeprefix("sha256:")[:12]
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["box", "1", short],
        ["me/app", "2", short],
        ["example.com/app", "latest", short],
    ]
    assert said("images", "-q").split() == [short]
    assert [line.split()[0] for line in said("images", "me/app").splitlines()[1:]] == ["me/app"]
    assert said("images", "--no-trunc", "--digests", "me/app:2").count("sha256:") == 2
    assert len(said("images", "me/app:3").splitlines()) == 1


def test_lists_for_programs(box):
    (image,) = json.loads(said("images", "--format", "json"))
    assert (image["reference"], image["id"], image["platform"]) == (BOX, box, "linux/amd64")
    (facts,) = json.loads(said("inspect", box))
    assert (facts["reference"], facts["digest"]) == (BOX, image["digest"])
    assert facts["config"]["config"]["Cmd"] == ["cat", "/etc/both"]
    steps = json.loads(said("history", "--format", "json", "box:1"))
    assert [step["layer"] for step in reversed(steps)] == [each["digest"] for each in facts["manifest"]["layers"]]
    assert said("history", "--no-trunc", "--format", "{{.ID}}", "box:1").split() == [step["layer"] for step in steps]
    use = json.loads(said("image", "df", "--format", "json"))
    assert [each["name"] for each in use["images"]] == [BOX]
    assert use["blobs"] > image["packedSize"]


def test_run_it(box):
    assert said("run", "box:1") == "upper\n"
    assert said("run", "--pull", "never", "--image", "box:1", "--", "cat", "/etc/second") == "second\n"
    assert said("run", box[:20], "sh", "-c", "echo $0 $1", "a", "b") == "a b\n"


def test_run_fetches_what_is_not_here(store, layout):
    assert said("run", f"oci:{layout}:{BOX}") == "upper\n"
    done = call("run", "--platform", "linux/s390x", f"oci:{layout}:{BOX}")
    assert (done.returncode, "linux/s390x was asked for" in done.stderr) == (125, True)
    assert said("images", "-q") != ""


def test_save_and_load(box, scratch):
    said("tag", "box:1", "me/app:2")
    archive = scratch / "images.tar"
    for words in (["-o", archive], ["--format", "docker-archive", f"--output={archive}"]):
        said("save", *words, "box:1", "me/app:2")
        said("rmi", "--force", box)
        assert said("images", "-q") == ""
        assert (
            said("load", "-i", archive) == "Loaded image: docker.io/library/box:1\nLoaded image: docker.io/me/app:2\n"
        )
        assert said("run", "me/app:2") == "upper\n"


def test_save_to_a_pipe_that_nobody_reads(box):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*COMMAND, "save", "box:1"], stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_save_to_a_device_that_is_a_pipe(box):
    done = call("save", "box:1", "-o", "/dev/stdout", text=False)
    assert (done.returncode, done.stdout) == (0, call("save", "box:1", text=False).stdout)


def test_save_and_load_through_a_pipe(box):
    done = call("save", "box:1", text=False)
    assert (done.returncode, done.stderr) == (0, b"")
    loaded = call("load", input=done.stdout, stdin=None, text=False)
    assert loaded.stdout == b"Loaded image: docker.io/library/box:1\n"


def test_import(store, scratch):
    archive = scratch / "root.tar"
    archive.write_bytes(BASE)
    words = ("--change", "CMD cat /etc/both", "--change", "ENV PATH=/bin", "-m", "made by hand")
    made = said("import", *words, archive, "me/root:1")
    with archive.open("rb") as file:
        assert said("import", *words, "-", "me/again", stdin=file) == made
    assert said("run", "me/root:1") == "lower\n"
    assert "made by hand" in said("history", "me/root:1")


def test_push_and_copy_to_places(box, scratch, layout):
    said("push", "-q", "box:1", f"oci:{scratch}/pushed:{BOX}")
    (digest,) = said("copy", f"oci:{scratch}/pushed:{BOX}", f"dir:{scratch}/copied").split()
    assert digest == said("copy", f"oci:{layout}:{BOX}", f"oci-archive:{scratch}/x.tar:{BOX}").strip()
    assert said("images", "--digests", "--no-trunc").count(digest) == 1


# -- away


def test_names_go_and_the_last_takes_all(box, store):
    said("tag", "box:1", "me/app:2")
    assert said("rmi", "box:1") == f"Untagged: {BOX}\n"
    assert said("run", "me/app:2") == "upper\n"
    lines = said("rmi", "me/app:2").splitlines()
    assert lines[0] == "Untagged: docker.io/me/app:2"
    assert lines[1].startswith("Deleted: 4 blobs and 2 unpacked layers, ")
    assert os.listdir(store / "layers") == []


def test_an_id_with_several_names_has_to_be_forced(box):
    said("tag", "box:1", "me/app:2")
    done = call("rmi", box)
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 names" in done.stderr
    assert "--force" in done.stderr
    assert said("rmi", "-f", box[:20]).count("Untagged: ") == 2


def test_what_is_not_here_cannot_be_removed(box):
    done = call("rmi", "nothing", "box:1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"Untagged: {BOX}" in done.stdout
    done = call("rmi", "--force", "nothing")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)


def test_prune_asks(box):
    done = call("image", "prune", "--all")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[y/N]" in done.stderr
    assert said("images", "-q") != ""
    done = call("image", "prune", "-a", input="y\n", stdin=None)
    assert done.returncode == 0
    assert re.fullmatch(rf"Untagged: {BOX}\nTotal reclaimed space: [\d.]+ MB\n", done.stdout)
    assert said("images", "-q") == ""


def test_verify_and_repair(box, store, layout):
    assert said("image", "verify") == ""
    (facts,) = json.loads(said("inspect", "box:1"))
    digest = facts["manifest"]["layers"][1]["digest"]
    damaged = store / "images/blobs/sha256" / digest.removeprefix("sha256:")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    done = call("image", "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"blob {digest} is damaged")
    assert done.stdout.endswith(f"(needed by {BOX})\n")
    assert digest in said("image", "repair")
    assert call("image", "verify").stdout == f"image {BOX} has not its blob {digest}\n"
    said("pull", f"oci:{layout}:{BOX}")
    assert said("image", "verify", "--format", "json") == "[]\n"


# -- what goes wrong


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--pull", "never", "debian:13", "true"], 125),
        (["pull", "oci:/nowhere"], 1),
        (["pull", "Debian"], 1),
        (["pull"], 125),
        (["pull", "--nothing", "debian"], 125),
        (["push", "debian"], 1),
        (["tag", "debian", "other"], 1),
        (["history", "debian"], 1),
        (["save", "debian", "-o", "/nowhere/x"], 1),
        (["load", "-i", "/nowhere"], 1),
        (["import", "/nowhere"], 1),
        (["copy", "oci:/nowhere", "dir:/nowhere/x"], 1),
        (["image", "dance"], 125),
        (["image", "df", "what"], 125),
    ],
)
def test_exit_codes(store, words, code):
    done = call(*words)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("pycgroups: ")
    assert done.stderr.count("\n") == 1


def test_images_as_a_template_has_them(box):
    form = "{{.Repository}}:{{.Tag}} {{.ID}}"
    assert said("images", "--no-trunc", "--format", form) == f"box:1 {box}\n"
    assert said("images", "--format", "table {{.Repository}}").split() == ["REPOSITORY", "box"]
    assert call("images", "--format", "{{.Name}}").returncode == 125


def test_images_that_are_so(box, layout):
    said("pull", "-q", f"oci:{layout}:example.com/other:2")
    for words, names in (
        (["-f", "reference=b*"], ["box"]),
        (["-f", "reference=box:1", "-f", "reference=*/other"], ["box", "example.com/other"]),
        (["--filter", "dangling=true"], []),
        (["-f", "dangling=false", "-f", "reference=*other*"], []),
        (["-f", "dangling=false", "-f", "reference=*.com/*:2"], ["example.com/other"]),
        (["-f", "label=none"], []),
    ):
        assert sorted(said("images", "--format", "{{.Repository}}", *words).split()) == names
    for word in ("since", "before"):
        assert "box" not in said("images", "--format", "{{.Repository}}", "-f", f"{word}=box:1").split()
    for wrong, code in (("dangling=perhaps", 125), ("size=1", 125), ("before=nothing", 1)):
        done = call("images", "-f", wrong)
        assert (done.returncode, done.stdout) == (code, "")


def test_templates_have_what_an_image_could_say(box):
    assert said("inspect", "-f", "{{.Config.OS}} {{.Config.Config.StopSignal}}.", "box:1") == "linux .\n"
    done = call("inspect", "-f", "{{.Config.Config.Nothing}}", "box:1")
    assert (done.returncode, "StopSignal" in done.stderr) == (125, True)


@pytest.mark.parametrize("command", ["run", "create", "explain"])
def test_a_program_that_is_taken_for_an_image(command, store):
    done = call(command, "--pull", "never", "sh", "-c", "true")
    assert (done.returncode, done.stderr.count("\n"), "pycgroups run -- sh" in done.stderr) == (125, 1, True)
    assert "pycgroups run --" not in call(command, "--pull", "never", "no-such-program").stderr


def test_inspect_tells_what_there_is(box):
    done = call("inspect", "nothing", "box:1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert [image["id"] for image in json.loads(done.stdout)] == [box]


def test_nothing_of_an_image_steers_the_terminal(store, scratch):
    archive = scratch / "root.tar"
    archive.write_bytes(BASE)
    said("import", "--message", "\x1b]0;owned\x07\n", "-c", "LABEL a=\x1b[31m", archive, "evil")
    for words in (["history", "evil"], ["inspect", "evil"], ["images", "--format", "json"]):
        assert all(char.isprintable() or char == "\n" for char in said(*words))
    assert "\\x1b]0;owned\\x07" in said("history", "evil")


# -- how far it is

on_a_terminal = pytest.mark.slow_in_vm("a terminal has seconds to answer, and cgroup v2 changes nothing about that")


def show(*words):
    return Session(*COMMAND, *map(str, words), env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})


@on_a_terminal
def test_a_table_on_a_terminal(box):
    with show("images") as session:
        session.expect(r"box +1 +[0-9a-f]{12} .*MB\r\n$")
        assert session.end() == 0


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/dev/null")
    with Registry("slow-ok") as registry:
        yield registry


@on_a_terminal
def test_bars_on_a_terminal(slow, scratch):
    with show("copy", f"docker://{slow.reference}", f"oci:{scratch}/layout") as session:
        session.expect(r"copying [0-9a-f]{12} ━*.* [\d.]+/300.0 kB .*B/s .*\d\d:\d\d")
        session.expect(r"\r\x1b\[2K[0-9a-f]{12}  copied  300 kB\r\n")
        session.expect(r"\r\x1b\[2K\r?sha256:[0-9a-f]{64}\r\n$")
        assert session.end() == 0


@on_a_terminal
def test_interrupted(slow, scratch):
    with show("copy", f"docker://{slow.reference}", f"oci:{scratch}/layout") as session:
        session.expect(r"copying [0-9a-f]{12} .*/300.0 kB")
        session.type("\x03")
        session.expect(r"\r\x1b\[2K\r?pycgroups: interrupted\r\n$")
        assert session.end() == 130
        assert "\x1b[?25l" not in session.seen
    assert os.listdir(scratch / "layout") == []


@on_a_terminal
def test_unpacking_is_shown(store, layout):
    with show("pull", f"oci:{layout}:{BOX}") as session:
        session.expect(r"[0-9a-f]{12}  copied  ")
        session.expect(rf"{BOX}\r\n$")
        assert session.end() == 0


def test_no_bars_in_a_pipe(store, layout):
    assert call("pull", f"oci:{layout}:{BOX}").stderr == ""


def test_a_line_for_each_blob(store, layout):
    done = call("pull", "--progress=plain", f"oci:{layout}:{BOX}")
    ends = [line.split("  ")[1] for line in done.stderr.splitlines()]
    assert sorted(ends) == ["copied"] * 3 + ["unpacked"] * 2


@on_a_terminal
def test_terminals_are_no_place_for_archives(box):
    with show("save", "box:1") as session:
        session.expect("stdout is a terminal.*--output")
        assert session.end() == 1
    with show("load") as session:
        session.expect("stdin is a terminal.*--input")
        assert session.end() == 1
