/* tests/fault/test_fault_doors.c - every operation of every door, and every operation of the embedded store below them, fails: the first time, the
 * second,
 * ... and once or for ever. Nothing acknowledged is lost, a failure that fired is not answered by OK, and once it is over the same call succeeds and
 * a replay equals what was learned.
 *
 * One thing answers OK though an operation failed, by design: a question that goes without what failed says DEGRADED.
 * stream.trim is not here: tests/integration/test_snapshots.c has it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

static const char *const points[] = {"stream.open",
                                     "stream.append",
                                     "stream.wait",
                                     "stream.read",
                                     "stream.spans",
                                     "stream.wait_for",
                                     "stream.note",
                                     "stream.stats",
                                     "stream.member_open",
                                     "stream.member_assign",
                                     "records.open",
                                     "records.change",
                                     "records.find",
                                     "records.scan",
                                     "records.changes",
                                     "records.stats",
                                     "features.open",
                                     "features.info",
                                     "features.intern",
                                     "features.find_items",
                                     "features.load",
                                     "features.positions",
                                     "features.apply",
                                     "features.heads",
                                     "features.row",
                                     "features.generations",
                                     "features.close_step",
                                     "features.settle",
                                     "features.scan",
                                     "features.restore",
                                     "features.stats",
                                     "kv.open",
                                     "kv.table_open",
                                     "kv.read_begin",
                                     "kv.write_begin",
                                     "kv.commit",
                                     "kv.get",
                                     "kv.put",
                                     "kv.delete",
                                     "kv.cursor",
                                     "kv.seek",
                                     "kv.submit",
                                     "kv.lock_open"};
enum { POINTS = sizeof points / sizeof *points, EVENTS = 60000 };

static char dir[256], data_path[300];
static uint32_t told;         /* numbers given to events */
static uint8_t acked[EVENTS]; /* 1: acknowledged; 2: sent, and not acknowledged */
static uint32_t fired_at[POINTS];

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
}

static void teardown(void) {
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_dir_remove(dir);
}

/* --- what is done
 * ----------------------------------------------------------------------------------------------------------------------------------- */

/* Three events with items of their own, of users who share one more item. */
static reco_status ingest(reco_engine *engine, reco_error *err) {
    char user[3][16], item[3][16], id[3][16];
    reco_event events[3];
    uint32_t first = told;
    told += 3;
    ck_assert_uint_lt(told, EVENTS);
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(user[i], 16, "u%u", (first + i) % 8);
        snprintf(item[i], 16, "i%u", first + i);
        snprintf(id[i], 16, "e%u", first + i);
        events[i] = test_event(user[i], item[i], "view");
        events[i].event_id = (reco_str){id[i], strlen(id[i])};
    }
    reco_status status = reco_ingest(NULL, engine, events, 3, sizeof *events, NULL, NULL, err);
    memset(&acked[first], status == RECO_OK ? 1 : 2, 3);
    return status;
}

/* For ever is as long as the caller waits. */
static reco_status process(reco_engine *engine, reco_error *err) {
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + INT64_C(20000000000)};
    return reco_process(NULL, engine, &call, err);
}

static bool degraded;

static reco_status recommend(reco_engine *engine, reco_error *err) {
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {"u1", 2}};
    reco_status status = reco_recommend(&answer, engine, &query, NULL, err);
    degraded = status == RECO_OK && (answer->flags & RECO_ANSWER_DEGRADED);
    reco_answer_free(answer);
    return status;
}

static reco_status popular(reco_engine *engine, reco_error *err) {
    reco_answer *answer = NULL;
    reco_popular_query query = {.struct_size = sizeof query, .window = 7200000};
    reco_status status = reco_popular(&answer, engine, &query, NULL, err);
    degraded = status == RECO_OK && (answer->flags & RECO_ANSWER_DEGRADED);
    reco_answer_free(answer);
    return status;
}

static reco_status items(reco_engine *engine, reco_error *err) {
    reco_item item = {.item_id = {"i1", 2}, .title = {"One", 3}};
    char *json = NULL;
    reco_status status = reco_items_put(engine, &item, 1, sizeof item, NULL, err);
    if (status == RECO_OK)
        status = reco_item_get(&json, engine, item.item_id, NULL, err);
    reco_free(json);
    if (status == RECO_OK)
        status = reco_item_patch(NULL, engine, item.item_id, "{\"hidden\":true,\"n\":1}", 21, NULL, err);
    return status == RECO_OK ? reco_item_delete(engine, item.item_id, NULL, err) : status;
}

