/* Cells of one person read as one: by hand, and against a naive model over random cells. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "learn/cell.h"
#include "support/support.h"

enum { CELLS = 5, LONGEST = 40, GAP = 100 };

static reco_error err;
static reco__buf scratch;
static const reco__learn_rules rules = {.session_gap = GAP, .recents = 8, .history = LONGEST};

static reco__cell cell_of(const reco__touch *touches, uint32_t count, uint32_t session, int64_t last) {
    reco__cell cell = {.last = last, .session_count = session};
    ck_assert(reco__cell_room_touches(&cell, count + 1));
    if (count > 0)
        memcpy(cell.touches, touches, count * sizeof *touches);
    cell.touch_count = count;
    return cell;
}

static void hide(reco__cell *cell, uint32_t item) {
    if (!reco__cell_room_hidden(cell, cell->hidden_count + 1))
        ck_abort_msg("no memory");
    cell->hidden[cell->hidden_count++] = item;
}

static void has_items(const reco__cell *cell, const uint32_t *items, uint32_t count, uint32_t session) {
    ck_assert_uint_eq(cell->touch_count, count);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_msg(cell->touches[i].item == items[i], "touch %u is %u, not %u", i, cell->touches[i].item, items[i]);
    ck_assert_uint_eq(cell->session_count, session);
}

START_TEST(by_hand)
{
    /* the known one: 1 and 2 a while ago, 9 long ago; the anonymous one just now: 3, 1 again, and before a pause 4 */
    const reco__touch known[] = {{1, 5, 1000}, {2, 1, 900}, {9, 1, 0}}, anonymous[] = {{3, 1, 5000}, {1, 2, 4950}, {4, 1, 950}, {8, 0, 0}, {9, 1, 0}};
    reco__cell a = cell_of(known, 3, 2, 1000), b = cell_of(anonymous, 5, 2, 5000), out = {0};
    const reco__cell *both[] = {&a, &b}, *turned[] = {&b, &a};
    a.session_hash = 7;
    hide(&a, 20);
    hide(&b, 21);
    hide(&b, 20);
    test_ok(reco__cell_merge(&out, &scratch, both, 2, &rules, 5050, false, &err), &err);
    has_items(&out, (uint32_t[]){3, 1, 4, 2, 9, 8}, 6, 2);
    ck_assert_int_eq(out.touches[1].weight, 2); /* of the newer one */
    ck_assert_int_eq(out.last, 5000);
    ck_assert_uint_eq(out.session_hash, 0);
    ck_assert_uint_eq(out.hidden_count, 2);
    test_ok(reco__cell_merge(&out, &scratch, turned, 2, &rules, 5050, false, &err), &err);
    has_items(&out, (uint32_t[]){3, 1, 4, 2, 8, 9}, 6, 2);
    /* both sessions run: they are one */
    a.last = 4990;
    a.touches[0].t = 4990;
    a.touches[1].t = 4940;
    test_ok(reco__cell_merge(&out, &scratch, both, 2, &rules, 5050, false, &err), &err);
    has_items(&out, (uint32_t[]){3, 1, 2, 4, 9, 8}, 6, 3);
    /* asked about a moment at which only the first had begun */
    test_ok(reco__cell_merge(&out, &scratch, both, 2, &rules, 4945, true, &err), &err);
    has_items(&out, (uint32_t[]){3, 1, 2, 4, 9, 8}, 6, 3); /* those after the moment are passed over by who asks */
    /* neither of them: what is kept is the session of the newest, which may be told to go on */
    test_ok(reco__cell_merge(&out, &scratch, both, 2, &rules, 9000, false, &err), &err);
    has_items(&out, (uint32_t[]){3, 1, 2, 4, 9, 8}, 6, 1);
    reco__cell_dispose(&a);
    reco__cell_dispose(&b);
    reco__cell_dispose(&out);
}
END_TEST

START_TEST(an_event_told_late_keeps_its_place)
{
    const reco__touch late[] = {{1, 1, 10}, {2, 1, 100}}, other[] = {{3, 1, 50}};
    reco__cell a = cell_of(late, 2, 0, 110), b = cell_of(other, 1, 0, 50), out = {0};
    const reco__cell *both[] = {&a, &b};
    test_ok(reco__cell_merge(&out, &scratch, both, 2, &rules, 1000, false, &err), &err);
    has_items(&out, (uint32_t[]){1, 2, 3}, 3, 0);
    reco__cell_dispose(&a);
    reco__cell_dispose(&b);
    reco__cell_dispose(&out);
}
END_TEST

