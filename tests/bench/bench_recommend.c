/* bench_recommend.c - what an answer costs beside its floor.
 *
 *     bench_recommend [URL [ITEMS [ROUNDS [SPREAD [ALIASES]]]]]        lmdb: (a temporary folder), 100000, 4000, 2, none
 *
 * State: every item has a full head, 128 open and 128 closed entries. Items live in clusters of 500; of the members of a row 7 in 10 are of its own
 * cluster and 3 in 10 of all items; counts fall like 1/rank, by chance, and are whole numbers of co-views (2,520 each). SPREAD clusters is how many a
 * user's 50 recent items come from; 0: all items alike, which makes as many candidates as can be. Popularity falls like 1/rank. Answers have 20 items
 * with reasons. Without ALIASES records know no user; with it they know all, and each has so many others as aliases.
 *
 * Floor: the same heads in an LMDB table of their own, by item number; 50 mdb_get in one renewed transaction and every entry added to a dense array
 * of 64-bit sums. No cell, no candidates, no ranking, no names. Asks and floors take turns, each with a user of its own, so that neither warms the
 * caches for the other.
 *
 * Then every item gets a record with attributes, and the same questions are asked with filters that one in two, one in ten and one in two hundred
 * items match, with an exclude list, a cap and all of it; last while another thread makes 1,000 changes of records a second. */
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/item.h"
#include "model/user.h"
#include "recommend/recommend.h"
#include "support/support.h"

enum { RECENTS = 50, HALF = 128, CLUSTER = 500, PIECE = 500, USERS = 4000, DAY = 86400000 };

