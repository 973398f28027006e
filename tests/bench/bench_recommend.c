/* bench_recommend.c - what an answer costs beside its floor.
 *
 *     bench_recommend [--data lmdb:|memory:] [--items 100000] [--open N --closed N] [--spread 2] [--aliases N] [--rounds 3000] [--runs 3] [--only
 * NAME]
 *
 * State: every item has a head of N open and N closed entries. Without the two options there are two states, one after the other: 25 + 25, which is
 * the shape other systems are measured in (50 neighbours an item), and 128 + 128, which is all that a head can hold. Items live in clusters of 500;
 * of the members of a row 7 in 10 are of its own cluster and 3 in 10 of all items; counts fall like 1/rank, by chance, and are whole numbers of
 * co-views (2,520 each). SPREAD clusters is how many a user's 50 recent items come from; 0: all items alike, which makes as many candidates as can
 * be. Popularity falls like 1/rank. Answers have 20 items with reasons. Without --aliases records know no user; with it they know all, and each has
 * so many others as aliases.
 *
 * Floor: the same heads in an LMDB table of their own, by item number; 50 mdb_get in one renewed transaction and every entry added to a dense array
 * of 64-bit sums. No cell, no candidates, no ranking, no names. Asks and floors take turns, each with a user of its own, so that neither warms the
 * caches for the other.
 *
 * Every item has a record with attributes. The same questions are asked without any selection, with filters that one in two, one in ten and one in
 * two hundred items match, with an exclude list, a cap and all of it; then while another thread makes 1,000 changes of records a second. --only
 * leaves out all whose name does not have it. Figures are medians of the runs. */
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/measure.h"
#include "model/item.h"
#include "model/user.h"
#include "recommend/recommend.h"
#include "support/support.h"

enum { RECENTS = 50, HALF = 128, CLUSTER = 500, PIECE = 500, USERS = 4000, DAY = 86400000, RUNS_MOST = 15 };

typedef struct bench {
    const char *url;
    uint32_t items, spread, aliases;
    uint32_t half[2]; /* entries of a head: open, closed */
    bool users_known;
    reco__rand rand;
    reco__settings settings;
    reco__learn_rules rules;
    reco__features *features;
    reco__records *records;
    reco__recommend *recommend;
    int64_t now;
    uint32_t (*recents)[RECENTS];
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;
    int64_t *sums;
    uint64_t check, head_bytes;
} bench;

static void must(reco_status status, const char *what, const reco_error *err) {
    if (status != RECO_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, err->field, err->text);
        exit(1);
    }
}

static void must_lmdb(int code, const char *what) {
    if (code != 0) {
        fprintf(stderr, "%s: %s\n", what, mdb_strerror(code));
        exit(1);
    }
}

