/* stream/tick.c - the tick's record, for backends that add ticks of their own. */
#include <reco/plugin/stream.h>

#include "model/envelope.h"

size_t reco_stream_tick_write(void *out, int64_t received_at) {
    reco__buf buf = {.limit = RECO_STREAM_TICK_MAX};
    reco__envelope_tick(&buf, received_at);
    size_t size = buf.failed == RECO_OK ? buf.size : 0;
    if (size) {
        memcpy(out, buf.data, size);
    }
    reco__buf_dispose(&buf);
    return size;
}

int reco_stream_tick_read(int64_t *received_at, const void *data, size_t size) {
    reco__record record;
    if (reco__envelope_decode(&record, data, size, NULL) != RECO_OK || record.type != RECO__RECORD_TICK) {
        return 0;
    }
    if (received_at) {
        *received_at = record.received_at;
    }
    return 1;
}
