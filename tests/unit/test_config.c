/* Settings: one table, read and written in every way there is. */
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/settings.h"
#include "config/table.h"
#include "support/support.h"

static reco__settings settings;
static reco_error err;

static void setup(void) {
    err = (reco_error)RECO_ERROR_INIT;
    reco__settings_init(&settings);
}

static reco_status set(const char *name, const char *value) {
    err = (reco_error)RECO_ERROR_INIT;
    return reco__settings_set(&settings, name, value, &err);
}

static reco_status yaml(const char *text) {
    err = (reco_error)RECO_ERROR_INIT;
    return reco__settings_yaml(&settings, text, strlen(text), &err);
}

static const char *get(const char *name) {
    static char text[1200];
    test_ok(reco__settings_get(text, sizeof text, &settings, name, &err), &err);
    return text;
}

START_TEST(defaults_are_those_of_the_design)
{
    static const char *const expected[] = {"partitions",
                                           "4",
                                           "lateness",
                                           "1h",
                                           "skew",
                                           "1m",
                                           "popularity.hours_kept",
                                           "48",
                                           "popularity.days_kept",
                                           "60",
                                           "coview.length",
                                           "7d",
                                           "coview.kept",
                                           "26",
                                           "coview.cut",
                                           "512",
                                           "coview.head",
                                           "128",
                                           "coview.halving",
                                           "0",
                                           "pairs.window",
                                           "10",
                                           "pairs.within",
                                           "history",
                                           "pairs.weight",
                                           "flat",
                                           "cell.recents",
                                           "50",
                                           "cell.history",
                                           "1000",
                                           "cell.ids_seen",
                                           "128",
                                           "cell.ids_window",
                                           "1d",
                                           "cell.session_gap",
                                           "30m",
                                           "cell.lifetime",
                                           "365d",
                                           "event_types.view.weight",
                                           "1",
                                           "event_types.click.weight",
                                           "1",
                                           "event_types.rating.weight",
                                           "1",
                                           "event_types.rating.min_value",
                                           "4",
                                           "event_types.like.weight",
                                           "2",
                                           "event_types.cart.weight",
                                           "3",
                                           "event_types.purchase.weight",
                                           "5",
                                           "event_types.impression.weight",
                                           "0",
                                           "event_types.dislike.hides",
                                           "yes",
                                           "event_types.hide.hides",
                                           "yes",
                                           "recommend.row_power",
                                           "0.5",
                                           "recommend.popularity_power",
                                           "0.2",
                                           "recommend.recency",
                                           "exp",
                                           "recommend.recency_value",
                                           "5",
                                           "limits.map_size",
                                           "256GiB",
                                           "recommend.filter_seen",
                                           "yes",
                                           "preset",
                                           "default",
                                           "data",
                                           "reco-data",
                                           "recommend.weight_popular",
                                           "0.01",
                                           NULL};
    for (const char *const *at = expected; *at; at += 2)
        ck_assert_msg(strcmp(get(at[0]), at[1]) == 0, "%s is %s", at[0], get(at[0]));
    test_ok(reco__settings_check(&settings, &err), &err);
    ck_assert_int_eq(settings.coview_length, 7 * 86400000ll);
    ck_assert_uint_eq(settings.map_size, 256ull << 30);
    ck_assert_uint_eq(settings.log_level, RECO_LOG_INFO);
}
END_TEST

