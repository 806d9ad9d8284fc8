/* Loop devices: a file as a disk; loop(4). */
#ifndef PYCGROUPS_LOOP_H
#define PYCGROUPS_LOOP_H

#include <linux/loop.h>
#include <stdint.h>

#include "sys.h"

/* The number of a device that nobody has, made if there is none; or -errno. Others may be given the same. */
static inline int loop_free(int control)
{
    return (int)SYS(ioctl, control, LOOP_CTL_GET_FREE);
}

/* Let a device be this file, until nobody has it open or mounted any more. -EBUSY: it is another file's by now. Without
 * direct I/O, where the file's own disk can do that with such sectors, each page would be in memory twice. Linux 5.8;
 * 0 or -errno. */
static inline int loop_attach(int device, int file, uint32_t sector)
{
    struct loop_config config = {
        .fd = (uint32_t)file,
        .block_size = sector,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, .lo_file_name = "pycgroups"},
    };
    return (int)SYS(ioctl, device, LOOP_CONFIGURE, &config);
}

/* Whether a device is the file with this number on that device; -ENXIO: it is no file's. */
static inline int loop_is(int device, uint64_t of, uint64_t inode)
{
    struct loop_info64 info = {0};
    int ret = (int)SYS(ioctl, device, LOOP_GET_STATUS64, &info);
    return ret < 0 ? ret : info.lo_device == of && info.lo_inode == inode;
}

#endif
