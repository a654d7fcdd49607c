/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_REPORT_ANSWER_H
#define GLET_PLANNER_REPORT_ANSWER_H

/* A planning answer for people (table) and machines (JSON): the plan, or why there is none. */

#include "planner/analyse/trust.h"
#include "planner/session.h"

/*
 * The plan as tables: verdict, GPUs, models. Returns -1 with GLET_ERR_IO or GLET_ERR_NOMEM, as
 * all functions here do.
 */
GLET_MUST_CHECK
int glet_report_plan(const struct glet_plan *plan, FILE *out, struct glet_error *err);

/* The plan file's content as JSON, with the same keys. */
GLET_MUST_CHECK
int glet_report_plan_json(const struct glet_plan *plan, FILE *out, struct glet_error *err);

/* Why there is no plan, as text and as JSON (schema gpulet-no-plan/1). */
GLET_MUST_CHECK
int glet_report_no_plan(const struct glet_session *session, const struct glet_answer *answer,
                        FILE *out, struct glet_error *err);
GLET_MUST_CHECK
int glet_report_no_plan_json(const struct glet_session *session, const struct glet_answer *answer,
                             FILE *out, struct glet_error *err);

/*
 * Fills err with the first reason and its place in the workload (GLET_ERR_NO, or
 * GLET_ERR_UNDECIDED when nothing was proven), and prints the other reasons on standard error;
 * returns -1.
 */
int glet_answer_error(const struct glet_session *session, const struct glet_answer *answer,
                      struct glet_error *err);

/* "the stock does not suffice ...": one line, at most size - 1 bytes. */
void glet_answer_stock_text(const struct glet_answer *answer, char *text, size_t size);

/* Prints a note about rows that were not measured, and about early stops, on standard error. */
GLET_MUST_CHECK
int glet_answer_notes(const struct glet_session *session, const struct glet_answer *answer,
                      struct glet_error *err);

#endif
