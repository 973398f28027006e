/* records_suite.c - the checks. */
#include "contract/records_suite.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/chance.h"
#include "support/support.h"

enum { STORES_MAX = 2, TEXT_MAX = 4096, TOLD_MAX = 4096 };

static reco_str str_of(const char *text) { return (reco_str){text, strlen(text)}; }

/* One check under way. */
typedef struct bench {
    const records_subject *subject;
    const reco_records_backend *backend;
    char folder[256], url[768];
    reco_records_store *stores[STORES_MAX];
    reco_error err;
    char *room;
    size_t size;
} bench;

/* --- what a check is made of --------------------------------------------------------------------------------------------------------------- */

static const char *fault(bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *fault(bench *b, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(b->room, b->size, format, list);
    va_end(list);
    return b->room;
}

#define NEED(condition, ...)                                                                                                                         \
    do {                                                                                                                                             \
        if (!(condition))                                                                                                                            \
            return fault(b, __VA_ARGS__);                                                                                                            \
    } while (0)
#define PASS(call)                                                                                                                                   \
    do {                                                                                                                                             \
        const char *fault_ = (call);                                                                                                                 \
        if (fault_)                                                                                                                                  \
            return fault_;                                                                                                                           \
    } while (0)

static const char *open_store(bench *b, int which, const char *space, uint64_t map_size) {
    reco_records_options options = {.struct_size = sizeof options, .url = b->url, .space = space, .map_size = map_size ? map_size : 1ull << 30};
    reco_status status = b->backend->open(&b->stores[which], &options, NULL, &b->err);
    NEED(status == RECO_OK, "open: %s", b->err.text);
    return NULL;
}

static void close_store(bench *b, int which) {
    if (b->stores[which])
        b->backend->close(b->stores[which]);
    b->stores[which] = NULL;
}

/* What a sink was told. */
typedef struct told {
    struct {
        uint64_t sequence;
        uint32_t kind;
        char id[300], document[128];
        size_t document_size;
        int deleted;
    } at[TOLD_MAX];
    size_t count, stop_after; /* 0: never */
} told;

static int take(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    told *to = context;
    if (to->count < TOLD_MAX) {
        to->at[to->count].sequence = sequence;
        to->at[to->count].kind = kind;
        snprintf(to->at[to->count].id, sizeof to->at[0].id, "%.*s", (int)id.size, id.data);
        snprintf(to->at[to->count].document, sizeof to->at[0].document, "%.*s", (int)(document.size < 120 ? document.size : 120),
                 document.data ? document.data : "");
        to->at[to->count].document_size = document.size;
        to->at[to->count].deleted = document.data == NULL;
    }
    to->count++;
    return to->stop_after > 0 && to->count >= to->stop_after;
}

static reco_record_change put_of(uint32_t kind, const char *id, const char *document) {
    return (reco_record_change){.kind = kind, .id = str_of(id), .document = str_of(document)};
}

static reco_record_change delete_of(uint32_t kind, const char *id) { return (reco_record_change){.kind = kind, .id = str_of(id)}; }

static reco_record_change if_at(reco_record_change change, uint64_t sequence) {
    change.flags = RECO_RECORD_IF_SEQUENCE;
    change.sequence = sequence;
    return change;
}

static const char *change(bench *b, uint64_t *last, const reco_record_change *changes, size_t count) {
    reco_status status = b->backend->change(last, b->stores[0], changes, count, NULL, &b->err);
    NEED(status == RECO_OK, "change: %s", b->err.text);
    return NULL;
}

static const char *put(bench *b, uint32_t kind, const char *id, const char *document) {
    uint64_t last;
    reco_record_change one = put_of(kind, id, document);
    return change(b, &last, &one, 1);
}

/* The record is as expected; document NULL: missing. */
static const char *expect(bench *b, int which, uint32_t kind, const char *id, const char *document) {
    static told got;
    got.count = got.stop_after = 0;
    reco_status status = b->backend->find(b->stores[which], kind, str_of(id), take, &got, NULL, &b->err);
    if (!document) {
        NEED(status == RECO_NOT_FOUND && got.count == 0, "record %u %s is there, it should not be", kind, id);
        return NULL;
    }
    NEED(status == RECO_OK && got.count == 1, "record %u %s is missing: %s", kind, id, reco_status_name(status));
    NEED(strcmp(got.at[0].document, document) == 0, "record %u %s is %s, not %s", kind, id, got.at[0].document, document);
    NEED(strcmp(got.at[0].id, id) == 0 && got.at[0].kind == kind, "record %u %s was told as %u %s", kind, id, got.at[0].kind, got.at[0].id);
    return NULL;
}

/* --- checks -------------------------------------------------------------------------------------------------------------------------------- */

static const char *check_put_find_delete(bench *b) {
    uint64_t last = 0;
    reco_record_change remove = delete_of(RECO_RECORD_ITEM, "a");
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", NULL));
    PASS(put(b, RECO_RECORD_ITEM, "a", "{\"n\":1}"));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":1}"));
    PASS(put(b, RECO_RECORD_ITEM, "a", "{}"));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{}"));
    PASS(change(b, &last, &remove, 1));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", NULL));
    return NULL;
}

