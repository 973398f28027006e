/* features_suite_random.c - random operations, the model beside them.
 *
 * A world is a few partitions whose clocks move at their own pace, a few users and items, and rules drawn for it. Operations are what processors do:
 * batches as the derivation would make them (never to a generation the partition's own clock has passed), stale ones, closing in small steps and at
 * once, opening again, restoring into a fresh namespace. After each, a few things are looked at; now and then everything is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/chance.h"
#include "contract/features_suite.h"
#include "support/support.h"

enum { WORLDS = 10, OPERATIONS = 50000 };

typedef struct world {
    fixture f;
    chance chance;
    uint64_t seed;
    uint32_t items, most_adds;
    int64_t steps; /* clocks move by less than this */
} world;

static uint64_t below(world *w, uint64_t bound) { return chance_below(&w->chance, bound); }

static void world_begin(world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->seed = seed;
    chance_seed(&w->chance, seed);
    w->items = 6 + (uint32_t)below(w, 14);
    w->most_adds = 1 + (uint32_t)below(w, 40);
    w->steps = 1 + (int64_t)below(w, 12);
    fixture_prepare(&w->f, 1 + (uint32_t)below(w, 4), w->items);
    reco_board_rules *rules = &w->f.rules;
    rules->cut = 2 + (uint32_t)below(w, 6);
    rules->head = 1 + (uint32_t)below(w, 6);
    rules->kept[RECO_BOARD_COVIEW] = 1 + (uint32_t)below(w, 6);
    int kind = (int)below(w, 3);
    for (int age = 0; age < (int)RECO_GENERATIONS_MAX; age++) {
        rules->weight[age] = kind == 0 ? 1 : kind == 1 ? 64 >> (age < 7 ? age : 7) : 5 - (age < 5 ? age : 5);
    }
    fixture_open(&w->f);
    fixture_items(&w->f, 4);
}

/* --- operations ----------------------------------------------------------------------------------------------------------------------- */

static void random_adds(world *w, batch_adds *b, uint32_t partition, int64_t clock) {
    const model *m = &w->f.model;
    size_t count = below(w, w->most_adds + 1);
    for (size_t i = 0; i < count; i++) {
        uint32_t board = (uint32_t)below(w, 4);
        board = board > RECO_BOARD_COVIEW ? RECO_BOARD_COVIEW : board;
        int64_t oldest = model_newest_closed(m, board, m->positions[partition].clock) + 1,
                newest = (clock + w->f.rules.skew) / w->f.rules.length[board];
        int64_t generation = newest > oldest && below(w, 3) ? newest - (int64_t)below(w, 2)
                                                            : oldest + (int64_t)below(w, (uint64_t)(newest - oldest > 0 ? newest - oldest : 0) + 1);
        generation = generation < oldest ? oldest : generation;
        int64_t delta = below(w, 5) ? 1 + (int64_t)below(w, 3) : -(int64_t)(1 + below(w, 4));
        uint64_t spread = below(w, 3) ? 3 : m->item_count; /* most of it on a few */
        spread = spread > m->item_count ? m->item_count : spread;
        batch_add(b, board, generation, board == RECO_BOARD_COVIEW ? (uint32_t)below(w, spread) : 0, (uint32_t)below(w, m->item_count), delta);
    }
}

static void random_cells(world *w, batch_adds *b, uint32_t partition, int64_t clock) {
    static uint8_t data[MODEL_USERS][32];
    for (uint32_t user = partition; user < MODEL_USERS; user += w->f.model.partitions) {
        if (below(w, 20)) {
            continue;
        }
        size_t size = below(w, 8) ? 1 + below(w, 32) : 0;
        for (size_t i = 0; i < size; i++) {
            data[user][i] = (uint8_t)below(w, 256);
        }
        batch_cell(b, user, data[user], size, clock + (int64_t)below(w, 60) - 5);
    }
}

static batch_adds batch;

static void op_apply(world *w) {
    fixture *f = &w->f;
    uint32_t partition = (uint32_t)below(w, f->model.partitions);
    int64_t clock = f->model.positions[partition].clock, to = f->model.positions[partition].offset + 1 + (int64_t)below(w, 5);
    clock += below(w, 3) ? (int64_t)below(w, (uint64_t)w->steps) : below(w, 40) == 0 ? 80 : 0;
    if (below(w, 4) == 0) { /* those behind catch up */
        int64_t c = model_clock(&f->model);
        for (uint32_t p = 0; p < f->model.partitions; p++) {
            if (f->model.positions[p].clock == c) {
                partition = p;
                to = f->model.positions[p].offset + 1;
                clock = c + (int64_t)below(w, (uint64_t)w->steps * 3);
            }
        }
    }
    batch.count = batch.cell_count = 0;
    random_adds(w, &batch, partition, clock);
    random_cells(w, &batch, partition, clock);
    test_ok(batch_apply(f, &batch, partition, -1, to, clock), &f->err);
}

static void op_stale(world *w) {
    fixture *f = &w->f;
    uint32_t partition = (uint32_t)below(w, f->model.partitions);
    int64_t stands = f->model.positions[partition].offset, from = stands + (below(w, 2) ? 1 : -1);
    bool epoch = from < 0 || below(w, 3) == 0;
    batch.count = batch.cell_count = 0;
    random_adds(w, &batch, partition, f->model.positions[partition].clock);
    random_cells(w, &batch, partition, f->model.positions[partition].clock);
    f->epoch += epoch;
    test_status(RECO_STALE, batch_apply(f, &batch, partition, epoch ? stands : from, stands + 9, f->model.positions[partition].clock + 1000));
    f->epoch -= epoch;
}

