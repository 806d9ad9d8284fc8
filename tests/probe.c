/* The probe: run as a container's program, it tries what it could reach or do and prints it, one fact a line.
 *
 *     probe WHAT [ARGUMENTS...]      (the table at the end names them all)
 *
 * An attempt prints its name and either "ok" or the name of the error number. Static, so that it runs in any root.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/random.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *name, long result)
{
    printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

/* ---- what came over from the caller ------------------------------------------------------------------------------ */

static int descriptors(char **args)
{
    (void)args;
    for (int fd = 0; fd < 4096; fd++) {
        char name[32], target[4096];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        if (length >= 0)
            printf("%d %.*s\n", fd, (int)length, target);
        else if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ?\n", fd);
    }
    return 0;
}

static int environment(char **args)
{
    (void)args;
    for (char **variable = environ; *variable; variable++)
        puts(*variable);
    return 0;
}

/* What comes of opening a file for writing. One in memory that is sealed can be opened, and never written to. */
static const char *opened(int fd)
{
    if (fd < 0)
        return strerrorname_np(errno);
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && seals & F_SEAL_WRITE ? "SEALED" : "WRITABLE";
}

/* Every executable that /proc shows, opened for writing (CVE-2019-5736). */
static int executables(char **args)
{
    (void)args;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[512], target[512] = "?", again[64];
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
        if (readlink(path, target, sizeof target - 1) < 0)
            snprintf(target, sizeof target, "unreadable:%s", strerrorname_np(errno));
        int fd = open(path, O_WRONLY);
        printf("%.20s %s %s", entry->d_name, target, opened(fd));
        int found = open(path, O_PATH);
        snprintf(again, sizeof again, "/proc/self/fd/%d", found);
        fd = found < 0 ? found : open(again, O_RDWR);
        printf(" %s\n", opened(fd));
    }
    return 0;
}

/* Keys: what is in the session keyring, and whether a key of the caller is found by name or by serial. */
static int keys(char **args)
{
    char description[512] = "";
    long session = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 1);
    tell("session", session);
    printf("serial %ld\n", session);
    tell("request", syscall(SYS_request_key, "user", args[0], NULL, 0));
    tell("search", syscall(SYS_keyctl, 10 /* SEARCH */, -3, "user", args[0], 0));
    tell("read", syscall(SYS_keyctl, 11 /* READ */, strtol(args[1], NULL, 10), description, sizeof description));
    return 0;
}

/* ---- files and mounts -------------------------------------------------------------------------------------------- */

