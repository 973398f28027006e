/* recommend/explain.c - why an item is in the answer, so that it adds up.
 *
 * The co-view part of a score is divided among the recent items in proportion to what each added, which the trace knows exactly: each gets its share
 * rounded down, and what is left of the part goes to the largest remainders, one micro-unit each, the more recent item first when they are equal.
 * Other parts are one reason each. The ten largest are listed; what the rest sum to is one more, OTHER. So the reasons always sum exactly to the
 * score.
 *
 * The trace is gone through once, for all winners together: a small table tells for nearly every entry that it belongs to none. */
#include "recommend/answer.h"
#include "recommend/candidates.h"

__extension__ typedef unsigned __int128 u128;

/* A reason in the making. */
typedef struct reco__piece {
    int64_t score;
    uint64_t remainder;
    uint32_t kind, because; /* item number, or RECO_NO_ITEM; of co-view: which recent */
    uint32_t stage;
    bool raised;
} piece;

static inline uint32_t slot_of(uint32_t item) { return item & (RECO__FILTER_SLOTS - 1); }

/* --- shares ------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status reserve_shares(reco_candidates *c, size_t count, reco_error *err) {
    size_t room = c->share_room, again = c->share_room;
    void *shares = c->shares, *sorted = c->shares_by_winner;
    bool grown = reco__candidates_grow(&shares, &room, count, sizeof(*c->shares));

    c->shares = shares;
    grown = grown && reco__candidates_grow(&sorted, &again, count, sizeof(*c->shares));
    c->shares_by_winner = sorted;
    if (!grown) {
        return reco__no_memory(err);
    }
    c->share_room = room;
    return RECO_OK;
}

static void show_winners(reco_candidates *c, bool on) {
    for (size_t i = 0; i < c->winner_count; i++) {
        c->marks[c->winners[i].item] = on ? (uint32_t)i + 1 : 0;
        c->filter[slot_of(c->winners[i].item)] = on;
    }
}

/* Notes what an entry added, if it is a winner's. */
static reco_status take_entry(reco_candidates *c, const reco__list *list, uint32_t entry, size_t *count, reco_error *err) {
    uint32_t winner = c->marks[c->trace_members[entry]], value = c->trace_values[entry];

    if (winner == 0 || value == 0) {
        return RECO_OK;
    }
    if (*count == c->share_room) {
        reco_status status = reserve_shares(c, *count + 64, err);
        if (status != RECO_OK) {
            return status;
        }
    }
    c->shares[(*count)++] = (reco__share){.winner = winner - 1, .source = list->source, .value = value};
    return RECO_OK;
}

/* What the entries of one list added to winners. Eight are looked at together: nearly always none of them is a winner's. */
static reco_status take_list(reco_candidates *c, const reco__list *list, size_t *count, reco_error *err) {
    const uint8_t *const filter = c->filter;
    const uint32_t end = list->trace + list->count, *const members = c->trace_members;
    reco_status status = RECO_OK;

    for (uint32_t e = list->trace, next; e < end && status == RECO_OK; e = next) {
        uint32_t found = 0;
        next = e + 8 < end ? e + 8 : end;
        if (next == e + 8) {
            for (uint32_t i = 0; i < 8; i++) {
                found |= filter[slot_of(members[e + i])];
            }
        }
        if (__builtin_expect(next == e + 8 && !found, 1)) {
            continue;
        }
        for (uint32_t i = e; i < next && status == RECO_OK; i++) {
            status = filter[slot_of(members[i])] ? take_entry(c, list, i, count, err) : RECO_OK;
        }
    }
    return status;
}

/* Shares of all winners, grouped by winner, in the order of the recent items. */
static reco_status gather(reco_candidates *c, reco_error *err) {
    size_t count = 0;
    reco_status status = RECO_OK;

    if (!c->filter && !(c->filter = reco__zalloc(RECO__FILTER_SLOTS))) {
        return reco__no_memory(err);
    }
    show_winners(c, true);
    for (uint32_t l = 0; l < c->list_count && c->trace_count > 0 && status == RECO_OK; l++) {
        status = take_list(c, &c->lists[l], &count, err);
    }
    show_winners(c, false);
    if (status != RECO_OK) {
        return status;
    }
    memset(c->share_begin, 0, (c->winner_count + 1) * sizeof(*c->share_begin));
    for (size_t i = 0; i < count; i++) {
        c->share_begin[c->shares[i].winner + 1]++;
    }
    for (size_t i = 1; i <= c->winner_count; i++) {
        c->share_begin[i] += c->share_begin[i - 1];
    }
    for (size_t i = 0; i < count; i++) { /* stable; share_begin[w] moves to the beginning of the next */
        c->shares_by_winner[c->share_begin[c->shares[i].winner]++] = c->shares[i];
    }
    return RECO_OK;
}

