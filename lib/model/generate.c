/* model/generate.c - synthetic streams: what a site might send, and stated shares of what goes wrong. The same seed gives the same stream.
 *
 * Who and what. Items are dealt out to clusters like cards, so that the cluster of a card and its rank there follow from its place in the deck; the
 * deck itself is shuffled by a multiplication, so that numbers tell nothing of popularity. Each user has one to three clusters, which follow from the
 * user's number: no table is kept. Some users come more often than others. Within a cluster items are drawn by Zipf's law, from one table for all
 * clusters. Drift sends a share of the draws, growing with the time that has passed, half way round the cluster: other items become the popular ones.
 *
 * When. Moments of receipt are spread evenly over the duration. So many sessions are open at once that one sends an event every two minutes or so;
 * each event comes from one of them, chosen at random, and ends it by the chance that gives sessions their mean length. A session has a topic, one of
 * its user's clusters. Carts, purchases, ratings and the like follow a view and are of the item viewed last.
 *
 * What goes wrong. Each is an independent chance for an event: a timestamp far in the past or ahead, a moment of receipt that steps back, and a
 * repetition, which sends one of the last thousands of events within the hour again, equal but for its receipt. Repetitions and all else count
 * towards the number of events asked.
 *
 * The generator does not know what will become of its events: which are refused, clamped or dropped is decided by the settings of whoever takes them.
 * */
#include <reco/generate.h>

#include <math.h>

#include "model/event.h"
#include "model/zipf.h"

enum { SESSIONS_MAX = 1024, SESSION_PACE = 120000, SENT_MAX = 8192, TASTES_MAX = 3, ITEMS_MAX = 100000000 };
enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
enum { VIEW, CLICK, CART, PURCHASE, RATING, LIKE, IMPRESSION, DISLIKE, HIDE, KINDS };

static const struct kind {
    const char *name;
    uint32_t size;
    uint32_t percent;
} kinds[KINDS] = {{"view", 4, 64},   {"click", 5, 12},      {"cart", 4, 4},    {"purchase", 8, 2}, {"rating", 6, 5},
                  {"like", 4, 3},    {"impression", 10, 8}, {"dislike", 7, 1}, {"hide", 4, 1}};

/* A session that is open, or a place for one. */
typedef struct session {
    uint64_t number; /* 0: none is open */
    uint32_t user, topic;
    uint32_t viewed; /* item viewed last, only with has_viewed */
    bool has_viewed;
} session;

/* An event in numbers, as it can be sent again. */
typedef struct sent {
    uint64_t number, session;
    int64_t timestamp, received_at;
    double value;
    uint32_t user, item;
    int32_t position;
    uint32_t kind;
} sent;

struct reco_generator {
    reco_generator_options options;
    reco__rand rand;
    reco__zipf zipf;
    uint64_t salt;             /* of all that follows from a number */
    uint64_t produced, opened; /* events handed out; sessions so far */
    uint64_t ends, late, early, duplicate, reordered; /* chances, in 2^64ths */
    uint64_t item_step;        /* shuffles item numbers: has no common divisor with their count */
    sent *log;                 /* the last events, when some are to be sent again */
    uint64_t logged;
    uint32_t session_count;
    uint32_t kind_of[100];     /* by percent */
    session sessions[SESSIONS_MAX];
    char user[16], item[16], session[24], event[24];
};

/* --- numbers ----------------------------------------------------------------------------------------------------------------------------- */

/* Mixes 64 bits well and loses none (the finish of MurmurHash3, constants of Stafford's variant 13). */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t chance_of(double share) {
    return share >= 1 ? UINT64_MAX : (uint64_t)(share * 18446744073709551616.0);
}

static inline bool happens(reco_generator *g, uint64_t chance) {
    return chance > 0 && reco__rand_next(&g->rand) <= chance;
}

/* 0 .. bound - 1, for bounds small enough that evenness is no question. */
static inline uint32_t below(reco_generator *g, uint32_t bound) {
    return (uint32_t)(((reco__rand_next(&g->rand) >> 32) * bound) >> 32);
}

