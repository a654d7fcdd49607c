/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPORT_VERDICT_H
#define GLET_PLANNER_REPORT_VERDICT_H

/* What the verifier found, as text (one line each, file:line:column first) and as JSON. */

#include "planner/verify/verify.h"

GLET_MUST_CHECK
int glet_report_verdict(const struct glet_plan *plan, const struct glet_verdict *verdict, FILE *out,
                        struct glet_error *err);
GLET_MUST_CHECK
int glet_report_verdict_json(const struct glet_plan *plan, const struct glet_verdict *verdict,
                             FILE *out, struct glet_error *err);

#endif
