/* recommend/sources/coview.c - what was looked at together with what the user looked at.
 *
 * The recent item of rank k adds to each item j of its head
 *
 *     w_k x sum_j / norm      w_k: the weight of the rank; sum_j: weight[0] x (sum in the open head) + (sum in the closed one);
 *                             norm: the row's sum to a power, or the largest sum_j of the row
 *
 * in units chosen so that all additions together stay below 2^29: the sum of w_k x row sum / norm over the recent items bounds whatever can come
 * together. Each addition is rounded down on its own and only integers are added, so neither the order of additions nor the numbers of items can make
 * a difference, and what an item owes to each recent one is known exactly.
 *
 * A row sum is no bound when members of an open row have sums below 0, as an event that was taken back late can leave them. Nobody looks for them:
 * the additions are counted, and when there were too many, units are chosen again by what is positive, and all is walked once more.
 *
 * This is where most of an answer's time goes: some ten thousand entries in bytes of varying length. Heads are copied out of the store one after the
 * other; then two lists are walked side by side, because where an entry begins is known only when the one before was read, and two such chains keep
 * the processor twice as busy. Each entry's share goes into a trace first, and its mark is fetched meanwhile; then the trace is added to the marks.
 * The trace stays, so that explaining an answer need not decode anything again.
 */
#include <math.h>

#include "recommend/candidates.h"
#include "recommend/packed.h"

#define PAD 16u   /* readable bytes behind the last list */
#define ENTRY 14u /* most bytes of an entry */

__extension__ typedef unsigned __int128 u128;

/* --- fetching ----------------------------------------------------------------------------------------------------------------------------------- */

static void take_head(void *context, size_t index, const void *data, size_t size) {
    reco_candidates *c = context;
    reco__head_copy *copy = &c->copies[index];
    reco_head head;

    reco_status status = reco_head_read(&head, data, size);
    if (status != RECO_OK) {
        c->heads_status = status;
        return;
    }
    copy->open_at = c->heads.size;
    copy->open_size = head.open_size;
    reco__buf_add(&c->heads, head.open, head.open_size);
    copy->closed_at = c->heads.size;
    copy->closed_size = head.closed_size;
    reco__buf_add(&c->heads, head.closed, head.closed_size);
    copy->open_count = head.open_count;
    copy->closed_count = head.closed_count;
    copy->open_sum = head.open_sum;
    copy->closed_sum = head.closed_sum;
    copy->found = true;
}

static reco_status reserve_copies(reco_candidates *c, reco_error *err) {
    uint32_t count = c->recent_count;

    if (count <= c->copy_room) {
        return RECO_OK;
    }
    reco__head_copy *copies = reco__realloc_array(c->copies, count, sizeof(*copies));
    c->copies = copies ? copies : c->copies;
    uint32_t *items = copies ? reco__realloc_array(c->head_items, count, sizeof(*items)) : NULL;
    c->head_items = items ? items : c->head_items;
    reco__list *lists = items ? reco__realloc_array(c->lists, 2 * (size_t)count, sizeof(*lists)) : NULL;
    c->lists = lists ? lists : c->lists;
    if (!lists) {
        return reco__no_memory(err);
    }
    c->copy_room = count;
    return RECO_OK;
}

static reco_status fetch(reco_candidates *c, const reco_call *call, reco_error *err) {
    static const char pad[PAD];
    reco_status status = reserve_copies(c, err);

    if (status != RECO_OK) {
        return status;
    }
    for (uint32_t k = 0; k < c->recent_count; k++) {
        c->head_items[k] = c->recents[k].item;
        c->copies[k].found = false;
    }
    c->heads_status = RECO_OK;
    status = reco__features_heads(c->features, c->head_items, c->recent_count, take_head, c, call, err);
    if (status == RECO_OK && c->heads_status != RECO_OK) {
        status = reco__fail(err, c->heads_status, NULL, "the head of a recent item cannot be read");
    }
    reco__buf_add(&c->heads, pad, sizeof(pad));
    return status == RECO_OK ? reco__buf_status(&c->heads, err) : status;
}

/* --- factors ------------------------------------------------------------------------------------------------------------------------------------ */

