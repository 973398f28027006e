/* tests/fault/test_fault_stores.c - stores that are slow, dead or emptied while questions are asked: each is answered within its deadline, with what
 * can be known, says what it lacks, and is whole again when the store is. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "support/engine.h"
#include "support/trouble.h"

enum { DEADLINE_MS = 300, SLOW_MS = 2000, GRACE_MS = 1500 /* of a machine with other work */ };

static const char *const settings[] = {"features", "troubled:", "records", "troubled:", "recommend.deadline", "300ms", NULL};
static reco_engine *engine;
static reco_error err = RECO_ERROR_INIT;

static void setup(void) {
    test_trouble_register();
    test_trouble_features(0, RECO_OK);
    test_trouble_records(0, RECO_OK);
}

static void teardown(void) {
    test_trouble_features(0, RECO_OK);
    test_trouble_records(0, RECO_OK);
    reco_close(engine);
    engine = NULL;
}

/* --- a small shop ----------------------------------------------------------------------------------------------------------------------------- */

/* Users u0 to u9 look at items i0 to i4, u0 only at i0 and i1; i5 is looked at once. */
static void fill(void) {
    char user[16], item[16];
    for (int u = 0; u < 10; u++) {
        for (int i = 0; i < (u == 0 ? 2 : 5); i++) {
            snprintf(user, sizeof user, "u%d", u);
            snprintf(item, sizeof item, "i%d", i);
            reco_event event = test_event(user, item, "view");
            test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
        }
    }
    reco_event event = test_event("u9", "i5", "view");
    test_ok(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), &err);
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void open_shop(uint32_t flags) {
    engine = test_engine_open("memory:", flags, settings);
    fill();
}

/* --- questions -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct said {
    int http;
    int retry_after;
    int64_t ms;
    char body[8192];
} said;

static void take(said *out, reco_reply *reply, int64_t began_ns) {
    out->ms = (reco__monotonic_ns() - began_ns) / 1000000;
    out->http = reply->http_status;
    out->retry_after = reply->retry_after;
    snprintf(out->body, sizeof out->body, "%.*s", (int)reply->size, reply->body);
    reco_reply_dispose(reply);
}

/* With threads the setting is what bounds an answer, without them the caller is. */
static reco_call within(void) {
    int64_t ms = engine->background ? 60000 : DEADLINE_MS;
    return (reco_call){.struct_size = sizeof(reco_call), .deadline_ns = reco__monotonic_ns() + ms * 1000000};
}

static said ask_text(const char *query) {
    said out;
    reco_call call = within();
    reco_reply reply = {.struct_size = sizeof reply};
    int64_t began = reco__monotonic_ns();
    ck_assert_int_eq(test_ask(&reply, engine, RECO_ASK_RECOMMEND, query, &call, NULL), RECO_OK);
    take(&out, &reply, began);
    return out;
}

static said ask(void) { return ask_text("user_id=u0&limit=3"); }

static said ask_popular(const char *query) {
    said out;
    reco_call call = within();
    reco_reply reply = {.struct_size = sizeof reply};
    int64_t began = reco__monotonic_ns();
    ck_assert_int_eq(test_ask(&reply, engine, RECO_ASK_POPULAR, query, &call, NULL), RECO_OK);
    take(&out, &reply, began);
    return out;
}

static bool has(const said *answer, const char *text) { return strstr(answer->body, text) != NULL; }

