/* bench_learn - what the derivation costs, apart from any store: one event (decode the cell, derive, encode), and one addition (put, sort, sum).
 *
 *   bench_learn [items] [touches] [batches]
 *
 * Events of 20,000 users with full recents, Zipf-like items, in batches of 10,000 with one finish each. The floor beside it: copying the same cells.
 * */
#include <stdio.h>
#include <stdlib.h>

#include "learn/learn.h"
#include "model/event.h"

enum { USERS = 20000, BATCH = 10000, DAY = 86400000 };

static const reco__event_type types[] = {{"view", 1, 0, 0}, {"click", 1, 0, 0}, {"rating", 1, RECO__TYPE_MIN_VALUE, 4},
                                         {"like", 2, 0, 0}, {"cart", 3, 0, 0},  {"purchase", 5, 0, 0}};

typedef struct bench {
    reco__learn_rules rules;
    reco__buf cells[USERS];
    reco__cell cell;
    reco__adds *adds;
    reco__rand rand;
    uint32_t items;
    int64_t now;
    uint64_t events, summed, bytes, ids;
    int64_t copy_ns, decode_ns, derive_ns, encode_ns, finish_ns;
} bench;

static void set_rules(reco__learn_rules *rules, uint32_t touches) {
    memset(rules, 0, sizeof *rules);
    rules->boards.lateness = 3600000;
    rules->boards.skew = 60000;
    rules->boards.length[RECO_BOARD_HOURS] = 3600000;
    rules->boards.length[RECO_BOARD_DAYS] = DAY;
    rules->boards.length[RECO_BOARD_COVIEW] = 7 * (int64_t)DAY;
    rules->pair_window = 10;
    rules->recents = 50;
    rules->history = touches;
    rules->ids_seen = 128;
    rules->ids_window = DAY;
    rules->session_gap = 1800000;
    rules->lifetime = 365 * (int64_t)DAY;
    rules->types = types;
    rules->type_count = sizeof types / sizeof *types;
}

static void fail(const char *what) {
    fprintf(stderr, "bench_learn: %s\n", what);
    exit(1);
}

static uint32_t draw_item(bench *b) {
    double u = reco__rand_unit(&b->rand);
    return (uint32_t)((double)b->items * u * u * u);
}

static void one_event(bench *b, bool timed) {
    char id[32];
    reco__record record = {.type = RECO__RECORD_EVENT};
    int outcome;
    reco__buf *stored = &b->cells[reco__rand_below(&b->rand, USERS)];
    int size = snprintf(id, sizeof id, "e%llu", (unsigned long long)b->events);
    const reco__event_type *type = &types[reco__rand_below(&b->rand, 8) % (sizeof types / sizeof *types)];
    b->now += 300;
    record.received_at = record.event.timestamp = b->now;
    record.event.event_type = reco__str_of(type->name);
    record.event.event_id = (reco_str){id, (size_t)size};
    uint32_t item = draw_item(b);
    int64_t start = timed ? reco__monotonic_ns() : 0;
    if (reco__cell_decode(&b->cell, stored->data, stored->size, NULL) != RECO_OK)
        fail("decode");
    int64_t decoded = timed ? reco__monotonic_ns() : 0;
    if (reco__learn_derive(&outcome, &b->cell, b->adds, &b->rules, &record, item, b->now, NULL) != RECO_OK)
        fail("derive");
    int64_t derived = timed ? reco__monotonic_ns() : 0;
    reco__buf_reset(stored);
    reco__cell_encode(stored, &b->cell);
    if (timed) {
        b->encode_ns += reco__monotonic_ns() - derived;
        b->derive_ns += derived - decoded;
        b->decode_ns += decoded - start;
    }
    b->bytes += stored->size;
    b->ids += b->cell.id_count;
    b->events++;
}

static void finish(bench *b) {
    const reco_add_group *groups;
    size_t count, rows;
    int64_t start = reco__monotonic_ns();
    if (reco__adds_finish(&groups, &count, &rows, b->adds, NULL) != RECO_OK)
        fail("finish");
    b->finish_ns += reco__monotonic_ns() - start;
    for (size_t i = 0; i < count; i++)
        b->summed += groups[i].count;
    reco__adds_reset(b->adds);
}

