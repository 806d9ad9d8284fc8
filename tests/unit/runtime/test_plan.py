"""The launch plan, made and encoded without touching anything."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycgroups._native.calls import lib
from pycgroups.errors import Unsupported
from pycgroups.oci import runtime_spec as oci
from pycgroups.oci.runtime_spec import IdMapping
from pycgroups.runtime import creation, wording
from pycgroups.runtime import plan as plans
from pycgroups.runtime.cgroup_mounts import Shown
from pycgroups.runtime.plan import make_plan
from pycgroups.runtime.program import RULESET, Manner, candidates
from pycgroups.runtime.rootfs import Directory, Entered, Layer, Layered, Stacked
from pycgroups.runtime.steps import Step, Terminal
from pycgroups.security import capabilities
from pycgroups.security.landlock import Ruleset

MAP = (IdMapping(0, 100_000, 65536),)
ALL = ("user", "pid", "mount", "uts", "ipc", "cgroup", "network")
PROC = oci.Mount(destination="/proc", type="proc", source="proc", options=("nosuid",))
DEV = oci.Mount(destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "mode=755"))


def spec(*, namespaces=ALL, joined=(), maps=MAP, mounts=(PROC, DEV), process=None, linux=None, **options):
    spaces = tuple(oci.NamespaceSpec(kind, None) for kind in namespaces) + tuple(
        oci.NamespaceSpec(*one) for one in joined
    )
    base = {"args": ("prog", "arg"), "cwd": "/", "env": ("PATH=/bin:/usr/bin",), "user": oci.User(uid=0, gid=0)}
    held = ("CAP_CHOWN", "CAP_KILL")
    base["capabilities"] = oci.Capabilities(bounding=held, effective=held, permitted=held)
    user = {"uid_mappings": maps, "gid_mappings": maps} if "user" in namespaces else {}
    return oci.Spec(
        process=oci.Process(**{**base, **(process or {})}),
        root=oci.Root(path="/r", readonly=options.pop("readonly", False)),
        mounts=mounts,
        linux=oci.Linux(namespaces=spaces, **user, **(linux or {})),
        **options,
    )


def make(of=None, rootfs=None, *, privileged=True, **options):
    manner = Manner(**{name: options.pop(name) for name in Manner._fields if name in options})
    return make_plan(of or spec(), rootfs or Directory(path="/r"), privileged=privileged, manner=manner, **options)


def names(steps):
    return [step.name for step in steps]


def find(plan, name):
    return [step for step in plan.steps if step.name == name]


def one(plan, name):
    (step,) = find(plan, name)
    return step


# -- encoding

HEADER = struct.Struct("=7IiQ")
RECORD = struct.Struct(f"=2I{lib.PLAN_ARGS}q{2 * lib.PLAN_STRINGS}I")


def decode(block):
    """Read a plan as the helper does, with its checks (steps.c, plan_check)."""
    magic, size, flags, passed, prepare, setup, count, *_ = HEADER.unpack_from(block)
    assert (magic, size) == (lib.PLAN_MAGIC, len(block))
    assert prepare <= setup <= count
    steps = []
    for number in range(count):
        op, step_flags, *rest = RECORD.unpack_from(block, HEADER.size + number * RECORD.size)
        args, places = rest[: lib.PLAN_ARGS], rest[lib.PLAN_ARGS :]
        texts = []
        for start, length in zip(places[: lib.PLAN_STRINGS], places[lib.PLAN_STRINGS :], strict=True):
            assert start + length < size
            assert block[start + length] == 0
            texts.append(block[start : start + length])
        steps.append((op, tuple(args), tuple(texts), bool(step_flags & lib.STEP_OPTIONAL)))
    return flags, passed, steps[:prepare], steps[prepare:setup], steps[setup:]


def padded(step):
    args = step.args + (0,) * (lib.PLAN_ARGS - len(step.args))
    texts = step.texts + (b"",) * (lib.PLAN_STRINGS - len(step.texts))
    return step.op, args, texts, step.optional


steps = st.builds(
    Step,
    st.sampled_from(sorted(wording.OPERATIONS)),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=lib.PLAN_ARGS).map(tuple),
    st.lists(st.binary(max_size=40), max_size=lib.PLAN_STRINGS).map(tuple),
    st.booleans(),
)
some = st.lists(steps, max_size=5).map(tuple)
ANY = make()


@given(some, some, some, st.integers(0, 100), st.booleans())
def test_what_is_encoded_is_read_as_it_was(prepare, setup, main, given_, init):
    plan = ANY._replace(prepare=prepare, setup=setup, main=main, given=given_, init=init)
    flags, passed, *parts = decode(plan.encode())
    assert flags == (lib.PLAN_INIT if init else 0)
    assert passed == given_ + plan.first_part
    assert parts == [[padded(step) for step in part] for part in (prepare, setup, main)]


@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text), min_size=1, max_size=20))
def test_arguments_and_environment_are_exact(words):
    try:
        encoded = [os.fsencode(word) for word in words]
    except UnicodeEncodeError:
        return
    env = tuple(f"V{number}={word}" for number, word in enumerate(words))
    step = one(make(spec(process={"args": tuple(words), "env": env})), "exec")
    assert step.texts[0].split(b"\0") == encoded
    assert step.texts[1].split(b"\0") == [os.fsencode(variable) for variable in env]
    assert step.args[:2] == (len(words), len(env))


def test_empty_arguments_keep_their_place():
    step = one(make(spec(process={"args": ("prog", "", "x", ""), "env": ()})), "exec")
    assert (step.args[:2], step.texts[0]) == ((4, 0), b"prog\0\0x\0")


def test_a_plan_of_a_spec_is_the_same_each_time():
    assert make().encode() == make().encode()
    assert make() == make()
    assert hash(make()) == hash(make())


# -- namespaces and who performs it


def test_namespaces():
    plan = make()
    expected = lib.CLONE_NEWUSER | lib.CLONE_NEWNS | lib.CLONE_NEWPID | lib.CLONE_NEWNET | lib.CLONE_NEWIPC
    assert plan.namespaces == expected | lib.CLONE_NEWUTS  # the cgroup's when it is in its group
    assert one(plan, "unshare").args == (lib.CLONE_NEWCGROUP,)
    fewer = make(spec(namespaces=("pid", "mount")))
    assert fewer.namespaces == lib.CLONE_NEWPID | lib.CLONE_NEWNS
    assert not {"unshare", "become root", "lo up"} & set(names(fewer.steps))


def test_joined_namespaces_take_the_first_slots():
    plan = make(spec(namespaces=("pid", "mount"), joined=[("network", "/n"), ("ipc", "/i")]), joins=2)
    assert [step.args[0] for step in find(plan, "join")] == [0, 1]
    assert [(step.args, step.path) for step in find(plan, "setns")] == [
        ((2, lib.CLONE_NEWNET), "/n"),
        ((3, lib.CLONE_NEWIPC), "/i"),
    ]
    assert plan.given == 4
    assert "lo up" not in names(plan.steps)


def test_a_mount_namespace_of_others_is_used_as_it_is():
    joined = [("user", "/u"), ("mount", "/m")]
    others = tuple(kind for kind in ALL if kind not in {"user", "mount"})
    of = spec(
        namespaces=others, joined=joined, mounts=(), process={"cwd": "/there", "oom_score_adj": 500}, hostname="a"
    )
    plan = make(of, Entered("/m"), terminal=Terminal())
    assert names(plan.setup) == [
        *("oom score", "setns", "setns", "unshare", "fork", "become root", "death", "session", "umask", "root"),
        *("console", "hostname", "lo up"),
    ]
    assert plan.prepare == ()
    assert "oom score" not in names(plan.main)  # /proc is not the container's own


def test_trees_are_opened_by_who_may():
    """The caller where it is privileged, before the ids change; else the helper, before the root changes."""
    assert set(names(make(privileged=True).prepare)) == {"tree"}
    plan = make(privileged=False)
    assert plan.prepare == ()
    assert names(plan.setup).index("tree") < names(plan.setup).index("become root")
    assert names(plan.setup).index("tree") < names(plan.setup).index("pivot")


def test_setgroups_is_left_alone_where_it_is_denied():
    single = (IdMapping(0, 1000, 1),)
    plan = make(spec(maps=single), privileged=False)
    assert "groups" not in names(plan.steps)
    assert one(plan, "become root").args == (0,)
    assert "groups" in names(make().steps)
    assert "groups" in names(make(spec(namespaces=("pid", "mount"))).steps)


def test_init_or_none():
    with_init, without = make(init=True), make(init=False)
    assert (with_init.init, without.init) == (True, False)
    assert [step.args for step in find(without, "death") if step in without.main] == [(9,)]
    assert not [step for step in find(with_init, "death") if step in with_init.main]


# -- the root


def test_a_directory_as_root():
    plan = make(rootfs=Directory(path="/srv/root"))
    tree = plan.prepare[0]
    assert tree.path == "/srv/root"
    assert tree.args[1] == lib.AT_RECURSIVE
    assert tree.args[2] & lib.MOUNT_ATTR_NODEV
    assert tree.args[5] == -1
    assert plan.idmaps == ()


def test_an_idmapped_root():
    plan = make(rootfs=Directory(path="/srv/root", idmapped=True), joins=3)
    assert plan.idmaps == (None,)
    assert plan.given == 4
    assert plan.prepare[0].args[5] == 3  # the slot of the namespace


def test_idmapped_mounts_share_a_namespace_of_one_map():
    other = (IdMapping(0, 5, 1),)

    def bind(where, maps=()):
        options = ("rbind", "idmap")
        return oci.Mount(
            destination=where, type="none", source="/s", options=options, uid_mappings=maps, gid_mappings=maps
        )

    mounts = (PROC, bind("/a"), bind("/b"), bind("/c", other), bind("/d", other))
    plan = make(spec(mounts=mounts))
    assert plan.idmaps == (None, (other, other))
    assert [step.args[5] for step in plan.prepare if step.path == "/s"] == [0, 0, 1, 1]


def test_files_are_shown_without_being_written():
    plan = make(rootfs=Directory(path="/r", files=(("/etc/hosts", "content\n"),)))
    assert one(plan, "file").texts[1] == b"content\n"
    setup = names(plan.setup)
    mounted = [step.path for step in plan.setup if step.name == "mount"]
    assert "/etc/hosts" in mounted
    assert setup.index("file") < setup.index("pivot")


def test_a_layered_root_has_one_tmpfs_with_one_size():
    layers = (
        Layer(source="/", at="/"),
        Layer(source="/usr", at="/usr"),
        Layer(source="/data", at="/data", overlay=False),
    )
    rootfs = Layered(layers=layers, directories=(("/tmp", 0o1777),), links=(("/bin", "usr/bin"),), size=5000)
    plan = make(rootfs=rootfs)
    kinds = [step.texts for step in find(plan, "fs")]
    assert kinds[0] == (b"tmpfs", b"mode=755\0size=5000")
    overlays = [options for kind, options in kinds if kind == b"overlay"]
    assert len(overlays) == 2
    assert all(b"userxattr" in options for options in overlays)
    assert b"/usr" not in b"".join(overlays)  # no path of the user's in the options
    read_only = next(step for step in plan.prepare if step.path == "/data")
    assert read_only.args[2] & lib.MOUNT_ATTR_RDONLY
    assert "send" in names(plan.steps)
    assert "send" not in names(make(rootfs=rootfs._replace(size=None)).steps)
    assert (b"usr/bin", b"/bin") in [step.texts for step in find(plan, "symlink")]


def test_a_top_that_is_handed_over_has_a_slot_and_is_opened_by_nobody():
    rootfs = Stacked(trees=("/store",), layers=((0, "a"),), idmapped=True, top="/home")
    named, handed = make(rootfs=rootfs), make(rootfs=rootfs._replace(top="", handed=True), handed=2, joins=1)
    opened = [[step.path for step in plan.prepare] for plan in (named, handed)]
    assert opened[0] == ["/store", "/home", *opened[1][1:]]
    assert handed.given == named.given + 2 + 1 + 1
    (top,) = [step.args[0] for step in find(handed, "mount") if step.texts == (b"top",)]
    assert top == 3  # after the file of the cgroup and what the program gets, before the map of ids
    for plan in (named, handed):
        (options,) = [options for kind, options in (step.texts for step in find(plan, "fs")) if kind == b"overlay"]
        assert b"upperdir=top/upper\0workdir=top/work" in options


def test_each_overlay_has_a_slot_that_nothing_else_has():
    layers = tuple(Layer(source=f"/l{number}", at=f"/l{number}", overlay=number % 2 == 1) for number in range(6))
    mounts = (tmpfs("ro"),)
    plan = make(spec(readonly=True, mounts=mounts), Layered(layers=(Layer(source="/usr", at="/"), *layers)))
    slots = [step.args[0] for step in find(plan, "attr") if step.args[1] == lib.MOUNT_ATTR_RDONLY]
    assert len(slots) == len({*slots}) == 1 + 1 + 3  # the root, the tmpfs, overlays


# -- order and paths


def test_the_order_of_rights():
    main = names(make(secure_bits=1, seccomp_filter=b"x" * 8).main)
    wanted = ["umask", "bounding", "securebits", "groups", "ids", "caps", "ambient", "chdir", "exec"]
    assert [name for name in main if name in wanted] == wanted


def test_the_filter_is_last_with_no_new_privileges_and_early_without():
    """Without, it takes a right that is given up later: seccomp(2)."""
    late = make(spec(process={"no_new_privileges": True}), seccomp_filter=b"x" * 16)
    assert names(late.main)[-3:] == ["no new privs", "seccomp", "exec"]
    rules = Ruleset(files=7, network=1, scopes=2, paths=(("/a", 5, 4),), ports=((1, 80),))
    fenced = make(spec(process={"no_new_privileges": True}), seccomp_filter=b"x" * 16, landlock=rules).main[-7:]
    assert names(fenced) == [*("no new privs", "landlock", "allow path", "allow port", "restrict", "seccomp", "exec")]
    assert [step.args[1:] for step in fenced[1:4]] == [(7, 1, 2), (5, 4), (1, 80)]
    slots = {step.args[0] for step in fenced[1:5]}
    assert slots == {RULESET}
    early = names(make(spec(process={"no_new_privileges": False}), seccomp_filter=b"x" * 16).main)
    assert early.index("seccomp") < early.index("ids")
    assert "no new privs" not in early
    assert "seccomp" not in names(make().main)


def test_masks_come_before_sysctls_before_read_only_paths_before_pivot():
    linux = {"masked_paths": ("/a", "/a"), "readonly_paths": ("/proc/sys",), "sysctl": (("net.x", "1"),)}
    plan = make(spec(linux=linux))
    setup = names(plan.setup)
    places = [setup.index(name) for name in ("mask", "sysctl", "readonly", "pivot")]
    assert places == sorted(places)
    assert [step.optional for step in find(plan, "mask")] == [True]
    assert one(plan, "sysctl").texts == (b"net/x", b"1")


def test_nothing_of_the_image_leads_system_mounts_elsewhere():
    mounts = (
        PROC,
        DEV,
        oci.Mount(destination="/dev/shm", type="tmpfs", source="shm"),
        oci.Mount(destination="/d", type="tmpfs"),
    )
    plan = make(spec(mounts=mounts))
    strict = {step.path: bool(step.args[1] & lib.RESOLVE_NO_SYMLINKS) for step in find(plan, "mount")}
    assert {path: strict[path] for path in ("/proc", "/dev", "/dev/shm", "/d")} == {
        "/proc": True,
        "/dev": True,
        "/dev/shm": True,
        "/d": False,
    }


def test_devices_are_nodes_of_the_host_in_a_user_namespace_and_made_without():
    bound, made = make(), make(spec(namespaces=("pid", "mount")))
    assert {"/dev/null", "/dev/zero"} <= {step.path for step in bound.prepare}
    assert "node" not in names(bound.steps)
    assert "/dev/null" in {step.path for step in find(made, "node")}
    null = next(step for step in find(made, "node") if step.path == "/dev/null")
    assert null.args[:2] == (0o020666, os.makedev(1, 3))


@pytest.mark.parametrize("of", [{}, {"namespaces": ("pid", "mount")}], ids=["bound", "made"])
def test_a_default_device_that_the_spec_has_comes_once_as_it_says(of):
    zero = oci.Device(path="/dev/null/", type="c", major=1, minor=5)
    plan = make(spec(linux={"devices": (zero,)}, **of))
    there = [step for step in plan.setup if step.name in {"mount", "node"} and step.path == "/dev/null"]
    assert len(there) == 1
    assert of == {} or there[0].args[1] == os.makedev(1, 5)


def test_a_read_only_root_is_so_before_the_pivot():
    setup = names(make(spec(readonly=True)).setup)
    assert setup.index("attr") < setup.index("pivot")
    assert "attr" not in names(make().setup)
    pieces = Layered(layers=(Layer(source="/usr", at="/usr"), Layer(source="/data", at="/data", overlay=False)))
    changed = [step.args[:2] for step in find(make(spec(readonly=True), pieces), "attr")]
    assert changed[:2] == [(-1, lib.MOUNT_ATTR_RDONLY), (plans.TERMINAL - 1, lib.MOUNT_ATTR_RDONLY)]
    assert len(changed) == 3  # and /dev


def test_the_terminal():
    plan = make(terminal=Terminal(rows=24, columns=80))
    assert one(plan, "console").args[1:3] == (24, 80)
    assert "terminal" in names(plan.main)
    assert "console" not in names(make().steps)


def test_identity_and_limits():
    held = ("CAP_KILL",)
    process = {
        "user": oci.User(uid=7, gid=8, additional_gids=(9, 10), umask=0o077),
        "rlimits": (oci.Rlimit("RLIMIT_NOFILE", soft=5, hard=2**64 - 1),),
        "capabilities": oci.Capabilities(bounding=held, effective=(), permitted=(), inheritable=held, ambient=()),
        "oom_score_adj": 100,
        "cwd": "/work",
    }
    plan = make(spec(process=process), labels=(("/proc/thread-self/attr/exec", "label"),))
    assert one(plan, "ids").args == (7, 8)
    assert struct.unpack("=2I", one(plan, "groups").texts[0]) == (9, 10)
    assert one(plan, "rlimit").args == (lib.RLIMIT_NOFILE, 5, -1)
    mask = capabilities.mask(held)
    assert (one(plan, "bounding").args, one(plan, "caps").args) == ((mask,), (0, 0, mask))
    assert one(plan, "oom score").texts == (b"100",)
    assert [step.args for step in find(plan, "umask")][-1] == (0o077,)
    assert one(plan, "label").texts == (b"/proc/thread-self/attr/exec", b"label")
    assert "/work" in [step.path for step in find(plan, "mkdir")]
    assert one(plan, "chdir").path == "/work"
    assert [step.optional for step in find(created(spec(process=process)), "chdir")] == [True, False]


def test_the_default_umask_is_022():
    assert [step.args for step in find(make(), "umask")][-1] == (0o022,)


@pytest.mark.parametrize(
    ("program", "env", "expected"),
    [
        ("prog", ("PATH=/a:/b",), ["/a/prog", "/b/prog"]),
        ("prog", ("X=1", "PATH=/a::/b:"), ["/a/prog", "./prog", "/b/prog", "./prog"]),
        ("dir/prog", ("PATH=/a",), ["dir/prog"]),
        ("/abs", ("PATH=/a",), ["/abs"]),
        ("prog", (), ["prog"]),
        ("prog", ("PATH=",), ["prog"]),
        ("prog", ("NOPATH=/a", "PATH=/b", "PATH=/c"), ["/b/prog"]),
    ],
)
def test_where_a_program_is_looked_for(program, env, expected):
    assert candidates(program, env) == expected


# -- for people


def test_every_operation_has_a_name_of_words():
    assert len(set(wording.OPERATIONS.values())) == len(wording.OPERATIONS)
    assert all(name.replace(" ", "").islower() for name in wording.OPERATIONS.values())


def test_the_text_of_a_plan():
    linux = {"masked_paths": ("/proc/kcore",), "sysctl": (("net.x", "1 2"),)}
    plan = make(spec(hostname="box", linux=linux), seccomp_filter=b"x" * 80)
    text = str(plan)
    for line in (
        "prepare:",
        "setup:",
        "main:",
        "  tree           /r nodev",
        "  hostname       box",
        "  mask           /proc/kcore (if there)",
        "  sysctl         net/x 1 2",
        "  seccomp        10 instructions",
        "  ids            uid 0 gid 0",
        "  exec           prog argv=['prog', 'arg']",
    ):
        assert line in [part.rstrip() for part in text.splitlines()], line
    assert len(text.splitlines()) == len(plan.steps) + 3


def test_a_step_for_people_has_no_control_characters():
    step = Step(lib.OP_MKDIR, (0o755,), (b"/a\x1b[31m\n",))
    assert "\x1b" not in str(step)
    assert "\n" not in str(step)


# -- of a container that is created, and started later


def created(of=None, **options):
    return make(of, Directory(path="/r", devices=True), init=False, detached=True, start=True, **options)


def test_it_waits_for_its_start_as_the_last_before_its_program():
    plan = created(spec(namespaces=("pid", "mount")))
    assert names(plan.main)[-2:] == ["start", "exec"]
    assert "find" in names(plan.main)
    assert not find(plan, "death")
    assert one(plan, "start").args == (0,)
    assert plan.given == 1


def test_what_is_asked_before_the_filter():
    """To look for a program takes calls that the filter may forbid."""
    main = names(created(spec(process={"no_new_privileges": True}), seccomp_filter=b"12345678").main)
    assert main.index("find") < main.index("seccomp") < main.index("start")


def test_descriptors_are_handed_on_after_the_start():
    plan = created(spec(namespaces=("pid", "mount"), joined=[("ipc", "/i")]), joins=1, handed=3)
    assert one(plan, "start").args == (2,)
    assert one(plan, "ready").args == (3, 3, 0, 0, 2)
    assert plan.given == 1 + 1 + 1 + 3


def test_its_creator_is_waited_for_before_the_root_changes():
    assert not find(created(), "wait")
    setup = names(created(waits=True).setup)
    assert setup[-2:] == ["wait", "pivot"]
    stacked = [step.path for step in find(created(waits=True), "stack")]
    assert stacked == ["/r"]  # where hooks in the container's mount namespace look for it


def test_network_devices():
    linux = {"net_devices": (("eth0", oci.NetDevice()),)}
    setup = names(created(spec(linux=linux), waits=True).setup)
    assert setup.index("lo up") < setup.index("netlink") < setup.index("wait")


def test_a_root_that_cannot_be_pivoted():
    assert one(created(), "pivot").args == (0,)
    assert one(created(pivot=False), "pivot").args == (1,)


@pytest.mark.parametrize(
    ("fresh", "joined", "at_clone", "later", "forks"),
    [
        (("pid", "mount"), (), ("pid", "mount"), (), False),
        (("pid", "mount", "cgroup"), (), ("pid", "mount"), ("cgroup",), False),
        (("pid", "mount", "time"), (), ("mount",), ("pid", "time"), True),
        (("mount", "time"), (), ("mount",), ("time",), True),
        (("mount",), ("pid",), ("mount",), (), True),
        (("mount", "ipc"), ("user",), (), ("mount", "ipc"), False),
        (("mount", "pid"), ("user",), (), ("mount", "pid"), True),
    ],
)
def test_when_namespaces_are_made(fresh, joined, at_clone, later, forks):
    plan = created(spec(namespaces=fresh, joined=[(kind, f"/{kind}") for kind in joined]))
    assert plan.namespaces == plans._flags(at_clone)
    assert [step.args[0] for step in find(plan, "unshare")] == ([plans._flags(later)] if later else [])
    assert bool(find(plan, "fork")) is forks


def test_clocks_are_set_before_anybody_is_there():
    linux = {"time_offsets": (("boottime", oci.TimeOffset(secs=-1, nanosecs=2)), ("monotonic", oci.TimeOffset(secs=3)))}
    plan = created(spec(namespaces=("pid", "mount", "time"), linux=linux))
    setup = names(plan.setup)
    assert setup.index("unshare") < setup.index("time offsets") < setup.index("fork")
    assert one(plan, "time offsets").texts == (b"boottime -1 2\nmonotonic 3 0\n",)


def test_a_user_namespace_is_joined_first():
    plan = created(spec(namespaces=("pid",), joined=[("mount", "/m"), ("user", "/u"), ("ipc", "/i")]))
    assert [step.path for step in find(plan, "setns")] == ["/u", "/m", "/i"]


def test_groups_that_cannot_be_left_there_are_left_before():
    others = spec(namespaces=("pid",), joined=[("mount", "/m"), ("user", "/u")])
    setup = make(others, groups=False, leaves_groups=True).setup
    assert names(setup)[:3] == ["groups", "setns", "setns"]
    assert setup[0].args == (0,)
    assert "groups" not in names(make(others, groups=False).setup)
    assert "groups" not in names(make(others, leaves_groups=True).setup)
    assert "groups" not in names(make(groups=False, leaves_groups=True).setup)  # a user namespace of its own


def tmpfs(*options):
    return oci.Mount(destination="/data", type="tmpfs", source="tmpfs", options=options)


@pytest.mark.parametrize(
    ("options", "like", "read_only_later"),
    [
        (("mode=755",), [], False),
        ((), [(1, 0)], False),
        (("uid=5", "gid=6"), [(1, 0)], False),
        (("tmpcopyup",), [(1, 1)], False),
        (("tmpcopyup", "mode=700", "ro"), [(0, 1)], True),
    ],
)
def test_a_tmpfs_like_what_it_covers(options, like, read_only_later):
    plan = created(spec(mounts=(tmpfs(*options),)))
    assert [step.args[1:3] for step in find(plan, "like")] == like
    made = next(step for step in find(plan, "fs") if step.path == "tmpfs")
    assert not (read_only_later and made.args[1] & lib.MOUNT_ATTR_RDONLY)
    later = [step for step in find(plan, "attr") if step.args[:2] == (made.args[0], lib.MOUNT_ATTR_RDONLY)]
    assert bool(later) is read_only_later


BIND = {"destination": "/m", "type": "bind", "source": "/s"}


@pytest.mark.parametrize(
    ("options", "top_alone"), [(("rbind",), False), (("rbind", "idmap"), True), (("rbind", "ridmap"), False)]
)
def test_an_id_map_is_for_one_mount_or_for_all(options, top_alone):
    maps = (IdMapping(0, 5, 1),) if len(options) > 1 else ()
    mount = oci.Mount(**BIND, options=options, uid_mappings=maps, gid_mappings=maps)
    tree = next(step for step in created(spec(mounts=(mount,))).prepare if step.path == "/s")
    assert bool(tree.args[1] & lib.TREE_MAP_TOP) is top_alone
    assert tree.args[1] & lib.AT_RECURSIVE


def test_options_for_the_tree_and_for_its_top():
    plan = created(spec(mounts=(oci.Mount(**BIND, options=("rbind", "rnosuid", "ro")),)))
    tree = next(step for step in plan.prepare if step.path == "/s")
    assert tree.args[2] == lib.MOUNT_ATTR_NOSUID
    assert find(plan, "attr")[0].args[:2] == (tree.args[0], lib.MOUNT_ATTR_RDONLY)


def test_a_source_is_in_the_bundle():
    plan = created(spec(mounts=(oci.Mount(**{**BIND, "source": "a/b"}, options=("bind",)),)), bundle="/bundle")
    assert "/bundle/a/b" in [step.path for step in plan.prepare]


def test_the_label_of_mounts():
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    plan = created(spec(linux={"masked_paths": ("/proc/kcore",)}), mount_label=label)
    labelled = {step.path: f"context={label}".encode() in step.texts[1].split(b"\0") for step in find(plan, "fs")}
    assert labelled == {"proc": False, "tmpfs": True}
    assert not any(b"context" in text for step in created().steps for text in step.texts)


def test_cgroups_of_one_tree_and_of_many():
    mount = oci.Mount(destination="/sys/fs/cgroup", type="cgroup", source="cgroup", options=("ro",))
    alone = created(spec(mounts=(mount,)), cgroups=(Shown("", "/c/web"),))
    (tree,) = [step for step in alone.prepare if step.path == "/c/web"]
    assert tree.args[2] == lib.MOUNT_ATTR_RDONLY
    many = created(spec(mounts=(mount,)), cgroups=(Shown("memory", "/m/web"), Shown("cpu,cpuacct", "/c/web")))
    places = [step.path for step in find(many, "mount") if step.path.startswith("/sys/fs/cgroup")]
    assert places == ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"]
    links = {step.path for step in find(many, "symlink")}
    assert {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpuacct"} <= links


@pytest.mark.parametrize(
    ("wanted", "flag", "recursive"),
    [("shared", lib.MS_SHARED, 0), ("rslave", lib.MS_SLAVE, 1), ("unbindable", lib.MS_UNBINDABLE, 0)],
)
def test_propagation_of_the_root_is_set_when_it_is_one(wanted, flag, recursive):
    plan = created(spec(linux={"rootfs_propagation": wanted}))
    assert plan.setup[-2].name == "pivot"
    assert plan.setup[-1].args == (-1, 0, 0, flag, recursive)
    assert created(spec(linux={"rootfs_propagation": "private"})).setup[-1].name == "pivot"


def test_what_a_root_with_devices_has_already_stays():
    entries = [step for step in created(spec(namespaces=("pid", "mount"))).setup if step.name in {"node", "symlink"}]
    assert entries
    assert all(step.optional for step in entries)


def idmapped(*, maps=(), option="idmap"):
    return oci.Mount(**BIND, options=("bind", option), uid_mappings=maps, gid_mappings=maps)


def test_id_maps_need_no_user_namespace_of_the_container():
    maps = (IdMapping(0, 5, 1),)
    plan = created(spec(namespaces=("pid", "mount"), mounts=(idmapped(maps=maps),)), joins=1)
    assert plan.idmaps == ((maps, maps),)
    assert (plan.prepare[-1].args[5], plan.given) == (2, 3)  # after the cgroup's file and the FIFO
    assert plan.has_idmapped_trees


def test_the_id_map_of_a_namespace_that_is_joined():
    plan = created(spec(namespaces=("mount",), joined=[("pid", "/p"), ("user", "/u")], mounts=(idmapped(),)), joins=1)
    assert plan.idmaps == ()
    assert [step.args[5] for step in plan.prepare if step.path == "/s"] == [1]
    assert plan.has_idmapped_trees
    assert not created().has_idmapped_trees


def test_a_new_user_namespace_is_joined_after_those_that_do_not_belong_to_it():
    plan = created(
        spec(namespaces=("user", "pid", "mount"), joined=[("network", "/n")], mounts=(idmapped(),)),
        joins=1,
    )
    assert [step.args[:1] for step in plan.setup if step.name == "setns"] == [(1,), (2,)]
    assert [step.path for step in plan.setup if step.name == "setns"] == ["/n", "user"]
    assert [step.args[5] for step in plan.prepare if step.path == "/s"] == [2]
    assert plan.namespaces == 0  # what is new belongs to it, too: it is unshared there
    assert plan.forks


@pytest.mark.parametrize(
    ("maps", "args"),
    [
        ((IdMapping(0, 5, 1),), (1,)),
        ((IdMapping(3, 5, 1), IdMapping(0, 6, 1)), (1,)),
        ((IdMapping(7, 5, 2),), (1, 7, 8)),
    ],
)
def test_who_sets_it_up(maps, args):
    """Root of the container, or where there is none its user."""
    plan = created(spec(maps=maps, process={"user": oci.User(uid=7, gid=8)}))
    assert next(step.args for step in plan.setup if step.name == "become root") == args


def test_id_maps_are_not_left_out_where_they_cannot_be():
    with pytest.raises(Unsupported, match="idmapped"):
        created(spec(mounts=(idmapped(),)), privileged=False)


def test_groups_that_a_namespace_around_denies():
    plan = created(spec(namespaces=("pid", "mount")), groups=False)
    assert "groups" not in names(plan.main)
    assert one(created(groups=False), "become root").args == (0,)


def test_containers_that_differ_in_ids_and_cgroups_share_a_plan():
    one, other = (
        spec(maps=(IdMapping(0, first, 65536),), linux={"cgroups_path": f"/{first}"}) for first in (100_000, 200_000)
    )
    assert one != other
    assert creation._shape(one) == creation._shape(other)
    assert make(creation._shape(one)) == make(one) == make(other)
    assert creation._shape(one) != creation._shape(spec(maps=(IdMapping(0, 100_000, 1),)))
