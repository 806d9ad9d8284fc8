"""The last steps of a plan: those of the process that becomes the program, from its session to its exec. Pure.

They are the same for the main program of a container and for one that is executed in it later.
"""

from __future__ import annotations

import os
import struct

from pycgroups._native import calls
from pycgroups._native.calls import lib
from pycgroups.runtime.steps import Step
from pycgroups.security import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple

    from pycgroups.oci.runtime_spec import Process
    from pycgroups.security.landlock import Ruleset
else:
    from pycgroups.records import NamedTuple

_ENDING = sum(1 << number - 1 for number in (1, 2, 3, 15))  # SIGHUP, SIGINT, SIGQUIT, SIGTERM

RULESET: int = lib.PLAN_SLOTS - 8
"""The slot of the program's Landlock ruleset, and of nothing else: by then what the others hold is closed."""
TERMINAL: int = lib.PLAN_SLOTS - 9
"""That of its terminal."""


class Manner(NamedTuple):
    """How a program is started, beyond what a Spec says.

    Attributes:
        init: keep an init as PID 1, and the program as its child.
        supervised: the init is in no pid namespace of its own.
        bounding: capabilities leave the bounding set, too; that takes CAP_SETPCAP.
        detached: it outlives the process that starts it.
        start: it waits for a byte in a FIFO, which the launch hands over.
        forks: its init forks for who asks at a socket, which the launch hands over; see `pycgroups.runtime.forks`.
        shares: its init has its keyring and takes on its filter, for what it forks.
        inherits: it is such a fork, and has both.
        waits: its creator has something to do before the root changes: run hooks, or move network devices.
        handed: how many descriptors, from 3 on, it gets beside its streams; the launch hands them over.
        holes: which of those are closed; see `preserved`.
        home: without a HOME in its environment, or with an empty one, it gets that of the container's /etc/passwd.
        keyring: it gets a session keyring of its own; keyctl(2).
        pivot: pivot_root(2) is possible.
        bare: mounts of the host that must go where it is not.
        grantable: the bits of capabilities that it can get; those that it asks for beyond are left out.
        secure_bits: securebits of capabilities(7).
        mount_label: the label of SELinux that mounts get, or None.
        labels: ``(attribute file, text)`` of the security modules.
        landlock: what it is confined to; landlock(7).
        later: others have run in its container, and paths of `landlock` may have gone: they allow nothing then.
        seccomp_filter: the compiled filter.
        seccomp_flags: ``SECCOMP_FILTER_FLAG_*``.
    """

    init: bool = True
    supervised: bool = False
    bounding: bool = True
    detached: bool = False
    start: bool = False
    forks: bool = False
    shares: bool = False
    inherits: bool = False
    waits: bool = False
    handed: int = 0
    holes: tuple[int, int] = (0, 0)
    home: bool = False
    keyring: bool = True
    pivot: bool = True
    bare: tuple[bytes, ...] = ()
    grantable: int = -1
    secure_bits: int = 0
    mount_label: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    landlock: Ruleset | None = None
    later: bool = False
    seccomp_filter: bytes = b""
    seccomp_flags: int = 0


class Confines(NamedTuple):
    """What a program is under that a Spec has no words for; see `Manner`."""

    secure_bits: int = 0
    landlock: Ruleset | None = None


class Slots(NamedTuple):
    """Where the launch hands over what the program's process needs; -1 is nowhere.

    Attributes:
        kept: what is open until its exec: the FIFO that it waits on, or the socket of its init.
        handed: the first of what it gets beside its streams.
    """

    kept: int = -1
    handed: int = -1


def program(process: Process, manner: Manner, slots: Slots, *, terminal: bool, groups: bool) -> tuple[Step, ...]:
    """Return the steps.

    Args:
        process: what is to run.
        manner: how.
        slots: where descriptors are.
        terminal: it has one, in `TERMINAL`.
        groups: setgroups(2) is allowed.
    """
    steps = _Program(process, manner)
    steps.become(terminal=terminal)
    steps.schedule()
    steps.drop_rights(groups=groups)
    if manner.start:
        steps.then(lib.OP_FIND, len(steps.paths), texts=(b"\0".join(steps.paths), os.fsencode(process.args[0])))
    steps.then(lib.OP_READY, slots.handed, manner.handed, *manner.holes, slots.kept)
    steps.confine()
    if manner.start:
        steps.then(lib.OP_START, slots.kept)
    steps.execute()
    return tuple(steps.steps)