/* --- the state ---------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t draw_member(bench *b, uint32_t item) {
    uint32_t cluster = item / CLUSTER * CLUSTER;
    uint32_t member =
        reco__rand_below(&b->rand, 10) < 7 ? cluster + (uint32_t)reco__rand_below(&b->rand, CLUSTER) : (uint32_t)reco__rand_below(&b->rand, b->items);
    return member < b->items ? member : item;
}

static int by_member(const void *a, const void *b) {
    uint32_t left = ((const reco_add *)a)->member, right = ((const reco_add *)b)->member;
    return left < right ? -1 : left > right;
}

static void draw_row(bench *b, reco_add *row, uint32_t count, uint32_t item, uint8_t *taken) {
    for (uint32_t i = 0; i < count;) {
        uint32_t member = draw_member(b, item);
        if (member == item || taken[member]) {
            continue;
        }
        taken[member] = 1;
        row[i] = (reco_add){item, member, 2520 * (1 + (int64_t)reco__rand_below(&b->rand, 1 + 400 / (i + 1)))};
        i++;
    }
    for (uint32_t i = 0; i < count; i++) {
        taken[row[i].member] = 0;
    }
    qsort(row, count, sizeof(*row), by_member);
}

static void name_items(bench *b) {
    char names[PIECE][16];
    reco_str ids[PIECE];
    uint32_t numbers[PIECE];
    reco_error err = RECO_ERROR_INIT;

    for (uint32_t first = 0; first < b->items; first += PIECE) {
        uint32_t count = b->items - first < PIECE ? b->items - first : PIECE;
        for (uint32_t i = 0; i < count; i++) {
            ids[i] = (reco_str){names[i], (size_t)snprintf(names[i], sizeof(names[i]), "item-%u", first + i)};
        }
        must(reco__features_intern(numbers, b->features, ids, count, NULL, &err), "intern", &err);
        if (numbers[0] != first || numbers[count - 1] != first + count - 1) {
            fprintf(stderr, "items got other numbers than expected\n");
            exit(1);
        }
    }
}

static void load_rows(bench *b) {
    static reco_add closed[PIECE * HALF], open[PIECE * HALF];
    int64_t generation = reco_board_generation(&b->rules.boards, RECO_BOARD_COVIEW, b->now);
    uint8_t *taken = calloc(b->items, 1);
    reco_error err = RECO_ERROR_INIT;

    for (uint32_t first = 0; first < b->items; first += PIECE) {
        uint32_t count = b->items - first < PIECE ? b->items - first : PIECE;
        for (uint32_t i = 0; i < count; i++) {
            draw_row(b, closed + (size_t)i * b->half[1], b->half[1], first + i, taken);
            draw_row(b, open + (size_t)i * b->half[0], b->half[0], first + i, taken);
        }
        reco_add_group groups[2] = {{RECO_BOARD_COVIEW, 0, generation - 2, closed, (size_t)count * b->half[1]},
                                    {RECO_BOARD_COVIEW, 0, generation, open, (size_t)count * b->half[0]}};
        reco_restore_piece piece = {.struct_size = sizeof(piece), .groups = groups, .group_count = 2};
        must(reco__features_restore(b->features, &piece, NULL, &err), "restore rows", &err);
    }
    free(taken);
}

static void load_popularity(bench *b) {
    reco_add *adds = malloc(b->items * sizeof(*adds));
    reco_error err = RECO_ERROR_INIT;

    for (uint32_t i = 0; i < b->items; i++) { /* like 1/rank */
        adds[i] = (reco_add){0, i, 1 + (int64_t)(1000000 / (1 + reco__rand_below(&b->rand, b->items)))};
    }
    reco_add_group groups[2] = {{RECO_BOARD_HOURS, 0, reco_board_generation(&b->rules.boards, RECO_BOARD_HOURS, b->now), adds, b->items},
                                {RECO_BOARD_DAYS, 0, reco_board_generation(&b->rules.boards, RECO_BOARD_DAYS, b->now), adds, b->items}};
    reco_restore_piece piece = {.struct_size = sizeof(piece), .groups = groups, .group_count = 2};
    must(reco__features_restore(b->features, &piece, NULL, &err), "restore popularity", &err);
    free(adds);
}

static reco_str user_name(char *room, size_t size, uint32_t user) { return (reco_str){room, (size_t)snprintf(room, size, "user-%05u", user)}; }

static void draw_recents(bench *b, uint32_t *recents) {
    uint32_t bases[16] = {0};

    for (uint32_t s = 0; s < b->spread && s < 16; s++) {
        bases[s] = (uint32_t)reco__rand_below(&b->rand, b->items / CLUSTER) * CLUSTER;
    }
    for (uint32_t i = 0; i < RECENTS;) {
        recents[i] =
            b->spread > 0 ? bases[i % b->spread] + (uint32_t)reco__rand_below(&b->rand, CLUSTER) : (uint32_t)reco__rand_below(&b->rand, b->items);
        bool fresh = true;
        for (uint32_t k = 0; k < i; k++) {
            fresh = fresh && recents[k] != recents[i];
        }
        i += fresh;
    }
}

