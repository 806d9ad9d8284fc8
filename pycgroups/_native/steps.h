/* The interpreter of launch plans: one step at a time, no policy. See plan.h for the steps. */
#ifndef PYCGROUPS_STEPS_H
#define PYCGROUPS_STEPS_H

#include <linux/resource.h>

#include <stddef.h>

#include "plan.h"

enum { /* what the helper is born with, beside the program's streams */
    CONTROL = 3, /* the socket to the library */
    CREATOR = 4, /* a pidfd of the library's process, until the program starts */
};

/* Where a plan is performed: its memory, its descriptors, the socket that its results go to. */
struct run {
    const struct plan_header *plan;
    int control;
    int root;
    int parent;              /* the directory that the last entry was made in, or -1 */
    const char *parent_path; /* its path; as many bytes of it as parent_length */
    size_t parent_length;
    int arrived;             /* the working directory is that of the plan */
    int started;             /* by whomever: the library need not be there any more */
    int masks;               /* a directory is hidden by the empty file system */
    const char *home;        /* "HOME=...", or null */
    int slot[PLAN_SLOTS];
};

/* Check that no offset or count of the plan points outside of it. 0 or -EINVAL. */
int plan_check(const struct plan_header *plan, uint32_t size);

/* Wait until there is something to read. An end of file is not enough: a child that another thread of the library's
 * process has forked may hold a copy of the socket. 0 when that process has ended instead. */
int creator_speaks(int control);

void run_init(struct run *run, const struct plan_header *plan, int control);

const struct plan_step *plan_steps(const struct plan_header *plan);

/* Perform one step. 0 or -errno; OP_EXEC returns only when it failed. */
int perform(struct run *run, const struct plan_step *step);

/* Mount a file system nowhere but in a descriptor; options are "key=value\0flag\0...", the last without its '\0'. The
 * descriptor or -errno. */
int open_file_system(const char *type, const char *options, uint32_t length, uint64_t attributes);

/* mount_setattr(2) of the mount that a descriptor is of; without a map of ids, `userns` is -1. 0 or -errno. */
int set_attr(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int userns, int recursive);

/* Drop all but these capabilities from the bounding set. 0 or -errno. */
int limit_bounding(uint64_t stays);

/* Take over what getrusage(2) tells. */
void report_usage(struct report *report, const struct rusage *usage);

/* Ask CONTROL or CREATOR whether the library's process has ended. */
int creator_is_gone(int fd);

/* Send one record, with a descriptor when fd >= 0. 0 or -errno. */
int send_report(int control, const struct report *report, int fd);

#endif
