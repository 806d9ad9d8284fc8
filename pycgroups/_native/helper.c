/* pycgroups-init: performs a launch plan, then is the program's init, or becomes the program.
 *
 * The library (spawn.c) clones a child that execs this at once, with nothing but five descriptors:
 * 0, 1, 2 for the program, 3, the control socket, and 4, a pidfd of the library's process. The conversation on it:
 *
 *     library                                  helper
 *     plan                 ----------------->
 *     clone3 + exec        ----------------->  reads it, waits
 *     maps the user namespace, opens what only the caller may open
 *     go, descriptors      ----------------->  performs `setup`
 *                          <-----------------  FD      a pty's master, the scratch file system
 *                          <-----------------  FAILED  step and errno: the helper exits, and all with it
 *                          <-----------------  STARTED the program is running        (an end of file without init)
 *                          <-----------------  EXITED  wait status, usage            (not without init)
 *
 * Its process is PID 1 of a pid namespace. Where there is none it adopts what its descendants leave
 * behind, and kills them itself: generation after generation.
 *
 * It has no C library: it is mapped and running in a tenth of the time, and there is nothing in it that the program
 * could reach for. It runs from a sealed copy in memory, so that /proc/1/exe is no way to a file of the host.
 */
#include "steps.h"

#include <asm/siginfo.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/wait.h>

#include "bare.h"
#include "forks.h"
#include "inside.h"
#include "message.h"
#include "sys.h"
#include "text.h"

enum {
    SIGKILL_ = 9,
    SIGCHLD_ = 17,
    SIGIO_ = 29,
};

static struct run run;
static volatile int main_failed; /* written by the main child in our memory, before it gives up */
static int has_shared;           /* what is STEP_SHARED; our forks have it, and this with it */

/* The last word, and so the conversation's end: also if a child of the library's process has a copy of our socket. */
static void tell_failure(int control, int32_t step, long error)
{
    struct report report = {.kind = REPORT_FAILED, .step = step, .error = (int32_t)-error};
    send_report(control, &report, -1);
    SYS(shutdown, control, 2 /* SHUT_RDWR */);
}

/* What failed is no step of the plan. */
static void __attribute__((noreturn)) give_up(long error)
{
    tell_failure(CONTROL, -1, error);
    leave(125);
}

static long read_whole(void *to, size_t length)
{
    for (size_t have = 0; have < length;) {
        if (!creator_speaks(CONTROL))
            return -ECONNRESET;
        long ret = SYS_RETRY(read, CONTROL, (char *)to + have, length - have);
        if (ret <= 0)
            return ret < 0 ? ret : -ECONNRESET;
        have += (size_t)ret;
    }
    return 0;
}

static long receive_plan(void)
{
    struct plan_header header;
    long ret = read_whole(&header, sizeof header);
    if (ret < 0)
        return ret;
    if (header.size < sizeof header)
        return -EPROTO;
    long memory = SYS(mmap, 0, header.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0 && memory > -4096)
        return memory;
    char *block = (char *)memory;
    text_copy(block, (const char *)&header, sizeof header);
    ret = read_whole(block + sizeof header, header.size - sizeof header);
    if (ret < 0)
        return ret;
    run_init(&run, (const struct plan_header *)block, CONTROL);
    return plan_check(run.plan, header.size);
}

/* One byte says that all is ready; the descriptors come with it. */
static long receive_go(void)
{
    char byte;
    struct message message;
    uint32_t count;
    if (!creator_speaks(CONTROL))
        return -ECONNRESET;
    long got = message_receive(CONTROL, &byte, 1, &message, &count, 0); /* -EMFILE: RLIMIT_NOFILE is the caller's own */
    if (got != 1)
        return got < 0 ? got : -ECONNRESET;
    if (count != run.plan->passed)
        return -EPROTO;
    for (uint32_t i = 0; i < count; i++)
        run.slot[i] = message.fds[i];
    return 0;
}

/* Once it is started nobody listens any more. What can fail then is the exec, which has been told of on stderr; and the
 * program's filter need not let us send anything. */
static int perform_range(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        int ret = perform(&run, plan_steps(run.plan) + i);
        if (ret < 0) {
            if (!run.started)
                tell_failure(run.control, (int32_t)i, ret);
            return ret;
        }
    }
    return 0;
}

static void __attribute__((noreturn)) leave_failed(void)
{
    leave(run.started ? 1 : 125);
}

/* ---- init ------------------------------------------------------------------------------------------------------ */

static void __attribute__((noreturn, noinline)) main_child(void)
{
    perform_range(run.plan->setup, run.plan->steps);
    main_failed = 1;
    leave(127);
}

/* vfork-like: the child uses our memory and stack until it execs, and we stand still for so long. It must not return
 * from this function's frame, hence the call that never does. The descriptors are ours as well until then: what it
 * closes before its exec the program cannot find in /proc/1/fd, however long we take to wake up. */
