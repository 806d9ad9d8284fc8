"""Every system call of Linux 6.18, sorted by what a container may do with it, each group with its reason.

The table is the default profile; `pycgroups.security.seccomp` makes the filter's rules of it. A call that is in no
group of `ALLOWED` is refused with EPERM, and one that is not in this file at all (it is newer) does not exist:
ENOSYS, so that a C library falls back to what it did before (https://github.com/moby/moby/issues/42681).

It is data without classes, and strings of names instead of tuples, because every start of an interpreter loads it.
"""

from __future__ import annotations

# fmt: off
ALLOWED: dict[str, str] = {
    "open, duplicate and close files":
        "close close_range creat dup dup2 dup3 fcntl flock open openat openat2 pipe pipe2",
    "read and write open files":
        "copy_file_range lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile splice "
        "tee vmsplice write writev",
    "look at files and directories":
        "access faccessat faccessat2 file_getattr fstat fstatfs getcwd getdents getdents64 lstat newfstatat readlink "
        "readlinkat stat statfs statx",
    "change files and directories; device nodes need CAP_MKNOD besides":
        "chdir chmod chown fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat file_setattr ftruncate "
        "futimesat lchown link linkat mkdir mkdirat mknod mknodat rename renameat renameat2 rmdir symlink symlinkat "
        "truncate umask unlink unlinkat utime utimensat utimes",
    "extended attributes; the kernel checks each name space of them":
        "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr "
        "lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat",
    "bring files to the disk":
        "fdatasync fsync sync sync_file_range syncfs",
    "wait for files, timers and changes":
        "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 fanotify_mark "
        "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select signalfd signalfd4 "
        "timerfd_create timerfd_gettime timerfd_settime",
    "asynchronous files the old way, io_setup(2), which databases use":
        "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit",
    "memory of one's own":
        "brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall "
        "mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
        "process_mrelease remap_file_pages",
    "start, know and end processes":
        "execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid kill pidfd_open "
        "pidfd_send_signal prctl setpgid setsid tgkill tkill vfork wait4 waitid",
    "threads":
        "arch_prctl futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list get_thread_area rseq "
        "set_robust_list set_thread_area set_tid_address",
    "signals":
        "alarm pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
        "rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack",
    "debuggers and strace; since Linux 4.8 a tracer cannot bring a call past the filter of the traced process":
        "ptrace",
    "made by the kernel itself in a program that the host probes, which would die of a refusal":
        "uprobe uretprobe",
    "users, groups and capabilities; the kernel checks each change":
        "capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups "
        "setregid setresgid setresuid setreuid setuid",
    "scheduling and limits; raising them needs capabilities":
        "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max "
        "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
        "sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield "
        "setpriority setrlimit times",
    "clocks and timers; adjusting the clock needs CAP_SYS_TIME besides":
        "adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer "
        "time timer_create timer_delete timer_getoverrun timer_gettime timer_settime",
    "facts about the system; mounts as in /proc/self/mountinfo":
        "getrandom listmount lsm_get_self_attr lsm_list_modules statmount sysinfo uname",
    "messages, semaphores and shared memory of the container's own IPC namespace":
        "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl "
        "semget semop semtimedop shmat shmctl shmdt shmget",
    "use sockets; which kinds can be made is a rule of its own":
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg "
        "sendmsg sendto setsockopt shutdown",
    "lock oneself in further":
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
}
"""Reason: names of the calls that every container may make."""

BY_ARGUMENT: dict[str, str] = {
    "no new namespaces, which are where most holes of the last years began; clone3 hides its flags from a filter":
        "clone clone3",
    "everything but typing into the terminal of whoever started the container":
        "ioctl",
    "Linux as it is, 32-bit names of the machine and version 2.6 numbers; not the flags that weaken the memory layout":
        "personality",
    "Unix, internet, netlink and, with CAP_NET_RAW, packet sockets; other families are modules full of old code, or "
    "like AF_VSOCK are no part of the network namespace":
        "socket socketpair",
}
"""Reason: names of the calls whose arguments decide; the rules are in `pycgroups.security.seccomp`."""

BY_CAPABILITY: tuple[tuple[str, str, str], ...] = (
    ("CAP_DAC_READ_SEARCH",
        "open a file by its number, past every directory and mount (Docker's \"shocker\")",
        "name_to_handle_at open_by_handle_at"),
    ("CAP_SYS_ADMIN",
        "mounts",
        "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root umount2"),
    ("CAP_SYS_ADMIN",
        "namespaces",
        "clone clone3 setns unshare"),
    ("CAP_SYS_ADMIN",
        "names of the machine",
        "setdomainname sethostname"),
    ("CAP_SYS_ADMIN",
        "watch whole file systems; disk quotas",
        "fanotify_init quotactl quotactl_fd"),
    ("CAP_SYS_ADMIN CAP_BPF",
        "programs that run in the kernel",
        "bpf"),
    ("CAP_SYS_ADMIN CAP_PERFMON",
        "trace and measure the kernel",
        "perf_event_open"),
    ("CAP_SYS_ADMIN CAP_SYSLOG",
        "messages of the kernel",
        "syslog"),
    ("CAP_SYS_BOOT",
        "restart the machine, or the container's init",
        "reboot"),
    ("CAP_SYS_CHROOT",
        "another root directory",
        "chroot"),
    ("CAP_SYS_MODULE",
        "kernel modules",
        "delete_module finit_module init_module"),
    ("CAP_SYS_NICE",
        "memory of which node: told and changed for other processes, too, with a long list of kernel bugs",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT",
        "a log of all processes",
        "acct"),
    ("CAP_SYS_PTRACE",
        "memory and files of other processes, and addresses in the kernel by comparison",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev"),
    ("CAP_SYS_RAWIO",
        "ports of the hardware",
        "ioperm iopl"),
    ("CAP_SYS_TIME",
        "the clock of the machine",
        "clock_settime settimeofday"),
    ("CAP_SYS_TTY_CONFIG",
        "hang up a terminal",
        "vhangup"),
)
"""Capabilities of which one is enough, reason, names of the calls that it opens."""

REFUSED: dict[str, str] = {
    "keys of the kernel know no namespaces but that of users":
        "add_key keyctl request_key",
    "operations behind the filter's back, and a steady source of kernel holes":
        "io_uring_enter io_uring_register io_uring_setup",
    "holds the kernel at a page fault: the tool that makes races of the kernel winnable":
        "userfaultfd",
    "another kernel for the whole machine":
        "kexec_file_load kexec_load",
    "swap of the whole machine":
        "swapoff swapon",
    "memory of which node, of other processes":
        "migrate_pages move_pages",
    "16-bit segments, used by old Windows programs and by exploits":
        "modify_ldt",
    "security labels are the runtime's to set":
        "lsm_set_self_attr",
    "obsolete, and told elsewhere":
        "_sysctl lookup_dcookie sysfs uselib ustat",
    "names without a call behind them":
        "afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms getpmsg nfsservctl putpmsg "
        "query_module security tuxcall vserver",
}
"""Reason: names of the calls that no container makes, whatever its capabilities."""
# fmt: on
