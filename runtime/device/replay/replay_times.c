/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/replay/replay_times.h"

#include "common/profile/profile_point.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Measured rows of the model in that size: the last of at most the batch, the first of at least. */
struct around {
    const struct glet_profile_latency *below, *above, *smallest, *largest;
    bool any_size; /* there are rows of the model on the device */
};

static struct around look(const struct glet_profile *profile, size_t device, size_t model,
                          int units, int batch)
{
    struct around found = {0};
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (row->device != device || row->model != model)
            continue;
        found.any_size = true;
        if (row->units != units)
            continue;
        if (row->batch <= batch && (!found.below || row->batch > found.below->batch))
            found.below = row;
        if (row->batch >= batch && (!found.above || row->batch < found.above->batch))
            found.above = row;
        if (!found.smallest || row->batch < found.smallest->batch)
            found.smallest = row;
        if (!found.largest || row->batch > found.largest->batch)
            found.largest = row;
    }
    if (!found.below)
        found.below = found.above = found.smallest;
    return found;
}

/* Rows are sorted by size. */
static int refuse_size(const struct glet_profile *profile, size_t device, size_t model, int units,
                       struct glet_error *err)
{
    char sizes[80] = "";
    int last = 0;
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (row->device != device || row->model != model || row->units == last)
            continue;
        size_t used = strlen(sizes);
        snprintf(sizes + used, sizeof sizes - used, "%s%d", last ? ", " : "", row->units);
        last = row->units;
    }
    return glet_error_set(err, GLET_ERR_INPUT,
                          "%.200s knows %.60s on '%.60s' in %s units, and not in %d", profile->path,
                          profile->models[model].model, profile->devices[device].gpu, sizes, units);
}

static double computed_ms(const struct glet_profile *profile,
                          const struct glet_profile_latency *row)
{
    for (size_t i = 0; i < profile->quality_count; i++) {
        const struct glet_profile_quality *quality = &profile->quality[i];
        if (quality->device == row->device && quality->model == row->model &&
            quality->batch == row->batch && quality->units == row->units)
            return quality->device_p50_ms;
    }
    return NAN;
}

/* Of the median, what is no compute; NAN where the profile does not know. */
static double copies_ms(const struct glet_profile *profile, const struct around *at, int batch)
{
    const struct glet_profile_latency *a = at->below, *b = at->above;
    double of_a = a->p50_ms - computed_ms(profile, a), of_b = b->p50_ms - computed_ms(profile, b);
    if (a == b)
        return of_a;
    return of_a + (of_b - of_a) * (double)(batch - a->batch) / (double)(b->batch - a->batch);
}

int glet_replay_times_find(const struct glet_profile *profile, size_t device, const char *model,
                           int units, int batch, struct glet_replay_times *out,
                           struct glet_error *err)
{
    int index = glet_profile_find_model(profile, model);
    struct around at = {0};
    if (index >= 0)
        at = look(profile, device, (size_t)index, units, batch);
    if (!at.any_size)
        return glet_error_set(err, GLET_ERR_INPUT, "%.200s has no profile of %.100s on '%.60s'",
                              profile->path, model, profile->devices[device].gpu);
    if (!at.smallest)
        return refuse_size(profile, device, (size_t)index, units, err);
    if (!at.above)
        return glet_error_set(
            err, GLET_ERR_INPUT,
            "%.200s knows %.60s on '%.60s' in %d units up to a batch of %d, and not %d",
            profile->path, model, profile->devices[device].gpu, units, at.largest->batch, batch);
    struct glet_profile_latency row = glet_profile_between(at.below, at.above, batch);
    double copies = copies_ms(profile, &at, batch);
    const struct glet_profile_model *bytes = &profile->models[index];
    double all_bytes = bytes->input_bytes + bytes->output_bytes;
    double in_ratio = all_bytes > 0 ? bytes->input_bytes / all_bytes : 0.5;
    *out = (struct glet_replay_times){.model = (size_t)index,
                                      .units = units,
                                      .batch = batch,
                                      .typical_ms = row.p50_ms,
                                      .slow_ms = fmax(row.p99_ms, row.p50_ms),
                                      .overlaps = !isnan(copies),
                                      .l2_util = row.l2_util,
                                      .dram_util = row.dram_util,
                                      .activation_mib = row.activation_mib};
    copies = isnan(copies) ? 0 : fmin(fmax(copies, 0), row.p50_ms);
    out->copy_in_ms = copies * in_ratio;
    out->copy_out_ms = copies - out->copy_in_ms;
    return 0;
}

static bool is_point(const struct glet_replay_times *times, size_t model, int batch, int units)
{
    return times->model == model && times->batch == batch && times->units == units;
}

double glet_replay_slowdown(const struct glet_profile *profile, size_t device,
                            const struct glet_replay_times *victim,
                            const struct glet_replay_times *aggressor)
{
    double measured = NAN;
    for (size_t i = 0; i < profile->corun_count; i++) {
        const struct glet_profile_corun *row = &profile->corun[i];
        if (row->device != device)
            continue;
        if (is_point(victim, row->model_a, row->batch_a, row->units_a) &&
            is_point(aggressor, row->model_b, row->batch_b, row->units_b))
            measured = row->slowdown_a;
        else if (is_point(victim, row->model_b, row->batch_b, row->units_b) &&
                 is_point(aggressor, row->model_a, row->batch_a, row->units_a))
            measured = row->slowdown_b;
    }
    if (!isnan(measured))
        return fmax(1, measured);
    const struct glet_profile_interference *model = glet_profile_coefficients(profile, device);
    if (!model)
        return 1;
    double margin = isnan(model->margin) ? 0 : model->margin;
    return fmax(1,
                glet_profile_victim_ratio(model, victim->l2_util, victim->dram_util) - margin +
                    glet_profile_aggressor_ratio(model, aggressor->l2_util, aggressor->dram_util));
}
