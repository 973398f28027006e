/* tests/integration/test_replay.c - the stream learned by other settings beside the engine that runs: exact, kept current, switched to without losing
 * what was told before, killed at any moment, refused where it cannot be. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "kv/kv.h"
#include "support/engine.h"

static char dir[256], data_path[300], into[300], url[320];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    snprintf(into, sizeof into, "%s/relearned", dir);
    snprintf(url, sizeof url, "lmdb:%s", into);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) { test_dir_remove(dir); }

/* The new settings; `features` NULL: where the old ones are. */
static reco_settings *other_settings(const char *features) {
    reco_settings *settings = NULL;
    test_ok(reco_settings_create(&settings, &err), &err);
    test_ok(reco_settings_set(settings, "limits.map_size", "8GiB", &err), &err);
    test_ok(reco_settings_set(settings, "data", data_path, &err), &err);
    test_ok(reco_settings_set(settings, "pairs.window", "3", &err), &err);
    if (features)
        test_ok(reco_settings_set(settings, "features", features, &err), &err);
    return settings;
}

static reco_engine *open_other(uint32_t flags) {
    const char *const settings[] = {"pairs.window", "3", "features", url, NULL};
    return test_engine_open(data_path, flags, settings);
}

static reco_status replay(reco_replay_result *out, const reco_replay_options *options) {
    reco_settings *settings = other_settings(NULL);
    *out = (reco_replay_result){.struct_size = sizeof *out};
    err = (reco_error)RECO_ERROR_INIT;
    reco_status status = reco_replay(out, settings, options, NULL, &err);
    reco_settings_free(settings);
    return status;
}

static reco_status replay_into(const char *place, uint32_t flags) {
    reco_replay_result unused;
    return replay(&unused, &(reco_replay_options){.struct_size = sizeof(reco_replay_options), .into = place, .flags = flags});
}

static void tell(reco_engine *engine, int from, int to, char position[RECO_POSITION_MAX]) {
    char user[16], item[16];
    for (int i = from; i < to; i++) {
        snprintf(user, sizeof user, "u%d", i % 13);
        snprintf(item, sizeof item, "i%d", i * 5 % 29);
        reco_event event = test_event(user, item, "view");
        test_engine_tell(position, engine, &event);
    }
}

static void make(int events) {
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    tell(engine, 0, events, NULL);
    test_engine_learn(engine, 0, NULL);
    reco_close(engine);
}

/* --- exact ----------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(by_other_settings)
{
    char position[RECO_POSITION_MAX], before[40], after[40], again[40];
    struct stat st;
    reco_replay_result result;
    reco_replay_options options = {.struct_size = sizeof options, .into = into, .flags = RECO_REPLAY_ESTIMATE};
    make(300);
    reco_engine *old = test_engine_open(data_path, 0, NULL);
    test_engine_hash(before, old);
    tell(old, 300, 310, position);
    test_ok(replay(&result, &options), &err);
    ck_assert_uint_ge(result.records, 310);
    ck_assert(result.estimated_ms >= 0 && result.estimated_bytes > 0 && result.free_bytes > 0 && result.rate > 0);
    ck_assert_int_ne(stat(into, &st), 0); /* nothing was made */
    reco_replay_result told = result;
    options.flags = 0;
    test_ok(replay(&result, &options), &err);
    ck_assert_uint_ge(result.learned, 310);
    reco__kv_place place; /* what was told beforehand is about what it took */
    test_ok(reco__kv_place_look(&place, into, "features", &err), &err);
    ck_assert_msg(told.estimated_bytes > place.used_bytes / 2 && told.estimated_bytes < place.used_bytes * 2, "%llu bytes were told, it took %llu",
                  (unsigned long long)told.estimated_bytes, (unsigned long long)place.used_bytes);
    ck_assert_uint_eq(told.records, result.records);
    ck_assert_uint_eq(result.learned, result.records);
    ck_assert_uint_eq(result.lag, 0);
    /* The old engine goes on as it was; the new one knows the positions of the old. */
    test_engine_hash(again, old);
    ck_assert_str_eq(again, before);
    reco_engine *other = open_other(0);
    test_engine_verify(other, NULL);
    test_engine_hash(after, other);
    ck_assert_str_ne(after, before);
    test_ok(reco_wait(other, reco__str_of(position), 0, NULL, &err), &err);
    tell(old, 310, 330, position);
    reco_close(other);
    test_ok(replay(&result, &options), &err); /* goes on from where it was */
    ck_assert_uint_ge(result.learned, 20);
    ck_assert_uint_lt(result.learned, 100);
    other = open_other(0);
    test_ok(reco_wait(other, reco__str_of(position), 0, NULL, &err), &err);
    test_engine_verify(other, NULL);
    test_engine_learn(old, 0, NULL);
    test_engine_verify(old, NULL);
    reco_close(other);
    reco_close(old);
}
END_TEST

