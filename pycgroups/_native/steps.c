#include "steps.h"

#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <linux/un.h>
#include <asm/ioctls.h>
#include <asm/termios.h>

#include "copy.h"
#include "inside.h"
#include "landlock.h"
#include "message.h"
#include "passwd.h"
#include "refusal.h"
#include "sys.h"
#include "text.h"
#include "thread.h"

enum {
    AF_INET_ = 2,
    AF_NETLINK_ = 16,
    SOCK_DGRAM_ = 2,
    SOCK_RAW_ = 3,
    SOCK_CLOEXEC_ = 02000000,
    SA_RESTORER_ = 0x04000000,
    OWN_MAX = 16, /* descriptors that the helper has beside the slots */
};

/* ---- the plan ------------------------------------------------------------------------------------------------ */

const struct plan_step *plan_steps(const struct plan_header *plan)
{
    return (const struct plan_step *)(plan + 1);
}

int plan_check(const struct plan_header *plan, uint32_t size)
{
    if (size < sizeof *plan || plan->magic != PLAN_MAGIC || plan->size != size)
        return -EINVAL;
    if (plan->steps > (size - sizeof *plan) / sizeof(struct plan_step))
        return -EINVAL;
    if (plan->prepare > plan->setup || plan->setup > plan->steps || plan->passed > PLAN_PASSED_MAX)
        return -EINVAL;
    if (plan->requests >= PLAN_SLOTS)
        return -EINVAL;
    const char *start = (const char *)plan;
    for (uint32_t i = 0; i < plan->steps; i++) {
        const struct plan_step *step = plan_steps(plan) + i;
        if (i < plan->prepare && step->op != OP_TREE) /* with the caller's rights nothing is done but opening */
            return -EINVAL;
        for (int s = 0; s < PLAN_STRINGS; s++) {
            uint32_t end = step->str[s] + step->len[s];
            if (end < step->str[s] || end >= size || start[end] != '\0')
                return -EINVAL;
        }
    }
    return 0;
}

void run_init(struct run *run, const struct plan_header *plan, int control)
{
    run->plan = plan;
    run->control = control;
    run->root = run->parent = -1;
    run->arrived = 0;
    run->started = 0;
    run->masks = 0;
    run->home = 0;
    for (int i = 0; i < PLAN_SLOTS; i++)
        run->slot[i] = -1;
}

static const char *str(const struct run *run, const struct plan_step *step, int i)
{
    return (const char *)run->plan + step->str[i];
}

/* The descriptor in a slot; -EBADF is an answer that every system call gives for itself. */
static int fd_of(const struct run *run, int64_t slot)
{
    return slot >= 0 && slot < PLAN_SLOTS ? run->slot[slot] : -1;
}

static int keep(struct run *run, int64_t slot, long fd)
{
    if (fd < 0)
        return (int)fd;
    if (slot < 0 || slot >= PLAN_SLOTS) {
        SYS(close, fd);
        return -EINVAL;
    }
    if (run->slot[slot] >= 0)
        SYS(close, run->slot[slot]);
    run->slot[slot] = (int)fd;
    return 0;
}

static int write_and_close(long fd, const char *text, size_t length)
{
    if (fd < 0)
        return (int)fd;
    long ret = 0;
    while (length > 0 && ret >= 0) {
        ret = SYS_RETRY(write, fd, text, length);
        if (ret > 0) {
            text += ret;
            length -= (size_t)ret;
        }
    }
    SYS(close, fd);
    return ret < 0 ? (int)ret : 0;
}

/* ---- what is told ---------------------------------------------------------------------------------------------- */

int send_report(int control, const struct report *report, int fd)
{
    long ret = message_send(control, report, sizeof *report, &fd, fd >= 0, 0);
    return ret < 0 ? (int)ret : 0;
}

