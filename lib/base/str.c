/* base/str.c - strings: order, UTF-8, ids. */
#include "base/base.h"
#include "base/utf8.h"

#define ID_SIZE_MAX 256

int reco__str_compare(reco_str a, reco_str b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* True when all eight bytes are ASCII and none is NUL: ids mostly are. */
static inline bool eight_plain(const uint8_t *at) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    uint64_t word;
    memcpy(&word, at, 8);
    return ((word | (word - ones)) & highs) == 0; /* with all high bits clear, subtracting borrows into one only from a zero byte */
}

bool reco__utf8_valid(const char *data, size_t size) {
    const uint8_t *at = (const uint8_t *)data, *end = size ? at + size : at; /* NULL has no end */

    while (at < end) {
        if (end - at >= 8 && eight_plain(at)) {
            at += 8;
            continue;
        }
        size_t step = reco__utf8_sequence(at, end);
        if (step == 0 || *at == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

reco_status reco__check_id(reco_str id, int32_t index, const char *field, reco_error *err) {
    if (!id.data || id.size == 0) {
        return reco__fail_at(err, RECO_INVALID, index, field, "%s is missing or empty", field);
    }
    if (id.size > ID_SIZE_MAX) {
        return reco__fail_at(err, RECO_TOO_LARGE, index, field, "%s has %zu bytes, more than %d", field, id.size, ID_SIZE_MAX);
    }
    if (!reco__utf8_valid(id.data, id.size)) {
        return reco__fail_at(err, RECO_INVALID, index, field, "%s is not valid UTF-8 without NUL", field);
    }
    return RECO_OK;
}
