"""Build the C shim: the cffi extension ``_shim`` with two executables inside, the helper's and the monitor's.

And ``pycgroups-oci`` beside it, a command of its own, which setup.py installs. Run by setuptools (``cffi_modules`` in
setup.py). Environment:

    CC                   the C compiler (default cc)
    PYCGROUPS_WERROR=1   warnings are errors; development and CI
    PYCGROUPS_SANITIZE=1 AddressSanitizer and UndefinedBehaviorSanitizer in the shim and all executables
"""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"]
WARN = ["-std=gnu11", "-Wall", "-Wextra"] + (["-Werror"] if os.environ.get("PYCGROUPS_WERROR") else [])

# The usual ones of distributions: an overwritten stack ends the process, the stack does not run into what is below it,
# and what the linker resolves is read-only before anything runs.
HARDEN = ["-fstack-protector-strong", "-fstack-clash-protection", "-Wl,-z,relro,-z,now,-z,noexecstack"]
FORTIFY = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]
BRANCHES = {"x86_64": ["-fcf-protection=full"], "aarch64": ["-mbranch-protection=standard"]}.get(os.uname().machine, [])

# Not position independent: they would have to relocate themselves, and live for one container.
BARE = ["-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", *HARDEN]
BARE += ["-mstack-protector-guard=global"]  # the other is in the memory of a thread of the C library
BARE += ["-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"]
BARE += ["-Wl,-z,noseparate-code,--build-id=none", "-s"]
HOSTED = ["-O1", "-DPYCGROUPS_HOSTED", *SANITIZE]
COMMAND = ["-O2", "-fPIE", "-pie", *HARDEN, *FORTIFY, *BRANCHES]

# Named here, valued by the compiler.
CONSTANTS = """
OP_LIKE OP_ROOT OP_TIME_OFFSETS OP_FORK OP_WAIT OP_START OP_FIND OP_CALL OP_NETLINK OP_HOME OP_STREAMS OP_READY
OP_TREE OP_TAKE OP_MAP OP_CHROOT
OP_FS OP_FCHDIR OP_STACK OP_BASE OP_MOUNT OP_MKDIR OP_SYMLINK OP_COPY_LINK OP_NODE OP_FILE OP_NULL
OP_MASK OP_READONLY OP_ATTR OP_PROPAGATE OP_PIVOT OP_HOSTNAME OP_DOMAINNAME OP_SYSCTL OP_LO_UP OP_UNSHARE OP_SETNS
OP_JOIN OP_BECOME_ROOT OP_CONSOLE OP_SEND OP_DEATH OP_SESSION OP_TERMINAL OP_KEYRING OP_OOM_SCORE OP_RLIMIT OP_UMASK
OP_GROUPS OP_IDS OP_BOUNDING OP_SECUREBITS OP_CAPS OP_AMBIENT OP_NO_NEW_PRIVS OP_LABEL OP_CHDIR OP_SECCOMP OP_EXEC
OP_LANDLOCK OP_ALLOW_PATH OP_ALLOW_PORT OP_RESTRICT OP_MORTAL
STEP_OPTIONAL STEP_SHARED TREE_MAP_TOP TREE_INSIDE PLAN_INIT PLAN_INHERITS PLAN_END_SIGNAL
PLAN_MAGIC PLAN_SLOTS PLAN_PASSED_MAX PLAN_ARGS PLAN_STRINGS
REPORT_FAILED REPORT_STARTED REPORT_FD REPORT_FORKED REPORT_WAITING REPORT_EXITED
SPAWN_SOCKET SPAWN_CLONE SPAWN_CHILD
CLONE_NEWNS CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_NEWCGROUP CLONE_NEWTIME
MS_PRIVATE MS_SLAVE MS_SHARED MS_UNBINDABLE AT_RECURSIVE
MOUNT_ATTR_RDONLY MOUNT_ATTR_NOSUID MOUNT_ATTR_NODEV MOUNT_ATTR_NOEXEC MOUNT_ATTR_NOATIME MOUNT_ATTR_STRICTATIME
MOUNT_ATTR__ATIME MOUNT_ATTR_NODIRATIME MOUNT_ATTR_NOSYMFOLLOW MOUNT_ATTR_RELATIME
RESOLVE_NO_SYMLINKS
RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_MEMLOCK
RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_RTTIME
SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW SECCOMP_FILTER_FLAG_NEW_LISTENER
SECCOMP_IOCTL_NOTIF_RECV SECCOMP_IOCTL_NOTIF_SEND SECCOMP_IOCTL_NOTIF_ID_VALID SECCOMP_IOCTL_NOTIF_ADDFD
SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_USER_NOTIF_FLAG_CONTINUE SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
SECCOMP_ADDFD_FLAG_SEND
BPF_PROG_TYPE_CGROUP_DEVICE BPF_CGROUP_DEVICE BPF_F_ALLOW_MULTI BPF_F_REPLACE BPF_OBJ_NAME_LEN BPF_PROGRAMS_MOST
NATIVE_AUDIT_ARCH
TREE_PARENT TREE_TARGET TREE_MAKE TREE_WRITE TREE_OWNER TREE_ATTRIBUTE TREE_MODE TREE_TIMES NOBODY TAR_BLOCK TAR_NONE
MONITOR_MAGIC MONITOR_PLAN MONITOR_DIRECTORY MONITOR_STATE MONITOR_GATE MONITOR_PIDFD MONITOR_CONTROL MONITOR_STDOUT
MONITOR_STDERR MONITOR_MEMORY MONITOR_GROUP MONITOR_PIDS MONITOR_EVENTS MONITOR_KEEPER MONITOR_CREATOR MONITOR_HELD
MONITOR_HELD_LAST MONITOR_FDS MONITOR_JSON MONITOR_PLAIN MONITOR_LENDER MONITOR_INPUT MONITOR_DISK MONITOR_LEND
MONITOR_PROCS MONITOR_SHUT MONITOR_AGAIN MONITOR_IF_FAILED MONITOR_EARLY COMMAND_LOCK COMMAND_KEEPER COMMAND_CREATOR
IN_CREATE IN_DELETE IN_MODIFY IN_MOVED_TO PR_GET_DUMPABLE PR_SET_DUMPABLE PR_SET_PDEATHSIG
"""

