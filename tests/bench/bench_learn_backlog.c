/* bench_learn_backlog - learning a backlog through the whole engine on LMDB: events a second of processor time, beside a floor.
 *
 *   bench_learn_backlog [items] [events] [batch] [users]
 *
 * A generated stream (Zipf 1.0, taste clusters, sessions, event ids; seed 1; over 14 days, so that co-view generations of 7 days hold half of it
 * each) is appended first, then learned by one processor. The floor does the derivation of the same records in the same batches with cells in memory,
 * and for each distinct co-view row of a batch one raw mdb_get and one mdb_put of 300 bytes, in key order, in one transaction without sync: what no
 * exact recommender on LMDB can leave out. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/engine.h"
#include "support/support.h"
#include <reco/generate.h>

enum { APPEND = 1000 };

typedef struct setup {
    uint32_t items, users;
    uint64_t events;
    uint32_t batch;
} setup;

static void need(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench_learn_backlog: %s\n", what);
        exit(1);
    }
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Appends the stream as ingest would have, each event at the moment the generator gives it. */
static uint64_t append(reco_engine *engine, const setup *how) {
    reco_error err = RECO_ERROR_INIT;
    reco_generator_options options = {.struct_size = sizeof options,
                                      .items = how->items,
                                      .users = how->users,
                                      .seed = 1,
                                      .events = how->events,
                                      .duration = INT64_C(14) * 86400000};
    reco_generator *generator;
    need(reco_generator_create(&generator, &options, &err) == RECO_OK, err.text);
    reco_stream_record records[APPEND];
    size_t starts[APPEND];
    reco__buf bytes = {0};
    uint64_t count = 0;
    for (bool more = true; more;) {
        size_t filled = 0;
        reco_event event;
        int64_t received_at;
        reco__buf_reset(&bytes);
        while (filled < APPEND && (more = reco_generator_next(&event, &received_at, generator) == RECO_OK)) {
            starts[filled] = bytes.size;
            reco__envelope_event(&bytes, &event, (reco_str){NULL, 0}, received_at);
            records[filled] = (reco_stream_record){.partition = reco__stream_partition(engine->stream, event.user_id.data, event.user_id.size),
                                                   .size = (uint32_t)(bytes.size - starts[filled]),
                                                   .received_at = received_at};
            filled++;
        }
        for (size_t i = 0; i < filled; i++)
            records[i].data = bytes.data + starts[i];
        if (filled)
            need(reco__stream_append(NULL, engine->stream, records, filled, 0, NULL, NULL, 0, NULL, &err) == RECO_OK, err.text);
        count += filled;
    }
    reco__buf_dispose(&bytes);
    reco_generator_free(generator);
    return count;
}

static double learn(reco_engine *engine, const setup *how, reco_progress *progress) {
    reco_error err = RECO_ERROR_INIT;
    reco_processor *processor;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = how->batch};
    need(reco_processor_open(&processor, engine, &options, NULL, &err) == RECO_OK, err.text);
    double began = cpu_seconds();
    do {
        progress->struct_size = sizeof *progress;
        need(reco_processor_step(progress, processor, NULL, &err) == RECO_OK, err.text);
    } while (!progress->idle);
    double spent = cpu_seconds() - began;
    reco_processor_close(processor);
    return spent;
}