START_TEST(values_of_presets)
{
    static const char *const sessions[] = {"coview.length",
                                           "1d",
                                           "coview.kept",
                                           "30",
                                           "pairs.window",
                                           "10",
                                           "pairs.within",
                                           "session",
                                           "pairs.weight",
                                           "inverse",
                                           "coview.halving",
                                           "7",
                                           "recommend.normalise",
                                           "sum",
                                           "recommend.popularity_power",
                                           "0.15",
                                           "recommend.recency",
                                           "power",
                                           "recommend.recency_value",
                                           "0.5",
                                           "recommend.revisit",
                                           "2",
                                           "recommend.filter_seen",
                                           "no",
                                           "preset",
                                           "sessions",
                                           NULL};
    ck_assert_int_eq(set("preset", "sessions"), RECO_OK);
    for (const char *const *at = sessions; *at; at += 2)
        ck_assert_msg(strcmp(get(at[0]), at[1]) == 0, "%s is %s", at[0], get(at[0]));
    test_ok(reco__settings_check(&settings, &err), &err);
    ck_assert_int_eq(set("preset", "long-history"), RECO_OK); /* nothing of the former preset is left */
    ck_assert_str_eq(get("coview.length"), "90d");
    ck_assert_str_eq(get("coview.kept"), "12");
    ck_assert_str_eq(get("pairs.within"), "history");
    test_ok(reco__settings_check(&settings, &err), &err);
    static const char *const others[] = {"catalogue-small", "shop"};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(set("preset", others[i]), RECO_OK);
        test_ok(reco__settings_check(&settings, &err), &err);
    }
    reco__settings fresh;
    reco__settings_init(&fresh);
    ck_assert_int_eq(set("preset", "default"), RECO_OK);
    ck_assert_mem_eq(&fresh, &settings, sizeof fresh);
}
END_TEST

START_TEST(what_is_refused_changes_nothing_and_names_the_setting)
{
    static const struct {
        const char *name, *value, *field, *part;
    } cases[] = {{"coview.lenght", "1d", "coview.lenght", "no setting"},
                 {"coview", "1", "coview", "no setting"},
                 {"", "", "", "no setting"},
                 {"coview.length", "7", "coview.length", "unit"},
                 {"coview.length", "7 d", "coview.length", "unit"},
                 {"coview.length", "7w", "coview.length", "unit"},
                 {"coview.length", "-7d", "coview.length", "unit"},
                 {"coview.length", "10ms", "coview.length", "within 1s and 3650d"},
                 {"coview.length", "99999999999999999d", "coview.length", "unit"},
                 {"coview.length", "", "coview.length", "unit"},
                 {"coview.kept", "0", "coview.kept", "within 1 and 512"},
                 {"coview.kept", "513", "coview.kept", "within 1 and 512"},
                 {"coview.kept", "2.5", "coview.kept", "whole"},
                 {"coview.kept", "99999999999999999999", "coview.kept", "whole"},
                 {"limits.min_free", "1MB", "limits.min_free", "GiB"},
                 {"limits.map_size", "1KiB", "limits.map_size", "within 1MiB and 64TiB"},
                 {"recommend.row_power", "x", "recommend.row_power", "number"},
                 {"recommend.row_power", "nan", "recommend.row_power", "number"},
                 {"recommend.row_power", "0,5", "recommend.row_power", "number"},
                 {"recommend.row_power", "-1", "recommend.row_power", "within 0"},
                 {"recommend.filter_seen", "maybe", "recommend.filter_seen", "yes nor no"},
                 {"pairs.within", "day", "pairs.within", "history, session"},
                 {"preset", "store", "preset", "sessions"},
                 {"namespace", "a b", "namespace", "characters"},
                 {"namespace", "", "namespace", "characters"},
                 {"namespace", "x2345678901234567890123456789012345678901234567890123456789012345", "namespace", "at most 64"},
                 {"data", "a\nb", "data", "control"},
                 {"data", "a\xe2\x80\xa9" "b", "data", "control"}, /* U+2029, a line break in YAML */
                 {"data", "a\xc2\x85", "data", "control"},
                 {"data", "\xef\xbf\xbe", "data", "control"},
                 {"data", "\xff", "data", "UTF-8"},
                 {"event_types.view", "1", "event_types", "weight, hides"},
                 {"event_types.view.wight", "1", "event_types", "weight, hides"},
                 {"event_types..weight", "1", "event_types", "weight, hides"},
                 {"event_types.a b.weight", "1", "event_types", "weight, hides"},
                 {"event_types.view.weight", "1001", "event_types", "view.weight"},
                 {"event_types.view.weight", "x", "event_types", "view.weight"},
                 {"event_types.view.weight", "-", "event_types", "view.weight"},
                 {"event_types.new.hides", "perhaps", "event_types", "new.hides"},
                 {"event_types.view.min_value", "much", "event_types", "view.min_value"}};
    reco__settings before = settings;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(set(cases[i].name, cases[i].value) == RECO_INVALID, "%s %s was accepted", cases[i].name, cases[i].value);
        ck_assert_msg(strcmp(err.field, cases[i].field) == 0, "%s: field is %s", cases[i].name, err.field);
        ck_assert_msg(strstr(err.text, cases[i].part), "%s: %s", cases[i].name, err.text);
        ck_assert_mem_eq(&before, &settings, sizeof before);
    }
}
END_TEST

