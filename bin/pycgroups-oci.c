/* The command pycgroups-oci. It starts, signals and deletes a plain container itself; all else is done by Python.
 *
 *     pycgroups-oci start ID, kill ID, delete ID    what is plain: as in pycgroups/runtime, container.py and deletion.py
 *     anything else, and any surprise  ---exec--->  python3: pycgroups.oci_cli.main(), from the beginning
 *     wait for the end of a container  <---exec---  `run`, which has started one that is plain
 *
 * These commands have next to nothing to do, and Python's own start and imports take ten times as long as that. Which
 * container is plain, and what is to be known of it, `create` has said in a file of the state directory: see save_plain
 * in pycgroups/runtime/state.py. So here is no policy, and no error has words: either a container is there as it ought
 * to be, unlocked and in the right state, or Python finds out why not, and tells. What is done by then, it finds done.
 *
 * To wait takes no Python either. What `run` has in memory is given back while the container's program begins, and this
 * process is still the parent of that, to which signals are passed on: see pycgroups/oci_cli/handover.py.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As in pycgroups/runtime/state.py and container.py. */
#define RECORD "state.json"
#define PLAIN "plain"
#define FIFO "start.fifo"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-."
enum { CHILDLESS = 2 /* links of a directory of kernfs */, LONGEST_ID = 255, BY_OTHERS = 022, PATIENCE = 10000 /* ms */ };
enum { BY_PIDFD = 3 /* P_PIDFD, which glibc has since 2.36 */, FAILED = 1, BY_SIGNAL = 128, NO_PYTHON = 127 };
static const char GO = 0;
static const char ATTEND[] = "__attend"; /* as in pycgroups/oci_cli/handover.py */

/* Python's own start is most of what a command takes, and much of that is its module site, with all that the .pth files
 * of an environment import. It goes without (-S), and without variables of its caller's that Python obeys (-E, -P). Nor
 * does it load a locale: in "C" it takes all for UTF-8, PEP 540. pycgroups/oci_cli/bundle.py has the caller's again. */
#define LOCALE "LC_ALL"
#define CALLERS "PYCGROUPS_LC_ALL"
#define PACKAGE "pycgroups/oci_cli"
#define ENTRY "entry.py"

/* To find that takes as long as what it does, so this is for what find_program() does not know. The file of an editable
 * install has the path of the tree. */
static const char PYTHON[] =
    "# pycgroups-oci\n"
    "import posix, sys\n" /* pycgroups/oci_cli/light_os.py tells why */
    "lib = f'{sys.executable.rpartition(\"/\")[0]}/../lib'\n"
    "packages = f'{lib}/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'\n"
    "try:\n"
    "    names = posix.listdir(packages)\n"
    "except OSError:\n"
    "    names = []\n"
    "editable = [f'{packages}/{name}' for name in names if name.startswith('__editable__.pycgroups-')]\n"
    "if posix.access(f'{packages}/" PACKAGE "/" ENTRY "', posix.F_OK):\n"
    "    sys.path.append(packages)\n"
    "elif editable:\n"
    "    with open(editable[0], encoding='utf-8') as file:\n"
    "        sys.path += [file.read().strip(), packages]\n"
    "else:\n"
    "    import site\n"
    "    site.main()\n"
    "from pycgroups.oci_cli.bundle import enter\n"
    "enter()\n";

enum verb { START, KILL, DELETE, VERBS };
static const char *const VERB[] = {[START] = "start", [KILL] = "kill", [DELETE] = "delete"};

struct call {
    const char *root; /* NULL for the default */
    enum verb verb;
    bool forces, all, has_first;
    const char *id;
    int signal;
    unsigned long long pid, began; /* --first */
};

struct container {
    char path[PATH_MAX];
    int home; /* its state directory, locked as long as that is open */
    char text[1 << 14];
    unsigned long long recorded, pid, began;
    const char *cgroups; /* one string after the other, and an empty one */
};

/* -- what is asked for ------------------------------------------------------------------------------------------- */

/* The value of the first word, if that is this flag: the rest of the word, or the next one. */
static const char *value_of(const char *flag, char ***words)
{
    size_t length = strlen(flag);
    if (strncmp(**words, flag, length) != 0)
        return NULL;
    const char *rest = **words + length;
    if (*rest == '=')
        return rest + 1;
    return *rest == 0 && (*words)[1] ? *++*words : NULL;
}

