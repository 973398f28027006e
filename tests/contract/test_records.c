/* Records: the conformance suite on both embedded backends, its mutants, and what only the door and LMDB have. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv/kv.h"
#include "records/records.h"
#include "records_suite.h"
#include "support/support.h"

static const records_subject lmdb = {&reco__records_lmdb, "lmdb:%s", 1};
static const records_subject memory = {&reco__records_memory, "memory:", 0};

static reco_error err;

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }

START_TEST(suite_on_lmdb)
{
    char room[500];
    const char *name = records_check_name((size_t)_i), *fault = records_run(&lmdb, name, room, sizeof room);
    ck_assert_msg(!fault, "%s: %s", name, fault);
}
END_TEST

START_TEST(suite_in_memory)
{
    char room[500];
    const char *name = records_check_name((size_t)_i), *fault = records_run(&memory, name, room, sizeof room);
    ck_assert_msg(!fault, "%s: %s", name, fault);
}
END_TEST

START_TEST(mutants_are_killed)
{
    char room[500];
    const records_mutant *mutant = &records_mutants[_i];
    records_mutants_of(&reco__records_lmdb);
    records_subject subject = {&mutant->backend, "lmdb:%s", 1}, honest = {&records_no_mutant, "lmdb:%s", 1};
    ck_assert_msg(!records_run(&honest, mutant->killed_by, room, sizeof room), "%s fails without a mutant: %s", mutant->killed_by, room);
    const char *fault = records_run(&subject, mutant->killed_by, room, sizeof room);
    ck_assert_msg(fault, "the mutant \"%s\" survived %s", mutant->name, mutant->killed_by);
}
END_TEST

/* --- the door ------------------------------------------------------------------------------------------------------------------------------ */

static reco_records_options options_of(const char *url) {
    return (reco_records_options){.struct_size = sizeof(reco_records_options), .url = url, .space = "test", .map_size = 1ull << 28};
}

static reco__records *open_door(const char *url) {
    reco__records *records = NULL;
    reco_records_options options = options_of(url);
    test_ok(reco__records_open(&records, &options, NULL, &err), &err);
    return records;
}

START_TEST(registration)
{
    static reco_records_backend other;
    other = reco__records_memory;
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_CONFLICT);
    other.scheme = "Other";
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_INVALID);
    other.scheme = "other";
    other.scan = NULL;
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_INVALID);
    ck_assert_str_eq(err.field, "scan");
    other.scan = reco__records_memory.scan;
    other.contract = RECO_RECORDS_CONTRACT - 1; /* its changes are shorter */
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_UNSUPPORTED);
    other.contract = RECO_RECORDS_CONTRACT + 1;
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_UNSUPPORTED);
    other.contract = RECO_RECORDS_CONTRACT;
    other.struct_size = 8;
    ck_assert_int_eq(reco_register_records(&other, &err), RECO_INVALID);
    other.struct_size = sizeof other;
    test_ok(reco_register_records(&other, &err), &err);
    reco__records_close(open_door("other:"));
    ck_assert_int_eq(reco_register_records(NULL, &err), RECO_INVALID);
}
END_TEST

/* A backend that answers a number and not a word. */
static reco_status answered;
static reco_status bare_open(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *error) {
    return answered == RECO_BUSY ? answered : reco__records_memory.open(out, options, call, error);
}
static reco_status bare_change(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                               reco_error *error) {
    (void)last, (void)store, (void)changes, (void)count, (void)call, (void)error;
    return answered;
}
static reco_status bare_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                             reco_error *error) {
    (void)store, (void)kind, (void)id, (void)sink, (void)context, (void)call, (void)error;
    return answered;
}

static void check_words(reco_status expected, reco_status got) {
    test_status(expected, got);
    ck_assert_int_eq(err.status, expected);
    ck_assert_msg(strstr(err.text, "records: ") == err.text && strlen(err.text) > 9, "%s", err.text);
    err = (reco_error)RECO_ERROR_INIT;
}