START_TEST(values_of_every_kind)
{
    static const struct {
        const char *name, *value, *got;
    } cases[] = {{"coview.length", "1h", "1h"},
                 {"coview.length", "90m", "90m"},
                 {"coview.length", "1500ms", "1500ms"},
                 {"lateness", "0", "0ms"},
                 {"lateness", "0s", "0ms"},
                 {"limits.min_free", "2048B", "2KiB"},
                 {"limits.min_free", "0", "0B"},
                 {"recommend.row_power", ".5", "0.5"},
                 {"recommend.row_power", "1", "1"},
                 {"recommend.filter_seen", "off", "no"},
                 {"recommend.filter_seen", "true", "yes"},
                 {"pairs.weight", "inverse", "inverse"},
                 {"log.level", "debug", "debug"},
                 {"event_types.new-type.weight", "-1000", "-1000"},
                 {"event_types.new-type.hides", "yes", "yes"},
                 {"event_types.rating.min_value", "none", "none"},
                 {"event_types.rating.min_value", "-2.5", "-2.5"},
                 {"data", "", ""},
                 {"data", "a \"b\" \\c", "a \"b\" \\c"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(set(cases[i].name, cases[i].value) == RECO_OK, "%s: %s", cases[i].name, err.text);
        const char *got = get(cases[i].name);
        if (strcmp(cases[i].got, "1") == 0)
            ck_assert(atof(got) == 1);
        else
            ck_assert_msg(strcmp(got, cases[i].got) == 0, "%s is %s", cases[i].name, got);
    }
    char little[3];
    ck_assert_int_eq(reco__settings_get(little, sizeof little, &settings, "coview.length", &err), RECO_TOO_LARGE);
    ck_assert_int_eq(reco__settings_get(little, sizeof little, &settings, "nothing", &err), RECO_INVALID);
    ck_assert_int_eq(reco__settings_get(little, sizeof little, &settings, "event_types.nothing.weight", &err), RECO_INVALID);
}
END_TEST

START_TEST(types_are_limited)
{
    char name[100];
    for (int i = 0; settings.type_count < RECO__EVENT_TYPES_MAX; i++) {
        snprintf(name, sizeof name, "event_types.type%d.weight", i);
        ck_assert_int_eq(set(name, "1"), RECO_OK);
    }
    ck_assert_int_eq(set("event_types.one-more.weight", "1"), RECO_INVALID);
    ck_assert_int_eq(set("event_types.view.weight", "7"), RECO_OK);
}
END_TEST

START_TEST(yaml_is_read)
{
    test_ok(yaml("# a comment\ncoview:\n  kept: 5\n  length: 2d\npreset: sessions\nevent_types:\n  view: {weight: 9}\n  buy:\n    weight: "
                 "4\nstream:\ndata: \"x: y\"\n"
                 "pairs.window: 3\n"),
            &err);
    ck_assert_str_eq(get("coview.kept"), "5"); /* although the preset stands below */
    ck_assert_str_eq(get("pairs.within"), "session");
    ck_assert_str_eq(get("pairs.window"), "3");
    ck_assert_str_eq(get("event_types.view.weight"), "9");
    ck_assert_str_eq(get("event_types.buy.weight"), "4");
    ck_assert_str_eq(get("event_types.cart.weight"), "3");
    ck_assert_str_eq(get("data"), "x: y");
    test_ok(yaml(""), &err);
    test_ok(yaml("# nothing\n"), &err);
    test_ok(yaml("---\n...\n"), &err);
}
END_TEST

START_TEST(bad_yaml_tells_the_line_and_changes_nothing)
{
    static const struct {
        const char *text, *part;
    } cases[] = {{"partitions: 2\ncoview:\n  lenght: 1d\n", "line 3: coview.lenght"},
                 {"partitions: 2\npartitions: 3\n", "line 2: \"partitions\" is set twice, first in line 1"},
                 {"partitions: 2\ncoview: [1]\n", "line 2: a list"},
                 {"partitions: 2\ndata: *x\n", "line 2"},
                 {"a: &x 1\n", "line 1"},
                 {"- 1\n", "line 1: a map"},
                 {"partitions\n", "line 1: a map"},
                 {"partitions: 2\n---\npartitions: 3\n", "a second document"},
                 {"partitions:\n", "line 1: partitions: needs a value"},
                 {"partitions: ~\n", "needs a value"},
                 {"coview: 3\n", "coview: there is no setting"},
                 {"event_types:\n", "no setting"},
                 {"event_types:\n  view: 1\n", "line 2"},
                 {"a:\n b:\n  c:\n   d:\n    e: 1\n", "line 5"},
                 {"partitions: \"2\n", "line"},
                 {"data: \"\\0\"\n", "zero byte"},
                 {"\"a\\0b\": 1\n", "name of a setting"},
                 {"? [1]\n: 2\n", "name of a setting"},
                 {"\xff\xfe\n", "line"},
                 {"preset: store\npartitions: 2\n", "line 1: preset"}};
    reco__settings before = settings;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(yaml(cases[i].text) == RECO_INVALID, "accepted: %s", cases[i].text);
        ck_assert_msg(strstr(err.text, cases[i].part), "%s: %s", cases[i].text, err.text);
        ck_assert_mem_eq(&before, &settings, sizeof before);
    }
}
END_TEST

