#include "landlock.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>

#include "inside.h"
#include "sys.h"

/* Of linux/landlock.h, which may be older than the kernel. */
enum {
    VERSION = 1,
    PATH_BENEATH = 1,
    NET_PORT = 2,
};

int landlock_abi(void)
{
    return (int)SYS(landlock_create_ruleset, 0, 0, VERSION);
}

int landlock_make(uint64_t files, uint64_t network, uint64_t scopes)
{
    /* An older kernel takes the longer structure as long as it is zero where that one ends. */
    const uint64_t attributes[] = {files, network, scopes};
    return (int)SYS(landlock_create_ruleset, attributes, sizeof attributes, 0);
}

/* A magic link may lead out of the root: it is no name of anything in it. */
static int open_path(int directory, const char *path, uint64_t resolve)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS | resolve};
    return (int)SYS_RETRY(openat2, directory, path, &how, sizeof how);
}

static int open_beneath(const char *above, const char *path)
{
    int directory = open_path(AT_FDCWD, above, 0);
    if (directory < 0)
        return directory;
    int fd = open_path(directory, path, RESOLVE_BENEATH);
    SYS(close, directory);
    return fd;
}

int landlock_allow_path(int ruleset, const char *above, const char *path, uint64_t of_directory, uint64_t of_file)
{
    int fd = *above ? open_beneath(above, path) : open_path(AT_FDCWD, path, 0);
    if (fd < 0)
        return fd;
    int type = file_type(fd);
    struct { uint64_t access; int32_t fd; } __attribute__((packed)) rule = {type == MODE_DIR ? of_directory : of_file, fd};
    int ret = type;
    if (type >= 0) /* the kernel takes no rule that allows nothing */
        ret = rule.access ? (int)SYS(landlock_add_rule, ruleset, PATH_BENEATH, &rule, 0) : 0;
    SYS(close, fd);
    return ret;
}

int landlock_allow_port(int ruleset, uint64_t access, uint64_t port)
{
    const struct { uint64_t access, port; } rule = {access, port};
    return (int)SYS(landlock_add_rule, ruleset, NET_PORT, &rule, 0);
}

int landlock_restrict(int ruleset)
{
    return (int)SYS(landlock_restrict_self, ruleset, 0);
}
