/* fuzz_settings.c - settings from YAML. What is refused changes nothing and says why; what is accepted prints to something that reads back the same.
 */
#include "fuzz.h"
#include "config/settings.h"

static int seed(int i, reco__buf *out) {
    static const char *const texts[] = {
        "partitions: 4\nlateness: 1h\ncoview:\n  length: 7d\n  kept: 26\n", "preset: sessions\npairs: {within: session, weight: inverse}\n",
        "event_types:\n  view: {weight: 1, hides: yes}\n  rating: {min_value: 4}\n", "data: \"x \\\"y\\\"\"\nstream:\nlimits.min_free: 64MiB\n",
        "recommend:\n  row_power: 0.5\n  recency: power\n  filter_seen: no\n"};
    if (i >= (int)(sizeof texts / sizeof *texts))
        return 0;
    reco__buf_text(out, texts[i]);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static reco__settings initial, settings, back;
    reco_error err = RECO_ERROR_INIT;
    char difference[200], *copy = malloc(size + (size == 0));
    NEED(copy);
    if (size > 0)
        memcpy(copy, data, size);
    reco__settings_init(&initial);
    reco__settings_init(&settings);
    reco__settings_init(&back);
    reco_status status = reco__settings_yaml(&settings, copy, size, &err);
    if (status != RECO_OK) {
        NEED((status == RECO_INVALID || status == RECO_TOO_LARGE) && err.text[0] && memcmp(&initial, &settings, sizeof initial) == 0);
        free(copy);
        return 0;
    }
    reco__buf text = {0}, first = {0}, second = {0};
    reco__settings_print(&text, &settings);
    NEED(text.failed == RECO_OK && reco__settings_yaml(&back, text.data, text.size, &err) == RECO_OK);
    NEED(memcmp(&back, &settings, sizeof back) == 0);
    reco__settings_fingerprint(&first, &settings, settings.partitions);
    reco__settings_fingerprint(&second, &back, back.partitions);
    NEED(first.failed == RECO_OK && second.failed == RECO_OK);
    NEED(!reco__fingerprint_difference((reco_str){first.data, first.size}, (reco_str){second.data, second.size}, difference, sizeof difference));
    err = (reco_error)RECO_ERROR_INIT;
    NEED(reco__settings_check(&settings, &err) == RECO_OK || err.text[0]);
    reco__buf_dispose(&text);
    reco__buf_dispose(&first);
    reco__buf_dispose(&second);
    free(copy);
    PLANT(settings.type_count > initial.type_count);
    return 0;
}
