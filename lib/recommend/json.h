/* recommend/json.h - members of the JSON that answers and explanations are written as; `before` is all that stands in front of the value. */
#ifndef RECO__RECOMMEND_JSON_H
#define RECO__RECOMMEND_JSON_H

#include "base/base.h"

static inline void reco__member_string(reco__buf *out, const char *before, reco_str text) {
    reco__buf_text(out, before);
    reco__json_string(out, text.data ? text.data : "", text.size);
}

static inline void reco__member_int(reco__buf *out, const char *before, int64_t value) {
    reco__buf_text(out, before);
    reco__json_int(out, value);
}

static inline void reco__member_flag(reco__buf *out, const char *before, bool value) {
    reco__buf_text(out, before);
    reco__buf_text(out, value ? "true" : "false");
}

#endif