static void op_close(world *w) {
    int more = 1;
    for (uint64_t steps = below(w, 6); more && steps > 0; steps--) {
        test_ok(w->f.backend->close_step(&more, w->f.store, below(w, 2) ? 0 : 100000, NULL, &w->f.err), &w->f.err);
    }
}

static void op_settle(world *w) {
    fixture_settle(&w->f);
    check_all(&w->f, 1);
    model_forget(&w->f.model);
}

static void op_items(world *w) {
    if (w->f.model.item_count < w->items) {
        fixture_items(&w->f, w->f.model.item_count + 1);
    }
}

static void op_reopen(world *w) {
    if (!(features_suite_flags & FEATURES_SUITE_VOLATILE)) {
        uint64_t epoch = w->f.epoch;
        fixture_close(&w->f);
        fixture_open(&w->f);
        ck_assert_uint_eq(epoch, w->f.epoch);
        check_all(&w->f, 0);
    }
}

/* Everything as the model has it now, loaded into the same namespace again. */
static void op_restore(world *w) {
    fixture *f = &w->f;
    uint32_t count = f->model.item_count;
    reco_restore_piece piece = {.struct_size = sizeof piece, .flags = RECO_RESTORE_FIRST};
    test_ok(f->backend->restore(f->store, &piece, NULL, &f->err), &f->err);
    uint32_t numbers[64];
    reco_str names[64];
    for (uint32_t i = 0; i < count; i++) {
        names[i] = (reco_str){f->model.names[i], strlen(f->model.names[i])};
    }
    test_ok(f->backend->intern(numbers, f->store, names, count, NULL, &f->err), &f->err);
    reco_entry row[64];
    reco_add adds[64];
    piece.flags = 0;
    for (size_t i = 0; i < f->model.row_count; i++) {
        const model_row *r = &f->model.rows[i];
        size_t n = model_row_at(&f->model, row, r->board, r->generation, r->item, model_newest_closed(&f->model, r->board, model_clock(&f->model)));
        for (size_t j = 0; j < n; j++) {
            adds[j] = (reco_add){r->item, row[j].member, row[j].sum};
        }
        reco_add_group group = {r->board, 0, r->generation, adds, n};
        piece.groups = &group;
        piece.group_count = 1;
        test_ok(f->backend->restore(f->store, &piece, NULL, &f->err), &f->err);
    }
    batch.cell_count = 0;
    uint32_t partitions[MODEL_USERS];
    for (uint32_t user = 0; user < MODEL_USERS; user++) {
        model_cell *cell = &f->model.cells[user];
        uint32_t partition = user % f->model.partitions;
        if (cell->there && cell->expires_at >= f->model.positions[partition].clock) {
            partitions[batch.cell_count] = partition;
            batch_cell(&batch, user, cell->data, cell->size, cell->expires_at);
        } else {
            cell->there = 0;
        }
    }
    piece = (reco_restore_piece){.struct_size = sizeof piece,
                                 .flags = RECO_RESTORE_LAST,
                                 .cells = batch.cells,
                                 .cell_partitions = partitions,
                                 .cell_count = batch.cell_count,
                                 .positions = f->model.positions};
    test_ok(f->backend->restore(f->store, &piece, NULL, &f->err), &f->err);
    reco_position positions[64];
    test_ok(f->backend->positions(positions, &f->epoch, f->store, NULL, &f->err), &f->err);
    op_settle(w);
}

static void look_around(world *w) {
    fixture *f = &w->f;
    uint32_t item = (uint32_t)below(w, f->model.item_count);
    switch (below(w, 8)) {
    case 0:
        check_positions(f);
        break;
    case 1:
        check_cell(f, (uint32_t)below(w, MODEL_USERS));
        break;
    case 2:
        check_generations(f, (uint32_t)below(w, 2));
        break;
    case 3:
        if (f->model.row_count) {
            const model_row *row = &f->model.rows[below(w, f->model.row_count)];
            check_row(f, row->board, row->generation, row->item);
        }
        break;
    default:
        check_head(f, item);
    }
}

static void operate(world *w) {
    uint64_t what = below(w, 1000);
    if (what < 800) {
        op_apply(w);
    } else if (what < 850) {
        op_stale(w);
    } else if (what < 950) {
        op_close(w);
    } else if (what < 970) {
        op_settle(w);
    } else if (what < 994) {
        op_items(w);
    } else if (what < 998) {
        check_all(&w->f, 0);
    } else if (what < 999) {
        op_reopen(w);
    } else {
        op_restore(w);
    }
    look_around(w);
}

START_TEST(agrees_with_the_model)
{
    static world w;
    const char *full = getenv("RECO_FULL"), *seed = getenv("RECO_SEED");
    uint64_t slow = features_suite_flags & FEATURES_SUITE_SLOWER ? 40 : features_suite_flags & FEATURES_SUITE_SLOW ? 3 : 1;
    uint64_t operations = (uint64_t)OPERATIONS / WORLDS * (full && *full == '1' ? 10 : 1) / slow, first = seed ? strtoull(seed, NULL, 10) : 1;
    uint64_t number = first * 1000 + (uint64_t)_i;
    world_begin(&w, number);
    printf("world %llu: %u partitions, %u items, cut %u, head %u, %u kept, %llu operations\n", (unsigned long long)number, w.f.model.partitions,
           w.items, w.f.rules.cut, w.f.rules.head, w.f.rules.kept[RECO_BOARD_COVIEW], (unsigned long long)operations);
    fflush(stdout);
    for (uint64_t i = 0; i < operations; i++) {
        operate(&w);
    }
    op_settle(&w);
    fixture_done(&w.f);
}
END_TEST

void features_suite_random(TCase *tcase) {
    tcase_add_loop_test(tcase, agrees_with_the_model, 0, WORLDS);
    tcase_set_timeout(tcase, 600);
}
