/* Stream, learner and features against sim.py, which works the same state out from the rules alone.
 *
 * The script prints cases: settings, records by partition, and the clocks, rows and cells that must follow. Each case is learned here from a stream
 * in memory into features in memory, partitions in random order, batches of random size, some closing in between. What is then there is written down
 * as the same lines, and the lines must be the same. Without python3 the test is skipped. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/learner.h"
#include "support/support.h"

enum { LINE = 2048, LINES = 4096, WORDS = 16, CASES = 250 };

static const reco__event_type types[] = {{"view", 1, 0, 0}, {"cart", 3, 0, 0},  {"rating", 2, RECO__TYPE_MIN_VALUE, 4},
                                         {"seen", 0, 0, 0}, {"back", -2, 0, 0}, {"hide", 0, RECO__TYPE_HIDES, 0}};

/* Lines of text, to be compared as a set. */
typedef struct lines {
    char *all[LINES];
    size_t count;
} lines;

/* One case while it is read and learned. */
typedef struct trial {
    char number[16];
    uint32_t partitions;
    reco__learn_rules rules;
    reco__stream *stream;
    reco__features *features;
    reco_position positions[RECO_PARTITIONS_MAX];
    lines expected, got;
    reco__cell cell;
    reco__rand rand;
} trial;

static void add_line(lines *to, const char *text) {
    ck_assert_uint_lt(to->count, LINES);
    to->all[to->count] = strdup(text);
    ck_assert_ptr_nonnull(to->all[to->count++]);
}

static void clear_lines(lines *of) {
    while (of->count > 0)
        free(of->all[--of->count]);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void assert_same_lines(const char *number, lines *expected, lines *got) {
    qsort(expected->all, expected->count, sizeof *expected->all, by_text);
    qsort(got->all, got->count, sizeof *got->all, by_text);
    for (size_t i = 0; i < expected->count || i < got->count; i++) {
        const char *want = i < expected->count ? expected->all[i] : "(nothing)", *have = i < got->count ? got->all[i] : "(nothing)";
        ck_assert_msg(strcmp(want, have) == 0, "case %s: expected \"%s\", got \"%s\"", number, want, have);
    }
}

/* --- reading a case ---------------------------------------------------------------------------------------------------------------------- */

static int split(char *line, char **words) {
    int count = 0;
    for (char *at = strtok(line, " "); at && count < WORDS; at = strtok(NULL, " "))
        words[count++] = at;
    return count;
}

static void set_rule(trial *t, const char *name, int64_t value) {
    reco__learn_rules *rules = &t->rules;
    const struct {
        const char *name;
        uint32_t *small;
        int64_t *large;
    } places[] = {
        {"lateness", NULL, &rules->boards.lateness},
        {"skew", NULL, &rules->boards.skew},
        {"hours_length", NULL, &rules->boards.length[RECO_BOARD_HOURS]},
        {"days_length", NULL, &rules->boards.length[RECO_BOARD_DAYS]},
        {"coview_length", NULL, &rules->boards.length[RECO_BOARD_COVIEW]},
        {"hours_kept", &rules->boards.kept[RECO_BOARD_HOURS], NULL},
        {"days_kept", &rules->boards.kept[RECO_BOARD_DAYS], NULL},
        {"coview_kept", &rules->boards.kept[RECO_BOARD_COVIEW], NULL},
        {"cut", &rules->boards.cut, NULL},
        {"head", &rules->boards.head, NULL},
        {"pair_window", &rules->pair_window, NULL},
        {"pair_in_session", &rules->pair_in_session, NULL},
        {"pair_inverse", &rules->pair_inverse, NULL},
        {"recents", &rules->recents, NULL},
        {"history", &rules->history, NULL},
        {"ids_seen", &rules->ids_seen, NULL},
        {"ids_window", NULL, &rules->ids_window},
        {"session_gap", NULL, &rules->session_gap},
        {"lifetime", NULL, &rules->lifetime},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].name, name) == 0) {
            if (places[i].small)
                *places[i].small = (uint32_t)value;
            else
                *places[i].large = value;
            return;
        }
    ck_abort_msg("the script has a rule this test does not know: %s", name);
}

static reco_str word_str(const char *word) { return reco__str_of(strcmp(word, "-") == 0 ? NULL : word); }

