#include "engine/shown.h"

#include "recommend/packed.h"

#define NEVER INT64_MAX

struct reco__met {
    int64_t first; /* the clock of the first event with it */
    uint32_t number;
    bool numbered; /* the number was looked up */
};

reco_status reco__shown_open(reco__shown *out, reco__features *features, uint32_t numbers, bool trimmed, reco_error *err) {
    *out = (reco__shown){.features = features, .trimmed = trimmed, .numbers = numbers, .there = reco__zalloc(numbers / 8 + 1)};
    return out->there ? RECO_OK : reco__no_memory(err);
}

/* --- what popularity has of the time that is gone ------------------------------------------------------------------------------------------- */

typedef struct looking_back {
    reco__shown *shown;
    int64_t day; /* when the generation that is read began */
    reco_status status;
    reco_error *err;
} looking_back;

static reco_status reserve_since(reco__shown *shown, uint32_t number, reco_error *err) {
    if (number < shown->since_count)
        return RECO_OK;
    uint32_t count = number / 2 < shown->since_count ? shown->since_count : number / 2;
    count = count > UINT32_MAX - number - 64 ? UINT32_MAX : number + count + 64;
    int64_t *since = reco__realloc_array(shown->since, count, sizeof *since);
    if (!since)
        return reco__no_memory(err);
    for (uint32_t i = shown->since_count; i < count; i++)
        since[i] = NEVER;
    shown->since = since;
    shown->since_count = count;
    return RECO_OK;
}

static void take_day(void *context, size_t index, const void *data, size_t size) {
    looking_back *l = context;
    reco__packed list = reco__packed_of(data, size);
    (void)index;
    while (l->status == RECO_OK && reco__packed_next(&list)) {
        if (list.member >= l->shown->numbers)
            continue;
        l->status = reserve_since(l->shown, list.member, l->err);
        if (l->status == RECO_OK && l->day < l->shown->since[list.member])
            l->shown->since[list.member] = l->day;
    }
    if (l->status == RECO_OK && list.bad)
        l->status = reco__fail(l->err, RECO_CORRUPT, NULL, "a popularity row is damaged");
}

reco_status reco__shown_look_back(reco__shown *shown, int64_t dropped, int64_t clock, const reco_call *call, reco_error *err) {
    const reco_board_rules *rules = reco__features_rules(shown->features);
    int64_t days[RECO_GENERATIONS_MAX * 2], kept = rules->kept[RECO_BOARD_DAYS], length = rules->length[RECO_BOARD_DAYS];
    int64_t oldest = reco_board_newest_closed(rules, RECO_BOARD_DAYS, clock) - kept + 1;
    looking_back l = {.shown = shown, .status = RECO_OK, .err = err};
    size_t count = 0;
    shown->dropped = dropped;
    shown->told = oldest > 0 ? (oldest + kept / 2) * length : 0;
    reco_status status = reco__features_generations(days, sizeof days / sizeof *days, &count, shown->features, RECO_BOARD_DAYS, call, err);
    for (size_t i = 0; i < count && i < sizeof days / sizeof *days && status == RECO_OK; i++) {
        l.day = days[i] * length;
        if (l.day > dropped)
            continue;
        status = reco__features_row(shown->features, RECO_BOARD_DAYS, days[i], 0, take_day, &l, call, err);
        status = status == RECO_OK ? l.status : status;
    }
    return status;
}

/* --- what the walk meets -------------------------------------------------------------------------------------------------------------------- */

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
    int64_t since = at == RECO__MAP_NONE ? NEVER : shown->met[at].first;
    if (number < shown->since_count && shown->since[number] < since)
        since = shown->since[number];
    return since == NEVER ? shown->trimmed : since <= moment;
}

/* Whether so little is left of the time before the moment that every item may have been there. */
static bool untold(const reco__shown *shown, int64_t moment) {
    return shown->trimmed && (moment < shown->dropped ? moment : shown->dropped) < shown->told;
}

bool reco__shown_before(reco__shown *shown, uint32_t number, int64_t moment) {
    uint8_t bit = (uint8_t)(1u << number % 8);
    if (untold(shown, moment))
        return true;
    if (number >= shown->numbers)
        return look(shown, number, moment);
    if (!(shown->there[number / 8] & bit) && look(shown, number, moment))
        shown->there[number / 8] |= bit;
    return shown->there[number / 8] & bit;
}

void reco__shown_dispose(reco__shown *shown) {
    reco__map_dispose(&shown->items);
    reco__release(shown->met);
    reco__release(shown->since);
    reco__release(shown->there);
    *shown = (reco__shown){0};
}