class _Program:
    """Collects the steps; each method is one paragraph of them."""

    def __init__(self, process: Process, manner: Manner) -> None:
        self.process = process
        self.manner = manner
        self.env = environment(process.env)
        self.finds_home = manner.home and not any(word.startswith("HOME=") and word != "HOME=" for word in self.env)
        if self.finds_home:
            self.env = tuple(word for word in self.env if word != "HOME=")
        self.paths = [os.fsencode(path) for path in candidates(process.args[0], self.env)]
        self.steps: list[Step] = []

    def then(self, op: int, *args: int, texts: tuple[bytes, ...] = ()) -> None:
        self.steps.append(Step(op, args, texts))

    def become(self, *, terminal: bool) -> None:
        process, manner = self.process, self.manner
        if manner.start:  # it may have to wait for that for ever
            self.then(lib.OP_MORTAL, _ENDING)
        if manner.init:  # without one, the setup's session is the program's; a terminal wants a session of its own
            self.then(lib.OP_SESSION, int(not terminal))
        if terminal:
            self.then(lib.OP_TERMINAL, TERMINAL)
        elif process.user.uid and not manner.init:
            self.then(lib.OP_STREAMS, process.user.uid, process.user.gid)
        if self.finds_home:
            self.then(lib.OP_HOME, process.user.uid, texts=(b"/etc/passwd",))
        if manner.keyring and not (manner.shares or manner.inherits):
            self.then(lib.OP_KEYRING)
        if process.oom_score_adj is not None and manner.init:
            self.then(lib.OP_OOM_SCORE, int(manner.supervised), texts=(str(process.oom_score_adj).encode(),))
        for limit in process.rlimits:
            # The kernel's RLIM64_INFINITY is all ones; a step's numbers are signed.
            soft, hard = (struct.unpack("=q", struct.pack("=Q", value))[0] for value in (limit.soft, limit.hard))
            self.then(lib.OP_RLIMIT, getattr(lib, limit.type), soft, hard)
        self.then(lib.OP_UMASK, 0o022 if process.user.umask is None else process.user.umask)

    def schedule(self) -> None:
        process = self.process
        if process.scheduler is not None or process.io_priority is not None:
            from pycgroups.runtime import scheduling  # few ask for it

            self.steps += scheduling.steps(process)

    def drop_rights(self, *, groups: bool) -> None:
        process, manner = self.process, self.manner
        user, caps = process.user, process.capabilities
        # Root may go where the user may not, and the user where root of a user namespace may not: runc's way.
        cwd = Step(lib.OP_CHDIR, texts=(os.fsencode(process.cwd),))
        if not manner.init:
            self.steps.append(cwd._replace(optional=True))
        if manner.bounding:
            self.then(lib.OP_BOUNDING, self.granted(caps.bounding))
        if manner.secure_bits:
            self.then(lib.OP_SECUREBITS, manner.secure_bits)
        if not process.no_new_privileges:  # it needs CAP_SYS_ADMIN then, which is gone later: seccomp(2)
            self.filter()
        if groups:
            self.steps.append(set_groups(user.additional_gids))
        self.then(lib.OP_IDS, user.uid, user.gid)
        self.then(lib.OP_CAPS, *map(self.granted, (caps.effective, caps.permitted, caps.inheritable)))
        # What is not inheritable, too, cannot be ambient: capabilities(7). It is left out, as runc does, whose own
        # config.json has such.
        raisable = self.granted(caps.inheritable) & self.granted(caps.permitted)
        self.then(lib.OP_AMBIENT, self.granted(caps.ambient) & raisable)
        for path, text in manner.labels:
            self.then(lib.OP_LABEL, texts=(path.encode(), os.fsencode(text)))
        self.steps.append(cwd)
        # A change of ids clears it: prctl(2), PR_SET_PDEATHSIG. With a pid namespace the kernel ends all with its init.
        if manner.supervised or not (manner.init or manner.detached):
            self.then(lib.OP_DEATH, 9)

    def granted(self, names: tuple[str, ...]) -> int:
        return capabilities.mask(names) & self.manner.grantable

    def confine(self) -> None:
        if self.process.no_new_privileges:
            self.then(lib.OP_NO_NEW_PRIVS)
            if self.manner.landlock is not None:  # before a filter of its own, which need not know its system calls
                self.fence(self.manner.landlock)
            self.filter()

    def fence(self, rules: Ruleset) -> None:
        from pycgroups.security import landlock  # few have rules

        self.then(lib.OP_LANDLOCK, RULESET, rules.files, rules.network, rules.scopes)
        writable = landlock.writable(rules)
        for path, of_directory, of_file in rules.paths:
            above = landlock.uppermost(path, writable)  # by a link out of it the program would give itself more
            names = (path, above, path[len(above) :].lstrip("/")) if above else (path,)
            texts = tuple(map(os.fsencode, names))
            args = RULESET, of_directory, of_file
            self.steps.append(Step(lib.OP_ALLOW_PATH, args, texts, optional=self.manner.later))
        for allowed, port in rules.ports:
            self.then(lib.OP_ALLOW_PORT, RULESET, allowed, port)
        self.then(lib.OP_RESTRICT, RULESET)

    def filter(self) -> None:
        manner = self.manner
        if manner.seccomp_filter:
            texts = (manner.seccomp_filter,)
            self.steps.append(Step(lib.OP_SECCOMP, (manner.seccomp_flags,), texts, shared=manner.shares))

    def execute(self) -> None:
        argv, env = ([os.fsencode(word) for word in words] for words in (self.process.args, self.env))
        self.then(
            lib.OP_EXEC,
            len(argv),
            len(env),
            len(self.paths),
            texts=tuple(b"\0".join(words) for words in (argv, env, self.paths)),
        )


def set_groups(gids: Sequence[int]) -> Step:
    """Return the step by which a process has these supplementary groups; setgroups(2)."""
    return Step(lib.OP_GROUPS, (len(gids),), (struct.pack(f"={len(gids)}I", *gids),))


def call(name: str, *args: int, blob: bytes = b"", at: int = -1) -> Step:
    """Return the step that makes one system call; `at` tells which argument is the address of the blob."""
    values = [*args]
    if at >= 0:
        values.insert(at, 0)
    return Step(lib.OP_CALL, (calls.syscall_numbers()[name], at, *values), (name.encode(), blob))


def environment(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return each variable once, with its last value, as runc does: `exec` adds to the container's own."""
    return tuple({word.partition("=")[0]: word for word in words}.values())


def candidates(program: str, env: tuple[str, ...]) -> list[str]:
    """Where a program may be, in order: as it is when it has a slash, else along the PATH of its environment."""
    if "/" in program or not program:  # an empty name would find the directories of PATH themselves
        return [program]
    search = next((word[5:] for word in env if word.startswith("PATH=")), "")
    return [f"{directory or '.'}/{program}" for directory in search.split(":")] if search else [program]
