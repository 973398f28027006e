/* base/version.c - which libreco this is, and what it was built with. */
#include <jansson.h>
#include <lmdb.h>
#include <xxhash.h>

#include "base/base.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

/* MDB_VERSION_STRING has a date in it that says nothing to a reader of a bug report. */
#define LMDB_TEXT TEXT(MDB_VERSION_MAJOR) "." TEXT(MDB_VERSION_MINOR) "." TEXT(MDB_VERSION_PATCH)
#define XXHASH_TEXT TEXT(XXH_VERSION_MAJOR) "." TEXT(XXH_VERSION_MINOR) "." TEXT(XXH_VERSION_RELEASE)

#if defined(RECO_COMMIT_STRING)
#define COMMIT_TEXT " (" RECO_COMMIT_STRING ")"
#else
#define COMMIT_TEXT ""
#endif

const char *reco_version(void) { return RECO_VERSION_STRING; }

const char *reco_build_info(void) {
    return "libreco " RECO_VERSION_STRING
           COMMIT_TEXT ", " COMPILER ", LMDB " LMDB_TEXT ", jansson " JANSSON_VERSION ", libyaml " RECO_YAML_VERSION ", xxHash " XXHASH_TEXT;
}
