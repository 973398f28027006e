/* engine/rewind.c - questions about moments that lie behind, each answered for the user as they were then.
 *
 * A cell says how a user is now. What it was is derived again from the stream, for those who are asked about and nobody else: the records go by in
 * the order of time (walk.h), and before the first one that is newer than a question's moment that question is asked. What the derivation would add
 * for others is thrown away.
 *
 * Items of which the stream has no event yet at a moment are left out of its answers. Once the stream was trimmed, an item without an event may have
 * had some that are gone; so all of the stream is gone through before, to know which items it shows for the first time later on, and popularity by
 * days is asked which of them there was something of before (shown.h).
 *
 * What it does not do: take back what others have taught since. Rows of co-view and the catalogue are as they are now, and of popularity there is
 * what is kept: questions whose windows reach further back are counted. */
#include "engine/shown.h"
#include "engine/walk.h"

#include <stdlib.h>

#include "recommend/popularity.h"

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
    reco__shown shown;
    int64_t asked;     /* the moment of the question under way */
    int64_t begun;     /* what is older is not in the stream, and never was; 0: it was dropped */
    int64_t low, high; /* the earliest and the newest clock of what is learned now */
    uint64_t gone[2];  /* answers whose window of popularity by hours, by days reaches back to what is not kept */
    uint64_t epoch;    /* the numbers hold for */
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

static bool had(void *context, uint32_t item) {
    rewinding *r = context;
    return reco__shown_before(&r->shown, item, r->asked);
}

static reco_status derive(rewinding *r, const reco__walk_step *step, uint32_t met, reco_error *err) {
    const reco_event *event = &step->record->event;
    uint32_t at = reco__map_find(&r->people, event->user_id.data, event->user_id.size), item = RECO_NO_ITEM;
    int outcome;
    if (at == RECO__MAP_NONE)
        return RECO_OK;
    reco_status status = reco__shown_number(&item, &r->shown, met, event->item_id, r->call, err);
    if (status != RECO_OK || item == RECO_NO_ITEM)
        return status;
    if (r->added++ % ADDS_KEPT == 0)
        reco__adds_reset(r->adds);
    r->derived++;
    return reco__learn_derive(&outcome, &r->cells[at], r->adds, &r->engine->rules, step->record, item, step->clock, err);
}

static reco_status pass(rewinding *r, const reco__walk_step *step, reco_error *err) {
    uint32_t met;
    r->then[step->partition] = (reco_position){.offset = step->next, .clock = step->clock};
    if (step->record->type != RECO__RECORD_EVENT)
        return RECO_OK;
    reco_status status = reco__shown_meet(&met, &r->shown, step->record->event.item_id, step->clock, err);
    return status == RECO_OK ? derive(r, step, met, err) : status;
}

/* --- going by ------------------------------------------------------------------------------------------------------------------------------ */

static void count_gone(rewinding *r) {
    static const uint32_t boards[] = {RECO_BOARD_HOURS, RECO_BOARD_DAYS};
    for (size_t i = 0; i < 2; i++)
        r->gone[i] += reco__popularity_gone(&r->engine->settings, &r->engine->rules.boards, boards[i], r->asked, r->begun, r->low);
}

static reco_status ask(rewinding *r, size_t index, reco_error *err) {
    const reco__past past = {load, had, r};
    reco_error error = RECO_ERROR_INIT;
    r->asked = r->queries[index].as_of;
    reco_status status = reco__engine_ask_past(&r->answer, r->engine, &r->queries[index], &past, r->call, &error);
    if (status == RECO_OK || reco__engine_is_its_own(status)) {
        r->answered += status == RECO_OK;
        if (status == RECO_OK)
            count_gone(r);
        return tell(r, index, status, &error);
    }
    return reco__fail_as(err, &error);
}

static reco_status go_by(rewinding *r, reco__walk *walk, reco_error *err) {
    reco__walk_step step;
    reco_status status = RECO_OK;
    for (size_t next = 0; next < r->count && status == RECO_OK && !r->stopped;) {
        status = reco__walk_next(&step, walk, err);
        while (status == RECO_OK && next < r->count && !r->stopped && (!step.record || step.clock > r->queries[r->order[next]].as_of))
            status = ask(r, r->order[next++], err);
        if (status == RECO_OK && step.record && next < r->count && !r->stopped)
            status = pass(r, &step, err);
    }
    return status;
}

/* All of the stream, for what it shows at all. */
static reco_status look_ahead(rewinding *r, reco__walk *walk, reco_error *err) {
    reco__walk_step step = {.record = NULL};
    uint32_t met;
    reco_status status = reco__walk_next(&step, walk, err);
    while (status == RECO_OK && step.record) {
        if (step.record->type == RECO__RECORD_EVENT)
            status = reco__shown_meet(&met, &r->shown, step.record->event.item_id, step.clock, err);
        if (status == RECO_OK)
            status = reco__walk_next(&step, walk, err);
    }
    reco__walk_dispose(walk);
    return status == RECO_OK ? reco__walk_begin(walk, r->engine, "going back", r->call, err) : status;
}

static void read_clocks(rewinding *r, const reco_position *now) {
    for (uint32_t p = 0; p < r->engine->partitions; p++) {
        r->low = p == 0 || now[p].clock < r->low ? now[p].clock : r->low;
        r->high = now[p].clock > r->high ? now[p].clock : r->high;
    }
}

/* Of a stream that was trimmed: what else tells which items were there. */
static reco_status know_items(rewinding *r, reco__walk *walk, const reco_position *now, reco_error *err) {
    reco_status status = reco__shown_open(&r->shown, r->engine->features, r->engine->settings.max_items, walk->missing > 0, err);
    if (status != RECO_OK || !walk->missing)
        return status;
    status = reco__shown_look_back(&r->shown, reco__walk_dropped(walk, now), r->low, r->call, err);
    return status == RECO_OK ? look_ahead(r, walk, err) : status;
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
    if (status != RECO_OK)
        return status;
    read_clocks(r, now);
    r->begun = walk->missing ? 0 : reco__walk_clock(walk);
    status = know_items(r, walk, now, err);
    return status == RECO_OK ? go_by(r, walk, err) : status;
}

static void dispose(rewinding *r) {
    for (size_t i = 0; r->cells && i < r->people.count; i++)
        reco__cell_dispose(&r->cells[i]);
    reco__release(r->cells);
    reco__release(r->queries);
    reco__release(r->order);
    reco__shown_dispose(&r->shown);
    reco__map_dispose(&r->people);
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
        *out = (reco_rewind_result){.struct_size = out->struct_size,
                                    .answers = r.answered,
                                    .events = r.derived,
                                    .missing = walk.missing,
                                    .learned = r.high,
                                    .hours_gone = r.gone[0],
                                    .days_gone = r.gone[1]};
    reco__walk_dispose(&walk);
    dispose(&r);
    return status;
}
