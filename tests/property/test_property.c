/* tests/property/test_property.c - random traffic through the public API against a model of the whole engine; every difference is a failure.
 *
 * A history is random settings and a few hundred operations: events (good, bad, late, early, sent twice, taken back), items and users with their
 * attributes, parents and aliases (whole, in part, as structs and as JSON), learning all or a part of what waits, questions of every kind, alone and
 * in batches, with sessions, exclude lists, conditions, caps, variants and pages, closing and opening again, verifying. Each operation has dice of
 * its own, so that others can be left out: a failing history is shortened by removing operations for as long as it still fails, and printed with its
 * seed.
 *
 * What is answered is compared item by item and score by score. Caps and variants go by the order of an answer, and scores of the model are not exact
 * to the last micro-unit; so of what is missing in an answer that has them it must be shown that something before it stood in its way.
 *
 * CMakeLists.txt has libraries with one line changed, each of which this program must tell from the model: one or more for each kind of operation.
 *
 * Time is the test's: this program has its own clock_gettime, which adds to the steady clock and stands still in between for the wall clock. An
 * answer may be made from popularity that is up to a second old; most questions let that second pass first, the others are held against both what
 * was seen at the last look and what is there now.
 *
 * `test_property` runs for 30 seconds from one seed (10 minutes from a seed of the moment with RECO_FULL set), which it prints; `test_property
 * SECONDS SEED` for so long from that seed; a third argument says that the first difference is wanted as it is. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <reco.h>
#include <reco/admin.h>

#include <jansson.h>

#include "asking.h"
#include "dice.h"
#include "model.h"
#include "support/engine.h"

uint64_t dice;

/* --- time -------------------------------------------------------------------------------------------------------------------------------------- */

static int64_t wall_ms = INT64_C(1767225600000), steady_ahead_ns;

/* In place of the C library's, for the engine too. */
int clock_gettime(clockid_t clock, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, clock, out);
    if (failed == 0 && clock == CLOCK_REALTIME) {
        *out = (struct timespec){wall_ms / 1000, wall_ms % 1000 * 1000000};
    } else if (failed == 0 && clock == CLOCK_MONOTONIC) {
        int64_t now = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + steady_ahead_ns;
        *out = (struct timespec){now / 1000000000, now % 1000000000};
    }
    return failed;
}

static void pass(int64_t ms) {
    wall_ms += ms;
    steady_ahead_ns += ms * 1000000;
}

