/* How a process ended that is no child of ours, or somebody else has reaped. */
#ifndef PYCGROUPS_PIDFD_H
#define PYCGROUPS_PIDFD_H

#include <linux/poll.h>

#include "sys.h"

/* ioctl_pidfd(2), PIDFD_GET_INFO: linux/pidfd.h has it since 6.13, and the exit code since 6.15, once the process is
 * reaped. The end is told before that; a hang-up tells that it has happened. A wait status or -errno. */
static inline int status_of_reaped(int pidfd, int patience_msec)
{
    struct pollfd reaped = {.fd = pidfd};
    struct { long sec, nsec; } patience = {patience_msec / 1000, patience_msec % 1000 * 1000000L};
    SYS(ppoll, &reaped, 1, &patience, 0, 8);
    enum { GET_INFO = 0xc040ff0b, INFO_EXIT = 1 << 3 };
    struct { uint64_t mask, cgroup; uint32_t ids[11]; int32_t exit_code; } info = {.mask = INFO_EXIT};
    long ret = SYS(ioctl, pidfd, GET_INFO, &info);
    if (ret < 0)
        return (int)ret;
    return info.mask & INFO_EXIT ? info.exit_code : -ENODATA;
}

#endif
