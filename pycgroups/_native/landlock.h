/* Landlock, landlock(7): a ruleset is made, filled, and put on this process, for good and for all that it starts.
 *
 * The numbers are the plan's; what they mean, security/landlock.py knows. All return a descriptor, a fact, or -errno. */
#ifndef PYCGROUPS_LANDLOCK_H
#define PYCGROUPS_LANDLOCK_H

#include <stdint.h>

/* The version of the kernel's interface; -ENOSYS where it was built without, -EOPNOTSUPP where it is turned off. */
int landlock_abi(void);

/* A ruleset: whatever is in these masks is denied but where a rule allows it. */
int landlock_make(uint64_t files, uint64_t network, uint64_t scopes);

/* Allow a file, or a directory and all that is beneath it. A file gets `of_file`, for it takes no rights of directories.
 * Where the path is one below `above`, if that is not empty, no link leads out of there. */
int landlock_allow_path(int ruleset, const char *above, const char *path, uint64_t of_directory, uint64_t of_file);

int landlock_allow_port(int ruleset, uint64_t access, uint64_t port);

/* It takes no_new_privs. */
int landlock_restrict(int ruleset);

#endif
