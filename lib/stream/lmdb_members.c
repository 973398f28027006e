/* stream/lmdb_members.c - sharing partitions between processors by locks the kernel drops when their holder dies.
 *
 * Each namespace has 1,024 bytes of the lock file, at its number x 1,024: byte p is partition p, the bytes from 64 on are seats of members. A member
 * takes the first free seat and keeps it. In `assign` it counts the seats taken (m) and those before its own (r): its share is P / m, and one more
 * when r < P mod m; so the shares add up to P. What it owns above its share it gives up, what is free it takes up to its share. When members come, go
 * or are killed, the next rounds of assign of those that are left come to rest again. A partition whose new owner has not come round yet has none:
 * nothing is read twice. */
#include "stream/lmdb.h"

#define BYTES 1024u
#define SEATS_AT 64u
#define SEATS 256u

struct reco_stream_member {
    const struct space *space;
    reco__kv_lock *lock;
    uint32_t seat;
    uint8_t owned[RECO_PARTITIONS_MAX];
};

static uint32_t partition_byte(const reco_stream_member *member, uint32_t partition) { return member->space->number * BYTES + partition; }

static uint32_t seat_byte(const reco_stream_member *member, uint32_t seat) { return member->space->number * BYTES + SEATS_AT + seat; }

static reco_status take_seat(reco_stream_member *member, reco_error *err) {
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        if (reco__kv_lock_try(member->lock, seat_byte(member, seat))) {
            member->seat = seat;
            return RECO_OK;
        }
    }
    return reco__fail(err, RECO_FULL, NULL, "%u members share the stream, there is no room for more", SEATS);
}

reco_status reco__stream_lmdb_member_open(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    reco_stream_member *member = reco__zalloc(sizeof *member);
    if (!member) {
        return reco__no_memory(err);
    }
    member->space = store->space;
    reco_status status = reco__kv_lock_open(&member->lock, store->kv, err);
    if (status == RECO_OK) {
        status = take_seat(member, err);
    }
    if (status != RECO_OK) {
        reco__stream_lmdb_member_close(member);
        return status;
    }
    *out = member;
    return RECO_OK;
}

void reco__stream_lmdb_member_close(reco_stream_member *member) {
    reco__kv_lock_close(member->lock);
    reco__release(member);
}

/* Seats taken, and how many of them stand before ours. */
static uint32_t count_members(uint32_t *before, const reco_stream_member *member) {
    uint32_t members = 0;
    *before = 0;
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        if (seat == member->seat) {
            *before = members++;
        } else if (reco__kv_lock_held_elsewhere(member->lock, seat_byte(member, seat))) {
            members++;
        }
        if (seat >= member->seat && !reco__kv_lock_any_elsewhere(member->lock, seat_byte(member, seat + 1), SEATS - seat - 1)) {
            break;
        }
    }
    return members;
}

reco_status reco__stream_lmdb_member_assign(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call,
                                            reco_error *err) {
    (void)call;
    reco_status status = reco__kv_alive(member->space->kv, err);
    if (status != RECO_OK) {
        return status;
    }
    uint32_t total = member->space->partitions, before, members = count_members(&before, member), have = 0;
    uint32_t share = total / members + (before < total % members ? 1 : 0);
    for (uint32_t p = 0; p < total; p++) {
        have += member->owned[p];
    }
    for (uint32_t p = total; p-- > 0 && have > share;) {
        if (member->owned[p]) {
            reco__kv_lock_release(member->lock, partition_byte(member, p));
            member->owned[p] = 0;
            have--;
        }
    }
    *count = 0;
    for (uint32_t p = 0; p < total; p++) {
        if (!member->owned[p] && have < share && reco__kv_lock_try(member->lock, partition_byte(member, p))) {
            member->owned[p] = 1;
            have++;
        }
        if (member->owned[p]) {
            partitions[(*count)++] = p;
        }
    }
    return RECO_OK;
}

reco_status reco__stream_lmdb_member_owned(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err) {
    (void)call;
    reco_status status = reco__kv_alive(member->space->kv, err);
    for (uint32_t p = 0; status == RECO_OK && p < member->space->partitions; p++) {
        owned[p] = member->owned[p] || reco__kv_lock_held_elsewhere(member->lock, partition_byte(member, p));
    }
    return status;
}
