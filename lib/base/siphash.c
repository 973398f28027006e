/* base/siphash.c - SipHash-2-4: a keyed hash short enough to sign a recommendation id. */
#include "base/base.h"

typedef struct sip {
    uint64_t a, b, c, d;
} sip;

static inline uint64_t left(uint64_t x, unsigned by) { return x << by | x >> (64 - by); }

static inline uint64_t little64(const uint8_t *in) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

static inline void sip_rounds(sip *s, int rounds) {
    while (rounds-- > 0) {
        s->a += s->b;
        s->c += s->d;
        s->b = left(s->b, 13) ^ s->a;
        s->d = left(s->d, 16) ^ s->c;
        s->a = left(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = left(s->b, 17) ^ s->c;
        s->d = left(s->d, 21) ^ s->a;
        s->c = left(s->c, 32);
    }
}

static inline void sip_word(sip *s, uint64_t word) {
    s->d ^= word;
    sip_rounds(s, 2);
    s->a ^= word;
}

uint64_t reco__siphash24(const uint8_t key[16], const void *data, size_t size) {
    const uint64_t k0 = little64(key), k1 = little64(key + 8);
    const uint8_t *at = data;
    size_t left_over = size % 8;
    uint64_t last = (uint64_t)size << 56;
    sip s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d), k0 ^ UINT64_C(0x6c7967656e657261),
             k1 ^ UINT64_C(0x7465646279746573)};

    for (size_t words = size / 8; words > 0; words--, at += 8) {
        sip_word(&s, little64(at));
    }
    for (size_t i = 0; i < left_over; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    sip_word(&s, last);
    s.c ^= 0xff;
    sip_rounds(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}
