#include "output.h"

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/time.h>

#include "put.h"
#include "sys.h"
#include "thread.h"

#define NEVER (~0ULL)

enum {
    PIECE = 1 << 14,                /* a longer line is more than one record, as Docker has it */
    PIPE_BYTES = 1 << 16,           /* what a pipe holds: pipe(7) */
    LARGE_PIPE_BYTES = 1 << 18,     /* and one through which much comes */
    STREAM_BYTES = PIECE + LARGE_PIPE_BYTES, /* what is read, and a line that has begun */
    RECORD_MOST = 6 * PIECE + 256,  /* \u0001 takes six */
    OUT_BYTES = 5 << 17,            /* what comes of that, of usual lines */
    MUCH_BYTES = PIPE_BYTES,        /* less is written sooner than another thread has woken up */
    VECTOR = 16,                    /* bytes at once; reads and copies run over by less than that */
    PAGE = 4096,
    BEGUN_NSEC = 100 * MSEC,        /* then what has come of a line is written, a prompt for one */
    AWAITED_NSEC = 10 * MSEC,       /* likewise, where somebody types */
    IDLE_NSEC = NSEC,
    RETRY_NSEC = NSEC,
    LEFT_BYTES = 1 << 21,           /* two full pipes of the largest size, fs.pipe-max-size */
    SIGNAL_SET = 8,
};


volatile int output_is_reading, output_is_awaited;

struct frame {
    char head[64];
    char tail[96];
    size_t head_length, tail_length;
};

struct stream {
    const char *name;
    struct frame frame;
    int fd;
    int is_open;
    int is_busy;      /* it was full; once */
    uint64_t again;   /* a pty that no process has open: look again then */
    uint64_t read_at;
    size_t have;
    char *buffer;
};

static char stream_buffers[2][STREAM_BYTES + VECTOR] __attribute__((aligned(PAGE)));
static struct stream streams[2];
static size_t touched; /* the most that a buffer has had since its memory was given back */
static size_t late;    /* bytes read after the time was over */

/* Records to be written. One is filled while the writer, if there is one, has the other. */
static struct out {
    char text[OUT_BYTES + VECTOR];
    size_t used;
    uint32_t is_writers;
} __attribute__((aligned(PAGE))) outs[2], *out = outs;

/* Of who writes. */
static struct {
    const struct monitor_plan *plan;
    int fd;
    uint64_t size;
    uint64_t lost;   /* records */
    long error;      /* why */
} sink;

struct stamp { uint64_t sec; char text[32]; }; /* 2001-02-03T04:05:06.123456789Z */
enum { STAMP_SECONDS = 20, STAMP_LENGTH = 30 };
static struct stamp stamp_of_output = {.sec = NEVER}, stamp_of_loss = {.sec = NEVER};

/* ---- time ------------------------------------------------------------------------------------------------------- */

uint64_t clock_nsec(int clock)
{
    struct { int64_t sec, nsec; } now = {0, 0};
    SYS(clock_gettime, clock, &now);
    return (uint64_t)now.sec * NSEC + (uint64_t)now.nsec;
}

static int is_leap(uint64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static void set_seconds(struct stamp *stamp, uint64_t sec)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t days = sec / 86400, year = 1970, month = 0;
    for (; days >= 365U + is_leap(year); year++)
        days -= 365U + is_leap(year);
    for (; days >= lengths[month] + (month == 1 ? (unsigned)is_leap(year) : 0U); month++)
        days -= lengths[month] + (month == 1 ? (unsigned)is_leap(year) : 0U);
    const uint64_t parts[] = {month + 1, days + 1, sec / 3600 % 24, sec / 60 % 60, sec % 60};
    char *to = put_digits(stamp->text, year, 4);
    for (int i = 0; i < 5; i++) {
        *to++ = "--T::"[i];
        to = put_digits(to, parts[i], 2);
    }
    *to = '.';
    stamp->sec = sec;
}

