"""Start a program in a group, from its first instruction, with whatever starts programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pycgroups.errors import Unsupported, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.cgroups.group import Cgroup

# The writer moves itself: "0" is the process that writes, and the shell has one thread. 125 is env(1)'s and docker's
# word for "the wrapper failed". The directories end at "--", which none of them is: they begin with "/".
_SCRIPT = (
    'for d; do shift; [ "$d" = -- ] && break; echo 0 >"$d/cgroup.procs" ||'
    ' { echo "pycgroups: cannot enter $d" >&2; exit 125; }; done; exec "$@"'
)


def in_cgroup(group: Cgroup, command: Sequence[str | bytes | os.PathLike[str]]) -> list[str]:
    """Wrap a command so that it runs in a group from its first instruction.

        subprocess.run(pc.in_cgroup(group, ["make", "-j8"]), check=True)

    The answer is a command line for `subprocess`, asyncio, pexpect, or anything else that starts programs: a shell
    enters the group and then becomes the command, with the same process id. It costs the start of /bin/sh and the move,
    one or two milliseconds. A `preexec_fn` would be faster but may deadlock where there are threads, and a process that
    is moved after its start may have forked before.

    If the group cannot be entered, the command does not run: exit status 125 and a message on stderr. A command that is
    not found is 127, one that cannot be executed 126, instead of an exception of `subprocess`.

    The new process needs the right to enter: as an ordinary user (`Popen(user=...)`) it has to own the group's
    directories, or their cgroup.procs.

    Args:
        group: where to run; it has to exist until the command has started.
        command: program and arguments, at least one.

    Raises:
        InvalidConfig: no group, not a sequence of arguments, or one has a NUL.
        Unsupported: the group has no directory: no limit could be enforced.
    """
    from pycgroups.cgroups.group import Cgroup

    if not isinstance(group, Cgroup):
        raise invalid("group", group, "a Cgroup: Cgroup.create or Cgroup.open makes one")
    if isinstance(command, str | bytes) or not command:
        raise invalid("command", command, "a list of a program and its arguments")
    group.check()
    if not group.paths:
        raise Unsupported("the group has no directory", operation="enter cgroup", hint="see pycgroups.doctor()")
    words = [_word(word) for word in command]
    if words[0].startswith("-"):
        if "=" in words[0]:
            raise invalid("command", command, "a program whose name begins with '-' and has a '=' by its path only")
        # Some shells take it for an option of exec, others do not know the "--" of exec; env(1) does.
        words = ["env", "--", *words]
    return ["/bin/sh", "-c", _SCRIPT, "pycgroups", *group.paths, "--", *words]


def _word(word: object) -> str:
    if not isinstance(word, str | bytes | os.PathLike):
        raise invalid("command", word, "a list of strings")
    text = os.fsdecode(word)
    if "\0" in text:
        raise invalid("command", word, "without NUL")
    return text
