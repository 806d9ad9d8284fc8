"""What a launch plan is made of: steps, and their form in memory, as the helper reads it (``_native/plan.h``)."""

from __future__ import annotations

import struct

from pycgroups._native.calls import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.oci.runtime_spec import IdMapping, User

    IdMaps = tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]
else:
    from pycgroups.records import NamedTuple

_HEADER = struct.Struct("=7IiQ")
_STEP = struct.Struct(f"=2I{lib.PLAN_ARGS}q{2 * lib.PLAN_STRINGS}I")
_NO_ARGS = (0,) * lib.PLAN_ARGS
_USERNS_OF_TREE = 5


class Step(NamedTuple):
    """One operation.

    Attributes:
        op: its number, ``OP_*``.
        args: numbers.
        texts: strings.
        optional: a missing path is fine.
        shared: the init performs it as well, for what it forks.
    """

    op: int
    args: tuple[int, ...] = ()
    texts: tuple[bytes, ...] = ()
    optional: bool = False
    shared: bool = False

    @property
    def name(self) -> str:
        """The operation in words, as errors and ``explain()`` show it."""
        from pycgroups.runtime import wording

        return wording.OPERATIONS[self.op]

    @property
    def path(self) -> str | None:
        """The path or the name that the step is about, if it is about one."""
        from pycgroups.runtime import wording

        return wording.path(self)

    def __str__(self) -> str:
        """One line for people."""
        from pycgroups.runtime import wording

        return wording.line(self)


class Plan(NamedTuple):
    """All steps of a launch, in order, and what the launch must hand over.

    Attributes:
        namespaces: ``CLONE_NEW*`` flags of the clone.
        prepare: performed by the calling thread.
        setup: performed by the helper.
        main: performed by the process that becomes the program.
        given: how many descriptors the launch gives, the first slots: cgroup files, namespaces to join, and the
            user namespaces of ``idmaps``.
        idmaps: what idmapped mounts need, each ``(uid mappings, gid mappings)``; None is the container's own.
        init: the helper stays as PID 1 and reaps.
        keep_caps: the capabilities that the steps need in a new user namespace, as a mask.
        supervised: there is no pid namespace of its own; the helper, which stays, ends its descendants.
        requests: the slot of the socket at which the init is asked for forks, or -1.
        init_caps: the capabilities that the init keeps for them, as a mask.
        inherits: its helper is the fork of an init that has performed what is shared.
    """

    namespaces: int
    prepare: tuple[Step, ...]
    setup: tuple[Step, ...]
    main: tuple[Step, ...]
    given: int
    idmaps: tuple[IdMaps | None, ...]
    init: bool
    keep_caps: int
    supervised: bool = False
    requests: int = -1
    init_caps: int = 0
    inherits: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps; an error record counts in this order."""
        return self.prepare + self.setup + self.main

    def destination(self, index: int) -> str | None:
        """Return where the tree that a step opens is mounted; None if that is no path of the container."""
        slot, later = self.steps[index].args[0], self.steps[index + 1 :]
        mounts = [each.path for each in later if each.op == lib.OP_MOUNT and each.args[0] == slot]
        before = sum(each.args[0] == slot for each in self.prepare[:index]) if index < len(self.prepare) else 0
        path = mounts[before] if before < len(mounts) else None
        return path if path and path.startswith("/") else None

    @property
    def forks(self) -> bool:
        """Tell whether the helper goes on in a child of its own (``OP_FORK``)."""
        return lib.OP_FORK in [step.op for step in self.setup]

    @property
    def first_part(self) -> int:
        """How many trees the helper has from the beginning: those with the slots after what is given."""
        in_a_row = (at for at, step in enumerate(self.prepare) if step.args[:1] != (self.given + at,))
        return next(in_a_row, len(self.prepare))

    @property
    def has_idmapped_trees(self) -> bool:
        """Tell whether trees are to be opened that need a user namespace."""
        return any(step.args[_USERNS_OF_TREE] >= 0 for step in self.prepare)

    @property
    def mapped_later(self) -> frozenset[int]:
        """The slots of user namespaces by which ids are mapped when the helper asks for it (``OP_MAP``)."""
        return frozenset(step.args[1] for step in self.setup if step.op == lib.OP_MAP)

    def encode(self) -> bytes:
        """Write the plan as the helper reads it: header, steps, strings."""
        steps = self.steps
        start = _HEADER.size + len(steps) * _STEP.size
        records, strings, offset = [], [b"\0"], start + 1
        empty = (start,) * lib.PLAN_STRINGS
        for step in steps:
            places, lengths = list(empty), [0] * lib.PLAN_STRINGS
            for i, text in enumerate(step.texts):
                if text:
                    places[i], lengths[i] = offset, len(text)
                    strings.append(text + b"\0")
                    offset += len(text) + 1
            args = step.args + _NO_ARGS[len(step.args) :]
            flags = (lib.STEP_OPTIONAL if step.optional else 0) | (lib.STEP_SHARED if step.shared else 0)
            records.append(_STEP.pack(step.op, flags, *args, *places, *lengths))
        prepared = len(self.prepare)
        header = _HEADER.pack(
            lib.PLAN_MAGIC,
            offset,
            (lib.PLAN_INIT if self.init else 0) | (lib.PLAN_INHERITS if self.inherits else 0),
            self.given + self.first_part,
            prepared,
            prepared + len(self.setup),
            len(steps),
            self.requests,
            self.init_caps,
        )
        return header + b"".join(records) + b"".join(strings)

    def __str__(self) -> str:
        """Write the plan for people, one step a line."""
        parts = ("prepare", self.prepare), ("setup", self.setup), ("main", self.main)
        lines = []
        for title, steps in parts:
            lines += [f"{title}:", *(f"  {step}" for step in steps)] if steps else []
        return "\n".join(lines)


class Terminal(NamedTuple):
    """A pty for the program.

    Attributes:
        rows: its size in characters; 0 leaves the kernel's default.
        columns: likewise.
    """

    rows: int = 0
    columns: int = 0

    def step(self, slot: int, user: User) -> Step:
        """Plan to make it, for a user, in a slot."""
        return Step(lib.OP_CONSOLE, (slot, self.rows, self.columns, user.uid))
