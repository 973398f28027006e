/* The scheme of several Redis primaries, simulated: what is learned equals a clean replay, whatever breaks off in between.
 *
 * A model of the scheme alone, with nothing of the library in it. Partitions of records; a derivation whose additions depend on the user's cell, and
 * through the clock on all records before; N primaries, each with a share of the rows, the cells of the partitions it is home to, and a position and
 * clock of every partition; generations that a primary closes, and cuts, by its own clocks. Processors, several to a partition at will, hold a batch
 * between reading it and each of its writes. Between any two writes a processor may die, another may take the same partition, a primary may go back
 * to any state it ever had, or to nothing. The scheme (features/redis/several.c says why it holds):
 *
 *   - a batch [from, to) begins where the cells stand and is written to the other primaries first, to the home of the cells last;
 *   - a primary that stands at `from` takes it, one at or beyond `to` has it already, any other refuses;
 *   - so a batch ends at the fence, the smallest position beyond the cells' at which a primary stands;
 *   - a primary behind the cells is healed: from a base at or below it the cells are derived again, and what they add from where it stands up to
 *     the cells' position is written to the primaries that stand there; the home is left alone.
 *
 * After every write the state of the primary is what follows from the records below its positions; at the end all stand at the end. Then each rule is
 * taken away in turn, and histories must be found in which that shows. RECO_FULL=1 runs fifty times as many. */
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"

enum {
    PARTITIONS = 3,
    PRIMARIES = 4,
    RECORDS = 20, /* of a partition, at most */
    USERS = 2,    /* of a partition */
    ITEMS = 5,
    GENERATIONS = 12,
    LENGTH = 10,  /* of a generation */
    LATENESS = 3, /* with skew */
    CUT = 2,
    STATES = 48, /* durable states kept of a primary */
    BASES = 4,
    PROCESSORS = 3,
    ADDS = RECORDS * 3,
    HISTORIES = 20000
};

/* --- derivation: pure -------------------------------------------------------------------------------------------------------------------------- */

typedef struct record {
    int8_t user, item; /* -1: a tick */
    int16_t t, received;
} record;

typedef struct user_cell {
    int8_t last, count; /* item touched last, or -1; events so far */
} user_cell;

typedef struct add {
    int8_t generation, row, member, delta; /* row ITEMS: popularity */
} add;

/* Where a reading of one partition stands. */
typedef struct standing {
    int at, clock;
    user_cell cells[USERS];
} standing;

static int oldest_open(int clock) {
    int g = 0;
    while ((g + 1) * LENGTH + LATENESS <= clock)
        g++;
    return g;
}

static const standing beginning = {0, 0, {{-1, 0}, {-1, 0}}};

/* Takes one record; returns how many additions it makes. */
static size_t derive(standing *place, const record *r, add adds[3]) {
    size_t count = 0;
    place->at++;
    if (r->received > place->clock)
        place->clock = r->received;
    if (r->item < 0)
        return 0;
    user_cell *cell = &place->cells[r->user];
    int own = r->t / LENGTH, open = oldest_open(place->clock);
    int8_t g = (int8_t)(own > open ? own : open), delta = (int8_t)(cell->count % 4 == 3 ? -1 : 1 + cell->count % 3);
    adds[count++] = (add){g, ITEMS, r->item, delta};
    if (cell->last >= 0 && cell->last != r->item) {
        adds[count++] = (add){g, r->item, cell->last, delta};
        adds[count++] = (add){g, cell->last, r->item, delta};
    }
    cell->last = r->item;
    cell->count++;
    return count;
}

/* --- primaries --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct primary {
    int8_t at[PARTITIONS], closed; /* generations below it are cut */
    int16_t clock[PARTITIONS];
    user_cell cells[PARTITIONS][USERS]; /* of the partitions it is home to */
    int16_t sums[GENERATIONS][ITEMS + 1][ITEMS];
} primary;

/* What is taken away from the scheme, or done otherwise. */
enum {
    WRONG_CELLS_FIRST = 1,  /* the home first; what the others lack then is nobody's */
    WRONG_NO_POSITIONS = 2, /* the others keep no position: they take what they are given */
    WRONG_FENCE_TAKE = 4,   /* no fence: who stands within the batch takes all of it */
    WRONG_FENCE_PASS = 8,   /* no fence: who stands within the batch goes to its end without it */
    WRONG_BASE = 16,        /* healing from a base above the primary */
    WRONG_CELLS = 32,       /* healing with the cells as they are now */
    WRONG_CLOCK = 64,       /* closing by the newest clocks of any primary */
    WRONG_NO_HEALING = 128  /* who is behind takes the batch all the same */
};

