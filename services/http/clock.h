/* http/clock.h - clocks, for all programs. */
#ifndef HTTP_CLOCK_H
#define HTTP_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t http_clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for the clocks that every Linux has */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What deadlines and intervals are counted by. */
static inline int64_t http_monotonic_ns(void) { return http_clock_ns(CLOCK_MONOTONIC); }
/* Milliseconds since 1970. */
static inline int64_t http_wall_ms(void) { return http_clock_ns(CLOCK_REALTIME) / 1000000; }

#endif
