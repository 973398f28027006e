/* What reco top reads and makes of it: samples in the text of Prometheus, whatever is in it; rates, restarts, percentiles, services of one process.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "support/support.h"
#include "top/picture.h"

/* In memory of its own that ends where the text does, so that a sanitizer sees who looks behind it. */
static top_samples read_text(const char *text, size_t size) {
    top_samples samples;
    reco_error err = RECO_ERROR_INIT;
    char *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    test_ok(top_samples_read(&samples, copy, size, &err), &err);
    return samples;
}

static bool label_is(const top_sample *sample, const char *name, const char *value) {
    reco_str found;
    return top_label(&found, sample, name) && found.size == strlen(value) && memcmp(found.data, value, found.size) == 0;
}

START_TEST(samples_are_read)
{
    static const char text[] =
        "# HELP a Of a.\n# TYPE a counter\na 1\n\nb{x=\"1\"} 2.5\nb{x=\"2\",y=\"}\\\",{\"} +Inf\r\nb{x=\"2\",y=\"z\"} 4 1395066363000\n"
        "  c{ x = \"1\" , } 5e3 \nd:e_9{} -1\nf NaN\ng{x=\"a b\"}7\nlast 8";
    top_samples samples = read_text(text, sizeof text - 1);
    bool found;
    ck_assert_uint_eq(samples.bad, 0);
    ck_assert_uint_eq(samples.count, 7); /* neither Inf nor NaN */
    ck_assert_double_eq(top_sum(&found, &samples, "a", NULL, NULL), 1);
    ck_assert(found);
    ck_assert_double_eq(top_sum(NULL, &samples, "b", NULL, NULL), 6.5);
    ck_assert_double_eq(top_sum(NULL, &samples, "b", "x", "2"), 4);
    ck_assert_double_eq(top_sum(NULL, &samples, "c", "x", "1"), 5000);
    ck_assert_double_eq(top_sum(NULL, &samples, "d:e_9", NULL, NULL), -1);
    ck_assert_double_eq(top_sum(NULL, &samples, "g", NULL, NULL), 7);
    ck_assert_double_eq(top_sum(NULL, &samples, "last", NULL, NULL), 8);
    ck_assert_double_eq(top_sum(&found, &samples, "b", "x", "3"), 0);
    ck_assert(!found);
    ck_assert(label_is(&samples.list[2], "y", "z"));
    ck_assert(!label_is(&samples.list[2], "z", "z"));
    top_samples_dispose(&samples);
}
END_TEST

START_TEST(what_is_no_sample_is_passed_over)
{
    static const char *const bad[] = {"1a 1",
                                      "a",
                                      "a ",
                                      "a b",
                                      "a{ 1",
                                      "a{x} 1",
                                      "a{x=1} 1",
                                      "a{x=\"1} 1",
                                      "a{x=\"1\"",
                                      "a{x=\"1\"}",
                                      "a{x=\"\\",
                                      "a{=\"1\"} 1",
                                      "a{x=\"1\"y=\"2\"} 1",
                                      "a{,} 1",
                                      "a 1 b",
                                      "a 1 2 3x",
                                      "a 0x",
                                      "a 1,5",
                                      "{} 1",
                                      "a{}",
                                      "a=1",
                                      "\xff 1",
                                      "a{x=\"1\"}}1",
                                      "a 11111111111111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        int size = snprintf(text, sizeof text, "good 1\n%s\ngood 2\n", bad[i]);
        top_samples samples = read_text(text, (size_t)size), alone = read_text(bad[i], strlen(bad[i]));
        ck_assert_msg(samples.bad == 1 && samples.count == 2 && alone.bad == 1 && alone.count == 0, "%s", bad[i]);
        top_samples_dispose(&samples);
        top_samples_dispose(&alone);
    }
    top_samples samples = read_text("a\0 1\nb 2", 8);
    ck_assert_uint_eq(samples.bad, 1);
    ck_assert_uint_eq(samples.count, 1);
    top_samples_dispose(&samples);
    samples = read_text("", 0);
    ck_assert_uint_eq(samples.count + samples.bad, 0);
    top_samples_dispose(&samples);
}
END_TEST

