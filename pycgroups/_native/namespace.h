/* What Python has no calls for, of namespaces that are files: to enter one, and to keep one at a path. */
#ifndef PYCGROUPS_NAMESPACE_H
#define PYCGROUPS_NAMESPACE_H

#include <linux/mount.h>

#include "sys.h"

/* Each returns 0 or -errno. */

/* The calling thread enters; setns(2). */
static inline int namespace_enter(int fd, int type)
{
    return (int)SYS(setns, fd, type);
}

static inline int mount_bind(const char *source, const char *target)
{
    return (int)SYS(mount, source, target, 0, MS_BIND, 0);
}

/* Also if somebody has it open; a symlink is not followed. */
static inline int mount_detach(const char *target)
{
    enum { MNT_DETACH_ = 2, UMOUNT_NOFOLLOW_ = 8 };
    return (int)SYS(umount2, target, MNT_DETACH_ | UMOUNT_NOFOLLOW_);
}

static inline int process_control(int option, unsigned long value)
{
    return (int)SYS(prctl, option, value, 0, 0, 0);
}

#endif
