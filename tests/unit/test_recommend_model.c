/* test_recommend_model.c - random worlds against a plain model of the formula, and against themselves under other numbers and by the other road
 * through the plan. */
#include "recommend_fixture.h"
#include <reco/plugin/stage.h>

enum { WORLDS = 250 };

/* --- the model ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct expected {
    bool candidate[TEST_ITEMS];
    double score[TEST_ITEMS]; /* micro-units */
    bool fallback;
} expected;

static int64_t merged(const fixture *f, const world *w, uint32_t i, uint32_t j) {
    return f->rules.boards.weight[0] * w->open[i][j] + f->rules.boards.weight[1] * w->closed[i][j];
}

static double norm_of(const fixture *f, const world *w, uint32_t i) {
    double sum = 0, most = 0;
    for (uint32_t j = 0; j < w->items; j++) {
        double value = (double)merged(f, w, i, j);
        sum += value;
        most = fmax(most, value);
    }
    return f->settings.normalise == RECO__NORM_MAX ? most : pow(sum, f->settings.row_power);
}

/* Sources of a user, newest first. */
static size_t sources_of(uint32_t *sources, const fixture *f, const struct world_user *user) {
    size_t count = 0;
    uint32_t end = f->settings.pair_within == RECO__WITHIN_SESSION ? user->session_count : user->touch_count;
    for (uint32_t round = 0; round < 2 && count == 0; round++, end = user->touch_count) {
        for (uint32_t i = 0; i < end; i++) {
            if (user->touches[i].weight > 0) {
                sources[count++] = user->touches[i].item;
            }
        }
    }
    return count;
}

static bool is_session(const struct world_user *user, uint32_t item) {
    for (uint32_t i = 0; i < user->session_count; i++) {
        if (user->touches[i].item == item) {
            return true;
        }
    }
    return false;
}

static void drop_known(expected *e, const fixture *f, const struct world_user *user) {
    for (uint32_t i = 0; i < user->touch_count && f->settings.filter_seen; i++) {
        e->candidate[user->touches[i].item] = false;
    }
    for (uint32_t i = 0; i < user->hidden_count; i++) {
        e->candidate[user->hidden[i]] = false;
    }
}

/* What the formula says. Items that only the popular source adds are all taken as candidates here; the comparison allows for it. */
static void model(expected *e, const fixture *f, const world *w, const struct world_user *user) {
    double coview[TEST_ITEMS] = {0}, revisit[TEST_ITEMS] = {0}, popular[TEST_ITEMS], most_hours = 0, most_days = 0, most = 0, best = 0;
    uint32_t sources[TEST_TOUCHES];
    size_t count = sources_of(sources, f, user);
    bool personal = false;

    memset(e, 0, sizeof(*e));
    for (size_t k = 0; k < count; k++) {
        double rank =
            f->settings.recency == RECO__RECENCY_EXP ? exp(-(double)k / f->settings.recency_value) : pow(f->settings.recency_value, (double)k);
        for (uint32_t j = 0; j < w->items; j++) {
            if (merged(f, w, sources[k], j) > 0) {
                coview[j] += rank * (double)merged(f, w, sources[k], j) / norm_of(f, w, sources[k]);
                e->candidate[j] = true;
            }
        }
        if (f->settings.revisit > 0 && !f->settings.filter_seen && is_session(user, sources[k])) {
            revisit[sources[k]] = f->settings.revisit / (double)(k + 1);
            e->candidate[sources[k]] = true;
        }
    }
    drop_known(e, f, user);
    for (uint32_t j = 0; j < w->items; j++) {
        most_hours = fmax(most_hours, (double)w->hours[j]);
        most_days = fmax(most_days, (double)w->days[j]);
    }
    for (uint32_t j = 0; j < w->items; j++) {
        popular[j] = (most_hours > 0 ? (double)w->hours[j] / most_hours : 0) + (most_days > 0 ? (double)w->days[j] / most_days : 0);
        most = fmax(most, popular[j]);
        coview[j] *= pow(fmax((double)w->days[j], 1), -f->settings.popularity_power);
        best = e->candidate[j] ? fmax(best, coview[j]) : best;
        personal |= e->candidate[j];
    }
    e->fallback = !personal;
    for (uint32_t j = 0; j < w->items; j++) {
        e->candidate[j] |= w->days[j] > 0;
        double part = most > 0 ? popular[j] / most : 0;
        e->score[j] = 1e6 * ((best > 0 ? coview[j] / best : 0) * f->settings.weight_coview + part * (e->fallback ? 1 : f->settings.weight_popular) +
                             revisit[j]);
    }
    drop_known(e, f, user);
}

/* --- comparing ---------------------------------------------------------------------------------------------------------------------------------- */