START_TEST(there_are_so_many_at_most)
{
    enum { LINES = TOP_SAMPLES_MAX + 10 };
    char *text = malloc(LINES * 4);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < LINES; i++)
        memcpy(text + 4 * i, "a 1\n", 4);
    top_samples samples = read_text(text, LINES * 4);
    ck_assert_uint_eq(samples.count, TOP_SAMPLES_MAX);
    ck_assert_uint_eq(samples.bad, 10);
    top_samples_dispose(&samples);
    free(text);
}
END_TEST

/* A real text with bytes changed, left out and doubled: it is read to its end, and shown, without a control character. */
START_TEST(any_bytes_are_borne)
{
    static const char text[] =
        "http_requests_total{method=\"GET\",route=\"/recommendations\",status=\"200\"} 5\nhttp_request_duration_seconds_bucket{route="
        "\"/popular\",le=\"0.0005\"} 3\nhttp_request_duration_seconds_count{route=\"/popular\"} 3\nreco_stage_failures_total{stage=\"co"
        "view\"} 1\nreco_stage_timed_total{stage=\"coview\"} 3\nreco_store_up{store=\"stream\"} 1\nreco_stream_partition_lag{partition="
        "\"0\"} 7\nreco_memory_bytes{kind=\"heap\"} 1e6\nreco_degraded_total{reason=\"deadline\"} 1\nprocess_start_time_seconds 1\n";
    static const char odd[] = "\"{}=,\\\n \t\033\377\302\2230Ee+-";
    top_picture *picture = malloc(sizeof *picture);
    const top_screen screen = {.columns = 100, .title = "x"};
    reco__rand random;
    ck_assert_ptr_nonnull(picture);
    reco__rand_seed(&random, 7);
    for (int round = 0; round < 1000; round++) {
        char copy[2][sizeof text];
        top_service service = {.name = "http://a:1", .now = {.up = true, .at_ns = 2000000000}, .before = {.up = true, .at_ns = 1000000000}};
        http_text out = {0};
        for (int k = 0; k < 2; k++) {
            memcpy(copy[k], text, sizeof text);
            for (uint64_t i = reco__rand_below(&random, 8); i > 0; i--)
                copy[k][reco__rand_below(&random, sizeof text - 1)] = odd[reco__rand_below(&random, sizeof odd - 1)];
        }
        service.now.samples = read_text(copy[0], sizeof text - 1 - reco__rand_below(&random, 50));
        service.before.samples = read_text(copy[1], sizeof text - 1);
        top_picture_make(picture, &service, 1, 10);
        top_picture_text(&out, picture, &screen);
        ck_assert(!out.failed && http_text_is_utf8(out.data, out.size));
        for (size_t i = 0; i < out.size; i++)
            ck_assert(out.data[i] == '\n' || (unsigned char)out.data[i] >= 0x20);
        ck_assert_ptr_null(memmem(out.data, out.size, "\302\233", 2));
        out.size = 0;
        top_picture_json(&out, picture, 1);
        ck_assert(!out.failed && http_text_is_utf8(out.data, out.size));
        http_text_dispose(&out);
        top_samples_dispose(&service.now.samples);
        top_samples_dispose(&service.before.samples);
    }
    free(picture);
}
END_TEST

static top_look look(const char *text, int64_t at) {
    return (top_look){.up = true, .at_ns = at * 1000000000, .samples = read_text(text, strlen(text))};
}

static void picture_of(top_picture *out, top_service *services, size_t count) {
    top_picture_make(out, services, count, 100);
    for (size_t i = 0; i < count; i++) {
        top_samples_dispose(&services[i].now.samples);
        top_samples_dispose(&services[i].before.samples);
    }
}

#define BUCKETS(name, a, b, c)                                                                                                                       \
    "http_request_duration_seconds_bucket{route=\"" name "\",le=\"0.001\"} " a "\nhttp_request_duration_seconds_bucket{route=\"" name                \
    "\",le=\"0.01\"} " b "\nhttp_request_duration_seconds_bucket{route=\"" name "\",le=\"+Inf\"} " c                                                 \
    "\nhttp_request_duration_seconds_count{route=\"" name "\"} " c "\n"

