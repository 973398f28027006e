/* Group commit: many threads, one transaction; a job that fails hurts no other. */
#include <pthread.h>

#include "test_kv.h"

static char dir[256];

static void setup(void) { test_dir_make(dir); }
static void teardown(void) { test_dir_remove(dir); }

enum { THREADS = 16, JOBS = 100 };

/* A job that writes keys, then fails when told to. */
typedef struct put_job {
    reco__kv_job job;
    reco__kv_table table;
    uint64_t first, count;
    reco_status fails;
    bool early; /* before it wrote anything */
    unsigned runs;
} put_job;

static reco_status run_put(reco__kv_txn *txn, reco__kv_job *job, reco_error *err) {
    put_job *put = job->context;
    put->runs++;
    if (put->fails != RECO_OK && put->early) {
        return reco__fail(err, put->fails, "early", "job %llu", (unsigned long long)put->first);
    }
    for (uint64_t i = 0; i < put->count; i++) {
        uint8_t key[8];
        reco__be64(key, put->first + i);
        reco_status status = reco__kv_put(txn, put->table, key, sizeof key, "value", 5, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    return put->fails == RECO_OK ? RECO_OK : reco__fail(err, put->fails, "late", "job %llu", (unsigned long long)put->first);
}

static put_job make_job(reco__kv_table table, uint64_t first, uint64_t count) {
    put_job put = {.table = table, .first = first, .count = count};
    put.job.run = run_put;
    put.job.records = (uint32_t)count;
    return put;
}

static void submit(reco__kv *kv, put_job *put) {
    reco_error err = RECO_ERROR_INIT;
    put->job.context = put;
    test_ok(reco__kv_submit(kv, &put->job, &err), &err);
}

static uint64_t entries_of(reco__kv *kv, reco__kv_table table) {
    reco_error err = RECO_ERROR_INIT;
    uint64_t entries, bytes;
    test_ok(reco__kv_table_stat(&entries, &bytes, kv, table, &err), &err);
    return entries;
}

typedef struct worker {
    reco__kv *kv;
    reco__kv_table table;
    uint64_t first;
    unsigned wrong; /* asserted by the main thread */
    bool direct;    /* also transactions of its own between */
} worker;

/* Every seventh job fails after it wrote, every eleventh before. */
static void *work(void *context) {
    worker *w = context;
    for (uint64_t i = 0; i < JOBS; i++) {
        reco_error err = RECO_ERROR_INIT;
        put_job put = make_job(w->table, w->first + i * 10, 3);
        put.fails = i % 7 == 3 || i % 11 == 5 ? RECO_CONFLICT : RECO_OK;
        put.early = i % 11 == 5;
        put.job.context = &put;
        w->wrong += reco__kv_submit(w->kv, &put.job, &err) != RECO_OK || reco__kv_wait(w->kv, &put.job, NULL, &err) != put.fails;
        w->wrong += put.fails != RECO_OK && strcmp(err.field, put.early ? "early" : "late") != 0;
        reco__kv_txn *txn;
        uint8_t key[8];
        reco__be64(key, put.first + 5);
        if (w->direct && i % 10 == 0) {
            w->wrong += reco__kv_write_begin(&txn, w->kv, &err) != RECO_OK || reco__kv_put(txn, w->table, key, 8, "own", 3, &err) != RECO_OK ||
                        reco__kv_commit(txn, &err) != RECO_OK;
        }
    }
    return NULL;
}

static void many_threads(uint32_t flags) {
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, flags);
    reco__kv_table table = kv_table(kv, "a");
    worker workers[THREADS];
    pthread_t threads[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){kv, table, i * 100000, 0, i % 4 == 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(workers[i].wrong, 0);
    }
    uint64_t good = 0;
    for (uint64_t i = 0; i < JOBS; i++) {
        bool fails = i % 7 == 3 || i % 11 == 5;
        good += !fails;
        for (uint64_t t = 0; t < THREADS; t++) {
            ck_assert(kv_has(kv, table, t * 100000 + i * 10 + 2) == !fails);
        }
    }
    ck_assert_uint_eq(entries_of(kv, table), good * 3 * THREADS + (uint64_t)JOBS / 10 * (THREADS / 4));
    reco__kv_stats stats;
    test_ok(reco__kv_stat(&stats, kv, &err), &err);
    ck_assert_uint_eq(stats.jobs, good * THREADS);
    ck_assert_uint_eq(stats.records, good * THREADS * 3);
    ck_assert_uint_lt(stats.commits, good * THREADS); /* transactions were shared */
    reco__kv_close(kv);
}

START_TEST(many_threads_share_commits_by_leaders)
{ many_threads(0); }
END_TEST

START_TEST(many_threads_share_commits_by_the_thread)
{ many_threads(RECO__KV_BACKGROUND); }
END_TEST

START_TEST(a_failing_job_is_undone_alone)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    put_job jobs[9];
    for (uint64_t i = 0; i < 9; i++) {
        jobs[i] = make_job(table, i * 10, 2);
        jobs[i].fails = i % 3 == 1 ? RECO_TOO_LATE : RECO_OK;
        submit(kv, &jobs[i]);
    }
    reco__kv_stats before, after;
    test_ok(reco__kv_stat(&before, kv, &err), &err);
    for (uint64_t i = 9; i-- > 0;) {
        memset(&err, 0, sizeof err);
        test_status(jobs[i].fails, reco__kv_wait(kv, &jobs[i].job, NULL, &err));
        ck_assert(jobs[i].fails == RECO_OK ? err.text[0] == '\0' : strcmp(err.field, "late") == 0);
        ck_assert(kv_has(kv, table, i * 10 + 1) == (jobs[i].fails == RECO_OK));
        test_status(jobs[i].fails, reco__kv_wait(kv, &jobs[i].job, NULL, &err)); /* the answer stays */
    }
    test_ok(reco__kv_stat(&after, kv, &err), &err);
    ck_assert_uint_eq(after.commits, before.commits + 1);
    ck_assert_uint_eq(jobs[0].runs, 4); /* once with each that failed, once without */
    reco__kv_close(kv);
}
END_TEST

