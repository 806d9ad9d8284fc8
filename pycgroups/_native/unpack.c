#include "unpack.h"

#include <string.h>

#include "tar.h"

enum { SET_IDS = 06000 };

static int is_meant_otherwise(const char *name, size_t length)
{
    return length == 0 || (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.') ||
           !strncmp(name, ".wh.", 4);
}

/* The path of a file in the layer, or NULL when it is more than names: of its directories and itself. */
static const char *plain_path(const char *path, uint32_t depth)
{
    if (path[0] == '.' && path[1] == '/')
        path += 2;
    for (const char *name = path; depth > 0; depth--) {
        size_t length = strcspn(name, "/");
        if (is_meant_otherwise(name, length))
            return NULL;
        if (!name[length])
            return path;
        name += length + 1;
    }
    return NULL;
}

static int is_id(int64_t id)
{
    return id >= 0 && id < NOBODY;
}

static int is_plain_file(const struct tar_header *header)
{
    return (header->type == '0' || header->type == '\0') && header->mode != TAR_NONE && header->mtime != TAR_NONE &&
           is_id(header->uid) && is_id(header->gid) && header->size >= 0;
}

void unpack_files(struct tree *tree, const char *chunk, uint64_t size, uint32_t depth, int owner, struct unpacked *unpacked)
{
    struct tar_header header;
    for (uint64_t at = unpacked->at; size - at >= TAR_BLOCK; at = unpacked->at) {
        if (tar_header(chunk, at, &header) != 1 || !is_plain_file(&header))
            break;
        const char *path = plain_path(header.name, depth);
        uint64_t data = (uint64_t)header.size, stored = (data + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        if (!path || stored > size - at - TAR_BLOCK)
            break;
        uint32_t mode = (uint32_t)header.mode & ~(owner ? 0u : SET_IDS);
        uint32_t uid = owner ? (uint32_t)header.uid : NOBODY, gid = owner ? (uint32_t)header.gid : NOBODY;
        if (tree_file(tree, path, mode, uid, gid, header.mtime, "", 0, chunk, at + TAR_BLOCK, data) < 0)
            break;
        unpacked->at += TAR_BLOCK + stored;
        unpacked->entries++;
        unpacked->bytes += data;
    }
}
