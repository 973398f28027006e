/* Records on PostgreSQL: the conformance suite against a real server, and what only this backend has: the schema and its versions, typed columns,
 * deadlines, a server that goes away, secrets that stay secret. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "records/records.h"
#include "support/engine.h"
#include "records_suite.h"
#include "support/postgres_server.h"
#include "support/postgres_sql.h"
#include "support/support.h"
#include <reco/plugin/module.h>

extern const reco_module reco_module_v1;

static postgres_server server;
static reco_error err;

static void setup(void) { err = (reco_error)RECO_ERROR_INIT; }

/* --- what the tests are made of ------------------------------------------------------------------------------------------------------------ */

static const char *database(const char *name) {
    static char url[300];
    ck_assert(postgres_server_database(&server, name, url));
    return url;
}

static reco_status open_status(reco__records **out, const char *url, const char *space) {
    reco_records_options options = {.struct_size = sizeof options, .url = url, .space = space};
    return reco__records_open(out, &options, NULL, &err);
}

static reco__records *open_door(const char *url) {
    reco__records *records = NULL;
    test_ok(open_status(&records, url, "test"), &err);
    return records;
}

static reco_status put(reco__records *records, const char *id, const char *document, const reco_call *call) {
    reco_record_change one = {.kind = RECO_RECORD_ITEM, .id = reco__str_of(id), .document = reco__str_of(document)};
    return reco__records_change(NULL, records, &one, 1, call, &err);
}

static int keep(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    reco__buf *to = context;
    (void)sequence, (void)kind, (void)id;
    reco__buf_reset(to);
    reco__buf_add(to, document.data, document.size);
    return 0;
}

static int nothing(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)sequence, (void)kind, (void)id, (void)document;
    ++*(size_t *)context;
    return 0;
}

static int64_t ms_since(int64_t began_ns) { return (reco__monotonic_ns() - began_ns) / 1000000; }

static reco_call until_ms(int64_t ms) { return (reco_call){.struct_size = sizeof(reco_call), .deadline_ns = reco__monotonic_ns() + ms * 1000000}; }

/* --- the contract -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(suite_on_postgres)
{
    char room[500], name[32];
    snprintf(name, sizeof name, "suite_%d", _i);
    records_subject subject = {reco_module_v1.records, database(name), 1};
    const char *check = records_check_name((size_t)_i), *fault = records_run(&subject, check, room, sizeof room);
    ck_assert_msg(!fault, "%s: %s", check, fault);
}
END_TEST

/* One store on the server is open to processes of both spellings of the scheme. */
START_TEST(both_schemes)
{
    const char *url = database("schemes");
    char other[300];
    snprintf(other, sizeof other, "postgres%s", strchr(url, ':'));
    reco__records *a = open_door(url), *b = open_door(other);
    reco__buf got = {0};
    test_ok(put(a, "x", "{\"a\": 1}", NULL), &err);
    test_ok(reco__records_find(b, RECO_RECORD_ITEM, reco__str_of("x"), keep, &got, NULL, &err), &err);
    ck_assert_str_eq(reco__buf_cstr(&got), "{\"a\": 1}");
    reco__buf_dispose(&got);
    reco__records_close(a);
    reco__records_close(b);
}
END_TEST

/* Whatever jsonb would make of them, or refuse. */
START_TEST(documents_come_back_letter_by_letter)
{
    static const char *const documents[] = {"{\"b\":1,  \"a\":2,\n\"a\":3}",
                                            "{\"title\":\"\\u0000\"}",
                                            "{\"n\":1.10e400}",
                                            "not json",
                                            "[1,2]",
                                            "\"text\"",
                                            "{\"title\":17,\"categories\":\"x\",\"available_from\":\"soon\",\"hidden\":3}",
                                            "{\"available_from\":1e300,\"available_until\":{}}",
                                            "{\"title\":\"\xc3\xa9 \\ ' \\\" $1 %s\"}",
                                            " "};
    reco__records *records = open_door(database("letters"));
    reco__buf got = {0};
    for (uint32_t kind = RECO_RECORD_ITEM; kind <= RECO_RECORD_KEY; kind++)
        for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
            reco_record_change one = {.kind = kind, .id = reco__str_of("it's \\ id"), .document = reco__str_of(documents[i])};
            test_ok(reco__records_change(NULL, records, &one, 1, NULL, &err), &err);
            test_ok(reco__records_find(records, kind, one.id, keep, &got, NULL, &err), &err);
            ck_assert_str_eq(reco__buf_cstr(&got), documents[i]);
            test_ok(reco__records_scan(records, kind, (reco_str){NULL, 0}, 2, keep, &got, NULL, &err), &err);
            ck_assert_str_eq(reco__buf_cstr(&got), documents[i]);
        }
    reco__buf_dispose(&got);
    reco__records_close(records);
}
END_TEST