static double real_seconds(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- a history --------------------------------------------------------------------------------------------------------------------------------- */

enum { OPS = 260, POSITIONS = 8, PAGES = 6, REMEMBERED = 24 };
enum { INGEST, PASS, LEARN, LEARN_SOME, RECOMMEND, RANK, SIMILAR, POPULAR, BATCH, ITEM, USER, REOPEN, VERIFY, KINDS };
static const char *const kind_names[KINDS] = {"ingest",  "pass",  "learn", "learn some", "recommend", "rank",  "similar",
                                              "popular", "batch", "item",  "user",       "reopen",    "verify"};
static const int kind_shares[KINDS] = {36, 12, 16, 3, 14, 6, 6, 9, 2, 12, 5, 2, 1};

typedef struct op {
    int kind;
    uint64_t dice;
} op;

typedef struct history {
    uint64_t seed;
    op ops[OPS];
    int count;
} history;

static struct {
    model m;
    reco_engine *engine;
    reco_settings *settings;
    reco_answer *answer;
    char folder[256];
    bool on_disk, partly; /* partly: an unknown part of what waits is learned */
    bool look_known;      /* m.seen is what was seen at the last look */
    double looked;        /* when that was */
    struct {
        char token[RECO_POSITION_MAX];
        uint64_t need[PARTS];
    } positions[POSITIONS];
    int position_count;
    happening sent[REMEMBERED]; /* events with ids, which can be taken back */
    int sent_count;
    asking asking;
    char failure[2000];
    bool trace, full;
} h;

static uint64_t compared[KINDS], undone, pages;

static bool wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool wrong(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(h.failure, sizeof h.failure, format, args);
    va_end(args);
    return false;
}

static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void trace(const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (h.trace)
        vprintf(format, args);
    va_end(args);
}

static bool fine(reco_status status, const char *what, const reco_error *err) {
    return status == RECO_OK || wrong("%s: %s: %s: %s", what, reco_status_name(status), err->field, err->text);
}

static reco_str text(const char *of) { return (reco_str){of, strlen(of)}; }
static const char *item_name(int item) { return item_names[item]; }

/* --- settings ---------------------------------------------------------------------------------------------------------------------------------- */

static void random_rules(rules *r) {
    bool small = one_in(2);
    memset(r, 0, sizeof *r);
    r->partitions = (uint32_t)(1 + below(PARTS));
    r->lateness = PICK(0, 2 * MINUTE, HOUR, HOUR);
    r->skew = PICK(0, MINUTE, MINUTE, 5 * MINUTE);
    r->coview_length = small ? PICK(10 * MINUTE, HOUR, DAY) : 7 * DAY;
    r->coview_kept = small ? (int)PICK(1, 2, 5, 12) : 26;
    r->cut = small ? (int)PICK(1, 2, 4, 512) : 512;
    r->head = r->cut < 128 || one_in(3) ? (int)PICK(1, 2, 4) : 128;
    r->head = r->head < r->cut ? r->head : r->cut;
    r->halving = one_in(2) ? 0 : (int)PICK(1, 2, 7);
    r->pair_window = (int)PICK(1, 2, 10, 10);
    r->pair_session = one_in(2);
    r->pair_inverse = one_in(2);
    r->history = one_in(3) ? (int)PICK(1, 3, 6) : 1000;
    r->recents = r->history < 1000 || one_in(3) ? (int)PICK(1, 2, 4) : 50;
    r->recents = r->recents < r->history ? r->recents : r->history;
    r->pair_window = r->pair_window < r->history ? r->pair_window : r->history;
    r->ids_seen = (int)PICK(0, 1, 5, 128);
    r->ids_window = PICK(0, 10 * MINUTE, DAY);
    r->gap = PICK(10 * SECOND, 30 * MINUTE, 30 * MINUTE);
    r->lifetime = PICK(2 * HOUR, 3 * DAY, 365 * DAY, 365 * DAY);
    r->ids_window = r->ids_window < r->lifetime ? r->ids_window : r->lifetime;
    r->hours_kept = (int)PICK(2, 24, 48);
    r->days_kept = (int)PICK(1, 3, 60);
    r->window_hours = PICK(HOUR, 2 * HOUR, r->hours_kept * HOUR);
    r->window_days = PICK(DAY, r->days_kept * DAY);
    r->norm_max = one_in(2);
    r->row_power = one_in(2) ? 0.5 : (double)below(11) / 10;
    r->popularity_power = one_in(2) ? 0.2 : (double)below(11) / 10;
    r->recency_power = one_in(2);
    r->recency_value = r->recency_power ? 0.3 + (double)below(7) / 10 : 1 + below(9);
    r->filter_seen = one_in(2);
    r->filter_availability = !one_in(5);
    r->revisit = r->filter_seen ? 0 : below(3);
    r->weight_coview = one_in(4) ? (double)below(3) : 1;
    r->weight_popular = one_in(2) ? 0.01 : (double)below(11) / 10;
}

static bool set(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool set(const char *name, const char *format, ...) {
    reco_error err = RECO_ERROR_INIT;
    char value[64];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    trace("  %s: %s\n", name, value);
    return fine(reco_settings_set(h.settings, name, value, &err), name, &err);
}
static bool set_time(const char *name, int64_t ms) { return set(name, "%lldms", (long long)ms); }
static bool set_switch(const char *name, bool on) { return set(name, "%s", on ? "yes" : "no"); }

static bool make_settings(const rules *r) {
    reco_error err = RECO_ERROR_INIT;
    if (!fine(reco_settings_create(&h.settings, &err), "settings", &err))
        return false;
    return set("limits.map_size", "1GiB") && set("limits.items", "1000") && set("limits.min_free", "0B") && set("event_types.return.weight", "-2") &&
           set("partitions", "%u", r->partitions) && set_time("lateness", r->lateness) && set_time("skew", r->skew) &&
           set_time("coview.length", r->coview_length) && set("coview.kept", "%d", r->coview_kept) && set("coview.cut", "%d", r->cut) &&
           set("coview.head", "%d", r->head) && set("coview.halving", "%d", r->halving) && set("pairs.window", "%d", r->pair_window) &&
           set("pairs.within", "%s", r->pair_session ? "session" : "history") && set("pairs.weight", "%s", r->pair_inverse ? "inverse" : "flat") &&
           set("cell.recents", "%d", r->recents) && set("cell.history", "%d", r->history) && set("cell.ids_seen", "%d", r->ids_seen) &&
           set_time("cell.ids_window", r->ids_window) && set_time("cell.session_gap", r->gap) && set_time("cell.lifetime", r->lifetime) &&
           set("popularity.hours_kept", "%d", r->hours_kept) && set("popularity.days_kept", "%d", r->days_kept) &&
           set_time("recommend.window_hours", r->window_hours) && set_time("recommend.window_days", r->window_days) &&
           set("recommend.normalise", "%s", r->norm_max ? "max" : "sum") && set("recommend.row_power", "%g", r->row_power) &&
           set("recommend.popularity_power", "%g", r->popularity_power) && set("recommend.recency", "%s", r->recency_power ? "power" : "exp") &&
           set("recommend.recency_value", "%g", r->recency_value) && set_switch("recommend.filter_seen", r->filter_seen) &&
           set_switch("recommend.filter_availability", r->filter_availability) && set("recommend.revisit", "%g", r->revisit) &&
           set("recommend.weight_coview", "%g", r->weight_coview) && set("recommend.weight_popular", "%g", r->weight_popular);
}

static bool open_engine(void) {
    reco_error err = RECO_ERROR_INIT;
    reco_open_options options = {.struct_size = sizeof options, .data = h.on_disk ? h.folder : "memory:", .settings = h.settings};
    if (!fine(reco_open(&h.engine, &options, NULL, &err), "open", &err))
        return false;
    h.look_known = false;
    return true;
}

/* --- events ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct sending {
    reco_event event;
    char session[24], id[24];
    happening accepted;
    reco_status status; /* what is expected */
    const char *field;
} sending;

static void spoil(sending *s, int64_t received_at) {
    static char long_id[300];
    const rules *r = &h.m.rules;
    reco_event *e = &s->event;
    memset(long_id, 'y', sizeof long_id);
    s->status = RECO_INVALID;
    switch (below(11)) {
    case 0:
        e->user_id.size = 0, s->field = "user_id";
        break;
    case 1:
        e->item_id = (reco_str){"\xff", 1}, s->field = "item_id";
        break;
    case 2:
        e->item_id = (reco_str){"a\0b", 3}, s->field = "item_id";
        break;
    case 3:
        e->event_type = text("stare"), s->field = "event_type";
        break;
    case 4:
        e->value = NAN, e->flags |= RECO_EVENT_HAS_VALUE, s->field = "value";
        break;
    case 5:
        e->position = -1, e->flags |= RECO_EVENT_HAS_POSITION, s->field = "position";
        break;
    case 6:
        e->properties = text("[1]"), s->field = "properties";
        break;
    case 7:
        e->user_id = (reco_str){long_id, 257}, s->status = RECO_TOO_LARGE, s->field = "user_id";
        break;
    case 8:
        e->timestamp = received_at - r->lateness - 1, s->status = RECO_TOO_LATE, s->field = "timestamp";
        break;
    case 9:
        e->timestamp = received_at + r->skew + 1, s->status = RECO_TOO_EARLY, s->field = "timestamp";
        break;
    default:
        e->flags |= 64, s->field = "flags";
        break;
    }
}

/* The event again, with a word less, or another. */
static void random_undo(sending *s, int64_t received_at) {
    const rules *r = &h.m.rules;
    happening *a = &s->accepted;
    if (h.sent_count > 0 && !one_in(8))
        *a = h.sent[below(h.sent_count)];
    a->undo = true;
    a->id = a->id ? a->id : 1 + below(40);
    if (one_in(8))
        a->type = below(TYPES);
    if (one_in(8))
        a->item = below(ITEMS);
    a->received_at = received_at;
    a->t = one_in(3) ? 0 : a->t;
    if (a->t != 0 && a->t < received_at - r->lateness)
        s->status = RECO_TOO_LATE, s->field = "timestamp";
    if (a->t > received_at + r->skew)
        s->status = RECO_TOO_EARLY, s->field = "timestamp";
    undone++;
}

static void fill_event(sending *s) {
    const happening *a = &s->accepted;
    s->event = (reco_event){.user_id = text(user_names[a->user]),
                            .item_id = text(item_names[a->item]),
                            .event_type = text(type_rules[a->type].name),
                            .timestamp = !a->undo && a->t == a->received_at && one_in(2) ? 0 : a->t,
                            .value = a->value,
                            .flags = (a->has_value ? RECO_EVENT_HAS_VALUE : 0) | (a->undo ? RECO_EVENT_UNDO : 0)};
    if (a->session)
        s->event.session_id = (reco_str){s->session, (size_t)snprintf(s->session, sizeof s->session, "s%d", a->session)};
    if (a->id)
        s->event.event_id = (reco_str){s->id, (size_t)snprintf(s->id, sizeof s->id, "id%d", a->id)};
    if (one_in(10))
        s->event.properties = text("{\"a\":[1,{}]}");
}

static void random_event(sending *s, int64_t received_at) {
    const rules *r = &h.m.rules;
    memset(s, 0, sizeof *s);
    happening *a = &s->accepted;
    a->user = below(one_in(2) ? 2 : USERS);
    a->item = below(one_in(2) ? 5 : ITEMS);
    a->type = one_in(2) ? 0 : below(TYPES);
    a->has_value = one_in(2);
    a->value = a->has_value ? (double)below(11) / 2 : 0;
    a->session = one_in(3) ? 1 + below(2) : 0;
    a->id = one_in(2) ? 1 + below(40) : 0;
    a->received_at = received_at;
    a->t = one_in(2) ? received_at : span(received_at - r->lateness, received_at + r->skew);
    if (one_in(8))
        random_undo(s, received_at);
    a->partition = model_partition(&h.m, a->user);
    fill_event(s);
    if (!s->field && one_in(12) && !a->undo)
        spoil(s, received_at);
    if (a->undo && one_in(20))
        s->event.event_id.size = 0, s->status = RECO_INVALID, s->field = "event_id";
    if (!s->field && !a->undo && a->id)
        h.sent[h.sent_count < REMEMBERED ? h.sent_count++ : below(REMEMBERED)] = *a;
    trace("    %s %s%s %s%s t%+lld session %d id %d value %g%s%s\n", user_names[a->user], a->undo ? "takes back " : "", type_rules[a->type].name,
          item_names[a->item], s->event.timestamp ? "" : " now", (long long)(a->t - wall_ms), a->session, a->id, a->has_value ? a->value : -1,
          s->field ? " BAD: " : "", s->field ? s->field : "");
}

static void keep_position(const char *token, const happening *accepted, size_t count) {
    int at = h.position_count < POSITIONS ? h.position_count++ : below(POSITIONS);
    memset(h.positions[at].need, 0, sizeof h.positions[at].need);
    memcpy(h.positions[at].token, token, RECO_POSITION_MAX);
    uint64_t next[PARTS];
    memcpy(next, h.m.appended, sizeof next);
    for (size_t i = 0; i < count; i++) /* called before they are appended to the model */
        h.positions[at].need[accepted[i].partition] = ++next[accepted[i].partition];
}

static bool run_ingest(void) {
    static sending sent[64];
    static reco_event events[64];
    static reco_error errors[64];
    happening accepted[64];
    size_t count = (size_t)(one_in(20) ? 1 + below(60) : 1 + below(5)), good = 0, bad = 0;
    bool atomic = one_in(8), by_clock = one_in(2);
    int64_t received_at = by_clock || one_in(2) ? wall_ms : wall_ms - span(0, one_in(5) ? 20 * MINUTE : 3 * SECOND);
    trace("   received at %+lld%s\n", (long long)(received_at - wall_ms), atomic ? ", all or none" : "");
    for (size_t i = 0; i < count; i++) {
        random_event(&sent[i], received_at);
        events[i] = sent[i].event;
    }
    reco_error err = RECO_ERROR_INIT;
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_ingest_options options = {.struct_size = sizeof options,
                                   .flags = atomic ? RECO_INGEST_ATOMIC : 0,
                                   .errors = errors,
                                   .errors_room = 64,
                                   .received_at = by_clock && received_at == wall_ms ? 0 : received_at};
    reco_status status = reco_ingest(&receipt, h.engine, events, count, sizeof *events, &options, NULL, &err), first = RECO_OK;
    for (size_t i = 0; i < count; i++) {
        if (!sent[i].field) {
            accepted[good++] = sent[i].accepted;
            continue;
        }
        first = first == RECO_OK ? sent[i].status : first;
        if (bad >= receipt.error_count || errors[bad].index != (int32_t)i || errors[bad].status != (int32_t)sent[i].status ||
            strcmp(errors[bad].field, sent[i].field) != 0)
            return wrong("event %zu: expected %s of %s, error %zu of %u is %s of %s at %d", i, reco_status_name(sent[i].status), sent[i].field, bad,
                         receipt.error_count, bad < receipt.error_count ? reco_status_name((reco_status)errors[bad].status) : "none",
                         bad < receipt.error_count ? errors[bad].field : "", bad < receipt.error_count ? errors[bad].index : -1);
        bad++;
    }
    if (atomic && bad > 0)
        good = 0;
    reco_status due = good > 0 ? RECO_OK : first;
    if (status != due || receipt.accepted != good || receipt.rejected != bad)
        return wrong("ingest: expected %s with %zu and %zu, got %s with %u and %u: %s", reco_status_name(due), good, bad, reco_status_name(status),
                     receipt.accepted, receipt.rejected, err.text);
    if (good > 0)
        keep_position(receipt.position, accepted, good);
    compared[INGEST]++;
    h.full = h.full || !model_append(&h.m, accepted, good, received_at);
    return true;
}

static bool run_learn(bool some) {
    reco_error err = RECO_ERROR_INIT;
    reco_processor *processor = NULL;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = (uint32_t)PICK(1, 2, 3, 7, 50, 0)};
    reco_progress progress = {.struct_size = sizeof progress};
    int steps = some ? 1 + below(4) : 1 << 30;
    if (!some && one_in(2)) {
        if (!fine(reco_process(NULL, h.engine, NULL, &err), "process", &err))
            return false;
    } else {
        if (!fine(reco_processor_open(&processor, h.engine, &options, NULL, &err), "processor", &err))
            return false;
        reco_status status = RECO_OK;
        for (int i = 0; i < steps && !progress.idle && status == RECO_OK; i++)
            status = reco_processor_step(&progress, processor, NULL, &err);
        reco_processor_close(processor);
        if (!fine(status, "step", &err))
            return false;
    }
    h.partly = some;
    if (!some)
        model_learn(&h.m);
    compared[LEARN]++;
    return true;
}

