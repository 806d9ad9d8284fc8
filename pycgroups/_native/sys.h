/* Raw system calls: no libc, no errno, no locks.
 *
 * The helper (helper.c) has no C library at all. The spawn (spawn.c) runs for a moment in a child that shares the
 * memory of a threaded process, where the wrappers of a C library are not safe (set*id() signals every thread, errno
 * is thread-local storage that is not ours). Both therefore use these. A call returns what the kernel returns:
 * a result, or -errno.
 */
#ifndef PYCGROUPS_SYS_H
#define PYCGROUPS_SYS_H

#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

/* Always in line: a child on its parent's stack must not return from a function that the parent has yet to return from. */
static inline __attribute__((always_inline)) long sys_raw(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "pycgroups knows the system call instruction of x86_64 and aarch64 only"
#endif
}

/* SYS(name, args...): up to six arguments, each an integer or a pointer. */
#define SYS_ARGS(n, a, b, c, d, e, f, ...) \
    sys_raw(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS(name, ...) SYS_ARGS(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* A call that a signal may interrupt, until it is answered. */
#define SYS_RETRY(name, ...)                             \
    ({                                                   \
        long sys_ret;                                    \
        do                                               \
            sys_ret = SYS(name, __VA_ARGS__);            \
        while (sys_ret == -EINTR);                       \
        sys_ret;                                         \
    })

/* The same descriptor with a number from `least` on; fcntl(2) has another word for a limit below that than for one that is
 * reached. */
static inline __attribute__((always_inline)) long dup_from(int fd, long least)
{
    long ret = SYS(fcntl, fd, F_DUPFD_CLOEXEC, least);
    return ret == -EINVAL ? -EMFILE : ret;
}

#endif
