/* What the kernel can do with filters. */
#ifndef PYCGROUPS_SECCOMP_H
#define PYCGROUPS_SECCOMP_H

#include <stdint.h>

/* Whether seccomp(2) takes these flags; 1 or 0. */
int seccomp_takes(uint32_t flags);

#endif
