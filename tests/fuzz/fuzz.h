/* fuzz.h - what the targets share. A target asserts with NEED; a planted bug (compiled with RECO_FUZZ_PLANT) is a condition that only a fuzzer at
 * work reaches. `PROGRAM --seeds FOLDER` writes the target's first inputs. */
#ifndef RECO_FUZZ_H
#define RECO_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define NEED(condition)                                                                                                                              \
    do {                                                                                                                                             \
        if (!(condition)) {                                                                                                                          \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                                                \
            abort();                                                                                                                                 \
        }                                                                                                                                            \
    } while (0)

#ifdef RECO_FUZZ_PLANT
#define PLANT(condition)                                                                                                                             \
    do {                                                                                                                                             \
        if (condition) {                                                                                                                             \
            fprintf(stderr, "the planted bug\n");                                                                                                    \
            abort();                                                                                                                                 \
        }                                                                                                                                            \
    } while (0)
#else
#define PLANT(condition) ((void)0)
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Of the target: seed i, false after the last. */
static int seed(int i, reco__buf *out);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    if (*argc != 3 || strcmp((*argv)[1], "--seeds") != 0)
        return 0;
    reco__buf buf = {0};
    for (int i = 0; seed(i, &buf); i++, reco__buf_reset(&buf)) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%d", (*argv)[2], i);
        FILE *file = fopen(path, "w");
        NEED(file && fwrite(buf.data, 1, buf.size, file) == buf.size && fclose(file) == 0);
    }
    reco__buf_dispose(&buf);
    exit(0);
}

#endif