START_TEST(columns_follow_the_document)
{
    const char *url = database("columns");
    reco__records *records = open_door(url);
    PGconn *link = postgres_link(url);
    static const char columns[] = "SELECT concat_ws('|', title, array_to_string(categories, ','), extract(epoch FROM available_from),"
                                  " extract(epoch FROM available_until), hidden, attributes ->> 'price', parent) FROM reco.items WHERE item_id = 'k'";
    test_ok(put(records, "k",
                "{\"title\":\"Kettle\",\"categories\":[\"Kitchen\",\"Tea\"],\"available_from\":1500,"
                "\"available_until\":\"1970-01-01T01:00:00+01:00\",\"hidden\":true,\"attributes\":{\"price\":34.9},\"parent\":\"kettles\"}",
                NULL),
            &err);
    postgres_expect(link, columns, "Kettle|Kitchen,Tea|1.500000|0.000000|t|34.9|kettles");
    test_ok(put(records, "k", "{\"title\":\"Pot\"}", NULL), &err);
    postgres_expect(link, columns, "Pot|f");
    reco_record_change others[] = {{RECO_RECORD_USER, 0, reco__str_of("u"), reco__str_of("{\"segment\":\"new\",\"attributes\":{\"c\":\"SE\"}}"), 0},
                                   {RECO_RECORD_MODEL, 0, reco__str_of("m"), reco__str_of("{\"state\":\"live\"}"), 0},
                                   {RECO_RECORD_EXPERIMENT, 0, reco__str_of("e"), reco__str_of("{\"state\":\"draft\",\"v\":2}"), 0}};
    test_ok(reco__records_change(NULL, records, others, 3, NULL, &err), &err);
    postgres_expect(link, "SELECT segment || (attributes ->> 'c') FROM reco.users", "newSE");
    postgres_expect(link, "SELECT state FROM reco.models", "live");
    postgres_expect(link, "SELECT state || (body ->> 'v') FROM reco.experiments", "draft2");
    postgres_expect(link, "SELECT documents || ' ' || bytes || ' ' || newest FROM reco.spaces WHERE space = 'test'", "4 95 5");
    PQfinish(link);
    reco__records_close(records);
}
END_TEST

/* --- size and speed ------------------------------------------------------------------------------------------------------------------------ */

enum { MANY = RECO_RECORDS_CHANGES_MAX };

static int64_t change_many(reco__records *records, reco_record_change *batch, uint32_t flags) {
    static char ids[MANY][16], documents[MANY][160];
    uint64_t last;
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "item-%d", i);
        snprintf(documents[i], sizeof documents[i], "{\"title\":\"Item number %d\",\"categories\":[\"c%d\"],\"attributes\":{\"price\":%d}}", i, i % 9,
                 i);
        batch[i] = (reco_record_change){.kind = RECO_RECORD_ITEM, .flags = flags, .id = reco__str_of(ids[i]), .document = reco__str_of(documents[i])};
    }
    int64_t began = reco__monotonic_ns();
    test_ok(reco__records_change(&last, records, batch, MANY, NULL, &err), &err);
    return ms_since(began);
}

START_TEST(a_large_change_is_fast)
{
    reco_record_change *batch = malloc(MANY * sizeof *batch);
    ck_assert_ptr_nonnull(batch);
    reco__records *records = open_door(database("large"));
    int64_t fresh = change_many(records, batch, 0), again = change_many(records, batch, 0),
            absent = change_many(records, batch, RECO_RECORD_IF_ABSENT);
    for (int i = 0; i < MANY; i++)
        batch[i].document = (reco_str){NULL, 0}, batch[i].flags = 0;
    uint64_t last = 0;
    size_t told = 0;
    int64_t began = reco__monotonic_ns();
    test_ok(reco__records_scan(records, RECO_RECORD_ITEM, (reco_str){NULL, 0}, UINT32_MAX, nothing, &told, NULL, &err), &err);
    int64_t scan = ms_since(began);
    ck_assert_uint_eq(told, MANY);
    began = reco__monotonic_ns();
    test_ok(reco__records_change(&last, records, batch, MANY, NULL, &err), &err);
    int64_t removed = ms_since(began);
    ck_assert_uint_eq(last, 3 * MANY);
    began = reco__monotonic_ns();
    told = 0;
    test_ok(reco__records_changes(&last, records, 0, UINT32_MAX, nothing, &told, NULL, &err), &err);
    ck_assert_uint_eq(told, 3 * MANY);
    printf("20,000 items in one change: new %lld ms, again %lld ms, all there already %lld ms, deleted %lld ms;"
           " scan %lld ms; 60,000 of the log %lld ms\n",
           (long long)fresh, (long long)again, (long long)absent, (long long)removed, (long long)scan, (long long)ms_since(began));
    ck_assert_int_lt(fresh, 20000);
    free(batch);
    reco__records_close(records);
}
END_TEST

START_TEST(the_largest_documents_pass)
{
    reco__records *records = open_door(database("largest"));
    char *document = malloc(RECO_RECORDS_DOCUMENT_MAX);
    ck_assert_ptr_nonnull(document);
    memset(document, ' ', RECO_RECORDS_DOCUMENT_MAX);
    document[0] = '{', document[RECO_RECORDS_DOCUMENT_MAX - 1] = '}';
    enum { COUNT = RECO_RECORDS_CHANGE_BYTES / RECO_RECORDS_DOCUMENT_MAX };
    reco_record_change batch[COUNT];
    char ids[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof ids[i], "i%d", i);
        batch[i] = (reco_record_change){.kind = RECO_RECORD_USER, .id = reco__str_of(ids[i]), .document = {document, RECO_RECORDS_DOCUMENT_MAX}};
    }
    size_t told = 0;
    test_ok(reco__records_change(NULL, records, batch, COUNT, NULL, &err), &err);
    test_ok(reco__records_scan(records, RECO_RECORD_USER, (reco_str){NULL, 0}, UINT32_MAX, nothing, &told, NULL, &err), &err);
    ck_assert_uint_eq(told, COUNT);
    free(document);
    reco__records_close(records);
}
END_TEST

