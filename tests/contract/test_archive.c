/* The archive on PostgreSQL: each record of a stream is there once, byte by byte, whatever archives it, is killed, or fails; learning never waits. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "model/envelope.h"
#include "support/engine.h"
#include "support/postgres_server.h"
#include "support/postgres_sql.h"
#include <reco/plugin/module.h>

extern const reco_module reco_module_v1;

static postgres_server server;
static reco_error err;
static char folder[256];

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    test_dir_make(folder);
}

static void teardown(void) { test_dir_remove(folder); }

/* --- what the tests are made of ------------------------------------------------------------------------------------------------------------ */

static char *database(const char *name) {
    static char url[300];
    ck_assert(postgres_server_database(&server, name, url));
    return url;
}

static reco_engine *engine_on(const char *url, uint32_t flags) {
    const char *const settings[] = {"archive", url, "limits.min_free", "0", NULL};
    return test_engine_open(folder, flags, settings);
}

/* Events of a few users; `from` makes their ids differ. */
static void tell_some(reco_engine *engine, int from, int count) {
    static const char *const types[] = {"view", "cart", "purchase"};
    for (int i = from; i < from + count; i++) {
        char user[16], item[16], id[16];
        snprintf(user, sizeof user, "u%d", i % 17);
        snprintf(item, sizeof item, "i%d", i * 7 % 31);
        snprintf(id, sizeof id, "e%d", i);
        reco_event event = test_event(user, item, types[i % 3]);
        event.event_id = reco__str_of(id);
        test_engine_tell(NULL, engine, &event);
    }
}

static void archive_all(reco_archived *done, reco_engine *engine, uint32_t batch) {
    reco_archiver *archiver = NULL;
    reco_archiver_options options = {.struct_size = sizeof options, .batch_records = batch};
    *done = (reco_archived){.struct_size = sizeof *done};
    test_ok(reco_archiver_open(&archiver, engine, &options, NULL, &err), &err);
    do {
        if (done->idle)
            test_ok(reco_archiver_wait(archiver, 10, NULL, &err), &err);
        test_ok(reco_archiver_step(done, archiver, NULL, &err), &err);
    } while (!done->idle || done->lag > 0);
    reco_archiver_close(archiver);
}

typedef struct comparing {
    PGresult *rows;
    int at;
} comparing;

static int compare_record(void *context, int64_t offset, const void *data, size_t size) {
    comparing *c = context;
    ck_assert_int_lt(c->at, PQntuples(c->rows));
    size_t raw_size;
    unsigned char *raw = PQunescapeBytea((const unsigned char *)PQgetvalue(c->rows, c->at, 1), &raw_size);
    ck_assert_ptr_nonnull(raw);
    ck_assert_int_eq(strtoll(PQgetvalue(c->rows, c->at, 0), NULL, 10), offset);
    ck_assert(raw_size == size && memcmp(raw, data, size) == 0);
    PQfreemem(raw);
    c->at++;
    return 0;
}

/* Every record that the stream still has, and none besides those it had, in the archive once. */
static void expect_exact(reco_engine *engine, const char *url) {
    PGconn *link = postgres_link(url);
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT position, raw FROM reco.events WHERE partition = %u AND position >= %lld ORDER BY position", p,
                 (long long)spans[p].begin);
        comparing c = {PQexec(link, sql), 0};
        ck_assert_msg(PQresultStatus(c.rows) == PGRES_TUPLES_OK, "%s", PQerrorMessage(link));
        test_ok(reco__stream_read(engine->stream, p, spans[p].begin, 1000000, 1u << 30, compare_record, &c, NULL, &err), &err);
        ck_assert_int_eq(c.at, PQntuples(c.rows));
        ck_assert_int_eq(c.at, spans[p].end - spans[p].begin);
        PQclear(c.rows);
    }
    postgres_expect(
        link,
        "SELECT coalesce(bool_and(p.next_position - p.first_position = p.records + p.missed AND p.records ="
        " (SELECT count(*) FROM reco.events e WHERE e.stream = p.stream AND e.partition = p.partition)), true) FROM reco.archive_positions p",
        "t");
    PQfinish(link);
}

