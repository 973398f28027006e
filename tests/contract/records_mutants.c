/* records_mutants.c - backends that are wrong in one way each: a sound one behind a function or two that lie. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "records_suite.h"

static const reco_records_backend *sound;

void records_mutants_of(const reco_records_backend *backend) { sound = backend; }

/* --- the sound functions -------------------------------------------------------------------------------------------------------------------- */

static reco_status open_(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    return sound->open(out, options, call, err);
}
static void close_(reco_records_store *store) { sound->close(store); }
static reco_status change_(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                           reco_error *err) {
    return sound->change(last, store, changes, count, call, err);
}
static reco_status find_(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                         reco_error *err) {
    return sound->find(store, kind, id, sink, context, call, err);
}
static reco_status scan_(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                         const reco_call *call, reco_error *err) {
    return sound->scan(store, kind, after, limit, sink, context, call, err);
}
static reco_status changes_(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                            const reco_call *call, reco_error *err) {
    return sound->changes(newest, store, since, limit, sink, context, call, err);
}
static reco_status stats_(reco_records_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                          const reco_call *call, reco_error *err) {
    return sound->stats(store, sink, context, call, err);
}

const reco_records_backend records_no_mutant = {.struct_size = sizeof(reco_records_backend),
                                                .contract = RECO_RECORDS_CONTRACT,
                                                .scheme = "mutant",
                                                .open = open_,
                                                .close = close_,
                                                .change = change_,
                                                .find = find_,
                                                .scan = scan_,
                                                .changes = changes_,
                                                .stats = stats_};

/* --- what is told is changed on its way ----------------------------------------------------------------------------------------------------- */

typedef struct passing {
    reco_records_sink sink;
    void *context;
} passing;

static int hide_deleted(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    passing *to = context;
    return document.data ? to->sink(to->context, sequence, kind, id, document) : 0;
}
static int halve_sequence(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    passing *to = context;
    return to->sink(to->context, (sequence + 1) / 2, kind, id, document);
}
static int cut_document(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    passing *to = context;
    document.size -= document.size > 2;
    return to->sink(to->context, sequence, kind, id, document);
}
static int never_stop(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    passing *to = context;
    to->sink(to->context, sequence, kind, id, document);
    return 0;
}

static reco_status changes_through(reco_records_sink through, uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit,
                                   reco_records_sink sink, void *context, const reco_call *call, reco_error *err) {
    passing to = {sink, context};
    return sound->changes(newest, store, since, limit, through, &to, call, err);
}
static reco_status changes_hide_deleted(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink,
                                        void *context, const reco_call *call, reco_error *err) {
    return changes_through(hide_deleted, newest, store, since, limit, sink, context, call, err);
}
static reco_status changes_halve(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    return changes_through(halve_sequence, newest, store, since, limit, sink, context, call, err);
}
static reco_status changes_never_stop(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink,
                                      void *context, const reco_call *call, reco_error *err) {
    return changes_through(never_stop, newest, store, since, limit, sink, context, call, err);
}
static reco_status changes_for_ever(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink,
                                    void *context, const reco_call *call, reco_error *err) {
    reco_status status = sound->changes(newest, store, since, limit, sink, context, call, err);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}
