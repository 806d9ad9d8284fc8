r"""System calls: decide on them in Python, and record what a program needs.

    >>> import errno, pycgroups as pc
    >>> def refuse(call):
    ...     print(call.name, call.read_string(call.args[0]))
    ...     return pc.seccomp.Fail(errno.EROFS)
    >>> pc.run(["rmdir", "/tmp"], on_syscall={"rmdir": refuse}).returncode
    rmdir b'/tmp'
    1
    >>> profile = pc.seccomp.record(["echo", "hello"])
    >>> pc.run(["echo", "hello"], seccomp=profile).stdout
    b'hello\n'

Source: seccomp_unotify(2), Linux 5.12; `Install` needs Linux 5.14.
"""

from __future__ import annotations

from pycgroups.containers.handlers import Handler, OnSyscall
from pycgroups.containers.record import record
from pycgroups.security.notification import CONTINUE, Answer, Call, Continue, Fail, Install, Return

__all__ = [
    "CONTINUE",
    "Answer",
    "Call",
    "Continue",
    "Fail",
    "Handler",
    "Install",
    "OnSyscall",
    "Return",
    "record",
]
