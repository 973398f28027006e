/* features_mutant.c - runs one named check of the features suite on a library with a planted mistake; 0 when the check fails, as it must. */
#include <stdio.h>
#include <string.h>

#include "contract/features_suite.h"
#include "features/features.h"
#include "support/support.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s CHECK\n", argv[0]);
        return 2;
    }
    char folder[256], url[300];
    test_dir_make(folder);
    snprintf(url, sizeof url, "lmdb:%s", folder);
    SRunner *runner = srunner_create(features_suite(reco__features_builtin(0), url, 0));
    srunner_run(runner, NULL, argv[1], CK_NORMAL);
    int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    test_dir_remove(folder);
    if (run != 1) {
        fprintf(stderr, "%d checks are named %s\n", run, argv[1]);
        return 2;
    }
    printf("the mutant %s\n", failed ? "was killed" : "lives");
    return failed ? 0 : 1;
}
