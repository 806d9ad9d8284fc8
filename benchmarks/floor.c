/*
 * The floor: how fast can a container start when there is nothing around the system calls?
 *
 * Starts /bin/true of a root file system N times, in as many namespaces and with as many rules as the flags ask for,
 * and prints for each how long it took from before the first system call to after the last, in nanoseconds.
 *
 *     parent                                        child (in the parent's memory until it executes the program)
 *       create cgroups                --limits
 *       clone3  ------------------------------->    wait for the gate                             --userns
 *       map ids, idmap the rootfs     --userns      join cgroups (v1; v2 is in already)           --limits
 *       open the gate                 --userns      root, proc, /dev, pivot_root
 *                                                   identity, capabilities, seccomp               --oci
 *       wait  <---------------------------------    execve
 *       read usage, remove cgroups    --limits
 *
 * With --exec PID it starts /bin/true in the container of that process instead, in the cgroups that are named; the
 * namespaces of processes are those of its children, so it forks once more:
 *
 *     parent                      child                               child's child
 *       clone3  ------------->    join cgroups, setns
 *                                 clone3  ----------------------->    identity, capabilities, seccomp
 *       wait for both <-------    exit                                execve
 *
 * With --hold it starts sleepers instead, keeps them all, and prints those times once the last one runs. At the end of its
 * input it kills and reaps them, removes their cgroups, and prints how long that took. They die with it, however it ends;
 * what it could not remove then are cgroups, named after its process. With --every each is in a cgroup of every hierarchy;
 * with --watch PROGRAM each has an init, which forks it, and a process beside it that is nobody's child and executes PROGRAM.
 *
 * No pipes, no checks of what is mounted, no answer but the exit status: a library that does these needs more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define STACK_SIZE (64 * 1024)
#define MOST_GROUPS 16

/* What was asked for on the command line. */
static struct {
	bool net, oci, overlay, limits, userns, hold, every;
	int count, threads;
	const char *watch;
	pid_t inside;                   /* --exec */
	const char *rootfs;
	char **groups;
} asked = {.count = 100, .threads = 1};

/* One start: what parent and child share. */
struct start {
	atomic_int gate;                /* 0 until the ids are mapped */
	atomic_int shared;              /* 0 when the child has left this memory */
	int tree;                       /* the rootfs, id-mapped, as a detached mount */
	char group_name[64];            /* of its cgroups */
	int group[MOST_GROUPS];         /* directories of its cgroups, one in each hierarchy */
	char *stack;
	pid_t pid;
	int container;                  /* a pidfd of its process */
	int place;                      /* the cgroup of v2 that a process is born in, or -1 */
	int watched[2];                 /* what the process beside it waits for the end of */
};

static _Noreturn void die(const char *step)
{
	dprintf(STDERR_FILENO, "floor: %s: %s\n", step, strerror(errno));
	_exit(125);
}

static long must(long rc, const char *step)
{
	if (rc < 0)
		die(step);
	return rc;
}

static void write_file(int dir, const char *path, const char *text)
{
	int fd = must(openat(dir, path, O_WRONLY | O_CLOEXEC), path);
	must(write(fd, text, strlen(text)), path);
	close(fd);
}

static void read_file(int dir, const char *path, char *buffer, size_t size)
{
	int fd = must(openat(dir, path, O_RDONLY | O_CLOEXEC), path);
	buffer[must(read(fd, buffer, size - 1), path)] = 0;
	close(fd);
}

/* ---- cgroups: one hierarchy in v2, one for memory and one for pids in v1 ---- */

struct hierarchy {
	const char *controller;         /* its name in /proc/self/cgroup; "" is v2 */
	const char *mount;
	const char *settings[4][2];     /* file, value */
	const char *answers[5];         /* files read when the program has ended */
	int base;                       /* the directory that our groups are made in */
};

