/* recommend/catalogue.c - what records say of items, by item number.
 *
 * Answers read three things of an item: whether it is restricted at all (a bit), its flags, and the moments it is available from and until. These lie
 * in chunks of 16,384 items that are never moved or freed while the catalogue lives, as atomics: answers take no lock. A chunk's moments are made
 * when one of its items has a record.
 *
 * Who writes: the scan at the start, the change log (followed by every answer when records are embedded), and look-ups of items that features has
 * just given a number. Several may be at it at once. Every fact comes with the sequence number of its change, and the newer one wins, so that their
 * order does not matter; a look-up that finds nothing counts as of the newest change applied before it was made.
 *
 * Letting go. The traits of an item (traits.h) are a block that never changes; a change swaps the pointer. Who reads them counts himself among the
 * readers of the round, even or odd, for as long as he looks at any. A block that was taken away is retired into the list of its round. The next
 * round begins when the readers of the round before it have left; then nobody can have what was retired in that one, and it is freed. Readers never
 * wait and take no lock; a reader that stays long keeps what is retired meanwhile in memory, and nothing else.
 *
 * Beside the traits lies their sign (traits.h), which rules most items out of most conditions. It is swapped before the traits are: who reads the new
 * one with the old traits, or the other way round, has read the item as it was or as it is.
 *
 * What traits take is limited (limits.attributes): beyond it items are held as unknown, and conditions leave them out.
 *
 * What the catalogue does not do: know items that have no number. They have no events, so nothing was learned of them and they are no candidates;
 * when they get a number, records are asked.
 */
#include <stdlib.h>

#include "model/item.h"
#include "recommend/catalogue.h"

#define PAGE 1000u /* records read at a time */

/* What a record says. */
typedef struct facts {
    reco_str id;
    uint64_t sequence;
    int64_t from, until;
    uint8_t flags;
    const reco_str *categories;
    size_t category_count;
    reco__trait *traits;
    size_t trait_count;
    bool cut;         /* there is more */
    uint64_t product; /* xxh64 of the parent; 0: none */
} facts;

/* Records on their way from a sink to the chunks. */
typedef struct page {
    const reco__catalogue *catalogue;
    reco__arena arena;
    facts *entries;
    size_t count, room;
    uint64_t last; /* sequence of the last one */
    reco_status status;
    reco_error *err;
} page;

/* The attributes that have numbers of their own. */
static bool name_built_in(reco__catalogue *catalogue) {
    return reco__map_put(&catalogue->trait_names, "categories", 10, NULL) == RECO__TRAIT_CATEGORIES &&
           reco__map_put(&catalogue->trait_names, "parent", 6, NULL) == RECO__TRAIT_PARENT;
}

reco_status reco__catalogue_create(reco__catalogue **out, const reco__settings *settings, reco__features *features, reco__records *records,
                                   reco_error *err) {
    reco__catalogue *catalogue = reco__zalloc(sizeof(*catalogue));

    if (!catalogue) {
        return reco__no_memory(err);
    }
    pthread_mutex_init(&catalogue->lock, NULL);
    catalogue->features = features;
    catalogue->records = records;
    catalogue->item_values = settings->item_values;
    catalogue->attribute_bytes = settings->attribute_bytes;
    catalogue->chunk_count = (settings->max_items >> RECO__CHUNK_BITS) + 1;
    catalogue->chunks = reco__zalloc(catalogue->chunk_count * sizeof(*catalogue->chunks));
    atomic_store(&catalogue->bytes, catalogue->chunk_count * sizeof(*catalogue->chunks));
    reco_status status = reco__random_bytes(&catalogue->seed, sizeof(catalogue->seed), err);
    if (status == RECO_OK) {
        status = reco__aliases_create(&catalogue->aliases, records, err);
    }
    if (status == RECO_OK && (!catalogue->chunks || !name_built_in(catalogue))) {
        status = reco__no_memory(err);
    }
    if (status != RECO_OK) {
        reco__catalogue_free(catalogue);
        return status;
    }
    *out = catalogue;
    return RECO_OK;
}

static void free_traits(const reco__traits *traits) {
    if (traits != &reco__traits_unknown) {
        reco__release((reco__traits *)(uintptr_t)traits); /* const for readers only */
    }
}

