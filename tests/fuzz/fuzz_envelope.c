/* fuzz_envelope.c - the stream envelope. The first byte of the input says whether the rest gets a right checksum; what is then decoded must encode to
 * the same bytes: there is one way to write a record. */
#include "fuzz.h"
#include "model/envelope.h"

static int seed(int i, reco__buf *out) {
    reco_event event = {.user_id = {"u", 1},
                        .item_id = {"item", 4},
                        .event_type = {"view", 4},
                        .session_id = {"s", 1},
                        .event_id = {"e", 1},
                        .recommendation_id = {"r", 1},
                        .properties = {"{}", 2},
                        .timestamp = 1,
                        .value = 4.5,
                        .position = 300,
                        .flags = (uint32_t)i & 3};
    reco__buf_byte(out, 1);
    if (i < 4)
        reco__envelope_event(out, &event, (reco_str){NULL, 0}, 1700000000000);
    else if (i == 4)
        reco__envelope_tick(out, 1700000000000);
    else
        reco__envelope_erase(out, event.user_id, 1700000000000);
    return i < 6;
}

static void encode(reco__buf *out, const reco__record *record) {
    if (record->type == RECO__RECORD_EVENT)
        reco__envelope_event(out, &record->event, record->segments, record->received_at);
    else if (record->type == RECO__RECORD_TICK)
        reco__envelope_tick(out, record->received_at);
    else
        reco__envelope_erase(out, record->event.user_id, record->received_at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    uint8_t *copy = malloc(size); /* of the exact size, so that reading past the end is seen */
    NEED(copy);
    memcpy(copy, data + 1, --size);
    if ((data[0] & 1) && size >= 4) {
        uint32_t checksum = reco__checksum(copy, size - 4);
        memcpy(copy + size - 4, &checksum, 4);
    }
    reco__record record;
    reco_error err = RECO_ERROR_INIT;
    reco_status status = reco__envelope_decode(&record, copy, size, &err);
    if (status == RECO_OK) {
        reco__buf buf = {0};
        encode(&buf, &record);
        NEED(buf.failed == RECO_OK && buf.size == size && memcmp(buf.data, copy, size) == 0);
        reco__buf_dispose(&buf);
        PLANT(record.type == RECO__RECORD_EVENT && record.event.position > 5000);
    } else {
        NEED((status == RECO_CORRUPT || status == RECO_NEWER) && err.status == (int32_t)status && err.text[0]);
    }
    free(copy);
    return 0;
}