static struct hierarchy v1[] = {
	{.controller = "memory", .mount = "/sys/fs/cgroup/memory",
	 .settings = {{"memory.limit_in_bytes", "67108864"}, {"memory.memsw.limit_in_bytes", "67108864"}},
	 .answers = {"memory.max_usage_in_bytes", "memory.oom_control"}},
	{.controller = "pids", .mount = "/sys/fs/cgroup/pids",
	 .settings = {{"pids.max", "64"}}, .answers = {"pids.events"}},
};
static struct hierarchy v2[] = {
	{.controller = "", .mount = "/sys/fs/cgroup",
	 .settings = {{"memory.max", "67108864"}, {"memory.swap.max", "0"}, {"pids.max", "64"}},
	 .answers = {"memory.peak", "memory.events", "pids.events", "cpu.stat"}},
};
static struct hierarchy every[MOST_GROUPS];
static struct hierarchy *hierarchies;
static size_t hierarchy_count;

static bool is_v2(void)
{
	return hierarchies == v2;
}

/* The caller's own group: the line "ID:controllers:/path" of /proc/self/cgroup, cgroups(7). */
static void own_group(const struct hierarchy *h, char *path, size_t size)
{
	char text[8192], line[64];
	read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
	snprintf(line, sizeof line, ":%s:/", h->controller);
	char *found = strstr(text, line);
	if (!found)
		die("no controller in /proc/self/cgroup");
	found += strlen(line);
	found[strcspn(found, "\n")] = 0;
	snprintf(path, size, "%s/%s", h->mount, found);
}

/* Only a group that has no process of its own hands controllers down in v2: go up to the first that does. */
static void climb_to_delegating(char *path)
{
	char file[PATH_MAX + 32], text[256];
	for (;;) {
		snprintf(file, sizeof file, "%s/cgroup.subtree_control", path);
		read_file(AT_FDCWD, file, text, sizeof text);
		if (strstr(text, "memory") && strstr(text, "pids"))
			return;
		if (!strcmp(path, v2->mount) || !strrchr(path + 1, '/'))
			die("no cgroup above hands memory and pids down in its cgroup.subtree_control");
		*strrchr(path, '/') = 0;
	}
}

static void find_hierarchies(void)
{
	struct statfs fs;
	must(statfs("/sys/fs/cgroup", &fs), "statfs /sys/fs/cgroup");
	bool unified = fs.f_type == CGROUP2_SUPER_MAGIC;
	hierarchies = unified ? v2 : v1;
	hierarchy_count = unified ? LENGTH(v2) : LENGTH(v1);
	for (struct hierarchy *h = hierarchies; h < hierarchies + hierarchy_count; h++) {
		char path[PATH_MAX];
		own_group(h, path, sizeof path);
		if (unified)
			climb_to_delegating(path);
		h->base = must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
	}
}

/* Of v1: those that limit, and all others, that of v2 included. */
static void find_others(void)
{
	char text[8192], path[PATH_MAX];
	memcpy(every, v1, sizeof v1);
	hierarchies = every;
	read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
	for (char *line = strtok(text, "\n"); line && hierarchy_count < MOST_GROUPS; line = strtok(NULL, "\n")) {
		char *names = strchr(line, ':') + 1, *own = strchr(names, ':');
		*own++ = 0;
		if (!strcmp(names, "memory") || !strcmp(names, "pids"))
			continue;
		const char *mount = *names ? names + (strncmp(names, "name=", 5) ? 0 : 5) : "unified";
		struct hierarchy *h = &every[hierarchy_count++];
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s", mount, own);
		h->controller = strdup(names);
		h->base = must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
	}
}

/* A new group of cpuset has neither processors nor memory. */
static void inherit(const struct hierarchy *h, int group)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char text[4096];
	for (size_t i = 0; i < LENGTH(files) && !strcmp(h->controller, "cpuset"); i++) {
		read_file(h->base, files[i], text, sizeof text);
		write_file(group, files[i], text);
	}
}

