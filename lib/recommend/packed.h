/* recommend/packed.h - walking packed entries (reco/plugin/board.h) where they lie. */
#ifndef RECO__PACKED_H
#define RECO__PACKED_H

#include "base/base.h"

static inline uint32_t reco__packed_u32(const uint8_t *in) {
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* One packed list being walked. */
typedef struct reco__packed {
    const uint8_t *at, *end;
    uint32_t member;
    int64_t sum;
    bool bad; /* the bytes are no packed list; the walk ended there */
} reco__packed;

static inline reco__packed reco__packed_of(const void *data, size_t size) {
    const uint8_t *at = data;
    reco__packed list = {at, size > 0 ? at + size : at, 0, 0, false}; /* NULL is not added to */
    return list;
}

/* The next entry into member and sum; false at the end, or where the bytes are bad. */
static inline bool reco__packed_next(reco__packed *list) {
    uint64_t value = 0;
    unsigned shift = 0;

    if (list->at == list->end) {
        return false;
    }
    if (list->end - list->at < 5) {
        list->bad = true;
        list->at = list->end;
        return false;
    }
    list->member = reco__packed_u32(list->at);
    list->at += 4;
    for (;;) {
        uint8_t byte = *list->at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        shift += 7;
        if (byte < 0x80) {
            break;
        }
        if (list->at == list->end || shift > 63) {
            list->bad = true;
            list->at = list->end;
            return false;
        }
    }
    list->sum = reco__zigzag_decode(value);
    return true;
}

#endif
