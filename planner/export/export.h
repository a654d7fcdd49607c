/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_EXPORT_H
#define GLET_PLANNER_EXPORT_H

/*
 * The capacity gate in the formats that people and continuous integration read. Same gate, same
 * bytes. Write errors stick to out: glet_export() reports them.
 */

#include "planner/analyse/gate.h"

enum glet_export_format {
    GLET_EXPORT_TABLE,
    GLET_EXPORT_JSON,     /* schema gpulet-check/1 */
    GLET_EXPORT_JUNIT,    /* one test case per check */
    GLET_EXPORT_GITHUB,   /* workflow commands: ::error file=,line=,title=::message */
    GLET_EXPORT_SARIF,    /* 2.1.0 */
    GLET_EXPORT_MARKDOWN, /* for a comment or a job summary */
};

extern const char *const glet_export_names[]; /* for GLET_OPTION_CHOICE, in the enum's order */

/* Fails with GLET_ERR_IO or GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_export(const struct glet_gate *gate, enum glet_export_format format, FILE *out,
                struct glet_error *err);

/* One format each; used by glet_export(). */
void glet_export_json(const struct glet_gate *gate, FILE *out);
void glet_export_junit(const struct glet_gate *gate, FILE *out);
void glet_export_github(const struct glet_gate *gate, FILE *out);
void glet_export_sarif(const struct glet_gate *gate, FILE *out);
GLET_MUST_CHECK
int glet_export_text(const struct glet_gate *gate, bool markdown, FILE *out,
                     struct glet_error *err);

#endif
