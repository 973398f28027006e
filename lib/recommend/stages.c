/* recommend/stages.c - stages of the application: which are registered (one of the library's few globals), and what they may see and do of a question
 * (reco/plugin/stage.h). */
#include <pthread.h>

#include "recommend/candidates.h"

enum { REGISTERED_MAX = 64, NAME_MAX_ = 64 };

static struct {
    pthread_mutex_t lock;
    reco_stage_backend list[REGISTERED_MAX];
    size_t count;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- registration ------------------------------------------------------------------------------------------------------------------------------- */

static bool name_valid(const char *name) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t size = name ? strlen(name) : 0;
    return size > 0 && size <= NAME_MAX_ && strspn(name, allowed) == size;
}

static reco_status check(const reco_stage_backend *backend, reco_error *err) {
    static const char *const reserved[] = {"coview", "revisit", "popular", "seen",    "hidden", "availability", "hybrid",
                                           "top",    "other",   "exclude", "filters", "caps",   "variants",     "cursor"};

    if (!backend || backend->struct_size < sizeof(*backend)) {
        return reco__fail(err, RECO_INVALID, "struct_size", "a table of at least %zu bytes is needed", sizeof(*backend));
    }
    if (backend->contract != RECO_STAGE_CONTRACT) {
        return reco__fail(err, RECO_UNSUPPORTED, "contract", "version %u of the contract of stages, this library has %u", backend->contract,
                          RECO_STAGE_CONTRACT);
    }
    if (backend->kind < RECO_STAGE_SOURCE || backend->kind > RECO_STAGE_ARRANGER) {
        return reco__fail(err, RECO_INVALID, "kind", "%u is no kind of stage", backend->kind);
    }
    if (!name_valid(backend->name)) {
        return reco__fail(err, RECO_INVALID, "name", "a name is 1 to %d characters of A-Z a-z 0-9 _ . -", NAME_MAX_);
    }
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        if (strcmp(backend->name, reserved[i]) == 0) {
            return reco__fail(err, RECO_CONFLICT, "name", "%s is the name of a stage that is built in", backend->name);
        }
    }
    if (!backend->create || !backend->destroy || !backend->run) {
        return reco__fail(err, RECO_INVALID,
                          !backend->create    ? "create"
                          : !backend->destroy ? "destroy"
                                              : "run",
                          "stage %s lacks this function", backend->name);
    }
    return RECO_OK;
}

static const reco_stage_backend *find(const char *name, size_t size) {
    for (size_t i = 0; i < registry.count; i++) {
        if (strlen(registry.list[i].name) == size && memcmp(registry.list[i].name, name, size) == 0) {
            return &registry.list[i];
        }
    }
    return NULL;
}

reco_status reco_register_stage(const reco_stage_backend *backend, reco_error *err) {
    reco_status status = check(backend, err);

    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&registry.lock);
    bool taken = find(backend->name, strlen(backend->name)) != NULL, full = registry.count == REGISTERED_MAX;
    if (!taken && !full) {
        registry.list[registry.count++] = *backend;
    }
    pthread_mutex_unlock(&registry.lock);
    if (taken) {
        return reco__fail(err, RECO_CONFLICT, "name", "a stage %s is registered already", backend->name);
    }
    return full ? reco__fail(err, RECO_FULL, "name", "%d stages are registered, more are not possible", REGISTERED_MAX) : RECO_OK;
}

bool reco__stage_find(reco_stage_backend *out, const char *name, size_t size) {
    pthread_mutex_lock(&registry.lock);
    const reco_stage_backend *found = find(name, size);
    if (found) {
        *out = *found;
    }
    pthread_mutex_unlock(&registry.lock);
    return found != NULL;
}

/* --- the question ---------------------------------------------------------------------------------------------------------------------------------
 */

reco_str reco_candidates_user(const reco_candidates *c) { return c->user; }
reco_str reco_candidates_scenario(const reco_candidates *c) { return c->scenario; }
int64_t reco_candidates_moment(const reco_candidates *c) { return c->moment; }
uint64_t reco_candidates_seed(const reco_candidates *c) { return c->seed; }
uint32_t reco_candidates_limit(const reco_candidates *c) { return c->limit; }
size_t reco_candidates_recent_count(const reco_candidates *c) { return c->recent_count; }

