/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_REPORT_SIMULATION_H
#define GLET_REPORT_SIMULATION_H

/* What `plan simulate` prints. Both return -1 with GLET_ERR_IO or GLET_ERR_NOMEM. */

#include "planner/simulate/simulate.h"

/* show_lets: a row for each gpu-let as well. */
GLET_MUST_CHECK
int glet_report_simulation(const struct glet_plan *plan,
                           const struct glet_simulate_options *options,
                           const struct glet_simulation *simulation, bool show_lets, FILE *out,
                           struct glet_error *err);

/* schema gpulet-simulation/1 */
GLET_MUST_CHECK
int glet_report_simulation_json(const struct glet_plan *plan,
                                const struct glet_simulate_options *options,
                                const struct glet_simulation *simulation, FILE *out,
                                struct glet_error *err);

#endif
