/* recommend/popularity.c - dense sums of the configured windows, kept up to date by differences.
 *
 * A window of n generations that ends at a moment is the generation of that moment and the n - 1 before it. Two are kept, by hours and by days. Sums
 * of a closed generation cannot change any more: it is added once, and subtracted when it leaves the window, by reading it again. An open one is read
 * at each refresh and compared with the copy made the time before; only the differences are added. So the sums are exact whenever nothing is being
 * learned, and never more than a refresh old.
 *
 * Readers take no lock: a sum, and what ranking needs of it, change by one store each. When anything fails in the middle of a change, or a generation
 * that is to be subtracted is no longer there, the sums are made from nothing at the next refresh; until then readers may see a part of the change.
 *
 * Memory: 32 bytes an item in chunks of 16,384, and a copy of the open rows.
 */
#include <math.h>

#include "recommend/packed.h"
#include "recommend/popularity.h"

#define GENERATIONS_ROOM (2 * RECO_GENERATIONS_MAX)
#define LIST_BEYOND 1100u /* how many more than an answer's limit a list has, for what filters drop */
#define LIST_PART 32u     /* and one of so many items, for rare ones: where the list ends, questions walk over all items */
#define LIST_PART_MOST 16384u

/* A generation that is in the sums. */
typedef struct included {
    int64_t generation;
    bool closed;
    reco__buf copy; /* of an open one: the row as it was added */
} included;

typedef struct reco__popular_window {
    uint32_t board;
    unsigned index;      /* of sums */
    int64_t generations; /* how long it is */
    included *entries;
    size_t count, room;
} window;

/* --- making and freeing ------------------------------------------------------------------------------------------------------------------------- */

static int64_t window_generations(const reco_board_rules *rules, uint32_t board, int64_t length) {
    return (length + rules->length[board] - 1) / rules->length[board];
}

reco_status reco__popularity_create(reco__popularity **out, const reco__settings *settings, const reco_board_rules *rules, reco__features *features,
                                    reco_error *err) {
    reco__popularity *popularity = reco__zalloc(sizeof(*popularity));
    uint32_t chunks = (settings->max_items >> RECO__CHUNK_BITS) + 1;

    if (!popularity) {
        return reco__no_memory(err);
    }
    popularity->settings = settings;
    popularity->rules = rules;
    popularity->features = features;
    popularity->chunk_count = chunks;
    pthread_mutex_init(&popularity->lock, NULL);
    popularity->chunks = reco__zalloc(chunks * sizeof(*popularity->chunks));
    popularity->windows = reco__zalloc(2 * sizeof(*popularity->windows));
    if (!popularity->chunks || !popularity->windows) {
        reco__popularity_free(popularity);
        return reco__no_memory(err);
    }
    atomic_store(&popularity->bytes, chunks * sizeof(*popularity->chunks));
    popularity->windows[0] =
        (window){.board = RECO_BOARD_HOURS, .index = 0, .generations = window_generations(rules, RECO_BOARD_HOURS, settings->window_hours)};
    popularity->windows[1] =
        (window){.board = RECO_BOARD_DAYS, .index = 1, .generations = window_generations(rules, RECO_BOARD_DAYS, settings->window_days)};
    *out = popularity;
    return RECO_OK;
}

static void forget_window(window *w) {
    for (size_t i = 0; i < w->count; i++) {
        reco__buf_dispose(&w->entries[i].copy);
    }
    w->count = 0;
}

void reco__popularity_free(reco__popularity *popularity) {
    if (!popularity) {
        return;
    }
    for (uint32_t i = 0; popularity->chunks && i < popularity->chunk_count; i++) {
        reco__release(atomic_load(&popularity->chunks[i]));
    }
    for (int i = 0; popularity->windows && i < 2; i++) {
        forget_window(&popularity->windows[i]);
        reco__release(popularity->windows[i].entries);
    }
    reco__popularity_release(popularity->list);
    reco__release(popularity->chunks);
    reco__release(popularity->windows);
    pthread_mutex_destroy(&popularity->lock);
    reco__release(popularity);
}

