/* tests/property/test_property.c - random traffic through the public API against a model of the whole engine; every difference is a failure.
 *
 * A history is random settings and a few hundred operations: events (good, bad, late, early, sent twice), items and users, learning all or a part of
 * what waits, questions of every kind, closing and opening again, verifying. Each operation has dice of its own, so that others can be left out: a
 * failing history is shortened by removing operations for as long as it still fails, and printed with its seed.
 *
 * Time is the test's: this program has its own clock_gettime, which adds to the steady clock and stands still in between for the wall clock. An
 * answer may be made from popularity that is up to a second old; most questions let that second pass first, the others are held against both what
 * was seen at the last look and what is there now.
 *
 * `test_property` runs for 30 seconds from one seed (10 minutes from a seed of the moment with RECO_FULL set), which it prints;
 * `test_property SECONDS SEED` for so long from that
 * seed; a third argument says that the first difference is wanted as it is. */
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

#include "model.h"
#include "support/engine.h"

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

/* --- chance ------------------------------------------------------------------------------------------------------------------------------------ */

static uint64_t dice; /* splitmix64 */

static uint64_t roll(void) {
    uint64_t z = dice += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}
static int below(int bound) { return (int)(roll() % (uint64_t)bound); }
static bool one_in(int count) { return below(count) == 0; }
static int64_t span(int64_t low, int64_t high) { return low + (int64_t)(roll() % (uint64_t)(high - low + 1)); }
#define PICK(...) ((const int64_t[]){__VA_ARGS__}[below((int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))])

/* --- a history --------------------------------------------------------------------------------------------------------------------------------- */

enum { OPS = 260, POSITIONS = 8, NOBODY_KNOWS = 2 };
enum { INGEST, PASS, LEARN, LEARN_SOME, RECOMMEND, RANK, SIMILAR, POPULAR, ITEM, USER, REOPEN, VERIFY, KINDS };
static const char *const kind_names[KINDS] = {"ingest",  "pass",    "learn", "learn some", "recommend", "rank",
                                              "similar", "popular", "item",  "user",       "reopen",    "verify"};
static const int kind_shares[KINDS] = {36, 12, 16, 3, 16, 6, 6, 9, 10, 3, 2, 1};

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
    char failure[2000];
    bool trace, full;
} h;

static uint64_t compared[KINDS];

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
static const char *item_name(int item) {
    static const char *const nobody_knows[NOBODY_KNOWS] = {"nobody knows", "\xc3\xbc"};
    return item < ITEMS ? item_names[item] : nobody_knows[item - ITEMS];
}

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

static void random_event(sending *s, int64_t received_at) {
    const rules *r = &h.m.rules;
    memset(s, 0, sizeof *s);
    happening *a = &s->accepted;
    a->user = below(one_in(2) ? 2 : USERS);
    a->item = below(one_in(2) ? 5 : ITEMS);
    a->type = one_in(2) ? 0 : below(TYPES);
    a->partition = model_partition(&h.m, a->user);
    a->has_value = one_in(2);
    a->value = a->has_value ? (double)below(11) / 2 : 0;
    a->session = one_in(3) ? 1 + below(2) : 0;
    a->id = one_in(2) ? 1 + below(40) : 0;
    a->received_at = received_at;
    a->t = one_in(2) ? received_at : span(received_at - r->lateness, received_at + r->skew);
    s->event = (reco_event){.user_id = text(user_names[a->user]),
                            .item_id = text(item_names[a->item]),
                            .event_type = text(type_rules[a->type].name),
                            .timestamp = a->t == received_at && one_in(2) ? 0 : a->t,
                            .value = a->value,
                            .flags = a->has_value ? RECO_EVENT_HAS_VALUE : 0};
    if (a->session)
        s->event.session_id = (reco_str){s->session, (size_t)snprintf(s->session, sizeof s->session, "s%d", a->session)};
    if (a->id)
        s->event.event_id = (reco_str){s->id, (size_t)snprintf(s->id, sizeof s->id, "id%d", a->id)};
    if (one_in(10))
        s->event.properties = text("{\"a\":[1,{}]}");
    if (one_in(12))
        spoil(s, received_at);
    trace("    %s %s %s%s t%+lld session %d id %d value %g%s%s\n", user_names[a->user], type_rules[a->type].name, item_names[a->item],
          s->event.timestamp ? "" : " now", (long long)(a->t - wall_ms), a->session, a->id, a->has_value ? a->value : -1, s->field ? " BAD: " : "",
          s->field ? s->field : "");
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
    for (int i = 0; i < ITEMS + NOBODY_KNOWS; i++)
        if (name.size == strlen(item_name(i)) && memcmp(name.data, item_name(i), name.size) == 0)
            return i;
    return -1;
}

