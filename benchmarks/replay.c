/*
 * The floor of what is done to files: the same system calls with nothing around them.
 *
 *     replay COUNT OPERATION...       prints nanoseconds of each round of all operations, one a line
 *
 *     mkdir PATH      rmdir PATH      write PATH TEXT      read PATH (to its end, as cat does)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void must(int done, const char *what, const char *path)
{
	if (done)
		return;
	fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void write_file(const char *path, const char *text)
{
	ssize_t size = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && write(fd, text, size) == size, "write", path);
	close(fd);
}

static void read_file(const char *path)
{
	char text[16384];
	ssize_t size = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, "open", path);
	while ((size = read(fd, text, sizeof text)) > 0)
		;
	must(size == 0, "read", path);
	close(fd);
}

/* Performs the operation at `words`; the number of words that it has. */
static int perform(char **words)
{
	const char *what = words[0], *path = words[1];
	if (!strcmp(what, "write")) {
		write_file(path, words[2]);
		return 3;
	}
	if (!strcmp(what, "mkdir"))
		must(!mkdir(path, 0755), what, path);
	else if (!strcmp(what, "rmdir"))
		must(!rmdir(path), what, path);
	else
		read_file(path);
	return 2;
}

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: replay COUNT OPERATION...\n");
		return 2;
	}
	for (int i = atoi(argv[1]); i > 0; i--) {
		long start = now();
		for (char **words = argv + 2; words < argv + argc;)
			words += perform(words);
		printf("%ld\n", now() - start);
	}
	return 0;
}
