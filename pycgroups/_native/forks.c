/* The init's half of forks.h. There is no C library: see helper.c. */
#include "forks.h"

#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/resource.h>

#include "message.h"
#include "plan.h"
#include "steps.h"
#include "sys.h"

enum {
    MOST = 512,
    INIT = 1, /* its pid */
    IDLE = 1, /* seconds that a fork waits for a request */
    AF_UNIX_ = 1,
    SOCK_DGRAM_ = 2,
    SOCK_CLOEXEC_ = 02000000,
    SIGKILL_ = 9,
    SIGCHLD_ = 17,
};

struct forked {
    long pid;
    int ended;
};

static int listening = -1;
static int taken[2] = {-1, -1}; /* FORK_ENDED of a request goes from [1], the fork that has got it, to [0] */
static long spare;              /* waits for a request; 0 when there is none */
static int had_one;             /* a request: the next one may come soon */
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

static int is_asked(long patience)
{
    const struct { long sec, nsec; } time = {patience, 0};
    struct pollfd asked = {.fd = listening, .events = POLLIN};
    return SYS(ppoll, &asked, 1, &time, 0, 8) == 1;
}

static long receive_request(struct message *message)
{
    uint32_t came;
    char byte;
    if (!is_asked(IDLE))
        return -EAGAIN;
    long got = message_receive(listening, &byte, sizeof byte, message, &came, MSG_DONTWAIT_);
    return got < 0 ? got : came == FORK_FDS ? 0 : -EPROTO;
}

/* Have a signal tell the init, or no longer, when there is something to read, or the other end is closed. */
static void watch(int fd, int is_watched)
{
    long flags = SYS(fcntl, fd, F_GETFL, 0);
    SYS(fcntl, fd, F_SETOWN, INIT);
    SYS(fcntl, fd, F_SETFL, is_watched ? flags | FASYNC : flags & ~FASYNC);
}

/* The init need not know of it before it has something to do: for the next who asks, or at the end of one of the two. For
 * who has asked already it is woken up, by a signal that it does not hand on to the program. */
static long hand_over(const struct message *message)
{
    watch(message->fds[FORK_ENDED], 1);
    watch(listening, 1);
    long ret = message_send(taken[1], "", 1, message->fds + FORK_ENDED, 1, 0);
    if (is_asked(0))
        SYS(kill, INIT, SIGCHLD_);
    return ret;
}

static void __attribute__((noreturn)) be_fork(void (*launch)(void))
{
    struct message message;
    SYS(close, CONTROL);
    for (int i = 0; i < count; i++)
        SYS(close, forked[i].ended);
    long ret = receive_request(&message);
    if (ret == 0)
        ret = introduce(message.fds[FORK_CONTROL]);
    if (ret == 0)
        ret = hand_over(&message);
    if (ret > 0)
        ret = lay_descriptors(message.fds);
    listening = -1;
    count = 0;
    if (ret == 0)
        launch();
    for (;;)
        SYS(exit_group, 125);
}

/* ---- the init --------------------------------------------------------------------------------------------------- */

/* If the fork that waited has got a request, it waits no more. */
static void take_over(void)
{
    struct message message;
    uint32_t came;
    char byte;
    if (!spare || message_receive(taken[0], &byte, sizeof byte, &message, &came, MSG_DONTWAIT_) <= 0 || came != 1)
        return;
    forked[count++] = (struct forked){.pid = spare, .ended = message.fds[0]};
    spare = 0;
    had_one = 1;
}

static void fork_ahead(void (*launch)(void))
{
    watch(listening, 0); /* else both would wake up for each request. Not afterwards: it may have had one by then */
    long pid = count < MOST ? SYS(clone, SIGCHLD_) : -EAGAIN;
    if (pid == 0)
        be_fork(launch);
    spare = pid < 0 ? 0 : pid;
    had_one = 0;
    if (!spare)
        watch(listening, 1);
}

static void kill_abandoned(void)
{
    for (int i = 0; i < count; i++)
        if (creator_is_gone(forked[i].ended))
            SYS(kill, forked[i].pid, SIGKILL_);
}

void forks_begin(int requests)
{
    if (SYS(socketpair, AF_UNIX_, SOCK_DGRAM_ | SOCK_CLOEXEC_, 0, taken) < 0)
        return;
    listening = requests;
    watch(listening, 1);
}

void forks_serve(void (*launch)(void))
{
    if (listening < 0)
        return;
    take_over();
    if (!spare && (had_one || is_asked(0)))
        fork_ahead(launch);
    kill_abandoned();
}

void forks_ended(long pid, int status, const struct rusage *usage)
{
    take_over(); /* it may have been the one that waited until a moment ago */
    if (pid > 0 && pid == spare) {
        spare = 0;
        watch(listening, 1);
    }
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