uint64_t reco__popularity_bytes(const reco__popularity *popularity) {
    uint64_t bytes = atomic_load(&popularity->bytes);
    return bytes;
}

reco__popular_list *reco__popularity_hold(reco__popularity *popularity) {
    pthread_mutex_lock(&popularity->lock);
    reco__popular_list *list = popularity->list;
    if (list) {
        atomic_fetch_add_explicit(&list->holders, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&popularity->lock);
    return list;
}

void reco__popularity_release(reco__popular_list *list) {
    if (list && atomic_fetch_sub_explicit(&list->holders, 1, memory_order_acq_rel) == 1) {
        reco__release(list->best);
        reco__release(list);
    }
}

/* --- sums --------------------------------------------------------------------------------------------------------------------------------------- */

static reco__popularity_chunk *chunk_for(reco__popularity *popularity, uint32_t item) {
    reco__popularity_chunk *chunk = reco__popularity_chunk_of(popularity, item);

    if (chunk || item >> RECO__CHUNK_BITS >= popularity->chunk_count) {
        return chunk;
    }
    chunk = reco__zalloc(sizeof(*chunk));
    if (!chunk) {
        return NULL;
    }
    for (uint32_t i = 0; i < RECO__CHUNK_ITEMS; i++) {
        atomic_store_explicit(&chunk->weighing[i].damp, 1.0f, memory_order_relaxed);
    }
    atomic_fetch_add(&popularity->bytes, sizeof(*chunk));
    atomic_store_explicit(&popularity->chunks[item >> RECO__CHUNK_BITS], chunk, memory_order_release);
    return chunk;
}

/* False when memory is out. */
static bool add_sum(reco__popularity *popularity, unsigned index, uint32_t item, int64_t delta) {
    reco__popularity_chunk *chunk = chunk_for(popularity, item);
    uint32_t at = item % RECO__CHUNK_ITEMS;

    if (!chunk) {
        return item >> RECO__CHUNK_BITS >= popularity->chunk_count; /* a number that cannot be: damaged; left out */
    }
    uint64_t sum = (uint64_t)atomic_load_explicit(&chunk->sums[index][at], memory_order_relaxed) + (uint64_t)delta;
    atomic_store_explicit(&chunk->sums[index][at], (int64_t)sum, memory_order_relaxed);
    chunk->dirty[at / 64] |= UINT64_C(1) << (at % 64);
    if (item >= popularity->item_count) {
        popularity->item_count = item + 1;
    }
    return true;
}

static void weigh(reco__popularity *popularity, reco__popularity_chunk *chunk, uint32_t at) {
    int64_t hours = atomic_load_explicit(&chunk->sums[0][at], memory_order_relaxed),
            days = atomic_load_explicit(&chunk->sums[1][at], memory_order_relaxed);
    reco__weighing *weighing = &chunk->weighing[at];
    float damp = days > 1 ? (float)pow((double)days, -popularity->settings->popularity_power) : 1.0f;

    atomic_store_explicit(&weighing->damp, damp, memory_order_relaxed);
    atomic_store_explicit(&weighing->hours, hours > 0 ? (float)hours : 0.0f, memory_order_relaxed);
    atomic_store_explicit(&weighing->days, days > 0 ? (float)days : 0.0f, memory_order_relaxed);
}

/* Makes anew what ranking reads of the items whose sums changed. */
static void weigh_changed(reco__popularity *popularity) {
    for (uint32_t c = 0; c < popularity->chunk_count; c++) {
        reco__popularity_chunk *chunk = atomic_load_explicit(&popularity->chunks[c], memory_order_relaxed);
        for (uint32_t word = 0; chunk && word < RECO__CHUNK_ITEMS / 64; word++) {
            while (chunk->dirty[word] != 0) {
                weigh(popularity, chunk, word * 64 + (uint32_t)__builtin_ctzll(chunk->dirty[word]));
                chunk->dirty[word] &= chunk->dirty[word] - 1;
            }
        }
    }
}

static void clear_sums(reco__popularity *popularity) {
    for (uint32_t c = 0; c < popularity->chunk_count; c++) {
        reco__popularity_chunk *chunk = atomic_load_explicit(&popularity->chunks[c], memory_order_relaxed);
        for (uint32_t i = 0; chunk && i < 2 * RECO__CHUNK_ITEMS; i++) {
            atomic_store_explicit(&chunk->sums[i / RECO__CHUNK_ITEMS][i % RECO__CHUNK_ITEMS], 0, memory_order_relaxed);
        }
        if (chunk) {
            memset(chunk->dirty, 0xff, sizeof(chunk->dirty));
        }
    }
    for (int i = 0; i < 2; i++) {
        forget_window(&popularity->windows[i]);
    }
    popularity->item_count = 0;
}

/* --- rows --------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct row_reader {
    reco__popularity *popularity;
    unsigned index;
    int sign;
    reco__buf *copy; /* NULL: the row is added as it comes */
    bool no_memory, bad;
} row_reader;

