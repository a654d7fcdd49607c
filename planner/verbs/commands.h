/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_COMMANDS_H
#define GLET_PLANNER_COMMANDS_H

/* The verbs of `plan`: one table row each, defined in its cmd_*.c. */

#include "common/options.h"

extern const struct glet_command glet_cmd_solve, glet_cmd_report, glet_cmd_verify, glet_cmd_diff,
    glet_cmd_check, glet_cmd_explain, glet_cmd_whatif, glet_cmd_compare, glet_cmd_simulate;

#endif
