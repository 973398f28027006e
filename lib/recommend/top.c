#include "recommend/top.h"

static void hash_of(reco__ranked *ranked, reco__features *features) {
    reco_str name;

    if (!ranked->hashed) {
        if (reco__features_item_name(&name, &ranked->hash, features, ranked->item) != RECO_OK) {
            ranked->hash = UINT64_MAX;
        }
        ranked->hashed = true;
    }
}

static bool name_before(const reco__ranked *a, const reco__ranked *b, reco__features *features) {
    reco_str left = {NULL, 0}, right = {NULL, 0};
    uint64_t hash;

    if (reco__features_item_name(&left, &hash, features, a->item) != RECO_OK ||
        reco__features_item_name(&right, &hash, features, b->item) != RECO_OK) {
        return a->item < b->item;
    }
    return reco__str_compare(left, right) < 0;
}

/* Whether a comes before b. */
static bool better(reco__ranked *a, reco__ranked *b, reco__features *features) {
    if (a->score != b->score) {
        return a->score > b->score;
    }
    hash_of(a, features);
    hash_of(b, features);
    return a->hash != b->hash ? a->hash < b->hash : name_before(a, b, features);
}

static void sink_down(reco__ranked *entries, size_t count, reco__features *features) {
    reco__ranked moved = entries[0];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && better(&entries[child], &entries[child + 1], features)) {
            child++;
        }
        if (!better(&moved, &entries[child], features)) {
            break;
        }
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = moved;
}

static void float_up(reco__ranked *entries, size_t at, reco__features *features) {
    reco__ranked moved = entries[at];

    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!better(&entries[parent], &moved, features)) {
            break;
        }
        entries[at] = entries[parent];
        at = parent;
    }
    entries[at] = moved;
}

void reco__top_offer(reco__top *top, int64_t score, uint32_t item, uint32_t place) {
    reco__ranked offered = {.score = score, .item = item, .place = place};

    if (top->count < top->limit) {
        top->entries[top->count] = offered;
        float_up(top->entries, top->count++, top->features);
    } else if (top->limit > 0 && better(&offered, &top->entries[0], top->features)) {
        top->entries[0] = offered;
        sink_down(top->entries, top->count, top->features);
    }
}

void reco__top_sort(reco__top *top) {
    for (size_t left = top->count; left > 1; left--) {
        reco__ranked worst = top->entries[0];
        top->entries[0] = top->entries[left - 1];
        top->entries[left - 1] = worst;
        sink_down(top->entries, left - 1, top->features);
    }
}