static void take_piece(void *context, size_t index, const void *data, size_t size) {
    row_reader *reader = context;
    reco__packed list = reco__packed_of(data, size);

    (void)index;
    if (reader->copy) {
        reco__buf_add(reader->copy, data, size);
        return;
    }
    while (reco__packed_next(&list)) {
        reader->no_memory |=
            !add_sum(reader->popularity, reader->index, list.member, reader->sign > 0 ? list.sum : (int64_t)(0 - (uint64_t)list.sum));
    }
    reader->bad |= list.bad;
}

static reco_status read_row(row_reader *reader, const window *w, int64_t generation, const reco_call *call, reco_error *err) {
    reco_status status = reco__features_row(reader->popularity->features, w->board, generation, 0, take_piece, reader, call, err);

    if (status == RECO_OK && reader->copy) {
        status = reco__buf_status(reader->copy, err);
    }
    if (status == RECO_OK && (reader->no_memory || reader->bad)) {
        status = reader->bad ? reco__fail(err, RECO_CORRUPT, NULL, "a popularity row is damaged") : reco__no_memory(err);
    }
    return status;
}

/* Adds what `after` has more than `before`. */
static bool add_difference(reco__popularity *popularity, unsigned index, const reco__buf *before, const reco__buf *after) {
    reco__packed old = reco__packed_of(before->data, before->size), fresh = reco__packed_of(after->data, after->size);
    bool has_old = reco__packed_next(&old), has_fresh = reco__packed_next(&fresh), fine = true;

    while (has_old || has_fresh) {
        bool take_old = has_old && (!has_fresh || old.member <= fresh.member), take_fresh = has_fresh && (!has_old || fresh.member <= old.member);
        uint64_t delta = (take_fresh ? (uint64_t)fresh.sum : 0) - (take_old ? (uint64_t)old.sum : 0);
        if (delta != 0) {
            fine = add_sum(popularity, index, take_old ? old.member : fresh.member, (int64_t)delta) && fine;
        }
        has_old = take_old ? reco__packed_next(&old) : has_old;
        has_fresh = take_fresh ? reco__packed_next(&fresh) : has_fresh;
    }
    return fine;
}

/* --- windows ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct refresh {
    reco__popularity *popularity;
    int64_t clock_low, clock_high; /* min and max over the partitions */
    int64_t moment, now_ms;
    const reco_call *call;
    reco_error *err;
} refresh;

static included *find_included(window *w, int64_t generation) {
    for (size_t i = 0; i < w->count; i++) {
        if (w->entries[i].generation == generation) {
            return &w->entries[i];
        }
    }
    return NULL;
}