START_TEST(print_reads_back)
{
    ck_assert_int_eq(set("preset", "sessions"), RECO_OK);
    ck_assert_int_eq(set("data", "a \"b\"\\ \xc3\xa9"), RECO_OK);
    ck_assert_int_eq(set("event_types.no.min_value", "1.25"), RECO_OK);
    ck_assert_int_eq(set("coview.length", "90m"), RECO_OK);
    reco__buf buf = {0};
    reco__settings_print(&buf, &settings);
    reco__settings back;
    reco__settings_init(&back);
    test_ok(reco__settings_yaml(&back, buf.data, buf.size, &err), &err);
    ck_assert_mem_eq(&back, &settings, sizeof back);
    reco__buf_dispose(&buf);
}
END_TEST

START_TEST(environment)
{
    static const char *const good[] = {"PATH=/bin",
                                       "RECO_COVIEW_LENGTH=3d",
                                       "RECO_PRESET=sessions",
                                       "RECO_EVENT_TYPES_ADD_TO_LIST_WEIGHT=2",
                                       "RECO_EVENT_TYPES_ADD_TO_LIST_MIN_VALUE=3",
                                       "RECO_NAMESPACE=shop",
                                       "RECO_CONFIG=x",
                                       "RECOVER=1",
                                       NULL};
    test_ok(reco__settings_environment(&settings, good, &err), &err);
    ck_assert_str_eq(get("coview.length"), "3d");
    ck_assert_str_eq(get("coview.kept"), "30");
    ck_assert_str_eq(get("event_types.add_to_list.weight"), "2");
    ck_assert_str_eq(get("event_types.add_to_list.min_value"), "3");
    ck_assert_str_eq(get("namespace"), "shop");
    static const char *const bad[] = {"RECO_COVIEW_LENGHT=3d", "RECO_coview_length=3d",     "RECO_COVIEW.LENGTH=3d", "RECO_PARTITIONS=0", "RECO_=1",
                                      "RECO_EVENT_TYPES_X=1",  "RECO_EVENT_TYPES__WEIGHT=1"};
    reco__settings before = settings;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const list[] = {"RECO_SKEW=5s", bad[i], NULL};
        ck_assert_msg(reco__settings_environment(&settings, list, &err) == RECO_INVALID, "accepted: %s", bad[i]);
        ck_assert_mem_eq(&before, &settings, sizeof before);
    }
    for (size_t i = 0; i < reco__config_count; i++) /* no two settings share a variable */
        for (size_t j = 0; j < i; j++) {
            const char *a = reco__config_table[i].name, *b = reco__config_table[j].name;
            while (*a && (*a == *b || (strchr("._", *a) && strchr("._", *b) && *b)))
                a++, b++;
            ck_assert(*a || *b);
        }
}
END_TEST

