/* For libFuzzer: bytes as a container's /etc/passwd. The home directory found is a text that fits, and not empty. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "passwd.h"

enum { ROOM = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    char *home = malloc(ROOM);
    int fd = memfd_create("passwd", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    passwd_home(path, 1000, home, ROOM);
    size_t length = strnlen(home, ROOM);
    if (length == 0 || length == ROOM)
        abort();
    close(fd);
    free(home);
    return 0;
}
