"""Classes of service, in a directory that stands for resctrl."""

from __future__ import annotations

import os

import pytest

from pycgroups.errors import Error, InvalidConfig, NotFound, Unsupported
from pycgroups.oci.uncommon import IntelRdt
from pycgroups.runtime import resctrl


@pytest.fixture
def top(tmp_path, monkeypatch):
    """As the kernel has it: a directory has its files at once, and goes with them."""
    top = tmp_path / "resctrl"
    make, remove = os.mkdir, os.rmdir

    def mkdir(path, *arguments, **options):
        make(path, *arguments, **options)
        for name, content in (("schemata", "    L3:0=7ff;1=7ff\n    MB:0=100;1=100\n"), ("tasks", "")):
            with open(f"{path}/{name}", "w") as file:
                file.write(content)
        if "/mon_groups" not in str(path):
            make(f"{path}/mon_groups")

    def rmdir(path):
        for directory, _, names in os.walk(path, topdown=False):
            for name in names:
                os.unlink(f"{directory}/{name}")
            if directory != path:
                remove(directory)
        remove(path)

    mkdir(top)
    (top / "info").mkdir()
    monkeypatch.setattr(resctrl.os, "mkdir", mkdir)
    monkeypatch.setattr(resctrl.os, "rmdir", rmdir)
    return top


def text(path):
    return path.read_text()


def test_where_it_is_mounted(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 0:20 / /proc rw - proc proc rw\n"
        "23 1 0:21 / /resctrl of a user rw - tmpfs resctrl rw\n"
        "24 1 0:22 / /sys/fs/resctrl rw,relatime shared:7 - resctrl resctrl rw\n"
    )
    assert resctrl.mounted(str(table)) == "/sys/fs/resctrl"
    table.write_text("22 1 0:20 / /proc rw - proc proc rw\n")
    with pytest.raises(Unsupported, match="mount -t resctrl"):
        resctrl.mounted(str(table))


def test_a_class_of_its_own_goes_with_it(top):
    wanted = resctrl.plan(IntelRdt(l3_cache_schema="L3:0=f", schemata=("L2:0=1",)), "web", str(top))
    assert wanted.directories == wanted.missing == (f"{top}/web",)
    resctrl.make(wanted)
    assert text(top / "web/schemata") == "L2:0=1\n"  # the last that was written
    resctrl.enter(wanted.directories, 42)
    assert text(top / "web/tasks") == "42\n"
    resctrl.remove(wanted.missing)
    assert not (top / "web").exists()
    resctrl.remove(wanted.missing)


def test_the_order_of_lines():
    rdt = IntelRdt(mem_bw_schema="MB:0=20", l3_cache_schema="L3:0=f", schemata=("L2:0=1", "MB:0=30"))
    wanted = resctrl.plan(rdt, "web", "/nowhere")
    assert wanted.schemata == ("L3:0=f", "MB:0=20", "L2:0=1", "MB:0=30")


def test_a_class_that_is_there_stays(top):
    os.mkdir(top / "gold")
    wanted = resctrl.plan(IntelRdt(clos_id="gold"), "web", str(top))
    assert (wanted.directories, wanted.missing, wanted.schemata) == ((f"{top}/gold",), (), ())
    before = text(top / "gold/schemata")
    resctrl.make(wanted)
    assert text(top / "gold/schemata") == before


def test_a_class_that_is_named_and_not_there(top):
    with pytest.raises(NotFound, match="gold"):
        resctrl.plan(IntelRdt(clos_id="gold"), "web", str(top))
    wanted = resctrl.plan(IntelRdt(clos_id="gold", mem_bw_schema="MB:0=50"), "web", str(top))
    assert (wanted.new, wanted.missing) == (True, ())  # it is made, and stays
    resctrl.make(wanted)
    assert text(top / "gold/schemata") == "MB:0=50\n"


@pytest.mark.parametrize("line", ["L3:0=7ff;1=7ff", "L3:1=7FF", "L3: 0 = 07ff", "MB:0=100"])
def test_a_class_that_has_the_limits(top, line):
    os.mkdir(top / "gold")
    limits = {"mem_bw_schema": line} if line.startswith("MB") else {"l3_cache_schema": line}
    resctrl.make(resctrl.plan(IntelRdt(clos_id="gold", **limits), "web", str(top)))
    assert text(top / "gold/schemata") == f"{line}\n"


@pytest.mark.parametrize("line", ["L3:0=7fe", "L3:2=7ff", "L2:0=1"])
def test_a_class_that_has_other_limits(top, line):
    os.mkdir(top / "gold")
    before = text(top / "gold/schemata")
    with pytest.raises(InvalidConfig, match=line):
        resctrl.make(resctrl.plan(IntelRdt(clos_id="gold", l3_cache_schema=line), "web", str(top)))
    assert text(top / "gold/schemata") == before


def test_the_default_class(top):
    wanted = resctrl.plan(IntelRdt(clos_id="/", enable_monitoring=True), "web", str(top))
    assert wanted.directories == (str(top), f"{top}/mon_groups/web")
    assert wanted.missing == (f"{top}/mon_groups/web",)
    resctrl.make(wanted)
    resctrl.enter(wanted.directories, 42)
    assert text(top / "tasks") == text(top / "mon_groups/web/tasks") == "42\n"
    resctrl.remove(wanted.missing)
    assert top.exists()


def test_what_is_measured_goes_first(top):
    wanted = resctrl.plan(IntelRdt(enable_monitoring=True), "web", str(top))
    assert wanted.missing == (f"{top}/web/mon_groups/web", f"{top}/web")


def test_the_kernels_own_words(top):
    os.mkdir(top / "gold")
    (top / "info/last_cmd_status").write_text("mask f has non-consecutive 1-bits\n")
    (top / "gold/schemata").unlink()
    (top / "gold/schemata").mkdir()
    with pytest.raises(Error, match="non-consecutive"):
        resctrl.make(resctrl.plan(IntelRdt(clos_id="gold", schemata=("L3:0=5",)), "web", str(top)))
    with pytest.raises(Error, match="num_closids"):
        resctrl.make(resctrl.plan(IntelRdt(), "a/b", str(top)))
