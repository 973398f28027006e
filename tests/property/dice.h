/* tests/property/dice.h - chance that can be repeated: splitmix64. */
#ifndef PROPERTY_DICE_H
#define PROPERTY_DICE_H

#include <stdbool.h>
#include <stdint.h>

extern uint64_t dice;

static inline uint64_t roll(void) {
    uint64_t z = dice += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}
static inline int below(int bound) { return (int)(roll() % (uint64_t)bound); }
static inline bool one_in(int count) { return below(count) == 0; }
static inline int64_t span(int64_t low, int64_t high) { return low + (int64_t)(roll() % (uint64_t)(high - low + 1)); }
#define PICK(...) ((const int64_t[]){__VA_ARGS__}[below((int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))])

#endif
