#include "passwd.h"

#include <linux/fcntl.h>
#include <linux/stat.h>

#include "inside.h"
#include "sys.h"
#include "text.h"

enum {
    UID_FIELD = 2,
    HOME_FIELD = 5,
    CHUNK_BYTES = 4096,
    CHUNKS_MAX = 4096, /* 16 MiB: it may be a file without an end */
};

struct line {
    int field;
    int digits;
    uint64_t uid;
    size_t length; /* of the home directory */
};

/* Take in one character. 1 is the end of the field that was looked for. */
static int take(struct line *line, char c, uint64_t uid, char *home, size_t size)
{
    if (c == '\n' || c == ':') {
        int of_user = line->field == HOME_FIELD && line->digits > 0 && line->uid == uid;
        if (of_user && line->length > 0 && line->length < size) {
            home[line->length] = '\0';
            return 1;
        }
        line->field++;
        if (c == '\n')
            *line = (struct line){0};
    } else if (line->field == UID_FIELD) {
        line->digits = c >= '0' && c <= '9' && line->digits >= 0 && line->digits < 10 ? line->digits + 1 : -1;
        line->uid = line->uid * 10 + (uint64_t)(c - '0');
    } else if (line->field == HOME_FIELD && line->length < size) {
        home[line->length++] = c;
        if (c == '\0') /* no directory has such a name */
            line->length = size;
    }
    return 0;
}

static int read_home(int fd, uint64_t uid, char *home, size_t size)
{
    struct line line = {0};
    char chunk[CHUNK_BYTES];
    long got = 1;
    for (int chunks = 0; chunks < CHUNKS_MAX && got > 0; chunks++) {
        got = SYS_RETRY(read, fd, chunk, sizeof chunk);
        for (long i = 0; i < got; i++)
            if (take(&line, chunk[i], uid, home, size))
                return 1;
    }
    return got == 0 && take(&line, '\n', uid, home, size); /* the last line may lack its end */
}

void passwd_home(const char *path, uint64_t uid, char *home, size_t size)
{
    long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    int found = fd >= 0 && file_type((int)fd) == MODE_FILE && read_home((int)fd, uid, home, size);
    if (fd >= 0)
        SYS(close, fd);
    if (!found)
        text_copy(home, "/", 2);
}
