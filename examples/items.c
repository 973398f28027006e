/* items.c - what is known of items decides what may be recommended: hidden, availability, categories, attributes; and how to change a part of it.
 *
 * What to take home: items are documents of the application, kept apart from what is learned; the very next answer knows of a change; an item that
 * is forgotten or hidden keeps what was learned of it and is back when it is put again; a question can say itself which items it wants. */
#include <stdio.h>
#include <string.h>

#include <reco.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ITEM(id, category) .item_id = TEXT(id), .categories = category, .category_count = 1
#define VIEW(user, item)                                                                                                                             \
    { .user_id = TEXT(user), .item_id = TEXT(item), .event_type = TEXT("view") }
#define YEAR_2020 1577836800000 /* milliseconds since 1970 */

static const reco_str drinks = TEXT("drinks"), dishes = TEXT("dishes");

static const reco_item items[] = {
    {ITEM("tea", &drinks), .title = TEXT("Green tea"), .attributes = TEXT("{\"price\":7,\"brand\":\"hill\"}")},
    {ITEM("coffee", &drinks), .attributes = TEXT("{\"price\":9,\"brand\":\"coast\"}")},
    {ITEM("mulled wine", &drinks), .available_until = YEAR_2020}, /* it was for sale until then */
    {ITEM("pot", &dishes)},
    {ITEM("recalled pot", &dishes), .flags = RECO_ITEM_HIDDEN},
};

/* Ten visitors looked at everything. */
static const reco_event views[] = {VIEW("u1", "tea"), VIEW("u1", "coffee"), VIEW("u1", "mulled wine"), VIEW("u1", "pot"), VIEW("u1", "recalled pot"),
                                   VIEW("u2", "tea"), VIEW("u2", "coffee"), VIEW("u2", "pot"),         VIEW("u3", "tea"), VIEW("u4", "pot")};

/* What a question may ask for: here nothing dear, nothing of this one brand, and never the same brand twice. */
static const reco_value coast = {.type = RECO_VALUE_STRING, .text = TEXT("coast")};
static const reco_filter filters[] = {
    {.attribute = TEXT("price"), .op = RECO_FILTER_RANGE, .flags = RECO_FILTER_MAX | RECO_FILTER_MISSING, .max = 20}, /* or no price at all */
    {.attribute = TEXT("brand"), .op = RECO_FILTER_ANY_OF, .flags = RECO_FILTER_NOT | RECO_FILTER_MISSING, .values = &coast, .value_count = 1},
};
static const reco_cap caps[] = {{.attribute = TEXT("brand"), .most = 1}};
static const reco_selection selection = {.struct_size = sizeof selection,
                                         .filters = filters,
                                         .filter_count = COUNT(filters),
                                         .filter_size = sizeof *filters,
                                         .caps = caps,
                                         .cap_count = COUNT(caps),
                                         .cap_size = sizeof *caps};

static void print_ids(const char *title, const reco_answer *answer) {
    printf("%s:", title);
    for (size_t i = 0; i < answer->count; i++)
        printf("%s %.*s", i > 0 ? "," : "", (int)answer->items[i].item_id.size, answer->items[i].item_id.data);
    printf("\n");
}

/* For a visitor of whom only the session is known: nothing has to be learned of them first. */
static reco_status ask(reco_engine *engine, const char *title, int64_t as_of, const reco_selection *which, reco_error *err) {
    const reco_event session[] = {{.item_id = TEXT("tea")}};
    reco_query query = {.struct_size = sizeof query,
                        .session = session,
                        .session_count = 1,
                        .event_size = sizeof *session,
                        .limit = 10,
                        .as_of = as_of,
                        .selection = which};
    reco_answer *answer = NULL;
    reco_status status = reco_recommend(&answer, engine, &query, NULL, err);
    if (status == RECO_OK)
        print_ids(title, answer);
    reco_answer_free(answer);
    return status;
}

static reco_status popular(reco_engine *engine, reco_str category, reco_error *err) {
    reco_popular_query query = {.struct_size = sizeof query, .category = category, .limit = 10};
    reco_answer *answer = NULL;
    reco_status status = reco_popular(&answer, engine, &query, NULL, err);
    if (status == RECO_OK)
        print_ids("popular of one category", answer);
    reco_answer_free(answer);
    return status;
}

/* A merge patch (RFC 7396) changes what it names; the answer is the document as it is now. */
static reco_status patch(reco_engine *engine, const char *change, reco_error *err) {
    const reco_str coffee = TEXT("coffee");
    char *json = NULL;
    reco_status status = reco_item_patch(&json, engine, coffee, change, strlen(change), NULL, err);
    if (status == RECO_OK)
        printf("coffee is now %s\n", json);
    reco_free(json);
    return status;
}

static reco_status run(reco_engine *engine, reco_error *err) {
    const reco_str tea = TEXT("tea");
    reco_status status = reco_items_put(engine, items, COUNT(items), sizeof *items, NULL, err);
    if (status == RECO_OK)
        status = reco_ingest(NULL, engine, views, COUNT(views), sizeof *views, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, err);
    if (status == RECO_OK)
        status = ask(engine, "goes with tea", 0, NULL, err);
    if (status == RECO_OK)
        status = ask(engine, "in 2019 it had been", YEAR_2020 - 1, NULL, err); /* availability as of another moment */
    if (status == RECO_OK)
        status = ask(engine, "cheap, and not of coast", 0, &selection, err);
    if (status == RECO_OK)
        status = popular(engine, dishes, err);
    if (status == RECO_OK)
        status = patch(engine, "{\"hidden\":true,\"price\":8}", err);
    if (status == RECO_OK)
        status = ask(engine, "coffee is hidden", 0, NULL, err);
    if (status == RECO_OK)
        status = patch(engine, "{\"hidden\":null}", err);
    if (status == RECO_OK)
        status = ask(engine, "and back", 0, NULL, err);
    if (status == RECO_OK)
        status = reco_item_delete(engine, tea, NULL, err); /* its document; what was learned of it stays */
    if (status == RECO_OK)
        status = ask(engine, "tea has no document", 0, NULL, err);
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
