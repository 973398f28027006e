/* tests/property/model.c - see model.h. */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

const type_rule type_rules[TYPES] = {
    {"view", 1, false, false, 0}, {"click", 1, false, false, 0},    {"rating", 1, false, true, 4},      {"like", 2, false, false, 0},
    {"cart", 3, false, false, 0}, {"purchase", 5, false, false, 0}, {"impression", 0, false, false, 0}, {"dislike", 0, true, false, 0},
    {"hide", 0, true, false, 0},  {"return", -2, false, false, 0}, /* the only one that is not there by default */
};
const char *const user_names[USERS + STRANGERS] = {"ann", "ben", "cl\xc3\xa9o", "d/d%2f", "e",  "f f", "v-1", "v-2", "w1",  "w2",
                                                   "w3",  "w4",  "w5",          "w6",     "w7", "w8",  "w9",  "w10", "w11", "w12"};
char item_names[NAMES][257] = {"a", "b", "c", "d", "e/e", "f%20", "\xe6\x9c\xac", "h h",     "i", "j",
                               "k", "l", "m", "n", "o",   "",     "nobody knows", "\xc3\xbc"};

static int order_of_names[ITEMS]; /* by hash */

static uint64_t hash_of(int item) { return XXH64(item_names[item], strlen(item_names[item]), 0); }

static bool is_before(int a, int b) {
    uint64_t x = hash_of(a), y = hash_of(b);
    return x != y ? x < y : strcmp(item_names[a], item_names[b]) < 0;
}

void model_names(void) {
    memset(item_names[ITEMS - 1], 'x', 256);
    for (int a = 0; a < ITEMS; a++)
        for (int b = 0; b < ITEMS; b++)
            order_of_names[a] += is_before(b, a);
}

bool name_before(int a, int b) { return order_of_names[a] < order_of_names[b]; }

void model_init(model *m, const rules *r) {
    addition *adds = m->adds;
    memset(m, 0, sizeof *m);
    m->adds = adds ? adds : malloc(ADD_ROOM * sizeof *adds);
    m->rules = *r;
}

uint32_t model_partition(const model *m, int user) {
    return (uint32_t)(XXH64(user_names[user], strlen(user_names[user]), XXH64("default", 7, 0)) % m->rules.partitions);
}

/* --- events ------------------------------------------------------------------------------------------------------------------------------------ */

static void append(model *m, const happening *event, uint32_t partition) {
    m->events[m->count++] = *event;
    m->appended[partition]++;
    m->last_received[partition] = event->received_at;
}

bool model_append(model *m, const happening *events, size_t count, int64_t received_at) {
    if (m->count + count + PARTS > EVENT_ROOM || m->add_count + (m->count - m->learned + count) * 50 > ADD_ROOM)
        return false;
    for (size_t i = 0; i < count; i++)
        append(m, &events[i], events[i].partition);
    for (uint32_t p = 0; p < m->rules.partitions && count > 0; p++)
        if (m->last_received[p] < received_at - SECOND) {
            happening tick = {.user = -1, .partition = p, .received_at = received_at};
            append(m, &tick, p);
        }
    return true;
}

/* --- boards ------------------------------------------------------------------------------------------------------------------------------------ */

static int64_t length_of(const model *m, int board) { return board == HOURS ? HOUR : board == DAYS ? DAY : m->rules.coview_length; }
static int kept_of(const model *m, int board) {
    return board == HOURS ? m->rules.hours_kept : board == DAYS ? m->rules.days_kept : m->rules.coview_kept;
}

/* The oldest generation whose end + lateness + skew is later than r. */
static int64_t oldest_open(const model *m, int board, int64_t r) {
    int64_t length = length_of(m, board), slack = m->rules.lateness + m->rules.skew, g = r / length + 1;
    while (g > 0 && g * length + slack > r) /* the end of g - 1 */
        g--;
    return g;
}

static int64_t weight_of_age(const model *m, int64_t age) {
    int halving = m->rules.halving, halvings = halving == 0 ? 0 : (m->rules.coview_kept - 1) / halving - (int)age / halving;
    return INT64_C(1) << (halvings < 20 ? halvings : 20);
}

static void add(model *m, int board, int64_t t, int64_t r, int item, int member, int64_t delta) {
    int64_t own = t / length_of(m, board), oldest = oldest_open(m, board, r);
    m->adds[m->add_count++] = (addition){board, item, member, own > oldest ? own : oldest, delta};
}