START_TEST(rates_and_percentiles_are_of_the_interval)
{
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    top_service service = {
        .name = "http://a:1",
        .before = look("reco_events_accepted_total 1000\nhttp_requests_total{status=\"503\"} 1\n" BUCKETS("/popular", "1000", "1000", "1000")
                           BUCKETS("/health", "5", "5", "5"),
                       10),
        .now = look("reco_events_accepted_total 1100\nhttp_requests_total{status=\"503\"} 5\n" BUCKETS("/popular", "1050", "1100", "1100")
                        BUCKETS("/health", "1005", "1005", "1005"),
                    12)};
    picture_of(p, &service, 1);
    ck_assert_double_eq(p->seconds, 2);
    ck_assert_double_eq(p->accepted, 50);
    ck_assert_double_eq(p->lines[0].failed, 2);
    ck_assert(p->times.known); /* of questions only: 50 up to 1 ms, 50 up to 10 ms */
    ck_assert_double_eq_tol(p->times.p50, 1, 1e-9);
    ck_assert_double_eq_tol(p->times.p99, 1 + 9 * 0.98, 1e-9);
    ck_assert_double_lt(p->lines[0].times.p50, 0.6); /* of all requests of the service */
    free(p);
}
END_TEST

/* What no service told, or none told twice, is not 0. */
START_TEST(what_is_not_told_is_not_known)
{
    top_picture *p = malloc(sizeof *p);
    http_text text = {0};
    ck_assert_ptr_nonnull(p);
    for (int round = 0; round < 3; round++) { /* down; up for the first time; up, and silent on it */
        top_service service = {.name = "http://a:1", .now = {.error = "gone"}};
        if (round > 0)
            service.now = look("reco_items 7\nreco_stage_failures_total{stage=\"a\"} 0\nreco_degraded_total{reason=\"r\"} 4\n", 2);
        if (round > 1)
            service.before = look("reco_items 7\n", 1);
        picture_of(p, &service, 1);
        ck_assert(isnan(p->accepted) && isnan(p->appended) && isnan(p->learned) && isnan(p->answers) && isnan(p->lag));
        ck_assert(!p->effect.known && !p->times.known && !p->lag_known && !p->closing_known);
        ck_assert(round == 0 ? isnan(p->items) : p->items == 7);
        text.size = 0;
        top_picture_json(&text, p, 1);
        ck_assert_ptr_nonnull(strstr(text.data, "\"events\":{},\"answers\":{},"));
        ck_assert_ptr_null(strstr(text.data, "nan"));
        text.size = 0;
        top_picture_text(&text, p, &(top_screen){.columns = 200, .title = "x"});
        ck_assert_ptr_nonnull(strstr(text.data, "events    - accepted, - appended, - learned\n"));
        ck_assert_ptr_null(strstr(text.data, "nan"));
    }
    http_text_dispose(&text);
    free(p);
}
END_TEST

#define EFFECTS(a, b, c)                                                                                                                             \
    "reco_event_to_effect_seconds_bucket{le=\"0.01\"} " a "\nreco_event_to_effect_seconds_bucket{le=\"0.02\"} " b                                    \
    "\nreco_event_to_effect_seconds_bucket{le=\"+Inf\"} " c "\nreco_event_to_effect_seconds_count " c "\n"

START_TEST(events_to_their_effect)
{
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (int anew = 0; anew < 2; anew++) { /* a service that began anew counts from zero */
        top_service service = {.name = "http://a:1",
                               .before = anew ? look(EFFECTS("9", "900", "900"), 1) : look(EFFECTS("1", "1", "1"), 1),
                               .now = anew ? look(EFFECTS("50", "100", "100"), 2) : look(EFFECTS("51", "101", "101"), 2)};
        picture_of(p, &service, 1);
        ck_assert(p->effect.known);
        ck_assert_double_eq_tol(p->effect.p50, 10, 1e-9);
        ck_assert_double_eq_tol(p->effect.p99, 19.8, 1e-9);
    }
    free(p);
}
END_TEST

