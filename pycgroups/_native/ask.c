/* The library's half of forks.h. */
#include "forks.h"

#include <linux/fcntl.h>

#include "message.h"
#include "spawn.h"
#include "sys.h"
#include "text.h"

enum {
    AF_UNIX_ = 1,
    SOCK_STREAM_ = 1,
    SOCK_DGRAM_ = 2,
    SOCK_CLOEXEC_ = 02000000,
    SO_PASSCRED_ = 16,
};

struct address { unsigned short family; char path[108]; }; /* struct sockaddr_un */

static long write_address(struct address *address, const char *path)
{
    size_t length = text_length(path);
    if (length >= sizeof address->path)
        return -ENAMETOOLONG;
    address->family = AF_UNIX_;
    text_copy(address->path, path, length + 1);
    return 0;
}

static long open_socket(struct address *address, const char *path)
{
    long ret = write_address(address, path);
    return ret < 0 ? ret : SYS(socket, AF_UNIX_, SOCK_DGRAM_ | SOCK_CLOEXEC_, 0);
}

/* Close it if this is an error; the one or the other. */
static int or_closed(long fd, long ret)
{
    if (ret < 0)
        SYS(close, fd);
    return (int)(ret < 0 ? ret : fd);
}

int forks_listen(const char *path)
{
    struct address address;
    long fd = open_socket(&address, path);
    if (fd < 0)
        return (int)fd;
    int on = 1;
    long ret = SYS(setsockopt, fd, SOL_SOCKET_, SO_PASSCRED_, &on, sizeof on);
    if (ret == 0)
        ret = SYS(fchmod, fd, 0600); /* what is bound has the mode of the socket */
    return or_closed(fd, ret < 0 ? ret : SYS(bind, fd, &address, sizeof address));
}

static long send_request(const char *path, const int *fds)
{
    struct address address;
    long fd = open_socket(&address, path);
    if (fd < 0)
        return fd;
    long ret = SYS(connect, fd, &address, sizeof address);
    if (ret == 0)
        ret = message_send((int)fd, "", 1, fds, FORK_FDS, MSG_DONTWAIT_);
    SYS(close, fd);
    return ret < 0 ? ret : 0;
}

int forks_ask(const char *path, const int *stdio, struct spawned *out)
{
    int pair[2], on = 1;
    long ret = SYS(setsockopt, out->control, SOL_SOCKET_, SO_PASSCRED_, &on, sizeof on);
    if (ret == 0)
        ret = SYS(socketpair, AF_UNIX_, SOCK_STREAM_ | SOCK_CLOEXEC_, 0, pair);
    if (ret < 0)
        return (int)ret;
    out->ended = pair[0];
    const int fds[FORK_FDS] = {stdio[0], stdio[1], stdio[2], out->peer, out->creator, pair[1]};
    ret = send_request(path, fds);
    SYS(close, pair[1]);
    return (int)ret;
}