static included *include(window *w, int64_t generation) {
    if (w->count == w->room) {
        size_t room = w->room > 0 ? w->room * 2 : 16;
        included *entries = reco__realloc_array(w->entries, room, sizeof(*entries));
        if (!entries) {
            return NULL;
        }
        w->entries = entries;
        w->room = room;
    }
    included *entry = &w->entries[w->count++];
    *entry = (included){.generation = generation};
    return entry;
}

/* Subtracts a generation that has left the window. STALE when it cannot be read any more. */
static reco_status exclude(refresh *r, window *w, included *entry) {
    row_reader reader = {.popularity = r->popularity, .index = w->index, .sign = -1};
    static const reco__buf nothing = {.data = NULL};

    if (!entry->closed) {
        if (!add_difference(r->popularity, w->index, &entry->copy, &nothing)) {
            return reco__no_memory(r->err);
        }
    } else if (reco_board_expired(r->popularity->rules, w->board, entry->generation,
                                  reco_board_newest_closed(r->popularity->rules, w->board, r->clock_low))) {
        return reco__fail(r->err, RECO_STALE, NULL, "a generation expired before it left the window");
    } else {
        reco_status status = read_row(&reader, w, entry->generation, r->call, r->err);
        if (status != RECO_OK) {
            return status;
        }
    }
    reco__buf_dispose(&entry->copy);
    *entry = w->entries[--w->count];
    return RECO_OK;
}

/* Reads an open generation and adds what is new; once it has closed, its copy is not needed any more. */
static reco_status reread(refresh *r, window *w, included *entry, bool closed) {
    reco__buf fresh = {0};
    row_reader reader = {.popularity = r->popularity, .index = w->index, .sign = 1, .copy = &fresh};
    reco_status status = read_row(&reader, w, entry->generation, r->call, r->err);

    if (status == RECO_OK && !add_difference(r->popularity, w->index, &entry->copy, &fresh)) {
        status = reco__no_memory(r->err);
    }
    reco__buf_dispose(&entry->copy);
    entry->closed = closed;
    if (closed || status != RECO_OK) {
        reco__buf_dispose(&fresh);
    } else {
        entry->copy = fresh;
    }
    return status;
}

static reco_status add_generation(refresh *r, window *w, int64_t generation, bool closed) {
    row_reader reader = {.popularity = r->popularity, .index = w->index, .sign = 1};
    included *entry = include(w, generation);

    if (!entry) {
        return reco__no_memory(r->err);
    }
    if (!closed) {
        return reread(r, w, entry, false);
    }
    entry->closed = true;
    return read_row(&reader, w, generation, r->call, r->err);
}

static reco_status leave_behind(refresh *r, window *w, int64_t first, int64_t last, int64_t expired) {
    reco_status status = RECO_OK;

    for (size_t i = w->count; i-- > 0 && status == RECO_OK;) {
        if (w->entries[i].generation < first || w->entries[i].generation > last) {
            status = exclude(r, w, &w->entries[i]);
        } else if (w->entries[i].generation <= expired) { /* of a window that ends in the past */
            status = reco__fail(r->err, RECO_STALE, NULL, "a generation expired within the window");
        }
    }
    return status;
}

static bool among(const int64_t *generations, size_t count, int64_t generation) {
    for (size_t i = 0; i < count; i++) {
        if (generations[i] == generation) {
            return true;
        }
    }
    return false;
}

/* A generation whose sums have all come to 0 is not listed any more; what was added of it is still there. */
static reco_status reread_vanished(refresh *r, window *w, const int64_t *found, size_t count, int64_t newest_closed) {
    reco_status status = RECO_OK;

    for (size_t i = 0; i < w->count && status == RECO_OK; i++) {
        included *entry = &w->entries[i];
        if (!entry->closed && !among(found, count, entry->generation)) {
            status = reread(r, w, entry, entry->generation <= newest_closed);
        }
    }
    return status;
}

