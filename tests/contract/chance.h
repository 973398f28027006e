/* contract/chance.h - random numbers for the suites, the same ones for a seed on every machine (splitmix64). */
#ifndef CONTRACT_CHANCE_H
#define CONTRACT_CHANCE_H

#include <stdint.h>

typedef struct chance {
    uint64_t state;
} chance;

static inline void chance_seed(chance *c, uint64_t seed) { c->state = seed; }

/* 0 .. bound - 1; the bounds of tests are small, so that the remainder favours none of them noticeably. */
static inline uint64_t chance_below(chance *c, uint64_t bound) {
    uint64_t z = c->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

#endif
