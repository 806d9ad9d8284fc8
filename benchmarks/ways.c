/* Three ways to perform a launch plan, with nothing else around them: docs/explanation/spawn.md chooses by these.
 *
 *     ways vfork|helper|resident COUNT PROGRAM        prints nanoseconds from the start to the reaped end, one a line
 *
 * vfork      the child of clone3(CLONE_VM|CLONE_VFORK) performs it in its parent's memory, then execs the program
 * helper     that child at once execs a tiny program without a C library, which performs it and execs the program
 * resident   a process that waits for work on a socket clones a sibling of itself (CLONE_PARENT), which performs it
 *
 * The "plan" is what every way has to do alike: six namespaces, private mounts, a mount, a name, the exec. As helper
 * this same executable is used with the first argument "--helper"; build it as helper.c is built (-nostdlib) to see
 * its true cost: ways.py does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET)

static const char *program, *helper_path;

static void perform_and_exec(void)
{
    char *const argv[] = {(char *)program, "true", NULL}, *const envp[] = {NULL};
    if (syscall(SYS_mount, "", "/", "", MS_REC | MS_PRIVATE, "") || syscall(SYS_mount, "proc", "/proc", "proc", 0, ""))
        _exit(1);
    syscall(SYS_sethostname, "box", 3);
    syscall(SYS_execve, program, argv, envp);
    _exit(127);
}

static void exec_helper(void)
{
    char *const argv[] = {(char *)helper_path, (char *)program, NULL}, *const envp[] = {NULL};
    syscall(SYS_execve, helper_path, argv, envp);
    _exit(127);
}

static void __attribute__((noreturn, noinline)) child_main(void (*child)(void))
{
    child();
    _exit(127);
}

/* As in pycgroups/_native/spawn.c: like vfork, so the child's only act in this frame is a call that never returns. */
static pid_t __attribute__((noinline)) spawn(uint64_t flags, void (*child)(void))
{
    struct clone_args args = {.flags = SPACES | flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
    long pid;
#if defined(__x86_64__)
    __asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_clone3), "D"(&args), "S"(sizeof args) : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)&args;
    register long x1 __asm__("x1") = sizeof args;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    pid = x0;
#endif
    if (pid == 0)
        child_main(child);
    return (pid_t)pid;
}

static int serve(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -1;
    if (fork())
        return pair[0];
    close(pair[0]);
    char job[4096]; /* about the size of a plan */
    for (pid_t pid; read(pair[1], job, sizeof job) > 0;) {
        pid = spawn(CLONE_VM | CLONE_VFORK | CLONE_PARENT, perform_and_exec);
        if (write(pair[1], &pid, sizeof pid) != sizeof pid)
            break;
    }
    _exit(0);
}

static pid_t ask(int server)
{
    static char job[4096];
    pid_t pid = -1;
    if (write(server, job, sizeof job) != sizeof job || read(server, &pid, sizeof pid) != sizeof pid)
        return -1;
    return pid;
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: ways vfork|helper|resident COUNT PROGRAM [HELPER]\n");
        return 2;
    }
    const char *way = argv[1];
    program = argv[3];
    helper_path = argc > 4 ? argv[4] : "";
    int server = strcmp(way, "resident") ? -1 : serve();
    for (int i = atoi(argv[2]); i > 0; i--) {
        long start = now();
        pid_t pid = server >= 0 ? ask(server)
                                : spawn(CLONE_VM | CLONE_VFORK, strcmp(way, "helper") ? perform_and_exec : exec_helper);
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, __WALL) != pid || status) {
            fprintf(stderr, "ways: %s: pid %d, status %#x, %s\n", way, (int)pid, status, strerror(errno));
            return 1;
        }
        printf("%ld\n", now() - start);
    }
    return 0;
}
