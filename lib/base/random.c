/* base/random.c - chance from the kernel, and chance that repeats. */
#include <errno.h>
#include <sys/random.h>

#include "base/base.h"

reco_status reco__random_bytes(void *out, size_t size, reco_error *err) {
    uint8_t *at = out;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return reco__fail_errno(err, got < 0 ? errno : EIO, "getrandom");
        }
        at += got;
        size -= (size_t)got;
    }
    return RECO_OK;
}

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void reco__rand_seed(reco__rand *rand, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        rand->s[i] = splitmix(&seed);
    }
}

static inline uint64_t left(uint64_t x, unsigned by) { return x << by | x >> (64 - by); }

uint64_t reco__rand_next(reco__rand *rand) {
    uint64_t *s = rand->s, result = left(s[1] * 5, 7) * 9, shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = left(s[3], 45);
    return result;
}

/* The high half of a 128-bit product; the few low halves that would favour some results are thrown again. */
uint64_t reco__rand_below(reco__rand *rand, uint64_t bound) {
    unsigned __int128 product = (unsigned __int128)reco__rand_next(rand) * bound;

    if ((uint64_t)product < bound) {
        uint64_t unfair = -bound % bound;
        while ((uint64_t)product < unfair) {
            product = (unsigned __int128)reco__rand_next(rand) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

double reco__rand_unit(reco__rand *rand) { return (double)(reco__rand_next(rand) >> 11) * 0x1.0p-53; }
