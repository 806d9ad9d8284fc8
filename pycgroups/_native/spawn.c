#include "spawn.h"

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <asm/siginfo.h>
#include <asm/signal.h>

#include "message.h"
#include "monitor.h"
#include "pidfd.h"
#include "steps.h"
#include "sys.h"
#include "text.h"

#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#define MFD_EXEC 0x0010U
#endif

enum {
    HELPER = CREATOR + 1,
    LAID_MOST = MONITOR_FDS + 1,
    SIGNAL_SET_BYTES = 8,
    SIGCHLD_ = 17,
    AF_UNIX_ = 1,
    SOCK_STREAM_ = 1,
    SOCK_CLOEXEC_ = 02000000,
};

/* The executables of the helper and of the monitor, put here by the build. */
extern const unsigned char pycgroups_helper[], pycgroups_helper_end[];
extern const unsigned char pycgroups_monitor[], pycgroups_monitor_end[];

/* ---- executables in memory ------------------------------------------------------------------------------------- */

static long write_all(long fd, const char *data, size_t length)
{
    while (length > 0) {
        long ret = SYS_RETRY(write, fd, data, length);
        if (ret < 0)
            return ret;
        data += ret;
        length -= (size_t)ret;
    }
    return 0;
}

/* "/proc/self/fd/N": opened anew, a file in memory loses the write access that would make its exec fail (ETXTBSY). */
static long reopen_read_only(long fd)
{
    char path[32] = "/proc/self/fd/";
    size_t n = text_length(path);
    long unit = 1;
    while (fd / unit >= 10)
        unit *= 10;
    for (; unit > 0; unit /= 10)
        path[n++] = (char)('0' + fd / unit % 10);
    path[n] = '\0';
    return SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

/* A sealed copy; a descriptor or -errno. `flags` as well, where the kernel knows them. */
static long seal(const char *name, const void *data, size_t length, unsigned flags)
{
    long fd = SYS(memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    if (fd == -EINVAL)
        fd = SYS(memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return fd;
    long ret = write_all(fd, data, length);
    if (ret == 0)
        ret = SYS(fcntl, fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    if (ret == 0)
        ret = reopen_read_only(fd);
    SYS(close, fd);
    return ret;
}

/* Before 6.3 every such file is executable. */
int spawn_helper(void)
{
    size_t length = (size_t)(pycgroups_helper_end - pycgroups_helper);
    return (int)seal("pycgroups-init", pycgroups_helper, length, MFD_EXEC);
}

/* AddressSanitizer would mark the child's frames on a stack that is the parent's again, and ask the C library about a
 * thread that the child is not. */
#define IN_CHILD __attribute__((no_sanitize("address")))

/* ---- clone ------------------------------------------------------------------------------------------------------ */

/* In a user namespace without ids the exec would drop every capability; ambient ones stay: capabilities(7). */
static long IN_CHILD make_caps_ambient(uint64_t caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    long ret = SYS(capget, &header, data);
    if (ret < 0)
        return ret;
    for (int half = 0; half < 2; half++)
        data[half].inheritable = data[half].permitted & (uint32_t)(caps >> (32 * half));
    ret = SYS(capset, &header, data);
    for (int cap = 0; cap < 64 && ret == 0; cap++)
        if (data[cap / 32].inheritable >> (cap % 32) & 1)
            ret = SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    return ret;
}

struct hatch { /* what child and parent share */
    uint64_t keep_caps;
    int fds[LAID_MOST]; /* become 0 and up, -1 none; the last one is executed */
    int count;
    const char *name;
    volatile long error; /* set on the way to an exit: to the compiler that is no way back to us */
};

/* Nothing else goes over. First all out of the way, since any of them may have any number. */
static long IN_CHILD lay_descriptors(const struct hatch *hatch)
{
    int from[LAID_MOST], count = hatch->count;
    for (int i = 0; i < count; i++) {
        long fd = hatch->fds[i] < 0 ? -1 : dup_from(hatch->fds[i], count);
        if (fd < 0 && hatch->fds[i] >= 0)
            return fd;
        from[i] = (int)fd;
    }
    for (int i = 0; i < count; i++) {
        long ret = from[i] < 0 ? 0 : SYS(dup3, from[i], i, i == count - 1 ? O_CLOEXEC : 0);
        if (ret < 0)
            return ret;
        if (from[i] < 0)
            SYS(close, i);
    }
    return SYS(close_range, count, ~0U, 0);
}

/* Runs in the child, on the memory of the parent, whose thread waits. Raw system calls only: sys.h says why. */
static long IN_CHILD child(const struct hatch *hatch)
{
    const char *const argv[] = {hatch->name, 0};
    static const char *const envp[] = {0};
    long ret = hatch->keep_caps ? make_caps_ambient(hatch->keep_caps) : 0;
    if (ret == 0)
        ret = lay_descriptors(hatch);
    if (ret == 0)
        ret = SYS(execveat, hatch->count - 1, "", argv, envp, AT_EMPTY_PATH);
    return ret;
}

static void IN_CHILD __attribute__((noreturn, noinline)) child_main(struct hatch *hatch)
{
    hatch->error = child(hatch);
    for (;;)
        SYS(exit_group, 127);
}

/* clone3(2) like vfork(2): the child runs on this very stack, below this frame, while we are suspended. This frame
 * must hold nothing that the child could overwrite, so the child's only act here is a call that never returns. */
static long IN_CHILD __attribute__((noinline)) clone_child(struct clone_args *args, struct hatch *hatch)
{
    long pid = SYS(clone3, args, sizeof *args);
    if (pid == 0)
        child_main(hatch);
    return pid;
}

/* The same by clone(2): in a container whose filter cannot see the flags of clone3(2), and so has none of it. The
 * caller's handlers are not cleared: every signal is blocked until the exec, which does that. */
static long IN_CHILD __attribute__((noinline)) clone_child_plainly(const struct clone_args *args, struct hatch *hatch)
{
    uint64_t flags = (args->flags & ~(uint64_t)CLONE_CLEAR_SIGHAND) | args->exit_signal;
    long pid = SYS(clone, flags, 0, (uintptr_t)args->pidfd);
    if (pid == 0)
        child_main(hatch);
    return pid;
}

static long IN_CHILD clone_either_way(struct clone_args *args, struct hatch *hatch)
{
    long pid = clone_child(args, hatch);
    return pid == -ENOSYS && !(args->flags & CLONE_INTO_CGROUP) ? clone_child_plainly(args, hatch) : pid;
}

static long spawn_blocked(const struct spawn_request *request, int helper, struct spawned *out)
{
    int pidfd = -1;
    const int *stdio = request->stdio;
    struct hatch hatch = {
        .keep_caps = request->keep_caps,
        .fds = {stdio[0], stdio[1], stdio[2], out->peer, out->creator, helper},
        .count = HELPER + 1,
        .name = "pycgroups-init",
    };
    struct clone_args args = {
        .flags = request->clone_flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND
                 | (request->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD_,
        .cgroup = request->cgroup >= 0 ? (uint64_t)request->cgroup : 0,
    };
    long pid = clone_either_way(&args, &hatch);
    if (pid < 0) {
        out->failed = SPAWN_CLONE;
        return pid;
    }
    out->pid = (int)pid;
    out->pidfd = pidfd;
    if (hatch.error == 0)
        return 0;
    out->failed = SPAWN_CHILD; /* it is a zombie that the caller reaps by the pidfd */
    return hatch.error;
}

static void close_once(int *fd)
{
    if (*fd >= 0)
        SYS(close, *fd);
    *fd = -1;
}

int spawn_child(const struct spawn_request *request, int helper, struct spawned *out)
{
    /* No handler of the application may run in the child, on memory that is ours. */
    uint64_t every = ~0ULL, before;
    out->failed = SPAWN_OK;
    SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &every, &before, SIGNAL_SET_BYTES);
    long ret = spawn_blocked(request, helper, out);
    SYS(rt_sigprocmask, 2, &before, 0, SIGNAL_SET_BYTES);
    return (int)ret;
}

void spawn_part(struct spawned *out)
{
    close_once(&out->peer);
    close_once(&out->creator);
}

/* ---- the monitor ------------------------------------------------------------------------------------------------ */

struct orphan {
    struct hatch hatch;
    int pidfd;
    volatile long pid;
};

/* The monitor's parent, for a moment: it ends, and the monitor is nobody's child whom the application would have to reap.
 * It shares our descriptors, and leaves the pidfd with us. */
static void IN_CHILD __attribute__((noreturn, noinline)) parent_main(struct orphan *orphan)
{
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&orphan->pidfd,
        .exit_signal = SIGCHLD_,
    };
    orphan->pid = clone_either_way(&args, &orphan->hatch);
    for (;;)
        SYS(exit_group, 0);
}

/* Without a signal at its end: the application hears nothing of it, and does not reap it by chance; clone(2), __WCLONE. */
static long IN_CHILD __attribute__((noinline)) clone_parent(struct orphan *orphan)
{
    long pid = SYS(clone, CLONE_VM | CLONE_VFORK | CLONE_FILES);
    if (pid == 0)
        parent_main(orphan);
    return pid;
}

static long spawn_orphan(struct orphan *orphan)
{
    uint64_t every = ~0ULL, before;
    SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &every, &before, SIGNAL_SET_BYTES);
    long pid = clone_parent(orphan);
    if (pid > 0)
        SYS_RETRY(wait4, pid, 0, __WALL, 0);
    SYS(rt_sigprocmask, 2, &before, 0, SIGNAL_SET_BYTES);
    if (pid < 0 || orphan->pid < 0)
        return pid < 0 ? pid : orphan->pid;
    if (orphan->hatch.error < 0)
        close_once(&orphan->pidfd);
    return orphan->hatch.error;
}

int spawn_monitor(const void *plan, uint32_t size, const int *fds, struct spawned *out)
{
    struct orphan orphan = {.pidfd = -1, .hatch = {.count = MONITOR_FDS + 1, .name = "pycgroups-monitor"}};
    int *laid = orphan.hatch.fds;
    for (int i = 0; i < MONITOR_FDS; i++)
        laid[i] = fds[i];
    laid[MONITOR_PLAN] = (int)seal("pycgroups-plan", plan, size, MFD_NOEXEC_SEAL);
    laid[MONITOR_FDS] = (int)seal("pycgroups-monitor", pycgroups_monitor,
                                  (size_t)(pycgroups_monitor_end - pycgroups_monitor), MFD_EXEC);
    long ret = laid[MONITOR_PLAN] < 0 ? laid[MONITOR_PLAN] : laid[MONITOR_FDS] < 0 ? laid[MONITOR_FDS] : 0;
    if (ret == 0)
        ret = spawn_orphan(&orphan);
    close_once(&laid[MONITOR_PLAN]);
    close_once(&laid[MONITOR_FDS]);
    out->pid = ret == 0 ? (int)orphan.pid : -1;
    out->pidfd = orphan.pidfd;
    return (int)ret;
}

/* ---- the end of a child ----------------------------------------------------------------------------------------- */

static void take_end(struct report *report, const siginfo_t *info, const struct rusage *usage)
{
    enum { CORE_DUMPED = 0x80 };
    report->value = info->si_code == CLD_EXITED ? info->si_status << 8
                                                : info->si_status | (info->si_code == CLD_DUMPED ? CORE_DUMPED : 0);
    report_usage(report, usage);
}

/* By pidfd: nobody can be mistaken for the child. And with usage: the kernel's waitid(2) has one argument more than the
 * C library's. */
int spawn_reap(int pidfd, struct report *report)
{
    enum { P_PIDFD_ = 3 };
    siginfo_t info;
    struct rusage usage;
    long ret = SYS_RETRY(waitid, P_PIDFD_, pidfd, &info, WEXITED | __WALL, &usage);
    if (ret == -ECHILD) {
        report->value = status_of_reaped(pidfd, 100);
        return report->value < 0 ? report->value : 0;
    }
    if (ret < 0)
        return (int)ret;
    take_end(report, &info, &usage);
    return 1;
}

/* The helper, dead and not reaped, keeps its pid from being another's, and so the group's id. */
int spawn_reap_group(int pidfd, int pid, struct report *report)
{
    siginfo_t info;
    struct rusage usage;
    int found = 0;
    SYS(kill, -pid, SIGKILL);
    while (SYS_RETRY(waitid, P_PGID, pid, &info, WEXITED | __WALL, &usage) == 0)
        if (info.si_pid == pid) {
            take_end(report, &info, &usage);
            found = 1;
        }
    return found ? found : spawn_reap(pidfd, report);
}

/* Open a file of /proc/PID of a child, and see that the number is still the child's, and not a later owner's. */
static long open_of_child(const struct spawned *child, const char *name, int flags)
{
    char path[64] = "/proc/";
    size_t n = text_length(path);
    int unit = 1;
    while (child->pid / unit >= 10)
        unit *= 10;
    for (; unit > 0; unit /= 10)
        path[n++] = (char)('0' + child->pid / unit % 10);
    path[n++] = '/';
    text_copy(path + n, name, text_length(name) + 1);
    long fd = SYS(openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long ret = SYS(pidfd_send_signal, child->pidfd, 0, 0, 0);
    if (ret == 0)
        return fd;
    SYS(close, fd);
    return ret;
}

int spawn_write(const struct spawned *child, const char *name, const char *text, uint32_t length)
{
    long fd = open_of_child(child, name, O_WRONLY);
    if (fd < 0)
        return (int)fd;
    long ret = SYS_RETRY(write, fd, text, length);
    SYS(close, fd);
    return ret < 0 ? (int)ret : 0;
}

int spawn_open_userns(struct spawned *out, int slot)
{
    long fd = open_of_child(out, "ns/user", O_RDONLY);
    if (fd < 0)
        return (int)fd;
    out->userns = (int)fd;
    if (slot >= 0 && slot < PLAN_SLOTS)
        out->run.slot[slot] = (int)fd;
    return 0;
}

int spawn_slot(const struct spawned *out, int slot)
{
    return slot >= 0 && slot < PLAN_SLOTS ? out->run.slot[slot] : -1;
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

/* Send what the socket takes; with MSG_DONTWAIT that may be less than all: net.core.wmem_default may be small. */
static long send_plan(struct spawned *out, int flags)
{
    const struct plan_header *plan = out->run.plan;
    while (out->sent < plan->size) {
        const char *rest = (const char *)plan + out->sent;
        long ret = SYS_RETRY(sendto, out->control, rest, plan->size - out->sent, MSG_NOSIGNAL_ | flags, 0, 0);
        if (ret < 0)
            return ret == -EAGAIN ? 0 : ret;
        out->sent += (uint32_t)ret;
    }
    return 0;
}

/* The same descriptor with a higher number; as it is, where there is none left. */
static int raised(int fd, int above)
{
    long higher = fd > above ? -1 : dup_from(fd, above + 1);
    if (higher < 0)
        return fd;
    SYS(close, fd);
    return (int)higher;
}

int spawn_begin(struct spawned *out, const void *plan, uint32_t size, int above)
{
    int pair[2];
    out->failed = SPAWN_SOCKET;
    int ret = plan ? plan_check(plan, size) : 0;
    if (ret == 0)
        ret = (int)SYS(socketpair, AF_UNIX_, SOCK_STREAM_ | SOCK_CLOEXEC_, 0, pair);
    if (ret < 0)
        return ret;
    out->control = raised(pair[0], above);
    out->peer = pair[1];
    long self = SYS(getpid);
    out->creator = (int)SYS(pidfd_open, self, 0);
    if (out->creator < 0)
        return out->creator;
    run_init(&out->run, plan, out->control);
    return plan ? (int)send_plan(out, MSG_DONTWAIT_) : 0; /* nobody reads yet */
}

int spawn_give(struct spawned *out, const int *fds, uint32_t count)
{
    if (count > out->run.plan->passed)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        out->run.slot[i] = fds[i];
    out->given = count;
    return 0;
}

/* How many of the `prepare` steps come before the helper begins. */
static uint32_t count_first(const struct spawned *out)
{
    uint32_t room = out->run.plan->passed - out->given;
    return room < out->run.plan->prepare ? room : out->run.plan->prepare;
}

/* Those of the first slots are the caller's. */
static int prepare(struct spawned *out, uint32_t i)
{
    const struct plan_step *step = plan_steps(out->run.plan) + i;
    return step->arg[0] < out->given ? -EINVAL : perform(&out->run, step);
}

int spawn_prepare(struct spawned *out, int idmapped, int *step)
{
    const struct plan_step *steps = plan_steps(out->run.plan);
    for (uint32_t i = 0; i < count_first(out); i++) {
        if ((steps[i].arg[5] >= 0) != idmapped)
            continue;
        int ret = prepare(out, i);
        if (ret < 0) {
            *step = (int)i;
            return ret;
        }
    }
    return 0;
}

static long send_go(const struct spawned *out, int flags)
{
    long ret = message_send(out->control, "", 1, out->run.slot, out->run.plan->passed, flags);
    return ret < 0 ? ret : 0;
}

/* One part: from this step on as long as the slots are consecutive. How many steps, or -errno. */
static long send_part(struct spawned *out, uint32_t from, int *step)
{
    const struct plan_step *steps = plan_steps(out->run.plan) + from;
    uint32_t most = out->run.plan->prepare - from, count = 0;
    for (; count < most && steps[count].arg[0] == steps[0].arg[0] + count; count++) {
        int ret = prepare(out, from + count);
        if (ret < 0) {
            *step = (int)(from + count);
            return ret;
        }
    }
    long ret = message_send(out->control, "", 1, out->run.slot + steps[0].arg[0], count, 0);
    return ret < 0 ? ret : count;
}

static long send_parts(struct spawned *out, int *step)
{
    long ret = 0;
    for (uint32_t i = count_first(out); i < out->run.plan->prepare && ret >= 0; i += (uint32_t)ret)
        ret = send_part(out, i, step);
    return ret < 0 ? ret : 0;
}

/* Close what `prepare` opened; the given ones are the caller's. */
static void close_prepared(struct spawned *out)
{
    for (uint32_t i = out->given; out->run.plan && i < PLAN_SLOTS; i++)
        close_once(&out->run.slot[i]);
    close_once(&out->userns);
}

int spawn_go_early(struct spawned *out)
{
    int is_all = out->sent == out->run.plan->size && count_first(out) == out->run.plan->prepare;
    long ret = is_all ? send_go(out, MSG_DONTWAIT_) : -EAGAIN;
    if (ret == -EAGAIN)
        return 0;
    close_prepared(out);
    return ret < 0 ? (int)ret : 1;
}

int spawn_go(struct spawned *out, int *step)
{
    *step = -1;
    long ret = send_plan(out, 0);
    if (ret == 0)
        ret = send_go(out, 0);
    if (ret == 0)
        ret = send_parts(out, step);
    close_prepared(out);
    return (int)ret;
}

void spawn_close(struct spawned *spawned)
{
    close_prepared(spawned);
    close_once(&spawned->control);
    close_once(&spawned->ended);
    spawn_part(spawned);
    close_once(&spawned->pidfd);
}

int spawn_report(int control, struct report *report, int *fd)
{
    struct message message;
    uint32_t count;
    long got = message_receive(control, report, sizeof *report, &message, &count, MSG_DONTWAIT_);
    *fd = count > 0 ? message.fds[0] : -1;
    if (got == -ECONNRESET) /* the peer died with unread bytes: an end of file like another */
        return 0;
    if (got <= 0)
        return (int)got;
    if (report->kind == REPORT_FORKED && message.sender) /* who forked it does not know our pid namespace */
        report->value = message.sender;
    return got == sizeof *report ? 1 : -EPROTO;
}

uint64_t spawn_effective(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    SYS(capget, &header, data);
    return data[0].effective | (uint64_t)data[1].effective << 32;
}

int spawn_find_inside(const char *root, const char *path)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long directory = SYS(openat, AT_FDCWD, root, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0)
        return (int)directory;
    long fd = SYS_RETRY(openat2, directory, path, &how, sizeof how);
    SYS(close, directory);
    return (int)fd;
}