static void load_users(bench *b, const reco_position *positions) {
    static reco_cell_put puts[USERS];
    static uint32_t partitions[USERS];
    static char names[USERS][16];
    reco__buf *bytes = calloc(USERS, sizeof(*bytes));
    reco_error err = RECO_ERROR_INIT;

    b->recents = malloc(USERS * sizeof(*b->recents));
    for (uint32_t u = 0; u < USERS; u++) {
        reco__touch touches[RECENTS];
        draw_recents(b, b->recents[u]);
        for (uint32_t i = 0; i < RECENTS; i++) {
            touches[i] = (reco__touch){.item = b->recents[u][i], .weight = 1, .t = b->now - 60000 * (int64_t)i};
        }
        reco__cell cell = {.last = b->now, .touches = touches, .touch_count = RECENTS, .session_count = 3};
        reco__cell_encode(&bytes[u], &cell);
        puts[u] = (reco_cell_put){.user = user_name(names[u], sizeof(names[u]), u),
                                  .data = bytes[u].data,
                                  .size = bytes[u].size,
                                  .expires_at = reco__cell_expires(&cell, &b->rules)};
        partitions[u] = u % 4;
    }
    reco_restore_piece piece = {.struct_size = sizeof(piece),
                                .flags = RECO_RESTORE_LAST,
                                .cells = puts,
                                .cell_partitions = partitions,
                                .cell_count = USERS,
                                .positions = positions};
    must(reco__features_restore(b->features, &piece, NULL, &err), "restore users", &err);
    for (uint32_t u = 0; u < USERS; u++) {
        reco__buf_dispose(&bytes[u]);
    }
    free(bytes);
}

static uint32_t partition_of(const void *context, reco_str user) {
    const char *digits = user.data + user.size - 2;

    (void)context;
    return (uint32_t)((digits[0] - '0') * 10 + digits[1] - '0') % 4; /* that of the whole number: 100 is a multiple of 4 */
}

/* Records of items. What `change` says is of no account for any selection. */
static void put_items(bench *b, uint32_t first, uint32_t count, uint32_t change) {
    static char names[PIECE][16], attributes[PIECE][96];
    static reco_record_change changes[PIECE];
    reco__buf documents[PIECE] = {{0}};
    reco_error err = RECO_ERROR_INIT;
    uint64_t sequence;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t item = first + i, mixed = item * 2654435761u >> 7;
        reco_item one = {.item_id = {names[i], (size_t)snprintf(names[i], sizeof(names[i]), "item-%u", item)}};
        one.attributes = (reco_str){
            attributes[i], (size_t)snprintf(attributes[i], sizeof(attributes[i]),
                                            "{\"brand\":\"brand %u\",\"price\":%u,\"in_stock\":%s,\"colors\":[\"red\",\"blue\"],\"change\":%u}",
                                            mixed % 50, mixed % 200, mixed & 1 ? "true" : "false", change)};
        reco__item_document(&documents[i], &one);
        changes[i] = (reco_record_change){.kind = RECO_RECORD_ITEM, .id = one.item_id, .document = {documents[i].data, documents[i].size}};
    }
    must(reco__records_change(&sequence, b->records, changes, count, NULL, &err), "change records", &err);
    for (uint32_t i = 0; i < count; i++) {
        reco__buf_dispose(&documents[i]);
    }
}

/* A record for each user. */
static void tell_users(bench *b) {
    reco_record_change changes[PIECE];
    reco__buf documents[PIECE] = {{0}};
    char names[PIECE][16], others[RECO_USER_ALIASES_MAX][16];
    reco_str aliases[RECO_USER_ALIASES_MAX];
    reco_error err = RECO_ERROR_INIT;

    for (uint32_t u = 0; u < USERS; u++) {
        uint32_t at = u % PIECE;
        for (uint32_t i = 0; i < b->aliases; i++) {
            aliases[i] = user_name(others[i], sizeof(others[i]), (u + 1 + i) % USERS);
        }
        reco_user user = {
            .user_id = user_name(names[at], sizeof(names[at]), u), .segment = reco__str_of("s"), .aliases = aliases, .alias_count = b->aliases};
        reco__user_document(&documents[at], &user);
        changes[at] = (reco_record_change){.kind = RECO_RECORD_USER, .id = user.user_id, .document = {documents[at].data, documents[at].size}};
        if (at + 1 == PIECE) {
            must(reco__records_change(NULL, b->records, changes, PIECE, NULL, &err), "tell users", &err);
            for (uint32_t i = 0; i < PIECE; i++) {
                reco__buf_dispose(&documents[i]);
            }
        }
    }
}