/* --- pieces ------------------------------------------------------------------------------------------------------------------------------------- */

static size_t merge_shares(reco_candidates *c, const reco__share *shares, size_t count, uint64_t *total) {
    size_t made = 0;

    *total = 0;
    for (size_t i = 0; i < count; i++) {
        *total += shares[i].value;
        if (made > 0 && c->pieces[made - 1].because == shares[i].source) { /* the open and the closed head of one item */
            c->pieces[made - 1].remainder += shares[i].value;
        } else {
            c->pieces[made++] = (piece){.kind = RECO_REASON_COVIEW, .because = shares[i].source, .remainder = shares[i].value};
        }
    }
    return made;
}

static void raise_largest(piece *pieces, size_t count, int64_t left) {
    for (; left > 0; left--) {
        piece *best = NULL;
        for (size_t i = 0; i < count; i++) {
            if (!pieces[i].raised && (!best || pieces[i].remainder > best->remainder)) {
                best = &pieces[i];
            }
        }
        best->score++;
        best->raised = true;
    }
}

/* Divides the co-view part; answers how many pieces there are. */
static size_t divide_coview(reco_candidates *c, const reco__winner *winner, const reco__share *shares, size_t count) {
    uint64_t total;
    size_t made = merge_shares(c, shares, count, &total);
    int64_t left = winner->coview;

    for (size_t i = 0; i < made; i++) {
        u128 product = (u128)(uint64_t)winner->coview * c->pieces[i].remainder;
        if (product >> 64 == 0) { /* nearly always, and many times faster */
            c->pieces[i].score = (int64_t)((uint64_t)product / total);
            c->pieces[i].remainder = (uint64_t)product % total;
        } else {
            c->pieces[i].score = (int64_t)(product / total);
            c->pieces[i].remainder = (uint64_t)(product % total);
        }
        left -= c->pieces[i].score;
    }
    raise_largest(c->pieces, made, made > 0 ? left : 0);
    return made;
}

static size_t add_others(reco_candidates *c, const reco__winner *winner, size_t made) {
    if (winner->popular != 0) {
        c->pieces[made++] = (piece){.kind = RECO_REASON_POPULAR, .because = RECO_NO_ITEM, .score = winner->popular};
    }
    if (winner->revisit != 0) {
        c->pieces[made++] = (piece){.kind = RECO_REASON_REVISIT, .because = RECO_NO_ITEM, .score = winner->revisit};
    }
    for (size_t g = 0; g < c->given_count; g++) {
        if (c->given[g].place == winner->place && c->given[g].score != 0) {
            c->pieces[made++] =
                (piece){.kind = RECO_REASON_STAGE, .because = c->given[g].because, .stage = c->given[g].stage, .score = c->given[g].score};
        }
    }
    return made;
}

/* Largest first, in the order they were made when equal; those of 0 go. */
static size_t sort_pieces(piece *pieces, size_t count) {
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        piece moved = pieces[i];
        size_t at = kept;
        if (moved.score == 0) {
            continue;
        }
        for (; at > 0 && pieces[at - 1].score < moved.score; at--) {
            pieces[at] = pieces[at - 1];
        }
        pieces[at] = moved;
        kept++;
    }
    return kept;
}

/* --- reasons ------------------------------------------------------------------------------------------------------------------------------------ */

/* Names lie anywhere in memory. Those of all winners and recent items are asked for one after the other, without looking at them, so that the waits
 * overlap; then they are copied. */
static void find_names(reco_candidates *c, reco_answer_item *items) {
    uint64_t hash;

    for (size_t i = 0; i < c->winner_count; i++) {
        reco__features_item_name(&items[i].item_id, &hash, c->features, c->winners[i].item);
    }
    for (uint32_t k = 0; k < c->recent_count && c->reasons; k++) {
        reco__features_item_name(&c->recents[k].name, &hash, c->features, c->recents[k].item);
        c->recents[k].copied = false;
    }
}

