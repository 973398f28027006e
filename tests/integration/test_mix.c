/* tests/integration/test_mix.c - the same records, the same state and the same answers, whatever keeps them: every mix of stream {lmdb, memory,
 * kafka}, features {lmdb, memory, redis, three redis primaries} and records {lmdb, memory, postgresql}.
 *
 * Uses libreco.so by its public face only; the modules are those beside it, loaded by the scheme of an address. The events are made once and taken in
 * with stated moments of receipt, one call after the other, so each stream holds the same records, ticks included. Features are learned once for each
 * stream that lasts; a stream in memory is another stream each time it is opened, so what is learned from it is told apart by the records as well.
 * What a mix comes to is a state hash and a text of its answers, and both must be those of the first mix. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reco/admin.h>
#include <reco/generate.h>

#include "support/kafka_server.h"
#include "support/postgres_server.h"
#include "support/redis_server.h"
#include "support/support.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define GRAIN (4 * HOUR) /* the clock of receipt goes in such steps here, so that calls carry more than one event */

/* Tight enough that generations close, are cut and expire, and that cells go. */
static const char *const settings[][2] = {
    {"limits.map_size", "4GiB"},
    {"partitions", "4"},
    {"lateness", "6h"},
    {"coview.length", "7d"},
    {"coview.kept", "5"},
    {"coview.cut", "12"},
    {"coview.head", "8"},
    {"coview.halving", "2"},
    {"pairs.window", "6"},
    {"cell.lifetime", "20d"},
    {"cell.history", "60"},
    {"cell.recents", "20"},
    {"popularity.hours_kept", "72"},
    {"popularity.days_kept", "30"},
    {"recommend.window_hours", "72h"},
    {"recommend.window_days", "30d"},
    {"recommend.weight_popular", "0.05"},
};

/* --- what happened -------------------------------------------------------------------------------------------------------------------------- */

enum { EVENTS_MAX = 8000, NAMES_MAX = 1000, CALL_EVENTS = 1000 };

typedef struct names {
    char *list[NAMES_MAX];
    size_t count;
} names;

static struct {
    reco_event events[EVENTS_MAX];
    int64_t received_at[EVENTS_MAX];
    size_t count;
    names users, items;
    int64_t end; /* of the story: the moment answers are asked for */
} story;

static reco_str kept(reco_str text) {
    char *copy = strndup(text.data ? text.data : "", text.size);
    ck_assert_ptr_nonnull(copy);
    return (reco_str){copy, text.size};
}

static void note_name(names *to, const char *name) {
    for (size_t i = 0; i < to->count; i++) {
        if (strcmp(to->list[i], name) == 0) {
            return;
        }
    }
    ck_assert_uint_lt(to->count, NAMES_MAX);
    to->list[to->count] = strdup(name);
    ck_assert_ptr_nonnull(to->list[to->count++]);
}

static void story_make(uint64_t seed) {
    reco_error err = RECO_ERROR_INIT;
    reco_generator *generator = NULL;
    reco_generator_options options = {.struct_size = sizeof options,
                                      .items = 300,
                                      .users = 150,
                                      .seed = seed,
                                      .events = 6000,
                                      .duration = 70 * DAY,
                                      .drift = 0.5,
                                      .late = 0.06,
                                      .early = 0.02,
                                      .duplicate = 0.05,
                                      .reordered = 0.03};
    reco_event event;
    int64_t received_at;

    story.count = 0;
    test_ok(reco_generator_create(&generator, &options, &err), &err);
    while (story.count < EVENTS_MAX && reco_generator_next(&event, &received_at, generator) == RECO_OK) {
        reco_event *mine = &story.events[story.count];
        *mine = event;
        mine->user_id = kept(event.user_id);
        mine->item_id = kept(event.item_id);
        mine->event_type = story.count % 97 == 0 ? (reco_str){"hide", 4} : kept(event.event_type);
        mine->session_id = kept(event.session_id);
        mine->event_id = kept(event.event_id);
        story.received_at[story.count++] = (received_at + GRAIN - 1) / GRAIN * GRAIN;
        note_name(&story.users, mine->user_id.data);
        note_name(&story.items, mine->item_id.data);
        story.end = received_at > story.end ? received_at : story.end;
    }
    reco_generator_free(generator);
    story.end += 10 * 60000;
}

