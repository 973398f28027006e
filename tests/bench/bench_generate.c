/* bench_generate - the generator of synthetic streams, all its troubles on, with a million items. */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include <reco/generate.h>

int main(void) {
    enum { EVENTS = 2000000 };
    reco_generator_options options = {.struct_size = sizeof options, .items = 1000000, .clusters = 1, .events = EVENTS, .seed = 1};
    options.late = options.early = options.duplicate = options.reordered = .05;
    reco_error err = RECO_ERROR_INIT;
    reco_generator *generator;
    reco_event event;
    int64_t at, begin = reco__monotonic_ns();
    if (reco_generator_create(&generator, &options, &err) != RECO_OK) {
        fprintf(stderr, "bench_generate: %s\n", err.text);
        return 1;
    }
    double made = (double)(reco__monotonic_ns() - begin) / 1e6;
    begin = reco__monotonic_ns();
    while (reco_generator_next(&event, &at, generator) == RECO_OK)
        continue;
    printf("generator: 1,000,000 items ready in %.0f ms, then %.0f ns an event\n", made, (double)(reco__monotonic_ns() - begin) / EVENTS);
    reco_generator_free(generator);
    return 0;
}