static bool name_item(reco_str *out, reco_candidates *c, reco__answer *answer, uint32_t item) {
    reco_str name = {NULL, 0};
    uint64_t hash;

    reco__features_item_name(&name, &hash, c->features, item);
    return reco__answer_copy(out, answer, name);
}

/* A recent item's name is copied once for all reasons. */
static bool name_recent(reco_str *out, reco_candidates *c, reco__answer *answer, uint32_t k) {
    reco__recent *recent = &c->recents[k];

    if (!recent->copied && !reco__answer_copy(&recent->name, answer, recent->name)) {
        return false;
    }
    recent->copied = true;
    *out = recent->name;
    return true;
}

static bool make_reason(reco_reason *out, reco_candidates *c, reco__answer *answer, const piece *from) {
    static const char *const sources[] = {NULL, "coview", "popular", "revisit", NULL, "other"};

    *out = (reco_reason){.kind = from->kind, .score = from->score};
    out->source = reco__str_of(from->kind == RECO_REASON_STAGE ? c->plan->stages[from->stage].name : sources[from->kind]);
    if (from->kind == RECO_REASON_COVIEW) {
        return name_recent(&out->because, c, answer, from->because);
    }
    return from->because == RECO_NO_ITEM || name_item(&out->because, c, answer, from->because);
}

static reco_status make_reasons(reco_answer_item *item, reco_candidates *c, reco__answer *answer, size_t count, reco_error *err) {
    size_t listed = count < RECO__REASONS_MOST ? count : RECO__REASONS_MOST, total = listed + (count > listed);
    reco_reason *reasons = reco__arena_alloc(&answer->arena, total * sizeof(*reasons));
    piece rest = {.kind = RECO_REASON_OTHER, .because = RECO_NO_ITEM};

    if (!reasons) {
        return reco__no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (i < listed && !make_reason(&reasons[i], c, answer, &c->pieces[i])) {
            return reco__no_memory(err);
        }
        rest.score += i < listed ? 0 : c->pieces[i].score;
    }
    if (total > listed && !make_reason(&reasons[listed], c, answer, &rest)) {
        return reco__no_memory(err);
    }
    item->reasons = reasons;
    item->reason_count = (uint32_t)total;
    return RECO_OK;
}

static reco_status explain_winner(reco_answer_item *item, reco_candidates *c, reco__answer *answer, size_t index, reco_error *err) {
    const reco__winner *winner = &c->winners[index];
    size_t begin = index > 0 ? c->share_begin[index - 1] : 0, count = c->share_begin[index] - begin;
    void *pieces = c->pieces;
    bool grown = reco__candidates_grow(&pieces, &c->piece_room, count + 2 + c->given_count, sizeof(*c->pieces));

    c->pieces = pieces;
    if (!grown) {
        return reco__no_memory(err);
    }
    size_t made = count > 0 ? divide_coview(c, winner, c->shares_by_winner + begin, count) : 0;
    made = sort_pieces(c->pieces, add_others(c, winner, made));
    return make_reasons(item, c, answer, made, err);
}

reco_status reco__explain(reco_candidates *c, reco__answer *answer, reco_error *err) {
    reco_answer_item *items = reco__arena_zalloc(&answer->arena, c->winner_count * sizeof(*items));
    reco_status status = items ? RECO_OK : reco__no_memory(err);

    if (status == RECO_OK && c->reasons) {
        status = gather(c, err);
    }
    if (status == RECO_OK) {
        find_names(c, items);
    }
    for (size_t i = 0; i < c->winner_count && status == RECO_OK; i++) {
        items[i].score = c->winners[i].score;
        items[i].rank = (uint32_t)i + 1;
        status = reco__answer_copy(&items[i].item_id, answer, items[i].item_id) ? RECO_OK : reco__no_memory(err);
        if (status == RECO_OK && c->reasons) {
            status = explain_winner(&items[i], c, answer, i, err);
        }
    }
    answer->shown.items = items;
    answer->shown.count = status == RECO_OK ? c->winner_count : 0;
    return status;
}
