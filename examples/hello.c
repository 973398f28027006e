/* hello.c - the whole way once: open, describe items, take events, learn, ask, click, ask again.
 *
 *     example_hello            in memory
 *     example_hello DIRECTORY  in a directory: run it twice, and the second run knows what the first one learned */
#include <stdio.h>
#include <string.h>

#include <reco.h>

#define TEXT(text) {text, sizeof text - 1}
#define ITEM(id, name, category) {.item_id = TEXT(id), .title = TEXT(name), .categories = category, .category_count = 1}
#define EVENT(user, item, type) {.user_id = TEXT(user), .item_id = TEXT(item), .event_type = TEXT(type)}

static const reco_str horror = TEXT("Horror"), drama = TEXT("Drama");

static const reco_item items[] = {ITEM("f1", "Alien", &horror), ITEM("f2", "The Thing", &horror), ITEM("f3", "Solaris", &drama),
                                  ITEM("f4", "Stalker", &drama)};

static const reco_event history[] = {EVENT("ann", "f1", "view"), EVENT("ann", "f2", "view"), EVENT("ann", "f3", "view"),
                                     EVENT("bob", "f1", "view"), EVENT("bob", "f2", "like"), EVENT("cid", "f3", "view"),
                                     EVENT("cid", "f4", "purchase"), EVENT("dan", "f4", "view"), EVENT("dan", "f3", "view"),
                                     EVENT("eve", "f1", "view")};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int print(int length, const char *text) { return printf("%.*s", length, text); }

/* One line an item: rank, id, score, and what the score is made of. */
static void show(const char *title, const reco_answer *answer) {
    printf("%s%s\n", title, answer->flags & RECO_ANSWER_FALLBACK ? " (nothing personal is known)" : "");
    for (size_t i = 0; i < answer->count; i++) {
        const reco_answer_item *item = &answer->items[i];
        printf("  %u. ", item->rank);
        print((int)item->item_id.size, item->item_id.data);
        printf(" %.3f =", (double)item->score / RECO_SCORE_UNIT);
        for (uint32_t r = 0; r < item->reason_count; r++) {
            const reco_reason *reason = &item->reasons[r];
            printf("%s %.3f ", r > 0 ? " +" : "", (double)reason->score / RECO_SCORE_UNIT);
            print((int)reason->source.size, reason->source.data);
            printf("%s", reason->because.size > 0 ? " of " : "");
            print((int)reason->because.size, reason->because.data);
        }
        printf("\n");
    }
}

/* Asks for eve, twice: before and after one more view. The second question names the position of that view, so its answer reflects it. */
static reco_status ask(reco_engine *engine, reco_answer **answer, reco_error *err) {
    const reco_event click = EVENT("eve", "f3", "view");
    reco_query query = {.struct_size = sizeof query, .user_id = TEXT("eve"), .limit = 3};
    reco_receipt receipt = {.struct_size = sizeof receipt};
    reco_status status = reco_recommend(answer, engine, &query, NULL, err);
    if (status != RECO_OK)
        return status;
    show("for eve", *answer);
    status = reco_ingest(&receipt, engine, &click, 1, sizeof click, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, err);
    query.min_position = (reco_str){receipt.position, strlen(receipt.position)};
    if (status == RECO_OK)
        status = reco_recommend(answer, engine, &query, NULL, err);
    if (status == RECO_OK)
        show("for eve, after she viewed f3", *answer);
    return status;
}

static reco_status run(reco_engine *engine, reco_error *err) {
    reco_answer *answer = NULL;
    reco_verification proof = {.struct_size = sizeof proof};
    reco_status status = reco_items_put(engine, items, COUNT(items), sizeof *items, NULL, err);
    if (status == RECO_OK)
        status = reco_ingest(NULL, engine, history, COUNT(history), sizeof *history, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, err);
    if (status == RECO_OK)
        status = ask(engine, &answer, err);
    if (status == RECO_OK)
        status = reco_verify(&proof, engine, NULL, NULL, err);
    if (status == RECO_OK)
        printf("learned = replayed: %s\n", proof.equal ? "yes" : proof.difference);
    reco_answer_free(answer);
    return status;
}

int main(int argc, char **argv) {
    reco_open_options options = {.struct_size = sizeof options, .data = argc > 1 ? argv[1] : "memory:"};
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
