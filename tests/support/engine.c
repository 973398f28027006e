/* tests/support/engine.c - see engine.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/engine.h"
#include "support/engine.h"

reco_status test_engine_try(reco_engine **out, const char *data, uint32_t flags, const char *const *settings, reco_error *err) {
    reco_settings *given = NULL;
    *out = NULL;
    reco_status status = reco_settings_create(&given, err);
    if (status == RECO_OK) {
        status = reco_settings_set(given, "limits.map_size", "8GiB", err);
    }
    for (size_t i = 0; status == RECO_OK && settings && settings[i]; i += 2) {
        status = reco_settings_set(given, settings[i], settings[i + 1], err);
    }
    if (status == RECO_OK) {
        reco_open_options options = {.struct_size = sizeof options, .flags = flags, .data = data, .settings = given};
        status = reco_open(out, &options, NULL, err);
    }
    reco_settings_free(given);
    return status;
}

reco_engine *test_engine_open(const char *data, uint32_t flags, const char *const *settings) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    test_ok(test_engine_try(&engine, data, flags, settings, &err), &err);
    return engine;
}

/* --- learning ------------------------------------------------------------------------------------------------------------------------------ */

static void learn(reco_engine *engine, uint32_t batch_events, uint64_t most, reco_progress *total) {
    reco_error err = RECO_ERROR_INIT;
    reco_processor *processor = NULL;
    reco_processor_options options = {.struct_size = sizeof options, .batch_events = batch_events};
    reco_progress progress = {.struct_size = sizeof progress};

    test_ok(reco_processor_open(&processor, engine, &options, NULL, &err), &err);
    do {
        test_ok(reco_processor_step(&progress, processor, NULL, &err), &err);
    } while (!progress.idle && progress.records < most);
    reco_processor_close(processor);
    if (total) {
        *total = progress;
    }
}

void test_engine_learn(reco_engine *engine, uint32_t batch_events, reco_progress *total) { learn(engine, batch_events, UINT64_MAX, total); }
void test_engine_learn_some(reco_engine *engine, uint32_t batch_events, uint64_t records) { learn(engine, batch_events, records, NULL); }

void test_engine_hash(char out[40], reco_engine *engine) {
    reco_error err = RECO_ERROR_INIT;
    test_ok(reco_state_hash(out, engine, NULL, &err), &err);
}

reco_verification test_engine_verify(reco_engine *engine, const char *snapshot) {
    reco_error err = RECO_ERROR_INIT;
    reco_verify_options options = {.struct_size = sizeof options, .snapshot = snapshot};
    reco_verification found = {.struct_size = sizeof found};

    test_ok(reco_verify(&found, engine, &options, NULL, &err), &err);
    ck_assert_msg(found.equal == 1, "not equal: %s (%s, replayed %s)", found.difference, found.hash, found.replayed);
    return found;
}

/* --- copying ------------------------------------------------------------------------------------------------------------------------------- */

enum { COPY_RECORDS = 2000 };

typedef struct copy {
    reco__buf bytes;
    reco_stream_record records[COPY_RECORDS];
    size_t starts[COPY_RECORDS];
    size_t count;
} copy;

static int copy_take(void *context, int64_t offset, const void *data, size_t size) {
    copy *to = context;
    reco__record record;
    (void)offset;
    ck_assert_int_eq(reco__envelope_decode(&record, data, size, NULL), RECO_OK);
    to->starts[to->count] = to->bytes.size;
    to->records[to->count++] = (reco_stream_record){.size = (uint32_t)size, .received_at = record.received_at};
    reco__buf_add(&to->bytes, data, size);
    return 0;
}

static uint64_t copy_partition(reco_engine *to, reco_engine *from, uint32_t partition, uint64_t most, copy *room) {
    reco_error err = RECO_ERROR_INIT;
    uint64_t done = 0;

    for (;;) {
        uint64_t left = most ? most - done : COPY_RECORDS;
        reco__buf_reset(&room->bytes);
        room->count = 0;
        if (left) {
            test_ok(reco__stream_read(from->stream, partition, (int64_t)done, left < COPY_RECORDS ? (uint32_t)left : COPY_RECORDS, 64u << 20,
                                      copy_take, room, NULL, &err),
                    &err);
        }
        if (room->count == 0) {
            return done;
        }
        ck_assert_int_eq(room->bytes.failed, RECO_OK);
        for (size_t i = 0; i < room->count; i++) {
            room->records[i].data = room->bytes.data + room->starts[i];
            room->records[i].partition = partition;
        }
        test_ok(reco__stream_append(NULL, to->stream, room->records, room->count, RECO_APPEND_NO_TICKS, NULL, NULL, 0, NULL, &err), &err);
        done += room->count;
    }
}

uint64_t test_engine_copy(reco_engine *to, reco_engine *from, uint64_t most) {
    copy *room = calloc(1, sizeof *room);
    uint64_t records = 0;

    ck_assert_ptr_nonnull(room);
    ck_assert_uint_eq(to->partitions, from->partitions);
    for (uint32_t p = 0; p < from->partitions; p++) {
        records += copy_partition(to, from, p, most, room);
    }
    reco__buf_dispose(&room->bytes);
    free(room);
    return records;
}

/* --- events -------------------------------------------------------------------------------------------------------------------------------- */

reco_event test_event(const char *user, const char *item, const char *type) {
    reco_event event = {.user_id = {user, strlen(user)}, .item_id = {item, strlen(item)}, .event_type = {type, strlen(type)}};
    return event;
}

void test_engine_tell(char position[RECO_POSITION_MAX], reco_engine *engine, const reco_event *event) {
    reco_error err = RECO_ERROR_INIT;
    reco_receipt receipt = {.struct_size = sizeof receipt};

    test_ok(reco_ingest(&receipt, engine, event, 1, sizeof *event, NULL, NULL, &err), &err);
    ck_assert_uint_eq(receipt.accepted, 1);
    if (position) {
        memcpy(position, receipt.position, RECO_POSITION_MAX);
    }
}

/* --- processes ----------------------------------------------------------------------------------------------------------------------------- */

reco_status test_ask(reco_reply *reply, reco_engine *engine, uint32_t kind, const char *query, const reco_call *call, reco_error *err) {
    const reco_ask_input input = {.struct_size = sizeof input, .kind = kind, .query_string = query};
    return reco_ask_json(reply, engine, &input, call, err);
}

pid_t test_fork(void) {
    pid_t parent = getpid(), child;

    fflush(NULL);
    child = fork();
    ck_assert_msg(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(2);
        }
    }
    return child;
}

void test_child_fail(const char *what, const reco_error *err) {
    fprintf(stderr, "child: %s: %s: %s: %s\n", what, reco_status_name(err->status), err->field, err->text);
    fflush(stderr);
    _exit(2);
}

int test_child_end(pid_t child) {
    int status;

    while (waitpid(child, &status, 0) < 0) {
        ck_assert_msg(errno == EINTR, "waitpid: %s", strerror(errno));
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void *test_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_msg(memory != MAP_FAILED, "mmap: %s", strerror(errno));
    return memory;
}

bool test_full(void) {
    const char *value = getenv("RECO_FULL");
    return value && *value && strcmp(value, "0") != 0;
}