/* --- the switch ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct shared {
    atomic_uint_fast64_t current; /* how often it was */
    atomic_bool stop, writers_stop;
    atomic_uint_fast64_t written;
} shared;
static shared *both;

static int32_t is_current(void *context, uint64_t learned) {
    (void)context;
    (void)learned;
    atomic_fetch_add(&both->current, 1);
    return atomic_load(&both->stop);
}

static void follow_on(void) {
    reco_replay_result result;
    reco_replay_options options = {.struct_size = sizeof options, .into = into, .current = is_current};
    if (replay(&result, &options) != RECO_OK)
        test_child_fail("replay", &err);
    _exit(0);
}

/* An old process: takes in and learns by the old settings. */
static void write_on(void) {
    reco_engine *engine = test_engine_open(data_path, RECO_OPEN_BACKGROUND, NULL);
    for (int i = 0; !atomic_load(&both->writers_stop); i++) {
        tell(engine, i, i + 1, NULL);
        atomic_fetch_add(&both->written, 1);
    }
    reco_close(engine);
    _exit(0);
}

static bool got_current(void *context) {
    (void)context;
    return atomic_load(&both->current) > 0 && atomic_load(&both->written) > 0;
}

START_TEST(the_switch_loses_nothing)
{
    char position[RECO_POSITION_MAX];
    both = test_shared(sizeof *both);
    make(500);
    pid_t writer = test_fork();
    if (writer == 0)
        write_on();
    pid_t follower = test_fork();
    if (follower == 0)
        follow_on();
    ck_assert(test_wait(got_current, NULL, 30000));
    /* Answering on the new features while the old processes take in and learn: what was told to the old is seen by the new. */
    reco_engine *old = test_engine_open(data_path, 0, NULL), *fresh = open_other(0);
    for (int i = 0; i < 20; i++) {
        tell(old, i, i + 1, position);
        test_ok(reco_wait(fresh, reco__str_of(position), 20000, NULL, &err), &err);
        test_ok(reco_wait(old, reco__str_of(position), 20000, NULL, &err), &err);
    }
    /* A new processor beside the old one and the follower; then the old one ends, then the follower. */
    reco_close(fresh);
    reco_close(old);
    fresh = open_other(RECO_OPEN_BACKGROUND);
    for (int i = 0; i < 20; i++) {
        tell(fresh, i, i + 1, position);
        test_ok(reco_wait(fresh, reco__str_of(position), 20000, NULL, &err), &err);
    }
    atomic_store(&both->writers_stop, true);
    ck_assert_int_eq(test_child_end(writer), 0);
    atomic_store(&both->stop, true);
    ck_assert_int_eq(test_child_end(follower), 0);
    tell(fresh, 0, 10, position);
    test_ok(reco_wait(fresh, reco__str_of(position), 20000, NULL, &err), &err);
    reco_close(fresh);
    fresh = open_other(0);
    test_engine_learn(fresh, 0, NULL);
    test_engine_verify(fresh, NULL);
    reco_close(fresh);
    old = test_engine_open(data_path, 0, NULL); /* and back again */
    test_engine_learn(old, 0, NULL);
    test_engine_verify(old, NULL);
    reco_close(old);
}
END_TEST

