/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_RANDOM_H
#define GLET_COMMON_RANDOM_H

/*
 * Seeded random numbers: the same seed gives the same numbers on every machine with the same libm.
 * A generator is a plain value; copy it to repeat a sequence. Not for secrets. Not shared between
 * threads: split one off for each.
 *
 * Source: xoshiro256** 1.0 and splitmix64 (Blackman and Vigna, prng.di.unimi.it).
 */

#include <stdint.h>

struct glet_random {
    uint64_t key; /* what the generator was seeded with; glet_random_split() starts from it */
    uint64_t state[4];
};

struct glet_random glet_random_seeded(uint64_t seed);

/*
 * An independent generator for the given stream of parent. Depends on the parent's seed and the
 * stream only, never on what was drawn from parent before: adding a draw in one place does not
 * change another.
 */
struct glet_random glet_random_split(const struct glet_random *parent, uint64_t stream);

uint64_t glet_random_bits(struct glet_random *random);                  /* 64 uniform bits */
double glet_random_uniform(struct glet_random *random);                 /* [0, 1), 53 bits */
uint64_t glet_random_below(struct glet_random *random, uint64_t bound); /* 0 .. bound - 1; unbiased;
                                                                           bound > 0 */
double glet_random_normal(struct glet_random *random);                  /* mean 0, variance 1 */

/* Mean 1 / rate; rate > 0. */
double glet_random_exponential(struct glet_random *random, double rate);

/* Mean shape x scale, variance shape x scale^2; both > 0. */
double glet_random_gamma(struct glet_random *random, double shape, double scale);

/* 1 .. count, with probability proportional to k^-exponent; count > 0, exponent >= 0. */
uint64_t glet_random_zipf(struct glet_random *random, uint64_t count, double exponent);

#endif
