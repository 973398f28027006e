#include "evaluate/moments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <reco/admin.h>

#include "evaluate/resample.h"
#include "http/options.h"

#define DAY_MS INT64_C(86400000)

/* Drawing by a reservoir (Vitter: Random Sampling with a Reservoir, ACM TOMS 1985, algorithm R). */
typedef struct drawing {
    evaluate_moments *out;
    reco_engine *engine;
    size_t most, room;
    uint64_t seed;
    reco_status status;
    reco_error *err;
    bool over; /* the stream is past the end */
} drawing;

static bool weighs(const drawing *d, const char *type) {
    char name[128], value[32] = "";
    snprintf(name, sizeof name, "event_types.%s.weight", type);
    return reco_setting_get(value, sizeof value, d->engine, name, NULL) == RECO_OK && strtol(value, NULL, 10) > 0;
}

static bool reserve(drawing *d) {
    if (d->out->count < d->room)
        return true;
    size_t room = d->room ? d->room * 2 : 256;
    evaluate_moment *list = realloc(d->out->list, room * sizeof *list);
    if (!list)
        return false;
    d->out->list = list;
    d->room = room;
    return true;
}

static reco_status keep(drawing *d, reco_str user, int64_t at) {
    evaluate_moments *out = d->out;
    size_t place = out->met < d->most ? out->count : evaluate_random_below(&d->seed, (size_t)out->met + 1);
    out->met++;
    if (place >= d->most)
        return RECO_OK;
    if (!reserve(d))
        return options_no_memory(d->err);
    reco_status status = evaluate_names_add(&out->list[place].user, &out->users, user, d->err);
    out->list[place].at = at > 1 ? at - 1 : 1;
    out->count += place == out->count;
    return status;
}

/* A line of the export; all but events of the time wanted are told apart without a parser. */
static reco_status take_line(drawing *d, const char *line, size_t size) {
    static const char event[] = "{\"type\":\"event\"", received[] = "\"received_at\":";
    if (size < sizeof event - 1 || memcmp(line, event, sizeof event - 1) != 0)
        return RECO_OK;
    const char *found = memmem(line, size, received, sizeof received - 1);
    int64_t at = found ? strtoll(found + sizeof received - 1, NULL, 10) : 0;
    d->over = at >= d->out->to;
    if (at < d->out->from || d->over)
        return RECO_OK;
    json_t *root = json_loadb(line, size, JSON_ALLOW_NUL, NULL);
    const char *type = json_string_value(json_object_get(root, "event_type"));
    json_t *user = json_object_get(root, "user_id");
    reco_status status = RECO_OK;
    if (type && user && !json_is_true(json_object_get(root, "undo")) && weighs(d, type))
        status = keep(d, (reco_str){json_string_value(user), json_string_length(user)}, at);
    json_decref(root);
    return status;
}

static int take_lines(void *context, const char *text, size_t size) {
    drawing *d = context;
    const char *at = text, *end = text + size, *stop;
    for (; d->status == RECO_OK && !d->over && at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1)
        d->status = take_line(d, at, (size_t)(stop - at));
    return d->status != RECO_OK || d->over;
}

/* The newest moment that was learned. */
static reco_status newest(int64_t *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_popular_query query = {.struct_size = sizeof query, .limit = 1};
    reco_answer *answer = NULL;
    reco_status status = reco_popular(&answer, engine, &query, call, err);
    *out = status == RECO_OK ? answer->as_of : 0;
    reco_answer_free(answer);
    return status;
}

static reco_status bound(evaluate_moments *out, reco_engine *engine, int64_t from, int64_t to, const reco_call *call, reco_error *err) {
    int64_t last = 0;
    reco_status status = from == 0 && to == 0 ? newest(&last, engine, call, err) : RECO_OK;
    out->to = to != 0 ? to : from != 0 ? from + DAY_MS : last + 1;
    out->from = from != 0 ? from : out->to > DAY_MS ? out->to - DAY_MS : 0;
    return status == RECO_OK && out->from >= out->to ? options_fail(err, RECO_INVALID, "--to", "must be after --from") : status;
}

static int by_time(const void *a, const void *b) {
    const evaluate_moment *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->user > y->user) - (x->user < y->user);
}

reco_status evaluate_moments_draw(evaluate_moments *out, reco_engine *engine, int64_t from, int64_t to, size_t most, uint64_t seed,
                                  const reco_call *call, reco_error *err) {
    drawing d = {.out = out, .engine = engine, .most = most, .seed = seed, .err = err};
    reco_error stopped = RECO_ERROR_INIT;
    *out = (evaluate_moments){.count = 0};
    reco_status status = bound(out, engine, from, to, call, err);
    if (status != RECO_OK)
        return status;
    status = reco_export(NULL, engine, take_lines, &d, call, &stopped);
    if (d.status != RECO_OK)
        return d.status;
    if (status == RECO_CANCELLED && d.over)
        status = RECO_OK;
    if (status != RECO_OK && err)
        *err = stopped;
    if (out->count > 0)
        qsort(out->list, out->count, sizeof *out->list, by_time);
    return status;
}

void evaluate_moments_dispose(evaluate_moments *moments) {
    evaluate_names_dispose(&moments->users);
    free(moments->list);
    *moments = (evaluate_moments){.count = 0};
}
