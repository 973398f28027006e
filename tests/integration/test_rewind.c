/* tests/integration/test_rewind.c - asking about moments that lie behind: each user is exactly what an engine says that learned no event further.
 *
 * A stage of the test's own notes whom it was asked for and which recent items counted. What it sees in a rewound question is compared with what it
 * sees in an engine whose stream ends at that moment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <reco/plugin/stage.h>

#include "support/engine.h"

#define USERS 12
#define ITEMS 30
#define EVENTS 1500
#define NOTE_ROOM 4096

static reco_error err;
static reco_engine *engine;
static reco_answer *answer;
static char note[NOTE_ROOM]; /* of the question asked last */

static reco_str str(const char *text) { return (reco_str){text, strlen(text)}; }

/* --- the stage ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status make(reco_stage **out, reco_str options, const reco_call *call, reco_error *error) {
    (void)options, (void)call, (void)error;
    *out = NULL;
    return RECO_OK;
}

static void destroy(reco_stage *stage) { (void)stage; }

static reco_status write_down(reco_stage *stage, reco_candidates *c, const reco_call *call, reco_error *error) {
    size_t used = 0;
    (void)stage, (void)call, (void)error;
    note[0] = 0;
    for (size_t i = 0; i < reco_candidates_recent_count(c); i++) {
        reco_recent recent;
        ck_assert_int_eq(reco_candidates_recent(&recent, c, i), RECO_OK);
        used += (size_t)snprintf(note + used, sizeof note - used, "%.*s %lld %d %u;", (int)recent.item_id.size, recent.item_id.data,
                                 (long long)recent.timestamp, recent.weight, recent.session);
        ck_assert_uint_lt(used, sizeof note);
    }
    return RECO_OK;
}

static const reco_stage_backend notes = {sizeof notes, RECO_STAGE_CONTRACT, RECO_STAGE_SOURCE, 0, "notes", make, destroy, write_down};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- history -------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t dice;
static uint32_t below(uint32_t bound) {
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dice >> 33) % bound;
}

typedef struct happening {
    char user[16], item[16], id[16];
    const char *type;
    int64_t t;
    bool undo;
} happening;

static happening history[EVENTS];

/* Visits and pauses; some events are taken back, some hide. */
static void happen(int64_t from) {
    static const char *const types[] = {"view", "view", "view", "click", "purchase", "dislike", "impression"};
    int64_t t = from;
    for (int i = 0; i < EVENTS; i++) {
        happening *h = &history[i];
        t += 1 + below(below(20) == 0 ? 7200000 : 90000);
        *h = (happening){.t = t, .type = types[below(sizeof types / sizeof *types)]};
        snprintf(h->user, sizeof h->user, "u%u", below(USERS));
        snprintf(h->item, sizeof h->item, "i%u", below(ITEMS));
        snprintf(h->id, sizeof h->id, "e%d", i);
        if (i > 0 && below(15) == 0) {
            const happening *before = &history[below((uint32_t)i)];
            memcpy(h->user, before->user, sizeof h->user);
            memcpy(h->item, before->item, sizeof h->item);
            memcpy(h->id, before->id, sizeof h->id);
            h->type = before->type;
            h->undo = !before->undo && below(4) > 0;
        }
    }
}

static void write_file(const char *path, int64_t until) {
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < EVENTS; i++) {
        const happening *h = &history[i];
        if (h->t <= until)
            fprintf(file, "{\"user_id\":\"%s\",\"item_id\":\"%s\",\"event_type\":\"%s\",\"event_id\":\"%s\",\"timestamp\":%lld%s}\n", h->user,
                    h->item, h->type, h->id, (long long)h->t, h->undo ? ",\"undo\":true" : "");
    }
    ck_assert_int_eq(fclose(file), 0);
}

static reco_engine *learned_until(const char *folder, int64_t until, const char *const *settings) {
    char path[300];
    const char *const paths[] = {path};
    reco_import_options how = {.struct_size = sizeof how, .format = "ndjson", .paths = paths, .path_count = 1};
    reco_import_result result = {.struct_size = sizeof result};
    reco_engine *made = test_engine_open("memory:", 0, settings);
    snprintf(path, sizeof path, "%s/events", folder);
    write_file(path, until);
    test_ok(reco_import(&result, made, &how, NULL, &err), &err);
    ck_assert_uint_eq(result.rejected, 0);
    return made;
}

/* --- comparing ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct gathered {
    char notes[USERS][NOTE_ROOM];
    char hidden[USERS][ITEMS]; /* items the answer has */
    size_t order[USERS], count;
} gathered;

