/* test_recommend_threads.c - questions from several threads while learning, refreshes and changes of records go on. */
#include <pthread.h>
#include <stdatomic.h>

#include "recommend_fixture.h"

#define UNIT 2520
enum { ASKERS = 4, ROUNDS = 150 };

static struct {
    fixture f;
    world w;
    atomic_bool done;
    atomic_int failures;
    atomic_int answers;
} shared;

static void note(bool fine) { atomic_fetch_add(&shared.failures, !fine); }

static bool reasons_add_up(const reco_answer *answer) {
    bool fine = true;
    for (size_t i = 0; i < answer->count; i++) {
        int64_t sum = 0;
        for (uint32_t r = 0; r < answer->items[i].reason_count; r++) {
            sum += answer->items[i].reasons[r].score;
        }
        fine = fine && sum == answer->items[i].score && (i == 0 || answer->items[i - 1].score >= answer->items[i].score);
    }
    return fine;
}

/* Items 10 to 19 are green for ever, 20 to 29 are never, and the others change their color, their size and their parent all the time. */
static bool selected_right(reco_answer **answer, uint32_t user) {
    char room[16];
    reco_error err = RECO_ERROR_INIT;
    const reco_value green = {.type = RECO_VALUE_STRING, .text = reco__str_of("green")};
    const reco_filter filter = {.attribute = reco__str_of("color"), .op = RECO_FILTER_ANY_OF, .values = &green, .value_count = 1};
    const reco_cap cap = {.attribute = reco__str_of("shape"), .most = 3};
    const reco_selection selection = {.struct_size = sizeof(selection),
                                      .filters = &filter,
                                      .filter_count = 1,
                                      .filter_size = sizeof(filter),
                                      .caps = &cap,
                                      .cap_count = 1,
                                      .cap_size = sizeof(cap)};
    reco_query query = {.struct_size = sizeof(query), .user_id = user_name(room, user), .limit = 40, .selection = &selection};
    bool fine = reco__recommend_ask(answer, shared.f.recommend, &query, shared.f.now, user_partition(user), 0, NULL, &err) == RECO_OK;
    size_t kept = 0;
    for (size_t i = 0; i < (*answer)->count && fine; i++) {
        uint32_t index = index_of((*answer)->items[i].item_id);
        fine = index >= 10 && !(index >= 20 && index < 30);
        kept += index < 20;
    }
    return fine && kept == 3; /* they are all round */
}

static void *asker(void *context) {
    uint32_t user = (uint32_t)(uintptr_t)context;
    reco_answer *answer = NULL;
    reco_error err = RECO_ERROR_INIT;
    while (!atomic_load(&shared.done)) {
        char room[16];
        reco_query query = {.struct_size = sizeof(query), .user_id = user_name(room, user), .limit = 10};
        reco_popular_query popular = {.struct_size = sizeof(popular), .limit = 5};
        query.as_of = user == 3 ? shared.f.now - TEST_DAY : 0;
        note(reco__recommend_ask(&answer, shared.f.recommend, &query, shared.f.now, user_partition(user), 0, NULL, &err) == RECO_OK &&
             answer->count == 10 && reasons_add_up(answer));
        for (size_t i = 0; i < answer->count; i++) {
            note(index_of(answer->items[i].item_id) != 11); /* hidden from the first moment on */
        }
        note(reco__recommend_popular(&answer, shared.f.recommend, &popular, shared.f.now, NULL, &err) == RECO_OK);
        note(selected_right(&answer, user));
        note(reco__recommend_bytes(shared.f.recommend) > 0);
        atomic_fetch_add(&shared.answers, 1);
    }
    reco__answer_free(answer);
    return NULL;
}

static void *refresher(void *context) {
    reco_error err = RECO_ERROR_INIT;
    (void)context;
    while (!atomic_load(&shared.done)) {
        note(reco__recommend_refresh(shared.f.recommend, true, NULL, &err) == RECO_OK);
    }
    return NULL;
}

static void make_world(void) {
    world *w = &shared.w;
    w->items = 40;
    for (uint32_t i = 0; i < 10; i++) {
        for (uint32_t j = 10; j < 40; j++) {
            w->open[i][j] = (int64_t)(1 + (i * j) % 17) * UNIT;
        }
        w->days[i + 10] = i + 1;
    }
    w->user_count = ASKERS;
    for (uint32_t u = 0; u < ASKERS; u++) {
        w->users[u].touch_count = w->users[u].session_count = 6;
        for (uint32_t i = 0; i < 6; i++) {
            w->users[u].touches[i] = (reco__touch){(u + i) % 10, 1, shared.f.now - 2 * TEST_DAY - i};
        }
    }
}

/* One round of learning and of changes to what is known. */
static void disturb(uint64_t epoch, int64_t *offset, int round) {
    fixture *f = &shared.f;
    reco_add add = {0, f->numbers[10 + round % 30], 1}, pair = {f->numbers[round % 10], f->numbers[10 + round % 30], UNIT};
    int64_t clock = f->now + round * TEST_HOUR / 4;
    reco_add_group groups[3] = {{RECO_BOARD_HOURS, 0, clock / TEST_HOUR, &add, 1},
                                {RECO_BOARD_DAYS, 0, clock / TEST_DAY, &add, 1},
                                {RECO_BOARD_COVIEW, 0, clock / (7 * TEST_DAY), &pair, 1}};
    for (uint32_t p = 0; p < 2; p++) {
        reco_batch batch = {.struct_size = sizeof(batch),
                            .partition = p,
                            .epoch = epoch,
                            .from = offset[p],
                            .to = offset[p] + 1,
                            .clock = clock,
                            .groups = groups,
                            .group_count = 3};
        test_ok(reco__features_apply(f->features, &batch, NULL, &f->err), &f->err);
        offset[p]++;
    }
    put_attributes(f, 30 + (uint32_t)round % 10, round % 3 ? "{\"color\":[\"red\",\"green\"],\"size\":[1,2,3]}" : "{\"size\":\"L\"}",
                   round % 7 ? -1 : 39);
    put_item(f, 32 + (uint32_t)round % 5, round % 2 ? RECO_ITEM_HIDDEN : 0, 0, 0, round % 3 ? "comedy" : NULL);
}

START_TEST(everything_at_once)
{
    pthread_t threads[ASKERS + 1];
    reco_features_info info = {.struct_size = sizeof(info)};
    int64_t offsets[2] = {10, 20};
    fixture_open(&shared.f, "default");
    make_world();
    for (uint32_t i = 10; i < 30; i++) {
        put_attributes(&shared.f, i, i < 20 ? "{\"color\":\"green\",\"shape\":\"round\"}" : "{\"color\":\"blue\",\"shape\":\"round\"}", -1);
    }
    put_item(&shared.f, 11, RECO_ITEM_HIDDEN, 0, 0, NULL);
    fixture_start(&shared.f);
    world_load(&shared.f, &shared.w, NULL);
    test_ok(reco__features_info(&info, shared.f.features, NULL, &shared.f.err), &shared.f.err);
    for (uintptr_t i = 0; i < ASKERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, asker, (void *)i), 0);
    }
    ck_assert_int_eq(pthread_create(&threads[ASKERS], NULL, refresher, NULL), 0);
    for (int round = 0; round < ROUNDS || atomic_load(&shared.answers) < 50; round++) {
        disturb(info.epoch, offsets, round < ROUNDS ? round : ROUNDS);
    }
    atomic_store(&shared.done, true);
    for (int i = 0; i <= ASKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&shared.failures), 0);
    fixture_close(&shared.f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend threads");
    TCase *tests = tcase_create("threads");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, everything_at_once);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
