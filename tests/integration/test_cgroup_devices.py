"""Device rules on the real kernel: what a process in a group can open and make, on v1 and v2."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import subprocess
import sys
import textwrap
from itertools import product
from pathlib import Path

import pytest

from pycgroups import cgroups, errors
from pycgroups._native import bpf
from pycgroups._native.calls import lib
from pycgroups.cgroups import Cgroup
from pycgroups.cgroups.files import Directory
from pycgroups.cgroups.v2.devices import Devices
from pycgroups.oci.resources import DeviceRule, Resources
from tests.waiting import PATIENCE, wait_for

needs_root = pytest.mark.requires("root", "unshare")

NULL, ZERO, RANDOM, LOOP, OTHER_LOOP = ("c", 1, 3), ("c", 1, 5), ("c", 1, 8), ("b", 7, 0), ("b", 7, 77)
DEVICES = [NULL, ZERO, RANDOM, LOOP, OTHER_LOOP]

# Says whether it was the group that refused (EPERM): that there is no such device is none of its business.
WORKER = """
    import errno, os, select, stat, sys

    FLAGS = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}

    def use(access, kind, major, minor):
        name = f"{kind}{major}:{minor}"
        try:
            if access == "m":
                make("made", kind, major, minor)
                os.unlink("made")
            else:
                os.close(os.open(name, FLAGS[access] | os.O_NONBLOCK))
        except PermissionError as error:
            assert error.errno == errno.EPERM
            return False
        except OSError as error:
            assert error.errno in (errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EBUSY), error
        return True

    def make(name, kind, major, minor):
        mode = stat.S_IFBLK if kind == "b" else stat.S_IFCHR
        os.mknod(name, mode | 0o600, os.makedev(int(major), int(minor)))

    os.chdir(sys.argv[1])
    for device in sys.argv[2:]:
        make(device.replace(" ", "", 1).replace(" ", ":"), *device.split())
    print("ready", flush=True)
"""
ANSWER = """
    for line in sys.stdin:
        print(*(int(use(*question.split())) for question in line.split(",")), flush=True)
"""
USE = """
    sys.stdin.readline()
    uses = refused = granted = 0
    print("begun", flush=True)
    while True:
        if select.select([0], [], [], 0)[0]:
            sys.stdin.readline()
            print(uses, refused, granted, flush=True)
        uses += 1
        refused += not use("rw", "c", 1, 3) or not use("m", "c", 1, 3)
        granted += use("r", "c", 1, 5) or use("rw", "c", 1, 8) or use("m", "b", 7, 0)
