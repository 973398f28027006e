/* model/envelope.h - the stream envelope v1: how one record lies in the stream. Format: docs/ARCHITECTURE.md, "Stream records". */
#ifndef RECO__MODEL_ENVELOPE_H
#define RECO__MODEL_ENVELOPE_H

#include "base/base.h"
#include <reco/event.h>

#define RECO__ENVELOPE_VERSION 1u
enum { RECO__RECORD_EVENT = 1, RECO__RECORD_TICK = 2, RECO__RECORD_ERASE = 3 };

/* Decoded record; strings point into the encoded bytes. */
typedef struct reco__record {
    uint8_t type;
    uint32_t key_id;     /* per-user encryption, later; 0: plain */
    int64_t received_at; /* milliseconds */
    reco_event event;    /* EVENT: all; ERASE: user_id only */
    reco_str segments;   /* EVENT: the user's segments stamped at ingest; empty for now */
} reco__record;

void reco__envelope_event(reco__buf *out, const reco_event *event, reco_str segments, int64_t received_at);
void reco__envelope_tick(reco__buf *out, int64_t received_at);
void reco__envelope_erase(reco__buf *out, reco_str user_id, int64_t received_at);
/* CORRUPT (checksum, truncated, malformed), NEWER (version). Checks every length. */
reco_status reco__envelope_decode(reco__record *out, const void *data, size_t size, reco_error *err);

#endif
