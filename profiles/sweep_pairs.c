/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep_pairs.h"

#include "common/clock.h"
#include "profiles/corun.h"
#include "profiles/interference_fit.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_BATCH = 8 };

/* A run longer than this would need minutes per pair. */
#define MAX_RUN_MS      500.0
#define PHASE_MS        600.0
#define MARGIN_QUANTILE 0.99

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

/* The linear model, where the utilisations that it needs are known; nothing otherwise. */
static int put_fit(struct glet_sweep_session *session, struct glet_error *err)
{
    const struct glet_profile *known = session->known;
    struct glet_interference_sample *samples = NULL;
    struct glet_interference_quality quality;
    size_t count = 0, device = (size_t)glet_profile_find_device(known, session->gpu);
    struct glet_profile_interference fit = {.device = device};
    if (glet_interference_samples(known, device, &samples, &count, err) < 0)
        return -1;
    struct glet_error too_few;
    int rc = glet_interference_fit(samples, count, MARGIN_QUANTILE, &fit, &quality, &too_few);
    free(samples);
    if (rc < 0)
        return too_few.code == GLET_ERR_UNDECIDED ? 0 : (*err = too_few, -1);
    struct glet_profile part = {.devices = known->devices,
                                .device_count = known->device_count,
                                .interference = &fit,
                                .interference_count = 1};
    char text[96];
    snprintf(text, sizeof text, "%zu slowdowns, rms %.4f, largest %.4f, R2 %.3f", quality.samples,
             quality.rms, quality.largest, quality.r2);
    if (glet_store_merge(session->store, &part, err) < 0)
        return -1;
    return glet_sweep_session_put_meta(session, "interference_fit", text, err);
}

int glet_sweep_pairs(struct glet_sweep_session *session, uint64_t deadline_us,
                     const volatile sig_atomic_t *stop, size_t *measured_out,
                     struct glet_error *err)
{
    int half = session->info->units / 2;
    *measured_out = 0;
    for (size_t i = 0; i < session->model_count; i++)
        for (size_t k = i; k < session->model_count; k++) {
            struct glet_corun_side sides[2] = {
                {session->models[i], reference_batch(session, i, half), half, NAN},
                {session->models[k], reference_batch(session, k, half), half, NAN}};
            if (sides[0].batch == 0 || sides[1].batch == 0 ||
                has_pair(session, &sides[0], &sides[1]))
                continue;
            if (*stop || (deadline_us && glet_clock_us() >= deadline_us))
                return 0;
            if (glet_corun_measure(session->device, sides, PHASE_MS, stop, err) < 0)
                return glet_error_context(err, "%s beside %s", glet_model_name(sides[0].model),
                                          glet_model_name(sides[1].model));
            if (put_pair(session, &sides[0], &sides[1], err) < 0)
                return -1;
            ++*measured_out;
        }
    if (glet_sweep_session_refresh(session, err) < 0)
        return -1;
    return put_fit(session, err);
}