/* --- cells ------------------------------------------------------------------------------------------------------------------------------------- */

static void begin_session(const model *m, cell *c, int session, int64_t r) {
    if (session != 0 ? session != c->session : r - c->last > m->rules.gap) {
        c->session = session;
        c->session_count = 0;
    }
}

static bool seen_before(const model *m, const cell *c, int id, int64_t r) {
    for (int i = c->id_count - m->rules.ids_seen > 0 ? c->id_count - m->rules.ids_seen : 0; i < c->id_count; i++)
        if (c->ids[i].id == id && r - c->ids[i].r <= m->rules.ids_window)
            return true;
    return false;
}

static void note_id(cell *c, int id, int64_t r) {
    if (c->id_count == ID_ROOM) {
        memmove(c->ids, c->ids + 1, (ID_ROOM - 1) * sizeof *c->ids);
        c->id_count--;
    }
    c->ids[c->id_count].id = id;
    c->ids[c->id_count++].r = r;
}

static int weight_of(const happening *event) {
    const type_rule *type = &type_rules[event->type];
    return type->has_least && !(event->has_value && event->value >= type->least) ? 0 : type->weight;
}

/* The item is the last touched; the list remembers `history` of them. */
static void touch_item(const model *m, cell *c, const happening *event, int64_t t) {
    int at = 0;
    while (at < c->touch_count && c->touches[at].item != event->item)
        at++;
    if (at >= c->session_count)
        c->session_count++;
    if (at == c->touch_count)
        c->touch_count++;
    memmove(c->touches + 1, c->touches, (size_t)at * sizeof *c->touches);
    c->touches[0] = (touch){event->item, weight_of(event), t};
    c->touch_count = c->touch_count < m->rules.history ? c->touch_count : m->rules.history;
    c->session_count = c->session_count < c->touch_count ? c->session_count : c->touch_count;
    if (c->touch_count > m->rules.recents) { /* what falls behind keeps only whether it may be paired */
        c->touches[m->rules.recents].weight = c->touches[m->rules.recents].weight > 0;
        c->touches[m->rules.recents].t = 0;
    }
}

static void hide_item(const model *m, cell *c, int item) {
    int at = 0;
    while (at < c->hidden_count && c->hidden[at] != item)
        at++;
    if (at == c->hidden_count && c->hidden_count == m->rules.history)
        at = 0;
    else if (at == c->hidden_count)
        c->hidden_count++;
    memmove(c->hidden + at, c->hidden + at + 1, (size_t)(c->hidden_count - at - 1) * sizeof *c->hidden);
    c->hidden[c->hidden_count - 1] = item;
}

static void remember(const model *m, cell *c, const happening *event, int64_t t, int64_t r) {
    if (type_rules[event->type].weight > 0)
        touch_item(m, c, event, t);
    if (type_rules[event->type].hides)
        hide_item(m, c, event->item);
    c->last = r;
}

static void add_popularity(model *m, int item, int weight, int64_t t, int64_t r) {
    if (weight != 0) {
        add(m, HOURS, t, r, 0, item, weight);
        add(m, DAYS, t, r, 0, item, weight);
    }
}

static void add_pair(model *m, int64_t t, int64_t r, int a, int b, int weight, int distance) {
    int64_t delta = weight * (int64_t)(m->rules.pair_inverse ? 2520 / distance : 2520);
    add(m, COVIEW, t, r, a, b, delta);
    add(m, COVIEW, t, r, b, a, delta);
}

static void add_pairs(model *m, const cell *c, const happening *event, int64_t r) {
    int end = m->rules.pair_session ? c->session_count : c->touch_count, distance = 0;
    for (int i = 0; i < end && distance < m->rules.pair_window && weight_of(event) > 0; i++) {
        const touch *other = &c->touches[i];
        if (other->item == event->item || other->weight <= 0)
            continue;
        add_pair(m, event->t, r, event->item, other->item, weight_of(event), ++distance);
    }
}

static int find_touch(const cell *c, int item) {
    int at = 0;
    while (at < c->touch_count && c->touches[at].item != item)
        at++;
    return at;
}

