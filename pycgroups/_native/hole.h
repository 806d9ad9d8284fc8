/* What Python has no call for, of files: to give a part of one back to the disk. */
#ifndef PYCGROUPS_HOLE_H
#define PYCGROUPS_HOLE_H

#include <linux/falloc.h>
#include <stdint.h>

#include "sys.h"

/* Its bytes are zeros then, and the file is as long as before; fallocate(2). 0 or -errno. */
static inline int punch_hole(int fd, int64_t at, int64_t size)
{
    return (int)SYS_RETRY(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size);
}

#endif
