/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_TERMINAL_H
#define GLET_COMMON_TERMINAL_H

/* What may be sent to a descriptor. Safe from any thread. */

#include <stdbool.h>

bool glet_terminal(int descriptor); /* a terminal that can move its cursor */

/* A terminal that shows colours: not with NO_COLOR (no-color.org) or TERM=dumb. */
bool glet_terminal_colours(int descriptor);

int glet_terminal_width(int descriptor); /* columns; 80 when unknown */

#endif