/* The largest weight x open + closed of a member. */
static double row_maximum(const reco_candidates *c, const reco__head_copy *copy, int64_t weight) {
    reco__packed open = reco__packed_of(c->heads.data + copy->open_at, copy->open_size),
                 closed = reco__packed_of(c->heads.data + copy->closed_at, copy->closed_size);
    bool has_open = reco__packed_next(&open), has_closed = reco__packed_next(&closed);
    double most = 0;

    while (has_open || has_closed) {
        bool take_open = has_open && (!has_closed || open.member <= closed.member),
             take_closed = has_closed && (!has_open || closed.member <= open.member);
        double sum = (take_open ? (double)open.sum * (double)weight : 0) + (take_closed ? (double)closed.sum : 0);
        most = sum > most ? sum : most;
        has_open = take_open ? reco__packed_next(&open) : has_open;
        has_closed = take_closed ? reco__packed_next(&closed) : has_closed;
    }
    return most;
}

/* w_k / norm of a recent item; 0: it adds nothing. */
static double share_of(const reco_candidates *c, uint32_t k, double row_sum, int64_t weight) {
    const reco__settings *settings = c->settings;
    double norm;

    if (!c->copies[k].found || row_sum <= 0) {
        return 0;
    }
    if (settings->normalise == RECO__NORM_MAX) {
        norm = row_maximum(c, &c->copies[k], weight);
    } else {
        norm = settings->row_power == 0.5 ? sqrt(row_sum) : pow(row_sum, settings->row_power);
    }
    if (c->question == RECO__ASK_SIMILAR) {
        return norm > 0 ? 1 / norm : 0;
    }
    return norm > 0 && k < c->plan->recents ? c->plan->recency[k] / norm : 0;
}

static void add_list(reco_candidates *c, uint32_t k, size_t at, size_t size, uint32_t count, double factor) {
    const uint8_t *bytes = (const uint8_t *)c->heads.data + at;

    if (count > 0 && factor >= 1) {
        c->lists[c->list_count++] = (reco__list){
            .at = bytes, .end = bytes + size, .count = count, .source = k, .factor = factor < 0x1p60 ? (uint64_t)factor : UINT64_C(1) << 60};
    }
}

static double positive_sum(const reco_candidates *c, size_t at, size_t size) {
    reco__packed list = reco__packed_of(c->heads.data + at, size);
    double sum = 0;

    while (reco__packed_next(&list)) {
        sum += list.sum > 0 ? (double)list.sum : 0;
    }
    return sum;
}

/* What the entries of a head come to, at most. */
static double head_bound(const reco_candidates *c, const reco__head_copy *copy, double row_sum, int64_t weight) {
    double sum = positive_sum(c, copy->open_at, copy->open_size) * (double)weight + positive_sum(c, copy->closed_at, copy->closed_size);
    return sum > row_sum ? sum : row_sum;
}

/* The lists to be walked, with their factors; *entries: how many entries they have. `mixed`: row sums are no bound. */
static void plan_lists(reco_candidates *c, size_t *entries, bool mixed) {
    int64_t weight = c->rules->boards.weight[0];
    double bound = 0;

    for (uint32_t k = 0; k < c->recent_count; k++) {
        const reco__head_copy *copy = &c->copies[k];
        double row_sum = (double)copy->open_sum + (double)copy->closed_sum;
        bound += share_of(c, k, row_sum, weight) * (mixed && copy->found ? head_bound(c, copy, row_sum, weight) : row_sum);
    }
    c->list_count = 0;
    double unit = bound > 0 ? RECO__VALUE_MOST / bound : 0;
    for (uint32_t k = 0; k < c->recent_count; k++) {
        const reco__head_copy *copy = &c->copies[k];
        double factor = share_of(c, k, (double)copy->open_sum + (double)copy->closed_sum, weight) * unit * 0x1p28;
        if (copy->found) {
            add_list(c, k, copy->open_at, copy->open_size, copy->open_count, factor * (double)weight);
            add_list(c, k, copy->closed_at, copy->closed_size, copy->closed_count, factor);
        }
    }
    *entries = 0;
    for (uint32_t l = 0; l < c->list_count; l++) {
        c->lists[l].trace = (uint32_t)*entries;
        *entries += c->lists[l].count;
    }
}

/* --- walking ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct walk {
    uint64_t total; /* of all that was added */
    uint32_t *marks;
    uint32_t room;   /* of marks */
    uint64_t beyond; /* one more than the largest member that has none; 0: all have one */
    uint32_t *items;
    size_t count;
    bool bad;
} walk;

#define TOO_MUCH ((uint32_t)RECO__VALUE_MOST + 1)

static inline uint32_t value_of(u128 share) { return share < TOO_MUCH ? (uint32_t)share : TOO_MUCH; }