static long __attribute__((noinline)) fork_main(void)
{
    long pid = SYS(clone, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD_);
    if (pid == 0)
        main_child();
    return pid;
}

enum { REQUESTS = CONTROL + 1 }; /* of forks.h, once the program runs */

/* What the program has, and a fork of ours is to have by us: its filter, which allows what is ours to do. */
static int share(void)
{
    int done = 0;
    for (uint32_t i = run.plan->setup; i < run.plan->steps; i++) {
        const struct plan_step *step = plan_steps(run.plan) + i;
        if (!(step->flags & STEP_SHARED))
            continue;
        if (perform(&run, step) < 0)
            return 0;
        done++;
    }
    has_shared = done > 0;
    return 1;
}

/* What an init needs no more: the program's streams, what stayed open until its exec, and every right but that to send a
 * signal and, if it is to fork, to be what its forks become. */
static void settle_down(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    uint64_t caps = run.plan->keep_caps | 1U << CAP_KILL;
    struct __user_cap_data_struct data[2] = {0};
    SYS(capget, &header, data);
    for (int half = 0; half < 2; half++) {
        data[half].permitted &= (uint32_t)(caps >> (32 * half)); /* more than there is would be refused, and nothing dropped */
        data[half].effective = data[half].permitted;
        data[half].inheritable = 0;
    }
    int requests = run.plan->requests < 0 ? -1 : run.slot[run.plan->requests];
    int forks = requests == REQUESTS || (requests >= 0 && SYS(dup3, requests, REQUESTS, O_CLOEXEC) == REQUESTS);
    SYS(close_range, 0, CONTROL - 1, 0);
    SYS(close_range, CONTROL + 1 + forks, ~0U, 0);
    SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (forks)
        limit_bounding(caps); /* that is: here, and not in each fork */
    SYS(capset, &header, data);
    if (forks && share())
        forks_begin(REQUESTS);
    else if (forks)
        SYS(close, REQUESTS);
}

/* Without a pid namespace of ours, kill(-1) would be for every process of the machine. */
static int is_first(void)
{
    return SYS(getpid) == 1;
}

struct killing {
    long pid; /* as far as it was read */
    int done;
    long refused;
};

static void kill_listed(struct killing *killing, const char *text, long length)
{
    for (long i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            killing->pid = killing->pid * 10 + text[i] - '0';
            continue;
        }
        long ret = killing->pid > 0 ? SYS(kill, killing->pid, SIGKILL_) : 0;
        killing->done |= killing->pid > 0 && ret == 0;
        killing->refused = ret < 0 ? ret : killing->refused;
        killing->pid = 0;
    }
}

/* Whose numbers a procfs has: it shows us as who we are, if they are those of our pid namespace. */
static int knows_us(long proc)
{
    char link[64];
    long self = SYS(getpid), pid = 0;
    long length = SYS(readlinkat, proc, "thread-self", link, sizeof link);
    for (long i = 0; i < length && i < 10 && link[i] >= '0' && link[i] <= '9'; i++)
        pid = pid * 10 + link[i] - '0';
    return pid == self;
}

/* In a mount namespace that was joined /proc is somebody else's to arrange, and who is listed is killed: so it is procfs,
 * of our own pid namespace, and nothing is mounted on the way. -EXDEV where it is not. */
