#include "engine/shown.h"

struct reco__met {
    int64_t first; /* the clock of the first event with it */
    uint32_t number;
    bool numbered; /* the number was looked up */
};

reco_status reco__shown_open(reco__shown *out, reco__features *features, uint32_t numbers, bool trimmed, reco_error *err) {
    *out = (reco__shown){.features = features, .trimmed = trimmed, .numbers = numbers, .there = reco__zalloc(numbers / 8 + 1)};
    return out->there ? RECO_OK : reco__no_memory(err);
}

static bool reserve(reco__shown *shown, size_t count) {
    if (count <= shown->room)
        return true;
    size_t room = shown->room ? shown->room * 2 : 1024;
    reco__met *met = reco__realloc_array(shown->met, room, sizeof *met);
    if (!met)
        return false;
    shown->met = met;
    shown->room = room;
    return true;
}

reco_status reco__shown_meet(uint32_t *at, reco__shown *shown, reco_str item, int64_t clock, reco_error *err) {
    bool added;
    if (!reserve(shown, shown->items.count + 1))
        return reco__no_memory(err);
    *at = reco__map_put(&shown->items, item.data, item.size, &added);
    if (*at == RECO__MAP_NONE)
        return reco__no_memory(err);
    if (added)
        shown->met[*at] = (reco__met){.first = clock};
    return RECO_OK;
}

reco_status reco__shown_number(uint32_t *out, reco__shown *shown, uint32_t at, reco_str item, const reco_call *call, reco_error *err) {
    reco__met *met = &shown->met[at];
    reco_status status = met->numbered ? RECO_OK : reco__features_find_items(&met->number, shown->features, &item, 1, call, err);
    met->numbered = status == RECO_OK;
    *out = met->number;
    return status;
}

/* By the name: most numbers are asked about again and again, and most items met are never asked about. */
static bool look(const reco__shown *shown, uint32_t number, int64_t moment) {
    reco_str name;
    uint64_t hash;
    if (reco__features_item_name(&name, &hash, shown->features, number) != RECO_OK)
        return false;
    uint32_t at = reco__map_find(&shown->items, name.data, name.size);
    return at == RECO__MAP_NONE ? shown->trimmed : shown->met[at].first < moment;
}

bool reco__shown_before(reco__shown *shown, uint32_t number, int64_t moment) {
    uint8_t bit = (uint8_t)(1u << number % 8);
    if (number >= shown->numbers)
        return look(shown, number, moment);
    if (!(shown->there[number / 8] & bit) && look(shown, number, moment))
        shown->there[number / 8] |= bit;
    return shown->there[number / 8] & bit;
}

void reco__shown_dispose(reco__shown *shown) {
    reco__map_dispose(&shown->items);
    reco__release(shown->met);
    reco__release(shown->there);
    *shown = (reco__shown){0};
}