/* Those flags that do not matter here: where errors go, and who makes cgroups. */
static bool is_idle(char ***words)
{
    const char *value;
    if (strcmp(**words, "--systemd-cgroup") == 0)
        return true;
    if ((value = value_of("--log-format", words)))
        return strcmp(value, "json") == 0 || strcmp(value, "text") == 0;
    return value_of("--log", words);
}

static bool is_id(const char *word)
{
    size_t length = strlen(word);
    return length && length <= LONGEST_ID && *word != '-' && strspn(word, LETTERS) == length &&
           strspn(word, ".") < length;
}

/* Python knows more names. */
static int signal_of(const char *word)
{
    static const struct { const char *name; int number; } known[] = {
        {"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
        {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"WINCH", SIGWINCH},
    };
    char *end;
    unsigned long number = isdigit((unsigned char)*word) ? strtoul(word, &end, 10) : 0;
    if (number)
        return *end == 0 && number < NSIG ? (int)number : 0;
    if (strncmp(word, "SIG", 3) == 0)
        word += 3;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i].name) == 0)
            return known[i].number;
    return 0;
}

/* What a flag of a command sets. */
static bool *flag_of(const char *word, struct call *call)
{
    if (call->verb == DELETE && (strcmp(word, "--force") == 0 || strcmp(word, "-f") == 0))
        return &call->forces;
    if (call->verb == KILL && (strcmp(word, "--all") == 0 || strcmp(word, "-a") == 0))
        return &call->all;
    return NULL;
}

static bool read_call(char **words, struct call *call)
{
    for (; *words && **words == '-'; words++) {
        const char *root = value_of("--root", &words);
        if (root)
            call->root = root;
        else if (!is_idle(&words))
            return false;
    }
    if (!*words)
        return false;
    for (call->verb = START; call->verb < VERBS && strcmp(*words, VERB[call->verb]) != 0; call->verb++)
        continue;
    while (call->verb < VERBS && *++words) {
        bool *flag = flag_of(*words, call);
        if (flag) {
            *flag = true;
            continue;
        }
        if (call->verb == DELETE && strcmp(*words, "--first") == 0 && words[1]) {
            int length = 0;
            if (sscanf(*++words, "%llu:%llu%n", &call->pid, &call->began, &length) != 2 || (*words)[length])
                return false;
            call->has_first = true;
            continue;
        }
        if (call->id && call->verb == KILL && !call->signal && (call->signal = signal_of(*words)))
            continue;
        if (call->id || !is_id(*words))
            return false;
        call->id = *words;
    }
    if (!call->signal)
        call->signal = SIGTERM;
    return call->id;
}

/* -- the container ----------------------------------------------------------------------------------------------- */

/* Read a file that is shorter than this, and end it with a 0; its length. */
static ssize_t read_text(int directory, const char *name, char *text, size_t size)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, size - 1);
    int error = errno;
    close(fd);
    errno = error;
    text[length < 0 ? 0 : length] = 0;
    return length;
}

/* As pycgroups.runtime.default_root has it. */
static bool write_root(char *path, size_t size, const char *given)
{
    char map[64] = "";
    unsigned inside = 1, outside = 1, count = 0;
    if (given) /* what remains is for os.path.abspath() */
        return *given == '/' && !strstr(given, "..") && (size_t)snprintf(path, size, "%s", given) < size;
    if (geteuid() == 0 && read_text(AT_FDCWD, "/proc/self/uid_map", map, sizeof map) > 0)
        sscanf(map, "%u %u %u", &inside, &outside, &count);
    if (inside == 0 && outside == 0 && count == UINT_MAX)
        return (size_t)snprintf(path, size, "/run/pycgroups/oci") < size;
    const char *home = getenv("XDG_RUNTIME_DIR");
    return home && *home && (size_t)snprintf(path, size, "%s/pycgroups/oci", home) < size;
}

/* Read a number and the 0 behind it. */
static bool read_number(const char **text, unsigned long long *number)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return false;
    *number = strtoull(*text, &end, 10);
    *text = end + 1;
    return *end == 0;
}

static bool read_plain(struct container *container)
{
    struct stat record;
    const char *rest = container->text;
    ssize_t length = read_text(container->home, PLAIN, container->text, sizeof container->text);
    if (length < 1 || (size_t)length == sizeof container->text - 1 || container->text[length - 1])
        return false;
    if (!read_number(&rest, &container->recorded) || !read_number(&rest, &container->pid) ||
        !read_number(&rest, &container->began))
        return false;
    container->cgroups = rest;
    return fstatat(container->home, RECORD, &record, AT_SYMLINK_NOFOLLOW) == 0 &&
           container->recorded == record.st_mtim.tv_sec * 1000000000ULL + record.st_mtim.tv_nsec;
}