/* --- the model ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct placed {
    reco__touch touch;
    int64_t key;
    uint32_t lane, at;
    bool session;
} placed;

static int by_newest(const void *a, const void *b) {
    const placed *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->lane != y->lane ? (x->lane < y->lane ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

static bool model_runs(const reco__cell *cell, int64_t moment, bool as_of) {
    if (!as_of)
        return cell->session_count > 0 && moment - cell->last <= GAP;
    for (uint32_t i = 0; i < cell->session_count; i++)
        if (cell->touches[i].t <= moment)
            return moment - cell->touches[i].t <= GAP;
    return false;
}

static bool same_touch(const reco__touch *a, const reco__touch *b) { return a->item == b->item && a->weight == b->weight && a->t == b->t; }

/* Without asserting inside: each would be told to the test's parent. */
static bool model_agrees(const reco__cell *out, const reco__cell *const *cells, uint32_t count, int64_t moment, bool as_of) {
    static placed all[CELLS * LONGEST];
    const reco__cell *newest = NULL;
    uint32_t size = 0, kept = 0, session = 0, hidden = 0;
    bool in_session = true;
    for (uint32_t c = 0; c < count; c++)
        if (cells[c]->last != 0 && (!newest || cells[c]->last > newest->last))
            newest = cells[c];
    for (uint32_t c = 0; c < count; c++)
        for (uint32_t i = 0; i < cells[c]->touch_count; i++) {
            placed *one = &all[size++];
            *one = (placed){.touch = cells[c]->touches[i], .lane = c, .at = i};
            for (uint32_t j = i; j < cells[c]->touch_count; j++)
                one->key = cells[c]->touches[j].t > one->key ? cells[c]->touches[j].t : one->key;
            one->session = i < cells[c]->session_count && (model_runs(cells[c], moment, as_of) || (!as_of && cells[c] == newest));
        }
    qsort(all, size, sizeof *all, by_newest);
    for (uint32_t i = 0; i < size; i++) {
        bool twice = false;
        for (uint32_t j = 0; j < kept; j++)
            twice = twice || all[j].touch.item == all[i].touch.item;
        if (twice)
            continue;
        all[kept] = all[i];
        in_session = in_session && (all[kept].session || (as_of && all[kept].touch.t > moment));
        session += in_session;
        if (kept >= out->touch_count || !same_touch(&out->touches[kept], &all[kept].touch))
            return false;
        kept++;
    }
    if (out->touch_count != kept || out->session_count != session || out->last != (newest ? newest->last : 0) ||
        out->session_hash != (newest ? newest->session_hash : 0))
        return false;
    for (uint32_t item = 0; item < LONGEST * 2; item++) {
        uint32_t times = 0, there = 0;
        for (uint32_t c = 0; c < count; c++)
            for (uint32_t i = 0; i < cells[c]->hidden_count; i++)
                there |= cells[c]->hidden[i] == item;
        for (uint32_t i = 0; i < out->hidden_count; i++)
            times += out->hidden[i] == item;
        if (times != there)
            return false;
        hidden += there;
    }
    return out->hidden_count == hidden;
}

/* Mostly in order of time, sometimes told late, distinct items, the old ones without a time. */
static void random_cell(reco__cell *cell, reco__rand *rand) {
    uint32_t count = (uint32_t)(reco__rand_next(rand) % 4 == 0 ? 0 : reco__rand_next(rand) % LONGEST),
             timed = (uint32_t)(reco__rand_next(rand) % (count + 1));
    uint32_t first = (uint32_t)(reco__rand_next(rand) % LONGEST);
    int64_t t = 1000 + (int64_t)(reco__rand_next(rand) % 1000);
    reco__cell_clear(cell);
    if (reco__rand_next(rand) % 8 == 0)
        return;
    if (!reco__cell_room_touches(cell, LONGEST + 1))
        ck_abort_msg("no memory");
    cell->last = t;
    cell->session_hash = reco__rand_next(rand) % 3;
    for (uint32_t i = 0; i < count; i++) {
        int64_t late = reco__rand_next(rand) % 5 == 0 ? 60 : 0;
        cell->touches[i] = (reco__touch){(first + i * 3) % (LONGEST * 2), (int32_t)(reco__rand_next(rand) % 3), i < timed ? t - late : 0};
        t -= (int64_t)(reco__rand_next(rand) % 30);
    }
    cell->touch_count = count;
    cell->session_count = (uint32_t)(reco__rand_next(rand) % (count + 1));
    for (uint32_t i = 0; i < reco__rand_next(rand) % 8; i++)
        hide(cell, (uint32_t)((i * 11 + first) % (LONGEST * 2)));
}

