/* board.c - the arithmetic of boards: generations and clocks, the cut, the order of answers, packed rows, the frame of a head.
 *
 * Everything here is a function of its arguments. Backends and the derivation share it, so that there is one place where a tie is broken and one
 * where a generation closes. Division rounds down and time begins at 0; sums wrap around rather than overflow.
 *
 * The cut finds the n-th largest sum by selection, then settles only the entries that tie with it by their names: reading a name's hash is a cache
 * miss, and most entries never need it. Pivots come from a small fixed generator, so that no input pattern is slow by accident and equal inputs take
 * equal steps. */
#include <reco/plugin/board.h>

#include "features/varint.h"

/* --- generations ---------------------------------------------------------------------------------------------------------------------- */

int64_t reco_board_generation(const reco_board_rules *rules, uint32_t board, int64_t t_ms) { return t_ms <= 0 ? 0 : t_ms / rules->length[board]; }

int64_t reco_board_oldest_open(const reco_board_rules *rules, uint32_t board, int64_t r_ms) {
    int64_t slack = rules->lateness + rules->skew;
    return r_ms <= slack ? 0 : (r_ms - slack) / rules->length[board];
}

int64_t reco_board_newest_closed(const reco_board_rules *rules, uint32_t board, int64_t c_ms) {
    return reco_board_oldest_open(rules, board, c_ms) - 1;
}

int reco_board_expired(const reco_board_rules *rules, uint32_t board, int64_t generation, int64_t newest_closed) {
    return generation <= newest_closed - (int64_t)rules->kept[board];
}

/* --- order ---------------------------------------------------------------------------------------------------------------------------- */

typedef bool (*entry_before)(const reco_board_names *names, const reco_entry *a, const reco_entry *b);

static bool name_before(const reco_board_names *names, const reco_entry *a, const reco_entry *b) {
    uint64_t hash_a = names->hash(names->context, a->member), hash_b = names->hash(names->context, b->member);
    return hash_a != hash_b ? hash_a < hash_b : names->compare(names->context, a->member, b->member) < 0;
}

static bool rank_before(const reco_board_names *names, const reco_entry *a, const reco_entry *b) {
    return a->sum != b->sum ? a->sum > b->sum : name_before(names, a, b);
}

static bool sum_before(const reco_board_names *names, const reco_entry *a, const reco_entry *b) {
    (void)names;
    return a->sum > b->sum;
}

static bool member_before(const reco_board_names *names, const reco_entry *a, const reco_entry *b) {
    (void)names;
    return a->member < b->member;
}

static inline void swap(reco_entry *a, reco_entry *b) {
    reco_entry t = *a;
    *a = *b;
    *b = t;
}

/* Splits [low, high] (at least two entries) in two non-empty parts, none of the right one before any of the left one; returns the last of the left
 * part. */
static inline __attribute__((always_inline)) size_t split(reco_entry *entries, size_t low, size_t high, uint64_t *chance,
                                                          const reco_board_names *names, entry_before before) {
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    swap(&entries[low], &entries[low + (size_t)(((*chance >> 32) * (uint64_t)(high - low)) >> 32)]);
    reco_entry pivot = entries[low];
    size_t i = low - 1, j = high + 1;
    for (;;) {
        do {
            i++;
        } while (before(names, &entries[i], &pivot));
        do {
            j--;
        } while (before(names, &pivot, &entries[j]));
        if (i >= j) {
            return j;
        }
        swap(&entries[i], &entries[j]);
    }
}

static inline __attribute__((always_inline)) void insertion(reco_entry *entries, size_t low, size_t high, const reco_board_names *names,
                                                            entry_before before) {
    for (size_t i = low + 1; i <= high; i++) {
        reco_entry entry = entries[i];
        size_t j = i;
        for (; j > low && before(names, &entry, &entries[j - 1]); j--) {
            entries[j] = entries[j - 1];
        }
        entries[j] = entry;
    }
}

static inline __attribute__((always_inline)) void sort(reco_entry *entries, size_t count, const reco_board_names *names, entry_before before) {
    if (count < 2) {
        return;
    }
    size_t low[64], high[64], depth = 1; /* the larger part is put aside, so that the depth stays below log2(count) */
    uint64_t chance = count;
    low[0] = 0;
    high[0] = count - 1;
    while (depth > 0) {
        size_t a = low[depth - 1], b = high[depth - 1];
        depth--;
        while (b - a > 12) {
            size_t middle = split(entries, a, b, &chance, names, before);
            bool left_larger = middle - a > b - middle - 1;
            low[depth] = left_larger ? a : middle + 1;
            high[depth] = left_larger ? middle : b;
            depth++;
            a = left_larger ? middle + 1 : a;
            b = left_larger ? b : middle;
        }
        insertion(entries, a, b, names, before);
    }
}