/* --- the floor ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct floor_state {
    MDB_env *env;
    MDB_dbi dbi;
    reco__map users, items;
    reco__cell *cells;
    size_t cell_room;
    reco__adds *adds;
    const reco__learn_rules *rules;
    uint64_t adds_total, events;
    int64_t clock;
    size_t in_batch, batch;
} floor_state;

static void floor_store(floor_state *floor) {
    static const char value[300];
    const reco_add_group *groups;
    size_t count, rows;
    MDB_txn *txn;
    need(reco__adds_finish(&groups, &count, &rows, floor->adds, NULL) == RECO_OK, "adds");
    need(mdb_txn_begin(floor->env, NULL, 0, &txn) == 0, "begin");
    for (size_t g = 0; g < count; g++) {
        floor->adds_total += groups[g].count;
        for (size_t i = 0; i < groups[g].count; i++) {
            if (groups[g].board != RECO_BOARD_COVIEW || (i > 0 && groups[g].adds[i].item == groups[g].adds[i - 1].item))
                continue;
            uint8_t key[12];
            reco__be64(key, (uint64_t)groups[g].generation);
            reco__be32(key + 8, groups[g].adds[i].item);
            MDB_val k = {sizeof key, key}, v;
            int found = mdb_get(txn, floor->dbi, &k, &v);
            need(found == 0 || found == MDB_NOTFOUND, "get");
            v = (MDB_val){sizeof value, (void *)(uintptr_t)value};
            need(mdb_put(txn, floor->dbi, &k, &v, 0) == 0, "put");
        }
    }
    need(mdb_txn_commit(txn) == 0, "commit");
    reco__adds_reset(floor->adds);
    floor->in_batch = 0;
}

static int floor_record(void *context, int64_t offset, const void *data, size_t size) {
    floor_state *floor = context;
    reco__record record;
    (void)offset;
    need(reco__envelope_decode(&record, data, size, NULL) == RECO_OK, "record");
    floor->clock = record.received_at > floor->clock ? record.received_at : floor->clock;
    if (record.type != RECO__RECORD_EVENT)
        return 0;
    uint32_t user = reco__map_put(&floor->users, record.event.user_id.data, record.event.user_id.size, NULL);
    uint32_t item = reco__map_put(&floor->items, record.event.item_id.data, record.event.item_id.size, NULL);
    if (user >= floor->cell_room) {
        size_t room = floor->cell_room ? floor->cell_room * 2 : 65536;
        floor->cells = realloc(floor->cells, room * sizeof *floor->cells);
        memset(floor->cells + floor->cell_room, 0, (room - floor->cell_room) * sizeof *floor->cells);
        floor->cell_room = room;
    }
    int outcome;
    need(reco__learn_derive(&outcome, &floor->cells[user], floor->adds, floor->rules, &record, item, floor->clock, NULL) == RECO_OK, "derive");
    floor->events++;
    if (++floor->in_batch == floor->batch)
        floor_store(floor);
    return 0;
}

static double run_floor(reco_engine *engine, const setup *how, const char *dir, uint64_t *adds) {
    floor_state floor = {.rules = &engine->rules, .batch = how->batch, .adds = reco__adds_create()};
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    char path[300];
    MDB_txn *txn;
    snprintf(path, sizeof path, "%s/floor", dir);
    need(mkdir(path, 0700) == 0 && mdb_env_create(&floor.env) == 0 && mdb_env_set_mapsize(floor.env, (size_t)1 << 36) == 0 &&
             mdb_env_set_maxdbs(floor.env, 2) == 0 && mdb_env_open(floor.env, path, MDB_NOSYNC, 0600) == 0 &&
             mdb_txn_begin(floor.env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, "rows", MDB_CREATE, &floor.dbi) == 0 && mdb_txn_commit(txn) == 0,
         "LMDB does not open");
    need(reco__stream_spans(spans, engine->stream, NULL, NULL) == RECO_OK, "spans");
    double began = cpu_seconds();
    for (uint32_t p = 0; p < engine->partitions; p++) {
        floor.clock = 0;
        for (int64_t at = 0; at < spans[p].end; at += how->batch)
            need(reco__stream_read(engine->stream, p, at, how->batch, UINT64_C(1) << 30, floor_record, &floor, NULL, NULL) == RECO_OK, "read");
    }
    floor_store(&floor);
    double spent = cpu_seconds() - began;
    mdb_env_close(floor.env);
    for (size_t i = 0; i < floor.cell_room; i++)
        reco__cell_dispose(&floor.cells[i]);
    free(floor.cells);
    reco__map_dispose(&floor.users);
    reco__map_dispose(&floor.items);
    reco__adds_free(floor.adds);
    *adds = floor.adds_total;
    return spent;
}

int main(int argc, char **argv) {
    setup how = {50000, 20000, 400000, 10000};
    if (argc > 1)
        how.items = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        how.events = strtoull(argv[2], NULL, 10);
    if (argc > 3)
        how.batch = (uint32_t)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        how.users = (uint32_t)strtoul(argv[4], NULL, 10);
    char dir[256], data[300];
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine;
    test_dir_make(dir);
    snprintf(data, sizeof data, "%s/data", dir);
    reco_open_options options = {.struct_size = sizeof options, .data = data};
    need(reco_open(&engine, &options, NULL, &err) == RECO_OK, err.text);
    uint64_t events = append(engine, &how), adds;
    double floor_before = run_floor(engine, &how, dir, &adds);
    reco_progress progress = {0};
    double spent = learn(engine, &how, &progress);
    printf("backlog: %u items, %u users, %llu events in 14 days, co-view generations of 7 days, %.1f adds an event, batches of %u\n", how.items,
           how.users, (unsigned long long)events, (double)adds / (double)events, how.batch);
    printf("  learned  %8.0f events/s a core (%.2f us an event, %llu batches)\n", (double)events / spent, spent / (double)events * 1e6,
           (unsigned long long)progress.batches);
    printf("  floor    %8.0f events/s a core; ratio %.2f\n", (double)events / floor_before, floor_before / spent);
    reco_close(engine);
    test_dir_remove(dir);
    return 0;
}