/* --- what is archived ---------------------------------------------------------------------------------------------------------------------- */

START_TEST(every_record_is_there_once)
{
    const char *url = database("once");
    reco_engine *engine = engine_on(url, 0);
    reco_archived done;
    tell_some(engine, 0, 300);
    archive_all(&done, engine, 7);
    ck_assert_uint_ge(done.records, 300);
    ck_assert_uint_eq(done.missed + done.unreadable + done.stale, 0);
    expect_exact(engine, url);
    tell_some(engine, 300, 100);
    archive_all(&done, engine, 0);
    ck_assert_uint_ge(done.records, 100);
    expect_exact(engine, url);
    archive_all(&done, engine, 0);
    ck_assert_uint_eq(done.records, 0);
    reco_close(engine);
}
END_TEST

START_TEST(columns_say_what_the_record_says)
{
    const char *url = database("columns");
    reco_engine *engine = engine_on(url, 0);
    reco_archived done;
    int64_t now = reco__now_ms() - 5000;
    char sql[400];
    reco_event event = {.user_id = reco__str_of("\xc3\xa9\\ '"),
                        .item_id = reco__str_of("i/1"),
                        .event_type = reco__str_of("rating"),
                        .session_id = reco__str_of("s"),
                        .event_id = reco__str_of("x"),
                        .properties = reco__str_of("{\"a\": [1, \"\xc3\xa9\"]}"),
                        .timestamp = now,
                        .value = 4.5,
                        .position = 3,
                        .flags = RECO_EVENT_HAS_VALUE | RECO_EVENT_HAS_POSITION};
    test_engine_tell(NULL, engine, &event);
    event = test_event("u", "plain", "view");
    test_engine_tell(NULL, engine, &event);
    event.event_id = reco__str_of("back"); /* an event that is taken back, and the record that says so */
    event.item_id = reco__str_of("undone");
    test_engine_tell(NULL, engine, &event);
    event.flags = RECO_EVENT_UNDO;
    test_engine_tell(NULL, engine, &event);
    event.flags = 0;
    event.event_id = reco__str_of("");
    event.item_id = reco__str_of("odd");
    event.properties = reco__str_of("{\"t\":\"\\u0000\"}"); /* nothing for jsonb */
    test_engine_tell(NULL, engine, &event);
    archive_all(&done, engine, 0);
    expect_exact(engine, url);
    PGconn *link = postgres_link(url);
    snprintf(sql, sizeof sql,
             "SELECT space = 'default' AND user_id = E'\\u00e9\\\\ ''' AND event_type = 'rating' AND session_id = 's' AND event_id = 'x' AND"
             " recommendation_id IS NULL AND value = 4.5 AND shown_at = 3 AND properties ->> 'a' = E'[1, \"\\u00e9\"]' AND"
             " extract(epoch FROM happened_at) * 1000 = %lld AND received_at >= happened_at FROM reco.history WHERE item_id = 'i/1'",
             (long long)now);
    postgres_expect(link, sql, "t");
    postgres_expect(
        link,
        "SELECT happened_at = received_at AND num_nulls(value, shown_at, session_id, event_id, properties, segments) = 6 FROM reco.history"
        " WHERE item_id = 'plain'",
        "t");
    postgres_expect(link, "SELECT count(*) FROM reco.history WHERE item_id = 'undone'", "0");
    postgres_expect(link, "SELECT count(*) FROM reco.events WHERE item_id = 'undone'", "2");
    postgres_expect(link, "SELECT properties IS NULL AND position(convert_to('\\u0000', 'UTF8') IN raw) > 0 FROM reco.history WHERE item_id = 'odd'",
                    "t");
    postgres_expect(link, "SELECT count(*) = count(DISTINCT tableoid) FROM (SELECT tableoid FROM reco.events GROUP BY 1) t", "t");
    postgres_expect(link, "SELECT count(*) FROM reco.events_other", "0");
    PQfinish(link);
    reco_close(engine);
}
END_TEST

