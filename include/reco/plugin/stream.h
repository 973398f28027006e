/* reco/plugin/stream.h - the contract of a stream: what happened, in order, partitioned by user, replayable.
 *
 * For people who write a backend. A backend is a table of functions registered by name of its URL scheme; libreco checks arguments, deadlines and
 * limits before it calls, holds no lock while calling, and is the only caller. Functions may be called from several threads at once on one
 * reco_stream_store unless they say otherwise. Arguments are borrowed for the call. A backend returns no memory: it hands bytes to sinks, valid
 * during the sink's call. */
#ifndef RECO_PLUGIN_STREAM_H
#define RECO_PLUGIN_STREAM_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_STREAM_CONTRACT 1u
#define RECO_PARTITIONS_MAX 64u

/* Defined by the backend. */
typedef struct reco_stream_store reco_stream_store;   /* SHARED */
typedef struct reco_stream_member reco_stream_member; /* CONFINED: one consumer's share of the partitions */

typedef struct reco_stream_options {
    uint32_t struct_size;
    uint32_t partitions; /* P of a new stream; of an existing one it must agree (0: whatever it has) */
    const char *url;     /* as configured, scheme included; terminated */
    const char *space;   /* namespace, 1..64 bytes of [A-Za-z0-9_.-], terminated */
    uint64_t min_free;   /* refuse appends below this many free bytes */
    uint64_t map_size;   /* embedded: address space; 0: default */
    uint32_t background; /* 1: threads may be started */
    uint32_t tick_ms;    /* a partition whose last record is older than this gets a tick with a commit; 0: 1,000 */
} reco_stream_options;

typedef struct reco_stream_info {
    uint32_t struct_size;
    uint32_t partitions;
    uint8_t id[16]; /* identity of the stream, made with it */
} reco_stream_info;

/* One record to append: an encoded envelope (docs/ARCHITECTURE.md, "Stream records"). */
typedef struct reco_stream_record {
    uint32_t partition;
    uint32_t size;
    const void *data;
    int64_t received_at; /* as in the envelope, milliseconds */
} reco_stream_record;

#define RECO_APPEND_NO_TICKS 1u /* copy as is: no ticks are added with these (replication, replay) */
#define RECO_APPEND_NOTE_GROWS                                                                                                                       \
    4u /* CONFLICT, appending nothing, unless the note's first 8 bytes, little-endian, are more than those stored: one journal, one writer */
#define RECO_APPEND_FORWARD 2u /* CONFLICT, appending nothing, when the first received_at is behind the largest one appended so far (import) */

/* A record that cannot be read as an envelope, and why; borrowed. */
typedef struct reco_stream_letter {
    int64_t offset;
    const void *data;
    size_t size;
    const char *reason; /* terminated */
} reco_stream_letter;

/* A ticket is the caller's memory: 512 bytes for the backend's own use, alive until wait answered anything but TIMEOUT or CANCELLED. The records it
 * was given are borrowed until then as well. */
typedef struct reco_stream_ticket {
    uint64_t room[64];
} reco_stream_ticket;

/* One partition as it stands. */
typedef struct reco_stream_span {
    int64_t begin;            /* offset of the oldest record kept */
    int64_t end;              /* offset after the newest durable record */
    int64_t last_received_at; /* of the newest record; 0: none */
    int64_t max_received_at;  /* largest received_at appended to this partition; 0: none */
} reco_stream_span;

/* Receives records in order; `data` is valid during the call. Non-zero stops the reading (not an error). */
typedef int (*reco_stream_sink)(void *context, int64_t offset, const void *data, size_t size);