/* As class Home in pycgroups/runtime/state.py; but this does not wait for the lock. */
static bool open_container(const struct call *call, struct container *container)
{
    struct stat facts;
    char root[PATH_MAX];
    if (!write_root(root, sizeof root, call->root))
        return false;
    if ((size_t)snprintf(container->path, PATH_MAX, "%s/%s", root, call->id) >= PATH_MAX)
        return false;
    container->home = open(container->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return container->home >= 0 && flock(container->home, LOCK_EX | LOCK_NB) == 0 &&
           fstat(container->home, &facts) == 0 && facts.st_uid == geteuid() && !(facts.st_mode & BY_OTHERS) &&
           facts.st_nlink && read_plain(container);
}

#define THREE_WORDS " %*s %*s %*s"
#define EIGHTEEN_WORDS THREE_WORDS THREE_WORDS THREE_WORDS THREE_WORDS THREE_WORDS THREE_WORDS
enum life { ENDED, ALIVE, UNKNOWN };

/* proc_pid_stat(5): behind the name, which may be anything, are the state (3) and, 18 words later, the start (22). */
static enum life life_of(const struct container *container)
{
    char path[64], text[1024], state;
    unsigned long long began;
    snprintf(path, sizeof path, "/proc/%llu/stat", container->pid);
    if (read_text(AT_FDCWD, path, text, sizeof text) < 0)
        return errno == ENOENT || errno == ESRCH ? ENDED : UNKNOWN;
    const char *rest = strrchr(text, ')');
    static const char form[] = ") %c" EIGHTEEN_WORDS " %llu";
    if (!rest || sscanf(rest, form, &state, &began) != 2)
        return UNKNOWN;
    return state != 'Z' && state != 'X' && began == container->began ? ALIVE : ENDED;
}

/* -- what is done with it ---------------------------------------------------------------------------------------- */

/* Whether a file of a cgroup has this text: not if it is another hierarchy's, and not there. */
static bool has_text(const char *cgroup, const char *name, const char *wanted)
{
    char path[PATH_MAX], text[256];
    return (size_t)snprintf(path, sizeof path, "%s/%s", cgroup, name) < sizeof path &&
           read_text(AT_FDCWD, path, text, sizeof text) > 0 && strstr(text, wanted);
}

static bool is_frozen(const struct container *container)
{
    for (const char *cgroup = container->cgroups; *cgroup; cgroup += strlen(cgroup) + 1)
        if (has_text(cgroup, "cgroup.events", "frozen 1") || has_text(cgroup, "freezer.state", "FR"))
            return true; /* FROZEN or FREEZING */
    return false;
}

/* As Container.start. */
static bool start(const struct container *container)
{
    struct pollfd fifo = {.fd = -1};
    if (life_of(container) != ALIVE || is_frozen(container))
        return false;
    fifo.fd = openat(container->home, FIFO, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fifo.fd < 0) /* nobody reads it */
        return false;
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    ssize_t written = write(fifo.fd, &GO, sizeof GO);
    signal(SIGPIPE, before);
    if (written != sizeof GO)
        return false;
    poll(&fifo, 1, PATIENCE); /* its reader is gone as soon as the program runs */
    unlinkat(container->home, FIFO, 0);
    return true;
}

/* Whether its end is that of all processes of the container; proc_pid_status(5), NSpid. */
static bool is_first_of_namespace(const struct container *container)
{
    char path[64], text[1 << 13];
    snprintf(path, sizeof path, "/proc/%llu/status", container->pid);
    if (read_text(AT_FDCWD, path, text, sizeof text) < 0)
        return false;
    char *line = strstr(text, "\nNSpid:"), *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end)
        return false;
    *end = 0;
    return strcmp(strrchr(line, '\t'), "\t1") == 0;
}

/* Whether there is nobody in its cgroups any more, nor in any below them. */
static bool is_empty(const struct container *container)
{
    struct stat facts;
    for (const char *cgroup = container->cgroups; *cgroup; cgroup += strlen(cgroup) + 1) {
        char path[PATH_MAX], text[2];
        if (stat(cgroup, &facts) != 0 && errno == ENOENT)
            continue;
        if (facts.st_nlink != CHILDLESS || (size_t)snprintf(path, sizeof path, "%s/cgroup.procs", cgroup) >= sizeof path ||
            read_text(AT_FDCWD, path, text, sizeof text) != 0)
            return false;
    }
    return true;
}