static void free_retired(reco__catalogue *catalogue, reco__traits **list) {
    while (*list) {
        reco__traits *next = (*list)->next;
        uint64_t size = reco__traits_size((*list)->count);
        atomic_fetch_sub(&catalogue->traits_bytes, size);
        atomic_fetch_sub(&catalogue->bytes, size);
        reco__release(*list);
        *list = next;
    }
}

static void free_chunk(reco__catalogue_chunk *chunk) {
    reco__catalogue_details *details = chunk ? atomic_load(&chunk->details) : NULL;

    for (uint32_t i = 0; details && i < RECO__CHUNK_ITEMS; i++) {
        reco__release(details->categories[i]);
        free_traits(atomic_load(&details->traits[i]));
    }
    reco__release(details);
    reco__release(chunk);
}

void reco__catalogue_free(reco__catalogue *catalogue) {
    if (!catalogue) {
        return;
    }
    for (uint32_t i = 0; catalogue->chunks && i < catalogue->chunk_count; i++) {
        free_chunk(atomic_load(&catalogue->chunks[i]));
    }
    free_retired(catalogue, &catalogue->retired[0]);
    free_retired(catalogue, &catalogue->retired[1]);
    reco__map_dispose(&catalogue->trait_names);
    for (size_t i = 0; i < catalogue->category_room; i++) {
        reco__release(catalogue->categories[i].items);
    }
    reco__release(catalogue->categories);
    reco__map_dispose(&catalogue->category_names);
    reco__aliases_free(catalogue->aliases);
    reco__release(catalogue->chunks);
    pthread_mutex_destroy(&catalogue->lock);
    reco__release(catalogue);
}

/* --- writing, under the lock -------------------------------------------------------------------------------------------------------------------- */

static reco__catalogue_chunk *chunk_for(reco__catalogue *catalogue, uint32_t item) {
    reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, item);

    if (!chunk && item >> RECO__CHUNK_BITS < catalogue->chunk_count) {
        chunk = reco__zalloc(sizeof(*chunk));
        if (chunk) {
            atomic_fetch_add(&catalogue->bytes, sizeof(*chunk));
            atomic_store_explicit(&catalogue->chunks[item >> RECO__CHUNK_BITS], chunk, memory_order_release);
        }
    }
    return chunk;
}

static reco__catalogue_details *details_for(reco__catalogue *catalogue, reco__catalogue_chunk *chunk) {
    reco__catalogue_details *details = atomic_load(&chunk->details);

    if (!details) {
        details = reco__zalloc(sizeof(*details));
        if (details) {
            atomic_fetch_add(&catalogue->bytes, sizeof(*details));
            atomic_store_explicit(&chunk->details, details, memory_order_release);
        }
    }
    return details;
}

static reco__category *category_for(reco__catalogue *catalogue, uint32_t number) {
    if (number >= catalogue->category_room) {
        size_t room = (number + 1) * 2;
        reco__category *categories = reco__realloc_array(catalogue->categories, room, sizeof(*categories));
        if (!categories) {
            return NULL;
        }
        memset(categories + catalogue->category_room, 0, (room - catalogue->category_room) * sizeof(*categories));
        atomic_fetch_add(&catalogue->bytes, (room - catalogue->category_room) * sizeof(*categories));
        catalogue->categories = categories;
        catalogue->category_room = room;
    }
    return &catalogue->categories[number];
}

static bool reserve_member(reco__catalogue *catalogue, reco__category *category) {
    if (category->count == category->room) {
        size_t room = category->room > 0 ? category->room * 2 : 8;
        uint32_t *items = reco__realloc_array(category->items, room, sizeof(*items));
        if (!items) {
            return false;
        }
        atomic_fetch_add(&catalogue->bytes, (room - category->room) * sizeof(*items));
        category->items = items;
        category->room = room;
    }
    return true;
}

/* Numbers of the categories named, with room for one more member in each. NULL with *failed set when memory is out. */
static uint32_t *number_categories(reco__catalogue *catalogue, const facts *fact, bool *failed) {
    uint32_t *numbers = NULL;

    *failed = false;
    if (fact->category_count == 0) {
        return NULL;
    }
    numbers = reco__alloc_array(fact->category_count + 1, sizeof(*numbers));
    *failed = !numbers;
    for (size_t i = 0; !*failed && i < fact->category_count; i++) {
        uint32_t number = reco__map_put(&catalogue->category_names, fact->categories[i].data, fact->categories[i].size, NULL);
        reco__category *category = number == RECO__MAP_NONE ? NULL : category_for(catalogue, number);
        *failed = !category || !reserve_member(catalogue, category);
        numbers[i + 1] = number;
    }
    if (*failed) {
        reco__release(numbers);
        return NULL;
    }
    numbers[0] = (uint32_t)fact->category_count;
    return numbers;
}