static void take(gathered *to, size_t index, const reco_answer *given) {
    memcpy(to->notes[index], note, sizeof note);
    memset(to->hidden[index], 0, ITEMS);
    for (size_t i = 0; i < given->count; i++)
        to->hidden[index][atoi(given->items[i].item_id.data + 1)] = 1;
    to->order[to->count++] = index;
}

static int gather(void *context, size_t index, reco_status status, reco_answer *given, const reco_error *error) {
    ck_assert_msg(status == RECO_OK, "%s: %s", error ? error->field : "", error ? error->text : "");
    take(context, index, given);
    return 0;
}

/* What the same users are in an engine that knows no more. All items are popular enough to be in every answer that may have them. */
static void compare(const char *folder, const char *const *settings, int64_t moment) {
    static char users[USERS][16];
    static gathered past, present;
    reco_query queries[USERS];
    reco_engine *then = learned_until(folder, moment, settings);
    reco_rewind_result result = {.struct_size = sizeof result};
    past.count = present.count = 0;
    for (int u = 0; u < USERS; u++) {
        snprintf(users[u], sizeof users[u], "u%d", u);
        queries[u] = (reco_query){.struct_size = sizeof *queries, .user_id = str(users[u]), .as_of = moment, .limit = ITEMS, .seed = 1};
        test_ok(reco_recommend(&answer, then, &queries[u], NULL, &err), &err);
        take(&present, (size_t)u, answer);
    }
    reco_close(then);
    test_ok(reco_rewind(&result, engine, queries, USERS, sizeof *queries, gather, &past, NULL, &err), &err);
    ck_assert_uint_eq(past.count, USERS);
    ck_assert_uint_eq(result.answers, USERS);
    ck_assert_uint_eq(result.missing, 0);
    for (int u = 0; u < USERS; u++) {
        ck_assert_msg(strcmp(past.notes[u], present.notes[u]) == 0, "u%d at %lld:\n%s\nnot\n%s", u, (long long)moment, past.notes[u],
                      present.notes[u]);
        for (int i = 0; i < ITEMS; i++) /* what was not learned at all then may be an answer now, and not the other way round */
            ck_assert_msg(past.hidden[u][i] >= present.hidden[u][i], "u%d at %lld: i%d is left out", u, (long long)moment, i);
    }
}

/* The moments of some events, and one after all of them. */
static void compare_all(const char *const *settings) {
    char folder[256];
    test_dir_make(folder);
    dice = 7;
    happen(INT64_C(1700000000000));
    engine = learned_until(folder, INT64_MAX, settings);
    for (int i = 0; i < 12; i++)
        compare(folder, settings, history[EVENTS - 1 - i * 120].t + (i % 2));
    compare(folder, settings, history[EVENTS - 1].t + 86400000);
    reco_close(engine);
    test_dir_remove(folder);
}

START_TEST(users_are_what_they_were)
{ compare_all((const char *const[]){"recommend.stages", "notes", "recommend.window_hours", "48h", NULL}); }
END_TEST

START_TEST(sessions_are_what_they_were)
{ compare_all((const char *const[]){"preset", "sessions", "recommend.stages", "notes", NULL}); }
END_TEST

/* --- items ---------------------------------------------------------------------------------------------------------------------------------- */

/* Whether the stream has an event with the item that is not newer. */
static bool was_there(int item, int64_t moment) {
    for (int i = 0; i < EVENTS && history[i].t <= moment; i++)
        if (atoi(history[i].item + 1) == item)
            return true;
    return false;
}

static int count_later(const gathered *of, int u, int64_t moment) {
    int count = 0;
    for (int i = 0; i < ITEMS; i++)
        count += of->hidden[u][i] && !was_there(i, moment);
    return count;
}

/* Where items come up one after the other: what the pairs and the popular items of now have of later ones is in no answer. */
START_TEST(no_item_before_its_first_event)
{
    static gathered past, present;
    char folder[256];
    int later = 0, shown = 0;
    test_dir_make(folder);
    dice = 7;
    happen(INT64_C(1700000000000));
    engine = learned_until(folder, INT64_MAX, (const char *const[]){"recommend.stages", "notes", "recommend.filter_seen", "no", NULL});
    for (int i = 1; i < 60; i++) {
        reco_query query = {.struct_size = sizeof query, .user_id = str(history[i].user), .as_of = history[i].t, .limit = ITEMS, .seed = 1};
        past.count = present.count = 0;
        test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
        take(&present, 0, answer);
        test_ok(reco_rewind(NULL, engine, &query, 1, sizeof query, gather, &past, NULL, &err), &err);
        ck_assert_int_eq(count_later(&past, 0, history[i].t), 0);
        later += count_later(&present, 0, history[i].t);
        shown += memchr(past.hidden[0], 1, ITEMS) != NULL;
    }
    ck_assert_int_gt(later, 0); /* or there was nothing to leave out */
    ck_assert_int_gt(shown, 40);
    reco_close(engine);
    test_dir_remove(folder);
}
END_TEST

