/* stage.c - steps of answering of one's own: a source that knows this week's offers, and a filter that knows what is out of stock.
 *
 * What to take home: a stage is a table of functions and a name; recommend.stages says which take part and with what options. It works on the
 * candidates of one question through reco/plugin/stage.h, may run in several threads at once, and what it adds to a score is a reason by its name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reco.h>
#include <reco/plugin/stage.h>

#define TEXT(text)                                                                                                                                   \
    { text, sizeof text - 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define VIEW(user, item)                                                                                                                             \
    { .user_id = TEXT(user), .item_id = TEXT(item), .event_type = TEXT("view") }

static const reco_event views[] = {VIEW("ann", "tea"), VIEW("ann", "pot"), VIEW("bob", "tea"),   VIEW("bob", "cup"),
                                   VIEW("cid", "jam"), VIEW("cid", "cup"), VIEW("dan", "honey"), VIEW("eve", "tea")};

/* --- the source ----------------------------------------------------------------------------------------------------------------------------- */

static const reco_str offers[] = {TEXT("jam"), TEXT("honey"), TEXT("a novelty nobody has looked at")};

/* What create has made of the options belongs to the stage. */
struct reco_stage {
    int64_t score;
};

/* The options are the JSON object of the setting, {"points": N}. An application with more of them uses its JSON library here. */
static reco_status offers_create(reco_stage **out, reco_str options, const reco_call *call, reco_error *err) {
    char text[64];
    int points = 1;
    (void)call;
    snprintf(text, sizeof text, "%.*s", (int)options.size, options.size > 0 ? options.data : "");
    if (options.size > 0 && (sscanf(text, " { \"points\" : %d }", &points) != 1 || points < 1 || points > 1000)) {
        err->status = RECO_INVALID; /* a stage says itself what is wrong: reco_open answers it */
        snprintf(err->field, sizeof err->field, "points");
        snprintf(err->text, sizeof err->text, "must be a number from 1 to 1000");
        return RECO_INVALID;
    }
    *out = malloc(sizeof **out);
    if (!*out)
        return RECO_NO_MEMORY;
    (*out)->score = (int64_t)points * RECO_SCORE_UNIT;
    return RECO_OK;
}

static void offers_destroy(reco_stage *stage) { free(stage); }

static reco_status offers_run(reco_stage *stage, reco_candidates *candidates, const reco_call *call, reco_error *err) {
    const reco_str nothing = {NULL, 0};
    reco_status status = RECO_OK;
    (void)call;
    for (size_t i = 0; i < COUNT(offers) && status == RECO_OK; i++) {
        status = reco_candidates_add(candidates, offers[i], stage->score, nothing, err);
        if (status == RECO_NOT_FOUND)
            status = RECO_OK; /* nothing was learned of it yet: it cannot be recommended */
    }
    return status;
}

/* --- the filter ----------------------------------------------------------------------------------------------------------------------------- */

static reco_status stock_create(reco_stage **out, reco_str options, const reco_call *call, reco_error *err) {
    (void)options, (void)call, (void)err;
    *out = NULL; /* nothing to keep */
    return RECO_OK;
}

static void stock_destroy(reco_stage *stage) { (void)stage; }

/* A filter that fails fails the question: better no answer than one that shows what must not be shown. */
static reco_status stock_run(reco_stage *stage, reco_candidates *candidates, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    (void)stage, (void)call;
    for (size_t i = 0; i < reco_candidates_count(candidates) && status == RECO_OK; i++) {
        reco_str item = reco_candidates_item(candidates, i);
        if (item.size == 3 && memcmp(item.data, "pot", 3) == 0 && !reco_candidates_dropped(candidates, i))
            status = reco_candidates_drop(candidates, i, err);
    }
    return status;
}

static const reco_stage_backend stages[] = {{.struct_size = sizeof *stages,
                                             .contract = RECO_STAGE_CONTRACT,
                                             .kind = RECO_STAGE_SOURCE,
                                             .name = "offers",
                                             .create = offers_create,
                                             .destroy = offers_destroy,
                                             .run = offers_run},
                                            {.struct_size = sizeof *stages,
                                             .contract = RECO_STAGE_CONTRACT,
                                             .kind = RECO_STAGE_FILTER,
                                             .name = "in-stock",
                                             .create = stock_create,
                                             .destroy = stock_destroy,
                                             .run = stock_run}};

/* --- both at work --------------------------------------------------------------------------------------------------------------------------- */

static void show(const reco_answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        const reco_answer_item *item = &answer->items[i];
        int64_t sum = 0;
        printf("%.*s:", (int)item->item_id.size, item->item_id.data);
        for (uint32_t r = 0; r < item->reason_count; r++) {
            printf(" %.*s", (int)item->reasons[r].source.size, item->reasons[r].source.data);
            sum += item->reasons[r].score;
        }
        printf("%s\n", sum == item->score ? "" : " (the reasons do not add up)");
    }
}

static reco_status ask(const char *value, reco_error *err) {
    reco_settings *settings = NULL;
    reco_engine *engine = NULL;
    reco_answer *answer = NULL;
    reco_query query = {.struct_size = sizeof query, .user_id = TEXT("eve"), .limit = 10};
    reco_status status = reco_settings_create(&settings, err);
    if (status == RECO_OK)
        status = reco_settings_set(settings, "recommend.stages", value, err);
    reco_open_options options = {.struct_size = sizeof options, .data = "memory:", .settings = settings};
    if (status == RECO_OK)
        status = reco_open(&engine, &options, NULL, err);
    if (status == RECO_OK)
        status = reco_ingest(NULL, engine, views, COUNT(views), sizeof *views, NULL, NULL, err);
    if (status == RECO_OK)
        status = reco_process(NULL, engine, NULL, err);
    if (status == RECO_OK)
        status = reco_recommend(&answer, engine, &query, NULL, err);
    if (status == RECO_OK) {
        printf("with \"%s\"\n", value);
        show(answer);
    }
    reco_answer_free(answer);
    reco_close(engine);
    reco_settings_free(settings);
    return status;
}

int main(void) {
    reco_error err = RECO_ERROR_INIT;
    reco_status status = RECO_OK;
    for (size_t i = 0; i < COUNT(stages) && status == RECO_OK; i++)
        status = reco_register_stage(&stages[i], &err); /* before an engine is opened that names it */
    if (status == RECO_OK)
        status = ask("", &err);
    if (status == RECO_OK)
        status = ask("offers{\"points\": 5},in-stock", &err);
    if (status != RECO_OK)
        fprintf(stderr, "%s: %s (%s)\n", reco_status_name(status), err.text, err.field);
    else if (ask("offers{\"points\": 0}", &err) == RECO_INVALID) /* seen when the engine is opened, not at the first question */
        printf("refused: %s: %s\n", err.field, err.text);
    return status == RECO_OK ? 0 : 1;
}
