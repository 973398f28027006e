/* cli/whatif_tell.c - what came out of a run of whatif, for people and as JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/whatif.h"

#define LISTED 10u /* who gains, who loses */

/* --- for programs ----------------------------------------------------------------------------------------------------------------------------- */

static void add_name(http_text *out, reco_str name) { http_text_json(out, name.data, name.size); }

static bool has(const evaluate_lists *lists, size_t index, uint32_t item) {
    for (uint32_t i = 0; i < lists->counts[index]; i++)
        if (evaluate_list(lists, index)[i] == item)
            return true;
    return false;
}

/* Items of one answer that the other does not have; to people by their titles. */
static void add_only(http_text *out, const whatif_run *r, size_t in, bool titles) {
    const evaluate_lists *lists = &r->plans[in].lists, *other = &r->plans[!in].lists;
    const char *between = "";
    for (uint32_t i = 0; i < lists->counts[0]; i++) {
        uint32_t item = lists->items[i];
        if (has(other, 0, item))
            continue;
        http_text_printf(out, "%s", between);
        between = titles ? ", " : ",";
        char *title = titles ? cli_title_of(r->plans[0].engine, r->items.names[item]) : NULL;
        if (titles)
            http_text_printf(out, "%s", title ? title : "");
        else
            add_name(out, r->items.names[item]);
        free(title);
    }
}

/* Of USER they are what they are; of traffic means. */
static void add_values(http_text *out, const whatif_run *r) {
    const evaluate_likeness *of = &r->likeness;
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++) {
        http_text_printf(out, "%s\"%s\":", i ? "," : "", evaluate_likeness_names[i]);
        if (isnan(of->means[i]))
            http_text_printf(out, "null");
        else if (r->user)
            http_text_printf(out, "%.6g", of->means[i]);
        else
            http_text_printf(out, "{\"mean\":%.6g,\"low\":%.6g,\"high\":%.6g}", of->means[i], of->intervals[i].low, of->intervals[i].high);
    }
}

static void add_counts(http_text *out, const whatif_run *r, bool hours) {
    for (size_t i = 0; i < r->plan_count; i++) {
        const reco_rewind_result *of = &r->plans[i].rewound;
        http_text_printf(out, "%s%llu", i ? "," : "[", (unsigned long long)(hours ? of->hours_gone : of->days_gone));
    }
    http_text_printf(out, "]");
}

/* What is not as it was: of which moment pairs are, and in how many answers of each plan popularity lacks a part. */
static void add_past(http_text *out, const whatif_run *r) {
    uint64_t missing = r->plans[0].rewound.missing;
    http_text_printf(out, ",\"missing\":%llu,\"new_items_known\":%s,\"pairs_as_of\":\"", (unsigned long long)missing, missing ? "false" : "true");
    http_text_time(out, r->plans[0].rewound.learned);
    http_text_printf(out, "\",\"popularity_gone\":{\"by_hours\":");
    add_counts(out, r, true);
    http_text_printf(out, ",\"by_days\":");
    add_counts(out, r, false);
    http_text_printf(out, "}");
}

static void add_user(http_text *out, const whatif_run *r) {
    http_text_printf(out, "{\"user_id\":");
    add_name(out, cli_str(r->user));
    http_text_printf(out, ",\"as_of\":\"");
    http_text_time(out, r->as_of);
    http_text_printf(out, "\",\"events\":%llu", (unsigned long long)r->plans[0].rewound.events);
    add_past(out, r);
    http_text_printf(out, ",\"plans\":[");
    for (size_t i = 0; i < r->plan_count; i++) {
        http_text_printf(out, "%s{\"label\":", i ? "," : "");
        add_name(out, cli_str(r->plans[i].label));
        http_text_printf(out, ",\"answer\":");
        http_text_add(out, r->plans[i].text.data, r->plans[i].text.size);
        http_text_printf(out, "}");
    }
    http_text_printf(out, "]");
    if (r->plan_count > 1) {
        http_text_printf(out, ",\"difference\":{");
        add_values(out, r);
        http_text_printf(out, ",\"new\":[");
        add_only(out, r, 1, false);
        http_text_printf(out, "],\"gone\":[");
        add_only(out, r, 0, false);
        http_text_printf(out, "]}");
    }
    http_text_printf(out, "}\n");
}