/* --- killed ---------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(killed)
{
    uint64_t seed = 5;
    reco_replay_result result;
    reco_replay_options options = {.struct_size = sizeof options, .into = into};
    make(600);
    int64_t began = reco__monotonic_ns();
    test_ok(replay(&result, &options), &err);
    int64_t whole_ns = reco__monotonic_ns() - began;
    for (int round = 0; round < (test_full() ? 100 : 15); round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (round % 5 == 0)
            test_dir_remove(into);
        pid_t child = test_fork();
        if (child == 0)
            _exit(replay_into(into, 0) == RECO_OK ? 0 : 2);
        int64_t pause_ns = (int64_t)((seed >> 33) % (uint64_t)(whole_ns + 1));
        nanosleep(&(struct timespec){pause_ns / 1000000000, pause_ns % 1000000000}, NULL);
        kill(child, SIGKILL);
        test_child_end(child);
    }
    test_ok(replay(&result, &options), &err);
    reco_engine *other = open_other(0);
    test_engine_verify(other, NULL);
    reco_close(other);
    reco_engine *old = test_engine_open(data_path, 0, NULL);
    test_engine_verify(old, NULL);
    reco_close(old);
}
END_TEST

/* --- refused --------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_cannot_be)
{
    char elsewhere[320];
    make(60);
    test_status(RECO_INVALID, replay_into(NULL, 0));
    ck_assert_str_eq(err.field, "into");
    test_status(RECO_INVALID, replay_into("", 0));
    test_status(RECO_INVALID, replay_into(data_path, 0));
    test_status(RECO_INVALID, replay_into("memory:", 0));
    static const char *const within[] = {"/stream", "/features", "/relearned", "/stream/a/b", "/../data/records/"};
    for (size_t i = 0; i < sizeof within / sizeof *within; i++) { /* of the directory of the data */
        char place[350];
        snprintf(place, sizeof place, "%s%s", data_path, within[i]);
        err = (reco_error)RECO_ERROR_INIT;
        test_status(RECO_INVALID, replay_into(place, RECO_REPLAY_ESTIMATE));
        ck_assert_str_eq(err.field, "into");
        ck_assert_ptr_nonnull(strstr(err.text, "lies within"));
    }
    test_status(RECO_INVALID, replay_into(into, 64));
    ck_assert_str_eq(err.field, "flags");
    test_status(RECO_INVALID, reco_replay(NULL, NULL, NULL, NULL, &err));
    volatile int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    reco_settings *settings = other_settings(NULL);
    reco_replay_options options = {.struct_size = sizeof options, .into = into};
    test_status(RECO_CANCELLED, reco_replay(NULL, settings, &options, &call, &err));
    cancel = 0;
    test_ok(reco_settings_set(settings, "data", "memory:", &err), &err);
    test_status(RECO_INVALID, reco_replay(NULL, settings, &options, NULL, &err));
    ck_assert_str_eq(err.field, "data");
    reco_settings_free(settings);
    /* Made by yet other settings; of another stream. */
    test_ok(replay_into(into, 0), &err);
    settings = other_settings(NULL);
    test_ok(reco_settings_set(settings, "pairs.window", "4", &err), &err);
    test_status(RECO_REFUSED, reco_replay(NULL, settings, &options, NULL, &err));
    ck_assert_msg(strstr(err.text, "pairs.window") && strstr(err.text, "replay --into"), "%s", err.text);
    reco_settings_free(settings);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", dir);
    ck_assert_int_eq(rename(data_path, elsewhere), 0);
    make(30);
    test_status(RECO_REFUSED, replay_into(into, 0));
    ck_assert_msg(strstr(err.text, "another stream") != NULL, "%s", err.text);
    /* A stream without its beginning. */
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    test_ok(reco__stream_trim(engine->stream, 0, 5, NULL, &err), &err);
    reco_close(engine);
    test_dir_remove(into);
    test_status(RECO_REFUSED, replay_into(into, 0));
    ck_assert_str_eq(err.field, "stream");
    test_status(RECO_REFUSED, replay_into(into, RECO_REPLAY_ESTIMATE));
}
END_TEST

/* --- no memory ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status replay_again(void *context, reco_error *error) {
    test_dir_remove(into);
    return reco_replay(NULL, context, &(reco_replay_options){.struct_size = sizeof(reco_replay_options), .into = into}, NULL, error);
}

START_TEST(no_memory)
{
    make(30);
    test_memory_install();
    reco_settings *settings = other_settings(NULL);
    test_ok(reco_settings_set(settings, "limits.map_size", "64MiB", &err), &err);
    test_every_allocation(replay_again, settings, false);
    reco_settings_free(settings);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("replay");
    TCase *tests = tcase_create("replay");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, by_other_settings);
    tcase_add_test(tests, the_switch_loses_nothing);
    tcase_add_test(tests, killed);
    tcase_add_test(tests, what_cannot_be);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
