/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only file that sees glpk.h.
 *
 * GLPK's manners that shape this seam: misuse and memory exhaustion call an error hook that must
 * not return; indices count from 1; branch and bound without the presolver needs an optimal basis
 * first; an incumbent can only be handed over inside the callback; it stops by itself only when the
 * tree is empty, so the callback ends it at a known bound or a node limit. Its time limits are wall
 * time and are never used.
 *
 * Nor does the simplex ask anybody whether to go on. But it reports its progress every so many
 * iterations, which changes nothing of what it does, and the hook for the report leaves it when the
 * search was halted: the program keeps its basis but not the factorisation, whose memory is lost
 * until the environment is freed.
 */
#include "planner/solve/space/lp_glpk.h"

#include <glpk.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct glet_lp {
    glp_prob *p;
    int *index; /* scratch of one column */
    double *value;
    int room;
};

#define HALT_ITERATIONS 50 /* of the simplex, between two looks */

static jmp_buf guard_jump, halt_jump;
static bool guard_active;
static const struct glet_halt *guard_halt;

static void on_glpk_error(void *info)
{
    (void)info;
    longjmp(guard_jump, 1);
}

int glet_lp_guard(int (*body)(void *context), void *context, const struct glet_halt *halt,
                  struct glet_error *err)
{
    if (guard_active)
        return glet_error_set(err, GLET_ERR_INTERNAL, "the linear programming guard was nested");
    glp_term_out(GLP_OFF);
    if (setjmp(guard_jump)) {
        guard_active = false;
        guard_halt = NULL;
        glp_error_hook(NULL, NULL);
        glp_free_env();
        return glet_error_set(err, GLET_ERR_INTERNAL, "the linear programming library gave up");
    }
    guard_active = true;
    guard_halt = halt;
    glp_error_hook(on_glpk_error, NULL);
    int result = body(context);
    guard_active = false;
    guard_halt = NULL;
    glp_error_hook(NULL, NULL);
    return result;
}

struct glet_lp *glet_lp_new(void)
{
    struct glet_lp *lp = calloc(1, sizeof *lp);
    if (!lp)
        abort();
    glp_term_out(GLP_OFF);
    lp->p = glp_create_prob();
    glp_set_obj_dir(lp->p, GLP_MIN);
    return lp;
}

void glet_lp_free(struct glet_lp *lp)
{
    if (!lp)
        return;
    glp_delete_prob(lp->p);
    free(lp->index);
    free(lp->value);
    free(lp);
}

int glet_lp_row_count(const struct glet_lp *lp)
{
    return glp_get_num_rows(lp->p);
}

int glet_lp_col_count(const struct glet_lp *lp)
{
    return glp_get_num_cols(lp->p);
}

int glet_lp_add_rows(struct glet_lp *lp, int count)
{
    int first = glp_get_num_rows(lp->p);
    if (count > 0)
        glp_add_rows(lp->p, count);
    return first;
}

void glet_lp_row_at_least(struct glet_lp *lp, int row, double lower)
{
    glp_set_row_bnds(lp->p, row + 1, GLP_LO, lower, 0);
}

void glet_lp_row_at_most(struct glet_lp *lp, int row, double upper)
{
    glp_set_row_bnds(lp->p, row + 1, GLP_UP, 0, upper);
}

void glet_lp_row_free(struct glet_lp *lp, int row)
{
    glp_set_row_bnds(lp->p, row + 1, GLP_FR, 0, 0);
}

void glet_lp_set_col(struct glet_lp *lp, int col, double cost, int count, const int *rows,
                     const double *values)
{
    if (count > lp->room) {
        lp->room = count * 2 + 16;
        lp->index = realloc(lp->index, sizeof *lp->index * (size_t)(lp->room + 1));
        lp->value = realloc(lp->value, sizeof *lp->value * (size_t)(lp->room + 1));
        if (!lp->index || !lp->value)
            abort();
    }
    for (int i = 0; i < count; i++) {
        lp->index[i + 1] = rows[i] + 1;
        lp->value[i + 1] = values[i];
    }
    glp_set_obj_coef(lp->p, col + 1, cost);
    glp_set_mat_col(lp->p, col + 1, count, lp->index, lp->value);
}

int glet_lp_add_col(struct glet_lp *lp, double cost, int count, const int *rows,
                    const double *values)
{
    int col = glp_add_cols(lp->p, 1) - 1;
    glp_set_col_bnds(lp->p, col + 1, GLP_LO, 0, 0);
    glet_lp_set_col(lp, col, cost, count, rows, values);
    return col;
}

void glet_lp_col_at_most(struct glet_lp *lp, int col, double upper)
{
    glp_set_col_bnds(lp->p, col + 1, upper > 0 ? GLP_DB : GLP_FX, 0, upper);
}

static int *one_based(int count, const int *list)
{
    int *out = malloc(sizeof *out * (size_t)(count + 1));
    if (!out)
        abort();
    for (int i = 0; i < count; i++)
        out[i + 1] = list[i] + 1;
    return out;
}

void glet_lp_delete_rows(struct glet_lp *lp, int count, const int *rows)
{
    if (count <= 0)
        return;
    int *list = one_based(count, rows);
    glp_del_rows(lp->p, count, list);
    free(list);
}

void glet_lp_delete_cols(struct glet_lp *lp, int count, const int *cols)
{
    if (count <= 0)
        return;
    int *list = one_based(count, cols);
    glp_del_cols(lp->p, count, list);
    free(list);
}

