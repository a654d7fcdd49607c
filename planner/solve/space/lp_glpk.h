/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_LP_GLPK_H
#define GLET_PLANNER_LP_GLPK_H

/*
 * Linear and integer programs, minimising, with columns >= 0: a narrow seam around GLPK. Rows and
 * columns are counted from 0 in the order they were added; deleting renumbers.
 *
 * Programmer errors and exhausted memory inside GLPK end in glet_lp_guard(): without it the
 * library would abort the process. One thread at a time.
 */

#include "common/error.h"
#include "planner/solve/space/halt.h"

#include <stdbool.h>
#include <stddef.h>

struct glet_lp;

/*
 * Runs body(context) so that a GLPK failure comes back as GLET_ERR_INTERNAL instead of an abort;
 * every glet_lp made inside is then gone. Returns body's value, or -1. Not reentrant.
 *
 * halt: while body runs, every solve ends with -1 soon after it; NULL = never. Borrowed.
 */
GLET_MUST_CHECK
int glet_lp_guard(int (*body)(void *context), void *context, const struct glet_halt *halt,
                  struct glet_error *err);

/* Never NULL. */
struct glet_lp *glet_lp_new(void);
void glet_lp_free(struct glet_lp *lp); /* NULL is accepted */

int glet_lp_row_count(const struct glet_lp *lp);
int glet_lp_col_count(const struct glet_lp *lp);

/* Appends count free rows; returns the index of the first. */
int glet_lp_add_rows(struct glet_lp *lp, int count);
void glet_lp_row_at_least(struct glet_lp *lp, int row, double lower);
void glet_lp_row_at_most(struct glet_lp *lp, int row, double upper);
void glet_lp_row_free(struct glet_lp *lp, int row);

/* Appends a column with count entries (distinct rows); returns its index. */
int glet_lp_add_col(struct glet_lp *lp, double cost, int count, const int *rows,
                    const double *values);
void glet_lp_set_col(struct glet_lp *lp, int col, double cost, int count, const int *rows,
                     const double *values);
void glet_lp_col_at_most(struct glet_lp *lp, int col, double upper);

/* Deletes rows whose slack is basic, or columns that are nonbasic; indices ascending. */
void glet_lp_delete_rows(struct glet_lp *lp, int count, const int *rows);
void glet_lp_delete_cols(struct glet_lp *lp, int count, const int *cols);

/*
 * Primal simplex from the current basis (new columns enter nonbasic, new rows basic), from an
 * advanced basis when that fails, and the dual one when it cycles there. Returns 0 = optimal, -1 = infeasible, no solution,
 * or halted.
 */
int glet_lp_solve(struct glet_lp *lp);

/* After glet_lp_solve() returned 0. */
double glet_lp_objective(const struct glet_lp *lp);
double glet_lp_value(const struct glet_lp *lp, int col);
double glet_lp_dual(const struct glet_lp *lp, int row);
double glet_lp_reduced_cost(const struct glet_lp *lp, int col);
bool glet_lp_row_is_basic(const struct glet_lp *lp, int row);
bool glet_lp_col_is_basic(const struct glet_lp *lp, int col);

enum glet_ilp_status { GLET_ILP_NONE, GLET_ILP_FEASIBLE, GLET_ILP_OPTIMAL };

struct glet_ilp_options {
    bool cuts;                    /* mixed-integer rounding, cover and Gomory cuts */
    int node_limit;               /* subproblems, > 0: the only limit, so that results repeat */
    double stop_at;               /* stop at the first solution with at most this objective */
    const double *incumbent;      /* a feasible point to start from, one per column; NULL = none */
    const struct glet_halt *halt; /* stop as soon as it is not 0; NULL = never */
};

/*
 * Branch and bound with every column integer. x (one per column, rounded) is written unless the
 * status is GLET_ILP_NONE. The columns are continuous again afterwards.
 */
enum glet_ilp_status glet_lp_solve_integer(struct glet_lp *lp,
                                           const struct glet_ilp_options *options, double *x);

#endif
