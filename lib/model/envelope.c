/* model/envelope.c - how one record lies in the stream: version 1.
 *
 * A stream is a sequence of small records that are written once, read many times and outlive the program that wrote them. The format is therefore
 * fixed byte by byte, carries its own version and checksum, and needs no schema beside it. All numbers are little-endian.
 *
 *   header   u8  version      1
 *            u8  type         1 event, 2 tick, 3 erase
 *            u16 flags        event: bit 0 value present, bit 1 position present, bit 2 takes an event back; otherwise 0
 *            u32 key_id       0: the body is plain; other numbers are kept for bodies encrypted with a key of the user's own
 *            i64 received_at  milliseconds since 1970 UTC, stamped by ingest
 *   body     event: i64 timestamp (0: the moment of receipt), [f64 value], [varint position],
 *                   then eight strings: user, item, type, session, event id, recommendation id, segments, properties
 *            tick:  nothing; only time moves
 *            erase: one string: user
 *   end      u32 checksum of everything before it
 *
 * A varint is LEB128 in its shortest form; a string is a varint length and that many bytes; an absent string has length 0. A tick takes 20 bytes, an
 * event with short ids about 80.
 *
 * The decoder trusts nothing: the version is looked at first (a later version may end differently), then the checksum, then every length against what
 * is there and against the limits that ingest enforces, so that code behind it may rely on ids of at most 256 bytes and a finite value. Unknown flags
 * and types under a right checksum were written by a later release, and are said to be. UTF-8 is not examined again: ingest did, and the checksum
 * holds.
 *
 * What this file does not do: validate what comes from outside (model/event.c), decide what a record means (learn), or know where it is stored. */
#include "model/envelope.h"

#include <math.h>

#include "model/event.h"

enum { HEADER_SIZE = 16, CHECKSUM_SIZE = 4, EVENT_STRINGS = 8 };

static inline size_t varint_size(uint64_t value) { return value < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(value)) / 7 + 1; }

static inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *put_str(uint8_t *at, reco_str text) {
    at = put_varint(at, text.size);
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

static inline uint8_t *put_i64(uint8_t *at, int64_t value) {
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *put_header(uint8_t *at, uint8_t type, uint16_t flags, int64_t received_at) {
    memset(at, 0, HEADER_SIZE);
    at[0] = RECO__ENVELOPE_VERSION;
    at[1] = type;
    memcpy(at + 2, &flags, sizeof flags);
    return put_i64(at + 8, received_at);
}

/* Room for `size` bytes and the checksum at the end of `out`, NULL when that failed (it sticks in the buffer). */
static uint8_t *begin(reco__buf *out, size_t size) {
    if (!reco__buf_reserve(out, size + CHECKSUM_SIZE))
        return NULL;
    return (uint8_t *)out->data + out->size;
}

static void finish(reco__buf *out, const uint8_t *start, uint8_t *at) {
    uint32_t checksum = reco__checksum(start, (size_t)(at - start));
    memcpy(at, &checksum, sizeof checksum);
    out->size += (size_t)(at - start) + CHECKSUM_SIZE;
}

void reco__envelope_event(reco__buf *out, const reco_event *event, reco_str segments, int64_t received_at) {
    const reco_str strings[EVENT_STRINGS] = {event->user_id,  event->item_id,           event->event_type, event->session_id,
                                             event->event_id, event->recommendation_id, segments,          event->properties};
    uint16_t flags = (uint16_t)(event->flags & RECO_EVENT_FLAGS);
    size_t size = HEADER_SIZE + sizeof(int64_t) + sizeof(double) + varint_size((uint32_t)event->position);
    for (int i = 0; i < EVENT_STRINGS; i++)
        size += varint_size(strings[i].size) + strings[i].size;
    uint8_t *start = begin(out, size);
    if (!start)
        return;
    uint8_t *at = put_header(start, RECO__RECORD_EVENT, flags, received_at);
    at = put_i64(at, event->timestamp);
    if (flags & RECO_EVENT_HAS_VALUE) {
        memcpy(at, &event->value, sizeof event->value);
        at += sizeof event->value;
    }
    if (flags & RECO_EVENT_HAS_POSITION)
        at = put_varint(at, (uint32_t)event->position);
    for (int i = 0; i < EVENT_STRINGS; i++)
        at = put_str(at, strings[i]);
    finish(out, start, at);
}

void reco__envelope_tick(reco__buf *out, int64_t received_at) {
    uint8_t *start = begin(out, HEADER_SIZE);
    if (start)
        finish(out, start, put_header(start, RECO__RECORD_TICK, 0, received_at));
}

void reco__envelope_erase(reco__buf *out, reco_str user_id, int64_t received_at) {
    uint8_t *start = begin(out, HEADER_SIZE + varint_size(user_id.size) + user_id.size);
    if (start)
        finish(out, start, put_str(put_header(start, RECO__RECORD_ERASE, 0, received_at), user_id));
}

/* A string of `least`..`most` bytes; anything else sticks in `bad`. The length of nearly every string is one byte. */
static inline reco_str take_str(reco__reader *reader, size_t least, size_t most) {
    reco_str text = {NULL, 0};
    uint64_t size;
    if (reader->at < reader->end && *reader->at < 0x80)
        size = *reader->at++;
    else
        size = reco__read_varint(reader);
    if (reader->bad || size < least || size > most || size > (size_t)(reader->end - reader->at)) {
        reader->bad = true;
        return text;
    }
    if (size > 0)
        text = (reco_str){(const char *)reader->at, (size_t)size};
    reader->at += size;
    return text;
}

static inline uint64_t take_u64(reco__reader *reader) {
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->at) < sizeof value) {
        reader->bad = true;
        return 0;
    }
    memcpy(&value, reader->at, sizeof value);
    reader->at += sizeof value;
    return value;
}

