/* tests/integration/world.c - put before a program with LD_PRELOAD, it makes the world around it worse while files beside $TEST_WORLD say so:
 * ".clock" puts the wall clock an hour ahead, ".disk" makes files that are written fail (EIO). */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool is(const char *what) {
    char path[1024];
    const char *world = getenv("TEST_WORLD");
    int before = errno;
    bool there = world && snprintf(path, sizeof path, "%s.%s", world, what) < (int)sizeof path && access(path, F_OK) == 0;
    errno = there ? EIO : before;
    return there;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return is("disk") ? -1 : syscall(SYS_pwrite64, fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return is("disk") ? -1 : syscall(SYS_pwritev, fd, parts, count, at, (off_t)0);
}
int fdatasync(int fd) { return is("disk") ? -1 : (int)syscall(SYS_fdatasync, fd); }

int clock_gettime(clockid_t clock, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, clock, out);
    if (failed == 0 && clock == CLOCK_REALTIME && is("clock"))
        out->tv_sec += 3600;
    return failed;
}
