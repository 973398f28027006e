/* learn/renumber.c - a stored cell with other numbers for the same items: for stores that number items in several places. */
#include "learn/learn.h"

reco_status reco__cell_renumber(reco_features_sink sink, void *context, const void *data, size_t size,
                                uint32_t (*number)(void *numbers, uint32_t number), void *numbers, reco_error *err) {
    reco__cell cell = {0};
    reco__buf out = {0};
    reco_status status = reco__cell_decode(&cell, data, size, err);
    if (status == RECO_OK) {
        for (uint32_t i = 0; i < cell.touch_count; i++)
            cell.touches[i].item = number(numbers, cell.touches[i].item);
        for (uint32_t i = 0; i < cell.hidden_count; i++)
            cell.hidden[i] = number(numbers, cell.hidden[i]);
        reco__cell_encode(&out, &cell);
        status = reco__buf_status(&out, err);
    }
    if (status == RECO_OK)
        sink(context, 0, out.data, out.size);
    reco__buf_dispose(&out);
    reco__cell_dispose(&cell);
    return status;
}