/* --- comparing --------------------------------------------------------------------------------------------------------------------------------- */

static int item_of(reco_str name) {
    for (int i = 0; i < NAMES; i++)
        if (name.size == strlen(item_name(i)) && memcmp(name.data, item_name(i), name.size) == 0)
            return i;
    return -1;
}

static bool check_reasons(const reco_answer_item *one, bool reasons, const char *name) {
    int64_t sum = 0;
    for (uint32_t j = 0; j < one->reason_count; j++)
        sum += one->reasons[j].score;
    if (!reasons)
        return one->reason_count == 0 || wrong("%s: reasons that were not wanted", name);
    return sum == one->score || wrong("%s: the reasons sum to %lld, the score is %lld", name, (long long)sum, (long long)one->score);
}

/* What holds for every answer, whatever was learned. */
static bool check_always(const reco_answer *a, int limit, int64_t moment, const selection *select, bool reasons) {
    bool taken[NAMES] = {false};
    if (a->count > (size_t)limit)
        return wrong("%zu items for a limit of %d", a->count, limit);
    if (a->degraded != 0)
        return wrong("degraded: 0x%x", a->degraded);
    for (size_t i = 0; i < a->count; i++) {
        const reco_answer_item *one = &a->items[i];
        int item = item_of(one->item_id), why;
        if (item < 0 || taken[item] || one->rank != i + 1)
            return wrong("place %zu: item %.*s (%d), rank %u", i, (int)one->item_id.size, one->item_id.data, item, one->rank);
        if (!check_reasons(one, reasons, item_name(item)))
            return false;
        if (item < ITEMS && !model_available(&h.m, item, moment))
            return wrong("%s may not be recommended", item_name(item));
        if (!model_fits(&h.m, select, item))
            return wrong("%s is excluded, or does not hold the conditions", item_name(item));
        if (model_was_shown(&h.m, select, item))
            return wrong("%s was on a page before", item_name(item));
        why = model_blocked(&h.m, select, taken, NULL, item);
        if (why != FREE)
            return wrong("%s: %s", item_name(item), why == VARIANT ? "another variant is before it" : "a cap is reached");
        if (i > 0 && one->score > a->items[i - 1].score)
            return wrong("%s has a larger score than the item before it", item_name(item));
        taken[item] = true;
    }
    return true;
}

/* Why something is missing: what stands before it in the answer, or as good as. */
static int in_the_way(const reco_answer *a, const expected *e, const asked *q, int item) {
    bool before[NAMES] = {false}, about[NAMES] = {false};
    for (size_t i = 0; i < a->count; i++)
        if ((double)a->items[i].score >= e->score[item] - e->tolerance - e->score[item] * 3e-7)
            before[item_of(a->items[i].item_id)] = true;
    for (int i = 0; i < q->item_count && q->kind == ASK_SIMILAR; i++)
        about[q->items[i]] = q->items[i] < ITEMS && h.m.known[q->items[i]];
    return model_blocked(&h.m, &q->select, before, about, item);
}

/* The items nothing was learned of, in the order given. */
static bool compare_rest(const reco_answer *a, const asked *q, size_t at, bool *left) {
    bool taken[NAMES] = {false};
    for (size_t i = 0; i < at; i++)
        taken[item_of(a->items[i].item_id)] = true;
    for (int i = 0; i < q->item_count && q->kind == ASK_RANK; i++) {
        int item = q->items[i];
        if (item < ITEMS && h.m.known[item])
            continue;
        *left = *left || at == (size_t)q->limit; /* that it would not be answered is not known yet */
        if ((item < ITEMS && !model_available(&h.m, item, q->as_of ? q->as_of : q->now)) || at == (size_t)q->limit ||
            !model_fits(&h.m, &q->select, item) || model_was_shown(&h.m, &q->select, item))
            continue;
        int why = model_blocked(&h.m, &q->select, taken, NULL, item);
        *left = *left || why == CAPPED;
        if (why != FREE)
            continue;
        if (at >= a->count || item_of(a->items[at].item_id) != item || a->items[at].score != 0)
            return wrong("place %zu: %s is expected with a score of 0", at, item_name(item));
        taken[item] = true;
        at++;
    }
    return at == a->count || wrong("place %zu: %s is not to be answered", at, item_name(item_of(a->items[at].item_id)));
}

