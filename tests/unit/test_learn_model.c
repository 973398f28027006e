/* The derivation against a slow model of it on random histories.
 *
 * The model keeps no cell: it keeps the log of every event that counted, and works out from the whole log, anew for each event, whether it repeats
 * another, where sessions begin, which items pair and what the cell must then be. It searches generations by counting up from 0. It shares no line
 * with what it judges.
 *
 * The derivation runs twice beside it: once with the cell kept in memory, once with the cell stored and read back after each event, its items under
 * other numbers, and now and then given new numbers by way of the canonical form. Both must agree with the model after every event. */
#include <stdio.h>
#include <stdlib.h>

#include "learn/learn.h"
#include "model/event.h"
#include "support/support.h"

enum { ITEMS = 12, EVENTS = 70, ADDS = 16384, KINDS = 7 };

static reco__rand chance;

static uint32_t below(uint32_t bound) { return (uint32_t)reco__rand_below(&chance, bound); }
static int64_t between(int64_t low, int64_t high) { return low + (int64_t)below((uint32_t)(high - low + 1)); }

static const reco__event_type types[] = {
    {"view", 1, 0, 0}, {"cart", 3, 0, 0},  {"rating", 2, RECO__TYPE_MIN_VALUE, 4},
    {"seen", 0, 0, 0}, {"back", -2, 0, 0}, {"hide", 0, RECO__TYPE_HIDES, 0},
};
static const char *const kinds[KINDS] = {"view", "cart", "rating", "seen", "hide", "back", "unknown"};

/* --- the model --------------------------------------------------------------------------------------------------------------------------- */

typedef struct entry {
    int item, weight, session;
    bool listed, hides, repeats, clamped;
    int64_t t, r;
    char name[8], id[8]; /* of the session it belongs to, of the event; empty: none */
} entry;

typedef struct sum {
    uint32_t board;
    int64_t generation;
    int item, member; /* item -1: popularity */
    int64_t delta;
} sum;

typedef struct sums {
    sum all[ADDS];
    size_t count;
} sums;

typedef struct model {
    const reco__learn_rules *rules;
    entry log[EVENTS];
    int count;
    sums sums;
} model;

static void add(sums *to, uint32_t board, int64_t generation, int item, int member, int64_t delta) {
    ck_assert_uint_lt(to->count, ADDS);
    to->all[to->count++] = (sum){board, generation, item, member, delta};
}

static int64_t place(const reco__learn_rules *rules, uint32_t board, entry *event) {
    int64_t length = rules->boards.length[board], own = 0, open = 0;
    while ((own + 1) * length <= event->t)
        own++;
    while ((open + 1) * length + rules->boards.lateness + rules->boards.skew <= event->r)
        open++;
    event->clamped |= open > own;
    return open > own ? open : own;
}

static bool repeats(const model *m, const entry *event) {
    uint32_t seen = 0;
    for (int i = m->count - 1; i >= 0 && event->id[0]; i--)
        if (m->log[i].id[0] && seen++ < m->rules->ids_seen && m->log[i].r >= event->r - m->rules->ids_window && strcmp(m->log[i].id, event->id) == 0)
            return true;
    return false;
}

static void place_in_session(const model *m, entry *event) {
    const entry *last = m->count > 0 ? &m->log[m->count - 1] : NULL;
    bool on = last && (event->name[0] ? strcmp(event->name, last->name) == 0 : event->r <= last->r + m->rules->session_gap);
    event->session = !last ? 1 : last->session + !on;
    if (on)
        memcpy(event->name, last->name, sizeof event->name);
}

/* The recency list as the log has it: places in the log of the newest touch of each item; at most `history`. */
static uint32_t recency(const model *m, int *places) {
    uint32_t count = 0;
    bool met[ITEMS] = {false};
    for (int i = m->count - 1; i >= 0 && count < m->rules->history; i--)
        if (m->log[i].listed && !met[m->log[i].item]) {
            met[m->log[i].item] = true;
            places[count++] = i;
        }
    return count;
}