static reco_status changes_stale(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    reco_status status = sound->changes(newest, store, since, limit, sink, context, call, err);
    *newest -= *newest > 0;
    return status;
}
static reco_status changes_from_since(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink,
                                      void *context, const reco_call *call, reco_error *err) {
    return sound->changes(newest, store, since - (since > 0), limit, sink, context, call, err);
}
static reco_status find_cut(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                            reco_error *err) {
    passing to = {sink, context};
    return sound->find(store, kind, id, cut_document, &to, call, err);
}
static reco_status find_always(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                               reco_error *err) {
    reco_status status = sound->find(store, kind, id, sink, context, call, err);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

/* --- scans ---------------------------------------------------------------------------------------------------------------------------------- */

enum { KEPT_MAX = 64 };
typedef struct kept {
    struct {
        uint64_t sequence;
        uint32_t kind;
        char id[257], document[128];
        size_t id_size, document_size;
    } at[KEPT_MAX];
    int count;
} kept;

static int keep(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    kept *to = context;
    to->at[to->count].sequence = sequence;
    to->at[to->count].kind = kind;
    to->at[to->count].id_size = id.size;
    to->at[to->count].document_size = document.size < 128 ? document.size : 128;
    memcpy(to->at[to->count].id, id.data, id.size);
    memcpy(to->at[to->count].document, document.data, to->at[to->count].document_size);
    return ++to->count == KEPT_MAX;
}

static reco_status scan_backwards(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                                  const reco_call *call, reco_error *err) {
    static kept all;
    all.count = 0;
    reco_status status = sound->scan(store, kind, after, limit, keep, &all, call, err);
    for (int i = all.count - 1; i >= 0; i--)
        if (sink(context, all.at[i].sequence, kind, (reco_str){all.at[i].id, all.at[i].id_size},
                 (reco_str){all.at[i].document, all.at[i].document_size}))
            break;
    return status;
}
static reco_status scan_with_after(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                                   const reco_call *call, reco_error *err) {
    if (after.size > 0 && limit > 0)
        sound->find(store, kind, after, sink, context, call, NULL);
    return sound->scan(store, kind, after, limit, sink, context, call, err);
}
static reco_status scan_without_limit(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                                      const reco_call *call, reco_error *err) {
    return sound->scan(store, kind, after, limit > 0 ? UINT32_MAX : 0, sink, context, call, err);
}

/* --- changes -------------------------------------------------------------------------------------------------------------------------------- */

static reco_status change_without(uint32_t flag, uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                  const reco_call *call, reco_error *err) {
    reco_record_change *copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return RECO_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        copy[i] = changes[i];
        copy[i].flags &= ~flag;
    }
    reco_status status = sound->change(last, store, copy, count, call, err);
    free(copy);
    return status;
}
static reco_status change_overwrites(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                     const reco_call *call, reco_error *err) {
    return change_without(RECO_RECORD_IF_ABSENT, last, store, changes, count, call, err);
}
static reco_status change_regardless(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                     const reco_call *call, reco_error *err) {
    return change_without(RECO_RECORD_IF_SEQUENCE, last, store, changes, count, call, err);
}
/* As a caller might: looks, then changes. */
static int see(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    (void)kind, (void)id, (void)document;
    *(uint64_t *)context = sequence;
    return 0;
}
static reco_status change_looks_first(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                      const reco_call *call, reco_error *err) {
    for (size_t i = 0; i < count; i++) {
        uint64_t sequence = 0;
        if (!(changes[i].flags & RECO_RECORD_IF_SEQUENCE))
            continue;
        sound->find(store, changes[i].kind, changes[i].id, see, &sequence, call, NULL);
        sched_yield();
        if (sequence != changes[i].sequence)
            return RECO_CONFLICT;
    }
    return change_regardless(last, store, changes, count, call, err);
}
static reco_status change_what_fits(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                                    reco_error *err) {
    reco_status status = sound->change(last, store, changes, count, call, err);
    return status == RECO_CONFLICT && count > 1 ? sound->change(last, store, changes, 1, call, err) : status;
}
static reco_status change_reversed(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                                   reco_error *err) {
    reco_record_change *copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return RECO_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        copy[i] = changes[count - 1 - i];
    reco_status status = sound->change(last, store, copy, count, call, err);
    free(copy);
    return status;
}
static reco_status change_by_halves(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count, const reco_call *call,
                                    reco_error *err) {
    reco_status status = sound->change(last, store, changes, count / 2, call, err);
    return status == RECO_OK ? sound->change(last, store, changes + count / 2, count - count / 2, call, err) : status;
}
static reco_status change_one_by_one(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                     const reco_call *call, reco_error *err) {
    reco_status status = count ? RECO_OK : sound->change(last, store, changes, 0, call, err);
    for (size_t i = 0; i < count && status == RECO_OK; i++)
        status = sound->change(last, store, changes + i, 1, call, err);
    return status;
}
static reco_status change_counts_from_zero(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                           const reco_call *call, reco_error *err) {
    reco_status status = sound->change(last, store, changes, count, call, err);
    *last -= *last > 0;
    return status;
}

/* --- kinds and namespaces ------------------------------------------------------------------------------------------------------------------- */

