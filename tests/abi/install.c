/* What an application sees of an installed libreco: built by install.sh through pkg-config, against the shared and the static library. */
#include <stdio.h>
#include <string.h>

#include <reco/memory.h>
#include <reco/status.h>

int main(void) {
    reco_error err = RECO_ERROR_INIT;

    if (reco_set_allocator(NULL, &err) != RECO_OK || strcmp(reco_status_name(RECO_STALE), "STALE") != 0) {
        return 1;
    }
    printf("%s\n", reco_version());
    return 0;
}
