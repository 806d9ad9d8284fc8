/* Paths inside a root, an open directory: by openat2(2) with RESOLVE_IN_ROOT, never followed out of it.
 * `resolve` adds to its flags. All return a descriptor (or a fact) or -errno. */
#ifndef PYCGROUPS_INSIDE_H
#define PYCGROUPS_INSIDE_H

#include <stdint.h>

enum {
    PATH_BYTES = 4096,
    MODE_TYPE = 0170000,
    MODE_DIR = 0040000,
    MODE_FILE = 0100000,
    MODE_CHAR = 0020000,
    MODE_FIFO = 0010000,
};

int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

/* A directory, made with its parents where it is missing. */
int open_dir_made(int root, const char *path, uint32_t mode, uint64_t resolve);

/* The directory that "a/b/c" is in, made as above; `name` is its last part. */
int open_parent_made(int root, const char *path, uint64_t resolve, const char **name);

/* A file of any type, made as an empty one where it is missing. */
int open_file_made(int root, const char *path, uint64_t resolve);

/* MODE_DIR and its like. */
int file_type(int fd);

/* 0, or -EXDEV when it is not on procfs. */
int is_procfs(int fd);

#endif