static bool compare(const reco_answer *a, const expected *e, const asked *q) {
    size_t learned = 0;
    bool answered[ITEMS] = {false}, left = false, must_go_on = false;
    double last = INFINITY;
    for (; learned < a->count; learned++) {
        int item = item_of(a->items[learned].item_id);
        double score = (double)a->items[learned].score, off;
        if (q->kind == ASK_RANK && (item >= ITEMS || !h.m.known[item]))
            break;
        off = item < ITEMS ? fabs(score - e->score[item]) : INFINITY;
        if (item >= ITEMS || !e->candidate[item])
            return wrong("place %zu: %s is not to be answered", learned, item_name(item));
        if (off > e->tolerance + e->score[item] * 3e-7)
            return wrong("%s: score %.0f, the model has %.3f (tolerance %.2f)", item_name(item), score, e->score[item], e->tolerance);
        if (learned > 0 && a->items[learned - 1].score == a->items[learned].score && name_before(item, item_of(a->items[learned - 1].item_id)))
            return wrong("%s: equal scores, but not in the order of names", item_name(item));
        answered[item] = true;
        last = score;
    }
    for (int i = 0; i < ITEMS; i++) {
        if (!e->candidate[i] || answered[i])
            continue;
        int why = in_the_way(a, e, q, i);
        bool behind = learned == (size_t)q->limit && e->score[i] <= last + e->tolerance + last * 3e-7;
        if (why == FREE && !behind && !e->faint[i])
            return wrong("%s is missing: the model has %.3f", item_name(i), e->score[i]);
        left = true;
        must_go_on = must_go_on || (why != VARIANT && !e->faint[i]);
    }
    if (q->kind != ASK_SIMILAR && ((a->flags & RECO_ANSWER_FALLBACK) != 0) != e->fallback)
        return wrong("fallback is %d, the model says %d", (a->flags & RECO_ANSWER_FALLBACK) != 0, e->fallback);
    if (!compare_rest(a, q, learned, &left))
        return false;
    if (must_go_on && a->next.size == 0)
        return wrong("something is left, but there is no next page");
    return left || a->next.size == 0 || wrong("a next page, but nothing is left");
}

/* --- questions --------------------------------------------------------------------------------------------------------------------------------- */

/* Lets popularity grow old enough to be looked at again, mostly. */
static void look(void) {
    double now = real_seconds() + (double)steady_ahead_ns / 1e9;
    if (!one_in(4) || !h.look_known || now - h.looked > 0.9) {
        pass(1001);
        h.looked = now + 1.001;
        trace("   (looks again)\n");
        h.m.seen = h.m.now;
        h.look_known = !h.partly;
    }
}

static int64_t random_moment(void) {
    int64_t moment = one_in(2) ? 0 : wall_ms + (one_in(2) ? span(-30 * MINUTE, 30 * MINUTE) : span(-3 * DAY, DAY));
    trace("   as of %+lld\n", moment ? (long long)(moment - wall_ms) : 0);
    return moment;
}

static void random_items(asked *q, int most) {
    q->item_count = 1 + below(most);
    for (int i = 0; i < q->item_count; i++) {
        bool again = true;
        while (again) {
            q->items[i] = below(ITEMS + NOBODY_KNOWS);
            again = false;
            for (int j = 0; j < i; j++)
                again = again || q->items[j] == q->items[i];
        }
        trace("    of %s\n", item_name(q->items[i]));
    }
}

static void random_session(asked *q, reco_event events[SESSION_ROOM]) {
    q->session_count = one_in(3) || q->user < 0 ? 1 + below(SESSION_ROOM) : 0;
    for (int i = 0; i < q->session_count; i++) {
        happening *s = &q->session[i];
        *s = (happening){.item = below(ITEMS), .type = one_in(2) ? 0 : below(TYPES), .has_value = one_in(2), .value = (double)below(11) / 2};
        s->t = one_in(3) ? wall_ms - span(0, 2 * HOUR) : 0;
        events[i] = (reco_event){.item_id = text(item_names[s->item]),
                                 .event_type = s->type == 0 && one_in(2) ? text("") : text(type_rules[s->type].name),
                                 .timestamp = s->t,
                                 .value = s->value,
                                 .flags = s->has_value ? RECO_EVENT_HAS_VALUE : 0};
        if (one_in(5))
            events[i].session_id = text("other fields do not count");
        trace("    session: %s%s %s %g t%+lld\n", events[i].session_id.size ? "(id) " : "", item_names[s->item], type_rules[s->type].name,
              s->has_value ? s->value : -1, s->t ? (long long)(s->t - wall_ms) : 0);
    }
}

/* A question and all it points to. */
typedef struct question {
    asked q;
    reco_event session[SESSION_ROOM];
    reco_str names[NAMES];
    int limit, position; /* as given; -1: none */
    bool no_reasons, as_json;
    char cursor[8192];
} question;

static void trace_selection(const selection *s) {
    static asking said;
    reco_error err = RECO_ERROR_INIT;
    reco_status status;
    if (h.trace && asking_make(&said, s, "", true, &status, &err))
        trace("   selection %s\n", said.json[0] ? said.json : "(as structs)");
    asking_done(&said);
    for (int i = 0; i < NAMES && h.trace; i++)
        if (s->shown[i])
            trace("    shown: %s\n", item_name(i));
}

static void random_question(question *out, int kind) {
    memset(out, 0, sizeof *out);
    asked *q = &out->q;
    q->kind = kind;
    q->user = one_in(8) ? -1 : below(USERS);
    q->as_of = random_moment();
    if (kind != ASK_SIMILAR) {
        random_session(q, out->session);
        trace("   user %s\n", q->user < 0 ? "nobody" : user_names[q->user]);
    }
    if (kind != ASK_USER)
        random_items(q, kind == ASK_RANK ? NAMES : 4);
    for (int i = 0; i < q->item_count; i++)
        out->names[i] = text(item_name(q->items[i]));
    out->limit = one_in(2) ? 0 : 1 + below(6);
    out->position = h.position_count > 0 && q->user >= 0 && one_in(3) ? below(h.position_count) : -1;
    out->no_reasons = one_in(8);
    out->as_json = one_in(2);
    if (one_in(2))
        selection_random(&q->select);
}

/* Whether something the position stands for is not learned: of the user, or of those that are the user. */
static bool is_due(const asked *q, int position) {
    const profile *who = &h.m.users[q->user];
    bool due = false;
    for (int i = -1; i < who->alias_count; i++) {
        uint32_t p = model_partition(&h.m, i < 0 ? q->user : who->aliases[i]);
        due = due || h.positions[position].need[p] > h.m.done[p];
    }
    return due;
}

/* An answer is behind also when nobody could say in time, as on a machine that stood still for a moment: who is told so asks again. */
static bool stood_still(const question *of, int tries) {
    return tries < 10 && of->position >= 0 && !h.partly && (h.answer->flags & RECO_ANSWER_BEHIND) && !is_due(&of->q, of->position);
}

/* Asks, and answers whether it went as expected so far: *answered is false when there is no answer to judge. */
static bool ask(bool *answered, question *of) {
    reco_error err = RECO_ERROR_INIT;
    reco_status status;
    asked *q = &of->q;
    q->now = wall_ms;
    q->limit = of->limit ? of->limit : q->kind == ASK_RANK ? q->item_count : 20;
    trace("   limit %d\n", q->limit);
    trace_selection(&q->select);
    const reco_selection *chosen = asking_make(&h.asking, &q->select, of->cursor, of->as_json, &status, &err);
    *answered = false;
    if (!fine(status, "selection", &err))
        return false;
    if (q->kind == ASK_SIMILAR) {
        reco_similar_query query = {.struct_size = sizeof query,
                                    .flags = of->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                                    .items = of->names,
                                    .item_count = (size_t)q->item_count,
                                    .limit = (uint32_t)of->limit,
                                    .as_of = q->as_of,
                                    .selection = chosen};
        expected e;
        status = reco_similar(&h.answer, h.engine, &query, NULL, &err);
        model_ask(&e, &h.m, q, &h.m.now);
        if (!h.partly && (status == RECO_NOT_FOUND) != e.not_found)
            return wrong("similar: %s: %s", reco_status_name(status), err.text);
        *answered = status == RECO_OK;
        return status == RECO_NOT_FOUND || fine(status, "similar", &err);
    }
    reco_query query = {.struct_size = sizeof query,
                        .flags = of->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                        .as_of = q->as_of,
                        .limit = (uint32_t)of->limit,
                        .session = of->session,
                        .session_count = (size_t)q->session_count,
                        .event_size = sizeof *of->session,
                        .selection = chosen};
    if (q->user >= 0)
        query.user_id = text(user_names[q->user]);
    if (of->position >= 0)
        query.min_position = text(h.positions[of->position].token);
    for (int tries = 0; tries == 0 || (status == RECO_OK && stood_still(of, tries)); tries++)
        status = q->kind == ASK_USER ? reco_recommend(&h.answer, h.engine, &query, NULL, &err)
                                     : reco_rank(&h.answer, h.engine, &query, of->names, (size_t)q->item_count, NULL, &err);
    *answered = status == RECO_OK;
    return fine(status, "question", &err);
}

