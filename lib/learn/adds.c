/* learn/adds.c - the additions of a batch, summed.
 *
 * A batch of 10,000 events puts some 220,000 additions, most of them pairs. Adding one must therefore cost a few nanoseconds, and the sums are made
 * once, at the end, by sorting: a hash table of this size lives outside the near caches, and its content would have to be sorted all the same.
 *
 * put appends 16 bytes to `entries`, and the bucket to `bucket_of`. A bucket is a (board, generation); a batch of live events has five or so, one of
 * an import can have hundreds. finish orders the buckets, deals the entries out to them in one pass, then sorts each by (item, member) and sums what
 * is equal. Numbers are dense, so the keys of a bucket have few bits: 35 or so for pairs in a catalogue of 100,000. The sort is a radix sort from the
 * low end, over just these bits, in as few passes as digits of 11 bits allow; it moves entries between the two arrays, which is why there are two of
 * the same size.
 *
 * Both arrays and everything else keep their memory for the next batch. Nothing is allocated per put, or at all once a batch of the usual size has
 * been seen. */
#include "learn/learn.h"

enum { SMALL = 48, MEDIUM = 4096, DIGIT_MAX = 11, PASSES_MAX = 8, NO_BUCKET = -1 };

typedef struct bucket {
    int64_t generation;
    uint32_t board;
    uint32_t count;
    uint32_t items, members; /* the bits that occur in them */
    size_t end; /* during finish: where the next entry goes */
} bucket;

struct reco__adds {
    reco_add *entries, *sorted; /* both of `room` */
    uint32_t *bucket_of;
    size_t count, room;
    bucket *buckets;
    uint32_t *order; /* of the buckets, by (board, generation) */
    reco_add_group *groups;
    uint32_t *slots; /* bucket + 1 by hash of (board, generation), 0: empty; twice bucket_room of them */
    uint32_t bucket_count, bucket_room;
    uint32_t last[RECO_BOARD_COUNT]; /* bucket used last, a hint */
    bool finished;
    size_t group_count, rows;
    uint32_t histogram[PASSES_MAX][1 << DIGIT_MAX];
};

reco__adds *reco__adds_create(void) { return reco__zalloc(sizeof(reco__adds)); }

void reco__adds_free(reco__adds *adds) {
    if (!adds)
        return;
    reco__release(adds->entries);
    reco__release(adds->sorted);
    reco__release(adds->bucket_of);
    reco__release(adds->buckets);
    reco__release(adds->order);
    reco__release(adds->groups);
    reco__release(adds->slots);
    reco__release(adds);
}

void reco__adds_reset(reco__adds *adds) {
    if (adds->bucket_count > 0)
        memset(adds->slots, 0, 2 * (size_t)adds->bucket_room * sizeof *adds->slots);
    adds->count = adds->bucket_count = 0;
    adds->finished = false;
}

/* --- put --------------------------------------------------------------------------------------------------------------------------------- */

static bool grow_entries(reco__adds *adds) {
    size_t room = adds->room < 2048 ? 4096 : adds->room * 2;
    reco_add *entries = reco__realloc_array(adds->entries, room, sizeof *entries);
    if (entries)
        adds->entries = entries;
    reco_add *sorted = entries ? reco__realloc_array(adds->sorted, room, sizeof *sorted) : NULL;
    if (sorted)
        adds->sorted = sorted;
    uint32_t *bucket_of = sorted ? reco__realloc_array(adds->bucket_of, room, sizeof *bucket_of) : NULL;
    if (!bucket_of)
        return false;
    adds->bucket_of = bucket_of;
    adds->room = room;
    return true;
}

static size_t slot_of(const reco__adds *adds, uint32_t board, int64_t generation) {
    uint64_t hash = ((uint64_t)generation * RECO_BOARD_COUNT + board) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 32) & (2 * (size_t)adds->bucket_room - 1);
}

/* The slot of a bucket, or the empty one where it belongs. */
static uint32_t *find_slot(const reco__adds *adds, uint32_t board, int64_t generation) {
    size_t at = slot_of(adds, board, generation), mask = 2 * (size_t)adds->bucket_room - 1;
    while (adds->slots[at] != 0) {
        const bucket *found = &adds->buckets[adds->slots[at] - 1];
        if (found->generation == generation && found->board == board)
            break;
        at = (at + 1) & mask;
    }
    return &adds->slots[at];
}

