/* store.c - a store of one's own: what is known of items lives in a table of the application, and libreco reads and writes it there.
 *
 * What to take home: a store is a table of functions for one of three contracts (stream, features, records), registered under the scheme of its
 * addresses before an engine is opened. libreco checks arguments and deadlines before it calls, holds no lock while calling, and calls from several
 * threads. This one is complete, small and in memory: entries in one array sorted by kind and id, and the log of changes that readers follow.
 *
 * A store in a shared object of its own, which programs load by its address, is in modules/records-file/. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reco.h>
#include <reco/plugin/records.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- the application's table ---------------------------------------------------------------------------------------------------------------- */

enum { ENTRIES_MAX = 1000, CHANGES_MAX = 10000, ID_MAX = 256, DOCUMENT_MAX = 2000 };

typedef struct entry {
    uint32_t kind;
    size_t id_size, size;
    uint64_t sequence; /* of its last change */
    char id[ID_MAX], document[DOCUMENT_MAX];
} entry;

typedef struct table {
    entry *entries; /* sorted by kind, then id */
    size_t count;
} table;

struct reco_records_store {
    pthread_mutex_t mutex;
    table now, next; /* next: what a call is about to make of it */
    struct {
        uint32_t kind;
        size_t id_size;
        char id[ID_MAX];
    } * log; /* log[n] is the change of sequence n + 1 */
    uint64_t newest;
};

static reco_status fail(reco_error *err, reco_status status, const char *text) {
    if (err) { /* the caller may not want it */
        err->status = status;
        err->field[0] = '\0';
        snprintf(err->text, sizeof err->text, "%s", text);
    }
    return status;
}

static int compare(const entry *a, uint32_t kind, reco_str id) {
    int order = a->kind < kind ? -1 : a->kind > kind;
    if (order == 0)
        order = memcmp(a->id, id.data, a->id_size < id.size ? a->id_size : id.size);
    return order != 0 ? order : a->id_size < id.size ? -1 : a->id_size > id.size;
}

/* Where an id is, or would be; *there says which. */
static size_t place(int *there, const table *in, uint32_t kind, reco_str id) {
    size_t low = 0, high = in->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(&in->entries[middle], kind, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *there = low < in->count && compare(&in->entries[low], kind, id) == 0;
    return low;
}

/* --- the contract: open, close, change ------------------------------------------------------------------------------------------------------ */

static void store_close(reco_records_store *store) {
    free(store->now.entries);
    free(store->next.entries);
    free(store->log);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

static reco_status store_open(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    reco_records_store *store = calloc(1, sizeof *store);
    (void)options, (void)call;
    if (!store)
        return fail(err, RECO_NO_MEMORY, "out of memory");
    pthread_mutex_init(&store->mutex, NULL);
    store->now.entries = calloc(ENTRIES_MAX, sizeof *store->now.entries);
    store->next.entries = calloc(ENTRIES_MAX, sizeof *store->next.entries);
    store->log = calloc(CHANGES_MAX, sizeof *store->log);
    if (!store->now.entries || !store->next.entries || !store->log) {
        store_close(store);
        return fail(err, RECO_NO_MEMORY, "out of memory");
    }
    *out = store;
    return RECO_OK;
}

/* One change on `next`; *made tells whether it found something to do. */
static reco_status make(int *made, reco_records_store *store, const reco_record_change *change, uint64_t sequence, reco_error *err) {
    table *in = &store->next;
    int there;
    size_t at = place(&there, in, change->kind, change->id);
    entry *found = &in->entries[at];
    *made = change->document.data ? !(there && change->flags == RECO_RECORD_IF_ABSENT) : there;
    if (!*made)
        return RECO_OK;
    if (sequence > CHANGES_MAX || change->document.size > DOCUMENT_MAX || (!there && in->count == ENTRIES_MAX))
        return fail(err, RECO_FULL, "the table of the application is full");
    if (!change->document.data) {
        memmove(found, found + 1, (--in->count - at) * sizeof *found);
    } else {
        if (!there)
            memmove(found + 1, found, (in->count++ - at) * sizeof *found);
        found->kind = change->kind;
        found->id_size = change->id.size;
        memcpy(found->id, change->id.data, change->id.size); /* libreco has checked: 1 to 256 bytes */
        found->size = change->document.size;
        memcpy(found->document, change->document.data, change->document.size);
        found->sequence = sequence;
    }
    store->log[sequence - 1].kind = change->kind; /* beyond `newest`: not there until that is raised */
    store->log[sequence - 1].id_size = change->id.size;
    memcpy(store->log[sequence - 1].id, change->id.data, change->id.size);
    return RECO_OK;
}

/* "Only if nobody has changed it since": compared with the table as the call found it. */
static int as_expected(const reco_records_store *store, const reco_record_change *change) {
    int there;
    size_t at = place(&there, &store->now, change->kind, change->id);
    return change->flags != RECO_RECORD_IF_SEQUENCE || change->sequence == (there ? store->now.entries[at].sequence : 0);
}

static reco_status change_all(uint64_t *newest, reco_records_store *store, const reco_record_change *changes, size_t count, reco_error *err) {
    reco_status status = RECO_OK;
    for (size_t i = 0; i < count; i++)
        if (!as_expected(store, &changes[i]))
            return fail(err, RECO_CONFLICT, "a record was changed meanwhile");
    memcpy(store->next.entries, store->now.entries, store->now.count * sizeof *store->now.entries);
    store->next.count = store->now.count;
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        int made = 0;
        status = make(&made, store, &changes[i], *newest + 1, err);
        *newest += status == RECO_OK && made;
    }
    return status;
}

/* All changes or none: they are made on a copy, which takes the place of the table when the last one went well. */
static reco_status store_change(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                                reco_error *err) {
    (void)call;
    pthread_mutex_lock(&store->mutex);
    uint64_t newest = store->newest;
    reco_status status = change_all(&newest, store, changes, count, err);
    if (status == RECO_OK) {
        table before = store->now;
        store->now = store->next;
        store->next = before;
        store->newest = newest;
        *last = newest;
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* --- the contract: reading ------------------------------------------------------------------------------------------------------------------ */

static int tell(const entry *it, reco_records_sink sink, void *context) {
    return sink(context, it->sequence, it->kind, (reco_str){it->id, it->id_size}, (reco_str){it->document, it->size});
}

static reco_status store_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                              reco_error *err) {
    int there;
    (void)call;
    pthread_mutex_lock(&store->mutex); /* the store must not be called from a sink: it may be held */
    size_t at = place(&there, &store->now, kind, id);
    if (there)
        tell(&store->now.entries[at], sink, context);
    pthread_mutex_unlock(&store->mutex);
    return there ? RECO_OK : fail(err, RECO_NOT_FOUND, "there is no such record");
}

static reco_status store_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                              const reco_call *call, reco_error *err) {
    int there = 0, stop = 0;
    (void)call, (void)err;
    if (after.size == 0)
        after.data = ""; /* from the first: nothing is smaller */
    pthread_mutex_lock(&store->mutex);
    const table *in = &store->now;
    for (size_t at = place(&there, in, kind, after) + (size_t)there; at < in->count && in->entries[at].kind == kind && limit > 0 && !stop;
         at++, limit--)
        stop = tell(&in->entries[at], sink, context);
    pthread_mutex_unlock(&store->mutex);
    return RECO_OK;
}

/* Each change by its own number, with the record as it is now; keys are secrets and are left out. */
static reco_status store_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    int stop = 0;
    (void)call;
    pthread_mutex_lock(&store->mutex);
    *newest = store->newest;
    for (uint64_t at = since; at < store->newest && limit > 0 && !stop; at++) {
        reco_str id = {store->log[at].id, store->log[at].id_size};
        int there;
        if (store->log[at].kind == RECO_RECORD_KEY)
            continue;
        const entry *it = &store->now.entries[place(&there, &store->now, store->log[at].kind, id)];
        stop = sink(context, at + 1, store->log[at].kind, id, there ? (reco_str){it->document, it->size} : (reco_str){NULL, 0});
        limit--;
    }
    pthread_mutex_unlock(&store->mutex);
    return since > *newest ? fail(err, RECO_NOT_FOUND, "the log does not reach there") : RECO_OK;
}