static reco_status refresh_window(refresh *r, window *w) {
    int64_t last = reco_board_generation(r->popularity->rules, w->board, r->moment), first = last - w->generations + 1;
    int64_t newest_closed = reco_board_newest_closed(r->popularity->rules, w->board, r->clock_low), found[GENERATIONS_ROOM];
    size_t count = 0;
    reco_status status = leave_behind(r, w, first, last, newest_closed - (int64_t)r->popularity->rules->kept[w->board]);

    if (status == RECO_OK) {
        status = reco__features_generations(found, GENERATIONS_ROOM, &count, r->popularity->features, w->board, r->call, r->err);
    }
    for (size_t i = 0; i < count && i < GENERATIONS_ROOM && status == RECO_OK; i++) {
        included *entry = find_included(w, found[i]);
        bool closed = found[i] <= newest_closed;
        if (found[i] < first || found[i] > last || (entry && entry->closed)) {
            continue;
        }
        status = entry ? reread(r, w, entry, closed) : add_generation(r, w, found[i], closed);
    }
    count = count < GENERATIONS_ROOM ? count : GENERATIONS_ROOM;
    return status == RECO_OK ? reread_vanished(r, w, found, count, newest_closed) : status;
}

/* --- the list -------------------------------------------------------------------------------------------------------------------------------------
 */

/* Largest values of hours and days, and of the popularity they make. */
static void set_scale(reco__popular_list *list, const reco__popularity *popularity) {
    int64_t most[2] = {0, 0};
    double best = 0;

    for (uint32_t item = 0; item < popularity->item_count; item++) {
        for (unsigned w = 0; w < 2; w++) {
            int64_t sum = reco__popularity_of(popularity, w, item);
            most[w] = sum > most[w] ? sum : most[w];
        }
    }
    list->per_hour = most[0] > 0 ? 1.0 / (double)(float)most[0] : 0;
    list->per_day = most[1] > 0 ? 1.0 / (double)(float)most[1] : 0;
    for (uint32_t item = 0; item < popularity->item_count; item++) {
        const reco__popularity_chunk *chunk = reco__popularity_chunk_of(popularity, item);
        const reco__weighing *weighing = chunk ? &chunk->weighing[item % RECO__CHUNK_ITEMS] : NULL;
        double value = weighing ? (double)weighing->hours * list->per_hour + (double)weighing->days * list->per_day : 0;
        best = value > best ? value : best;
    }
    list->per_hour = best > 0 ? list->per_hour / best : 0;
    list->per_day = best > 0 ? list->per_day / best : 0;
}

static bool is_restricted(const reco__popularity *popularity, const reco__catalogue *catalogue) {
    return atomic_load(&catalogue->restricted) > 0 && popularity->settings->filter_availability;
}

static void fill_top(reco__top *top, reco__top *withheld, reco__popular_list *list, const reco__popularity *popularity,
                     const reco__catalogue *catalogue, int64_t now_ms) {
    bool restricted = is_restricted(popularity, catalogue);
    bool left_out = false;

    for (uint32_t item = 0; item < popularity->item_count; item++) {
        const reco__popularity_chunk *chunk = reco__popularity_chunk_of(popularity, item);
        const reco__weighing *weighing = chunk ? &chunk->weighing[item % RECO__CHUNK_ITEMS] : NULL;
        double value = weighing ? (double)weighing->hours * list->per_hour + (double)weighing->days * list->per_day : 0;
        int64_t score = (int64_t)(value * RECO_SCORE_UNIT + 0.5);
        if (value <= 0 || (reco__top_full(top) && score < top->entries[0].score)) {
            left_out |= value > 0;
            continue;
        }
        if (restricted && !reco__catalogue_available(catalogue, item, now_ms)) {
            reco__top_offer(withheld, score, item, 0);
            continue;
        }
        left_out |= reco__top_full(top);
        reco__top_offer(top, score, item, 0);
    }
    list->complete = !left_out;
}