#define CHECK(condition, answer)                                                                                                                     \
    ck_assert_msg(condition, "%s: %d after %lld ms: %s", #condition, (answer).http, (long long)(answer).ms, (answer).body)

static void check_whole(said answer) {
    CHECK(answer.http == 200, answer);
    CHECK(has(&answer, "\"degraded\":false"), answer);
    CHECK(has(&answer, "\"type\":\"coview\""), answer);
    CHECK(!has(&answer, "degraded_reasons"), answer);
}

static void check_popular_instead(said answer, const char *reason) {
    CHECK(answer.http == 200, answer);
    CHECK(has(&answer, "\"fallback\":true,\"behind\":") && has(&answer, ",\"degraded\":true"), answer); /* behind: when the machine stalls */
    CHECK(has(&answer, reason), answer);
    CHECK(has(&answer, "\"item_id\":\"i1\""), answer);
    CHECK(has(&answer, "\"rank\":3"), answer);
    CHECK(has(&answer, "\"recommendation_id\":\"A"), answer);
    CHECK(answer.ms < DEADLINE_MS + GRACE_MS, answer);
}

static bool is_whole(void *context) {
    said answer = ask(), popular = ask_popular("limit=10");
    (void)context;
    return answer.http == 200 && has(&answer, "\"degraded\":false") && popular.http == 200 && has(&popular, "\"i5\"") &&
           !has(&popular, "degraded");
}

/* Answers are whole, and popularity is that of the whole shop. */
static void recovers(void) {
    ck_assert(test_wait(is_whole, NULL, 20000));
    check_whole(ask());
}

/* --- features --------------------------------------------------------------------------------------------------------------------------------- */

/* Loop index: with threads in the background. */
static uint32_t flags_of(int i) { return i ? RECO_OPEN_BACKGROUND : 0; }

START_TEST(features_are_dead)
{
    open_shop(flags_of(_i));
    recovers();
    test_trouble_features(0, RECO_UNAVAILABLE);
    for (int i = 0; i < 5; i++) {
        check_popular_instead(ask(), "\"features_unavailable\"");
    }
    said popular = ask_popular("window=24h&limit=2");
    CHECK(popular.http == 200 && has(&popular, "\"item_id\":\"i1\""), popular);
    popular = ask_popular("window=3h&limit=2"); /* that window is not kept: the one that is will do */
    CHECK(popular.http == 200 && has(&popular, "\"degraded\":true,\"degraded_reasons\":[\"features_unavailable\"]"), popular);
    CHECK(has(&popular, "\"item_id\":\"i1\""), popular);
    test_trouble_features(0, RECO_OK);
    recovers();
}
END_TEST

/* The first questions cost their deadline, then the store is left alone. */
START_TEST(features_are_slow)
{
    open_shop(RECO_OPEN_BACKGROUND);
    recovers();
    test_trouble_features(SLOW_MS, RECO_OK);
    for (int i = 0; i < 4; i++) {
        check_popular_instead(ask(), "\"features_unavailable\"");
    }
    int quick = 0;
    for (int i = 0; i < 20; i++) {
        said answer = ask();
        check_popular_instead(answer, "\"features_unavailable\"");
        quick += answer.ms < DEADLINE_MS / 2;
    }
    ck_assert_int_ge(quick, 15); /* one a second may try */
    test_trouble_features(0, RECO_OK);
    recovers();
}
END_TEST

enum { ASKERS = 24 };
static atomic_llong longest;
static atomic_int lacking;

static void *ask_some(void *unused) {
    (void)unused;
    for (int i = 0; i < 5; i++) {
        said answer = ask();
        long long before = atomic_load(&longest);
        while (answer.ms > before && !atomic_compare_exchange_weak(&longest, &before, (long long)answer.ms)) {
        }
        atomic_fetch_add(&lacking, answer.http != 200 || !has(&answer, "\"degraded\":true"));
    }
    return NULL;
}

/* Many at once do not wait for one another. */
START_TEST(many_ask_slow_features)
{
    pthread_t threads[ASKERS];
    open_shop(RECO_OPEN_BACKGROUND);
    recovers();
    test_trouble_features(SLOW_MS, RECO_OK);
    int64_t began = reco__monotonic_ns();
    for (int i = 0; i < ASKERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_some, NULL), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    int64_t took = (reco__monotonic_ns() - began) / 1000000;
    ck_assert_int_eq(atomic_load(&lacking), 0);
    ck_assert_int_lt(atomic_load(&longest), DEADLINE_MS + GRACE_MS);
    ck_assert_int_lt(took, 3 * DEADLINE_MS + GRACE_MS);
    test_trouble_features(0, RECO_OK);
    recovers();
}
END_TEST

/* Nothing was ever read: there is nothing to say, and it is said so at once. */
START_TEST(nothing_to_say)
{
    const reco_call call = {.struct_size = sizeof call, .deadline_ns = reco__monotonic_ns() + DEADLINE_MS * INT64_C(1000000)};
    reco_query query = {.struct_size = sizeof query, .user_id = {"u0", 2}};
    reco_answer *answer = NULL;
    engine = test_engine_open("memory:", 0, settings);
    fill();
    test_trouble_features(SLOW_MS, RECO_OK);
    int64_t began = reco__monotonic_ns();
    test_status(RECO_UNAVAILABLE, reco_recommend(&answer, engine, &query, &call, &err));
    ck_assert_int_lt((reco__monotonic_ns() - began) / 1000000, DEADLINE_MS + GRACE_MS);
    test_trouble_features(0, RECO_UNAVAILABLE);
    said refused = ask();
    CHECK(refused.http == 503 && refused.retry_after > 0 && has(&refused, "trouble was asked for"), refused);
    test_trouble_features(0, RECO_OK);
    recovers();
}
END_TEST

/* A position nobody can look up is one that is not reached. */
START_TEST(positions_cannot_be_asked)
{
    char position[RECO_POSITION_MAX], query[RECO_POSITION_MAX + 64];
    static const int wait_ms[] = {0, 100};
    open_shop(RECO_OPEN_BACKGROUND);
    recovers();
    reco_event event = test_event("u0", "i4", "view");
    test_engine_tell(position, engine, &event);
    test_ok(reco_wait(engine, reco__str_of(position), 10000, NULL, &err), &err);
    for (int slow = 0; slow < 2; slow++) {
        for (int i = 0; i < 2; i++) {
            test_trouble_features(slow ? SLOW_MS : 0, slow ? RECO_OK : RECO_UNAVAILABLE);
            snprintf(query, sizeof query, "user_id=u0&min_position=%s&wait_ms=%d", position, wait_ms[i]);
            said answer = ask_text(query);
            CHECK(answer.http == 200 && has(&answer, "\"behind\":true,\"degraded\":true"), answer);
            CHECK(answer.ms < DEADLINE_MS + wait_ms[i] + GRACE_MS, answer);
            test_trouble_features(0, RECO_OK);
            recovers();
            answer = ask_text(query);
            CHECK(answer.http == 200 && has(&answer, "\"behind\":false,\"degraded\":false"), answer);
        }
    }
}
END_TEST

/* --- records ---------------------------------------------------------------------------------------------------------------------------------- */

static bool has_stale_records(void *context) {
    said answer = ask();
    (void)context;
    CHECK(answer.http == 200 && has(&answer, "\"type\":\"coview\"") && !has(&answer, "\"item_id\":\"i2\""), answer);
    return has(&answer, "records_stale");
}

START_TEST(records_are_away)
{
    reco_item item = {.item_id = {"i2", 2}, .flags = RECO_ITEM_HIDDEN};
    engine = test_engine_open("memory:", flags_of(_i & 1), settings);
    test_ok(reco_items_put(engine, &item, 1, sizeof item, NULL, &err), &err);
    fill();
    recovers();
    said answer = ask();
    CHECK(!has(&answer, "\"item_id\":\"i2\""), answer);
    test_trouble_records(_i & 2 ? SLOW_MS : 0, _i & 2 ? RECO_OK : RECO_UNAVAILABLE);
    ck_assert(test_wait(has_stale_records, NULL, 20000)); /* they are followed once a second */
    for (int i = 0; i < 8; i++) { /* personal, from the catalogue as it is known */
        answer = ask();
        CHECK(answer.http == 200 && has(&answer, "\"degraded\":true,\"degraded_reasons\":[\"records_stale\"") && !has(&answer, "\"item_id\":\"i2\""),
              answer);
        CHECK(answer.ms < DEADLINE_MS + GRACE_MS, answer);
        CHECK(has(&answer, "\"type\":\"coview\""), answer);
    }
    test_trouble_records(0, RECO_OK);
    recovers();
}
END_TEST

/* --- loss ------------------------------------------------------------------------------------------------------------------------------------- */

/* Features are emptied: what is popular is served as it was, until everything is learned again from the stream. */
START_TEST(features_are_emptied)
{
    char before[40], after[40];
    open_shop(_i ? RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR : 0);
    recovers();
    test_engine_hash(before, engine);
    test_trouble_flush();
    for (int i = 0; i < 3; i++) {
        check_popular_instead(ask(), "\"relearning\"");
    }
    said popular = ask_popular("limit=2");
    CHECK(popular.http == 200 && has(&popular, "\"degraded\":true,\"degraded_reasons\":[\"relearning\"]") && has(&popular, "\"item_id\":\"i1\""),
          popular);
    popular = ask_popular("category=books");
    CHECK(popular.http == 503 && popular.retry_after > 0, popular);
    test_engine_learn_some(engine, 5, 20);
    check_popular_instead(ask(), "\"relearning\"");
    test_engine_learn(engine, 0, NULL);
    recovers();
    test_engine_hash(after, engine);
    ck_assert_str_eq(before, after);
    test_engine_verify(engine, NULL);
}
END_TEST

/* --- opening ---------------------------------------------------------------------------------------------------------------------------------- */

static bool is_learned(void *context) {
    return reco_wait(engine, reco__str_of(context), 10, NULL, NULL) == RECO_OK;
}

/* A process is opened while features and records are away: it takes in, says that it is not ready for more, and becomes it by itself. */
START_TEST(opened_without_stores)
{
    const uint32_t flags = RECO_OPEN_BACKGROUND | RECO_OPEN_PATIENT;
    char position[RECO_POSITION_MAX];
    reco_engine *impatient = NULL;
    test_trouble_features(0, RECO_UNAVAILABLE);
    test_trouble_records(0, RECO_UNAVAILABLE);
    test_status(RECO_UNAVAILABLE, test_engine_try(&impatient, "memory:", RECO_OPEN_BACKGROUND, settings, &err));
    engine = test_engine_open("memory:", flags, settings);
    reco_event event = test_event("u0", "i5", "view");
    event.recommendation_id = reco__str_of("not to be checked now");
    test_engine_tell(position, engine, &event);
    test_status(RECO_UNAVAILABLE, reco_ready(NULL, NULL, engine, NULL, &err));
    ck_assert_str_eq(err.text, "trouble was asked for");
    ck_assert_uint_ne(reco_lacking(engine) & RECO_DEGRADED_RECORDS, 0);
    said answer = ask();
    CHECK(answer.http == 503 && answer.retry_after > 0, answer);
    test_trouble_features(0, RECO_OK);
    ck_assert(test_wait(is_learned, position, 20000)); /* learning needs features only */
    answer = ask();
    CHECK(answer.http == 503, answer); /* nobody knows what must not be recommended */
    test_trouble_records(0, RECO_OK);
    ck_assert(test_wait(is_whole, NULL, 20000));
    answer = ask();
    CHECK(has(&answer, "\"recommendation_id\":\"A"), answer);
    test_ok(reco_ready(NULL, NULL, engine, NULL, &err), &err);
    ck_assert_uint_eq(reco_lacking(engine), 0);
}
END_TEST

static bool has_state(void *context) {
    (void)context;
    return reco_ready(NULL, NULL, engine, NULL, NULL) == RECO_OK;
}

static bool lacks_features(void *context) {
    (void)context;
    return reco_lacking(engine) == RECO_DEGRADED_FEATURES;
}

/* One that only takes in is ready while the stream is; one that answers while it has something to answer with. */
START_TEST(ready_for_what_it_is_for)
{
    int64_t lag = 7;
    engine = test_engine_open("memory:", RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR | RECO_OPEN_NO_ANSWERS, settings);
    test_ok(reco_ready(&lag, NULL, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, 0);
    test_trouble_features(0, RECO_UNAVAILABLE);
    test_ok(reco_ready(&lag, NULL, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, -1);
    test_trouble_features(0, RECO_OK);
    reco_processor *processor = NULL;
    test_ok(reco_processor_open(&processor, engine, NULL, NULL, &err), &err);
    test_trouble_features(0, RECO_UNAVAILABLE);
    test_status(RECO_UNAVAILABLE, reco_ready(&lag, NULL, engine, NULL, &err));
    reco_processor_close(processor);
    test_trouble_features(0, RECO_OK);
    reco_close(engine);

    engine = test_engine_open("memory:", RECO_OPEN_BACKGROUND | RECO_OPEN_NO_PROCESSOR, settings);
    ck_assert(test_wait(has_state, NULL, 20000));
    test_trouble_features(0, RECO_UNAVAILABLE);
    test_ok(reco_ready(&lag, NULL, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, -1);
    test_trouble_features(8000, RECO_OK); /* a probe must not be as slow as what it looks at */
    int64_t began = reco__monotonic_ns();
    test_ok(reco_ready(&lag, NULL, engine, NULL, &err), &err);
    ck_assert_int_eq(lag, -1);
    ck_assert_int_lt((reco__monotonic_ns() - began) / 1000000, 2000 + GRACE_MS);
    test_trouble_features(0, RECO_UNAVAILABLE);
    ck_assert(test_wait(lacks_features, NULL, 20000));
    ck_assert_str_eq(reco_lacking_word(RECO_DEGRADED_FEATURES), "features_unavailable");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault_stores");
    TCase *tests = tcase_create("stores");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, features_are_dead, 0, 2);
    tcase_add_test(tests, features_are_slow);
    tcase_add_test(tests, many_ask_slow_features);
    tcase_add_test(tests, nothing_to_say);
    tcase_add_test(tests, positions_cannot_be_asked);
    tcase_add_loop_test(tests, records_are_away, 0, 4);
    tcase_add_loop_test(tests, features_are_emptied, 0, 2);
    tcase_add_test(tests, opened_without_stores);
    tcase_add_test(tests, ready_for_what_it_is_for);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