typedef struct flight {
    bool under_way, heals;
    int p, from, next;
    standing after; /* the batch's end: position and cells */
    add adds[ADDS];
    size_t add_count;
} flight;

typedef struct history {
    uint64_t seed;
    int partitions, primaries, wrong, rewinds; /* rewinds: of 1,000 steps */
    int records_of[PARTITIONS];
    record records[PARTITIONS][RECORDS];
    primary now[PRIMARIES], states[PRIMARIES][STATES];
    int state_count[PRIMARIES];
    standing bases[PARTITIONS][BASES];
    int base_count;
    flight flights[PROCESSORS];
    const char *broken; /* what was found wrong */
    long heals, from_bases, fences, passed, refused, deaths, rewound, emptied, writes;
} history;

static uint32_t rnd(history *h, uint32_t below) {
    h->seed = h->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(h->seed >> 33) % below;
}

static int home(const history *h, int p) { return p % h->primaries; }
static int owner(const history *h, const add *a) { return (a->row == ITEMS ? a->member : a->row) % h->primaries; }

static int least_clock(const history *h, const primary *of) {
    int least = of->clock[0];
    for (int p = 1; p < h->partitions; p++)
        least = of->clock[p] < least ? of->clock[p] : least;
    return least;
}

static void cut_row(int16_t row[ITEMS]) {
    bool kept[ITEMS] = {false};
    for (int n = 0; n < CUT; n++) {
        int best = -1;
        for (int m = 0; m < ITEMS; m++)
            if (!kept[m] && row[m] > 0 && (best < 0 || row[m] > row[best]))
                best = m;
        if (best >= 0)
            kept[best] = true;
    }
    for (int m = 0; m < ITEMS; m++)
        row[m] = kept[m] ? row[m] : 0;
}

/* Cuts the rows of generations that are closed at `clock`. */
static void close_due(primary *of, int clock) {
    for (; of->closed < oldest_open(clock) && of->closed < GENERATIONS; of->closed++)
        for (int row = 0; row < ITEMS; row++)
            cut_row(of->sums[of->closed][row]);
}

/* What a primary with these positions must hold, closed as far as it is. */
static void replay(primary *out, const history *h, int k, const primary *like) {
    memset(out, 0, sizeof *out);
    for (int p = 0; p < h->partitions; p++) {
        standing place = beginning;
        while (place.at < like->at[p]) {
            add adds[3];
            size_t count = derive(&place, &h->records[p][place.at], adds);
            for (size_t i = 0; i < count; i++)
                if (owner(h, &adds[i]) == k)
                    out->sums[adds[i].generation][adds[i].row][adds[i].member] =
                        (int16_t)(out->sums[adds[i].generation][adds[i].row][adds[i].member] + adds[i].delta);
        }
        out->at[p] = like->at[p];
        out->clock[p] = (int16_t)place.clock;
        for (int u = 0; u < USERS; u++)
            out->cells[p][u] = home(h, p) == k ? place.cells[u] : beginning.cells[u];
    }
    while (out->closed < like->closed) {
        for (int row = 0; row < ITEMS; row++)
            cut_row(out->sums[out->closed][row]);
        out->closed++;
    }
}

static void check(history *h, int k) {
    primary should;
    replay(&should, h, k, &h->now[k]);
    if (memcmp(&should, &h->now[k], sizeof should) != 0)
        h->broken = "a primary does not hold what its positions say";
}

static void keep(history *h, int k) {
    int at = h->state_count[k] < STATES ? h->state_count[k]++ : 1 + (int)rnd(h, STATES - 1); /* the first, which is empty, stays */
    h->states[k][at] = h->now[k];
}

/* --- reading and deriving ------------------------------------------------------------------------------------------------------------------------
 */

/* The smallest position of the other primaries, and the smallest beyond `at`. */
static void spread(const history *h, int p, int at, int *low, int *fence) {
    *low = *fence = RECORDS + 1;
    for (int k = 0; k < h->primaries; k++) {
        int q = h->now[k].at[p];
        if (k == home(h, p))
            continue;
        *low = q < *low ? q : *low;
        *fence = q > at && q < *fence ? q : *fence;
    }
}