/* An entry whose sum takes more than four bytes, is negative, or is cut off. Returns the place after it, NULL when the bytes are bad. */
static const uint8_t *read_rare(uint32_t *value, const uint8_t *at, const uint8_t *end, uint64_t factor) {
    reco__packed list = reco__packed_of(at, (size_t)(end - at));

    *value = 0;
    if (!reco__packed_next(&list)) {
        return NULL;
    }
    if (list.sum > 0) {
        *value = value_of((u128)(uint64_t)list.sum * factor >> 28);
    }
    return list.at;
}

/* Four bytes that begin with a varint of at most four, cut behind it: its value, in 28 bits. */
static inline uint32_t join_groups(uint32_t bytes) {
    uint32_t pairs = (bytes & 0x007f007f) + ((bytes & 0x7f007f00) >> 1);
    return (pairs & 0x3fff) + (pairs >> 16 << 14);
}

/* Where the reading of a list stands. */
typedef struct lane {
    const uint8_t *at, *end;
    uint64_t factor;
    uint32_t *members, *values; /* where its next entry goes in the trace */
    uint32_t count;             /* entries that are left */
} lane;

/* Reads entry i into the trace and asks for its mark, which is needed soon. At least ENTRY bytes can be read. Returns the place after it, NULL when
 * the bytes are bad. */
static inline __attribute__((always_inline)) const uint8_t *step(const uint32_t *marks, const uint8_t *at, const uint8_t *end, uint64_t factor,
                                                                 uint32_t *members, uint32_t *values, uint32_t i) {
    uint32_t member = reco__packed_u32(at), bytes = reco__packed_u32(at + 4), stop = ~bytes & 0x80808080u;

    members[i] = member;
    __builtin_prefetch((const void *)((uintptr_t)marks + (uintptr_t)member * sizeof(*marks)), 1); /* harmless where there is none */
    if (__builtin_expect(stop == 0 || (bytes & 1), 0)) {
        return read_rare(&values[i], at, end, factor);
    }
    uint64_t twice = join_groups(bytes & (stop ^ (stop - 1))); /* a positive sum in zigzag is twice the sum */
    uint64_t share = (uint64_t)((u128)(twice << 35) * factor >> 64);
    values[i] = share < TOO_MUCH ? (uint32_t)share : TOO_MUCH;
    return at + 5 + ((unsigned)__builtin_ctz(stop) >> 3);
}

/* Adds entries of the trace to the marks. */
static void add_up(walk *w, const uint32_t *members, const uint32_t *values, uint32_t steps) {
    uint32_t *const marks = w->marks, *const items = w->items;
    const uint32_t room = w->room;
    size_t count = w->count;
    uint64_t total = w->total;

    for (uint32_t i = 0; i < steps; i++) {
        uint32_t member = members[i];
        total += values[i];
        if (__builtin_expect(member >= room, 0)) {
            w->beyond = member >= w->beyond ? (uint64_t)member + 1 : w->beyond;
            continue;
        }
        uint32_t mark = marks[member];
        items[count] = member;
        count += mark == 0;
        marks[member] = (mark + (values[i] << RECO__MARK_FLAGS)) | RECO__MARK_LISTED;
    }
    w->count = count;
    w->total = total;
}

static void advance(lane *l, const uint8_t *at, uint32_t steps) {
    l->at = at;
    l->members += steps;
    l->values += steps;
    l->count -= steps;
}

/* How many entries of a list can be read without looking at its end. */
static uint32_t free_steps(const lane *l) {
    size_t steps = (size_t)(l->end - l->at) / ENTRY;
    return steps < l->count ? (uint32_t)steps : l->count;
}

/* Reads `steps` entries of two lists, side by side. */
static void walk_pair(walk *w, lane *a, lane *b, uint32_t steps) {
    const uint8_t *at = a->at, *bt = b->at, *const a_end = a->end, *const b_end = b->end;
    const uint64_t a_factor = a->factor, b_factor = b->factor;
    const uint32_t *const marks = w->marks;
    uint32_t *const a_members = a->members, *const a_values = a->values, *const b_members = b->members, *const b_values = b->values;

    for (uint32_t i = 0; i < steps; i++) {
        at = step(marks, at, a_end, a_factor, a_members, a_values, i);
        bt = step(marks, bt, b_end, b_factor, b_members, b_values, i);
        if (__builtin_expect(!at || !bt, 0)) {
            w->bad = true;
            return;
        }
    }
    add_up(w, a_members, a_values, steps);
    add_up(w, b_members, b_values, steps);
    advance(a, at, steps);
    advance(b, bt, steps);
}