/* Bytes that are no record, in the stream: kept as they are; the archive goes on. */
START_TEST(unreadable_records_are_kept)
{
    const char *url = database("unreadable");
    reco_engine *engine = engine_on(url, 0);
    reco_archived done;
    tell_some(engine, 0, 10);
    reco__buf odd = {0};
    reco_event event = test_event("\xff\xfe", "i", "view"); /* a right checksum around no UTF-8 */
    reco__envelope_event(&odd, &event, (reco_str){NULL, 0}, reco__now_ms());
    reco_stream_record records[] = {{.partition = 1, .size = 7, .data = "garbage", .received_at = reco__now_ms()},
                                    {.partition = 1, .size = (uint32_t)odd.size, .data = odd.data, .received_at = reco__now_ms()}};
    test_ok(reco__stream_append(NULL, engine->stream, records, 2, RECO_APPEND_NO_TICKS, NULL, NULL, 0, NULL, &err), &err);
    tell_some(engine, 10, 40);
    archive_all(&done, engine, 0);
    ck_assert_uint_eq(done.unreadable, 2);
    expect_exact(engine, url);
    PGconn *link = postgres_link(url);
    postgres_expect(
        link, "SELECT count(*) FROM reco.events WHERE record_type = 'unreadable' AND user_id IS NULL AND received_at > now() - interval '1 hour'",
        "2");
    PQfinish(link);
    reco__buf_dispose(&odd);
    reco_close(engine);
}
END_TEST

/* What the stream has dropped cannot be archived; it is counted, and the archive goes on. */
START_TEST(what_the_stream_dropped_is_missed)
{
    const char *url = database("missed");
    reco_engine *engine = engine_on(url, 0);
    reco_archived done;
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    tell_some(engine, 0, 100);
    archive_all(&done, engine, 0);
    tell_some(engine, 100, 100);
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    test_ok(reco__stream_trim(engine->stream, 2, spans[2].end - 1, NULL, &err), &err);
    archive_all(&done, engine, 0);
    ck_assert_uint_gt(done.missed, 0);
    expect_exact(engine, url);
    PGconn *link = postgres_link(url);
    char text[30];
    snprintf(text, sizeof text, "%llu", (unsigned long long)done.missed);
    postgres_expect(link, "SELECT sum(missed) FROM reco.archive_positions", text);
    PQfinish(link);
    reco_close(engine);
}
END_TEST

/* --- many archivers ------------------------------------------------------------------------------------------------------------------------ */

enum { ARCHIVERS = 3 };

typedef struct archivist {
    reco_engine *engine;
    volatile int32_t *stop;
    uint64_t records, stale;
    reco_status status;
} archivist;

static void *archive_on(void *context) {
    archivist *a = context;
    reco_archiver *archiver = NULL;
    reco_archiver_options options = {.struct_size = sizeof options, .batch_records = 20};
    reco_archived done = {.struct_size = sizeof done};
    a->status = reco_archiver_open(&archiver, a->engine, &options, NULL, NULL);
    for (bool over = false; a->status == RECO_OK && !(over && done.idle && done.lag == 0);) {
        over = __atomic_load_n(a->stop, __ATOMIC_SEQ_CST) != 0; /* what a step says counts when it began after the last event */
        a->status = reco_archiver_step(&done, archiver, NULL, NULL);
    }
    a->records = done.records;
    a->stale = done.stale;
    reco_archiver_close(archiver);
    return NULL;
}