START_TEST(a_backend_without_words_is_given_some)
{
    static reco_records_backend bare;
    bare = reco__records_memory;
    bare.scheme = "bare";
    bare.open = bare_open;
    bare.change = bare_change;
    bare.find = bare_find;
    test_ok(reco_register_records(&bare, &err), &err);
    reco__records *records;
    reco_records_options options = options_of("bare:");
    answered = RECO_BUSY;
    check_words(RECO_BUSY, reco__records_open(&records, &options, NULL, &err));
    answered = RECO_UNAVAILABLE;
    records = open_door("bare:");
    for (int round = 0; round < 2; round++) {
        reco_status expected = round == 0 ? RECO_UNAVAILABLE : RECO_INTERNAL;
        answered = round == 0 ? RECO_UNAVAILABLE : (reco_status)999;
        check_words(expected, reco__records_change(NULL, records, NULL, 0, NULL, &err));
        check_words(expected, reco__records_find(records, RECO_RECORD_ITEM, (reco_str){"a", 1}, NULL, NULL, NULL, &err));
    }
    reco__records_close(records);
}
END_TEST

START_TEST(addresses)
{
    static const struct {
        const char *url, *space;
        reco_status status;
        const char *field;
    } cases[] = {{NULL, "a", RECO_INVALID, "records"},
                 {"nothing", "a", RECO_INVALID, "records"},
                 {"redis://x", "a", RECO_UNSUPPORTED, "records"},
                 {"lmdb:", "a", RECO_INVALID, "records"},
                 {"memory:", "", RECO_INVALID, "namespace"},
                 {"memory:", NULL, RECO_INVALID, "namespace"},
                 {"memory:", "a b", RECO_INVALID, "namespace"},
                 {"memory:", "x2345678901234567890123456789012345678901234567890123456789012345", RECO_INVALID, "namespace"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco__records *records;
        reco_records_options options = options_of(cases[i].url);
        options.space = cases[i].space;
        err = (reco_error)RECO_ERROR_INIT;
        test_status(cases[i].status, reco__records_open(&records, &options, NULL, &err));
        ck_assert_str_eq(err.field, cases[i].field);
        ck_assert_ptr_null(records);
    }
}
END_TEST

START_TEST(arguments)
{
    reco__records *records = open_door("memory:");
    const reco_str id = reco__str_of("i"), document = reco__str_of("{}");
    static char large[RECO_RECORDS_DOCUMENT_MAX + 1];
    memset(large, 'x', sizeof large);
    const struct {
        reco_record_change change;
        reco_status status;
        const char *field;
    } cases[] = {{{0, 0, id, document, 0}, RECO_INVALID, "kind"},
                 {{6, 0, id, document, 0}, RECO_INVALID, "kind"},
                 {{1, 4, id, document, 0}, RECO_INVALID, "flags"},
                 {{1, 3, id, document, 1}, RECO_INVALID, "flags"}, /* both conditions */
                 {{1, 1, id, {NULL, 0}, 0}, RECO_INVALID, "flags"},
                 {{1, 0, id, document, 1}, RECO_INVALID, "sequence"},
                 {{1, 2, id, document, 7}, RECO_CONFLICT, "sequence"},
                 {{1, 0, {"", 0}, document, 0}, RECO_INVALID, "id"},
                 {{1, 0, {"\xff", 1}, document, 0}, RECO_INVALID, "id"},
                 {{1, 0, {large, 257}, document, 0}, RECO_OK, "id"},
                 {{1, 0, id, {"", 0}, 0}, RECO_INVALID, "document"},
                 {{1, 0, id, {"\xff", 1}, 0}, RECO_INVALID, "document"},
                 {{1, 0, id, {large, sizeof large}, 0}, RECO_TOO_LARGE, "document"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco_record_change two[] = {{.kind = 1, .id = reco__str_of("first"), .document = document}, cases[i].change};
        uint64_t last;
        reco_status status = reco__records_change(&last, records, two, 2, NULL, &err);
        ck_assert_msg(cases[i].status == RECO_OK ? status != RECO_OK : status == cases[i].status, "case %zu: %s", i, reco_status_name(status));
        ck_assert_str_eq(err.field, cases[i].field);
        ck_assert_int_eq(err.index, 1);
    }
    uint64_t newest = 1;
    test_ok(reco__records_changes(&newest, records, 0, 0, NULL, NULL, NULL, &err), &err);
    ck_assert_uint_eq(newest, 0); /* the first of each pair was not stored either */
    static reco_record_change many[RECO_RECORDS_CHANGES_MAX + 1];
    for (size_t i = 0; i <= RECO_RECORDS_CHANGES_MAX; i++)
        many[i] = (reco_record_change){.kind = 1, .id = id, .document = i < 65 ? (reco_str){large, RECO_RECORDS_DOCUMENT_MAX} : document};
    test_status(RECO_TOO_LARGE, reco__records_change(NULL, records, many, RECO_RECORDS_CHANGES_MAX + 1, NULL, &err));
    test_status(RECO_TOO_LARGE, reco__records_change(NULL, records, many, 65, NULL, &err));
    test_status(RECO_INVALID, reco__records_find(records, 9, id, NULL, NULL, NULL, &err));
    test_status(RECO_INVALID, reco__records_find(records, 1, (reco_str){NULL, 0}, NULL, NULL, NULL, &err));
    test_status(RECO_INVALID, reco__records_scan(records, 9, id, 1, NULL, NULL, NULL, &err));
    reco__records_close(records);
    reco__records_close(NULL);
}
END_TEST

static void ignore_stat(void *context, const char *name, uint64_t value) { (void)context, (void)name, (void)value; }

START_TEST(deadlines_and_planted_faults)
{
    reco__records *records = open_door("memory:");
    reco_record_change one = {.kind = 1, .id = reco__str_of("a"), .document = reco__str_of("{}")};
    reco_call late = {.struct_size = sizeof late, .deadline_ns = 1};
    uint64_t newest;
    test_status(RECO_TIMEOUT, reco__records_change(NULL, records, &one, 1, &late, &err));
    test_status(RECO_TIMEOUT, reco__records_find(records, 1, one.id, NULL, NULL, &late, &err));
    static const char *const points[] = {"records.change", "records.find", "records.scan", "records.changes", "records.stats"};
    for (int i = 0; i < 5; i++) {
        reco__fault_plant(points[i], 1, 0, RECO_IO);
        reco_status status = i == 0   ? reco__records_change(NULL, records, &one, 1, NULL, &err)
                             : i == 1 ? reco__records_find(records, 1, one.id, NULL, NULL, NULL, &err)
                             : i == 2 ? reco__records_scan(records, 1, one.id, 1, NULL, NULL, NULL, &err)
                             : i == 3 ? reco__records_changes(&newest, records, 0, 1, NULL, NULL, NULL, &err)
                                      : reco__records_stats(records, ignore_stat, NULL, NULL, &err);
        test_status(RECO_IO, status);
    }
    reco__fault_plant(NULL, 0, 0, RECO_OK);
    test_status(RECO_NOT_FOUND, reco__records_find(records, 1, one.id, NULL, NULL, NULL, &err));
    reco__records_close(records);
}
END_TEST

/* --- the signing key ----------------------------------------------------------------------------------------------------------------------- */

enum { RACERS = 6 };

typedef struct racer {
    const char *url;
    pthread_barrier_t *barrier;
    uint32_t number;
    uint8_t key[16];
    reco_status status;
} racer;

static void *race(void *context) {
    racer *r = context;
    reco_records_options options = options_of(r->url);
    reco__records *records = NULL;
    r->status = reco__records_open(&records, &options, NULL, NULL);
    if (r->barrier)
        pthread_barrier_wait(r->barrier);
    if (r->status == RECO_OK)
        r->status = reco__records_signing_key(&r->number, r->key, records, NULL, NULL);
    reco__records_close(records);
    return NULL;
}

START_TEST(one_key_for_all_threads)
{
    char folder[256], url[300];
    test_dir_make(folder);
    snprintf(url, sizeof url, "lmdb:%s", folder);
    pthread_barrier_t barrier;
    pthread_t threads[RACERS];
    racer racers[RACERS] = {{0}};
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i].url = url;
        racers[i].barrier = &barrier;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    static const uint8_t zeros[16];
    for (int i = 0; i < RACERS; i++) {
        test_status(RECO_OK, racers[i].status);
        ck_assert_uint_eq(racers[i].number, 1);
        ck_assert_mem_eq(racers[i].key, racers[0].key, 16);
    }
    ck_assert(memcmp(racers[0].key, zeros, 16) != 0);
    racer later = {.url = url};
    race(&later);
    ck_assert_mem_eq(later.key, racers[0].key, 16);
    test_dir_remove(folder);
}
END_TEST

START_TEST(one_key_for_all_processes)
{
    char folder[256], url[300];
    test_dir_make(folder);
    snprintf(url, sizeof url, "lmdb:%s", folder);
    int ends[2], go[2];
    ck_assert(pipe(ends) == 0 && pipe(go) == 0);
    pid_t children[RACERS];
    for (int i = 0; i < RACERS; i++)
        if ((children[i] = fork()) == 0) {
            char byte;
            racer mine = {.url = url};
            close(go[1]);
            while (read(go[0], &byte, 1) > 0) /* until the parent closes it: all start together */
                continue;
            race(&mine);
            _exit(mine.status == RECO_OK && write(ends[1], mine.key, 16) == 16 ? 0 : 1);
        }
    close(go[0]);
    close(go[1]);
    uint8_t first[16], key[16];
    for (int i = 0; i < RACERS; i++) {
        int result;
        ck_assert_int_eq(waitpid(children[i], &result, 0), children[i]);
        ck_assert_int_eq(result, 0);
        ck_assert_int_eq(read(ends[0], i ? key : first, 16), 16);
        ck_assert_mem_eq(i ? key : first, first, 16);
    }
    close(ends[0]);
    close(ends[1]);
    test_dir_remove(folder);
}
END_TEST

START_TEST(a_damaged_key_is_corrupt)
{
    static const char *const documents[] = {"{}", "{\"number\":1,\"key\":\"AAAA\"}", "{\"number\":1,\"key\":\"!AAAAAAAAAAAAAAAAAAAAA\"}",
                                            "{\"number\":2,\"key\":\"AAAAAAAAAAAAAAAAAAAAAA\"}", "x"};
    reco__records *records = open_door("memory:");
    uint32_t number;
    uint8_t key[16];
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        reco_record_change one = {.kind = RECO_RECORD_KEY, .id = reco__str_of("recommendation-1"), .document = reco__str_of(documents[i])};
        test_ok(reco__records_change(NULL, records, &one, 1, NULL, &err), &err);
        test_status(RECO_CORRUPT, reco__records_signing_key(&number, key, records, NULL, &err));
    }
    reco__records_close(records);
}
END_TEST

