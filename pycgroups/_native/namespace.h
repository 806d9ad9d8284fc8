/* What Python has no calls for, or too many, of namespaces that are files: to enter one, to keep one at a path, and to
 * compare those of two processes. */
#ifndef PYCGROUPS_NAMESPACE_H
#define PYCGROUPS_NAMESPACE_H

#include <linux/mount.h>

#include "sys.h"
#include "text.h"

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

/* Whether two processes, by their /proc/PID/ns, are in one namespace of a kind: 1 or 0, or -errno. A kernel without the
 * kind has none of it in `own`. */
static inline long is_one_namespace(long own, long its, const char *kind)
{
    enum { LINK_BYTES = 32 }; /* "cgroup:[4026531835]" */
    char ours[LINK_BYTES], theirs[LINK_BYTES];
    long length = SYS(readlinkat, own, kind, ours, sizeof ours);
    if (length < 0)
        return length == -ENOENT ? 1 : length;
    long other = SYS(readlinkat, its, kind, theirs, sizeof theirs);
    if (other < 0)
        return other == -ENOENT ? -ESRCH : other;
    return length == other && text_equal(ours, theirs, (size_t)length);
}

/* Which of some kinds of namespaces, up to 31, a process, by its /proc/PID/ns, has others of than the calling thread: a bit
 * for each, or -errno; -ESRCH where it has ended meanwhile. namespaces(7), "The /proc/pid/ns/ directory". */
static inline int namespaces_unlike(const char *path, const char *kinds, uint32_t count)
{
    long own = SYS(openat, AT_FDCWD, "/proc/thread-self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (own < 0)
        return (int)own;
    long its = SYS(openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0), one = its < 0 ? its : 1;
    int unlike = 0;
    for (uint32_t i = 0; i < count && one >= 0; i++, kinds += text_length(kinds) + 1) {
        one = is_one_namespace(own, its, kinds);
        unlike |= (one == 0) << i;
    }
    if (its >= 0)
        SYS(close, its);
    SYS(close, own);
    return one < 0 ? (int)one : unlike;
}

static inline int process_control(int option, unsigned long value)
{
    return (int)SYS(prctl, option, value, 0, 0, 0);
}

#endif