static void compare(const reco_answer *answer, const expected *e, const world *w) {
    bool answered[TEST_ITEMS] = {false};
    for (size_t i = 0; i < answer->count; i++) {
        uint32_t index = index_of(answer->items[i].item_id);
        ck_assert_uint_lt(index, w->items);
        ck_assert_msg(e->candidate[index] && !answered[index], "item %u is not to be in the answer", index);
        answered[index] = true;
        /* three parts are rounded, popularity is kept in 24 bits, and values in units of 2^-29 of their bound */
        double off = fabs((double)answer->items[i].score - e->score[index]);
        ck_assert_msg(off <= 3 + e->score[index] * 1e-6, "item %u: %lld, the model has %.2f", index, (long long)answer->items[i].score,
                      e->score[index]);
        ck_assert(i == 0 || answer->items[i].score <= answer->items[i - 1].score);
    }
    ck_assert_int_eq((answer->flags & RECO_ANSWER_FALLBACK) != 0, e->fallback);
}

/* A short answer is the beginning of a long one. */
static void compare_short(const reco_answer *answer, const reco_answer *whole) {
    ck_assert_uint_le(answer->count, whole->count);
    ck_assert(answer->count > 0 || whole->count == 0);
    for (size_t i = 0; i < answer->count; i++) {
        ck_assert(reco__str_equal(answer->items[i].item_id, whole->items[i].item_id));
        ck_assert_int_eq(answer->items[i].score, whole->items[i].score);
    }
}

static void same_answer(const reco_answer *a, const reco_answer *b) {
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_uint_eq(a->candidates, b->candidates);
    ck_assert_uint_eq(a->filtered, b->filtered);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert(reco__str_equal(a->items[i].item_id, b->items[i].item_id));
        ck_assert_int_eq(a->items[i].score, b->items[i].score);
        ck_assert_uint_eq(a->items[i].reason_count, b->items[i].reason_count);
        for (uint32_t r = 0; r < a->items[i].reason_count; r++) {
            const reco_reason *left = &a->items[i].reasons[r], *right = &b->items[i].reasons[r];
            ck_assert(left->kind == right->kind && left->score == right->score && reco__str_equal(left->because, right->because) &&
                      reco__str_equal(left->source, right->source));
        }
    }
}

static reco_answer *ask_all(fixture *f, uint32_t user) {
    reco_answer *kept = f->answer, *answer;
    f->answer = NULL;
    ask(f, user, (reco_query){.limit = TEST_ITEMS});
    answer = f->answer;
    f->answer = kept;
    return answer;
}

static reco_status nothing_create(reco_stage **out, reco_str options, const reco_call *call, reco_error *err) {
    (void)out, (void)options, (void)call, (void)err;
    return RECO_OK;
}
static void nothing_destroy(reco_stage *stage) { (void)stage; }
static reco_status nothing_run(reco_stage *stage, reco_candidates *candidates, const reco_call *call, reco_error *err) {
    (void)stage, (void)candidates, (void)call, (void)err;
    return RECO_OK;
}

START_TEST(random_worlds)
{
    static world w;
    fixture f;
    reco__rand rand;
    uint32_t order[TEST_ITEMS];
    uint64_t reasons = 0, others = 0, items = 0;
    const reco_stage_backend nothing = {sizeof(nothing), RECO_STAGE_CONTRACT, RECO_STAGE_RANKER, 0,
                                        "nothing",       nothing_create,      nothing_destroy,   nothing_run};

    fixture_open(&f, "default");
    f.settings.limit_max = TEST_ITEMS;
    test_ok(reco_register_stage(&nothing, &f.err), &f.err);
    reco__rand_seed(&rand, 20260101);
    for (int round = 0; round < WORLDS; round++) {
        reco_answer *first[TEST_USERS];
        world_random(&w, &f, &rand);
        settings_random(&f.settings, &rand);
        fixture_start(&f);
        world_load(&f, &w, NULL);
        for (uint32_t u = 0; u < TEST_USERS; u++) {
            expected e;
            first[u] = ask_all(&f, u);
            model(&e, &f, &w, &w.users[u]);
            compare(first[u], &e, &w);
            check_reasons(first[u]);
            for (size_t i = 0; i < first[u]->count; i++) {
                reasons += first[u]->items[i].reason_count;
                others += first[u]->items[i].reason_count == 11;
            }
            items += first[u]->count;
        }
        for (uint32_t i = 0; i < w.items; i++) { /* the same under other numbers */
            uint32_t at = (uint32_t)reco__rand_below(&rand, i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        world_load(&f, &w, order);
        for (uint32_t u = 0; u < TEST_USERS; u++) {
            reco_answer *again = ask_all(&f, u);
            same_answer(first[u], again);
            reco__answer_free(again);
        }
        snprintf(f.settings.stages, sizeof(f.settings.stages), "nothing"); /* and by the road that scores everything */
        fixture_start(&f);
        f.settings.stages[0] = 0;
        for (uint32_t u = 0; u < TEST_USERS; u++) {
            reco_answer *again = ask_all(&f, u);
            same_answer(first[u], again);
            reco__answer_free(again);
        }
        fixture_start(&f);
        for (uint32_t u = 0; u < TEST_USERS; u++) {
            compare_short(ask(&f, u, (reco_query){.limit = 1 + (uint32_t)reco__rand_below(&rand, 9)}), first[u]);
            reco__answer_free(first[u]);
        }
    }
    ck_assert_uint_gt(items, 10000);
    ck_assert_uint_gt(reasons, items);
    ck_assert_uint_gt(others, 100);
    fixture_close(&f);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recommend model");
    TCase *tests = tcase_create("random");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, random_worlds);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