static void add_pairs(model *m, entry *event) {
    int places[ITEMS];
    uint32_t count = recency(m, places), distance = 0;
    for (uint32_t i = 0; i < count; i++) {
        const entry *other = &m->log[places[i]];
        if (other->item == event->item || other->weight == 0 || (m->rules->pair_in_session && other->session != event->session))
            continue;
        if (++distance > m->rules->pair_window)
            return;
        int64_t delta = event->weight * (m->rules->pair_inverse ? 2520 / (int64_t)distance : 2520), g = place(m->rules, RECO_BOARD_COVIEW, event);
        add(&m->sums, RECO_BOARD_COVIEW, g, event->item, other->item, delta);
        add(&m->sums, RECO_BOARD_COVIEW, g, other->item, event->item, delta);
    }
}

static void set_kind(entry *event, int kind, double value) {
    static const int weights[KINDS] = {1, 3, 2, 0, 0, -2, 0};
    event->weight = kind == 2 && value < 4 ? 0 : weights[kind];
    event->listed = kind <= 2;
    event->hides = kind == 4;
}

/* Takes one event; fills in what became of it. */
static void model_take(model *m, entry *event) {
    if (m->count > 0 && m->log[m->count - 1].r + m->rules->lifetime < event->r)
        m->count = 0;
    event->repeats = repeats(m, event);
    if (event->repeats)
        return;
    place_in_session(m, event);
    if (event->weight != 0) {
        add(&m->sums, RECO_BOARD_HOURS, place(m->rules, RECO_BOARD_HOURS, event), -1, event->item, event->weight);
        add(&m->sums, RECO_BOARD_DAYS, place(m->rules, RECO_BOARD_DAYS, event), -1, event->item, event->weight);
    }
    if (event->weight > 0)
        add_pairs(m, event);
    m->log[m->count++] = *event;
}

/* Whether the cell is what the log says. Names of items are their numbers here. */
static bool agrees(const model *m, const reco__cell *cell) {
    int places[ITEMS], hidden[ITEMS];
    uint32_t count = recency(m, places), in_session = 0, hidden_count = 0, ids = 0;
    bool met[ITEMS] = {false}, same = cell->touch_count == count;
    const entry *last = m->count > 0 ? &m->log[m->count - 1] : NULL;
    for (uint32_t i = 0; same && i < count; i++) {
        const entry *touch = &m->log[places[i]];
        bool whole = i < m->rules->recents;
        in_session += touch->session == last->session;
        same = (int)cell->touches[i].item == touch->item && cell->touches[i].t == (whole ? touch->t : 0);
        same = same && cell->touches[i].weight == (whole ? touch->weight : touch->weight > 0);
    }
    for (int i = m->count - 1; i >= 0; i--) {
        const entry *event = &m->log[i];
        if (event->hides && !met[event->item] && hidden_count < m->rules->history)
            hidden[hidden_count++] = event->item;
        met[event->item] |= event->hides;
        if (event->id[0] && ids < m->rules->ids_seen && event->r >= last->r - m->rules->ids_window) {
            ids++;
            same = same && cell->id_count >= ids && cell->ids[cell->id_count - ids].r == event->r;
        }
    }
    for (uint32_t i = 0; same && i < hidden_count && hidden_count == cell->hidden_count; i++)
        same = (int)cell->hidden[i] == hidden[hidden_count - 1 - i];
    uint64_t hash = last && last->name[0] ? reco__hash64(last->name, strlen(last->name), 0) : 0;
    return same && cell->last == (last ? last->r : 0) && cell->session_count == in_session && cell->session_hash == hash &&
           cell->hidden_count == hidden_count && cell->id_count == ids;
}

/* --- the derivation beside it ------------------------------------------------------------------------------------------------------------ */

typedef struct runner {
    reco__cell cell;
    reco__adds *adds;
    sums sums;
    uint32_t numbers[ITEMS];
} runner;

static reco_status name_of(void *context, uint32_t number, reco_str *name) {
    static const char *const names[ITEMS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
    const runner *run = context;
    for (int i = 0; i < ITEMS; i++)
        if (run->numbers[i] == number) {
            *name = reco__str_of(names[i]);
            return RECO_OK;
        }
    return RECO_NOT_FOUND;
}

static reco_status number_of(void *context, reco_str name, uint32_t *number) {
    const runner *run = context;
    *number = run->numbers[name.data[0] - 'a'];
    return RECO_OK;
}

static void shuffle_numbers(runner *run) {
    uint32_t step = 1 + below(400000000), from = below(1000);
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t other = below(i + 1);
        run->numbers[i] = run->numbers[other];
        run->numbers[other] = from + i * (step % (UINT32_MAX / ITEMS - 1000) + 1);
    }
}

