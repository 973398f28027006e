/* engine/rewind.c - questions about moments that lie behind, each answered for the user as they were then.
 *
 * A cell says how a user is now. What it was is derived again from the stream, for those who are asked about and nobody else: the records go by in
 * the order of time (walk.h), and before the first one that is not older than a question's moment that question is asked. What the derivation would
 * add for others is thrown away.
 *
 * What it does not do: take back what others have taught since. Rows of co-view and the catalogue are as they are now. */
#include "engine/walk.h"

#include <stdlib.h>

#define ADDS_KEPT 4096u /* events whose additions are collected before they are thrown away */

typedef struct rewinding {
    reco_engine *engine;
    const reco_call *call;
    reco_query *queries;
    size_t *order; /* questions by their moments */
    size_t count;
    reco_answer_sink sink;
    void *context;
    bool stopped;      /* the sink has enough */
    reco__map people;  /* ids of whom is asked about, and their aliases */
    reco__cell *cells; /* by index in people */
    reco__map items;   /* names met in their events */
    uint32_t *numbers; /* by index in items */
    size_t number_room;
    uint64_t epoch; /* the numbers hold for */
    reco_position then[RECO_PARTITIONS_MAX];
    reco__adds *adds;
    uint32_t added;
    reco__buf cell;
    reco_answer *answer;
    uint64_t derived, answered;
} rewinding;

/* --- the questions ------------------------------------------------------------------------------------------------------------------------- */

static reco_status check(const reco_query *query, reco_error *err) {
    reco_status status = reco__check_id(query->user_id, -1, "user_id", err);
    if (status == RECO_OK && (query->as_of <= 0 || query->as_of > RECO__TIME_MAX))
        return reco__fail(err, RECO_INVALID, "as_of", "a moment from 1970 to 9999 is needed");
    if (status == RECO_OK && query->min_position.size > 0)
        return reco__fail(err, RECO_INVALID, "min_position", "nobody waits for what lies behind");
    if (status == RECO_OK && query->wait_ms > 0)
        return reco__fail(err, RECO_INVALID, "wait_ms", "nobody waits for what lies behind");
    return status;
}

static reco_status tell(rewinding *r, size_t index, reco_status status, const reco_error *error) {
    r->stopped = r->sink(r->context, index, status, status == RECO_OK ? r->answer : NULL, status == RECO_OK ? NULL : error) != 0;
    return RECO_OK;
}

/* Whoever is asked about gets a place for a cell, under every id. */
static reco_status want(rewinding *r, reco_str user, reco_error *err) {
    reco__person person = {.count = 0};
    uint32_t partition = reco__stream_partition(r->engine->stream, user.data, user.size);
    reco_status status = reco__recommend_person(&person, r->engine->recommend, user, partition, r->call, err);
    for (size_t i = 0; i < person.count && status == RECO_OK; i++)
        if (reco__map_put(&r->people, person.ids[i].data, person.ids[i].size, NULL) == RECO__MAP_NONE)
            status = reco__no_memory(err);
    reco__person_dispose(&person);
    return status;
}

static int by_moment(const void *a, const void *b, void *context) {
    const reco_query *queries = context;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    if (queries[i].as_of != queries[k].as_of)
        return queries[i].as_of < queries[k].as_of ? -1 : 1;
    return i < k ? -1 : i > k;
}

/* Copies the questions; those that are not valid are told of at once. */
static reco_status read_questions(rewinding *r, const reco_query *queries, size_t count, size_t query_size, reco_error *err) {
    reco_status status = RECO_OK;
    r->queries = reco__alloc_array(count, sizeof *r->queries);
    r->order = reco__alloc_array(count, sizeof *r->order);
    if (count > 0 && (!r->queries || !r->order))
        return reco__no_memory(err);
    for (size_t i = 0; i < count && status == RECO_OK && !r->stopped; i++) {
        reco_error error = RECO_ERROR_INIT;
        reco_query *query = &r->queries[i];
        status = reco__struct_copy(query, sizeof *query, (const char *)queries + i * query_size, query_size, "query", err);
        if (status != RECO_OK)
            break;
        query->struct_size = sizeof *query;
        reco_status own = check(query, &error);
        if (own == RECO_OK) {
            r->order[r->count++] = i;
            status = want(r, query->user_id, err);
        } else
            status = tell(r, i, own, &error);
    }
    if (r->count > 0)
        qsort_r(r->order, r->count, sizeof *r->order, by_moment, r->queries);
    return status;
}