static bool judge_behind(const reco_answer *answer, const asked *q, int position) {
    bool behind = (answer->flags & RECO_ANSWER_BEHIND) != 0;
    if (position < 0 || h.partly)
        return position >= 0 || !behind || wrong("behind without a position");
    return behind == is_due(q, position) || wrong("behind is %d", behind);
}

/* Answers against the popularity of the last look, or of now. */
static bool judge(const reco_answer *answer, const question *of) {
    const asked *q = &of->q;
    expected e;
    if (!check_always(answer, q->limit, q->as_of ? q->as_of : q->now, &q->select, !of->no_reasons) ||
        (q->user >= 0 && q->kind != ASK_SIMILAR && !judge_behind(answer, q, of->position)))
        return false;
    if (h.partly)
        return true;
    model_ask(&e, &h.m, q, &h.m.seen);
    if (compare(answer, &e, q))
        return true;
    model_ask(&e, &h.m, q, &h.m.now);
    if (compare(answer, &e, q))
        return true;
    for (size_t i = 0; i < answer->count; i++)
        trace("   answered: %.*s %lld\n", (int)answer->items[i].item_id.size, answer->items[i].item_id.data, (long long)answer->items[i].score);
    for (int i = 0; i < ITEMS; i++)
        if (e.candidate[i])
            trace("   the model: %s %.3f%s\n", item_names[i], e.score[i], e.faint[i] ? " faint" : "");
    return false;
}

/* --- pages ------------------------------------------------------------------------------------------------------------------------------------- */

static void note_page(selection *select, char cursor[8192]) {
    for (size_t i = 0; i < h.answer->count; i++)
        model_note_shown(select, &h.m, item_of(h.answer->items[i].item_id));
    snprintf(cursor, 8192, "%.*s", (int)h.answer->next.size, h.answer->next.data);
}

static bool run_item(void);
static bool run_ingest(void);
static bool run_learn(bool some);
static void run_pass(void);

/* Something may happen between two pages. */
static bool meanwhile(void) {
    switch (below(6)) {
    case 0:
        return run_ingest();
    case 1:
        return run_learn(false);
    case 2:
        return run_item();
    case 3:
        run_pass();
        return true;
    default:
        return true;
    }
}

/* The next of this is no next of another question. */
static bool ask_another(const question *of) {
    question other = *of;
    reco_error err = RECO_ERROR_INIT;
    reco_status status;
    other.q.select.variants = !other.q.select.variants;
    const reco_selection *chosen = asking_make(&h.asking, &other.q.select, other.cursor, other.as_json, &status, &err);
    reco_query query = {.struct_size = sizeof query, .user_id = text(user_names[0]), .as_of = other.q.as_of, .selection = chosen};
    if (of->q.kind == ASK_USER && of->q.user >= 0 && one_in(2))
        query.user_id = text(user_names[(of->q.user + 1) % USERS]);
    if (status == RECO_OK)
        status = reco_recommend(&h.answer, h.engine, &query, NULL, &err);
    return (status == RECO_INVALID && strcmp(err.field, "cursor") == 0) || wrong("a cursor of another question: %s", reco_status_name(status));
}

static bool run_question(int kind) {
    question of;
    bool answered, ok;
    look();
    random_question(&of, kind);
    int most = one_in(2) ? 1 : PAGES;
    for (int page = 0; page < most; page++) {
        if (page > 0) {
            if (!meanwhile())
                return false;
            look();
            of.limit = one_in(3) ? 1 + below(6) : of.limit;
            of.as_json = one_in(2);
            if (one_in(6))
                selection_grow(&of.q.select);
            trace("  page %d\n", page + 1);
            pages++;
        }
        ok = ask(&answered, &of) && (!answered || judge(h.answer, &of));
        if (!ok || !answered)
            return ok;
        compared[kind == ASK_USER ? RECOMMEND : kind == ASK_RANK ? RANK : SIMILAR]++;
        if (h.answer->next.size == 0)
            return true;
        note_page(&of.q.select, of.cursor);
        if (one_in(8) && !ask_another(&of))
            return false;
    }
    return true;
}

/* --- batches ----------------------------------------------------------------------------------------------------------------------------------- */

enum { BATCH_MOST = 5 };

typedef struct batch {
    question questions[BATCH_MOST];
    const char *spoilt[BATCH_MOST]; /* the field that is wrong */
    size_t told;
    bool fine;
} batch;

static int take_answer(void *context, size_t index, reco_status status, reco_answer *answer, const reco_error *error) {
    batch *b = context;
    if (index != b->told++)
        b->fine = wrong("batch: the answer to %zu came as number %zu", index, b->told - 1);
    else if (b->spoilt[index])
        b->fine =
            (status == RECO_INVALID && !answer && strcmp(error->field, b->spoilt[index]) == 0) ||
            wrong("batch: question %zu is wrong in %s, the answer is %s of %s", index, b->spoilt[index], reco_status_name(status), error->field);
    else
        b->fine = fine(status, "batch", error) && judge(answer, &b->questions[index]);
    return !b->fine;
}

static bool run_batch(void) {
    static batch b;
    static asking said[BATCH_MOST];
    reco_query queries[BATCH_MOST];
    reco_error err = RECO_ERROR_INIT;
    reco_status status = RECO_OK;
    int count = 1 + below(BATCH_MOST);
    memset(&b, 0, sizeof b);
    b.fine = true;
    look();
    for (int i = 0; i < count; i++) {
        question *of = &b.questions[i];
        trace("  question %d\n", i);
        random_question(of, ASK_USER);
        of->position = -1;
        of->q.now = wall_ms;
        of->q.limit = of->limit ? of->limit : 20;
        trace_selection(&of->q.select);
        queries[i] = (reco_query){.struct_size = sizeof *queries,
                                  .flags = of->no_reasons ? RECO_QUERY_NO_REASONS : 0,
                                  .as_of = of->q.as_of,
                                  .limit = (uint32_t)of->limit,
                                  .session = of->session,
                                  .session_count = (size_t)of->q.session_count,
                                  .event_size = sizeof *of->session,
                                  .selection = asking_make(&said[i], &of->q.select, "", of->as_json, &status, &err)};
        if (!fine(status, "selection", &err))
            return false;
        if (of->q.user >= 0)
            queries[i].user_id = text(user_names[of->q.user]);
        if (i > 0 && one_in(6)) { /* after the first one, which looks at popularity */
            b.spoilt[i] = one_in(2) ? "limit" : "as_of";
            queries[i].limit = b.spoilt[i][0] == 'l' ? 1000000 : queries[i].limit;
            queries[i].as_of = b.spoilt[i][0] == 'a' ? -1 : queries[i].as_of;
        }
    }
    status = reco_recommend_batch(h.engine, queries, (size_t)count, sizeof *queries, take_answer, &b, NULL, &err);
    for (int i = 0; i < count; i++)
        asking_done(&said[i]);
    compared[BATCH]++;
    return b.fine && fine(status, "batch", &err) && (b.told == (size_t)count || wrong("batch: %zu answers to %d questions", b.told, count));
}

/* --- what is popular --------------------------------------------------------------------------------------------------------------------------- */

static bool compare_popular(const asked_popular *q, int limit, const sight *from, const sight *time) {
    int order[ITEMS], capped, all;
    int64_t sums[ITEMS];
    int count = all = model_popular(order, sums, &capped, &h.m, q, from, time);
    count = count < limit ? count : limit;
    if (h.answer->count != (size_t)count)
        return wrong("popular: %zu items, the model has %d", h.answer->count, count);
    for (int i = 0; i < count; i++)
        if (item_of(h.answer->items[i].item_id) != order[i] || h.answer->items[i].score != sums[order[i]] * RECO_SCORE_UNIT)
            return wrong("popular: place %d: %.*s with %lld, the model has %s with %lld", i, (int)h.answer->items[i].item_id.size,
                         h.answer->items[i].item_id.data, (long long)h.answer->items[i].score, item_names[order[i]],
                         (long long)(sums[order[i]] * RECO_SCORE_UNIT));
    if (h.answer->next.size == 0)
        return (all <= limit && capped == 0) || wrong("popular: something is left, but there is no next page");
    return true;
}