static int item_of(const runner *run, uint32_t number) {
    int item = 0;
    while (item < ITEMS && run->numbers[item] != number)
        item++;
    return item;
}

static void derive(runner *run, const reco__learn_rules *rules, const reco__record *record, const entry *event) {
    const reco_add_group *groups;
    size_t count, rows;
    int outcome;
    reco__adds_reset(run->adds);
    test_status(RECO_OK, reco__learn_derive(&outcome, &run->cell, run->adds, rules, record, run->numbers[event->item], event->r, NULL));
    test_status(RECO_OK, reco__adds_finish(&groups, &count, &rows, run->adds, NULL));
    ck_assert_int_eq(outcome, event->repeats ? RECO__DERIVED_DUPLICATE : RECO__DERIVED_COUNTED | (event->clamped ? RECO__DERIVED_CLAMPED : 0));
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].count; i++) {
            const reco_add *a = &groups[g].adds[i];
            int item = groups[g].board == RECO_BOARD_COVIEW ? item_of(run, a->item) : -1;
            add(&run->sums, groups[g].board, groups[g].generation, item, item_of(run, a->member), a->delta);
        }
}

/* The cell out of memory and back, now and then to other numbers. */
static void store_and_read(runner *run) {
    reco__buf buf = {0};
    if (below(4) == 0) {
        test_status(RECO_OK, reco__cell_to_canonical(&buf, &run->cell, name_of, run, NULL));
        shuffle_numbers(run);
        test_status(RECO_OK, reco__cell_from_canonical(&run->cell, buf.data, buf.size, number_of, run, NULL));
        reco__buf_reset(&buf);
    }
    reco__cell_encode(&buf, &run->cell);
    ck_assert_int_eq(buf.failed, RECO_OK);
    test_status(RECO_OK, reco__cell_decode(&run->cell, buf.data, buf.size, NULL));
    reco__buf_dispose(&buf);
}

