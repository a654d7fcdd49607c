/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every distribution here takes O(1) expected time and keeps no state besides the generator's, so
 * that a sequence depends on nothing but the seed and the order of calls:
 *   normal   polar method (Marsaglia 1964), the second value is thrown away
 *   gamma    Marsaglia and Tsang 2000, with their boost below shape 1
 *   Zipf     rejection-inversion (Hoermann and Derflinger 1996)
 */
#include "common/random.h"

#include <math.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct glet_random glet_random_seeded(uint64_t seed)
{
    struct glet_random random = {.key = seed};
    for (int i = 0; i < 4; i++)
        random.state[i] = splitmix(&seed);
    return random;
}

struct glet_random glet_random_split(const struct glet_random *parent, uint64_t stream)
{
    uint64_t key = parent->key, mixed = splitmix(&key) ^ stream;
    return glet_random_seeded(splitmix(&mixed));
}

static uint64_t rotate_left(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

uint64_t glet_random_bits(struct glet_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double glet_random_uniform(struct glet_random *random)
{
    return (double)(glet_random_bits(random) >> 11) * 0x1p-53;
}

static double uniform_above_zero(struct glet_random *random)
{
    return 1 - glet_random_uniform(random);
}

uint64_t glet_random_below(struct glet_random *random, uint64_t bound)
{
    /* 2^64 mod bound values at the bottom would make the small results too frequent. */
    uint64_t skip = -bound % bound, bits;
    do
        bits = glet_random_bits(random);
    while (bits < skip);
    return bits % bound;
}

double glet_random_normal(struct glet_random *random)
{
    double u, v, square;
    do {
        u = 2 * glet_random_uniform(random) - 1;
        v = 2 * glet_random_uniform(random) - 1;
        square = u * u + v * v;
    } while (square >= 1 || square <= 0);
    return u * sqrt(-2 * log(square) / square);
}

double glet_random_exponential(struct glet_random *random, double rate)
{
    return -log(uniform_above_zero(random)) / rate;
}

double glet_random_gamma(struct glet_random *random, double shape, double scale)
{
    if (shape < 1) {
        double boost = pow(uniform_above_zero(random), 1 / shape);
        return glet_random_gamma(random, shape + 1, scale) * boost;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = glet_random_normal(random), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(uniform_above_zero(random)) < x * x / 2 + d - d * v + d * log(v))
            return d * v * scale;
    }
}

/* The integral of x^-exponent from 1 to x, and its inverse; both continuous at exponent 1. */
static double zipf_integral(double x, double exponent)
{
    double t = (1 - exponent) * log(x);
    return fabs(t) < 1e-8 ? log(x) * (1 + t / 2) : log(x) * expm1(t) / t;
}

static double zipf_inverse(double y, double exponent)
{
    double t = (1 - exponent) * y;
    if (t < -1)
        t = -1;
    return exp(fabs(t) < 1e-8 ? y * (1 - t / 2) : y * log1p(t) / t);
}

uint64_t glet_random_zipf(struct glet_random *random, uint64_t count, double exponent)
{
    double low = zipf_integral(1.5, exponent) - 1;
    double high = zipf_integral((double)count + 0.5, exponent);
    double shortcut = 2 - zipf_inverse(zipf_integral(2.5, exponent) - pow(2, -exponent), exponent);
    for (;;) {
        double u = high + glet_random_uniform(random) * (low - high);
        double x = zipf_inverse(u, exponent), k = floor(x + 0.5);
        if (k < 1)
            k = 1;
        else if (k > (double)count)
            k = (double)count;
        if (k - x <= shortcut || u >= zipf_integral(k + 0.5, exponent) - pow(k, -exponent))
            return (uint64_t)k;
    }
}
