/* A disk, or shared memory, that is nearly or quite full: what is there still opens and answers, what would add to it is refused in words. */
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/engine.h"

static const char *const nothing_free[] = {"limits.min_free", "1TiB", NULL}; /* more than is free where tests run */

static char dir[256], data_path[320];
static reco_error err;

static void setup(void) {
    test_dir_make(dir);
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    err = (reco_error)RECO_ERROR_INIT;
}

static void teardown(void) { test_dir_remove(dir); }

static void tell_some(reco_engine *engine) {
    const char *const users[] = {"ann", "ben", "cleo"};
    for (size_t i = 0; i < 3; i++) {
        reco_event event = test_event(users[i], "bread", "view");
        test_engine_tell(NULL, engine, &event);
        event = test_event(users[i], i < 2 ? "butter" : "milk", "view");
        test_engine_tell(NULL, engine, &event);
    }
}

static reco_status put_item(reco_engine *engine) {
    reco_item item = {.item_id = {"bread", 5}, .title = {"Bread", 5}};
    err = (reco_error)RECO_ERROR_INIT;
    return reco_items_put(engine, &item, 1, sizeof item, NULL, &err);
}

static void ask(reco_engine *engine, size_t least) {
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = {"cleo", 4}};
    test_ok(reco_recommend(&answer, engine, &query, NULL, &err), &err);
    ck_assert_uint_ge(answer->count, least);
    reco_answer_free(answer);
}

static void check_full(reco_status status, const char *words) {
    test_status(RECO_FULL, status);
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

START_TEST(what_is_there_opens_below_min_free)
{
    reco_engine *engine = test_engine_open(data_path, 0, NULL);
    tell_some(engine);
    test_engine_learn(engine, 0, NULL);
    test_ok(put_item(engine), &err);
    reco_close(engine);

    engine = test_engine_open(data_path, 0, nothing_free);
    ask(engine, 1);
    test_engine_verify(engine, NULL); /* replays into a store of its own */
    reco_event event = test_event("ann", "cheese", "view");
    check_full(reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err), "on the disk");
    ck_assert_str_eq(err.field, "min_free");
    check_full(put_item(engine), "on the disk");
    reco_close(engine);

    engine = test_engine_open(data_path, 0, NULL); /* something to learn */
    tell_some(engine);
    reco_close(engine);
    engine = test_engine_open(data_path, 0, nothing_free);
    check_full(reco_process(NULL, engine, NULL, &err), "on the disk");
    ask(engine, 1);
    reco_close(engine);
}
END_TEST

START_TEST(min_free_is_not_about_memory)
{
    reco_engine *engine = test_engine_open("memory:", 0, nothing_free);
    tell_some(engine);
    test_engine_learn(engine, 0, NULL);
    test_ok(put_item(engine), &err);
    ask(engine, 1);
    test_engine_verify(engine, NULL);
    reco_close(engine);
}
END_TEST

/* In the child: as in a container, where shared memory has 64 MB. */
static void live_in_little(void) {
    reco_engine *engine = test_engine_open("memory:", 0, NULL);
    tell_some(engine);
    test_engine_learn(engine, 0, NULL);
    test_ok(put_item(engine), &err);
    ask(engine, 1);
    test_engine_verify(engine, NULL);
    reco_status status = RECO_OK;
    static char bytes[16000];
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "{\"x\":\"", 6);
    memcpy(bytes + sizeof bytes - 2, "\"}", 2);
    for (int i = 0; i < 8000 && status == RECO_OK; i++) {
        reco_event event = test_event("ann", "bread", "view");
        event.properties = (reco_str){bytes, sizeof bytes};
        status = reco_ingest(NULL, engine, &event, 1, sizeof event, NULL, NULL, &err);
    }
    check_full(status, "shared memory");
    ask(engine, 1);
    reco_close(engine);
}

START_TEST(little_shared_memory_is_enough)
{
    pid_t child = test_fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/dev/shm", "tmpfs", 0, "size=64m") != 0)
            _exit(77); /* not allowed here */
        live_in_little();
        _exit(0);
    }
    int end = test_child_end(child);
    ck_assert_msg(end == 0 || end == 77, "the child ended with %d", end);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("full disk");
    TCase *tests = tcase_create("full disk");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_is_there_opens_below_min_free);
    tcase_add_test(tests, min_free_is_not_about_memory);
    tcase_add_test(tests, little_shared_memory_is_enough);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
