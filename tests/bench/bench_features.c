/* bench_features.c - what applying batches and reading heads costs, on synthetic adds.
 *
 *     bench_features [URL [ITEMS [EVENTS_PER_GENERATION [EVENTS [BATCH]]]]]
 *
 * Users have a taste, one of 200 clusters; 7 of 10 items come from it, the others from all; both by Zipf(1.0). Each event pairs with the last 10
 * distinct items of its user, both ways, and counts in the hours and the days: 22 adds once a user is known. Items get their numbers when they first
 * appear, as in life. Making and sorting the adds is not counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "features/features.h"
#include "support/support.h"

enum { USERS = 20000, CLUSTERS = 200, WINDOW = 10, HOUR = 3600 * 1000 };

struct bench {
    reco__features *features;
    reco_board_rules rules;
    uint64_t epoch;
    reco__rand chance;
    uint32_t items, given;
    double *zipf, *cluster_zipf;
    uint32_t cluster_size;
    uint32_t *numbers;          /* by rank; RECO_NO_ITEM: not met yet */
    uint32_t (*recent)[WINDOW]; /* by user */
    reco_add *adds[RECO_BOARD_COUNT];
    size_t counts[RECO_BOARD_COUNT];
    uint64_t raw_adds, adds_applied, rows_applied, events;
    int64_t generation;
    double apply_seconds;
};

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void give_up(const char *what, const reco_error *err) {
    fprintf(stderr, "%s: %s: %s\n", what, err->field, err->text);
    exit(1);
}

static double *zipf_sums(uint32_t count) {
    double *sums = malloc(count * sizeof *sums), sum = 0;
    for (uint32_t i = 0; sums && i < count; i++) {
        sums[i] = sum += 1.0 / (i + 1);
    }
    return sums;
}