START_TEST(several_archivers_while_events_come_in)
{
    const char *url = database("several");
    reco_engine *engine = engine_on(url, 0);
    pthread_t threads[ARCHIVERS];
    archivist archivists[ARCHIVERS];
    volatile int32_t stop = 0;
    uint64_t records = 0, stale = 0;
    int64_t total = 0;
    for (int i = 0; i < ARCHIVERS; i++) {
        archivists[i] = (archivist){engine, &stop, 0, 0, RECO_OK};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, archive_on, &archivists[i]), 0);
    }
    tell_some(engine, 0, 600);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < ARCHIVERS; i++) {
        pthread_join(threads[i], NULL);
        test_status(RECO_OK, archivists[i].status);
        records += archivists[i].records;
        stale += archivists[i].stale;
    }
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    test_ok(reco__stream_spans(spans, engine->stream, NULL, &err), &err);
    for (uint32_t p = 0; p < engine->partitions; p++)
        total += spans[p].end;
    ck_assert_int_eq((int64_t)records, total);
    printf("%d archivers: %llu records, %llu batches were stale\n", ARCHIVERS, (unsigned long long)records, (unsigned long long)stale);
    expect_exact(engine, url);
    reco_close(engine);
}
END_TEST

static void archive_until_killed(const char *url) {
    reco_engine *engine = engine_on(url, 0);
    reco_archiver *archiver = NULL;
    reco_archiver_options options = {.struct_size = sizeof options, .batch_records = 3};
    reco_error error = RECO_ERROR_INIT;
    if (reco_archiver_open(&archiver, engine, &options, NULL, &error) != RECO_OK)
        test_child_fail("open", &error);
    for (;;)
        if (reco_archiver_step(NULL, archiver, NULL, &error) != RECO_OK)
            test_child_fail("step", &error);
}

typedef struct growing {
    PGconn *link;
    int64_t beyond;
} growing;

static bool has_grown(void *context) {
    growing *g = context;
    PGresult *result = PQexec(g->link, "SELECT coalesce(sum(records), 0) FROM reco.archive_positions");
    int64_t records = PQresultStatus(result) == PGRES_TUPLES_OK ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    PQclear(result);
    bool grown = records > g->beyond;
    g->beyond = grown ? records : g->beyond;
    return grown;
}

START_TEST(archivers_that_are_killed)
{
    const char *url = database("killed");
    reco_archived done;
    reco_engine *engine = engine_on(url, 0);
    tell_some(engine, 0, 300);
    archive_all(&done, engine, 0);
    tell_some(engine, 300, 700);
    reco_close(engine);
    growing g = {postgres_link(url), 0};
    ck_assert(has_grown(&g));
    for (int i = 0; i < 6; i++) {
        pid_t child = test_fork();
        if (child == 0)
            archive_until_killed(url);
        ck_assert(test_wait(has_grown, &g, 20000));
        kill(child, SIGKILL);
        ck_assert_int_eq(test_child_end(child), -SIGKILL);
    }
    PQfinish(g.link);
    engine = engine_on(url, 0);
    archive_all(&done, engine, 0);
    ck_assert_uint_gt(done.records, 0);
    expect_exact(engine, url);
    reco_close(engine);
}
END_TEST

/* --- failures ------------------------------------------------------------------------------------------------------------------------------ */

/* Every door of a step fails, before or after the database has done its part; in the end all is there once. */
START_TEST(planted_failures)
{
    static const struct {
        const char *point;
        reco_status status;
    } plants[] = {{"records.open", RECO_UNAVAILABLE},
                  {"records.archive_positions", RECO_UNAVAILABLE},
                  {"records.archive_put", RECO_UNAVAILABLE},
                  {"records.archive_put", RECO_STALE},
                  {"stream.read", RECO_IO},
                  {"stream.spans", RECO_UNAVAILABLE}};
    const char *url = database("planted");
    reco_engine *engine = engine_on(url, 0);
    reco_archiver *archiver = NULL;
    reco_archiver_options options = {.struct_size = sizeof options, .batch_records = 5};
    reco_archived done = {.struct_size = sizeof done};
    tell_some(engine, 0, 100);
    test_ok(reco_archiver_open(&archiver, engine, &options, NULL, &err), &err);
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        reco__fault_plant(plants[i].point, 1, 0, plants[i].status);
        reco_status expected = plants[i].status == RECO_STALE ? RECO_OK : plants[i].status;
        reco_status got = reco_archiver_step(&done, archiver, NULL, &err);
        uint64_t fired = reco__fault_plant(NULL, 0, 0, RECO_OK);
        ck_assert_msg(fired > 0, "%s", plants[i].point);
        test_status(expected, got);
    }
    reco_archiver_close(archiver);
    archive_all(&done, engine, 0);
    expect_exact(engine, url);
    reco_close(engine);
}
END_TEST