static void open_stores(trial *t) {
    static const char space[] = "oracle"; /* decides the partitions: the script has the same */
    reco_error err = RECO_ERROR_INIT;
    reco_stream_options stream = {.struct_size = sizeof stream, .partitions = t->partitions, .url = "memory:", .space = space};
    stream.map_size = (uint64_t)1 << 28;
    test_ok(reco__stream_open(&t->stream, &stream, NULL, &err), &err);
    reco_features_options features = {.struct_size = sizeof features, .partitions = t->partitions, .url = "memory:", .space = space};
    memcpy(features.stream_id, reco__stream_id(t->stream), sizeof features.stream_id);
    features.fingerprint = reco__str_of("oracle=1\n");
    features.rules = &t->rules.boards;
    features.max_items = features.max_users = 1000;
    features.map_size = (uint64_t)1 << 28;
    test_ok(reco__features_open(&t->features, &features, NULL, &err), &err);
}

static void append_record(trial *t, char **words, int count) {
    reco__buf buf = {0};
    reco_error err = RECO_ERROR_INIT;
    reco_stream_record record = {.partition = (uint32_t)atoi(words[1]), .received_at = atoll(words[3])};
    if (count > 4) {
        reco_event event = {.timestamp = atoll(words[4]), .user_id = word_str(words[5]), .item_id = word_str(words[6])};
        event.event_type = word_str(words[7]);
        event.flags = strcmp(words[8], "-") == 0 ? 0 : RECO_EVENT_HAS_VALUE;
        event.value = event.flags & RECO_EVENT_HAS_VALUE ? atof(words[8]) : 0;
        event.session_id = word_str(words[9]);
        event.event_id = word_str(words[10]);
        event.flags |= strcmp(words[11], "undo") == 0 ? RECO_EVENT_UNDO : 0;
        ck_assert_uint_eq(reco__stream_partition(t->stream, event.user_id.data, event.user_id.size), record.partition);
        reco__envelope_event(&buf, &event, (reco_str){NULL, 0}, record.received_at);
    } else {
        reco__envelope_tick(&buf, record.received_at);
    }
    record.data = buf.data;
    record.size = (uint32_t)buf.size;
    test_ok(reco__stream_append(NULL, t->stream, &record, 1, RECO_APPEND_NO_TICKS, NULL, NULL, 0, NULL, &err), &err);
    reco__buf_dispose(&buf);
}

/* --- learning it ------------------------------------------------------------------------------------------------------------------------- */

static void learn_all(trial *t) {
    reco_error err = RECO_ERROR_INIT;
    reco__learner *learner;
    uint32_t left = t->partitions, most = 1 + (uint32_t)reco__rand_below(&t->rand, 12);
    bool done[RECO_PARTITIONS_MAX] = {false};
    test_ok(reco__learner_create(&learner, t->stream, t->features, &t->rules, &err), &err);
    while (left > 0) {
        reco__learned learned;
        int more;
        uint32_t p = (uint32_t)reco__rand_below(&t->rand, t->partitions);
        test_ok(reco__learner_batch(&learned, learner, p, NULL, 1 + (uint32_t)reco__rand_below(&t->rand, most), INT64_MAX, NULL, &err), &err);
        left -= learned.records == 0 && !done[p];
        done[p] |= learned.records == 0;
        if (reco__rand_below(&t->rand, 3) == 0)
            test_ok(reco__features_close_step(&more, t->features, 1000000, NULL, &err), &err);
    }
    test_ok(reco__features_settle(t->features, NULL, &err), &err);
    reco__learner_free(learner);
}

/* --- writing down what is there ---------------------------------------------------------------------------------------------------------- */

static reco_status name_of(void *context, uint32_t number, reco_str *name) {
    uint64_t hash;
    trial *t = context;
    return reco__features_item_name(name, &hash, t->features, number);
}

static int take_state(void *context, const reco_features_info *info, const reco_position *positions) {
    trial *t = context;
    char line[LINE];
    for (uint32_t p = 0; p < info->partitions; p++) {
        t->positions[p] = positions[p];
        snprintf(line, sizeof line, "clock %u %lld", p, (long long)positions[p].clock);
        add_line(&t->got, line);
    }
    return 0;
}

