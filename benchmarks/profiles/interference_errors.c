/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well the interference model predicts the measured pairs of a profile: beside no model and a
 * constant, on the pairs it was fitted to, on pairs left out, and on models left out. The errors
 * are of latencies: |predicted - measured| / measured.
 *
 *     interference_errors PROFILE [GPU]
 */
#include "common/profile/profile.h"
#include "common/table.h"
#include "profiles/interference_fit.h"
#include "profiles/load.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN_QUANTILE   0.99
#define CONSTANT_QUANTILE 0.95

enum { SEED = 1 };

static int fail(const struct glet_error *err)
{
    glet_error_print(err, stderr);
    return glet_error_exit_status(err->code);
}

static struct glet_interference_error errors_of(const struct glet_profile_interference *fit,
                                                const struct glet_interference_sample *samples,
                                                size_t count)
{
    struct glet_interference_error sums = {.samples = count};
    for (size_t i = 0; i < count; i++) {
        double predicted = glet_interference_predict(fit, &samples[i]);
        double ratio = fabs(predicted - samples[i].slowdown) / samples[i].slowdown;
        sums.mean_ratio += ratio / (double)count;
        sums.largest_ratio = fmax(sums.largest_ratio, ratio);
        sums.above_ratio += (samples[i].slowdown > predicted + fit->margin) / (double)count;
    }
    sums.own_ratio = sums.mean_ratio;
    return sums;
}

static void add_row(struct glet_table *table, const char *name,
                    const struct glet_interference_error *e)
{
    glet_table_cell(table, "%s", name);
    glet_table_cell(table, "%zu", e->samples);
    glet_table_cell(table, "%.2f", 100 * e->mean_ratio);
    glet_table_cell(table, "%.2f", 100 * e->own_ratio);
    glet_table_cell(table, "%.2f", 100 * e->largest_ratio);
    glet_table_cell(table, "%.2f", 100 * e->above_ratio);
}

static int add_left_out(struct glet_table *table, const char *name,
                        enum glet_interference_left_out what,
                        const struct glet_interference_sample *samples, size_t count,
                        struct glet_error *err)
{
    struct glet_interference_error e;
    if (glet_interference_leave_out(samples, count, MARGIN_QUANTILE, what, SEED, &e, err) < 0)
        return -1;
    add_row(table, name, &e);
    return 0;
}

static int compare(const struct glet_interference_sample *samples, size_t count,
                   struct glet_table *table, struct glet_profile_interference *fit,
                   struct glet_error *err)
{
    struct glet_profile_interference none = {.constant = 1}, constant = {0};
    struct glet_interference_quality quality;
    if (glet_interference_fit_constant(samples, count, CONSTANT_QUANTILE, &constant, &quality,
                                       err) < 0 ||
        glet_interference_fit(samples, count, MARGIN_QUANTILE, fit, &quality, err) < 0)
        return -1;
    constant.constant += constant.margin; /* the 95th percentile of the slowdowns */
    constant.margin = 0;
    struct glet_interference_error e = errors_of(&none, samples, count);
    add_row(table, "none", &e);
    e = errors_of(&constant, samples, count);
    add_row(table, "constant, 95th percentile", &e);
    e = errors_of(fit, samples, count);
    add_row(table, "linear, pairs it was fitted to", &e);
    if (add_left_out(table, "linear, pairs left out", GLET_LEFT_OUT_PAIRS, samples, count, err) < 0)
        return -1;
    return add_left_out(table, "linear, models left out", GLET_LEFT_OUT_MODELS, samples, count,
                        err);
}

int main(int argc, char **argv)
{
    struct glet_error err;
    struct glet_profile *profile = NULL;
    struct glet_interference_sample *samples = NULL;
    struct glet_profile_interference fit = {0};
    struct glet_table table;
    size_t count = 0;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s PROFILE [GPU]\n", argv[0]);
        return 2;
    }
    if (glet_profile_load(argv[1], &profile, &err) < 0)
        return fail(&err);
    int device = argc == 3 ? glet_profile_find_device(profile, argv[2]) : 0;
    if (device < 0 || profile->device_count == 0) {
        fprintf(stderr, "%s: no such device\n", argv[1]);
        return 2;
    }
    glet_table_init(&table, "model|>samples|>mean error %|>own side %|>largest %|>above margin %");
    int rc = glet_interference_samples(profile, (size_t)device, &samples, &count, &err);
    if (rc == 0)
        rc = compare(samples, count, &table, &fit, &err);
    if (rc == 0) {
        printf(
            "%s: %zu slowdowns of %zu pairs; margin: %g of the residuals; seed of the order %d\n",
            profile->devices[device].gpu, count, count / 2, MARGIN_QUANTILE, SEED);
        rc = glet_table_print(&table, stdout);
        printf("factor = %.4f %+.4f l2_self %+.4f l2_other %+.4f dram_self %+.4f dram_other, "
               "margin %.4f\n",
               fit.constant, fit.l2_self, fit.l2_other, fit.dram_self, fit.dram_other, fit.margin);
    }
    glet_table_fini(&table);
    free(samples);
    glet_profile_free(profile);
    return rc < 0 ? fail(&err) : 0;
}
