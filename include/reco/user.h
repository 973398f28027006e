/* reco/user.h - what an application knows of a user, beside what libreco learns from events. */
#ifndef RECO_USER_H
#define RECO_USER_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_USER_ALIASES_MAX 16u

/* One user. All strings are borrowed for the call. Zero is the default of every field. Handed over as an array with the size of an element, so that
 * the struct can grow: an unknown non-zero tail is refused. */
typedef struct reco_user {
    reco_str user_id;    /* required: UTF-8, 1 to 256 bytes, no NUL */
    reco_str segment;    /* optional: a group of users, UTF-8, 1 to 256 bytes */
    reco_str attributes; /* optional: one JSON object, within the limits of an item's (reco/item.h) */
    uint32_t flags;      /* 0 */
    uint32_t reserved;   /* 0 */
    /* Ids the user had before they were known, up to RECO_USER_ALIASES_MAX different ones, not the user's own: answers take what was learned of all
     * of them together. */
    const reco_str *aliases;
    size_t alias_count;
} reco_user;

#ifdef __cplusplus
}
#endif
#endif
