/* The init's half of forks.h. There is no C library: see helper.c. */
#include "forks.h"

#include <linux/fcntl.h>
#include <linux/ioprio.h>
#include <linux/resource.h>

#include "message.h"
#include "plan.h"
#include "steps.h"
#include "sys.h"
#include "text.h"

enum {
    MOST = 512,
    SIGKILL_ = 9,
    SIGCHLD_ = 17,
};

struct forked {
    long pid;
    int ended;
};

/* What a fork has of its init, and root inside can change: prlimit(2), setpriority(2), sched_setaffinity(2) ... */
struct lot {
    struct rlimit64 limits[RLIM_NLIMITS];
    uint64_t processors[16];
    long nice, policy, io;
};

static int listening = -1;
static struct lot first;
static struct forked forked[MOST];
static int count;

/* ---- the fork --------------------------------------------------------------------------------------------------- */

/* Our number in the caller's pid namespace comes with the message: unix(7), SCM_CREDENTIALS. */
static long introduce(int control)
{
    long self = SYS(getpid), pidfd = SYS(pidfd_open, self, 0);
    struct report report = {.kind = REPORT_FORKED};
    long ret = pidfd < 0 ? pidfd : send_report(control, &report, (int)pidfd);
    SYS(close, pidfd);
    return ret;
}

/* Nothing else goes over. First all out of the way, since any of them may have any number. */
static long lay_descriptors(const int *fds)
{
    int high[FORK_ENDED];
    long ret = 0;
    for (int i = 0; i < FORK_ENDED && ret >= 0; i++)
        ret = high[i] = (int)dup_from(fds[i], FORK_ENDED);
    for (int i = 0; i < FORK_ENDED && ret >= 0; i++)
        ret = SYS(dup3, high[i], i, 0);
    return ret < 0 ? ret : SYS(close_range, FORK_ENDED, ~0U, 0);
}

static void __attribute__((noreturn)) be_fork(const int *fds, void (*launch)(void))
{
    listening = -1;
    count = 0;
    if (introduce(fds[FORK_CONTROL]) == 0 && lay_descriptors(fds) == 0)
        launch();
    for (;;)
        SYS(exit_group, 125);
}

/* ---- the init --------------------------------------------------------------------------------------------------- */

/* Have a signal tell when there is something to read, or the other end is closed. */
static void watch(int fd)
{
    long self = SYS(getpid), flags = SYS(fcntl, fd, F_GETFL, 0);
    SYS(fcntl, fd, F_SETOWN, self);
    SYS(fcntl, fd, F_SETFL, flags | FASYNC);
}

static void look_at(struct lot *lot)
{
    *lot = (struct lot){0};
    for (int i = 0; i < RLIM_NLIMITS; i++)
        SYS(prlimit64, 0, i, 0, &lot->limits[i]);
    SYS(sched_getaffinity, 0, sizeof lot->processors, lot->processors);
    lot->nice = SYS(getpriority, PRIO_PROCESS, 0);
    lot->policy = SYS(sched_getscheduler, 0);
    lot->io = SYS(ioprio_get, IOPRIO_WHO_PROCESS, 0);
}

/* Whether nobody inside has changed what what is executed would have. */
static int is_as_at_first(void)
{
    struct lot now;
    look_at(&now);
    return text_equal((const char *)&now, (const char *)&first, sizeof now);
}

/* Whether it has taken the last of the descriptors. */
static int fork_with(const int *fds, void (*launch)(void))
{
    long pid = count < MOST && is_as_at_first() ? SYS(clone, SIGCHLD_) : -EAGAIN;
    if (pid == 0)
        be_fork(fds, launch);
    if (pid < 0)
        return 0;
    watch(fds[FORK_ENDED]);
    forked[count++] = (struct forked){.pid = pid, .ended = fds[FORK_ENDED]};
    return 1;
}

static void kill_abandoned(void)
{
    for (int i = 0; i < count; i++)
        if (creator_is_gone(forked[i].ended))
            SYS(kill, forked[i].pid, SIGKILL_);
}

void forks_begin(int requests)
{
    listening = requests;
    look_at(&first);
    watch(listening);
}

void forks_serve(void (*launch)(void))
{
    char byte;
    struct message message;
    uint32_t came;
    if (listening < 0)
        return;
    for (;;) {
        long got = message_receive(listening, &byte, sizeof byte, &message, &came, MSG_DONTWAIT_);
        if (got < 0 && got != -EMFILE)
            break;
        /* Who is inside has a number here, whatever way there is for him to the socket. */
        int taken = got > 0 && !message.sender && came == FORK_FDS && fork_with(message.fds, launch);
        for (uint32_t i = 0; i < came - (uint32_t)taken; i++)
            SYS(close, message.fds[i]);
    }
    kill_abandoned();
}

void forks_ended(long pid, int status, const struct rusage *usage)
{
    for (int i = 0; i < count; i++) {
        if (forked[i].pid != pid)
            continue;
        struct report report = {.kind = REPORT_EXITED, .value = status};
        report_usage(&report, usage);
        send_report(forked[i].ended, &report, -1);
        SYS(close, forked[i].ended);
        forked[i] = forked[--count];
        return;
    }
}
