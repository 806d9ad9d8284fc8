/* How a program without a C library begins: at `bare_main`, which the file that includes this defines; its first act is
 * set_stack_guard(). With PYCGROUPS_HOSTED there is a C library, for the sanitizers. */
#ifndef PYCGROUPS_BARE_H
#define PYCGROUPS_BARE_H

#include <linux/random.h>

#include "sys.h"
#include "text.h"

enum { SIGNAL_SET_BYTES = 8 };

static void __attribute__((noreturn, used, no_stack_protector)) bare_main(void);

static void __attribute__((noreturn)) leave(int status)
{
    SYS(exit_group, status);
    __builtin_trap(); /* the program's seccomp filter may forbid even that */
}

/* A blocked signal waits, even for PID 1 without a handler. */
static inline void mask_signals(uint64_t blocked)
{
    SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &blocked, 0, SIGNAL_SET_BYTES);
}

/* CLONE_CLEAR_SIGHAND and exec leave what the caller ignores ignored: SIGPIPE in every Python, and with SIGCHLD no
 * child could be waited for. */
static inline void reset_signals(void)
{
    static const uint64_t by_default[4]; /* struct sigaction of the kernel, with SIG_DFL */
    for (int signal = 1; signal <= 64; signal++)
        SYS(rt_sigaction, signal, by_default, 0, SIGNAL_SET_BYTES);
}

#ifdef PYCGROUPS_HOSTED

static inline void set_stack_guard(void)
{
}

int main(void)
{
    bare_main();
}

#else

/* What -fstack-protector compares: a number that nobody can know, and what is called when it has been overwritten. */
uintptr_t __stack_chk_guard;

void __attribute__((noreturn)) __stack_chk_fail(void)
{
    __builtin_trap();
}

static inline void __attribute__((no_stack_protector)) set_stack_guard(void)
{
    SYS(getrandom, &__stack_chk_guard, sizeof __stack_chk_guard, GRND_NONBLOCK);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n and $-16, %rsp\n call bare_main\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n bl bare_main\n");
#endif

/* The compiler may write calls to these. */
void *memcpy(void *to, const void *from, size_t length)
{
    text_copy(to, from, length);
    return to;
}

void *memset(void *to, int byte, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((char *)to)[i] = (char)byte;
    return to;
}

#endif

#endif