static void create_groups(struct start *s)
{
	for (size_t i = 0; i < hierarchy_count; i++) {
		struct hierarchy *h = &hierarchies[i];
		must(mkdirat(h->base, s->group_name, 0755), "mkdir cgroup");
		s->group[i] = must(openat(h->base, s->group_name, O_PATH | O_DIRECTORY | O_CLOEXEC), "open cgroup");
		/* The accounting of swap can be off, and then its file isn't there. */
		for (size_t k = 0; k < LENGTH(h->settings) && h->settings[k][0]; k++)
			if (k == 0 || !strstr(h->settings[k][0], "sw") || !faccessat(s->group[i], h->settings[k][0], F_OK, 0))
				write_file(s->group[i], h->settings[k][0], h->settings[k][1]);
		inherit(h, s->group[i]);
	}
}

/* The writer of "0" joins by itself: `tasks` has no machine-wide lock, unlike cgroup.procs. */
static void join_groups(const struct start *s)
{
	for (size_t i = 0; i < hierarchy_count; i++)
		if (*hierarchies[i].controller)
			write_file(s->group[i], "tasks", "0");
}

static void remove_groups(struct start *s)
{
	char text[4096];
	for (size_t i = 0; i < hierarchy_count; i++) {
		for (const char **answer = hierarchies[i].answers; *answer; answer++)
			read_file(s->group[i], *answer, text, sizeof text);
		close(s->group[i]);
		while (unlinkat(hierarchies[i].base, s->group_name, AT_REMOVEDIR))
			if (errno != EBUSY)
				die("rmdir cgroup");
	}
}

/* ---- the root file system ---- */

static void bind_mount(const char *from, const char *to)
{
	must(mount(from, to, NULL, MS_BIND | MS_REC, NULL), to);
}

static void mount_kind(const char *kind, const char *to, unsigned long flags, const char *data)
{
	must(mount(kind, to, kind, flags, data), to);
}