/* Brings the n first (0 < n < count) to the front. */
static inline __attribute__((always_inline)) void choose(reco_entry *entries, size_t count, size_t n, const reco_board_names *names,
                                                         entry_before before) {
    size_t a = 0, b = count - 1;
    uint64_t chance = count;
    while (a < b) {
        size_t middle = split(entries, a, b, &chance, names, before);
        if (n - 1 <= middle) {
            b = middle;
        } else {
            a = middle + 1;
        }
    }
}

void reco_board_rank(reco_entry *entries, size_t count, const reco_board_names *names) { sort(entries, count, names, rank_before); }

static bool is_sorted(const reco_entry *entries, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (entries[i - 1].member >= entries[i].member) {
            return false;
        }
    }
    return true;
}

/* Of the entries, the first n of which have the largest sums, settles by name which of those that tie with the smallest of them stay. */
static void settle_ties(reco_entry *entries, size_t count, size_t n, const reco_board_names *names) {
    int64_t least = entries[0].sum;
    for (size_t i = 1; i < n; i++) {
        least = entries[i].sum < least ? entries[i].sum : least;
    }
    size_t above = 0, ties;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].sum > least) {
            swap(&entries[above++], &entries[i]);
        }
    }
    ties = n;
    for (size_t i = n; i < count; i++) {
        if (entries[i].sum == least) {
            swap(&entries[ties++], &entries[i]);
        }
    }
    if (ties > n) {
        choose(entries + above, ties - above, n - above, names, name_before);
    }
}

size_t reco_board_cut(reco_entry *entries, size_t count, size_t n, int positive_only, const reco_board_names *names) {
    if (positive_only) {
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            if (entries[i].sum > 0) {
                entries[kept++] = entries[i];
            }
        }
        count = kept;
    }
    if (n == 0) {
        return 0;
    }
    if (count > n) {
        choose(entries, count, n, names, sum_before);
        settle_ties(entries, count, n, names);
        count = n;
    }
    if (!is_sorted(entries, count)) {
        sort(entries, count, names, member_before);
    }
    return count;
}

size_t reco_board_merge(reco_entry *out, const reco_entry *a, size_t a_count, const reco_entry *b, size_t b_count, int64_t weight) {
    size_t i = 0, j = 0, count = 0;
    while (i < a_count || j < b_count) {
        reco_entry entry = {0, 0, 0};
        bool from_a = i < a_count && (j == b_count || a[i].member <= b[j].member);
        bool from_b = j < b_count && (i == a_count || b[j].member <= a[i].member);
        entry.member = from_a ? a[i].member : b[j].member;
        if (from_a) {
            entry.sum = a[i++].sum;
        }
        if (from_b) {
            entry.sum = reco__sum_add(entry.sum, reco__sum_times(b[j++].sum, weight));
        }
        if (entry.sum != 0) {
            out[count++] = entry;
        }
    }
    return count;
}

/* --- packed entries ------------------------------------------------------------------------------------------------------------------- */

const uint8_t *reco__varint_get_slow(uint64_t *value, const uint8_t *in, const uint8_t *end) {
    uint64_t result = 0;
    for (unsigned shift = 0; in < end && shift < 70; shift += 7) {
        uint8_t byte = *in++;
        if (shift == 63 && byte > 1) {
            return NULL;
        }
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return byte == 0 && shift > 0 ? NULL : in;
        }
    }
    return NULL;
}

size_t reco_board_pack(uint8_t *out, const reco_entry *entries, size_t count) {
    uint8_t *at = out;
    for (size_t i = 0; i < count; i++) {
        at = reco__entry_put(at, entries[i].member, entries[i].sum);
    }
    return (size_t)(at - out);
}

reco_status reco_board_unpack(size_t *count, reco_entry *out, size_t room, const void *data, size_t size) {
    const uint8_t *in = data, *end = size ? in + size : in; /* NULL has no end */
    size_t n = 0;
    *count = 0;
    while (in < end) {
        if (n == room) {
            return RECO_CORRUPT;
        }
        in = reco__entry_get(&out[n].member, &out[n].sum, in, end);
        if (!in) {
            return RECO_CORRUPT;
        }
        out[n++].unused = 0;
    }
    *count = n;
    return RECO_OK;
}

