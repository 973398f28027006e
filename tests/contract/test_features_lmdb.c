/* The features suite on lmdb:. */
#include "contract/features_suite.h"
#include "features/features.h"

int main(void) { return features_suite_run(reco__features_builtin(0), "lmdb:%s", 0); }
