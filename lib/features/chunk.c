/* chunk.c - changes to packed lists of entries without unpacking them.
 *
 * A batch touches a few members of a chunk of some hundreds. So the list is walked, not decoded: entries before the next member touched are skipped
 * by the length of their varint alone and copied as one run; only touched entries are read and written. */
#include "features/chunk.h"

/* The entry after the one at `in`; NULL when it is cut off. The lengths that occur are told apart by branches that are easily foreseen, so that the
 * walk does not wait for each load. */
static inline const uint8_t *next_entry(const uint8_t *in, const uint8_t *end) {
    if (end - in >= 8) {
        if (in[4] < 0x80) {
            return in + 5;
        }
        if (in[5] < 0x80) {
            return in + 6;
        }
        if (in[6] < 0x80) {
            return in + 7;
        }
    }
    uint64_t value;
    return end - in < 5 ? NULL : reco__varint_get_slow(&value, in + 4, end);
}

/* The first entry at or after `in` with a member >= `member`, or `end`; NULL when the list is damaged. */
static inline const uint8_t *skip_to(const uint8_t *in, const uint8_t *end, uint32_t member) {
    while (in && in < end) {
        if (end - in < 5) {
            return NULL;
        }
        if (reco__load32(in) >= member) {
            return in;
        }
        in = next_entry(in, end);
    }
    return in;
}

static inline uint8_t *copy_run(uint8_t *out, const uint8_t *from, const uint8_t *to) {
    memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

reco_status reco__chunk_add(size_t *size, uint8_t *out, int64_t *totals, const uint8_t *in, size_t in_size, const reco_add *adds, size_t count) {
    uint8_t *to = out;
    if (in_size == 0) {
        in = out; /* an empty list may be given as NULL, which skip_to answers for damage */
    }
    const uint8_t *at = in, *end = in + in_size, *run = in;
    for (size_t i = 0; i < count; i++) {
        at = skip_to(at, end, adds[i].member);
        if (!at) {
            return RECO_CORRUPT;
        }
        int64_t total = adds[i].delta;
        if (run < at) {
            to = copy_run(to, run, at);
        }
        if (at < end && reco__load32(at) == adds[i].member) {
            uint64_t value;
            at = reco__varint_get(&value, at + 4, end);
            if (!at) {
                return RECO_CORRUPT;
            }
            total = reco__sum_add(total, reco__zigzag_decode(value));
        }
        if (total != 0) {
            to = reco__entry_put(to, adds[i].member, total);
        }
        run = at;
        totals[i] = total;
    }
    if (run < end) {
        to = copy_run(to, run, end);
    }
    *size = (size_t)(to - out);
    return RECO_OK;
}

reco_status reco__chunk_look_up(int64_t *totals, size_t *next, const uint32_t *members, size_t count, const uint8_t *in, size_t in_size) {
    const uint8_t *at = in, *end = in + in_size;
    while (*next < count) {
        at = skip_to(at, end, members[*next]);
        if (!at) {
            return RECO_CORRUPT;
        }
        if (at == end) {
            return RECO_OK;
        }
        if (reco__load32(at) == members[*next]) {
            uint64_t value;
            if (!reco__varint_get(&value, at + 4, end)) {
                return RECO_CORRUPT;
            }
            totals[*next] = reco__sum_add(totals[*next], reco__zigzag_decode(value));
        }
        (*next)++;
    }
    return RECO_OK;
}

size_t reco__chunk_piece(uint32_t *last, const uint8_t *in, size_t in_size, size_t target) {
    const uint8_t *at = in, *end = in + in_size;
    *last = 0;
    while (at && at < end) {
        const uint8_t *next = next_entry(at, end);
        if (!next || ((size_t)(next - in) > target && at > in)) {
            break;
        }
        *last = reco__load32(at);
        at = next;
    }
    return at ? (size_t)(at - in) : in_size;
}
