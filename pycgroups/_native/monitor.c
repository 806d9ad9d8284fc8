/* pycgroups-monitor: one for each container that is held or detached, as long as that runs. No daemon is needed.
 *
 *     library                         monitor                            container
 *     launch    ----------------------------------------------------->  sets up; its init is at the control socket
 *     plan, all descriptors  ------>  a session of its own; waits
 *     STARTED   <-----------------------------------------------------  runs
 *     a byte    ------------------->
 *                                     log          <-----------------   output
 *                                     events       <-----------------   out of memory
 *                                     the check, now and then, a child
 *                                     exit         <-----------------   EXITED: status, usage;  its end
 *     who attaches  ------------->    lends its input  -------------->  stdin, or its terminal
 *                                     the delay
 *                                     the command that comes after
 *
 * The library (spawn.c) starts it as nobody's child, with nothing but the descriptors of monitor.h. It is killed? Then the
 * control socket is at its end, and the init ends the container; without an init, the program goes on, and its output
 * goes nowhere. The lock on "monitor" is gone either way, and there is no "exit": so others know that its status is lost.
 *
 * Two threads: a container can hold the lock of a pipe for ever, and whoever reads that pipe waits with it. So the one
 * that waits for the end, and kills, touches no pipe. A third one writes where much is read (output.c).
 */
#include "monitor.h"

#include <asm/siginfo.h>
#include <asm/statfs.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "bare.h"
#include "message.h"
#include "output.h"
#include "pidfd.h"
#include "plan.h"
#include "put.h"
#include "thread.h"

enum {
    SIGKILL_ = 9,
    SIGCHLD_ = 17,
    SIGCONT_ = 18,
    EVENT_BYTES = 4096,        /* so much is appended by one write as a whole */
    KILLS_MOST = 5,            /* by the signal for that; then by SIGKILL */
    REAPING_MSEC = 1000,
    LEFT_LOOKS = 100,          /* at those that an init has left, 10 ms each */
    NO_STATUS = -1,
    LOCK_EX_ = 2,              /* flock(2) */
    LOCK_NB_ = 4,
    LOOKS = 10,                /* at its disk, in a second */
    LEFT_BYTES = 1 << 20,      /* of an ext4 that has refused a write: it takes the pages of a large one all, or none, */
    LEFT_PART = 16,            /* and of a small one this part at most */
};

static const struct monitor_plan *plan;
static struct report usage; /* REPORT_EXITED, once it has come */
static int program_status = NO_STATUS;
static uint64_t oom_kills;
static int was_oom;
static int was_full; /* the file system that has a limit */
static uint64_t refused_forks; /* by the container's own limit */
static int kills; /* of the container, since its keeper is gone */
static uint32_t log_is_done;

/* ---- what is to be done ----------------------------------------------------------------------------------------- */

static int is_inside(uint32_t offset, uint64_t length)
{
    return offset >= sizeof *plan && offset + length <= plan->size;
}

static int read_plan(void)
{
    struct statx facts;
    if (SYS(statx, MONITOR_PLAN, "", AT_EMPTY_PATH, STATX_SIZE, &facts) < 0 || facts.stx_size < sizeof *plan)
        return 0;
    long memory = SYS(mmap, 0, facts.stx_size, PROT_READ, MAP_PRIVATE, MONITOR_PLAN, 0);
    if (memory < 0 && memory > -4096)
        return 0;
    plan = (const struct monitor_plan *)memory;
    return plan->magic == MONITOR_MAGIC && plan->size == facts.stx_size && plan->files > 0
           && is_inside(plan->members, plan->members_size) && plan->members_size < EVENT_BYTES / 2
           && (plan->argc + plan->check_argc == 0 || is_inside(plan->words, 1));
}

