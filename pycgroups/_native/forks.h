/* A container's init forks on request, and the fork becomes the helper of what is executed there: it is in all namespaces
 * and cgroups of the container already. Its further conversation with the library is that of every helper (helper.c).
 *
 *     library                                     fork                       init
 *     datagram with descriptors ---------------->
 *                               <----------------  FORKED  (its pidfd, and the sender's pid)
 *                                                  FORK_ENDED  ------------>   forks the next one
 *     plan, go, ...             ---------------->
 *                                                  its end                     reaps it
 *                               <-------------------------------------------  EXITED, with usage
 *     closes FORK_ENDED         ------------------------------------------->  kills it
 *
 * It is there before the next request, for a while: to fork takes as long as all that the fork then does until its exec.
 * Who gets no answer does what takes no init.
 */
#ifndef PYCGROUPS_FORKS_H
#define PYCGROUPS_FORKS_H

#include <stdint.h>

struct rusage;

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

/* Where requests come, from now on; a signal tells of all that forks_serve() is to look after: fcntl(2), O_ASYNC. */
void forks_begin(int requests);

/* Have a fork for the next request, and kill what nobody waits for any more. A fork goes on in `launch`, which does not
 * return. */
void forks_serve(void (*launch)(void));

/* Tell how a child has ended, if that is a fork. */
void forks_ended(long pid, int status, const struct rusage *usage);

/* ---- of the library --------------------------------------------------------------------------------------------- */

/* Make the socket for requests. A descriptor or -errno; so is the next. */
int forks_listen(const char *path);

/* Ask for a fork, with the first FORK_ENDED descriptors; `control` is our end of its. The socket that tells of its end. */
int forks_ask(const char *path, int control, const int *fds);

#endif
