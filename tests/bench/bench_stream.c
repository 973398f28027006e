/* bench_stream - durable appends through the door of the stream against the floor: LMDB alone, appending the same bytes to one table with the same
 * batch size, synced.
 *
 *   bench_stream [batches] [pairs] [partitions]
 *
 * Each pair runs floor and stream one after the other on fresh folders of the same file system, in changing order; the ratio is the median over
 * pairs. */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "stream/stream.h"
#include "support/support.h"

enum { BATCH = 1000, SIZE = 200 };

static char records[BATCH][SIZE];

static void need(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench_stream: %s\n", what);
        exit(1);
    }
}

static double rate(int64_t start, int batches) { return (double)batches * BATCH / ((double)(reco__monotonic_ns() - start) / 1e9); }

/* Records a second of LMDB alone: one table, MDB_APPEND, one synced transaction a batch. */
static double run_floor(const char *dir, int batches) {
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
            MDB_val k = {8, key}, v = {SIZE, records[i]};
            need(mdb_put(txn, dbi, &k, &v, MDB_APPEND) == 0, "put");
        }
        need(mdb_txn_commit(txn) == 0, "commit");
    }
    double result = rate(start, batches);
    mdb_env_close(env);
    return result;
}

static double run_stream(const char *dir, int batches, uint32_t partitions) {
    reco_error err = RECO_ERROR_INIT;
    char url[300];
    snprintf(url, sizeof url, "lmdb:%s/stream", dir);
    reco_stream_options options = {.struct_size = sizeof options, .partitions = partitions, .url = url, .space = "bench"};
    reco__stream *stream;
    static reco_stream_record batch[BATCH];
    static int64_t offsets[BATCH];
    need(reco__stream_open(&stream, &options, NULL, &err) == RECO_OK, err.text);
    int64_t now = reco__now_ms(), start = reco__monotonic_ns();
    for (int b = 0; b < batches; b++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            batch[i] = (reco_stream_record){i % partitions, SIZE, records[i], now + b};
        }
        need(reco__stream_append(offsets, stream, batch, BATCH, 0, NULL, NULL, 0, NULL, &err) == RECO_OK, err.text);
    }
    double result = rate(start, batches);
    reco__stream_close(stream);
    return result;
}

static int by_value(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int batches = argc > 1 ? atoi(argv[1]) : 100, pairs = argc > 2 ? atoi(argv[2]) : 9, partitions = argc > 3 ? atoi(argv[3]) : 4;
    double ratios[99], floor_rate = 0, stream_rate = 0;
    need(batches > 0 && pairs > 0 && pairs < 100 && partitions > 0 && partitions <= (int)RECO_PARTITIONS_MAX,
         "usage: bench_stream [batches] [pairs] [partitions]");
    reco__rand rand;
    reco__rand_seed(&rand, 1);
    for (int i = 0; i < BATCH; i++) {
        for (int j = 0; j < SIZE; j++) {
            records[i][j] = (char)reco__rand_next(&rand);
        }
    }
    for (int i = 0; i < pairs; i++) {
        const char *temporary = getenv("TMPDIR");
        char dir[256];
        snprintf(dir, sizeof dir, "%s/reco-bench-XXXXXX", temporary && *temporary ? temporary : "/tmp");
        need(mkdtemp(dir) != NULL, "no folder for the files");
        double floor_now = i % 2 ? run_floor(dir, batches) : 0;
        double stream_now = run_stream(dir, batches, (uint32_t)partitions);
        floor_now = i % 2 ? floor_now : run_floor(dir, batches);
        ratios[i] = stream_now / floor_now;
        floor_rate += floor_now / pairs;
        stream_rate += stream_now / pairs;
        test_dir_remove(dir);
    }
    qsort(ratios, (size_t)pairs, sizeof *ratios, by_value);
    printf("stream.append batches of %d x %d bytes, %d partitions, synced: %.0f records/s; LMDB alone, one table: %.0f records/s; ratio %.2f (median "
           "of %d pairs, %.2f to %.2f)\n",
           BATCH, SIZE, partitions, stream_rate, floor_rate, ratios[pairs / 2], pairs, ratios[0], ratios[pairs - 1]);
    return 0;
}