/* The i-th that gains most, or loses most; NULL when there are no more. */
static const evaluate_places *changed(const evaluate_likeness *of, size_t i, bool loses) {
    if (i >= of->place_count || i >= LISTED)
        return NULL;
    const evaluate_places *places = &of->places[loses ? of->place_count - 1 - i : i];
    return loses ? places->places[1] < places->places[0] ? places : NULL : places->places[1] > places->places[0] ? places : NULL;
}

static void add_changed(http_text *out, const whatif_run *r, bool loses) {
    const evaluate_places *of;
    http_text_printf(out, ",\"%s\":[", loses ? "losers" : "gainers");
    for (size_t i = 0; (of = changed(&r->likeness, i, loses)); i++) {
        http_text_printf(out, "%s{\"item_id\":", i ? "," : "");
        add_name(out, r->items.names[of->item]);
        http_text_printf(out, ",\"places\":[%u,%u]}", of->places[0], of->places[1]);
    }
    http_text_printf(out, "]");
}

/* The moment that was compared as the i-th. */
static const evaluate_moment *moment_of(const whatif_run *r, size_t i) { return &r->moments.list[r->likeness.questions[i]]; }

/* Leaves out of the list the moment of a user that is in it with no smaller a value; false: with a smaller one. */
static bool make_way(size_t *list, size_t *count, const whatif_run *r, size_t compared) {
    const double *values = r->likeness.values[EVALUATE_RBO];
    for (size_t i = 0; i < *count; i++) {
        if (moment_of(r, list[i])->user != moment_of(r, compared)->user)
            continue;
        if (values[list[i]] <= values[compared])
            return false;
        memmove(&list[i], &list[i + 1], (--*count - i) * sizeof *list);
        return true;
    }
    return *count < LISTED || values[list[LISTED - 1]] > values[compared];
}

/* Moments, as they were compared, in which the plans agree least, one a user, the first of those that are equal. */
static size_t least_alike(size_t *out, const whatif_run *r) {
    const double *values = r->likeness.values[EVALUATE_RBO];
    size_t count = 0;
    for (size_t q = 0; q < r->likeness.count; q++) {
        if (values[q] >= 1 || !make_way(out, &count, r, q))
            continue;
        size_t at = count < LISTED ? count : LISTED - 1;
        for (; at > 0 && values[out[at - 1]] > values[q]; at--)
            out[at] = out[at - 1];
        out[at] = q;
        count += count < LISTED;
    }
    return count;
}

static void add_least_alike(http_text *out, const whatif_run *r) {
    size_t worst[LISTED + 1], count = least_alike(worst, r);
    http_text_printf(out, ",\"least_alike\":[");
    for (size_t i = 0; i < count; i++) {
        const evaluate_moment *moment = moment_of(r, worst[i]);
        http_text_printf(out, "%s{\"user_id\":", i ? "," : "");
        add_name(out, r->moments.users.names[moment->user]);
        http_text_printf(out, ",\"as_of\":\"");
        http_text_time(out, moment->at);
        http_text_printf(out, "\",\"rbo\":%.6g}", r->likeness.values[EVALUATE_RBO][worst[i]]);
    }
    http_text_printf(out, "]");
}