static void leave_categories(reco__catalogue *catalogue, uint32_t item, const uint32_t *numbers) {
    for (uint32_t i = 1; numbers && i <= numbers[0]; i++) {
        reco__category *category = &catalogue->categories[numbers[i]];
        size_t at = 0;
        while (at < category->count && category->items[at] != item) {
            at++;
        }
        if (at < category->count) {
            category->items[at] = category->items[--category->count];
        }
    }
}

static void join_categories(reco__catalogue *catalogue, uint32_t item, const uint32_t *numbers) {
    for (uint32_t i = 1; numbers && i <= numbers[0]; i++) {
        reco__category *category = &catalogue->categories[numbers[i]];
        category->items[category->count++] = item;
    }
}

static bool same_categories(const uint32_t *a, const uint32_t *b) {
    return a == b || (a && b && a[0] == b[0] && memcmp(a + 1, b + 1, a[0] * sizeof(*a)) == 0);
}

static void replace_categories(reco__catalogue *catalogue, reco__catalogue_details *details, uint32_t item, uint32_t *numbers) {
    uint32_t **held = &details->categories[item % RECO__CHUNK_ITEMS];

    if (same_categories(*held, numbers)) {
        reco__release(numbers);
        return;
    }
    leave_categories(catalogue, item, *held);
    join_categories(catalogue, item, numbers);
    reco__release(*held);
    *held = numbers;
}

static void set_flags(reco__catalogue *catalogue, reco__catalogue_chunk *chunk, uint32_t item, uint8_t flags) {
    uint32_t at = item % RECO__CHUNK_ITEMS;
    uint64_t bit = UINT64_C(1) << (at % 64);
    bool was = (atomic_load(&chunk->restricted[at / 64]) & bit) != 0, is = (flags & (RECO__ITEM_HIDDEN | RECO__ITEM_WINDOWED)) != 0;

    atomic_store_explicit(&chunk->flags[at], flags | RECO__ITEM_KNOWN, memory_order_release);
    if (is || was) {
        atomic_fetch_add(&catalogue->version, 1);
    }
    if (is && !was) {
        atomic_fetch_or(&chunk->restricted[at / 64], bit);
        atomic_fetch_add(&catalogue->restricted, 1);
    } else if (was && !is) {
        atomic_fetch_and(&chunk->restricted[at / 64], ~bit);
        atomic_fetch_sub(&catalogue->restricted, 1);
    }
}

/* --- traits, under the lock --------------------------------------------------------------------------------------------------------------------- */

static uint64_t names_bytes(const reco__catalogue *catalogue) {
    const reco__map *names = &catalogue->trait_names;
    return names->keys.reserved + names->entry_capacity * sizeof(*names->entries) + (names->slot_mask + 1) * sizeof(*names->slots);
}

/* Numbers for the names of values. False when memory is out. */
static bool number_traits(reco__catalogue *catalogue, reco__trait *traits, size_t count) {
    uint64_t before = names_bytes(catalogue);
    bool fine = true;

    for (size_t i = 0; i < count && fine; i++) {
        reco__trait *trait = &traits[i];
        trait->number = reco__map_find(&catalogue->trait_names, trait->name.data, trait->name.size);
        if (trait->number == RECO__MAP_NONE && catalogue->trait_names.count < RECO__TRAIT_NAMES_MAX) {
            trait->number = reco__map_put(&catalogue->trait_names, trait->name.data, trait->name.size, NULL);
            fine = trait->number != RECO__MAP_NONE;
        }
    }
    atomic_fetch_add(&catalogue->bytes, names_bytes(catalogue) - before);
    return fine;
}

static void tell_full(reco__catalogue *catalogue) {
    if (!catalogue->told_full) {
        reco__log(RECO_LOG_WARN, "recommend",
                  "attributes of items take %llu bytes, which is all that limits.attributes allows: filters leave out "
                  "the items that have no room",
                  (unsigned long long)atomic_load(&catalogue->traits_bytes));
    }
    catalogue->told_full = true;
}

