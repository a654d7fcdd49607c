/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_POLISH_H
#define GLET_PLANNER_POLISH_H

#include "planner/solve/search/draft.h"
#include "planner/solve/space/halt.h"

/*
 * Local search over pairs: two gpu-lets that serve more than their models need are served again,
 * together or divided differently, wherever that is cheaper.
 */
void glet_polish(struct glet_draft *draft, const struct glet_halt *halt);

#endif