/* Makes the rootfs a mount of its own, id-mapped with a user namespace, and stands in it. */
static void enter_rootfs(const struct start *s)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private /");
	if (asked.userns)
		must(syscall(SYS_move_mount, s->tree, "", AT_FDCWD, asked.rootfs, MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
	else
		bind_mount(asked.rootfs, asked.rootfs);
	must(chdir(asked.rootfs), "chdir rootfs");
}

/* As the first user of the namespace: what is created now must belong to an id that is mapped. */
static void become_root(void)
{
	must(syscall(SYS_setgroups, 0, NULL), "setgroups");
	must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
}

/* A throw-away layer on top of the rootfs, which the tmpfs that holds it is hidden under. */
static void mount_overlay(void)
{
	mount_kind("tmpfs", "tmp", MS_NOSUID | MS_NODEV, "mode=0755");
	must(mkdir("tmp/upper", 0755), "mkdir upper");
	must(mkdir("tmp/work", 0755), "mkdir work");
	mount_kind("overlay", ".", 0, "lowerdir=.,upperdir=tmp/upper,workdir=tmp/work");
	must(chdir(asked.rootfs), "chdir overlay");
}

static const struct {
	const char *path, *host;
	int major, minor;
} devices[] = {
	{"dev/null", "/dev/null", 1, 3},     {"dev/zero", "/dev/zero", 1, 5},       {"dev/full", "/dev/full", 1, 7},
	{"dev/random", "/dev/random", 1, 8}, {"dev/urandom", "/dev/urandom", 1, 9}, {"dev/tty", "/dev/tty", 5, 0},
};

static const char *const links[][2] = {
	{"/proc/self/fd", "dev/fd"},         {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
	{"/proc/self/fd/2", "dev/stderr"},   {"pts/ptmx", "dev/ptmx"},
};

/* A user namespace other than the first may not make devices: there they are bound. */
static void make_devices(void)
{
	for (size_t i = 0; i < LENGTH(devices); i++) {
		mode_t kind = asked.userns ? S_IFREG : S_IFCHR;
		dev_t number = asked.userns ? 0 : makedev(devices[i].major, devices[i].minor);
		must(mknod(devices[i].path, kind | 0666, number), devices[i].path);
		if (asked.userns)
			bind_mount(devices[i].host, devices[i].path);
	}
	for (size_t i = 0; i < LENGTH(links); i++)
		must(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_in_dev(const char *kind, const char *to, unsigned long flags, const char *data)
{
	must(mkdir(to, 0755), to);
	mount_kind(kind, to, flags, data);
}

/* The file systems and devices that every Linux container has: OCI runtime-spec, config-linux.md. */
static void mount_oci(void)
{
	const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	make_devices();
	mount_in_dev("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_in_dev("tmpfs", "dev/shm", quiet, "mode=1777,size=65536k");
	mount_in_dev("mqueue", "dev/mqueue", quiet, NULL);
	mount_kind("sysfs", "sys", quiet | MS_RDONLY, NULL);
}

static void mount_root(const struct start *s)
{
	enter_rootfs(s);
	if (asked.userns)
		become_root();
	if (asked.overlay)
		mount_overlay();
	mount_kind("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_kind("tmpfs", "dev", MS_NOSUID, "mode=0755,size=65536k");
	if (asked.oci)
		mount_oci();
}

/* pivot_root(2), "pivot_root(".", ".")": the old root comes to lie on top of the new one, and is taken away. */
static void pivot(void)
{
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount old root");
	must(chdir("/"), "chdir /");
}

/* Docker's lists: what the kernel shows to everyone in /proc and /sys. */
static const char *const masked_paths[] = {
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
	"/sys/devices/virtual/powercap", "/sys/devices/system/cpu/cpu0/thermal_throttle",
	"/sys/devices/system/cpu/cpu1/thermal_throttle",
};
static const char *const readonly_paths[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static void mask(const char *path)
{
	if (!mount("/dev/null", path, NULL, MS_BIND, NULL) || errno == ENOENT)
		return;
	if (errno != ENOTDIR)
		die(path);
	mount_kind("tmpfs", path, MS_RDONLY, "nr_blocks=1,nr_inodes=1");
}

static void make_readonly(const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (mount(path, path, NULL, MS_BIND | MS_REC, NULL)) {
		if (errno != ENOENT)
			die(path);
		return;
	}
	must(syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof attr), path);
}

static void protect_paths(void)
{
	for (size_t i = 0; i < LENGTH(masked_paths); i++)
		mask(masked_paths[i]);
	for (size_t i = 0; i < LENGTH(readonly_paths); i++)
		make_readonly(readonly_paths[i]);
}

/* ---- what the program may do ---- */

static void bring_lo_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	must(ioctl(fd, SIOCSIFFLAGS, &lo), "lo up");
	close(fd);
}

static void set_process(void)
{
	const struct rlimit files = {1024, 1024};
	must(setsid(), "setsid");
	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
	must(sethostname("floor", 5), "sethostname");
	must(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, NULL), "prlimit");
}

/* Docker's set without CAP_MKNOD. */
static const int kept_capabilities[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
	CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_AUDIT_WRITE, CAP_SETFCAP,
};

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	uint64_t kept = 0;
	for (size_t i = 0; i < LENGTH(kept_capabilities); i++)
		kept |= 1ULL << kept_capabilities[i];
	for (int cap = 0; cap < 64; cap++)
		if (!(kept >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) && errno == EINVAL)
			break; /* beyond the last one that this kernel knows */
	const struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
		{.effective = kept >> 32, .permitted = kept >> 32},
	};
	must(syscall(SYS_capset, &header, data), "capset");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient");
}

/* What Docker's profile refuses without further capabilities, by name: numbers differ between architectures. */
static const unsigned refused[] = {
	SYS_acct, SYS_add_key, SYS_bpf, SYS_clock_adjtime, SYS_clock_settime, SYS_clone3, SYS_delete_module,
	SYS_fanotify_init, SYS_finit_module, SYS_fsconfig, SYS_fsmount, SYS_fsopen, SYS_fspick, SYS_get_mempolicy,
	SYS_init_module, SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, SYS_kcmp, SYS_kexec_file_load,
	SYS_kexec_load, SYS_keyctl, SYS_lookup_dcookie, SYS_mbind, SYS_migrate_pages, SYS_mount, SYS_mount_setattr,
	SYS_move_mount, SYS_move_pages, SYS_nfsservctl, SYS_open_by_handle_at, SYS_open_tree, SYS_perf_event_open,
	SYS_personality, SYS_pivot_root, SYS_process_vm_readv, SYS_process_vm_writev, SYS_quotactl, SYS_quotactl_fd,
	SYS_reboot, SYS_request_key, SYS_set_mempolicy, SYS_set_mempolicy_home_node, SYS_setdomainname,
	SYS_sethostname, SYS_setns, SYS_settimeofday, SYS_swapoff, SYS_swapon, SYS_syslog, SYS_umount2, SYS_unshare,
	SYS_userfaultfd, SYS_vhangup,
#ifdef SYS_iopl /* x86 */
	SYS_afs_syscall, SYS_create_module, SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_get_kernel_syms, SYS_getpmsg,
	SYS_ioperm, SYS_iopl, SYS_putpmsg, SYS_query_module, SYS_security, SYS_sysfs, SYS_tuxcall, SYS_uselib,
	SYS_ustat, SYS_vserver, SYS__sysctl,
#endif
};
#define FIRST_UNKNOWN_CALL 470 /* newer than the profile: ENOSYS, so that programs fall back */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static struct sock_filter filter[1024];
static struct sock_fprog program = {.filter = filter};

/* System calls are answered in ranges: from `first` up to the next range's first. */
static struct range {
	unsigned first, action;
} ranges[2 * LENGTH(refused) + 2];

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return (x > y) - (x < y);
}

static size_t collect_ranges(void)
{
	unsigned numbers[LENGTH(refused)];
	size_t n = 1;
	memcpy(numbers, refused, sizeof refused);
	qsort(numbers, LENGTH(numbers), sizeof numbers[0], by_number);
	ranges[0] = (struct range){0, SECCOMP_RET_ALLOW};
	for (size_t i = 0; i < LENGTH(numbers); i++) {
		if (ranges[n - 1].first == numbers[i])
			n--; /* next to the one before: one range */
		else
			ranges[n++] = (struct range){numbers[i], SECCOMP_RET_ERRNO | EPERM};
		ranges[n++] = (struct range){numbers[i] + 1, SECCOMP_RET_ALLOW};
	}
	ranges[n++] = (struct range){FIRST_UNKNOWN_CALL, SECCOMP_RET_ERRNO | ENOSYS};
	return n;
}

static void emit(struct sock_filter instruction)
{
	filter[program.len++] = instruction;
}

/* A balanced tree: the kernel runs a new filter once for every system call number, so its depth is what it costs. */
static void emit_tree(size_t from, size_t to)
{
	if (to - from == 1) {
		emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, ranges[from].action));
		return;
	}
	size_t middle = (from + to) / 2;
	unsigned left = 2 * (middle - from) - 1; /* instructions of a tree over so many ranges */
	emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[middle].first, left, 0));
	emit_tree(from, middle);
	emit_tree(middle, to);
}