/* What holds for every answer, whatever was learned. */
static bool check_always(const reco_answer *a, int limit, int64_t moment) {
    bool seen[ITEMS + NOBODY_KNOWS] = {false};
    if (a->count > (size_t)limit)
        return wrong("%zu items for a limit of %d", a->count, limit);
    if (a->degraded != 0)
        return wrong("degraded: 0x%x", a->degraded);
    for (size_t i = 0; i < a->count; i++) {
        const reco_answer_item *one = &a->items[i];
        int item = item_of(one->item_id);
        int64_t sum = 0;
        if (item < 0 || seen[item] || one->rank != i + 1)
            return wrong("place %zu: item %.*s (%d), rank %u", i, (int)one->item_id.size, one->item_id.data, item, one->rank);
        seen[item] = true;
        for (uint32_t j = 0; j < one->reason_count; j++)
            sum += one->reasons[j].score;
        if (sum != one->score)
            return wrong("%s: the reasons sum to %lld, the score is %lld", item_name(item), (long long)sum, (long long)one->score);
        if (item < ITEMS && !model_available(&h.m, item, moment))
            return wrong("%s may not be recommended", item_name(item));
        if (i > 0 && one->score > a->items[i - 1].score)
            return wrong("%s has a larger score than the item before it", item_name(item));
    }
    return true;
}

