/* Make the ordinary files of an archive, which most of its entries are, many in one call. All others are left to
 * pycgroups/images/unpack.py, which takes them one by one. */
#ifndef PYCGROUPS_UNPACK_H
#define PYCGROUPS_UNPACK_H

#include <stdint.h>

#include "tree.h"

struct unpacked {
    uint64_t at; /* where in the chunk they begin, and then: where is what was not done */
    uint64_t entries, bytes; /* how many were made: is added to */
};

/* Make the files of entries in a row. The first that is anything but an ordinary file with its data in this chunk, at a
 * path of at most `depth` names through directories that are there, ends that, and so does one that cannot be made: nothing
 * is an error here, since who looks at that entry next will meet the same.
 *
 * With `owner` a file belongs to whom the archive says; otherwise to the caller, without set-user-id and set-group-id. */
void unpack_files(struct tree *tree, const char *chunk, uint64_t size, uint32_t depth, int owner, struct unpacked *unpacked);

#endif
