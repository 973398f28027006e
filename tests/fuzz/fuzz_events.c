/* fuzz_events.c - events and items from JSON. The first byte says which, and in which form. What is accepted passes the checks that structs have to
 * pass, survives the stream (events) or its own document (items), and nothing is lost in counting. */
#include "fuzz.h"
#include "model/envelope.h"
#include "model/event.h"
#include "model/item.h"

static const reco__event_type TYPES[] = {{"view", 1, 0, 0}, {"rating", 1, RECO__TYPE_MIN_VALUE, 4}};
enum { TYPE_COUNT = 2, MOST = 50 };

static int seed(int i, reco__buf *out) {
    static const char *const texts[] = {
        "\x01{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"timestamp\":1700000000000,\"value\":4.5}",
        "\x01[{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"rating\",\"position\":3,\"properties\":{\"a\":[1,{}]}}, {\"user_id\":null}]",
        "\x03{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"c\":\"r\\u00e9d \\\"x\"}\n\n{\"session_id\":\"s\"}\r\n",
        "\x01{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"timestamp\":\"2026-01-31T10:00:00.5+01:00\",\"recommendation_id\":\"r\"}",
        "\x02[{\"item_id\":\"i\",\"title\":\"t\",\"parent\":\"p\",\"categories\":[\"a\"],\"available_until\":2,\"hidden\":true}]",
        "\x04{\"item_id\":\"i\",\"year\":1979,\"attributes\":{\"x\":1.50}}\n{\"item_id\":7}\n",
        "\x01{\"user_id\":\"u\",\"item_id\":\"i\",\"event_type\":\"view\",\"value\":2"}; /* and a zero byte, see below */
    if (i >= (int)(sizeof texts / sizeof *texts))
        return 0;
    reco__buf_text(out, texts[i]);
    if (i == (int)(sizeof texts / sizeof *texts) - 1)
        reco__buf_add(out, "\0}", 2);
    return 1;
}

static void check_errors(const reco_error *errors, size_t count) {
    for (size_t i = 0; i < count; i++)
        NEED(errors[i].text[0] && errors[i].index >= 0 && (errors[i].status == RECO_INVALID || errors[i].status == RECO_TOO_LARGE));
}

static void check_event(const reco_event *event) {
    reco_error err = RECO_ERROR_INIT;
    reco__buf buf = {0};
    reco__record record;
    NEED(reco__event_check(event, -1, TYPES, TYPE_COUNT, &err) == RECO_OK);
    reco__envelope_event(&buf, event, (reco_str){NULL, 0}, 1);
    NEED(buf.failed == RECO_OK && reco__envelope_decode(&record, buf.data, buf.size, &err) == RECO_OK);
    NEED(reco__str_equal(record.event.user_id, event->user_id) && reco__str_equal(record.event.properties, event->properties));
    NEED(record.event.timestamp == event->timestamp && record.event.position == event->position && record.event.value == event->value);
    reco__buf_dispose(&buf);
    PLANT(event->position > 0 && event->position % 2 == 0);
}

static void check_item(const reco_item *item, reco__arena *arena) {
    reco_error err = RECO_ERROR_INIT;
    reco_item back;
    reco__buf first = {0}, second = {0};
    NEED(reco__item_check(item, -1, &err) == RECO_OK);
    reco__item_document(&first, item);
    NEED(first.failed == RECO_OK && reco__item_read(&back, arena, item->item_id, (reco_str){first.data, first.size}, &err) == RECO_OK);
    NEED(reco__item_check(&back, -1, &err) == RECO_OK);
    reco__item_document(&second, &back);
    NEED(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    reco__buf_dispose(&first);
    reco__buf_dispose(&second);
}

static void fuzz_events(const char *text, size_t size, int form) {
    reco__arena arena = {0};
    reco__event_batch batch;
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco__events_parse(&batch, &arena, text, size, form, MOST, TYPES, TYPE_COUNT, &err);
    NEED(status == RECO_OK ? batch.total == batch.count + batch.error_count && batch.total <= MOST
                           : (status == RECO_INVALID || status == RECO_TOO_LARGE) && err.text[0] && batch.count == 0);
    check_errors(batch.errors, batch.error_count);
    for (size_t i = 0; i < batch.count; i++) {
        NEED(i == 0 || batch.index[i] > batch.index[i - 1]);
        check_event(&batch.events[i]);
    }
    reco__arena_dispose(&arena);
}

static void fuzz_items(const char *text, size_t size, int form) {
    reco__arena arena = {0};
    reco__item_batch batch;
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco__items_parse(&batch, &arena, text, size, form, MOST, (reco_str){NULL, 0}, &err);
    NEED(status == RECO_OK ? batch.total == batch.count + batch.error_count : err.text[0] && batch.count == 0);
    check_errors(batch.errors, batch.error_count);
    for (size_t i = 0; i < batch.count; i++)
        check_item(&batch.items[i], &arena);
    reco__arena_dispose(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    char *copy = malloc(size); /* of the exact size, so that reading past the end is seen */
    NEED(copy);
    memcpy(copy, data + 1, size - 1);
    int form = data[0] > 2 ? RECO__JSON_NDJSON : RECO__JSON_AUTO;
    if (data[0] & 1)
        fuzz_events(copy, size - 1, form);
    else
        fuzz_items(copy, size - 1, form);
    free(copy);
    return 0;
}