static reco_status make_list(reco__popular_list **out, refresh *r, const reco__catalogue *catalogue) {
    const reco__settings *settings = r->popularity->settings;
    reco__popular_list *list = reco__zalloc(sizeof(*list));
    uint32_t part = r->popularity->item_count / LIST_PART;
    size_t limit = (size_t)settings->popular_candidates + settings->limit_max + LIST_BEYOND + (part < LIST_PART_MOST ? part : LIST_PART_MOST);
    reco__top top = {.entries = reco__alloc_array(limit, sizeof(*top.entries)), .limit = limit, .features = r->popularity->features};
    reco__ranked entries[RECO__WITHHELD_MOST];
    reco__top withheld = {.entries = entries, .limit = RECO__WITHHELD_MOST, .features = r->popularity->features};

    if (!list || !top.entries) {
        reco__release(list);
        reco__release(top.entries);
        return reco__no_memory(r->err);
    }
    atomic_store(&list->holders, 1);
    list->moment = r->moment;
    list->item_count = r->popularity->item_count;
    for (unsigned w = 0; w < 2; w++) {
        list->end[w] = reco_board_generation(r->popularity->rules, r->popularity->windows[w].board, r->moment);
    }
    set_scale(list, r->popularity);
    fill_top(&top, &withheld, list, r->popularity, catalogue, r->now_ms);
    reco__top_sort(&top);
    for (size_t i = 0; i < withheld.count; i++) {
        list->withheld[list->withheld_count++] = withheld.entries[i].item;
    }
    list->best = reco__alloc_array(top.count, sizeof(*list->best));
    for (size_t i = 0; list->best && i < top.count; i++) {
        list->best[i] = (struct reco__popular_item){top.entries[i].item, top.entries[i].score};
    }
    list->count = top.count;
    reco__release(top.entries);
    if (!list->best) {
        reco__release(list);
        return reco__no_memory(r->err);
    }
    *out = list;
    return RECO_OK;
}

static void publish(reco__popularity *popularity, reco__popular_list *list) {
    pthread_mutex_lock(&popularity->lock);
    reco__popular_list *old = popularity->list;
    popularity->list = list;
    pthread_mutex_unlock(&popularity->lock);
    reco__popularity_release(old);
}

/* --- refreshing -----------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status read_clocks(refresh *r, uint64_t *signature, uint64_t epoch, uint32_t partitions) {
    reco_position *positions = reco__alloc_array(partitions, sizeof(*positions));
    uint64_t found = 0;

    if (!positions) {
        return reco__no_memory(r->err);
    }
    reco_status status = reco__features_positions(positions, &found, r->popularity->features, r->call, r->err);
    if (status == RECO_OK && found != epoch) {
        status = reco__fail(r->err, RECO_STALE, NULL, "what was learned was replaced meanwhile");
    }
    for (uint32_t p = 0; p < partitions && status == RECO_OK; p++) {
        r->clock_low = p == 0 || positions[p].clock < r->clock_low ? positions[p].clock : r->clock_low;
        r->clock_high = p == 0 || positions[p].clock > r->clock_high ? positions[p].clock : r->clock_high;
    }
    if (status == RECO_OK) {
        *signature = reco__hash64(positions, partitions * sizeof(*positions), (uint64_t)r->moment) | 1;
        r->moment = r->moment > 0 ? r->moment : r->clock_high;
    }
    reco__release(positions);
    return status;
}

static reco_status refresh_windows(refresh *r) {
    reco_status status = RECO_OK;

    if (!r->popularity->valid) {
        clear_sums(r->popularity);
    }
    r->popularity->valid = false;
    for (int i = 0; i < 2 && status == RECO_OK && r->moment > 0; i++) {
        status = refresh_window(r, &r->popularity->windows[i]);
    }
    r->popularity->valid = status == RECO_OK;
    return status;
}

/* What the list depends on: the sums, the catalogue, and where availability ends by the clock, the time in steps of ten seconds. */
static uint64_t list_signature(const reco__popularity *popularity, const reco__catalogue *catalogue, uint64_t sums, int64_t now_ms) {
    uint64_t parts[3] = {sums, atomic_load(&catalogue->version), is_restricted(popularity, catalogue) ? (uint64_t)now_ms / 10000 : 0};
    return reco__hash64(parts, sizeof(parts), 0) | 1;
}

