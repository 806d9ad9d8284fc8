"""What the values of flags mean, and the documents and tables that are printed."""

from __future__ import annotations

import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups.cgroups.stats import CpuStats, MemoryEvents, MemoryStats, PidsStats, Stats
from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.oci.reading import part_of, spec_of
from pycgroups.oci.resources import Resources
from pycgroups.oci_cli import COMMANDS, events, features, kill, ps, spec, update
from pycgroups.oci_cli.exec import changed as changed_process
from pycgroups.oci_cli.indented import indented
from pycgroups.oci_cli.list import table
from pycgroups.runtime import State


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("512b", 512),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2 k", 2048),
        ("1t", 1 << 40),
        ("-1", -1),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_sizes(text, expected):
    assert update.size(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-2", "1x", "1.2.3m", "٣m", "1e3", "0x10", " 1"])
def test_no_size(text):
    with pytest.raises(ValueError, match="a number of bytes"):
        update.size(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("9", 9),
        ("10", 10),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-2", signal.SIGRTMAX - 2),
        ("64", 64),
    ],
)
def test_signals(text, number):
    assert kill.signal_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-9",
        "65",
        "SIG",
        "NOPE",
        "_DFL",
        "SIG_DFL",
        "_BLOCK",
        "RTMIN+",
        "RTMIN+99",
        "RTMAX-99",
        "\N{FULLWIDTH DIGIT NINE}",
    ],
)
def test_no_signal(text):
    with pytest.raises(InvalidConfig, match="unknown signal"):
        kill.signal_number(text)


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_documents)
def test_indented_is_what_json_writes(document):
    assert indented(document, "  ") == json.dumps(document, indent=2)


# -- exec -------------------------------------------------------------------------------------------------------------

PROCESS = {
    "terminal": True,
    "consoleSize": {"height": 1, "width": 1},
    "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
    "args": ["sh"],
    "env": ["A=1"],
    "cwd": "/",
    "capabilities": {"bounding": ["CAP_KILL"], "ambient": ["CAP_CHOWN"]},
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
}


def test_what_is_executed_is_as_the_containers_own():
    assert changed_process(PROCESS, {}, ["ls", "-l"]) == {
        **{key: value for key, value in PROCESS.items() if key != "consoleSize"},
        "args": ["ls", "-l"],
        "terminal": False,
    }


def test_flags_change_it():
    flags = {
        "tty": True,
        "user": {"uid": 7},
        "additional_gids": [9],
        "env": ["B=2"],
        "cwd": "/tmp",
        "cap": ["CAP_NET_RAW"],
        "no_new_privs": True,
        "apparmor": "profile",
        "process_label": "label",
    }
    changed = changed_process(PROCESS, flags, ["id"])
    assert changed["user"] == {"uid": 7, "gid": 2, "additionalGids": [3, 9]}
    assert changed["env"] == ["A=1", "B=2"]
    assert (changed["cwd"], changed["terminal"], changed["noNewPrivileges"]) == ("/tmp", True, True)
    assert (changed["apparmorProfile"], changed["selinuxLabel"]) == ("profile", "label")
    assert changed["capabilities"] == {
        "bounding": ["CAP_KILL", "CAP_NET_RAW"],
        "effective": ["CAP_CHOWN", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_NET_RAW"],
        "ambient": ["CAP_CHOWN"],
    }
    assert PROCESS["env"] == ["A=1"]  # the container's own stays


@pytest.mark.parametrize(("user", "expected"), [({"uid": 0}, ["CAP_KILL"]), ({"uid": 7}, []), ({}, ["CAP_KILL"])])
def test_another_user_has_no_capabilities_of_the_containers(user, expected):
    """Which it would lose by its exec, but for files with some."""
    process = {**PROCESS, "capabilities": {key: ["CAP_KILL"] for key in ("bounding", "effective", "permitted")}}
    sets = changed_process(process, {"user": user} if user else {}, ["id"])["capabilities"]
    assert sets == {"bounding": ["CAP_KILL"], "effective": expected, "permitted": expected}


# -- update -----------------------------------------------------------------------------------------------------------


def asked(*arguments):
    return update.document(update.COMMAND.read("update", None, ["web", *arguments]).flags)


def test_flags_are_a_document():
    assert asked("--memory", "64m", "--pids-limit", "7", "--cpuset-cpus", "0-1", "--blkio-weight", "500") == {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 7},
        "cpu": {"cpus": "0-1"},
        "blockIO": {"weight": 500},
    }


