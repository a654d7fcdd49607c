/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/profile_point.h"

#include <math.h>

static double mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

static double known(double value)
{
    return isnan(value) ? 0 : value;
}

/* A term of the linear model; an unknown utilisation may be anything in 0..1. */
static double term(double coefficient, double util)
{
    if (!isnan(util))
        return coefficient * util;
    return coefficient > 0 ? coefficient : 0;
}

double glet_profile_latency_ms(const struct glet_profile_latency *row)
{
    return isnan(row->p99_ms) ? row->p50_ms : row->p99_ms;
}

struct glet_profile_latency glet_profile_between(const struct glet_profile_latency *a,
                                                 const struct glet_profile_latency *b, int batch)
{
    double t =
        a->batch == b->batch ? 0 : (double)(batch - a->batch) / (double)(b->batch - a->batch);
    struct glet_profile_latency row = *a;
    row.batch = batch;
    row.p50_ms = mix(a->p50_ms, b->p50_ms, t);
    row.p99_ms = mix(glet_profile_latency_ms(a), glet_profile_latency_ms(b), t);
    row.samples = fmin(a->samples, b->samples);
    row.trust = a->trust > b->trust ? a->trust : b->trust;
    row.l2_util = mix(a->l2_util, b->l2_util, t);
    row.dram_util = mix(a->dram_util, b->dram_util, t);
    row.activation_mib = mix(known(a->activation_mib), known(b->activation_mib), t);
    return row;
}

const struct glet_profile_interference *
glet_profile_coefficients(const struct glet_profile *profile, size_t device)
{
    for (size_t i = 0; i < profile->interference_count; i++)
        if (profile->interference[i].device == device)
            return &profile->interference[i];
    return NULL;
}

double glet_profile_victim_ratio(const struct glet_profile_interference *model, double l2_util,
                                 double dram_util)
{
    return known(model->constant) + known(model->margin) + term(known(model->l2_self), l2_util) +
           term(known(model->dram_self), dram_util);
}

double glet_profile_aggressor_ratio(const struct glet_profile_interference *model, double l2_util,
                                    double dram_util)
{
    return term(known(model->l2_other), l2_util) + term(known(model->dram_other), dram_util);
}