static void open_stores(bench *b, const char *folder) {
    char features_url[300], records_url[300];
    reco_error err = RECO_ERROR_INIT;
    bool memory = strcmp(b->url, "memory:") == 0;

    snprintf(features_url, sizeof(features_url), memory ? "memory:" : "lmdb:%s", folder);
    snprintf(records_url, sizeof(records_url), memory ? "memory:" : "lmdb:%s", folder);
    reco_features_options options = {.struct_size = sizeof(options),
                                     .partitions = 4,
                                     .url = features_url,
                                     .space = "bench",
                                     .fingerprint = reco__str_of("bench=1\n"),
                                     .rules = &b->rules.boards,
                                     .max_items = b->settings.max_items,
                                     .max_users = b->settings.max_users,
                                     .map_size = b->settings.map_size};
    must(reco__features_open(&b->features, &options, NULL, &err), "open features", &err);
    reco_records_options known = {.struct_size = sizeof(known), .url = records_url, .space = "bench", .map_size = b->settings.map_size};
    must(reco__records_open(&b->records, &known, NULL, &err), "open records", &err);
}

static void make_rules(bench *b) {
    reco_board_rules *boards = &b->rules.boards;

    reco__settings_init(&b->settings);
    *boards = (reco_board_rules){.struct_size = sizeof(*boards),
                                 .cut = 512,
                                 .head = HALF,
                                 .lateness = b->settings.lateness,
                                 .skew = b->settings.skew,
                                 .length = {3600000, DAY, b->settings.coview_length},
                                 .kept = {48, 60, 26}};
    for (int i = 0; i < 26; i++) {
        boards->weight[i] = 1;
    }
    b->rules.recents = RECENTS;
    b->rules.history = 1000;
    b->rules.session_gap = b->settings.session_gap;
    b->rules.lifetime = b->settings.cell_lifetime;
}

static void make_state(bench *b, const char *folder) {
    reco_position positions[4];
    reco_restore_piece first = {.struct_size = sizeof(first), .flags = RECO_RESTORE_FIRST};
    reco__recommend_options options = {.settings = &b->settings, .rules = &b->rules, .partitions = 4, .partition_of = partition_of};
    reco_error err = RECO_ERROR_INIT;

    b->now = (reco__now_ms() / DAY) * DAY + DAY / 2;
    make_rules(b);
    open_stores(b, folder);
    must(reco__features_restore(b->features, &first, NULL, &err), "restore", &err);
    name_items(b);
    load_rows(b);
    load_popularity(b);
    for (int p = 0; p < 4; p++) {
        positions[p] = (reco_position){1000, b->now};
    }
    load_users(b, positions);
    must(reco__features_settle(b->features, NULL, &err), "settle", &err);
    if (b->users_known) {
        tell_users(b);
    }
    for (uint32_t item = 0; item < b->items; item += PIECE) {
        put_items(b, item, b->items - item < PIECE ? b->items - item : PIECE, 0);
    }
    options.features = b->features;
    options.records = b->records;
    must(reco__recommend_open(&b->recommend, &options, NULL, &err), "open recommend", &err);
    reco__recommend_sign(b->recommend, 1, (const uint8_t *)"0123456789abcdef");
}

/* --- the floor ---------------------------------------------------------------------------------------------------------------------------------- */