/* What a fact says as traits, in place of old ones; NULL: nothing. False when memory is out. */
static bool make_traits(const reco__traits **out, reco__catalogue *catalogue, const facts *fact, const reco__traits *old) {
    uint64_t size = reco__traits_size(fact->trait_count), freed = old && old != &reco__traits_unknown ? reco__traits_size(old->count) : 0;

    *out = NULL;
    if (fact->trait_count == 0 && !fact->cut) {
        return true;
    }
    if (atomic_load(&catalogue->traits_bytes) + size > catalogue->attribute_bytes + freed) {
        tell_full(catalogue);
        *out = &reco__traits_unknown;
        return true;
    }
    if (!number_traits(catalogue, fact->traits, fact->trait_count)) {
        return false;
    }
    reco__traits *made = reco__traits_pack(fact->traits, fact->trait_count, fact->cut, fact->product);
    if (made) {
        size = reco__traits_size(made->count);
        atomic_fetch_add(&catalogue->traits_bytes, size);
        atomic_fetch_add(&catalogue->bytes, size);
    }
    *out = made;
    return made != NULL;
}

static void retire(reco__catalogue *catalogue, const reco__traits *traits) {
    uint64_t round = atomic_load(&catalogue->round);
    reco__traits *old = (reco__traits *)(uintptr_t)traits;

    if (old && old != &reco__traits_unknown) {
        old->next = catalogue->retired[round & 1];
        catalogue->retired[round & 1] = old;
    }
    if (atomic_load(&catalogue->readers[(round + 1) & 1].count) == 0) { /* those of the round before have left */
        free_retired(catalogue, &catalogue->retired[(round + 1) & 1]);
        atomic_store(&catalogue->round, round + 1);
    }
}

static void count_traits(reco__catalogue *catalogue, const reco__traits *traits, int by) {
    if (traits && traits->cut) {
        atomic_fetch_add(&catalogue->unheld, by);
    }
    if (traits && traits->product != 0) {
        atomic_fetch_add(&catalogue->variants, by);
    }
}

static void replace_traits(reco__catalogue *catalogue, reco__catalogue_details *details, uint32_t at, const reco__traits *made) {
    count_traits(catalogue, made, 1);
    atomic_store_explicit(&details->signs[at], reco__traits_sign(made), memory_order_relaxed);
    const reco__traits *old = atomic_exchange(&details->traits[at], made);
    count_traits(catalogue, old, -1);
    if (old || catalogue->retired[0] || catalogue->retired[1]) {
        retire(catalogue, old);
    }
}

uint32_t reco__catalogue_enter(reco__catalogue *catalogue) {
    for (;;) {
        uint64_t round = atomic_load(&catalogue->round);
        atomic_fetch_add(&catalogue->readers[round & 1].count, 1);
        if (atomic_load(&catalogue->round) == round) {
            return (uint32_t)(round & 1);
        }
        atomic_fetch_sub(&catalogue->readers[round & 1].count, 1); /* a round began meanwhile, which may not have seen us */
    }
}

void reco__catalogue_leave(reco__catalogue *catalogue, uint32_t ticket) { atomic_fetch_sub(&catalogue->readers[ticket].count, 1); }

static uint64_t product_of(const reco_item *item) { return item->parent.size > 0 ? reco__hash64(item->parent.data, item->parent.size, 0) : 0; }

reco_status reco__catalogue_describe(reco__traits **out, reco__catalogue *catalogue, reco__arena *arena, const reco_item *item, reco_error *err) {
    reco__trait *list;
    size_t count;
    bool cut;
    reco_status status = reco__traits_list(&list, &count, &cut, arena, item, catalogue->item_values, catalogue->seed, err);

    if (status != RECO_OK) {
        return status;
    }
    pthread_mutex_lock(&catalogue->lock);
    bool fine = number_traits(catalogue, list, count);
    pthread_mutex_unlock(&catalogue->lock);
    *out = fine ? reco__traits_pack(list, count, cut, product_of(item)) : NULL;
    return *out ? RECO_OK : reco__no_memory(err);
}

