/* fuzz_ask.c - questions as JSON, with everything that can be in one: sessions, given items, filters, caps, cursors. The first byte of the input is
 * the kind of question. There is always a reply, in JSON: an answer, or a refusal of the question; never an error of the engine. */
#include <jansson.h>

#include "fuzz.h"
#include <reco.h>
#include <reco/admin.h>

static reco_engine *engine;

static void start(void) {
    static const char items[] = "[{\"item_id\":\"a\",\"categories\":[\"red\"],\"attributes\":{\"price\":5,\"brand\":\"x\",\"tags\":[\"p\",\"q\"]}},"
                                "{\"item_id\":\"b\",\"parent\":\"a\",\"attributes\":{\"price\":7.5,\"brand\":\"y\",\"new\":true}},"
                                "{\"item_id\":\"c\",\"hidden\":true},{\"item_id\":\"d\",\"available_until\":4102444800000}]";
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings;
    NEED(reco_settings_create(&settings, &err) == RECO_OK && reco_settings_set(settings, "limits.map_size", "1GiB", &err) == RECO_OK);
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .settings = settings};
    NEED(reco_open(&engine, &options, NULL, &err) == RECO_OK);
    NEED(reco_items_put_json(NULL, engine, items, sizeof items - 1, RECO_JSON_AUTO, NULL, &err) == RECO_OK);
    for (int i = 0; i < 40; i++) {
        char user[8], item[2] = {(char)('a' + i * i % 7), 0};
        reco_event event = {.user_id = {user, (size_t)snprintf(user, sizeof user, "u%d", i % 8)}, .item_id = {item, 1}, .event_type = {"view", 4}};
        NEED(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err) == RECO_OK);
    }
    NEED(reco_process(NULL, engine, NULL, &err) == RECO_OK);
    reco_settings_free(settings);
}

static int seed(int i, reco__buf *out) {
    static const char *const texts[] = {
        "\x01{\"user_id\":\"u1\",\"limit\":2,\"seed\":7,\"as_of\":\"2100-01-01T00:00:00Z\",\"reasons\":false}",
        "\x01{\"user_id\":\"u\",\"session\":[\"a\",{\"item_id\":\"b\",\"event_type\":\"rating\",\"value\":4.5,\"timestamp\":1700000000000}]}",
        "\x01{\"user_id\":\"u2\",\"exclude\":[\"a\",\"b\"],\"caps\":[{\"attribute\":\"brand\",\"most\":1}]}",
        "\x01{\"user_id\":\"u2\",\"filters\":[{\"attribute\":\"brand\",\"any_of\":[\"x\",\"y\"]}]}",
        "\x01{\"user_id\":\"u2\",\"filters\":[{\"attribute\":\"price\",\"min\":1,\"max\":9.5,\"not\":true}]}",
        "\x01{\"user_id\":\"u2\",\"filters\":{\"brand\":\"x\",\"price\":{\"min\":2},\"new\":true},\"variants\":true,\"cursor\":\"abc\"}",
        "\x02{\"limit\":2,\"window\":\"2h\",\"category\":\"red\"}",
        "\x03{\"items\":[\"a\",\"b\"],\"limit\":3}",
        "\x04{\"user_id\":\"u1\",\"items\":[\"a\",\"b\",\"zz\"]}",
        "\x05[{\"user_id\":\"u1\"},{\"user_id\":\"u2\",\"limit\":1}]"};
    if (i >= (int)(sizeof texts / sizeof *texts))
        return 0;
    reco__buf_text(out, texts[i]);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!engine)
        start();
    if (size < 1)
        return 0;
    char *body = malloc(size); /* of the exact size, so that reading past the end is seen */
    NEED(body);
    memcpy(body, data + 1, size - 1);
    reco_error err = RECO_ERROR_INIT;
    reco_reply reply = {.struct_size = sizeof reply};
    const reco_ask_input input = {.struct_size = sizeof input, .kind = data[0] % 6, .body = body, .body_size = size - 1};
    NEED(reco_ask_json(&reply, engine, &input, NULL, &err) == RECO_OK);
    json_t *json = json_loadb(reply.body, reply.size, JSON_REJECT_DUPLICATES, NULL);
    NEED(json);
    NEED(reply.http_status == 200 || reply.http_status == 400 || reply.http_status == 404 || reply.http_status == 413 || reply.http_status == 422);
    PLANT(reply.http_status == 200 && input.kind == RECO_ASK_RANK && json_array_size(json_object_get(json, "items")) == 2);
    json_decref(json);
    reco_reply_dispose(&reply);
    free(body);
    return 0;
}