/* Reads what is left of a list, looking at its end. */
static void walk_rest(walk *w, lane *l, uint32_t steps) {
    const uint8_t *at = l->at;

    if (steps == 0) { /* a lane that had no list */
        return;
    }
    for (uint32_t i = 0; i < steps && !w->bad; i++) {
        at = l->end - at < 5 ? NULL : step(w->marks, at, l->end, l->factor, l->members, l->values, i);
        w->bad = !at;
    }
    if (!w->bad) {
        add_up(w, l->members, l->values, steps);
        advance(l, at, steps);
    }
}

static void begin_lane(lane *l, const reco_candidates *c, const reco__list *list) {
    *l = (lane){.at = list->at,
                .end = list->end,
                .factor = list->factor,
                .members = c->trace_members + list->trace,
                .values = c->trace_values + list->trace,
                .count = list->count};
}

/* The last few entries of a list are read by themselves; all others two by two. */
static void walk_lists(walk *w, const reco_candidates *c) {
    lane lanes[2] = {{.count = 0}, {.count = 0}};
    uint32_t next = 0;

    while (!w->bad) {
        for (int i = 0; i < 2; i++) {
            while (lanes[i].count > 0 && free_steps(&lanes[i]) == 0 && !w->bad) {
                walk_rest(w, &lanes[i], lanes[i].count);
            }
            if (lanes[i].count == 0 && next < c->list_count && !w->bad) {
                begin_lane(&lanes[i], c, &c->lists[next++]);
            }
        }
        uint32_t first = free_steps(&lanes[0]), second = free_steps(&lanes[1]);
        if (first > 0 && second > 0) {
            walk_pair(w, &lanes[0], &lanes[1], first < second ? first : second);
        } else if (lanes[0].count + lanes[1].count == 0) {
            break;
        } else if (next == c->list_count) {
            walk_rest(w, &lanes[0], lanes[0].count);
            walk_rest(w, &lanes[1], lanes[1].count);
        }
    }
}

/* Every list has the entries it says it has, at most: each takes five bytes. */
static bool plausible(const reco_candidates *c) {
    for (uint32_t l = 0; l < c->list_count; l++) {
        if ((size_t)(c->lists[l].end - c->lists[l].at) / 5 < c->lists[l].count) {
            return false;
        }
    }
    return true;
}

static reco_status reserve(reco_candidates *c, size_t entries, reco_error *err) {
    size_t room = c->trace_room, again = c->trace_room;
    void *members = c->trace_members, *values = c->trace_values;
    bool grown = reco__candidates_grow(&members, &room, entries, sizeof(*c->trace_members));

    c->trace_members = members;
    grown = grown && reco__candidates_grow(&values, &again, entries, sizeof(*c->trace_values));
    c->trace_values = values;
    c->trace_room = grown ? room : c->trace_room;
    return grown ? reco__candidates_reserve_items(c, c->count + entries + 1, err) : reco__no_memory(err);
}

reco_status reco__source_coview(reco_candidates *c, const reco_call *call, reco_error *err) {
    size_t entries, before = c->count;
    bool mixed = false;
    reco_status status = c->recent_count > 0 ? fetch(c, call, err) : RECO_OK;

    if (status != RECO_OK || c->recent_count == 0) {
        return status;
    }
    plan_lists(c, &entries, false);
    if (!plausible(c)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "the head of a recent item is damaged");
    }
    status = reserve(c, entries, err);
    while (status == RECO_OK) {
        walk w = {.marks = c->marks, .room = c->mark_room, .items = c->items, .count = c->count};
        walk_lists(&w, c);
        c->count = w.count;
        if (w.bad || w.beyond > c->settings->max_items) {
            status = reco__fail(err, RECO_CORRUPT, NULL, "the head of a recent item is damaged");
        } else if (w.total > (uint64_t)RECO__VALUE_MOST && !mixed) {
            mixed = true;
            reco__candidates_unmark(c, before);
            plan_lists(c, &entries, true);
            status = reserve(c, entries, err);
        } else if (w.beyond == 0) {
            c->trace_count = entries;
            return RECO_OK;
        } else { /* items that are newer than the marks */
            reco__candidates_unmark(c, before);
            status = reco__candidates_reserve_marks(c, (uint32_t)w.beyond, err);
        }
    }
    reco__candidates_unmark(c, before);
    return status;
}