/* --- LMDB ------------------------------------------------------------------------------------------------------------------------------------ */

/* A writer tells each change that was acknowledged through a pipe until it is killed; none of them may be lost. */
START_TEST(acknowledged_is_kept)
{
    char folder[256], url[300];
    test_dir_make(folder);
    snprintf(url, sizeof url, "lmdb:%s", folder);
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        reco__records *records = open_door(url);
        for (uint64_t i = 1;; i++) {
            char id[32];
            snprintf(id, sizeof id, "item-%llu", (unsigned long long)i);
            reco_record_change one = {.kind = RECO_RECORD_ITEM, .id = reco__str_of(id), .document = reco__str_of("{}")};
            uint64_t last = 0;
            if (reco__records_change(&last, records, &one, 1, NULL, NULL) != RECO_OK || write(ends[1], &last, sizeof last) != sizeof last)
                _exit(1);
        }
    }
    uint64_t last = 0;
    close(ends[1]);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(read(ends[0], &last, sizeof last), sizeof last);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (uint64_t more; read(ends[0], &more, sizeof more) == sizeof more;)
        last = more;
    close(ends[0]);
    reco__records *records = open_door(url);
    uint64_t newest = 0;
    test_ok(reco__records_changes(&newest, records, 0, 0, NULL, NULL, NULL, &err), &err);
    ck_assert_msg(newest == last || newest == last + 1, "acknowledged %llu, kept %llu", (unsigned long long)last, (unsigned long long)newest);
    reco__records_close(records);
    test_dir_remove(folder);
}
END_TEST