/* As Container.kill: of all processes, where there is none. */
static bool kill_all(const struct container *container)
{
    return life_of(container) == ENDED && is_empty(container);
}

/* As Container.kill. */
static bool kill_first(const struct container *container, int number)
{
    int first = (int)syscall(SYS_pidfd_open, container->pid, 0);
    bool done = first >= 0 && life_of(container) == ALIVE && !is_frozen(container) &&
                (number != SIGKILL || is_first_of_namespace(container)) &&
                syscall(SYS_pidfd_send_signal, first, number, NULL, 0) == 0;
    if (first >= 0)
        close(first);
    return done;
}

/* As Home.remove: the record last. */
static bool remove_home(const struct container *container)
{
    const struct dirent *entry;
    DIR *entries = fdopendir(container->home);
    if (!entries)
        return false;
    while ((entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, RECORD) == 0)
            continue;
        if (unlinkat(container->home, entry->d_name, 0) != 0)
            return false;
    }
    return unlinkat(container->home, RECORD, 0) == 0 && rmdir(container->path) == 0;
}

/* As pycgroups/runtime/deletion.py, of one that is stopped. */
static bool delete(const struct container *container)
{
    if (life_of(container) != ENDED)
        return false;
    for (const char *cgroup = container->cgroups; *cgroup; cgroup += strlen(cgroup) + 1)
        if (rmdir(cgroup) != 0 && errno != ENOENT) /* somebody is in it */
            return false;
    return remove_home(container);
}

/* The one that was to be deleted has been, and another has its name. */
static bool is_another(const struct call *call, const struct container *container)
{
    return call->has_first && (call->pid != container->pid || call->began != container->began);
}

static bool perform(const struct call *call, const struct container *container)
{
    if (call->verb == START)
        return start(container);
    if (call->verb == KILL)
        return call->all ? kill_all(container) : kill_first(container, call->signal);
    return is_another(call, container) || delete(container);
}

static bool is_absent(const struct container *container)
{
    struct stat facts;
    return *container->path && lstat(container->path, &facts) != 0 && errno == ENOENT;
}

static bool is_done(char **words)
{
    struct call call = {0};
    struct container container;
    container.home = -1;
    *container.path = 0;
    bool done = read_call(words, &call) &&
                (open_container(&call, &container) ? perform(&call, &container) : call.forces && is_absent(&container));
    if (container.home >= 0) /* and its lock, which Python is to have */
        close(container.home);
    return done;
}

/* -- Python ------------------------------------------------------------------------------------------------------ */

static bool change_locale(void)
{
    const char *callers = getenv(LOCALE);
    return (callers ? setenv(CALLERS, callers, true) : unsetenv(CALLERS)) == 0 && setenv(LOCALE, "C", true) == 0;
}

/* Whether a .bundle is whole, and was made by the Python that it would be given to, of whom these are the facts. Its
 * head: a number of Python's; the time of change and the size of that; the size of the file. */
static bool is_bundle_of(const char *path, const struct stat *python)
{
    struct stat facts;
    uint32_t head[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_whole = fd >= 0 && fstat(fd, &facts) == 0 && read(fd, head, sizeof head) == sizeof head &&
                    le32toh(head[3]) == (uint32_t)facts.st_size;
    if (fd >= 0)
        close(fd);
    return is_whole && le32toh(head[1]) == (uint32_t)python->st_mtim.tv_sec &&
           le32toh(head[2]) == (uint32_t)python->st_size;
}

/* The .bundle of the command that these words ask for: the first word that is one. */
static bool find_bundle(const char *package, const char *version, const struct stat *python, char **words, char *found)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    for (; *words; words++) {
        size_t length = strspn(*words, letters);
        if (!length || (*words)[length])
            continue;
        int all = snprintf(found, PATH_MAX, "%s/__pycache__/%s.cpython-3%s.bundle", package, *words, version);
        if (all > 0 && all < PATH_MAX && is_bundle_of(found, python))
            return true;
    }
    return false;
}

/* What Python is to begin with, in the environment that has this one, whose own name is that of the directory:
 * .../lib/python3.13. */