static bool grow_buckets(reco__adds *adds) {
    uint32_t room = adds->bucket_room == 0 ? 16 : adds->bucket_room * 2;
    bucket *buckets = reco__realloc_array(adds->buckets, room, sizeof *buckets);
    if (buckets)
        adds->buckets = buckets;
    uint32_t *order = buckets ? reco__realloc_array(adds->order, room, sizeof *order) : NULL;
    if (order)
        adds->order = order;
    reco_add_group *groups = order ? reco__realloc_array(adds->groups, room, sizeof *groups) : NULL;
    if (groups)
        adds->groups = groups;
    uint32_t *slots = groups ? reco__realloc_array(adds->slots, 2 * (size_t)room, sizeof *slots) : NULL;
    if (!slots)
        return false;
    memset(slots, 0, 2 * (size_t)room * sizeof *slots);
    adds->slots = slots;
    adds->bucket_room = room;
    for (uint32_t i = 0; i < adds->bucket_count; i++)
        *find_slot(adds, buckets[i].board, buckets[i].generation) = i + 1;
    return true;
}

/* Bucket of (board, generation), made when missing; NO_BUCKET when memory is out. */
static int64_t find_bucket(reco__adds *adds, uint32_t board, int64_t generation) {
    if (adds->bucket_count == adds->bucket_room && !grow_buckets(adds))
        return NO_BUCKET;
    uint32_t *slot = find_slot(adds, board, generation);
    if (*slot == 0) {
        adds->buckets[adds->bucket_count] = (bucket){.generation = generation, .board = board};
        *slot = ++adds->bucket_count;
    }
    adds->last[board] = *slot - 1;
    return adds->last[board];
}

reco_status reco__adds_put(reco__adds *adds, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta) {
    if (adds->finished)
        reco__adds_reset(adds);
    if (board >= RECO_BOARD_COUNT)
        return RECO_INVALID;
    if (delta == 0)
        return RECO_OK;
    if (adds->count == adds->room && !grow_entries(adds))
        return RECO_NO_MEMORY;
    int64_t at = adds->last[board];
    if (at >= adds->bucket_count || adds->buckets[at].generation != generation || adds->buckets[at].board != board)
        at = find_bucket(adds, board, generation);
    if (at == NO_BUCKET)
        return RECO_NO_MEMORY;
    bucket *to = &adds->buckets[at];
    to->count++;
    to->items |= item;
    to->members |= member;
    adds->bucket_of[adds->count] = (uint32_t)at;
    adds->entries[adds->count++] = (reco_add){item, member, delta};
    return RECO_OK;
}

/* --- finish ------------------------------------------------------------------------------------------------------------------------------ */

static bool bucket_less(const reco__adds *adds, uint32_t a, uint32_t b) {
    const bucket *x = &adds->buckets[a], *y = &adds->buckets[b];
    return x->board != y->board ? x->board < y->board : x->generation < y->generation;
}

static void sift(reco__adds *adds, uint32_t at, uint32_t count) {
    uint32_t *order = adds->order, moving = order[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && bucket_less(adds, order[child], order[child + 1]))
            child++;
        if (!bucket_less(adds, moving, order[child]))
            break;
        order[at] = order[child];
    }
    order[at] = moving;
}

/* Heap sort: in place, and no bad case for the many buckets of an import. */
static void order_buckets(reco__adds *adds) {
    uint32_t count = adds->bucket_count, *order = adds->order;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count / 2; i-- > 0;)
        sift(adds, i, count);
    for (uint32_t left = count; left-- > 1;) {
        uint32_t most = order[0];
        order[0] = order[left];
        order[left] = most;
        sift(adds, 0, left);
    }
}

/* Deals the entries out to their buckets, each a stretch of `sorted`. */
static void deal(reco__adds *adds) {
    size_t at = 0;
    for (uint32_t i = 0; i < adds->bucket_count; i++) {
        bucket *to = &adds->buckets[adds->order[i]];
        to->end = at;
        at += to->count;
    }
    for (size_t i = 0; i < adds->count; i++)
        adds->sorted[adds->buckets[adds->bucket_of[i]].end++] = adds->entries[i];
}

static inline uint64_t key_of(const reco_add *add) { return (uint64_t)add->item << 32 | add->member; }

static void sort_few(reco_add *adds, size_t count) {
    for (size_t i = 1; i < count; i++) {
        reco_add moving = adds[i];
        size_t at = i;
        for (; at > 0 && key_of(&adds[at - 1]) > key_of(&moving); at--)
            adds[at] = adds[at - 1];
        adds[at] = moving;
    }
}

