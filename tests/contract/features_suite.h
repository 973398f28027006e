/* tests/contract/features_suite.h - what every features backend must do. For backends of our own and of others: link features_suite*.c and
 * features_model.c, and run
 *
 *     int main(void) { return features_suite_run(&my_backend, "my:somewhere", 0); }
 *
 * A check is named in the output when it fails. RECO_FULL=1 runs ten times the random operations. */
#ifndef FEATURES_SUITE_H
#define FEATURES_SUITE_H

#include <check.h>
#include <reco/plugin/features.h>

#include "contract/features_model.h"

#define FEATURES_SUITE_VOLATILE 1u /* content goes with the last close: nothing is opened again */
#define FEATURES_SUITE_SLOW 2u     /* a server is asked: a third of the random operations */
#define FEATURES_SUITE_SLOWER 4u   /* several servers are: a fortieth */

/* url: with one %s it is given a fresh folder for each test; without, each test uses a namespace of its own. */
Suite *features_suite(const reco_features_backend *backend, const char *url, unsigned flags);
int features_suite_run(const reco_features_backend *backend, const char *url, unsigned flags);

/* --- within the suite ----------------------------------------------------------------------------------------------------------------- */
void features_suite_rules(Suite *suite);  /* features_suite_rules.c: one case a rule, named after it */
void features_suite_random(TCase *tcase); /* features_suite_random.c: random operations against the model */

/* A store under test and the model of what it must hold. */
typedef struct fixture {
    const reco_features_backend *backend;
    reco_features_store *store;
    reco_features_options options;
    reco_board_rules rules;
    model model;
    uint64_t epoch;
    char url[320], space[64];
    reco_error err;
} fixture;

extern unsigned features_suite_flags;

/* A store of one partition, of 10 items and users at most, by these rules: for tests of addresses and servers. */
reco_status fixture_open_url(reco_features_store **store, const reco_features_backend *backend, const char *url, reco_error *err);
void fixture_rules(reco_board_rules *rules);                               /* small: see there */
void fixture_prepare(fixture *f, uint32_t partitions, uint32_t item_room); /* options and model; change them before opening */
void fixture_open(fixture *f);
void fixture_close(fixture *f);
void fixture_done(fixture *f);                  /* closes, frees */
void fixture_items(fixture *f, uint32_t count); /* so many items in all, in the store and in the model */
void fixture_user(char out[16], uint32_t user);

/* One batch to be put together: any order, any number of times. */
typedef struct batch_adds {
    struct {
        uint32_t board;
        int64_t generation;
        reco_add add;
    } adds[4096];
    size_t count;
    reco_cell_put cells[MODEL_USERS];
    size_t cell_count;
    char users[MODEL_USERS][16];
} batch_adds;
void batch_add(batch_adds *b, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta);
void batch_cell(batch_adds *b, uint32_t user, const void *data, size_t size, int64_t expires_at);
/* Applies to the store; to the model when the store said OK. `from` < 0: where the model stands. */
reco_status batch_apply(fixture *f, batch_adds *b, uint32_t partition, int64_t from, int64_t to, int64_t clock);
/* One add, or none (delta 0), and a clock, to partition `partition`; must succeed. */
void fixture_step(fixture *f, uint32_t partition, int64_t clock, uint32_t board, int64_t generation, uint32_t item, uint32_t member, int64_t delta);
void fixture_clock(fixture *f, int64_t clock); /* all partitions */
void fixture_settle(fixture *f);

/* Comparisons, each failing the test with what differs. */
void check_positions(fixture *f);
void check_row(fixture *f, uint32_t board, int64_t generation, uint32_t item);
void check_generations(fixture *f, uint32_t board);
void check_head(fixture *f, uint32_t item); /* at the number it has */
void check_cell(fixture *f, uint32_t user);
void check_all(fixture *f, int settled); /* a scan, everything */

#endif
