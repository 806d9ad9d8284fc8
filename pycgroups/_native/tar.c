#include "tar.h"

#include <string.h>

#include <linux/errno.h>

struct block {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, target[100], magic[8], owner[64],
        major[8], minor[8], prefix[155], rest[12];
};

_Static_assert(sizeof(struct block) == TAR_BLOCK, "the fields of a header");

/* -- numbers -------------------------------------------------------------------------------------------------------- */

static int64_t binary(const unsigned char *field, uint32_t size)
{
    int64_t value = (field[0] & 0x3f) - (field[0] & 0x40);
    for (uint32_t i = 1; i < size; i++) {
        if (value > INT64_MAX / 256 || value < INT64_MIN / 256)
            return TAR_NONE;
        value = value * 256 + field[i];
    }
    return value;
}

static int is_blank(char byte)
{
    return byte == ' ' || byte == '\0';
}

int64_t tar_number(const char *field, uint32_t size)
{
    const char *end = field + size;
    int64_t value = 0;
    if (size && field[0] & 0x80)
        return binary((const unsigned char *)field, size);
    while (field < end && is_blank(*field))
        field++;
    while (end > field && is_blank(end[-1]))
        end--;
    for (; field < end; field++) {
        if (*field < '0' || *field > '7' || value > INT64_MAX / 8)
            return TAR_NONE;
        value = value * 8 + (*field - '0');
    }
    return value;
}

static int64_t nanoseconds(int64_t seconds)
{
    static const int64_t SECOND = 1000000000;
    int64_t time;
    if (seconds == TAR_NONE)
        return TAR_NONE;
    if (__builtin_mul_overflow(seconds, SECOND, &time))
        return seconds < 0 ? -INT64_MAX : INT64_MAX;
    return time;
}

#define NUMBER(field) tar_number(field, sizeof(field))

/* -- the sum of its bytes ------------------------------------------------------------------------------------------- */

/* The field itself counts as spaces. Some old writers added signed characters. */
static int has_its_sum(const struct block *block, int64_t sum)
{
    const signed char *bytes = (const signed char *)block;
    int64_t told = NUMBER(block->checksum), of_signed = 0;
    for (size_t i = 0; i < sizeof block->checksum; i++)
        sum += ' ' - (unsigned char)block->checksum[i];
    if (told == sum)
        return 1;
    for (size_t i = 0; i < sizeof *block; i++)
        of_signed += bytes[i];
    for (size_t i = 0; i < sizeof block->checksum; i++)
        of_signed += ' ' - (signed char)block->checksum[i];
    return told == of_signed;
}

/* -- the whole ------------------------------------------------------------------------------------------------------ */

/* What a field holds up to its first NUL, if there is one. */
static char *copy_text(char *to, const char *field, size_t size)
{
    size_t length = strnlen(field, size);
    memcpy(to, field, length);
    to[length] = '\0';
    return to + length;
}

/* In the format ustar a name may have a first part of its own. */
static void copy_name(char *to, const struct block *block)
{
    if (!memcmp(block->magic, "ustar\0" "00", sizeof block->magic) && *block->prefix) {
        to = copy_text(to, block->prefix, sizeof block->prefix);
        *to++ = '/';
    }
    copy_text(to, block->name, sizeof block->name);
}

int tar_header(const char *chunk, uint64_t at, struct tar_header *header)
{
    const struct block *block = (const struct block *)(chunk + at);
    const unsigned char *bytes = (const unsigned char *)block;
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof *block; i++)
        sum += bytes[i];
    if (sum == 0)
        return 0;
    if (!has_its_sum(block, sum))
        return -EBADMSG;
    header->type = block->type;
    header->mode = NUMBER(block->mode);
    header->uid = NUMBER(block->uid);
    header->gid = NUMBER(block->gid);
    header->size = NUMBER(block->size);
    header->mtime = nanoseconds(NUMBER(block->mtime));
    header->major = NUMBER(block->major);
    header->minor = NUMBER(block->minor);
    copy_name(header->name, block);
    copy_text(header->target, block->target, sizeof block->target);
    return 1;
}