START_TEST(times_of_stages_are_of_the_interval_or_of_all)
{
    static const char *const before = "reco_stage_failures_total{stage=\"a\"} 0\nreco_stage_timed_total{stage=\"a\"} 4\n"
                                      "reco_stage_timed_seconds_total{stage=\"a\"} 0.4\nreco_stage_failures_total{stage=\"b\"} 0\n"
                                      "reco_stage_timed_total{stage=\"b\"} 5\nreco_stage_timed_seconds_total{stage=\"b\"} 1\n";
    static const char *const now = "reco_stage_failures_total{stage=\"a\"} 0\nreco_stage_timed_total{stage=\"a\"} 6\n"
                                   "reco_stage_timed_seconds_total{stage=\"a\"} 0.42\nreco_stage_failures_total{stage=\"b\"} 0\n"
                                   "reco_stage_timed_total{stage=\"b\"} 5\nreco_stage_timed_seconds_total{stage=\"b\"} 1\n";
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    top_service service = {.name = "http://a:1", .before = look(before, 1), .now = look(now, 3)};
    picture_of(p, &service, 1);
    ck_assert_str_eq(p->stages[0].name, "b");
    ck_assert(p->stages[0].since_start && !p->stages[1].since_start);
    ck_assert_double_eq_tol(p->stages[0].seconds, 0.2, 1e-12);
    ck_assert_double_eq_tol(p->stages[0].timed, 5, 1e-12);
    ck_assert_double_eq_tol(p->stages[1].seconds, 0.01, 1e-12);
    ck_assert_double_eq_tol(p->stages[1].timed, 2, 1e-12);
    free(p);
}
END_TEST

START_TEST(a_restart_counts_from_zero)
{
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    top_service service = {.name = "http://a:1",
                           .before = look("reco_events_accepted_total 1000\nhttp_requests_total 500\n" BUCKETS("/popular", "400", "500", "500"), 10),
                           .now = look("reco_events_accepted_total 30\nhttp_requests_total 10\n" BUCKETS("/popular", "10", "10", "10"), 11)};
    picture_of(p, &service, 1);
    ck_assert_double_eq(p->accepted, 30);
    ck_assert_double_eq(p->lines[0].requests, 10);
    ck_assert_double_eq_tol(p->times.p50, 0.5, 1e-9);
    free(p);
}
END_TEST

START_TEST(services_of_one_process_count_once)
{
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (int same = 0; same < 2; same++) {
        static const char *const before = "reco_process_id 7\nreco_events_learned_total 0\nreco_memory_bytes{kind=\"heap\"} 10\nreco_stream_lag 3\n";
        static const char *const now = "reco_process_id 7\nreco_events_learned_total 40\nreco_memory_bytes{kind=\"heap\"} 10\nreco_stream_lag 3\n";
        top_service services[] = {{.name = "http://a:1", .before = look(before, 1), .now = look(now, 2)},
                                  {.name = same ? "http://a:2" : "http://b:1", .before = look(before, 1), .now = look(now, 2)}};
        picture_of(p, services, 2);
        ck_assert_double_eq(p->learned, same ? 40 : 80);
        ck_assert_double_eq(p->memory[0].value, same ? 10 : 20);
        ck_assert_double_eq(p->lag, 3);
    }
    free(p);
}
END_TEST