/* --- readers while others write ------------------------------------------------------------------------------------------------------------ */

enum { WRITERS = 4, ROUNDS = 60, EACH = 3 };

typedef struct writer {
    const char *url;
    int number;
    reco_status status;
} writer;

/* Each with a store of its own, as processes would. */
static void *write_some(void *context) {
    writer *w = context;
    reco__records *records = NULL;
    reco_records_options options = {.struct_size = sizeof options, .url = w->url, .space = "test"};
    w->status = reco__records_open(&records, &options, NULL, NULL);
    for (int i = 0; i < ROUNDS && w->status == RECO_OK; i++) {
        char id[32];
        snprintf(id, sizeof id, "w%d-%d", w->number, i);
        reco_record_change some[EACH] = {{RECO_RECORD_ITEM, 0, reco__str_of(id), reco__str_of("{}"), 0},
                                         {RECO_RECORD_USER, 0, reco__str_of("shared"), reco__str_of("{}"), 0},
                                         {RECO_RECORD_ITEM, 0, reco__str_of("shared"), reco__str_of("{}"), 0}};
        w->status = reco__records_change(NULL, records, some, EACH, NULL, NULL);
    }
    reco__records_close(records);
    return NULL;
}

typedef struct following {
    uint64_t since;
    bool gap;
} following;

static int follow(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    following *f = context;
    (void)kind, (void)id, (void)document;
    f->gap |= sequence != f->since + 1;
    f->since = sequence;
    return 0;
}

START_TEST(readers_see_no_gaps)
{
    const char *url = database("gaps");
    reco__records *records = open_door(url);
    pthread_t threads[WRITERS];
    writer writers[WRITERS];
    following f = {0, false};
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){url, i, RECO_OK};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
    }
    for (int64_t began = reco__monotonic_ns(); f.since < WRITERS * ROUNDS * EACH && !f.gap && ms_since(began) < 60000;) {
        uint64_t newest;
        test_ok(reco__records_changes(&newest, records, f.since, 7, follow, &f, NULL, &err), &err);
        ck_assert_uint_eq(newest % EACH, 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        test_status(RECO_OK, writers[i].status);
    }
    ck_assert(!f.gap);
    uint64_t newest = 0; /* is told with NOT_FOUND too: a catalogue reloads by it */
    test_status(RECO_NOT_FOUND, reco__records_changes(&newest, records, f.since + 1, 7, follow, &f, NULL, &err));
    ck_assert_uint_eq(newest, f.since);
    ck_assert_uint_eq(f.since, WRITERS * ROUNDS * EACH);
    reco__records_close(records);
}
END_TEST

/* More threads than connections, all reading while changes wait for a lock: readers are served. */
START_TEST(changes_that_wait_leave_room_for_readers)
{
    const char *url = database("room");
    reco__records *records = open_door(url);
    test_ok(put(records, "a", "{}", NULL), &err);
    PGconn *holder = postgres_link(url);
    postgres_run(holder, "BEGIN; SELECT * FROM reco.spaces FOR UPDATE");
    pthread_t threads[12];
    writer writers[12];
    for (int i = 0; i < 12; i++) {
        writers[i] = (writer){url, i, RECO_OK};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
    }
    reco_call call = until_ms(10000);
    reco__buf got = {0};
    test_ok(reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("a"), keep, &got, &call, &err), &err);
    postgres_run(holder, "COMMIT");
    for (int i = 0; i < 12; i++) {
        pthread_join(threads[i], NULL);
        test_status(RECO_OK, writers[i].status);
    }
    reco__buf_dispose(&got);
    PQfinish(holder);
    reco__records_close(records);
}
END_TEST

/* --- time ---------------------------------------------------------------------------------------------------------------------------------- */

static void *set_flag(void *context) {
    const struct timespec pause = {0, 100000000};
    volatile int32_t *flag = context;
    nanosleep(&pause, NULL);
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED); /* as the library reads it */
    return NULL;
}

START_TEST(deadlines_are_kept)
{
    const char *url = database("deadlines");
    reco__records *records = open_door(url);
    test_ok(put(records, "a", "{}", NULL), &err);
    PGconn *holder = postgres_link(url);
    postgres_run(holder, "BEGIN; SELECT * FROM reco.spaces FOR UPDATE");
    int64_t began = reco__monotonic_ns();
    reco_call call = until_ms(200);
    test_status(RECO_TIMEOUT, put(records, "b", "{}", &call));
    ck_assert_int_ge(ms_since(began), 190);
    ck_assert_int_lt(ms_since(began), 1900);
    call = until_ms(-1);
    test_status(RECO_TIMEOUT, put(records, "c", "{}", &call));
    postgres_run(holder, "COMMIT; BEGIN; LOCK TABLE reco.items");
    volatile int32_t cancel = 0;
    pthread_t thread;
    reco_call cancelled = {.struct_size = sizeof cancelled, .cancel = &cancel};
    size_t told = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_flag, (void *)(uintptr_t)&cancel), 0);
    test_status(RECO_CANCELLED, reco__records_scan(records, RECO_RECORD_ITEM, (reco_str){NULL, 0}, 9, nothing, &told, &cancelled, &err));
    pthread_join(thread, NULL);
    call = until_ms(100);
    test_status(RECO_TIMEOUT, reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("a"), nothing, &told, &call, &err));
    postgres_run(holder, "COMMIT");
    reco__buf got = {0};
    test_ok(put(records, "d", "{}", NULL), &err); /* the deadline of one call is not that of the next */
    test_ok(reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("d"), keep, &got, NULL, &err), &err);
    test_status(RECO_NOT_FOUND, reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("b"), keep, &got, NULL, &err));
    reco__buf_dispose(&got);
    PQfinish(holder);
    reco__records_close(records);
}
END_TEST

