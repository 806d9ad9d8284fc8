/* Text, put together in a buffer that has room for it. Each returns where the next goes. */
#ifndef PYCGROUPS_PUT_H
#define PYCGROUPS_PUT_H

#include <stdint.h>

#include "text.h"

static inline char *put_bytes(char *to, const char *from, size_t length)
{
    text_copy(to, from, length);
    return to + length;
}

static inline char *put_text(char *to, const char *text)
{
    return put_bytes(to, text, text_length(text));
}

/* With leading zeros up to that many digits. */
static inline char *put_digits(char *to, uint64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + digits;
}

static inline char *put_number(char *to, uint64_t number)
{
    int digits = 1;
    for (uint64_t rest = number; rest >= 10; rest /= 10)
        digits++;
    return put_digits(to, number, digits);
}

#endif
