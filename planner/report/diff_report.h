/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPORT_DIFF_REPORT_H
#define GLET_PLANNER_REPORT_DIFF_REPORT_H

/* A diff of two plans as text, Markdown (for a comment on a change) and JSON. */

#include "planner/analyse/diff.h"

enum glet_diff_format { GLET_DIFF_TABLE, GLET_DIFF_MARKDOWN };

GLET_MUST_CHECK
int glet_report_diff(const struct glet_diff *diff, enum glet_diff_format format, FILE *out,
                     struct glet_error *err);
GLET_MUST_CHECK
int glet_report_diff_json(const struct glet_diff *diff, FILE *out, struct glet_error *err);

/* "3 -> 4 GPUs (+1), 2 gpu-lets started, 1 stopped, 7 kept", without a newline. */
void glet_report_diff_line(const struct glet_diff *diff, FILE *out);

#endif