static void tell(reco_engine *engine) {
    uint64_t accepted = 0, rejected = 0;
    for (size_t from = 0, to; from < story.count; from = to) {
        reco_error err = RECO_ERROR_INIT;
        reco_receipt receipt = {.struct_size = sizeof receipt};
        reco_ingest_options options = {.struct_size = sizeof options, .received_at = story.received_at[from]};
        for (to = from; to < story.count && to - from < CALL_EVENTS && story.received_at[to] == options.received_at;) {
            to++;
        }
        reco_status status = reco_ingest(&receipt, engine, story.events + from, to - from, sizeof *story.events, &options, NULL, &err);
        ck_assert_msg(status == RECO_OK || receipt.rejected == to - from, "ingest: %s: %s", reco_status_name(status), err.text);
        accepted += receipt.accepted;
        rejected += receipt.rejected;
    }
    ck_assert_uint_gt(accepted, 5000);
    ck_assert_uint_gt(rejected, 20); /* too late, too early */
}

/* Categories, some items hidden, gone, not there yet, and one that nobody ever saw. */
static void describe(reco_engine *engine, bool hide_one_more) {
    static const reco_str kinds[] = {{"Küche", 6}, {"tea", 3}, {"books", 5}};
    reco_item items[NAMES_MAX + 1];
    reco_error err = RECO_ERROR_INIT;
    size_t count = 0;
    for (size_t i = 0; i < story.items.count; i++) {
        reco_item item = {.item_id = {story.items.list[i], strlen(story.items.list[i])},
                          .title = {"A thing", 7},
                          .categories = &kinds[i % 3],
                          .category_count = i % 3 == 2 ? 1 : 1 + i % 2,
                          .attributes = {"{\"price\":9.5}", 13}};
        item.flags = i % 17 == 3 || (hide_one_more && i == 0) ? RECO_ITEM_HIDDEN : 0;
        item.available_until = i % 13 == 5 ? story.end - DAY : 0;
        item.available_from = i % 19 == 7 && item.available_until == 0 ? story.end + DAY : 0;
        if (i % 5 != 4) { /* the others stay unknown to records */
            items[count++] = item;
        }
    }
    items[count++] = (reco_item){.item_id = {"nobody-saw-it", 13}, .categories = kinds, .category_count = 3};
    test_ok(reco_items_put(engine, items, count, sizeof *items, NULL, &err), &err);
}

/* --- answers as text ------------------------------------------------------------------------------------------------------------------------ */

typedef struct tally {
    size_t answers, fallbacks, items, coviews, filtered;
} tally;

static void write_answer(FILE *to, const reco_answer *answer, tally *counts) {
    /* Not `filtered`: what cannot be among the best is not looked at, and how much that is depends on the order of item numbers. */
    fprintf(to, "flags %u candidates %u as_of %lld scenario %.*s model %.*s\n", answer->flags, answer->candidates, (long long)answer->as_of,
            (int)answer->scenario.size, answer->scenario.data ? answer->scenario.data : "", (int)answer->model.size,
            answer->model.data ? answer->model.data : "");
    counts->answers++;
    counts->fallbacks += (answer->flags & RECO_ANSWER_FALLBACK) != 0;
    counts->filtered += answer->filtered;
    for (size_t i = 0; i < answer->count; i++) {
        const reco_answer_item *item = &answer->items[i];
        fprintf(to, "%u %.*s %lld:", item->rank, (int)item->item_id.size, item->item_id.data, (long long)item->score);
        for (uint32_t r = 0; r < item->reason_count; r++) {
            const reco_reason *reason = &item->reasons[r];
            fprintf(to, " %u/%.*s/%.*s/%lld", reason->kind, (int)reason->source.size, reason->source.data ? reason->source.data : "",
                    (int)reason->because.size, reason->because.data ? reason->because.data : "", (long long)reason->score);
            counts->coviews += reason->kind == RECO_REASON_COVIEW;
        }
        fputc('\n', to);
        counts->items++;
    }
}

