/* Copy what a directory holds into another one. */
#ifndef PYCGROUPS_COPY_H
#define PYCGROUPS_COPY_H

/* Give a directory the mode of another one. 0 or -errno. */
int copy_mode(int from, int to);

/* Copy all entries of a directory, and theirs: files, directories, symlinks, with mode, owner and times. No symlink is
 * followed. Sockets are left out, and so are device nodes where they cannot be made. 0 or -errno. */
int copy_entries(int from, int to);

#endif