typedef struct hoping {
    reco__records *records;
    reco_status status;
} hoping;

static bool works_again(void *context) {
    hoping *h = context;
    h->status = put(h->records, "again", "{}", NULL);
    return h->status != RECO_UNAVAILABLE;
}

/* A server of its own, which is killed and comes back. */
START_TEST(a_server_that_goes_comes_back)
{
    postgres_server mine;
    char url[300];
    ck_assert(postgres_server_make(&mine));
    ck_assert(postgres_server_database(&mine, "gone", url));
    reco__records *records = open_door(url);
    reco__buf got = {0};
    test_ok(put(records, "a", "{\"kept\":1}", NULL), &err);
    postgres_server_stop(&mine);
    for (int i = 0; i < 20; i++) {
        int64_t began = reco__monotonic_ns();
        test_status(RECO_UNAVAILABLE, put(records, "b", "{}", NULL));
        ck_assert_str_eq(err.field, "records");
        ck_assert_int_eq(reco_status_http(err.status), 503);
        test_status(RECO_UNAVAILABLE, reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("a"), keep, &got, NULL, &err));
        ck_assert_int_lt(ms_since(began), 2000);
    }
    reco__records *other = NULL;
    test_status(RECO_UNAVAILABLE, open_status(&other, url, "test"));
    ck_assert(postgres_server_start(&mine));
    hoping h = {records, RECO_OK};
    ck_assert(test_wait(works_again, &h, 20000));
    test_status(RECO_OK, h.status);
    test_ok(reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("a"), keep, &got, NULL, &err), &err);
    ck_assert_str_eq(reco__buf_cstr(&got), "{\"kept\":1}");
    postgres_server_kill(&mine); /* behind the back of idle connections: no call notices */
    ck_assert(postgres_server_start(&mine));
    test_ok(put(records, "c", "{}", NULL), &err);
    ck_assert_int_eq(postgres_server_signal(&mine, SIGSTOP), 0); /* its sockets stay, and say nothing */
    for (int i = 0; i < 2; i++) {                                /* on a connection, and on none */
        int64_t began = reco__monotonic_ns();
        reco_call call = until_ms(300);
        test_status(RECO_TIMEOUT, reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("a"), keep, &got, &call, &err));
        ck_assert_int_lt(ms_since(began), 3000);
    }
    ck_assert_int_eq(postgres_server_signal(&mine, SIGCONT), 0);
    ck_assert(test_wait(works_again, &h, 20000));
    test_status(RECO_OK, h.status);
    reco__buf_dispose(&got);
    reco__records_close(records);
    postgres_server_remove(&mine);
}
END_TEST

/* --- secrets ------------------------------------------------------------------------------------------------------------------------------- */

static char logged[4000];

static void log_line(void *context, int level, const char *room, const char *message) {
    (void)context, (void)level, (void)room;
    strncat(logged, message, sizeof logged - strlen(logged) - 1);
}

START_TEST(passwords_are_not_told)
{
    static const char *const forms[] = {"postgresql://reco:hunter2@127.0.0.1:1/x",
                                        "postgresql://reco:hunter2@127.0.0.1:%d/nowhere",
                                        "postgresql://reco:hunter2@127.0.0.1:%d/x?hunter2",
                                        "postgres:hunter2",
                                        "postgresql://reco:hunter2@[::1/x",
                                        "postgresql://reco@127.0.0.1:%d/x?password=hunter2&hunter2=1",
                                        "postgresql://hunter2:hunter2@127.0.0.1:%d/x"};
    reco_set_log(log_line, NULL, RECO_LOG_DEBUG);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char url[300];
        const char *port = strstr(forms[i], "%d");
        snprintf(url, sizeof url, "%.*s", port ? (int)(port - forms[i]) : 299, forms[i]);
        if (port)
            snprintf(url + strlen(url), sizeof url - strlen(url), "%d%s", server.port, port + 2);
        reco__records *records = NULL;
        err = (reco_error)RECO_ERROR_INIT;
        ck_assert_int_ne(open_status(&records, url, "test"), RECO_OK);
        ck_assert_ptr_null(records);
        ck_assert_msg(err.text[0] && !strstr(err.text, "hunter2"), "address %zu: %s", i, err.text);
    }
    reco_set_log(NULL, NULL, RECO_LOG_DEBUG);
    ck_assert_ptr_null(strstr(logged, "hunter2"));
}
END_TEST

/* --- the schema ---------------------------------------------------------------------------------------------------------------------------- */