static int reads(char **args)
{
    for (; *args; args++) {
        char buffer[64];
        int fd = open(*args, O_RDONLY | O_NONBLOCK | O_DIRECTORY);
        if (fd >= 0) {
            DIR *directory = fdopendir(fd);
            int entries = 0;
            while (readdir(directory))
                entries++;
            printf("%s %d entries\n", *args, entries - 2);
            closedir(directory);
            continue;
        }
        fd = open(*args, O_RDONLY | O_NONBLOCK);
        ssize_t got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
        printf("%s ", *args);
        got < 0 ? printf("%s\n", strerrorname_np(errno)) : printf("%zd bytes\n", got);
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int writes(char **args)
{
    for (; *args; args++) {
        int fd = open(*args, O_WRONLY | O_NONBLOCK);
        tell(*args, fd < 0 ? -1 : write(fd, "0", 1));
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int creates(char **args)
{
    for (; *args; args++) {
        int fd = open(*args, O_WRONLY | O_CREAT | O_EXCL, 0644);
        tell(*args, fd);
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int list(const char *path)
{
    DIR *directory = opendir(path);
    return directory ? closedir(directory) : -1;
}

/* Executed in a child; what comes of the exec comes back, as of vfork(2). */
static int execute(const char *path)
{
    volatile int error = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        execl(path, path, "does", (char *)NULL);
        error = errno;
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    errno = error;
    return error ? -1 : 0;
}

static int device_ioctl(const char *path)
{
    int pages;
    int fd = open(path, O_RDWR | O_NOCTTY);
    return fd < 0 ? fd : ioctl(fd, RNDGETENTCNT, &pages);
}

static int tcp(const char *port, int (*act)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return act(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&here, sizeof here);
}

/* One act a word, "what" or "what:argument" or "what:argument:argument". */
static long act(const char *what, const char *first, const char *second)
{
    if (strcmp(what, "read") == 0) return open(first, O_RDONLY);
    if (strcmp(what, "list") == 0) return list(first);
    if (strcmp(what, "stat") == 0) return access(first, F_OK);
    if (strcmp(what, "write") == 0) return open(first, O_WRONLY);
    if (strcmp(what, "cut") == 0) return truncate(first, 0);
    if (strcmp(what, "empty") == 0) return open(first, O_WRONLY | O_TRUNC);
    if (strcmp(what, "create") == 0) return open(first, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (strcmp(what, "mkdir") == 0) return mkdir(first, 0755);
    if (strcmp(what, "symlink") == 0) return symlink("/nowhere", first);
    if (strcmp(what, "fifo") == 0) return mkfifo(first, 0644);
    if (strcmp(what, "unlink") == 0) return unlink(first);
    if (strcmp(what, "rmdir") == 0) return rmdir(first);
    if (strcmp(what, "rename") == 0) return rename(first, second);
    if (strcmp(what, "link") == 0) return link(first, second);
    if (strcmp(what, "execute") == 0) return execute(first);
    if (strcmp(what, "ioctl") == 0) return device_ioctl(first);
    if (strcmp(what, "mount") == 0) return mount("tmpfs", first, "tmpfs", 0, NULL);
    if (strcmp(what, "bind") == 0) return tcp(first, bind);
    if (strcmp(what, "connect") == 0) return tcp(first, connect);
    if (strcmp(what, "signal") == 0) return kill(atoi(first), 0);
    errno = ENOSYS;
    return -1;
}

static int does(char **args)
{
    for (; *args; args++) {
        char words[512], *rest = words;
        snprintf(words, sizeof words, "%s", *args);
        const char *what = strsep(&rest, ":"), *first = strsep(&rest, ":"), *second = strsep(&rest, ":");
        tell(*args, act(what, first, second));
    }
    return 0;
}

static int unmounts(char **args)
{
    for (; *args; args++) {
        printf("umount ");
        tell(*args, umount2(*args, MNT_DETACH));
        printf("remount ");
        tell(*args, mount("", *args, "", MS_REMOUNT | MS_BIND, ""));
    }
    return 0;
}

/* The classic ways out of a root (CVE-2015-1335 and older); the argument is a file of the host. */
static int escape(char **args)
{
    const char *canary = args[0];
    tell("open", open(canary, O_RDONLY));
    for (int i = 0; i < 100; i++)
        if (chdir(".."))
            break;
    tell("parents", open(canary + 1, O_RDONLY));
    mkdir("/tmp/jail", 0755);
    int top = open("/", O_RDONLY | O_DIRECTORY);
    tell("chroot", chroot("/tmp/jail"));
    if (fchdir(top) == 0)
        for (int i = 0; i < 100; i++)
            if (chdir(".."))
                break;
    tell("chroot-fchdir", open(canary + 1, O_RDONLY));
    if (chroot(".") == 0)
        tell("rechroot", open(canary, O_RDONLY));
    for (const char **link = (const char *[]){"root", "cwd", NULL}; *link; link++) {
        char path[4200];
        snprintf(path, sizeof path, "/proc/1/%s/../../../../..%s", *link, canary);
        tell(path, open(path, O_RDONLY));
    }
    return 0;
}

/* Fill a directory until it is full: how many KiB went in. */
static int fill(char **args)
{
    static char block[65536];
    char path[512];
    snprintf(path, sizeof path, "%s/filler", args[0]);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    long written = 0;
    for (ssize_t got; fd >= 0 && (got = write(fd, block, sizeof block)) > 0;)
        written += got;
    tell("end", -1);
    printf("kib %ld\n", written / 1024);
    return args[1] ? atoi(args[1]) : 0;
}

static int nodes(char **args)
{
    tell("char", mknod(args[0], S_IFCHR | 0666, 0x103));
    unlink(args[0]);
    tell("block", mknod(args[0], S_IFBLK | 0666, 0x700));
    unlink(args[0]);
    return 0;
}

/* ---- other processes ----------------------------------------------------------------------------------------------- */

static void tell_links(const char *pid)
{
    static const char *const links[] = {"exe", "cwd", "root", "fd/0", "fd/3", "fd/4", "fd/5", "fd/6", "fd/7"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char path[64], target[512];
        snprintf(path, sizeof path, "/proc/%.20s/%s", pid, links[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length >= 0)
            printf("link %s %.*s\n", links[i], (int)length, target);
    }
}

/* Attach to every process that appears, and look at it before and after, until a file is there (CVE-2016-9962). */
static int trace(char **args)
{
    static char seen[1 << 22];
    seen[getpid()] = seen[getppid()] = seen[1] = 1;
    printf("ready\n");
    fflush(stdout);
    while (access(args[0], F_OK) < 0) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; proc && (entry = readdir(proc));) {
            pid_t pid = atoi(entry->d_name);
            if (pid <= 0 || seen[pid])
                continue;
            tell_links(entry->d_name);
            if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
                continue;
            seen[pid] = 1;
            printf("attached\n");
            ptrace(PTRACE_INTERRUPT, pid, 0, 0);
            waitpid(pid, NULL, __WALL);
            tell_links(entry->d_name);
            ptrace(PTRACE_DETACH, pid, 0, 0);
        }
        if (proc)
            closedir(proc);
    }
    printf("end\n");
    return 0;
}

/* ---- system calls ------------------------------------------------------------------------------------------------- */

/* Open the inode 2 of the file system that a file is on by its handle alone: the "shocker" of docker 0.11. */
static int open_by_handle(char **args)
{
    struct { struct file_handle head; unsigned char bytes[128]; } handle = {.head.handle_bytes = 128};
    int mount;
    int place = open(args[0], O_RDONLY);
    tell("name", name_to_handle_at(AT_FDCWD, args[0], &handle.head, &mount, 0));
    tell("same", open_by_handle_at(place, &handle.head, O_RDONLY));
    handle.head.handle_bytes = 8;
    handle.head.handle_type = 1; /* FILEID_INO32_GEN */
    for (unsigned generation = 0; generation < 1000; generation++) {
        unsigned inode[2] = {2, generation};
        memcpy(handle.head.f_handle, inode, sizeof inode);
        if (open_by_handle_at(place, &handle.head, O_RDONLY) >= 0)
            tell("root", 0);
    }
    return 0;
}

/* Mount cgroups and have the kernel run a program for them (CVE-2022-0492). */
static int release_agent(char **args)
{
    static const char *const kinds[][2] = {{"cgroup2", ""}, {"cgroup", "memory"}, {"cgroup", "rdma"}, {"cgroup", "pids"},
                                           {"cgroup", "none,name=pycgroups-attack"}, {"cgroup", "all"}};
    char path[512];
    if (args[1])
        tell("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        printf("mount-%zu ", i);
        tell("", mount("none", args[0], kinds[i][0], 0, kinds[i][1]));
        for (const char **name = (const char *[]){"release_agent", "notify_on_release", "cgroup.procs", NULL}; *name; name++) {
            snprintf(path, sizeof path, "%s/%s", args[0], *name);
            int fd = open(path, O_WRONLY | O_TRUNC);
            tell(*name, fd < 0 ? -1 : write(fd, "/evil", 5));
        }
        snprintf(path, sizeof path, "release_agent=/evil,%s", kinds[i][1]);
        printf("asked ");
        tell("", mount("none", args[0], kinds[i][0], 0, path));
        umount2(args[0], MNT_DETACH);
    }
    return 0;
}

/* Make nodes of devices that no container has to do with, and open them, and those that are there. */
static int devices(char **args)
{
    static const struct { const char *name; mode_t kind; int major, minor; } all[] = {
        {"mem", S_IFCHR, 1, 1}, {"port", S_IFCHR, 1, 4}, {"kmsg", S_IFCHR, 1, 11}, {"tty1", S_IFCHR, 4, 1},
        {"loop-control", S_IFCHR, 10, 237}, {"loop0", S_IFBLK, 7, 0}, {"fuse", S_IFCHR, 10, 229},
        {"kvm", S_IFCHR, 10, 232}, {"tun", S_IFCHR, 10, 200}, {"sda", S_IFBLK, 8, 0}, {"vda", S_IFBLK, 253, 0},
        {"vda-too", S_IFBLK, 254, 0}};
    char path[512];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(path, sizeof path, "/dev/%s", all[i].name);
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        snprintf(path, sizeof path, "there-%s", all[i].name);
        tell(path, fd);
        snprintf(path, sizeof path, "%s/%s-%d", args[0], all[i].name, getpid());
        if (mknod(path, all[i].kind | 0666, (dev_t)(all[i].major << 8 | all[i].minor)) < 0) {
            tell(all[i].name, -1);
            continue;
        }
        tell(all[i].name, open(path, O_RDONLY | O_NONBLOCK));
        unlink(path);
    }
    return 0;
}

/* Each with arguments that do no harm where the call is not blocked. */
#define CALL(name, ...) {#name, SYS_##name, {__VA_ARGS__}}
static const struct {
    const char *name;
    long number;
    long args[6];
} calls[] = {
    CALL(mount, (long)"none", (long)"/nowhere", (long)"tmpfs"), CALL(umount2, (long)"/nowhere"), CALL(pivot_root),
    CALL(fsopen), CALL(fsmount, -1), CALL(fsconfig, -1), CALL(fspick, -1), CALL(move_mount, -1), CALL(open_tree, -1),
    CALL(mount_setattr, -1), CALL(setns, -1), CALL(unshare, CLONE_NEWUSER), CALL(kexec_load, -1, -1, -1, -1),
    CALL(open_by_handle_at, -1), CALL(name_to_handle_at, -1), CALL(bpf), CALL(perf_event_open, 0, 0, -1, -1),
    CALL(userfaultfd), CALL(keyctl, 0, -3), CALL(add_key), CALL(request_key), CALL(init_module), CALL(delete_module),
    CALL(finit_module, -1), CALL(swapon), CALL(swapoff), CALL(reboot), CALL(settimeofday, 0, 1),
    CALL(clock_settime, 99), CALL(acct, (long)"/nowhere"), CALL(quotactl),
    CALL(io_uring_setup), CALL(io_uring_enter, -1), CALL(io_uring_register, -1), CALL(personality, 0x0040000),
    CALL(syslog, 2), CALL(vhangup), CALL(fanotify_init, -1), CALL(kcmp, 0, 0, 99), CALL(move_pages),
    CALL(mbind, 0, 0, 9), CALL(set_mempolicy, 9), CALL(setdomainname, 0, 1), CALL(sethostname, 0, 1),
    CALL(process_vm_readv, 1), CALL(lookup_dcookie), CALL(clone, CLONE_NEWUSER | SIGCHLD),
#ifdef __x86_64__
    CALL(iopl, 3), CALL(ioperm, 0x80, 1, 1), CALL(modify_ldt, 99), CALL(create_module), CALL(get_kernel_syms),
    CALL(query_module), CALL(nfsservctl), CALL(uselib), CALL(sysfs, 9), CALL(_sysctl), CALL(ustat),
    CALL(kexec_file_load, -1, -1),
#endif
};

static int system_calls(char **args)
{
    (void)args;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const long *a = calls[i].args;
        long result = syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (calls[i].number == SYS_clone && result == 0)
            _exit(0);
        tell(calls[i].name, result);
    }
    return 0;
}

/* The 32-bit numbers of getpid, and of some calls that are blocked. */
static int compat_calls(char **args)
{
    (void)args;
#ifdef __x86_64__
    static const struct { const char *name; int number; } compat[] = {
        {"getpid", 20}, {"mount", 21}, {"ptrace", 26}, {"umount2", 52}, {"reboot", 88}, {"pivot_root", 217},
        {"keyctl", 288}, {"unshare", 310}, {"setns", 346}, {"bpf", 357}, {"open_by_handle_at", 342}};
    for (size_t i = 0; i < sizeof compat / sizeof *compat; i++) {
        long result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(compat[i].number), "b"(-1), "c"(0), "d"(0), "S"(0), "D"(0)
                         : "memory", "r8", "r9", "r10", "r11");
        errno = (int)-result;
        tell(compat[i].name, result < 0 && result > -4096 ? -1 : 0);
    }
#endif
    return 0;
}

static int unknown_calls(char **args)
{
    for (long number = strtol(args[0], NULL, 10); number <= strtol(args[1], NULL, 10); number++) {
        long result = syscall(number, -1, -1, -1, -1, -1, -1);
        printf("%ld ", number);
        tell("", result);
    }
    tell("clone3", syscall(SYS_clone3, NULL, 0));
    return 0;
}

static void *thread(void *number)
{
    return number;
}

static int threads(char **args)
{
    static pthread_t started[50];
    (void)args;
    for (int i = 0; i < 50; i++)
        if ((errno = pthread_create(&started[i], NULL, thread, NULL)))
            tell("thread", -1);
    for (int i = 0; i < 50; i++)
        pthread_join(started[i], NULL);
    tell("threads", 0);
    return 0;
}

/* ---- who it is ----------------------------------------------------------------------------------------------------- */

static int identity(char **args)
{
    uid_t uid[3];
    gid_t gid[3];
    (void)args;
    getresuid(uid, uid + 1, uid + 2);
    getresgid(gid, gid + 1, gid + 2);
    printf("uid %u %u %u\ngid %u %u %u\n", uid[0], uid[1], uid[2], gid[0], gid[1], gid[2]);
    printf("securebits %#x\nno_new_privs %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    gid_t groups[64];
    int count = getgroups(64, groups);
    printf("groups");
    for (int i = 0; i < count; i++)
        printf(" %u", groups[i]);
    printf("\n");
    tell("setgroups", setgroups(0, NULL));
    tell("setuid0", setresuid(0, 0, 0));
    return 0;
}

/* ---- terminals and sockets ----------------------------------------------------------------------------------------- */

static int push_input(char **args)
{
    int terminals[] = {0, 1, 2, open("/dev/tty", O_RDWR), open("/dev/console", O_RDWR)};
    for (size_t i = 0; i < sizeof terminals / sizeof *terminals; i++)
        for (const char *letter = args[0]; *letter; letter++)
            if (terminals[i] >= 0 && ioctl(terminals[i], TIOCSTI, letter) == 0)
                tell("pushed", 0);
    tell("end", 0);
    return 0;
}

/* Tell the service manager, as sd_notify(3) does: each argument is a message. */
static int notify(char **args)
{
    struct sockaddr_un manager = {.sun_family = AF_UNIX};
    strncpy(manager.sun_path, getenv("NOTIFY_SOCKET"), sizeof manager.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    for (; *args; args++)
        tell(*args, sendto(fd, *args, strlen(*args), 0, (struct sockaddr *)&manager, sizeof manager));
    return 0;
}

static int connects(char **args)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(args[0]))};
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = four.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    strncpy(abstract.sun_path + 1, args[1], sizeof abstract.sun_path - 2);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(args[1]));
    tell("127.0.0.1", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&four, sizeof four));
    tell("::1", connect(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&six, sizeof six));
    tell("abstract", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&abstract, length));
    return 0;
}