static void derive_batch(history *h, flight *f, standing from, int to) {
    f->from = from.at;
    f->add_count = 0;
    while (from.at < to)
        f->add_count += derive(&from, &h->records[f->p][from.at], f->adds + f->add_count);
    f->after = from;
}

/* The newest base at or below `low`; the beginning is always one. */
static standing choose_base(history *h, int p, int low) {
    standing base = beginning;
    for (int b = 0; b < h->base_count; b++)
        if ((h->bases[p][b].at <= low || h->wrong & WRONG_BASE) && h->bases[p][b].at > base.at)
            base = h->bases[p][b];
    h->from_bases += base.at > 0;
    return base;
}

static void begin_heal(history *h, flight *f, const primary *cells, int low, int size) {
    standing from = choose_base(h, f->p, low);
    int unused, fence, to = cells->at[f->p];
    if (h->wrong & WRONG_CELLS) {
        memcpy(from.cells, cells->cells[f->p], sizeof from.cells);
        from.at = low;
        from.clock = cells->clock[f->p];
    }
    while (from.at < low) {
        add none[3];
        derive(&from, &h->records[f->p][from.at], none);
    }
    spread(h, f->p, low, &unused, &fence);
    to = fence < to ? fence : to;
    derive_batch(h, f, from, low + size < to ? low + size : to);
    f->heals = true;
    f->under_way = true;
    h->heals++;
}

