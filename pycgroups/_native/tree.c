#include "tree.h"

#include <string.h>

#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <asm/statfs.h>

#include "sys.h"

enum {
    PERMISSIONS = 07777,
    MODE_LINK = 0120000,
    NAME_BYTES = 256,
    PROC_BYTES = sizeof "/proc/self/fd//" + 10 + NAME_BYTES,
};

struct owner {
    uint32_t uid, gid;
};

struct xattrs {
    const char *list;
    uint32_t size;
};

static int failed(struct tree *tree, int step, long error)
{
    if (error < 0)
        tree->failed = step;
    return (int)error;
}

/* -- where ---------------------------------------------------------------------------------------------------------- */

static void forget_parent(struct tree *tree)
{
    if (tree->parent >= 0)
        SYS(close, tree->parent);
    tree->parent = -1;
}

/* The length of the path of the directory that a path is in; *name is what follows. */
static size_t split(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return slash ? (size_t)(slash - path) : 0;
}

/* Most files are in the directory that the one before was in. */
static int open_parent(struct tree *tree, const char *path, const char **name)
{
    size_t length = split(path, name);
    if (tree->parent >= 0 && length == tree->length && !memcmp(path, tree->path, length))
        return tree->parent;
    forget_parent(tree);
    if (length >= sizeof tree->path)
        return failed(tree, TREE_PARENT, -ENAMETOOLONG);
    memcpy(tree->path, path, length);
    tree->path[length] = '\0';
    tree->length = (uint32_t)length;
    tree->parent = open_in_root(tree->root, tree->path, O_PATH | O_DIRECTORY, 0, 0);
    return failed(tree, TREE_PARENT, tree->parent);
}

/* Take away what is in the way. It can have been a symlink on the way to the parent that is remembered. */
static long clear(struct tree *tree, int parent, const char *name)
{
    tree->length = UINT32_MAX;
    return SYS(unlinkat, parent, name, 0);
}

static long facts_of(int parent, const char *name, struct statx *facts)
{
    return SYS(statx, parent, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO, facts);
}

static int is_whiteout(const struct statx *facts)
{
    return (facts->stx_mode & MODE_TYPE) == MODE_CHAR && facts->stx_rdev_major == 0 && facts->stx_rdev_minor == 0;
}

/* -- attributes ----------------------------------------------------------------------------------------------------- */

static const int64_t SECOND = 1000000000;

struct times {
    struct { int64_t sec, nsec; } access, change;
};

static struct times times_of(int64_t mtime)
{
    int64_t sec = mtime / SECOND, nsec = mtime % SECOND;
    if (nsec < 0) {
        nsec += SECOND;
        sec--;
    }
    return (struct times){{sec, nsec}, {sec, nsec}};
}

/* One of a list; what follows it, or NULL when it is broken. */
static const char *next_xattr(const char *at, const char *end, const char **value, uint32_t *size)
{
    const char *zero = memchr(at, '\0', (size_t)(end - at));
    if (!zero || end - zero - 1 < (ptrdiff_t)sizeof *size)
        return NULL;
    memcpy(size, zero + 1, sizeof *size);
    *value = zero + 1 + sizeof *size;
    return (ptrdiff_t)*size <= end - *value ? *value + *size : NULL;
}

/* By the descriptor, or by the path when there is none. */
static int set_xattrs(struct tree *tree, int fd, const char *path, struct xattrs xattrs)
{
    const char *end = xattrs.list + xattrs.size;
    for (const char *at = xattrs.list; at < end;) {
        const char *name = at, *value;
        uint32_t size;
        at = next_xattr(at, end, &value, &size);
        if (!at)
            return failed(tree, TREE_ATTRIBUTE, -EINVAL);
        long ret = path ? SYS(lsetxattr, path, name, value, size, 0) : SYS(fsetxattr, fd, name, value, size, 0);
        if (ret == -EPERM || ret == -EOPNOTSUPP)
            tree->refused++;
        else if (ret < 0)
            return failed(tree, TREE_ATTRIBUTE, ret);
    }
    return 0;
}

