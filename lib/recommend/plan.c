/* recommend/plan.c - the plan, from settings: built-in stages first, then those the application names, each kind in order. Everything that can be
 * wrong with it is found here. */
#include <math.h>

#include "recommend/plan.h"

#define PLAN_VERSION 1 /* raised when the built-in stages come to answer differently */

static const struct {
    uint32_t kind;
    const char *name;
    reco_status (*run)(reco_candidates *, const reco_call *, reco_error *);
} built_in[] = {{RECO_STAGE_SOURCE, "coview", reco__source_coview},   {RECO_STAGE_SOURCE, "revisit", reco__source_revisit},
                {RECO_STAGE_SOURCE, "popular", reco__source_popular}, {RECO_STAGE_FILTER, "seen", reco__filter_seen},
                {RECO_STAGE_FILTER, "hidden", reco__filter_hidden},   {RECO_STAGE_FILTER, "availability", reco__filter_availability},
                {RECO_STAGE_RANKER, "hybrid", reco__ranker_hybrid},   {RECO_STAGE_ARRANGER, "top", reco__arranger_top}};

static bool takes_part(const char *name, const reco__settings *settings) {
    if (strcmp(name, "revisit") == 0) {
        return settings->revisit > 0 && !settings->filter_seen;
    }
    if (strcmp(name, "seen") == 0) {
        return settings->filter_seen;
    }
    return strcmp(name, "availability") != 0 || settings->filter_availability;
}

/* --- the application's stages: name{options},name ... ---------------------------------------------------------------------------------------------
 */

/* Bytes of the JSON object that `text` begins with; 0 when it does not end. */
static size_t object_size(const char *text) {
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; text[i]; i++) {
        if (quoted && text[i] == '\\' && text[i + 1]) {
            i++;
        } else if (quoted) {
            quoted = text[i] != '"';
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{') {
            depth++;
        } else if (text[i] == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

typedef struct wanted {
    const char *name;
    size_t name_size;
    reco_str options;
} wanted;

/* The next stage named; false at the end, or with err filled and *status set. */
static bool next_wanted(wanted *out, const char **at, reco_status *status, reco_error *err) {
    *at += strspn(*at, " ,\t\n");
    if (**at == '\0') {
        return false;
    }
    *out = (wanted){.name = *at, .name_size = strcspn(*at, " ,\t\n{")};
    *at += out->name_size;
    if (**at == '{') {
        out->options = (reco_str){*at, object_size(*at)};
        *at += out->options.size;
        if (out->options.size == 0) {
            *status = reco__fail(err, RECO_INVALID, "recommend.stages", "the options of %.*s do not end", (int)out->name_size, out->name);
            return false;
        }
    }
    return true;
}

static reco_status add_own(reco__plan *plan, const wanted *w, const reco_call *call, reco_error *err) {
    reco__stage *stage = &plan->stages[plan->count];

    for (uint32_t i = 0; i < plan->count; i++) {
        if (strlen(plan->stages[i].name) == w->name_size && memcmp(plan->stages[i].name, w->name, w->name_size) == 0) {
            return reco__fail(err, RECO_INVALID, "recommend.stages", "%.*s takes part already", (int)w->name_size, w->name);
        }
    }
    if (plan->count == RECO__STAGES_MAX) {
        return reco__fail(err, RECO_INVALID, "recommend.stages", "at most %u stages", RECO__STAGES_MAX);
    }
    if (!reco__stage_find(&stage->backend, w->name, w->name_size)) {
        return reco__fail(err, RECO_INVALID, "recommend.stages", "no stage %.*s is registered", (int)w->name_size, w->name);
    }
    reco_status status = stage->backend.create(&stage->own, w->options, call, err);
    if (status == RECO_OK) {
        stage->kind = stage->backend.kind;
        stage->name = stage->backend.name;
        plan->own = true;
        plan->count++;
    }
    return status;
}

static reco_status add_stages(reco__plan *plan, const reco__settings *settings, const reco_call *call, reco_error *err) {
    const char *at = settings->stages;
    reco_status status = RECO_OK;
    wanted w;

    for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++) {
        if (takes_part(built_in[i].name, settings)) {
            reco__stage *stage = &plan->stages[plan->count++];
            stage->kind = built_in[i].kind;
            stage->name = built_in[i].name;
            stage->run = built_in[i].run;
        }
    }
    while (status == RECO_OK && next_wanted(&w, &at, &status, err)) {
        status = add_own(plan, &w, call, err);
    }
    return status;
}

/* --- the plan ----------------------------------------------------------------------------------------------------------------------------------- */

static reco_status weigh_ranks(reco__plan *plan, const reco__settings *settings, reco_error *err) {
    plan->recents = settings->recents;
    plan->recency = reco__alloc_array(settings->recents, sizeof(*plan->recency));
    for (uint32_t k = 0; plan->recency && k < settings->recents; k++) {
        plan->recency[k] =
            settings->recency == RECO__RECENCY_EXP ? exp(-(double)k / settings->recency_value) : pow(settings->recency_value, (double)k);
    }
    return plan->recency ? RECO_OK : reco__no_memory(err);
}

/* Of everything that decides what is answered from a given state. */
static reco_status hash_plan(reco__plan *plan, const reco__settings *settings, reco_error *err) {
    const double numbers[] = {settings->row_power,
                              settings->popularity_power,
                              settings->recency_value,
                              settings->revisit,
                              settings->weight_coview,
                              settings->weight_popular,
                              (double)settings->normalise,
                              (double)settings->recency,
                              (double)settings->popular_candidates,
                              (double)settings->window_hours,
                              (double)settings->window_days,
                              (double)settings->pair_within,
                              (double)settings->recents,
                              PLAN_VERSION};
    reco__buf text = {0};

    for (uint32_t i = 0; i < plan->count; i++) {
        reco__buf_printf(&text, "%u %s\n", plan->stages[i].kind, plan->stages[i].name);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        reco__json_double(&text, numbers[i]);
        reco__buf_byte(&text, '\n');
    }
    reco__buf_text(&text, settings->stages);
    reco_status status = reco__buf_status(&text, err);
    plan->hash = status == RECO_OK ? reco__hash64(text.data, text.size, 0) : 0;
    reco__buf_dispose(&text);
    return status;
}

reco_status reco__plan_open(reco__plan **out, const reco__settings *settings, const reco_call *call, reco_error *err) {
    reco__plan *plan = reco__zalloc(sizeof(*plan));

    if (!plan) {
        return reco__no_memory(err);
    }
    plan->model = "hybrid";
    reco_status status = add_stages(plan, settings, call, err);
    if (status == RECO_OK) {
        status = weigh_ranks(plan, settings, err);
    }
    if (status == RECO_OK) {
        status = hash_plan(plan, settings, err);
    }
    if (status != RECO_OK) {
        reco__plan_close(plan);
        return status;
    }
    *out = plan;
    return RECO_OK;
}

void reco__plan_close(reco__plan *plan) {
    for (uint32_t i = 0; plan && i < plan->count; i++) {
        if (!plan->stages[i].run) {
            plan->stages[i].backend.destroy(plan->stages[i].own);
        }
    }
    if (plan) {
        reco__release(plan->recency);
    }
    reco__release(plan);
}
