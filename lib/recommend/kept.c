/* recommend/kept.c - a copy of the list of popular items that needs no store.
 *
 * It is made beside each list, from the same sums. Questions that cannot reach features, or whose features have lost what they had and learn it
 * again, are answered from it: its names are its own, its moments of availability too. */
#include "recommend/kept.h"

void reco__kept_release(reco__kept *kept) {
    if (kept && atomic_fetch_sub_explicit(&kept->holders, 1, memory_order_acq_rel) == 1) {
        reco__arena_dispose(&kept->names);
        reco__release(kept->items);
        reco__release(kept);
    }
}

uint64_t reco__kept_bytes(const reco__kept *kept) { return sizeof(*kept) + kept->count * sizeof(*kept->items) + kept->names.reserved; }

/* False when memory is out; an item whose name is not to be had is left out. */
static bool keep(reco__kept *kept, const struct reco__popular_item *from, const reco__popularity *popularity, const reco__catalogue *catalogue,
                 reco__features *features) {
    const reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, from->item);
    const reco__catalogue_details *details = chunk ? atomic_load_explicit(&chunk->details, memory_order_acquire) : NULL;
    uint32_t at = from->item % RECO__CHUNK_ITEMS;
    reco_str name;
    uint64_t hash;

    if (reco__features_item_name(&name, &hash, features, from->item) != RECO_OK) {
        return true;
    }
    char *copy = reco__arena_copy(&kept->names, name.data, name.size);
    if (!copy) {
        return false;
    }
    kept->items[kept->count++] = (reco__kept_item){
        .name = {copy, name.size},
        .score = from->score,
        .sums = {reco__popularity_of(popularity, 0, from->item), reco__popularity_of(popularity, 1, from->item)},
        .from = details ? atomic_load_explicit(&details->from[at], memory_order_relaxed) : 0,
        .until = details ? atomic_load_explicit(&details->until[at], memory_order_relaxed) : 0,
        .number = from->item,
    };
    return true;
}

reco_status reco__kept_make(reco__kept **out, const reco__popular_list *list, const reco__popularity *popularity, const reco__catalogue *catalogue,
                            reco__features *features, uint64_t epoch, reco_error *err) {
    reco__kept *kept = reco__zalloc(sizeof(*kept));

    if (!kept) {
        return reco__no_memory(err);
    }
    atomic_store(&kept->holders, 1);
    kept->epoch = epoch;
    kept->moment = list->moment;
    kept->items = reco__alloc_array(list->count + 1, sizeof(*kept->items));
    bool fine = kept->items != NULL;
    for (size_t i = 0; i < list->count && fine; i++) {
        fine = keep(kept, &list->best[i], popularity, catalogue, features);
    }
    if (!fine) {
        reco__kept_release(kept);
        return reco__no_memory(err);
    }
    *out = kept;
    return RECO_OK;
}
