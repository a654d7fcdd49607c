/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/solve/space/halt.h"

#include "common/clock.h"

#include <stddef.h>

bool glet_halted(const struct glet_halt *halt)
{
    if (!halt)
        return false;
    if (halt->flag && *halt->flag)
        return true;
    return halt->deadline_us && (int64_t)glet_clock_us() >= halt->deadline_us;
}
