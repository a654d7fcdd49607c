/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pass over the plan marks the rows that each slot's interpolation uses; one pass over the
 * rows counts those that were not measured.
 */
#include "planner/analyse/trust.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Marks the row at the batch, or the two around it. Rows are sorted by batch within a curve. */
static void mark_rows(const struct glet_profile *profile, int device, int model, int units,
                      int batch, bool *used)
{
    size_t below = profile->latency_count, above = profile->latency_count;
    for (size_t i = 0; i < profile->latency_count; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if ((int)row->device != device || (int)row->model != model || row->units != units)
            continue;
        if (row->batch <= batch &&
            (below == profile->latency_count || row->batch > profile->latency[below].batch))
            below = i;
        if (row->batch >= batch &&
            (above == profile->latency_count || row->batch < profile->latency[above].batch))
            above = i;
    }
    if (below < profile->latency_count && above < profile->latency_count)
        used[below] = used[above] = true;
}

static int add_row(const struct glet_profile_latency *row, const char *model, const char *gpu,
                   struct glet_trust_notes *out, struct glet_error *err)
{
    struct glet_trust_note *note = NULL;
    for (size_t i = 0; i < out->count && !note; i++)
        if (strcmp(out->notes[i].model, model) == 0 && strcmp(out->notes[i].gpu, gpu) == 0)
            note = &out->notes[i];
    if (!note) {
        struct glet_trust_note *bigger = realloc(out->notes, (out->count + 1) * sizeof *bigger);
        if (!bigger)
            return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
        out->notes = bigger;
        note = &bigger[out->count++];
        *note = (struct glet_trust_note){model, gpu, 0, 0};
    }
    if (row->trust == GLET_TRUST_IMPORTED)
        note->imported_rows++;
    else
        note->estimated_rows++;
    return 0;
}

int glet_trust_collect(const struct glet_profile *profile, const struct glet_plan *plan,
                       struct glet_trust_notes *out, struct glet_error *err)
{
    *out = (struct glet_trust_notes){0};
    bool *used = calloc(profile->latency_count + 1, sizeof *used);
    if (!used)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        int device = glet_profile_find_device(profile, gpu->type);
        for (size_t i = 0; device >= 0 && i < gpu->let_count; i++)
            for (size_t k = 0; k < gpu->lets[i].model_count; k++) {
                const struct glet_plan_let_model *slot = &gpu->lets[i].models[k];
                int model = glet_profile_find_model(profile, plan->models[slot->model].name);
                if (model >= 0)
                    mark_rows(profile, device, model, gpu->lets[i].units, slot->batch, used);
            }
    }
    int result = 0;
    for (size_t i = 0; i < profile->latency_count && result == 0; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (used[i] && row->trust != GLET_TRUST_MEASURED)
            result = add_row(row, profile->models[row->model].model,
                             profile->devices[row->device].gpu, out, err);
    }
    free(used);
    return result;
}

void glet_trust_fini(struct glet_trust_notes *notes)
{
    free(notes->notes);
    *notes = (struct glet_trust_notes){0};
}
