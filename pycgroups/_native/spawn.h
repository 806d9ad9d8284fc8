/* The library's half of a launch: the conversation is drawn in helper.c. */
#ifndef PYCGROUPS_SPAWN_H
#define PYCGROUPS_SPAWN_H

#include <stdint.h>

#include "plan.h"

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
    int failed; /* which call failed: enum spawn_call */
};

enum spawn_call {
    SPAWN_OK = 0,
    SPAWN_MEMFD,
    SPAWN_SOCKET,
    SPAWN_CLONE,
    SPAWN_CHILD,
};

/* A sealed copy of the helper in memory. A descriptor or -errno. */
int spawn_helper(void);

/* Make the control socket. 0 or -errno. */
int spawn_socket(struct spawned *out);

/* Clone and exec the helper in its namespaces; it waits for its plan, if that is not there yet. 0 or -errno.
 * The calling thread stands still until the exec; other threads do not. */
int spawn_child(const struct spawn_request *request, int helper, struct spawned *out);

/* Close the descriptors of a child, if they are open. */
void spawn_close(struct spawned *spawned);

/* Wait for the end of a child. 1 with wait status and usage in the record; 0 with the status alone, when somebody else
 * in this process has reaped it (Linux 6.15); or -errno. */
int spawn_reap(int pidfd, struct report *report);

/* Write one file of /proc/PID (uid_map, gid_map, setgroups) of a child that is still alive. 0 or -errno. */
int spawn_write(int pid, int pidfd, const char *name, const char *text, uint32_t length);

/* Perform the plan's `prepare` steps here, and send the plan with all descriptors; before the helper is there or after. 0 or -errno; *step is the step
 * that failed or -1. `given` fills the first slots. */
int spawn_go(int control, const void *plan, uint32_t size, const int *given, uint32_t count, int *step);

/* Receive one record without waiting. 1 one came, 0 end of file, -EAGAIN nothing yet, or -errno. */
int spawn_report(int control, struct report *report, int *fd);

/* Open a file inside a directory for reading, resolved as if the directory were "/". A descriptor or -errno. */
int spawn_open_inside(const char *root, const char *path);

/* Open a file for reading, its path resolved as if `root` were "/". A descriptor or -errno. */
int spawn_open_inside(const char *root, const char *path);

#endif