SOURCE = """
#include <linux/audit.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <asm/unistd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include "bpf.h"
#include "hole.h"
#include "landlock.h"
#include "forks.h"
#include "loop.h"
#include "monitor.h"
#include "namespace.h"
#include "overlay.h"
#include "seccomp.h"
#include "spawn.h"
#include "tar.h"
#include "tree.h"
#include "unpack.h"

#if defined(__x86_64__)
#define NATIVE_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

__asm__(".section .rodata\\n"
        ".globl pycgroups_helper, pycgroups_helper_end, pycgroups_monitor, pycgroups_monitor_end\\n"
        ".hidden pycgroups_helper, pycgroups_helper_end, pycgroups_monitor, pycgroups_monitor_end\\n"
        "pycgroups_helper: .incbin \\"%(helper)s\\"\\n"
        "pycgroups_helper_end: .byte 0\\n"
        "pycgroups_monitor: .incbin \\"%(monitor)s\\"\\n"
        "pycgroups_monitor_end: .byte 0\\n"
        ".previous\\n");

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

struct syscall_name { const char *name; int number; };
const struct syscall_name syscall_names[] = {
%(syscalls)s
    {0, -1},
};
const int syscall_count = sizeof syscall_names / sizeof *syscall_names - 1;
"""


def build_helper() -> Path:
    """Compile the helper; the answer is the executable's path."""
    return _build(
        "pycgroups-init",
        ["-Os", *BARE],
        *("helper.c", "forks.c", "steps.c", "inside.c", "copy.c", "passwd.c", "landlock.c", "refusal.c"),
    )


def build_monitor() -> Path:
    """Compile the monitor, for speed: all output goes through it."""
    return _build("pycgroups-monitor", ["-O2", *BARE], "monitor.c", "output.c")


def build_command() -> Path:
    """Compile the OCI runtime's command."""
    return _build("pycgroups-oci", COMMAND, str(ROOT / "bin" / "pycgroups-oci.c"))


def _build(name: str, mode: list[str], *files: str) -> Path:
    target = ROOT / "build" / name
    target.parent.mkdir(exist_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    mode = HOSTED if os.environ.get("PYCGROUPS_SANITIZE") else mode
    subprocess.run([*compiler, *WARN, *mode, "-o", str(target), *(str(HERE / file) for file in files)], check=True)
    return target


def syscall_table() -> str:
    """One line of C per system call name that this architecture's headers know."""
    names = runpy.run_path(str(ROOT / "pycgroups" / "security" / "syscall_names.py"))["NAMES"]
    return "\n".join(f'#ifdef __NR_{name}\n    {{"{name}", __NR_{name}}},\n#endif' for name in names)


def make() -> FFI:
    """Declare the extension to cffi."""
    ffi = FFI()
    helper, monitor = build_helper(), build_monitor()
    build_command()
    ffi.cdef((HERE / "cdef.txt").read_text() + "".join(f"#define {name} ...\n" for name in CONSTANTS.split()))
    ffi.set_source(
        "pycgroups._native._shim",
        SOURCE % {"helper": helper, "monitor": monitor, "syscalls": syscall_table()},
        depends=[str(helper), str(monitor), *map(str, HERE.glob("*.h"))],
        sources=[
            f"pycgroups/_native/{name}"
            for name in (
                *("bpf.c", "seccomp.c", "spawn.c", "steps.c", "inside.c", "copy.c", "passwd.c", "landlock.c"),
                *("refusal.c", "ask.c", "overlay.c", "tar.c", "tree.c", "unpack.c"),
            )
        ],
        include_dirs=["pycgroups/_native"],
        # cffi's own wrappers leave parameters and fields unused
        extra_compile_args=[
            *WARN,
            "-O2",
            "-Wno-unused-parameter",
            "-Wno-missing-field-initializers",
            *(SANITIZE if os.environ.get("PYCGROUPS_SANITIZE") else [*HARDEN, *FORTIFY, *BRANCHES]),
        ],
        extra_link_args=SANITIZE if os.environ.get("PYCGROUPS_SANITIZE") else HARDEN,
        py_limited_api=True,
    )
    return ffi


ffibuilder = make()

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
