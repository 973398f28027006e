/* base/error.c - statuses and what is said about a failure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"
#include "base/utf8.h"

/* No struct of the public interface comes near this; a struct_size above it is an uninitialised field, and reading that far would be a fault. */
#define STRUCT_SIZE_MAX 4096

typedef struct status_row {
    const char *name, *text;
    int number, retriable, http;
} status_row;

static const status_row *find_status(int32_t status) {
    static const status_row rows[] = {
#define STATUS_ROW(name, number, retriable, http, text) {#name, text, number, retriable, http},
        RECO_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].number == status) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *reco_status_text(int32_t status) {
    const status_row *row = find_status(status);
    return row ? row->text : "unknown status";
}

const char *reco_status_name(int32_t status) {
    const status_row *row = find_status(status);
    return row ? row->name : "UNKNOWN";
}

int reco_status_retriable(int32_t status) {
    const status_row *row = find_status(status);
    return row ? row->retriable : 0;
}

int reco_status_http(int32_t status) {
    const status_row *row = find_status(status);
    return row ? row->http : 500;
}

static void copy_cut(char *out, size_t capacity, const char *text) {
    size_t size = strlen(text);
    if (size >= capacity) {
        size = reco__utf8_cut(text, capacity - 1);
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

static reco_status fail(reco_error *err, reco_status status, int32_t index, const char *field, const char *format, va_list args) {
    /* One byte more than the text, so that a cut is seen; aside, because the arguments may point into `err` when an error is wrapped. */
    char text[sizeof(err->text) + 1], name[sizeof(err->field)];

    if (!err) {
        return status;
    }
    if (vsnprintf(text, sizeof(text), format, args) <= 0) {
        copy_cut(text, sizeof(text), reco_status_text(status));
    }
    copy_cut(name, sizeof(name), field ? field : "");
    err->status = status;
    err->index = index;
    memcpy(err->field, name, sizeof(name));
    copy_cut(err->text, sizeof(err->text), text);
    return status;
}

reco_status reco__fail(reco_error *err, reco_status status, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(err, status, -1, field, format, args);
    va_end(args);
    return status;
}

reco_status reco__fail_at(reco_error *err, reco_status status, int32_t index, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fail(err, status, index, field, format, args);
    va_end(args);
    return status;
}

reco_status reco__fail_as(reco_error *err, const reco_error *error) {
    if (err) {
        *err = *error;
    }
    return (reco_status)error->status;
}

reco_status reco__no_memory(reco_error *err) { return reco__fail(err, RECO_NO_MEMORY, NULL, "out of memory"); }

reco_status reco__fail_errno(reco_error *err, int error_number, const char *what) {
    char room[128];
    reco_status status = RECO_IO;

    if (error_number == ENOSPC || error_number == EDQUOT) {
        status = RECO_FULL;
    } else if (error_number == ENOMEM) {
        status = RECO_NO_MEMORY;
    }
    return reco__fail(err, status, NULL, "%s: %s", what, strerror_r(error_number, room, sizeof(room)));
}

reco_status reco__backend_status(const char *room, reco_status status, reco_error *err) {
    if (status == RECO_OK) {
        return RECO_OK;
    }
    if (!find_status((int32_t)status)) {
        return reco__fail(err, RECO_INTERNAL, NULL, "%s: the backend answered %d, which is no status", room, (int)status);
    }
    if (err && (err->text[0] == '\0' || err->status != (int32_t)status)) {
        return reco__fail(err, status, NULL, "%s: %s", room, reco_status_text((int32_t)status));
    }
    return status;
}

static bool all_zero(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        if (*at++ != 0) {
            return false;
        }
    }
    return true;
}

reco_status reco__struct_copy(void *out, size_t size, const void *in, size_t given, const char *name, reco_error *err) {
    return reco__struct_copy_since(out, size, size, in, given, name, err);
}

reco_status reco__struct_copy_since(void *out, size_t size, size_t least, const void *in, size_t given, const char *name, reco_error *err) {
    memset(out, 0, size);
    if (!in) {
        return RECO_OK;
    }
    if (given == 0 || given > STRUCT_SIZE_MAX) {
        return reco__fail(err, RECO_INVALID, name, "the size of %s is given as %zu bytes: set it to sizeof of the struct", name, given);
    }
    if (given < least) {
        return reco__fail(err, RECO_INVALID, name, "the size of %s is given as %zu bytes, it has %zu: set it to sizeof of the struct", name, given,
                          size);
    }
    const uint8_t *bytes = in;
    if (given > size && !all_zero(bytes + size, bytes + given)) {
        return reco__fail(err, RECO_INVALID, name, "%s has fields that this version of libreco does not know (%zu bytes, %zu known)", name, given,
                          size);
    }
    memcpy(out, in, given < size ? given : size);
    return RECO_OK;
}

/* The first published form of reco_call ends before `progress`; a shorter one was never valid. */
#define CALL_LEAST offsetof(reco_call, progress)

static bool call_is_known(const reco_call *call) {
    return call->struct_size >= CALL_LEAST && call->struct_size <= STRUCT_SIZE_MAX && call->flags == 0 &&
           (call->struct_size <= sizeof(*call) || all_zero((const uint8_t *)call + sizeof(*call), (const uint8_t *)call + call->struct_size));
}

bool reco__call_is_cancelled(const reco_call *call) { return call && call->cancel && __atomic_load_n(call->cancel, __ATOMIC_RELAXED) != 0; }

reco_status reco__call_check(const reco_call *call, reco_error *err) {
    if (!call) {
        return RECO_OK;
    }
    if (!call_is_known(call)) {
        return reco__fail(err, RECO_INVALID, "call", "call has a wrong struct_size, or flags or fields that this version of libreco does not know");
    }
    if (reco__call_is_cancelled(call)) {
        return reco__fail(err, RECO_CANCELLED, NULL, "the caller cancelled the call");
    }
    if (call->deadline_ns != 0 && reco__monotonic_ns() >= call->deadline_ns) {
        return reco__fail(err, RECO_TIMEOUT, NULL, "the deadline of the call has passed");
    }
    return RECO_OK;
}

int64_t reco__call_left_ns(const reco_call *call) {
    if (!call || call->struct_size < CALL_LEAST || call->deadline_ns == 0) {
        return INT64_MAX;
    }
    int64_t now = reco__monotonic_ns();
    return call->deadline_ns > now ? call->deadline_ns - now : 0;
}

const reco_call *reco__call_within(reco_call *own, const reco_call *call, int64_t ns) {
    *own = (reco_call){.struct_size = sizeof(*own), .deadline_ns = reco__monotonic_ns() + ns};
    if (call) {
        own->deadline_ns = reco__call_left_ns(call) < ns ? call->deadline_ns : own->deadline_ns;
        own->cancel = call->cancel;
        own->traceparent = call->traceparent;
    }
    return own;
}

void reco__call_progress(const reco_call *call, const char *what, const char *unit, uint64_t done, uint64_t total) {
    if (!call || call->struct_size < sizeof(*call) || !call->progress) {
        return;
    }
    reco_work work = {.struct_size = sizeof work, .what = what, .unit = unit, .done = done, .total = total};
    call->progress(call->progress_context, &work);
}
