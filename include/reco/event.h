/* reco/event.h - what happened: events in. */
#ifndef RECO_EVENT_H
#define RECO_EVENT_H

#include <reco/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RECO_EVENT_HAS_VALUE 1u    /* `value` is given */
#define RECO_EVENT_HAS_POSITION 2u /* `position` is given */
/* Takes back the event that was sent with the same event_id: send the same event again with this flag. It is a record like others, with a position,
 * and counts once. The item leaves what is known of the user (recent items, session, hidden items), unless it was touched again since; its popularity
 * is taken back, and the pairs it took part in as far as the user's recent items still show them. When the event is not there, or not any more among
 * the ids that are remembered (see event_id), nothing is taken back; but should it come later, it does not count. A timestamp is the event's own, or
 * absent. */
#define RECO_EVENT_UNDO 4u
#define RECO_EVENT_FLAGS (RECO_EVENT_HAS_VALUE | RECO_EVENT_HAS_POSITION | RECO_EVENT_UNDO)

/* One event. All strings are borrowed for the call. Zero is the default of every field. Handed over as an array with the size of an element, so
 * that the struct can grow: an unknown non-zero tail is refused. */
typedef struct reco_event {
    reco_str user_id;           /* required: UTF-8, 1 to 256 bytes, no NUL */
    reco_str item_id;           /* required: the same */
    reco_str event_type;        /* required: one of the configured types */
    reco_str session_id;        /* optional: UTF-8, up to 256 bytes; a different one begins a new session */
    reco_str event_id;          /* optional: UTF-8, up to 256 bytes; the same id of the same user counts once within the window */
    reco_str recommendation_id; /* optional: what reco_recommend answered; a bad signature drops the attribution, not the event */
    reco_str properties;        /* optional: one JSON object, kept as it is, up to 16 KiB */
    int64_t timestamp;          /* milliseconds since 1970-01-01 UTC; 0: the moment of receipt */
    double value;               /* rating, price ... finite; only with RECO_EVENT_HAS_VALUE */
    int32_t position;           /* rank at which the item was shown, 1 is first; only with RECO_EVENT_HAS_POSITION */
    uint32_t flags;             /* RECO_EVENT_HAS_... */
} reco_event;

#ifdef __cplusplus
}
#endif
#endif
