/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-validation of the interference model: k-fold over pairs, and over models one at a time.
 *
 * Both sides of a pair leave together: they were measured in one run, and a fit that has seen one
 * has nearly seen the other. A model leaves with all its pairs, so that its utilisations are new
 * to the fit, as they are when somebody asks about a model that was never run beside another.
 */
#include "profiles/interference_fit.h"

#include "common/memory.h"
#include "common/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { PAIR_PARTS = 10 };

struct parts {
    const struct glet_interference_sample *samples;
    size_t count;
    enum glet_interference_left_out what;
    size_t *part; /* PAIRS: of each sample */
    size_t part_count;
};

static bool is_left_out(const struct parts *parts, size_t sample, size_t part)
{
    if (parts->what == GLET_LEFT_OUT_PAIRS)
        return parts->part[sample] == part;
    return parts->samples[sample].model_self == part || parts->samples[sample].model_other == part;
}

/* Deals the pairs out like cards: an order drawn from the seed, then round robin. */
static int deal_pairs(struct parts *parts, uint64_t seed, struct glet_error *err)
{
    size_t highest = 0, dealt = 0;
    for (size_t i = 0; i < parts->count; i++)
        highest = parts->samples[i].pair > highest ? parts->samples[i].pair : highest;
    GLET_CLEANUP(glet_cleanup_free) size_t *order = glet_alloc(highest + 1, sizeof *order, err);
    GLET_CLEANUP(glet_cleanup_free) size_t *part = glet_alloc(highest + 1, sizeof *part, err);
    parts->part = glet_alloc(parts->count, sizeof *parts->part, err);
    if (!order || !part || !parts->part)
        return -1;
    for (size_t i = 0; i < parts->count; i++)
        part[parts->samples[i].pair] = 1;
    for (size_t pair = 0; pair <= highest; pair++)
        if (part[pair])
            order[dealt++] = pair;
    struct glet_random random = glet_random_seeded(seed);
    for (size_t left = dealt; left > 1; left--) {
        size_t k = (size_t)glet_random_below(&random, left), last = order[left - 1];
        order[left - 1] = order[k];
        order[k] = last;
    }
    parts->part_count = dealt < PAIR_PARTS ? dealt : PAIR_PARTS;
    for (size_t i = 0; i < dealt; i++)
        part[order[i]] = i % PAIR_PARTS;
    for (size_t i = 0; i < parts->count; i++)
        parts->part[i] = part[parts->samples[i].pair];
    return 0;
}

static void count_models(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct glet_interference_sample *s = &parts->samples[i];
        size_t higher = s->model_self > s->model_other ? s->model_self : s->model_other;
        parts->part_count = higher >= parts->part_count ? higher + 1 : parts->part_count;
    }
}

/* Fits to what is left and adds up how far the part is from it; a part of nothing is passed by. */
static int judge_part(const struct parts *parts, size_t part, double quantile,
                      struct glet_interference_sample *rest, size_t *own_count,
                      struct glet_interference_error *sums, struct glet_error *err)
{
    struct glet_profile_interference fit = {0};
    struct glet_interference_quality quality;
    size_t left = 0;
    for (size_t i = 0; i < parts->count; i++)
        if (!is_left_out(parts, i, part))
            rest[left++] = parts->samples[i];
    if (left == parts->count)
        return 0;
    if (glet_interference_fit(rest, left, quantile, &fit, &quality, err) < 0)
        return -1;
    sums->fits++;
    for (size_t i = 0; i < parts->count; i++) {
        const struct glet_interference_sample *s = &parts->samples[i];
        if (!is_left_out(parts, i, part))
            continue;
        double predicted = glet_interference_predict(&fit, s);
        double error_ratio = fabs(predicted - s->slowdown) / s->slowdown;
        sums->samples++;
        sums->mean_ratio += error_ratio;
        sums->largest_ratio = fmax(sums->largest_ratio, error_ratio);
        sums->above_ratio += s->slowdown > predicted + fit.margin;
        if (parts->what == GLET_LEFT_OUT_PAIRS || s->model_self == part) {
            sums->own_ratio += error_ratio;
            ++*own_count;
        }
    }
    return 0;
}

int glet_interference_leave_out(const struct glet_interference_sample *samples, size_t count,
                                double quantile, enum glet_interference_left_out what,
                                uint64_t seed, struct glet_interference_error *error_out,
                                struct glet_error *err)
{
    struct parts parts = {.samples = samples, .count = count, .what = what};
    struct glet_interference_error sums = {0};
    size_t own_count = 0;
    if (what == GLET_LEFT_OUT_MODELS)
        count_models(&parts);
    else if (deal_pairs(&parts, seed, err) < 0)
        return free(parts.part), -1;
    GLET_CLEANUP(glet_cleanup_free) size_t *owned = parts.part;
    GLET_CLEANUP(glet_cleanup_free)
    struct glet_interference_sample *rest = glet_alloc(count, sizeof *rest, err);
    if (!rest)
        return -1;
    for (size_t part = 0; part < parts.part_count; part++)
        if (judge_part(&parts, part, quantile, rest, &own_count, &sums, err) < 0)
            return -1;
    if (sums.fits < 2)
        return glet_error_set(err, GLET_ERR_UNDECIDED, "too few pairs or models to leave one out");
    sums.mean_ratio /= (double)sums.samples;
    sums.above_ratio /= (double)sums.samples;
    sums.own_ratio /= (double)own_count;
    *error_out = sums;
    return 0;
}