static void random_popular(asked_popular *q) {
    *q = (asked_popular){.as_of = random_moment(), .category = one_in(3) ? below(CATEGORIES) : -1};
    q->window = one_in(2) ? 0 : PICK(1, HOUR, 3 * HOUR, DAY, 2 * DAY, 60 * DAY, 61 * DAY, h.m.rules.window_hours, h.m.rules.window_days);
    if (one_in(2))
        selection_random(&q->select);
}

/* One page. *over: there is no other. */
static bool ask_popular(bool *over, asked_popular *q, int limit, const char *cursor, bool as_json) {
    reco_error err = RECO_ERROR_INIT;
    reco_status status;
    int order[ITEMS], capped;
    int64_t sums[ITEMS];
    bool reasons = !one_in(8);
    reco_popular_query query = {.struct_size = sizeof query,
                                .flags = reasons ? 0 : RECO_QUERY_NO_REASONS,
                                .limit = (uint32_t)limit,
                                .window = q->window,
                                .as_of = q->as_of,
                                .selection = asking_make(&h.asking, &q->select, cursor, as_json, &status, &err)};
    *over = true;
    if (!fine(status, "selection", &err))
        return false;
    if (q->category >= 0)
        query.category = text(category_names[q->category]);
    limit = limit ? limit : 20;
    q->now = wall_ms;
    trace("   window %lld category %d limit %d\n", (long long)q->window, q->category, limit);
    trace_selection(&q->select);
    status = reco_popular(&h.answer, h.engine, &query, NULL, &err);
    if (model_popular(order, sums, &capped, &h.m, q, &h.m.now, &h.m.now) < 0)
        return (status == RECO_INVALID && strcmp(err.field, "window") == 0) || wrong("popular of too long a window: %s", reco_status_name(status));
    if (!fine(status, "popular", &err) || !check_always(h.answer, limit, q->as_of ? q->as_of : wall_ms, &q->select, reasons))
        return false;
    compared[POPULAR]++;
    *over = h.answer->next.size == 0;
    const sight *sights[2] = {&h.m.seen, &h.m.now};
    for (int i = 0; i < 4 && !h.partly; i++)
        if (compare_popular(q, limit, sights[i & 1], sights[i >> 1]))
            return true;
    return h.partly;
}

static bool run_popular(void) {
    static char cursor[8192];
    asked_popular q;
    bool over = false, ok = true;
    look();
    random_popular(&q);
    cursor[0] = 0;
    int limit = one_in(2) ? 0 : 1 + below(5), most = one_in(2) ? 1 : PAGES;
    for (int page = 0; page < most && ok && !over; page++) {
        if (page > 0) {
            note_page(&q.select, cursor);
            ok = meanwhile();
            look();
            trace("  page %d\n", page + 1);
            pages++;
        }
        ok = ok && ask_popular(&over, &q, limit, cursor, one_in(2));
    }
    return ok;
}

/* --- documents --------------------------------------------------------------------------------------------------------------------------------- */

static int64_t random_border(void) { return one_in(2) ? 0 : wall_ms + (one_in(2) ? span(-5 * MINUTE, 5 * MINUTE) : span(-DAY, DAY)); }

static void random_document(document *d) {
    *d = (document){.there = true, .hidden = one_in(4), .from = random_border(), .until = random_border(), .categories = (unsigned)below(8)};
    d->parent = one_in(3) ? 1 + below(one_in(2) ? 3 : NAMES) : 0;
    for (int i = 0; i < ATTRIBUTES; i++)
        d->attributes[i] = one_in(2) ? 0 : below(LITERALS);
}

/* The same as JSON. */
static json_t *tell_document(const document *d, int item) {
    json_t *told = json_object(), *categories = json_array(), *attributes = json_object();
    json_object_set_new(told, "item_id", json_string(item_name(item)));
    json_object_set_new(told, "title", json_string("t"));
    for (int i = 0; i < CATEGORIES; i++)
        if (d->categories >> i & 1)
            json_array_append_new(categories, json_string(category_names[i]));
    if (d->categories)
        json_object_set(told, "categories", categories);
    if (d->parent)
        json_object_set_new(told, "parent", json_string(item_name(d->parent - 1)));
    if (d->hidden)
        json_object_set_new(told, "hidden", json_true());
    if (d->from)
        json_object_set_new(told, "available_from", json_integer(d->from));
    if (d->until)
        json_object_set_new(told, "available_until", json_integer(d->until));
    for (int i = 0; i < ATTRIBUTES; i++)
        if (d->attributes[i])
            json_object_set_new(attributes, attribute_names[i], json_loads(literals[d->attributes[i]].json, JSON_DECODE_ANY, NULL));
    if (json_object_size(attributes) > 0)
        json_object_set(told, "attributes", attributes);
    json_decref(categories);
    json_decref(attributes);
    return told;
}

static const char *wrong_with(const document *d, int item) {
    return d->parent == item + 1 ? "parent" : d->until != 0 && d->until <= d->from ? "available_until" : NULL;
}

enum { PUT_MOST = 3 };

/* All as one JSON array, or one object. */
static reco_status put_as_json(const document *documents, const int *items, int count, reco_error *err) {
    json_t *all = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(all, tell_document(&documents[i], items[i]));
    size_t put = 0;
    char *body = json_dumps(count == 1 && one_in(2) ? json_array_get(all, 0) : all, JSON_COMPACT);
    reco_status status = reco_items_put_json(&put, h.engine, body, strlen(body), RECO_JSON_AUTO, NULL, err);
    if (status == RECO_OK && put != (size_t)count)
        status = wrong("%zu items were put, not %d", put, count) ? RECO_OK : RECO_INTERNAL;
    free(body);
    json_decref(all);
    return status;
}

static reco_status put_as_structs(const document *documents, const int *items, int count, reco_error *err) {
    reco_item given[PUT_MOST];
    reco_str names[PUT_MOST][CATEGORIES];
    char *bags[PUT_MOST];
    for (int i = 0; i < count; i++) {
        const document *d = &documents[i];
        json_t *told = tell_document(d, items[i]), *attributes = json_object_get(told, "attributes");
        given[i] = (reco_item){.item_id = text(item_names[items[i]]),
                               .title = text("t"),
                               .categories = names[i],
                               .available_from = d->from,
                               .available_until = d->until,
                               .flags = d->hidden ? RECO_ITEM_HIDDEN : 0};
        for (int k = 0; k < CATEGORIES; k++)
            if (d->categories >> k & 1)
                names[i][given[i].category_count++] = text(category_names[k]);
        if (d->parent)
            given[i].parent = text(item_name(d->parent - 1));
        bags[i] = attributes ? json_dumps(attributes, JSON_COMPACT) : NULL;
        if (bags[i])
            given[i].attributes = text(bags[i]);
        json_decref(told);
    }
    reco_status status = reco_items_put(h.engine, given, (size_t)count, sizeof *given, NULL, err);
    for (int i = 0; i < count; i++)
        free(bags[i]);
    return status;
}

static void trace_document(const char *what, const document *d, int item) {
    json_t *told = h.trace ? tell_document(d, item) : NULL;
    char *shown = told ? json_dumps(told, JSON_COMPACT) : NULL;
    trace("   %s %s\n", what, shown ? shown : "");
    free(shown);
    json_decref(told);
}

/* One to three at once: all or none. */
static bool put_items(int item) {
    reco_error err = RECO_ERROR_INIT;
    document documents[PUT_MOST];
    int items[PUT_MOST], count = one_in(2) ? 1 : 1 + below(PUT_MOST), first = -1;
    for (int i = 0; i < count; i++) {
        items[i] = (item + i * 3) % ITEMS;
        random_document(&documents[i]);
        trace_document("put", &documents[i], items[i]);
        first = first < 0 && wrong_with(&documents[i], items[i]) ? i : first;
    }
    reco_status status = one_in(2) ? put_as_json(documents, items, count, &err) : put_as_structs(documents, items, count, &err);
    if (first >= 0)
        return (status == RECO_INVALID && err.index == first && strcmp(err.field, wrong_with(&documents[first], items[first])) == 0) ||
               wrong("item %d of %d is wrong in %s: %s of %s at %d", first, count, wrong_with(&documents[first], items[first]),
                     reco_status_name(status), err.field, err.index);
    for (int i = 0; i < count; i++)
        h.m.items[items[i]] = documents[i];
    return fine(status, "put", &err);
}