static void ask_user(FILE *to, reco_engine *engine, const char *user, int64_t as_of, tally *counts) {
    reco_error err = RECO_ERROR_INIT;
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {user, strlen(user)}, .seed = 7, .limit = 15, .as_of = as_of};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    fprintf(to, "user %s at %lld\n", user, (long long)as_of);
    write_answer(to, answer, counts);
    reco_answer_free(answer);
}

static void ask_popular(FILE *to, reco_engine *engine, tally *counts) {
    static const struct {
        int64_t window;
        const char *category;
    } questions[] = {{0, NULL}, {6 * HOUR, NULL}, {20 * DAY, NULL}, {20 * DAY, "tea"}, {3 * DAY, "Küche"}, {30 * DAY, "no such"}};
    reco_error err = RECO_ERROR_INIT;
    reco_answer *answer = NULL;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        reco_popular_query query = {.struct_size = sizeof query, .limit = 30, .window = questions[i].window, .as_of = story.end};
        if (questions[i].category) {
            query.category = (reco_str){questions[i].category, strlen(questions[i].category)};
        }
        test_ok(reco_popular(&answer, engine, &query, NULL, &err), &err);
        fprintf(to, "popular %zu\n", i);
        write_answer(to, answer, counts);
    }
    reco_answer_free(answer);
}

/* All answers, to be freed. */
static char *ask_all(reco_engine *engine, tally *counts) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(to);
    memset(counts, 0, sizeof *counts);
    ask_popular(to, engine, counts);
    ask_user(to, engine, "somebody-else", story.end, counts);
    for (size_t i = 0; i < story.users.count; i += 3) {
        ask_user(to, engine, story.users.list[i], i % 2 ? story.end : story.end - 3 * DAY, counts);
    }
    fclose(to);
    return text;
}

/* The first line in which two texts differ, with the heading above it. */
static void expect_same_text(const char *mix, const char *expected, const char *got) {
    size_t at = 0, line = 0, heading = 0;
    while (expected[at] && expected[at] == got[at]) {
        if (expected[at++] == '\n') {
            line = at;
            if (strncmp(expected + at, "user ", 5) == 0 || strncmp(expected + at, "popular ", 8) == 0) {
                heading = at;
            }
        }
    }
    ck_assert_msg(!expected[at] && !got[at], "%s, %.*s: expected\n  %.*s\ngot\n  %.*s", mix, (int)strcspn(expected + heading, "\n"),
                  expected + heading, (int)strcspn(expected + line, "\n"), expected + line, (int)strcspn(got + line, "\n"), got + line);
}

/* --- mixes ---------------------------------------------------------------------------------------------------------------------------------- */

enum { LMDB, MEMORY, THIRD, THREE_REDIS }; /* third: kafka, redis, postgresql */
enum { STREAMS = 3, FEATURES = 4, RECORDS = 3, REDIS_SERVERS = 3 };

static const char *const stream_names[STREAMS] = {"lmdb", "memory", "kafka"};
static const char *const features_names[FEATURES] = {"lmdb", "memory", "redis", "redis3"};
static const char *const records_names[RECORDS] = {"lmdb", "memory", "postgresql"};

static char folder[256], postgres_url[300];
static kafka_server kafka;
static test_redis redis[REDIS_SERVERS];
static postgres_server postgres;

static void servers_start(void) {
    const char *why = kafka_server_start(&kafka);
    if (why) {
        test_skip(why);
    }
    for (int i = 0; i < REDIS_SERVERS; i++) {
        test_redis_start(&redis[i], NULL);
    }
    if (!postgres_server_make(&postgres)) {
        kafka_server_stop(&kafka);
        test_skip("no PostgreSQL server can be started here");
    }
    ck_assert(postgres_server_database(&postgres, "mix", postgres_url));
    test_dir_make(folder);
}