static inline uint32_t scaled(uint64_t bits, uint32_t bound) {
    return (uint32_t)(((bits >> 32) * bound) >> 32);
}

/* --- options ----------------------------------------------------------------------------------------------------------------------------- */

static bool is_share(double value) { return value >= 0 && value <= 1; }

static reco_status check_shares(const reco_generator_options *o, reco_error *err) {
    const struct {
        const char *name;
        double value;
    } shares[] = {{"drift", o->drift}, {"late", o->late}, {"early", o->early}, {"duplicate", o->duplicate}, {"reordered", o->reordered}};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (!is_share(shares[i].value))
            return reco__fail(err, RECO_INVALID, shares[i].name, "%s is a share: 0 to 1", shares[i].name);
    if (o->late + o->early > 1)
        return reco__fail(err, RECO_INVALID, "late", "late and early together are more than 1");
    return RECO_OK;
}

static reco_status check_options(const reco_generator_options *o, reco_error *err) {
    if (o->items > ITEMS_MAX)
        return reco__fail(err, RECO_INVALID, "items", "items is %u, at most %d", o->items, ITEMS_MAX);
    if (!(o->zipf > 0 && o->zipf <= 10))
        return reco__fail(err, RECO_INVALID, "zipf", "zipf is above 0 and at most 10");
    if (!(o->session_events >= 1 && o->session_events <= 1e9))
        return reco__fail(err, RECO_INVALID, "session_events", "session_events is 1 or more");
    if (o->start < 0 || o->start > RECO__TIME_MAX)
        return reco__fail(err, RECO_INVALID, "start", "the stream begins outside 1970 to 9999");
    if (o->duration < 0 || o->duration > RECO__TIME_MAX - o->start)
        return reco__fail(err, RECO_INVALID, "duration", "the stream ends outside 1970 to 9999");
    if (o->no_ids > 1)
        return reco__fail(err, RECO_INVALID, "no_ids", "no_ids is 0 or 1");
    if (o->reserved != 0)
        return reco__fail(err, RECO_INVALID, "reserved", "reserved is 0");
    return check_shares(o, err);
}

static void set_defaults(reco_generator_options *o) {
    o->items = o->items ? o->items : 10000;
    o->users = o->users ? o->users : 10000;
    if (o->clusters == 0)
        o->clusters = o->items / 500 < 4 ? 4 : o->items / 500;
    if (o->clusters > o->items)
        o->clusters = o->items;
    o->events = o->events ? o->events : 100000;
    o->start = o->start ? o->start : INT64_C(1767225600000); /* 2026-01-01 UTC */
    o->duration = o->duration ? o->duration : 28 * (int64_t)DAY;
    o->zipf = o->zipf != 0 ? o->zipf : 1.0;
    o->session_events = o->session_events != 0 ? o->session_events : 8;
}

/* --- create ------------------------------------------------------------------------------------------------------------------------------ */

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void set_up(reco_generator *g) {
    const reco_generator_options *o = &g->options;
    double pace = (double)o->events / (double)o->duration * SESSION_PACE;
    uint32_t most = o->users / 2 < SESSIONS_MAX ? o->users / 2 : SESSIONS_MAX, at = 0;
    g->session_count = pace < (double)most ? (uint32_t)pace : most;
    g->session_count = g->session_count > 0 ? g->session_count : 1;
    reco__rand_seed(&g->rand, o->seed);
    g->salt = mix(o->seed + UINT64_C(0x9e3779b97f4a7c15));
    g->ends = chance_of(1 / o->session_events);
    g->late = chance_of(o->late);
    g->early = chance_of(o->late + o->early);
    g->duplicate = chance_of(o->duplicate);
    g->reordered = chance_of(o->reordered);
    g->item_step = (uint64_t)(o->items * 0.6180339887498949) + 1;
    while (common_divisor(o->items, (uint32_t)g->item_step) != 1)
        g->item_step++;
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (uint32_t i = 0; i < kinds[kind].percent; i++)
            g->kind_of[at++] = kind;
}

