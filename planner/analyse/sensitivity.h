/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_SENSITIVITY_H
#define GLET_PLANNER_SENSITIVITY_H

/*
 * Shadow prices: what one more request per second, or one more millisecond of latency bound, of a
 * model is worth in GPUs (in cost per hour with min-cost).
 *
 * They are differences of the certified lower bound at its own prices: continuous where the number
 * of GPUs jumps, and comparable between models. A real change is worth this much on average, and
 * nothing or a whole GPU in any one case.
 */

#include "planner/model/problem.h"

struct glet_sensitivity {
    double per_rps; /* GPUs (or cost) that one more request per second needs; >= 0 */
    double per_ms;  /* GPUs (or cost) that one more millisecond of SLO saves; >= 0 */
    double share;   /* GPUs (or cost) that the model accounts for in the bound */
};

/*
 * Fills out[model_count]. Returns the bound in GPUs (cost), before rounding up, or -1 with
 * GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
double glet_sensitivity(const struct glet_problem *problem, struct glet_sensitivity *out,
                        struct glet_error *err);

#endif
