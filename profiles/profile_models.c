/* SPDX-License-Identifier: Apache-2.0 */
/* The program profile-models. */
#include "profiles/profile_commands.h"

int main(int argc, char **argv)
{
    const struct glet_command commands[] = {glet_command_sweep, glet_command_show,
                                            glet_command_export, glet_command_import};
    const struct glet_program program = {"profile-models",
                                         "measures how fast models run in parts of a GPU", commands,
                                         sizeof commands / sizeof commands[0]};
    return glet_program_main(&program, argc, argv);
}