static uint32_t draw(struct bench *b, const double *sums, uint32_t count) {
    double x = reco__rand_unit(&b->chance) * sums[count - 1];
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t draw_item(struct bench *b, uint32_t user) {
    uint32_t rank;
    if (reco__rand_below(&b->chance, 10) < 7) {
        rank = (draw(b, b->cluster_zipf, b->cluster_size) * CLUSTERS + user % CLUSTERS) % b->items;
    } else {
        rank = draw(b, b->zipf, b->items);
    }
    if (b->numbers[rank] == RECO_NO_ITEM) {
        char name[32];
        reco_error err = RECO_ERROR_INIT;
        reco_str id = {name, (size_t)snprintf(name, sizeof name, "item-%u", rank)};
        if (reco__features_intern(&b->numbers[rank], b->features, &id, 1, NULL, &err) != RECO_OK) {
            give_up("intern", &err);
        }
        b->given++;
    }
    return b->numbers[rank];
}

static void put(struct bench *b, uint32_t board, uint32_t item, uint32_t member, int64_t delta) {
    b->adds[board][b->counts[board]++] = (reco_add){item, member, delta};
    b->raw_adds++;
}

static void event(struct bench *b) {
    uint32_t user = (uint32_t)reco__rand_below(&b->chance, USERS), item = draw_item(b, user), *recent = b->recent[user];
    uint32_t seen = WINDOW - 1;
    put(b, RECO_BOARD_HOURS, 0, item, 1);
    put(b, RECO_BOARD_DAYS, 0, item, 1);
    for (uint32_t i = 0; i < WINDOW; i++) {
        if (recent[i] == item) {
            seen = i;
        } else if (recent[i] != RECO_NO_ITEM) {
            put(b, RECO_BOARD_COVIEW, item, recent[i], 2520);
            put(b, RECO_BOARD_COVIEW, recent[i], item, 2520);
        }
    }
    memmove(recent + 1, recent, seen * sizeof *recent);
    recent[0] = item;
    b->events++;
}

static int by_member(const void *a, const void *b) {
    const reco_add *x = a, *y = b;
    return x->item != y->item ? (x->item < y->item ? -1 : 1) : x->member < y->member ? -1 : x->member > y->member;
}

static size_t sum_up(struct bench *b, reco_add *adds, size_t count) {
    size_t kept = 0;
    qsort(adds, count, sizeof *adds, by_member);
    for (size_t i = 0; i < count; i++) {
        if (kept && by_member(&adds[kept - 1], &adds[i]) == 0) {
            adds[kept - 1].delta += adds[i].delta;
        } else {
            b->rows_applied += kept == 0 || adds[kept - 1].item != adds[i].item;
            adds[kept++] = adds[i];
        }
    }
    b->adds_applied += kept;
    return kept;
}

static void apply(struct bench *b, uint32_t events) {
    reco_add_group groups[RECO_BOARD_COUNT];
    reco_error err = RECO_ERROR_INIT;
    for (uint32_t board = 0; board < RECO_BOARD_COUNT; board++) {
        size_t count = sum_up(b, b->adds[board], b->counts[board]);
        int64_t generation = b->generation * (b->rules.length[RECO_BOARD_COVIEW] / b->rules.length[board]) + (board == RECO_BOARD_HOURS);
        groups[board] = (reco_add_group){board, 0, generation, b->adds[board], count};
        b->counts[board] = 0;
    }
    reco_batch batch = {.struct_size = sizeof batch,
                        .epoch = b->epoch,
                        .from = (int64_t)b->events - events,
                        .to = (int64_t)b->events,
                        .clock = b->generation * b->rules.length[RECO_BOARD_COVIEW] + 2 * HOUR /* the one before is closed */,
                        .groups = groups,
                        .group_count = RECO_BOARD_COUNT};
    double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (reco__features_apply(b->features, &batch, NULL, &err) != RECO_OK) {
        give_up("apply", &err);
    }
    b->apply_seconds += seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
}

static void take(void *context, size_t index, const void *data, size_t size) {
    (void)index;
    const uint8_t *bytes = data;
    *(uint64_t *)context += size + bytes[size - 1];
}

static void read_heads(struct bench *b) {
    enum { ROUNDS = 2000, HEADS = 50 };
    uint64_t bytes = 0;
    reco_error err = RECO_ERROR_INIT;
    double spent = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t items[HEADS];
        for (int i = 0; i < HEADS; i++) {
            items[i] = draw_item(b, (uint32_t)round);
        }
        double before = seconds(CLOCK_MONOTONIC);
        if (reco__features_heads(b->features, items, HEADS, take, &bytes, NULL, &err) != RECO_OK) {
            give_up("heads", &err);
        }
        spent += seconds(CLOCK_MONOTONIC) - before;
    }
    printf("heads: 50 in %.1f us, %.0f bytes each\n", spent / ROUNDS * 1e6, (double)bytes / ROUNDS / HEADS);
}

static void set_rules(reco_board_rules *rules) {
    memset(rules, 0, sizeof *rules);
    rules->struct_size = sizeof *rules;
    rules->cut = 512;
    rules->head = 128;
    rules->lateness = HOUR;
    rules->skew = 60000;
    rules->length[RECO_BOARD_HOURS] = HOUR;
    rules->length[RECO_BOARD_DAYS] = 24 * HOUR;
    rules->length[RECO_BOARD_COVIEW] = 7 * 24 * HOUR;
    rules->kept[RECO_BOARD_HOURS] = 48;
    rules->kept[RECO_BOARD_DAYS] = 60;
    rules->kept[RECO_BOARD_COVIEW] = 26;
    for (int age = 0; age < (int)RECO_GENERATIONS_MAX; age++) {
        rules->weight[age] = 1;
    }
}