/* The pairs of the item at `at`: with those behind it, as its own event made them, and with those before it, as theirs did. */
static void take_back_pairs(model *m, const cell *c, int at, int weight, int64_t t, int64_t r) {
    int end = m->rules.pair_session ? c->session_count : c->touch_count, item = c->touches[at].item;
    for (int i = at + 1, distance = 0; i < end && distance < m->rules.pair_window; i++)
        if (c->touches[i].weight > 0)
            add_pair(m, t, r, item, c->touches[i].item, -weight, ++distance);
    for (int i = at - 1, distance = 0; at < end && i >= 0 && distance < m->rules.pair_window; i--)
        if (c->touches[i].weight > 0)
            add_pair(m, c->touches[i].t ? c->touches[i].t : t, r, item, c->touches[i].item, -c->touches[i].weight, ++distance);
}

static void leave_touch(cell *c, int at) {
    memmove(c->touches + at, c->touches + at + 1, (size_t)(c->touch_count - at - 1) * sizeof *c->touches);
    c->touch_count--;
    c->session_count -= at < c->session_count;
}

static void leave_hidden(cell *c, int item) {
    for (int at = 0; at < c->hidden_count; at++)
        if (c->hidden[at] == item) {
            memmove(c->hidden + at, c->hidden + at + 1, (size_t)(c->hidden_count - at - 1) * sizeof *c->hidden);
            c->hidden_count--;
        }
}

static void take_back(model *m, cell *c, const happening *event, int64_t r) {
    const type_rule *type = &type_rules[event->type];
    int at = type->weight > 0 ? find_touch(c, event->item) : c->touch_count, weight = weight_of(event);
    bool stands = at < c->touch_count && (event->t == 0 || c->touches[at].t == 0 || c->touches[at].t == event->t);
    int64_t t = event->t ? event->t : stands && c->touches[at].t ? c->touches[at].t : event->received_at;
    add_popularity(m, event->item, -weight, t, r);
    if (stands && weight > 0 && c->touches[at].weight > 0)
        take_back_pairs(m, c, at, weight, t, r);
    if (stands)
        leave_touch(c, at);
    if (type->hides)
        leave_hidden(c, event->item);
}

/* That an event was taken back is noted as its id, negated. */
static void learn_undo(model *m, cell *c, const happening *event, int64_t r) {
    bool seen = seen_before(m, c, event->id, r);
    if (seen_before(m, c, -event->id, r))
        return;
    if (!seen)
        note_id(c, event->id, r);
    note_id(c, -event->id, r);
    if (seen)
        take_back(m, c, event, r);
    c->last = r;
}

static void learn(model *m, const happening *event) {
    int64_t *clock = &m->clock[event->partition];
    *clock = event->received_at > *clock ? event->received_at : *clock;
    m->done[event->partition]++;
    if (event->user < 0)
        return;
    cell *c = &m->cells[event->user];
    int64_t r = *clock;
    m->known[event->item] = true;
    if (c->last != 0 && r - c->last > m->rules.lifetime)
        memset(c, 0, sizeof *c);
    if (event->undo) {
        learn_undo(m, c, event, r);
        return;
    }
    if (event->id && seen_before(m, c, event->id, r))
        return;
    if (event->id)
        note_id(c, event->id, r);
    begin_session(m, c, event->session, r);
    add_popularity(m, event->item, weight_of(event), event->t, r);
    add_pairs(m, c, event, r);
    remember(m, c, event, event->t, r);
}

void model_learn(model *m) {
    while (m->learned < m->count)
        learn(m, &m->events[m->learned++]);
    m->now = (sight){m->add_count, m->clock[0], m->clock[0]};
    for (uint32_t p = 1; p < m->rules.partitions; p++) {
        m->now.clock_low = m->clock[p] < m->now.clock_low ? m->clock[p] : m->now.clock_low;
        m->now.clock_high = m->clock[p] > m->now.clock_high ? m->clock[p] : m->now.clock_high;
    }
}

/* --- popularity -------------------------------------------------------------------------------------------------------------------------------- */

static void sum_window(int64_t sums[ITEMS], const model *m, int board, int64_t window, int64_t moment, const sight *from) {
    int64_t length = length_of(m, board), last = moment / length, first = last - (window + length - 1) / length + 1;
    int64_t gone = oldest_open(m, board, from->clock_low) - 1 - kept_of(m, board);
    memset(sums, 0, ITEMS * sizeof *sums);
    for (size_t i = 0; i < from->adds; i++) {
        const addition *a = &m->adds[i];
        if (a->board == board && a->generation >= first && a->generation <= last && a->generation > gone)
            sums[a->member] += a->delta;
    }
}