typedef struct reco_stream_backend {
    uint32_t struct_size;
    uint32_t contract;  /* RECO_STREAM_CONTRACT */
    const char *scheme; /* "lmdb" */

    reco_status (*open)(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err);
    void (*close)(reco_stream_store *store);
    reco_status (*info)(reco_stream_info *out, reco_stream_store *store, const reco_call *call, reco_error *err);

    /* Queues records; all of one append become durable together or not at all, in the given order within a partition. Returns at once. In the same
     * transaction, unless told not to, a tick carrying the largest received_at of the commit is added to each partition whose last record is older by
     * more than tick_ms. */
    reco_status (*append)(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count, uint32_t flags,
                          const reco_call *call, reco_error *err);
    /* Until durable. offsets (room for `count`) receive each record's offset. */
    reco_status (*wait)(int64_t *offsets, reco_stream_ticket *ticket, reco_stream_store *store, const reco_call *call, reco_error *err);

    /* Records of a partition from an offset, at most max_records and about max_bytes (at least one record). An offset below begin is NOT_FOUND; at or
     * past the end: no call of sink. No offset is left out: one that holds nothing (only where others write too: a marker of the engine's own, a
     * record compacted away or without a value) is given with size 0. */
    reco_status (*read)(reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes, reco_stream_sink sink,
                        void *context, const reco_call *call, reco_error *err);
    /* All partitions; `spans` has room for P. */
    reco_status (*spans)(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err);
    /* Waits until any partition's end is beyond the given one (array of P), the deadline of the call, or at most timeout_ns. OK in each case. */
    reco_status (*wait_for)(reco_stream_store *store, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err);
    /* Drops records below the offset, in small transactions; an offset past the end means the end. Offsets go on from where they were. */
    reco_status (*trim)(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err);

    /* Sharing partitions between processors, in this process and others. A member owns a partition alone until it leaves, is killed, or gives it up
     * in `assign`, which every processor calls between batches: it brings the share towards P / members, rounded down or up so that all are owned,
     * and answers what is owned now, ascending (room for P). */
    reco_status (*member_open)(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err);
    void (*member_close)(reco_stream_member *member);
    reco_status (*member_assign)(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call, reco_error *err);
    /* 1 in owned[p] when any member, of whatever process, owns partition p. */
    reco_status (*member_owned)(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err);

    /* Bytes and counts by table as "name value" pairs: calls sink(context, name, value). */
    reco_status (*stats)(reco_stream_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                         const reco_call *call, reco_error *err);

    /* Small values kept beside the stream and written durably: the import journal ("import/<hash>": line). get: NOT_FOUND when missing; sink as above
     * with offset 0. append_with_note is append with the note set in the same transaction. */
    reco_status (*note_get)(reco_stream_store *store, const char *key, reco_stream_sink sink, void *context, const reco_call *call, reco_error *err);
    reco_status (*append_with_note)(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count,
                                    uint32_t flags, const char *key, const void *value, size_t value_size, const reco_call *call, reco_error *err);

    /* Not required; for streams others may write to. Keeps records of a partition that learning passes over where people find them, durably. The same
     * record may be told again after a crash. Without this function such a record is damage, and learning stops there. */
    reco_status (*dead_letters)(reco_stream_store *store, uint32_t partition, const reco_stream_letter *letters, size_t count, const reco_call *call,
                                reco_error *err);

    /* Optional: `spans` without its two times, which may be left 0, for those who ask often and want to know where partitions end. NULL: spans. */
    reco_status (*bounds)(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err);

    /* Optional: up to where each partition can be read at once (P answers; 0: that is not known), without asking anybody. NULL: `read` never waits
     * for records that are durable. */
    void (*ready)(int64_t *ends, reco_stream_store *store);
} reco_stream_backend;

/* The record of a tick, for backends to add: writes at most RECO_STREAM_TICK_MAX bytes and answers how many; 0 when memory is out. SHARED. */
#define RECO_STREAM_TICK_MAX 64u
RECO_API size_t reco_stream_tick_write(void *out, int64_t received_at);
/* 1, and its received_at (NULL allowed), when a record is a tick; else 0. SHARED. */
RECO_API int reco_stream_tick_read(int64_t *received_at, const void *data, size_t size);

/* Registers a backend by its scheme before an engine is opened. INVALID naming the missing function; CONFLICT when the scheme is taken. The table is
 * borrowed for the life of the process. SHARED. */
RECO_API reco_status reco_register_stream(const reco_stream_backend *backend, reco_error *err);

#ifdef __cplusplus
}
#endif
#endif