static void set_stamp(struct stamp *stamp)
{
    uint64_t now = clock_nsec(CLOCK_REALTIME);
    if (now / NSEC != stamp->sec)
        set_seconds(stamp, now / NSEC);
    *put_digits(stamp->text + STAMP_SECONDS, now % NSEC, 9) = 'Z';
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static const char *log_name(uint32_t number, char *buffer)
{
    char *to = put_text(buffer, "log");
    if (number > 0) {
        *to++ = '.';
        to = put_number(to, number);
    }
    *to = '\0';
    return buffer;
}

void end_last_line(int fd)
{
    struct statx facts;
    char last;
    if (SYS(statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &facts) < 0 || facts.stx_size == 0)
        return;
    if (SYS(pread64, fd, &last, 1, facts.stx_size - 1) == 1 && last != '\n')
        SYS(write, fd, "\n", 1);
}

/* Others may have removed the file, or cut it off. 0 or -errno. */
static long look_at_log(void)
{
    struct statx facts;
    long ret = sink.fd < 0 ? -ENOENT : SYS(statx, sink.fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_NLINK, &facts);
    if (ret == 0 && facts.stx_nlink > 0) {
        sink.size = facts.stx_size;
        return 0;
    }
    if (sink.fd >= 0)
        SYS(close, sink.fd);
    sink.fd = (int)SYS(openat, MONITOR_DIRECTORY, "log", O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sink.fd < 0)
        return sink.fd;
    end_last_line(sink.fd);
    ret = SYS(statx, sink.fd, "", AT_EMPTY_PATH, STATX_SIZE, &facts);
    sink.size = ret == 0 ? facts.stx_size : 0;
    return ret;
}

/* A reader that has the file open reads on to its end, and then the next one. Whether that worked. */
static int rotate(void)
{
    char older[16], newer[16];
    uint32_t files = sink.plan->files;
    for (uint32_t i = files - 1; i > 1; i--)
        SYS(renameat, MONITOR_DIRECTORY, log_name(i - 1, newer), MONITOR_DIRECTORY, log_name(i, older));
    long ret = files > 1 ? SYS(renameat, MONITOR_DIRECTORY, "log", MONITOR_DIRECTORY, "log.1")
                         : SYS(unlinkat, MONITOR_DIRECTORY, "log", 0);
    if (ret < 0 && ret != -ENOENT)
        return 0;
    SYS(close, sink.fd);
    sink.fd = -1;
    return look_at_log() == 0;
}

/* How many of these bytes are whole records. */
static size_t whole_records(const char *text, size_t length)
{
    while (length > 0 && text[length - 1] != '\n')
        length--;
    return length;
}

static size_t first_record(const char *text, size_t length)
{
    size_t n = 0;
    while (n < length && text[n] != '\n')
        n++;
    return n < length ? n + 1 : n;
}

static void lose(const char *text, size_t length, long error)
{
    sink.error = error;
    for (size_t i = 0; i < length; i++)
        sink.lost += text[i] == '\n';
}

/* No part of a record stays in the file when there is no space for the rest. 0 or -errno. */
static long write_records(const char *text, size_t length)
{
    size_t done = 0;
    long ret = 0;
    while (done < length && ret >= 0) {
        ret = SYS_RETRY(write, sink.fd, text + done, length - done);
        done += ret > 0 ? (size_t)ret : 0;
    }
    if (ret >= 0) {
        sink.size += length;
        return 0;
    }
    size_t kept = whole_records(text, done);
    if (kept < done)
        SYS(ftruncate, sink.fd, sink.size + kept);
    sink.size += kept;
    lose(text + kept, length - kept, ret);
    return ret;
}

static void set_frame(struct frame *frame, const char *stream, const struct stamp *stamp);
static char *put_record(char *to, const struct frame *frame, const char *text, size_t length, int ended);

/* Tell that something is missing, where it is. 0, or -errno when there is no space for that either. */
static long tell_loss(void)
{
    char text[128 + VECTOR], record[512], *to = put_text(text, "pycgroups: ");
    struct frame frame;
    to = put_number(to, sink.lost);
    to = put_text(to, " records of output are lost here, errno ");
    to = put_number(to, (uint64_t)-sink.error);
    set_stamp(&stamp_of_loss);
    set_frame(&frame, "stderr", &stamp_of_loss);
    uint64_t before = sink.lost;
    long ret = write_records(record, (size_t)(put_record(record, &frame, text, (size_t)(to - text), 1) - record));
    sink.lost = ret == 0 ? 0 : before;
    return ret;
}

/* How much of these records goes into this file: as much as there is room for, but into an empty one at least one. */
static size_t fitting(const char *text, size_t length)
{
    uint64_t most = sink.plan->file_bytes;
    if (most == 0 || sink.size + length <= most)
        return length;
    size_t n = sink.size < most ? whole_records(text, most - sink.size) : 0;
    if (n > 0)
        return n;
    return sink.size > 0 && rotate() ? fitting(text, length) : first_record(text, length);
}

static void write_out(struct out *from)
{
    const char *text = from->text, *end = text + from->used;
    long ret = text < end ? look_at_log() : 0;
    if (ret == 0 && text < end && sink.lost > 0)
        ret = tell_loss();
    if (ret < 0)
        lose(text, from->used, ret);
    while (ret == 0 && text < end) {
        size_t n = fitting(text, (size_t)(end - text));
        ret = sink.fd < 0 ? -ENOENT : write_records(text, n);
        text += n;
        if (ret < 0)
            lose(text, (size_t)(end - text), ret);
    }
    from->used = 0;
}

/* ---- the writer ------------------------------------------------------------------------------------------------- */

/* Where much comes a thread of its own writes, while more is read and made into records. */

static void hand_over(struct out *from, uint32_t to_writer)
{
    __atomic_store_n(&from->is_writers, to_writer, __ATOMIC_RELEASE);
    SYS(futex, &from->is_writers, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void wait_for(struct out *from, uint32_t to_writer)
{
    while (__atomic_load_n(&from->is_writers, __ATOMIC_ACQUIRE) != to_writer)
        SYS(futex, &from->is_writers, FUTEX_WAIT_PRIVATE, !to_writer, 0, 0, 0);
}

static struct out *other(const struct out *one)
{
    return outs + (one == outs);
}

static void keep_writing(void *first)
{
    for (struct out *from = first;; from = other(from)) {
        wait_for(from, 1);
        write_out(from);
        hand_over(from, 0);
    }
}

/* It can do without: there may be too many threads. */
static int has_writer(void)
{
    static int was_tried, is_there;
    if (!was_tried) {
        was_tried = 1;
        is_there = start_thread(keep_writing, out) >= 0;
    }
    return is_there;
}

static void flush(void)
{
    if (out->used >= MUCH_BYTES && has_writer()) {
        hand_over(out, 1);
        out = other(out);
        wait_for(out, 0);
    } else if (out->used > 0) {
        wait_for(other(out), 0);
        write_out(out);
    }
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

typedef int8_t bytes __attribute__((vector_size(VECTOR)));
typedef uint64_t halves __attribute__((vector_size(VECTOR)));

static bytes load(const char *from)
{
    bytes loaded;
    __builtin_memcpy(&loaded, from, VECTOR);
    return loaded;
}

static void store(char *to, bytes stored)
{
    __builtin_memcpy(to, &stored, VECTOR);
}

/* The place of the first byte of a comparison's result that is true; both architectures are little-endian. */
static size_t first_true(bytes compared)
{
    halves half = (halves)compared;
    if (half[0])
        return (size_t)__builtin_ctzll(half[0]) / 8;
    return half[1] ? 8 + (size_t)__builtin_ctzll(half[1]) / 8 : VECTOR;
}

/* The end, when there is none. */
static const char *find_newline(const char *from, const char *end)
{
    for (; from < end; from += VECTOR) {
        size_t n = first_true(load(from) == '\n');
        if (n < VECTOR)
            return from + n < end ? from + n : end;
    }
    return end;
}

static char *put_block(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i += VECTOR)
        store(to + i, load(from + i));
    return to + length;
}

/* How many bytes a character has that begins like this; 0: none does. */
static size_t character_length(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* The length of the character of UTF-8 that is there, or 0: no overlong one, no surrogate, none above U+10FFFF. */
static size_t character_at(const char *text, const char *end)
{
    unsigned char first = (unsigned char)text[0];
    size_t length = character_length(first);
    if (length == 0 || length > (size_t)(end - text))
        return 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
    unsigned char second = length > 1 ? (unsigned char)text[1] : 0;
    int wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90)
                || (first == 0xf4 && second >= 0x90);
    return wrong ? 0 : length;
}

/* What is before the last character, if that goes on behind `length`. */
static size_t whole_characters(const char *text, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char byte = (unsigned char)text[length - back];
        if ((byte & 0xc0) != 0x80)
            return character_length(byte) > back ? length - back : length;
    }
    return length;
}

static char *put_escaped(char *to, unsigned char byte)
{
    static const char letters[] = "btn\0fr"; /* of 8 to 13 */
    *to++ = '\\';
    if (byte >= 0x20)
        *to++ = (char)byte;
    else if (byte >= 8 && byte <= 13 && byte != 11)
        *to++ = letters[byte - 8];
    else {
        to = put_text(to, "u00");
        *to++ = (char)('0' + byte / 16);
        *to++ = "0123456789abcdef"[byte % 16];
    }
    return to;
}

/* One character, or a byte that belongs to none. */
static char *put_character(char *to, const char **text, const char *end)
{
    unsigned char byte = (unsigned char)**text;
    size_t length = byte < 0x80 ? 1 : character_at(*text, end);
    const char *from = *text;
    *text += length ? length : 1;
    if (length == 0)
        return put_text(to, "\xef\xbf\xbd");
    return byte < 0x20 || byte == '"' || byte == '\\' ? put_escaped(to, byte) : put_bytes(to, from, length);
}

/* As a JSON string; what is not UTF-8 becomes U+FFFD. Control characters and what is not ASCII are below ' ' as signed
 * numbers. */
static char *put_json(char *to, const char *text, const char *end)
{
    while (text < end) {
        bytes next = load(text);
        size_t n = first_true((next < ' ') | (next == '"') | (next == '\\')), left = (size_t)(end - text);
        store(to, next);
        n = n < left ? n : left;
        text += n;
        to += n;
        if (n < VECTOR && text < end)
            to = put_character(to, &text, end);
    }
    return to;
}

/* What is before and behind a line, made once for all that are read together. */
static void set_frame(struct frame *frame, const char *stream, const struct stamp *stamp)
{
    char *head = frame->head, *tail = frame->tail;
    if (sink.plan->form == MONITOR_JSON) {
        head = put_text(head, "{\"log\":\"");
        tail = put_text(tail, "\\n\",\"stream\":\"");
        tail = put_text(tail, stream);
        tail = put_text(tail, "\",\"time\":\"");
        tail = put_bytes(tail, stamp->text, STAMP_LENGTH);
        tail = put_text(tail, "\"}");
    } else {
        head = put_bytes(head, stamp->text, STAMP_LENGTH);
        *head++ = ' ';
        head = put_text(head, stream);
        head = put_text(head, " F ");
    }
    *tail++ = '\n';
    frame->head_length = (size_t)(head - frame->head);
    frame->tail_length = (size_t)(tail - frame->tail);
}

/* A record of a line, or of a part that the rest of it will follow. */
static char *put_record(char *to, const struct frame *frame, const char *text, size_t length, int ended)
{
    size_t newline = 0; /* as JSON has it */
    to = put_block(to, frame->head, frame->head_length);
    if (sink.plan->form == MONITOR_JSON) {
        to = put_json(to, text, text + length);
        newline = ended ? 0 : 2;
    } else {
        to[-2] = ended ? 'F' : 'P';
        to = put_block(to, text, length);
    }
    return put_block(to, frame->tail + newline, frame->tail_length - newline);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

/* What is read now is of this moment. */
static void begin_records(struct stream *stream)
{
    set_stamp(&stamp_of_output);
    set_frame(&stream->frame, stream->name, &stamp_of_output);
}

static void add_record(const struct stream *stream, const char *text, size_t length, int ended)
{
    if (OUT_BYTES - out->used < RECORD_MOST)
        flush();
    out->used = (size_t)(put_record(out->text + out->used, &stream->frame, text, length, ended) - out->text);
}

/* One line or the beginning of one, in pieces. */
static void put_line(const struct stream *stream, const char *text, size_t length, int ended)
{
    while (length > PIECE) {
        size_t n = whole_characters(text, PIECE);
        add_record(stream, text, n, 0);
        text += n;
        length -= n;
    }
    add_record(stream, text, length, ended);
}

static void keep(struct stream *stream, const char *rest, size_t length)
{
    if (rest != stream->buffer)
        for (size_t i = 0; i < length; i++)
            stream->buffer[i] = rest[i];
    stream->have = length;
}

static void put_lines(struct stream *stream)
{
    const char *text = stream->buffer, *end = text + stream->have, *newline;
    while ((newline = find_newline(text, end)) < end) {
        put_line(stream, text, (size_t)(newline - text), 1);
        text = newline + 1;
    }
    while (end - text >= PIECE) {
        size_t n = whole_characters(text, PIECE);
        add_record(stream, text, n, 0);
        text += n;
    }
    keep(stream, text, (size_t)(end - text));
}

/* The line that has begun and does not go on; a character that has begun waits for its end, unless there will be none. */
static void put_begun(struct stream *stream, int at_end)
{
    size_t n = at_end ? stream->have : whole_characters(stream->buffer, stream->have);
    if (n == 0)
        return;
    begin_records(stream);
    add_record(stream, stream->buffer, n, 0);
    keep(stream, stream->buffer + n, stream->have - n);
}

/* Who writes waits less often then. Over the user's share of pipe memory it stays as it is, and so does another's size. */
static void enlarge(struct stream *stream)
{
    stream->is_busy = 1;
    if (SYS(fcntl, stream->fd, F_GETPIPE_SZ) == PIPE_BYTES)
        SYS(fcntl, stream->fd, F_SETPIPE_SZ, LARGE_PIPE_BYTES);
}

static void read_stream(struct stream *stream, uint64_t now, int is_late)
{
    output_is_reading = 1;
    long got = SYS_RETRY(read, stream->fd, stream->buffer + stream->have, STREAM_BYTES - stream->have);
    if (got >= PIPE_BYTES && !stream->is_busy)
        enlarge(stream);
    output_is_reading = 0;
    stream->read_at = now;
    if (got == -EAGAIN)
        return;
    if (got == -EIO) { /* a pty that no process has open; one may open it again */
        stream->again = now + RETRY_NSEC;
        return;
    }
    if (got <= 0) {
        stream->is_open = 0;
        put_begun(stream, 1);
        return;
    }
    stream->have += (size_t)got;
    late += is_late ? (size_t)got : 0;
    touched = stream->have > touched ? stream->have : touched;
    begin_records(stream);
    put_lines(stream);
}

/* Memory that a burst has filled is not kept for ever. */
static void give_memory_back(void)
{
    wait_for(other(out), 0);
    for (int i = 0; i < 2; i++)
        SYS(madvise, outs[i].text, OUT_BYTES, MADV_DONTNEED);
    for (int i = 0; i < 2; i++)
        if (streams[i].have == 0)
            SYS(madvise, streams[i].buffer, sizeof stream_buffers[i], MADV_DONTNEED);
    touched = 0;
}

static uint64_t least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static uint64_t begun_is_due(const struct stream *stream)
{
    return stream->read_at + (output_is_awaited ? AWAITED_NSEC : BEGUN_NSEC);
}

/* When there is something to do without anything coming. */
static uint64_t next_time(uint64_t now, uint64_t deadline)
{
    uint64_t next = least(deadline, touched > PAGE / 2 ? now + IDLE_NSEC : NEVER);
    for (int i = 0; i < 2; i++) {
        const struct stream *stream = streams + i;
        if (stream->is_open && stream->again)
            next = least(next, stream->again);
        if (stream->is_open && stream->have > 0)
            next = least(next, begun_is_due(stream));
    }
    return next;
}

/* What poll(2) answers. */
static long wait_for_output(struct pollfd *on, uint64_t now, uint64_t until)
{
    struct { int64_t sec, nsec; } patience = {0, 0};
    if (until > now) {
        patience.sec = (int64_t)((until - now) / NSEC);
        patience.nsec = (int64_t)((until - now) % NSEC);
    }
    for (int i = 0; i < 2; i++)
        on[i].fd = streams[i].is_open && streams[i].again <= now ? streams[i].fd : -1;
    return SYS_RETRY(ppoll, on, 3, until == NEVER ? 0 : &patience, 0, SIGNAL_SET);
}

static void open_streams(const struct monitor_plan *plan)
{
    for (int i = 0; i < 2; i++)
        streams[i] = (struct stream){
            .name = i ? "stderr" : "stdout",
            .fd = MONITOR_STDOUT + i,
            .is_open = is_given(plan, MONITOR_STDOUT + i),
            .buffer = stream_buffers[i],
        };
    sink.plan = plan;
    sink.fd = -1;
    look_at_log(); /* whoever looks for it finds it */
}

static void attend(struct pollfd *on, uint64_t now, int is_late)
{
    for (int i = 0; i < 2; i++) {
        struct stream *stream = streams + i;
        stream->again = stream->again <= now ? 0 : stream->again;
        if (on[i].fd >= 0 && on[i].revents)
            read_stream(stream, now, is_late);
        else if (stream->is_open && stream->have > 0 && now >= begun_is_due(stream)) {
            put_begun(stream, 0);
            stream->read_at = NEVER / 2; /* what is left goes on, or ends */
        }
    }
    flush();
}

/* When the time is over, what is in the pipes is read all the same, and no more: others may go on writing. */
static int is_over(uint64_t now, uint64_t deadline, long ready)
{
    return (!streams[0].is_open && !streams[1].is_open) || (now >= deadline && (ready <= 0 || late > LEFT_BYTES));
}

void write_log(const struct monitor_plan *plan)
{
    open_streams(plan);
    struct pollfd on[] = {{.events = POLLIN}, {.events = POLLIN}, {.fd = MONITOR_PIDFD, .events = POLLIN}};
    uint64_t now = clock_nsec(CLOCK_MONOTONIC), deadline = NEVER;
    long ready = 1;
    while (!is_over(now, deadline, ready)) {
        ready = wait_for_output(on, now, next_time(now, deadline));
        now = clock_nsec(CLOCK_MONOTONIC);
        if (on[2].fd >= 0 && on[2].revents) {
            deadline = now + plan->grace_msec * (uint64_t)MSEC;
            on[2].fd = -1;
            streams[0].again = streams[1].again = 0;
        }
        attend(on, now, now >= deadline);
        if (ready == 0 && touched)
            give_memory_back();
        for (int i = 0; i < 2 && deadline != NEVER; i++) /* nobody will open the pty again */
            streams[i].is_open = streams[i].is_open && !streams[i].again;
    }
    for (int i = 0; i < 2; i++)
        put_begun(streams + i, 1);
    flush();
    wait_for(other(out), 0);
    SYS(close, sink.fd);
}