/* Every byte of a stored value is under the checksum or refused by its form. */
START_TEST(damage_is_noticed)
{
    char folder[256], url[300];
    test_dir_make(folder);
    snprintf(url, sizeof url, "lmdb:%s", folder);
    reco__records *records = open_door(url);
    reco_record_change one = {.kind = RECO_RECORD_ITEM, .id = reco__str_of("a"), .document = reco__str_of("{\"title\":\"x\"}")};
    test_ok(reco__records_change(NULL, records, &one, 1, NULL, &err), &err);
    reco__kv_options options = {.directory = folder, .name = "records", .map_size = 1ull << 28, .format = "reco-records", .format_version = 1};
    reco__kv *kv;
    reco__kv_table table;
    test_ok(reco__kv_open(&kv, &options, NULL, &err), &err);
    test_ok(reco__kv_table_open(&table, kv, "documents", &err), &err);
    for (size_t i = 0; i < 13 + one.document.size; i++) {
        reco__kv_txn *txn;
        reco__kv_value value;
        uint8_t sound[64], damaged[64];
        const uint8_t key[] = {4, 't', 'e', 's', 't', RECO_RECORD_ITEM, 'a'};
        test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
        test_ok(reco__kv_get(&value, txn, table, key, sizeof key, &err), &err);
        ck_assert_uint_eq(value.size, 13 + one.document.size);
        memcpy(sound, value.data, value.size);
        memcpy(damaged, sound, value.size);
        damaged[i] ^= 1;
        size_t size = value.size;
        test_ok(reco__kv_put(txn, table, key, sizeof key, damaged, size, &err), &err);
        test_ok(reco__kv_commit(txn, &err), &err);
        test_status(RECO_CORRUPT, reco__records_find(records, RECO_RECORD_ITEM, one.id, NULL, NULL, NULL, &err));
        test_status(RECO_CORRUPT, reco__records_scan(records, RECO_RECORD_ITEM, (reco_str){NULL, 0}, 9, NULL, NULL, NULL, &err));
        test_ok(reco__kv_write_begin(&txn, kv, &err), &err);
        test_ok(reco__kv_put(txn, table, key, sizeof key, sound, size, &err), &err);
        test_ok(reco__kv_commit(txn, &err), &err);
    }
    reco__kv_close(kv);
    reco__records_close(records);
    test_dir_remove(folder);
}
END_TEST

