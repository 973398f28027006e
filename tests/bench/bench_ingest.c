/* bench_ingest - durable ingest through reco_ingest in batches of 1,000 against raw LMDB appends of the same bytes, same batches, synced.
 *
 *   bench_ingest [batches] [pairs]
 *
 * Floor and ingest run in turn on fresh folders of the same file system; the ratio is the median over pairs. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/base.h"
#include "support/support.h"
#include <reco.h>

enum { BATCH = 1000, SIZE = 120 };

static void need(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench_ingest: %s\n", what);
        exit(1);
    }
}

static double rate(int64_t start, int batches) { return (double)batches * BATCH / ((double)(reco__monotonic_ns() - start) / 1e9); }

static double run_floor(const char *dir, int batches) {
    static char record[SIZE];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char path[300];
    uint64_t next = 0;
    snprintf(path, sizeof path, "%s/floor", dir);
    need(mkdir(path, 0700) == 0 && mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, (size_t)1 << 36) == 0 && mdb_env_set_maxdbs(env, 4) == 0 &&
             mdb_env_open(env, path, 0, 0600) == 0 && mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, "t", MDB_CREATE, &dbi) == 0 &&
             mdb_txn_commit(txn) == 0,
         "LMDB does not open");
    int64_t start = reco__monotonic_ns();
    for (int b = 0; b < batches; b++) {
        need(mdb_txn_begin(env, NULL, 0, &txn) == 0, "begin");
        for (int i = 0; i < BATCH; i++) {
            uint8_t key[8];
            reco__be64(key, next++);
            MDB_val k = {8, key}, v = {SIZE, record};
            need(mdb_put(txn, dbi, &k, &v, MDB_APPEND) == 0, "put");
        }
        need(mdb_txn_commit(txn) == 0, "commit");
    }
    double result = rate(start, batches);
    mdb_env_close(env);
    test_dir_remove(path);
    return result;
}

static double run_ingest(const char *dir, int batches) {
    static reco_event events[BATCH];
    static char users[BATCH][16], items[BATCH][16], ids[BATCH][24];
    char data[300];
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine;
    snprintf(data, sizeof data, "%s/data", dir);
    reco_open_options options = {.struct_size = sizeof options, .data = data};
    need(reco_open(&engine, &options, NULL, &err) == RECO_OK, err.text);
    for (int i = 0; i < BATCH; i++) {
        snprintf(users[i], sizeof users[i], "user-%d", i * 7 % 5000);
        snprintf(items[i], sizeof items[i], "item-%d", i * 13 % 9000);
        events[i] = (reco_event){.user_id = reco__str_of(users[i]), .item_id = reco__str_of(items[i]), .event_type = reco__str_of("view")};
    }
    int64_t start = reco__monotonic_ns();
    for (int b = 0; b < batches; b++) {
        for (int i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof ids[i], "event-%d-%d", b, i);
            events[i].event_id = reco__str_of(ids[i]);
        }
        need(reco_ingest(NULL, engine, events, BATCH, sizeof *events, NULL, NULL, &err) == RECO_OK, err.text);
    }
    double result = rate(start, batches);
    reco_close(engine);
    test_dir_remove(data);
    return result;
}

static int by_value(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    int batches = argc > 1 ? atoi(argv[1]) : 200, pairs = argc > 2 ? atoi(argv[2]) : 5;
    double floors[64], ours[64], ratios[64];
    char dir[256];
    need(batches > 0 && pairs > 0 && pairs <= 64, "usage: bench_ingest [batches] [pairs up to 64]");
    test_dir_make(dir);
    for (int i = 0; i < pairs; i++) {
        if (i % 2 == 0)
            floors[i] = run_floor(dir, batches);
        ours[i] = run_ingest(dir, batches);
        if (i % 2)
            floors[i] = run_floor(dir, batches);
        ratios[i] = ours[i] / floors[i];
    }
    qsort(floors, (size_t)pairs, sizeof *floors, by_value);
    qsort(ours, (size_t)pairs, sizeof *ours, by_value);
    qsort(ratios, (size_t)pairs, sizeof *ratios, by_value);
    printf("durable ingest, batches of %d, %d batches, %d pairs: %.0f events/s; raw LMDB appends of %d bytes %.0f/s; ratio %.2f\n", BATCH, batches,
           pairs, ours[pairs / 2], SIZE, floors[pairs / 2], ratios[pairs / 2]);
    test_dir_remove(dir);
    return 0;
}