/* --- popularity ----------------------------------------------------------------------------------------------------------------------------- */

/* How many of the answers at a moment lack sums by hours, by days. */
static void count_gone(uint64_t out[2], int64_t moment) {
    reco_query queries[] = {{.struct_size = sizeof *queries, .user_id = str("u1"), .as_of = moment},
                            {.struct_size = sizeof *queries, .user_id = str("u2"), .as_of = moment}};
    static gathered past;
    reco_rewind_result result = {.struct_size = sizeof result};
    past.count = 0;
    test_ok(reco_rewind(&result, engine, queries, 2, sizeof *queries, gather, &past, NULL, &err), &err);
    ck_assert_uint_eq(result.answers, 2);
    ck_assert_int_eq(result.learned, history[EVENTS - 1].t);
    out[0] = result.hours_gone;
    out[1] = result.days_gone;
}

/* Two hours of 12 that are kept, and one day of 2, of a history of four days. */
START_TEST(sums_that_are_gone_are_told_of)
{
    const char *const settings[] = {
        "popularity.hours_kept", "12", "popularity.days_kept", "2", "recommend.window_hours", "2h", "recommend.window_days", "1d", NULL};
    const struct { int64_t back, hours, days; } wanted[] = {{0, 0, 0}, {9, 0, 0}, {16, 2, 0}, {23, 2, 0}, {76, 2, 2}};
    int64_t last;
    char folder[256];
    test_dir_make(folder);
    dice = 7;
    happen(INT64_C(1700000000000));
    last = history[EVENTS - 1].t;
    ck_assert_int_gt(last - history[0].t, INT64_C(78) * 3600000);
    engine = learned_until(folder, INT64_MAX, settings);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        uint64_t gone[2];
        count_gone(gone, last + 1 - wanted[i].back * 3600000);
        ck_assert_msg(gone[0] == (uint64_t)wanted[i].hours && gone[1] == (uint64_t)wanted[i].days, "%lld hours back: %llu, %llu",
                      (long long)wanted[i].back, (unsigned long long)gone[0], (unsigned long long)gone[1]);
    }
    uint64_t gone[2];
    count_gone(gone, history[0].t - 3600000); /* there never was any */
    ck_assert_uint_eq(gone[0] + gone[1], 0);
    reco_close(engine);
    test_dir_remove(folder);
}
END_TEST

/* --- several questions ---------------------------------------------------------------------------------------------------------------------- */

static void tell_at(const char *user, const char *item) {
    reco_event event = test_event(user, item, "view");
    event.timestamp = now_ms() - (item[0] == 'a' ? 1000 : 0);
    test_engine_tell(NULL, engine, &event);
}

typedef struct outcome {
    reco_status status[8];
    char field[8][64], notes[8][64];
    size_t order[8], count, most;
} outcome;

static int note_outcome(void *context, size_t index, reco_status status, reco_answer *given, const reco_error *error) {
    outcome *to = context;
    ck_assert_int_eq(status == RECO_OK, given != NULL);
    ck_assert_int_eq(status != RECO_OK, error != NULL);
    to->status[index] = status;
    snprintf(to->field[index], sizeof *to->field, "%s", error ? error->field : "");
    snprintf(to->notes[index], sizeof *to->notes, "%.*s", (int)strcspn(note, " "), note);
    to->order[to->count++] = index;
    return to->count == to->most;
}

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    engine = test_engine_open("memory:", 0, (const char *const[]){"recommend.stages", "notes", NULL});
    tell_at("ann", "a");
    tell_at("ben", "b");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
}

static void teardown(void) {
    reco_answer_free(answer);
    answer = NULL;
    reco_close(engine);
}