/* ---- work ---------------------------------------------------------------------------------------------------------- */

static int touch(char **args)
{
    size_t size = (size_t)atol(args[0]) << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return 9;
    memset(memory, 1, size);
    return 0;
}

/* A child touches memory and is killed for it; its parent goes on. */
static int touch_in_child(char **args)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(touch(args));
    waitpid(pid, &status, 0);
    printf("child %d\n", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
    return args[1] ? atoi(args[1]) : 0;
}

/* CPU seconds, by the process's own clock. */
static void burn_until(double wanted)
{
    struct timespec now = {0, 0};
    while ((double)now.tv_sec + (double)now.tv_nsec / 1e9 < wanted)
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
}

static int burn(char **args)
{
    burn_until(atof(args[0]));
    return 0;
}

/* The same until it is killed, telling how many it has burnt. */
static int burn_and_tell(char **args)
{
    (void)args;
    double burnt = 0;
    do
        burn_until(burnt += 0.01);
    while (printf("%.2f\n", burnt) > 0 && fflush(stdout) == 0);
    return 1;
}

/* A child burns, and lives on when its parent ends then. */
static int burn_as_daemon(char **args)
{
    int ends[2];
    char byte;
    if (pipe(ends) < 0)
        return 1;
    if (fork() == 0) {
        setsid();
        burn_until(atof(args[0]));
        tell("burnt", write(ends[1], "", 1));
        for (;;)
            pause();
    }
    return read(ends[0], &byte, 1) != 1;
}