int model_popular(int order[ITEMS], int64_t sums[ITEMS], int *capped, const model *m, const asked_popular *q, const sight *from, const sight *time) {
    int64_t window = q->window ? q->window : m->rules.window_hours;
    int board = window <= m->rules.hours_kept * HOUR ? HOURS : DAYS, count = 0, left = 0;
    bool taken[NAMES] = {false};
    if (board == DAYS && window > m->rules.days_kept * DAY)
        return -1;
    sum_window(sums, m, board, window, q->as_of ? q->as_of : time->clock_high, from);
    for (int i = 0; i < ITEMS; i++) {
        if (sums[i] <= 0 || !model_available(m, i, q->as_of ? q->as_of : q->now) || !model_fits(m, &q->select, i) ||
            model_was_shown(m, &q->select, i))
            continue;
        if (q->category >= 0 && !(m->items[i].there && m->items[i].categories >> q->category & 1))
            continue;
        int at = count++;
        for (; at > 0 && (sums[order[at - 1]] < sums[i] || (sums[order[at - 1]] == sums[i] && name_before(i, order[at - 1]))); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    *capped = 0;
    for (int i = 0; i < count; i++) {
        int why = model_blocked(m, &q->select, taken, NULL, order[i]);
        *capped += why == CAPPED;
        if (why == FREE) {
            taken[order[i]] = true;
            order[left++] = order[i];
        }
    }
    return left;
}

/* --- co-views ---------------------------------------------------------------------------------------------------------------------------------- */

/* Leaves the `most` largest; ties by name. Sums of 0 and less go. */
static void cut(int64_t row[ITEMS], int most) {
    bool keeps[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        int before = 0;
        for (int j = 0; j < ITEMS; j++)
            before += j != i && (row[j] > row[i] || (row[j] == row[i] && name_before(j, i)));
        keeps[i] = row[i] > 0 && before < most;
    }
    for (int i = 0; i < ITEMS; i++)
        row[i] = keeps[i] ? row[i] : 0;
}

typedef struct heads {
    int64_t sums[ITEMS];    /* merged */
    double total, positive; /* of the whole rows; of what is above 0 in the two heads */
} heads;

static void make_heads(heads *h, const model *m, int item) {
    int64_t open[ITEMS] = {0}, closed[ITEMS] = {0}, newest = oldest_open(m, COVIEW, m->now.clock_low) - 1, weight = weight_of_age(m, 0);
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < m->now.adds; i++) {
        const addition *a = &m->adds[i];
        if (a->board == COVIEW && a->item == item && a->generation > newest)
            open[a->member] += a->delta;
    }
    for (int64_t g = newest; g >= 0 && g > newest - m->rules.coview_kept; g--) {
        int64_t row[ITEMS] = {0};
        for (size_t i = 0; i < m->now.adds; i++) {
            const addition *a = &m->adds[i];
            if (a->board == COVIEW && a->item == item && a->generation == g)
                row[a->member] += a->delta;
        }
        cut(row, m->rules.cut);
        for (int j = 0; j < ITEMS; j++)
            closed[j] += row[j] * weight_of_age(m, newest - g);
    }
    for (int j = 0; j < ITEMS; j++)
        h->total += (double)(weight * open[j]) + (double)closed[j];
    cut(open, m->rules.head);
    cut(closed, m->rules.head);
    for (int j = 0; j < ITEMS; j++) {
        h->sums[j] = weight * open[j] + closed[j];
        h->positive += (double)h->sums[j];
    }
}

/* --- questions --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct recent {
    int item;
    bool session;
} recent;

/* Cells of one person, as one: touches by how new they are, or something behind them in their own list. */
static void merge_cells(cell *out, const model *m, const cell *cells, int count, int64_t moment, bool as_of) {
    const cell *newest = NULL;
    int next[1 + ALIASES] = {0};
    bool runs[1 + ALIASES], running = true;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < count; i++)
        if (cells[i].last != 0 && (!newest || cells[i].last > newest->last))
            newest = &cells[i];
    for (int i = 0; i < count; i++) {
        int first = 0;
        while (as_of && first < cells[i].session_count && cells[i].touches[first].t > moment)
            first++;
        runs[i] = first < cells[i].session_count && moment - (as_of ? cells[i].touches[first].t : cells[i].last) <= m->rules.gap;
        runs[i] = runs[i] || (!as_of && &cells[i] == newest);
    }
    for (;;) {
        int best = -1;
        int64_t best_age = -1;
        for (int i = 0; i < count; i++) {
            int64_t age = next[i] < cells[i].touch_count ? 0 : -1; /* 0: without a time, the last of all */
            for (int at = next[i]; at < cells[i].touch_count; at++)
                age = cells[i].touches[at].t > age ? cells[i].touches[at].t : age;
            if (age > best_age)
                best = i, best_age = age;
        }
        if (best < 0)
            break;
        int at = next[best]++;
        const touch *one = &cells[best].touches[at];
        if (find_touch(out, one->item) < out->touch_count)
            continue;
        out->touches[out->touch_count++] = *one;
        running = running && ((runs[best] && at < cells[best].session_count) || (as_of && one->t > moment));
        out->session_count += running;
    }
    for (int i = count - 1; i >= 0; i--)
        for (int at = 0; at < cells[i].hidden_count; at++)
            hide_item(m, out, cells[i].hidden[at]);
    out->last = newest ? newest->last : 0;
    out->session = newest ? newest->session : 0;
}