/* Iterations that end a solve: degenerate programs can cycle, the others need far fewer. */
static int iterations_of(const struct glet_lp *lp)
{
    return 1000 + 5 * glp_get_num_rows(lp->p) + glp_get_num_cols(lp->p) / 2;
}

static int on_report(void *info, const char *text)
{
    (void)info;
    (void)text;
    if (glet_halted(guard_halt))
        longjmp(halt_jump, 1);
    return 1; /* not to be printed */
}

/* glp_simplex(), or -1 when halted. */
static int run_simplex(glp_prob *p, glp_smcp *options)
{
    if (!guard_halt)
        return glp_simplex(p, options);
    if (glet_halted(guard_halt))
        return -1;
    options->msg_lev = GLP_MSG_ON;
    options->out_frq = HALT_ITERATIONS;
    glp_term_out(GLP_ON);
    glp_term_hook(on_report, NULL);
    volatile int status = -1;
    if (setjmp(halt_jump) == 0)
        status = glp_simplex(p, options);
    glp_term_hook(NULL, NULL);
    glp_term_out(GLP_OFF);
    return status;
}

int glet_lp_solve(struct glet_lp *lp)
{
    glp_smcp options;
    glp_init_smcp(&options);
    options.msg_lev = GLP_MSG_OFF;
    options.it_lim = iterations_of(lp);
    for (int attempt = 0; attempt < 3; attempt++) {
        if (attempt > 0)
            glp_adv_basis(lp->p, 0);
        options.meth = attempt < 2 ? GLP_PRIMAL : GLP_DUALP;
        int status = run_simplex(lp->p, &options);
        if (status < 0)
            return -1;
        if (status == 0 && glp_get_status(lp->p) == GLP_OPT)
            return 0;
        if (attempt == 1 && status != GLP_EITLIM)
            break;
    }
    return -1;
}

double glet_lp_objective(const struct glet_lp *lp)
{
    return glp_get_obj_val(lp->p);
}

double glet_lp_value(const struct glet_lp *lp, int col)
{
    return glp_get_col_prim(lp->p, col + 1);
}

double glet_lp_dual(const struct glet_lp *lp, int row)
{
    return glp_get_row_dual(lp->p, row + 1);
}

double glet_lp_reduced_cost(const struct glet_lp *lp, int col)
{
    return glp_get_col_dual(lp->p, col + 1);
}

bool glet_lp_row_is_basic(const struct glet_lp *lp, int row)
{
    return glp_get_row_stat(lp->p, row + 1) == GLP_BS;
}

bool glet_lp_col_is_basic(const struct glet_lp *lp, int col)
{
    return glp_get_col_stat(lp->p, col + 1) == GLP_BS;
}

struct search {
    const struct glet_ilp_options *options;
    double *start; /* 1-based copy of the incumbent, NULL once handed over */
    int nodes;
    bool stopped;
};

static void on_branch_and_bound(glp_tree *tree, void *info)
{
    struct search *search = info;
    const struct glet_ilp_options *options = search->options;
    if (glet_halted(options->halt)) {
        search->stopped = true;
        glp_ios_terminate(tree);
        return;
    }
    switch (glp_ios_reason(tree)) {
    case GLP_IHEUR:
        if (search->start) {
            glp_ios_heur_sol(tree, search->start);
            free(search->start);
            search->start = NULL;
        }
        break;
    case GLP_IBINGO:
        if (glp_mip_obj_val(glp_ios_get_prob(tree)) <= options->stop_at + 1e-6)
            glp_ios_terminate(tree);
        break;
    case GLP_ISELECT:
        if (++search->nodes > options->node_limit) {
            search->stopped = true;
            glp_ios_terminate(tree);
        }
        break;
    default:
        break;
    }
}

enum glet_ilp_status glet_lp_solve_integer(struct glet_lp *lp,
                                           const struct glet_ilp_options *options, double *x)
{
    int cols = glp_get_num_cols(lp->p);
    if (glet_lp_solve(lp))
        return GLET_ILP_NONE;
    struct search search = {.options = options};
    if (options->incumbent) {
        search.start = malloc(sizeof *search.start * (size_t)(cols + 1));
        if (!search.start)
            abort();
        memcpy(search.start + 1, options->incumbent, sizeof *search.start * (size_t)cols);
    }
    glp_iocp control;
    glp_init_iocp(&control);
    control.msg_lev = GLP_MSG_OFF;
    control.cb_func = on_branch_and_bound;
    control.cb_info = &search;
    if (options->cuts) {
        control.mir_cuts = GLP_ON;
        control.cov_cuts = GLP_ON;
        control.gmi_cuts = GLP_ON;
    }
    for (int j = 1; j <= cols; j++)
        glp_set_col_kind(lp->p, j, GLP_IV);
    int failed = glp_intopt(lp->p, &control);
    int status = glp_mip_status(lp->p);
    enum glet_ilp_status result = GLET_ILP_NONE;
    if (status == GLP_OPT || status == GLP_FEAS) {
        for (int j = 0; j < cols; j++)
            x[j] = round(glp_mip_col_val(lp->p, j + 1));
        bool complete = status == GLP_OPT && !failed && !search.stopped;
        result = complete ? GLET_ILP_OPTIMAL : GLET_ILP_FEASIBLE;
    }
    for (int j = 1; j <= cols; j++)
        glp_set_col_kind(lp->p, j, GLP_CV);
    free(search.start);
    return result;
}