static reco_str name_of(const reco_candidates *c, uint32_t item) {
    reco_str name = {NULL, 0};
    uint64_t hash;
    return reco__features_item_name(&name, &hash, c->features, item) == RECO_OK ? name : (reco_str){NULL, 0};
}

reco_status reco_candidates_recent(reco_recent *out, const reco_candidates *c, size_t index) {
    if (index >= c->recent_count) {
        return RECO_NOT_FOUND;
    }
    const reco__recent *recent = &c->recents[index];
    *out = (reco_recent){.item_id = name_of(c, recent->item), .timestamp = recent->t, .weight = recent->weight, .session = recent->session};
    return RECO_OK;
}

/* --- the candidates -------------------------------------------------------------------------------------------------------------------------------
 */

static bool arranging(const reco_candidates *c) { return c->running == RECO_STAGE_ARRANGER; }

size_t reco_candidates_count(const reco_candidates *c) { return arranging(c) ? c->winner_count : c->count; }

/* Place in the columns; the index is below the count. */
static size_t place_of(const reco_candidates *c, size_t index) { return arranging(c) ? c->winners[index].place : index; }

reco_str reco_candidates_item(const reco_candidates *c, size_t index) {
    return index < reco_candidates_count(c) ? name_of(c, c->items[place_of(c, index)]) : (reco_str){NULL, 0};
}

int32_t reco_candidates_dropped(const reco_candidates *c, size_t index) {
    if (index >= reco_candidates_count(c)) {
        return 1;
    }
    size_t place = place_of(c, index);
    return ((c->collected ? c->values[place] : c->marks[c->items[place]]) & RECO__MARK_DROPPED) != 0;
}

int64_t reco_candidates_score(const reco_candidates *c, size_t index) {
    if (index >= reco_candidates_count(c) || c->running < RECO_STAGE_RANKER) {
        return 0;
    }
    return arranging(c) ? c->winners[index].score : c->scores[index];
}

static reco_status give(reco_candidates *c, size_t place, int64_t score, uint32_t because, reco_error *err) {
    void *given = c->given;
    bool grown = reco__candidates_grow(&given, &c->given_room, c->given_count + 1, sizeof(*c->given));

    c->given = given;
    if (!grown) {
        return reco__no_memory(err);
    }
    c->given[c->given_count++] = (reco__given){.place = (uint32_t)place, .stage = c->running_index, .because = because, .score = score};
    return RECO_OK;
}

static reco_status reserve_places(reco_candidates *c, reco_error *err) {
    if (c->place_room >= c->mark_room) {
        return RECO_OK;
    }
    uint32_t *places = reco__realloc_array(c->places, c->mark_room, sizeof(*places));
    if (!places) {
        return reco__no_memory(err);
    }
    memset(places + c->place_room, 0, (c->mark_room - c->place_room) * sizeof(*places));
    c->places = places;
    c->place_room = c->mark_room;
    return RECO_OK;
}

/* Whether a place that was noted, perhaps for another question, is still right. */
static bool place_holds(const reco_candidates *c, uint32_t item) { return c->places[item] < c->count && c->items[c->places[item]] == item; }

/* Where an item stands among the candidates; it is made one when it is none. Built-in sources note no places: the first that is missing has all of
 * them noted. */