static void live_cell(cell *out, const model *m, int user) {
    if (user < USERS && !(m->cells[user].last != 0 && m->cells[user].last + m->rules.lifetime < m->clock[model_partition(m, user)]))
        *out = m->cells[user];
    else
        memset(out, 0, sizeof *out);
}

/* The user's cell as the question sees it. */
static void see_cell(cell *c, const model *m, const asked *q, int64_t moment) {
    static model endless; /* merged lists are not cut to the length of one */
    const profile *who = q->user >= 0 ? &m->users[q->user] : NULL;
    cell cells[1 + ALIASES];
    endless.rules = m->rules;
    endless.rules.history = 1000;
    memset(c, 0, sizeof *c);
    if (who && q->kind != ASK_SIMILAR) {
        live_cell(&cells[0], m, q->user);
        for (int i = 0; i < who->alias_count; i++)
            live_cell(&cells[1 + i], m, who->aliases[i]);
        if (who->alias_count > 0)
            merge_cells(c, &endless, cells, 1 + who->alias_count, moment, q->as_of != 0);
        else
            *c = cells[0];
    }
    for (int i = 0; i < q->session_count; i++) {
        const happening *event = &q->session[i];
        int64_t r = moment > c->last ? moment : c->last;
        if (!m->known[event->item])
            continue;
        begin_session(m, c, 0, r);
        remember(who && who->alias_count > 0 ? &endless : m, c, event, event->t ? event->t : r, r);
    }
}

static int choose(recent *out, const model *m, const cell *c, const asked *q, int64_t moment) {
    int kept = c->touch_count < m->rules.recents ? c->touch_count : m->rules.recents, first = 0, count = 0;
    while (first < kept && q->as_of && c->touches[first].t > moment)
        first++;
    bool runs = first < kept && first < c->session_count && moment - (q->as_of ? c->touches[first].t : c->last) <= m->rules.gap;
    for (int round = m->rules.pair_session && runs ? 0 : 1; round < 2 && count == 0; round++)
        for (int i = first; i < kept && (round == 1 || i < c->session_count); i++)
            if (c->touches[i].weight > 0 && !(q->as_of && c->touches[i].t > moment))
                out[count++] = (recent){c->touches[i].item, runs && i < c->session_count};
    return count;
}

static bool is_asked(const asked *q, int item) {
    for (int i = 0; i < q->item_count; i++)
        if (q->items[i] == item)
            return true;
    return false;
}

static int choose_asked(recent *out, const model *m, const asked *q) {
    int count = 0;
    for (int i = 0; i < q->item_count; i++)
        if (q->items[i] < ITEMS && m->known[q->items[i]])
            out[count++] = (recent){q->items[i], false};
    return count;
}

static void drop_what_must_not_be(expected *e, const model *m, const asked *q, const cell *c, int64_t moment) {
    for (int i = 0; i < c->touch_count && m->rules.filter_seen && q->kind == ASK_USER; i++)
        e->candidate[c->touches[i].item] = false;
    for (int i = 0; i < c->hidden_count && q->kind != ASK_SIMILAR; i++)
        e->candidate[c->hidden[i]] = false;
    for (int i = 0; i < ITEMS; i++) {
        bool out = q->kind == ASK_SIMILAR ? is_asked(q, i) : q->kind == ASK_RANK && !(is_asked(q, i) && m->known[i]);
        e->candidate[i] = e->candidate[i] && !out && model_available(m, i, moment) && model_fits(m, &q->select, i);
    }
}

