/* recommend/aliases.c - which ids users had before they were known, as far as questions have asked.
 *
 * Records are the ones who know. Asking them costs a look into LMDB, or a trip to another machine, which an answer is not to pay each time: what they
 * said is kept, also that a user has no alias, or that nothing is known of them. Where records know no user at all there is nothing to keep, and
 * nothing to look for.
 *
 * What is kept goes by the change log: whoever follows it (each answer where records are embedded, a thread twice a second where they are not) has
 * a changed user forgotten. A question that asked records before the change, and comes to keep what they said after it, finds that something was
 * forgotten in this place meanwhile, and keeps nothing.
 *
 * It is a table of sets of four, the one used last in front; the last of a full set goes, and when all together take too much memory the last ones of
 * the sets go in turn. What it does not do: follow the alias of an alias. */
#include "recommend/aliases.h"

#include <pthread.h>
#include <stdatomic.h>

#include "model/user.h"

#define SETS 16384u /* a power of two */
#define WAYS 4u

typedef struct entry {
    uint64_t hash;
    uint32_t size; /* of the whole */
    uint16_t user_size, count, sizes[RECO_USER_ALIASES_MAX];
    char bytes[]; /* the user, then the aliases */
} entry;

typedef struct set {
    uint32_t changes; /* how often something of it was forgotten */
    entry *ways[WAYS];
} set;

struct reco__aliases {
    reco__records *records;
    atomic_bool users_known; /* records know a user */
    pthread_mutex_t lock;    /* of what follows; never held while a door is called */
    set *sets;               /* NULL: nobody was asked about yet */
    uint32_t hand;           /* whose turn it is to make room */
    uint64_t bytes;
};

reco_status reco__aliases_create(reco__aliases **out, reco__records *records, reco_error *err) {
    reco__aliases *aliases = reco__zalloc(sizeof(*aliases));

    if (!aliases) {
        return reco__no_memory(err);
    }
    aliases->records = records;
    aliases->bytes = sizeof(*aliases);
    pthread_mutex_init(&aliases->lock, NULL);
    *out = aliases;
    return RECO_OK;
}

void reco__aliases_free(reco__aliases *aliases) {
    if (!aliases) {
        return;
    }
    for (uint32_t i = 0; aliases->sets && i < SETS; i++) {
        for (uint32_t w = 0; w < WAYS; w++) {
            reco__release(aliases->sets[i].ways[w]);
        }
    }
    reco__release(aliases->sets);
    pthread_mutex_destroy(&aliases->lock);
    reco__release(aliases);
}

static int take_any(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)sequence, (void)kind, (void)id, (void)document;
    *(bool *)context = true;
    return 1;
}

reco_status reco__aliases_load(reco__aliases *aliases, const reco_call *call, reco_error *err) {
    bool any = false;
    reco_status status = reco__records_scan(aliases->records, RECO_RECORD_USER, (reco_str){NULL, 0}, 1, take_any, &any, call, err);

    if (any) {
        atomic_store(&aliases->users_known, true);
    }
    return status;
}

uint64_t reco__aliases_bytes(reco__aliases *aliases) {
    pthread_mutex_lock(&aliases->lock);
    uint64_t bytes = aliases->bytes;
    pthread_mutex_unlock(&aliases->lock);
    return bytes;
}

/* --- the table, under the lock ------------------------------------------------------------------------------------------------------------------ */

/* Where the entry stands in its set; WAYS: there is none. */
static uint32_t find_way(const set *in, uint64_t hash, reco_str user) {
    uint32_t w = 0;

    while (w < WAYS && !(in->ways[w] && in->ways[w]->hash == hash && in->ways[w]->user_size == user.size &&
                         memcmp(in->ways[w]->bytes, user.data, user.size) == 0)) {
        w++;
    }
    return w;
}

static void drop(reco__aliases *aliases, set *in, uint32_t way) {
    aliases->bytes -= in->ways[way]->size;
    reco__release(in->ways[way]);
    memmove(&in->ways[way], &in->ways[way + 1], (WAYS - 1 - way) * sizeof(*in->ways));
    in->ways[WAYS - 1] = NULL;
}

static void drop_last(reco__aliases *aliases, set *in) {
    uint32_t w = WAYS;

    while (w > 0 && !in->ways[w - 1]) {
        w--;
    }
    if (w > 0) {
        drop(aliases, in, w - 1);
    }
}

static void keep(reco__aliases *aliases, set *in, entry *made) {
    if (in->ways[WAYS - 1]) {
        drop(aliases, in, WAYS - 1);
    }
    while (aliases->bytes + made->size > RECO__ALIASES_BYTES) {
        drop_last(aliases, &aliases->sets[aliases->hand++ % SETS]);
    }
    memmove(&in->ways[1], &in->ways[0], (WAYS - 1) * sizeof(*in->ways));
    in->ways[0] = made;
    aliases->bytes += made->size;
}

/* Seeded by the address: who chooses ids cannot make them meet in one place. */
static uint64_t hash_of(const reco__aliases *aliases, reco_str user) { return reco__hash64(user.data, user.size, (uint64_t)(uintptr_t)aliases); }

static set *set_of(const reco__aliases *aliases, uint64_t hash) { return &aliases->sets[hash % SETS]; }

void reco__aliases_forget(reco__aliases *aliases, reco_str user) {
    uint64_t hash = hash_of(aliases, user);

    atomic_store(&aliases->users_known, true);
    pthread_mutex_lock(&aliases->lock);
    if (aliases->sets) {
        set *in = set_of(aliases, hash);
        uint32_t way = find_way(in, hash, user);
        in->changes++;
        if (way < WAYS) {
            drop(aliases, in, way);
        }
    }
    pthread_mutex_unlock(&aliases->lock);
}