static void compile_filter(void)
{
	emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	emit_tree(0, collect_ranges());
}

static void restrict_process(void)
{
	bring_lo_up();
	protect_paths();
	set_process();
	drop_capabilities();
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

/* ---- the two halves ---- */

static long futex(atomic_int *word, int operation, int value)
{
	return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* The parent may die before it opens it. */
static void wait_for_gate(struct start *s)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
	while (!atomic_load(&s->gate))
		futex(&s->gate, FUTEX_WAIT_PRIVATE, 0);
}

static void open_gate(struct start *s)
{
	atomic_store(&s->gate, 1);
	futex(&s->gate, FUTEX_WAKE_PRIVATE, 1);
}

static long clone_into(struct clone_args *args, void (*run)(void *), void *argument);

static _Noreturn void execute(void *argument)
{
	static char *const once[] = {"/bin/true", NULL}, *const for_long[] = {"/bin/sleep", "1000000", NULL};
	static char *const environment[] = {"PATH=/bin", NULL};
	char *const *arguments = asked.hold ? for_long : once;
	(void)argument;
	if (asked.oci)
		restrict_process();
	execve(arguments[0], arguments, environment);
	die(arguments[0]);
}

/* An init, which stays in this memory: process 1 that forks the program, and has no more to do. */
static _Noreturn void be_init(struct start *s)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)s->stack, /* ours is at its other end */
		.stack_size = STACK_SIZE / 2,
	};
	must(clone_into(&args, execute, s), "clone3");
	atomic_store(&s->shared, 0);
	futex(&s->shared, FUTEX_WAKE, 1);
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