/* A merge patch, as text, and what it makes of the document. */
static json_t *random_patch(document *d) {
    json_t *patch = json_object(), *inside;
    int64_t border = random_border();
    int one = below(ATTRIBUTES), other = below(ATTRIBUTES);
    switch (below(7)) {
    case 0:
        json_object_set_new(patch, "hidden", (d->hidden = one_in(2)) ? json_true() : one_in(2) ? json_false() : json_null());
        break;
    case 1:
        d->from = border;
        json_object_set_new(patch, "available_from", border ? json_integer(border) : json_null());
        break;
    case 2:
        d->until = border;
        json_object_set_new(patch, "available_until", border ? json_integer(border) : json_null());
        break;
    case 3:
        d->parent = one_in(2) ? 1 + below(NAMES) : 0;
        json_object_set_new(patch, "parent", d->parent ? json_string(item_name(d->parent - 1)) : json_null());
        break;
    case 4:
        d->categories = one_in(2) ? 2 : 0;
        json_object_set_new(patch, "categories", d->categories ? json_pack("[s]", category_names[1]) : json_null());
        break;
    case 5:
        memset(d->attributes, 0, sizeof d->attributes);
        json_object_set_new(patch, "attributes", json_null());
        break;
    default: /* inside or beside, null takes away */
        inside = one_in(2) ? json_object() : json_incref(patch);
        for (int i = 0; i < 2; i++) {
            int attribute = i == 0 ? one : other, to = below(LITERALS);
            json_object_set_new(inside, attribute_names[attribute], to > 1 ? json_loads(literals[to].json, JSON_DECODE_ANY, NULL) : json_null());
            d->attributes[attribute] = to > 1 ? to : 0;
        }
        if (inside != patch)
            json_object_set(patch, "attributes", inside);
        json_decref(inside);
        break;
    }
    return patch;
}

/* What is told is what the model has, but for the form of times and of an empty bag. */
static bool same_document(const char *json, const document *d, int item) {
    json_t *told = json_loads(json, 0, NULL), *due = tell_document(d, item), *bag = json_object_get(told, "attributes");
    static const char *const times[] = {"available_from", "available_until"};
    bool same = told != NULL;
    for (int i = 0; i < 2; i++) {
        same = same && (json_object_get(told, times[i]) != NULL) == (json_object_get(due, times[i]) != NULL);
        json_object_del(told, times[i]);
        json_object_del(due, times[i]);
    }
    if (bag && json_object_size(bag) == 0)
        json_object_del(told, "attributes");
    same = same && json_equal(told, due);
    json_decref(told);
    json_decref(due);
    return same || wrong("%s is told as %s", item_name(item), json);
}

static bool patch_item(int item) {
    reco_error err = RECO_ERROR_INIT;
    document d = h.m.items[item];
    char *told = NULL;
    bool wanted = one_in(2);
    json_t *tree = random_patch(&d);
    char *patch = json_dumps(tree, JSON_COMPACT);
    json_decref(tree);
    trace("   patch %s %s\n", item_names[item], patch);
    reco_status status = reco_item_patch(wanted ? &told : NULL, h.engine, text(item_names[item]), patch, strlen(patch), NULL, &err);
    free(patch);
    bool same = true;
    if (!d.there)
        same = status == RECO_NOT_FOUND || wrong("a patch of no document: %s", reco_status_name(status));
    else if (wrong_with(&d, item))
        same = (status == RECO_INVALID && strcmp(err.field, wrong_with(&d, item)) == 0) ||
               wrong("a patch that is wrong in %s: %s of %s", wrong_with(&d, item), reco_status_name(status), err.field);
    else {
        h.m.items[item] = d;
        same = fine(status, "patch", &err) && (!told || same_document(told, &d, item));
    }
    reco_free(told);
    return same;
}

static bool get_item(int item) {
    reco_error err = RECO_ERROR_INIT;
    const document *d = &h.m.items[item];
    char *json = NULL;
    reco_status status = reco_item_get(&json, h.engine, text(item_names[item]), NULL, &err);
    bool same = status == (d->there ? RECO_OK : RECO_NOT_FOUND) || wrong("get %s: %s", item_names[item], reco_status_name(status));
    same = same && (!json || same_document(json, d, item));
    reco_free(json);
    return same;
}

static bool run_item(void) {
    reco_error err = RECO_ERROR_INIT;
    int item = below(one_in(2) ? 5 : ITEMS);
    compared[ITEM]++;
    switch (below(8)) {
    case 0:
        trace("   delete %s\n", item_names[item]);
        h.m.items[item] = (document){.there = false};
        return fine(reco_item_delete(h.engine, text(item_names[item]), NULL, &err), "delete", &err);
    case 1:
    case 2:
        return patch_item(item);
    case 3:
        return get_item(item);
    default:
        return put_items(item);
    }
}

/* --- users ------------------------------------------------------------------------------------------------------------------------------------- */

static const char *const segments[] = {"s-one", "s-two"};

/* Different ids, not the user's own. */
static void random_aliases(profile *p, int user) {
    int most = one_in(8) ? ALIASES : below(4);
    p->alias_count = 0;
    while (p->alias_count < most) {
        int alias = below(one_in(3) ? USERS + STRANGERS : USERS);
        bool fresh = alias != user;
        for (int i = 0; i < p->alias_count; i++)
            fresh = fresh && p->aliases[i] != alias;
        if (fresh)
            p->aliases[p->alias_count++] = alias;
        else if (one_in(30))
            break;
    }
    for (int i = 0; i < p->alias_count; i++)
        trace("    alias %s\n", user_names[p->aliases[i]]);
}

static json_t *tell_aliases(const profile *p) {
    json_t *aliases = json_array();
    for (int i = 0; i < p->alias_count; i++)
        json_array_append_new(aliases, json_string(user_names[p->aliases[i]]));
    return aliases;
}

static bool same_profile(const char *json, const profile *p, int user) {
    json_t *told = json_loads(json, 0, NULL), *aliases = tell_aliases(p), *due = json_pack("{ss}", "user_id", user_names[user]);
    if (p->segment)
        json_object_set_new(due, "segment", json_string(segments[p->segment - 1]));
    if (p->alias_count > 0)
        json_object_set(due, "aliases", aliases);
    bool same = told && json_equal(told, due);
    json_decref(told);
    json_decref(aliases);
    json_decref(due);
    return same || wrong("user %s is told as %s", user_names[user], json);
}

static bool put_user(int user) {
    reco_error err = RECO_ERROR_INIT;
    profile p = {.there = true, .segment = below(3)};
    reco_str aliases[ALIASES];
    reco_user given = {.user_id = text(user_names[user]), .aliases = aliases};
    random_aliases(&p, user);
    for (int i = 0; i < p.alias_count; i++)
        aliases[given.alias_count++] = text(user_names[p.aliases[i]]);
    if (p.segment)
        given.segment = text(segments[p.segment - 1]);
    h.m.users[user] = p;
    return fine(reco_users_put(h.engine, &given, 1, sizeof given, NULL, &err), "put", &err);
}

static bool patch_user(int user) {
    reco_error err = RECO_ERROR_INIT;
    profile p = h.m.users[user];
    json_t *tree = json_object();
    if (one_in(2)) {
        p.segment = below(3);
        json_object_set_new(tree, "segment", p.segment ? json_string(segments[p.segment - 1]) : json_null());
    }
    if (one_in(2)) {
        random_aliases(&p, user);
        json_object_set_new(tree, "aliases", p.alias_count > 0 || one_in(2) ? tell_aliases(&p) : json_null());
    }
    char *patch = json_dumps(tree, JSON_COMPACT), *json = NULL;
    json_decref(tree);
    trace("   patch %s %s\n", user_names[user], patch);
    reco_status status = reco_user_patch(&json, h.engine, text(user_names[user]), patch, strlen(patch), NULL, &err);
    free(patch);
    bool same = p.there ? fine(status, "patch", &err) && same_profile(json, &p, user)
                        : status == RECO_NOT_FOUND || wrong("a patch of no user: %s", reco_status_name(status));
    if (p.there)
        h.m.users[user] = p;
    reco_free(json);
    return same;
}

