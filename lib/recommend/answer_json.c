/* recommend/answer_json.c - an answer as JSON, written straight into a buffer. */
#include "recommend/answer.h"
#include "recommend/json.h"
#include "recommend/recommend.h"

static void add_reason(reco__buf *out, const reco_reason *reason) {
    static const char *const kinds[] = {"", "coview", "popular", "revisit", "stage", "other"};
    static const char coview[] = "{\"type\":\"coview\",\"source\":\"coview\""; /* most are, two hundred an answer */

    if (reason->kind == RECO_REASON_COVIEW && reco__str_equal(reason->source, reco__str_of(kinds[RECO_REASON_COVIEW]))) {
        reco__buf_add(out, coview, sizeof(coview) - 1);
    } else {
        reco__member_string(out, "{\"type\":", reco__str_of(reason->kind <= RECO_REASON_OTHER ? kinds[reason->kind] : ""));
        reco__member_string(out, ",\"source\":", reason->source);
    }
    if (reason->because.data) {
        reco__member_string(out, ",\"because\":", reason->because);
    }
    reco__member_int(out, ",\"score\":", reason->score);
    reco__buf_byte(out, '}');
}

void reco__answer_add_reasons(reco__buf *out, const reco_reason *reasons, uint32_t count) {
    reco__buf_byte(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            reco__buf_byte(out, ',');
        }
        add_reason(out, &reasons[i]);
    }
    reco__buf_byte(out, ']');
}

static void add_item(reco__buf *out, const reco_answer_item *item) {
    reco__member_string(out, "{\"item_id\":", item->item_id);
    reco__member_int(out, ",\"score\":", item->score);
    reco__member_int(out, ",\"rank\":", item->rank);
    reco__buf_text(out, ",\"reasons\":");
    reco__answer_add_reasons(out, item->reasons, item->reason_count);
    reco__buf_byte(out, '}');
}

/* Only in answers that are degraded. */
static void add_degraded(reco__buf *out, uint32_t degraded) {
    const char *before = "";

    reco__buf_text(out, "\"degraded_reasons\":[");
    for (uint32_t bit = 1; bit != 0 && bit <= degraded; bit <<= 1) {
        if (degraded & bit) {
            reco__member_string(out, before, reco__str_of(reco__degraded_name(bit)));
            before = ",";
        }
    }
    reco__buf_byte(out, ']');
}

static void add_head(reco__buf *out, const reco__answer *answer) {
    const reco_answer *shown = &answer->shown;
    char moment[32];

    if (!answer->bare) {
        reco__member_string(out, "\"recommendation_id\":", shown->recommendation_id);
        reco__member_string(out, ",\"scenario\":", shown->scenario);
        reco__member_string(out, ",\"model\":", shown->model);
        reco__member_flag(out, ",\"fallback\":", shown->flags & RECO_ANSWER_FALLBACK);
        reco__member_flag(out, ",\"behind\":", shown->flags & RECO_ANSWER_BEHIND);
        reco__member_flag(out, ",\"degraded\":", shown->flags & RECO_ANSWER_DEGRADED);
        if (shown->degraded) {
            reco__buf_byte(out, ',');
            add_degraded(out, shown->degraded);
        }
        reco__member_string(out, ",\"position\":", shown->position);
        reco__buf_byte(out, ',');
    }
    if (answer->bare && shown->degraded) {
        reco__buf_text(out, "\"degraded\":true,");
        add_degraded(out, shown->degraded);
        reco__buf_byte(out, ',');
    }
    if (answer->dated) {
        reco__time_format(shown->as_of, moment);
        reco__member_string(out, "\"as_of\":", reco__str_of(moment));
        reco__buf_byte(out, ',');
    }
}

reco_status reco__answer_json(const char **text, size_t *size, reco_answer *shown, reco_error *err) {
    reco__answer *answer = reco__answer_of(shown);
    reco__buf *out = &answer->json;

    reco__buf_reset(out);
    reco__buf_byte(out, '{');
    add_head(out, answer);
    reco__buf_text(out, "\"items\":[");
    for (size_t i = 0; i < shown->count; i++) {
        if (i > 0) {
            reco__buf_byte(out, ',');
        }
        add_item(out, &shown->items[i]);
    }
    reco__member_string(out, "],\"next\":", shown->next);
    reco__buf_byte(out, '}');
    const char *terminated = reco__buf_cstr(out);
    reco_status status = reco__buf_status(out, err);
    if (status == RECO_OK) {
        *text = terminated;
        *size = out->size;
    }
    return status;
}
