/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * plan: how many GPUs a set of models needs, how each is cut into gpu-lets, and what proves it.
 * One thread, no clock in the default path: the same input gives the same bytes.
 */
#include "planner/verbs/commands.h"

#include <string.h>

int main(int argc, char **argv)
{
    struct glet_command commands[] = {glet_cmd_solve,   glet_cmd_verify,   glet_cmd_check,
                                      glet_cmd_diff,    glet_cmd_explain,  glet_cmd_whatif,
                                      glet_cmd_compare, glet_cmd_simulate, glet_cmd_report};
    const struct glet_program program = {"plan", "plans and certifies how models share GPUs",
                                         commands, sizeof commands / sizeof commands[0]};
    return glet_program_main(&program, argc, argv);
}