START_TEST(cross_checks)
{
    static const char *const cases[][4] = {{"coview.cut", "64", "coview.head", "coview.cut 64"},
                                           {"cell.history", "20", "cell.recents", "cell.history"},
                                           {"pairs.window", "1000", NULL, NULL},
                                           {"cell.lifetime", "1h", "cell.ids_window", "cell.lifetime"},
                                           {"recommend.window_hours", "49h", "recommend.window_hours", "hours_kept"},
                                           {"popularity.days_kept", "59", "recommend.window_days", "days_kept"},
                                           {"recommend.limit_max", "19", "recommend.limit_default", "limit_max"},
                                           {"recommend.recency", "power", "recommend.recency_value", "at most 1"},
                                           {"data", "", "data", "address"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reco__settings_init(&settings);
        ck_assert_int_eq(set(cases[i][0], cases[i][1]), RECO_OK);
        reco_status status = reco__settings_check(&settings, &err);
        ck_assert_msg((status == RECO_INVALID) == (cases[i][2] != NULL), "%s %s", cases[i][0], cases[i][1]);
        if (cases[i][2]) {
            ck_assert_str_eq(err.field, cases[i][2]);
            ck_assert_msg(strstr(err.text, cases[i][3]), "%s", err.text);
        }
    }
}
END_TEST

static bool difference(const reco__settings *a, uint32_t a_partitions, const reco__settings *b, uint32_t b_partitions, char out[200]) {
    reco__buf first = {0}, second = {0};
    reco__settings_fingerprint(&first, a, a_partitions);
    reco__settings_fingerprint(&second, b, b_partitions);
    ck_assert(first.failed == RECO_OK && second.failed == RECO_OK && first.size > 0);
    bool differs = reco__fingerprint_difference((reco_str){first.data, first.size}, (reco_str){second.data, second.size}, out, 200);
    reco__buf_dispose(&first);
    reco__buf_dispose(&second);
    return differs;
}

START_TEST(fingerprint_names_the_difference)
{
    static const struct {
        const char *name, *value, *text;
    } cases[] = {{"coview.length", "1d", "coview.length: stored 7d, given 1d"},
                 {"lateness", "2h", "lateness: stored 1h, given 2h"},
                 {"skew", "0", "skew: stored 1m, given 0ms"},
                 {"coview.cut", "513", "coview.cut: stored 512, given 513"},
                 {"coview.kept", "1", "coview.kept: stored 26, given 1"},
                 {"coview.head", "1", "coview.head: stored 128, given 1"},
                 {"coview.halving", "1", "coview.halving: stored 0, given 1"},
                 {"popularity.hours_kept", "1", "popularity.hours_kept: stored 48, given 1"},
                 {"popularity.days_kept", "1", "popularity.days_kept: stored 60, given 1"},
                 {"pairs.window", "1", "pairs.window: stored 10, given 1"},
                 {"pairs.within", "session", "pairs.within: stored history, given session"},
                 {"pairs.weight", "inverse", "pairs.weight: stored flat, given inverse"},
                 {"cell.recents", "1", "cell.recents: stored 50, given 1"},
                 {"cell.history", "1", "cell.history: stored 1000, given 1"},
                 {"cell.ids_seen", "1", "cell.ids_seen: stored 128, given 1"},
                 {"cell.ids_window", "1s", "cell.ids_window: stored 1d, given 1s"},
                 {"cell.session_gap", "1s", "cell.session_gap: stored 30m, given 1s"},
                 {"cell.lifetime", "1d", "cell.lifetime: stored 365d, given 1d"},
                 {"event_types.view.weight", "2", "event_types.view: stored weight 1, given weight 2"},
                 {"event_types.view.hides", "yes", "event_types.view: stored weight 1, given weight 1, hides"},
                 {"event_types.rating.min_value", "3", "event_types.rating: stored weight 1, min_value 4, given weight 1, min_value 3"},
                 {"event_types.view-2.weight", "1", "event_types.view-2: stored nothing, given weight 1"}};
    reco__settings before = settings;
    char text[200];
    ck_assert(!difference(&before, 4, &before, 4, text));
    ck_assert(difference(&before, 4, &before, 5, text));
    ck_assert_str_eq(text, "partitions: stored 4, given 5");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settings = before;
        ck_assert_int_eq(set(cases[i].name, cases[i].value), RECO_OK);
        ck_assert_msg(difference(&before, 4, &settings, 4, text), "%s does not matter", cases[i].name);
        ck_assert_str_eq(text, cases[i].text);
    }
    settings = before; /* what is asked is free, and so is the order of types */
    ck_assert_int_eq(set("recommend.filter_seen", "no"), RECO_OK);
    ck_assert_int_eq(set("limits.items", "5"), RECO_OK);
    reco__event_type first = settings.types[0];
    settings.types[0] = settings.types[1];
    settings.types[1] = first;
    ck_assert(!difference(&before, 4, &settings, 4, text));
}
END_TEST