/* In this order: a new owner takes away set-user-id bits and capabilities. */
static int finish(struct tree *tree, int fd, uint32_t mode, struct owner owner, int64_t mtime, struct xattrs xattrs)
{
    struct times times = times_of(mtime);
    int ret = 0;
    if (owner.uid != NOBODY || owner.gid != NOBODY)
        ret = failed(tree, TREE_OWNER, SYS(fchown, fd, owner.uid, owner.gid));
    if (ret == 0)
        ret = set_xattrs(tree, fd, NULL, xattrs);
    if (ret == 0)
        ret = failed(tree, TREE_MODE, SYS(fchmod, fd, mode & PERMISSIONS));
    if (ret == 0)
        ret = failed(tree, TREE_TIMES, SYS(utimensat, fd, NULL, &times, 0));
    return ret;
}

static void write_number(char **at, unsigned number)
{
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count > 0)
        *(*at)++ = digits[--count];
}

static void proc_path(char *path, int fd)
{
    static const char proc[] = "/proc/self/fd/";
    memcpy(path, proc, sizeof proc);
    path += sizeof proc - 1;
    write_number(&path, (unsigned)fd);
    *path = '\0';
}

/* What cannot be opened, or not without an effect; there are no calls for extended attributes by directory and name. */
static int set_xattrs_at(struct tree *tree, int parent, const char *name, struct xattrs xattrs)
{
    char path[PROC_BYTES];
    size_t length = strlen(name);
    if (!xattrs.size)
        return 0;
    if (length >= NAME_BYTES)
        return failed(tree, TREE_ATTRIBUTE, -ENAMETOOLONG);
    proc_path(path, parent);
    char *end = path + strlen(path);
    *end = '/';
    memcpy(end + 1, name, length + 1);
    return set_xattrs(tree, -1, path, xattrs);
}