static int fork_bomb(char **args)
{
    (void)args;
    for (int i = 0; i < 500; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            tell("fork", -1);
            return 7;
        }
        if (pid == 0)
            pause();
    }
    return 0;
}

/* Children that double-fork, leave the session, and ignore every signal that can be; the first process does so too. */
static int stubborn(char **args)
{
    for (int number = 1; number < 65; number++)
        signal(number, SIG_IGN);
    for (int i = 0; i < 5; i++) {
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                for (;;)
                    pause();
            }
            _exit(0);
        }
    }
    printf("ready\n");
    fflush(stdout);
    while (args[0] == NULL)
        pause();
    return 0;
}

/* Never the same process for long: each forks, and ends. */
static int runaway(char **args)
{
    (void)args;
    printf("ready\n");
    fflush(stdout);
    for (;;)
        if (fork() > 0)
            _exit(0);
}

static int zombies(void)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[64], text[512] = "";
        snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(text, sizeof text, file) && strstr(text, ") Z "))
            count++;
        if (file)
            fclose(file);
    }
    if (proc)
        closedir(proc);
    return count;
}

/* Orphans that end at once: how many zombies PID 1 keeps. */
static int orphans(char **args)
{
    for (int i = 0; i < atoi(args[0]); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (fork() == 0)
                _exit(0);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    int left = zombies();
    for (int i = 0; left && i < 10000; i++) {
        usleep(10000);
        left = zombies();
    }
    printf("zombies %d\n", left);
    return 0;
}

/* Fill both pipes to the brim, by turns, without ever reading. */
static int flood(char **args)
{
    static char block[4096];
    memset(block, 'x', sizeof block);
    for (long rest = atol(args[0]); rest > 0; rest -= (long)sizeof block)
        if (write(1, block, sizeof block) < 0 || write(2, block, sizeof block) < 0)
            return 1;
    return 0;
}

static int die(char **args)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), atoi(args[0]));
    return 0;
}

