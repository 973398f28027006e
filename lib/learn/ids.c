/* learn/ids.c - deduplication: which event ids of this user were seen.
 *
 * An id counts as seen when it is among the last `ids_seen` and its effective time is not more than `ids_window` before r. Hashes stand for ids
 * (xxh64, seed 0): two ids of one user within the window that collide, once in about 10^17 pairs, count as one. The list is in order of effective
 * time, which never falls. */
#include "learn/steps.h"

static bool expired(const struct reco__seen_id *id, const reco__learn_rules *rules, int64_t r) {
    return r - id->r > rules->ids_window;
}

bool reco__ids_find(const reco__cell *cell, const reco__learn_rules *rules, uint64_t hash, int64_t r) {
    for (uint32_t i = 0; i < cell->id_count; i++)
        if (cell->ids[i].hash == hash && !expired(&cell->ids[i], rules, r))
            return true;
    return false;
}

static void drop_oldest(reco__cell *cell, uint32_t count) {
    if (count == 0)
        return;
    memmove(cell->ids, cell->ids + count, (cell->id_count - count) * sizeof *cell->ids);
    cell->id_count -= count;
}

void reco__ids_expire(reco__cell *cell, const reco__learn_rules *rules, int64_t r) {
    uint32_t count = 0;
    while (count < cell->id_count && expired(&cell->ids[count], rules, r))
        count++;
    drop_oldest(cell, count);
}

reco_status reco__ids_add(reco__cell *cell, const reco__learn_rules *rules, uint64_t hash, int64_t r, reco_error *err) {
    uint32_t limit = reco__cell_limit(rules->ids_seen);
    if (limit == 0)
        return RECO_OK;
    if (cell->id_count >= limit)
        drop_oldest(cell, cell->id_count - limit + 1);
    if (!reco__cell_room_ids(cell, cell->id_count + 1))
        return reco__no_memory(err);
    cell->ids[cell->id_count++] = (struct reco__seen_id){hash, r};
    return RECO_OK;
}