static void find_lag(void *context, const char *name, const char *labels, double value, const char *type, const char *help) {
    (void)labels, (void)type, (void)help;
    if (strcmp(name, "reco_archive_lag") == 0)
        *(double *)context = value;
}

static double lag_of(reco_engine *engine) {
    double lag = -1;
    test_ok(reco_metrics(engine, find_lag, &lag, NULL, &err), &err);
    return lag;
}

typedef struct retrying {
    reco_archiver *archiver;
    reco_archived done;
} retrying;

static bool is_archived(void *context) {
    retrying *r = context;
    return reco_archiver_step(&r->done, r->archiver, NULL, &err) == RECO_OK && r->done.idle && r->done.lag == 0;
}

/* The database is killed, and then stopped without a word: learning and answering do not notice, the lag is told, and all is made good. */
START_TEST(a_database_that_goes)
{
    postgres_server mine;
    char url[300];
    ck_assert(postgres_server_make(&mine));
    ck_assert(postgres_server_database(&mine, "gone", url));
    reco_engine *engine = engine_on(url, 0);
    retrying r = {NULL, {.struct_size = sizeof r.done}};
    ck_assert(lag_of(engine) == -1); /* nobody archives here */
    test_ok(reco_archiver_open(&r.archiver, engine, NULL, NULL, &err), &err);
    tell_some(engine, 0, 50);
    ck_assert(lag_of(engine) >= 50);
    ck_assert(test_wait(is_archived, &r, 20000));
    ck_assert(lag_of(engine) == 0);

    postgres_server_kill(&mine);
    tell_some(engine, 50, 50);
    test_status(RECO_UNAVAILABLE, reco_archiver_step(&r.done, r.archiver, NULL, &err));
    ck_assert_str_eq(err.field, "archive");
    test_engine_learn(engine, 0, NULL);
    int64_t lag, lag_ms;
    test_ok(reco_ready(&lag, &lag_ms, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, 0);
    ck_assert(lag_of(engine) >= 50);
    ck_assert(postgres_server_start(&mine));
    ck_assert(test_wait(is_archived, &r, 20000));
    expect_exact(engine, url);

    tell_some(engine, 100, 50);
    ck_assert_int_eq(postgres_server_signal(&mine, SIGSTOP), 0);
    int64_t began = reco__monotonic_ns();
    reco_call call = {.struct_size = sizeof call, .deadline_ns = began + 300000000};
    test_status(RECO_TIMEOUT, reco_archiver_step(&r.done, r.archiver, &call, &err));
    ck_assert_int_lt(reco__monotonic_ns() - began, INT64_C(2500000000));
    test_engine_learn(engine, 0, NULL);
    ck_assert_int_eq(postgres_server_signal(&mine, SIGCONT), 0);
    ck_assert(test_wait(is_archived, &r, 20000));
    expect_exact(engine, url);
    reco_archiver_close(r.archiver);
    test_engine_verify(engine, NULL);
    reco_close(engine);
    postgres_server_remove(&mine);
}
END_TEST

START_TEST(an_archive_of_another_stream_beside)
{
    const char *url = database("streams");
    char first[256], second[256];
    reco_archived done;
    snprintf(first, sizeof first, "%s", folder);
    test_dir_make(second);
    reco_engine *engine = engine_on(url, 0);
    tell_some(engine, 0, 30);
    archive_all(&done, engine, 0);
    reco_close(engine);
    snprintf(folder, sizeof folder, "%s", second);
    engine = engine_on(url, 0);
    tell_some(engine, 0, 20);
    archive_all(&done, engine, 0);
    ck_assert_uint_ge(done.records, 20);
    reco_close(engine);
    PGconn *link = postgres_link(url);
    postgres_expect(link, "SELECT count(*) FROM reco.streams", "2");
    postgres_expect(link, "SELECT count(*) FROM (SELECT stream_id FROM reco.history GROUP BY stream_id HAVING count(*) IN (20, 30)) t", "2");
    PQfinish(link);
    snprintf(folder, sizeof folder, "%s", first);
    test_dir_remove(second);
}
END_TEST

/* --- the contract -------------------------------------------------------------------------------------------------------------------------- */

static reco__records *open_records(const char *url) {
    reco__records *records = NULL;
    reco_records_options options = {.struct_size = sizeof options, .url = url, .space = "test"};
    test_ok(reco__records_open(&records, &options, NULL, &err), &err);
    return records;
}

/* Rows one after the other from `offset`, received at the times given. */
static reco_status put_rows(reco__records *records, int64_t from, int64_t offset, const int64_t *times, size_t count) {
    reco_archive_row rows[16] = {{0}};
    reco_archive_batch batch = {.struct_size = sizeof batch,
                                .row_size = sizeof *rows,
                                .stream_id = {1, 2, 255},
                                .partitions = 4,
                                .partition = 3,
                                .from = from,
                                .to = offset + (int64_t)count,
                                .rows = rows,
                                .count = count};
    ck_assert_uint_le(count, 16);
    for (size_t i = 0; i < count; i++)
        rows[i] = (reco_archive_row){.offset = offset + (int64_t)i, .received_at = times[i], .type = RECO_ARCHIVE_TICK, .raw = reco__str_of("raw")};
    return reco__records_archive_put(records, &batch, NULL, &err);
}

START_TEST(positions_and_refusals)
{
    reco__records *records = open_records(database("positions")), *other;
    const uint8_t id[16] = {1, 2, 255};
    int64_t next[4], now = reco__now_ms();
    const int64_t times[] = {now, now, now};
    test_ok(reco__records_archive_positions(next, records, id, 4, NULL, &err), &err);
    for (int p = 0; p < 4; p++)
        ck_assert_int_eq(next[p], -1);
    test_ok(put_rows(records, 100, 100, times, 3), &err); /* begins anywhere */
    test_status(RECO_STALE, put_rows(records, 100, 100, times, 3));
    test_status(RECO_STALE, put_rows(records, 0, 0, times, 3));
    test_status(RECO_STALE, put_rows(records, 104, 104, times, 3));
    test_ok(put_rows(records, 103, 103, times, 1), &err);
    test_ok(put_rows(records, 104, 110, times, 2), &err); /* six were dropped */
    test_ok(put_rows(records, 112, 120, times, 0), &err); /* nothing but dropped ones */
    test_ok(reco__records_archive_positions(next, records, id, 4, NULL, &err), &err);
    ck_assert_int_eq(next[3], 120);
    ck_assert_int_eq(next[2], -1);
    test_status(RECO_INVALID, put_rows(records, 120, 119, times, 2));
    ck_assert_str_eq(err.field, "offset");
    test_status(RECO_INVALID, put_rows(records, 120, 120, times, 0));
    ck_assert_str_eq(err.field, "to");
    reco__records_close(records);
    other = open_records("memory:");
    test_status(RECO_UNSUPPORTED, reco__records_archive_positions(next, other, id, 4, NULL, &err));
    ck_assert_str_eq(err.field, "archive");
    reco__records_close(other);
}
END_TEST

START_TEST(months_get_their_partitions)
{
    const char *url = database("months");
    reco__records *records = open_records(url);
    PGconn *link = postgres_link(url), *report = postgres_link(url);
    int64_t feb, march, april;
    ck_assert(reco__time_parse("2024-02-29T23:59:59.999Z", 24, &feb) && reco__time_parse("2024-03-01T00:00:00Z", 20, &march));
    ck_assert(reco__time_parse("2024-04-15T00:00:00Z", 20, &april));
    const int64_t times[] = {feb, march}, odd[] = {INT64_MAX, -5};
    test_ok(put_rows(records, 0, 0, times, 2), &err);
    test_ok(put_rows(records, 2, 2, odd, 2), &err);
    static const char where[] = "SELECT string_agg(tableoid::regclass::text, ' ' ORDER BY position) FROM reco.events";
    postgres_expect(link, where, "events_2024_02 events_2024_03 events_other events_1970_01");
    postgres_expect(link, "SELECT extract(year FROM max(received_at)) || ' ' || extract(epoch FROM min(received_at)) FROM reco.events",
                    "9999 0.000000");
    postgres_expect(link, "SELECT count(*) FROM pg_class WHERE relname = 'events_2024_04' AND relispartition", "1"); /* made ahead */
    const int64_t later[] = {april + INT64_C(40) * 86400000};                                                        /* May: not yet */
    postgres_run(report, "BEGIN; SELECT count(*) FROM reco.events; LOCK TABLE reco.events_other IN ACCESS SHARE MODE");
    int64_t began = reco__monotonic_ns();
    test_ok(put_rows(records, 4, 4, later, 1), &err); /* a report holds the net: the row goes there */
    ck_assert_int_lt((reco__monotonic_ns() - began) / 1000000, 8000);
    postgres_expect(link, "SELECT tableoid::regclass::text FROM reco.events WHERE position = 4", "events_other");
    postgres_run(report, "COMMIT");
    postgres_run(link, "SELECT reco.events_months('2024-01-17', '2024-06-01')");
    postgres_expect(link, "SELECT tableoid::regclass::text FROM reco.events WHERE position = 4", "events_2024_05");
    postgres_expect(link, "SELECT count(*) FROM reco.events", "5");
    PQfinish(report);
    PQfinish(link);
    reco__records_close(records);
}
END_TEST

/* --- reports ------------------------------------------------------------------------------------------------------------------------------- */

static void run_file(const char *name, const char *url, const char *output) {
    char command[1500];
    const char *source = getenv("RECO_SOURCE_DIR");
    snprintf(command, sizeof command, "'%s/psql' -X -q -At -v ON_ERROR_STOP=1 -d '%s' -f '%s/infra/postgres/%s' >'%s'", server.programs, url,
             source ? source : ".", name, output);
    ck_assert_msg(system(command) == 0, "%s", command);
}

static void tell_one(reco_engine *engine, const char *user, const char *item, const char *type, int shown_at) {
    reco_event event = test_event(user, item, type);
    event.position = shown_at;
    event.flags = shown_at ? RECO_EVENT_HAS_POSITION : 0;
    test_engine_tell(NULL, engine, &event);
}

/* The seeded shop with some events: each report tells of them what it should. */
/* The rights that docs/DEPLOYMENT.md gives to who serves; months are made all the same. */
START_TEST(who_archives_need_not_own)
{
    char *url = database("rights"), *user;
    reco_archived done;
    reco__records_close(open_records(url)); /* the owner sets up */
    PGconn *link = postgres_link(url);
    postgres_run(link, "CREATE ROLE shop LOGIN");
    postgres_run(link, "GRANT USAGE ON SCHEMA reco TO shop");
    postgres_run(link, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA reco TO shop");
    user = strstr(url, "//reco@");
    ck_assert_ptr_nonnull(user);
    memcpy(user, "//shop@", 7);
    reco_engine *engine = engine_on(url, 0);
    tell_some(engine, 0, 50);
    archive_all(&done, engine, 0);
    memcpy(user, "//reco@", 7);
    expect_exact(engine, url);
    postgres_expect(link, "SELECT count(*) FROM reco.events_other", "0");
    PQfinish(link);
    reco_close(engine);
}
END_TEST

START_TEST(reports_tell_of_what_is_archived)
{
    static const char *const lines[] = {"|view|3|2\n", "|purchase|1|1\n",  "\nkettle|Kettle, 1.7 l|2|1|0.5000\n", "\nKitchen|3|2\n",
                                        "\nTea|2|1\n", "\nunheard-of|1\n", "\nhoney|Honey of linden\n",           "\n2|1\n", /* clicks at place 2 */
                                        "|2|0\n", /* users of this week, and of them in the next */
                                        "|t\n"};
    const char *url = database("reports");
    char path[300], text[20000];
    reco_archived done;
    reco_engine *engine = engine_on(url, 0);
    archive_all(&done, engine, 0);
    snprintf(path, sizeof path, "%s/report", folder);
    run_file("seed.sql", url, path);
    tell_one(engine, "ada", "kettle", "view", 0);
    tell_one(engine, "emmy", "kettle", "view", 0);
    tell_one(engine, "ada", "kettle", "purchase", 0);
    tell_one(engine, "ada", "green-tea", "view", 0);
    tell_one(engine, "ada", "green-tea", "click", 2);
    tell_one(engine, "emmy", "unheard-of", "click", 0);
    archive_all(&done, engine, 0);
    run_file("queries.sql", url, path);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(strstr(text, lines[i]) != NULL, "no \"%s\" in:\n%s", lines[i], text);
    ck_assert_ptr_null(strstr(text, "|f\n"));
    reco_close(engine);
}
END_TEST

START_TEST(wrong_calls_are_told)
{
    const char *const none[] = {"limits.min_free", "0", NULL};
    reco_engine *engine = test_engine_open(folder, 0, none);
    reco_archiver *archiver = NULL;
    test_status(RECO_INVALID, reco_archiver_open(&archiver, engine, NULL, NULL, &err));
    ck_assert_str_eq(err.field, "archive");
    ck_assert_ptr_null(archiver);
    reco_close(engine);
    engine = engine_on("lmdb:nowhere", 0);
    reco_archiver_options options = {.struct_size = sizeof options, .batch_records = 20001};
    test_status(RECO_INVALID, reco_archiver_open(&archiver, engine, &options, NULL, &err));
    ck_assert_str_eq(err.field, "batch_records");
    test_status(RECO_INVALID, reco_archiver_step(NULL, NULL, NULL, &err));
    test_status(RECO_INVALID, reco_archiver_wait(NULL, 1, NULL, &err));
    test_status(RECO_INVALID, reco_migrate(NULL, NULL, 0, NULL, NULL, NULL, &err));
    reco_close(engine);
}
END_TEST

static reco_status a_life(void *context, reco_error *error) {
    reco_archiver *archiver = NULL;
    reco_archived done = {.struct_size = sizeof done};
    reco_status status = reco_archiver_open(&archiver, context, NULL, NULL, error);
    for (int i = 0; i < 5 && status == RECO_OK; i++)
        status = reco_archiver_step(&done, archiver, NULL, error);
    reco_archiver_close(archiver);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    const char *url = database("memory");
    test_memory_install();
    reco_engine *engine = engine_on(url, 0);
    tell_some(engine, 0, 40);
    ck_assert_uint_gt(test_every_allocation(a_life, engine, false), 5);
    reco_archived done;
    archive_all(&done, engine, 0);
    expect_exact(engine, url);
    reco_close(engine);
    test_memory_restore();
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
    Suite *suite = suite_create("the archive");
    TCase *tests = tcase_create("archive");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_record_is_there_once);
    tcase_add_test(tests, columns_say_what_the_record_says);
    tcase_add_test(tests, unreadable_records_are_kept);
    tcase_add_test(tests, what_the_stream_dropped_is_missed);
    tcase_add_test(tests, several_archivers_while_events_come_in);
    tcase_add_test(tests, archivers_that_are_killed);
    tcase_add_test(tests, planted_failures);
    tcase_add_test(tests, a_database_that_goes);
    tcase_add_test(tests, an_archive_of_another_stream_beside);
    tcase_add_test(tests, positions_and_refusals);
    tcase_add_test(tests, months_get_their_partitions);
    tcase_add_test(tests, who_archives_need_not_own);
    tcase_add_test(tests, reports_tell_of_what_is_archived);
    tcase_add_test(tests, wrong_calls_are_told);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    int result = test_run(suite);
    postgres_server_remove(&server);
    return result;
}
