/* What a container writes becomes a log: monitor.c calls this in a thread of its own. */
#ifndef PYCGROUPS_OUTPUT_H
#define PYCGROUPS_OUTPUT_H

#include "monitor.h"

enum { NSEC = 1000000000, MSEC = 1000000 };

static inline int is_given(const struct monitor_plan *plan, int fd)
{
    return plan->given >> fd & 1;
}

/* A descriptor, or -1, which poll(2) passes over. */
static inline int given_fd(const struct monitor_plan *plan, int fd)
{
    return is_given(plan, fd) ? fd : -1;
}

/* Nanoseconds of a clock of clock_gettime(2). */
uint64_t clock_nsec(int clock);

/* A writer that was killed may have left half a line. */
void end_last_line(int fd);

/* Write the log until both streams are at their end, or the time after the end of the process is over. */
void write_log(const struct monitor_plan *plan);

/* Whether somebody has the input, and waits for what comes of it. */
extern volatile int output_is_awaited;

/* Whether the thread is in a read, which the container can keep from ever coming back: it has the pipe's lock. */
extern volatile int output_is_reading;

#endif