static long open_children(void)
{
    static const char path[] = "thread-self/children";
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    long proc = SYS(openat, AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (proc < 0)
        return proc == -ENOENT ? -EXDEV : proc;
    long fd = is_procfs((int)proc) == 0 && knows_us(proc) ? SYS_RETRY(openat2, proc, path, &how, sizeof how) : -EXDEV;
    if (fd == -ENOSYS || fd == -EPERM) /* a filter around us, that is older than openat2(2) */
        fd = SYS(openat, proc, path, O_RDONLY | O_CLOEXEC, 0);
    SYS(close, proc);
    return fd;
}

static long check_children(void)
{
    long fd = is_first() ? 0 : open_children();
    if (fd > 0)
        SYS(close, fd);
    return fd < 0 ? fd : 0;
}

/* Our children, and no further: a pid is surely theirs until we have reaped it, and nobody knows that of their children,
 * who are ours next: prctl(2), PR_SET_CHILD_SUBREAPER. proc_tid_children(5). 0, or why none can be killed. */
static long kill_children(void)
{
    char text[1024];
    struct killing killing = {0};
    long fd = open_children(), got;
    if (fd == -ENFILE || fd == -ENOMEM) /* it will not last */
        return 0;
    if (fd < 0)
        return fd;
    while ((got = SYS_RETRY(read, fd, text, sizeof text)) > 0)
        kill_listed(&killing, text, got);
    SYS(close, fd);
    return killing.done ? 0 : killing.refused;
}

static long kill_others(void)
{
    return is_first() ? SYS(kill, -1, SIGKILL_) : kill_children();
}

/* In a pid namespace the kernel would kill what is left by itself, but getrusage(2) counts only what has been waited for. */
static void end_others(void)
{
    struct { long sec, nsec; } patience = {1, 0};
    uint64_t every = ~0ULL;
    struct rusage usage;
    int status;
    long pid;
    while ((pid = SYS(wait4, -1, &status, WNOHANG | __WALL, &usage)) >= 0) {
        forks_ended(pid, status, &usage);
        if (pid == 0 && kill_others() < 0)
            return;
        if (pid == 0 && SYS(rt_sigtimedwait, &every, 0, &patience, SIGNAL_SET_BYTES) < 0 && is_first())
            return;
    }
}

static void __attribute__((noreturn)) report_exit(int status)
{
    end_others();
    struct report report = {.kind = REPORT_EXITED, .value = status};
    struct rusage usage;
    SYS(getrusage, RUSAGE_CHILDREN, &usage);
    report_usage(&report, &usage);
    send_report(CONTROL, &report, -1);
    leave(0); /* as PID 1: the kernel kills and reaps what is left */
}

static void reap(long main_pid)
{
    for (;;) {
        int status = 0;
        struct rusage usage;
        long pid = SYS(wait4, -1, &status, WNOHANG | __WALL, &usage);
        if (pid <= 0)
            return;
        if (pid == main_pid)
            report_exit(status);
        forks_ended(pid, status, &usage);
    }
}

/* A process that ends closes its descriptors before PR_SET_PDEATHSIG tells its children. That can take for ever: to close
 * the pipe of a program that holds its lock. So the end of the control socket is a signal, too: fcntl(2), O_ASYNC. */
static void watch_creator(void)
{
    long self = SYS(getpid), flags = SYS(fcntl, CONTROL, F_GETFL, 0);
    SYS(fcntl, CONTROL, F_SETOWN, self);
    SYS(fcntl, CONTROL, F_SETFL, flags | FASYNC);
}

/* The kernel's own; another process's SIGIO is for the program. */
static int is_of_creator(long signal, const siginfo_t *info)
{
    return signal == SIGIO_ && info->si_code > 0;
}

static void __attribute__((noreturn)) launch(void);

static void __attribute__((noreturn)) be_init(long main_pid)
{
    struct report started = {.kind = REPORT_STARTED, .value = (int32_t)main_pid};
    settle_down();
    send_report(CONTROL, &started, -1);
    watch_creator();
    uint64_t every = ~0ULL;
    /* The threads of a killed process end one by one: had the one that we are a child of ended just before OP_DEATH, the
     * others would end about now. So look once more, a bit later. */
    const struct { long sec, nsec; } once = {0, 300000000}, *patience = &once;
    for (;;) {
        reap(main_pid);
        forks_serve(launch);
        siginfo_t info;
        long signal = SYS(rt_sigtimedwait, &every, &info, patience, SIGNAL_SET_BYTES);
        if (signal == PLAN_END_SIGNAL && (info.si_pid == 0 || !is_first())) /* 0: no pid of ours */
            kill_others();
        else if (signal > 0 && signal != SIGCHLD_ && !is_of_creator(signal, &info))
            SYS(kill, main_pid, signal);
        /* Of two signals of this number one is heard of, and that may be another process's. */
        if ((signal == -EAGAIN || signal == SIGIO_) && creator_is_gone(CONTROL)) {
            end_others();
            leave(0);
        }
        if (signal == -EAGAIN)
            patience = 0;
    }
}

/* ---- */

static void __attribute__((noreturn)) launch(void)
{
    long ret = receive_plan();
    if (ret == 0)
        ret = receive_go();
    if (ret == 0 && run.plan->flags & PLAN_INHERITS && !has_shared)
        ret = -EACCES;
    if (ret < 0)
        give_up(ret);
    SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0); /* not before: an ordinary user must write our uid_map */
    if (perform_range(run.plan->prepare, run.plan->setup) < 0)
        leave(125);
    if (!(run.plan->flags & PLAN_INIT)) {
        perform_range(run.plan->setup, run.plan->steps);
        leave_failed();
    }
    SYS(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* PID 1 is that anyway */
    ret = check_children();
    if (ret < 0)
        give_up(ret);
    long pid = fork_main();
    if (pid < 0)
        give_up(pid);
    if (main_failed)
        leave_failed();
    be_init(pid);
}

static void __attribute__((noreturn, used, no_stack_protector)) bare_main(void)
{
    set_stack_guard();
    mask_signals(~0ULL);
    reset_signals();
    SYS(prctl, PR_SET_NAME, "pycgroups-init", 0, 0, 0);
    launch();
}
