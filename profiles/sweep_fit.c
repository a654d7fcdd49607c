/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/sweep_fit.h"

#include "profiles/interference_fit.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN_QUANTILE 0.99

enum { ORDER_SEED = 1 };

static bool is_known(const struct glet_interference_sample *s)
{
    return !isnan(s->l2_self + s->l2_other + s->dram_self + s->dram_other);
}

/* Moves the samples whose utilisations are known to the front; how many there are. */
static size_t known_first(struct glet_interference_sample *samples, size_t count)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        if (is_known(&samples[i])) {
            struct glet_interference_sample here = samples[known];
            samples[known++] = samples[i];
            samples[i] = here;
        }
    return known;
}

static bool has_utilisations(const struct glet_profile *profile, size_t device)
{
    for (size_t i = 0; i < profile->latency_count; i++)
        if (profile->latency[i].device == device && !isnan(profile->latency[i].dram_util))
            return true;
    return false;
}

static int put(struct glet_sweep_session *session, const struct glet_profile_interference *fit,
               const char *what, FILE *report, struct glet_error *err)
{
    struct glet_profile_interference row = *fit;
    struct glet_profile part = {.devices = session->known->devices,
                                .device_count = session->known->device_count,
                                .interference = &row,
                                .interference_count = 1};
    if (report)
        fprintf(report, "interference: %s, margin %.3f\n", what, fit->margin);
    if (glet_store_merge(session->store, &part, err) < 0)
        return -1;
    return glet_sweep_session_put_meta(session, "interference_fit", what, err);
}

/* The model's error on what it has not seen; nothing where there is too little to leave out. */
static int put_error(struct glet_sweep_session *session,
                     const struct glet_interference_sample *samples, size_t count,
                     enum glet_interference_left_out left_out, FILE *report, struct glet_error *err)
{
    static const char *const keys[] = {"interference_error_pairs", "interference_error_models"};
    static const char *const names[] = {"pairs", "models"};
    struct glet_interference_error e;
    struct glet_error why;
    char text[160];
    if (glet_interference_leave_out(samples, count, MARGIN_QUANTILE, left_out, ORDER_SEED, &e,
                                    &why) < 0)
        return why.code == GLET_ERR_UNDECIDED ? 0 : (*err = why, -1);
    snprintf(text, sizeof text,
             "mean %.2f %%, largest %.2f %%, %.1f %% of %zu slower than predicted with margin",
             100 * e.mean_ratio, 100 * e.largest_ratio, 100 * e.above_ratio, e.samples);
    if (report)
        fprintf(report, "  latency error on %s left out of the fit: %s\n", names[left_out], text);
    return glet_sweep_session_put_meta(session, keys[left_out], text, err);
}

static int fit_pairs(struct glet_sweep_session *session, struct glet_interference_sample *samples,
                     size_t count, size_t device, FILE *report, struct glet_error *err)
{
    struct glet_profile_interference fit = {.device = device};
    struct glet_interference_quality quality;
    struct glet_error why;
    char what[160];
    size_t known = known_first(samples, count);
    if (glet_interference_fit(samples, known, MARGIN_QUANTILE, &fit, &quality, &why) == 0) {
        snprintf(what, sizeof what,
                 "linear model of %zu slowdowns, rms %.4f, largest %.4f, R2 %.3f", known,
                 quality.rms, quality.largest, quality.r2);
        if (put(session, &fit, what, report, err) < 0 ||
            put_error(session, samples, known, GLET_LEFT_OUT_PAIRS, report, err) < 0)
            return -1;
        return put_error(session, samples, known, GLET_LEFT_OUT_MODELS, report, err);
    }
    if (why.code != GLET_ERR_UNDECIDED)
        return *err = why, -1;
    if (glet_interference_fit_constant(samples, count, MARGIN_QUANTILE, &fit, &quality, err) < 0)
        return -1;
    snprintf(what, sizeof what, "constant %.3f of %zu slowdowns (%.90s)", fit.constant, count,
             why.message);
    return put(session, &fit, what, report, err);
}

int glet_sweep_fit(struct glet_sweep_session *session, FILE *report, struct glet_error *err)
{
    struct glet_interference_sample *samples = NULL;
    size_t count = 0;
    int device = glet_profile_find_device(session->known, session->gpu), rc = 0;
    if (device < 0)
        return 0;
    if (glet_interference_samples(session->known, (size_t)device, &samples, &count, err) < 0)
        return -1;
    if (count > 0) {
        rc = fit_pairs(session, samples, count, (size_t)device, report, err);
    } else if (has_utilisations(session->known, (size_t)device)) {
        const struct glet_profile_interference shared = {
            .device = (size_t)device, .dram_self = 1, .dram_other = 1};
        rc = put(session, &shared, "the memory bandwidth is shared; no pair was measured", report,
                 err);
    }
    free(samples);
    return rc;
}
