"""What tests call inside namespaces: a module of its own, which imports next to nothing."""

from __future__ import annotations

import os
import socket
import threading
import time

KINDS = ("user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time")


def links():
    """Name the namespaces that it is called in."""
    return {kind: os.readlink(f"/proc/thread-self/ns/{kind}") for kind in KINDS}


def identity():
    return os.getresuid(), os.getresgid(), os.getpid()


def groups():
    return os.getgroups()


def seize(pid):
    """Trace a process; the errno of that: ptrace(2), PTRACE_SEIZE."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if library.ptrace(0x4206, pid, None, None) < 0 else 0


def echo(*arguments):
    return arguments


def fail(error):
    raise error


class Odd(Exception):
    """Cannot be made anew of its arguments."""

    def __init__(self, *, word):
        super().__init__(word)


def fail_oddly():
    raise Odd(word="odd")


def give_a_lock():
    return threading.Lock()


def end(number):
    os.kill(os.getpid(), number)


def leave(code):
    os._exit(code)


def import_late():
    import colorsys

    return colorsys.__name__


def set_hostname(name):
    socket.sethostname(name)
    return socket.gethostname()


def uptime():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def listen():
    """Take a port of the loopback device."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def descriptors():
    """Name what is open, beside the streams and the answer."""
    return sorted(fd for fd in range(3, 64) if _is_open(fd))


def _is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def mount_points():
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file]


def wait_for_ever(path):
    with open(path, "x", encoding="ascii"):
        time.sleep(1000)


def nest():
    import pycgroups as pc

    user, net = pc.namespaces.create("user", "net")
    with user, net:
        return pc.namespaces.call([user, net], links)


def place():
    """Name this process, who started it, and its session."""
    return os.getpid(), os.getppid(), os.getsid(0)


def meet(directory, mine, other):
    """Return when the other one is here as well."""
    with open(f"{directory}/{mine}", "x", encoding="ascii"):
        while not os.path.exists(f"{directory}/{other}"):
            time.sleep(0.001)
    return mine


def abort(*_):
    os.abort()
