/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/baseline/baseline.h"

#include "planner/baseline/place.h"

const char *glet_baseline_name(enum glet_baseline which)
{
    static const char *const names[GLET_BASELINE_COUNT] = {"sbp", "gslice", "gpulet", "gpulet-int",
                                                           "ideal"};
    return names[which];
}

bool glet_baseline_run(const struct glet_problem *problem, enum glet_baseline which, int most_gpus,
                       const struct glet_halt *halt, struct glet_boxes *out)
{
    if (problem->type_count == 0)
        return false;
    struct glet_place place;
    glet_place_init(&place, problem, which != GLET_BASELINE_GPULET, out);
    place.most_gpus = most_gpus;
    place.halt = halt;
    if (which != GLET_BASELINE_GSLICE && place.max_gpulets > 2)
        place.max_gpulets = 2; /* the paper splits a GPU once */
    bool good = false;
    switch (which) {
    case GLET_BASELINE_SBP:
        good = glet_baseline_sbp(&place);
        break;
    case GLET_BASELINE_GSLICE:
        good = glet_baseline_gslice(&place);
        break;
    case GLET_BASELINE_GPULET:
    case GLET_BASELINE_GPULET_INTERFERENCE:
        good = glet_baseline_gpulet(&place);
        break;
    case GLET_BASELINE_IDEAL:
        good = glet_baseline_ideal(&place);
        break;
    case GLET_BASELINE_COUNT:
        break;
    }
    for (int i = 0; i < out->count; i++)
        glet_boxes_evaluate(problem, out, i);
    glet_place_fini(&place);
    return good;
}
