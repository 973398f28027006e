/* learn/sessions.c - where a session begins.
 *
 * An event that names a session belongs to it: it continues the running session when that has the same id, whatever the gap, and begins a new one
 * otherwise, also when the running one has no id. An event that names none continues the running session, and its id, unless more than `session_gap`
 * has passed by effective time; then it begins a session without id. Every event counted moves the gap on, those that weigh nothing too. */
#include "learn/steps.h"

/* Hash of a session id; 0 stands for none. */
static uint64_t session_hash(reco_str session_id) {
    if (session_id.size == 0)
        return 0;
    uint64_t hash = reco__hash64(session_id.data, session_id.size, 0);
    return hash != 0 ? hash : 1;
}

void reco__sessions_step(reco__cell *cell, const reco__learn_rules *rules, reco_str session_id, int64_t r) {
    uint64_t hash = session_hash(session_id);
    bool begins = hash != 0 ? hash != cell->session_hash : r - cell->last > rules->session_gap;
    if (!begins)
        return;
    cell->session_hash = hash;
    cell->session_count = 0;
}
