/* processes.c - three processes on one directory: one takes events in, one learns, one answers. It is what reco-ingest, reco-processor and reco-api
 * are to each other, without HTTP.
 *
 *     example_processes DIRECTORY
 *
 * What to take home: a directory may be open in many processes, each opens it for itself, after fork and never before; they wake each other by
 * shared memory, so a position handed from one to the other is learned and answered within milliseconds; any of them may be killed at any moment. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <reco.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define VIEW(user, item)                                                                                                                             \
    { .user_id = TEXT(user), .item_id = TEXT(item), .event_type = TEXT("view") }

static const reco_event views[] = {VIEW("ann", "tea"), VIEW("ann", "pot"), VIEW("bob", "tea"), VIEW("bob", "pot"), VIEW("eve", "tea")};

static volatile int32_t ending; /* set by SIGTERM; libreco looks at it while it waits */

static void on_term(int number) {
    (void)number;
    ending = 1;
}

static int complain(const char *who, reco_status status, const reco_error *err) {
    if (status != RECO_OK)
        fprintf(stderr, "%s: %s: %s\n", who, reco_status_name(status), err->text);
    return status == RECO_OK ? 0 : 1;
}

static reco_status open_here(reco_engine **engine, const char *folder, uint32_t flags, reco_error *err) {
    reco_open_options options = {.struct_size = sizeof options, .flags = flags, .data = folder};
    return reco_open(engine, &options, NULL, err);
}

/* Takes the events and tells the asker where they stand in the stream. */
static int ingest(const char *folder, int to_asker) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = open_here(&engine, folder, RECO_OPEN_NO_ANSWERS, &err);
    if (status == RECO_OK)
        status = reco_ingest(&receipt, engine, views, COUNT(views), sizeof *views, NULL, NULL, &err);
    reco_close(engine);
    if (status == RECO_OK && write(to_asker, receipt.position, sizeof receipt.position) != (ssize_t)sizeof receipt.position)
        return 1;
    return complain("ingest", status, &err);
}

/* Learns until it is told to end. Several of these would share the partitions; what one of them had in hand when it was killed another one does. */
static int process(const char *folder) {
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_processor *processor = NULL;
    reco_progress progress = {.struct_size = sizeof progress};
    reco_call call = {.struct_size = sizeof call, .cancel = &ending};
    reco_status status = open_here(&engine, folder, RECO_OPEN_NO_ANSWERS, &err);
    if (status == RECO_OK)
        status = reco_processor_open(&processor, engine, NULL, NULL, &err);
    while (status == RECO_OK && !ending) {
        status = reco_processor_step(&progress, processor, &call, &err);
        if (status == RECO_OK && progress.idle)
            status = reco_processor_wait(processor, 100, &call, &err);
    }
    if (ending)
        status = RECO_OK; /* CANCELLED: as asked */
    reco_processor_close(processor);
    reco_close(engine);
    if (status == RECO_OK)
        printf("processor: %llu events\n", (unsigned long long)progress.events);
    return complain("processor", status, &err);
}

/* Waits for a position and answers. */
static int ask(const char *folder, int from_ingest) {
    char position[RECO_POSITION_MAX] = "";
    reco_error err = RECO_ERROR_INIT;
    reco_engine *engine = NULL;
    reco_answer *answer = NULL;
    for (size_t got = 0; got < sizeof position;) {
        ssize_t size = read(from_ingest, position + got, sizeof position - got);
        if (size <= 0)
            return 1; /* ingest is gone */
        got += (size_t)size;
    }
    reco_query query = {.struct_size = sizeof query, .user_id = TEXT("eve"), .limit = 5, .min_position = {position, strlen(position)}};
    reco_status status = open_here(&engine, folder, 0, &err);
    if (status == RECO_OK)
        status = reco_wait(engine, query.min_position, 60000, NULL, &err); /* however long the others took to start */
    if (status == RECO_OK)
        status = reco_recommend(&answer, engine, &query, NULL, &err);
    if (status == RECO_OK) {
        printf("asker:%s", answer->flags & RECO_ANSWER_BEHIND ? " (behind)" : "");
        for (size_t i = 0; i < answer->count; i++)
            printf(" %.*s", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
        printf("\n");
    }
    reco_answer_free(answer);
    reco_close(engine);
    return complain("asker", status, &err);
}

/* Each part in a process of its own; answers its id. */
static pid_t start(int part, const char *folder, const int *ends) {
    pid_t child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* when the first process is killed, none of the others stays behind */
    if (part != 1)
        close(ends[1]); /* or the asker would never see that ingest is gone */
    int code = part == 0 ? process(folder) : part == 1 ? ingest(folder, ends[1]) : ask(folder, ends[0]);
    fflush(stdout);
    _exit(code);
}

static int ended_well(pid_t child) {
    int how = 1;
    return child > 0 && waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

int main(int argc, char **argv) {
    int ends[2];
    pid_t parts[3];
    struct sigaction action;
    if (argc != 2 || pipe(ends) != 0) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_term;
    sigaction(SIGTERM, &action, NULL); /* before fork: a signal must not come before its handler */
    for (int part = 0; part < 3; part++)
        parts[part] = start(part, argv[1], ends);
    close(ends[0]);
    close(ends[1]);
    int fine = ended_well(parts[1]);
    fine = ended_well(parts[2]) && fine;
    if (parts[0] > 0)
        kill(parts[0], SIGTERM);
    return ended_well(parts[0]) && fine ? 0 : 1;
}
