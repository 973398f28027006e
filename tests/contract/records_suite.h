/* records_suite.h - the contract of records as named checks, for any backend.
 *
 * A check drives a backend through its table of functions alone and answers NULL, or what was wrong. The checks are complete when each of the mutants
 * in records_mutants.c is caught by the check named for it. */
#ifndef RECORDS_SUITE_H
#define RECORDS_SUITE_H

#include <reco/plugin/records.h>

typedef struct records_subject {
    const reco_records_backend *backend;
    const char *url; /* of an empty store; "%s" stands for a fresh folder */
    int keeps;       /* the content is there after close and open */
} records_subject;

extern const size_t records_check_count;
const char *records_check_name(size_t i);

/* Runs the check of that name on a fresh store; NULL when it passed. */
const char *records_run(const records_subject *subject, const char *name, char *room, size_t size);

typedef struct records_mutant {
    const char *name, *killed_by;
    reco_records_backend backend;
} records_mutant;
extern const records_mutant records_mutants[];
extern const size_t records_mutant_count;
extern const reco_records_backend records_no_mutant; /* the same detour without a lie: passes everything */
/* What the mutants change. Set before one is used. */
void records_mutants_of(const reco_records_backend *sound);

#endif