/* Reads position, clock and cells at one moment, and where the others stand. */
static void begin(history *h, flight *f, int p, int size) {
    const primary *cells = &h->now[home(h, p)];
    int at = cells->at[p], low, fence, end = h->records_of[p];
    spread(h, p, at, &low, &fence);
    *f = (flight){.p = p};
    if (low < at && !(h->wrong & (WRONG_NO_HEALING | WRONG_CELLS_FIRST | WRONG_NO_POSITIONS))) {
        begin_heal(h, f, cells, low, size);
        return;
    }
    if (at == end)
        return;
    standing from = {at, cells->clock[p], {{0, 0}}};
    memcpy(from.cells, cells->cells[p], sizeof from.cells);
    int to = at + size < end ? at + size : end;
    if (fence < to && !(h->wrong & (WRONG_FENCE_TAKE | WRONG_FENCE_PASS | WRONG_NO_POSITIONS))) {
        to = fence;
        h->fences++;
    }
    derive_batch(h, f, from, to);
    f->under_way = true;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------------------------
 */

/* Which primary gets the batch next: the home last. */
static int turn(const history *h, const flight *f) {
    int first = home(h, f->p);
    return (first + f->next + !(h->wrong & WRONG_CELLS_FIRST)) % h->primaries;
}

static void take(history *h, const flight *f, int k) {
    primary *to = &h->now[k];
    int open = oldest_open(least_clock(h, to));
    bool within = to->at[f->p] > f->from && h->wrong & WRONG_FENCE_PASS;
    for (size_t i = 0; i < f->add_count; i++) {
        const add *a = &f->adds[i];
        if (owner(h, a) != k || within)
            continue;
        if (a->generation < open || a->generation < to->closed)
            h->broken = "an addition to a closed generation";
        to->sums[a->generation][a->row][a->member] = (int16_t)(to->sums[a->generation][a->row][a->member] + a->delta);
    }
    to->at[f->p] = (int8_t)f->after.at;
    to->clock[f->p] = (int16_t)f->after.clock;
    if (k == home(h, f->p))
        memcpy(to->cells[f->p], f->after.cells, sizeof f->after.cells);
    h->writes++;
    keep(h, k);
    check(h, k);
}

/* One write of a batch. */
static void write_one(history *h, flight *f) {
    int k = turn(h, f), q = h->now[k].at[f->p];
    bool last = ++f->next == h->primaries;
    bool cells = k == home(h, f->p);
    if (cells && f->heals) {
        f->under_way = !last;
        return;
    }
    bool takes = q == f->from, passes = !cells && q >= f->after.at;
    if (!cells) {
        bool between = q > f->from && q < f->after.at;
        takes |= (h->wrong & WRONG_NO_POSITIONS) || (between && h->wrong & (WRONG_FENCE_TAKE | WRONG_FENCE_PASS)) ||
                 (q < f->from && h->wrong & WRONG_NO_HEALING) || (q < f->from && f->heals && h->wrong & WRONG_BASE);
    }
    if (takes)
        take(h, f, k);
    h->passed += !takes && passes;
    h->refused += !takes && !passes;
    f->under_way = (takes || passes) && !last;
}

/* --- what happens --------------------------------------------------------------------------------------------------------------------------------
 */

/* A base is taken when all primaries agree. */
static void take_base(history *h) {
    for (int p = 0; p < h->partitions; p++)
        for (int k = 1; k < h->primaries; k++)
            if (h->now[k].at[p] != h->now[0].at[p])
                return;
    int at = h->base_count < BASES ? h->base_count++ : (int)rnd(h, BASES);
    for (int p = 0; p < h->partitions; p++) {
        const primary *cells = &h->now[home(h, p)];
        h->bases[p][at] = (standing){cells->at[p], cells->clock[p], {{0, 0}}};
        memcpy(h->bases[p][at].cells, cells->cells[p], sizeof cells->cells[p]);
    }
}

static void close_one(history *h, int k) {
    int clock = least_clock(h, &h->now[k]);
    for (int other = 0; h->wrong & WRONG_CLOCK && other < h->primaries; other++) {
        int theirs = least_clock(h, &h->now[other]);
        clock = theirs > clock ? theirs : clock;
    }
    close_due(&h->now[k], clock);
    keep(h, k);
    check(h, k);
}

static void rewind_one(history *h, int k) {
    bool empties = rnd(h, 4) == 0;
    h->now[k] = h->states[k][empties ? 0 : rnd(h, (uint32_t)h->state_count[k])];
    h->emptied += empties;
    h->rewound += !empties;
}

static void step(history *h) {
    flight *f = &h->flights[rnd(h, PROCESSORS)];
    if ((int)rnd(h, 1000) < h->rewinds) {
        rewind_one(h, (int)rnd(h, (uint32_t)h->primaries));
    } else if (rnd(h, 16) == 0) {
        close_one(h, (int)rnd(h, (uint32_t)h->primaries));
    } else if (rnd(h, 12) == 0) {
        take_base(h);
    } else if (!f->under_way) {
        begin(h, f, (int)rnd(h, (uint32_t)h->partitions), 1 + (int)rnd(h, 7));
    } else if (rnd(h, 8) == 0) {
        h->deaths += f->next > 0;
        f->under_way = false;
    } else {
        write_one(h, f);
    }
}

static void make_records(history *h) {
    int now = 0;
    for (int i = 0; i < RECORDS * h->partitions; i++) {
        int p = (int)rnd(h, (uint32_t)h->partitions);
        if (h->records_of[p] == RECORDS)
            continue;
        now += (int)rnd(h, 4);
        int t = now - (int)rnd(h, LATENESS + 1), received = now - (int)rnd(h, 3);
        record r = {(int8_t)rnd(h, USERS), (int8_t)(rnd(h, 10) ? (int)rnd(h, ITEMS) : -1), (int16_t)(t > 0 ? t : 0),
                    (int16_t)(received > 0 ? received : 0)};
        if (now < (GENERATIONS - 1) * LENGTH)
            h->records[p][h->records_of[p]++] = r;
    }
}

/* Learns what is left, undisturbed. False when it does not get on. */
static bool finish(history *h) {
    for (int tries = 0; tries < 400; tries++) {
        bool done = true;
        for (int p = 0; p < h->partitions; p++) {
            flight f = {.p = p};
            for (int k = 0; k < h->primaries; k++)
                done &= h->now[k].at[p] == h->records_of[p];
            begin(h, &f, p, 1 + (int)rnd(h, 7));
            while (f.under_way)
                write_one(h, &f);
        }
        if (done)
            return true;
    }
    return false;
}

static void run(history *h, uint64_t seed, int wrong, int rewinds) {
    memset(h, 0, sizeof *h);
    h->seed = seed * 0x9e3779b97f4a7c15u + 1;
    h->wrong = wrong;
    h->rewinds = rewinds;
    h->partitions = 1 + (int)rnd(h, PARTITIONS);
    h->primaries = 2 + (int)rnd(h, PRIMARIES - 1);
    make_records(h);
    for (int k = 0; k < h->primaries; k++) {
        for (int p = 0; p < PARTITIONS; p++)
            memcpy(h->now[k].cells[p], p < h->partitions ? beginning.cells : (user_cell[USERS]){{0, 0}, {0, 0}}, sizeof beginning.cells);
        keep(h, k);
    }
    int steps = 20 + (int)rnd(h, 180);
    for (int i = 0; i < steps && !h->broken; i++)
        step(h);
    if (!h->broken && !finish(h))
        h->broken = "learning does not get on";
    for (int k = 0; k < h->primaries && !h->broken; k++) {
        close_one(h, k);
        for (int p = 0; p < h->partitions; p++)
            if (h->now[k].at[p] != h->records_of[p])
                h->broken = "a primary did not get to the end";
    }
}

/* --- tests ---------------------------------------------------------------------------------------------------------------------------------------
 */

static long histories(void) { return getenv("RECO_FULL") ? HISTORIES * 50L : HISTORIES; }

static void exact(int rewinds) {
    static history h;
    history sum = {0};
    for (long i = 0; i < histories(); i++) {
        run(&h, (uint64_t)i, 0, rewinds);
        ck_assert_msg(!h.broken, "history %ld (%d rewinds in 1,000 steps): %s", i, rewinds, h.broken);
        sum.heals += h.heals, sum.from_bases += h.from_bases, sum.fences += h.fences, sum.passed += h.passed, sum.refused += h.refused;
        sum.deaths += h.deaths, sum.rewound += h.rewound, sum.emptied += h.emptied, sum.writes += h.writes;
    }
    printf("%ld histories exact: %ld writes, %ld refused, %ld passed by, %ld processors dead between writes, %ld batches ended at a fence, %ld "
           "primaries "
           "set back, %ld emptied, %ld batches of healing, %ld of them from a base\n",
           histories(), sum.writes, sum.refused, sum.passed, sum.deaths, sum.fences, sum.rewound, sum.emptied, sum.heals, sum.from_bases);
    fflush(stdout);
    ck_assert(sum.deaths > 1000 && sum.fences > 1000 && sum.passed > 1000 && sum.refused > 1000);
    if (rewinds)
        ck_assert(sum.heals > 1000 && sum.from_bases > 1000 && sum.rewound > 1000 && sum.emptied > 1000);
    else
        ck_assert_msg(sum.heals == 0, "boards first leaves nobody behind the cells, but %ld batches healed", sum.heals);
}

/* How many of 2,000 histories show what is wrong. */
static void fails(const char *what, int wrong, int rewinds) {
    static history h;
    const char *how = NULL;
    long broken = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        run(&h, i, wrong, rewinds);
        broken += h.broken != NULL;
        how = h.broken ? h.broken : how;
    }
    printf("%s: %ld of 2000 histories fail (%s)\n", what, broken, how ? how : "");
    fflush(stdout);
    ck_assert_msg(broken > 20, "%s: only %ld histories fail", what, broken);
}

