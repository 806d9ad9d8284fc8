/* A mount of layers that is attached nowhere: it is there as long as its descriptor is. */
#ifndef PYCGROUPS_OVERLAY_H
#define PYCGROUPS_OVERLAY_H

#include <stdint.h>

/* `layers` has `count` paths, the topmost first, each with its '\0'; read-only, nosuid, nodev. A descriptor or -errno. */
int overlay_open(const char *layers, uint32_t count);

/* The same, written to: what changes goes to `upper`, and `work` is an empty directory beside it. With `user`, overlayfs
 * keeps its marks in attributes user.*: without CAP_SYS_ADMIN on the host it may set no others. */
int overlay_open_upper(const char *layers, uint32_t count, const char *upper, const char *work, int user);

#endif