static void copy_head(void *context, size_t index, const void *data, size_t size) {
    bench *b = context;
    uint32_t item = (uint32_t)b->check + (uint32_t)index;
    MDB_val key = {sizeof(item), &item}, value = {size, (void *)(uintptr_t)data};

    b->head_bytes += size;
    must_lmdb(mdb_put(b->txn, b->dbi, &key, &value, MDB_APPEND), "put a head");
}

static void make_floor(bench *b, const char *folder) {
    char path[300];
    uint32_t items[PIECE];
    reco_error err = RECO_ERROR_INIT;

    snprintf(path, sizeof(path), "%s/floor", folder);
    must_lmdb(mdb_env_create(&b->env), "floor");
    must_lmdb(mdb_env_set_mapsize(b->env, (size_t)8 << 30), "floor");
    must_lmdb(mdb_env_open(b->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600), "open the floor");
    must_lmdb(mdb_txn_begin(b->env, NULL, 0, &b->txn), "floor");
    must_lmdb(mdb_dbi_open(b->txn, NULL, MDB_INTEGERKEY, &b->dbi), "floor");
    for (b->check = 0; b->check < b->items; b->check += PIECE) {
        uint32_t count = b->items - (uint32_t)b->check < PIECE ? b->items - (uint32_t)b->check : PIECE;
        for (uint32_t i = 0; i < count; i++) {
            items[i] = (uint32_t)b->check + i;
        }
        must(reco__features_heads(b->features, items, count, copy_head, b, NULL, &err), "heads", &err);
    }
    must_lmdb(mdb_txn_commit(b->txn), "floor");
    must_lmdb(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &b->txn), "floor");
    mdb_txn_reset(b->txn);
    b->sums = calloc(b->items, sizeof(*b->sums));
    b->check = 0;
}

static void add_entries(int64_t *sums, const uint8_t *at, size_t size) {
    for (const uint8_t *end = at + size; at < end;) {
        uint32_t member;
        uint64_t value = 0;
        memcpy(&member, at, 4);
        at += 4;
        for (unsigned shift = 0;; shift += 7) {
            value |= (uint64_t)(*at & 0x7f) << shift;
            if (*at++ < 0x80) {
                break;
            }
        }
        sums[member] += (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    }
}

static void run_floor(bench *b, const uint32_t *recents) {
    must_lmdb(mdb_txn_renew(b->txn), "floor");
    for (int i = 0; i < RECENTS; i++) {
        uint32_t item = recents[i];
        MDB_val key = {sizeof(item), &item}, value;
        reco_head head;
        must_lmdb(mdb_get(b->txn, b->dbi, &key, &value), "get a head");
        if (reco_head_read(&head, value.mv_data, value.mv_size) != RECO_OK) {
            must_lmdb(MDB_CORRUPTED, "read a head");
        }
        add_entries(b->sums, head.open, head.open_size);
        add_entries(b->sums, head.closed, head.closed_size);
    }
    mdb_txn_reset(b->txn);
}

/* --- selections --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct changer {
    bench *b;
    atomic_bool done;
    uint32_t made;
} changer;

/* A thousand a second, one by one. */
static void *change_all(void *context) {
    changer *c = context;
    int64_t begun = reco__monotonic_ns();

    while (!atomic_load(&c->done)) {
        put_items(c->b, c->made * 7919u % c->b->items, 1, c->made);
        c->made++;
        int64_t ahead = begun + c->made * INT64_C(1000000) - reco__monotonic_ns();
        if (ahead > 0) {
            usleep((useconds_t)(ahead / 1000));
        }
    }
    return NULL;
}

/* Selections, as questions ask for them. */
typedef struct selections {
    reco_value yes, seven, brands[5];
    reco_filter half, tenth, rare, two[2];
    reco_str out[20];
    char names[20][16];
    reco_cap cap;
} selections;

static void make_selections(selections *s) {
    static const char *const brand_names[] = {"brand 1", "brand 2", "brand 3", "brand 4", "brand 5"};

    *s = (selections){.yes = {.type = RECO_VALUE_BOOLEAN, .boolean = 1}, .seven = {.type = RECO_VALUE_NUMBER, .number = 7}};
    for (uint32_t i = 0; i < 5; i++) {
        s->brands[i] = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(brand_names[i])};
    }
    for (uint32_t i = 0; i < 20; i++) {
        s->out[i] = (reco_str){s->names[i], (size_t)snprintf(s->names[i], sizeof(s->names[i]), "item-%u", i * 977)};
    }
    s->half = (reco_filter){.attribute = reco__str_of("in_stock"), .op = RECO_FILTER_ANY_OF, .values = &s->yes, .value_count = 1};
    s->tenth = (reco_filter){.attribute = reco__str_of("brand"), .op = RECO_FILTER_ANY_OF, .values = s->brands, .value_count = 5};
    s->rare = (reco_filter){.attribute = reco__str_of("price"), .op = RECO_FILTER_ANY_OF, .values = &s->seven, .value_count = 1};
    s->two[0] = s->half;
    s->two[1] = (reco_filter){.attribute = reco__str_of("price"), .op = RECO_FILTER_RANGE, .flags = RECO_FILTER_MIN, .min = 20};
    s->cap = (reco_cap){.attribute = reco__str_of("brand"), .most = 2};
}