static reco_status find_any_kind(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                                 reco_error *err) {
    return sound->find(store, kind == RECO_RECORD_MODEL ? RECO_RECORD_ITEM : kind, id, sink, context, call, err);
}
static uint32_t disguise(uint32_t kind) { return kind == RECO_RECORD_KEY ? RECO_RECORD_EXPERIMENT : kind; }
static reco_status change_key_as_another(uint64_t *last, reco_records_store *store, const reco_record_change *changes, size_t count,
                                         const reco_call *call, reco_error *err) {
    reco_record_change copy[16];
    if (count > 16)
        return sound->change(last, store, changes, count, call, err);
    for (size_t i = 0; i < count; i++) {
        copy[i] = changes[i];
        copy[i].kind = disguise(copy[i].kind);
    }
    return sound->change(last, store, copy, count, call, err);
}
static reco_status find_key_as_another(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context,
                                       const reco_call *call, reco_error *err) {
    return sound->find(store, disguise(kind), id, sink, context, call, err);
}
static reco_status open_one_space(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    reco_records_options other = *options;
    other.space = "same";
    return sound->open(out, &other, call, err);
}
static reco_status open_afresh(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    static int number;
    char url[600];
    reco_records_options other = *options;
    snprintf(url, sizeof url, "%s/%d", options->url, number++);
    other.url = url;
    return sound->open(out, &other, call, err);
}

#define MUTANT(what, check, function, liar)                                                                                                          \
    {                                                                                                                                                \
        what, check, {                                                                                                                               \
            .struct_size = sizeof(reco_records_backend), .contract = RECO_RECORDS_CONTRACT, .scheme = "mutant", .open = open_, .close = close_,      \
            .change = change_, .find = find_, .scan = scan_, .changes = changes_, .stats = stats_, .function = liar                                  \
        }                                                                                                                                            \
    }

/* The initialiser that comes last wins; that is the point here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#endif
const records_mutant records_mutants[] = {
    MUTANT("a delete is not logged", "changes", changes, changes_hide_deleted),
    MUTANT("IF_ABSENT overwrites", "if_absent", change, change_overwrites),
    MUTANT("IF_SEQUENCE overwrites", "if_sequence", change, change_regardless),
    MUTANT("IF_SEQUENCE looks, then changes", "no_lost_update", change, change_looks_first),
    MUTANT("of a conflict a part is applied", "if_sequence", change, change_what_fits),
    MUTANT("half a batch is applied", "all_or_none", change, change_by_halves),
    MUTANT("a batch is applied one by one", "threads", change, change_one_by_one),
    MUTANT("a batch is applied backwards", "batch_in_order", change, change_reversed),
    MUTANT("scan goes backwards", "scan", scan, scan_backwards),
    MUTANT("scan begins with `after` itself", "scan", scan, scan_with_after),
    MUTANT("scan knows no limit", "scan", scan, scan_without_limit),
    MUTANT("a sequence is used twice", "changes", changes, changes_halve),
    MUTANT("sequences begin with 0", "sequences", change, change_counts_from_zero),
    MUTANT("changes begin with `since` itself", "changes", changes, changes_from_since),
    MUTANT("newest is one behind", "changes", changes, changes_stale),
    MUTANT("a sink cannot stop", "changes", changes, changes_never_stop),
    MUTANT("a hole in the log is not told", "log_is_trimmed", changes, changes_for_ever),
    MUTANT("a document is cut", "put_find_delete", find, find_cut),
    MUTANT("what is missing is found", "put_find_delete", find, find_always),
    MUTANT("kinds share ids", "kinds_are_apart", find, find_any_kind),
    MUTANT("keys are kept like anything else", "kinds_are_apart", change, change_key_as_another),
    {"the log tells keys",
     "keys_are_not_told",
     {.struct_size = sizeof(reco_records_backend),
      .contract = RECO_RECORDS_CONTRACT,
      .scheme = "mutant",
      .open = open_,
      .close = close_,
      .change = change_key_as_another,
      .find = find_key_as_another,
      .scan = scan_,
      .changes = changes_,
      .stats = stats_}},
    MUTANT("namespaces are one", "namespaces_are_apart", open, open_one_space),
    MUTANT("nothing is kept", "reopen", open, open_afresh),
};
#pragma GCC diagnostic pop
const size_t records_mutant_count = sizeof records_mutants / sizeof *records_mutants;