static _Noreturn void child(void *argument)
{
	struct start *s = argument;
	if (asked.userns)
		wait_for_gate(s);
	if (asked.limits)
		join_groups(s);
	mount_root(s);
	pivot();
	if (asked.watch)
		be_init(s);
	execute(s);
}

/* clone3 with a stack: the child begins in `run`, the parent comes back with its pid. libc has no such call. */
static long clone_into(struct clone_args *args, void (*run)(void *), void *argument)
{
#if defined(__x86_64__)
	register void *r12 __asm__("r12") = (void *)run;
	register void *r13 __asm__("r13") = argument;
	long rc;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "1:"
			 : "=a"(rc)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long rc __asm__("x0") = (long)args;
	register long size __asm__("x1") = sizeof *args;
	register long number __asm__("x8") = SYS_clone3;
	register void *x9 __asm__("x9") = (void *)run;
	register void *x10 __asm__("x10") = argument;
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x10\n\t"
			 "blr x9\n\t"
			 "1:"
			 : "+r"(rc)
			 : "r"(size), "r"(number), "r"(x9), "r"(x10)
			 : "memory", "cc");
#endif
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

static pid_t spawn(struct start *s)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FILES | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC
			| CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_CHILD_CLEARTID,
		.child_tid = (uintptr_t)&s->shared,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)s->stack,
		.stack_size = STACK_SIZE,
	};
	/* With a user namespace the parent has to map ids meanwhile, so it may not be suspended. */
	args.flags |= asked.userns ? CLONE_NEWUSER : CLONE_VFORK;
	for (size_t i = 0; i < hierarchy_count; i++)
		if (!*hierarchies[i].controller) {
			args.flags |= CLONE_INTO_CGROUP;
			args.cgroup = s->group[i];
		}
	return must(clone_into(&args, child, s), "clone3");
}

/* ---- what stays beside one that is held ---- */

static _Noreturn void watch(void *argument)
{
	struct start *s = argument;
	char *const arguments[] = {(char *)asked.watch, NULL}, *const environment[] = {NULL};
	must(syscall(SYS_dup3, s->watched[0], STDIN_FILENO, 0), "dup3");
	must(syscall(SYS_close_range, 3, ~0U, 0), "close_range");
	execve(asked.watch, arguments, environment);
	die(asked.watch);
}

static _Noreturn void orphan(void *argument)
{
	struct start *s = argument;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)s->stack,
		.stack_size = STACK_SIZE / 2, /* ours is in the other half */
	};
	must(clone_into(&args, watch, s), "clone3");
	_exit(0);
}

static int reap(pid_t pid);

static void hire(struct start *s)
{
	struct start apart = {.stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)apart.stack,
		.stack_size = STACK_SIZE,
	};
	must(pipe2(s->watched, O_CLOEXEC), "pipe2");
	apart.watched[0] = s->watched[0];
	reap(must(clone_into(&args, orphan, &apart), "clone3"));
	close(s->watched[0]);
	munmap(apart.stack, STACK_SIZE);
}

/* ---- into a container that is there ---- */

static _Noreturn void executed(void *argument)
{
	static char *const arguments[] = {"true", NULL}, *const environment[] = {"PATH=/bin", NULL};
	(void)argument;
	become_root();
	must(setsid(), "setsid");
	drop_capabilities();
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
	execve("/bin/true", arguments, environment);
	die("execve /bin/true");
}

static bool is_unified(const char *group)
{
	struct statfs fs;
	must(statfs(group, &fs), group);
	return fs.f_type == CGROUP2_SUPER_MAGIC;
}

