/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILE_COMMANDS_H
#define GLET_PROFILE_COMMANDS_H

/* The verbs of profile-models, as rows for glet_program_main(). */

#include "common/options.h"

extern const struct glet_command glet_command_sweep;  /* no verb */
extern const struct glet_command glet_command_show;   /* show */
extern const struct glet_command glet_command_export; /* export */
extern const struct glet_command glet_command_import; /* import */

#endif
