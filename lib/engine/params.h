/* engine/params.h - the parameters of a question, given as a query string or as the members of a JSON object.
 *
 * A question names what it knows in a table; reading fills the table or tells what is wrong, and the readers below turn what was given into values.
 * They leave what was not given alone. */
#ifndef RECO__ENGINE_PARAMS_H
#define RECO__ENGINE_PARAMS_H

#include <jansson.h>

#include "base/base.h"

/* What was sent. Borrowed, as is everything read from it that is not in the arena. */
typedef struct reco__sent {
    const char *query;    /* percent-encoded, without '?'; NULL or "": none */
    const json_t *object; /* NULL: none */
    int32_t index;        /* of the object among others, for errors; -1: it is the only one */
    reco__arena *arena;   /* for what is decoded and for lists */
} reco__sent;

/* CONFINED. */
typedef struct reco__param {
    const char *name;
    bool list; /* in a query string given once for each element, in JSON an array */
    /* filled */
    bool given;
    const json_t *json; /* its value; NULL: it came in a query string */
    reco_str *texts;    /* else: what was given, decoded; more than one only of a list */
    size_t count, room;
} reco__param;

/* Fills the table. INVALID naming a parameter that is unknown, doubled, or no UTF-8; a member that is null counts as not given. */
reco_status reco__params_read(reco__param *params, size_t count, const reco__sent *sent, reco_error *err);

/* Each INVALID naming the parameter when it is something else than what is expected. */
reco_status reco__param_number(uint64_t *out, const reco__param *from, uint64_t least, uint64_t most, const reco__sent *sent, reco_error *err);
reco_status reco__param_text(reco_str *out, const reco__param *from, const reco__sent *sent, reco_error *err);
reco_status reco__param_flag(bool *out, const reco__param *from, const reco__sent *sent, reco_error *err);
/* RFC 3339 with offset, or milliseconds. */
reco_status reco__param_moment(int64_t *out, const reco__param *from, const reco__sent *sent, reco_error *err);
/* "90m", "24h", "7d", or milliseconds; in milliseconds. */
reco_status reco__param_span(int64_t *out, const reco__param *from, const reco__sent *sent, reco_error *err);
/* INVALID naming the element that is none; TOO_LARGE with more than `most`; in the arena. */
reco_status reco__param_list(const reco_str **out, size_t *out_count, const reco__param *from, size_t most, const reco__sent *sent, reco_error *err);

#endif