/* ---- how it is run ----------------------------------------------------------------------------------------------- */

struct attributes { /* struct sched_attr of linux/sched/types.h, SCHED_ATTR_SIZE_VER0 */
    unsigned size, policy;
    unsigned long long flags;
    int nice;
    unsigned priority;
    unsigned long long runtime, deadline, period;
};

static int scheduling(char **args)
{
    (void)args;
    struct attributes attributes = {0};
    unsigned long cpus[16] = {0}, nodes[16] = {0};
    int mode = -1;
    syscall(SYS_sched_getattr, 0, &attributes, (unsigned)sizeof attributes, 0);
    syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus);
    syscall(SYS_get_mempolicy, &mode, nodes, 8 * sizeof nodes, 0, 0);
    printf("personality %#lx\n", syscall(SYS_personality, 0xffffffff));
    printf("policy %u\nnice %d\nreset-on-fork %llu\n", attributes.policy, attributes.nice, attributes.flags & 1);
    printf("io-priority %ld\n", syscall(SYS_ioprio_get, 1, 0));
    printf("cpus %#lx\n", cpus[0]);
    printf("memory %#x\nnodes %#lx\n", mode, nodes[0]);
    return 0;
}

static int clocks(char **args)
{
    (void)args;
    struct timespec monotonic, boottime;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    printf("monotonic %ld\nboottime %ld\n", (long)monotonic.tv_sec, (long)boottime.tv_sec);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **args);
} commands[] = {
    {"burn", burn},          {"burn-and-tell", burn_and_tell}, {"burn-as-daemon", burn_as_daemon},
    {"clocks", clocks},      {"compat-calls", compat_calls}, {"connects", connects}, {"creates", creates},
    {"devices", devices},    {"die", die},                   {"does", does},             {"environment", environment},
    {"escape", escape},      {"executables", executables},   {"fds", descriptors},       {"fill", fill},
    {"flood", flood},        {"fork-bomb", fork_bomb},       {"identity", identity},     {"keys", keys},
    {"nodes", nodes},        {"notify", notify},             {"open-by-handle", open_by_handle},
    {"orphans", orphans},    {"push-input", push_input},     {"reads", reads},           {"release-agent", release_agent},
    {"runaway", runaway},    {"scheduling", scheduling},
    {"stubborn", stubborn},  {"system-calls", system_calls}, {"threads", threads},       {"touch", touch},
    {"touch-in-child", touch_in_child},                      {"trace", trace},
    {"unknown-calls", unknown_calls}, {"unmounts", unmounts}, {"writes", writes},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argv + 2);
    return 64;
}