/* --- the past ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status load(reco_position *position, uint64_t *epoch, void *context, uint32_t partition, const reco_str *users, size_t count,
                        reco_features_sink sink, void *sink_context, const reco_call *call, reco_error *err) {
    rewinding *r = context;
    reco_position now;
    reco_status status = reco__features_load(&now, epoch, r->engine->features, partition, NULL, 0, NULL, NULL, call, err);
    if (status == RECO_OK && *epoch != r->epoch)
        return reco__fail(err, RECO_STALE, NULL, "what was learned was replaced meanwhile");
    *position = r->then[partition];
    for (size_t i = 0; i < count && status == RECO_OK; i++) {
        uint32_t at = reco__map_find(&r->people, users[i].data, users[i].size);
        if (at == RECO__MAP_NONE)
            continue;
        reco__buf_reset(&r->cell);
        reco__cell_encode(&r->cell, &r->cells[at]);
        status = reco__buf_status(&r->cell, err);
        if (status == RECO_OK && r->cell.size > 0)
            sink(sink_context, i, r->cell.data, r->cell.size);
    }
    return status;
}

/* The number of an item, RECO_NO_ITEM for one that was not learned yet. */
static reco_status number_of(uint32_t *out, rewinding *r, reco_str item, reco_error *err) {
    bool added;
    uint32_t at = reco__map_put(&r->items, item.data, item.size, &added);
    if (at == RECO__MAP_NONE)
        return reco__no_memory(err);
    if (!added) {
        *out = r->numbers[at];
        return RECO_OK;
    }
    if (at >= r->number_room) {
        size_t room = r->number_room ? r->number_room * 2 : 1024;
        uint32_t *numbers = reco__realloc_array(r->numbers, room, sizeof *numbers);
        if (!numbers)
            return reco__no_memory(err);
        r->numbers = numbers;
        r->number_room = room;
    }
    r->numbers[at] = RECO_NO_ITEM;
    reco_status status = reco__features_find_items(&r->numbers[at], r->engine->features, &item, 1, r->call, err);
    *out = r->numbers[at];
    return status;
}

static reco_status derive(rewinding *r, const reco__walk_step *step, reco_error *err) {
    const reco_event *event = &step->record->event;
    uint32_t at = step->record->type == RECO__RECORD_EVENT ? reco__map_find(&r->people, event->user_id.data, event->user_id.size) : RECO__MAP_NONE;
    uint32_t item = RECO_NO_ITEM;
    int outcome;
    if (at == RECO__MAP_NONE)
        return RECO_OK;
    reco_status status = number_of(&item, r, event->item_id, err);
    if (status != RECO_OK || item == RECO_NO_ITEM)
        return status;
    if (r->added++ % ADDS_KEPT == 0)
        reco__adds_reset(r->adds);
    r->derived++;
    return reco__learn_derive(&outcome, &r->cells[at], r->adds, &r->engine->rules, step->record, item, step->clock, err);
}

/* --- going by ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status ask(rewinding *r, size_t index, reco_error *err) {
    const reco__past past = {load, r};
    reco_error error = RECO_ERROR_INIT;
    reco_status status = reco__engine_ask_past(&r->answer, r->engine, &r->queries[index], &past, r->call, &error);
    if (status == RECO_OK || reco__engine_is_its_own(status)) {
        r->answered += status == RECO_OK;
        return tell(r, index, status, &error);
    }
    return reco__fail_as(err, &error);
}

static reco_status go_by(rewinding *r, reco__walk *walk, reco_error *err) {
    reco__walk_step step;
    reco_status status = RECO_OK;
    for (size_t next = 0; next < r->count && status == RECO_OK && !r->stopped;) {
        status = reco__walk_next(&step, walk, err);
        while (status == RECO_OK && next < r->count && !r->stopped && (!step.record || step.clock >= r->queries[r->order[next]].as_of))
            status = ask(r, r->order[next++], err);
        if (status == RECO_OK && step.record && next < r->count && !r->stopped) {
            r->then[step.partition] = (reco_position){.offset = step.next, .clock = step.clock};
            status = derive(r, &step, err);
        }
    }
    return status;
}

static reco_status rewind_all(rewinding *r, reco__walk *walk, reco_error *err) {
    reco_position now[RECO_PARTITIONS_MAX];
    r->cells = reco__zalloc((r->people.count + 1) * sizeof *r->cells);
    r->adds = reco__adds_create();
    if (!r->cells || !r->adds)
        return reco__no_memory(err);
    reco_status status = reco__features_positions(now, &r->epoch, r->engine->features, r->call, err);
    if (status == RECO_OK)
        status = reco__walk_begin(walk, r->engine, "going back", r->call, err);
    return status == RECO_OK ? go_by(r, walk, err) : status;
}

static void dispose(rewinding *r) {
    for (size_t i = 0; r->cells && i < r->people.count; i++)
        reco__cell_dispose(&r->cells[i]);
    reco__release(r->cells);
    reco__release(r->queries);
    reco__release(r->order);
    reco__release(r->numbers);
    reco__map_dispose(&r->people);
    reco__map_dispose(&r->items);
    reco__adds_free(r->adds);
    reco__buf_dispose(&r->cell);
    reco__answer_free(r->answer);
}

reco_status reco_rewind(reco_rewind_result *out, reco_engine *engine, const reco_query *queries, size_t count, size_t query_size,
                        reco_answer_sink sink, void *context, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK && (!sink || (count > 0 && !queries)))
        status = reco__fail(err, RECO_INVALID, sink ? "queries" : "sink", "it is needed");
    if (status != RECO_OK)
        return status;
    rewinding r = {.engine = engine, .call = call, .sink = sink, .context = context};
    reco__walk walk = {0};
    status = read_questions(&r, queries, count, query_size, err);
    if (status == RECO_OK && r.count > 0 && !r.stopped)
        status = rewind_all(&r, &walk, err);
    if (status == RECO_OK && out)
        *out = (reco_rewind_result){.struct_size = out->struct_size, .answers = r.answered, .events = r.derived, .missing = walk.missing};
    reco__walk_dispose(&walk);
    dispose(&r);
    return status;
}