uint32_t reco__catalogue_attribute(reco__catalogue *catalogue, reco_str name) {
    pthread_mutex_lock(&catalogue->lock);
    uint32_t number = reco__map_find(&catalogue->trait_names, name.data, name.size);
    pthread_mutex_unlock(&catalogue->lock);
    return number == RECO__MAP_NONE ? RECO__TRAIT_NONE : number;
}

/* --- showing ------------------------------------------------------------------------------------------------------------------------------------ */

/* Shows a fact, unless a newer one is shown already. */
static reco_status show(reco__catalogue *catalogue, uint32_t item, const facts *fact, reco_error *err) {
    reco__catalogue_chunk *chunk = chunk_for(catalogue, item);
    uint32_t at = item % RECO__CHUNK_ITEMS;

    if (!chunk) {
        return item >> RECO__CHUNK_BITS < catalogue->chunk_count ? reco__no_memory(err) : RECO_OK;
    }
    reco__catalogue_details *details = atomic_load(&chunk->details);
    if (!details && !fact->id.data) { /* no record: nothing to keep */
        set_flags(catalogue, chunk, item, 0);
        return RECO_OK;
    }
    details = details_for(catalogue, chunk);
    if (!details) {
        return reco__no_memory(err);
    }
    if (fact->sequence < details->sequence[at] || (fact->id.data && fact->sequence > 0 && fact->sequence == details->sequence[at])) {
        return RECO_OK; /* several read the same change */
    }
    bool failed;
    const reco__traits *traits;
    uint32_t *numbers = number_categories(catalogue, fact, &failed);
    if (failed || !make_traits(&traits, catalogue, fact, atomic_load(&details->traits[at]))) {
        reco__release(numbers);
        return reco__no_memory(err);
    }
    replace_traits(catalogue, details, at, traits);
    replace_categories(catalogue, details, item, numbers);
    details->sequence[at] = fact->sequence;
    atomic_store_explicit(&details->from[at], fact->from, memory_order_relaxed);
    atomic_store_explicit(&details->until[at], fact->until, memory_order_relaxed);
    set_flags(catalogue, chunk, item, fact->flags);
    return RECO_OK;
}

static reco_status show_locked(reco__catalogue *catalogue, uint32_t item, const facts *fact, reco_error *err) {
    pthread_mutex_lock(&catalogue->lock);
    reco_status status = show(catalogue, item, fact, err);
    pthread_mutex_unlock(&catalogue->lock);
    return status;
}

/* --- reading records ---------------------------------------------------------------------------------------------------------------------------- */

static facts *page_room(page *p) {
    if (p->count == p->room) {
        size_t room = p->room > 0 ? p->room * 2 : 64;
        facts *entries = reco__realloc_array(p->entries, room, sizeof(*entries));
        if (!entries) {
            return NULL;
        }
        p->entries = entries;
        p->room = room;
    }
    return &p->entries[p->count];
}

/* A document that cannot be read hides nothing and fails nothing: it is logged, and the item counts as unrestricted. */
static void read_document(facts *fact, page *p, reco_str id, reco_str document) {
    reco_item item;
    reco_error error = RECO_ERROR_INIT;

    if (!document.data) {
        return;
    }
    reco_status status = reco__item_read(&item, &p->arena, id, document, &error);
    if (status == RECO_NO_MEMORY) {
        p->status = reco__no_memory(p->err);
    } else if (status != RECO_OK) {
        reco__log(RECO_LOG_WARN, "recommend", "the document of item %.*s cannot be read: %s", (int)id.size, id.data, error.text);
    } else {
        fact->from = item.available_from;
        fact->until = item.available_until;
        fact->flags = (uint8_t)((item.flags & RECO_ITEM_HIDDEN ? RECO__ITEM_HIDDEN : 0) |
                                (item.available_from != 0 || item.available_until != 0 ? RECO__ITEM_WINDOWED : 0));
        fact->categories = item.categories;
        fact->category_count = item.category_count;
        fact->product = product_of(&item);
        status =
            reco__traits_list(&fact->traits, &fact->trait_count, &fact->cut, &p->arena, &item, p->catalogue->item_values, p->catalogue->seed, p->err);
        p->status = status;
    }
}

