/* threads.c - one engine, many threads: some take events in, some ask, and a processor of the library learns behind them.
 *
 * What to take home: reco_engine is SHARED, every thread may call it at any time without a lock of its own; an answer, a receipt, an error are
 * CONFINED, each thread has its own. With RECO_OPEN_BACKGROUND libreco starts the threads that learn; a position makes sure that a question
 * reflects what was taken in before. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <reco.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }

enum { WRITERS = 4, READERS = 4, ROUNDS = 25, ITEMS = 20 };

typedef struct worker {
    reco_engine *engine;
    int number;
    int failed;
    unsigned done, reflected;
    reco_error err;
} worker;

/* A visitor who looks at one item after the other, and asks after each. */
static reco_status look_and_ask(worker *self, reco_answer **answer, int round) {
    char user[16], item[16];
    snprintf(user, sizeof user, "visitor-%d", self->number);
    snprintf(item, sizeof item, "item-%d", (self->number + round) % ITEMS);
    reco_event view = {.user_id = {user, strlen(user)}, .item_id = {item, strlen(item)}, .event_type = TEXT("view")};
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = reco_ingest(&receipt, self->engine, &view, 1, sizeof view, NULL, NULL, &self->err); /* durable when it answers */
    if (status != RECO_OK)
        return status;
    reco_query query = {.struct_size = sizeof query, .user_id = view.user_id, .limit = 5};
    query.min_position = (reco_str){receipt.position, strlen(receipt.position)};
    query.wait_ms = 2000; /* as long as the settings allow; on a quiet machine it takes a millisecond or two */
    status = reco_recommend(answer, self->engine, &query, NULL, &self->err);
    if (status == RECO_OK)
        self->reflected += !((*answer)->flags & RECO_ANSWER_BEHIND);
    return status;
}

static void *write_and_read(void *context) {
    worker *self = context;
    reco_answer *answer = NULL; /* used again and again: its memory is kept */
    for (int round = 0; round < ROUNDS && !self->failed; round++) {
        self->failed = look_and_ask(self, &answer, round) != RECO_OK;
        self->done++;
    }
    reco_answer_free(answer);
    return NULL;
}

static void *read_only(void *context) {
    worker *self = context;
    reco_answer *answer = NULL;
    reco_popular_query query = {.struct_size = sizeof query, .limit = 5};
    for (int round = 0; round < ROUNDS && !self->failed; round++) {
        self->failed = reco_popular(&answer, self->engine, &query, NULL, &self->err) != RECO_OK;
        self->done++;
    }
    reco_answer_free(answer);
    return NULL;
}

static int run(reco_engine *engine) {
    pthread_t threads[WRITERS + READERS];
    worker workers[WRITERS + READERS];
    unsigned written = 0, read = 0, reflected = 0;
    int started = 0, failed = 0;
    memset(workers, 0, sizeof workers);
    for (; started < WRITERS + READERS; started++) {
        workers[started].engine = engine;
        workers[started].number = started;
        if (pthread_create(&threads[started], NULL, started < WRITERS ? write_and_read : read_only, &workers[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        written += i < WRITERS ? workers[i].done : 0;
        read += workers[i].done;
        reflected += workers[i].reflected;
        if (workers[i].failed)
            fprintf(stderr, "thread %d: %s\n", i, workers[i].err.text);
        failed |= workers[i].failed;
    }
    printf("%u events taken, %u questions answered, %u of them reflect the event before\n", written, read, reflected);
    return failed || started < WRITERS + READERS;
}

int main(void) {
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .flags = RECO_OPEN_BACKGROUND};
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_verification proof = {.struct_size = sizeof proof};
    int failed = 1;
    reco_status status = reco_open(&engine, &options, NULL, &err);
    if (status == RECO_OK)
        failed = run(engine);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, &err); /* the processor in the background learns: this waits until it has learned all */
    if (status == RECO_OK)
        status = reco_verify(&proof, engine, NULL, NULL, &err);
    if (status == RECO_OK)
        printf("learned = replayed: %s, %llu events\n", proof.equal ? "yes" : proof.difference, (unsigned long long)proof.events);
    reco_close(engine); /* no other call may be under way: the threads were joined before */
    if (status != RECO_OK)
        fprintf(stderr, "%s: %s (%s)\n", reco_status_name(status), err.text, err.field);
    return status == RECO_OK && !failed ? 0 : 1;
}
