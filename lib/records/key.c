/* records/key.c - the signing key of recommendation ids, as a record like any other.
 *
 * Several processes may open a new namespace at the same moment. Each makes a key of its own and offers it with IF_ABSENT; the store keeps the first,
 * and all, its maker included, use what is then found. The document is {"number":1,"key":"<128 bits as base64url>"}; records of kind KEY are left out
 * of what readers of changes are told. */
#include <jansson.h>

#include "records/records.h"

#define KEY_ID "recommendation-1"
enum { KEY_NUMBER = 1, KEY_SIZE = 16, DOCUMENT_MAX = 128 };

static const reco_str key_id = {KEY_ID, sizeof KEY_ID - 1};

typedef struct found {
    uint8_t key[KEY_SIZE];
    bool good;
} found;

static bool read_key(uint8_t out[KEY_SIZE], reco_str document) {
    if (document.size > DOCUMENT_MAX) /* damaged: and the parser goes down as deep as the text does */
        return false;
    json_t *object = json_loadb(document.data, document.size, 0, NULL);
    const char *text = json_string_value(json_object_get(object, "key"));
    bool good = text && json_integer_value(json_object_get(object, "number")) == KEY_NUMBER;
    if (good) {
        reco__buf buf = {0};
        good = reco__base64_decode(&buf, text, strlen(text)) && buf.failed == RECO_OK && buf.size == KEY_SIZE;
        if (good)
            memcpy(out, buf.data, KEY_SIZE);
        reco__buf_dispose(&buf);
    }
    json_decref(object);
    return good;
}

static int take(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    found *to = context;
    (void)sequence, (void)kind, (void)id;
    to->good = read_key(to->key, document);
    return 1;
}

static reco_status offer(reco__records *records, const reco_call *call, reco_error *err) {
    uint8_t key[KEY_SIZE];
    reco_status status = reco__random_bytes(key, sizeof key, err);
    if (status != RECO_OK)
        return status;
    reco__buf document = {0};
    reco__buf_printf(&document, "{\"number\":%d,\"key\":\"", KEY_NUMBER);
    reco__base64_encode(&document, key, sizeof key);
    reco__buf_text(&document, "\"}");
    status = reco__buf_status(&document, err);
    if (status == RECO_OK) {
        reco_record_change change = {
            .kind = RECO_RECORD_KEY, .flags = RECO_RECORD_IF_ABSENT, .id = key_id, .document = {document.data, document.size}};
        status = reco__records_change(NULL, records, &change, 1, call, err);
    }
    reco__buf_dispose(&document);
    return status;
}

reco_status reco__records_signing_key(uint32_t *number, uint8_t key[16], reco__records *records, const reco_call *call, reco_error *err) {
    found result = {.good = false};
    reco_status status = reco__records_find(records, RECO_RECORD_KEY, key_id, take, &result, call, err);
    if (status == RECO_NOT_FOUND) {
        status = offer(records, call, err);
        if (status == RECO_OK)
            status = reco__records_find(records, RECO_RECORD_KEY, key_id, take, &result, call, err);
        if (status == RECO_NOT_FOUND)
            status = reco__fail(err, RECO_INTERNAL, NULL, "the signing key was stored and is not there");
    }
    if (status != RECO_OK)
        return status;
    if (!result.good)
        return reco__fail(err, RECO_CORRUPT, NULL, "the record of the signing key cannot be read");
    memcpy(key, result.key, KEY_SIZE);
    *number = KEY_NUMBER;
    return RECO_OK;
}