START_TEST(crashes_and_zombies_are_exact)
{ exact(0); }
END_TEST

START_TEST(rewinds_are_healed)
{ exact(30); }
END_TEST

START_TEST(cells_first_loses)
{ fails("cells first", WRONG_CELLS_FIRST, 0); }
END_TEST

START_TEST(without_positions_everywhere_it_doubles)
{ fails("boards without positions", WRONG_NO_POSITIONS, 0); }
END_TEST

START_TEST(without_the_fence_it_fails)
{
    fails("no fence, taking all", WRONG_FENCE_TAKE, 0);
    fails("no fence, passing over", WRONG_FENCE_PASS, 0);
}
END_TEST

START_TEST(healing_needs_a_base_below)
{
    fails("healing from a base above", WRONG_BASE, 30);
    fails("healing with today's cells", WRONG_CELLS, 30);
    fails("no healing", WRONG_NO_HEALING, 30);
}
END_TEST

START_TEST(each_closes_by_its_own_clocks)
{ fails("closing by others' clocks", WRONG_CLOCK, 30); }
END_TEST

int main(void) {
    Suite *suite = suite_create("primaries");
    TCase *tcase = tcase_create("primaries");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, crashes_and_zombies_are_exact);
    tcase_add_test(tcase, rewinds_are_healed);
    tcase_add_test(tcase, cells_first_loses);
    tcase_add_test(tcase, without_positions_everywhere_it_doubles);
    tcase_add_test(tcase, without_the_fence_it_fails);
    tcase_add_test(tcase, healing_needs_a_base_below);
    tcase_add_test(tcase, each_closes_by_its_own_clocks);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
