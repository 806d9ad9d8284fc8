#include "refusal.h"

#include "sys.h"
#include "text.h"

enum { STDERR_ = 2, LINE_BYTES = 1024, NAME_BYTES = 512, DIGITS = 12 };

/* As strerror(3) has it, and what helps: that it is there, and may be executed, has been seen before. */
static const struct words { int error; const char *text; } table[] = {
    {ENOENT, "No such file or directory (its interpreter or loader is not in the container)"},
    {ENOEXEC, "Exec format error (a script without #!, an empty file, or one of another architecture)"},
    {EACCES, "Permission denied (a mount with noexec or a security module, perhaps for its interpreter or loader)"},
    {E2BIG, "Argument list too long (arguments and environment together)"},
    {ENOTDIR, "Not a directory (on the path of its interpreter or loader)"},
    {ELOOP, "Too many levels of symbolic links (or of interpreters that are scripts)"},
    {ELIBBAD, "Accessing a corrupted shared library (its loader is of another architecture, or no loader)"},
    {ENOMEM, "Cannot allocate memory"},
    {EAGAIN, "Resource temporarily unavailable (the limit of processes of its user: RLIMIT_NPROC)"},
    {EPERM, "Operation not permitted (the file has capabilities that the container may not have)"},
    {ETXTBSY, "Text file busy (somebody writes to it)"},
    {EINVAL, "Invalid argument (a damaged executable)"},
    {EIO, "Input/output error"},
};

struct line {
    char text[LINE_BYTES];
    size_t length;
};

/* A line stays one, whatever a name has in it. */
static void add(struct line *line, const char *text, size_t most)
{
    for (size_t i = 0; i < most && text[i] && line->length < LINE_BYTES; i++)
        line->text[line->length++] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
}

static void add_number(struct line *line, int number)
{
    char digits[DIGITS] = {0};
    int at = DIGITS - 1;
    for (; number > 0 && at > 0; number /= 10)
        digits[--at] = (char)('0' + number % 10);
    add(line, digits + at, DIGITS);
}

static void add_error(struct line *line, int error)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].error == error) {
            add(line, table[i].text, LINE_BYTES);
            return;
        }
    add(line, "errno ", LINE_BYTES);
    add_number(line, error);
}

void refusal_tell(const char *program, int error)
{
    struct line line = {.length = 0};
    add(&line, "exec ", LINE_BYTES);
    add(&line, program, NAME_BYTES);
    add(&line, ": ", LINE_BYTES);
    add_error(&line, -error);
    line.text[line.length++] = '\n'; /* a name is cut long before there is no room */
    uint64_t all = ~0ULL; /* SIGPIPE would be how it ends */
    SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, sizeof all);
    SYS_RETRY(write, STDERR_, line.text, line.length);
}