static const char *check_kinds_are_apart(bench *b) {
    char document[32];
    for (uint32_t kind = RECO_RECORD_ITEM; kind <= RECO_RECORD_KEY; kind++) {
        snprintf(document, sizeof document, "{\"kind\":%u}", kind);
        PASS(put(b, kind, "same", document));
    }
    for (uint32_t kind = RECO_RECORD_ITEM; kind <= RECO_RECORD_KEY; kind++) {
        static told got;
        got.count = 0;
        snprintf(document, sizeof document, "{\"kind\":%u}", kind);
        PASS(expect(b, 0, kind, "same", document));
        b->backend->scan(b->stores[0], kind, (reco_str){NULL, 0}, 10, take, &got, NULL, &b->err);
        NEED(got.count == 1 && strcmp(got.at[0].document, document) == 0, "scan of kind %u told %zu records", kind, got.count);
    }
    return NULL;
}

static const char *check_namespaces_are_apart(bench *b) {
    if (!b->subject->keeps) /* every open is a store of its own */
        return NULL;
    PASS(open_store(b, 1, "other", 0));
    PASS(put(b, RECO_RECORD_ITEM, "a", "{}"));
    PASS(expect(b, 1, RECO_RECORD_ITEM, "a", NULL));
    static told got;
    uint64_t newest = 99;
    got.count = 0;
    reco_status status = b->backend->changes(&newest, b->stores[1], 0, 10, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 0 && newest == 0, "changes of another namespace are told");
    return NULL;
}

static const char *check_if_absent(bench *b) {
    uint64_t first = 0, last = 0;
    reco_record_change one = put_of(RECO_RECORD_USER, "u", "{\"n\":1}");
    one.flags = RECO_RECORD_IF_ABSENT;
    PASS(change(b, &first, &one, 1));
    PASS(expect(b, 0, RECO_RECORD_USER, "u", "{\"n\":1}"));
    one.document = str_of("{\"n\":2}");
    PASS(change(b, &last, &one, 1));
    PASS(expect(b, 0, RECO_RECORD_USER, "u", "{\"n\":1}"));
    NEED(first == 1 && last == 1, "leaving a record alone took a sequence number (%llu, %llu)", (unsigned long long)first, (unsigned long long)last);
    return NULL;
}

/* Everything of the call comes to nothing, and says CONFLICT. */
static const char *refused(bench *b, const reco_record_change *changes, size_t count, const char *why) {
    uint64_t last = 99, newest = 0, before = 0;
    static told got;
    got.count = got.stop_after = 0;
    b->backend->changes(&before, b->stores[0], 0, 0, take, &got, NULL, &b->err);
    reco_status status = b->backend->change(&last, b->stores[0], changes, count, NULL, &b->err);
    NEED(status == RECO_CONFLICT, "%s: %s", why, reco_status_name(status));
    b->backend->changes(&newest, b->stores[0], 0, 0, take, &got, NULL, &b->err);
    NEED(newest == before, "%s: it was refused, yet something was done", why);
    return NULL;
}