def test_every_flag_has_its_place():
    for name, place, _, _, read in update._PLACES:
        section, _, key = place.partition(".")
        value = "0-1" if read is None else "12"
        assert asked(name, value) == {section: {key: value if read is None else 12}}
        part_of(Resources, asked(name, value), "resources")


def test_a_file_counts_alone_and_its_zeros_say_nothing(tmp_path):
    document = {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": 1 << 26, "swap": 0, "reservation": None},
        "cpu": {"shares": 0, "cpus": "", "quota": -1, "idle": 0},
        "pids": {"limit": 0},
        "unified": {"memory.high": "1"},
    }
    (tmp_path / "file").write_text(json.dumps(document))
    assert asked("-r", str(tmp_path / "file"), "--memory", "1m") == {
        "memory": {"limit": 1 << 26},
        "cpu": {"quota": -1, "idle": 0},
        "unified": {"memory.high": "1"},
    }


@pytest.mark.parametrize("flag", ["--l3-cache-schema", "--mem-bw-schema"])
def test_intel_rdt_is_refused(flag):
    with pytest.raises(Unsupported, match="Intel RDT"):
        asked(flag, "L3:0=f")


# -- tables and documents ---------------------------------------------------------------------------------------------


def state(**changes):
    facts = {"oci_version": "1.2.0", "id": "web", "status": "running", "pid": 7, "bundle": "/b", "rootfs": "/b/r"}
    return State(**{**facts, "created": "2026-01-02T03:04:05Z", "owner": "root", "annotations": {}, **changes})


def test_the_table_of_containers():
    assert table([]).split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    header, row, wide = table([state(), state(id="a-long-name-of-one")]).splitlines()
    assert row.split() == ["web", "7", "running", "/b", "2026-01-02T03:04:05Z", "root"]
    assert header.index("PID") == row.index("7") == wide.index("7") == len("a-long-name-of-one") + 3
    assert header.index("BUNDLE") == row.index("/b")


PS = """\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 17:00 ?        00:00:01 /sbin/init
root          17       1  0 17:00 ?        00:00:00 sleep 7
root         170       1  0 17:00 ?        00:00:00 cat 17
"""


def test_the_table_of_processes():
    header, first, *_, last = PS.splitlines(keepends=True)
    assert ps.table(PS, [1, 170]) == header + first + last
    assert ps.table(PS, []) == header
    with pytest.raises(Unsupported, match="no column PID"):
        ps.table("CMD\nsleep\n", [1])
    with pytest.raises(Unsupported, match="no column PID"):
        ps.table("", [1])


@pytest.mark.parametrize("rootless", [False, True])
def test_the_config_to_begin_with_is_one(rootless):
    document = spec.document(rootless=rootless)
    found = spec_of(json.loads(indented(document, "\t")))
    assert found.process.terminal
    assert {space.type for space in found.linux.namespaces} >= {"pid", "mount", "ipc", "uts"}
    assert bool(found.linux.uid_mappings) is rootless


def test_the_features_are_the_specifications():
    document = json.loads(indented(features.document(), "  "))
    assert {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations"} == set(document)
    assert {"rbind", "ro", "rro", "idmap"} <= set(document["mountOptions"])
    assert len(document["hooks"]) == 6
    linux = document["linux"]
    assert {"CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"} <= set(linux["capabilities"])
    assert {"SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"} <= set(linux["seccomp"]["actions"])
    assert {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"} <= set(linux["seccomp"]["archs"])
    assert set(linux["namespaces"]) == {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}


def test_a_sample_has_runcs_words():
    stats = Stats(
        cpu=CpuStats(total=1.5, user=1.0, system=0.5),
        memory=MemoryStats(current=4096, events=MemoryEvents()),
        io=None,
        pids=PidsStats(current=3),
        hugetlb=None,
        pressure=None,
    )
    found = events.data(stats)
    assert found["cpu"]["usage"] == {"total": 1_500_000_000, "kernel": 500_000_000, "user": 1_000_000_000}
    assert found["memory"]["usage"] == {"limit": 2**64 - 1, "usage": 4096, "failcnt": 0}
    assert found["pids"] == {"current": 3}
    assert found["blkio"] == {}
    json.dumps(found)


def test_every_command_says_what_it_does():
    assert set(COMMANDS) >= {"create", "start", "state", "kill", "delete", "run", "exec", "checkpoint", "restore"}
    assert all(what and not what.endswith(".") for what in COMMANDS.values())
