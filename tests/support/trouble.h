/* tests/support/trouble.h - features and records that are slow, dead or emptied on demand: memory: stores behind functions that wait or fail first.
 *
 * The schemes are troubled: for both. Trouble is made for all stores of the process; reads and writes of it are atomic. */
#ifndef TEST_TROUBLE_H
#define TEST_TROUBLE_H

#include <stdint.h>

#include <reco/status.h>

/* Registers the two backends; more than once does nothing. */
void test_trouble_register(void);
/* From now on every operation takes this long, or until its deadline, which it then misses as a server would (UNAVAILABLE); and fails when status is
 * not OK. (0, RECO_OK): no trouble. */
void test_trouble_features(int delay_ms, reco_status status);
void test_trouble_records(int delay_ms, reco_status status);
/* Operations since the last call of this. */
uint64_t test_trouble_asked(void);
/* All features lose what they have, as a server that was emptied and has founded the namespace anew: another epoch, nothing learned. */
void test_trouble_flush(void);

#endif
