/* The launch plan: what Python (runtime/plan.py) writes and the helper performs.
 *
 * A plan is one block of memory: struct plan_header, then `steps` times struct plan_step, then the strings.
 * Steps come in three runs, in this order:
 *
 *     prepare   by the calling thread of the library, with the caller's own rights and namespaces: opens what the
 *               helper could not open once it is in its user namespace; changes nothing but file descriptors
 *     setup     by the helper, in the new namespaces, with all capabilities there
 *     main      by the process that becomes the user's program
 *
 * A step names file descriptors by slot. The first `passed` slots are what the library hands over, in order: first
 * the descriptors that the caller gave, then those that `prepare` opened.
 *
 * A message takes so many descriptors, and a process so many open ones. What `prepare` opens beyond `passed` is handed
 * over in further parts, when the helper is at work already, each in consecutive slots, which may be those of the part
 * before: OP_TAKE is where the helper takes the next one.
 */
#ifndef PYCGROUPS_PLAN_H
#define PYCGROUPS_PLAN_H

#include <stdint.h>

enum {
    PLAN_MAGIC = 0x70636732, /* "pcg2" */
    PLAN_SLOTS = 256,
    PLAN_PASSED_MAX = 250, /* SCM_MAX_FD is 253: unix(7) */
    PLAN_ARGS = 7,
    PLAN_STRINGS = 3,
};

enum plan_op {
    OP_TREE = 1,   /* slot, clone flags, attr_set, attr_clr, propagation, idmap slot or -1, directory slot or -1; path */
    OP_TAKE,       /* first slot: the next part of what `prepare` opens */
    OP_MAP,        /* slot of a tree, slot of a user namespace, 1 with all below: have the library map its ids; path. Two
                    * descriptors are sent: the tree, and a pipe for the answer */
    OP_FS,         /* slot, mount attributes; type, options "key=value\0flag\0..." */
    OP_FCHDIR,     /* slot */
    OP_STACK,      /* slot; path: mount there in the old root, so that names in it can be given to the kernel */
    OP_BASE,       /* slot: paths are inside this mount from here on */
    OP_LIKE,       /* slot of a new file system, 1 with the mode, 1 with a copy of all; path in the root of that directory */
    OP_MOUNT,      /* slot, resolve flags; path in the root, made as a directory or file as the source is one */
    OP_MKDIR,      /* mode, resolve flags; path in the root; parents are made too */
    OP_SYMLINK,    /* target; path in the root */
    OP_COPY_LINK,  /* target; path in the root, where a mount would be: the same link there is no error */
    OP_NODE,       /* mode, dev, uid, gid; path in the root */
    OP_FILE,       /* mode; path in the root, content: a new file */
    OP_NULL,       /* slot; path in the root: must be the null device (1, 3) */
    OP_MASK,       /* slot of an empty file system, slot of a null device; path in the root */
    OP_READONLY,   /* path in the root */
    OP_ATTR,       /* slot or -1 (the root), attr_set, attr_clr, propagation, recursive */
    OP_PROPAGATE,  /* propagation of every mount of the new mount namespace */
    OP_PIVOT,      /* 1 without pivot_root(2), for a root in a ramfs; paths "/a\0/b": mounts that must go then; the base
                    * becomes "/", the old root is let go */
    OP_CHROOT,     /* path, or empty for the base: change to that root, in a mount namespace of others; its directory is
                    * the current one */
    OP_ROOT,       /* paths are inside the process's own root from here on */
    OP_HOSTNAME,   /* name */
    OP_DOMAINNAME, /* name */
    OP_SYSCTL,     /* path below /proc/sys, value */
    OP_LO_UP,
    OP_NETLINK,    /* send a socket for route messages of the network namespace: rtnetlink(7) */
    OP_UNSHARE,    /* namespace flags */
    OP_TIME_OFFSETS, /* text, for the time namespace that was just unshared */
    OP_FORK,       /* go on in a child of the same parent; tell its pid, send its pidfd, and end */
    OP_SETNS,      /* slot, type */
    OP_JOIN,       /* slot of a cgroup's file: write "0" */
    OP_BECOME_ROOT, /* clear groups or not, uid, gid: set*id() in the user namespace */
    OP_CONSOLE,    /* slot for the terminal, rows, columns, uid: make a pty, send its master */
    OP_SEND,       /* slot: hand this descriptor to the library */
    OP_DEATH,      /* signal when the thread that spawned dies */
    OP_WAIT,       /* tell, and wait for the library's word */
    OP_START,      /* slot of a FIFO: tell, and wait for a byte in it, from whomever */
    OP_FIND,       /* candidates; paths: one of them can be executed */
    OP_SESSION,    /* 0 a session of its own, 1 a process group */
    OP_TERMINAL,   /* slot: controlling terminal and standard streams */
    OP_KEYRING,
    OP_OOM_SCORE,  /* 1 where it takes being dumpable: nobody is there yet who could look into us; text */
    OP_RLIMIT,     /* resource, soft, hard */
    OP_UMASK,      /* mask */
    OP_GROUPS,     /* count; blob of uint32 */
    OP_IDS,        /* uid, gid */
    OP_BOUNDING,   /* mask of what stays */
    OP_SECUREBITS, /* bits */
    OP_CAPS,       /* effective, permitted, inheritable */
    OP_AMBIENT,    /* mask */
    OP_NO_NEW_PRIVS,
    OP_LABEL,      /* path of a /proc/thread-self/attr file; text */
    OP_CALL,       /* system call, which of its arguments is the blob or -1, five arguments; name, blob */
    OP_CHDIR,      /* path; nothing if an earlier one has succeeded */
    OP_LANDLOCK,   /* slot for the ruleset, masks of what it denies: to files, to the network, scopes */
    OP_ALLOW_PATH, /* slot, what is allowed if it is a directory, if it is none; path, a directory above or "", path below it */
    OP_ALLOW_PORT, /* slot, what is allowed, port */
    OP_RESTRICT,   /* slot: put the ruleset on this process, and close it */
    OP_SECCOMP,    /* flags; blob of struct sock_filter. A listener is sent; go on after the library's word */
    OP_HOME,       /* uid; passwd file: the program's environment gets HOME as well */
    OP_STREAMS,    /* uid, gid: pipes and files at 0, 1 and 2 are theirs, as far as they can be given away */
    OP_READY,      /* slot and count of what becomes 3 and up, bits of those that are closed instead (64 in each of two
                    * numbers), slot of what stays open until the exec or -1: everything else is closed */
    OP_MORTAL,     /* bits of signals that end this process until its exec, also where it is process 1 */
    OP_EXEC,       /* argc, envc, candidates; argv, envp, paths */
};

