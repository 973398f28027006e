#include "model/id_list.h"

#include "model/elements.h"

static reco_status too_many(size_t count, size_t most, int32_t index, const char *field, reco_error *err) {
    return reco__fail_at(err, RECO_TOO_LARGE, index, field, "%zu %s, at most %zu are allowed", count, field, most);
}

reco_status reco__id_list_check(const reco_str *ids, size_t count, size_t most, int32_t index, const char *field, reco_error *err) {
    if (count > most)
        return too_many(count, most, index, field, err);
    if (count > 0 && !ids)
        return reco__fail_at(err, RECO_INVALID, index, field, "is NULL, but %zu are said to be there", count);
    for (size_t i = 0; i < count; i++) {
        reco_status status = reco__check_id(ids[i], index, field, err);
        if (status != RECO_OK)
            return status;
        for (size_t j = 0; j < i; j++)
            if (reco__str_equal(ids[i], ids[j]))
                return reco__fail_at(err, RECO_INVALID, index, field, "\"%.*s\" is given twice", reco__shown(ids[i], 64), ids[i].data);
    }
    return RECO_OK;
}

reco_status reco__id_list_of_json(const reco_str **ids, size_t *count, reco__arena *arena, const json_t *value, size_t most, int32_t index,
                              const char *field, reco_error *err) {
    size_t there = json_array_size(value); /* 0 of what is no array */
    if (!json_is_array(value))
        return reco__fail_at(err, RECO_INVALID, index, field, "must be an array of strings");
    if (there > most)
        return too_many(there, most, index, field, err);
    reco_str *list = reco__arena_zalloc(arena, (there ? there : 1) * sizeof *list);
    if (!list)
        return reco__no_memory(err);
    for (size_t i = 0; i < there; i++) {
        const json_t *id = json_array_get(value, i);
        if (!json_is_string(id))
            return reco__fail_at(err, RECO_INVALID, index, field, "must be an array of strings");
        reco_status status = reco__json_text(&list[i], arena, id, index, field, err);
        if (status != RECO_OK)
            return status;
    }
    *ids = list;
    *count = there;
    return RECO_OK;
}
