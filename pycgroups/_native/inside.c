#include "inside.h"

#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <asm/statfs.h>

#include "sys.h"
#include "text.h"

enum {
    LINKS_MAX = 8,
    OPEN_TRIES = 128, /* openat2(2): EAGAIN when a rename elsewhere got in the way */
};

int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = -EAGAIN;
    for (int i = 0; i < OPEN_TRIES && (fd == -EAGAIN || fd == -EINTR); i++)
        fd = SYS(openat2, root, *path ? path : "/", &how, sizeof how);
    return (int)fd;
}

/* A symlink that leads to nothing, `name` at the end of `path`: write the path that it stands for, in the root as well. */
static int read_dangling(int parent, const char *path, const char *name, char *target)
{
    char link[PATH_BYTES];
    long length = SYS(readlinkat, parent, name, link, sizeof link);
    if (length < 0)
        return length == -EINVAL ? -EEXIST : (int)length;
    size_t before = link[0] == '/' ? 0 : (size_t)(name - path);
    if (before + (size_t)length >= PATH_BYTES)
        return -ENAMETOOLONG;
    if (target != path)
        text_copy(target, path, before);
    text_copy(target + before, link, (size_t)length);
    target[before + (size_t)length] = '\0';
    return 0;
}

static int make_dirs(int root, const char *path, uint32_t mode, uint64_t resolve, int links);

/* Make a directory, `name` at the end of `path`; where there is a symlink that leads to nothing, that to which it leads. */
static int make_dir(int root, int parent, const char *path, const char *name, uint32_t mode, uint64_t resolve, int links)
{
    long made = SYS(mkdirat, parent, name, mode);
    if (made < 0 && made != -EEXIST)
        return (int)made;
    int fd = open_in_root(root, path, O_PATH | O_DIRECTORY, 0, resolve);
    if (fd != -ENOENT || made == 0)
        return fd;
    char target[PATH_BYTES];
    int ret = links > 0 ? read_dangling(parent, path, name, target) : -ELOOP;
    return ret < 0 ? ret : make_dirs(root, target, mode, resolve, links - 1);
}

static int make_dirs(int root, const char *path, uint32_t mode, uint64_t resolve, int links)
{
    char prefix[PATH_BYTES];
    size_t length = text_length(path);
    if (length >= sizeof prefix)
        return -ENAMETOOLONG;
    int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0, resolve);
    size_t name = 0;
    for (size_t i = 0; i <= length && parent >= 0; i++) {
        prefix[i] = path[i];
        if (path[i] != '/' && path[i] != '\0')
            continue;
        if (i == name) {
            name = i + 1;
            continue;
        }
        prefix[i] = '\0';
        int fd = open_in_root(root, prefix, O_PATH | O_DIRECTORY, 0, resolve);
        if (fd == -ENOENT)
            fd = make_dir(root, parent, prefix, prefix + name, mode, resolve, links);
        SYS(close, parent);
        parent = fd;
        prefix[i] = path[i];
        name = i + 1;
    }
    return parent;
}

/* Open a directory of the root, making what is missing of its path. Each prefix is resolved from the root anew, so
 * that a symlink on the way means inside what it meant when it was made. */
int open_dir_made(int root, const char *path, uint32_t mode, uint64_t resolve)
{
    int fd = open_in_root(root, path, O_PATH | O_DIRECTORY, 0, resolve);
    return fd == -ENOENT ? make_dirs(root, path, mode, resolve, LINKS_MAX) : fd;
}

/* Split "a/b/c" into the directory, opened (and made), and the last name. */
int open_parent_made(int root, const char *path, uint64_t resolve, const char **name)
{
    char parent[PATH_BYTES];
    size_t slash = text_length(path);
    while (slash > 0 && path[slash - 1] != '/')
        slash--;
    if (slash >= sizeof parent)
        return -ENAMETOOLONG;
    text_copy(parent, path, slash);
    parent[slash] = '\0';
    *name = path + slash;
    return open_dir_made(root, parent, 0755, resolve);
}

int open_file_made(int root, const char *path, uint64_t resolve)
{
    char target[PATH_BYTES];
    for (int links = 0; links < LINKS_MAX; links++) {
        int fd = open_in_root(root, path, O_PATH, 0, resolve);
        if (fd != -ENOENT)
            return fd;
        const char *name;
        int parent = open_parent_made(root, path, resolve, &name);
        if (parent < 0)
            return parent;
        long made = SYS(openat, parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (made >= 0) {
            SYS(close, made);
        } else if (made == -EEXIST && !(resolve & RESOLVE_NO_SYMLINKS)) {
            made = read_dangling(parent, path, name, target);
            path = target;
        }
        SYS(close, parent);
        if (made < 0)
            return (int)made;
    }
    return -ELOOP;
}

int file_type(int fd)
{
    struct statx facts;
    long ret = SYS(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &facts);
    return ret < 0 ? (int)ret : facts.stx_mode & MODE_TYPE;
}

int is_procfs(int fd)
{
    struct statfs facts;
    long ret = SYS(fstatfs, fd, &facts);
    if (ret < 0)
        return (int)ret;
    return facts.f_type == PROC_SUPER_MAGIC ? 0 : -EXDEV;
}
