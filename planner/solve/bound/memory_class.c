/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integer arithmetic from rounded prices on: it is part of the proof of the lower bound. */
#include "planner/solve/bound/memory_class.h"

#include "planner/solve/bound/slots.h"

/* The parts 1/2, 1/3, 1/4 and 1/5 are whole numbers of these. */
#define PARTS 60

int glet_memory_class(double memory_mib, double gpu_mib)
{
    for (int k = 1; k <= GLET_MEMORY_CLASSES; k++)
        if (memory_mib * (k + 1) > gpu_mib)
            return k;
    return 0;
}

bool glet_memory_filling(int i, int uses_out[GLET_MEMORY_CLASSES + 1])
{
    int least = 0; /* what they take is more than this */
    uses_out[0] = 0;
    for (int k = 1; k <= GLET_MEMORY_CLASSES; k++) {
        uses_out[k] = i % (k + 1);
        i /= k + 1;
        least += uses_out[k] * (PARTS / (k + 1));
    }
    return least < PARTS;
}

int64_t glet_memory_worth(const double price[GLET_MEMORY_CLASSES + 1])
{
    int64_t best = 0;
    int uses[GLET_MEMORY_CLASSES + 1];
    for (int i = 0; i < GLET_MEMORY_FILLINGS; i++) {
        int64_t worth = 0;
        if (!glet_memory_filling(i, uses))
            continue;
        for (int k = 1; k <= GLET_MEMORY_CLASSES; k++)
            worth += uses[k] * (int64_t)(price[k] * GLET_PRICE_UNIT);
        best = worth > best ? worth : best;
    }
    return best;
}