START_TEST(a_long_queue_is_cut_into_transactions_and_bounded)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv_options options = kv_options(dir, 0);
    options.job_records = 10;
    reco__kv *kv;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    reco__kv_table table = kv_table(kv, "a");
    static put_job jobs[161];
    for (uint64_t i = 0; i < 161; i++) {
        jobs[i] = make_job(table, i * 10, 4);
        jobs[i].job.context = &jobs[i];
        test_status(i < 160 ? RECO_OK : RECO_BUSY, reco__kv_submit(kv, &jobs[i].job, &err)); /* 64 x 10 records */
    }
    reco__kv_stats before, after;
    test_ok(reco__kv_stat(&before, kv, &err), &err);
    test_ok(reco__kv_wait(kv, &jobs[159].job, NULL, &err), &err);
    test_ok(reco__kv_stat(&after, kv, &err), &err);
    ck_assert_uint_eq(after.commits - before.commits, 80);
    ck_assert_uint_eq(entries_of(kv, table), 640);
    put_job large = make_job(table, 100000, 2000); /* alone in an empty queue it is taken, whatever its weight */
    submit(kv, &large);
    test_ok(reco__kv_wait(kv, &large.job, NULL, &err), &err);
    reco__kv_close(kv);
}
END_TEST

START_TEST(a_wait_can_be_given_up_and_taken_up_again)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, RECO__KV_BACKGROUND);
    reco__kv_table table = kv_table(kv, "a");
    reco__kv_txn *txn;
    put_job put = make_job(table, 1, 1);
    volatile int32_t cancel = 1;
    test_ok(reco__kv_write_begin(&txn, kv, &err), &err); /* the committer waits for us */
    submit(kv, &put);
    reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + 20000000};
    test_status(RECO_TIMEOUT, reco__kv_wait(kv, &put.job, &call, &err));
    call = (reco_call){.struct_size = sizeof call, .cancel = &cancel};
    test_status(RECO_CANCELLED, reco__kv_wait(kv, &put.job, &call, &err));
    reco__kv_abort(txn);
    test_ok(reco__kv_wait(kv, &put.job, NULL, &err), &err);
    ck_assert(kv_has(kv, table, 1));
    reco__kv_close(kv);
}
END_TEST

typedef struct hook {
    reco__kv_enlisted node;
    reco__kv_table table;
    reco_status fails;
    int before, after, fresh;
} hook;