static void add_floor(bench *b) {
    static char copy[1 << 16];
    int64_t start = reco__monotonic_ns();
    for (int i = 0; i < USERS; i++)
        memcpy(copy, b->cells[i].data, b->cells[i].size < sizeof copy ? b->cells[i].size : sizeof copy);
    b->copy_ns = (reco__monotonic_ns() - start) / USERS;
}

/* Puts alone, as many as the events made, of the same shape: rows of pairs around one item. */
static void bench_adds(bench *b, uint32_t batches) {
    int64_t put_ns = 0, before = b->finish_ns;
    uint64_t puts = 0;
    b->summed = 0;
    for (uint32_t batch = 0; batch < batches; batch++) {
        int64_t start = reco__monotonic_ns();
        for (uint32_t i = 0; i < BATCH; i++) {
            uint32_t item = draw_item(b);
            reco__adds_put(b->adds, RECO_BOARD_HOURS, 5, 0, item, 1);
            reco__adds_put(b->adds, RECO_BOARD_DAYS, 3, 0, item, 1);
            for (int d = 0; d < 10; d++) {
                uint32_t other = draw_item(b);
                reco__adds_put(b->adds, RECO_BOARD_COVIEW, 1, item, other, 2520);
                reco__adds_put(b->adds, RECO_BOARD_COVIEW, 1, other, item, 2520);
            }
        }
        puts += 22 * (uint64_t)BATCH;
        put_ns += reco__monotonic_ns() - start;
        finish(b);
    }
    printf("adds: put %.1f ns (with drawing the items), finish %.1f ns an add, %.0f %% left after summing\n", (double)put_ns / (double)puts,
           (double)(b->finish_ns - before) / (double)puts, 100 * (double)b->summed / (double)puts);
}

int main(int argc, char **argv) {
    static bench b;
    uint32_t touches = argc > 2 ? (uint32_t)atoi(argv[2]) : 50, batches = argc > 3 ? (uint32_t)atoi(argv[3]) : 20;
    b.items = argc > 1 ? (uint32_t)atoi(argv[1]) : 50000;
    b.now = INT64_C(1767225600000);
    b.adds = reco__adds_create();
    reco__rand_seed(&b.rand, 1);
    set_rules(&b.rules, touches);
    if (!b.adds)
        fail("no memory");
    for (uint64_t i = 0; i < (uint64_t)USERS * touches * 5 / 4; i++) {
        one_event(&b, false);
        if (i % BATCH == BATCH - 1)
            reco__adds_reset(b.adds);
    }
    reco__adds_reset(b.adds);
    b.events = b.bytes = b.ids = 0;
    add_floor(&b);
    int64_t start = reco__monotonic_ns();
    for (uint32_t batch = 0; batch < batches; batch++) {
        for (uint32_t i = 0; i < BATCH; i++)
            one_event(&b, false);
        finish(&b);
    }
    int64_t spent = reco__monotonic_ns() - start;
    double events = (double)b.events;
    printf("%u items, %u touches: %.0f ns an event in all, of that finish %.0f; %.1f sums an event\n", b.items, touches, (double)spent / events,
           (double)b.finish_ns / events, (double)b.summed / events);
    printf("cells of %.0f bytes with %.0f ids, copying one %lld ns\n", (double)b.bytes / events, (double)b.ids / events, (long long)b.copy_ns);
    for (uint32_t i = 0; i < BATCH; i++)
        one_event(&b, true);
    finish(&b);
    printf("one event, each part with about 25 ns of clock: decode %.0f, derive %.0f, encode %.0f ns\n", (double)b.decode_ns / BATCH,
           (double)b.derive_ns / BATCH, (double)b.encode_ns / BATCH);
    bench_adds(&b, batches);
    reco__adds_free(b.adds);
    reco__cell_dispose(&b.cell);
    for (int i = 0; i < USERS; i++)
        reco__buf_dispose(&b.cells[i]);
    return 0;
}