static reco_status bring_up_to_date(refresh *r, uint64_t signature) {
    bool kept = r->popularity->valid;

    if (kept && signature == r->popularity->signature) {
        return RECO_OK;
    }
    reco_status status = refresh_windows(r);
    if (status == RECO_STALE && kept) { /* from nothing then */
        status = refresh_windows(r);
    }
    if (status == RECO_OK) {
        weigh_changed(r->popularity);
        r->popularity->signature = signature;
    }
    return status;
}

reco_status reco__popularity_refresh(reco__popularity *popularity, reco__catalogue *catalogue, uint64_t epoch, uint32_t partitions, int64_t moment,
                                     int64_t now_ms, const reco_call *call, reco_error *err) {
    refresh r = {.popularity = popularity, .moment = moment, .now_ms = now_ms, .call = call, .err = err};
    uint64_t signature = 0;
    reco__popular_list *list = NULL;
    reco_status status = read_clocks(&r, &signature, epoch, partitions);

    if (status == RECO_OK) {
        status = bring_up_to_date(&r, signature);
    }
    uint64_t made_from = list_signature(popularity, catalogue, signature, now_ms);
    if (status != RECO_OK || (popularity->list && made_from == popularity->list_signature)) {
        return status;
    }
    status = make_list(&list, &r, catalogue);
    if (status == RECO_OK) {
        publish(popularity, list);
        popularity->list_signature = made_from;
    }
    return status;
}

/* --- what is gone ------------------------------------------------------------------------------------------------------------------------------- */

bool reco__popularity_gone(const reco__settings *settings, const reco_board_rules *rules, uint32_t board, int64_t moment, int64_t begun,
                           int64_t clock) {
    int64_t length = board == RECO_BOARD_HOURS ? settings->window_hours : settings->window_days;
    int64_t last = reco_board_generation(rules, board, moment), first = last - window_generations(rules, board, length) + 1;
    int64_t oldest = reco_board_generation(rules, board, begun);

    first = first > oldest ? first : oldest;
    return begun < moment && first <= last && reco_board_expired(rules, board, first, reco_board_newest_closed(rules, board, clock));
}

/* --- other windows --------------------------------------------------------------------------------------------------------------------------------
 */

typedef struct summing {
    int64_t *sums;
    uint32_t room;
    bool bad;
} summing;

static void sum_piece(void *context, size_t index, const void *data, size_t size) {
    summing *s = context;
    reco__packed list = reco__packed_of(data, size);

    (void)index;
    while (reco__packed_next(&list)) {
        if (list.member < s->room) {
            s->sums[list.member] = (int64_t)((uint64_t)s->sums[list.member] + (uint64_t)list.sum);
        }
    }
    s->bad |= list.bad;
}

reco_status reco__popularity_sum(int64_t *sums, uint32_t room, reco__features *features, uint32_t board, int64_t first, int64_t last,
                                 const reco_call *call, reco_error *err) {
    int64_t found[GENERATIONS_ROOM];
    summing s = {.sums = sums, .room = room};
    size_t count = 0;
    reco_status status = reco__features_generations(found, GENERATIONS_ROOM, &count, features, board, call, err);

    for (size_t i = 0; i < count && i < GENERATIONS_ROOM && status == RECO_OK; i++) {
        if (found[i] >= first && found[i] <= last) {
            status = reco__features_row(features, board, found[i], 0, sum_piece, &s, call, err);
        }
    }
    return status == RECO_OK && s.bad ? reco__fail(err, RECO_CORRUPT, NULL, "a popularity row is damaged") : status;
}
