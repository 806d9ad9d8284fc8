"""The strict seccomp profile: pure computing. A program reads files and its input, computes, writes its output, ends.

It may use any memory and threads of its own, and read what the container's root has. It starts no process, opens no
file to write to it, makes, changes or removes none, has no sockets, sends no signal but to its own threads, and changes
nothing about itself but its memory, its signal handlers and the names of its threads.

What is refused is EPERM, so that a program can do without what it only tries; one that cannot fails in its own way, and
its exit status is the verdict. Calls whose flags are in memory, where a filter cannot look, are ENOSYS: C libraries
then use the older ones. Source: seccomp(2); syscalls(2).
"""

from __future__ import annotations

from errno import ENOSYS, EPERM

from pycgroups.oci.runtime_spec import Seccomp, SyscallArg, SyscallRule
from pycgroups.security.seccomp import CLONE_NAMESPACES, LOW_32_BITS, allow_if, masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import cache
else:
    from pycgroups.caches import cache

# fmt: off
ALLOWED: dict[str, str] = {
    "the start itself, by the library; another program that is started so has this filter, too":
        "execve",
    "end":
        "exit exit_group",
    "read input, files and libraries; write output":
        "close close_range copy_file_range dup dup2 dup3 fadvise64 lseek pread64 preadv preadv2 pwrite64 pwritev "
        "pwritev2 read readahead readv sendfile write writev",
    "look for files, as a loader and Python's import do":
        "access faccessat faccessat2 fstat fstatfs getcwd getdents getdents64 lstat newfstatat readlink readlinkat "
        "stat statfs statx",
    "wait for input":
        "poll ppoll pselect6 select",
    "memory of one's own":
        "brk madvise membarrier mincore mlock mlock2 mmap mprotect mremap mseal munlock munmap pkey_alloc pkey_free "
        "pkey_mprotect",
    "threads":
        "arch_prctl futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list gettid rseq "
        "sched_getaffinity sched_yield set_robust_list set_tid_address",
    "signals that come, and abort(3): who can be sent one is in the container's own pid namespace":
        "restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill",
    "made by the kernel itself in a program that the host probes, which would die of a refusal":
        "uprobe uretprobe",
    "who and where one is":
        "getcpu getegid geteuid getgid getpgrp getpid getppid getresgid getresuid getrlimit getrusage getuid sysinfo "
        "times uname",
    "time and random numbers":
        "clock_getres clock_gettime clock_nanosleep getrandom gettimeofday nanosleep time",
}
"""Reason: names of the calls that are allowed whatever their arguments."""

BY_ARGUMENT: dict[str, str] = {
    "open files to read them: no O_WRONLY, O_RDWR, O_CREAT, O_TRUNC or O_TMPFILE":
        "open openat",
    "make threads, no processes and no namespaces":
        "clone",
    "duplicate a descriptor, and tell what it is; not whom the kernel tells of it":
        "fcntl",
    "tell whether a stream is a terminal, how large it is, how much input waits; close a descriptor at the next exec":
        "ioctl",
    "name threads and memory":
        "prctl",
    "look at one's own limits":
        "prlimit64",
}
"""Reason: names of the calls whose arguments decide."""

BY_OLDER_ONES: dict[str, str] = {
    "flags in memory: openat and clone do instead":
        "clone3 openat2",
}
"""Reason: names of the calls that do not exist."""
# fmt: on

# fcntl.h: O_ACCMODE, O_CREAT, O_TRUNC, __O_TMPFILE; the same on x86_64 and aarch64.
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000
_CLONE_THREAD = 0x10000  # linux/sched.h
_FCNTL = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
# asm-generic/ioctls.h: TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIOCLEX, FIONCLEX
_IOCTL = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5451, 0x5450)
_PRCTL = (15, 16, 0x53564D41)  # linux/prctl.h: PR_SET_NAME, PR_GET_NAME, PR_SET_VMA


@cache
def strict_profile() -> Seccomp:
    """Return the profile."""
    rules = (
        SyscallRule(names=tuple(sorted(_names(ALLOWED))), action="SCMP_ACT_ALLOW"),
        allow_if("open", 1, _WRITING, 0),
        allow_if("openat", 2, _WRITING, 0),
        allow_if("clone", 0, _CLONE_THREAD | CLONE_NAMESPACES, _CLONE_THREAD),
        *(allow_if("fcntl", 1, LOW_32_BITS, command) for command in _FCNTL),
        *(allow_if("ioctl", 1, LOW_32_BITS, request) for request in _IOCTL),
        *(allow_if("prctl", 0, LOW_32_BITS, option) for option in _PRCTL),
        SyscallRule(names=("prlimit64",), action="SCMP_ACT_ALLOW", args=_OWN_LIMITS),
        SyscallRule(names=tuple(_names(BY_OLDER_ONES)), action="SCMP_ACT_ERRNO", errno_ret=ENOSYS),
    )
    return Seccomp(default_action="SCMP_ACT_ERRNO", default_errno_ret=EPERM, syscalls=rules)


# The process is this one, and there are no new limits.
_OWN_LIMITS: tuple[SyscallArg, ...] = (
    masked(0, LOW_32_BITS, 0),
    SyscallArg(index=2, op="SCMP_CMP_EQ", value=0),
)


def _names(groups: dict[str, str]) -> list[str]:
    return [name for group in groups.values() for name in group.split()]
