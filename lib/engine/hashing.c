/* engine/hashing.c - the state hash of a features store, and digests of its heads for comparison. */
#include "engine/hashing.h"

static reco_status cell_name(void *context, uint32_t number, reco_str *name) {
    uint64_t unused;
    return reco__features_item_name(name, &unused, context, number);
}

reco_status reco__cell_canonical(reco__buf *out, reco__cell *cell, reco__features *features, const void *data, size_t size, reco_error *err) {
    reco__buf_reset(out);
    reco_status status = reco__cell_decode(cell, data, size, err);
    if (status == RECO_OK)
        status = reco__cell_to_canonical(out, cell, cell_name, features, err);
    return status == RECO_OK ? reco__buf_status(out, err) : status;
}

static reco_status hashing_begin(void *context, const reco_features_info *info, const reco_position *positions, reco_error *err) {
    reco__hashing *hashing = context;
    (void)err;
    hashing->info = *info;
    memcpy(hashing->positions, positions, hashing->partitions * sizeof *positions);
    reco__state_hash_clocks(&hashing->hash, positions, hashing->partitions);
    return RECO_OK;
}

static reco_status hashing_row(void *context, const reco__row *row, reco_error *err) {
    reco__hashing *hashing = context;
    return reco__state_hash_row(&hashing->hash, &hashing->scratch, hashing->features, row, err);
}

reco_status reco__cell_check_expiry(const reco__cell *cell, const reco__learn_rules *rules, reco_str user, int64_t expires_at, reco_error *err) {
    if (expires_at == reco__cell_expires(cell, rules))
        return RECO_OK;
    return reco__fail(err, RECO_CORRUPT, "cell", "the cell of \"%.*s\" expires at %lld by its own times, %lld is stored",
                      (int)(user.size < 100 ? user.size : 100), user.data, (long long)reco__cell_expires(cell, rules), (long long)expires_at);
}

static reco_status hashing_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at,
                                reco_error *err) {
    reco__hashing *hashing = context;
    if (hashing->stream && reco__stream_partition(hashing->stream, user.data, user.size) != partition)
        return reco__fail(err, RECO_CORRUPT, "cell", "the cell of \"%.*s\" does not belong to partition %u", (int)(user.size < 100 ? user.size : 100),
                          user.data, partition);
    reco_status status = reco__cell_canonical(&hashing->canonical, &hashing->cell, hashing->features, data, size, err);
    if (status == RECO_OK)
        status = reco__cell_check_expiry(&hashing->cell, hashing->rules, user, expires_at, err);
    if (status != RECO_OK)
        return status;
    reco__state_hash_cell(&hashing->hash, &hashing->scratch, user, hashing->canonical.data, hashing->canonical.size);
    return reco__buf_status(&hashing->scratch, err);
}

static reco_status hashing_head(void *context, uint32_t item, const void *data, size_t size, reco_error *err) {
    reco__hashing *hashing = context;
    if (item >= hashing->digest_room) {
        uint32_t room = item < 512 ? 1024 : item * 2;
        reco__head_digest *digests = reco__realloc_array(hashing->digests, room, sizeof *digests);
        if (!digests)
            return reco__no_memory(err);
        memset(digests + hashing->digest_room, 0, (room - hashing->digest_room) * sizeof *digests);
        hashing->digests = digests;
        hashing->digest_room = room;
    }
    hashing->heads++;
    return reco__head_digest_make(&hashing->digests[item], hashing->features, &hashing->rules->boards, item, data, size, err);
}

static reco_status hashing_once(reco__hashing *hashing, reco__features *features, const reco__stream *stream, const reco__learn_rules *rules,
                                uint32_t partitions, bool heads, const reco_call *call, reco_error *err) {
    reco__hashing_dispose(hashing);
    hashing->features = features;
    hashing->stream = stream;
    hashing->rules = rules;
    hashing->partitions = partitions;
    reco__state_walker walker = {hashing, hashing_begin, hashing_row, hashing_cell, heads ? hashing_head : NULL};
    return reco__state_walk(features, rules, partitions, &walker, call, err);
}

reco_status reco__hashing_run(reco__hashing *hashing, reco__features *features, const reco__stream *stream, const reco__learn_rules *rules,
                              uint32_t partitions, bool heads, const reco_call *call, reco_error *err) {
    reco_status status;
    reco_error error;
    uint32_t tries = 0;
    do {
        error = (reco_error)RECO_ERROR_INIT;
        status = hashing_once(hashing, features, stream, rules, partitions, heads, call, &error);
    } while (reco__state_again(&tries, status, &error, call));
    if (status != RECO_OK && err)
        *err = error;
    return status;
}

void reco__hashing_dispose(reco__hashing *hashing) {
    reco__buf_dispose(&hashing->scratch);
    reco__buf_dispose(&hashing->canonical);
    reco__cell_dispose(&hashing->cell);
    reco__release(hashing->digests);
    memset(hashing, 0, sizeof *hashing);
}

/* --- heads -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status digest_entries(reco__u128 *sum, char tag, reco__features *features, const uint8_t *packed, size_t size, uint32_t count,
                                  reco_error *err) {
    reco_entry entries[RECO_HEAD_MAX];
    size_t got = 0;
    if (reco_board_unpack(&got, entries, RECO_HEAD_MAX, packed, size) != RECO_OK || got != count)
        return reco__fail(err, RECO_CORRUPT, "head", "the entries of a head are damaged");
    for (size_t i = 0; i < got; i++) {
        uint8_t raw[1 + 8 + 256 + 1];
        reco_str name;
        uint64_t unused;
        if (reco__features_item_name(&name, &unused, features, entries[i].member) != RECO_OK || name.size > 256)
            return reco__fail(err, RECO_CORRUPT, "head", "a head names item number %u, which has no name", entries[i].member);
        raw[0] = (uint8_t)tag;
        reco__be64(raw + 1, (uint64_t)entries[i].sum);
        memcpy(raw + 9, name.data, name.size);
        reco__u128_add(sum, reco__hash128(raw, 9 + name.size));
    }
    return RECO_OK;
}

reco_status reco__head_digest_make(reco__head_digest *out, reco__features *features, const reco_board_rules *rules, uint32_t item, const void *data,
                                   size_t size, reco_error *err) {
    reco_head head;
    reco_status status = reco_head_read(&head, data, size);
    if (status != RECO_OK)
        return reco__fail(err, status, "head", "the head of item number %u is damaged", item);
    if (head.open_count > rules->head || head.closed_count > rules->head)
        return reco__fail(err, RECO_CORRUPT, "head", "the head of item number %u has too many entries", item);
    uint8_t raw[1 + 5 * 8 + 8];
    raw[0] = 'h';
    reco__be64(raw + 1, (uint64_t)head.closed_at);
    reco__be64(raw + 9, (uint64_t)head.open_sum);
    reco__be64(raw + 17, (uint64_t)head.closed_sum);
    reco__be64(raw + 25, head.open_count);
    reco__be64(raw + 33, head.closed_count);
    reco__be64(raw + 41, reco__hash64(head.generations, head.generations_size, head.generation_count));
    out->closed_at = head.closed_at;
    out->present = 1;
    out->sum = reco__hash128(raw, sizeof raw);
    status = digest_entries(&out->sum, 'o', features, head.open, head.open_size, head.open_count, err);
    return status == RECO_OK ? digest_entries(&out->sum, 'c', features, head.closed, head.closed_size, head.closed_count, err) : status;
}