static void assert_same_cell(runner *a, runner *b) {
    reco__buf x = {0}, y = {0};
    test_status(RECO_OK, reco__cell_to_canonical(&x, &a->cell, name_of, a, NULL));
    test_status(RECO_OK, reco__cell_to_canonical(&y, &b->cell, name_of, b, NULL));
    ck_assert_uint_eq(x.size, y.size);
    ck_assert(x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
    reco__buf_dispose(&x);
    reco__buf_dispose(&y);
}

/* --- histories --------------------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    const sum *x = a, *y = b;
    if (x->board != y->board)
        return x->board < y->board ? -1 : 1;
    if (x->generation != y->generation)
        return x->generation < y->generation ? -1 : 1;
    return x->item != y->item ? x->item - y->item : x->member - y->member;
}

static void settle(sums *of) {
    size_t left = 0;
    qsort(of->all, of->count, sizeof *of->all, compare);
    for (size_t i = 0; i < of->count;) {
        sum total = of->all[i];
        while (++i < of->count && compare(&of->all[i], &total) == 0)
            total.delta += of->all[i].delta;
        if (total.delta != 0)
            of->all[left++] = total;
    }
    of->count = left;
}

static void assert_same_sums(sums *a, sums *b) {
    settle(a);
    settle(b);
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        ck_assert(compare(&a->all[i], &b->all[i]) == 0 && a->all[i].delta == b->all[i].delta);
}

static void random_rules(reco__learn_rules *rules) {
    memset(rules, 0, sizeof *rules);
    rules->boards.lateness = between(0, 80);
    rules->boards.skew = between(0, 20);
    rules->boards.length[RECO_BOARD_HOURS] = between(20, 60);
    rules->boards.length[RECO_BOARD_DAYS] = between(60, 200);
    rules->boards.length[RECO_BOARD_COVIEW] = between(30, 500);
    rules->pair_window = below(5);
    rules->pair_in_session = below(2);
    rules->pair_inverse = below(2);
    rules->history = 1 + below(9);
    rules->recents = below(8);
    rules->ids_seen = below(6);
    rules->ids_window = between(0, 150);
    rules->session_gap = between(0, 60);
    rules->lifetime = between(50, 900);
    rules->types = types;
    rules->type_count = sizeof types / sizeof *types;
}

/* The next event: `clock` is the partition's, which moves on; the event may be late, early, repeated, or carry no timestamp. */
static reco__record random_event(entry *event, int64_t *clock, int number) {
    reco__record record = {.type = RECO__RECORD_EVENT};
    static const char *const sessions[] = {"", "", "", "s", "t"};
    int kind = below(2) ? 0 : (int)below(KINDS);
    int64_t step = below(12) == 0 ? between(0, 700) : between(-8, 25);
    memset(event, 0, sizeof *event);
    record.received_at = *clock + step > 1 ? *clock + step : 1;
    *clock = record.received_at > *clock ? record.received_at : *clock;
    event->item = (int)below(below(2) ? 4 : ITEMS);
    event->r = *clock;
    event->t = below(3) ? record.received_at : record.received_at + between(-100, 30);
    event->t = event->t > 0 ? event->t : 1;
    strcpy(event->name, sessions[below(5)]);
    if (below(3))
        snprintf(event->id, sizeof event->id, "e%u", (uint8_t)(number - (below(3) ? 0 : (int)below(4))));
    record.event.value = (double)below(9) / 2 + 1;
    record.event.flags = below(5) ? RECO_EVENT_HAS_VALUE : 0;
    set_kind(event, kind, record.event.flags ? record.event.value : 0);
    record.event.timestamp = event->t == record.received_at && below(2) ? 0 : event->t;
    record.event.event_type = reco__str_of(kinds[kind]);
    return record;
}

static uint64_t repeated, clamped, forgotten;

static void play_history(model *m, runner *plain, runner *stored) {
    reco__learn_rules rules;
    int64_t clock = 1 + (int64_t)below(300);
    random_rules(&rules);
    m->rules = &rules;
    for (uint32_t i = 0; i < ITEMS; i++)
        plain->numbers[i] = i;
    shuffle_numbers(stored);
    for (int i = 0, events = 1 + (int)below(EVENTS - 1); i < events; i++) {
        entry event;
        char session[8], id[8];
        int before = m->count;
        reco__record record = random_event(&event, &clock, i);
        memcpy(session, event.name, sizeof session); /* the model puts the running session's there */
        memcpy(id, event.id, sizeof id);
        record.event.session_id = reco__str_of(session);
        record.event.event_id = reco__str_of(id);
        model_take(m, &event);
        derive(plain, &rules, &record, &event);
        derive(stored, &rules, &record, &event);
        ck_assert_msg(agrees(m, &plain->cell), "event %d: the cell is not what the model says", i);
        store_and_read(stored);
        assert_same_cell(plain, stored);
        repeated += event.repeats;
        clamped += event.clamped;
        forgotten += m->count < before;
    }
    assert_same_sums(&m->sums, &plain->sums);
    assert_same_sums(&m->sums, &stored->sums);
}

START_TEST(random_histories_agree) {
    static model m;
    static runner plain, stored;
    const char *scale = getenv("RECO_TEST_SCALE");
    int histories = 800 * (scale ? atoi(scale) : 1);
    plain.adds = reco__adds_create();
    stored.adds = reco__adds_create();
    for (int i = 0; i < histories; i++) {
        reco__rand_seed(&chance, (uint64_t)i);
        m.count = 0;
        m.sums.count = plain.sums.count = stored.sums.count = 0;
        reco__cell_clear(&plain.cell);
        reco__cell_clear(&stored.cell);
        play_history(&m, &plain, &stored);
    }
    printf("%d histories: %llu events repeated, %llu clamped, %llu cells forgotten\n", histories, (unsigned long long)repeated,
           (unsigned long long)clamped, (unsigned long long)forgotten);
    ck_assert_uint_gt(repeated, 500);
    ck_assert_uint_gt(clamped, 500);
    ck_assert_uint_gt(forgotten, 100);
    reco__cell_dispose(&plain.cell);
    reco__cell_dispose(&stored.cell);
    reco__adds_free(plain.adds);
    reco__adds_free(stored.adds);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn: model");
    TCase *tests = tcase_create("model");
    tcase_add_test(tests, random_histories_agree);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
