#include "recommend/answer.h"
#include "recommend/recommend.h"

reco__answer *reco__answer_begin(reco_answer *shown, bool *made) {
    reco__answer *answer = shown ? reco__answer_of(shown) : reco__zalloc(sizeof(*answer));

    *made = !shown;
    if (answer) {
        reco__arena_reset(&answer->arena);
        reco__buf_reset(&answer->json);
        reco__buf_reset(&answer->id);
        reco__buf_reset(&answer->next);
        answer->shown = (reco_answer){.struct_size = sizeof(answer->shown)};
        answer->bare = answer->dated = false;
        answer->place_count = 0;
    }
    return answer;
}

const char *reco__degraded_name(uint32_t bit) {
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{RECO_DEGRADED_FEATURES, "features_unavailable"}, {RECO_DEGRADED_RECORDS, "records_stale"}, {RECO_DEGRADED_POPULAR, "popular_stale"},
                 {RECO_DEGRADED_RELEARNING, "relearning"},         {RECO_DEGRADED_DEADLINE, "deadline"},     {RECO_DEGRADED_STAGE, "stage_failed"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (names[i].bit == bit) {
            return names[i].name;
        }
    }
    return "";
}

void reco__answer_free(reco_answer *shown) {
    reco__answer *answer = reco__answer_of(shown);

    if (answer) {
        reco__arena_dispose(&answer->arena);
        reco__buf_dispose(&answer->json);
        reco__buf_dispose(&answer->id);
        reco__buf_dispose(&answer->next);
        reco__release(answer);
    }
}

bool reco__answer_copy(reco_str *out, reco__answer *answer, reco_str text) {
    *out = (reco_str){NULL, 0}; /* `text` is a copy: it may have been *out */
    if (text.size == 0) {
        return true;
    }
    char *copy = reco__arena_string(&answer->arena, text.data, text.size);
    if (copy) {
        *out = (reco_str){copy, text.size};
    }
    return copy != NULL;
}

size_t reco__answer_where(const reco__place **places, const reco_answer *shown) {
    const reco__answer *answer = (const reco__answer *)(const void *)shown;

    *places = answer->places;
    return answer->place_count;
}

reco_status reco__answer_set_position(reco_answer *shown, reco_str token, reco_error *err) {
    return reco__answer_copy(&shown->position, reco__answer_of(shown), token) ? RECO_OK : reco__no_memory(err);
}