static reco_selection select_by(const reco_filter *filters, size_t count) {
    return (reco_selection){.struct_size = sizeof(reco_selection), .filters = filters, .filter_count = count, .filter_size = sizeof(*filters)};
}

static reco_selection and_exclude(reco_selection selection, const selections *s) {
    selection.exclude = s->out;
    selection.exclude_count = 20;
    return selection;
}

static reco_selection and_cap(reco_selection selection, const selections *s) {
    selection.caps = &s->cap;
    selection.cap_count = 1;
    selection.cap_size = sizeof(s->cap);
    return selection;
}

/* --- measuring ---------------------------------------------------------------------------------------------------------------------------------- */

/* us, but for the last three. */
enum { ASK_P50, ASK_P99, CPU_P50, CPU_P99, FLOOR_P50, FLOOR_P99, FLOOR_CPU_P99, RATIO, CANDIDATES, LEFT_OUT, FIGURES };

/* A kind of question, and the figures of its runs. */
typedef struct row {
    const char *name;
    const reco_selection *selection;
    bool changes;
    double figures[FIGURES][RUNS_MOST];
} row;

/* Of this thread: what is measured beside others on the machine. */
static int64_t spent_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

typedef struct times {
    double *asks, *spent, *floors, *floors_spent; /* us */
} times;

/* One question and one floor, each of some user. */
static const reco_answer *ask_one(reco_answer **answer, bench *b, const row *of, double *ask, double *spent, double *floor, double *floor_spent) {
    char name[16];
    reco_error err = RECO_ERROR_INIT;
    uint32_t user = (uint32_t)reco__rand_below(&b->rand, USERS), other = (uint32_t)reco__rand_below(&b->rand, USERS);
    reco_query query = {.struct_size = sizeof(query), .user_id = user_name(name, sizeof(name), user), .limit = 20, .selection = of->selection};
    int64_t before = spent_ns(), begun = reco__monotonic_ns();

    must(reco__recommend_ask(answer, b->recommend, &query, b->now, user % 4, 0, NULL, &err), "ask", &err);
    int64_t asked = reco__monotonic_ns();
    *spent = (double)(spent_ns() - before) / 1e3;
    *ask = (double)(asked - begun) / 1e3;
    before = spent_ns();
    begun = reco__monotonic_ns();
    run_floor(b, b->recents[other]);
    *floor = (double)(reco__monotonic_ns() - begun) / 1e3;
    *floor_spent = (double)(spent_ns() - before) / 1e3;
    bool full = (*answer)->count == 20 && (*answer)->flags == 0 && (*answer)->items[0].reason_count > 0;
    if (!full) {
        fprintf(stderr, "an answer is not what it should be: %zu items, flags %u\n", (*answer)->count, (*answer)->flags);
        exit(1);
    }
    return *answer;
}