/* Whether the program runs. If it does not, or the library is gone before it knows, nothing has been, and nothing is left. */
static int may_begin(void)
{
    char byte;
    long got = SYS_RETRY(read, MONITOR_GATE, &byte, 1);
    SYS(close, MONITOR_GATE);
    return got == 1;
}

/* The commands may need every right. */
static void give_up_rights(void)
{
    const uint32_t kept = 1U << CAP_KILL | 1U << CAP_DAC_OVERRIDE;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (plan->argc > 0 || plan->check_argc > 0)
        return;
    SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    SYS(capget, &header, data);
    data[0].permitted &= kept;
    data[0].effective &= kept;
    data[0].inheritable = data[1].permitted = data[1].effective = data[1].inheritable = 0;
    SYS(capset, &header, data);
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

/* Those of the plan, or as somebody has changed them since: the container has another name. */
static char *put_members(char *to)
{
    long fd = SYS(openat, MONITOR_DIRECTORY, "members", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    long got = fd < 0 ? fd : SYS_RETRY(read, fd, to, EVENT_BYTES / 2);
    if (fd >= 0)
        SYS(close, fd);
    return got > 0 ? to + got : put_bytes(to, (const char *)plan + plan->members, plan->members_size);
}

/* `{"time":...,"type":"container","action":...,` and what is the same in all events, up to their attributes. */
static char *begin_event(char *to, const char *action)
{
    to = put_text(to, "{\"time\":");
    to = put_number(to, clock_nsec(CLOCK_REALTIME));
    to = put_text(to, ",\"type\":\"container\",\"action\":\"");
    to = put_text(to, action);
    to = put_text(to, "\",");
    return put_members(to);
}

static char *put_attribute(char *to, const char *key)
{
    if (to[-1] != '{')
        *to++ = ',';
    *to++ = '"';
    to = put_text(to, key);
    return put_text(to, "\":\"");
}

static void append_event(char *event, char *end)
{
    enum { FLAGS = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC };
    end = put_text(end, "}}\n");
    long fd = is_given(plan, MONITOR_EVENTS) ? SYS(openat, MONITOR_EVENTS, "events", FLAGS, 0600) : -EBADF;
    if (fd < 0)
        return;
    end_last_line((int)fd);
    SYS_RETRY(write, fd, event, end - event);
    SYS(close, fd);
}

static void tell_oom(void)
{
    char event[EVENT_BYTES];
    append_event(event, begin_event(event, "oom"));
}

/* As subprocess has it: a signal's number is negative. */
static char *put_exit_code(char *to)
{
    int signal = program_status & 0x7f;
    if (signal)
        *to++ = '-';
    return put_number(to, (uint64_t)(signal ? signal : program_status >> 8));
}

/* A limit that was hit, unless the program coped: as make_reason() in containers/verdict.py. */
static const char *reason(void)
{
    if (program_status != 0 && was_oom)
        return "oom";
    if (program_status != 0 && refused_forks)
        return "pids";
    if (program_status != 0 && was_full)
        return "disk";
    return program_status & 0x7f ? "signal" : "exited";
}

static void tell_death(void)
{
    char event[EVENT_BYTES], *to = begin_event(event, "die");
    if (program_status >= 0) {
        to = put_attribute(to, "exit_code");
        to = put_exit_code(to);
        to = put_text(to, "\"");
        to = put_attribute(to, "reason");
        to = put_text(to, reason());
        to = put_text(to, "\"");
    }
    to = put_attribute(to, "oom");
    append_event(event, put_text(to, was_oom ? "true\"" : "false\""));
}

/* ---- out of memory ---------------------------------------------------------------------------------------------- */

struct memory_events {
    uint64_t hits;  /* "oom": the limit of just this group was hit; v2 */
    uint64_t kills; /* "oom_kill": processes that were killed; v1 since Linux 4.13 */
};

static uint64_t number_of(const char *key, const char *text, size_t length)
{
    size_t key_length = text_length(key);
    uint64_t number = 0;
    for (size_t i = 0; i + key_length < length; i++) {
        if ((i > 0 && text[i - 1] != '\n') || !text_equal(text + i, key, key_length))
            continue;
        for (i += key_length; i < length && text[i] >= '0' && text[i] <= '9'; i++)
            number = number * 10 + (uint64_t)(text[i] - '0');
        return number;
    }
    return 0;
}

enum { COUNTS_BYTES = 1024 };

static long read_counts(int fd, char text[static COUNTS_BYTES])
{
    return fd < 0 ? fd : SYS_RETRY(pread64, fd, text, COUNTS_BYTES, 0);
}

/* 0 or -errno; where there is no such file, nothing has happened. */
static int read_events(int fd, struct memory_events *events)
{
    char text[COUNTS_BYTES];
    long got = read_counts(fd, text);
    *events = (struct memory_events){0};
    if (got <= 0)
        return got < 0 ? (int)got : -ENODATA;
    events->hits = number_of("oom ", text, (size_t)got);
    events->kills = number_of("oom_kill ", text, (size_t)got);
    return 0;
}

static struct memory_events events_at(const char *path)
{
    struct memory_events events;
    long fd = SYS(openat, MONITOR_GROUP, path, O_RDONLY | O_CLOEXEC);
    read_events((int)fd, &events);
    if (fd >= 0)
        SYS(close, fd);
    return events;
}

/* On v2 the kills in groups below count, too, and those of who was executed in the container with limits of its own are not
 * the container's. These are: of its own processes, whoever's limit was hit; and of others, as often as its own was.
 * cgroup-v2.rst, memory.events.local: Linux 5.2. */
static uint64_t own_kills(uint64_t all)
{
    struct memory_events top = events_at("memory.events.local"), leaf = events_at("pycgroups.own/memory.events.local");
    uint64_t own = top.kills + leaf.kills, hit = top.hits < all ? top.hits : all;
    return own > hit ? own : hit;
}

/* poll(2) tells of the next change only after the file was read. Whether there still is such a file. */
static int look_at_memory(void)
{
    struct memory_events events;
    if (read_events(given_fd(plan, MONITOR_MEMORY), &events) < 0)
        return 0;
    uint64_t kills = is_given(plan, MONITOR_GROUP) ? own_kills(events.kills) : events.kills;
    if (kills > oom_kills) {
        was_oom = 1;
        tell_oom();
    }
    oom_kills = kills;
    return 1;
}

/* ---- the input -------------------------------------------------------------------------------------------------- */

/* The lock of that pipe may be the container's for ever, too. */
static void close_input(void *unused)
{
    (void)unused;
    SYS(close, MONITOR_INPUT);
    for (;;)
        SYS(exit, 0);
}

static void grant(char wish, const struct message *message, uint32_t count)
{
    static int is_shut;
    const int input = MONITOR_INPUT;
    if (is_shut)
        return;
    if (wish == MONITOR_SHUT)
        is_shut = start_thread(close_input, 0) >= 0;
    else if (wish == MONITOR_LEND && count == 1
             && message_send(message->fds[0], &wish, sizeof wish, &input, 1, MSG_DONTWAIT_) > 0)
        output_is_awaited = 1;
}

/* Whether more can come. */
static int lend(void)
{
    struct message message;
    uint32_t count;
    char wish;
    long got;
    do {
        wish = 0;
        got = message_receive(MONITOR_LENDER, &wish, sizeof wish, &message, &count, MSG_DONTWAIT_);
        if (got > 0)
            grant(wish, &message, count);
        for (uint32_t i = 0; i < count; i++)
            SYS(close, message.fds[i]);
    } while (got >= 0 || got == -EMFILE);
    return got == -EAGAIN;
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

/* Whether all these strings are there; `to` points to each. */
static int point_to(const char **to, uint32_t count, const char **text)
{
    const char *end = (const char *)plan + plan->size;
    for (uint32_t i = 0; i < count; i++) {
        to[i] = *text;
        while (*text < end && **text)
            ++*text;
        if (*text == end)
            return 0;
        ++*text;
    }
    to[count] = 0;
    return 1;
}

/* Those that wait because they are blocked: they were not meant for what comes. */
static void forget_signals(void)
{
    static const uint64_t ignored[4] = {1}; /* SIG_IGN: sigaction(2) discards what waits */
    for (int signal = 1; signal <= 64; signal++)
        SYS(rt_sigaction, signal, ignored, 0, SIGNAL_SET_BYTES);
}

/* Execute the command whose words come after so many others, with /dev/null and no signal blocked. It returns only when
 * that failed. The descriptors 0 to 2 are closed. */
static void execute(uint32_t before, uint32_t argc, uint32_t envc)
{
    size_t size = (before + (size_t)argc + envc + 3) * sizeof(char *);
    long memory = SYS(mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const char **others = (const char **)memory, **argv = others + before + 1, **envp = argv + argc + 1;
    const char *text = (const char *)plan + plan->words;
    if ((memory < 0 && memory > -4096) || !point_to(others, before, &text) || !point_to(argv, argc, &text)
        || !point_to(envp, envc, &text))
        return;
    if (SYS(openat, AT_FDCWD, "/dev/null", O_RDWR, 0) == 0)
        for (int fd = 1; fd < 3; fd++)
            SYS(dup3, 0, fd, 0);
    reset_signals();
    mask_signals(0);
    SYS(execve, argv[0], argv, envp);
}

/* ---- the check -------------------------------------------------------------------------------------------------- */

static int check_pidfd = -1;  /* of the one that goes on */
static long check_pid;
static uint64_t check_time; /* of the next one, by CLOCK_MONOTONIC; 0: there is none to come now */

static void plan_check(uint32_t msec)
{
    check_time = plan->check_argc > 0 ? clock_nsec(CLOCK_MONOTONIC) + msec * (uint64_t)MSEC : 0;
}

static void begin_check(void)
{
    check_pid = SYS(clone, CLONE_PIDFD | SIGCHLD_, 0, &check_pidfd, 0, 0);
    if (check_pid == 0) {
        SYS(close_range, 0, ~0U, 0); /* the lock among them, which would last as long as the check */
        execute(plan->argc + plan->envc, plan->check_argc, plan->check_envc);
        leave(127);
    }
    if (check_pid > 0)
        check_time = 0;
    else
        plan_check(plan->check_msec);
}

static void end_check(void)
{
    int status = 0;
    SYS_RETRY(wait4, check_pid, &status, 0, 0);
    SYS(close, check_pidfd);
    check_pidfd = -1;
    plan_check(status == MONITOR_EARLY << 8 ? plan->early_msec : plan->check_msec);
}

/* The container has ended, and nobody waits for the answer. Who sees that end finds nothing that still writes of it. */
static void give_up_check(void)
{
    struct { int64_t sec, nsec; } patience = {1, 0};
    struct pollfd gone = {.fd = check_pidfd, .events = POLLIN};
    check_time = 0;
    if (check_pidfd < 0)
        return;
    SYS(pidfd_send_signal, check_pidfd, SIGKILL_, 0, 0);
    SYS_RETRY(ppoll, &gone, 1, &patience, 0, SIGNAL_SET_BYTES);
    SYS(close, check_pidfd);
    check_pidfd = -1;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

/* Take in what the init has said; whether more can come. */
static int hear(void)
{
    struct report report;
    struct message message;
    uint32_t count;
    long got;
    while ((got = message_receive(MONITOR_CONTROL, &report, sizeof report, &message, &count, MSG_DONTWAIT_)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            SYS(close, message.fds[i]);
        if (got != sizeof report || report.kind != REPORT_EXITED)
            continue;
        usage = report;
        program_status = report.value;
    }
    return got == -EAGAIN;
}

static int is_disk_looked_at(void)
{
    return is_given(plan, MONITOR_DISK) && !was_full;
}

static int is_full(const struct statfs *facts)
{
    uint64_t left = (uint64_t)facts->f_bavail, most = (uint64_t)facts->f_blocks / LEFT_PART;
    if (facts->f_type == TMPFS_MAGIC)
        return left == 0;
    return (facts->f_files && facts->f_ffree == 0) || (left < most && left * (uint64_t)facts->f_bsize < LEFT_BYTES);
}

/* The kernel does not count what it refuses. */
static void look_at_disk(void)
{
    struct statfs facts;
    if (is_disk_looked_at() && SYS(fstatfs, MONITOR_DISK, &facts) == 0)
        was_full = is_full(&facts);
}

/* The file system goes with the container, before others hear of the end. */
static void leave_disk(void)
{
    look_at_disk();
    if (is_given(plan, MONITOR_DISK))
        SYS(close, MONITOR_DISK);
}

static void kill_container(int attempt)
{
    long signal = attempt < KILLS_MOST ? plan->end_signal : SIGKILL_;
    SYS(pidfd_send_signal, MONITOR_PIDFD, SIGCONT_, 0, 0);
    SYS(pidfd_send_signal, MONITOR_PIDFD, signal, 0, 0);
}

/* A byte says that the container no longer ends with its keeper. */
static int is_let_go(void)
{
    char byte;
    return SYS_RETRY(recvfrom, MONITOR_KEEPER, &byte, 1, MSG_DONTWAIT_, 0, 0) == 1;
}

enum { ON_PIDFD, ON_CONTROL, ON_MEMORY, ON_KEEPER, ON_CREATOR, ON_LENDER, ON_CHECK, ON };
static struct pollfd on[ON];

static int keeper_is_gone(void)
{
    if (on[ON_KEEPER].revents && is_let_go()) {
        on[ON_KEEPER].fd = on[ON_CREATOR].fd = -1;
        SYS(close, MONITOR_KEEPER);
        SYS(close, MONITOR_CREATOR);
        return 0;
    }
    return on[ON_KEEPER].revents || on[ON_CREATOR].revents;
}

static void wait_for_end(void)
{
    on[ON_PIDFD] = (struct pollfd){.fd = MONITOR_PIDFD, .events = POLLIN};
    on[ON_CONTROL] = (struct pollfd){.fd = given_fd(plan, MONITOR_CONTROL), .events = POLLIN};
    on[ON_MEMORY] = (struct pollfd){.fd = look_at_memory() ? MONITOR_MEMORY : -1, .events = POLLPRI};
    on[ON_KEEPER] = (struct pollfd){.fd = given_fd(plan, MONITOR_KEEPER), .events = POLLIN};
    on[ON_CREATOR] = (struct pollfd){.fd = given_fd(plan, MONITOR_CREATOR), .events = POLLIN};
    on[ON_LENDER] = (struct pollfd){.fd = given_fd(plan, MONITOR_LENDER), .events = POLLIN};
    plan_check(plan->early_msec);
    for (;;) {
        on[ON_CHECK] = (struct pollfd){.fd = check_pidfd, .events = POLLIN};
        struct { int64_t sec, nsec; } patience = {2, 0};
        uint64_t now = clock_nsec(CLOCK_MONOTONIC), due = is_disk_looked_at() ? now + NSEC / LOOKS : 0;
        if (check_time && (!due || check_time < due))
            due = check_time;
        if (kills == 0) {
            uint64_t left = due > now ? due - now : 0;
            patience.sec = (int64_t)(left / NSEC);
            patience.nsec = (int64_t)(left % NSEC);
        }
        long ready = SYS_RETRY(ppoll, on, ON, kills || due ? &patience : 0, 0, SIGNAL_SET_BYTES);
        if (on[ON_PIDFD].revents)
            return;
        look_at_disk();
        if (on[ON_CHECK].revents)
            end_check();
        if (check_time && clock_nsec(CLOCK_MONOTONIC) >= check_time)
            begin_check();
        if (on[ON_CONTROL].revents && !hear())
            on[ON_CONTROL].fd = -1;
        if (on[ON_MEMORY].revents && !look_at_memory())
            on[ON_MEMORY].fd = -1;
        if (on[ON_LENDER].revents && !lend())
            on[ON_LENDER].fd = -1;
        if ((kills == 0 && keeper_is_gone()) || (kills > 0 && ready == 0)) {
            on[ON_KEEPER].fd = on[ON_CREATOR].fd = -1;
            give_up_check();
            kill_container(kills++);
        }
    }
}

/* Those of a group that this process sees, by their pids. How many there were. */
static int kill_listed(const char *text, size_t length)
{
    int count = 0;
    long pid = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + text[i] - '0';
            continue;
        }
        count += pid > 1 && SYS(kill, pid, SIGKILL_) == 0;
        pid = 0;
    }
    return count;
}

static long open_in_group(const char *name, int flags)
{
    return SYS(openat, MONITOR_PROCS, name, flags | O_CLOEXEC, 0);
}

static int kill_in(const char *name)
{
    char text[4096];
    long fd = open_in_group(name, O_RDONLY), got = fd < 0 ? fd : SYS_RETRY(read, fd, text, sizeof text);
    if (fd >= 0)
        SYS(close, fd);
    return got > 0 ? kill_listed(text, (size_t)got) : 0;
}

static int kill_group(void)
{
    long fd = open_in_group("cgroup.kill", O_WRONLY), got = fd < 0 ? fd : SYS(write, fd, "1", 1);
    if (fd >= 0)
        SYS(close, fd);
    return got == 1;
}

/* An init that was killed could not kill the others, and without a pid namespace the kernel does not. On v2 they may have
 * moved into the leaf (own_kills). */
static void kill_left(void)
{
    struct { int64_t sec, nsec; } pause = {0, 10 * MSEC};
    if (!is_given(plan, MONITOR_PROCS) || kill_group())
        return;
    for (int i = 0; i < LEFT_LOOKS && kill_in("cgroup.procs") + kill_in("pycgroups.own/cgroup.procs") > 0; i++)
        SYS(nanosleep, &pause, 0);
}

/* The init has told it, or the process was the program itself. An init that has ended without a word was killed, and took
 * the program with it: all other signals wait for it, and it has its socket for as long as we do. Who reaps it, and when,
 * need not be known then. */
static void find_status(void)
{
    if (is_given(plan, MONITOR_CONTROL))
        hear();
    if (program_status != NO_STATUS)
        return;
    if (is_given(plan, MONITOR_CONTROL)) {
        kill_left();
        program_status = SIGKILL_;
        return;
    }
    int status = status_of_reaped(MONITOR_PIDFD, REAPING_MSEC);
    if (status >= 0)
        program_status = status;
}

/* ---- the log ---------------------------------------------------------------------------------------------------- */

static void keep_log(void *unused)
{
    (void)unused;
    write_log(plan);
    __atomic_store_n(&log_is_done, 1, __ATOMIC_RELEASE);
    SYS(futex, &log_is_done, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    for (;;)
        SYS(exit, 0);
}

static int has_output(void)
{
    return is_given(plan, MONITOR_STDOUT) || is_given(plan, MONITOR_STDERR);
}

/* A disk that is slow is waited for, a pipe whose lock somebody has is not. */
static void wait_for_log(void)
{
    struct { int64_t sec, nsec; } patience = {1, 0};
    uint64_t until = clock_nsec(CLOCK_MONOTONIC) + plan->grace_msec * (uint64_t)MSEC + NSEC;
    while (has_output() && !__atomic_load_n(&log_is_done, __ATOMIC_ACQUIRE)) {
        if (output_is_reading && clock_nsec(CLOCK_MONOTONIC) > until)
            return;
        SYS(futex, &log_is_done, FUTEX_WAIT_PRIVATE, 0, &patience, 0, 0);
    }
}

/* How often its limit has refused a fork. */
static uint64_t count_refused(void)
{
    char text[COUNTS_BYTES];
    long got = read_counts(given_fd(plan, MONITOR_PIDS), text);
    return got > 0 ? number_of("max ", text, (size_t)got) : 0;
}

/* ---- what stays ------------------------------------------------------------------------------------------------- */

static char *put_line(char *to, const char *key, uint64_t value)
{
    to = put_text(to, key);
    *to++ = ' ';
    to = put_number(to, value);
    *to++ = '\n';
    return to;
}

/* In place: the file has its space since the beginning, and a full disk does not lose the status. If the container goes on
 * it says by which process, and when. */
static void write_exit(uint64_t finished, int goes_on, uint32_t delay_msec)
{
    char text[512], *to = text;
    to = program_status < 0 ? put_text(to, "status -1\n") : put_line(to, "status", (uint64_t)program_status);
    to = put_line(to, "finished", finished);
    to = put_line(to, "oom", (uint64_t)was_oom);
    to = put_line(to, "pids", refused_forks);
    to = put_line(to, "disk", (uint64_t)was_full);
    if (usage.kind == REPORT_EXITED) {
        to = put_line(to, "user_usec", usage.user_usec);
        to = put_line(to, "system_usec", usage.system_usec);
        to = put_line(to, "maxrss_kib", usage.maxrss_kib);
        to = put_line(to, "inblock", usage.inblock);
        to = put_line(to, "oublock", usage.oublock);
    }
    if (goes_on) {
        to = put_line(to, "next_pid", (uint64_t)SYS(getpid));
        to = put_line(to, "next_msec", delay_msec);
    }
    SYS_RETRY(pwrite64, MONITOR_STATE, text, to - text, 0);
    SYS(ftruncate, MONITOR_STATE, to - text);
    SYS(renameat, MONITOR_DIRECTORY, "monitor", MONITOR_DIRECTORY, "exit");
}

/* ---- what comes after ------------------------------------------------------------------------------------------- */

/* A container that is to go on does so by the plan, or as somebody has changed that since. */
static uint32_t asked_of_command(void)
{
    char digit;
    if (!(plan->command & MONITOR_AGAIN))
        return plan->command;
    long fd = SYS(openat, MONITOR_DIRECTORY, "restart", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return plan->command;
    long got = SYS_RETRY(read, fd, &digit, 1);
    SYS(close, fd);
    return got == 1 ? (uint32_t)digit - '0' : plan->command;
}

static int is_absent(const char *name)
{
    return SYS(faccessat, MONITOR_DIRECTORY, name, 0) == -ENOENT;
}

static long open_kept(void)
{
    return SYS(openat, MONITOR_DIRECTORY, "kept", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
}

/* Somebody stops the container to start it anew, and lives. */
static int is_kept(void)
{
    long fd = open_kept(), ret = fd < 0 ? fd : SYS(flock, fd, LOCK_EX_ | LOCK_NB_);
    if (fd >= 0)
        SYS(close, fd);
    return ret == -EAGAIN;
}

/* A start removes the file "exit", which is ours. */
static int is_started_anew(void)
{
    struct statx facts;
    return SYS(statx, MONITOR_STATE, "", AT_EMPTY_PATH, STATX_NLINK, &facts) == 0 && facts.stx_nlink == 0;
}

/* Wait for that one. Whether it has died over it: else it has started the container, or has failed and removed the file. */
static int is_kept_in_vain(void)
{
    SYS(close_range, MONITOR_GATE, ~0U, 0); /* what the container has held is for the start */
    long fd = open_kept();
    if (fd < 0)
        return 0;
    SYS_RETRY(flock, fd, LOCK_EX_);
    SYS(close, fd);
    return !is_started_anew() && !is_absent("kept");
}

static int wants_command(void)
{
    uint32_t asked = asked_of_command();
    if (plan->argc == 0 || (asked & MONITOR_IF_FAILED && program_status == 0))
        return 0;
    if (!(plan->command & MONITOR_AGAIN))
        return !is_kept();
    return asked & MONITOR_AGAIN && kills == 0 && is_absent("stopped");
}

/* Wait, at most until the keeper is gone, where that matters. Who wants no command kills us meanwhile. */
static void wait_for_turn(uint32_t delay_msec)
{
    struct { int64_t sec, nsec; } left = {delay_msec / 1000, delay_msec % 1000 * MSEC}; /* the kernel counts it down */
    on[ON_PIDFD].fd = on[ON_CONTROL].fd = on[ON_MEMORY].fd = on[ON_LENDER].fd = on[ON_CHECK].fd = -1;
    if (is_given(plan, MONITOR_LENDER)) /* who asks learns at once that there is none */
        SYS(close, MONITOR_LENDER);
    if (!(plan->command & MONITOR_AGAIN))
        on[ON_KEEPER].fd = on[ON_CREATOR].fd = -1;
    while (SYS_RETRY(ppoll, on, ON, &left, 0, SIGNAL_SET_BYTES) > 0 && kills == 0)
        kills += keeper_is_gone();
}

static void hand_on(int fd, int number)
{
    if (!is_given(plan, fd) || SYS(dup3, fd, number, 0) < 0)
        SYS(close, number);
}

/* It has none of our descriptors but a few. It returns only when that failed. */
static void become_command(void)
{
    hand_on(MONITOR_STATE, COMMAND_LOCK);
    hand_on(MONITOR_KEEPER, COMMAND_KEEPER);
    hand_on(MONITOR_CREATOR, COMMAND_CREATOR);
    SYS(close_range, 0, COMMAND_LOCK - 1, 0);
    SYS(close_range, COMMAND_FDS, ~0U, 0);
    forget_signals();
    execute(0, plan->argc, plan->envc);
}

/* ---- */

static void __attribute__((noreturn, used, no_stack_protector)) bare_main(void)
{
    set_stack_guard();
    mask_signals(~0ULL); /* nothing but SIGKILL ends it */
    reset_signals();
    SYS(setsid);
    SYS(chdir, "/");
    SYS(prctl, PR_SET_NAME, "pycgroups-watch", 0, 0, 0);
    if (!read_plan())
        leave(125);
    give_up_rights();
    if (!may_begin())
        leave(0);
    program_status = plan->status;
    uint64_t began = clock_nsec(CLOCK_MONOTONIC);
    if (has_output() && start_thread(keep_log, 0) < 0) /* the container would wait for a reader, for ever */
        leave(125);
    wait_for_end();
    leave_disk();
    give_up_check();
    uint64_t finished = clock_nsec(CLOCK_REALTIME);
    uint64_t settled = plan->settled_msec * (uint64_t)MSEC;
    int is_settled = settled > 0 && clock_nsec(CLOCK_MONOTONIC) - began >= settled;
    uint32_t delay_msec = is_settled ? plan->first_msec : plan->delay_msec;
    look_at_memory();
    refused_forks = count_refused();
    find_status();
    wait_for_log();
    int is_command_to_come = wants_command();
    tell_death(); /* before: who has waited for the exit finds it among the events */
    write_exit(finished, is_command_to_come && plan->command & MONITOR_AGAIN, delay_msec);
    if (is_command_to_come) {
        wait_for_turn(delay_msec);
        if (wants_command())
            become_command();
    }
    if (plan->argc > 0 && !(plan->command & MONITOR_AGAIN) && is_kept_in_vain())
        become_command();
    leave(0);
}