enum plan_step_flags {
    /* of OP_MASK and OP_READONLY: a path that is not there is no error; of OP_SYMLINK and OP_NODE: one that is; of
     * OP_CHDIR: one that cannot be entered; of OP_ALLOW_PATH: one that cannot be reached; of OP_CALL: whatever it answers */
    STEP_OPTIONAL = 1,
    STEP_SHARED = 2, /* the init performs it as well, once the program runs: for what it forks (forks.h) */
};

enum plan_tree_flags {
    /* beside the clone flags of OP_TREE */
    TREE_MAP_TOP = 1 << 30, /* the id map is for the uppermost mount alone */
    TREE_INSIDE = 1 << 29,  /* the path is one inside the root, of what is mounted there by now; no directory slot */
};

enum plan_flags {
    PLAN_INIT = 1,     /* the helper stays as an init and forks the main process */
    PLAN_INHERITS = 2, /* the helper is the fork of an init that has performed what is shared */
};

enum {
    PLAN_END_SIGNAL = 64, /* to an init, from outside: kill all and tell what they used; nobody else has a use for the last
                           * of them */
};

struct plan_header {
    uint32_t magic;
    uint32_t size; /* of the whole block */
    uint32_t flags;
    uint32_t passed;
    uint32_t prepare;
    uint32_t setup;
    uint32_t steps;
    int32_t requests;  /* slot of the socket at which an init is asked for forks (forks.h), or -1 */
    uint64_t keep_caps; /* what the init keeps for them, of its capabilities */
};

struct plan_step {
    uint32_t op;
    uint32_t flags;
    int64_t arg[PLAN_ARGS];
    uint32_t str[PLAN_STRINGS]; /* offset from the start of the block; strings end with NUL */
    uint32_t len[PLAN_STRINGS]; /* without that NUL */
};

/* What comes back over the control socket, one record an event. */
enum report_kind {
    REPORT_FAILED = 1, /* step, error */
    REPORT_STARTED,    /* value: pid of the main process in its own pid namespace */
    REPORT_FD,         /* step: which one; carries the descriptor */
    REPORT_FORKED,     /* value: pid, for the library, of the process that goes on; carries its pidfd */
    REPORT_WAITING,    /* step */
    REPORT_EXITED,     /* value: wait status of the main process; usage of all that was waited for */
};

struct report {
    uint32_t kind;
    int32_t step;
    int32_t error;
    int32_t value;
    uint64_t user_usec;
    uint64_t system_usec;
    uint64_t maxrss_kib;
    uint64_t inblock;
    uint64_t oublock;
};

#endif