"""


def rule(allow, device=(None, None, None), access="rwm"):
    kind, major, minor = device
    return DeviceRule(allow=allow, type=kind, major=major, minor=minor, access=access)


def allowed(rules, device, access):
    """Tell by a plain reading of the rules."""

    def decided(letter):
        decision = False
        for each in rules:
            numbers = (each.major, each.minor)
            matches = all(number in (None, own) for number, own in zip(numbers, device[1:], strict=True))
            if each.type in (None, "a", device[0]) and matches and letter in each.access:
                decision = each.allow
        return decision

    return all(map(decided, access))


def v2():
    """V1 cannot say every list, and refuses what a group above does not have."""
    return cgroups.info().hierarchy == "v2"


class Worker:
    """A process with nodes of all devices on a tmpfs of its own; it enters a group when told."""

    def __init__(self, process):
        self.process = process
        assert self.line() == "ready"

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, "no answer"
        return self.process.stdout.readline().strip()

    def say(self, text):
        self.process.stdin.write(f"{text}\n")

    def may(self, *questions):
        """Ask for accesses to devices, as ("rw", NULL)."""
        self.say(",".join(f"{access} {device[0]} {device[1]} {device[2]}" for access, device in questions))
        return [answer == "1" for answer in self.line().split()]


@contextlib.contextmanager
def working(place, group, code=ANSWER):
    program = textwrap.dedent(WORKER) + textwrap.dedent(code)
    names = [" ".join(map(str, device)) for device in DEVICES]
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(place)]
    command = [*mount, sys.executable, "-S", "-c", program, str(place), *names]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            worker = Worker(process)
            group.add(process.pid)
            yield worker
        finally:
            process.kill()


ACCESSES = list(product(("r", "w", "rw", "m"), DEVICES))


def check(worker, rules):
    assert dict(zip(ACCESSES, worker.may(*ACCESSES), strict=True)) == {
        (access, device): allowed(rules, device, access) for access, device in ACCESSES
    }


@needs_root
def test_what_is_allowed_and_what_is_not(tmp_path):
    rules = [
        rule(False),
        rule(True, ("c", None, None), "m"),
        rule(True, NULL),
        rule(True, ZERO, "r"),
        *([rule(True, ("b", 7, None), "r"), rule(False, OTHER_LOOP)] if v2() else [rule(True, LOOP, "r")]),
    ]
    with Cgroup.create(devices=rules) as group, working(tmp_path, group) as worker:
        check(worker, rules)
        assert worker.may(("rw", NULL), ("r", ZERO), ("rw", ZERO), ("m", ZERO), ("r", LOOP), ("m", LOOP)) == [
            *(True, True, False, True, True, False),
        ]
        rules = [rule(True, ZERO)]
        group.set_devices(rules)
        check(worker, rules)
        with pytest.raises(errors.InvalidConfig, match="at least one"):
            group.set_devices([])
        with pytest.raises(errors.InvalidConfig, match=r"devices\[1\]\.access"):
            group.set_devices([rule(True), rule(True, access="x")])
        check(worker, rules)


def made_up(dice):
    def of(*choices):
        return dice.choice(choices)

    return [
        rule(
            of(True, False),
            (of(None, "a", "b", "c"), of(None, 1, 7), of(None, 0, 3, 8)),
            of("r", "w", "m", "rw", "rwm"),
        )
        for _ in range(dice.randint(1, 6))
    ]


@needs_root
def test_any_rules(tmp_path):
    """The kernel's own answers, for rules without rhyme or reason."""
    dice, tried = random.Random(5), 0
    with Cgroup.create(devices=[rule(False)]) as group, working(tmp_path, group) as worker:
        for _ in range(40):
            rules = made_up(dice)
            try:
                group.set_devices(rules)
            except errors.Unsupported:
                assert not v2()
                continue
            check(worker, rules)
            tried += 1
    assert tried >= 10


@needs_root
@pytest.mark.requires("cgroup_v1")
def test_the_program_beside_v1(tmp_path):
    """Where v1 has the controller, the v2 directory of a group takes the program all the same."""
    dice = random.Random(6)
    with Cgroup.create(pids=20) as group, working(tmp_path, group) as worker:
        (path,) = [path for path in group.paths if Path(path, "cgroup.events").exists()]
        with Directory(path) as directory:
            for _ in range(40):
                rules = made_up(dice)
                Devices().apply(directory, Resources(devices=tuple(rules)))
                check(worker, rules)
                assert len(programs(group)) <= 1


@needs_root
@pytest.mark.parametrize("kind", ["none but", "all but"])
def test_updates_leave_no_gap(tmp_path, kind):
    always = {
        "none but": [rule(True, NULL), rule(True, RANDOM, "w")],
        "all but": [rule(True), rule(False, ZERO, "r"), rule(False, RANDOM, "r"), rule(False, ("b", 7, None), "m")],
    }[kind]
    sometimes = [
        [rule(kind == "none but", ("c", 1, 200 + n), access) for n in range(5)]
        + [rule(True, ("c", 1, None), "m")] * more
        for access, more in (("rwm", 0), ("r", 1), ("w", 0), ("m", 1))
    ]
    with Cgroup.create(devices=always) as group, working(tmp_path, group, code=USE) as worker:
        worker.say("go")
        assert worker.line() == "begun"
        told = [0]
        while told[0] < 100:  # meanwhile, however busy the machine is
            for turn in range(200):
                group.set_devices([*always, *sometimes[turn % len(sometimes)]])
            worker.say("how many?")
            told = [*map(int, worker.line().split())]
        assert told[1:] == [0, 0]