START_TEST(files_of_the_presets)
{
    static const char *const names[] = {"reco", "sessions", "long-history", "catalogue-small", "shop"};
    const char *root = getenv("RECO_SOURCE_DIR");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/infra/config/%s.yaml", root ? root : ".", names[i]);
        reco__settings expected;
        reco__settings_init(&expected);
        reco__settings_init(&settings);
        test_ok(reco__settings_set(&expected, "preset", i == 0 ? "default" : names[i], &err), &err);
        test_ok(reco__settings_file(&settings, path, &err), &err);
        ck_assert_msg(memcmp(&expected, &settings, sizeof expected) == 0, "%s differs from its preset", path);
    }
}
END_TEST

/* Each setting stands in reco.yaml, so that the file is the whole truth. */
START_TEST(the_commented_file_is_complete)
{
    const char *root = getenv("RECO_SOURCE_DIR");
    char path[1024];
    static char text[65536];
    snprintf(path, sizeof path, "%s/infra/config/reco.yaml", root ? root : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    for (size_t i = 0; i < reco__config_count; i++) {
        char line[100];
        const char *dot = strchr(reco__config_table[i].name, '.');
        snprintf(line, sizeof line, "\n%s%s:", dot ? "  " : "", dot ? dot + 1 : reco__config_table[i].name);
        ck_assert_msg(strstr(text, line), "%s is missing", reco__config_table[i].name);
    }
}
END_TEST

START_TEST(files_that_fail)
{
    char path[256], name[300];
    test_dir_make(path);
    snprintf(name, sizeof name, "%s/none.yaml", path);
    ck_assert_int_eq(reco__settings_file(&settings, name, &err), RECO_NOT_FOUND);
    ck_assert_msg(strstr(err.text, "none.yaml"), "%s", err.text);
    ck_assert_int_ne(reco__settings_file(&settings, path, &err), RECO_OK); /* a folder */
    FILE *file = fopen(name, "w");
    fputs("partitions: x\n", file);
    fclose(file);
    ck_assert_int_eq(reco__settings_file(&settings, name, &err), RECO_INVALID);
    ck_assert_msg(strstr(err.text, "none.yaml: line 1: partitions"), "%s", err.text);
    test_dir_remove(path);
}
END_TEST

START_TEST(the_public_face)
{
    reco_settings *handle = NULL;
    char *text = NULL, value[32];
    test_ok(reco_settings_create(&handle, &err), &err);
    test_ok(reco_settings_set(handle, "partitions", "8", &err), &err);
    test_ok(reco_settings_load_text(handle, "skew: 5s\n", 9, &err), &err);
    test_ok(reco_settings_load_environment(handle, (const char *const[]){"RECO_LATENESS=2h", NULL}, &err), &err);
    test_ok(reco_settings_check(handle, &err), &err);
    test_ok(reco_settings_get(value, sizeof value, handle, "lateness", &err), &err);
    ck_assert_str_eq(value, "2h");
    test_ok(reco_settings_print(&text, handle, &err), &err);
    ck_assert(strstr(text, "partitions: 8\n") && strstr(text, "skew: 5s\n"));
    reco_free(text);
    for (int markdown = 0; markdown < 2; markdown++) {
        test_ok(reco_settings_help(&text, markdown, &err), &err);
        for (size_t i = 0; i < reco__config_count; i++)
            ck_assert_msg(strstr(text, reco__config_table[i].name), "%s", reco__config_table[i].name);
        reco_free(text);
    }
    ck_assert_int_eq(reco_settings_set(handle, NULL, "x", &err), RECO_INVALID);
    ck_assert_str_eq(err.field, "name");
    ck_assert_int_eq(reco_settings_set(NULL, "a", "x", &err), RECO_INVALID);
    ck_assert_int_eq(reco_settings_load_text(handle, NULL, 3, &err), RECO_INVALID);
    ck_assert_int_eq(reco_settings_load_file(handle, NULL, NULL), RECO_INVALID);
    ck_assert_int_eq(reco_settings_get(NULL, 0, handle, "skew", &err), RECO_INVALID);
    ck_assert_int_eq(reco_settings_print(NULL, handle, &err), RECO_INVALID);
    ck_assert_int_eq(reco_settings_create(NULL, &err), RECO_INVALID);
    reco_settings_free(handle);
    reco_settings_free(NULL);
}
END_TEST

START_TEST(numbers_do_not_depend_on_the_locale)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales && !setlocale(LC_NUMERIC, locales[i]); i++)
        continue;
    ck_assert_int_eq(set("recommend.row_power", "0.25"), RECO_OK);
    ck_assert(settings.row_power == 0.25);
    ck_assert_str_eq(get("recommend.row_power"), "0.25");
    setlocale(LC_NUMERIC, "C");
}
END_TEST

