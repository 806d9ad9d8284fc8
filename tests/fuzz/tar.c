/* For libFuzzer: bytes as a part of an archive. Its headers are read, and its plain files made, in a directory of the
 * current one; of nothing but what there is. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar.h"
#include "unpack.h"

enum { DEPTH = 3 };

static void read_headers(const char *chunk, size_t size)
{
    struct tar_header header;
    for (size_t at = 0; size - at >= TAR_BLOCK; at += TAR_BLOCK)
        if (tar_header(chunk, at, &header) == 1 &&
            (strnlen(header.name, TAR_NAME) == TAR_NAME || strnlen(header.target, TAR_TARGET) == TAR_TARGET))
            abort();
    if (size <= 64)
        tar_number(chunk, (uint32_t)size);
}

static void make_files(int directory, const char *chunk, size_t size)
{
    struct tree tree = {.root = directory, .parent = -1};
    struct unpacked unpacked = {0};
    unpack_files(&tree, chunk, size, DEPTH, size & 1, &unpacked);
    tree_close(&tree);
    if (unpacked.at > size || unpacked.entries * TAR_BLOCK + unpacked.bytes > unpacked.at)
        abort();
}

static void empty(int directory)
{
    DIR *all = fdopendir(dup(directory));
    if (!all)
        abort();
    rewinddir(all);
    for (struct dirent *one; (one = readdir(all));)
        if (strcmp(one->d_name, ".") && strcmp(one->d_name, ".."))
            unlinkat(directory, one->d_name, 0);
    closedir(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int directory = -1;
    if (directory < 0) {
        mkdir("made", 0700);
        directory = open("made", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    read_headers((const char *)data, size);
    make_files(directory, (const char *)data, size);
    empty(directory);
    return 0;
}