static bool add_alias(int user) {
    reco_error err = RECO_ERROR_INIT;
    profile *p = &h.m.users[user];
    int alias = below(USERS + STRANGERS);
    bool there = false;
    char *json = NULL;
    for (int i = 0; i < p->alias_count; i++)
        there = there || p->aliases[i] == alias;
    trace("   %s was %s\n", user_names[user], user_names[alias]);
    reco_status status = reco_user_alias(&json, h.engine, text(user_names[user]), text(user_names[alias]), NULL, &err);
    bool same;
    if (alias == user) {
        same = (status == RECO_INVALID && strcmp(err.field, "anonymous_id") == 0) || wrong("an alias of oneself: %s", reco_status_name(status));
    } else if (!there && p->alias_count == ALIASES) {
        same = (status == RECO_CONFLICT && strcmp(err.field, "aliases") == 0) || wrong("one alias too many: %s", reco_status_name(status));
    } else {
        p->there = true;
        if (!there)
            p->aliases[p->alias_count++] = alias;
        same = fine(status, "alias", &err) && same_profile(json, p, user);
    }
    reco_free(json);
    return same;
}

static bool get_user(int user) {
    reco_error err = RECO_ERROR_INIT;
    const profile *p = &h.m.users[user];
    char *json = NULL;
    reco_status status = reco_user_get(&json, h.engine, text(user_names[user]), NULL, &err);
    bool same = status == (p->there ? RECO_OK : RECO_NOT_FOUND) || wrong("get user %s: %s", user_names[user], reco_status_name(status));
    same = same && (!json || same_profile(json, p, user));
    reco_free(json);
    return same;
}

static bool run_user(void) {
    reco_error err = RECO_ERROR_INIT;
    int user = below(USERS);
    compared[USER]++;
    trace("   %s\n", user_names[user]);
    switch (below(6)) {
    case 0:
        trace("   delete\n");
        h.m.users[user] = (profile){.there = false};
        return fine(reco_user_delete(h.engine, text(user_names[user]), NULL, &err), "delete", &err);
    case 1:
        return put_user(user);
    case 2:
        return patch_user(user);
    case 3:
        return get_user(user);
    default:
        return add_alias(user);
    }
}

/* --- the whole --------------------------------------------------------------------------------------------------------------------------------- */

static bool run_reopen(void) {
    if (!h.on_disk)
        return true;
    compared[REOPEN]++;
    reco_close(h.engine);
    h.engine = NULL;
    return open_engine();
}

static bool run_verify(void) {
    reco_error err = RECO_ERROR_INIT;
    reco_verification found = {.struct_size = sizeof found};
    compared[VERIFY]++;
    if (!fine(reco_verify(&found, h.engine, NULL, NULL, &err), "verify", &err))
        return false;
    return found.equal || wrong("verify: %s", found.difference);
}

static void run_pass(void) {
    int64_t ms = one_in(40) ? span(DAY, 20 * DAY) : one_in(6) ? span(10 * MINUTE, 5 * HOUR) : span(1, one_in(2) ? 2 * SECOND : 5 * MINUTE);
    trace("   %lld ms\n", (long long)ms);
    pass(ms);
}

static bool run_op(const op *o) {
    dice = o->dice;
    trace("  %s\n", kind_names[o->kind]);
    switch (o->kind) {
    case INGEST:
        return run_ingest();
    case PASS:
        run_pass();
        return true;
    case LEARN:
        return run_learn(false);
    case LEARN_SOME:
        return run_learn(true);
    case RECOMMEND:
        return run_question(ASK_USER);
    case RANK:
        return run_question(ASK_RANK);
    case SIMILAR:
        return run_question(ASK_SIMILAR);
    case POPULAR:
        return run_popular();
    case BATCH:
        return run_batch();
    case ITEM:
        return run_item();
    case USER:
        return run_user();
    case REOPEN:
        return run_reopen();
    default:
        return run_verify();
    }
}

static bool play(const history *of) {
    rules r;
    bool same;
    h.failure[0] = 0;
    h.partly = h.full = false;
    h.position_count = h.sent_count = 0;
    dice = of->seed;
    wall_ms = INT64_C(1767225600000) + span(0, DAY);
    random_rules(&r);
    model_init(&h.m, &r);
    h.on_disk = one_in(3);
    if (h.on_disk)
        test_dir_make(h.folder);
    same = make_settings(&r) && open_engine();
    for (int i = 0; i < of->count && same && !h.full; i++)
        same = run_op(&of->ops[i]);
    if (same) {
        dice = of->seed;
        same = run_learn(false) && run_verify();
    }
    reco_close(h.engine);
    reco_settings_free(h.settings);
    reco_answer_free(h.answer);
    asking_done(&h.asking);
    h.engine = NULL, h.settings = NULL, h.answer = NULL;
    if (h.on_disk)
        test_dir_remove(h.folder);
    return same;
}

static void make_history(history *out, uint64_t seed) {
    int total = 0;
    for (int k = 0; k < KINDS; k++)
        total += kind_shares[k];
    dice = out->seed = seed;
    out->count = 20 + below(OPS - 20);
    for (int i = 0; i < out->count; i++) {
        int at = below(total), kind = 0;
        while (at >= kind_shares[kind])
            at -= kind_shares[kind++];
        out->ops[i] = (op){kind, roll()};
    }
}

/* Leaves out what is not needed to fail, as long as that gets on and time allows. */
static void shorten(history *bad) {
    static history shorter;
    double until = real_seconds() + 45;
    for (int size = bad->count / 2; size > 0; size = size > 1 ? size / 2 : 0)
        for (int at = 0; at < bad->count && real_seconds() < until;) {
            shorter = *bad;
            int gone = size < bad->count - at ? size : bad->count - at;
            memmove(shorter.ops + at, shorter.ops + at + gone, (size_t)(bad->count - at - gone) * sizeof *shorter.ops);
            shorter.count -= gone;
            if (!play(&shorter))
                *bad = shorter;
            else
                at += size;
        }
}

static uint64_t running; /* the seed */

static void crashed(int number) {
    dprintf(STDERR_FILENO, "signal %d with seed %llu\n", number, (unsigned long long)running);
    signal(number, SIG_DFL);
    raise(number);
}

#define SEED 1000000 /* the same histories each time, as far as they get; another seed each time with RECO_FULL */

int main(int argc, char **argv) {
    static history current;
    double began = real_seconds(), seconds = argc > 1 ? atof(argv[1]) : test_full() ? 600 : 30;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : test_full() ? (uint64_t)(began * 1e6) : SEED, histories = 0;
    model_names();
    signal(SIGSEGV, crashed);
    signal(SIGABRT, crashed);
    signal(SIGBUS, crashed);
    if (access("/dev/shm", W_OK) == 0 && !getenv("TMPDIR"))
        setenv("TMPDIR", "/dev/shm", 1);
    do {
        running = seed + histories++;
        make_history(&current, running);
        if (play(&current))
            continue;
        char first[sizeof h.failure];
        memcpy(first, h.failure, sizeof first);
        int operations = current.count;
        if (argc > 3) {
            printf("seed %llu after %.1f s: %s\n", (unsigned long long)running, real_seconds() - began, first);
            return 1;
        }
        shorten(&current);
        printf("seed %llu after %.1f s: %s\nof %d operations these %d are needed:\n", (unsigned long long)running, real_seconds() - began, first,
               operations, current.count);
        h.trace = true;
        play(&current);
        printf("%s\nagain with: test_property 1 %llu\n", h.failure, (unsigned long long)running);
        free(h.m.adds);
        return 1;
    } while (real_seconds() - began < seconds);
    printf("%llu histories from seed %llu:", (unsigned long long)histories, (unsigned long long)seed);
    for (int k = 0; k < KINDS; k++)
        if (compared[k])
            printf(" %s %llu", kind_names[k], (unsigned long long)compared[k]);
    printf(" undo %llu page %llu", (unsigned long long)undone, (unsigned long long)pages);
    printf("\n");
    free(h.m.adds);
    return 0;
}
