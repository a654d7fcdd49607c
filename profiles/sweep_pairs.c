/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep_pairs.h"

#include "common/clock.h"
#include "profiles/corun.h"

#include <math.h>
#include <string.h>

enum { MOST_BATCH = 8 };

/* A run longer than this would need minutes per pair. */
#define MAX_RUN_MS 500.0

/* Of a phase; a GPU's runs differ less from each other. */
#define CPU_PHASE_MS 600.0
#define GPU_PHASE_MS 250.0

static bool is_cpu(const struct glet_sweep_session *session)
{
    return strcmp(session->info->mechanism, "cpu") == 0;
}

/* The largest profiled batch of a model at a size; 0 = none. */
static int reference_batch(const struct glet_sweep_session *session, size_t model, int units)
{
    const struct glet_profile *known = session->known;
    int device = glet_profile_find_device(known, session->gpu), best = 0;
    int row_model = glet_profile_find_model(known, glet_model_name(session->models[model]));
    for (size_t i = 0; i < known->latency_count; i++) {
        const struct glet_profile_latency *row = &known->latency[i];
        if ((int)row->device == device && (int)row->model == row_model && row->units == units &&
            row->batch <= MOST_BATCH && row->batch > best && row->p50_ms <= MAX_RUN_MS)
            best = row->batch;
    }
    return best;
}

static bool has_pair(const struct glet_sweep_session *session, const struct glet_corun_side *a,
                     const struct glet_corun_side *b)
{
    const struct glet_profile *known = session->known;
    int device = glet_profile_find_device(known, session->gpu);
    int model_a = glet_profile_find_model(known, glet_model_name(a->model));
    int model_b = glet_profile_find_model(known, glet_model_name(b->model));
    for (size_t i = 0; i < known->corun_count; i++) {
        const struct glet_profile_corun *row = &known->corun[i];
        if ((int)row->device == device && (int)row->model_a == model_a &&
            (int)row->model_b == model_b && row->batch_a == a->batch && row->batch_b == b->batch &&
            row->units_a == a->units && row->units_b == b->units)
            return true;
    }
    return false;
}

static int put_pair(struct glet_sweep_session *session, const struct glet_corun_side *a,
                    const struct glet_corun_side *b, struct glet_error *err)
{
    const struct glet_profile *known = session->known;
    struct glet_profile_corun row = {
        .device = (size_t)glet_profile_find_device(known, session->gpu),
        .model_a = (size_t)glet_profile_find_model(known, glet_model_name(a->model)),
        .model_b = (size_t)glet_profile_find_model(known, glet_model_name(b->model)),
        .batch_a = a->batch,
        .units_a = a->units,
        .batch_b = b->batch,
        .units_b = b->units,
        .slowdown_a = a->slowdown,
        .slowdown_b = b->slowdown};
    struct glet_profile part = {.devices = known->devices,
                                .device_count = known->device_count,
                                .models = known->models,
                                .model_count = known->model_count,
                                .corun = &row,
                                .corun_count = 1};
    return glet_store_merge(session->store, &part, err);
}

/* Measures one pair in partitions of these sizes, unless it is known or cannot be. */
static int visit_pair(struct glet_sweep_session *session, size_t first, size_t second,
                      const int units[2], const volatile sig_atomic_t *stop, size_t *measured,
                      struct glet_error *err)
{
    struct glet_corun_side sides[2] = {
        {session->models[first], reference_batch(session, first, units[0]), units[0], NAN},
        {session->models[second], reference_batch(session, second, units[1]), units[1], NAN}};
    if (sides[0].batch == 0 || sides[1].batch == 0 || has_pair(session, &sides[0], &sides[1]))
        return 0;
    double phase_ms = is_cpu(session) ? CPU_PHASE_MS : GPU_PHASE_MS;
    if (glet_corun_measure(session->device, sides, phase_ms, stop, err) < 0)
        return glet_error_context(err, "%s beside %s", glet_model_name(sides[0].model),
                                  glet_model_name(sides[1].model));
    if (put_pair(session, &sides[0], &sides[1], err) < 0)
        return -1;
    ++*measured;
    return 0;
}

int glet_sweep_pairs(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *measured_out,
                     struct glet_error *err)
{
    int whole = session->info->units, half = whole / 2, quarter = whole / 4;
    const int splits[GLET_SWEEP_SPLITS][2] = {
        {half, half}, {quarter, whole - quarter}, {whole - quarter, quarter}};
    int split_count = glet_sweep_split_count(session);
    *measured_out = 0;
    for (int split = 0; split < split_count; split++)
        for (size_t i = 0; i < session->model_count; i++)
            for (size_t k = i; k < session->model_count; k++) {
                if (split == 2 && i == k)
                    continue; /* the mirror image of split 1 */
                if (*stop || (deadline_us && glet_clock_us() >= deadline_us))
                    return 0;
                if (visit_pair(session, i, k, splits[split], stop, measured_out, err) < 0)
                    return -1;
            }
    return 0;
}

int glet_sweep_split_count(const struct glet_sweep_session *session)
{
    return is_cpu(session) || session->info->units < 4 ? 1 : GLET_SWEEP_SPLITS;
}