/* How the keys of one bucket are cut into digits. */
typedef struct digits {
    unsigned member_bits, width, passes;
} digits;

static unsigned bits_of(uint32_t value) { return value == 0 ? 0 : 32 - (unsigned)__builtin_clz(value); }

static digits plan_digits(const bucket *of) {
    unsigned member_bits = bits_of(of->members), bits = member_bits + bits_of(of->items), most = of->count < MEDIUM ? 8 : DIGIT_MAX;
    unsigned passes = (bits + most - 1) / most;
    digits plan = {member_bits, passes > 0 ? (bits + passes - 1) / passes : 0, passes};
    return plan;
}

static inline uint64_t dense_key(const reco_add *add, unsigned member_bits) { return (uint64_t)add->item << member_bits | add->member; }

/* For each pass, where in the stretch the first entry of each digit goes. */
static void count_digits(uint32_t (*histogram)[1 << DIGIT_MAX], const reco_add *adds, size_t count, const digits *plan) {
    uint64_t mask = (UINT64_C(1) << plan->width) - 1;
    for (unsigned pass = 0; pass < plan->passes; pass++)
        memset(histogram[pass], 0, (mask + 1) * sizeof histogram[pass][0]);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = dense_key(&adds[i], plan->member_bits);
        for (unsigned pass = 0; pass < plan->passes; pass++, key >>= plan->width)
            histogram[pass][key & mask]++;
    }
    for (unsigned pass = 0; pass < plan->passes; pass++) {
        uint32_t at = 0;
        for (uint64_t digit = 0; digit <= mask; digit++) {
            uint32_t here = histogram[pass][digit];
            histogram[pass][digit] = at;
            at += here;
        }
    }
}

/* Sorts a bucket's stretch, moving it to and fro between `from` and `to`; returns where it came to rest. */
static reco_add *sort_many(uint32_t (*histogram)[1 << DIGIT_MAX], reco_add *from, reco_add *to, const bucket *of) {
    digits plan = plan_digits(of);
    size_t count = of->count;
    uint64_t mask = (UINT64_C(1) << plan.width) - 1;
    count_digits(histogram, from, count, &plan);
    for (unsigned pass = 0, shift = 0; pass < plan.passes; pass++, shift += plan.width) {
        uint32_t *next = histogram[pass];
        for (size_t i = 0; i < count; i++)
            to[next[dense_key(&from[i], plan.member_bits) >> shift & mask]++] = from[i];
        reco_add *other = from;
        from = to;
        to = other;
    }
    return from;
}

/* Sums neighbours of the same key, in place, leaving sums of 0 out; returns how many are left. */
static size_t sum_equal(reco_add *adds, size_t count) {
    size_t left = 0;
    for (size_t i = 0; i < count;) {
        reco_add sum = adds[i];
        uint64_t total = (uint64_t)sum.delta;
        while (++i < count && key_of(&adds[i]) == key_of(&sum))
            total += (uint64_t)adds[i].delta;
        sum.delta = (int64_t)total;
        if (sum.delta != 0)
            adds[left++] = sum;
    }
    return left;
}

static size_t count_rows(const reco_add *adds, size_t count) {
    size_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += i == 0 || adds[i].item != adds[i - 1].item;
    return rows;
}

static void finish_bucket(reco__adds *adds, const bucket *from) {
    size_t start = from->end - from->count, left;
    reco_add *stretch = adds->sorted + start;
    if (from->count <= SMALL)
        sort_few(stretch, from->count);
    else
        stretch = sort_many(adds->histogram, stretch, adds->entries + start, from);
    left = sum_equal(stretch, from->count);
    if (left == 0)
        return;
    adds->groups[adds->group_count++] = (reco_add_group){.board = from->board, .generation = from->generation, .adds = stretch, .count = left};
    if (from->board == RECO_BOARD_COVIEW)
        adds->rows += count_rows(stretch, left);
}

reco_status reco__adds_finish(const reco_add_group **groups, size_t *group_count, size_t *rows, reco__adds *adds, reco_error *err) {
    if (adds->count > UINT32_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "adds", "a batch of %zu additions is too large", adds->count);
    if (!adds->finished) {
        adds->group_count = adds->rows = 0;
        order_buckets(adds);
        deal(adds);
        for (uint32_t i = 0; i < adds->bucket_count; i++)
            finish_bucket(adds, &adds->buckets[adds->order[i]]);
        adds->finished = true;
    }
    *groups = adds->groups;
    *group_count = adds->group_count;
    *rows = adds->rows;
    return RECO_OK;
}