@needs_root
def test_a_group_inside_has_at_most_what_the_outer_one_has(tmp_path):
    name = f"devices-{os.getpid()}"
    with Cgroup.create(name, devices=[rule(True, NULL), rule(True, ZERO, "r")]):
        with (
            Cgroup.create(f"{name}/less", devices=[rule(True, ZERO, "rwm" if v2() else "r")]) as inner,
            working(tmp_path, inner) as worker,
        ):
            assert worker.may(("r", ZERO), ("w", ZERO), ("r", NULL)) == [True, False, False]
        if v2():
            return
        for too_much in ([rule(True, ZERO)], [rule(True)]):
            with pytest.raises(errors.CgroupError, match=f"{name}/devices.list") as caught:
                Cgroup.create(f"{name}/more", devices=too_much)
            assert caught.value.errno == errno.EPERM
        with pytest.raises(errors.CgroupError, match="at most what"):
            Cgroup.create(f"{name}/more", devices=[rule(True, RANDOM)])


@needs_root
def test_from_everything_to_little_and_back(tmp_path):
    with Cgroup.create(devices=[rule(True)]) as group, working(tmp_path, group) as worker:
        check(worker, [rule(True)])
        for rules in ([rule(True, NULL)], [rule(True)], [rule(True), rule(False, ZERO)], [rule(False)], [rule(True)]):
            group.set_devices(rules)
            check(worker, rules)


@needs_root
def test_rules_are_for_groups_that_were_made_with_some():
    with Cgroup.create(pids=5) as group, pytest.raises(errors.Unsupported, match="made without"):
        group.set_devices([rule(True)])


@needs_root
def test_rules_and_limits_together(tmp_path):
    with (
        Cgroup.create(pids=9, memory="64M", devices=[rule(True, NULL)]) as group,
        working(tmp_path, group) as worker,
    ):
        assert worker.may(("rw", NULL), ("r", ZERO)) == [True, False]
        assert group.unenforced == ()
        group.set(pids=10)
        assert worker.may(("rw", NULL), ("r", ZERO)) == [True, False]


def programs(group):
    """Ids of the programs at the v2 directory of a group."""
    (path,) = [path for path in group.paths if Path(path, "cgroup.events").exists()]
    with Directory(path) as directory:
        result, ids = bpf.attached(directory.fd, lib.BPF_CGROUP_DEVICE)
    assert result == 0
    return ids


def wait_until_gone(id_):
    """Wait for a program to go: the kernel lets go of it some time after the group."""

    def is_gone():
        if (fd := bpf.open_(id_)) >= 0:
            os.close(fd)
        return fd == -errno.ENOENT

    wait_for(is_gone)


@needs_root
def test_the_verifier_says_why():
    code = b"\x95" + bytes(7)  # returns what was never written to
    error, log = bpf.load(lib.BPF_PROG_TYPE_CGROUP_DEVICE, lib.BPF_CGROUP_DEVICE, "bad", code)
    assert error == -errno.EACCES
    assert "R0 !read_ok" in log


@needs_root
@pytest.mark.requires("cgroup_v2")
def test_there_is_one_program_and_none_after():
    with Cgroup.create(devices=[rule(False)]) as group:
        (first,) = programs(group)
        group.set_devices([rule(True, NULL)])
        (second,) = programs(group)
        wait_until_gone(first)
        group.set_devices([rule(True)])
        assert programs(group) == ()
        wait_until_gone(second)
        group.set_devices([rule(True, NULL)])
        (third,) = programs(group)
    wait_until_gone(third)


@pytest.mark.requires("rootless")
def test_an_ordinary_user_is_told(nothing_left):
    for require_limits in (True, False):
        with pytest.raises(errors.Unsupported, match="root of the host"):
            Cgroup.create(devices=[rule(True, NULL)], require_limits=require_limits)


@pytest.mark.requires("userns", "unshare")
def test_root_of_a_user_namespace_is_told():
    code = """
        from pycgroups import errors
        from pycgroups.cgroups import Cgroup
        from pycgroups.oci.resources import DeviceRule
        try:
            Cgroup.create(devices=[DeviceRule(allow=True, type="c")])
        except errors.Unsupported as error:
            print(error.hint)
    """
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    assert "root of the host" in done.stdout
