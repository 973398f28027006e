#include "engine/walk.h"

enum { FEED_RECORDS = 512 };
#define FEED_BYTES (256u << 10)
#define CHECK_EVERY 256u

/* The records of one partition, read ahead. */
struct reco__walk_feed {
    int64_t next, end;
    reco__buf bytes;
    struct {
        size_t at, size;
        int64_t offset;
    } list[FEED_RECORDS];
    uint32_t at, count;
    bool trimmed; /* the stream has dropped records of it */
    bool held;    /* `record` is the next one */
    reco__record record;
    int64_t offset; /* its own */
    int64_t clock;  /* of the partition, with it */
};

static int keep(void *context, int64_t offset, const void *data, size_t size) {
    reco__walk_feed *f = context;
    if (offset >= f->end)
        return 1;
    f->list[f->count].at = f->bytes.size;
    f->list[f->count].size = size;
    f->list[f->count].offset = offset;
    reco__buf_add(&f->bytes, data, size);
    if (f->bytes.failed != RECO_OK)
        return 1;
    f->next = offset + 1;
    return ++f->count == FEED_RECORDS;
}

static reco_status refill(const reco__walk *walk, uint32_t partition, reco__walk_feed *f, reco_error *err) {
    f->at = f->count = 0;
    reco__buf_reset(&f->bytes);
    reco_status status = reco__stream_read(walk->engine->stream, partition, f->next, FEED_RECORDS, FEED_BYTES, keep, f, walk->call, err);
    if (status == RECO_NOT_FOUND)
        return reco__fail(err, RECO_BUSY, "stream", "partition %u was trimmed behind %lld meanwhile; try again", partition, (long long)f->next);
    if (status == RECO_OK)
        status = reco__buf_status(&f->bytes, err);
    if (status == RECO_OK && f->count == 0)
        return reco__fail(err, RECO_CORRUPT, "stream", "partition %u ends before %lld", partition, (long long)f->end);
    return status;
}

/* The next record of a partition, if there is one. Others may write to some streams; what is none of ours is passed over. */
static reco_status advance(reco__walk *walk, uint32_t partition, reco_error *err) {
    reco__walk_feed *f = &walk->feeds[partition];
    f->held = false;
    for (;;) {
        reco_status status = RECO_OK;
        if (f->at == f->count) {
            if (f->next >= f->end)
                return RECO_OK;
            status = refill(walk, partition, f, err);
        }
        if (status != RECO_OK)
            return status;
        size_t at = f->list[f->at].at, size = f->list[f->at].size;
        f->offset = f->list[f->at++].offset;
        walk->done++;
        if (size == 0)
            continue;
        reco_error why = RECO_ERROR_INIT;
        status = reco__envelope_decode(&f->record, f->bytes.data + at, size, &why);
        if (status == RECO_CORRUPT && reco__stream_takes_letters(walk->engine->stream)) {
            walk->unreadable++;
            continue;
        }
        if (status != RECO_OK)
            return reco__fail(err, status, "stream", "partition %u, offset %lld: %s", partition, (long long)f->offset, why.text);
        f->clock = f->record.received_at > f->clock ? f->record.received_at : f->clock;
        f->held = true;
        return RECO_OK;
    }
}

/* The partition whose clock is the earliest, P when there is no record left. */
static uint32_t earliest(const reco__walk *walk) {
    uint32_t best = walk->engine->partitions;
    for (uint32_t p = 0; p < walk->engine->partitions; p++)
        if (walk->feeds[p].held && (best == walk->engine->partitions || walk->feeds[p].clock < walk->feeds[best].clock))
            best = p;
    return best;
}

reco_status reco__walk_begin(reco__walk *walk, reco_engine *engine, const char *what, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    *walk = (reco__walk){.engine = engine, .call = call, .what = what, .partition = engine->partitions};
    walk->feeds = reco__zalloc(engine->partitions * sizeof *walk->feeds);
    if (!walk->feeds)
        return reco__no_memory(err);
    reco_status status = reco__stream_bounds(spans, engine->stream, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++) {
        walk->feeds[p].next = spans[p].begin;
        walk->feeds[p].end = spans[p].end;
        walk->feeds[p].trimmed = spans[p].begin > 0;
        walk->missing += (uint64_t)spans[p].begin;
        walk->total += (uint64_t)(spans[p].end - spans[p].begin);
    }
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        status = advance(walk, p, err);
    return status;
}

int64_t reco__walk_clock(const reco__walk *walk) {
    uint32_t first = earliest(walk);
    return first < walk->engine->partitions ? walk->feeds[first].clock : 0;
}

int64_t reco__walk_dropped(const reco__walk *walk, const reco_position *learned) {
    int64_t newest = 0;
    for (uint32_t p = 0; p < walk->engine->partitions; p++) {
        const reco__walk_feed *f = &walk->feeds[p];
        int64_t clock = f->held ? f->clock : learned[p].clock;
        if (f->trimmed && clock > newest)
            newest = clock;
    }
    return newest;
}

static reco_status tell(reco__walk *walk, reco_error *err) {
    walk->told = walk->done;
    reco__call_progress(walk->call, walk->what, "records", walk->done, walk->total);
    return reco__call_check(walk->call, err);
}

reco_status reco__walk_next(reco__walk_step *out, reco__walk *walk, reco_error *err) {
    uint32_t partitions = walk->engine->partitions;
    reco_status status = walk->partition < partitions ? advance(walk, walk->partition, err) : RECO_OK;
    if (status != RECO_OK)
        return status;
    walk->partition = earliest(walk);
    if (walk->partition == partitions) {
        *out = (reco__walk_step){.partition = partitions};
        return tell(walk, err);
    }
    const reco__walk_feed *f = &walk->feeds[walk->partition];
    *out = (reco__walk_step){&f->record, walk->partition, f->clock, f->offset + 1};
    return walk->done - walk->told >= CHECK_EVERY ? tell(walk, err) : RECO_OK;
}

void reco__walk_dispose(reco__walk *walk) {
    for (uint32_t p = 0; walk->feeds && p < walk->engine->partitions; p++)
        reco__buf_dispose(&walk->feeds[p].bytes);
    reco__release(walk->feeds);
    walk->feeds = NULL;
}