typedef struct bench {
    const char *url;
    uint32_t items, spread, aliases;
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

static void draw_row(bench *b, reco_add *row, uint32_t item, uint8_t *taken) {
    for (uint32_t i = 0; i < HALF;) {
        uint32_t member = draw_member(b, item);
        if (member == item || taken[member]) {
            continue;
        }
        taken[member] = 1;
        row[i] = (reco_add){item, member, 2520 * (1 + (int64_t)reco__rand_below(&b->rand, 1 + 400 / (i + 1)))};
        i++;
    }
    for (uint32_t i = 0; i < HALF; i++) {
        taken[row[i].member] = 0;
    }
    qsort(row, HALF, sizeof(*row), by_member);
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
            draw_row(b, closed + (size_t)i * HALF, first + i, taken);
            draw_row(b, open + (size_t)i * HALF, first + i, taken);
        }
        reco_add_group groups[2] = {{RECO_BOARD_COVIEW, 0, generation - 2, closed, (size_t)count * HALF},
                                    {RECO_BOARD_COVIEW, 0, generation, open, (size_t)count * HALF}};
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

/* --- measuring ---------------------------------------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static double percentile(int64_t *times, size_t count, double part) {
    qsort(times, count, sizeof(*times), by_time);
    return (double)times[(size_t)((double)(count - 1) * part)] / 1000;
}

static void measure(bench *b, size_t rounds) {
    int64_t *asks = malloc(rounds * sizeof(*asks)), *floors = malloc(rounds * sizeof(*floors));
    reco_answer *answer = NULL;
    reco_error err = RECO_ERROR_INIT;
    uint64_t candidates = 0;

    for (size_t i = 0; i < rounds + 200; i++) {
        char name[16];
        uint32_t user = (uint32_t)reco__rand_below(&b->rand, USERS), other = (uint32_t)reco__rand_below(&b->rand, USERS);
        reco_query query = {.struct_size = sizeof(query), .user_id = user_name(name, sizeof(name), user), .limit = 20};
        int64_t begun = reco__monotonic_ns();
        must(reco__recommend_ask(&answer, b->recommend, &query, b->now, user % 4, 0, NULL, &err), "ask", &err);
        int64_t asked = reco__monotonic_ns();
        run_floor(b, b->recents[other]);
        int64_t done = reco__monotonic_ns();
        if (answer->count != 20 || answer->flags != 0 || answer->items[0].reason_count == 0) {
            fprintf(stderr, "an answer is not what it should be: %zu items, flags %u\n", answer->count, answer->flags);
            exit(1);
        }
        if (i >= 200) {
            asks[i - 200] = asked - begun;
            floors[i - 200] = done - asked;
            candidates += answer->candidates;
        }
    }
    double ask = percentile(asks, rounds, 0.5), slow = percentile(asks, rounds, 0.99), floor = percentile(floors, rounds, 0.5);
    printf("ask    p10 %7.1f us   p50 %7.1f us   p90 %7.1f us   p99 %7.1f us   (%.0f candidates)\n", percentile(asks, rounds, 0.1), ask,
           percentile(asks, rounds, 0.9), slow, (double)candidates / (double)rounds);
    printf("floor  p10 %7.1f us   p50 %7.1f us   p90 %7.1f us   p99 %7.1f us\n", percentile(floors, rounds, 0.1), floor,
           percentile(floors, rounds, 0.9), percentile(floors, rounds, 0.99));
    printf("ask / floor at p50 %.2f (goal 1.60)   ask p99 / p50 %.2f (goal 3.00)\n", ask / floor, slow / ask);
    reco__answer_free(answer);
    free(asks);
    free(floors);
}

/* --- selections --------------------------------------------------------------------------------------------------------------------------------- */

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

/* Of this thread: what is measured beside others on the machine. */
static int64_t spent_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void measure_selection(bench *b, const char *name, const reco_selection *selection, size_t rounds) {
    int64_t *asks = malloc(rounds * sizeof(*asks)), *spent = malloc(rounds * sizeof(*spent));
    reco_answer *answer = NULL;
    reco_error err = RECO_ERROR_INIT;
    uint64_t filtered = 0, items = 0;

    for (size_t i = 0; i < rounds + 200; i++) {
        char room[16];
        uint32_t user = (uint32_t)reco__rand_below(&b->rand, USERS);
        reco_query query = {.struct_size = sizeof(query), .user_id = user_name(room, sizeof(room), user), .limit = 20, .selection = selection};
        int64_t begun = reco__monotonic_ns(), before = spent_ns();
        must(reco__recommend_ask(&answer, b->recommend, &query, b->now, user % 4, 0, NULL, &err), "ask", &err);
        if (i >= 200) {
            asks[i - 200] = reco__monotonic_ns() - begun;
            spent[i - 200] = spent_ns() - before;
            filtered += answer->filtered;
            items += answer->count;
        }
    }
    printf("%-28s p50 %7.1f us   p90 %7.1f us   p99 %7.1f us   CPU p50 %7.1f us   p99 %7.1f us   (%.1f items, %.0f left out)\n", name,
           percentile(asks, rounds, 0.5), percentile(asks, rounds, 0.9), percentile(asks, rounds, 0.99), percentile(spent, rounds, 0.5),
           percentile(spent, rounds, 0.99), (double)items / (double)rounds, (double)filtered / (double)rounds);
    reco__answer_free(answer);
    free(spent);
    free(asks);
}

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

static void measure_selections(bench *b, size_t rounds) {
    static reco_str out[20];
    static char names[20][16];
    reco_value brands[5] = {{0}};
    static const char *const brand_names[] = {"brand 1", "brand 2", "brand 3", "brand 4", "brand 5"};
    const reco_value yes = {.type = RECO_VALUE_BOOLEAN, .boolean = 1}, seven = {.type = RECO_VALUE_NUMBER, .number = 7};
    const reco_cap cap = {.attribute = reco__str_of("brand"), .most = 2};
    changer c = {.b = b};
    pthread_t thread;

    for (uint32_t i = 0; i < 5; i++) {
        brands[i] = (reco_value){.type = RECO_VALUE_STRING, .text = reco__str_of(brand_names[i])};
    }
    for (uint32_t i = 0; i < 20; i++) {
        out[i] = (reco_str){names[i], (size_t)snprintf(names[i], sizeof(names[i]), "item-%u", i * 977)};
    }
    const reco_filter half = {.attribute = reco__str_of("in_stock"), .op = RECO_FILTER_ANY_OF, .values = &yes, .value_count = 1},
                      tenth = {.attribute = reco__str_of("brand"), .op = RECO_FILTER_ANY_OF, .values = brands, .value_count = 5},
                      rare = {.attribute = reco__str_of("price"), .op = RECO_FILTER_ANY_OF, .values = &seven, .value_count = 1};
    const reco_filter all[] = {half, {.attribute = reco__str_of("price"), .op = RECO_FILTER_RANGE, .flags = RECO_FILTER_MIN, .min = 20}};
    reco_selection selection = {.struct_size = sizeof(selection), .filter_size = sizeof(half), .cap_size = sizeof(cap)};

    for (uint32_t first = 0; first < b->items; first += PIECE) {
        put_items(b, first, b->items - first < PIECE ? b->items - first : PIECE, 0);
    }
    measure_selection(b, "no selection", NULL, rounds);
    selection.filter_count = 1;
    selection.filters = &half;
    measure_selection(b, "one in 2 matches", &selection, rounds);
    selection.filters = &tenth;
    measure_selection(b, "one in 10", &selection, rounds);
    selection.filters = &rare;
    measure_selection(b, "one in 200", &selection, rounds);
    selection.filters = all;
    selection.filter_count = 2;
    selection.exclude = out;
    selection.exclude_count = 20;
    measure_selection(b, "two filters, 20 excluded", &selection, rounds);
    selection.caps = &cap;
    selection.cap_count = 1;
    measure_selection(b, "the same with a cap of 2", &selection, rounds);
    pthread_create(&thread, NULL, change_all, &c);
    int64_t begun = reco__monotonic_ns();
    measure_selection(b, "the same, 1,000 changes/s", &selection, rounds);
    measure_selection(b, "none,     1,000 changes/s", NULL, rounds);
    double seconds = (double)(reco__monotonic_ns() - begun) / 1e9;
    atomic_store(&c.done, true);
    pthread_join(thread, NULL);
    printf("%.0f changes a second were made; the room holds %.1f MB\n", c.made / seconds, (double)reco__recommend_bytes(b->recommend) / 1e6);
}

int main(int count, char **arguments) {
    static bench b;
    char folder[256];
    size_t rounds = count > 3 ? (size_t)atol(arguments[3]) : 4000;

    b.url = count > 1 ? arguments[1] : "lmdb:";
    b.items = count > 2 ? (uint32_t)atol(arguments[2]) : 100000;
    b.spread = count > 4 ? (uint32_t)atol(arguments[4]) : 2;
    b.users_known = count > 5;
    b.aliases = b.users_known ? (uint32_t)atol(arguments[5]) : 0;
    if (b.aliases > RECO_USER_ALIASES_MAX) {
        fprintf(stderr, "at most %u aliases\n", RECO_USER_ALIASES_MAX);
        return 2;
    }
    reco__rand_seed(&b.rand, 7);
    test_dir_make(folder);
    int64_t begun = reco__monotonic_ns();
    make_state(&b, folder);
    make_floor(&b, folder);
    printf("%s, %u items, full heads of %u + %u entries, %.0f bytes a head, %u recents from %u clusters (0: anywhere), limit 20, reasons; made in "
           "%.1f s\n",
           b.url, b.items, HALF, HALF, (double)b.head_bytes / b.items, RECENTS, b.spread, (double)(reco__monotonic_ns() - begun) / 1e9);
    for (int run = 0; run < 3; run++) {
        measure(&b, rounds);
    }
    measure_selections(&b, rounds);
    mdb_txn_abort(b.txn);
    mdb_env_close(b.env);
    free(b.sums);
    free(b.recents);
    reco__recommend_close(b.recommend);
    reco__features_close(b.features);
    reco__records_close(b.records);
    test_dir_remove(folder);
    return 0;
}
