/* A container's init forks on request, and the fork becomes the helper of what is executed there: it is in all namespaces
 * and cgroups of the container already. Its further conversation with the library is that of every helper (helper.c).
 *
 *     library                                     init                     fork
 *     datagram with descriptors ---------------->  forks  ------------->   FORKED  (its pidfd, and the sender's pid)
 *     plan, go, ...             ---------------------------------------->
 *                               <----------------  EXITED, with usage      its end
 *     closes FORK_ENDED         ---------------->  kills it
 *
 * Who gets no answer, since the init stands still or cannot fork, does what takes no init.
 */
#ifndef PYCGROUPS_FORKS_H
#define PYCGROUPS_FORKS_H

#include <stdint.h>

struct rusage;
struct spawned;

enum fork_fd { /* what comes with a datagram. All but the last one become the fork's own, with these numbers */
    FORK_STDIN,
    FORK_STDOUT,
    FORK_STDERR,
    FORK_CONTROL,
    FORK_CREATOR,
    FORK_ENDED, /* the init's end of a socket: it tells there how the fork ends, and kills it at the end of file */
    FORK_FDS,
};

/* ---- of the init ------------------------------------------------------------------------------------------------ */

/* Where requests come, from now on; a signal tells of them: fcntl(2), O_ASYNC. */
void forks_begin(int requests);

/* Answer all requests, and kill what nobody waits for any more. A fork goes on in `launch`, which does not return. */
void forks_serve(void (*launch)(void));

/* Tell how a child has ended, if that is a fork. */
void forks_ended(long pid, int status, const struct rusage *usage);

/* ---- of the library --------------------------------------------------------------------------------------------- */

/* Make the socket for requests. A descriptor or -errno. */
int forks_listen(const char *path);

/* Ask for a fork that becomes a helper; `stdio` becomes its 0, 1 and 2. 0 or -errno. */
int forks_ask(const char *path, const int *stdio, struct spawned *out);

#endif
