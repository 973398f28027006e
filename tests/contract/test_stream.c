/* The stream's contract on lmdb: and memory:, and the mutants the suite must catch. RECO_FULL=1: ten times the random operations. */
#include <stdio.h>
#include <stdlib.h>

#include "contract/stream_suite.h"
#include "stream/registry.h"
#include "support/support.h"

static char dir[256], url[300];

static void setup(void) {
    test_dir_make(dir);
    snprintf(url, sizeof url, "lmdb:%s", dir);
}

static void teardown(void) { test_dir_remove(dir); }

static uint64_t operations(uint64_t normal) {
    const char *full = getenv("RECO_FULL");
    return full && *full == '1' ? normal * 10 : normal;
}

/* Random operations in a normal run: 100,000 in all. */
static stream_subject on_lmdb(void) { return (stream_subject){&reco__stream_lmdb, url, 1, 1u << 30, operations(20000), 42}; }
static stream_subject on_memory(void) { return (stream_subject){&reco__stream_memory, "memory:", 0, 1u << 30, operations(80000), 43}; }

static void passes(const stream_subject *subject, const char *name) {
    char room[300];
    const char *wrong = stream_run(subject, name, room, sizeof room);
    ck_assert_msg(!wrong, "%s on %s: %s", name, subject->backend->scheme, wrong);
}

START_TEST(lmdb_keeps_the_contract)
{
    stream_subject subject = on_lmdb();
    passes(&subject, stream_check_name((size_t)_i));
}
END_TEST

START_TEST(memory_keeps_the_contract)
{
    stream_subject subject = on_memory();
    passes(&subject, stream_check_name((size_t)_i));
}
END_TEST

START_TEST(a_mutant_is_caught)
{
    char room[300];
    const stream_mutant *mutant = &stream_mutants[_i];
    stream_subject subject = on_lmdb();
    subject.operations = 2000;
    subject.backend = stream_mutant_of(&reco__stream_lmdb, (size_t)_i);
    const char *wrong = stream_run(&subject, mutant->killed_by, room, sizeof room);
    if (getenv("RECO_SHOW_MUTANTS")) {
        fprintf(stderr, "%s: %s: %s\n", mutant->name, mutant->killed_by, wrong ? wrong : "not caught");
    }
    ck_assert_msg(wrong != NULL, "'%s' is not caught by '%s'", mutant->name, mutant->killed_by);
    subject.backend = stream_mutant_of(&reco__stream_lmdb, SIZE_MAX);
    passes(&subject, mutant->killed_by); /* the detour alone is sound */
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stream contract");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, memory_keeps_the_contract, 0, (int)stream_check_count);
    tcase_add_loop_test(tests, lmdb_keeps_the_contract, 0, (int)stream_check_count);
    tcase_add_loop_test(tests, a_mutant_is_caught, 0, (int)stream_mutant_count);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
