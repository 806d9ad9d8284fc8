/* What a monitor is to do: Python (containers/monitor.py) writes it, monitor.c reads it.
 *
 * One block of memory: this struct, then the strings. Descriptors have the numbers of `monitor_fd`.
 */
#ifndef PYCGROUPS_MONITOR_H
#define PYCGROUPS_MONITOR_H

#include <stdint.h>

enum { MONITOR_MAGIC = 0x70636d31 }; /* "pcm1" */

enum monitor_fd {
    MONITOR_PLAN,      /* this, as a file */
    MONITOR_DIRECTORY, /* the container's own, for its log and exit */
    MONITOR_STATE,     /* the file "monitor" in it: the lock on it is there as long as we are; becomes "exit" */
    MONITOR_GATE,      /* the read end of a pipe: with a byte it begins, at the end it ends */
    MONITOR_PIDFD,     /* the container's first process */
    MONITOR_CONTROL,   /* the library's end of its control socket (plan.h, struct report) */
    MONITOR_STDOUT,    /* the read end of a pipe, or a pty's master */
    MONITOR_STDERR,
    MONITOR_MEMORY,    /* memory.events (v2) or memory.oom_control (v1) */
    MONITOR_GROUP,     /* on v2, the directory that it is in */
    MONITOR_PIDS,      /* pids.events.local (v2) or pids.events (v1) */
    MONITOR_EVENTS,    /* the directory with the file "events" */
    MONITOR_KEEPER,    /* a socket. Its end, unless a byte comes before, is the container's */
    MONITOR_CREATOR,   /* a pidfd: so is the end of this process */
    MONITOR_LENDER,    /* a datagram socket: who asks there gets a copy of the next; see enum monitor_wish */
    MONITOR_INPUT,     /* the write end of the program's stdin, or its pty's master */
    MONITOR_DISK,      /* in the file system that takes what the container writes, if that has a limit */
    MONITOR_PROCS,     /* the directory of a cgroup of a container that has no pid namespace */
    MONITOR_HELD,      /* files whose locks are to be held as long as the container runs: ids, image, volumes */
    MONITOR_HELD_LAST = MONITOR_HELD + 15,
    MONITOR_FDS,
};

enum monitor_form {
    MONITOR_JSON,  /* {"log":"text\n","stream":"stdout","time":"..."} */
    MONITOR_PLAIN, /* time stdout F text */
};

/* The byte of a datagram that comes to the lender. */
enum monitor_wish {
    MONITOR_LEND = 'l', /* with a socket, over which the input goes; its end, without a byte, says that there is none */
    MONITOR_SHUT = 's', /* close the input: when all who have it have done so, the program has read it to its end */
};

/* What the command that comes after the end is for. */
enum monitor_command {
    MONITOR_AGAIN = 1,     /* the container goes on by it: not if there is the file "stopped", or the keeper is gone */
    MONITOR_IF_FAILED = 2, /* not if the program has exited 0 */
};
/* With the first of them, what the file "restart" has, a digit, comes before the plan: somebody has changed it. */

/* What the command finds open, beside /dev/null. */
enum monitor_command_fd {
    COMMAND_LOCK = 3, /* the file "exit": locked as long as the command is to come, or runs */
    COMMAND_KEEPER,   /* those of the plan, if they were given */
    COMMAND_CREATOR,
    COMMAND_FDS,
};

/* How a check says, by its exit status, that the next one is to come early. */
enum { MONITOR_EARLY = 2 };

struct monitor_plan {
    uint32_t magic;
    uint32_t size;         /* of the whole block */
    uint64_t given;        /* bit N: there is a descriptor N */
    uint32_t form;
    uint64_t file_bytes;   /* a log gets no bigger, unless one record is; 0: no limit */
    uint32_t files;        /* and so many there are, the oldest goes */
    uint32_t grace_msec;   /* how long after the first process's end others may still write */
    uint32_t end_signal;   /* what ends the container: SIGKILL, or PLAN_END_SIGNAL */
    int32_t status;        /* the program's wait status if it is known already, or -1 */
    uint32_t members;      /* offset and length of what events have, up to the first of their attributes' own */
    uint32_t members_size;
    uint32_t words;        /* offset of argv and envp of the command that comes after all, then of the check; NULs between */
    uint32_t argc;         /* 0: none */
    uint32_t envc;
    uint32_t command;      /* enum monitor_command */
    uint32_t delay_msec;   /* how long after the end it comes */
    uint32_t settled_msec; /* but after one that has run for so long, if this is not 0, */
    uint32_t first_msec;   /* so long */
    uint32_t check_argc;   /* of what is executed now and then, as long as the container runs; 0: none */
    uint32_t check_envc;
    uint32_t check_msec;   /* so long after the one before, */
    uint32_t early_msec;   /* and so long after the start, or one that says MONITOR_EARLY */
};

#endif
