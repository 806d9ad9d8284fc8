/* The string functions that code without a C library needs. */
#ifndef PYCGROUPS_TEXT_H
#define PYCGROUPS_TEXT_H

#include <stddef.h>

static inline size_t text_length(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

static inline void text_copy(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = from[i];
}

static inline int text_equal(const char *one, const char *other, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (one[i] != other[i])
            return 0;
    return 1;
}

#endif
