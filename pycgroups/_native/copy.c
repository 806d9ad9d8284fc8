#include "copy.h"

#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "inside.h"
#include "sys.h"
#include "text.h"

enum {
    DEEPEST = 64,
    ENTRY_BYTES = 4096,
    AT_ONCE = 1 << 20,
    PERMISSIONS = 07777,
    MODE_LINK = 0120000,
    MODE_SOCKET = 0140000,
};

struct entry { /* struct linux_dirent64, getdents(2) */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static int copy_into(int from, int to, int depth);

static int facts_of(int directory, const char *name, struct statx *facts)
{
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    return (int)SYS(statx, directory, name, flags, STATX_BASIC_STATS, facts);
}

static long device_of(const struct statx *facts)
{
    uint64_t major = facts->stx_rdev_major, minor = facts->stx_rdev_minor;
    return (long)((minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffULL) << 12 | (major & ~0xfffULL) << 32);
}

/* An owner that this user namespace does not have shows as one that may be none of it. */
static long unless_unmapped(long ret)
{
    return ret == -EINVAL ? 0 : ret;
}

static int copy_data(int from, int to)
{
    long ret;
    do
        ret = SYS_RETRY(sendfile, to, from, 0, AT_ONCE);
    while (ret > 0);
    return (int)ret;
}

static int copy_file(int from, int to, const char *name, const struct statx *facts)
{
    long in = SYS(openat, from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (in < 0)
        return (int)in;
    long out = SYS(openat, to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int ret = out < 0 ? (int)out : copy_data((int)in, (int)out);
    if (ret == 0)
        ret = (int)unless_unmapped(SYS(fchown, out, facts->stx_uid, facts->stx_gid));
    if (ret == 0)
        ret = (int)SYS(fchmod, out, facts->stx_mode & PERMISSIONS);
    if (out >= 0)
        SYS(close, out);
    SYS(close, in);
    return ret;
}

static int copy_link(int from, int to, const char *name, const struct statx *facts)
{
    char target[PATH_BYTES];
    long length = SYS(readlinkat, from, name, target, sizeof target - 1);
    if (length < 0)
        return (int)length;
    target[length] = '\0';
    long ret = SYS(symlinkat, target, to, name);
    if (ret == 0)
        ret = unless_unmapped(SYS(fchownat, to, name, facts->stx_uid, facts->stx_gid, AT_SYMLINK_NOFOLLOW));
    return (int)ret;
}

static int copy_directory(int from, int to, const char *name, const struct statx *facts, int depth)
{
    long ret = SYS(mkdirat, to, name, 0700);
    if (ret < 0)
        return (int)ret;
    long in = SYS(openat, from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    long out = SYS(openat, to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    ret = in < 0 ? in : out < 0 ? out : copy_into((int)in, (int)out, depth + 1);
    if (ret == 0)
        ret = unless_unmapped(SYS(fchown, out, facts->stx_uid, facts->stx_gid));
    if (ret == 0)
        ret = SYS(fchmod, out, facts->stx_mode & PERMISSIONS);
    if (in >= 0)
        SYS(close, in);
    if (out >= 0)
        SYS(close, out);
    return (int)ret;
}

static int copy_node(int to, const char *name, const struct statx *facts)
{
    long ret = SYS(mknodat, to, name, facts->stx_mode, device_of(facts));
    if (ret == -EPERM) /* a device, in a user namespace */
        return 0;
    if (ret == 0)
        ret = unless_unmapped(SYS(fchownat, to, name, facts->stx_uid, facts->stx_gid, AT_SYMLINK_NOFOLLOW));
    return (int)ret;
}

static int copy_entry(int from, int to, const char *name, int depth)
{
    struct statx facts;
    int ret = facts_of(from, name, &facts);
    if (ret < 0)
        return ret;
    switch (facts.stx_mode & MODE_TYPE) {
    case MODE_SOCKET: return 0;
    case MODE_DIR: ret = copy_directory(from, to, name, &facts, depth); break;
    case MODE_FILE: ret = copy_file(from, to, name, &facts); break;
    case MODE_LINK: ret = copy_link(from, to, name, &facts); break;
    default: ret = copy_node(to, name, &facts);
    }
    const struct { int64_t sec, nsec; } times[2] = {
        {facts.stx_atime.tv_sec, facts.stx_atime.tv_nsec},
        {facts.stx_mtime.tv_sec, facts.stx_mtime.tv_nsec},
    };
    if (ret == 0)
        ret = (int)SYS(utimensat, to, name, times, AT_SYMLINK_NOFOLLOW);
    return ret == -ENOENT ? 0 : ret; /* a device that was left out */
}

static int is_itself_or_above(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int copy_into(int from, int to, int depth)
{
    if (depth > DEEPEST)
        return -ELOOP;
    _Alignas(struct entry) char buffer[ENTRY_BYTES];
    for (;;) {
        long got = SYS(getdents64, from, buffer, sizeof buffer);
        if (got <= 0)
            return (int)got;
        for (const char *at = buffer; at < buffer + got; at += ((const struct entry *)(const void *)at)->length) {
            const char *name = ((const struct entry *)(const void *)at)->name;
            int ret = is_itself_or_above(name) ? 0 : copy_entry(from, to, name, depth);
            if (ret < 0)
                return ret;
        }
    }
}

int copy_mode(int from, int to)
{
    struct statx facts;
    int ret = facts_of(from, "", &facts);
    return ret < 0 ? ret : (int)SYS(fchmod, to, facts.stx_mode & PERMISSIONS);
}

int copy_entries(int from, int to)
{
    return copy_into(from, to, 0);
}
