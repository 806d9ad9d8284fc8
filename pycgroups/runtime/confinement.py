"""What confines one process of a container beyond ids and capabilities: security modules, and its seccomp filter."""

from __future__ import annotations

import os

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig, LaunchError, Unsupported
from pycgroups.oci.json_text import dumps
from pycgroups.runtime.program import Manner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import Process, Seccomp
    from pycgroups.runtime.launch import Running
    from pycgroups.runtime.program import Confines
    from pycgroups.runtime.state import State


def manner(process: Process, profile: Seccomp | None, confines: Confines | None = None) -> Manner:
    """Say how the process is started, as far as the Spec does; the rest is the launch's.

    Args:
        process: what is to run.
        profile: the filter.
        confines: what else one is under that comes to a container which runs.

    Raises:
        InvalidConfig: the profile, or a label, is wrong.
        Unsupported: this host has no such security module.
    """
    compiled, flags = _filter(profile) if profile is not None else (b"", 0)
    made = Manner(init=False, home=True, labels=_labels(process), seccomp_filter=compiled, seccomp_flags=flags)
    if confines is None:
        return made
    return made._replace(secure_bits=confines.secure_bits, landlock=confines.landlock, later=True)


def mount_label(label: str | None) -> str | None:
    """Return the label of SELinux that mounts get: none where there is no SELinux, which nothing asks then.

    Raises:
        InvalidConfig: the label is wrong.
    """
    if label is None:
        return None
    from pycgroups.security import lsm

    try:
        return lsm.check_selinux(label)[1]
    except Unsupported:
        return None


def _labels(process: Process) -> tuple[tuple[str, str], ...]:
    if process.apparmor_profile is None and process.selinux_label is None:
        return ()
    from pycgroups.security import lsm

    labels = []
    if process.apparmor_profile is not None:
        labels.append(lsm.check_apparmor(process.apparmor_profile))
    if process.selinux_label is not None:
        labels.append(lsm.check_selinux(process.selinux_label))
    return tuple((f"/proc/thread-self/{path}", text) for path, text in labels)


def _filter(profile: Seccomp) -> tuple[bytes, int]:
    from pycgroups.security.bpf import compile_filter, syscall_table
    from pycgroups.security.seccomp_policy import filter_flags

    return compile_filter(profile, syscall_table()), filter_flags(profile)


def has_listener(profile: Seccomp) -> bool:
    """Tell whether somebody else decides on some system calls; seccomp_unotify(2)."""
    from pycgroups.security import seccomp_policy  # many have no filter

    return seccomp_policy.has_listener(profile)


def connect(profile: Seccomp) -> int:
    """Connect to the socket that is to get the listener, before anything is made.

    Raises:
        InvalidConfig: the profile names none.
        NotFound, LaunchError: nobody is there.
    """
    if not profile.listener_path:
        key = "linux.seccomp.listenerPath"
        raise InvalidConfig("SCMP_ACT_NOTIFY needs a socket to send to", operation="option", path=key)
    from pycgroups.runtime import handing

    return handing.connect(profile.listener_path)


def hand_on(running: Running, listener: int, profile: Seccomp, state: State) -> None:
    """Send the listener of a process's filter to who waits for it; config-linux.md, "The Container Process State".

    Args:
        running: the process; it goes on then.
        listener: what `connect` gave; it is closed.
        profile: the filter.
        state: of its container.

    Raises:
        LaunchError: a step before that failed, or the other end is gone.
    """
    try:
        running.until(lambda running: lib.OP_SECCOMP in running.descriptors)
        fd = running.descriptors.pop(lib.OP_SECCOMP, -1)
        if fd < 0:
            raise LaunchError("the process was killed", step="seccomp")
        _send(listener, fd, running.pid, profile, state)
    finally:
        os.close(listener)
    running.go_on()


def _send(listener: int, fd: int, pid: int, profile: Seccomp, state: State) -> None:
    from pycgroups.runtime import handing

    message = {
        "ociVersion": state.oci_version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": profile.listener_metadata or "",
        "state": state.to_json(),
    }
    try:
        handing.send(listener, dumps(message).encode(), fd)
    finally:
        os.close(fd)