static bool find_program(const char *python, char **words, char *found)
{
    char real[PATH_MAX], package[PATH_MAX], entry[PATH_MAX];
    struct stat facts;
    static const char name[] = "/python3.";
    const char *last = strrchr(python, '/');
    const char *own = last && realpath(python, real) ? strrchr(real, '/') : NULL;
    if (!own || strncmp(own, name, strlen(name)) != 0 || stat(real, &facts) != 0)
        return false;
    int all = snprintf(package, PATH_MAX, "%.*s/../lib%s/site-packages/" PACKAGE, (int)(last - python), python, own);
    if (all < 0 || all >= PATH_MAX)
        return false;
    all = snprintf(entry, PATH_MAX, "%s/" ENTRY, package);
    if (all < 0 || all >= PATH_MAX || access(entry, R_OK) != 0) /* pip leaves a .bundle there of what it has removed */
        return false;
    if (!find_bundle(package, own + strlen(name), &facts, words, found))
        strcpy(found, entry);
    return true;
}

/* The Python beside this file, whatever link led here; else the first in PATH. It is told where this file is. */
static int call_python(int count, char **words)
{
    char self[PATH_MAX], python[PATH_MAX + 16], option[PATH_MAX + 16], program[PATH_MAX];
    static const char name[] = "python3";
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length < 0 ? 0 : length] = 0;
    const char *last = strrchr(self, '/');
    bool has_path = last && snprintf(python, sizeof python, "%.*s/%s", (int)(last - self), self, name) > 0;
    snprintf(option, sizeof option, "pycgroups_oci=%s", self);
    const char *found = has_path && access(python, X_OK) == 0 ? python : name;
    const char *before[] = {found, "-SEP", "-X", option, "-c", PYTHON};
    size_t fixed = sizeof before / sizeof *before;
    if (found == python && find_program(python, words + 1, program))
        before[--fixed - 1] = program;
    const char **command = calloc(count + fixed, sizeof *command);
    if (!command || !change_locale())
        return NO_PYTHON;
    umask(umask(0) | BY_OTHERS); /* who may write where Python keeps what it compiles is obeyed */
    memcpy(command, before, fixed * sizeof *before);
    memcpy(command + fixed, words + 1, count * sizeof *words);
    execvp(command[0], (char **)command);
    perror(command[0]);
    return NO_PYTHON;
}

/* -- the wait for the end of a container ------------------------------------------------------------------------- */

static int attended = -1; /* a pidfd */

static void pass_on(int number)
{
    int error = errno;
    syscall(SYS_pidfd_send_signal, attended, number, NULL, 0);
    errno = error;
}

/* Numbers with commas between. */
static bool read_signals(const char *text, sigset_t *signals)
{
    sigemptyset(signals);
    while (*text) {
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        if (end == text || (*end && *end != ',') || number > INT_MAX || sigaddset(signals, number) != 0)
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* Pass these signals on, which are blocked. */
static void take_signals(const sigset_t *signals)
{
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    for (int number = 1; number < NSIG; number++)
        if (sigismember(signals, number) == 1)
            sigaction(number, &action, NULL);
    sigprocmask(SIG_UNBLOCK, signals, NULL);
}

/* Whether a command succeeds that a child does, by Python if need be. */
static bool is_done_apart(int count, char **words)
{
    int status;
    pid_t pid;
    if (is_done(words + 1))
        return true;
    if ((pid = fork()) == 0)
        _exit(call_python(count, words));
    if (pid < 0)
        perror("fork");
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* PIDFD SIGNALS [what is to be done at its end, as a command line of this program]: the exit code that tells of that
 * end, as a shell has it. */
static int attend(int count, char **words)
{
    char *end;
    siginfo_t info = {0};
    sigset_t signals;
    if (count < 4 || !isdigit((unsigned char)*words[2]) || !read_signals(words[3], &signals))
        return call_python(count, words);
    attended = strtoul(words[2], &end, 10);
    if (*end || fcntl(attended, F_SETFD, FD_CLOEXEC) != 0)
        return call_python(count, words);
    take_signals(&signals);
    struct pollfd end_of_it = {.fd = attended, .events = POLLIN};
    while (poll(&end_of_it, 1, -1) < 0 && errno == EINTR)
        continue;
    int ended = waitid((idtype_t)BY_PIDFD, attended, &info, WEXITED | __WALL);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* nobody is there any more who could have them */
    if (ended != 0)
        perror("wait for the container");
    if ((count > 4 && !is_done_apart(count - 3, words + 3)) || ended != 0)
        return FAILED;
    return info.si_code == CLD_EXITED ? info.si_status : BY_SIGNAL + info.si_status;
}

/* What is closed of 0, 1 and 2 would be the number of the next file that is opened, and then the container's. */
static void open_closed(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int count, char **words)
{
    open_closed();
    if (count > 1 && strcmp(words[1], ATTEND) == 0)
        return attend(count, words);
    if (count > 0 && is_done(words + 1))
        return 0;
    return call_python(count, words);
}
