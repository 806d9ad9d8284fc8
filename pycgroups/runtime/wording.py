"""Steps of a launch plan in words: for errors, and for ``explain()``."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import printable
from pycgroups.runtime import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.runtime.steps import Step

OPERATIONS: dict[int, str] = {
    getattr(lib, name): name[3:].lower().replace("_", " ") for name in dir(lib) if name.startswith("OP_")
}
_LANDLOCK = frozenset({lib.OP_LANDLOCK, lib.OP_ALLOW_PATH, lib.OP_ALLOW_PORT})
_LINKS = frozenset({lib.OP_SYMLINK, lib.OP_COPY_LINK})
_NAMED_LAST = _LINKS | {lib.OP_FIND}
_NAMELESS = frozenset({lib.OP_SECCOMP, lib.OP_GROUPS})
_SHOW_ARGS = {
    lib.OP_MKDIR: "mode {0:o}",
    lib.OP_RLIMIT: "resource {0} soft {1} hard {2}",
    lib.OP_UMASK: "{0:03o}",
    lib.OP_IDS: "uid {0} gid {1}",
    lib.OP_BOUNDING: "{0:#x}",
    lib.OP_CAPS: "effective {0:#x} permitted {1:#x} inheritable {2:#x}",
    lib.OP_AMBIENT: "{0:#x}",
    lib.OP_SECUREBITS: "{0:#x}",
    lib.OP_UNSHARE: "{0:#x}",
    lib.OP_DEATH: "signal {0}",
    lib.OP_SESSION: "{0}",
}


def path(step: Step) -> str | None:
    """Return the path or the name that a step is about, if it is about one."""
    if step.op in _NAMELESS or not step.texts:
        return None
    text = step.texts[1 if step.op in _NAMED_LAST else 0]
    return os.fsdecode(text.partition(b"\0")[0])  # of OP_EXEC, the program without its arguments


def line(step: Step) -> str:
    """Write a step for people."""
    words = [OPERATIONS[step.op].ljust(14), path(step) or "", *_details(step)]
    return " ".join(printable(word) for word in words if word)


def _details(step: Step) -> Iterable[str]:
    if step.op in (lib.OP_TREE, lib.OP_FS):
        flags = step.args[2] if step.op == lib.OP_TREE else step.args[1]
        yield from mount_options.names(flags)
    if step.op in (lib.OP_FS, lib.OP_SYSCTL, lib.OP_LABEL):
        yield os.fsdecode(step.texts[1].replace(b"\0", b","))
    elif step.op in _SHOW_ARGS:
        yield _SHOW_ARGS[step.op].format(*step.args)
    elif step.op in _LANDLOCK:
        yield _landlock(step)
    elif step.op == lib.OP_SECCOMP:
        yield f"{len(step.texts[0]) // 8} instructions"
    elif step.op == lib.OP_EXEC:
        yield "argv=" + repr([os.fsdecode(word) for word in step.texts[0].split(b"\0")[: step.args[0]]])
    elif step.op in _LINKS:
        yield "-> " + os.fsdecode(step.texts[0])
    if step.optional:
        yield "(if there)"


def _landlock(step: Step) -> str:
    from pycgroups.security import landlock

    if step.op == lib.OP_LANDLOCK:
        return landlock.describe_denied(*step.args[1:])
    if step.op == lib.OP_ALLOW_PATH:
        return landlock.describe_path(step.args[1])
    return landlock.describe_port(*step.args[1:])
