/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pass over the plan marks the rows that each slot's interpolation uses; one pass over the
 * rows counts those that were not measured.
 */
#include "planner/analyse/trust.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct rows { /* of a profile, by device and model */
    const struct glet_profile *profile;
    size_t *first, *list; /* list[first[pair] .. first[pair + 1] - 1] */
    bool *used;           /* [row] */
};

static size_t pair_of(const struct glet_profile *profile, size_t device, size_t model)
{
    return device * profile->model_count + model;
}

static void rows_fini(struct rows *rows)
{
    free(rows->first);
    free(rows->list);
    free(rows->used);
}

static int rows_init(struct rows *rows, const struct glet_profile *profile, struct glet_error *err)
{
    size_t pairs = profile->device_count * profile->model_count;
    *rows = (struct rows){.profile = profile};
    rows->first = calloc(pairs + 2, sizeof *rows->first);
    rows->list = calloc(profile->latency_count + 1, sizeof *rows->list);
    rows->used = calloc(profile->latency_count + 1, sizeof *rows->used);
    if (!rows->first || !rows->list || !rows->used) {
        rows_fini(rows);
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    }
    /* Counted one place late: filling the lists moves every start to where it belongs. */
    size_t *next = rows->first + 1;
    for (size_t i = 0; i < profile->latency_count; i++)
        next[pair_of(profile, profile->latency[i].device, profile->latency[i].model) + 1]++;
    for (size_t p = 0; p < pairs; p++)
        next[p + 1] += next[p];
    for (size_t i = 0; i < profile->latency_count; i++)
        rows->list[next[pair_of(profile, profile->latency[i].device,
                                profile->latency[i].model)]++] = i;
    return 0;
}

/* Marks the row at the batch, or the two around it. */
static void mark_rows(struct rows *rows, size_t pair, int units, int batch)
{
    const struct glet_profile *profile = rows->profile;
    size_t below = profile->latency_count, above = profile->latency_count;
    for (size_t n = rows->first[pair]; n < rows->first[pair + 1]; n++) {
        size_t i = rows->list[n];
        const struct glet_profile_latency *row = &profile->latency[i];
        if (row->units != units)
            continue;
        if (row->batch <= batch &&
            (below == profile->latency_count || row->batch > profile->latency[below].batch))
            below = i;
        if (row->batch >= batch &&
            (above == profile->latency_count || row->batch < profile->latency[above].batch))
            above = i;
    }
    if (below < profile->latency_count && above < profile->latency_count)
        rows->used[below] = rows->used[above] = true;
}

static int mark_plan(struct rows *rows, const struct glet_plan *plan, struct glet_error *err)
{
    const struct glet_profile *profile = rows->profile;
    int *model = malloc((plan->model_count + 1) * sizeof *model);
    if (!model)
        return glet_error_set(err, GLET_ERR_NOMEM, "out of memory");
    for (size_t m = 0; m < plan->model_count; m++)
        model[m] = glet_profile_find_model(profile, plan->models[m].name);
    for (size_t g = 0; g < plan->gpu_count; g++) {
        const struct glet_plan_gpu *gpu = &plan->gpus[g];
        int device = glet_profile_find_device(profile, gpu->type);
        for (size_t i = 0; device >= 0 && i < gpu->let_count; i++)
            for (size_t k = 0; k < gpu->lets[i].model_count; k++) {
                const struct glet_plan_let_model *slot = &gpu->lets[i].models[k];
                if (model[slot->model] >= 0)
                    mark_rows(rows, pair_of(profile, (size_t)device, (size_t)model[slot->model]),
                              gpu->lets[i].units, slot->batch);
            }
    }
    free(model);
    return 0;
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
    struct rows rows;
    if (rows_init(&rows, profile, err) < 0)
        return -1;
    int result = mark_plan(&rows, plan, err);
    for (size_t i = 0; i < profile->latency_count && result == 0; i++) {
        const struct glet_profile_latency *row = &profile->latency[i];
        if (rows.used[i] && row->trust != GLET_TRUST_MEASURED)
            result = add_row(row, profile->models[row->model].model,
                             profile->devices[row->device].gpu, out, err);
    }
    rows_fini(&rows);
    return result;
}

void glet_trust_fini(struct glet_trust_notes *notes)
{
    free(notes->notes);
    *notes = (struct glet_trust_notes){0};
}
