/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_SEARCH_H
#define GLET_LOAD_SEARCH_H

/*
 * The largest common factor on all rates at which every SLO still holds: doubling or halving until
 * the answer changes, then bisection on the logarithm. Pure: the caller runs the trials.
 */

#include <stdbool.h>

struct glet_search {
    double next;   /* factor to try */
    double held;   /* largest that held; 0 = none yet */
    double missed; /* smallest that missed above it; INFINITY = none yet */
    double first;
    bool done;
};

struct glet_search glet_search_begin(double first);

/* Tells how the trial of search->next went, and sets the next one or done. */
void glet_search_tell(struct glet_search *search, bool held);

#endif