static reco_status find_place(size_t *place, reco_candidates *c, uint32_t item, reco_error *err) {
    reco_status status = reco__candidates_reserve_items(c, c->count + 1, err);

    if (status == RECO_OK) {
        status = reco__candidates_reserve_marks(c, item + 1, err);
    }
    if (status == RECO_OK) {
        status = reserve_places(c, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    if (c->marks[item] == 0) {
        c->places[item] = (uint32_t)c->count;
        reco__candidates_list(c, item, 0);
    } else if (!place_holds(c, item)) {
        for (size_t i = 0; i < c->count; i++) {
            c->places[c->items[i]] = (uint32_t)i;
        }
    }
    *place = c->places[item];
    return RECO_OK;
}

/* A score that keeps sums of many within 64 bits. */
static bool score_fits(int64_t score) { return score > -(INT64_C(1) << 50) && score < INT64_C(1) << 50; }

reco_status reco_candidates_add(reco_candidates *c, reco_str item_id, int64_t score, reco_str because, reco_error *err) {
    reco_str names[2] = {item_id, because};
    uint32_t numbers[2] = {RECO_NO_ITEM, RECO_NO_ITEM};
    size_t place = 0;

    if (c->running != RECO_STAGE_SOURCE) {
        return reco__fail(err, RECO_INVALID, NULL, "only sources add candidates");
    }
    if (!score_fits(score)) {
        return reco__fail(err, RECO_INVALID, "score", "the score is too large");
    }
    reco_status status = reco__check_id(item_id, -1, "item_id", err);
    if (status == RECO_OK && because.size > 0) {
        status = reco__check_id(because, -1, "because", err);
    }
    if (status == RECO_OK) {
        status = reco__features_find_items(numbers, c->features, names, because.size > 0 ? 2 : 1, NULL, err);
    }
    if (status == RECO_OK && numbers[0] == RECO_NO_ITEM) {
        status = reco__fail(err, RECO_NOT_FOUND, "item_id", "nothing was learned of this item yet");
    }
    if (status == RECO_OK) {
        status = find_place(&place, c, numbers[0], err);
    }
    return status == RECO_OK ? give(c, place, score, numbers[1], err) : status;
}

reco_status reco_candidates_drop(reco_candidates *c, size_t index, reco_error *err) {
    if (c->running != RECO_STAGE_FILTER && c->running != RECO_STAGE_ARRANGER) {
        return reco__fail(err, RECO_INVALID, NULL, "only filters and arrangers drop candidates");
    }
    if (index >= reco_candidates_count(c)) {
        return reco__fail(err, RECO_INVALID, "index", "there are %zu candidates", reco_candidates_count(c));
    }
    size_t place = place_of(c, index);
    if (!(c->values[place] & RECO__MARK_DROPPED)) {
        c->values[place] |= RECO__MARK_DROPPED;
        c->filtered++;
    }
    return RECO_OK;
}

reco_status reco_candidates_set_score(reco_candidates *c, size_t index, int64_t score, reco_error *err) {
    if (c->running != RECO_STAGE_RANKER && c->running != RECO_STAGE_ARRANGER) {
        return reco__fail(err, RECO_INVALID, NULL, "only rankers and arrangers set scores");
    }
    if (index >= reco_candidates_count(c)) {
        return reco__fail(err, RECO_INVALID, "index", "there are %zu candidates", reco_candidates_count(c));
    }
    if (!score_fits(score)) {
        return reco__fail(err, RECO_INVALID, "score", "the score is too large");
    }
    int64_t before = reco_candidates_score(c, index);
    reco_status status = score != before ? give(c, place_of(c, index), score - before, RECO_NO_ITEM, err) : RECO_OK;
    if (status == RECO_OK && arranging(c)) {
        c->winners[index].given += score - before;
        c->winners[index].score = score;
    } else if (status == RECO_OK) {
        c->scores[index] = score;
    }
    return status;
}

reco_status reco_candidates_move(reco_candidates *c, size_t from, size_t to, reco_error *err) {
    if (!arranging(c)) {
        return reco__fail(err, RECO_INVALID, NULL, "only arrangers move candidates");
    }
    if (from >= c->winner_count || to >= c->winner_count) {
        return reco__fail(err, RECO_INVALID, from >= c->winner_count ? "from" : "to", "there are %zu candidates", c->winner_count);
    }
    reco__winner moved = c->winners[from];
    if (from < to) {
        memmove(c->winners + from, c->winners + from + 1, (to - from) * sizeof(moved));
    } else {
        memmove(c->winners + to + 1, c->winners + to, (from - to) * sizeof(moved));
    }
    c->winners[to] = moved;
    return RECO_OK;
}