static void run_file(const char *name, const char *url, const char *output) {
    char command[1500];
    const char *source = getenv("RECO_SOURCE_DIR");
    snprintf(command, sizeof command, "'%s/psql' -X -q -v ON_ERROR_STOP=1 -d '%s' -f '%s/infra/postgres/%s' >%s", server.programs, url,
             source ? source : ".", name, output);
    ck_assert_msg(system(command) == 0, "%s", command);
}

static void dump(const char *url, const char *path) {
    char command[1000];
    snprintf(command, sizeof command, "'%s/pg_dump' --schema-only -d '%s' | grep -v '^.restrict\\|^.unrestrict' >'%s'", server.programs, url, path);
    ck_assert_msg(system(command) == 0, "%s", command);
}

START_TEST(schema_sql_is_what_the_migrations_make)
{
    char by_hand[300], folder[256], command[1000], first[300], second[300];
    snprintf(by_hand, sizeof by_hand, "%s", database("by_hand"));
    test_dir_make(folder);
    run_file("schema.sql", by_hand, "/dev/null");
    reco__records_close(open_door(by_hand)); /* as good as one we made */
    const char *ours = database("ours");
    reco__records_close(open_door(ours));
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second", folder);
    dump(by_hand, first);
    dump(ours, second);
    snprintf(command, sizeof command, "test -s '%s' && diff '%s' '%s'", first, first, second);
    ck_assert_int_eq(system(command), 0);
    test_dir_remove(folder);
}
END_TEST

START_TEST(seed_and_reports_run)
{
    const char *url = database("seed");
    reco__records *records = open_door(url);
    run_file("seed.sql", url, "/dev/null");
    run_file("queries.sql", url, "/dev/null");
    reco__records *shop = NULL;
    uint64_t newest = 0;
    size_t told = 0;
    test_ok(open_status(&shop, url, "default"), &err);
    test_ok(reco__records_scan(shop, RECO_RECORD_ITEM, (reco_str){NULL, 0}, 100, nothing, &told, NULL, &err), &err);
    ck_assert_uint_eq(told, 8);
    test_ok(reco__records_changes(&newest, shop, 0, 100, nothing, &told, NULL, &err), &err);
    ck_assert_uint_eq(newest, 12);
    reco__records_close(shop);
    reco__records_close(records);
}
END_TEST

START_TEST(versions_are_checked)
{
    const char *url = database("versions");
    reco__records *records = NULL;
    run_file("migrations/0001_records.sql", url, "/dev/null"); /* an older one is not touched */
    test_status(RECO_REFUSED, open_status(&records, url, "test"));
    ck_assert_ptr_nonnull(strstr(err.text, "reco migrate"));
    PGconn *link = postgres_link(url);
    postgres_expect(link, "SELECT max(version) FROM reco.migrations", "1");
    char command[800];
    const char *source = getenv("RECO_SOURCE_DIR");
    snprintf(command, sizeof command, "PATH='%s':\"$PATH\" '%s/infra/scripts/migrate-postgres.sh' '%s' >/dev/null", server.programs,
             source ? source : ".", url);
    ck_assert_int_eq(system(command), 0);
    postgres_expect(link, "SELECT max(version) FROM reco.migrations", "4");
    ck_assert_int_eq(system(command), 0); /* again: nothing to do */
    reco__records_close(open_door(url));
    postgres_run(link, "INSERT INTO reco.migrations VALUES (99, 'future')");
    ck_assert_int_ne(system(command), 0); /* the script does not go back either */
    test_status(RECO_NEWER, open_status(&records, url, "test"));
    postgres_run(link, "DROP TABLE reco.migrations");
    test_status(RECO_REFUSED, open_status(&records, url, "test"));
    ck_assert_ptr_nonnull(strstr(err.text, "lacks reco.migrations"));
    PQfinish(link);
    url = database("latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    char plain[300];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(url, " "), url);
    test_status(RECO_REFUSED, open_status(&records, plain, "test"));
}
END_TEST

/* --- migrating ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct told_steps {
    uint32_t done, missing, last;
} told_steps;

static void count_step(void *context, const char *setting, uint32_t version, const char *name, int32_t done) {
    told_steps *to = context;
    ck_assert_str_eq(setting, "records");
    ck_assert(name && *name);
    ck_assert_uint_gt(version, to->last);
    to->last = version;
    *(done ? &to->done : &to->missing) += 1;
}

static reco_status migrate(told_steps *to, uint32_t *missing, const char *url, uint32_t flags) {
    reco_settings *settings = NULL;
    *to = (told_steps){0};
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "records", url, &err), &err);
    test_ok(reco_settings_set(settings, "archive", url, &err), &err); /* the same: once */
    reco_status status = reco_migrate(missing, settings, flags, count_step, to, NULL, &err);
    reco_settings_free(settings);
    return status;
}