static int one_of(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)context, (void)sequence, (void)kind, (void)id, (void)document;
    return 0;
}

static reco_status a_life(void *context, reco_error *error) {
    (void)context;
    reco__records *records = NULL;
    reco_records_options options = options_of("memory:");
    uint32_t number;
    uint8_t key[16];
    uint64_t newest;
    reco_status status = reco__records_open(&records, &options, NULL, error);
    if (status == RECO_OK)
        status = reco__records_signing_key(&number, key, records, NULL, error);
    if (status == RECO_OK)
        status = reco__records_scan(records, RECO_RECORD_KEY, (reco_str){NULL, 0}, 10, one_of, NULL, NULL, error);
    if (status == RECO_OK)
        status = reco__records_changes(&newest, records, 0, 10, one_of, NULL, NULL, error);
    reco__records_close(records);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(a_life, NULL, false), 3);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("records");
    TCase *tests = tcase_create("records");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, suite_on_lmdb, 0, (int)records_check_count);
    tcase_add_loop_test(tests, suite_in_memory, 0, (int)records_check_count);
    tcase_add_loop_test(tests, mutants_are_killed, 0, (int)records_mutant_count);
    tcase_add_test(tests, registration);
    tcase_add_test(tests, a_backend_without_words_is_given_some);
    tcase_add_test(tests, addresses);
    tcase_add_test(tests, arguments);
    tcase_add_test(tests, deadlines_and_planted_faults);
    tcase_add_test(tests, one_key_for_all_threads);
    tcase_add_test(tests, one_key_for_all_processes);
    tcase_add_test(tests, a_damaged_key_is_corrupt);
    tcase_add_test(tests, acknowledged_is_kept);
    tcase_add_test(tests, damage_is_noticed);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