static int take_record(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    page *p = context;

    p->last = sequence;
    if (kind == RECO_RECORD_USER) {
        reco__aliases_forget(p->catalogue->aliases, id);
    }
    if (kind != RECO_RECORD_ITEM) {
        return 0;
    }
    facts *fact = page_room(p);
    char *name = fact ? reco__arena_copy(&p->arena, id.data, id.size) : NULL;
    if (!name) {
        p->status = reco__no_memory(p->err);
        return 1;
    }
    *fact = (facts){.id = {name, id.size}, .sequence = sequence};
    read_document(fact, p, fact->id, document);
    p->count++;
    return p->status != RECO_OK;
}

static void page_reset(page *p) {
    reco__arena_reset(&p->arena);
    p->count = 0;
    p->last = 0;
}

static void page_dispose(page *p) {
    reco__arena_dispose(&p->arena);
    reco__release(p->entries);
}

/* Shows what is on the page of those that have numbers. */
static reco_status show_page(reco__catalogue *catalogue, page *p, const reco_call *call, reco_error *err) {
    if (p->count == 0) {
        return RECO_OK;
    }
    reco_str *names = reco__arena_alloc(&p->arena, p->count * sizeof(*names));
    uint32_t *numbers = reco__arena_alloc(&p->arena, p->count * sizeof(*numbers));
    if (!names || !numbers) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < p->count; i++) {
        names[i] = p->entries[i].id;
    }
    reco_status status = reco__features_find_items(numbers, catalogue->features, names, p->count, call, err);
    for (size_t i = 0; i < p->count && status == RECO_OK; i++) {
        if (numbers[i] != RECO_NO_ITEM) {
            status = show_locked(catalogue, numbers[i], &p->entries[i], err);
        }
    }
    return status;
}

/* Numbers below `count` that have no record are known to have none. */
static reco_status know_rest(reco__catalogue *catalogue, uint32_t count, reco_error *err) {
    static const facts nothing = {.sequence = 0};
    reco_status status = RECO_OK;

    for (uint32_t item = 0; item < count && status == RECO_OK; item++) {
        if (!reco__catalogue_known(catalogue, item)) {
            status = show_locked(catalogue, item, &nothing, err);
        }
    }
    if (status == RECO_OK) {
        atomic_store(&catalogue->known_below, count);
    }
    return status;
}

/* The newest sequence; what the log holds at its beginning does not matter. */
static reco_status newest_change(uint64_t *newest, reco__catalogue *catalogue, const reco_call *call, reco_error *err) {
    page p = {.catalogue = catalogue, .status = RECO_OK, .err = err};

    *newest = 0;
    reco_status status = reco__records_changes(newest, catalogue->records, 0, 1, take_record, &p, call, err);
    status = status == RECO_OK ? p.status : status;
    page_dispose(&p);
    return status == RECO_NOT_FOUND ? RECO_OK : status; /* a log that was cut short has its newest nonetheless */
}

static reco_status scan_pages(reco__catalogue *catalogue, page *p, const reco_call *call, reco_error *err) {
    reco__buf after = {0};
    reco_status status = RECO_OK;

    do {
        page_reset(p);
        status = reco__records_scan(catalogue->records, RECO_RECORD_ITEM, (reco_str){after.data, after.size}, PAGE, take_record, p, call, err);
        status = status == RECO_OK ? p->status : status;
        if (status == RECO_OK) {
            status = show_page(catalogue, p, call, err);
        }
        if (status == RECO_OK && p->count > 0) {
            reco__buf_reset(&after);
            reco__buf_add(&after, p->entries[p->count - 1].id.data, p->entries[p->count - 1].id.size);
            status = reco__buf_status(&after, err);
        }
    } while (status == RECO_OK && p->count == PAGE);
    reco__buf_dispose(&after);
    return status;
}

reco_status reco__catalogue_load(reco__catalogue *catalogue, const reco_call *call, reco_error *err) {
    reco_features_info info = {.struct_size = sizeof(info)};
    page p = {.catalogue = catalogue, .status = RECO_OK, .err = err};
    uint64_t newest;
    reco_status status = reco__features_info(&info, catalogue->features, call, err);

    if (status == RECO_OK) {
        status = newest_change(&newest, catalogue, call, err);
    }
    if (status == RECO_OK) {
        status = reco__aliases_load(catalogue->aliases, call, err);
    }
    if (status == RECO_OK) {
        status = scan_pages(catalogue, &p, call, err);
    }
    if (status == RECO_OK) {
        atomic_store(&catalogue->sequence, newest);
        status = know_rest(catalogue, info.item_count, err);
    }
    page_dispose(&p);
    return status;
}