static reco_status stats(reco_engine *engine, reco_error *err) {
    char *json = NULL, hash[40];
    int64_t lag;
    reco_status status = reco_stats(&json, engine, NULL, err);
    reco_free(json);
    if (status == RECO_OK)
        status = reco_ready(&lag, NULL, engine, NULL, err);
    return status == RECO_OK ? reco_state_hash(hash, engine, NULL, err) : status;
}

static reco_status snapshot_and_verify(reco_engine *engine, reco_error *err) {
    char path[320];
    reco_verification found = {.struct_size = sizeof found};
    reco_verify_options options = {.struct_size = sizeof options, .snapshot = path};
    snprintf(path, sizeof path, "%s/snapshot", dir);
    reco_status status = reco_snapshot(NULL, engine, path, NULL, err);
    ck_assert_msg((access(path, F_OK) == 0) == (status == RECO_OK), "%s, and the file says otherwise", reco_status_name(status));
    if (status == RECO_OK) {
        status = reco_verify(&found, engine, &options, NULL, err);
        ck_assert_msg(status != RECO_OK || found.equal, "not equal: %s", found.difference);
        unlink(path);
    }
    return status;
}

static reco_status verify(reco_engine *engine, reco_error *err) {
    reco_verification found = {.struct_size = sizeof found};
    reco_status status = reco_verify(&found, engine, NULL, NULL, err);
    ck_assert_msg(status != RECO_OK || found.equal, "not equal: %s", found.difference);
    return status;
}

/* Journal and all; once in, it is only looked up. */
static reco_status import(reco_engine *engine, reco_error *err) {
    char path[320];
    const char *paths[] = {path};
    reco_import_options options = {.struct_size = sizeof options, .format = "csv", .paths = paths, .path_count = 1, .flags = RECO_IMPORT_SHIFT_TIME};
    snprintf(path, sizeof path, "%s/events.csv", dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "user_id,item_id,event_type,timestamp\nu%u,imported,view,1700000000000\n", told);
    fclose(file);
    return reco_import(NULL, engine, &options, NULL, err);
}

static int ignore_lines(void *context, const char *text, size_t size) {
    (void)context, (void)text, (void)size;
    return 0;
}

static reco_status export(reco_engine *engine, reco_error *err) { return reco_export(NULL, engine, ignore_lines, NULL, NULL, err); }

static const char *const settings[] = {"coview.kept", "2", NULL};

/* Everything has to be opened, and what the first question needs to be read. */
static reco_status open_and_ask(reco_engine *unused, reco_error *err) {
    reco_engine *engine = NULL;
    (void)unused;
    reco_status status = test_engine_try(&engine, data_path, 0, settings, err);
    if (status == RECO_OK)
        status = recommend(engine, err);
    reco_close(engine);
    return status;
}