static _Noreturn void joining(void *argument)
{
	struct start *s = argument;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PARENT,
		.stack = (uintptr_t)s->stack + STACK_SIZE / 2, /* ours is in the other half */
		.stack_size = STACK_SIZE / 2,
	};
	char path[PATH_MAX];
	for (char **group = asked.groups; *group; group++) {
		if (is_unified(*group))
			continue;
		snprintf(path, sizeof path, "%s/tasks", *group);
		write_file(AT_FDCWD, path, "0");
	}
	must(setns(s->container, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET
		| (asked.userns ? CLONE_NEWUSER : 0)), "setns");
	must(clone_into(&args, executed, s), "clone3");
	_exit(0);
}

static void find_container(struct start *s)
{
	s->container = must(syscall(SYS_pidfd_open, asked.inside, 0), "pidfd_open");
	s->place = -1;
	for (char **group = asked.groups; *group; group++)
		if (is_unified(*group))
			s->place = must(open(*group, O_PATH | O_DIRECTORY | O_CLOEXEC), *group);
}

static void exec_once(struct start *s)
{
	find_container(s);
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)s->stack,
		.stack_size = STACK_SIZE / 2,
	};
	if (s->place >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = s->place;
	}
	must(clone_into(&args, joining, s), "clone3");
	for (int status, left = 2; left; left--) {
		while (wait(&status) < 0)
			if (errno != EINTR)
				die("wait");
		if (status) {
			dprintf(STDERR_FILENO, "floor: /bin/true ended with wait status %#x\n", status);
			exit(EXIT_FAILURE);
		}
	}
	close(s->container);
	if (s->place >= 0)
		close(s->place);
}

/* 65,536 ids from 524288 on, for the process and, by an id-mapped mount (kernel 5.12), for the rootfs. */
static void map_ids(struct start *s, pid_t pid)
{
	static const char map[] = "0 524288 65536";
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
	write_file(AT_FDCWD, path, map);
	snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
	write_file(AT_FDCWD, path, map);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	int userns = must(open(path, O_RDONLY | O_CLOEXEC), path);
	/* Private, or it would be a peer of the mount that it is a copy of, and pivot_root refuses such a one. */
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .propagation = MS_PRIVATE, .userns_fd = userns};
	s->tree = must(syscall(SYS_open_tree, AT_FDCWD, asked.rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), "open_tree");
	must(syscall(SYS_mount_setattr, s->tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "idmap rootfs");
	close(userns);
}

static int reap(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	return status;
}

static void begin(struct start *s)
{
	atomic_store(&s->gate, 0);
	atomic_store(&s->shared, 1);
	if (asked.limits)
		create_groups(s);
	s->pid = spawn(s);
	if (asked.userns) {
		map_ids(s, s->pid);
		open_gate(s);
	}
}

static void start_once(struct start *s)
{
	begin(s);
	int status = reap(s->pid);
	if (asked.userns)
		close(s->tree);
	if (asked.limits)
		remove_groups(s);
	if (status) {
		dprintf(STDERR_FILENO, "floor: /bin/true ended with wait status %#x\n", status);
		exit(EXIT_FAILURE);
	}
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *new_stack(void)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		die("mmap");
	return stack;
}

static void *worker(void *times)
{
	struct start s = {.stack = new_stack()};
	snprintf(s.group_name, sizeof s.group_name, "pycgroups-floor-%d", gettid());
	for (int64_t *time = times; time < (int64_t *)times + asked.count; time++) {
		int64_t begin = now();
		if (asked.inside)
			exec_once(&s);
		else
			start_once(&s);
		*time = now() - begin;
	}
	munmap(s.stack, STACK_SIZE);
	return NULL;
}

/* A child that shares the memory without suspending the parent leaves it by its exec, or its end. */
static void wait_for_exec(struct start *s)
{
	while (atomic_load(&s->shared))
		futex(&s->shared, FUTEX_WAIT, 1); /* the kernel's wake-up is not a private one */
}

static void hold_all(struct start *starts, int64_t *times)
{
	char *stack = new_stack();
	for (int i = 0; i < asked.count; i++) {
		struct start *s = &starts[i];
		s->stack = stack;
		snprintf(s->group_name, sizeof s->group_name, "pycgroups-floor-%d-%d", getpid(), i);
		if (asked.watch)
			s->stack = new_stack();
		int64_t begun = now();
		begin(s);
		if (asked.watch)
			hire(s);
		wait_for_exec(s);
		times[i] = now() - begun;
		if (asked.userns)
			close(s->tree);
	}
	munmap(stack, STACK_SIZE);
}