static reco_status everything(void *context, reco_error *error) {
    (void)context;
    reco_settings *handle = NULL;
    char *text = NULL;
    static const char *const variables[] = {"RECO_PARTITIONS=2", NULL};
    static const char lines[] = "preset: sessions\nskew: 5s\nevent_types: {view: {weight: 2}}\n";
    reco_status status = reco_settings_create(&handle, error);
    if (status == RECO_OK)
        status = reco_settings_load_text(handle, lines, sizeof lines - 1, error);
    if (status == RECO_OK)
        status = reco_settings_load_environment(handle, variables, error);
    if (status == RECO_OK)
        status = reco_settings_print(&text, handle, error);
    reco_free(text);
    if (status == RECO_OK) {
        reco__buf buf = {0};
        reco__settings_fingerprint(&buf, &handle->values, 4);
        status = reco__buf_status(&buf, error);
        reco__buf_dispose(&buf);
    }
    reco_settings_free(handle);
    return status;
}

START_TEST(memory_may_end_anywhere)
{
    test_memory_install();
    ck_assert_uint_gt(test_every_allocation(everything, NULL, false), 10);
    test_memory_restore();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("settings");
    TCase *tests = tcase_create("settings");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, defaults_are_those_of_the_design);
    tcase_add_test(tests, values_of_presets);
    tcase_add_test(tests, what_is_refused_changes_nothing_and_names_the_setting);
    tcase_add_test(tests, values_of_every_kind);
    tcase_add_test(tests, types_are_limited);
    tcase_add_test(tests, yaml_is_read);
    tcase_add_test(tests, bad_yaml_tells_the_line_and_changes_nothing);
    tcase_add_test(tests, print_reads_back);
    tcase_add_test(tests, environment);
    tcase_add_test(tests, cross_checks);
    tcase_add_test(tests, fingerprint_names_the_difference);
    tcase_add_test(tests, files_of_the_presets);
    tcase_add_test(tests, the_commented_file_is_complete);
    tcase_add_test(tests, files_that_fail);
    tcase_add_test(tests, the_public_face);
    tcase_add_test(tests, numbers_do_not_depend_on_the_locale);
    tcase_add_test(tests, memory_may_end_anywhere);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
