/* SPDX-License-Identifier: Apache-2.0 */
#include "common/workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void glet_workload_free(struct glet_workload *workload)
{
    if (!workload)
        return;
    for (size_t i = 0; i < workload->model_count; i++) {
        free(workload->models[i].name);
        free(workload->models[i].trace_path);
        free(workload->models[i].trace_s);
    }
    for (size_t i = 0; i < workload->app_count; i++) {
        for (size_t k = 0; k < workload->apps[i].stage_count; k++)
            free(workload->apps[i].stages[k].after);
        free(workload->apps[i].stages);
        free(workload->apps[i].name);
    }
    for (size_t i = 0; i < workload->gpu_count; i++) {
        free(workload->gpus[i].type);
        free(workload->gpus[i].node);
    }
    free(workload->options.sizes_units);
    free(workload->models);
    free(workload->apps);
    free(workload->gpus);
    free(workload->path);
    free(workload);
}

void glet_workload_cleanup(struct glet_workload **workload)
{
    glet_workload_free(*workload);
}

int glet_workload_find_model(const struct glet_workload *workload, const char *name)
{
    for (size_t i = 0; i < workload->model_count; i++)
        if (strcmp(workload->models[i].name, name) == 0)
            return (int)i;
    return -1;
}

/*
 * P(X <= n) for a large mean: a chi-squared probability by Wilson and Hilferty's cube root (1931),
 * whose quantile is off by less than one request per second above a mean of 1e5.
 */
static double poisson_share(double n, double mean)
{
    double k = 2 * (n + 1), spread = 2 / (9 * k);
    return 0.5 * erfc((cbrt(2 * mean / k) - 1 + spread) / sqrt(2 * spread));
}

static double poisson_quantile_large(double mean, double quantile)
{
    double low = fmax(0, floor(mean - 40 * sqrt(mean))), high = ceil(mean + 40 * sqrt(mean));
    while (high - low > 1) {
        double middle = floor((low + high) / 2);
        if (middle <= low || middle >= high) /* beyond 2^53 there is no whole number between */
            break;
        if (poisson_share(middle, mean) >= quantile)
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* Smallest n with P(X <= n) >= quantile, X Poisson with this mean. */
static double poisson_quantile(double mean, double quantile)
{
    if (mean > 1e5)
        return poisson_quantile_large(mean, quantile);
    /* 40 standard deviations below the mean nothing is left that a double could see. */
    double n = floor(fmax(0, mean - 40 * sqrt(mean) - 40)), total = 0;
    for (;; n++) {
        int sign;
        total += exp(n * log(mean) - mean - lgamma_r(n + 1, &sign));
        if (total >= quantile || n > mean + 40 * sqrt(mean) + 40)
            return n;
    }
}

double glet_workload_demand_rps(const struct glet_workload *workload, size_t k)
{
    double rate_rps = workload->models[k].rate_rps;
    for (size_t a = 0; a < workload->app_count; a++) {
        const struct glet_workload_app *app = &workload->apps[a];
        for (size_t s = 0; s < app->stage_count; s++)
            if (app->stages[s].model == k)
                rate_rps += app->rate_rps * app->stages[s].calls;
    }
    rate_rps *= 1 + workload->options.headroom_ratio;
    if (workload->options.rate_quantile > 0 && rate_rps > 0)
        return poisson_quantile(rate_rps, workload->options.rate_quantile);
    return rate_rps;
}