static void servers_stop(void) {
    kafka_server_stop(&kafka);
    for (int i = 0; i < REDIS_SERVERS; i++) {
        test_redis_stop(&redis[i]);
        test_dir_remove(redis[i].folder);
    }
    postgres_server_remove(&postgres);
    test_dir_remove(folder);
}

typedef struct mix {
    int stream, features, records;
    char name[64], stream_url[400], features_url[400], records_url[400];
} mix;

static void name_features(mix *to) {
    char place[32];
    bool lasting = to->stream != MEMORY;
    snprintf(place, sizeof place, "%s%s%s", stream_names[to->stream], lasting ? "" : "-", lasting ? "" : records_names[to->records]);
    if (to->features == MEMORY) {
        snprintf(to->features_url, sizeof to->features_url, "memory:");
    } else if (to->features == THIRD) {
        snprintf(to->features_url, sizeof to->features_url, "redis://127.0.0.1:%d?prefix=one-%s:", redis[0].port, place);
    } else if (to->features == THREE_REDIS) {
        snprintf(to->features_url, sizeof to->features_url, "redis://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d?prefix=three-%s:", redis[0].port,
                 redis[1].port, redis[2].port, place);
    } else {
        snprintf(to->features_url, sizeof to->features_url, "lmdb:%s/features-%s", folder, place);
    }
}

static mix mix_of(int stream, int features, int records) {
    mix to = {.stream = stream, .features = features, .records = records};
    snprintf(to.name, sizeof to.name, "%s x %s x %s", stream_names[stream], features_names[features], records_names[records]);
    if (stream == THIRD) {
        snprintf(to.stream_url, sizeof to.stream_url, "kafka://127.0.0.1:%d/mix?heartbeat.interval.ms=100", kafka.port);
    } else {
        snprintf(to.stream_url, sizeof to.stream_url, stream == LMDB ? "lmdb:%s/stream" : "memory:", folder);
    }
    name_features(&to);
    if (records == THIRD) {
        snprintf(to.records_url, sizeof to.records_url, "%s", postgres_url);
    } else {
        snprintf(to.records_url, sizeof to.records_url, records == LMDB ? "lmdb:%s/records" : "memory:", folder);
    }
    return to;
}

static void set(reco_settings *to, const char *name, const char *value) {
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_settings_set(to, name, value, &err), &err);
}

static reco_engine *mix_open(const mix *at) {
    reco_error err = RECO_ERROR_INIT;
    reco_settings *given = NULL;
    reco_engine *engine = NULL;
    test_ok(reco_settings_create(&given, &err), &err);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        set(given, settings[i][0], settings[i][1]);
    }
    set(given, "stream", at->stream_url);
    set(given, "features", at->features_url);
    set(given, "records", at->records_url);
    reco_open_options options = {.struct_size = sizeof options, .settings = given};
    reco_status status = reco_open(&engine, &options, NULL, &err);
    reco_settings_free(given);
    ck_assert_msg(status == RECO_OK, "%s does not open: %s: %s: %s", at->name, reco_status_name(status), err.field, err.text);
    return engine;
}

/* Verifying settles: closings that are due are done and heads are current afterwards. */
static void learn_and_verify(reco_engine *engine, const char *name) {
    reco_error err = RECO_ERROR_INIT;
    reco_progress progress = {.struct_size = sizeof progress};
    reco_verification found = {.struct_size = sizeof found};
    test_ok(reco_process(&progress, engine, NULL, &err), &err);
    ck_assert_msg(progress.records > 6000 && progress.duplicates > 50, "%s: %lu records, %lu duplicates", name, (unsigned long)progress.records,
                  (unsigned long)progress.duplicates);
    test_ok(reco_verify(&found, engine, NULL, NULL, &err), &err);
    ck_assert_msg(found.equal && found.heads > 50 && found.unlearned == 0, "%s: not equal: %s (%s, replayed %s)", name, found.difference, found.hash,
                  found.replayed);
}

typedef struct outcome {
    char hash[40];
    char *text;
    tally counts;
} outcome;