static int take_row(void *context, uint32_t board, int64_t generation, uint32_t item, const void *packed, size_t size) {
    trial *t = context;
    reco_entry entries[256];
    reco_str row = {"-", 1}, member;
    size_t count;
    char line[LINE];
    test_status(RECO_OK, reco_board_unpack(&count, entries, 256, packed, size));
    if (board == RECO_BOARD_COVIEW)
        test_status(RECO_OK, name_of(t, item, &row));
    for (size_t i = 0; i < count; i++) {
        test_status(RECO_OK, name_of(t, entries[i].member, &member));
        snprintf(line, sizeof line, "row %u %lld %.*s %.*s %lld", board, (long long)generation, (int)row.size, row.data, (int)member.size,
                 member.data, (long long)entries[i].sum);
        add_line(&t->got, line);
    }
    return 0;
}

static int take_cell(void *context, uint32_t partition, reco_str user, const void *data, size_t size, int64_t expires_at) {
    trial *t = context;
    reco__buf canonical = {0}, line = {0};
    test_status(RECO_OK, reco__cell_decode(&t->cell, data, size, NULL));
    ck_assert_int_eq(reco__cell_expires(&t->cell, &t->rules), expires_at);
    if (expires_at >= t->positions[partition].clock) { /* else it waits to be swept */
        test_status(RECO_OK, reco__cell_to_canonical(&canonical, &t->cell, name_of, t, NULL));
        reco__buf_printf(&line, "cell %.*s ", (int)user.size, user.data);
        for (size_t i = 0; i < canonical.size; i++)
            reco__buf_printf(&line, "%02x", (uint8_t)canonical.data[i]);
        add_line(&t->got, reco__buf_cstr(&line));
    }
    reco__buf_dispose(&canonical);
    reco__buf_dispose(&line);
    return 0;
}

static void finish_case(trial *t) {
    reco_error err = RECO_ERROR_INIT;
    reco_features_visitor visitor = {.context = t, .state = take_state, .row = take_row, .cell = take_cell};
    learn_all(t);
    test_ok(reco__features_scan(t->features, &visitor, NULL, &err), &err);
    assert_same_lines(t->number, &t->expected, &t->got);
    reco__features_close(t->features);
    reco__stream_close(t->stream);
    clear_lines(&t->expected);
    clear_lines(&t->got);
}

static void begin_case(trial *t, char **words) {
    snprintf(t->number, sizeof t->number, "%s", words[1]);
    t->partitions = (uint32_t)atoi(words[2]);
    memset(&t->rules, 0, sizeof t->rules);
    t->rules.types = types;
    t->rules.type_count = sizeof types / sizeof *types;
    t->rules.boards.struct_size = sizeof t->rules.boards;
    for (size_t age = 0; age < RECO_GENERATIONS_MAX; age++)
        t->rules.boards.weight[age] = 1;
    t->stream = NULL;
}

/* True when the line ended a case. */
static bool take_line(trial *t, char *line) {
    char *words[WORDS], copy[LINE];
    line[strcspn(line, "\n")] = 0;
    snprintf(copy, sizeof copy, "%s", line);
    int count = split(line, words);
    if (count == 0)
        return false;
    if (strcmp(words[0], "case") == 0) {
        begin_case(t, words);
    } else if (strcmp(words[0], "rule") == 0) {
        set_rule(t, words[1], atoll(words[2]));
    } else if (strcmp(words[0], "end") == 0) {
        finish_case(t);
        return true;
    } else {
        if (!t->stream)
            open_stores(t); /* the rules are complete */
        if (strcmp(words[0], "record") == 0)
            append_record(t, words, count);
        else
            add_line(&t->expected, copy);
    }
    return false;
}

START_TEST(learned_is_what_the_rules_say) {
    const char *source = getenv("RECO_SOURCE_DIR"), *scale = getenv("RECO_TEST_SCALE");
    static trial t;
    static char line[LINE];
    char command[1024];
    int cases = CASES * (scale ? atoi(scale) : 1), done = 0;
    snprintf(command, sizeof command, "python3 '%s/tests/model/sim.py' 1 %d", source ? source : ".", cases);
    FILE *script = popen(command, "r");
    ck_assert_ptr_nonnull(script);
    reco__rand_seed(&t.rand, 1);
    while (fgets(line, sizeof line, script))
        done += take_line(&t, line);
    ck_assert_int_eq(pclose(script), 0);
    ck_assert_int_eq(done, cases);
    reco__cell_dispose(&t.cell);
}
END_TEST

int main(void) {
    if (system("python3 -c pass 2>/dev/null") != 0)
        test_skip("python3 is not there: the oracle cannot be asked");
    Suite *suite = suite_create("oracle");
    TCase *tests = tcase_create("oracle");
    tcase_add_test(tests, learned_is_what_the_rules_say);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
