/* records/postgres/change.c - changes, as arrays for one call of reco.change() (infra/postgres/migrations).
 *
 * Whether a change does something depends on whether its record is there. The server knows that of the first change of a record in a call; of the
 * later ones we know it here: after a put the record is there, after a delete it is not. So each change is sent with what it depends on, those that
 * certainly do nothing are not sent, and of several documents of one record only the one that remains is. What a record must be at (IF_SEQUENCE) goes
 * with the first change of it, whichever asks for it: the server compares before it changes anything. */
#include "records/postgres/internal.h"

enum { ALWAYS = 1, IF_THERE = 2, IF_MISSING = 3, REMAINS = 4 };
enum { ID_MAX = 256 };

#define ANY_SEQUENCE (-1)

typedef struct step {
    uint32_t index; /* into the caller's changes */
    uint32_t mode;
    int64_t sequence; /* the record must be at, or ANY_SEQUENCE */
} step;

typedef struct fate {
    uint32_t first, last; /* steps that change the record */
    bool there;           /* after them */
} fate;

/* What is worked out before anything is sent. */
typedef struct plan {
    const reco_record_change *changes;
    reco__map records;
    step *steps;
    fate *fates; /* by number of the map */
    size_t count;
} plan;

/* 0: does nothing. */
static uint32_t mode_of(const reco_record_change *change, bool first, bool there) {
    bool removes = change->document.data == NULL, absent = change->flags & RECO_RECORD_IF_ABSENT;
    if (!removes && !absent)
        return ALWAYS;
    if (first)
        return removes ? IF_THERE : IF_MISSING;
    return there == removes ? ALWAYS : 0;
}

/* What the step asks of its record. No sequence goes beyond what the server can count to, so one that does matches none. */
static reco_status expect(step *s, const reco_record_change *change, uint32_t index, reco_error *err) {
    int64_t wanted = change->sequence < INT64_MAX ? (int64_t)change->sequence : INT64_MAX;
    if (!(change->flags & RECO_RECORD_IF_SEQUENCE))
        return RECO_OK;
    if (s->sequence != ANY_SEQUENCE && s->sequence != wanted)
        return reco__fail_at(err, RECO_CONFLICT, (int32_t)index, "sequence", "two changes of the record expect it at different ones");
    s->sequence = wanted;
    return RECO_OK;
}

static reco_status plan_one(plan *p, uint32_t index, reco_error *err) {
    const reco_record_change *change = &p->changes[index];
    char key[1 + ID_MAX];
    bool first;
    if (change->id.size > ID_MAX)
        return reco__fail_at(err, RECO_TOO_LARGE, (int32_t)index, "id", "%zu bytes, at most %d are allowed", change->id.size, ID_MAX);
    key[0] = (char)change->kind;
    memcpy(key + 1, change->id.data, change->id.size);
    uint32_t record = reco__map_put(&p->records, key, 1 + change->id.size, &first);
    if (record == RECO__MAP_NONE)
        return reco__no_memory(err);
    fate *of = &p->fates[record];
    uint32_t mode = mode_of(change, first, !first && of->there);
    if (mode != 0) {
        if (first)
            of->first = (uint32_t)p->count;
        else
            p->steps[of->last].mode &= ~(uint32_t)REMAINS;
        of->last = (uint32_t)p->count;
        of->there = change->document.data != NULL;
        p->steps[p->count++] = (step){index, mode | REMAINS, ANY_SEQUENCE};
    }
    return expect(&p->steps[of->first], change, index, err);
}

static reco_status make_plan(plan *p, const reco_record_change *changes, size_t count, reco_error *err) {
    *p = (plan){.changes = changes, .steps = reco__alloc_array(count, sizeof(step)), .fates = reco__alloc_array(count, sizeof(fate))};
    reco_status status = p->steps && p->fates ? RECO_OK : reco__no_memory(err);
    for (size_t i = 0; i < count && status == RECO_OK; i++)
        status = plan_one(p, (uint32_t)i, err);
    return status;
}

static void dispose_plan(plan *p) {
    reco__map_dispose(&p->records);
    reco__release(p->steps);
    reco__release(p->fates);
}

/* --- the arrays -------------------------------------------------------------------------------------------------------------------------- */

typedef struct arrays {
    reco__buf kinds, modes, ids, documents, sequences;
} arrays;

static reco_status fill(arrays *to, const plan *p, reco_error *err) {
    static const reco_str none = {NULL, 0};
    reco__postgres_array(&to->kinds, RECO__POSTGRES_INT2, p->count, false);
    reco__postgres_array(&to->modes, RECO__POSTGRES_INT2, p->count, false);
    reco__postgres_array(&to->ids, RECO__POSTGRES_TEXT, p->count, false);
    reco__postgres_array(&to->documents, RECO__POSTGRES_TEXT, p->count, true);
    reco__postgres_array(&to->sequences, RECO__POSTGRES_INT8, p->count, true);
    for (size_t i = 0; i < p->count; i++) {
        const step *s = &p->steps[i];
        const reco_record_change *change = &p->changes[s->index];
        reco__postgres_put_int2(&to->kinds, change->kind);
        reco__postgres_put_int2(&to->modes, s->mode);
        reco__postgres_put_text(&to->ids, change->id);
        reco__postgres_put_text(&to->documents, s->mode & REMAINS ? change->document : none);
        if (s->sequence == ANY_SEQUENCE)
            reco__postgres_put_null(&to->sequences);
        else
            reco__postgres_put_int8(&to->sequences, s->sequence);
    }
    reco_status status = RECO_OK;
    const reco__buf *const all[] = {&to->kinds, &to->modes, &to->ids, &to->documents, &to->sequences};
    for (size_t i = 0; i < sizeof all / sizeof *all && status == RECO_OK; i++)
        status = reco__postgres_array_status(all[i], "changes", err);
    return status;
}

static void dispose_arrays(arrays *a) {
    reco__buf_dispose(&a->kinds);
    reco__buf_dispose(&a->modes);
    reco__buf_dispose(&a->ids);
    reco__buf_dispose(&a->documents);
    reco__buf_dispose(&a->sequences);
}

/* --- the call ----------------------------------------------------------------------------------------------------------------------------- */

static int take_newest(void *context, const PGresult *result, int row) {
    uint64_t *to = context;
    reco__postgres_number(to, result, row, 0);
    return 0;
}

reco_status reco__postgres_change(uint64_t *last_sequence, reco_records_store *store, const reco_record_change *changes, size_t count,
                                  const reco_call *call, reco_error *err) {
    if (count == 0)
        return reco__postgres_newest(last_sequence, store, call, err);
    plan p;
    arrays sent = {0};
    uint64_t newest = 0;
    reco__postgres_params params = {.count = 0};
    reco_status status = make_plan(&p, changes, count, err);
    if (status == RECO_OK)
        status = fill(&sent, &p, err);
    if (status == RECO_OK) {
        reco__postgres_add_text(&params, store->space);
        reco__postgres_add_binary(&params, &sent.kinds);
        reco__postgres_add_binary(&params, &sent.modes);
        reco__postgres_add_binary(&params, &sent.ids);
        reco__postgres_add_binary(&params, &sent.documents);
        reco__postgres_add_number(&params, store->most_bytes);
        reco__postgres_add_binary(&params, &sent.sequences);
        status = reco__postgres_run(store, RECO__POSTGRES_CHANGE, &params, take_newest, &newest, call, err);
    }
    dispose_arrays(&sent);
    dispose_plan(&p);
    if (status == RECO_OK)
        *last_sequence = newest;
    return status;
}