static const char *check_if_sequence(bench *b) {
    const reco_record_change first = put_of(RECO_RECORD_ITEM, "a", "{\"n\":1}"), second = put_of(RECO_RECORD_ITEM, "a", "{\"n\":2}"),
                             other = put_of(RECO_RECORD_ITEM, "b", "{\"n\":3}"), removed = delete_of(RECO_RECORD_ITEM, "a");
    const reco_record_change absent = if_at(first, 0), at_1 = if_at(second, 1), at_2 = if_at(first, 2), beyond = if_at(first, UINT64_MAX),
                             remove_at_1 = if_at(removed, 1), remove_at_2 = if_at(removed, 2), remove_nothing = if_at(removed, 0);
    uint64_t last = 0;
    PASS(refused(b, &at_1, 1, "a record that is missing was expected at 1"));
    PASS(refused(b, &remove_at_1, 1, "the same, to be deleted"));
    PASS(change(b, &last, &absent, 1));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":1}"));
    PASS(refused(b, &absent, 1, "a record that is there was expected to be missing"));
    PASS(refused(b, &at_2, 1, "a record at 1 was expected at 2"));
    PASS(refused(b, &beyond, 1, "a record at 1 was expected at the last number of all"));
    PASS(change(b, &last, &at_1, 1));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":2}"));
    NEED(last == 2, "two changes end at %llu", (unsigned long long)last);
    const reco_record_change late[] = {other, at_1}, early[] = {at_1, other}, within[] = {at_2, other, at_2}, torn[] = {at_2, at_1};
    PASS(refused(b, &at_1, 1, "a record at 2 was expected at 1"));
    PASS(refused(b, late, 2, "the second of two came too late"));
    PASS(refused(b, early, 2, "the first of two came too late"));
    PASS(refused(b, torn, 2, "two changes expect the record at different numbers"));
    PASS(refused(b, &remove_at_1, 1, "a record at 2 was to be deleted at 1"));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":2}"));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "b", NULL));
    PASS(change(b, &last, within, 3)); /* what a call does itself is not what it compares with */
    NEED(last == 5, "three more changes end at %llu", (unsigned long long)last);
    PASS(refused(b, &remove_at_2, 1, "a record at 5 was to be deleted at 2"));
    const reco_record_change remove_twice[] = {if_at(removed, 5), if_at(removed, 5)};
    PASS(change(b, &last, remove_twice, 2));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", NULL));
    PASS(change(b, &last, &remove_nothing, 1));
    NEED(last == 6, "one delete of three found something, they end at %llu", (unsigned long long)last);
    return NULL;
}

static const char *check_batch_in_order(bench *b) {
    uint64_t last = 0;
    const reco_record_change batch[] = {put_of(RECO_RECORD_ITEM, "a", "{\"n\":1}"), delete_of(RECO_RECORD_ITEM, "a"),
                                        put_of(RECO_RECORD_ITEM, "a", "{\"n\":2}"), put_of(RECO_RECORD_ITEM, "b", "{\"n\":3}"),
                                        delete_of(RECO_RECORD_ITEM, "b"),           delete_of(RECO_RECORD_ITEM, "never")};
    PASS(change(b, &last, batch, 6));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":2}"));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "b", NULL));
    NEED(last == 5, "5 changes and one delete of nothing end at %llu", (unsigned long long)last);
    return NULL;
}

/* A batch that cannot be stored whole leaves nothing behind. It fails for want of room. */
static const char *check_all_or_none(bench *b) {
    enum { COUNT = 64, SIZE = 1 << 18 };
    static reco_record_change batch[COUNT];
    static char ids[COUNT][8];
    uint64_t last = 0, newest = 0;
    char *document = malloc(SIZE);
    NEED(document != NULL, "no memory");
    memset(document, 'x', SIZE);
    document[0] = document[SIZE - 1] = '"';
    for (int i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof ids[i], "i%02d", i);
        batch[i] = (reco_record_change){.kind = RECO_RECORD_ITEM, .id = str_of(ids[i]), .document = {document, i == 0 ? 3 : SIZE}};
    }
    document[2] = '"';
    close_store(b, 0);
    const char *failed = open_store(b, 0, "test", 8u << 20);
    reco_status status = failed ? RECO_OK : b->backend->change(&last, b->stores[0], batch, COUNT, NULL, &b->err);
    free(document);
    PASS(failed);
    NEED(status == RECO_FULL, "16 MiB of documents in a store of 8 MiB: %s", reco_status_name(status));
    static told got;
    got.count = got.stop_after = 0;
    status = b->backend->scan(b->stores[0], RECO_RECORD_ITEM, (reco_str){NULL, 0}, 100, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 0, "%zu records of a failed batch are there", got.count);
    status = b->backend->changes(&newest, b->stores[0], 0, 100, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && newest == 0 && got.count == 0, "a failed batch is in the change log");
    PASS(put(b, RECO_RECORD_ITEM, "after", "{}"));
    return expect(b, 0, RECO_RECORD_ITEM, "after", "{}");
}

