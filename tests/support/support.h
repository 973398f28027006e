/* tests/support/support.h - what tests of all kinds share: folders that go away, memory that runs out, waiting for a condition, one way to run. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <check.h>

#include <reco/status.h>

/* ck_assert that a call answers `expected`, printing the error text when not. */
#define test_status(expected, call) \
    do { \
        reco_status got_ = (call); \
        ck_assert_msg(got_ == (expected), "%s: expected %s, got %s", #call, reco_status_name(expected), reco_status_name(got_)); \
    } while (0)
/* The same for a call with `err`: prints its text. */
#define test_ok(call, err) \
    do { \
        reco_status got_ = (call); \
        ck_assert_msg(got_ == RECO_OK, "%s: %s: %s: %s", #call, reco_status_name(got_), (err)->field, (err)->text); \
    } while (0)

/* A fresh folder under $TMPDIR or /tmp; `path` holds at least 256 bytes. Aborts the test when there is none to be had. */
void test_dir_make(char path[256]);
/* Removes a folder with all that is in it; a missing one is fine. */
void test_dir_remove(const char *path);

/* Waits until ready(context) is true, looking every millisecond; false after `timeout_ms`. */
bool test_wait(bool (*ready)(void *context), void *context, int timeout_ms);

/* An allocator for reco_set_allocator that counts, and fails when told. One per process, safe from any thread. */
void test_memory_install(void); /* install before anything is open */
void test_memory_restore(void); /* back to malloc */
void test_memory_fail(uint64_t nth, bool for_ever); /* the nth allocation from now (from 1) fails, for_ever also all later; 0: none */
uint64_t test_memory_fired(void);                   /* how many were refused since test_memory_fail */
int64_t test_memory_live(void);                     /* blocks handed out and not returned since test_memory_install */

/* Runs body(context) with its first allocation failing, then its second, and so on until a run in which none failed; first each once, then for ever.
 * Asserts that a run in which one failed does not answer OK unless `tolerates`, that a run without answers OK, that an answer that is not OK has a
 * text, and that each run leaves as many live blocks as it found. The allocator must be installed. Answers the number of runs. */
typedef reco_status (*test_body)(void *context, reco_error *err);
uint64_t test_every_allocation(test_body body, void *context, bool tolerates);

/* Runs the suite and answers what main returns. Ends the suite's runner. */
int test_run(Suite *suite);

/* Says why and ends the process as skipped. */
void test_skip(const char *reason) __attribute__((noreturn));

#endif