/* The same seed each time: what fails once fails again. */
START_TEST(as_the_model)
{
    reco__rand rand;
    reco__cell cells[CELLS] = {0}, out = {0};
    const reco__cell *given[CELLS];
    reco__rand_seed(&rand, 11);
    for (int round = 0; round < 20000; round++) {
        uint32_t count = 1 + (uint32_t)(reco__rand_next(&rand) % CELLS);
        int64_t moment = 1000 + (int64_t)(reco__rand_next(&rand) % 1200);
        bool as_of = reco__rand_next(&rand) % 2;
        for (uint32_t c = 0; c < count; c++) {
            random_cell(&cells[c], &rand);
            given[c] = &cells[c];
        }
        if (reco__cell_merge(&out, &scratch, given, count, &rules, moment, as_of, &err) != RECO_OK)
            ck_abort_msg("round %d failed: %s", round, err.text);
        if (!model_agrees(&out, given, count, moment, as_of))
            ck_abort_msg("round %d differs from the model", round);
    }
    for (int c = 0; c < CELLS; c++)
        reco__cell_dispose(&cells[c]);
    reco__cell_dispose(&out);
}
END_TEST

/* A cell beside empty ones is what it was alone. */
START_TEST(empty_ones_change_nothing)
{
    reco__rand rand;
    reco__cell cell = {0}, empty = {0}, out = {0};
    reco__buf before = {0}, after = {0};
    const reco__cell *given[] = {&empty, &cell, &empty};
    reco__rand_seed(&rand, 12);
    for (int round = 0; round < 2000; round++) {
        random_cell(&cell, &rand);
        test_ok(reco__cell_merge(&out, &scratch, given, 3, &rules, cell.last + (int64_t)(reco__rand_next(&rand) % 300), false, &err), &err);
        reco__buf_reset(&before);
        reco__buf_reset(&after);
        reco__cell_encode(&before, &cell);
        reco__cell_encode(&after, &out);
        ck_assert_uint_eq(before.size, after.size);
        ck_assert(before.size == 0 || memcmp(before.data, after.data, before.size) == 0);
    }
    reco__buf_dispose(&before);
    reco__buf_dispose(&after);
    reco__cell_dispose(&cell);
    reco__cell_dispose(&out);
}
END_TEST

typedef struct both {
    reco__cell a, b;
} both;

static reco_status merge_once(void *context, reco_error *error) {
    const both *from = context;
    const reco__cell *cells[] = {&from->a, &from->b};
    reco__cell out = {0};
    reco__buf_dispose(&scratch);
    reco_status status = reco__cell_merge(&out, &scratch, cells, 2, &rules, 100, false, error);
    reco__buf_dispose(&scratch);
    ck_assert(status == RECO_OK || (out.last == 0 && out.touch_count == 0 && out.hidden_count == 0));
    reco__cell_dispose(&out);
    return status;
}

START_TEST(without_memory)
{
    const reco__touch touches[] = {{1, 1, 10}, {2, 1, 9}};
    both from = {0};
    reco__buf_dispose(&scratch);
    test_memory_install();
    from.a = cell_of(touches, 2, 0, 10);
    from.b = cell_of(touches, 1, 0, 10);
    hide(&from.a, 7);
    ck_assert_uint_gt(test_every_allocation(merge_once, &from, false), 4);
    reco__cell_dispose(&from.a);
    reco__cell_dispose(&from.b);
    ck_assert_int_eq(test_memory_live(), 0);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("learn merge");
    TCase *tests = tcase_create("merge");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, by_hand);
    tcase_add_test(tests, an_event_told_late_keeps_its_place);
    tcase_add_test(tests, as_the_model);
    tcase_add_test(tests, empty_ones_change_nothing);
    tcase_add_test(tests, without_memory);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