static const char *check_scan(bench *b) {
    static const char *const ids[] = {"a", "a\x01", "aa", "ab", "b", "z", "\xc3\xa9"}; /* in order, put in another */
    static const int order[] = {3, 6, 0, 5, 1, 4, 2};
    for (int i = 0; i < 7; i++)
        PASS(put(b, RECO_RECORD_ITEM, ids[order[i]], "{}"));
    PASS(put(b, RECO_RECORD_USER, "aaa", "{}"));
    static told got;
    for (int from = -1; from < 7; from++)
        for (uint32_t limit = 0; limit < 9; limit++) {
            reco_str after = from < 0 ? (reco_str){NULL, 0} : str_of(ids[from]);
            size_t expected = (size_t)(6 - from) < limit ? (size_t)(6 - from) : limit;
            got.count = got.stop_after = 0;
            reco_status status = b->backend->scan(b->stores[0], RECO_RECORD_ITEM, after, limit, take, &got, NULL, &b->err);
            NEED(status == RECO_OK && got.count == expected, "scan after %d, limit %u told %zu", from, limit, got.count);
            for (size_t i = 0; i < expected; i++)
                NEED(strcmp(got.at[i].id, ids[from + 1 + (int)i]) == 0, "scan after %d told %s in place %zu", from, got.at[i].id, i);
        }
    got.count = 0;
    b->backend->scan(b->stores[0], RECO_RECORD_ITEM, str_of("a!"), 1, take, &got, NULL, &b->err);
    NEED(got.count == 1 && strcmp(got.at[0].id, "aa") == 0, "a scan after an id that is not there began elsewhere");
    got.count = 0, got.stop_after = 3;
    b->backend->scan(b->stores[0], RECO_RECORD_ITEM, (reco_str){NULL, 0}, 100, take, &got, NULL, &b->err);
    NEED(got.count == 3, "a scan that was stopped went on");
    return NULL;
}

static const char *check_sequences(bench *b) {
    uint64_t last = 0;
    const reco_record_change three[] = {put_of(RECO_RECORD_ITEM, "a", "{}"), put_of(RECO_RECORD_USER, "b", "{}"),
                                        put_of(RECO_RECORD_ITEM, "c", "{}")};
    PASS(change(b, &last, three, 3));
    NEED(last == 3, "three changes end at %llu", (unsigned long long)last);
    PASS(change(b, &last, three, 0));
    NEED(last == 3, "no change ends at %llu", (unsigned long long)last);
    PASS(change(b, &last, three, 1));
    NEED(last == 4, "the fourth change ends at %llu", (unsigned long long)last);
    static told got;
    got.count = got.stop_after = 0;
    b->backend->scan(b->stores[0], RECO_RECORD_ITEM, (reco_str){NULL, 0}, 10, take, &got, NULL, &b->err);
    NEED(got.count == 2 && got.at[0].sequence == 4 && got.at[1].sequence == 3, "records do not know their last change");
    return NULL;
}

static const char *check_changes(bench *b) {
    uint64_t last = 0, newest = 0;
    const reco_record_change changes[] = {put_of(RECO_RECORD_ITEM, "a", "{\"n\":1}"), put_of(RECO_RECORD_USER, "b", "{}"),
                                          put_of(RECO_RECORD_ITEM, "a", "{\"n\":2}"), delete_of(RECO_RECORD_USER, "b")};
    static const struct {
        uint32_t kind;
        const char *id, *document;
    } expected[] = {
        {RECO_RECORD_ITEM, "a", "{\"n\":2}"}, {RECO_RECORD_USER, "b", ""}, {RECO_RECORD_ITEM, "a", "{\"n\":2}"}, {RECO_RECORD_USER, "b", ""}};
    static told got;
    PASS(change(b, &last, changes, 4));
    for (uint64_t since = 0; since <= 4; since++)
        for (uint32_t limit = 0; limit <= 5; limit++) {
            size_t count = 4 - since < limit ? 4 - since : limit;
            got.count = got.stop_after = 0;
            newest = 0;
            reco_status status = b->backend->changes(&newest, b->stores[0], since, limit, take, &got, NULL, &b->err);
            NEED(status == RECO_OK && got.count == count, "changes since %llu, limit %u told %zu", (unsigned long long)since, limit, got.count);
            NEED(newest == 4, "newest is %llu", (unsigned long long)newest);
            for (size_t i = 0; i < count; i++) {
                size_t at = (size_t)since + i;
                NEED(got.at[i].sequence == at + 1, "change %zu has sequence %llu", at + 1, (unsigned long long)got.at[i].sequence);
                NEED(got.at[i].kind == expected[at].kind && strcmp(got.at[i].id, expected[at].id) == 0, "change %zu is of %s", at + 1, got.at[i].id);
                NEED(strcmp(got.at[i].document, expected[at].document) == 0, "change %zu tells %s", at + 1, got.at[i].document);
                NEED(got.at[i].deleted == (expected[at].document[0] == '\0'), "change %zu is told wrongly as deleted or not", at + 1);
            }
        }
    got.count = 0, got.stop_after = 2;
    b->backend->changes(&newest, b->stores[0], 0, 100, take, &got, NULL, &b->err);
    NEED(got.count == 2, "changes that were stopped went on");
    newest = 0;
    NEED(b->backend->changes(&newest, b->stores[0], 5, 10, take, &got, NULL, &b->err) == RECO_NOT_FOUND, "a number that was never given is accepted");
    NEED(newest == 4, "newest is %llu with NOT_FOUND", (unsigned long long)newest);
    return NULL;
}