static reco_status wait_for_more(reco_engine *engine, reco_error *err) {
    reco_processor *processor = NULL;
    reco_progress progress = {.struct_size = sizeof progress};
    reco_status status = reco_processor_open(&processor, engine, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_processor_step(&progress, processor, NULL, err);
    if (status == RECO_OK)
        status = reco_processor_wait(processor, 1, NULL, err);
    reco_processor_close(processor);
    return status;
}

typedef reco_status (*operation)(reco_engine *engine, reco_error *err);
static const struct {
    const char *name;
    operation run;
} operations[] = {{"ingest", ingest},
                  {"process", process},
                  {"recommend", recommend},
                  {"popular", popular},
                  {"items", items},
                  {"stats", stats},
                  {"snapshot", snapshot_and_verify},
                  {"verify", verify},
                  {"import", import},
                  {"export", export},
                  {"wait", wait_for_more},
                  {"open", open_and_ask}};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* --- what holds afterwards
 * -------------------------------------------------------------------------------------------------------------------------- */

typedef struct tally {
    reco_engine *engine;
    uint8_t learned[EVENTS];
} tally;

static reco_status count_row(void *context, const reco__row *row, reco_error *err) {
    tally *found = context;
    (void)err;
    for (size_t i = 0; row->board == RECO_BOARD_HOURS && i < row->count; i++) {
        reco_str name;
        uint64_t hash;
        char digits[24] = "";
        ck_assert_int_eq(reco__features_item_name(&name, &hash, found->engine->features, row->entries[i].member), RECO_OK);
        if (name.size > 1 && name.size < 16 && name.data[1] >= '0' && name.data[1] <= '9') {
            memcpy(digits, name.data + 1, name.size - 1);
            found->learned[strtoul(digits, NULL, 10) % EVENTS] += (uint8_t)row->entries[i].sum;
        }
    }
    return RECO_OK;
}

/* Everything acknowledged is learned, once; what was refused is not there, unless it failed after it was written (wait, commit). */
static void check_whole(reco_engine *engine, const char *when) {
    reco_error err = RECO_ERROR_INIT;
    static tally found;
    reco__state_walker walker = {.context = &found, .row = count_row};
    memset(&found, 0, sizeof found);
    found.engine = engine;
    test_ok(process(engine, &err), &err);
    test_ok(reco__state_walk(engine->features, &engine->rules, engine->partitions, &walker, NULL, &err), &err);
    for (uint32_t i = 0; i < told; i++)
        ck_assert_msg(acked[i] == 1 ? found.learned[i] == 1 : found.learned[i] <= 1, "%s: event %u (%s) is learned %u times", when, i,
                      acked[i] == 1 ? "acknowledged" : "refused", found.learned[i]);
    test_ok(verify(engine, &err), &err);
}

/* --- planting
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

/* The operation with a point failing; false when the point is not reached so often. */
static bool play(reco_engine *engine, size_t op, size_t point, uint64_t nth, int for_ever) {
    reco_error err = RECO_ERROR_INIT;
    char when[200];
    snprintf(when, sizeof when, "%s: %s fails the %lu. time%s", operations[op].name, points[point], (unsigned long)nth,
             for_ever ? " and for ever" : "");
    if (operations[op].run == process)
        test_ok(ingest(engine, &err), &err);
    degraded = false;
    reco__fault_plant(points[point], nth, for_ever, RECO_IO);
    reco_status status = operations[op].run(engine, &err);
    bool fired = reco__fault_plant(NULL, 0, 0, RECO_OK) > 0;
    fired_at[point] += fired;
    if (!fired) {
        ck_assert_msg(status == RECO_OK, "%s: did not fire, and %s: %s", when, reco_status_name(status), err.text);
        return false;
    }
    ck_assert_msg(status != RECO_OK || degraded, "%s and it answers OK", when);
    ck_assert_msg(status == RECO_OK || (err.text[0] && err.status == (int32_t)status), "%s: %s without a text", when, reco_status_name(status));
    err = (reco_error)RECO_ERROR_INIT;
    status = operations[op].run(engine, &err);
    ck_assert_msg(status == RECO_OK && !degraded, "%s; afterwards %s: %s%s", when, reco_status_name(status), err.text, degraded ? "degraded" : "");
    return true;
}

/* 1, 2, 3, 6, 12, 24 ..., or one by one for longer: the low layers are called thousands of times in one operation. */
static uint64_t after(uint64_t nth) { return nth < (test_full() ? 12 : 3) ? nth + 1 : test_full() ? nth + nth / 2 : nth * 2; }

START_TEST(doors)
{
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = test_engine_open("memory:", 0, settings);

    for (int i = 0; i < 10; i++)
        test_ok(ingest(engine, &err), &err);
    test_ok(process(engine, &err), &err);
    test_ok(recommend(engine, &err), &err);
    test_ok(open_and_ask(NULL, &err), &err);
    for (size_t op = 0; op < OPERATIONS; op++) {
        for (size_t point = 0; point < POINTS; point++) {
            for (int for_ever = 0; for_ever < 2; for_ever++) {
                uint64_t nth = 1;
                while (play(engine, op, point, nth, for_ever))
                    nth = after(nth);
            }
        }
        check_whole(engine, operations[op].name);
    }
    for (size_t point = 0; point < POINTS; point++)
        ck_assert_msg(fired_at[point] > 0, "%s was never reached", points[point]);
    reco_close(engine);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault_doors");
    TCase *planted = tcase_create("planted");

    tcase_add_checked_fixture(planted, setup, teardown);
    tcase_add_test(planted, doors);
    suite_add_tcase(suite, planted);
    return test_run(suite);
}