static void add_traffic(http_text *out, const whatif_run *r) {
    const evaluate_likeness *of = &r->likeness;
    http_text_printf(out, "{\"from\":\"");
    http_text_time(out, r->moments.from);
    http_text_printf(out, "\",\"to\":\"");
    http_text_time(out, r->moments.to);
    http_text_printf(out, "\",\"events\":%llu,\"moments\":%zu,\"compared\":%zu,\"unanswered\":{\"both\":%zu,\"first\":%zu,\"second\":%zu}",
                     (unsigned long long)r->moments.met, r->count, of->count, of->unanswered[EVALUATE_BY_BOTH], of->unanswered[EVALUATE_BY_FIRST],
                     of->unanswered[EVALUATE_BY_SECOND]);
    add_past(out, r);
    http_text_printf(out, ",\"limit\":%u,\"plans\":[", r->depth);
    for (size_t i = 0; i < r->plan_count; i++) {
        http_text_printf(out, "%s", i ? "," : "");
        add_name(out, cli_str(r->plans[i].label));
    }
    http_text_printf(out, "],");
    add_values(out, r);
    http_text_printf(out, ",\"identical\":%zu,\"same_first\":%zu,\"items\":[%u,%u]", of->identical, of->same_first, of->items[0], of->items[1]);
    add_changed(out, r, false);
    add_changed(out, r, true);
    add_least_alike(out, r);
    http_text_printf(out, "}\n");
}

/* --- for people ----------------------------------------------------------------------------------------------------------------------------- */

static void print_only(http_text *out, const whatif_run *r, size_t in) {
    size_t before = out->size;
    add_only(out, r, in, true);
    http_text_printf(out, "%s\n", out->size == before ? "nothing" : "");
}

static void print_difference(http_text *out, const whatif_run *r) {
    const evaluate_likeness *of = &r->likeness;
    if (of->count == 0) {
        http_text_printf(out, "neither plan has an answer\n");
        return;
    }
    if (of->unanswered[EVALUATE_BY_FIRST] + of->unanswered[EVALUATE_BY_SECOND] > 0)
        http_text_printf(out, "only the %s plan has an answer\n", of->unanswered[EVALUATE_BY_FIRST] > 0 ? "second" : "first");
    http_text_printf(out, "overlap %.2f, rank-biased overlap %.2f\nonly in the second: ", of->means[EVALUATE_OVERLAP], of->means[EVALUATE_RBO]);
    print_only(out, r, 1);
    http_text_printf(out, "only in the first: ");
    print_only(out, r, 0);
}

static void print_pairs(http_text *out, const whatif_run *r) {
    http_text_printf(out, "pairs of items are not those of then: they are what was learned until ");
    http_text_time(out, r->plans[0].rewound.learned);
    http_text_printf(out, "\n");
}

static void print_user(http_text *out, const whatif_run *r) {
    http_text_printf(out, "\nas of ");
    http_text_time(out, r->as_of);
    http_text_printf(out, ", from %llu events of the user\n", (unsigned long long)r->plans[0].rewound.events);
    if (r->as_of < r->plans[0].rewound.learned)
        print_pairs(out, r);
    if (r->plan_count > 1)
        print_difference(out, r);
}

static void print_changed(http_text *out, const whatif_run *r, bool loses) {
    const evaluate_places *of;
    for (size_t i = 0; (of = changed(&r->likeness, i, loses)); i++) {
        char *title = cli_title_of(r->plans[0].engine, r->items.names[of->item]);
        http_text_printf(out, "%s  %8u  %8u  %s\n",
                         i       ? ""
                         : loses ? "\nloses most\n"
                                 : "\ngains most\n",
                         of->places[0], of->places[1], title ? title : "");
        free(title);
    }
}

