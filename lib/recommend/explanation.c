/* recommend/explanation.c - the object behind reco_explanation, and what it looks like as JSON. */
#include "recommend/explanation.h"

#include "recommend/json.h"
#include "recommend/recommend.h"

reco__explanation *reco__explanation_begin(reco_explanation *shown, bool *made) {
    reco__explanation *explanation = shown ? reco__explanation_of(shown) : reco__zalloc(sizeof(*explanation));

    *made = !shown;
    if (explanation) {
        reco__arena_reset(&explanation->about.arena);
        reco__buf_reset(&explanation->json);
        explanation->shown = (reco_explanation){.struct_size = sizeof(explanation->shown)};
    }
    return explanation;
}

void reco__explanation_free(reco_explanation *shown) {
    reco__explanation *explanation = reco__explanation_of(shown);

    if (explanation) {
        reco__answer_free(explanation->answer);
        reco__arena_dispose(&explanation->about.arena);
        reco__buf_dispose(&explanation->json);
        reco__release(explanation);
    }
}

reco_answer *reco__explanation_answer(reco_explanation *shown) { return reco__explanation_of(shown)->answer; }

/* --- JSON ----------------------------------------------------------------------------------------------------------------------------------- */

/* 0: null */
static void add_moment(reco__buf *out, const char *before, int64_t ms) {
    char text[32];

    reco__buf_text(out, before);
    if (ms == 0) {
        reco__buf_text(out, "null");
        return;
    }
    reco__time_format(ms, text);
    reco__json_string(out, text, strlen(text));
}

static void add_microseconds(reco__buf *out, int64_t nanoseconds) {
    reco__buf_text(out, ",\"microseconds\":");
    reco__json_double(out, (double)nanoseconds / 1000);
}

static void add_user(reco__buf *out, const reco_explanation *shown) {
    reco__buf_text(out, ",\"user\":{\"user_id\":");
    if (shown->user_id.size > 0) {
        reco__json_string(out, shown->user_id.data, shown->user_id.size);
    } else {
        reco__buf_text(out, "null");
    }
    reco__member_flag(out, ",\"known\":", shown->flags & RECO_EXPLANATION_KNOWN);
    add_moment(out, ",\"last\":", shown->last);
    reco__member_flag(out, ",\"session_runs\":", shown->flags & RECO_EXPLANATION_SESSION_RUNS);
    reco__buf_text(out, "},\"recents\":[");
    for (size_t i = 0; i < shown->recent_count; i++) {
        const reco_recent *recent = &shown->recents[i];
        reco__member_string(out, i > 0 ? ",{\"item_id\":" : "{\"item_id\":", recent->item_id);
        add_moment(out, ",\"timestamp\":", recent->timestamp);
        reco__member_int(out, ",\"weight\":", recent->weight);
        reco__member_flag(out, ",\"session\":", recent->session);
        reco__buf_byte(out, '}');
    }
    reco__buf_text(out, "],\"hidden\":[");
    for (size_t i = 0; i < shown->hidden_count; i++) {
        reco__member_string(out, i > 0 ? "," : "", shown->hidden[i]);
    }
    reco__buf_byte(out, ']');
}

static void add_stage(reco__buf *out, const reco_explained_stage *stage) {
    static const char *const kinds[] = {"other", "source", "filter", "ranker", "arranger"}, *const statuses[] = {"ok", "skipped", "failed"};

    reco__member_string(out, "{\"stage\":", stage->stage);
    reco__member_string(out, ",\"kind\":", reco__str_of(kinds[stage->kind]));
    add_microseconds(out, stage->nanoseconds);
    reco__member_int(out, ",\"added\":", (int64_t)stage->added);
    reco__member_int(out, ",\"dropped\":", (int64_t)stage->dropped);
    reco__member_int(out, ",\"candidates\":", (int64_t)stage->candidates);
    reco__member_string(out, ",\"status\":", reco__str_of(statuses[stage->status]));
    reco__buf_byte(out, '}');
}

static void add_item(reco__buf *out, const reco_explained_item *item) {
    static const char *const verdicts[] = {"", "listed", "dropped", "below_cut", "no_candidate", "unknown"};

    reco__member_string(out, "{\"item_id\":", item->item_id);
    reco__member_string(out, ",\"verdict\":", reco__str_of(verdicts[item->verdict]));
    if (item->stage.size > 0) {
        reco__member_string(out, ",\"stage\":", item->stage);
    }
    if (item->reason.size > 0) {
        reco__member_string(out, ",\"reason\":", item->reason);
    }
    if (item->rank > 0) {
        reco__member_int(out, ",\"rank\":", item->rank);
    }
    if (item->flags & RECO_EXPLAINED_SCORED) {
        reco__member_int(out, ",\"score\":", item->score);
    }
    if (item->flags & RECO_EXPLAINED_CUT) {
        reco__member_int(out, ",\"cut\":", item->cut);
        reco__member_int(out, ",\"distance\":", item->distance);
    }
    if (item->flags & RECO_EXPLAINED_SCORED) {
        reco__buf_text(out, ",\"reasons\":");
        reco__answer_add_reasons(out, item->reasons, item->reason_count);
    }
    reco__buf_byte(out, '}');
}

reco_status reco__explanation_json(const char **text, size_t *size, reco_explanation *shown, reco_error *err) {
    reco__explanation *explanation = reco__explanation_of(shown);
    reco__buf *out = &explanation->json;
    const char *answer;
    size_t answer_size;
    reco_status status = reco__answer_json(&answer, &answer_size, explanation->answer, err);

    if (status != RECO_OK) {
        return status;
    }
    reco__buf_reset(out);
    reco__buf_text(out, "{\"answer\":");
    reco__buf_add(out, answer, answer_size);
    add_user(out, shown);
    reco__buf_text(out, ",\"stages\":[");
    for (size_t i = 0; i < shown->stage_count; i++) {
        reco__buf_text(out, i > 0 ? "," : "");
        add_stage(out, &shown->stages[i]);
    }
    reco__buf_byte(out, ']');
    add_microseconds(out, shown->nanoseconds);
    reco__buf_text(out, ",\"items\":[");
    for (size_t i = 0; i < shown->item_count; i++) {
        reco__buf_text(out, i > 0 ? "," : "");
        add_item(out, &shown->items[i]);
    }
    reco__buf_text(out, "]}");
    const char *terminated = reco__buf_cstr(out);
    status = reco__buf_status(out, err);
    if (status == RECO_OK) {
        *text = terminated;
        *size = out->size;
    }
    return status;
}