/* --- heads ---------------------------------------------------------------------------------------------------------------------------- */

size_t reco_generations_pack(uint8_t *out, const int64_t *generations, size_t count) {
    uint8_t *at = out;
    for (size_t i = 0; i < count; i++) {
        at = reco__varint_put(at, reco__zigzag_encode(i ? generations[i] - generations[i - 1] : generations[0]));
    }
    return (size_t)(at - out);
}

reco_status reco_generations_unpack(size_t *count, int64_t *out, size_t room, const void *data, size_t size) {
    const uint8_t *in = data, *end = size ? in + size : in; /* NULL has no end */
    size_t n = 0;
    *count = 0;
    while (in < end) {
        uint64_t value;
        in = n < room ? reco__varint_get(&value, in, end) : NULL;
        if (!in) {
            return RECO_CORRUPT;
        }
        int64_t difference = reco__zigzag_decode(value);
        if (n > 0 && (difference <= 0 || out[n - 1] > INT64_MAX - difference)) {
            return RECO_CORRUPT;
        }
        out[n] = n > 0 ? out[n - 1] + difference : difference;
        n++;
    }
    *count = n;
    return RECO_OK;
}

enum { HEAD_FIELDS = 9 };

reco_status reco_head_read(reco_head *out, const void *data, size_t size) {
    const uint8_t *in = data, *end = in + size;
    uint64_t field[HEAD_FIELDS];
    if (size == 0) {
        return RECO_CORRUPT;
    }
    if (*in != RECO_HEAD_VERSION) {
        return *in > RECO_HEAD_VERSION ? RECO_NEWER : RECO_CORRUPT;
    }
    in++;
    for (int i = 0; i < HEAD_FIELDS; i++) {
        in = reco__varint_get(&field[i], in, end);
        if (!in) {
            return RECO_CORRUPT;
        }
    }
    size_t left = (size_t)(end - in);
    if (field[3] > UINT32_MAX || field[4] > UINT32_MAX || field[5] > UINT32_MAX || field[6] > left || field[7] > left - field[6] ||
        field[8] != left - field[6] - field[7]) {
        return RECO_CORRUPT;
    }
    memset(out, 0, sizeof *out);
    out->closed_at = reco__zigzag_decode(field[0]);
    out->open_sum = reco__zigzag_decode(field[1]);
    out->closed_sum = reco__zigzag_decode(field[2]);
    out->generation_count = (uint32_t)field[3];
    out->open_count = (uint32_t)field[4];
    out->closed_count = (uint32_t)field[5];
    out->generations_size = (size_t)field[6];
    out->open_size = (size_t)field[7];
    out->closed_size = (size_t)field[8];
    out->generations = in;
    out->open = in + field[6];
    out->closed = in + field[6] + field[7];
    return RECO_OK;
}

static uint8_t *put_bytes(uint8_t *out, const void *data, size_t size) {
    if (size) {
        memcpy(out, data, size);
    }
    return out + size;
}

size_t reco_head_write(uint8_t *out, size_t room, const reco_head *head) {
    uint8_t frame[1 + HEAD_FIELDS * RECO__VARINT_MAX], *at = frame;
    *at++ = RECO_HEAD_VERSION;
    at = reco__varint_put(at, reco__zigzag_encode(head->closed_at));
    at = reco__varint_put(at, reco__zigzag_encode(head->open_sum));
    at = reco__varint_put(at, reco__zigzag_encode(head->closed_sum));
    at = reco__varint_put(at, head->generation_count);
    at = reco__varint_put(at, head->open_count);
    at = reco__varint_put(at, head->closed_count);
    at = reco__varint_put(at, head->generations_size);
    at = reco__varint_put(at, head->open_size);
    at = reco__varint_put(at, head->closed_size);
    size_t size = (size_t)(at - frame);
    if (size > room || head->generations_size > room - size || head->open_size > room - size - head->generations_size ||
        head->closed_size > room - size - head->generations_size - head->open_size) {
        return 0;
    }
    uint8_t *end = put_bytes(out, frame, size);
    end = put_bytes(end, head->generations, head->generations_size);
    end = put_bytes(end, head->open, head->open_size);
    end = put_bytes(end, head->closed, head->closed_size);
    return (size_t)(end - out);
}