static void measure(bench *b, row *of, int run, size_t rounds, const times *t) {
    reco_answer *answer = NULL;
    double candidates = 0, left_out = 0;

    for (size_t i = 0; i < rounds + 200; i++) { /* the first ones are not counted */
        double ask, spent, floor, floor_spent;
        const reco_answer *got = ask_one(&answer, b, of, &ask, &spent, &floor, &floor_spent);
        if (i >= 200) {
            t->asks[i - 200] = ask;
            t->spent[i - 200] = spent;
            t->floors[i - 200] = floor;
            t->floors_spent[i - 200] = floor_spent;
            candidates += got->candidates;
            left_out += got->filtered;
        }
    }
    reco_answer_free(answer);
    of->figures[ASK_P50][run] = bench_percentile(t->asks, rounds, 0.5);
    of->figures[ASK_P99][run] = bench_percentile(t->asks, rounds, 0.99);
    of->figures[CPU_P50][run] = bench_percentile(t->spent, rounds, 0.5);
    of->figures[CPU_P99][run] = bench_percentile(t->spent, rounds, 0.99);
    of->figures[FLOOR_P50][run] = bench_percentile(t->floors, rounds, 0.5);
    of->figures[FLOOR_P99][run] = bench_percentile(t->floors, rounds, 0.99);
    of->figures[FLOOR_CPU_P99][run] = bench_percentile(t->floors_spent, rounds, 0.99);
    of->figures[RATIO][run] = of->figures[ASK_P50][run] / of->figures[FLOOR_P50][run];
    of->figures[CANDIDATES][run] = candidates / (double)rounds;
    of->figures[LEFT_OUT][run] = left_out / (double)rounds;
}

static void print_row(row *of, int runs) {
    double m[FIGURES];

    for (int i = 0; i < FIGURES; i++) {
        m[i] = bench_median(of->figures[i], (size_t)runs);
    }
    printf("%-26s p50 %6.1f  p99 %6.1f us   CPU p50 %6.1f  p99 %6.1f us   floor p50 %6.1f  p99 %6.1f  CPU p99 %6.1f us   ratio %5.2f   (%.0f "
           "candidates, %.0f left "
           "out)\n",
           of->name, m[ASK_P50], m[ASK_P99], m[CPU_P50], m[CPU_P99], m[FLOOR_P50], m[FLOOR_P99], m[FLOOR_CPU_P99], m[RATIO], m[CANDIDATES],
           m[LEFT_OUT]);
}

