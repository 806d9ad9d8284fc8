#include "seccomp.h"

#include <linux/seccomp.h>

#include "sys.h"

/* seccomp(2): flags are looked at before the filter, and a filter at address 0 is EFAULT. */
int seccomp_takes(uint32_t flags)
{
    return SYS(seccomp, SECCOMP_SET_MODE_FILTER, flags, 0) == -EFAULT;
}