static void print_traffic(http_text *out, const whatif_run *r) {
    static const char *const words[] = {"overlap", "rank-biased overlap", "Kendall's tau of what is in both"};
    const evaluate_likeness *of = &r->likeness;
    http_text_printf(out, "first:  %s\nsecond: %s\n%zu moments of %llu, from ", r->plans[0].label, r->plans[1].label, r->count,
                     (unsigned long long)r->moments.met);
    http_text_time(out, r->moments.from);
    http_text_printf(out, " to ");
    http_text_time(out, r->moments.to);
    http_text_printf(out, ", %u items each\n", r->depth);
    print_pairs(out, r);
    if (of->unanswered[EVALUATE_BY_BOTH] + of->unanswered[EVALUATE_BY_FIRST] + of->unanswered[EVALUATE_BY_SECOND] > 0)
        http_text_printf(out, "no answer: by both in %zu, which are left out below; by the first alone in %zu, by the second alone in %zu\n",
                         of->unanswered[EVALUATE_BY_BOTH], of->unanswered[EVALUATE_BY_FIRST], of->unanswered[EVALUATE_BY_SECOND]);
    if (of->count == 0)
        return;
    http_text_printf(out, "\n");
    for (size_t i = 0; i < EVALUATE_LIKENESSES; i++)
        if (!isnan(of->means[i]))
            http_text_printf(out, "%-34s %7.4f   %.4f to %.4f\n", words[i], of->means[i], of->intervals[i].low, of->intervals[i].high);
    http_text_printf(out, "%-34s %zu\n%-34s %zu\n%-34s %u, %u\n", "the same answer", of->identical, "the same first item", of->same_first,
                     "different items, first and second", of->items[0], of->items[1]);
    print_changed(out, r, false);
    print_changed(out, r, true);
    size_t worst[LISTED + 1], count = least_alike(worst, r);
    for (size_t i = 0; i < count; i++) {
        const evaluate_moment *moment = moment_of(r, worst[i]);
        http_text_printf(out, "%s  %6.4f  ", i ? "" : "\nleast alike (reco whatif USER --as-of TIME --against ... shows one)\n",
                         of->values[EVALUATE_RBO][worst[i]]);
        http_text_time(out, moment->at);
        http_text_printf(out, "  ");
        http_text_shown(out, r->moments.users.names[moment->user].data, r->moments.users.names[moment->user].size);
        http_text_printf(out, "\n");
    }
}

/* --- warnings ------------------------------------------------------------------------------------------------------------------------------- */

static void warn_of_popularity(const whatif_run *r, size_t plan, uint64_t answers, const char *parts) {
    char where[96] = "";
    if (answers == 0)
        return;
    if (!r->user)
        snprintf(where, sizeof where, " in %llu of %zu answers of the %s plan", (unsigned long long)answers, r->count, plan ? "second" : "first");
    fprintf(stderr,
            "reco: warning: popularity by %s %s what it was%s: recommend.window_%s ends at the moment, and there begins before what\n"
            "      popularity.%s_kept, counted from the newest event, keeps\n",
            parts, r->plans[plan].rewound.missing ? "may not be" : "is not", where, parts, parts);
}

static void warn(const whatif_run *r) {
    if (r->plans[0].rewound.missing)
        fprintf(stderr,
                "reco: warning: the stream had dropped %llu records already; what users did there is not counted, and not all items that are\n"
                "      new can be told from older ones: some may be shown too early\n",
                (unsigned long long)r->plans[0].rewound.missing);
    for (size_t i = 0; i < r->plan_count; i++) {
        warn_of_popularity(r, i, r->plans[i].rewound.hours_gone, "hours");
        warn_of_popularity(r, i, r->plans[i].rewound.days_gone, "days");
    }
}

reco_status whatif_tell(const whatif_run *r, reco_error *err) {
    http_text text = {0};
    void (*const ways[2][2])(http_text *, const whatif_run *) = {{print_traffic, print_user}, {add_traffic, add_user}};
    ways[r->given->json][r->user != NULL](&text, r);
    bool failed = text.failed || r->plans[0].text.failed || r->plans[1].text.failed;
    if (!failed)
        fwrite(text.data, 1, text.size, stdout);
    http_text_dispose(&text);
    warn(r);
    return failed ? options_no_memory(err) : cli_finish(err);
}