static void begin(struct bench *b, const char *url, uint32_t items, uint32_t batch) {
    reco_error err = RECO_ERROR_INIT;
    memset(b, 0, sizeof *b);
    set_rules(&b->rules);
    reco_features_options options = {.struct_size = sizeof options,
                                     .partitions = 1,
                                     .url = url,
                                     .space = "bench",
                                     .rules = &b->rules,
                                     .max_items = 1u << 30,
                                     .max_users = 1u << 30};
    if (reco__features_open(&b->features, &options, NULL, &err) != RECO_OK) {
        give_up("open", &err);
    }
    reco_position position;
    if (reco__features_positions(&position, &b->epoch, b->features, NULL, &err) != RECO_OK) {
        give_up("positions", &err);
    }
    reco__rand_seed(&b->chance, 1);
    b->items = items;
    b->zipf = zipf_sums(items);
    b->cluster_size = items / CLUSTERS ? items / CLUSTERS : 1;
    b->cluster_zipf = zipf_sums(b->cluster_size);
    b->numbers = malloc(items * sizeof *b->numbers);
    b->recent = malloc(USERS * sizeof *b->recent);
    if (!b->numbers || !b->recent || !b->zipf || !b->cluster_zipf) {
        exit(1);
    }
    memset(b->numbers, 0xff, items * sizeof *b->numbers);
    memset(b->recent, 0xff, USERS * sizeof *b->recent);
    for (int board = 0; board < (int)RECO_BOARD_COUNT; board++) {
        b->adds[board] = malloc((size_t)batch * 2 * WINDOW * sizeof(reco_add));
        if (!b->adds[board]) {
            exit(1);
        }
    }
}

static void end(struct bench *b) {
    reco__features_close(b->features);
    for (int board = 0; board < (int)RECO_BOARD_COUNT; board++) {
        free(b->adds[board]);
    }
    free(b->zipf);
    free(b->cluster_zipf);
    free(b->numbers);
    free(b->recent);
}

/* Closes what is due after a generation and says what it cost. */
static void settle(struct bench *b) {
    reco_error err = RECO_ERROR_INIT;
    double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (reco__features_settle(b->features, NULL, &err) != RECO_OK) {
        give_up("settle", &err);
    }
    printf("settle: %.3f s CPU\n", seconds(CLOCK_PROCESS_CPUTIME_ID) - before);
}

static void run(struct bench *b, uint64_t per_generation, uint64_t events, uint32_t batch) {
    double last_seconds = 0;
    uint64_t last_events = 0, report = events / 10 > batch ? events / 10 : batch;
    while (b->events < events) {
        for (uint32_t i = 0; i < batch; i++) {
            event(b);
        }
        apply(b, batch);
        if (b->events - last_events >= report) {
            printf("%9llu events  %6.2f us/event  %8.0f events/s CPU  (%.1f adds an event, %.1f after summing, in %.2f rows; %u items)\n",
                   (unsigned long long)b->events, (b->apply_seconds - last_seconds) / (double)(b->events - last_events) * 1e6,
                   (double)(b->events - last_events) / (b->apply_seconds - last_seconds), (double)b->raw_adds / (double)b->events,
                   (double)b->adds_applied / (double)b->events, (double)b->rows_applied / (double)b->events, b->given);
            last_seconds = b->apply_seconds;
            last_events = b->events;
        }
        if (b->events % per_generation < batch) {
            read_heads(b);
            b->generation++;
            apply(b, 0); /* moves the clock */
            settle(b);
        }
    }
}

int main(int argc, char **argv) {
    char folder[256] = "", url[300];
    if (argc > 1 && strcmp(argv[1], "lmdb") != 0) {
        snprintf(url, sizeof url, "%s", argv[1]);
    } else {
        test_dir_make(folder);
        snprintf(url, sizeof url, "lmdb:%s", folder);
    }
    uint32_t items = argc > 2 ? (uint32_t)atoi(argv[2]) : 50000, batch = argc > 5 ? (uint32_t)atoi(argv[5]) : 10000;
    uint64_t per_generation = argc > 3 ? strtoull(argv[3], NULL, 10) : 200000, events = argc > 4 ? strtoull(argv[4], NULL, 10) : 400000;
    static struct bench b;
    begin(&b, url, items, batch);
    printf("%s, %u items, batches of %u, %llu events a generation\n", url, items, batch, (unsigned long long)per_generation);
    run(&b, per_generation, events, batch);
    end(&b);
    if (folder[0]) {
        test_dir_remove(folder);
    }
    return 0;
}