START_TEST(stages_stores_and_reasons)
{
    static const char *const before =
        "reco_stage_failures_total{stage=\"a\"} 0\nreco_stage_failures_total{stage=\"b\"} 0\nreco_store_up{store=\"stream\"} 1\n"
        "reco_degraded_total{reason=\"r\"} 1\nreco_degraded_total{reason=\"s\"} 1\n";
    static const char *const now = "reco_stage_failures_total{stage=\"a\"} 0\nreco_stage_failures_total{stage=\"b\"} "
                                   "3\nreco_stage_timed_total{stage=\"a\"} 10\nreco_stage_timed_total{"
                                   "stage=\"b\"} 10\nreco_stage_timed_seconds_total{stage=\"a\"} 0.01\nreco_stage_timed_seconds_total{stage=\"b\"} "
                                   "0.5\nreco_store_up{store=\"stream\"} "
                                   "0\nreco_store_up{store=\"records\"} 1\nreco_store_bytes{store=\"records\",table=\"used\"} "
                                   "5\nreco_store_bytes{store=\"records\",table=\"disk\"} 9\n"
                                   "reco_degraded_total{reason=\"r\"} 1\nreco_degraded_total{reason=\"s\"} "
                                   "4\nreco_stream_partition_lag{partition=\"0\"} 2\nreco_stream_partition_lag{"
                                   "partition=\"1\"} 9\nreco_stream_partition_lag_seconds{partition=\"1\"} 1.5\n";
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    top_service services[] = {{.name = "http://a:1", .before = look(before, 1), .now = look(now, 2)},
                              {.name = "http://a:2", .now = {.error = "gone"}}};
    picture_of(p, services, 2);
    ck_assert_uint_eq(p->stage_count, 2);
    ck_assert_str_eq(p->stages[0].name, "b");
    ck_assert_double_eq_tol(p->stages[0].seconds, 0.05, 1e-12);
    ck_assert_double_eq(p->stages[0].failures, 3);
    ck_assert_double_eq_tol(p->stages[1].seconds, 0.001, 1e-12);
    ck_assert_uint_eq(p->stores[0].down, 1);
    ck_assert_uint_eq(p->stores[1].up + p->stores[1].down, 0);
    ck_assert_uint_eq(p->stores[2].up, 1);
    ck_assert_double_eq(p->stores[2].bytes, 9);
    ck_assert_str_eq(p->reasons[0].name, "s");
    ck_assert_double_eq(p->reasons[0].value, 3);
    ck_assert_str_eq(p->partitions[0].name, "1");
    ck_assert_double_eq(p->partitions[0].lag, 9);
    ck_assert_double_eq(p->partitions[0].seconds, 1.5);
    ck_assert(!p->lag_known);
    ck_assert_str_eq(p->lines[1].error, "gone");
    free(p);
}
END_TEST

/* Lines are cut by places, not by bytes, and no more are drawn than there is room for. */
START_TEST(a_screen_keeps_to_its_size)
{
    top_picture *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    top_service service = {.name = "http://grün\033[31m.example:1", .now = look("reco_stage_failures_total{stage=\"\033]0;x\a\"} 0\n", 1)};
    for (unsigned columns = 0; columns < 130; columns += 3) {
        top_service again = service;
        http_text out = {0};
        const top_screen screen = {.columns = columns, .rows = 7, .title = "12:00"};
        unsigned rows = 0, places = 0;
        top_picture_make(p, &again, 1, 1);
        top_picture_text(&out, p, &screen);
        for (size_t i = 0; i < out.size; i++) {
            unsigned char c = (unsigned char)out.data[i];
            ck_assert(c == '\n' || c >= 0x20);
            places = c == '\n' ? 0 : places + ((c & 0xc0) != 0x80);
            ck_assert_uint_le(places, columns);
            rows += c == '\n';
        }
        ck_assert_uint_eq(rows, 7);
        http_text_dispose(&out);
    }
    top_samples_dispose(&service.now.samples);
    free(p);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("top_samples");
    TCase *tests = tcase_create("top_samples");
    tcase_add_test(tests, samples_are_read);
    tcase_add_test(tests, what_is_no_sample_is_passed_over);
    tcase_add_test(tests, there_are_so_many_at_most);
    tcase_add_test(tests, any_bytes_are_borne);
    tcase_add_test(tests, rates_and_percentiles_are_of_the_interval);
    tcase_add_test(tests, a_restart_counts_from_zero);
    tcase_add_test(tests, times_of_stages_are_of_the_interval_or_of_all);
    tcase_add_test(tests, events_to_their_effect);
    tcase_add_test(tests, what_is_not_told_is_not_known);
    tcase_add_test(tests, services_of_one_process_count_once);
    tcase_add_test(tests, stages_stores_and_reasons);
    tcase_add_test(tests, a_screen_keeps_to_its_size);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