static bool compare(const reco_answer *a, const expected *e, const asked *q) {
    size_t all = 0, sure = 0, learned = 0;
    bool answered[ITEMS] = {false};
    double last = INFINITY;
    for (int i = 0; i < ITEMS; i++) {
        all += e->candidate[i];
        sure += e->candidate[i] && !e->faint[i];
    }
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
    size_t wanted = (size_t)q->limit;
    if (learned < (sure < wanted ? sure : wanted) || learned > all)
        return wrong("%zu items, the model has %zu to %zu for a limit of %zu", learned, sure, all, wanted);
    for (int i = 0; i < ITEMS; i++)
        if (e->candidate[i] && !answered[i] && !e->faint[i] && e->score[i] > last + e->tolerance + last * 3e-7)
            return wrong("%s is missing: the model has %.3f", item_names[i], e->score[i]);
    if (q->kind != ASK_SIMILAR && ((a->flags & RECO_ANSWER_FALLBACK) != 0) != e->fallback)
        return wrong("fallback is %d, the model says %d", (a->flags & RECO_ANSWER_FALLBACK) != 0, e->fallback);
    size_t rest = wanted - learned < (size_t)e->unknown ? wanted - learned : (size_t)e->unknown;
    if (q->kind == ASK_RANK && a->count - learned != rest)
        return wrong("%zu items nothing was learned of, the model has %zu", a->count - learned, rest);
    for (size_t i = learned, at = 0; i < a->count; i++, at++) { /* in the order given */
        while (at < (size_t)q->item_count && q->items[at] != item_of(a->items[i].item_id))
            at++;
        if (at == (size_t)q->item_count || a->items[i].score != 0)
            return wrong("place %zu: %s is not in the order given, or has a score", i, item_name(item_of(a->items[i].item_id)));
    }
    return true;
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

/* Answers against the popularity of the last look, or of now. */
static bool judge(const asked *q) {
    expected e;
    if (!check_always(h.answer, q->limit, q->as_of ? q->as_of : q->now))
        return false;
    if (h.partly)
        return true;
    model_ask(&e, &h.m, q, &h.m.seen);
    if (compare(h.answer, &e, q))
        return true;
    model_ask(&e, &h.m, q, &h.m.now);
    if (compare(h.answer, &e, q))
        return true;
    for (size_t i = 0; i < h.answer->count; i++)
        trace("   answered: %.*s %lld\n", (int)h.answer->items[i].item_id.size, h.answer->items[i].item_id.data, (long long)h.answer->items[i].score);
    for (int i = 0; i < ITEMS; i++)
        if (e.candidate[i])
            trace("   the model: %s %.3f%s\n", item_names[i], e.score[i], e.faint[i] ? " faint" : "");
    return false;
}

static bool judge_behind(const asked *q, int position) {
    uint32_t p = model_partition(&h.m, q->user);
    bool behind = (h.answer->flags & RECO_ANSWER_BEHIND) != 0;
    if (position < 0 || h.partly)
        return position >= 0 || !behind || wrong("behind without a position");
    return behind == (h.positions[position].need[p] > h.m.done[p]) || wrong("behind is %d", behind);
}

static bool run_question(int kind) {
    reco_error err = RECO_ERROR_INIT;
    reco_event session[SESSION_ROOM];
    reco_str names[ITEMS + NOBODY_KNOWS];
    asked q = {.kind = kind, .user = one_in(8) ? -1 : below(USERS)};
    look();
    q.now = wall_ms;
    q.as_of = random_moment();
    if (kind != ASK_SIMILAR) {
        random_session(&q, session);
        trace("   user %s\n", q.user < 0 ? "nobody" : user_names[q.user]);
    }
    if (kind != ASK_USER)
        random_items(&q, kind == ASK_RANK ? ITEMS + NOBODY_KNOWS : 4);
    for (int i = 0; i < q.item_count; i++)
        names[i] = text(item_name(q.items[i]));
    int limit = one_in(2) ? 0 : 1 + below(6), position = h.position_count > 0 && q.user >= 0 && one_in(3) ? below(h.position_count) : -1;
    q.limit = limit ? limit : kind == ASK_RANK ? q.item_count : 20;
    trace("   limit %d\n", q.limit);
    if (kind == ASK_SIMILAR) {
        reco_similar_query query = {
            .struct_size = sizeof query, .items = names, .item_count = (size_t)q.item_count, .limit = (uint32_t)limit, .as_of = q.as_of};
        reco_status status = reco_similar(&h.answer, h.engine, &query, NULL, &err);
        expected e;
        model_ask(&e, &h.m, &q, &h.m.now);
        if (h.partly && status == RECO_NOT_FOUND)
            return true;
        if (!h.partly && (status == RECO_NOT_FOUND) != e.not_found)
            return wrong("similar: %s: %s", reco_status_name(status), err.text);
        if (status == RECO_NOT_FOUND)
            return true;
        if (!fine(status, "similar", &err))
            return false;
    } else {
        reco_query query = {.struct_size = sizeof query,
                            .as_of = q.as_of,
                            .limit = (uint32_t)limit,
                            .session = session,
                            .session_count = (size_t)q.session_count,
                            .event_size = sizeof *session};
        if (q.user >= 0)
            query.user_id = text(user_names[q.user]);
        if (position >= 0)
            query.min_position = text(h.positions[position].token);
        reco_status status = kind == ASK_USER ? reco_recommend(&h.answer, h.engine, &query, NULL, &err)
                                              : reco_rank(&h.answer, h.engine, &query, names, (size_t)q.item_count, NULL, &err);
        if (!fine(status, "question", &err) || (q.user >= 0 && !judge_behind(&q, position)))
            return false;
    }
    compared[kind == ASK_USER ? RECOMMEND : kind == ASK_RANK ? RANK : SIMILAR]++;
    return judge(&q);
}

static bool compare_popular(int64_t window, int64_t as_of, int category, int limit, const sight *from, const sight *time) {
    int order[ITEMS];
    int64_t sums[ITEMS];
    int count = model_popular(order, sums, &h.m, window, as_of, category, wall_ms, from, time);
    count = count < limit ? count : limit;
    if (h.answer->count != (size_t)count)
        return wrong("popular: %zu items, the model has %d", h.answer->count, count);
    for (int i = 0; i < count; i++)
        if (item_of(h.answer->items[i].item_id) != order[i] || h.answer->items[i].score != sums[order[i]] * RECO_SCORE_UNIT)
            return wrong("popular: place %d: %.*s with %lld, the model has %s with %lld", i, (int)h.answer->items[i].item_id.size,
                         h.answer->items[i].item_id.data, (long long)h.answer->items[i].score, item_names[order[i]],
                         (long long)(sums[order[i]] * RECO_SCORE_UNIT));
    return true;
}

static bool run_popular(void) {
    static const char *const categories[CATEGORIES] = {"red", "gr\xc3\xbcn", "c c"};
    reco_error err = RECO_ERROR_INIT;
    int order[ITEMS];
    int64_t sums[ITEMS];
    look();
    int64_t as_of = random_moment(),
            window = one_in(2) ? 0 : PICK(1, HOUR, 3 * HOUR, DAY, 2 * DAY, 60 * DAY, 61 * DAY, h.m.rules.window_hours, h.m.rules.window_days);
    int category = one_in(3) ? below(CATEGORIES) : -1, limit = one_in(2) ? 0 : 1 + below(5);
    reco_popular_query query = {.struct_size = sizeof query, .limit = (uint32_t)limit, .window = window, .as_of = as_of};
    if (category >= 0)
        query.category = text(categories[category]);
    limit = limit ? limit : 20;
    trace("   window %lld category %d limit %d\n", (long long)window, category, limit);
    reco_status status = reco_popular(&h.answer, h.engine, &query, NULL, &err);
    if (model_popular(order, sums, &h.m, window, as_of, category, wall_ms, &h.m.now, &h.m.now) < 0)
        return (status == RECO_INVALID && strcmp(err.field, "window") == 0) || wrong("popular of too long a window: %s", reco_status_name(status));
    if (!fine(status, "popular", &err) || !check_always(h.answer, limit, as_of ? as_of : wall_ms))
        return false;
    compared[POPULAR]++;
    const sight *sights[2] = {&h.m.seen, &h.m.now};
    for (int i = 0; i < 4 && !h.partly; i++)
        if (compare_popular(window, as_of, category, limit, sights[i & 1], sights[i >> 1]))
            return true;
    return h.partly;
}

/* --- documents --------------------------------------------------------------------------------------------------------------------------------- */

static const char *const categories[CATEGORIES] = {"red", "gr\xc3\xbcn", "c c"};

static int64_t random_border(void) { return one_in(2) ? 0 : wall_ms + (one_in(2) ? span(-5 * MINUTE, 5 * MINUTE) : span(-DAY, DAY)); }

static bool put_item(int item) {
    reco_error err = RECO_ERROR_INIT;
    document d = {.there = true, .hidden = one_in(4), .from = random_border(), .until = random_border(), .categories = (unsigned)below(8)};
    bool bad = d.until != 0 && d.until <= d.from;
    reco_str names[CATEGORIES];
    reco_item given = {
        .item_id = text(item_names[item]), .title = text("t"), .categories = names, .available_from = d.from, .available_until = d.until};
    given.flags = d.hidden ? RECO_ITEM_HIDDEN : 0;
    for (int i = 0; i < CATEGORIES; i++)
        if (d.categories >> i & 1)
            names[given.category_count++] = text(categories[i]);
    trace("   put %s hidden %d from %+lld until %+lld categories %u\n", item_names[item], d.hidden, d.from ? (long long)(d.from - wall_ms) : 0,
          d.until ? (long long)(d.until - wall_ms) : 0, d.categories);
    reco_status status = reco_items_put(h.engine, &given, 1, sizeof given, NULL, &err);
    if (bad)
        return status == RECO_INVALID || wrong("an item that ends before it begins: %s", reco_status_name(status));
    h.m.items[item] = d;
    return fine(status, "put", &err);
}

static bool patch_item(int item) {
    reco_error err = RECO_ERROR_INIT;
    document d = h.m.items[item];
    char patch[200], *json = NULL;
    int64_t border = random_border();
    switch (below(4)) {
    case 0:
        snprintf(patch, sizeof patch, "{\"hidden\":%s}", (d.hidden = one_in(2)) ? "true" : "null");
        break;
    case 1:
        d.from = border;
        snprintf(patch, sizeof patch, border ? "{\"available_from\":%lld}" : "{\"available_from\":null}", (long long)border);
        break;
    case 2:
        d.until = border;
        snprintf(patch, sizeof patch, border ? "{\"available_until\":%lld}" : "{\"available_until\":null}", (long long)border);
        break;
    default:
        d.categories = 2;
        snprintf(patch, sizeof patch, "{\"categories\":[\"%s\"],\"year\":1979}", categories[1]);
        break;
    }
    trace("   patch %s %s\n", item_names[item], patch);
    reco_status status = reco_item_patch(one_in(2) ? &json : NULL, h.engine, text(item_names[item]), patch, strlen(patch), NULL, &err);
    reco_free(json);
    if (!d.there)
        return status == RECO_NOT_FOUND || wrong("a patch of no document: %s", reco_status_name(status));
    if (d.until != 0 && d.until <= d.from)
        return status == RECO_INVALID || wrong("a patch so that it ends before it begins: %s", reco_status_name(status));
    h.m.items[item] = d;
    return fine(status, "patch", &err);
}

static bool get_item(int item) {
    reco_error err = RECO_ERROR_INIT;
    const document *d = &h.m.items[item];
    char *json = NULL;
    reco_status status = reco_item_get(&json, h.engine, text(item_names[item]), NULL, &err);
    bool same = status == (d->there ? RECO_OK : RECO_NOT_FOUND);
    for (int i = 0; i < CATEGORIES && same && json; i++)
        same = (strstr(json, categories[i]) != NULL) == (d->categories >> i & 1);
    same = same && (!json || (strstr(json, "\"hidden\":true") != NULL) == d->hidden);
    if (!same)
        wrong("get %s: %s: %s", item_names[item], reco_status_name(status), json ? json : "");
    reco_free(json);
    return same;
}

static bool run_item(void) {
    reco_error err = RECO_ERROR_INIT;
    int item = below(one_in(2) ? 5 : ITEMS);
    compared[ITEM]++;
    switch (below(6)) {
    case 0:
        trace("   delete %s\n", item_names[item]);
        h.m.items[item] = (document){.there = false};
        return fine(reco_item_delete(h.engine, text(item_names[item]), NULL, &err), "delete", &err);
    case 1:
        return patch_item(item);
    case 2:
        return get_item(item);
    default:
        return put_item(item);
    }
}

static bool run_user(void) {
    static const char *const segments[] = {"s-one", "s-two"};
    reco_error err = RECO_ERROR_INIT;
    int user = below(USERS), segment = below(2);
    reco_user given = {.user_id = text(user_names[user]), .segment = text(segments[segment])};
    char *json = NULL, patch[64];
    compared[USER]++;
    switch (below(4)) {
    case 0:
        h.m.segments[user] = -1;
        return fine(reco_user_delete(h.engine, given.user_id, NULL, &err), "delete", &err);
    case 1:
        h.m.segments[user] = segment;
        return fine(reco_users_put(h.engine, &given, 1, sizeof given, NULL, &err), "put", &err);
    case 2: {
        snprintf(patch, sizeof patch, "{\"segment\":\"%s\"}", segments[segment]);
        reco_status status = reco_user_patch(NULL, h.engine, given.user_id, patch, strlen(patch), NULL, &err);
        bool there = h.m.segments[user] >= 0;
        h.m.segments[user] = there ? segment : -1;
        return there ? fine(status, "patch", &err) : status == RECO_NOT_FOUND || wrong("a patch of no user: %s", reco_status_name(status));
    }
    default: {
        reco_status status = reco_user_get(&json, h.engine, given.user_id, NULL, &err);
        bool there = h.m.segments[user] >= 0,
             same = status == (there ? RECO_OK : RECO_NOT_FOUND) && (!there || strstr(json, segments[h.m.segments[user]]));
        if (!same)
            wrong("get user %s: %s: %s", user_names[user], reco_status_name(status), json ? json : "");
        reco_free(json);
        return same;
    }
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
    h.position_count = 0;
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
    printf("\n");
    free(h.m.adds);
    return 0;
}
