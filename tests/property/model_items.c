/* tests/property/model_items.c - which items may be in an answer: documents, and what a question says of them. See model.h. */
#include <string.h>

#include <reco/filter.h>

#include "model.h"

const char *const category_names[CATEGORIES] = {"red", "gr\xc3\xbcn", "c c"};
const char *const attribute_names[ASKABLE] = {"brand",      "price",    "farbt\xc3\xb6ne", "in stock", "nothing",
                                              "categories", "category", "parent",          "item_id"};

#define TEXT(of)                                                                                                                                     \
    { RECO_VALUE_STRING, 0, of }
#define NUMBER(of)                                                                                                                                   \
    { RECO_VALUE_NUMBER, of, NULL }
#define BOOLEAN(of)                                                                                                                                  \
    { RECO_VALUE_BOOLEAN, of, NULL }
const literal literals[LITERALS] = {
    {"", 0, {{0}}},
    {"null", 0, {{0}}},
    {"{\"a\":1}", 0, {{0}}},
    {"[]", 0, {{0}}},
    {"\"acme\"", 1, {TEXT("acme")}},
    {"\"zeta\"", 1, {TEXT("zeta")}},
    {"\"\"", 1, {TEXT("")}},
    {"\"1\"", 1, {TEXT("1")}},
    {"1", 1, {NUMBER(1)}},
    {"1.0", 1, {NUMBER(1)}},
    {"-0.0", 1, {NUMBER(0)}},
    {"2.5", 1, {NUMBER(2.5)}},
    {"-3", 1, {NUMBER(-3)}},
    {"true", 1, {BOOLEAN(1)}},
    {"false", 1, {BOOLEAN(0)}},
    {"[\"acme\",\"zeta\",\"acme\"]", 3, {TEXT("acme"), TEXT("zeta"), TEXT("acme")}},
    {"[1,\"zeta\",true]", 3, {NUMBER(1), TEXT("zeta"), BOOLEAN(1)}},
};

bool model_available(const model *m, int item, int64_t moment) {
    const document *d = &m->items[item];
    return !m->rules.filter_availability || !d->there || (!d->hidden && moment >= d->from && (d->until == 0 || moment < d->until));
}

static bool equal(const trait *a, const trait *b) {
    return a->type == b->type && (a->type == RECO_VALUE_STRING ? strcmp(a->text, b->text) == 0 : a->number == b->number);
}

/* Each value once. */
static int put(trait out[VALUES_MOST], int count, const trait *one) {
    for (int i = 0; i < count; i++)
        if (equal(&out[i], one))
            return count;
    out[count] = *one;
    return count + 1;
}

static int put_text(trait out[VALUES_MOST], int count, const char *text) { return put(out, count, &(trait)TEXT(text)); }

static int values_of(trait out[VALUES_MOST], const model *m, int item, int attribute) {
    static const document nothing;
    const document *d = item < ITEMS && m->items[item].there ? &m->items[item] : &nothing;
    int count = 0;
    if (attribute == ID_OF)
        return put_text(out, 0, item_names[item]);
    if (attribute == PARENT_OF)
        return d->parent ? put_text(out, 0, item_names[d->parent - 1]) : 0;
    for (int i = 0; i < CATEGORIES && (attribute == CATEGORIES_OF || attribute == CATEGORY_OF); i++)
        if (d->categories >> i & 1)
            count = put_text(out, count, category_names[i]);
    for (int i = 0; attribute < ATTRIBUTES && i < literals[d->attributes[attribute]].count; i++)
        count = put(out, count, &literals[d->attributes[attribute]].values[i]);
    return count;
}

static bool within(const condition *c, const trait *one) {
    return one->type == RECO_VALUE_NUMBER && (!c->has_min || (c->min_outside ? one->number > c->min : one->number >= c->min)) &&
           (!c->has_max || (c->max_outside ? one->number < c->max : one->number <= c->max));
}

static bool holds(const model *m, const condition *c, int item) {
    trait values[VALUES_MOST];
    int count = values_of(values, m, item, c->attribute);
    bool hit = false;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < (c->range ? 1 : c->count); j++)
            hit = hit || (c->range ? within(c, &values[i]) : equal(&values[i], &c->values[j]));
    return count == 0 ? c->missing : hit != c->not ;
}

bool model_fits(const model *m, const selection *s, int item) {
    bool fits = !s->excluded[item];
    for (int i = 0; i < s->condition_count; i++)
        fits = fits && holds(m, &s->conditions[i], item);
    return fits;
}

static int product_of(const model *m, int item) {
    const document *d = item < ITEMS ? &m->items[item] : NULL;
    return d && d->there && d->parent ? d->parent - 1 : item;
}

bool model_was_shown(const model *m, const selection *s, int item) { return s->shown[item] || (!s->variants && s->shown[product_of(m, item)]); }

void model_note_shown(selection *s, const model *m, int item) {
    s->shown[item] = true;
    if (!s->variants)
        s->shown[product_of(m, item)] = true;
}

/* How many of those that are taken share a value. */
static int sharing(const model *m, const bool taken[NAMES], int attribute, const trait *one) {
    int sharing = 0;
    for (int i = 0; i < NAMES; i++) {
        trait values[VALUES_MOST];
        int count = taken[i] ? values_of(values, m, i, attribute) : 0;
        for (int j = 0; j < count; j++)
            sharing += equal(&values[j], one);
    }
    return sharing;
}

int model_blocked(const model *m, const selection *s, const bool taken[NAMES], const bool about[NAMES], int item) {
    for (int i = 0; i < NAMES && !s->variants; i++)
        if ((taken[i] || (about && about[i])) && product_of(m, i) == product_of(m, item))
            return VARIANT;
    for (int k = 0; k < s->cap_count; k++) {
        trait values[VALUES_MOST];
        int count = values_of(values, m, item, s->caps[k].attribute);
        for (int j = 0; j < count; j++)
            if (sharing(m, taken, s->caps[k].attribute, &values[j]) >= s->caps[k].most)
                return CAPPED;
    }
    return FREE;
}