static reco_status store_stats(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                               const reco_call *call, reco_error *err) {
    (void)call, (void)err;
    pthread_mutex_lock(&store->mutex);
    uint64_t entries = store->now.count, changes = store->newest;
    pthread_mutex_unlock(&store->mutex);
    sink(context, "entries", entries);
    sink(context, "changes", changes);
    return RECO_OK;
}

static const reco_records_backend backend = {.struct_size = sizeof backend,
                                             .contract = RECO_RECORDS_CONTRACT,
                                             .scheme = "table",
                                             .open = store_open,
                                             .close = store_close,
                                             .change = store_change,
                                             .find = store_find,
                                             .scan = store_scan,
                                             .changes = store_changes,
                                             .stats = store_stats};

/* --- an engine on it ------------------------------------------------------------------------------------------------------------------------ */

static reco_status use(reco_engine *engine, reco_error *err) {
    static const reco_item items[] = {{.item_id = TEXT("tea"), .title = TEXT("Tea")}, {.item_id = TEXT("pot"), .flags = RECO_ITEM_HIDDEN}};
    static const reco_event views[] = {{.user_id = TEXT("ann"), .item_id = TEXT("tea"), .event_type = TEXT("view")},
                                       {.user_id = TEXT("ann"), .item_id = TEXT("pot"), .event_type = TEXT("view")}};
    reco_query query = {.struct_size = sizeof query, .user_id = TEXT("bob"), .limit = 5};
    reco_answer *answer = NULL;
    char *json = NULL;
    reco_status status = reco_items_put(engine, items, COUNT(items), sizeof *items, NULL, err);
    if (status == RECO_OK)
        status = reco_item_get(&json, engine, items[0].item_id, NULL, err);
    if (status == RECO_OK)
        printf("from the table: %s\n", json);
    reco_free(json);
    if (status == RECO_OK)
        status = reco_ingest(NULL, engine, views, COUNT(views), sizeof *views, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, err);
    if (status == RECO_OK)
        status = reco_recommend(&answer, engine, &query, NULL, err);
    for (size_t i = 0; status == RECO_OK && i < answer->count; i++)
        printf("recommended: %.*s\n", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
    reco_answer_free(answer);
    return status;
}

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    reco_settings *settings = NULL;
    reco_engine *engine = NULL;
    reco_status status = reco_register_records(&backend, &err);
    if (status == RECO_OK)
        status = reco_settings_create(&settings, &err);
    if (status == RECO_OK)
        status = reco_settings_set(settings, "records", "table:", &err); /* the other two stay where `data` says */
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .settings = settings};
    if (status == RECO_OK)
        status = reco_open(&engine, &options, NULL, &err);
    if (status == RECO_OK)
        status = use(engine, &err);
    reco_close(engine);
    reco_settings_free(settings);
    if (status != RECO_OK)
        fprintf(stderr, "%s: %s (%s)\n", reco_status_name(status), err.text, err.field);
    return status == RECO_OK ? 0 : 1;
}
