/*
 * How long does a thread stand still while another one starts containers?
 *
 * `watch` is called in a thread of its own (ctypes lets go of the GIL): every 100 us it wakes up, gives a page back and
 * touches it again. That needs the lock of the address space, which a fork of a big process holds for tens of
 * milliseconds. It keeps the longest time that one round took longer than it should.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#define PERIOD_NS 100000

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Watches until `stop` is set; the longest delay, in nanoseconds. */
int64_t watch(atomic_int *stop)
{
	const struct timespec period = {.tv_nsec = PERIOD_NS};
	int64_t longest = 0;
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -1;
	while (!atomic_load(stop)) {
		int64_t begin = now();
		nanosleep(&period, 0);
		madvise(page, 4096, MADV_DONTNEED);
		*(volatile char *)page = 1;
		int64_t delay = now() - begin - PERIOD_NS;
		longest = delay > longest ? delay : longest;
	}
	munmap(page, 4096);
	return longest;
}
