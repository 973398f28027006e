/* The features suite on memory:. */
#include "contract/features_suite.h"
#include "features/features.h"

int main(void) { return features_suite_run(reco__features_builtin(1), "memory:", FEATURES_SUITE_VOLATILE); }