static reco_status before_commit(void *context, reco__kv_txn *txn, reco_error *err) {
    hook *h = context;
    h->before++;
    reco_status status = reco__kv_put(txn, h->table, "hook", 4, "x", 1, err);
    return status != RECO_OK ? status : h->fails == RECO_OK ? RECO_OK : reco__fail(err, h->fails, "hook", "no");
}

static void after_commit(void *context) { ((hook *)context)->after++; }

static hook *enlist_me;

static reco_status run_enlisting(reco__kv_txn *txn, reco__kv_job *job, reco_error *err) {
    enlist_me->fresh += reco__kv_enlist(txn, &enlist_me->node);
    return run_put(txn, job, err);
}

START_TEST(hooks_run_in_and_after_the_transaction)
{
    reco_error err = RECO_ERROR_INIT;
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a"), other = kv_table(kv, "b");
    hook all = {.table = other}, one = {.table = other};
    one.node.hooks = (reco__kv_hooks){&one, before_commit, after_commit};
    enlist_me = &one;
    reco__kv_hooks hooks = {&all, before_commit, after_commit};
    reco__kv_set_hooks(kv, &hooks);
    put_job plain = make_job(table, 1, 1), first = make_job(table, 2, 1), second = make_job(table, 3, 1);
    submit(kv, &plain);
    test_ok(reco__kv_wait(kv, &plain.job, NULL, &err), &err);
    ck_assert(all.before == 1 && all.after == 1 && one.before == 0);
    first.job.run = second.job.run = run_enlisting;
    submit(kv, &first);
    submit(kv, &second);
    test_ok(reco__kv_wait(kv, &second.job, NULL, &err), &err);
    test_ok(reco__kv_wait(kv, &first.job, NULL, &err), &err);
    ck_assert(all.before == 2 && all.after == 2 && one.before == 1 && one.after == 1 && one.fresh == 1);
    one.fails = RECO_IO;
    first.first = 5;
    submit(kv, &first);
    test_status(RECO_IO, reco__kv_wait(kv, &first.job, NULL, &err));
    ck_assert_str_eq(err.field, "hook");
    ck_assert(!kv_has(kv, table, 5) && one.after == 1);
    reco__kv_close(kv);
}
END_TEST

START_TEST(a_failed_commit_fails_all_its_jobs)
{
    static const char *const points[] = {"kv.write_begin", "kv.commit"};
    reco__kv *kv = kv_open(dir, 0);
    reco__kv_table table = kv_table(kv, "a");
    for (uint64_t p = 0; p < 2; p++) {
        put_job jobs[3];
        for (uint64_t i = 0; i < 3; i++) {
            jobs[i] = make_job(table, p * 100 + i, 1);
            submit(kv, &jobs[i]);
        }
        reco__fault_plant(points[p], 1, 0, RECO_FULL);
        for (uint64_t i = 0; i < 3; i++) {
            reco_error err = RECO_ERROR_INIT;
            test_status(RECO_FULL, reco__kv_wait(kv, &jobs[i].job, NULL, &err));
            ck_assert(err.text[0] != '\0');
            ck_assert(!kv_has(kv, table, p * 100 + i));
        }
        reco__fault_plant(NULL, 0, 0, RECO_OK);
    }
    put_job put = make_job(table, 7, 1);
    reco_error err = RECO_ERROR_INIT;
    reco__fault_plant("kv.put", 1, 0, RECO_IO);
    submit(kv, &put);
    test_status(RECO_IO, reco__kv_wait(kv, &put.job, NULL, &err));
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    submit(kv, &put);
    test_ok(reco__kv_wait(kv, &put.job, NULL, &err), &err);
    reco__kv_close(kv);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kv group");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, many_threads_share_commits_by_leaders);
    tcase_add_test(tests, many_threads_share_commits_by_the_thread);
    tcase_add_test(tests, a_failing_job_is_undone_alone);
    tcase_add_test(tests, a_long_queue_is_cut_into_transactions_and_bounded);
    tcase_add_test(tests, a_wait_can_be_given_up_and_taken_up_again);
    tcase_add_test(tests, hooks_run_in_and_after_the_transaction);
    tcase_add_test(tests, a_failed_commit_fails_all_its_jobs);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