static int run_reco(const char *url, const char *arguments) {
    char command[1000];
    const char *build = getenv("RECO_BUILD_DIR");
    snprintf(command, sizeof command, "env -u RECO_POSTGRES_BIN -u RECO_FULL '%s/bin/reco' -s 'records=%s' migrate %s >/dev/null 2>&1",
             build ? build : ".", url, arguments);
    int result = system(command);
    return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

START_TEST(migrating_looks_tries_and_does)
{
    const char *url = database("migrating");
    told_steps to;
    uint32_t missing = 9;
    reco__records *records = NULL;
    PGconn *link = postgres_link(url);
    test_ok(migrate(&to, &missing, url, RECO_MIGRATE_CHECK), &err);
    ck_assert(missing == 4 && to.missing == 4 && to.done == 0);
    test_ok(migrate(&to, &missing, url, RECO_MIGRATE_DRY_RUN), &err);
    ck_assert(missing == 4 && to.missing == 0 && to.done == 4);
    postgres_expect(link, "SELECT to_regclass('reco.migrations') IS NULL", "t"); /* nothing stayed */
    run_file("migrations/0001_records.sql", url, "/dev/null");
    postgres_run(link, "SELECT reco.put('test', 1::smallint, 'kept', '{\"title\":\"Kept\"}')");
    test_status(RECO_REFUSED, open_status(&records, url, "test"));
    postgres_run(link, "CREATE TABLE reco.streams (in_the_way integer)");
    ck_assert_int_ne(migrate(&to, &missing, url, 0), RECO_OK);
    postgres_expect(link, "SELECT max(version) FROM reco.migrations", "1"); /* all or nothing */
    postgres_run(link, "DROP TABLE reco.streams");
    ck_assert_int_eq(run_reco(url, "--check"), 1);
    ck_assert_int_eq(run_reco(url, "--dry-run"), 0);
    ck_assert_int_eq(run_reco(url, "--dry-run --check"), 2);
    ck_assert_int_eq(run_reco(url, ""), 0);
    ck_assert_int_eq(run_reco(url, "--check"), 0);
    test_ok(migrate(&to, &missing, url, 0), &err);
    ck_assert(missing == 0 && to.done == 0);
    records = open_door(url);
    reco__buf got = {0};
    test_ok(reco__records_find(records, RECO_RECORD_ITEM, reco__str_of("kept"), keep, &got, NULL, &err), &err);
    ck_assert_str_eq(reco__buf_cstr(&got), "{\"title\":\"Kept\"}");
    reco__buf_dispose(&got);
    reco__records_close(records);
    postgres_run(link, "INSERT INTO reco.migrations VALUES (99, 'future')");
    test_status(RECO_NEWER, migrate(&to, &missing, url, RECO_MIGRATE_CHECK));
    test_status(RECO_NEWER, migrate(&to, &missing, url, 0));
    ck_assert_ptr_nonnull(strstr(err.text, "99"));
    ck_assert_int_eq(run_reco(url, ""), 1);
    postgres_run(link, "DROP TABLE reco.migrations");
    test_status(RECO_REFUSED, migrate(&to, &missing, url, 0));
    test_status(RECO_REFUSED, migrate(&to, &missing, url, RECO_MIGRATE_CHECK));
    PQfinish(link);
    test_ok(migrate(&to, &missing, "memory:", 0), &err);
    ck_assert(missing == 0 && to.done == 0);
}
END_TEST

START_TEST(a_database_of_the_release_before)
{
    const char *url = database("before");
    run_file("migrations/0001_records.sql", url, "/dev/null");
    run_file("migrations/0002_archive.sql", url, "/dev/null");
    PGconn *link = postgres_link(url);
    postgres_run(link, "SELECT reco.put('test', 1::smallint, 'shirt-m', '{\"title\":\"M\",\"parent\":\"shirt\"}')");
    postgres_run(link, "SELECT reco.put('test', 1::smallint, 'shirt', '[\"parent\"]')");
    reco__records *records = NULL;
    test_status(RECO_REFUSED, open_status(&records, url, "test"));
    ck_assert_int_eq(run_reco(url, ""), 0);
    postgres_expect(link, "SELECT string_agg(item_id || ' of ' || parent, ',') FROM reco.items", "shirt-m of shirt");
    records = open_door(url);
    reco_record_change late = {RECO_RECORD_ITEM, RECO_RECORD_IF_SEQUENCE, reco__str_of("shirt-m"), reco__str_of("{\"parent\":\"coat\"}"), 2};
    test_status(RECO_CONFLICT, reco__records_change(NULL, records, &late, 1, NULL, &err));
    late.sequence = 1;
    test_ok(reco__records_change(NULL, records, &late, 1, NULL, &err), &err);
    postgres_expect(link, "SELECT parent FROM reco.items WHERE item_id = 'shirt-m'", "coat");
    /* a program of the release before, which is still running */
    postgres_run(link, "SELECT reco.change('test', '{1}', '{5}', '{shirt-m}', ARRAY['{}'], 0)");
    postgres_expect(link, "SELECT sequence FROM reco.items WHERE item_id = 'shirt-m' AND parent IS NULL", "4");
    reco__records_close(records);
    PQfinish(link);
}
END_TEST

static void *migrate_too(void *context) {
    writer *w = context;
    reco_settings *settings = NULL;
    uint32_t missing;
    w->status = reco_settings_create(&settings, NULL);
    if (w->status == RECO_OK)
        w->status = reco_settings_set(settings, "records", w->url, NULL);
    if (w->status == RECO_OK)
        w->status = reco_migrate(&missing, settings, 0, NULL, NULL, NULL, NULL);
    reco_settings_free(settings);
    return NULL;
}

START_TEST(migrations_at_the_same_time_are_done_once)
{
    const char *url = database("migrations");
    pthread_t threads[4];
    writer writers[4];
    for (int i = 0; i < 4; i++) {
        writers[i] = (writer){url, i, RECO_OK};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate_too, &writers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        test_status(RECO_OK, writers[i].status);
    }
    PGconn *link = postgres_link(url);
    postgres_expect(link, "SELECT count(*) || ' ' || max(version) FROM reco.migrations", "4 4");
    PQfinish(link);
}
END_TEST

static int64_t migrate_timed(const char *url) {
    told_steps to;
    uint32_t missing;
    int64_t began = reco__monotonic_ns();
    test_ok(migrate(&to, &missing, url, 0), &err);
    return reco__monotonic_ns() - began;
}

/* A database of the first release with something in it. */
static void begin_anew(PGconn *link, const char *url) {
    postgres_run(link, "DROP SCHEMA IF EXISTS reco CASCADE");
    run_file("migrations/0001_records.sql", url, "/dev/null");
    postgres_run(link, "SELECT reco.put('test', 1::smallint, 'kept', '{\"title\":\"Kept\"}')");
}

/* The server goes on for a moment with what it had been given: to commit, or to roll back when nobody answers. */
START_TEST(a_killed_migration_is_whole_or_none)
{
    enum { KILLS = 6 };
    const char *url = database("killed");
    uint64_t seed = 3;
    int none = 0;
    PGconn *link = postgres_link(url);
    begin_anew(link, url);
    int64_t whole_ns = migrate_timed(url);
    for (int round = 0; round < (test_full() ? 10 * KILLS : KILLS); round++) {
        begin_anew(link, url);
        pid_t child = test_fork();
        if (child == 0) {
            (void)migrate_timed(url);
            _exit(0);
        }
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t pause_ns = (int64_t)((seed >> 33) % (uint64_t)(whole_ns + whole_ns / 8));
        nanosleep(&(struct timespec){pause_ns / 1000000000, pause_ns % 1000000000}, NULL);
        kill(child, SIGKILL);
        test_child_end(child);
        char found[64];
        postgres_ask(found, sizeof found, link, "SELECT count(*) || ' ' || max(version) FROM reco.migrations");
        ck_assert_msg(strcmp(found, "1 1") == 0 || strcmp(found, "4 4") == 0, "round %d: %s", round, found);
        none += strcmp(found, "1 1") == 0;
        (void)migrate_timed(url); /* over whatever was left */
        postgres_expect(link, "SELECT count(*) || ' ' || max(version) FROM reco.migrations", "4 4");
        postgres_expect(link, "SELECT title FROM reco.items WHERE item_id = 'kept'", "Kept");
    }
    ck_assert_msg(none > 0, "none of them was cut short");
    reco__records *records = open_door(url);
    reco__records_close(records);
    PQfinish(link);
    printf("migrations killed: %d of %d did nothing\n", none, test_full() ? 10 * KILLS : KILLS);
}
END_TEST

/* --- two engines --------------------------------------------------------------------------------------------------------------------------- */

typedef struct asking {
    reco_engine *engine;
    bool wanted;
} asking;

/* Whether "tea" is among the popular items. */
static bool sees(void *context) {
    asking *a = context;
    reco_reply reply = {.struct_size = sizeof reply};
    test_ok(test_ask(&reply, a->engine, RECO_ASK_POPULAR, "", NULL, &err), &err);
    bool there = reply.body && strstr(reply.body, "\"tea\"") != NULL;
    reco_reply_dispose(&reply);
    return there == a->wanted;
}

static void put_tea(reco_engine *engine, const char *document) {
    test_ok(reco_items_put_json(NULL, engine, document, strlen(document), 0, NULL, &err), &err);
}

/* What one process changes, another answers by within a second; the first process is a child. */
START_TEST(a_change_is_seen_by_another_process_within_a_second)
{
    char url[300], folder[256];
    snprintf(url, sizeof url, "%s", database("feed"));
    test_dir_make(folder);
    const char *const settings[] = {"records", url, "limits.min_free", "0", NULL};
    int commands[2], answers[2], soon = 0;
    ck_assert(pipe(commands) == 0 && pipe(answers) == 0);
    pid_t child = test_fork();
    if (child == 0) { /* changes the item at each byte it is sent */
        char byte;
        close(commands[1]);
        reco_engine *engine = test_engine_open(folder, 0, settings);
        while (read(commands[0], &byte, 1) == 1) {
            put_tea(engine, byte == 'h' ? "{\"item_id\":\"tea\",\"hidden\":true}" : "{\"item_id\":\"tea\"}");
            if (write(answers[1], &byte, 1) != 1)
                break;
        }
        reco_close(engine);
        _exit(0);
    }
    close(commands[0]);
    reco_engine *engine = test_engine_open(folder, RECO_OPEN_BACKGROUND, settings);
    reco_event event = test_event("ada", "tea", "view");
    test_engine_tell(NULL, engine, &event);
    asking a = {engine, true};
    ck_assert(test_wait(sees, &a, 20000));
    for (int i = 0; i < 4; i++) {
        char byte;
        ck_assert_int_eq(write(commands[1], i % 2 ? "s" : "h", 1), 1);
        ck_assert_int_eq(read(answers[0], &byte, 1), 1); /* it is in the database */
        int64_t began = reco__monotonic_ns();
        a.wanted = i % 2;
        ck_assert(test_wait(sees, &a, 20000));
        fprintf(stderr, "%s: seen by another process after %lld ms\n", i % 2 ? "shown" : "hidden", (long long)ms_since(began));
        ck_assert_int_lt(ms_since(began), 5000);
        soon += ms_since(began) < 1000;
    }
    ck_assert_int_ge(soon, 3); /* one pause of a crowded machine is forgiven */
    close(commands[1]);
    ck_assert_int_eq(test_child_end(child), 0);
    reco_close(engine);
    test_dir_remove(folder);
}
END_TEST

enum { RACERS = 6 };

/* All find an empty database at the same moment; one sets it up, and all get the same signing key. */
static void *race(void *context) {
    writer *w = context;
    reco__records *records = NULL;
    reco_records_options options = {.struct_size = sizeof options, .url = w->url, .space = "test"};
    uint8_t key[16];
    uint32_t number;
    w->status = reco__records_open(&records, &options, NULL, NULL);
    if (w->status == RECO_OK)
        w->status = reco__records_signing_key(&number, key, records, NULL, NULL);
    w->number = (int)reco__checksum(key, sizeof key);
    reco__records_close(records);
    return NULL;
}

START_TEST(a_fresh_database_is_set_up_once)
{
    const char *url = database("fresh");
    pthread_t threads[RACERS];
    writer racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (writer){url, 0, RECO_OK};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RACERS; i++) {
        test_status(RECO_OK, racers[i].status);
        ck_assert_int_eq(racers[i].number, racers[0].number);
    }
}
END_TEST

