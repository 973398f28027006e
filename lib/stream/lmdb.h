/* stream/lmdb.h - what the two files of the LMDB backend share. */
#ifndef RECO__STREAM_LMDB_H
#define RECO__STREAM_LMDB_H

#include "kv/kv.h"
#include "stream/registry.h"

/* One partition: the value of a space's state is an array of these, four u64 little-endian each. */
struct part {
    int64_t begin, next, last, max;
};

/* One namespace of an environment, the same for all who have it open in this process (reco__kv_share). What stands below `commit` belongs to the
 * group transaction that is running, and is touched by its jobs and hooks only. */
struct space {
    reco__kv_enlisted hooks;
    reco__kv *kv;
    reco__kv_table meta, tables[RECO_PARTITIONS_MAX];
    uint32_t partitions, number;
    uint8_t id[16];
    char name[65];
    struct {
        struct part parts[RECO_PARTITIONS_MAX];
        int64_t newest; /* largest received_at of its records */
        int64_t tick_ms;
        bool ticks;
    } commit;
};

struct reco_stream_store {
    reco__kv *kv;
    struct space *space;
    int64_t tick_ms;
};

/* How the environment at `directory` is opened, by whomever. */
reco__kv_options reco__stream_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free);

/* A namespace's stream as it lies there, in an environment that is looked at. NOT_FOUND: it has none. */
typedef struct reco__stream_look {
    uint32_t partitions;
    uint8_t id[16];
    struct part parts[RECO_PARTITIONS_MAX];
} reco__stream_look;
reco_status reco__stream_lmdb_look(reco__stream_look *out, reco__kv *kv, const char *space, reco_error *err);
/* Calls the sink with the name of each namespace. */
reco_status reco__stream_lmdb_spaces(reco__kv *kv, void (*sink)(void *context, const char *space), void *context, reco_error *err);

reco_status reco__stream_lmdb_member_open(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err);
void reco__stream_lmdb_member_close(reco_stream_member *member);
reco_status reco__stream_lmdb_member_assign(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call,
                                            reco_error *err);
reco_status reco__stream_lmdb_member_owned(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err);

#endif