/* False if one had ended by itself. */
static bool end_all(struct start *starts)
{
	bool all_ran = true;
	for (int i = 0; i < asked.count; i++)
		must(kill(starts[i].pid, SIGKILL), "kill");
	for (int i = 0; i < asked.count; i++)
		all_ran &= reap(starts[i].pid) == SIGKILL;
	for (int i = 0; i < asked.count && asked.limits; i++)
		remove_groups(&starts[i]);
	return all_ran;
}

static void print_times(const int64_t *times, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%lld\n", (long long)times[i]);
	fflush(stdout);
}

/* In this thread, not in a worker: the sleepers die with the one that has started them. */
static void hold(int64_t *times)
{
	struct start *starts = calloc(asked.count, sizeof *starts);
	char rest[64];
	if (!starts)
		die("calloc");
	hold_all(starts, times);
	print_times(times, asked.count);
	while (read(STDIN_FILENO, rest, sizeof rest) > 0)
		continue;
	int64_t begun = now(), took;
	bool all_ran = end_all(starts);
	took = now() - begun;
	free(starts);
	if (!all_ran) {
		fputs("floor: a sleeper ended by itself\n", stderr);
		exit(EXIT_FAILURE);
	}
	print_times(&took, 1);
}

static void run_workers(int64_t *times)
{
	pthread_t threads[asked.threads];
	for (int i = 0; i < asked.threads; i++)
		if (pthread_create(&threads[i], NULL, worker, times + (size_t)i * asked.count))
			die("pthread_create");
	for (int i = 0; i < asked.threads; i++)
		pthread_join(threads[i], NULL);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"net", no_argument, NULL, 'n'},           {"oci", no_argument, NULL, 'o'},
		{"overlay", no_argument, NULL, 'v'},       {"limits", no_argument, NULL, 'l'},
		{"userns", no_argument, NULL, 'u'},        {"threads", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'c'},   {"exec", required_argument, NULL, 'e'},
		{"hold", no_argument, NULL, 'h'},          {"every", no_argument, NULL, 'a'},
		{"watch", required_argument, NULL, 'w'},   {0},
	};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'n': asked.net = true; break;
		case 'o': asked.net = asked.oci = true; break;
		case 'v': asked.overlay = true; break;
		case 'l': asked.limits = true; break;
		case 'u': asked.userns = true; break;
		case 'h': asked.hold = true; break;
		case 'a': asked.every = true; break;
		case 'w': asked.watch = optarg; break;
		case 't': asked.threads = atoi(optarg); break;
		case 'c': asked.count = atoi(optarg); break;
		case 'e': asked.inside = atoi(optarg); break;
		}
	}
	asked.groups = argv + optind;
	if (asked.inside > 0 && asked.threads == 1 && asked.count > 0)
		return;
	bool can_hold = asked.oci && asked.threads == 1; /* --oci has them die with this process */
	if (optind != argc - 1 || !asked.net || asked.threads < 1 || asked.count < 1 || (asked.hold && !can_hold)) {
		fputs("usage: floor --net|--oci [--overlay] [--limits] [--userns] [--threads N] [--count N] ROOTFS\n"
		      "       floor --hold --oci [--overlay] [--limits [--every]] [--userns] [--watch PROGRAM] [--count N] ROOTFS\n"
		      "       floor --exec PID [--userns] [--count N] CGROUP...\n", stderr);
		exit(2);
	}
	asked.rootfs = argv[optind];
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	size_t total = (size_t)asked.threads * asked.count;
	int64_t *times = calloc(total, sizeof *times);
	if (!times)
		die("calloc");
	umask(0); /* the modes of /dev are meant as they are written */
	compile_filter();
	if (asked.limits)
		find_hierarchies();
	if (asked.every && !is_v2())
		find_others();
	if (asked.hold) {
		hold(times);
	} else {
		run_workers(times);
		print_times(times, total);
	}
	free(times);
	return 0;
}
