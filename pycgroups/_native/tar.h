/* Read the headers of tar archives: pax(1), tar(5). What comes is hostile: nothing beyond the block is read. */
#ifndef PYCGROUPS_TAR_H
#define PYCGROUPS_TAR_H

#include <stdint.h>

enum {
    TAR_BLOCK = 512,
    TAR_NAME = 100 + 155 + 2, /* prefix, slash, name, NUL */
    TAR_TARGET = 100 + 1,
};

#define TAR_NONE INT64_MIN /* a field that holds no number, or one that 64 bits have no room for */

struct tar_header {
    int64_t mode, uid, gid, size, mtime, major, minor; /* each may be TAR_NONE; the time is in nanoseconds, the nearest */
    char type, name[TAR_NAME], target[TAR_TARGET];
};

/* The header in the block at `chunk + at`: 1, 0 when that is zeros, which end an archive, or -EBADMSG when the sum of its
 * bytes is not what it says. */
int tar_header(const char *chunk, uint64_t at, struct tar_header *header);

/* The number in a field: octal digits, or binary in two's complement when the first bit is set. */
int64_t tar_number(const char *field, uint32_t size);

#endif
