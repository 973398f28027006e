/* batches.c - many events at once, and everything that can be wrong with them: which one, which field, what to do about it.
 *
 * What to take home: events are judged one by one unless ATOMIC is asked; OK means that at least one was accepted and all accepted ones are durable;
 * an event with an event_id may be sent again after any doubt, it counts once. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include <reco.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LONG_AGO 1000000000000 /* 2001, in milliseconds */

static const reco_event batch[] = {
    {.user_id = TEXT("ann"), .item_id = TEXT("tea"), .event_type = TEXT("view"), .event_id = TEXT("e-1")},
    {.user_id = TEXT("ann"), .item_id = TEXT(""), .event_type = TEXT("view")},                             /* no item */
    {.user_id = TEXT("ann"), .item_id = TEXT("tea"), .event_type = TEXT("veiw")},                          /* no such type */
    {.user_id = TEXT("ann"), .item_id = TEXT("tea"), .event_type = TEXT("view"), .timestamp = LONG_AGO},   /* beyond the lateness */
    {.user_id = TEXT("ann"), .item_id = TEXT("tea"), .event_type = TEXT("view"), .properties = TEXT("[")}, /* no JSON object */
    {.user_id = TEXT("bob"), .item_id = TEXT("pot"), .event_type = TEXT("purchase"), .event_id = TEXT("e-2")},
};

/* Takes the batch. What was refused is in errors[], in the order of the batch: index, field and a sentence for the log. */
static reco_status send(reco_engine *engine, uint32_t flags, reco_error *err) {
    reco_error errors[COUNT(batch)];
    reco_ingest_options options = {.struct_size = sizeof options, .flags = flags, .errors = errors, .errors_room = COUNT(errors)};
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = reco_ingest(&receipt, engine, batch, COUNT(batch), sizeof *batch, &options, NULL, err);
    printf("%s: %s, %u accepted, %u rejected\n", flags & RECO_INGEST_ATOMIC ? "atomic" : "one by one", reco_status_name(status), receipt.accepted,
           receipt.rejected);
    for (uint32_t i = 0; i < receipt.error_count; i++)
        printf("  event %d, %s: %s\n", errors[i].index, errors[i].field, reco_status_name(errors[i].status));
    return status;
}

/* A call that must be over by a moment of the monotonic clock; here one that has passed. What is retriable may be sent again as it is. */
static void send_too_late(reco_engine *engine) {
    struct timespec now;
    reco_error err = RECO_ERROR_INIT;
    clock_gettime(CLOCK_MONOTONIC, &now);
    reco_call call = {.struct_size = sizeof call, .deadline_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    reco_status status = reco_ingest(NULL, engine, batch, 1, sizeof *batch, NULL, &call, &err);
    printf("past its deadline: %s, %s\n", reco_status_name(status), reco_status_retriable(status) ? "may be sent again" : "to be given up");
}

static reco_status run(reco_engine *engine, reco_error *err) {
    reco_progress progress = {.struct_size = sizeof progress};
    reco_status status = send(engine, RECO_INGEST_ATOMIC, err); /* all or none: none */
    if (status == RECO_OK)
        return RECO_INTERNAL;
    printf("  because of event %d: %s\n", err->index, err->text);
    status = send(engine, 0, err);
    if (status == RECO_OK)
        status = send(engine, 0, err); /* an answer was lost, perhaps: the same once more */
    if (status == RECO_OK)
        status = reco_process(&progress, engine, NULL, err);
    if (status == RECO_OK)
        printf("learned from %llu events, passed over %llu that came twice\n", (unsigned long long)(progress.events - progress.duplicates),
               (unsigned long long)progress.duplicates);
    send_too_late(engine);
    return status;
}

int main(void) {
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:"};
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_status status = reco_open(&engine, &options, NULL, &err);
    if (status == RECO_OK)
        status = run(engine, &err);
    reco_close(engine);
    if (status != RECO_OK)
        fprintf(stderr, "%s: %s (%s)\n", reco_status_name(status), err.text, err.field);
    return status == RECO_OK ? 0 : 1;
}
