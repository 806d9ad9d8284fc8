"""Names that are not there, and which was meant: by a slip of the finger, or by what other libraries call it.

`check_options` is for functions that take options as ``**options``: they hand them on to a class, which Python would
name, and not the function that was called.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Any

RENAMED = {
    # subprocess.run and Popen
    "extra_groups": "groups",
    "group": "user",
    "universal_newlines": "text",
    # docker-py and podman-py
    "auto_remove": "remove",
    "blkio_weight": "io_weight",
    "cap_add": "caps_add",
    "cap_drop": "caps_drop",
    "cgroupns": "namespaces",
    "cpu_period": "cpus",
    "cpu_quota": "cpus",
    "cpu_shares": "cpu_weight",
    "cpuset_cpus": "cpuset",
    "device_read_bps": "io_limits",
    "device_read_iops": "io_limits",
    "device_write_bps": "io_limits",
    "device_write_iops": "io_limits",
    "environment": "env",
    "group_add": "groups",
    "ipc_mode": "namespaces",
    "log_config": "log",
    "mem_limit": "memory",
    "mem_reservation": "memory_low",
    "memswap_limit": "memory_swap",
    "nano_cpus": "cpus",
    "network_disabled": "network",
    "network_mode": "network",
    "pid_mode": "namespaces",
    "pids_limit": "pids",
    "restart_policy": "restart",
    "security_opt": "seccomp",
    "shm_size": "mounts",
    "tmpfs": "mounts",
    "userns_mode": "userns",
    "uts_mode": "namespaces",
    "workdir": "cwd",
    "working_dir": "cwd",
}
"""What others call an option, and what it is called here."""
OTHERWISE = {
    "auto_remove": "of what run() runs nothing stays; leave it out",
    "capture_output": "stdout= and stderr= say where output goes, and without them run() and exec() capture it",
    "close_fds": "no descriptors but 0, 1 and 2 are handed on; leave it out",
    "detach": "what goes on by itself is pycgroups.Container(command, detach=True)",
    "healthcheck": "it is of what is held: pycgroups.Container(command, healthcheck=...)",
    "input": "it is of run() and exec(); a container that is held has attach(), with stdin_open=True",
    "ports": 'no ports are forwarded; network="host" has those of the host',
    "preexec_fn": "nothing of Python runs in the child; there are options for what it would do",
    "remove": "of what run() runs nothing stays; leave it out",
    "restart": "it is of what is held: pycgroups.Container(command, restart=...)",
    "shell": 'there is no shell; give a list: ["sh", "-c", line]',
    "stderr": "it is of run(), exec() and popen(); what a container that is held writes is in its logs()",
    "stdin": "it is of run(), exec() and popen(); a container that is held has attach(), with stdin_open=True",
    "stdin_open": "it is of what is held: pycgroups.Container(command, stdin_open=True)",
    "stdout": "it is of run(), exec() and popen(); what a container that is held writes is in its logs()",
    "start_new_session": "the program has a session of its own; leave it out",
}
"""What others have as an option, and how it is done here."""

_FEW = 20  # names that fit in an error


def check_options(face: Callable[..., Any], given: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse options that there are not.

    Args:
        face: the function that the user called.
        given: what came as its ``**options``.
        known: what may come so.

    Raises:
        TypeError: there is another; names it, and what was meant, or all that there are if they are few.
    """
    if all(map(known.__contains__, given)):
        return
    word = next(word for word in given if word not in known)
    name = face.__qualname__.removesuffix(".__init__")
    own: Mapping[str, object] = getattr(face, "__kwdefaults__", None) or {}
    names = (*own, *known)
    hint = meant(word, names) or (f"; it has {', '.join(names)}" if len(names) <= _FEW else "")
    raise TypeError(f"{name}() has no option {word!r}{hint}")


def meant(word: str, known: Iterable[str]) -> str:
    """Return what to say behind the complaint about a name; empty if nothing is like it."""
    known = list(known)
    if (here := RENAMED.get(word)) in known:
        return f": it is {here!r} here"
    if word in OTHERWISE:
        return f": {OTHERWISE[word]}"
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like it, if one is."""
    from difflib import get_close_matches  # slow, and for errors alone

    return next(iter(get_close_matches(word, list(known), 1)), None)