/* --- memory and forks ---------------------------------------------------------------------------------------------------------------------- */

static reco_status a_life(void *context, reco_error *error) {
    reco__records *records = NULL;
    reco_records_options options = {.struct_size = sizeof options, .url = context, .space = "test"};
    reco_record_change two[] = {{RECO_RECORD_ITEM, 0, reco__str_of("a"), reco__str_of("{}"), 0},
                                {RECO_RECORD_ITEM, 0, reco__str_of("a"), {NULL, 0}, 0}};
    uint64_t newest;
    size_t told = 0;
    reco_status status = reco__records_open(&records, &options, NULL, error);
    if (status == RECO_OK)
        status = reco__records_change(NULL, records, two, 2, NULL, error);
    if (status == RECO_OK)
        status = reco__records_changes(&newest, records, 0, 10, nothing, &told, NULL, error);
    reco__records_close(records);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    char url[300];
    snprintf(url, sizeof url, "%s", database("memory"));
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(a_life, url, false), 3);
    test_memory_restore();
}
END_TEST

START_TEST(a_forked_child_is_refused)
{
    reco__records *records = open_door(database("forked"));
    int result;
    pid_t child = fork();
    if (child == 0) {
        reco_status status = put(records, "a", "{}", NULL);
        reco__records_close(records); /* must not end the parent's connections */
        _exit(status == RECO_FORKED ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert_int_eq(result, 0);
    test_ok(put(records, "a", "{}", NULL), &err);
    reco__records_close(records);
}
END_TEST

int main(void) {
    char programs[256];
    if (!postgres_server_find(programs))
        test_skip("PostgreSQL is not installed (Debian package postgresql-15)");
    reco_error failed = RECO_ERROR_INIT;
    if (reco_module_start(&reco_module_v1, &failed) != RECO_OK || !postgres_server_make(&server)) {
        fprintf(stderr, "cannot begin: %s\n", failed.text);
        postgres_server_remove(&server);
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("records on PostgreSQL");
    TCase *tests = tcase_create("records");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, suite_on_postgres, 0, (int)records_check_count);
    tcase_add_test(tests, both_schemes);
    tcase_add_test(tests, documents_come_back_letter_by_letter);
    tcase_add_test(tests, columns_follow_the_document);
    tcase_add_test(tests, a_large_change_is_fast);
    tcase_add_test(tests, the_largest_documents_pass);
    tcase_add_test(tests, readers_see_no_gaps);
    tcase_add_test(tests, changes_that_wait_leave_room_for_readers);
    tcase_add_test(tests, deadlines_are_kept);
    tcase_add_test(tests, a_server_that_goes_comes_back);
    tcase_add_test(tests, passwords_are_not_told);
    tcase_add_test(tests, schema_sql_is_what_the_migrations_make);
    tcase_add_test(tests, seed_and_reports_run);
    tcase_add_test(tests, versions_are_checked);
    tcase_add_test(tests, a_fresh_database_is_set_up_once);
    tcase_add_test(tests, memory_may_end_anywhere);
    tcase_add_test(tests, a_forked_child_is_refused);
    suite_add_tcase(suite, tests);
    tests = tcase_create("processes");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, migrating_looks_tries_and_does);
    tcase_add_test(tests, a_killed_migration_is_whole_or_none);
    tcase_add_test(tests, a_database_of_the_release_before);
    tcase_add_test(tests, migrations_at_the_same_time_are_done_once);
    tcase_add_test(tests, a_change_is_seen_by_another_process_within_a_second);
    suite_add_tcase(suite, tests);
    int result = test_run(suite);
    postgres_server_remove(&server);
    return result;
}