static const char *check_keys_are_not_told(bench *b) {
    static told got;
    uint64_t newest = 0;
    PASS(put(b, RECO_RECORD_KEY, "secret", "{\"key\":1}"));
    PASS(put(b, RECO_RECORD_ITEM, "a", "{}"));
    PASS(put(b, RECO_RECORD_KEY, "secret", "{\"key\":2}"));
    got.count = got.stop_after = 0;
    reco_status status = b->backend->changes(&newest, b->stores[0], 0, 10, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 1 && strcmp(got.at[0].id, "a") == 0, "the change log told a key");
    NEED(newest == 3 && got.at[0].sequence == 2, "keys take no sequence numbers");
    return expect(b, 0, RECO_RECORD_KEY, "secret", "{\"key\":2}");
}

/* Fills the log beyond what it keeps. */
static const char *check_log_is_trimmed(bench *b) {
    enum { BATCH = RECO_RECORDS_CHANGES_MAX, ROUNDS = 5 };
    reco_record_change *batch = malloc(BATCH * sizeof *batch);
    uint64_t last = 0, newest = 0;
    static told got;
    reco_status status = batch ? RECO_OK : RECO_NO_MEMORY;
    for (int i = 0; batch && i < BATCH; i++)
        batch[i] = put_of(RECO_RECORD_ITEM, i % 2 ? "odd" : "even", "{}");
    for (int round = 0; round < ROUNDS && status == RECO_OK; round++)
        status = b->backend->change(&last, b->stores[0], batch, BATCH, NULL, &b->err);
    free(batch);
    NEED(status == RECO_OK && last == RECO_RECORDS_LOG_MAX, "%llu changes: %s", (unsigned long long)last, b->err.text);
    got.count = got.stop_after = 0;
    status = b->backend->changes(&newest, b->stores[0], 0, 2500, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 2500 && got.at[0].sequence == 1 && got.at[2499].sequence == 2500, "a full log lost its oldest change");
    PASS(put(b, RECO_RECORD_ITEM, "one more", "{}"));
    status = b->backend->changes(&newest, b->stores[0], 0, 1, take, &got, NULL, &b->err);
    NEED(status == RECO_NOT_FOUND, "the log reaches back further than it keeps: %s", reco_status_name(status));
    NEED(newest == last + 1, "newest is %llu with NOT_FOUND, not %llu", (unsigned long long)newest, (unsigned long long)last + 1);
    got.count = 0;
    status = b->backend->changes(&newest, b->stores[0], 1, 1, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 1 && got.at[0].sequence == 2, "the oldest change kept is not told");
    got.count = 0;
    status = b->backend->changes(&newest, b->stores[0], newest - 1, 10, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 1 && strcmp(got.at[0].id, "one more") == 0, "the newest change is not told");
    return NULL;
}

static const char *check_sizes(bench *b) {
    char id[257], document[1 << 12];
    memset(id, 'i', 256);
    id[256] = '\0';
    PASS(put(b, RECO_RECORD_KEY, id, "{}"));
    PASS(expect(b, 0, RECO_RECORD_KEY, id, "{}"));
    static told got;
    for (size_t size = 1; size < sizeof document; size = size * 3 + 1) {
        memset(document, 'x', size);
        reco_record_change one = {.kind = RECO_RECORD_ITEM, .id = str_of("doc"), .document = {document, size}};
        uint64_t last = 0;
        PASS(change(b, &last, &one, 1));
        got.count = 0;
        reco_status status = b->backend->find(b->stores[0], RECO_RECORD_ITEM, one.id, take, &got, NULL, &b->err);
        NEED(status == RECO_OK && got.at[0].document_size == size, "a document of %zu bytes came back as %zu", size, got.at[0].document_size);
    }
    return NULL;
}

