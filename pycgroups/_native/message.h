/* Messages over a Unix socket, with file descriptors: unix(7), SCM_RIGHTS; without a C library's macros for them. */
#ifndef PYCGROUPS_MESSAGE_H
#define PYCGROUPS_MESSAGE_H

#include "sys.h"

enum {
    MESSAGE_FDS_MAX = 253, /* SCM_MAX_FD */
    MSG_CTRUNC_ = 0x8,
    MSG_DONTWAIT_ = 0x40,
    MSG_NOSIGNAL_ = 0x4000,
    MSG_CMSG_CLOEXEC_ = 0x40000000,
};

struct message {
    struct { void *name; int namelen; void *iov; size_t iovlen; void *control; size_t controllen; int flags; } header;
    struct { const void *base; size_t length; } part;
    struct message_rights { size_t length; int level, type; int fds[MESSAGE_FDS_MAX]; } rights; /* struct cmsghdr, and data */
    struct { size_t length; int level, type; int pid, uid, gid; } room; /* where others come before them */
    const int *fds; /* that were received */
    int sender;     /* its pid, with SO_PASSCRED; else 0 */
};

enum { SOL_SOCKET_ = 1, SCM_RIGHTS_ = 1, SCM_CREDENTIALS_ = 2 };
static const size_t message_rights_header = offsetof(struct message_rights, fds);

static inline size_t message_aligned(size_t length)
{
    return (length + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1);
}

static inline void message_set(struct message *message, const void *data, size_t length)
{
    message->part.base = data;
    message->part.length = length;
    message->header.name = 0;
    message->header.namelen = 0;
    message->header.iov = &message->part;
    message->header.iovlen = 1;
    message->header.control = &message->rights;
    message->header.controllen = 0;
    message->header.flags = 0;
}

/* Bytes sent, or -errno. */
static inline long message_send(int socket, const void *data, size_t length, const int *fds, uint32_t count, int flags)
{
    struct message message;
    message_set(&message, data, length);
    if (count > MESSAGE_FDS_MAX)
        return -EINVAL;
    if (count > 0) {
        message.rights.length = message_rights_header + count * sizeof(int);
        message.rights.level = SOL_SOCKET_;
        message.rights.type = SCM_RIGHTS_;
        for (uint32_t i = 0; i < count; i++)
            message.rights.fds[i] = fds[i];
        message.header.controllen = message_aligned(message.rights.length);
    }
    return SYS_RETRY(sendmsg, socket, &message.header, MSG_NOSIGNAL_ | flags);
}

/* What came beside the bytes: cmsg(3). */
static inline void message_look(struct message *message, uint32_t *count)
{
    for (size_t at = 0; at + message_rights_header < message->header.controllen;) {
        const struct message_rights *part = (const void *)((const char *)&message->rights + at);
        if (part->level == SOL_SOCKET_ && part->type == SCM_CREDENTIALS_)
            message->sender = part->fds[0];
        if (part->level == SOL_SOCKET_ && part->type == SCM_RIGHTS_) {
            message->fds = part->fds;
            *count = (uint32_t)((part->length - message_rights_header) / sizeof(int));
        }
        at += message_aligned(part->length);
    }
}

/* Bytes received, 0 at the end, or -errno; -EMFILE when not all descriptors could be taken over. `message` has them,
 * `count` how many. */
static inline long message_receive(int socket, void *data, size_t length, struct message *message, uint32_t *count, int flags)
{
    message_set(message, data, length);
    message->header.controllen = sizeof message->rights + sizeof message->room;
    message->sender = 0;
    *count = 0;
    long got = SYS_RETRY(recvmsg, socket, &message->header, MSG_CMSG_CLOEXEC_ | flags);
    if (got < 0)
        return got;
    message_look(message, count);
    return message->header.flags & MSG_CTRUNC_ ? -EMFILE : got;
}

#endif
