/* Make the files of a layer or of a root: the inner loop of pycgroups/images/unpack.py and pycgroups/containers/placing.py.
 *
 * Paths are relative to a directory, without "." and "..", and resolved in it as if it were "/": symlinks on the way lead
 * to what they mean inside, and who changes them meanwhile leads nobody out of it. A symlink at the end is never followed,
 * it is replaced. A directory in the way is left to the caller, who gets -EISDIR; a missing parent likewise, -ENOENT.
 * An owner of NOBODY stays as it is. Times are nanoseconds since 1970. All return -errno, and `failed` says of what. */
#ifndef PYCGROUPS_TREE_H
#define PYCGROUPS_TREE_H

#include <stdint.h>

#include "inside.h"

#define NOBODY UINT32_MAX

enum tree_step {
    TREE_PARENT = 1, /* the directory that it is to be in */
    TREE_TARGET,     /* what a hard link is to */
    TREE_MAKE,
    TREE_WRITE,
    TREE_OWNER,
    TREE_ATTRIBUTE,
    TREE_MODE,
    TREE_TIMES,
};

struct tree {
    int root;
    int parent; /* the last one that was opened, or -1 */
    int failed; /* enum tree_step */
    uint32_t refused; /* extended attributes that the kernel did not take: EPERM, EOPNOTSUPP */
    uint32_t length; /* of the parent's path */
    char path[PATH_BYTES];
};

/* A file of `size` bytes at `chunk + at`. `xattrs` has for each its name, '\0', the length of its value as a uint32_t, and
 * the value. 0 or -errno. */
int tree_file(struct tree *tree, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime,
              const char *xattrs, uint32_t xattrs_size, const char *chunk, uint64_t at, uint64_t size);

/* The same in pieces: a descriptor or -errno, then 0 or -errno. The caller closes it. */
int tree_create(struct tree *tree, const char *path);
int tree_write(struct tree *tree, int fd, const char *chunk, uint64_t at, uint64_t size);
int tree_finish(struct tree *tree, int fd, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime, const char *xattrs,
                uint32_t xattrs_size);

/* A directory, 0700 until its attributes are set: what comes later has to be made in it. One that takes the place of
 * something else is opaque, since that hid whatever layers below have there. 0 or -errno. */
int tree_directory(struct tree *tree, const char *path);
int tree_directory_finish(struct tree *tree, const char *path, uint32_t mode, uint32_t uid, uint32_t gid, int64_t mtime,
                          const char *xattrs, uint32_t xattrs_size);

int tree_symlink(struct tree *tree, const char *path, const char *target, uint32_t uid, uint32_t gid, int64_t mtime,
                 const char *xattrs, uint32_t xattrs_size);

/* A FIFO or a device; the mode has its type. */
int tree_node(struct tree *tree, const char *path, uint32_t mode, uint64_t device, uint32_t uid, uint32_t gid, int64_t mtime,
              const char *xattrs, uint32_t xattrs_size);

/* A hard link to what is at another path; -EISDIR with TREE_TARGET when that is a directory, -ENOENT when it is nothing. */
int tree_link(struct tree *tree, const char *path, const char *target);

/* What is at one path moves to another one in the same directory, in one go. */
int tree_rename(struct tree *tree, const char *path, const char *to);

/* What is there goes. */
int tree_remove(struct tree *tree, const char *path);

/* Hide what layers below have at this path, in overlayfs's form; what this layer has there stays. */
int tree_whiteout(struct tree *tree, const char *path);

/* Hide all that layers below have in the directory that this path is in. */
int tree_opaque(struct tree *tree, const char *path);

void tree_close(struct tree *tree);

/* Whether something is mounted at a name in a directory, or with "" where the descriptor is of: 1, 0 or -errno. */
int is_mounted(int directory, const char *name);

/* Of what type the file system is that a file is in, as statfs(2) has them; or -errno. */
int64_t file_system(int fd);

#endif