static const char *check_reopen(bench *b) {
    if (!b->subject->keeps)
        return NULL;
    uint64_t last = 0, newest = 0;
    PASS(put(b, RECO_RECORD_ITEM, "a", "{\"n\":1}"));
    close_store(b, 0);
    PASS(open_store(b, 0, "test", 0));
    PASS(expect(b, 0, RECO_RECORD_ITEM, "a", "{\"n\":1}"));
    reco_record_change one = put_of(RECO_RECORD_ITEM, "b", "{}");
    PASS(change(b, &last, &one, 1));
    NEED(last == 2, "after opening again the sequence goes on at %llu", (unsigned long long)last);
    static told got;
    got.count = got.stop_after = 0;
    reco_status status = b->backend->changes(&newest, b->stores[0], 0, 10, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && got.count == 2, "after opening again the log told %zu changes", got.count);
    return NULL;
}

/* --- several threads ------------------------------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, CHANGES_EACH = 50, COUNTS_EACH = 20 };

typedef struct worker {
    bench *bench;
    int number;
    uint64_t last[CHANGES_EACH];
    reco_status status;
} worker;

/* The work in THREADS threads at once. */
static const char *on_threads(bench *b, worker *workers, void *(*run)(void *context)) {
    pthread_t threads[THREADS];
    int started = 0;
    memset(workers, 0, THREADS * sizeof *workers);
    for (; started < THREADS; started++) {
        workers[started].bench = b;
        workers[started].number = started;
        if (pthread_create(&threads[started], NULL, run, &workers[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    NEED(started == THREADS, "no threads to be had");
    for (int i = 0; i < THREADS; i++)
        NEED(workers[i].status == RECO_OK, "a thread: %s", reco_status_name(workers[i].status));
    return NULL;
}

static void *work(void *context) {
    worker *w = context;
    for (int i = 0; i < CHANGES_EACH && w->status == RECO_OK; i++) {
        char id[32];
        snprintf(id, sizeof id, "t%d-%d", w->number, i);
        const reco_record_change two[] = {put_of(RECO_RECORD_ITEM, id, "{}"), put_of(RECO_RECORD_ITEM, "shared", "{}")};
        w->status = w->bench->backend->change(&w->last[i], w->bench->stores[0], two, 2, NULL, NULL);
    }
    return NULL;
}

/* Two changes at a time from each of several threads: every pair has two neighbouring numbers of its own. */
static const char *check_threads(bench *b) {
    static worker workers[THREADS];
    static uint8_t seen[2 * THREADS * CHANGES_EACH + 1];
    memset(seen, 0, sizeof seen);
    PASS(on_threads(b, workers, work));
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < CHANGES_EACH; j++) {
            uint64_t last = workers[i].last[j];
            NEED(last % 2 == 0 && last >= 2 && last < sizeof seen && !seen[last], "sequence %llu was given twice or torn apart",
                 (unsigned long long)last);
            seen[last] = 1;
        }
    }
    return NULL;
}

/* Everybody counts a number up by reading and writing it: what is not compared is lost. */
static int read_number(void *context, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    uint64_t *to = context;
    (void)kind, (void)id;
    to[0] = sequence;
    to[1] = strtoull(document.data, NULL, 10); /* what follows the document in memory is no digit: it ends with a blank */
    return 0;
}

static void *count_up(void *context) {
    worker *w = context;
    const reco_records_backend *backend = w->bench->backend;
    for (int i = 0; i < COUNTS_EACH && w->status == RECO_OK;) {
        uint64_t seen[2] = {0, 0}, last;
        char document[32];
        w->status = backend->find(w->bench->stores[0], RECO_RECORD_USER, str_of("n"), read_number, seen, NULL, NULL);
        if (w->status != RECO_OK && w->status != RECO_NOT_FOUND)
            break;
        snprintf(document, sizeof document, "%llu ", (unsigned long long)seen[1] + 1);
        const reco_record_change one = if_at(put_of(RECO_RECORD_USER, "n", document), seen[0]);
        w->status = backend->change(&last, w->bench->stores[0], &one, 1, NULL, NULL);
        i += w->status == RECO_OK;
        if (w->status == RECO_CONFLICT)
            w->status = RECO_OK;
    }
    return NULL;
}

static const char *check_no_lost_update(bench *b) {
    static worker workers[THREADS];
    char expected[32];
    PASS(on_threads(b, workers, count_up));
    snprintf(expected, sizeof expected, "%d ", THREADS * COUNTS_EACH);
    return expect(b, 0, RECO_RECORD_USER, "n", expected);
}

/* --- random operations against a small model ------------------------------------------------------------------------------------------------ */

enum { MODEL_IDS = 12, MODEL_LOG = 20000 };

/* An independent second opinion: plain arrays, everything by search. */
typedef struct model {
    struct {
        int there;
        uint64_t sequence;
        char document[40];
    } at[RECO_RECORD_KEY + 1][MODEL_IDS];
    struct {
        uint32_t kind;
        int id;
    } log[MODEL_LOG];
    uint64_t newest;
} model;

static void model_change(model *m, uint32_t kind, int id, const char *document, int if_absent) { /* of a call that is not refused */
    if (document ? if_absent && m->at[kind][id].there : !m->at[kind][id].there)
        return;
    m->log[m->newest].kind = kind;
    m->log[m->newest].id = id;
    m->newest++;
    m->at[kind][id].there = document != NULL;
    m->at[kind][id].sequence = m->newest;
    snprintf(m->at[kind][id].document, sizeof m->at[kind][id].document, "%.39s", document ? document : "");
}

static void name_of(char out[8], int id) {
    snprintf(out, 8, "%c%c", 'a' + id % 3, 'a' + id / 3); /* so that the order of names is not that of numbers */
}

static int id_of(const char *name) { return (name[1] - 'a') * 3 + name[0] - 'a'; }

static const char *random_change(bench *b, model *m, chance *rand) {
    reco_record_change batch[6];
    char names[6][8], documents[6][40];
    size_t count = (size_t)chance_below(rand, 6) + 1;
    static model before;
    int conflict = 0;
    before = *m;
    for (size_t i = 0; i < count; i++) {
        uint32_t kind = (uint32_t)chance_below(rand, RECO_RECORD_KEY) + 1;
        int id = (int)chance_below(rand, MODEL_IDS), removes = chance_below(rand, 3) == 0,
            absent = chance_below(rand, 3) == 0 && !removes;
        name_of(names[i], id);
        snprintf(documents[i], sizeof documents[i], "{\"v\":%llu}", (unsigned long long)chance_below(rand, 1u << 30));
        batch[i] = removes ? delete_of(kind, names[i]) : put_of(kind, names[i], documents[i]);
        batch[i].flags = absent ? RECO_RECORD_IF_ABSENT : 0;
        if (!absent && chance_below(rand, 4) == 0) {
            uint64_t is = before.at[kind][id].there ? before.at[kind][id].sequence : 0, said = is + (chance_below(rand, 4) == 0);
            batch[i] = if_at(batch[i], said);
            conflict |= said != is;
        }
        model_change(m, kind, id, removes ? NULL : documents[i], absent);
    }
    uint64_t last = 0;
    if (conflict) {
        *m = before;
        return refused(b, batch, count, "random changes");
    }
    PASS(change(b, &last, batch, count));
    NEED(last == m->newest, "sequence %llu, the model is at %llu", (unsigned long long)last, (unsigned long long)m->newest);
    return NULL;
}

static const char *random_find(bench *b, const model *m, chance *rand) {
    uint32_t kind = (uint32_t)chance_below(rand, RECO_RECORD_KEY) + 1;
    int id = (int)chance_below(rand, MODEL_IDS);
    char name[8];
    name_of(name, id);
    return expect(b, 0, kind, name, m->at[kind][id].there ? m->at[kind][id].document : NULL);
}

static const char *random_scan(bench *b, const model *m, chance *rand) {
    static told got;
    uint32_t kind = (uint32_t)chance_below(rand, RECO_RECORD_KEY) + 1, limit = (uint32_t)chance_below(rand, MODEL_IDS + 2);
    char after[8] = "", expected[8] = "";
    if (chance_below(rand, 2))
        name_of(after, (int)chance_below(rand, MODEL_IDS));
    got.count = got.stop_after = 0;
    reco_status status = b->backend->scan(b->stores[0], kind, str_of(after), limit, take, &got, NULL, &b->err);
    NEED(status == RECO_OK, "scan: %s", b->err.text);
    memcpy(expected, after, sizeof expected);
    for (size_t i = 0; i <= got.count; i++) { /* the next of the model, by search */
        char next[8] = "~";
        for (int id = 0; id < MODEL_IDS; id++) {
            char name[8];
            name_of(name, id);
            if (m->at[kind][id].there && strcmp(name, expected) > 0 && strcmp(name, next) < 0)
                memcpy(next, name, sizeof next);
        }
        if (i == got.count) {
            NEED(next[0] == '~' || got.count == limit, "scan of kind %u ended before %s", kind, next);
            break;
        }
        NEED(i < limit && strcmp(next, got.at[i].id) == 0, "scan of kind %u told %s, the model %s", kind, got.at[i].id, next);
        NEED(got.at[i].sequence == m->at[kind][id_of(next)].sequence, "scan told a wrong sequence for %s", next);
        NEED(strcmp(got.at[i].document, m->at[kind][id_of(next)].document) == 0, "scan told a wrong document for %s", next);
        memcpy(expected, next, sizeof expected);
    }
    return NULL;
}

static const char *random_changes(bench *b, const model *m, chance *rand) {
    static told got;
    uint64_t since = m->newest - chance_below(rand, m->newest < 40 ? m->newest + 1 : 40), newest = 0;
    uint32_t limit = (uint32_t)chance_below(rand, 50);
    got.count = got.stop_after = 0;
    reco_status status = b->backend->changes(&newest, b->stores[0], since, limit, take, &got, NULL, &b->err);
    NEED(status == RECO_OK && newest == m->newest, "changes: %s, newest %llu", reco_status_name(status), (unsigned long long)newest);
    size_t at = 0;
    for (uint64_t i = since; i < m->newest && at < limit; i++) {
        uint32_t kind = m->log[i].kind;
        int id = m->log[i].id;
        char name[8];
        if (kind == RECO_RECORD_KEY)
            continue;
        name_of(name, id);
        NEED(at < got.count && got.at[at].sequence == i + 1 && got.at[at].kind == kind && strcmp(got.at[at].id, name) == 0,
             "change %llu of %s is told wrongly", (unsigned long long)i + 1, name);
        NEED(strcmp(got.at[at].document, m->at[kind][id].document) == 0, "change %llu tells %s", (unsigned long long)i + 1, got.at[at].document);
        at++;
    }
    NEED(at == got.count, "%zu changes were told, the model has %zu", got.count, at);
    return NULL;
}

static const char *check_random(bench *b) {
    static model m;
    chance rand;
    memset(&m, 0, sizeof m);
    chance_seed(&rand, 20260131);
    for (int i = 0; i < 3000; i++) {
        uint64_t what = chance_below(&rand, 10);
        if (what == 9 && b->subject->keeps && chance_below(&rand, 20) == 0) {
            close_store(b, 0);
            PASS(open_store(b, 0, "test", 0));
        }
        PASS(what < 3   ? random_change(b, &m, &rand)
             : what < 6 ? random_find(b, &m, &rand)
             : what < 8 ? random_scan(b, &m, &rand)
                        : random_changes(b, &m, &rand));
    }
    return NULL;
}

static void count_stat(void *context, const char *name, uint64_t value) {
    (void)value;
    *(int *)context += name && *name;
}

static const char *check_stats(bench *b) {
    int count = 0;
    PASS(put(b, RECO_RECORD_ITEM, "a", "{}"));
    NEED(b->backend->stats(b->stores[0], count_stat, &count, NULL, &b->err) == RECO_OK, "stats: %s", b->err.text);
    NEED(count > 0, "stats tells nothing");
    return NULL;
}

/* --- running ------------------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *(*run)(bench *b);
} checks[] = {{"put_find_delete", check_put_find_delete},
              {"kinds_are_apart", check_kinds_are_apart},
              {"namespaces_are_apart", check_namespaces_are_apart},
              {"if_absent", check_if_absent},
              {"if_sequence", check_if_sequence},
              {"batch_in_order", check_batch_in_order},
              {"all_or_none", check_all_or_none},
              {"scan", check_scan},
              {"sequences", check_sequences},
              {"changes", check_changes},
              {"keys_are_not_told", check_keys_are_not_told},
              {"log_is_trimmed", check_log_is_trimmed},
              {"sizes", check_sizes},
              {"reopen", check_reopen},
              {"threads", check_threads},
              {"no_lost_update", check_no_lost_update},
              {"random", check_random},
              {"stats", check_stats}};
const size_t records_check_count = sizeof checks / sizeof *checks;

const char *records_check_name(size_t i) { return checks[i].name; }

static const char *run_on(bench *b, size_t i) {
    PASS(open_store(b, 0, "test", 0));
    return checks[i].run(b);
}

const char *records_run(const records_subject *subject, const char *name, char *room, size_t size) {
    bench b = {.subject = subject, .backend = subject->backend, .err = RECO_ERROR_INIT, .room = room, .size = size};
    const char *failed = "there is no such check";
    test_dir_make(b.folder);
    const char *folder = strstr(subject->url, "%s");
    snprintf(b.url, sizeof b.url, "%.*s%s%s", folder ? (int)(folder - subject->url) : 255, subject->url, folder ? b.folder : "",
             folder ? folder + 2 : "");
    for (size_t i = 0; i < records_check_count; i++)
        if (strcmp(checks[i].name, name) == 0)
            failed = run_on(&b, i);
    for (int i = 0; i < STORES_MAX; i++)
        close_store(&b, i);
    test_dir_remove(b.folder);
    return failed;
}
