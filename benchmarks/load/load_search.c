/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_search.h"

#include <math.h>

/* Trials are noisy: finer than 5 % is not worth their time. Beyond a factor of 1000 from the
   workload's own rates it is another workload. */
static const double precision = 1.05, farthest = 1000;

struct glet_search glet_search_begin(double first)
{
    return (struct glet_search){.next = first, .missed = INFINITY, .first = first};
}

void glet_search_tell(struct glet_search *search, bool held)
{
    if (held)
        search->held = search->next;
    else
        search->missed = search->next;
    if (search->held <= 0)
        search->next = search->missed / 2;
    else if (isinf(search->missed))
        search->next = search->held * 2;
    else
        search->next = sqrt(search->held * search->missed);
    search->done = search->missed <= search->held * precision ||
                   search->next > search->first * farthest ||
                   search->next < search->first / farthest;
}
