/* features/varint.h - the varints of rows and heads, inlined where every nanosecond of them counts. */
#ifndef RECO__FEATURES_VARINT_H
#define RECO__FEATURES_VARINT_H

#include "base/base.h"

#define RECO__VARINT_MAX 10u

static inline uint32_t reco__load32(const uint8_t *in) {
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24; /* one load where the machine is little-endian */
}

static inline void reco__store32(uint8_t *out, uint32_t value) {
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
}

/* Writes LEB128; room for RECO__VARINT_MAX bytes. Returns the place after it. */
static inline uint8_t *reco__varint_put(uint8_t *out, uint64_t value) {
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Reads one of any length between `in` and `end`; NULL when it is cut off, longer than 64 bits or not in its shortest form. */
const uint8_t *reco__varint_get_slow(uint64_t *value, const uint8_t *in, const uint8_t *end);

/* The same; the common lengths of one to three bytes are decoded here. */
static inline const uint8_t *reco__varint_get(uint64_t *value, const uint8_t *in, const uint8_t *end) {
    if (end - in >= 3) {
        uint32_t a = in[0], b = in[1], c = in[2];
        if (a < 0x80) {
            *value = a;
            return in + 1;
        }
        if (b < 0x80 && b != 0) {
            *value = (a & 0x7f) | b << 7;
            return in + 2;
        }
        if (b >= 0x80 && c < 0x80 && c != 0) {
            *value = (a & 0x7f) | (b & 0x7f) << 7 | c << 14;
            return in + 3;
        }
    }
    return reco__varint_get_slow(value, in, end);
}

/* One packed entry: u32 member, zigzag sum. */
static inline uint8_t *reco__entry_put(uint8_t *out, uint32_t member, int64_t sum) {
    reco__store32(out, member);
    return reco__varint_put(out + 4, reco__zigzag_encode(sum));
}

static inline const uint8_t *reco__entry_get(uint32_t *member, int64_t *sum, const uint8_t *in, const uint8_t *end) {
    if (end - in < 5) {
        return NULL;
    }
    uint64_t value;
    *member = reco__load32(in);
    in = reco__varint_get(&value, in + 4, end);
    *sum = reco__zigzag_decode(value);
    return in;
}

/* Sums wrap around instead of overflowing: the result is the same everywhere, in any order. */
static inline int64_t reco__sum_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static inline int64_t reco__sum_times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

#endif