/* --- finding ------------------------------------------------------------------------------------------------------------------------------------ */

static void hand_out(size_t *count, uint16_t *sizes, reco__buf *names, const entry *found) {
    *count = found->count;
    memcpy(sizes, found->sizes, found->count * sizeof(*sizes));
    if (found->count > 0) {
        reco__buf_add(names, found->bytes + found->user_size, found->size - sizeof(*found) - found->user_size);
    }
}

/* What is kept of the user, if anything. *changes: of the place, for when there is nothing. */
static reco_status find_kept(bool *found, size_t *count, uint16_t *sizes, reco__buf *names, uint32_t *changes, reco__aliases *aliases, uint64_t hash,
                             reco_str user, reco_error *err) {
    *found = false;
    pthread_mutex_lock(&aliases->lock);
    if (!aliases->sets) {
        aliases->sets = reco__zalloc(SETS * sizeof(*aliases->sets));
        aliases->bytes += aliases->sets ? SETS * sizeof(*aliases->sets) : 0;
    }
    bool made = aliases->sets != NULL;
    if (made) {
        set *in = set_of(aliases, hash);
        uint32_t way = find_way(in, hash, user);
        *found = way < WAYS;
        *changes = in->changes;
        if (*found) {
            entry *first = in->ways[way];
            memmove(&in->ways[1], &in->ways[0], way * sizeof(*in->ways));
            in->ways[0] = first;
            hand_out(count, sizes, names, first);
        }
    }
    pthread_mutex_unlock(&aliases->lock);
    return made ? RECO_OK : reco__no_memory(err);
}

static void keep_found(reco__aliases *aliases, entry *made, uint32_t changes, reco_str user) {
    pthread_mutex_lock(&aliases->lock);
    set *in = set_of(aliases, made->hash);
    if (in->changes == changes && find_way(in, made->hash, user) == WAYS) {
        keep(aliases, in, made);
        made = NULL;
    }
    pthread_mutex_unlock(&aliases->lock);
    reco__release(made);
}

/* What records say of a user. */
typedef struct looking {
    uint64_t hash;
    entry *made;
    reco_status status;
    reco_error *err;
} looking;

static void make(looking *l, reco_str user, const reco_str *aliases, size_t count) {
    size_t size = sizeof(*l->made) + user.size;

    for (size_t i = 0; i < count; i++) {
        size += aliases[i].size;
    }
    entry *made = l->made = reco__alloc(size);
    if (!made) {
        l->status = reco__no_memory(l->err);
        return;
    }
    *made = (entry){.hash = l->hash, .size = (uint32_t)size, .user_size = (uint16_t)user.size, .count = (uint16_t)count};
    char *at = made->bytes;
    memcpy(at, user.data, user.size);
    at += user.size;
    for (size_t i = 0; i < count; i++) {
        made->sizes[i] = (uint16_t)aliases[i].size;
        memcpy(at, aliases[i].data, aliases[i].size);
        at += aliases[i].size;
    }
}

static bool mentions(reco_str document, const char *word) {
    return document.size > 0 && memmem(document.data, document.size, word, strlen(word)) != NULL;
}

/* A document that cannot be read names no alias: it is logged, as the catalogue does. */
static int take_user(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    looking *l = context;
    reco__arena arena = {0};
    reco_user user = {.alias_count = 0};
    reco_error error = RECO_ERROR_INIT;

    (void)sequence, (void)kind;
    reco_status status = mentions(document, "\"aliases\"") ? reco__user_read(&user, &arena, id, document, &error) : RECO_OK;
    if (status == RECO_NO_MEMORY) {
        l->status = reco__no_memory(l->err);
    } else {
        if (status != RECO_OK) {
            reco__log(RECO_LOG_WARN, "recommend", "the document of user %.*s cannot be read: %s", (int)id.size, id.data, error.text);
            user.alias_count = 0;
        }
        make(l, id, user.aliases, user.alias_count);
    }
    reco__arena_dispose(&arena);
    return 0;
}

static reco_status ask_records(looking *l, reco__aliases *aliases, reco_str user, reco__breaker *breaker, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns();

    if (!reco__breaker_allows(breaker)) {
        return reco__fail(err, RECO_UNAVAILABLE, "records", "records did not answer in time a moment ago");
    }
    reco_status status = reco__records_find(aliases->records, RECO_RECORD_USER, user, take_user, l, call, err);
    reco__breaker_note(breaker, status == RECO_NOT_FOUND ? RECO_OK : status, began);
    if (status == RECO_NOT_FOUND) {
        make(l, user, NULL, 0);
        status = RECO_OK;
    }
    return status == RECO_OK ? l->status : status;
}

reco_status reco__aliases_find(size_t *count, uint16_t *sizes, reco__buf *names, reco__aliases *aliases, reco_str user, reco__breaker *breaker,
                               const reco_call *call, reco_error *err) {
    uint32_t changes = 0;

    *count = 0;
    if (!atomic_load_explicit(&aliases->users_known, memory_order_acquire)) {
        return RECO_OK;
    }
    looking l = {.hash = hash_of(aliases, user), .err = err};
    bool kept;
    reco_status status = find_kept(&kept, count, sizes, names, &changes, aliases, l.hash, user, err);
    if (status == RECO_OK && !kept) {
        status = ask_records(&l, aliases, user, breaker, call, err);
    }
    if (status != RECO_OK) {
        reco__release(l.made);
        return status;
    }
    if (!kept) {
        hand_out(count, sizes, names, l.made);
        keep_found(aliases, l.made, changes, user);
    }
    return reco__buf_status(names, err);
}
