/* The file of accounts of a container, which may be anything: passwd(5). */
#ifndef PYCGROUPS_PASSWD_H
#define PYCGROUPS_PASSWD_H

#include <stddef.h>
#include <stdint.h>

/* Write the home directory of a user; "/" where the file does not tell. `size` is that of the text with its NUL. */
void passwd_home(const char *path, uint64_t uid, char *home, size_t size);

#endif
