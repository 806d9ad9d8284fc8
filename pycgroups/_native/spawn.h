/* The library's half of a launch: the conversation is drawn in helper.c. */
#ifndef PYCGROUPS_SPAWN_H
#define PYCGROUPS_SPAWN_H

#include <stdint.h>

#include "steps.h"

struct spawn_request {
    uint64_t clone_flags; /* CLONE_NEW* */
    int cgroup;           /* a cgroup v2 directory to be born in, or -1 */
    int stdio[3];
    uint64_t keep_caps; /* in a user namespace that has no ids yet an exec drops all capabilities but these */
};

struct spawned {
    int pid;
    int pidfd;
    int control;
    int peer;   /* the helper's end of the control socket, until it has it */
    int creator; /* a pidfd of this process, for the helper, until it has it */
    int ended;  /* of a fork, the socket by which its init tells of its end: forks.h */
    int failed; /* which call failed: enum spawn_call */
    int userns; /* the child's user namespace, once it was asked for */
    uint32_t sent; /* bytes of the plan */
    uint32_t given;
    struct run run; /* where the `prepare` steps are performed */
};

enum spawn_call {
    SPAWN_OK = 0,
    SPAWN_SOCKET,
    SPAWN_CLONE,
    SPAWN_CHILD,
};

/* A sealed copy of the helper in memory. A descriptor or -errno. */
int spawn_helper(void);

/* Check the plan, make the control socket, and send as much of the plan as it takes. 0 or -errno. The plan must stay
 * where it is. Without a plan the helper just waits, until it is killed. */
int spawn_begin(struct spawned *out, const void *plan, uint32_t size, int above);

/* Fill the plan's first slots; they stay the caller's. 0 or -errno. */
int spawn_give(struct spawned *out, const int *fds, uint32_t count);

/* Perform the plan's `prepare` steps, as far as the helper has what they open from the beginning: those of idmapped
 * mounts, whose user namespaces must be there, or the others. 0 or -errno; *step is the step that failed. */
int spawn_prepare(struct spawned *out, int idmapped, int *step);

/* Open the child's user namespace into a slot. 0 or -errno. */
int spawn_open_userns(struct spawned *out, int slot);

/* What the caller gave or `prepare` opened, as long as it has not been handed over; or -1. */
int spawn_slot(const struct spawned *out, int slot);

/* Let the helper begin, and hand over all descriptors, before there is one: it finds all there and need not wait.
 * 1, or 0 when they come in parts or the socket does not take all that, or -errno. */
int spawn_go_early(struct spawned *out);

/* The same once there is a helper, which gets the other parts of what `prepare` opens as well. 0 or -errno; *step is the
 * step that failed, or -1. */
int spawn_go(struct spawned *out, int *step);

/* Clone and exec the helper in its namespaces; it waits for its plan, if that is not there yet. 0 or -errno.
 * The calling thread stands still until the exec; other threads do not. */
int spawn_child(const struct spawn_request *request, int helper, struct spawned *out);

/* Close what is the helper's: it has that, or never will. */
void spawn_part(struct spawned *out);

/* Start a monitor (monitor.h), nobody's child; `fds` are MONITOR_FDS descriptors, -1 where there is none, and stay the
 * caller's. Its pid and pidfd are in `out`. 0 or -errno. */
int spawn_monitor(const void *plan, uint32_t size, const int *fds, struct spawned *out);

/* Close the descriptors of a child, if they are open. */
void spawn_close(struct spawned *spawned);

/* Wait for the end of a child. 1 with wait status and usage in the record; 0 with the status alone, when somebody else
 * in this process has reaped it (Linux 6.15); or -errno. */
int spawn_reap(int pidfd, struct report *report);

/* The same for a helper that has ended, perhaps between its fork and its report, so that we know nothing of the child:
 * all our children in the process group `pid`, which is its own, are killed and reaped with it. */
int spawn_reap_group(int pidfd, int pid, struct report *report);

/* Write one file of /proc/PID (uid_map, gid_map, setgroups) of a child that is still alive. 0 or -errno. */
int spawn_write(const struct spawned *child, const char *name, const char *text, uint32_t length);

/* Receive one record without waiting. 1 one came, 0 end of file, -EAGAIN nothing yet, or -errno. */
int spawn_report(int control, struct report *report, int *fd);

/* The effective capabilities of the calling thread. */
uint64_t spawn_effective(void);

/* Find a file, its path resolved as if `root` were "/". A descriptor (O_PATH) or -errno. */
int spawn_find_inside(const char *root, const char *path);

#endif
