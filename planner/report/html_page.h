/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_HTML_PAGE_H
#define GLET_PLANNER_HTML_PAGE_H

/* The one page that answers "does it fit, how close, what if", for people who never saw the tool. */

#include "planner/analyse/explain.h"
#include "planner/analyse/whatif.h"

struct glet_page { /* everything borrowed */
    const struct glet_session *session;
    const struct glet_answer *answer;
    const struct glet_explanation *explanation;
    const struct glet_whatif *whatif;
    bool whatif_fast;     /* all but its first row come from fast searches */
    int time_sliced_gpus; /* what sharing whole GPUs in time would need; 0 = unknown */
};

/* Fails with GLET_ERR_IO, GLET_ERR_NOMEM, GLET_ERR_INPUT (the plan is not for this workload). */
GLET_MUST_CHECK
int glet_html_page(const struct glet_page *page, FILE *out, struct glet_error *err);

#endif