reco_status reco_generator_create(reco_generator **out, const reco_generator_options *options, reco_error *err) {
    reco_generator_options given;
    if (!out)
        return reco__fail(err, RECO_INVALID, "out", "it is needed");
    *out = NULL;
    reco_status status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status != RECO_OK)
        return status;
    set_defaults(&given);
    status = check_options(&given, err);
    if (status != RECO_OK)
        return status;
    reco_generator *g = reco__zalloc(sizeof *g);
    if (!g)
        return reco__no_memory(err);
    g->options = given;
    set_up(g);
    status = reco__zipf_init(&g->zipf, (given.items - 1) / given.clusters + 1, given.zipf, err);
    if (status == RECO_OK && given.duplicate > 0 && !(g->log = reco__alloc_array(SENT_MAX, sizeof *g->log)))
        status = reco__no_memory(err);
    if (status != RECO_OK) {
        reco_generator_free(g);
        return status;
    }
    *out = g;
    return RECO_OK;
}

void reco_generator_free(reco_generator *generator) {
    if (!generator)
        return;
    reco__zipf_dispose(&generator->zipf);
    reco__release(generator->log);
    reco__release(generator);
}

/* --- who and what ------------------------------------------------------------------------------------------------------------------------ */

/* One of the user's clusters. */
static uint32_t taste_of(reco_generator *g, uint32_t user) {
    uint64_t bits = mix(g->salt ^ user);
    uint32_t tastes = 1 + (uint32_t)(bits % TASTES_MAX);
    return scaled(mix(bits + below(g, tastes)), g->options.clusters);
}

static void open_session(reco_generator *g, session *s) {
    double u = reco__rand_unit(&g->rand);
    s->number = ++g->opened;
    s->user = (uint32_t)(u * u * g->options.users);
    s->topic = taste_of(g, s->user);
    s->has_viewed = false;
}

static uint32_t draw_item(reco_generator *g, const session *s) {
    uint32_t items = g->options.items, clusters = g->options.clusters, cluster = s->topic, turn = below(g, 100), rank;
    if (turn >= 95)
        cluster = below(g, clusters);
    else if (turn >= 80)
        cluster = taste_of(g, s->user);
    uint32_t size = items / clusters + (cluster < items % clusters);
    do
        rank = reco__zipf_rank(&g->zipf, reco__rand_next(&g->rand));
    while (rank >= size); /* the table is made for the larger clusters */
    double passed = g->options.drift > 0 ? (double)g->produced / (double)g->options.events * g->options.drift : 0;
    if (passed > 0 && reco__rand_unit(&g->rand) < passed)
        rank = (rank + size / 2) % size;
    uint64_t place = (uint64_t)rank * clusters + cluster;
    return (uint32_t)((place * g->item_step + g->salt % items) % items);
}

static double draw_value(reco_generator *g, const sent *event) {
    static const uint8_t stars[20] = {1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5};
    if (event->kind == RATING)
        return stars[below(g, sizeof stars)];
    return (double)(100 + mix(g->salt + event->item) % 20000) / 100; /* the price of the item */
}

static void draw_what(reco_generator *g, sent *event) {
    session *s = &g->sessions[below(g, g->session_count)];
    if (s->number == 0)
        open_session(g, s);
    event->session = s->number;
    event->user = s->user;
    event->kind = g->kind_of[below(g, 100)];
    bool shown = event->kind == VIEW || event->kind == CLICK || event->kind == IMPRESSION;
    event->item = !shown && s->has_viewed ? s->viewed : draw_item(g, s);
    event->position = event->kind == CLICK || event->kind == IMPRESSION ? 1 + (int32_t)below(g, 20) : 0;
    event->value = event->kind == RATING || event->kind == PURCHASE ? draw_value(g, event) : 0;
    if (event->kind == VIEW) {
        s->viewed = event->item;
        s->has_viewed = true;
    }
    if (happens(g, g->ends))
        s->number = 0;
}

/* --- when -------------------------------------------------------------------------------------------------------------------------------- */

