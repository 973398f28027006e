/* model/user.h - users from outside, and the document under which records keep them. */
#ifndef RECO__MODEL_USER_H
#define RECO__MODEL_USER_H

#include "base/base.h"
#include <reco/user.h>

/* Required fields, ids, UTF-8, sizes, attributes being one JSON object. index -1: none. */
reco_status reco__user_check(const reco_user *user, int32_t index, reco_error *err);

/* A parsed batch of users. CONFINED. Everything lives in the arena. */
typedef struct reco__user_batch {
    reco_user *users; /* `count` of them */
    int32_t *index;   /* position of each in the input */
    size_t count;
    reco_error *errors; /* `error_count` rejected ones: index, field, text */
    size_t error_count;
    size_t total; /* elements in the input */
} reco__user_batch;

/* As reco__items_parse. */
reco_status reco__users_parse(reco__user_batch *out, reco__arena *arena, const char *text, size_t size, int form, size_t max_users, reco_str id,
                              reco_error *err);

/* The canonical document of a checked user, without its id (the key has it). Failures stick in `out`. */
void reco__user_document(reco__buf *out, const reco_user *user);
/* Reads a document back; everything is copied to the arena. CORRUPT when it is not one. */
reco_status reco__user_read(reco_user *out, reco__arena *arena, reco_str user_id, reco_str document, reco_error *err);

/* As reco__item_patch. */
struct reco__rejects;
reco_status reco__user_patch(reco__buf *out, struct reco__rejects *rejects, reco_str document, reco_str patch, reco_error *err);

#endif