START_TEST(in_the_order_of_moments_and_bad_ones_first)
{
    int64_t now = now_ms() + 1000;
    reco_query good = {.struct_size = sizeof good, .user_id = str("ann"), .as_of = now};
    reco_query queries[8] = {good, good, good, good, good, good, good, good};
    outcome got = {.most = 99};
    reco_rewind_result result = {.struct_size = sizeof result};
    queries[1].as_of = now - 3600000;
    queries[2].as_of = 0;
    queries[3].user_id = (reco_str){NULL, 0};
    queries[4].min_position = str("x");
    queries[5].wait_ms = 1;
    queries[6].limit = 1000000;
    queries[7].user_id = str("ben");
    test_ok(reco_rewind(&result, engine, queries, 8, sizeof *queries, note_outcome, &got, NULL, &err), &err);
    ck_assert_uint_eq(got.count, 8);
    const struct {
        size_t index;
        reco_status status;
        const char *field, *newest;
    } wanted[] = {{2, RECO_INVALID, "as_of", NULL},
                  {3, RECO_INVALID, "user_id", NULL},
                  {4, RECO_INVALID, "min_position", NULL},
                  {5, RECO_INVALID, "wait_ms", NULL},
                  {1, RECO_OK, "", ""},
                  {0, RECO_OK, "", "a"},
                  {6, RECO_INVALID, "limit", NULL},
                  {7, RECO_OK, "", "b"}};
    for (size_t i = 0; i < 8; i++) {
        size_t index = wanted[i].index;
        ck_assert_uint_eq(got.order[i], index);
        ck_assert_int_eq(got.status[index], wanted[i].status);
        ck_assert_str_eq(got.field[index], wanted[i].field);
        if (wanted[i].newest)
            ck_assert_str_eq(got.notes[index], wanted[i].newest);
    }
    ck_assert_uint_eq(result.answers, 3);
    ck_assert_uint_eq(result.events, 2);
    got = (outcome){.most = 2}; /* the sink has enough */
    test_ok(reco_rewind(NULL, engine, queries, 8, sizeof *queries, note_outcome, &got, NULL, &err), &err);
    ck_assert_uint_eq(got.count, 2);
}
END_TEST

/* What an alias did counts as it did then. */
START_TEST(aliases)
{
    char *json = NULL;
    outcome got = {.most = 99};
    tell_at("visitor", "c");
    test_ok(reco_process(NULL, engine, NULL, &err), &err);
    test_ok(reco_user_alias(&json, engine, str("ann"), str("visitor"), NULL, &err), &err);
    reco_free(json);
    reco_query query = {.struct_size = sizeof query, .user_id = str("ann"), .as_of = now_ms() + 1000};
    test_ok(reco_rewind(NULL, engine, &query, 1, sizeof query, note_outcome, &got, NULL, &err), &err);
    ck_assert_str_eq(got.notes[0], "c");
}
END_TEST

START_TEST(refusals)
{
    reco_query query = {.struct_size = sizeof query};
    outcome got = {.most = 99};
    volatile int32_t cancel = 1;
    reco_call call = {.struct_size = sizeof call, .cancel = &cancel};
    test_status(RECO_INVALID, reco_rewind(NULL, engine, &query, 1, sizeof query, NULL, NULL, NULL, &err));
    ck_assert_str_eq(err.field, "sink");
    test_status(RECO_INVALID, reco_rewind(NULL, engine, NULL, 1, sizeof query, note_outcome, &got, NULL, &err));
    ck_assert_str_eq(err.field, "queries");
    test_ok(reco_rewind(NULL, engine, NULL, 0, sizeof query, note_outcome, &got, NULL, &err), &err);
    query = (reco_query){.struct_size = sizeof query, .user_id = str("ann"), .as_of = 1};
    test_status(RECO_CANCELLED, reco_rewind(NULL, engine, &query, 1, sizeof query, note_outcome, &got, &call, &err));
    ck_assert_uint_eq(got.count, 0);
}
END_TEST

int main(void) {
    reco_error error = RECO_ERROR_INIT;
    Suite *suite = suite_create("rewind");
    TCase *whole = tcase_create("exact"), *several = tcase_create("several");
    if (reco_register_stage(&notes, &error) != RECO_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    tcase_set_timeout(whole, 60);
    tcase_add_test(whole, users_are_what_they_were);
    tcase_add_test(whole, sessions_are_what_they_were);
    tcase_add_test(whole, no_item_before_its_first_event);
    tcase_add_test(whole, sums_that_are_gone_are_told_of);
    tcase_add_checked_fixture(several, setup, teardown);
    tcase_add_test(several, in_the_order_of_moments_and_bad_ones_first);
    tcase_add_test(several, aliases);
    tcase_add_test(several, refusals);
    suite_add_tcase(suite, whole);
    suite_add_tcase(suite, several);
    return test_run(suite);
}
