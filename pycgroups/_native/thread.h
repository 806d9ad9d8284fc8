/* A second thread of a process that has no C library. */
#ifndef PYCGROUPS_THREAD_H
#define PYCGROUPS_THREAD_H

#include <linux/mman.h>
#include <linux/sched.h>

#include "sys.h"

/* Call a function, which does not return, in a thread on a stack of its own. It has the thread-local storage of this
 * one. 0 or -errno. */
static inline long start_thread(void (*function)(void *), void *argument)
{
    enum { STACK_BYTES = 1 << 16 };
    long stack = SYS(mmap, 0, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack < 0 && stack > -4096)
        return stack;
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
        .stack = (uint64_t)stack,
        .stack_size = STACK_BYTES,
    };
#if defined(__x86_64__)
    long ret;
    register void *r8 __asm__("r8") = argument;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r8, %%rdi\n\t"
                     "call *%%rdx\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(ret)
                     : "a"(__NR_clone3), "D"(&args), "S"(sizeof args), "d"(function), "r"(r8)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long ret __asm__("x0") = (long)&args;
    register long x8 __asm__("x8") = __NR_clone3;
    register long x1 __asm__("x1") = sizeof args;
    register void (*x2)(void *) __asm__("x2") = function;
    register void *x3 __asm__("x3") = argument;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x3\n\t"
                     "blr x2\n\t"
                     "brk 0\n"
                     "1:"
                     : "+r"(ret)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
                     : "x30", "memory");
#endif
    return ret < 0 ? ret : 0;
}

#endif