void report_usage(struct report *report, const struct rusage *usage)
{
    report->user_usec = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec;
    report->system_usec = (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
    report->maxrss_kib = (uint64_t)usage->ru_maxrss;
    report->inblock = (uint64_t)usage->ru_inblock;
    report->oublock = (uint64_t)usage->ru_oublock;
}

static int send_fd(struct run *run, const struct plan_step *step, int fd)
{
    struct report report = {.kind = REPORT_FD, .step = (int32_t)(step - plan_steps(run->plan))};
    return send_report(run->control, &report, fd);
}

int creator_speaks(int control)
{
    struct pollfd ends[] = {{.fd = control, .events = POLLIN}, {.fd = CREATOR, .events = POLLIN}};
    SYS_RETRY(ppoll, ends, 2, 0, 0, sizeof(uint64_t) /* a signal set */);
    return ends[0].revents != 0;
}

/* ---- mounts --------------------------------------------------------------------------------------------------- */

int set_attr(int fd, uint64_t set, uint64_t clear, uint64_t propagation, int userns, int recursive)
{
    struct mount_attr attr = {
        .attr_set = set | (userns >= 0 ? MOUNT_ATTR_IDMAP : 0),
        .attr_clr = clear,
        .propagation = propagation,
        .userns_fd = userns >= 0 ? (uint64_t)userns : 0,
    };
    return (int)SYS(mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof attr);
}

static int attach(int tree, int target)
{
    return (int)SYS(move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int do_tree(struct run *run, const struct plan_step *step)
{
    int directory = step->arg[6] < 0 ? AT_FDCWD : fd_of(run, step->arg[6]);
    const char *path = str(run, step, 0);
    int inside = (step->arg[1] & TREE_INSIDE) != 0;
    if (inside) {
        directory = open_in_root(run->root, path, O_PATH, 0, 0);
        if (directory < 0)
            return directory;
        path = "";
    }
    int recursive = (step->arg[1] & AT_RECURSIVE) != 0;
    int64_t clone = step->arg[1] & ~(TREE_MAP_TOP | TREE_INSIDE);
    long fd = SYS(open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | clone | (*path ? 0 : AT_EMPTY_PATH));
    if (inside)
        SYS(close, directory);
    int ret = keep(run, step->arg[0], fd);
    if (ret < 0)
        return ret;
    int userns = step->arg[5] < 0 ? -1 : fd_of(run, step->arg[5]);
    int top = userns >= 0 && step->arg[1] & TREE_MAP_TOP;
    ret = set_attr((int)fd, (uint64_t)step->arg[2], (uint64_t)step->arg[3], (uint64_t)step->arg[4], top ? -1 : userns, recursive);
    return ret == 0 && top ? set_attr((int)fd, 0, 0, 0, userns, 0) : ret;
}

static int do_take(struct run *run, const struct plan_step *step)
{
    char byte;
    struct message message;
    uint32_t count;
    if (!creator_speaks(run->control))
        return -ECONNRESET;
    long ret = message_receive(run->control, &byte, 1, &message, &count, 0);
    if (ret == 0)
        ret = -ECONNRESET;
    for (uint32_t i = 0; i < count; i++) {
        int kept = keep(run, step->arg[0] + i, message.fds[i]);
        ret = ret < 0 ? ret : kept;
    }
    return ret < 0 ? (int)ret : 0;
}

static int configure(int context, const char *options, uint32_t length)
{
    for (const char *end = options + length; options < end; options += text_length(options) + 1) {
        char key[64];
        size_t n = 0;
        while (options[n] && options[n] != '=' && n < sizeof key - 1) {
            key[n] = options[n];
            n++;
        }
        key[n] = '\0';
        long ret = options[n] == '=' ? SYS(fsconfig, context, FSCONFIG_SET_STRING, key, options + n + 1, 0)
                                     : SYS(fsconfig, context, FSCONFIG_SET_FLAG, key, 0, 0);
        if (ret < 0)
            return (int)ret;
    }
    return (int)SYS(fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
}

int open_file_system(const char *type, const char *options, uint32_t length, uint64_t attributes)
{
    long context = SYS(fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0)
        return (int)context;
    long ret = configure((int)context, options, length);
    if (ret == 0)
        ret = SYS(fsmount, context, FSMOUNT_CLOEXEC, attributes);
    SYS(close, context);
    return (int)ret;
}

static int do_fs(struct run *run, const struct plan_step *step)
{
    const char *options = str(run, step, 1);
    return keep(run, step->arg[0], open_file_system(str(run, step, 0), options, step->len[1], (uint64_t)step->arg[1]));
}

static int do_stack(struct run *run, const struct plan_step *step)
{
    return (int)SYS(move_mount, fd_of(run, step->arg[0]), "", AT_FDCWD, str(run, step, 0), MOVE_MOUNT_F_EMPTY_PATH);
}

static int do_base(struct run *run, const struct plan_step *step)
{
    run->root = fd_of(run, step->arg[0]);
    return 0;
}

/* A new file system goes over a directory that may be there: it gets its mode, and a copy of what it holds. */
static int do_like(struct run *run, const struct plan_step *step)
{
    int from = open_in_root(run->root, str(run, step, 0), O_RDONLY | O_DIRECTORY, 0, 0);
    if (from < 0)
        return from == -ENOENT ? 0 : from;
    long to = SYS(openat, fd_of(run, step->arg[0]), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int ret = to < 0 ? (int)to : 0;
    if (ret == 0 && step->arg[1])
        ret = copy_mode(from, (int)to);
    if (ret == 0 && step->arg[2])
        ret = copy_entries(from, (int)to);
    if (to >= 0)
        SYS(close, to);
    SYS(close, from);
    return ret;
}

static int do_mount(struct run *run, const struct plan_step *step)
{
    int tree = fd_of(run, step->arg[0]);
    int type = file_type(tree);
    if (type < 0)
        return type;
    const char *path = str(run, step, 0);
    uint64_t resolve = (uint64_t)step->arg[1];
    int target = type == MODE_DIR ? open_dir_made(run->root, path, 0755, resolve) : open_file_made(run->root, path, resolve);
    if (target < 0)
        return target;
    /* /proc stays what it is: a symlink of the image may lead there (CVE-2019-16884). */
    int ret = !(resolve & RESOLVE_NO_SYMLINKS) && is_procfs(target) == 0 ? -EXDEV : attach(tree, target);
    SYS(close, target);
    return ret;
}

/* What is seen at a path to protect, by whatever links inside the root. /proc/self leads each process elsewhere: where the
 * program is another one than this, what it would see there is not to be had. */
static int open_protected(const struct run *run, const char *path)
{
    int fd = open_in_root(run->root, path, O_PATH, 0, RESOLVE_NO_SYMLINKS);
    if (fd != -ELOOP)
        return fd;
    fd = open_in_root(run->root, path, O_PATH, 0, 0);
    if (fd < 0 || !(run->plan->flags & PLAN_INIT) || is_procfs(fd) != 0)
        return fd;
    SYS(close, fd);
    return -EXDEV;
}

/* What to answer where a path to protect cannot be opened: only that it is not there may be fine. */
static int not_there(const struct plan_step *step, int error)
{
    return error == -ENOENT && step->flags & STEP_OPTIONAL ? 0 : error;
}

/* The first directory is hidden by the empty file system itself, the others by copies of it: before 6.15 only what is
 * attached somewhere can be cloned; and what never was is taken apart at its close, which waits for RCU. */
static int cover(struct run *run, const struct plan_step *step, int target, int is_directory)
{
    int source = fd_of(run, step->arg[is_directory ? 0 : 1]);
    if (is_directory && !run->masks) {
        run->masks = 1;
        return attach(source, target);
    }
    long copy = SYS(open_tree, source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (copy < 0)
        return (int)copy;
    int ret = attach((int)copy, target);
    SYS(close, copy);
    return ret;
}

static int do_mask(struct run *run, const struct plan_step *step)
{
    int target = open_protected(run, str(run, step, 0));
    if (target < 0)
        return not_there(step, target);
    int type = file_type(target);
    int ret = type < 0 ? type : cover(run, step, target, type == MODE_DIR);
    SYS(close, target);
    return ret;
}

static int do_readonly(struct run *run, const struct plan_step *step)
{
    int target = open_protected(run, str(run, step, 0));
    if (target < 0)
        return not_there(step, target);
    long copy = SYS(open_tree, target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    int ret = copy < 0 ? (int)copy : set_attr((int)copy, MOUNT_ATTR_RDONLY, 0, 0, -1, 1);
    if (ret == 0)
        ret = attach((int)copy, target);
    if (copy >= 0)
        SYS(close, copy);
    SYS(close, target);
    return ret;
}

static int do_propagate(const struct plan_step *step)
{
    struct mount_attr attr = {.propagation = (uint64_t)step->arg[0]};
    return (int)SYS(mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof attr);
}

/* Take mounts off, or cover those that must stay: in a user namespace, what came from outside. */
static int let_go(const char *paths, uint32_t length)
{
    for (const char *end = paths + length; paths < end; paths += text_length(paths) + 1) {
        long ret = SYS(umount2, paths, 2 /* MNT_DETACH */);
        if (ret == -EINVAL)
            ret = SYS(mount, "tmpfs", paths, "tmpfs", 1 /* MS_RDONLY */, 0);
        if (ret < 0 && ret != -ENOENT) /* it went with one above */
            return (int)ret;
    }
    return 0;
}

/* A root in the first ramfs cannot be pivoted: initramfs, ramfs-rootfs-initramfs.rst. */
static int move_root(void)
{
    long ret = SYS(mount, ".", "/", 0, 0x2000 /* MS_MOVE */, 0);
    if (ret == 0 || ret == -ELOOP) /* it is on top of the old root already */
        ret = SYS(chroot, ".");
    if (ret == 0)
        ret = SYS(chdir, "/");
    return (int)ret;
}

/* The new root by its descriptor: others may have mounted something at its path meanwhile. */
static int do_chroot(const struct run *run, const char *path)
{
    long ret = *path ? 0 : SYS(fchdir, run->root);
    if (ret == 0)
        ret = SYS(chroot, *path ? path : ".");
    return ret < 0 ? (int)ret : (int)SYS(chdir, "/");
}

static int do_root(struct run *run)
{
    long fd = SYS(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    run->root = (int)fd;
    return fd < 0 ? (int)fd : 0;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and is taken off. */
static int do_pivot(struct run *run, const struct plan_step *step)
{
    long ret = SYS(fchdir, run->root);
    if (ret == 0 && step->arg[0]) {
        ret = let_go(str(run, step, 0), step->len[0]);
        return ret == 0 ? move_root() : (int)ret;
    }
    if (ret == 0)
        ret = SYS(pivot_root, ".", ".");
    if (ret == 0)
        ret = SYS(umount2, ".", 2 /* MNT_DETACH */);
    if (ret == 0)
        ret = SYS(chdir, "/");
    return (int)ret;
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static void forget_parent(struct run *run)
{
    if (run->parent >= 0)
        SYS(close, run->parent);
    run->parent = -1;
}

static int do_mkdir(struct run *run, const struct plan_step *step)
{
    int fd = open_dir_made(run->root, str(run, step, 0), (uint32_t)step->arg[0], (uint64_t)step->arg[1]);
    if (fd < 0)
        return fd;
    SYS(close, fd);
    return 0;
}

/* The directory to make an entry in. Many are made in one, /dev: it is opened once, until another step may have put
 * something over it. */
static int entry_parent(struct run *run, const char *path, const char **name)
{
    size_t length = text_length(path);
    while (length > 0 && path[length - 1] != '/')
        length--;
    *name = path + length;
    if (run->parent >= 0 && run->parent_length == length && text_equal(run->parent_path, path, length))
        return run->parent;
    forget_parent(run);
    run->parent = open_parent_made(run->root, path, RESOLVE_NO_SYMLINKS, name);
    run->parent_path = path;
    run->parent_length = length;
    return run->parent;
}

static int there_already(const struct plan_step *step, int error)
{
    return error == -EEXIST && step->flags & STEP_OPTIONAL ? 0 : error;
}

static int do_symlink(struct run *run, const struct plan_step *step)
{
    const char *name;
    int parent = entry_parent(run, str(run, step, 1), &name);
    return parent < 0 ? parent : there_already(step, (int)SYS(symlinkat, str(run, step, 0), parent, name));
}

static int is_link_to(int parent, const char *name, const char *target)
{
    char found[PATH_BYTES];
    long length = SYS(readlinkat, parent, name, found, sizeof found);
    return length >= 0 && (size_t)length == text_length(target) && text_equal(found, target, (size_t)length);
}

static int do_copy_link(struct run *run, const struct plan_step *step)
{
    const char *name, *target = str(run, step, 0);
    int parent = open_parent_made(run->root, str(run, step, 1), 0, &name);
    if (parent < 0)
        return parent;
    int ret = (int)SYS(symlinkat, target, parent, name);
    if (ret == -EEXIST && is_link_to(parent, name, target))
        ret = 0;
    SYS(close, parent);
    return ret;
}

static int do_node(struct run *run, const struct plan_step *step)
{
    const char *name;
    int parent = entry_parent(run, str(run, step, 0), &name);
    if (parent < 0)
        return parent;
    long ret = SYS(mknodat, parent, name, step->arg[0], step->arg[1]);
    if (ret == 0 && (step->arg[2] || step->arg[3]))
        ret = SYS(fchownat, parent, name, step->arg[2], step->arg[3], AT_SYMLINK_NOFOLLOW);
    return there_already(step, (int)ret);
}

static int do_file(struct run *run, const struct plan_step *step)
{
    int fd = open_in_root(run->root, str(run, step, 0), O_WRONLY | O_CREAT | O_EXCL, (uint64_t)step->arg[0], RESOLVE_NO_SYMLINKS);
    return write_and_close(fd, str(run, step, 1), step->len[1]);
}

/* What hides a file must be the real null device: CVE-2025-31133. */
static int do_null(struct run *run, const struct plan_step *step)
{
    int fd = open_in_root(run->root, str(run, step, 0), O_PATH, 0, RESOLVE_NO_SYMLINKS);
    int ret = keep(run, step->arg[0], fd);
    if (ret < 0)
        return ret;
    struct statx facts;
    ret = (int)SYS(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &facts);
    if (ret < 0)
        return ret;
    int null = (facts.stx_mode & MODE_TYPE) == MODE_CHAR && facts.stx_rdev_major == 1 && facts.stx_rdev_minor == 3;
    return null ? 0 : -ENODEV;
}

static int do_sysctl(struct run *run, const struct plan_step *step)
{
    char path[PATH_BYTES] = "/proc/sys/";
    size_t length = text_length(path);
    if (length + step->len[0] >= sizeof path)
        return -ENAMETOOLONG;
    text_copy(path + length, str(run, step, 0), step->len[0] + 1);
    int fd = open_in_root(run->root, path, O_WRONLY, 0, RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return fd;
    int ret = is_procfs(fd);
    if (ret < 0) {
        SYS(close, fd);
        return ret;
    }
    return write_and_close(fd, str(run, step, 1), step->len[1]);
}

/* A file of the process's own /proc, once the root has been changed: "/proc/self/..." must be procfs. */
static int write_own_proc(const char *path, const char *text, size_t length)
{
    long fd = SYS(openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    int ret = fd < 0 ? (int)fd : is_procfs((int)fd);
    if (ret < 0) {
        if (fd >= 0)
            SYS(close, fd);
        return ret;
    }
    return write_and_close(fd, text, length);
}

/* The files of what is not dumpable are root's: proc(5). */
static int do_oom_score(const struct run *run, const struct plan_step *step)
{
    if (step->arg[0])
        SYS(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    int ret = write_own_proc("/proc/self/oom_score_adj", str(run, step, 0), step->len[0]);
    if (step->arg[0])
        SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    return ret;
}

/* ---- namespaces ------------------------------------------------------------------------------------------------- */

static int do_lo_up(void)
{
    long fd = SYS(socket, AF_INET_, SOCK_DGRAM_ | SOCK_CLOEXEC_, 0);
    if (fd < 0)
        return (int)fd;
    struct ifreq request = {.ifr_name = "lo"};
    long ret = SYS(ioctl, fd, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (ret == 0)
        ret = SYS(ioctl, fd, SIOCSIFFLAGS, &request);
    SYS(close, fd);
    return (int)ret;
}

/* Whoever has it can do in our network namespace what we can: the kernel asks who opened it, and who uses it. */
static int do_netlink(struct run *run, const struct plan_step *step)
{
    long fd = SYS(socket, AF_NETLINK_, SOCK_RAW_ | SOCK_CLOEXEC_, 0 /* NETLINK_ROUTE */);
    if (fd < 0)
        return (int)fd;
    int ret = send_fd(run, step, (int)fd);
    SYS(close, fd);
    return ret;
}

/* In a fresh user namespace: leave the caller's ids and groups for those of the namespace's root, or who stands for it. */
static int do_become_root(const struct plan_step *step)
{
    long ret = step->arg[0] ? SYS(setgroups, 0, 0) : 0;
    if (ret == 0)
        ret = SYS(setresgid, step->arg[2], step->arg[2], step->arg[2]);
    if (ret == 0)
        ret = SYS(setresuid, step->arg[1], step->arg[1], step->arg[1]);
    return (int)ret;
}

/* The other end of the socket is closed, or the process of the pidfd has ended. A child that the library's process has
 * forked may hold a copy of the socket, and the pidfd shows a process as alive until its last thread has ended. */
int creator_is_gone(int fd)
{
    struct pollfd peer = {.fd = fd, .events = fd == CREATOR ? POLLIN : 0};
    struct { long sec, nsec; } at_once = {0, 0};
    SYS(ppoll, &peer, 1, &at_once, 0, 8);
    return (peer.revents & (POLLIN | POLLHUP)) != 0;
}

/* prctl(2): the signal comes when the thread that spawned us ends. It may have ended before we asked. */
static int do_death(struct run *run, const struct plan_step *step)
{
    long ret = SYS(prctl, PR_SET_PDEATHSIG, step->arg[0], 0, 0, 0);
    if (ret < 0)
        return (int)ret;
    return creator_is_gone(run->control) || creator_is_gone(CREATOR) ? -ESRCH : 0;
}

/* 0 is to go on, anything else to give up. */
static int read_word(int fd)
{
    char byte;
    long ret = SYS_RETRY(read, fd, &byte, 1);
    if (ret <= 0)
        return ret < 0 ? (int)ret : -ECONNRESET;
    return byte ? -ECANCELED : 0;
}

static int hear_word(int fd)
{
    return creator_speaks(fd) ? read_word(fd) : -ECONNRESET;
}

/* In a pid namespace that was joined or unshared only children are: setns(2). They are our parent's (CLONE_PARENT), who
 * knows them by their pidfd. The child says nothing before that is told: a failure would be taken for ours, and nobody
 * would reap it, for whom the end of its pid namespace waits. It goes on when we have told. If we are killed before, the
 * library knows it by the process group that it has of us, and that nobody else is in. */
static int do_fork(struct run *run)
{
    int pidfd = -1, ends[2];
    struct clone_args args = {.flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd};
    long ret = SYS(setpgid, 0, 0);
    ret = ret < 0 ? ret : SYS(pipe2, ends, O_CLOEXEC);
    long pid = ret < 0 ? ret : SYS(clone3, &args, sizeof args);
    if (pid < 0)
        return (int)pid;
    if (pid == 0) {
        SYS(close, ends[1]);
        ret = read_word(ends[0]);
        SYS(close, ends[0]);
        return (int)ret;
    }
    struct report report = {.kind = REPORT_FORKED, .value = (int32_t)pid};
    ret = send_report(run->control, &report, pidfd);
    if (ret == 0)
        SYS_RETRY(write, ends[1], "", 1);
    for (;;)
        SYS(exit_group, ret < 0);
}

/* Tell that we are there. By write(2), which is in every program's filter. */
static int tell_waiting(const struct run *run, const struct plan_step *step)
{
    struct report report = {.kind = REPORT_WAITING, .step = (int32_t)(step - plan_steps(run->plan))};
    long ret = SYS_RETRY(write, run->control, &report, sizeof report);
    return ret < 0 ? (int)ret : 0;
}

/* Ids of a file system of the host are the library's to map, who has rights over it. It answers by a pipe that is sent
 * next: on the socket there may be parts of trees before the answer (OP_TAKE). */
static int do_map(struct run *run, const struct plan_step *step)
{
    int ends[2];
    long ret = SYS(pipe2, ends, O_CLOEXEC);
    if (ret < 0)
        return (int)ret;
    ret = send_fd(run, step, fd_of(run, step->arg[0]));
    if (ret == 0)
        ret = send_fd(run, step, ends[1]);
    SYS(close, ends[1]);
    if (ret == 0)
        ret = hear_word(ends[0]);
    SYS(close, ends[0]);
    return (int)ret;
}

static int do_wait(const struct run *run, const struct plan_step *step)
{
    int ret = tell_waiting(run, step);
    return ret < 0 ? ret : hear_word(run->control);
}

/* Whoever starts us need not be the library that made us: that may be gone by then. */
static int do_start(struct run *run, const struct plan_step *step)
{
    int ret = tell_waiting(run, step);
    if (ret == 0)
        ret = read_word(fd_of(run, step->arg[0]));
    run->started = ret == 0;
    return ret;
}

/* ---- the terminal ----------------------------------------------------------------------------------------------- */

static int do_console(struct run *run, const struct plan_step *step)
{
    int master = open_in_root(run->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS);
    if (master < 0)
        return master;
    int unlock = 0;
    struct winsize size = {.ws_row = (unsigned short)step->arg[1], .ws_col = (unsigned short)step->arg[2]};
    long ret = SYS(ioctl, master, TIOCSPTLCK, &unlock);
    if (ret == 0)
        ret = keep(run, step->arg[0], SYS(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    int terminal = fd_of(run, step->arg[0]);
    if (ret == 0 && size.ws_row)
        ret = SYS(ioctl, terminal, TIOCSWINSZ, &size);
    if (ret == 0)
        ret = SYS(fchown, terminal, step->arg[3], -1); /* its group is what devpts(5) was mounted for */
    if (ret == 0)
        ret = send_fd(run, step, master);
    SYS(close, master);
    return (int)ret;
}

static int do_terminal(struct run *run, const struct plan_step *step)
{
    int terminal = fd_of(run, step->arg[0]);
    long ret = SYS(ioctl, terminal, TIOCSCTTY, 0);
    for (int fd = 0; fd <= 2 && ret >= 0; fd++)
        ret = SYS(dup3, terminal, fd, 0);
    return ret < 0 ? (int)ret : 0;
}

/* ---- what the process may do ---------------------------------------------------------------------------------- */

static int do_ids(const struct plan_step *step)
{
    if (step->arg[0] == UINT32_MAX || step->arg[1] == UINT32_MAX) /* to the kernel: stay who you are, which is root */
        return -EINVAL;
    /* capabilities(7): a change from uid 0 drops them all unless KEEPCAPS says otherwise; OP_CAPS sets them next. */
    long ret = SYS(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (ret == 0 || ret == -EPERM) /* securebits have locked it: OP_CAPS finds what is left */
        ret = SYS(setresgid, step->arg[1], step->arg[1], step->arg[1]);
    if (ret == 0)
        ret = SYS(setresuid, step->arg[0], step->arg[0], step->arg[0]);
    return (int)ret;
}

int limit_bounding(uint64_t stays)
{
    for (int cap = 0; cap < 64; cap++) {
        if (stays >> cap & 1)
            continue;
        long held = SYS(prctl, PR_CAPBSET_READ, cap, 0, 0, 0); /* a drop is slow, also of what is not there */
        if (held == -EINVAL) /* beyond the last capability of this kernel */
            return 0;
        long ret = held ? SYS(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) : 0;
        if (ret < 0)
            return (int)ret;
    }
    return 0;
}

static int do_caps(const struct plan_step *step)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)((uint64_t)step->arg[0] >> (32 * half));
        data[half].permitted = (uint32_t)((uint64_t)step->arg[1] >> (32 * half));
        data[half].inheritable = (uint32_t)((uint64_t)step->arg[2] >> (32 * half));
    }
    return (int)SYS(capset, &header, data);
}

static int do_ambient(const struct plan_step *step)
{
    long ret = SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int cap = 0; cap < 64 && ret == 0; cap++)
        if ((uint64_t)step->arg[0] >> cap & 1)
            ret = SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    return (int)ret;
}

static int do_rlimit(const struct plan_step *step)
{
    struct rlimit64 limit = {.rlim_cur = (uint64_t)step->arg[1], .rlim_max = (uint64_t)step->arg[2]};
    return (int)SYS(prlimit64, 0, step->arg[0], &limit, 0);
}

/* The init shares our descriptors until the exec: it is to hold no ruleset. */
static int do_restrict(struct run *run, const struct plan_step *step)
{
    int ruleset = fd_of(run, step->arg[0]);
    int ret = landlock_restrict(ruleset);
    if (ruleset >= 0) {
        SYS(close, ruleset);
        run->slot[step->arg[0]] = -1;
    }
    return ret;
}

/* What few ask for, and what is one call: sched_setattr(2), ioprio_set(2), personality(2) ... */
static int do_call(struct run *run, const struct plan_step *step)
{
    long a[PLAN_ARGS - 2];
    for (int i = 0; i < PLAN_ARGS - 2; i++)
        a[i] = i == step->arg[1] ? (long)(uintptr_t)str(run, step, 1) : (long)step->arg[i + 2];
    long ret = sys_raw(step->arg[0], a[0], a[1], a[2], a[3], a[4], 0);
    return ret < 0 && !(step->flags & STEP_OPTIONAL) ? (int)ret : 0;
}

/* Who installs a filter with a listener may not be able to send that any more: the filter may forbid sendmsg(2), or have
 * it wait for who has yet to get the listener. So a thread that the filter does not apply to does that. It is told in
 * memory, without any call that the filter could be about. seccomp(2), seccomp_unotify(2) */
struct delivery {
    struct run *run;
    const struct plan_step *step;
    long listener; /* 0 as long as there is none; or -errno */
    int done;
};

static void __attribute__((noreturn)) deliver(void *argument)
{
    static const struct { long sec, nsec; } moment = {0, 20000};
    struct delivery *delivery = argument;
    long listener;
    while ((listener = __atomic_load_n(&delivery->listener, __ATOMIC_ACQUIRE)) == 0)
        SYS(nanosleep, &moment, 0);
    if (listener > 0) {
        send_fd(delivery->run, delivery->step, (int)listener);
        SYS(close, listener); /* or the init would keep it, which has these descriptors as well */
    }
    __atomic_store_n(&delivery->done, 1, __ATOMIC_RELEASE);
    for (;;)
        SYS(exit, 0);
}

static int do_seccomp(struct run *run, const struct plan_step *step)
{
    struct sock_fprog program = {
        .len = (unsigned short)(step->len[0] / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(uintptr_t)str(run, step, 0),
    };
    if (!((uint64_t)step->arg[0] & SECCOMP_FILTER_FLAG_NEW_LISTENER))
        return (int)SYS(seccomp, SECCOMP_SET_MODE_FILTER, step->arg[0], &program);
    struct delivery delivery = {.run = run, .step = step};
    long ret = start_thread(deliver, &delivery);
    if (ret < 0)
        return (int)ret;
    long listener = SYS(seccomp, SECCOMP_SET_MODE_FILTER, step->arg[0], &program);
    __atomic_store_n(&delivery.listener, listener ? listener : -EBADF, __ATOMIC_RELEASE);
    ret = listener < 0 ? listener : read_word(run->control);
    while (!__atomic_load_n(&delivery.done, __ATOMIC_ACQUIRE)) /* an exec must not end the thread before its close */
        ;
    return (int)ret;
}

/* In a container that runs, a path may have gone, or have become a link that leads elsewhere: it allows nothing then. */
static int do_allow_path(struct run *run, const struct plan_step *step)
{
    const char *above = str(run, step, 1), *path = str(run, step, *above ? 2 : 0);
    int ret = landlock_allow_path(fd_of(run, step->arg[0]), above, path, (uint64_t)step->arg[1], (uint64_t)step->arg[2]);
    int is_out_of_reach = ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES || ret == -ELOOP || ret == -EXDEV;
    return is_out_of_reach && step->flags & STEP_OPTIONAL ? 0 : ret;
}

/* What a filter says that is older than a system call, or that refuses it; or a kernel: seccomp(2). */
static int is_unknown(long ret)
{
    return ret == -ENOSYS || ret == -EPERM;
}

/* By no magic link: without one nothing is out of the root's reach. */
static int enter_plainly(struct run *run, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
    long fd = SYS(openat2, AT_FDCWD, path, &how, sizeof how);
    if (fd < 0)
        return (int)fd;
    long ret = SYS(fchdir, fd);
    SYS(close, fd);
    run->arrived = ret == 0;
    return (int)ret;
}

/* A directory that the root cannot reach shows as "(unreachable)/...": getcwd(2). CVE-2024-21626. */
static int do_chdir(struct run *run, const struct plan_step *step)
{
    char cwd[PATH_BYTES];
    long ret = run->arrived ? 0 : SYS(chdir, str(run, step, 0));
    if (ret < 0 && step->flags & STEP_OPTIONAL)
        return 0;
    if (ret < 0)
        return (int)ret;
    ret = SYS(getcwd, cwd, sizeof cwd);
    if (is_unknown(ret)) /* it was looked at before the filter, or is entered in a way that leads nowhere else */
        return run->arrived ? 0 : enter_plainly(run, str(run, step, 0));
    if (ret < 0)
        return (int)ret;
    run->arrived = 1;
    return cwd[0] == '/' ? 0 : -EXDEV;
}

/* The kernel gives back the memory at the exec. */
static int do_home(struct run *run, const struct plan_step *step)
{
    static const char name[] = "HOME=";
    long memory = SYS(mmap, 0, PATH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0 && memory > -PATH_BYTES)
        return (int)memory;
    char *home = (char *)memory;
    text_copy(home, name, sizeof name);
    passwd_home(str(run, step, 0), (uint64_t)step->arg[0], home + sizeof name - 1, PATH_BYTES - sizeof name + 1);
    run->home = home;
    return 0;
}

/* A pipe or file that a program has for a stream becomes its own: it may open /dev/stdout again, as servers do for their
 * logs. Devices stay whose they are. */
static int do_streams(const struct plan_step *step)
{
    for (int fd = 0; fd <= 2; fd++) {
        int type = file_type(fd);
        if (type == MODE_FIFO || type == MODE_FILE)
            SYS(fchown, fd, step->arg[0], step->arg[1]); /* not all can be given away */
    }
    return 0;
}

/* ---- exec ------------------------------------------------------------------------------------------------------ */

/* The kernel wants an array of pointers; the plan has the strings one after the other. */
static const char **point_at(const char **table, const char *strings, int64_t count)
{
    for (int64_t i = 0; i < count; i++, strings += text_length(strings) + 1)
        *table++ = strings;
    *table++ = 0;
    return table;
}

static int count_strings(const char *strings, uint32_t length)
{
    int count = 0;
    for (uint32_t i = 0; i <= length; i++)
        count += strings[i] == '\0';
    return count;
}

/* Try the candidates as a shell does along PATH: not found goes on, not permitted is remembered. */
static int exec_first(const char *path, int64_t candidates, const char **argv, const char **envp)
{
    int answer = -ENOENT;
    for (int64_t i = 0; i < candidates; i++, path += text_length(path) + 1) {
        long ret = SYS(execve, path, argv, envp);
        if (ret == -EACCES)
            answer = -EACCES;
        else if (ret != -ENOENT && ret != -ENOTDIR)
            return (int)ret;
    }
    return answer;
}

static long may_execute(const char *path)
{
    struct statx facts;
    long ret = SYS(faccessat2, AT_FDCWD, path, 1 /* X_OK */, AT_EACCESS);
    if (is_unknown(ret)) /* by the real ids, which are the same by now */
        ret = SYS(faccessat, AT_FDCWD, path, 1 /* X_OK */);
    if (ret == 0)
        ret = SYS(statx, AT_FDCWD, path, 0, STATX_TYPE, &facts);
    if (is_unknown(ret)) /* the exec will tell */
        return 0;
    return ret == 0 && (facts.stx_mode & MODE_TYPE) == MODE_DIR ? -EACCES : ret;
}

/* Before somebody is told that all is well: what would the exec say? */
static int do_find(const struct run *run, const struct plan_step *step)
{
    if (step->arg[0] < 0 || step->arg[0] > count_strings(str(run, step, 0), step->len[0]))
        return -EINVAL;
    const char *path = str(run, step, 0);
    int answer = -ENOENT;
    for (int64_t i = 0; i < step->arg[0]; i++, path += text_length(path) + 1) {
        long ret = may_execute(path);
        if (ret == 0)
            return 0;
        if (ret != -ENOENT && ret != -ENOTDIR)
            answer = (int)ret;
    }
    return answer;
}

/* Whatever is open: the slots, what is handed on, and some of the helper's own, all in the lowest numbers: open(2). */
static long close_from(long first)
{
    long ret = SYS(close_range, first, ~0U, 0);
    if (!is_unknown(ret))
        return ret;
    for (long fd = first; fd < first + PLAN_SLOTS + PLAN_PASSED_MAX + OWN_MAX; fd++)
        SYS(close, fd);
    return 0;
}

static int is_hole(const struct plan_step *step, int64_t number)
{
    return number < 128 && (uint64_t)step->arg[2 + number / 64] >> number % 64 & 1;
}

static void __attribute__((noreturn)) end_by(int signal)
{
    SYS(exit_group, 128 + signal);
    __builtin_trap(); /* the program's seccomp filter may forbid even that */
}

/* To process 1 the kernel sends what it has a handler for, and SIGKILL; an exec takes the handlers away. */
static int do_mortal(const struct plan_step *step)
{
    uint64_t signals = (uint64_t)step->arg[0];
    struct {
        void (*handler)(int);
        uint64_t flags;
        void (*restorer)(int); /* where x86 has a handler return to; this one does not return */
        uint64_t blocked;
    } action = {.handler = end_by, .flags = SA_RESTORER_, .restorer = end_by};
    long ret = 0;
    for (int signal = 1; signal <= 64 && ret == 0; signal++)
        if (signals >> (signal - 1) & 1)
            ret = SYS(rt_sigaction, signal, &action, 0, sizeof action.blocked);
    return (int)(ret < 0 ? ret : SYS(rt_sigprocmask, 1 /* SIG_UNBLOCK */, &signals, 0, sizeof signals));
}

/* The container's own limit may leave no number above all trees for what has to be moved. */
static void close_others(struct run *run, int64_t first, int64_t end, int64_t kept)
{
    for (int64_t i = 0; i < PLAN_SLOTS; i++) {
        if (run->slot[i] < 0 || (i >= first && i < end) || i == kept)
            continue;
        SYS(close, run->slot[i]);
        run->slot[i] = -1;
    }
}

/* Descriptors 3 and up are what the plan says, everything else goes; above them, until the exec, the control socket and
 * what we wait for the start on. This takes more system calls than the program's filter need allow. */
static int do_ready(struct run *run, const struct plan_step *step)
{
    int64_t slot = step->arg[0], count = step->arg[1], kept = step->arg[4];
    if (count < 0 || count > PLAN_PASSED_MAX)
        return -EINVAL;
    long above = CONTROL + count, last = above + (kept >= 0), ret = 0;
    if (count > 0 || kept >= 0)
        close_others(run, slot, slot + count, kept);
    for (int64_t i = 0; i < count && ret >= 0; i++) /* out of the way first: each may have any number */
        ret = keep(run, slot + i, dup_from(fd_of(run, slot + i), last + 1));
    if (kept >= 0 && ret >= 0)
        ret = keep(run, kept, dup_from(fd_of(run, kept), last + 1));
    if (ret >= 0 && run->control != above)
        ret = SYS(dup3, run->control, above, 0);
    if (ret >= 0)
        run->control = (int)above;
    if (kept >= 0 && ret >= 0)
        ret = run->slot[kept] = (int)SYS(dup3, fd_of(run, kept), last, O_CLOEXEC);
    for (int64_t i = 0; i < count && ret >= 0; i++)
        ret = SYS(dup3, fd_of(run, slot + i), CONTROL + i, is_hole(step, i) ? O_CLOEXEC : 0);
    if (ret >= 0)
        ret = close_from(last + 1);
    return ret < 0 ? (int)ret : (int)SYS(fcntl, above, F_SETFD, FD_CLOEXEC);
}

static int do_exec(struct run *run, const struct plan_step *step)
{
    for (int i = 0; i < PLAN_STRINGS; i++)
        if (step->arg[i] < 0 || step->arg[i] > count_strings(str(run, step, i), step->len[i]))
            return -EINVAL;
    size_t size = (size_t)(step->arg[0] + step->arg[1] + 3) * sizeof(char *);
    long memory = SYS(mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0 && memory > -PATH_BYTES)
        return (int)memory;
    const char **argv = (const char **)memory;
    const char **envp = point_at(argv, str(run, step, 0), step->arg[0]);
    const char **end = point_at(envp, str(run, step, 1), step->arg[1]);
    end[-1] = run->home;
    *end = 0;
    uint64_t nothing = 0;
    long ret = SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &nothing, 0, sizeof nothing);
    if (ret == 0)
        ret = exec_first(str(run, step, 2), step->arg[2], argv, envp);
    SYS(munmap, memory, size);
    return (int)ret;
}

/* What fails once it is started, nobody hears of: the library, that may be gone, was told that all is well. */
static int do_exec_or_tell(struct run *run, const struct plan_step *step)
{
    int ret = do_exec(run, step);
    if (run->started)
        refusal_tell(str(run, step, 0), ret);
    return ret;
}

/* ---- all steps ------------------------------------------------------------------------------------------------- */

static int do_step(struct run *run, const struct plan_step *step)
{
    switch ((enum plan_op)step->op) {
    case OP_TREE: return do_tree(run, step);
    case OP_TAKE: return do_take(run, step);
    case OP_MAP: return do_map(run, step);
    case OP_FS: return do_fs(run, step);
    case OP_FCHDIR: return (int)SYS(fchdir, fd_of(run, step->arg[0]));
    case OP_STACK: return do_stack(run, step);
    case OP_BASE: return do_base(run, step);
    case OP_LIKE: return do_like(run, step);
    case OP_MOUNT: return do_mount(run, step);
    case OP_MKDIR: return do_mkdir(run, step);
    case OP_SYMLINK: return do_symlink(run, step);
    case OP_COPY_LINK: return do_copy_link(run, step);
    case OP_NODE: return do_node(run, step);
    case OP_FILE: return do_file(run, step);
    case OP_NULL: return do_null(run, step);
    case OP_MASK: return do_mask(run, step);
    case OP_READONLY: return do_readonly(run, step);
    case OP_ATTR:
        return set_attr(step->arg[0] < 0 ? run->root : fd_of(run, step->arg[0]), (uint64_t)step->arg[1],
                        (uint64_t)step->arg[2], (uint64_t)step->arg[3], -1, step->arg[4] != 0);
    case OP_PROPAGATE: return do_propagate(step);
    case OP_PIVOT: return do_pivot(run, step);
    case OP_CHROOT: return do_chroot(run, str(run, step, 0));
    case OP_ROOT: return do_root(run);
    case OP_HOSTNAME: return (int)SYS(sethostname, str(run, step, 0), step->len[0]);
    case OP_DOMAINNAME: return (int)SYS(setdomainname, str(run, step, 0), step->len[0]);
    case OP_SYSCTL: return do_sysctl(run, step);
    case OP_LO_UP: return do_lo_up();
    case OP_NETLINK: return do_netlink(run, step);
    case OP_UNSHARE: return (int)SYS(unshare, step->arg[0]);
    case OP_TIME_OFFSETS: return write_own_proc("/proc/self/timens_offsets", str(run, step, 0), step->len[0]);
    case OP_FORK: return do_fork(run);
    case OP_SETNS: return (int)SYS(setns, fd_of(run, step->arg[0]), step->arg[1]);
    case OP_JOIN: {
        long ret = SYS_RETRY(write, fd_of(run, step->arg[0]), "0", 1);
        return ret < 0 ? (int)ret : 0;
    }
    case OP_BECOME_ROOT: return do_become_root(step);
    case OP_CONSOLE: return do_console(run, step);
    case OP_SEND: return send_fd(run, step, fd_of(run, step->arg[0]));
    case OP_DEATH: return do_death(run, step);
    case OP_WAIT: return do_wait(run, step);
    case OP_START: return do_start(run, step);
    case OP_FIND: return do_find(run, step);
    case OP_SESSION: {
        long ret = step->arg[0] ? SYS(setpgid, 0, 0) : SYS(setsid);
        return ret < 0 ? (int)ret : 0;
    }
    case OP_TERMINAL: return do_terminal(run, step);
    case OP_KEYRING: {
        long key = SYS(keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
        return key < 0 && !is_unknown(key) ? (int)key : 0; /* else the program has no keys either */
    }
    case OP_OOM_SCORE: return do_oom_score(run, step);
    case OP_RLIMIT: return do_rlimit(step);
    case OP_UMASK: SYS(umask, step->arg[0]); return 0;
    case OP_GROUPS: return (int)SYS(setgroups, step->arg[0], str(run, step, 0));
    case OP_IDS: return do_ids(step);
    case OP_BOUNDING: return limit_bounding((uint64_t)step->arg[0]);
    case OP_SECUREBITS: return (int)SYS(prctl, PR_SET_SECUREBITS, step->arg[0], 0, 0, 0);
    case OP_CAPS: return do_caps(step);
    case OP_AMBIENT: return do_ambient(step);
    case OP_NO_NEW_PRIVS: return (int)SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case OP_LABEL: return write_own_proc(str(run, step, 0), str(run, step, 1), step->len[1]);
    case OP_CALL: return do_call(run, step);
    case OP_CHDIR: return do_chdir(run, step);
    case OP_LANDLOCK:
        return keep(run, step->arg[0], landlock_make((uint64_t)step->arg[1], (uint64_t)step->arg[2], (uint64_t)step->arg[3]));
    case OP_ALLOW_PATH: return do_allow_path(run, step);
    case OP_ALLOW_PORT: return landlock_allow_port(fd_of(run, step->arg[0]), (uint64_t)step->arg[1], (uint64_t)step->arg[2]);
    case OP_RESTRICT: return do_restrict(run, step);
    case OP_SECCOMP: return do_seccomp(run, step);
    case OP_HOME: return do_home(run, step);
    case OP_STREAMS: return do_streams(step);
    case OP_READY: return do_ready(run, step);
    case OP_MORTAL: return do_mortal(step);
    case OP_EXEC: return do_exec_or_tell(run, step);
    }
    return -ENOSYS;
}

int perform(struct run *run, const struct plan_step *step)
{
    if (step->op != OP_SYMLINK && step->op != OP_NODE)
        forget_parent(run);
    return do_step(run, step);
}