/* What has been filled already. */
static bool told[STREAMS], learned[STREAMS][FEATURES], described[RECORDS];

static outcome mix_run(const mix *at, bool hide_one_more) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = mix_open(at);
    outcome result = {0};
    if (!told[at->stream]) {
        tell(engine);
        told[at->stream] = at->stream != MEMORY;
    }
    if (!learned[at->stream][at->features]) {
        learn_and_verify(engine, at->name);
        learned[at->stream][at->features] = at->stream != MEMORY && at->features != MEMORY;
    }
    if (!described[at->records]) {
        describe(engine, hide_one_more);
        described[at->records] = at->records != MEMORY;
    }
    test_ok(reco_state_hash(result.hash, engine, NULL, &err), &err);
    result.text = ask_all(engine, &result.counts);
    reco_close(engine);
    return result;
}

/* The questions ask for something. */
static void expect_much(const tally *counts) {
    ck_assert_uint_gt(counts->answers, 50);
    ck_assert_uint_gt(counts->fallbacks, 0);
    ck_assert_uint_gt(counts->items, counts->answers * 10);
    ck_assert_uint_gt(counts->coviews, 500);
    ck_assert_uint_gt(counts->filtered, 300);
}

/* Sanitizers are slow: there each stream meets each kind of features once, with records that change from one to the next. */
static bool is_asked(int stream, int features, int records) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return (stream + features + records) % RECORDS == 0;
#else
    (void)stream, (void)features, (void)records;
    return true;
#endif
}

START_TEST(every_mix_comes_to_the_same)
{
    outcome first = {0};
    int mixes = 0;
    for (int stream = 0; stream < STREAMS; stream++) {
        for (int features = 0; features < FEATURES; features++) {
            for (int records = 0; records < RECORDS; records++) {
                if (!is_asked(stream, features, records)) {
                    continue;
                }
                mix at = mix_of(stream, features, records);
                outcome here = mix_run(&at, false);
                if (mixes++ == 0) {
                    first = here;
                    expect_much(&first.counts);
                    continue;
                }
                ck_assert_msg(strcmp(here.hash, first.hash) == 0, "%s: the state hash is %s, not %s", at.name, here.hash, first.hash);
                expect_same_text(at.name, first.text, here.text);
                free(here.text);
            }
        }
    }
    printf("%d mixes: state %s, %zu answers of %zu items\n", mixes, first.hash, first.counts.answers, first.counts.items);
    free(first.text);
}
END_TEST

START_TEST(a_difference_is_seen)
{
    mix at = mix_of(MEMORY, MEMORY, MEMORY);
    outcome one = mix_run(&at, false), same = mix_run(&at, false), hidden = mix_run(&at, true);
    ck_assert_str_eq(one.hash, same.hash);
    ck_assert_str_eq(one.text, same.text);
    ck_assert_str_eq(one.hash, hidden.hash);
    ck_assert_str_ne(one.text, hidden.text);
    reco_str item = story.events[0].item_id;
    story.events[0].item_id = story.events[story.count - 1].item_id;
    story.events[story.count - 1].item_id = item;
    ck_assert_str_ne(story.events[0].item_id.data, item.data);
    outcome other = mix_run(&at, false);
    ck_assert_str_ne(one.hash, other.hash);
    free(one.text);
    free(same.text);
    free(hidden.text);
    free(other.text);
}
END_TEST

static void story_begin(void) { story_make(20261122); }

int main(void) {
    Suite *suite = suite_create("mix");
    TCase *alone = tcase_create("alone"), *mixes = tcase_create("mixes");
    tcase_add_checked_fixture(alone, story_begin, NULL);
    tcase_add_test(alone, a_difference_is_seen);
    tcase_add_checked_fixture(mixes, story_begin, NULL);
    tcase_add_unchecked_fixture(mixes, servers_start, servers_stop);
    tcase_add_test(mixes, every_mix_comes_to_the_same);
    suite_add_tcase(suite, alone);
    suite_add_tcase(suite, mixes);
    return test_run(suite);
}