static double clip(int64_t sum) { return sum > 0 ? (double)sum : 0; }

void model_ask(expected *e, const model *m, const asked *q, const sight *from) {
    const rules *r = &m->rules;
    int64_t moment = q->as_of ? q->as_of : q->now, ending = q->as_of ? q->as_of : from->clock_high, hours[ITEMS], days[ITEMS];
    double coview[ITEMS] = {0}, revisit[ITEMS] = {0}, popular[ITEMS], most_hours = 0, most_days = 0, most = 0, best = 0, bound = 0, counted = 0;
    recent recents[ITEMS + 2];
    cell c;
    memset(e, 0, sizeof *e);
    see_cell(&c, m, q, moment);
    int count = q->kind == ASK_SIMILAR ? choose_asked(recents, m, q) : choose(recents, m, &c, q, moment);
    for (int k = 0; k < count; k++) {
        heads h;
        double largest = 0, rank = q->kind == ASK_SIMILAR ? 1 : r->recency_power ? pow(r->recency_value, k) : exp(-k / r->recency_value);
        make_heads(&h, m, recents[k].item);
        for (int j = 0; j < ITEMS; j++)
            largest = fmax(largest, (double)h.sums[j]);
        double norm = r->norm_max ? largest : pow(h.total, r->row_power);
        for (int j = 0; j < ITEMS && h.total > 0; j++) {
            coview[j] += h.sums[j] > 0 ? rank * (double)h.sums[j] / norm : 0;
            e->candidate[j] |= h.sums[j] > 0;
        }
        bound += h.total > 0 ? rank * fmax(h.total, h.positive) / norm : 0;
        counted += h.total;
        if (recents[k].session && r->revisit > 0 && !r->filter_seen && q->kind != ASK_SIMILAR) {
            revisit[recents[k].item] = r->revisit / (k + 1);
            e->candidate[recents[k].item] = true;
        }
    }
    sum_window(hours, m, HOURS, r->window_hours, ending, from);
    sum_window(days, m, DAYS, r->window_days, ending, from);
    for (int j = 0; j < ITEMS; j++) {
        most_hours = fmax(most_hours, clip(hours[j]));
        most_days = fmax(most_days, clip(days[j]));
    }
    for (int j = 0; j < ITEMS; j++) {
        popular[j] = (most_hours > 0 ? clip(hours[j]) / most_hours : 0) + (most_days > 0 ? clip(days[j]) / most_days : 0);
        most = fmax(most, popular[j]);
        coview[j] *= pow(fmax((double)days[j], 1), -r->popularity_power);
    }
    bool personal[ITEMS];
    for (int j = 0; j < ITEMS; j++) {
        personal[j] = e->candidate[j];
        e->candidate[j] |= q->kind == ASK_RANK || (q->kind == ASK_USER && popular[j] > 0);
    }
    drop_what_must_not_be(e, m, q, &c, moment);
    e->fallback = q->kind != ASK_SIMILAR;
    for (int j = 0; j < ITEMS; j++)
        if (e->candidate[j] && personal[j]) {
            best = fmax(best, coview[j]);
            e->fallback = e->fallback && coview[j] <= 0 && revisit[j] <= 0;
        }
    for (int j = 0; j < ITEMS; j++) {
        double weight = q->kind == ASK_SIMILAR ? 0 : e->fallback ? 1 : r->weight_popular;
        e->score[j] = 1e6 * ((best > 0 ? r->weight_coview * coview[j] / best : 0) + (most > 0 ? weight * popular[j] / most : 0) + revisit[j]);
        e->faint[j] = q->kind == ASK_SIMILAR && coview[j] < bound * 1e-7;
    }
    /* Three parts are rounded; co-views are counted in units of bound / 2^29, once per list, by factors that are whole multiples of 2^-28 of those;
     * damping and popularity have 24 bits. */
    double unit = bound / 536870912.0;
    e->tolerance = 1.6 + (best > 0 ? r->weight_coview * 2e6 * unit * (2 * count + 1 + counted / 268435456.0) / best : 0);
    for (int j = 0; j < ITEMS; j++) /* what was shown counts for what scores are measured by, and that is all */
        e->candidate[j] = e->candidate[j] && !model_was_shown(m, &q->select, j);
    e->not_found = q->kind == ASK_SIMILAR && count == 0;
    for (int i = 0; i < q->item_count && e->not_found; i++)
        e->not_found = q->items[i] >= ITEMS || !m->items[q->items[i]].there;
}