/* Leaves those whose name has `only` (NULL: all); how many. */
static size_t pick_rows(row *rows, size_t count, const char *only) {
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (!only || strstr(rows[i].name, only)) {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

/* The rows of a run one after the other, then the next run: what comes and goes on the machine is not one row's alone. */
static void measure_rows(bench *b, row *rows, size_t count, int runs, size_t rounds, const times *t) {
    double changed = 0, seconds = 0;

    for (int run = 0; run < runs; run++) {
        for (size_t i = 0; i < count; i++) {
            changer c = {.b = b};
            pthread_t thread;
            int64_t begun = reco__monotonic_ns();
            if (rows[i].changes && pthread_create(&thread, NULL, change_all, &c) != 0) {
                fprintf(stderr, "cannot start a thread\n");
                exit(1);
            }
            measure(b, &rows[i], run, rounds, t);
            if (rows[i].changes) {
                atomic_store(&c.done, true);
                pthread_join(thread, NULL);
                seconds += (double)(reco__monotonic_ns() - begun) / 1e9;
                changed += c.made;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        print_row(&rows[i], runs);
    }
    if (seconds > 0) {
        printf("%.0f changes a second were made; the room holds %.1f MB\n", changed / seconds, (double)reco__recommend_bytes(b->recommend) / 1e6);
    }
}

static void measure_all(bench *b, int runs, size_t rounds, const char *only) {
    static selections s;
    times t = {calloc(rounds, sizeof(double)), calloc(rounds, sizeof(double)), calloc(rounds, sizeof(double)), calloc(rounds, sizeof(double))};

    make_selections(&s);
    reco_selection half = select_by(&s.half, 1), tenth = select_by(&s.tenth, 1), rare = select_by(&s.rare, 1),
                   two = and_exclude(select_by(s.two, 2), &s), all = and_cap(two, &s);
    row rows[] = {{.name = "no selection"},
                  {.name = "one in 2 matches", .selection = &half},
                  {.name = "one in 10", .selection = &tenth},
                  {.name = "one in 200", .selection = &rare},
                  {.name = "two filters, 20 excluded", .selection = &two},
                  {.name = "the same with a cap of 2", .selection = &all},
                  {.name = "the same, 1,000 changes/s", .selection = &all, .changes = true},
                  {.name = "none,     1,000 changes/s", .changes = true}};
    bench_need(t.asks && t.spent && t.floors && t.floors_spent, "memory");
    measure_rows(b, rows, pick_rows(rows, sizeof(rows) / sizeof(*rows), only), runs, rounds, &t);
    free(t.asks);
    free(t.spent);
    free(t.floors);
    free(t.floors_spent);
}

/* One state from making to removing it. */
static void measure_state(bench *b, int runs, size_t rounds, const char *only) {
    char folder[256];

    reco__rand_seed(&b->rand, 7);
    test_dir_make(folder);
    int64_t begun = reco__monotonic_ns();
    make_state(b, folder);
    make_floor(b, folder);
    printf(
        "%s, %u items, heads of %u + %u entries, %.0f bytes a head, %u recents from %u clusters (0: anywhere), limit 20, reasons; made in %.1f s\n",
        b->url, b->items, b->half[0], b->half[1], (double)b->head_bytes / b->items, RECENTS, b->spread, (double)(reco__monotonic_ns() - begun) / 1e9);
    measure_all(b, runs, rounds, only);
    mdb_txn_abort(b->txn);
    mdb_env_close(b->env);
    free(b->sums);
    free(b->recents);
    reco__recommend_close(b->recommend);
    reco__features_close(b->features);
    reco__records_close(b->records);
    test_dir_remove(folder);
}

int main(int count, char **arguments) {
    static const uint32_t shapes[][2] = {{25, 25}, {HALF, HALF}};
    bench_options options = bench_options_begin(count, arguments);
    bench b = {.url = bench_text(&options, "--data", "lmdb:"), .items = (uint32_t)bench_number(&options, "--items", 100000)};
    uint32_t open = (uint32_t)bench_number(&options, "--open", 0), closed = (uint32_t)bench_number(&options, "--closed", open);
    const char *aliases = bench_text(&options, "--aliases", NULL);
    size_t rounds = bench_number(&options, "--rounds", 3000), runs = bench_number(&options, "--runs", 3);
    const char *only = bench_text(&options, "--only", NULL);

    b.spread = (uint32_t)bench_number(&options, "--spread", 2);
    b.users_known = aliases != NULL;
    b.aliases = aliases ? (uint32_t)strtoul(aliases, NULL, 10) : 0;
    bench_options_end(&options,
                      "bench_recommend [--data lmdb:|memory:] [--items N] [--open N --closed N] [--spread N] [--aliases N] [--rounds N] [--runs N] "
                      "[--only NAME]");
    bench_need(b.aliases <= RECO_USER_ALIASES_MAX && runs >= 1 && runs <= RUNS_MOST && rounds >= 100 && b.items >= 2 * CLUSTER,
               "at most 16 aliases, 1 to 15 runs of at least 100 rounds, at least 1,000 items");
    bench_need(open <= HALF && closed <= HALF && (open > 0) == (closed > 0), "1 to 128 open and 1 to 128 closed entries");
    for (size_t i = 0; i < (open > 0 ? 1 : sizeof(shapes) / sizeof(*shapes)); i++) {
        bench state = b;
        state.half[0] = open > 0 ? open : shapes[i][0];
        state.half[1] = open > 0 ? closed : shapes[i][1];
        measure_state(&state, (int)runs, rounds, only);
    }
    return 0;
}
