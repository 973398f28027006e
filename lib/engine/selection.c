/* engine/selection.c - selections from parameters, and from JSON text for those who ask in C. */
#include "engine/selection.h"

#include "base/base.h"
#include "model/filter.h"
#include <reco/filter.h>

enum { F_EXCLUDE, F_FILTER, F_CAPS, F_VARIANTS, F_CURSOR };

static reco_status read_filter(reco_selection *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    out->filter_size = sizeof *out->filters;
    if (!from->given)
        return RECO_OK;
    return from->json ? reco__filters_of(&out->filters, &out->filter_count, sent->arena, from->json, from->name, sent->index, err)
                      : reco__filters_parse(&out->filters, &out->filter_count, sent->arena, from->texts[0], from->name, err);
}

static reco_status read_caps(reco_selection *out, const reco__param *from, const reco__sent *sent, reco_error *err) {
    out->cap_size = sizeof *out->caps;
    if (!from->given)
        return RECO_OK;
    return from->json ? reco__caps_of(&out->caps, &out->cap_count, sent->arena, from->json, from->name, sent->index, err)
                      : reco__caps_parse(&out->caps, &out->cap_count, sent->arena, from->texts[0], from->name, err);
}

reco_status reco__selection_read(const reco_selection **used, reco_selection *out, const reco__param *given, const reco__sent *sent,
                                 reco_error *err) {
    bool any = false, variants = false;
    *out = (reco_selection){.struct_size = sizeof *out};
    for (int i = 0; i < RECO__SELECTION_PARAMS; i++)
        any = any || given[i].given;
    reco_status status = reco__param_list(&out->exclude, &out->exclude_count, &given[F_EXCLUDE], RECO_EXCLUDE_MAX, sent, err);
    if (status == RECO_OK)
        status = read_filter(out, &given[F_FILTER], sent, err);
    if (status == RECO_OK)
        status = read_caps(out, &given[F_CAPS], sent, err);
    if (status == RECO_OK)
        status = reco__param_flag(&variants, &given[F_VARIANTS], sent, err);
    if (status == RECO_OK)
        status = reco__param_text(&out->cursor, &given[F_CURSOR], sent, err);
    if (status == RECO_OK && given[F_CURSOR].given && out->cursor.size == 0)
        status = reco__fail_at(err, RECO_INVALID, sent->index, "cursor", "it is empty");
    out->flags = variants ? RECO_SELECTION_VARIANTS : 0;
    *used = any ? out : NULL;
    return status;
}

/* What stands behind a selection that was parsed. */
typedef struct parsed {
    reco_selection selection; /* first */
    reco__arena arena;
    json_t *tree; /* texts lie in it */
} parsed;

static reco_status read_tree(parsed *p, const char *json, size_t size, reco_error *err) {
    reco__param given[RECO__SELECTION_PARAMS] = {RECO__SELECTION_TABLE};
    const reco_selection *used;
    json_error_t error;
    p->tree = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!p->tree && json_error_code(&error) == json_error_out_of_memory)
        return reco__no_memory(err);
    if (!p->tree || !json_is_object(p->tree))
        return reco__fail(err, RECO_INVALID, "selection", "a JSON object is expected%s%s", p->tree ? "" : ": ", p->tree ? "" : error.text);
    const reco__sent sent = {.object = p->tree, .index = -1, .arena = &p->arena};
    reco_status status = reco__params_read(given, RECO__SELECTION_PARAMS, &sent, err);
    return status == RECO_OK ? reco__selection_read(&used, &p->selection, given, &sent, err) : status;
}

reco_status reco_selection_parse(reco_selection **out, const char *json, size_t size, reco_error *err) {
    if (!out || (!json && size > 0))
        return reco__fail(err, RECO_INVALID, out ? "json" : "out", "it is needed");
    parsed *p = reco__zalloc(sizeof *p);
    if (!p)
        return reco__no_memory(err);
    reco_status status = read_tree(p, json ? json : "", size, err);
    if (status != RECO_OK)
        reco_selection_free(&p->selection);
    else
        *out = &p->selection;
    return status;
}

void reco_selection_free(reco_selection *selection) {
    parsed *p = (parsed *)(void *)selection;
    if (!p)
        return;
    json_decref(p->tree);
    reco__arena_dispose(&p->arena);
    reco__release(p);
}