/* By a descriptor: chmod(2) would follow a symlink that somebody puts in its place. */
static long set_mode_at(int parent, const char *name, uint32_t mode)
{
    char path[PROC_BYTES];
    struct statx facts;
    long fd = SYS_RETRY(openat, parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    proc_path(path, (int)fd);
    long ret = SYS(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &facts);
    if (ret == 0)
        ret = (facts.stx_mode & MODE_TYPE) == (mode & MODE_TYPE) ? SYS(fchmodat, AT_FDCWD, path, mode & PERMISSIONS) : -ESTALE;
    SYS(close, fd);
    return ret;
}

/* A node or a symlink that was just made; a symlink has no mode. */
static int finish_at(struct tree *tree, int parent, const char *name, uint32_t mode, struct owner owner, int64_t mtime,
                     struct xattrs xattrs)
{
    struct times times = times_of(mtime);
    int ret = 0;
    if (owner.uid != NOBODY || owner.gid != NOBODY)
        ret = failed(tree, TREE_OWNER, SYS(fchownat, parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW));
    if (ret == 0)
        ret = set_xattrs_at(tree, parent, name, xattrs);
    if (ret == 0 && (mode & MODE_TYPE) != MODE_LINK)
        ret = failed(tree, TREE_MODE, set_mode_at(parent, name, mode));
    if (ret == 0)
        ret = failed(tree, TREE_TIMES, SYS(utimensat, parent, name, &times, AT_SYMLINK_NOFOLLOW));
    return ret;
}

/* -- files ---------------------------------------------------------------------------------------------------------- */

static long create(int parent, const char *name)
{
    return SYS_RETRY(openat, parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int tree_create(struct tree *tree, const char *path)
{
    const char *name;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    long fd = create(parent, name);
    if (fd == -EEXIST) {
        fd = clear(tree, parent, name);
        if (fd == 0)
            fd = create(parent, name);
    }
    return failed(tree, TREE_MAKE, fd);
}

int tree_write(struct tree *tree, int fd, const char *chunk, uint64_t at, uint64_t size)
{
    while (size > 0) {
        long wrote = SYS_RETRY(write, fd, chunk + at, size);
        if (wrote <= 0)
            return failed(tree, TREE_WRITE, wrote ? wrote : -EIO);
        at += (uint64_t)wrote;
        size -= (uint64_t)wrote;
    }
    return 0;
}

int tree_finish(struct tree *tree, int fd, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime, const char *xattrs,
                uint32_t xattrs_size)
{
    return finish(tree, fd, mode, (struct owner){uid, gid}, mtime, (struct xattrs){xattrs, xattrs_size});
}

int tree_file(struct tree *tree, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime,
              const char *xattrs, uint32_t xattrs_size, const char *chunk, uint64_t at, uint64_t size)
{
    int fd = tree_create(tree, path);
    if (fd < 0)
        return fd;
    int ret = tree_write(tree, fd, chunk, at, size);
    if (ret == 0)
        ret = tree_finish(tree, fd, mode, uid, gid, mtime, xattrs, xattrs_size);
    long closed = SYS(close, fd);
    return ret == 0 ? failed(tree, TREE_WRITE, closed == -EINTR ? 0 : closed) : ret;
}

/* -- the others ----------------------------------------------------------------------------------------------------- */

/* Both names, so that it can be mounted with and without the option userxattr: overlayfs.rst, "User xattr". */
static int make_opaque(struct tree *tree, int parent, const char *name)
{
    long fd = SYS_RETRY(openat, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return failed(tree, TREE_ATTRIBUTE, fd);
    long trusted = SYS(fsetxattr, fd, "trusted.overlay.opaque", "y", 1, 0);
    long user = SYS(fsetxattr, fd, "user.overlay.opaque", "y", 1, 0);
    SYS(close, fd);
    return failed(tree, TREE_ATTRIBUTE, trusted == 0 ? 0 : user);
}

int tree_directory(struct tree *tree, const char *path)
{
    const char *name;
    struct statx facts;
    int parent = open_parent(tree, path, &name);
    if (parent < 0 || !*name)
        return parent < 0 ? parent : 0;
    long ret = SYS(mkdirat, parent, name, 0700);
    if (ret != -EEXIST)
        return failed(tree, TREE_MAKE, ret);
    ret = facts_of(parent, name, &facts);
    if (ret < 0 || (facts.stx_mode & MODE_TYPE) == MODE_DIR)
        return failed(tree, TREE_MAKE, ret);
    ret = clear(tree, parent, name);
    if (ret == 0)
        ret = SYS(mkdirat, parent, name, 0700);
    return ret < 0 ? failed(tree, TREE_MAKE, ret) : make_opaque(tree, parent, name);
}

int tree_directory_finish(struct tree *tree, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime,
                          const char *xattrs, uint32_t xattrs_size)
{
    int fd = open_in_root(tree->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    if (fd < 0)
        return failed(tree, TREE_MAKE, fd);
    int ret = tree_finish(tree, fd, mode, uid, gid, mtime, xattrs, xattrs_size);
    SYS(close, fd);
    return ret;
}

int tree_symlink(struct tree *tree, const char *path, const char *target, uint32_t uid, uint32_t gid, int64_t mtime,
                 const char *xattrs, uint32_t xattrs_size)
{
    const char *name;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    long ret = SYS(symlinkat, target, parent, name);
    if (ret == -EEXIST) {
        ret = clear(tree, parent, name);
        if (ret == 0)
            ret = SYS(symlinkat, target, parent, name);
    }
    if (ret < 0)
        return failed(tree, TREE_MAKE, ret);
    return finish_at(tree, parent, name, MODE_LINK, (struct owner){uid, gid}, mtime, (struct xattrs){xattrs, xattrs_size});
}

int tree_node(struct tree *tree, const char *path, uint32_t mode, uint64_t device, uint32_t uid, uint32_t gid, int64_t mtime,
              const char *xattrs, uint32_t xattrs_size)
{
    const char *name;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    uint32_t made = (mode & MODE_TYPE) | 0600;
    long ret = SYS(mknodat, parent, name, made, device);
    if (ret == -EEXIST) {
        ret = clear(tree, parent, name);
        if (ret == 0)
            ret = SYS(mknodat, parent, name, made, device);
    }
    if (ret < 0)
        return failed(tree, TREE_MAKE, ret);
    return finish_at(tree, parent, name, mode, (struct owner){uid, gid}, mtime, (struct xattrs){xattrs, xattrs_size});
}

/* Link, where something may be in the way: also the very same file. */
static long link_over(struct tree *tree, int from, const char *from_name, int parent, const char *name, uint64_t inode)
{
    struct statx facts;
    long ret = SYS(linkat, from, from_name, parent, name, 0);
    if (ret != -EEXIST)
        return ret;
    ret = facts_of(parent, name, &facts);
    if (ret < 0 || facts.stx_ino == inode)
        return ret;
    ret = clear(tree, parent, name);
    return ret < 0 ? ret : SYS(linkat, from, from_name, parent, name, 0);
}

int tree_link(struct tree *tree, const char *path, const char *target)
{
    const char *name, *from_name;
    char from_path[PATH_BYTES];
    struct statx facts;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    size_t length = split(target, &from_name);
    if (length >= sizeof from_path)
        return failed(tree, TREE_TARGET, -ENAMETOOLONG);
    memcpy(from_path, target, length);
    from_path[length] = '\0';
    int from = open_in_root(tree->root, from_path, O_PATH | O_DIRECTORY, 0, 0);
    if (from < 0)
        return failed(tree, TREE_TARGET, from);
    long ret = facts_of(from, from_name, &facts);
    if (ret == 0 && is_whiteout(&facts))
        ret = -ENOENT;
    if (ret == 0 && (facts.stx_mode & MODE_TYPE) == MODE_DIR)
        ret = -EISDIR;
    ret = ret < 0 ? failed(tree, TREE_TARGET, ret)
                  : failed(tree, TREE_MAKE, link_over(tree, from, from_name, parent, name, facts.stx_ino));
    SYS(close, from);
    return (int)ret;
}

int tree_rename(struct tree *tree, const char *path, const char *to)
{
    const char *name, *to_name;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    split(to, &to_name);
    return failed(tree, TREE_MAKE, SYS(renameat2, parent, name, parent, to_name, 0));
}

int tree_remove(struct tree *tree, const char *path)
{
    const char *name;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    long ret = clear(tree, parent, name);
    return failed(tree, TREE_MAKE, ret == -ENOENT ? 0 : ret);
}

int tree_whiteout(struct tree *tree, const char *path)
{
    const char *name;
    struct statx facts;
    int parent = open_parent(tree, path, &name);
    if (parent < 0)
        return parent;
    long ret = SYS(mknodat, parent, name, MODE_CHAR, 0);
    if (ret != -EEXIST)
        return failed(tree, TREE_MAKE, ret);
    ret = facts_of(parent, name, &facts);
    if (ret == 0 && (facts.stx_mode & MODE_TYPE) == MODE_DIR)
        return make_opaque(tree, parent, name);
    return failed(tree, TREE_MAKE, ret);
}

int tree_opaque(struct tree *tree, const char *path)
{
    const char *name;
    int parent = open_parent(tree, path, &name);
    return parent < 0 ? parent : make_opaque(tree, parent, ".");
}

void tree_close(struct tree *tree)
{
    forget_parent(tree);
}

/* -- what stat(2) does not tell --------------------------------------------------------------------------------------- */

int is_mounted(int directory, const char *name)
{
    struct statx facts;
    long ret = SYS(statx, directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH, STATX_TYPE, &facts);
    return ret < 0 ? (int)ret : !!(facts.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int64_t file_system(int fd)
{
    struct statfs facts;
    long ret = SYS(fstatfs, fd, &facts);
    return ret < 0 ? ret : (int64_t)facts.f_type;
}