static void take_event(reco__record *out, reco__reader *reader, uint16_t flags) {
    reco_event *event = &out->event;
    event->flags = flags;
    event->timestamp = (int64_t)take_u64(reader);
    if (flags & RECO_EVENT_HAS_VALUE) {
        uint64_t bits = take_u64(reader);
        memcpy(&event->value, &bits, sizeof bits);
        if (!isfinite(event->value))
            reader->bad = true;
    }
    if (flags & RECO_EVENT_HAS_POSITION) {
        uint64_t position = reco__read_varint(reader);
        if (position < 1 || position > INT32_MAX)
            reader->bad = true;
        else
            event->position = (int32_t)position;
    }
    event->user_id = take_str(reader, 1, RECO__ID_MAX);
    event->item_id = take_str(reader, 1, RECO__ID_MAX);
    event->event_type = take_str(reader, 1, RECO__ID_MAX);
    event->session_id = take_str(reader, 0, RECO__ID_MAX);
    event->event_id = take_str(reader, 0, RECO__ID_MAX);
    event->recommendation_id = take_str(reader, 0, RECO__ID_MAX);
    out->segments = take_str(reader, 0, RECO__SEGMENTS_MAX);
    event->properties = take_str(reader, 0, RECO__PROPERTIES_MAX);
}

static reco_status check_frame(const uint8_t *data, size_t size, reco_error *err) {
    if (size < 1)
        return reco__fail(err, RECO_CORRUPT, NULL, "stream record is empty");
    if (data[0] > RECO__ENVELOPE_VERSION)
        return reco__fail(err, RECO_NEWER, NULL, "stream record has version %u, this library reads %u", data[0], RECO__ENVELOPE_VERSION);
    if (data[0] < RECO__ENVELOPE_VERSION || size < HEADER_SIZE + CHECKSUM_SIZE)
        return reco__fail(err, RECO_CORRUPT, NULL, "stream record of %zu bytes is truncated or damaged", size);
    uint32_t checksum;
    memcpy(&checksum, data + size - CHECKSUM_SIZE, sizeof checksum);
    if (checksum != reco__checksum(data, size - CHECKSUM_SIZE))
        return reco__fail(err, RECO_CORRUPT, NULL, "stream record of %zu bytes has a wrong checksum", size);
    return RECO_OK;
}

reco_status reco__envelope_decode(reco__record *out, const void *data, size_t size, reco_error *err) {
    memset(out, 0, sizeof *out);
    const uint8_t *bytes = data;
    reco_status status = check_frame(bytes, size, err);
    if (status != RECO_OK)
        return status;
    uint16_t flags;
    out->type = bytes[1];
    memcpy(&flags, bytes + 2, sizeof flags);
    memcpy(&out->key_id, bytes + 4, sizeof out->key_id);
    memcpy(&out->received_at, bytes + 8, sizeof out->received_at);
    uint16_t known = out->type == RECO__RECORD_EVENT ? RECO_EVENT_FLAGS : 0;
    if (out->type < RECO__RECORD_EVENT || out->type > RECO__RECORD_ERASE || (flags & ~known) != 0)
        return reco__fail(err, RECO_NEWER, NULL, "stream record of type %u with flags %u was written by a later release", out->type, flags);
    if (out->key_id != 0)
        return reco__fail(err, RECO_NEWER, NULL, "stream record is encrypted with key %u, which this release cannot read", out->key_id);
    reco__reader reader = reco__reader_of(bytes + HEADER_SIZE, size - HEADER_SIZE - CHECKSUM_SIZE);
    if (out->type == RECO__RECORD_EVENT)
        take_event(out, &reader, flags);
    else if (out->type == RECO__RECORD_ERASE)
        out->event.user_id = take_str(&reader, 1, RECO__ID_MAX);
    if (reader.bad || reader.at != reader.end)
        return reco__fail(err, RECO_CORRUPT, NULL, "stream record of %zu bytes is malformed", size);
    return RECO_OK;
}