static void raise_sequence(reco__catalogue *catalogue, uint64_t to) {
    uint_fast64_t now = atomic_load(&catalogue->sequence);
    while (now < to && !atomic_compare_exchange_weak(&catalogue->sequence, &now, to)) {
    }
}

reco_status reco__catalogue_follow(reco__catalogue *catalogue, const reco_call *call, reco_error *err) {
    page p = {.catalogue = catalogue, .status = RECO_OK, .err = err};
    reco_status status;
    uint64_t newest, since = atomic_load(&catalogue->sequence);

    for (;;) {
        page_reset(&p);
        newest = since;
        status = reco__records_changes(&newest, catalogue->records, since, PAGE, take_record, &p, call, err);
        status = status == RECO_OK ? p.status : status;
        if (status != RECO_OK || p.last == 0) {
            break;
        }
        status = show_page(catalogue, &p, call, err);
        if (status != RECO_OK) {
            break;
        }
        since = p.last;
        raise_sequence(catalogue, since);
        if (since >= newest) {
            break;
        }
    }
    if (status == RECO_OK && newest > since) { /* the rest of the log is of other kinds */
        raise_sequence(catalogue, newest);
    }
    page_dispose(&p);
    return status;
}

reco_status reco__catalogue_learn(reco__catalogue *catalogue, uint32_t item, const reco_call *call, reco_error *err) {
    page p = {.catalogue = catalogue, .status = RECO_OK, .err = err};
    facts nothing = {.sequence = atomic_load(&catalogue->sequence)};
    reco_str name;
    uint64_t hash;

    if (reco__features_item_name(&name, &hash, catalogue->features, item) != RECO_OK) {
        return RECO_OK;
    }
    reco_status status = reco__records_find(catalogue->records, RECO_RECORD_ITEM, name, take_record, &p, call, err);
    if (status == RECO_OK) {
        status = p.status;
    } else if (status == RECO_NOT_FOUND) {
        status = RECO_OK;
    }
    if (status == RECO_OK) {
        status = show_locked(catalogue, item, p.count > 0 ? &p.entries[0] : &nothing, err);
    }
    page_dispose(&p);
    return status;
}

reco_status reco__catalogue_catch_up(reco__catalogue *catalogue, uint32_t item_count, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;

    for (uint32_t item = (uint32_t)atomic_load(&catalogue->known_below); item < item_count && status == RECO_OK; item++) {
        if (!reco__catalogue_known(catalogue, item)) {
            status = reco__catalogue_learn(catalogue, item, call, err);
        }
        if (status == RECO_OK) {
            atomic_store(&catalogue->known_below, item + 1);
        }
    }
    return status;
}

/* --- reading the catalogue ---------------------------------------------------------------------------------------------------------------------- */

bool reco__catalogue_available(const reco__catalogue *catalogue, uint32_t item, int64_t moment) {
    if (!reco__catalogue_restricted(catalogue, item)) {
        return true;
    }
    reco__catalogue_chunk *chunk = reco__catalogue_chunk_of(catalogue, item);
    uint32_t at = item % RECO__CHUNK_ITEMS;
    uint_fast8_t flags = chunk ? atomic_load_explicit(&chunk->flags[at], memory_order_acquire) : 0;
    reco__catalogue_details *details = flags & RECO__ITEM_WINDOWED ? atomic_load_explicit(&chunk->details, memory_order_acquire) : NULL;

    if (flags & RECO__ITEM_HIDDEN) {
        return false;
    }
    if (!details) {
        return true;
    }
    int64_t until = atomic_load_explicit(&details->until[at], memory_order_relaxed);
    return moment >= atomic_load_explicit(&details->from[at], memory_order_relaxed) && (until == 0 || moment < until);
}

void reco__catalogue_category(reco__buf *out, reco__catalogue *catalogue, reco_str category) {
    pthread_mutex_lock(&catalogue->lock);
    uint32_t number = reco__map_find(&catalogue->category_names, category.data, category.size);
    if (number != RECO__MAP_NONE && number < catalogue->category_room) {
        const reco__category *found = &catalogue->categories[number];
        reco__buf_add(out, found->items, found->count * sizeof(*found->items));
    }
    pthread_mutex_unlock(&catalogue->lock);
}