static int64_t draw_receipt(reco_generator *g) {
    const reco_generator_options *o = &g->options;
    int64_t at = o->start + (int64_t)((double)o->duration * ((double)g->produced / (double)o->events));
    if (happens(g, g->reordered) && g->produced > 0)
        at -= 1 + below(g, 30 * SECOND);
    return at > 0 ? at : 1;
}

static int64_t draw_timestamp(reco_generator *g, int64_t received_at) {
    uint64_t bits = g->early > 0 ? reco__rand_next(&g->rand) : UINT64_MAX;
    bool beyond = below(g, 4) == 0;
    int64_t at = received_at;
    if (g->late > 0 && bits <= g->late)
        at -= beyond ? HOUR + MINUTE + (int64_t)below(g, 22 * HOUR) : 10 * SECOND + (int64_t)below(g, 59 * MINUTE);
    else if (bits <= g->early && g->early > g->late)
        at += beyond ? MINUTE + SECOND + (int64_t)below(g, 9 * MINUTE) : SECOND + (int64_t)below(g, 58 * SECOND);
    else
        at -= below(g, 1500);
    return at > 0 ? at : 1;
}

/* An event of the last hour, the later the likelier; NULL when there is none. */
static const sent *draw_sent(reco_generator *g, int64_t received_at) {
    uint64_t held = g->logged < SENT_MAX ? g->logged : SENT_MAX;
    double u = reco__rand_unit(&g->rand);
    for (uint64_t back = held > 0 ? 1 + (uint64_t)(u * u * (double)held) : 0; back > 0; back /= 2) {
        const sent *event = &g->log[(g->logged - back) % SENT_MAX];
        if (received_at - event->received_at < HOUR)
            return event;
    }
    return NULL;
}

/* --- next -------------------------------------------------------------------------------------------------------------------------------- */

static reco_str decimal(char *room, size_t size, char letter, uint64_t number) {
    char *end = room + size, *at = end;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    *--at = letter;
    return (reco_str){at, (size_t)(end - at)};
}

/* Ids of events look like chance and never repeat: the number mixed. */
static reco_str event_id(reco_generator *g, uint64_t number) {
    uint64_t bits = mix(number ^ g->salt);
    g->event[0] = 'e';
    for (int i = 1; i <= 16; i++, bits >>= 4)
        g->event[i] = "0123456789abcdef"[bits & 15];
    return (reco_str){g->event, 17};
}

static void write_out(reco_event *out, reco_generator *g, const sent *event) {
    const struct kind *kind = &kinds[event->kind];
    memset(out, 0, sizeof *out);
    out->user_id = decimal(g->user, sizeof g->user, 'u', (uint64_t)event->user + 1);
    out->item_id = decimal(g->item, sizeof g->item, 'i', (uint64_t)event->item + 1);
    out->session_id = decimal(g->session, sizeof g->session, 's', event->session);
    out->event_type = (reco_str){kind->name, kind->size};
    if (!g->options.no_ids)
        out->event_id = event_id(g, event->number);
    out->timestamp = event->timestamp;
    out->value = event->value;
    out->position = event->position;
    out->flags = (event->kind == RATING || event->kind == PURCHASE ? RECO_EVENT_HAS_VALUE : 0) | (event->position > 0 ? RECO_EVENT_HAS_POSITION : 0);
}

reco_status reco_generator_next(reco_event *event, int64_t *received_at, reco_generator *generator) {
    reco_generator *g = generator;
    if (!event || !received_at || !g)
        return RECO_INVALID;
    if (g->produced == g->options.events)
        return RECO_NOT_FOUND;
    int64_t at = draw_receipt(g);
    const sent *again = happens(g, g->duplicate) ? draw_sent(g, at) : NULL;
    if (again) {
        write_out(event, g, again);
    } else {
        sent made = {.number = g->produced, .received_at = at};
        draw_what(g, &made);
        made.timestamp = draw_timestamp(g, at);
        write_out(event, g, &made);
        if (g->log)
            g->log[g->logged++ % SENT_MAX] = made;
    }
    g->produced++;
    *received_at = at;
    return RECO_OK;
}
